//! What a plan says, done and told.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::Context;
use serde_json::json;
use siskin::device;
use siskin::device::memory::Memory;
use siskin::device::probe::{Machine, Root};
use siskin_hub::HubError;
use siskin_hub::name::Name;
use siskin_hub::net::Client;
use siskin_hub::net::cache::HubCache;
use siskin_hub::net::pull::{PullError, ReadyFiles, ToConvert};
use siskin_hub::ollama;
use siskin_hub::store::{Origin, Record, Store};
use siskin_model::atomic_file;
use siskin_model::gguf::ModelFile;
use siskin_model::summary;
use siskin_quant::arriving::{self, Arriving, ArrivingError, Event};
use siskin_quant::convert::Conversion;
use siskin_quant::imatrix::Imatrix;
use siskin_quant::stream::StreamOptions;

use super::{Place, PullArgs};
use crate::exit;
use crate::interrupt;
use crate::render::progress::PullProgress;
use crate::render::{size, text};

/// Bytes of memory that a model may take here.
pub(crate) fn memory() -> u64 {
    Machine::probe(&Root::system()).ram.usable_bytes
}

/// What is told at the end.
struct Done<'a> {
    /// Every byte was compared with a digest that its source gives.
    is_verified: bool,
    path: &'a Path,
    bytes: u64,
    read: u64,
    requests: u64,
    resumed: u64,
    seconds: f64,
}

/// Converts a checkpoint while it arrives.
pub(super) fn checkpoint(
    args: &PullArgs,
    store: &Store,
    job: &ToConvert,
    imatrix: Option<&Imatrix>,
) -> anyhow::Result<ExitCode> {
    let file_type = job.conversion.file_type;
    for notice in job.conversion.notices.iter().filter(|_| !args.quiet) {
        say!("siskin: warning: {}", text::escaped(notice));
    }
    let what = format!(
        "{} at {}: {} to read, {} to write as {file_type}",
        job.repo.id,
        job.repo.commit.get(..8).unwrap_or(&job.repo.commit),
        size::bytes(job.source_bytes()),
        size::bytes(job.conversion.file_bytes()),
    );
    if args.dry_run {
        return would(args, &what, job.source_bytes(), job.conversion.file_bytes());
    }
    let place = Place::of(args, store, &job.stem, &job.origin)?;
    // Nothing is known of the matrix of a file that is there.
    if place.has(&job.origin, job.conversion.file_bytes()) && !args.force && imatrix.is_none() {
        return here(args, &place.path);
    }
    atomic_file::check(&place.path, place.existing)?;
    if !args.quiet {
        say!("siskin: {}", text::escaped(&what));
    }
    let is_verified = job.origin.files.len() == job.shards.len();
    let start = Instant::now();
    let mut stream = StreamOptions::new(threads(args), interrupt::listen());
    stream.imatrix = imatrix;
    let resumed = match args.keep_checkpoint {
        true => stored(args, job, &place, stream),
        false => arriving(args, job, &place, stream),
    };
    let resumed = match resumed {
        Err(error) if is_interrupted(&error) => return Err(interrupted(args, &place.path)),
        resumed => resumed.with_context(|| format!("cannot pull {}", job.repo.id))?,
    };
    if args.output.is_none() {
        let mut record = Record::new(job.origin.clone(), Some(file_type.name().to_owned()));
        record.bytes = Some(job.conversion.file_bytes());
        record.verified_at = record.verified_at.filter(|_| is_verified);
        store.write(&job.stem, &record)?;
    }
    let client = job.repo.client();
    let done = Done {
        is_verified,
        path: &place.path,
        bytes: job.conversion.file_bytes(),
        read: client.bytes(),
        requests: client.requests(),
        resumed,
        seconds: start.elapsed().as_secs_f64(),
    };
    tell(args, &done, &job.origin)
}

