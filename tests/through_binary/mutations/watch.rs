//! Runs a command with limits: 1 GB of address space, 10 s, and a proper exit.

use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Address space in KiB, which limits memory to about 1 GB.
const ADDRESS_SPACE: u64 = 1_000_000;
const PATIENCE: Duration = Duration::from_secs(10);

/// How a command ended.
pub(crate) enum Ending {
    /// With exit code 0, or with 1 and one line that explains it.
    Code(i32),
    /// In any other way, described here.
    Harm(String),
}

/// Runs the program on `file`; a shell sets the limit, which the program inherits.
pub(crate) fn run(args: &[&str], file: &Path, out: &Path) -> Ending {
    let mut command = Command::new("sh");
    command.env("XDG_STATE_HOME", siskin_testing::NO_STATE);
    let limit = format!("ulimit -v {ADDRESS_SPACE} && exec \"$@\"");
    command.args(["-c", &limit, "sh", env!("CARGO_BIN_EXE_siskin")]);
    for arg in args {
        match *arg {
            "{}" => command.arg(file),
            "{out}" => command.arg(out),
            plain => command.arg(plain),
        };
    }
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let start = Instant::now();
    let mut child = command.spawn().expect("the program starts");
    let status = loop {
        if let Some(status) = child.try_wait().expect("waited") {
            break status;
        }
        if start.elapsed() > PATIENCE {
            // It may have ended in the meantime.
            let _ = child.kill();
            let _ = child.wait();
            return Ending::Harm(format!("ran longer than {PATIENCE:?}"));
        }
        std::thread::sleep(Duration::from_millis(1));
    };
    let mut stderr = Vec::new();
    child
        .stderr
        .take()
        .expect("a pipe")
        .read_to_end(&mut stderr)
        .expect("read");
    let stderr = String::from_utf8_lossy(&stderr);
    match status.code() {
        Some(0) => Ending::Code(0),
        Some(1) if stderr.starts_with("siskin: ") && stderr.lines().count() == 1 => Ending::Code(1),
        _ => Ending::Harm(format!("{status}: {}", stderr.trim())),
    }
}
