//! What the tests through the binary share: fixtures, a place to write, the program itself.

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

/// One fixture checkpoint.
pub(crate) fn checkpoint(name: &str) -> PathBuf {
    checkpoints()
        .into_iter()
        .find(|dir| dir.ends_with(name))
        .unwrap_or_else(|| panic!("no fixture {name}"))
}

/// The data beside the project, where it is there; prints why a test is skipped where it is not.
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

/// The program with arguments; no standard input.
pub(crate) fn siskin<S: AsRef<std::ffi::OsStr>>(args: impl IntoIterator<Item = S>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_siskin"));
    command.args(args).stdin(Stdio::null());
    // What the user of this machine tuned or wrote himself is none of the tests' business.
    command.envs([
        ("XDG_STATE_HOME", "/nonexistent"),
        ("XDG_CONFIG_HOME", "/nonexistent"),
    ]);
    command
}

/// The same, and Ctrl-C reaches it: what a script starts in the background inherits that SIGINT is ignored, and siskin
/// leaves ignored what was.
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

/// Runs to the end and expects success.
pub(crate) fn succeed(command: &mut Command) -> Output {
    let output = command.output().expect("the program starts");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {} {stderr}", output.status);
    output
}

/// Runs to the end and expects this exit code and one line on stderr; gives the line.
pub(crate) fn fail(command: &mut Command, code: i32) -> String {
    let output = command.output().expect("the program starts");
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{command:?}: {stderr}");
    assert_eq!(stderr.lines().count(), 1, "{command:?}: {stderr}");
    stderr
}

/// Converts a checkpoint into `out` and gives the file's path.
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