fn arriving(
    args: &PullArgs,
    job: &ToConvert,
    place: &Place,
    stream: StreamOptions<'_>,
) -> anyhow::Result<u64> {
    let identity = job.identity();
    let mut options = Arriving::new(&identity, stream);
    options.read_back = !args.no_read_back;
    let bar = PullProgress::new(args.quiet || args.json, job.source_bytes());
    let mut per_shard = vec![0; job.shards.len()];
    let arrived = arriving::run(
        &job.conversion,
        &job.shards,
        job,
        &place.path,
        place.existing,
        &options,
        &mut |event| match event {
            Event::Begin { resumed, anew, .. } => {
                if let Some(anew) = anew {
                    bar.note(&format!("siskin: what an earlier pull left is not used: {anew}"));
                } else if resumed > 0 {
                    bar.note(&format!("siskin: going on after {}", size::bytes(resumed)));
                }
            }
            Event::Arrived { shard, bytes } => {
                if let Some(known) = per_shard.get_mut(shard) {
                    *known = bytes;
                }
                bar.show(per_shard.iter().sum());
            }
            Event::Finished { tensor, .. } => bar.message(&tensor.name),
            Event::Again { shard } => {
                let name = job
                    .shards
                    .get(shard)
                    .map_or("a shard", |shard| shard.name.as_str());
                bar.note(&format!("siskin: {name} arrived damaged; it is read once more"));
            }
            Event::ReadBack { .. } => bar.message("reading back"),
            _ => {}
        },
    );
    bar.finish();
    Ok(arrived.map_err(hub_first)?.resumed)
}

/// Stores the checkpoint in the hub's cache first, and converts it from there.
fn stored(args: &PullArgs, job: &ToConvert, place: &Place, stream: StreamOptions<'_>) -> anyhow::Result<u64> {
    let client = job.repo.client();
    let cache = cache(client)?;
    let bar = PullProgress::new(args.quiet || args.json, job.source_bytes());
    let mut before = 0;
    let is_weights = |path: &str| job.shards.iter().any(|shard| shard.name == path);
    let small = |file: &&siskin_hub::net::RemoteFile| !file.path.contains('/') && file.size < 64 << 20;
    for file in job
        .repo
        .files
        .iter()
        .filter(small)
        .filter(|file| !is_weights(&file.path))
    {
        cache.fetch(&job.repo, &file.path, |_| ())?;
    }
    for shard in &job.shards {
        cache.fetch(&job.repo, &shard.name, |bytes| bar.show(before + bytes))?;
        before += shard.bytes;
    }
    bar.finish();
    let folder = cache.snapshot(&job.repo.id, &job.repo.commit);
    let folder = folder.context("the cache does not have what was put there")?;
    let checkpoint = siskin_quant::checkpoint::Checkpoint::open(&folder)?;
    let model = job.repo.id.rsplit('/').next();
    let conversion = Conversion::of(checkpoint, model, Some(job.conversion.file_type), stream.imatrix)?;
    conversion.write(&place.path, place.existing, stream, &mut |_| ())?;
    if !args.quiet {
        say!(
            "siskin: the checkpoint is in {}",
            text::escaped(&folder.display().to_string())
        );
    }
    Ok(0)
}

fn cache(client: &Client) -> anyhow::Result<HubCache> {
    let environment = client.environment();
    let folder = environment.cache.as_deref();
    let folder = folder.context("there is no folder for the cache: neither HF_HOME nor HOME is set")?;
    Ok(HubCache::new(folder, !environment.no_symlinks))
}

