//! The program under test, and what `siskin-testing` has.

use std::path::{Path, PathBuf};
use std::process::Command;

pub(crate) use siskin_testing::{checkpoint, checkpoints, fail, shared, succeed};

/// The program with arguments and without standard input.
pub(crate) fn siskin<S: AsRef<std::ffi::OsStr>>(args: impl IntoIterator<Item = S>) -> Command {
    siskin_testing::command(env!("CARGO_BIN_EXE_siskin"), args)
}

/// The same, and Ctrl-C reaches it even if a script started the tests in its background.
pub(crate) fn siskin_that_hears_signals<S: AsRef<std::ffi::OsStr>>(
    args: impl IntoIterator<Item = S>,
) -> Command {
    siskin_testing::with_signals(&siskin(args))
}

/// Converts a checkpoint into the folder `out` and returns the file's path.
pub(crate) fn convert(checkpoint: &Path, out: &Path, file_type: &str) -> PathBuf {
    siskin_testing::convert(env!("CARGO_BIN_EXE_siskin"), checkpoint, out, file_type)
}
