//! Pulls that end at any moment, and go on.

use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};
use serde_json::Value;
use siskin_testing::Rng;
use siskin_testing::hub::{Fault, File};
use siskin_testing::synthetic::{self, Sizes};

use super::{Site, converted, names, put, read, silent, upload};
use crate::util;

/// A signal ends a pull within this time.
const PROMPT: Duration = Duration::from_secs(1);
/// What a header's reader asks for at most, in bytes.
const HEADER: u64 = 128 << 10;

/// Bytes that a journal says need not be read again; 0 without one.
fn counted(journal: &Path) -> u64 {
    let Ok(text) = std::fs::read_to_string(journal) else {
        return 0;
    };
    let journal: Value = serde_json::from_str(&text).expect("a journal is whole at any moment");
    let shards = journal["shards"].as_array().expect("shards");
    let of = |shard: &Value| match shard["found"].is_null() {
        true => shard["midstate"]["at"].as_u64().expect("a number"),
        false => shard["bytes"].as_u64().expect("a number"),
    };
    shards.iter().map(of).sum()
}

/// Bytes of weights sent under the present signature of addresses: those of pulls before have another.
fn sent(site: &Site, signature: usize) -> u64 {
    let signature = format!("&sig={signature}");
    let log = site.hub.take_log();
    let weights = log.iter().filter(|request| request.path.ends_with(&signature));
    weights.map(|request| request.sent).sum()
}

/// Kills a pull at random moments, again and again, and lets it go on; each time a pull ends by itself, it has the right
/// bytes and begins anew. Returns the number of pulls that went on after a journal.
fn kill(kills: usize, seed: u64) -> usize {
    let mut rng = Rng::with_seed(seed);
    let site = Site::new();
    // Larger than the distance of two journals.
    let sizes = Sizes {
        layers: 1,
        width: 1024,
        ffn: 2048,
        heads: [16, 16],
        vocabulary: 36_000,
    };
    let checkpoint = site.path("big");
    std::fs::create_dir_all(&checkpoint).expect("a folder");
    synthetic::checkpoint(&checkpoint, &sizes, None);
    let want = read(&util::convert(&checkpoint, site.folder.path(), "q8_0"));
    let source = std::fs::metadata(checkpoint.join("model.safetensors"))
        .expect("there")
        .len();
    let files: Vec<(String, File)> = names(&checkpoint)
        .into_iter()
        .map(|name| {
            (
                name.clone(),
                File::on_disk(&checkpoint.join(name)).expect("readable"),
            )
        })
        .collect();
    put(&site.hub, "org/big", "main", &files);
    let target = site.model("big-q8_0");
    let journal = site.path("models/.big-q8_0.gguf.pull.json");

    let start = Instant::now();
    silent(&mut site.pull("org/big --type q8_0"));
    let whole = start.elapsed();
    assert!(read(&target) == want);
    std::fs::remove_file(&target).expect("removed");
    let (mut went_on, mut signature) = (0, 0);
    for round in 0..=kills {
        let before = counted(&journal);
        site.hub.expire_signatures();
        signature += 1;
        site.hub.take_log();
        let mut pull = site.pull("org/big --type q8_0");
        let mut child = pull.stderr(Stdio::piped()).spawn().expect("the program starts");
        let moment = whole.mul_f64(rng.f64() * 1.1);
        let deadline = Instant::now() + moment;
        // The last one ends by itself.
        while round < kills && Instant::now() < deadline && child.try_wait().expect("a child").is_none() {
            std::thread::sleep(Duration::from_millis(1));
        }
        if round < kills {
            let _ = child.kill();
        }
        let output = child.wait_with_output().expect("it ends");
        let sent = sent(&site, signature);
        assert!(
            sent <= source - before + HEADER,
            "round {round}: {before} of {source} bytes were counted, and {sent} were sent again"
        );
        went_on += usize::from(before > 0);
        if output.status.success() {
            assert!(
                read(&target) == want,
                "round {round}: wrong bytes after {moment:?}"
            );
            assert_eq!(site.unfinished(), [""; 0]);
            std::fs::remove_file(&target).expect("removed");
        } else {
            assert_eq!(
                output.status.code(),
                None,
                "{}",
                String::from_utf8_lossy(&output.stderr)
            );
            // The kill may have come between the rename and the end.
            let is_right = !target.exists() || read(&target) == want;
            assert!(
                is_right,
                "round {round}: wrong bytes under the final name after {moment:?}"
            );
            let _ = std::fs::remove_file(&target);
        }
    }
    went_on
}

#[test]
fn a_pull_that_is_killed_at_any_moment_goes_on() {
    let went_on = kill(20, 17);
    println!("{went_on} of 20 pulls went on after a journal");
}

/// `cargo test --release -- --ignored killed_200` takes minutes.
#[test]
#[ignore = "minutes"]
fn a_pull_that_is_killed_200_times_goes_on() {
    let went_on = kill(200, 18);
    assert!(went_on > 10, "{went_on}");
}

