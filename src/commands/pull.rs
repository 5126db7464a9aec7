//! `siskin pull`: from a name to a model's file.

mod carry_out;
mod steps;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use siskin_harness::catalog;
use siskin_hub::choose::DEFAULT_TYPE;
use siskin_hub::environment::Environment;
use siskin_hub::name::{HubName, Name, Wanted};
use siskin_hub::net::pull::{self, Options, Plan};
use siskin_hub::net::{Client, Notice, Repo, Settings};
use siskin_hub::store::{Record, Store, Stored};
use siskin_hub::{HubError, ollama};
use siskin_model::atomic_file::{self, Overwrite};
use siskin_quant::imatrix::Imatrix;

use super::number;
use super::target_args::file_type_name;
use crate::exit::usage_error;
use crate::interrupt;
use crate::render::{size, text};

/// Gets a model by its name, and converts it while it arrives
///
/// A checkpoint of Hugging Face becomes one quantized file: it is converted while it is read, and never stored. GGUF files
/// are downloaded as they are. What an interrupted pull has read is kept, and the next one goes on from there.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Example:
  siskin pull tinyllama
  siskin pull meta-llama/Llama-3.2-1B-Instruct --type q4_k_m
  siskin pull EleutherAI/pythia-1b@step64000 --type q8_0
  siskin pull bartowski/Llama-3.2-1B-Instruct-GGUF:Q4_K_M
  siskin pull ollama:llama3.2:1b

Names: a short one (tinyllama, llama-3.2-1b, stablelm-2-1.6b, pythia-1b), OWNER/REPO[@REVISION] of Hugging Face, \
OWNER/REPO:TYPE of a repository of GGUF files, OWNER/REPO/FILE, ollama:NAME:TAG, oci:HOST/NAME:TAG. siskin list shows what \
is there. HF_TOKEN, HF_HOME, HF_ENDPOINT, HF_HUB_OFFLINE and HTTPS_PROXY are heeded.")]
pub(crate) struct PullArgs {
    /// Name of the model; the forms are below
    name: String,
    /// Type of the file: a checkpoint is quantized to it, of GGUF files the one of this type is taken [default: q4_k_m, or what
    /// fits this device]
    #[arg(long = "type", value_name = "TYPE", value_parser = file_type_name)]
    file_type: Option<String>,
    /// File to write, in place of one in the folder of models
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Get these training steps of a Pythia model, a file for each: 0,512,64000
    #[arg(long, value_name = "N,...", value_delimiter = ',', conflicts_with = "output")]
    steps: Vec<u32>,
    /// Importance matrix that weights the quantization; siskin imatrix makes one
    #[arg(long, value_name = "FILE")]
    imatrix: Option<PathBuf>,
    /// Also keep the checkpoint, in the cache of Hugging Face
    #[arg(long)]
    keep_checkpoint: bool,
    /// Do not read the file back from the disk at the end
    #[arg(long)]
    no_read_back: bool,
    /// Worker threads [default: the CPUs available]
    #[arg(short, long, value_name = "N", value_parser = number::threads::<usize>)]
    threads: Option<usize>,
    /// Replace a file that is there and is from elsewhere
    #[arg(long)]
    force: bool,
    /// Say what would be done, and get nothing but headers
    #[arg(long)]
    dry_run: bool,
    /// Print no progress and no summary
    #[arg(short, long)]
    quiet: bool,
    /// Print one JSON object on stdout
    #[arg(long)]
    json: bool,
}

