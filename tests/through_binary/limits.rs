//! What the system refuses: address space, stacks, threads, locked memory. Every command then ends by itself, with
//! success or with one line and exit code 1.

use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Output};

use crate::util::{checkpoint, convert, siskin};

/// Runs the program after `limit`, a command of the shell.
fn limited(limit: &str, arguments: &[&str]) -> Output {
    let program = siskin(arguments.iter().copied());
    let mut shell = Command::new("sh");
    shell.env("XDG_STATE_HOME", siskin_testing::NO_STATE);
    shell.args(["-c", &format!("{limit} && exec \"$0\" \"$@\"")]);
    shell.arg(program.get_program()).args(program.get_args());
    for (name, value) in program.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    shell.stdin(std::process::Stdio::null());
    shell.output().expect("a shell")
}

/// Fails unless the program ended with success, or with one line and exit code 1.
fn ends_well(what: &str, output: &Output) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    let status = output.status;
    assert_eq!(status.signal(), None, "{what}: {stderr}");
    match status.code() {
        Some(0) => {}
        Some(1) => assert_eq!(stderr.trim_end().lines().count(), 1, "{what}: {stderr}"),
        _ => panic!("{what}: {status}: {stderr}"),
    }
    for word in ["panicked", "GGML_ASSERT", "this is a bug"] {
        assert!(!stderr.contains(word), "{what}: {stderr}");
    }
}

#[test]
fn limits_of_memory_threads_and_stacks_end_in_one_line() {
    let folder = tempfile::tempdir().expect("a folder");
    let model = convert(&checkpoint("llama-spm"), folder.path(), "q8_0");
    let (model, out) = (model.to_str().expect("a path"), folder.path().join("out.gguf"));
    let (text, matrix) = (folder.path().join("text"), folder.path().join("matrix"));
    std::fs::write(&text, "the king said ".repeat(60)).expect("written");
    let path = |path: &Path| path.to_str().expect("a path").to_owned();
    let (out, text, matrix) = (path(&out), path(&text), path(&matrix));
    let source = path(&checkpoint("stablelm-bpe"));
    let commands: [&[&str]; 6] = [
        &["run", model, "-p", "x", "-n", "1", "--temp", "0"],
        &["convert", &source, "-o", &out, "-q", "--force"],
        &[
            "quantize",
            model,
            &out,
            "q4_0",
            "--allow-requantize",
            "--force",
            "-q",
        ],
        &[
            "imatrix", model, "-f", &text, "-o", &matrix, "-c", "32", "-q", "--force",
        ],
        &["tokenize", model, "the king"],
        &["fit", model],
    ];
    let limits = [
        "ulimit -v 52000",
        "ulimit -v 100000",
        "ulimit -v 400000",
        "ulimit -s 160",
    ];
    for (limit, arguments) in limits
        .iter()
        .flat_map(|limit| commands.map(|arguments| (limit, arguments)))
    {
        ends_well(&format!("{limit}: {arguments:?}"), &limited(limit, arguments));
    }
    // The limits at which a conversion has its buffers, and little else. With less, the loader cannot map the program.
    for kib in (50_000..70_000).step_by(500) {
        let arguments = commands[1];
        ends_well(
            &format!("{kib} KiB"),
            &limited(&format!("ulimit -v {kib}"), arguments),
        );
    }
    let entries = std::fs::read_dir(folder.path()).expect("a folder");
    let names = entries.map(|entry| entry.expect("an entry").file_name());
    let partial = |name: &std::ffi::OsString| name.to_string_lossy().contains(".partial");
    assert_eq!(names.filter(partial).count(), 0);
}

#[test]
fn a_large_model_within_little_address_space_is_refused_before_it_is_loaded() {
    // The storyteller's cache of a million tokens is larger than the limit, and smaller than any machine's memory.
    let output = limited(
        "ulimit -v 500000",
        &["run", "-c", "1000000", "-p", "x", "-n", "1"],
    );
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(
        stderr.contains("of address space, but a limit of this process leaves only"),
        "{stderr}"
    );
}

#[test]
fn numbers_out_of_range_are_mistakes_on_the_command_line() {
    let cases: [(&[&str], &str); 9] = [
        (&["run", "--threads", "0"], "must be at least 1"),
        (&["run", "--threads", "100000"], "must be at most 512"),
        (&["chat", "--threads-batch", "4294967295"], "must be at most 512"),
        (&["run", "--ubatch-size", "0"], "must be at least 1"),
        (&["run", "-c", "4000000000"], "must be at most 1073741824"),
        (
            &["fit", "m", "-c", "99999999999999999999"],
            "must be from 0 to 1073741824",
        ),
        (
            &["quantize", "-t", "18446744073709551615", "a", "b", "q8_0"],
            "must be at most 512",
        ),
        (&["bench", "-p", "99999999999"], "must be at most 1073741824"),
        (&["bench", "-t", "1,513"], "must be at most 512"),
    ];
    for (arguments, want) in cases {
        let output = siskin(arguments.iter().copied()).output().expect("it starts");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {stderr}");
        assert!(stderr.contains(want), "{arguments:?}: {stderr}");
    }
}