fn send(child: &Child, signal: Signal) {
    // A child that was not waited for still has its id, so the signal cannot reach another process.
    rustix::process::kill_process(Pid::from_child(child), signal).expect("sent");
}

#[test]
fn ctrl_c_ends_a_slow_pull_at_once_and_the_next_one_goes_on() {
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let site = Site::new();
        upload(&site.hub, "org/llama-spm", "llama-spm");
        // The header comes fast, and the rest so that it takes more than a minute.
        let source = read(&util::checkpoint("llama-spm").join("model.safetensors")).len() as u64;
        site.hub.fault("/cdn/", Fault::Cut(u64::MAX), 1);
        site.hub.fault("/cdn/", Fault::Cut(1_500_000), 1);
        site.hub.fault("/cdn/", Fault::Trickle(20_000), 1);
        let mut pull = site.pull_that_hears("org/llama-spm --type q8_0");
        let pipes = pull.stdout(Stdio::null()).stderr(Stdio::piped());
        let child = pipes.spawn().expect("the program starts");
        let start = Instant::now();
        while site.hub.faults_left() > 0 {
            assert!(
                start.elapsed() < Duration::from_secs(30),
                "it does not come to the slow part"
            );
            std::thread::sleep(Duration::from_millis(5));
        }
        let start = Instant::now();
        send(&child, signal);
        let output = child.wait_with_output().expect("it ends");
        let took = start.elapsed();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{said}");
        assert!(took < PROMPT, "{took:?}");
        let last = said.lines().last().unwrap_or_default();
        assert!(
            last.starts_with("siskin: interrupted; what has arrived is in ")
                && last.ends_with(".llama-spm-q8_0.gguf.pull, and the next pull goes on from there"),
            "{said}"
        );
        assert_eq!(site.shown(), [""; 0]);

        let before = counted(&site.path("models/.llama-spm-q8_0.gguf.pull.json"));
        assert!(before > 500_000, "{before} bytes are counted");
        site.hub.expire_signatures();
        site.hub.take_log();
        silent(&mut site.pull("org/llama-spm --type q8_0"));
        let sent = sent(&site, 1);
        assert!(
            sent <= source - before + HEADER,
            "{before} of {source} were counted, {sent} sent again"
        );
        assert!(read(&site.model("llama-spm-q8_0")) == converted("llama-spm", "q8_0"));
        assert_eq!(site.unfinished(), [""; 0]);
    }
}

#[test]
fn ctrl_c_ends_a_pull_that_waits_for_an_answer() {
    for request in ["/revision/", "/tree/", "/config.json", "/cdn/"] {
        let site = Site::new();
        upload(&site.hub, "org/llama-tied", "llama-tied");
        site.hub.fault(request, Fault::Silent, 1000);
        let mut pull = site.pull_that_hears("org/llama-tied --quiet");
        pull.env("HF_HUB_DOWNLOAD_TIMEOUT", "60");
        let child = pull.stderr(Stdio::piped()).spawn().expect("the program starts");
        let start = Instant::now();
        while site.hub.faults_left() == 1000 {
            assert!(
                start.elapsed() < Duration::from_secs(30),
                "{request} is not asked for"
            );
            std::thread::sleep(Duration::from_millis(5));
        }
        let start = Instant::now();
        send(&child, Signal::INT);
        let output = child.wait_with_output().expect("it ends");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(130), "{request}: {said}");
        assert!(start.elapsed() < PROMPT, "{request}: {:?}", start.elapsed());
        assert!(
            said.starts_with("siskin: interrupted") && said.lines().count() == 1,
            "{request}: {said}"
        );
        assert_eq!(super::names(&site.path("models")), [""; 0]);
    }
}

/// Starts a pull whose weights come ever more slowly, and gives it when a file beside the models has so many bytes.
fn slow(site: &Site, line: &str, partial: &Path, bytes: u64) -> Child {
    site.hub.rate(1_000_000);
    let mut pull = site.pull_that_hears(line);
    let pipes = pull.stdout(Stdio::null()).stderr(Stdio::piped());
    let child = pipes.spawn().expect("the program starts");
    let start = Instant::now();
    while std::fs::metadata(partial).map_or(0, |meta| meta.len()) < bytes {
        assert!(
            start.elapsed() < Duration::from_secs(30),
            "{line}: it does not come so far"
        );
        std::thread::sleep(Duration::from_millis(2));
    }
    child
}

