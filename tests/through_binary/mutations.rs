//! However a model file is damaged, no command ends with a signal, an abort or a panic, or takes more than 1
//! GB or 10 s. The test makes thousands of mutations of a good file of each architecture and passes each to
//! every command that reads one.
//!
//! `SISKIN_MUTATIONS=N` sets the number for each architecture; `SISKIN_MUTATION=gptneox:1234` runs a single
//! one. A mutation depends only on its number. Files that fail are kept in cargo's `target/tmp`.

mod fields;
mod mutate;
pub(crate) mod watch;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::util;
use mutate::Good;
use watch::Ending;

/// Mutations for each architecture, unless `SISKIN_MUTATIONS` is set.
const MUTATIONS: u64 = 2000;

/// Name and fixture of each architecture: the smallest one.
const FIXTURES: [(&str, &str); 3] = [
    ("llama", "llama-tied"),
    ("stablelm", "stablelm-qknorm"),
    ("gptneox", "gptneox-sequential"),
];

/// The commands that get every file; `{}` is the file, `{out}` a path to write to.
const COMMANDS: [(&str, &[&str]); 4] = [
    ("inspect", &["inspect", "{}", "--tensors"]),
    (
        "quantize",
        &[
            "quantize",
            "{}",
            "{out}",
            "q4_0",
            "-q",
            "-t",
            "1",
            "--force",
            "--allow-requantize",
        ],
    ),
    (
        "tokenize",
        &["tokenize", "{}", "The king said: \u{e4}\u{1f600}\n", "--special"],
    ),
    (
        "run",
        &[
            "run", "{}", "--raw", "-p", "The king", "-n", "2", "-t", "1", "--seed", "1",
        ],
    ),
];

/// How often each command ended with each exit code.
type Tally = BTreeMap<(&'static str, i32), u64>;

#[test]
fn no_damage_does_harm() {
    let single = std::env::var("SISKIN_MUTATION").ok();
    let count = std::env::var("SISKIN_MUTATIONS")
        .ok()
        .and_then(|n| n.parse().ok());
    let count = count.unwrap_or(MUTATIONS);
    let work = scratch();
    for (name, fixture) in FIXTURES {
        let numbers = match single.as_deref().map(|wanted| wanted.split_once(':')) {
            None => 0..count,
            Some(Some((arch, number))) if arch == name => {
                let number: u64 = number.parse().expect("a number behind the colon");
                number..number + 1
            }
            Some(_) => continue,
        };
        let good = Good::read(&util::convert(&util::checkpoint(fixture), work.path(), "q8_0"));
        let (tally, failures) = all(name, &good, numbers.clone(), work.path());
        println!("{name}: mutations {numbers:?} of {fixture}, seeded by their numbers");
        for ((command, code), times) in &tally {
            println!("  {command:9} exit {code}: {times}");
        }
        assert!(failures.is_empty(), "{name}: {}", failures.join("\n"));
        // A test in which every file passes, or every file fails, would prove nothing.
        if count >= 100 && single.is_none() {
            for (command, _) in COMMANDS {
                for code in [0, 1] {
                    assert!(
                        tally.get(&(command, code)).is_some_and(|n| *n > count / 50),
                        "{command} {code}: {tally:?}"
                    );
                }
            }
        }
    }
}

/// A folder in memory if the system has one, because every file is written, synced and removed.
fn scratch() -> tempfile::TempDir {
    let shm = Path::new("/dev/shm");
    let builder = tempfile::Builder::new();
    match builder.tempdir_in(shm) {
        Ok(dir) => dir,
        Err(_) => tempfile::tempdir().expect("a temporary folder"),
    }
}

/// Runs the mutations, two at a time; returns the exit codes and one line for each harmful mutation.
fn all(name: &str, good: &Good, numbers: std::ops::Range<u64>, work: &Path) -> (Tally, Vec<String>) {
    let next = AtomicU64::new(numbers.start);
    let results = Mutex::new((Tally::new(), Vec::new()));
    std::thread::scope(|scope| {
        for worker in 0..2 {
            let (next, numbers, results) = (&next, &numbers, &results);
            scope.spawn(move || {
                let file = work.join(format!("{name}-{worker}.gguf"));
                let out = work.join(format!("{name}-{worker}-out.gguf"));
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= numbers.end || results.lock().expect("no panic").1.len() >= 20 {
                        break;
                    }
                    let (what, bytes) = mutate::mutate(good, number);
                    std::fs::write(&file, &bytes).expect("written");
                    for (command, args) in COMMANDS {
                        let ending = watch::run(args, &file, &out);
                        let mut results = results.lock().expect("no panic");
                        match ending {
                            Ending::Code(code) => *results.0.entry((command, code)).or_default() += 1,
                            Ending::Harm(harm) => {
                                let kept = keep(name, number, &bytes);
                                let line =
                                    format!("{name}:{number} ({what}) {command}: {harm}; {}", kept.display());
                                results.1.push(line);
                            }
                        }
                    }
                }
            });
        }
    });
    results.into_inner().expect("no panic")
}

fn keep(name: &str, number: u64, bytes: &[u8]) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("mutation-{name}-{number}.gguf"));
    std::fs::write(&path, bytes).expect("kept");
    path
}

#[test]
fn a_mutation_is_a_function_of_its_number() {
    let out = tempfile::tempdir().expect("a temporary folder");
    let good = Good::read(&util::convert(
        &util::checkpoint("llama-tied"),
        out.path(),
        "q8_0",
    ));
    let mut changed = 0;
    for number in 0..200 {
        let (what, bytes) = mutate::mutate(&good, number);
        assert_eq!((what, bytes.clone()), mutate::mutate(&good, number));
        changed += u32::from(bytes != good.bytes);
    }
    assert!(changed > 190, "{changed} of 200 differ from the good file");
}