/// Downloads files that are ready.
pub(super) fn ready(
    args: &PullArgs,
    store: &Store,
    client: &Client,
    files: &ReadyFiles,
) -> anyhow::Result<ExitCode> {
    let what = format!("{}: {}", files.origin.name, size::bytes(files.bytes()));
    if let Some(reason) = files.reason.as_ref().filter(|_| !args.quiet) {
        say!("siskin: {}", text::escaped(reason));
    }
    if args.dry_run {
        return would(
            args,
            &format!("{what} to read, kept as it is"),
            files.bytes(),
            files.bytes(),
        );
    }
    let place = Place::of(args, store, &files.stem, &files.origin)?;
    let targets = files.targets(&place.path);
    if place.has(&files.origin, files.bytes()) && !args.force {
        return here(args, &targets[0]);
    }
    for target in &targets {
        atomic_file::check(target, place.existing)?;
    }
    // A file that is no model is found out before it is read.
    let header =
        ModelFile::of(files.remote()?).with_context(|| format!("cannot pull {}", files.origin.name))?;
    let file_type = summary::file_type(&header.header);
    drop(header);
    if !args.quiet {
        say!("siskin: {} to read", text::escaped(&what));
    }
    let is_verified = files.origin.files.len() == files.files.len();
    let start = Instant::now();
    interrupt::listen();
    let bar = PullProgress::new(args.quiet || args.json, files.bytes());
    let gathered = files.gather(&place.path, |bytes| bar.show(bytes));
    bar.finish();
    let gathered = match gathered {
        Err(HubError::Interrupted) => return Err(interrupted(args, &place.path)),
        gathered => gathered.with_context(|| format!("cannot pull {}", files.origin.name))?,
    };
    // Before the parts have their names: if the program ends between them, the next pull knows whose they are.
    if args.output.is_none() {
        let mut record = Record::new(files.origin.clone(), Some(file_type));
        record.bytes = Some(files.bytes());
        record.verified_at = record.verified_at.filter(|_| is_verified);
        store.write(&files.stem, &record)?;
    }
    let resumed = gathered.resumed();
    let targets = gathered.place()?;
    let done = Done {
        is_verified,
        path: &targets[0],
        bytes: files.bytes(),
        read: client.bytes(),
        requests: client.requests(),
        resumed,
        seconds: start.elapsed().as_secs_f64(),
    };
    tell(args, &done, &files.origin)
}

/// Takes a model of ollama's own store without a copy: a second name of its file, or a link.
pub(super) fn import(
    args: &PullArgs,
    store: &Store,
    name: &Name,
    found: &ollama::Stored,
) -> anyhow::Result<ExitCode> {
    let stem: String = name
        .to_string()
        .trim_start_matches("ollama:")
        .chars()
        .map(|c| if matches!(c, ':' | '/') { '-' } else { c })
        .collect();
    let origin = Origin {
        name: name.to_string(),
        commit: found.digest.hex(),
        endpoint: "ollama's store on this disk".into(),
        files: vec![],
    };
    if args.dry_run {
        return would(args, "it is in ollama's store; nothing is copied", 0, 0);
    }
    let place = Place::of(args, store, &stem, &origin)?;
    if place.has(&origin, found.size) && !args.force {
        return here(args, &place.path);
    }
    let file_type = summary::file_type(&ModelFile::open(&found.model)?.header);
    atomic_file::check(&place.path, place.existing)?;
    let _ = std::fs::remove_file(&place.path);
    let linked = std::fs::hard_link(&found.model, &place.path)
        .or_else(|_| std::os::unix::fs::symlink(&found.model, &place.path));
    linked.with_context(|| place.path.display().to_string())?;
    if found.has_more && !args.quiet {
        say!("siskin: warning: the model also has an adapter or a vision part, which is not used");
    }
    if args.output.is_none() {
        let mut record = Record::new(origin.clone(), Some(file_type));
        // Nobody has compared its bytes with the digest.
        record.verified_at = None;
        record.bytes = Some(found.size);
        record.linked = Some(found.model.clone());
        store.write(&stem, &record)?;
    }
    let done = Done {
        is_verified: false,
        path: &place.path,
        bytes: found.size,
        read: 0,
        requests: 0,
        resumed: 0,
        seconds: 0.0,
    };
    tell(args, &done, &origin)
}

