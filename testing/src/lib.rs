//! What the tests of siskin's crates share: fixtures, the data next to the project, the program, skips.

#![forbid(unsafe_code)]

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

pub use fastrand::Rng;

pub mod hub;
pub mod synthetic;

/// The project's root folder.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The fixture checkpoints, sorted by name.
pub fn checkpoints() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(root().join("tests/data/checkpoints")).expect("the fixtures");
    let mut found: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    found.sort();
    found
}

/// One fixture checkpoint.
pub fn checkpoint(name: &str) -> PathBuf {
    checkpoints()
        .into_iter()
        .find(|dir| dir.ends_with(name))
        .unwrap_or_else(|| panic!("no fixture {name}"))
}

/// The data next to the project (`SISKIN_SHARED`, else `../shared`); `None`, as a skip, if it is not there.
pub fn shared() -> Option<PathBuf> {
    let folder = std::env::var_os("SISKIN_SHARED").map_or_else(|| root().join("../shared"), PathBuf::from);
    let data = folder.join("data");
    if data.is_dir() {
        return Some(data);
    }
    skip("no shared data");
    None
}

/// Prints that a test cannot run here, and why. If `SISKIN_NO_SKIPS` is set, as in CI, the test fails instead: it must not
/// pass silently.
pub fn skip(reason: &str) {
    assert!(
        std::env::var_os("SISKIN_NO_SKIPS").is_none(),
        "SISKIN_NO_SKIPS is set, and this test cannot run: {reason}"
    );
    println!("skipped: {reason}");
}

/// Fails if this CPU was expected to have kernels and none is `found`, or the reverse: then the other checks of kernels
/// have nothing to check, and would pass unseen. `SISKIN_NO_KERNELS`, which scripts/test-aarch64.sh sets for a CPU that
/// the kernels must refuse, expects none; CI expects some on every other CPU.
pub fn expect_kernels(found: bool) {
    let is_set = |name| std::env::var_os(name).is_some();
    if is_set("SISKIN_NO_KERNELS") {
        assert!(!found, "kernels for a CPU that they must refuse");
    } else {
        assert!(found || !is_set("CI"), "no kernels for this CPU");
    }
}

/// A folder that is not there, and that not even root can make: what a test does leaves nothing in the user's home.
pub const NO_STATE: &str = "/proc/nonexistent";

/// `program` with arguments, without standard input, and without this user's own profiles and tuning results.
pub fn command<S: AsRef<OsStr>>(program: &str, args: impl IntoIterator<Item = S>) -> Command {
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::null());
    command.envs([("XDG_STATE_HOME", NO_STATE), ("XDG_CONFIG_HOME", "/nonexistent")]);
    command
}

/// The same command with SIGINT and SIGQUIT enabled: a script's background process inherits ignored signals, and siskin
/// keeps ignored signals ignored.
pub fn with_signals(plain: &Command) -> Command {
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
pub fn succeed(command: &mut Command) -> Output {
    let output = command.output().expect("the program starts");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {} {stderr}", output.status);
    output
}

/// Runs the command, expects this exit code and one line on stderr, and returns that line.
pub fn fail(command: &mut Command, code: i32) -> String {
    let output = command.output().expect("the program starts");
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{command:?}: {stderr}");
    assert_eq!(stderr.lines().count(), 1, "{command:?}: {stderr}");
    stderr
}

/// Converts a checkpoint with `program` into the folder `out`, and returns the file's path.
pub fn convert(program: &str, checkpoint: &Path, out: &Path, file_type: &str) -> PathBuf {
    let name = checkpoint.file_name().expect("a name").to_string_lossy();
    let file = out.join(format!("{name}-{file_type}.gguf"));
    let mut convert = command(program, ["convert", "--type", file_type, "--quiet", "--force"]);
    succeed(convert.arg(checkpoint).arg("-o").arg(&file));
    file
}

/// The folder of the llama.cpp that the workspace is built with, in Cargo's registry.
pub fn llama_cpp() -> PathBuf {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let host = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let mut command = Command::new(cargo);
    command
        .args(["metadata", "--format-version", "1", "--offline", "--locked"])
        .args(["--filter-platform", &host])
        .current_dir(root());
    let output = succeed(&mut command);
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).expect("metadata");
    let packages = metadata["packages"].as_array().expect("packages");
    let sys = packages
        .iter()
        .find(|package| package["name"] == "llama-cpp-sys-2")
        .expect("llama.cpp");
    let manifest = Path::new(sys["manifest_path"].as_str().expect("a path"));
    manifest.with_file_name("llama.cpp")
}