pub(crate) fn main(args: PullArgs) -> anyhow::Result<ExitCode> {
    let name = name(&args.name)?;
    let store = super::model_name::store();
    let store = match &args.output {
        Some(_) => store.unwrap_or_else(|_| Store::at(PathBuf::new())),
        None => store?,
    };
    if args.steps.is_empty() {
        return one(&args, &store, &name);
    }
    let Name::Hub(repository) = &name else {
        return Err(usage_error(
            "--steps: only repositories of Hugging Face have training steps",
        ));
    };
    for name in steps::names(repository, &args.steps)? {
        let code = one(&args, &store, &Name::Hub(name))?;
        if code != ExitCode::SUCCESS {
            return Ok(code);
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// What was typed; a short name of the catalogue is its repository.
pub(super) fn name(text: &str) -> anyhow::Result<Name> {
    let name: Name = text.parse()?;
    let Name::Short(short) = &name else {
        return Ok(name);
    };
    let Some(entry) = catalog::find(short) else {
        let known: Vec<&str> = catalog::CATALOG
            .iter()
            .filter_map(|entry| entry.short_names.first().copied())
            .collect();
        anyhow::bail!(
            "{}: no model has this short name; there is {}. Others are OWNER/REPO, ollama:NAME or oci:HOST/NAME",
            text::bounded(short),
            known.join(", ")
        );
    };
    Ok(entry.repository.parse()?)
}

pub(super) use carry_out::{before_storing, memory};

/// A client that stops when a signal comes.
///
/// # Errors
/// A variable of the environment cannot be used.
pub(super) fn client(quiet: bool) -> anyhow::Result<Client> {
    let environment = Environment::of_process()?;
    let settings = Settings {
        heads: std::env::var_os("SISKIN_HUB_HEADS").is_some(),
        ..Settings::of(&environment)
    };
    let cancel = Arc::clone(interrupt::shared());
    let say = move |notice: &Notice| {
        if !quiet {
            say!("siskin: {}", text::escaped(&line(notice)));
        }
    };
    Ok(Client::new(&environment, settings, cancel, say)?)
}

fn line(notice: &Notice) -> String {
    match notice {
        Notice::Waiting { host, seconds } => format!("{host} asks to wait {seconds} s"),
        Notice::Retrying { host, problem, after } => {
            format!("{host}: {problem}; trying again in {:.1} s", after.as_secs_f64())
        }
        Notice::Skipping { host, bytes } => {
            format!(
                "{host} sends the whole file again; {} are skipped",
                size::bytes(*bytes)
            )
        }
        Notice::Head { url, status, headers } => {
            let headers = headers.iter().map(|(name, value)| format!("; {name}: {value}"));
            format!("GET {url} {status}{}", headers.collect::<String>())
        }
        _ => "the server is slow".into(),
    }
}

/// The model of the store that is this name's, if it was pulled before.
fn pulled(store: &Store, name: &Name, file_type: Option<&str>) -> anyhow::Result<Option<Stored>> {
    let (from, typed) = match name {
        // A type in the name chooses what a flag chooses too.
        Name::Hub(hub) => match &hub.wanted {
            Wanted::Type(ty) => (
                vec![name.to_string(), without_type(hub).to_string()],
                Some(ty.to_lowercase()),
            ),
            _ => (vec![name.to_string()], None),
        },
        _ => (vec![name.to_string()], None),
    };
    let wanted = file_type.map(str::to_lowercase).or(typed);
    let is_this = |model: &Stored| {
        let Some(record) = &model.record else { return false };
        let origin = record.origin.as_ref();
        let is_from = origin.is_some_and(|origin| from.contains(&origin.name));
        let is_of = wanted
            .as_ref()
            .is_none_or(|wanted| record.file_type.as_ref() == Some(wanted));
        is_from && is_of
    };
    Ok(store.list()?.into_iter().find(is_this))
}

fn without_type(name: &HubName) -> HubName {
    HubName {
        wanted: Wanted::Model,
        ..name.clone()
    }
}

/// The file of a name: the one that was pulled before, else it is pulled now.
///
/// # Errors
/// It cannot be pulled.
pub(super) fn ensure(store: &Store, name: &Name) -> anyhow::Result<PathBuf> {
    // Of several types, the one that a pull would get.
    for file_type in [Some(DEFAULT_TYPE.name()), None] {
        if let Some(model) = pulled(store, name, file_type)? {
            return Ok(model.path().to_owned());
        }
    }
    let args = PullArgs {
        name: name.to_string(),
        file_type: None,
        output: None,
        steps: Vec::new(),
        imatrix: None,
        keep_checkpoint: false,
        no_read_back: false,
        threads: None,
        force: false,
        dry_run: false,
        quiet: false,
        json: false,
    };
    one(&args, store, name)?;
    let model = pulled(store, name, None)?;
    let model = model.with_context(|| format!("{name}: it was not pulled"))?;
    Ok(model.path().to_owned())
}

fn one(args: &PullArgs, store: &Store, name: &Name) -> anyhow::Result<ExitCode> {
    let file_type = args.file_type.as_deref();
    if let Name::Ollama(ollama_name) = name
        && let Some(found) = local_ollama(ollama_name)?
    {
        return carry_out::import(args, store, name, &found);
    }
    // Before anything is asked: what is there is not replaced.
    if let Some(path) = args.output.as_ref().filter(|_| !args.dry_run && !args.force) {
        atomic_file::check(path, Overwrite::Refuse)?;
    }
    let client = client(args.quiet)?;
    if let Some(path) = current(args, store, &client, name)? {
        return carry_out::here(args, &path);
    }
    let imatrix = args.imatrix.as_deref().map(Imatrix::open).transpose()?;
    let options = Options {
        file_type,
        imatrix: imatrix.as_ref(),
        memory: carry_out::memory(),
    };
    let plan = match pull::plan(&client, name, &options) {
        Ok(plan) => plan,
        Err(pull::PullError::Hub(error @ HubError::Offline { .. })) => {
            // What was pulled before is there without the network.
            if let Some(model) = pulled(store, name, file_type)? {
                say!("siskin: offline; {} is here", text::escaped(&model.name));
                return Ok(ExitCode::SUCCESS);
            }
            return Err(error.into());
        }
        Err(error) => return Err(carry_out::before_storing(error)),
    };
    match plan {
        Plan::Checkpoint(job) => carry_out::checkpoint(args, store, &job, imatrix.as_ref()),
        Plan::Ready(files) => carry_out::ready(args, store, &client, &files),
    }
}

/// The file of an earlier pull if its branch has not moved since: one request, in place of all that a plan needs.
fn current(args: &PullArgs, store: &Store, client: &Client, name: &Name) -> anyhow::Result<Option<PathBuf>> {
    let Name::Hub(hub) = name else { return Ok(None) };
    if args.output.is_some() || args.force || args.dry_run || args.imatrix.is_some() {
        return Ok(None);
    }
    // Without a type, another file of the same repository is not what would be pulled.
    let file_type = match (&hub.wanted, args.file_type.as_deref()) {
        (Wanted::Model, None) => Some(DEFAULT_TYPE.name()),
        (_, file_type) => file_type,
    };
    let Some(model) = pulled(store, name, file_type)? else {
        return Ok(None);
    };
    let is_whole = model.files == [store.file(&model.name)];
    let Some(origin) = model
        .record
        .as_ref()
        .and_then(|record| record.origin.as_ref())
        .filter(|_| is_whole)
    else {
        return Ok(None);
    };
    match Repo::commit_of(client, hub) {
        Ok(commit) => Ok((commit == origin.commit).then(|| model.path().to_owned())),
        // The plan says the same, with all that follows from it.
        Err(HubError::Offline { .. }) => Ok(None),
        Err(error) => Err(carry_out::before_storing(error.into())),
    }
}

/// The model in ollama's own store on this disk, if it has it.
fn local_ollama(name: &siskin_hub::name::OllamaName) -> anyhow::Result<Option<ollama::Stored>> {
    let environment = Environment::of_process()?;
    let Some(folder) = &environment.ollama else {
        return Ok(None);
    };
    Ok(ollama::Store::new(folder).find(name)?)
}

/// Where the file goes, and whether it may replace what is there.
struct Place {
    path: PathBuf,
    existing: Overwrite,
    /// The store's record of what is there.
    known: Option<Record>,
}

impl Place {
    /// In the store, or where the user says.
    fn of(args: &PullArgs, store: &Store, stem: &str, origin: &str) -> anyhow::Result<Self> {
        let overwrite = |replaces: bool| match replaces {
            true => Overwrite::Replace,
            false => Overwrite::Refuse,
        };
        if let Some(path) = &args.output {
            return Ok(Place {
                path: path.clone(),
                existing: overwrite(args.force),
                known: None,
            });
        }
        store.make()?;
        let known = store.get(stem, None).ok().and_then(|model| model.record);
        // An older one of the same origin is what a pull renews.
        let is_same = |record: &Record| record.origin.as_ref().is_some_and(|was| was.name == origin);
        let replaces = args.force || known.as_ref().is_some_and(is_same);
        Ok(Place {
            path: store.file(stem),
            existing: overwrite(replaces),
            known,
        })
    }

    /// Whether this very commit is there already.
    fn has(&self, commit: &str, path: &Path) -> bool {
        let known = self.known.as_ref().and_then(|record| record.origin.as_ref());
        known.is_some_and(|origin| origin.commit == commit) && path.exists()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_names_are_repositories() {
        let cases = [
            ("tinyllama", "hf:TinyLlama/TinyLlama-1.1B-Chat-v1.0"),
            ("Llama-3.2-1B", "hf:meta-llama/Llama-3.2-1B-Instruct"),
            ("pythia", "hf:EleutherAI/pythia-1b"),
            ("a/b@step1", "hf:a/b@step1"),
        ];
        for (typed, want) in cases {
            assert_eq!(name(typed).expect("a name").to_string(), want);
        }
        let error = name("nobody").expect_err("unknown").to_string();
        assert!(error.contains("there is llama-3.2-1b, tinyllama"), "{error}");
    }

    #[test]
    fn a_model_is_known_by_its_name_with_and_without_its_type() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::at(folder.path().to_owned());
        let origin = siskin_hub::store::Origin {
            name: "hf:a/b".into(),
            commit: "1".into(),
            endpoint: "e".into(),
            files: vec![],
        };
        store
            .write("b-q8_0", &Record::new(origin, Some("q8_0".into())))
            .expect("written");
        std::fs::write(store.file("b-q8_0"), b"x").expect("written");
        let cases = [
            ("a/b", None, true),
            ("a/b:Q8_0", None, true),
            ("a/b:q4_k_m", None, false),
            ("a/b", Some("q4_k_m"), false),
            ("a/b", Some("Q8_0"), true),
            ("a/c", None, false),
            ("a/b@main", None, false),
        ];
        for (typed, ty, want) in cases {
            let name: Name = typed.parse().expect("a name");
            let found = pulled(&store, &name, ty).expect("listed");
            assert_eq!(found.is_some(), want, "{typed} {ty:?}");
        }
    }
}
