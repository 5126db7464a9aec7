//! Signals while nothing has to be ended cleanly, and while workers measure; closed pipes.

use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};

use crate::util::{self, siskin, siskin_that_hears_signals};

/// The longest time that anything here may take, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until `done` gives something.
fn until<T>(what: &str, mut done: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = done() {
            return found;
        }
        assert!(start.elapsed() < PATIENCE, "{what}: not in {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Whether the process has handlers for the signals that end it (proc(5), `SigCgt`): before, they end it too, without a word.
fn hears(child: &Child) -> Option<()> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).ok()?;
    let mask = status.lines().find_map(|line| line.strip_prefix("SigCgt:"))?;
    let mask = u64::from_str_radix(mask.trim(), 16).ok()?;
    let all = [Signal::INT, Signal::TERM, Signal::HUP];
    all.iter()
        .all(|signal| mask & (1 << (signal.as_raw() - 1)) != 0)
        .then_some(())
}

fn send(child: &Child, signal: Signal) {
    // A child that was not waited for still has its id, so the signal cannot reach another process.
    rustix::process::kill_process(Pid::from_child(child), signal).expect("sent");
}

fn end(child: &mut Child) -> ExitStatus {
    until("the end", || child.try_wait().expect("a child"))
}

fn stderr(child: &mut Child) -> String {
    let mut text = String::new();
    let pipe = child.stderr.as_mut().expect("a pipe");
    pipe.read_to_string(&mut text).expect("text");
    text
}

fn start(command: &mut Command) -> Child {
    let pipes = command.stdout(Stdio::null()).stderr(Stdio::piped());
    pipes.spawn().expect("the program starts")
}

#[test]
fn a_signal_ends_what_waits_for_its_input() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let model = util::convert(&util::checkpoint("llama-spm"), folder.path(), "f32");
    let model = model.to_string_lossy();
    let commands: [&[&str]; 3] = [&["run", &model], &["tokenize", &model], &["chat", &model]];
    let signals = [(Signal::INT, 130), (Signal::TERM, 143), (Signal::HUP, 129)];
    for (args, (signal, code)) in commands.into_iter().zip(signals) {
        // An open pipe, to which nobody writes.
        let mut command = siskin_that_hears_signals(args);
        // With these the program need not start again, during which it has no handlers.
        command.envs([("GOMP_SPINCOUNT", "2000"), ("OMP_STACKSIZE", "1M")]);
        let mut child = start(command.stdin(Stdio::piped()));
        until("a handler", || hears(&child));
        send(&child, signal);
        let status = end(&mut child);
        assert_eq!(status.code(), Some(code), "{args:?} {signal:?}: {status}");
        // It may have got as far as to say that the model has no template.
        let said = stderr(&mut child);
        let is_notice = |line: &str| line.contains("has no chat template");
        assert!(said.lines().all(is_notice), "{args:?} {signal:?}: {said}");
    }
}

/// The processes that a process started.
fn children(id: u32) -> Vec<u32> {
    let tasks = std::fs::read_dir(format!("/proc/{id}/task"))
        .into_iter()
        .flatten()
        .flatten();
    let lists = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok());
    let ids = lists.flat_map(|list| {
        let ids = list.split_whitespace().filter_map(|id| id.parse().ok());
        ids.collect::<Vec<u32>>()
    });
    ids.collect()
}

#[test]
fn a_signal_ends_a_benchmark_and_its_workers() {
    for (args, said) in [
        (&["bench", "-r", "10000"][..], ""),
        (&["tune"][..], "siskin: interrupted; nothing was saved\n"),
    ] {
        for (signal, code) in [(Signal::TERM, 143), (Signal::INT, 130)] {
            let state = tempfile::tempdir().expect("a temporary folder");
            let mut command = siskin_that_hears_signals(args);
            let mut child = start(command.env("XDG_STATE_HOME", state.path()));
            let workers = until("a worker", || {
                Some(children(child.id())).filter(|workers| !workers.is_empty())
            });
            until("a handler", || hears(&child));
            send(&child, signal);
            let status = end(&mut child);
            assert_eq!(status.code(), Some(code), "{args:?} {signal:?}: {status}");
            let lines = stderr(&mut child);
            // What tune prints of the machine comes before.
            assert!(lines.ends_with(said) && !lines.contains("worker"), "{lines}");
            assert!(!lines.contains("signal"), "{lines}");
            for id in workers {
                until("a worker's end", || {
                    (!Path::new(&format!("/proc/{id}/cmdline")).exists()).then_some(())
                });
            }
        }
    }
}

#[test]
fn a_text_that_cannot_fit_is_refused_before_it_is_tokenized() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("long.txt");
    std::fs::write(&path, "the king said hello ".repeat(1 << 20)).expect("written");
    let line = util::fail(siskin(["run", "-f"]).arg(&path), 1);
    assert!(
        line.contains("20971520 bytes of text are at least ") && line.contains("a larger context with -c"),
        "{line}"
    );
}

#[test]
fn whatever_a_file_is_called_the_terminal_is_not_steered() {
    let line = util::fail(&mut siskin(["run", "\u{9b}2J\u{202e}\x1b[31mx.gguf"]), 1);
    assert!(line.contains("\\u{9b}2J\\u{202e}\\u{1b}[31mx.gguf"), "{line}");
}