#[test]
fn files_that_are_stored_as_they_are_go_on_after_a_kill() {
    let cases = [
        ("maker/x --quiet", "models/.x-f32.gguf.pull", 1),
        (
            "org/llama-spm --quiet --type q8_0 --keep-checkpoint",
            "hf/hub/models--org--llama-spm/blobs/SHA256.incomplete",
            0,
        ),
    ];
    for (line, partial, headers) in cases {
        let site = Site::new();
        upload(&site.hub, "org/llama-spm", "llama-spm");
        let weights = File::large(read(&util::checkpoint("llama-spm").join("model.safetensors")));
        let partial = site.path(&partial.replace("SHA256", weights.sha256()));
        let model = converted("llama-spm", "f32");
        let file = ("x-f32.gguf".to_owned(), File::large(model.clone()));
        put(&site.hub, "maker/x", "main", &[file]);
        let mut child = slow(&site, line, &partial, 600_000);
        let _ = child.kill();
        let _ = child.wait();
        assert_eq!(site.shown(), [""; 0]);
        let had = std::fs::metadata(&partial).expect("it is kept").len();
        site.hub.rate(0);
        site.hub.expire_signatures();
        site.hub.take_log();
        silent(&mut site.pull(line.replace(" --quiet", "").as_str()));
        let size = match headers {
            0 => read(&util::checkpoint("llama-spm").join("model.safetensors")).len(),
            _ => model.len(),
        };
        let sent = sent(&site, 1);
        // Headers come by requests of their own: 128 KiB of safetensors, 1 MiB of GGUF.
        let most = size as u64 - had + HEADER + headers * (1 << 20);
        assert!(
            sent <= most,
            "{line}: {had} of {size} were there, {sent} came again"
        );
        assert!(!partial.exists());
        let want = if headers == 0 {
            converted("llama-spm", "q8_0")
        } else {
            model
        };
        let pulled = site.path("models").join(&site.shown()[0]);
        assert!(read(&pulled) == want, "{line}");
    }
}

#[test]
fn a_second_pull_of_the_same_file_is_refused_and_does_no_harm() {
    for (line, name) in [
        ("org/llama-spm --type q8_0", "llama-spm-q8_0"),
        ("maker/x", "x-f32"),
    ] {
        let site = Site::new();
        upload(&site.hub, "org/llama-spm", "llama-spm");
        let file = (
            "x-f32.gguf".to_owned(),
            File::large(converted("llama-spm", "f32")),
        );
        put(&site.hub, "maker/x", "main", &[file]);
        let first = slow(&site, line, &site.path(&format!("models/.{name}.gguf.pull")), 1);
        let said = util::fail(&mut site.pull(line), 1);
        assert!(said.contains(name) && said.contains(": another pro"), "{said}");
        site.hub.rate(0);
        let output = first.wait_with_output().expect("it ends");
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let ty = name.rsplit('-').next().expect("a type");
        assert!(read(&site.model(name)) == converted("llama-spm", ty));
        assert_eq!(site.unfinished(), [""; 0]);
    }
}

#[test]
fn what_was_damaged_between_two_pulls_is_found_out() {
    type Damage = fn(&Path, &Path);
    fn cut(path: &Path) {
        let bytes = read(path);
        std::fs::write(path, &bytes[..bytes.len() / 2]).expect("written");
    }
    let cases: [(&str, Damage); 5] = [
        ("the journal is gone", |_, journal| {
            std::fs::remove_file(journal).expect("removed")
        }),
        ("the journal is cut", |_, journal| cut(journal)),
        ("the journal is text", |_, journal| {
            std::fs::write(journal, "{}").expect("written")
        }),
        ("the output is gone", |partial, _| {
            std::fs::remove_file(partial).expect("removed")
        }),
        ("the output is cut", |partial, _| cut(partial)),
    ];
    let site = Site::new();
    upload(&site.hub, "org/llama-spm", "llama-spm");
    let want = converted("llama-spm", "q8_0");
    let line = "org/llama-spm --quiet --type q8_0";
    let partial = site.path("models/.llama-spm-q8_0.gguf.pull");
    let journal = site.path("models/.llama-spm-q8_0.gguf.pull.json");
    for (case, damage) in cases {
        let child = slow(&site, line, &partial, 1);
        std::thread::sleep(Duration::from_millis(300));
        send(&child, Signal::INT);
        let output = child.wait_with_output().expect("it ends");
        assert_eq!(output.status.code(), Some(130), "{case}");
        damage(&partial, &journal);
        site.hub.rate(0);
        silent(&mut site.pull(&line.replace(" --quiet", "")));
        assert!(read(&site.model("llama-spm-q8_0")) == want, "{case}");
        assert_eq!(site.unfinished(), [""; 0], "{case}");
        util::succeed(&mut site.line("rm llama-spm-q8_0"));
    }
    // Bytes that were written and are others now.
    let child = slow(&site, line, &partial, 1);
    std::thread::sleep(Duration::from_millis(1000));
    send(&child, Signal::INT);
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(130));
    let mut bytes = read(&partial);
    let place = want.len() / 10..want.len() / 5;
    for (byte, right) in bytes[place.clone()].iter_mut().zip(&want[place]) {
        *byte = !right;
    }
    std::fs::write(&partial, bytes).expect("written");
    site.hub.rate(0);
    let output = site
        .pull(&line.replace(" --quiet", ""))
        .output()
        .expect("the program starts");
    if output.status.success() {
        assert!(read(&site.model("llama-spm-q8_0")) == want);
    } else {
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.lines().count() == 1 && site.shown().is_empty(), "{said}");
        silent(&mut site.pull(&line.replace(" --quiet", "")));
        assert!(read(&site.model("llama-spm-q8_0")) == want);
    }
}