/// What would be done.
fn would(args: &PullArgs, what: &str, read: u64, written: u64) -> anyhow::Result<ExitCode> {
    if args.json {
        let report = json!({"bytes_to_read": read, "bytes_to_write": written});
        writeln!(text::stdout(), "{}", text::json(&report)?)?;
    } else {
        say!("siskin: {}", text::escaped(what));
    }
    Ok(ExitCode::SUCCESS)
}

fn threads(args: &PullArgs) -> usize {
    args.threads.unwrap_or_else(device::available_cpus)
}

pub(super) fn here(args: &PullArgs, path: &Path) -> anyhow::Result<ExitCode> {
    if args.json {
        let report = json!({"output": path.display().to_string(), "is_new": false});
        writeln!(text::stdout(), "{}", text::json(&report)?)?;
    } else if !args.quiet {
        say!(
            "siskin: {} is here and up to date",
            text::escaped(&path.display().to_string())
        );
    }
    Ok(ExitCode::SUCCESS)
}

fn tell(args: &PullArgs, done: &Done<'_>, origin: &Origin) -> anyhow::Result<ExitCode> {
    let path = done.path.display().to_string();
    if args.json {
        let report = json!({
            "output": path,
            "is_new": true,
            "is_verified": done.is_verified,
            "bytes": done.bytes,
            "bytes_read": done.read,
            "bytes_resumed": done.resumed,
            "requests": done.requests,
            "seconds": done.seconds,
            "peak_rss_bytes": Memory::now().peak_bytes,
            "origin": origin,
        });
        writeln!(text::stdout(), "{}", text::json(&report)?)?;
    } else if !args.quiet {
        say!(
            "siskin: {}: {}, {}, {:.1} s, {:.1} MB/s read, peak RSS {}",
            text::escaped(&path),
            size::bytes(done.bytes),
            match done.is_verified {
                true => "verified",
                false => "not verified: its source gives no digest",
            },
            done.seconds,
            done.read as f64 / 1e6 / done.seconds.max(1e-3),
            Memory::now().peak_bytes.map_or("unknown".into(), size::bytes),
        );
    }
    Ok(ExitCode::SUCCESS)
}

fn interrupted(args: &PullArgs, path: &Path) -> anyhow::Error {
    if args.keep_checkpoint {
        return exit::interrupted(
            "interrupted; what has arrived is in the cache, and the next pull goes on from there",
        );
    }
    let kept: PathBuf = siskin_hub::net::download::partial_of(path);
    exit::interrupted(format!(
        "interrupted; what has arrived is in {}, and the next pull goes on from there",
        kept.display()
    ))
}

/// The error of what was asked before anything was stored; if it is a signal, the program ends with it.
pub(crate) fn before_storing(error: PullError) -> anyhow::Error {
    let error = error.into();
    match is_interrupted(&error) {
        true => exit::interrupted("interrupted; nothing new was stored"),
        false => error,
    }
}

/// What the hub reports says more than the conversion that passed it on.
fn hub_first(error: ArrivingError) -> PullError {
    match error {
        ArrivingError::Source { shard, source } => match HubError::in_io(source) {
            Ok(error) => PullError::Hub(error),
            Err(source) => PullError::Arriving(ArrivingError::Source { shard, source }),
        },
        error => PullError::Arriving(error),
    }
}

fn is_interrupted(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        // Readers of headers can only give errors of the system's, with the hub's inside.
        let in_io = cause
            .downcast_ref::<std::io::Error>()
            .and_then(std::io::Error::get_ref);
        let in_io = in_io.and_then(|error| error.downcast_ref::<HubError>());
        let in_pull = cause.downcast_ref::<PullError>().is_some_and(|error| {
            matches!(
                error,
                PullError::Hub(HubError::Interrupted)
                    | PullError::Arriving(ArrivingError::Interrupted { .. })
            )
        });
        let hub = in_io.or_else(|| cause.downcast_ref());
        in_pull || matches!(hub, Some(HubError::Interrupted))
    })
}
