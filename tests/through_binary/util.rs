//! Shared by the tests through the binary: fixtures, the shared data, and the program itself.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// The fixture checkpoints, sorted by name.
pub(crate) fn checkpoints() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/checkpoints");
    let entries = std::fs::read_dir(folder).expect("the fixtures");
    let mut found: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    found.sort();
    found
}

/// The fixture checkpoint with this folder name.
pub(crate) fn checkpoint(name: &str) -> PathBuf {
    checkpoints()
        .into_iter()
        .find(|dir| dir.ends_with(name))
        .unwrap_or_else(|| panic!("no fixture {name}"))
}

/// The shared data next to the project; `None`, with a printed notice that the test is skipped, if it is not
/// there.
pub(crate) fn shared() -> Option<PathBuf> {
    let folder = std::env::var_os("SISKIN_SHARED").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared"),
        PathBuf::from,
    );
    let data = folder.join("data");
    if data.is_dir() {
        return Some(data);
    }
    println!("skipped: no shared data");
    None
}

/// The program with arguments and without standard input.
pub(crate) fn siskin<S: AsRef<std::ffi::OsStr>>(args: impl IntoIterator<Item = S>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_siskin"));
    command.args(args).stdin(Stdio::null());
    // Keeps the tests from reading this user's own profiles and tuning results.
    command.envs([
        ("XDG_STATE_HOME", "/nonexistent"),
        ("XDG_CONFIG_HOME", "/nonexistent"),
    ]);
    command
}

/// The same, but with SIGINT and SIGQUIT enabled: a script's background process inherits ignored signals, and
/// siskin keeps ignored signals ignored.
pub(crate) fn siskin_that_hears_signals<S: AsRef<std::ffi::OsStr>>(
    args: impl IntoIterator<Item = S>,
) -> Command {
    let plain = siskin(args);
    let mut command = Command::new("env");
    command
        .arg("--default-signal=INT,QUIT")
        .arg(plain.get_program())
        .args(plain.get_args())
        .stdin(Stdio::null());
    let variables = plain.get_envs().filter_map(|(name, value)| Some((name, value?)));
    command.envs(variables);
    command
}

/// Runs the command and expects success.
pub(crate) fn succeed(command: &mut Command) -> Output {
    let output = command.output().expect("the program starts");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {} {stderr}", output.status);
    output
}

/// Runs the command, expects this exit code and one line on stderr, and returns that line.
pub(crate) fn fail(command: &mut Command, code: i32) -> String {
    let output = command.output().expect("the program starts");
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{command:?}: {stderr}");
    assert_eq!(stderr.lines().count(), 1, "{command:?}: {stderr}");
    stderr
}

/// Converts a checkpoint into the folder `out` and returns the file's path.
pub(crate) fn convert(checkpoint: &Path, out: &Path, file_type: &str) -> PathBuf {
    let name = checkpoint.file_name().expect("a name").to_string_lossy();
    let file = out.join(format!("{name}-{file_type}.gguf"));
    let arguments = ["--type", file_type, "--quiet", "--force"];
    succeed(
        siskin(["convert"])
            .arg(checkpoint)
            .arg("-o")
            .arg(&file)
            .args(arguments),
    );
    file
}
