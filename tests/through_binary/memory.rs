//! A conversion takes a small amount of memory, which does not depend on tensor sizes or the number of
//! threads.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value as Json;

use crate::util::{siskin, succeed};
use siskin_testing::synthetic::{self, Sizes};

/// The memory that a conversion may take, in bytes: `VmHWM`, which includes mapped pages.
const BUDGET: u64 = 256_000_000;

/// One layer with Llama 3.2's widths and vocabulary.
const SIZES: Sizes = Sizes {
    layers: 1,
    width: 2048,
    ffn: 8192,
    heads: [32, 8],
    vocabulary: 128_256,
};

/// Converts `dir` with 16 threads using `command` and returns the peak resident memory in bytes.
fn peak(mut command: Command, dir: &Path, ty: &str) -> u64 {
    command.arg(dir).arg("-o").arg(dir.join("out.gguf"));
    command.args(["--type", ty, "--threads", "16", "--json", "--force"]);
    let report: Json = serde_json::from_slice(&succeed(&mut command).stdout).expect("JSON");
    report["peak_rss_bytes"]
        .as_u64()
        .expect("Linux tells a process's peak")
}

#[test]
fn sixteen_threads_and_a_huge_embedding_stay_within_the_budget() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    synthetic::checkpoint(folder.path(), &SIZES, None);
    for ty in ["q4_k_m", "q8_0"] {
        let peak = peak(siskin(["convert"]), folder.path(), ty);
        println!("{ty}: {:.0} MB", peak as f64 / 1e6);
        assert!(peak <= BUDGET, "{ty}: {peak} bytes");
    }
}

/// A group of processes with limited memory, including cached file pages; removed when dropped.
struct Cgroup(PathBuf);

impl Cgroup {
    /// Creates a group below this process's own group, in version 1 or 2 of the interface.
    ///
    /// # Errors
    /// Names the file or folder that cannot be read or created, usually for lack of rights.
    fn new(limit: u64) -> Result<Self, String> {
        let groups = fs::read_to_string("/proc/self/cgroup").map_err(|e| e.to_string())?;
        let path = |controllers: &str| {
            let mut lines = groups.lines().map(|line| line.splitn(3, ':').skip(1));
            let found =
                lines.find_map(|mut fields| (fields.next()? == controllers).then(|| fields.next())?);
            found.map(|path| path.trim_start_matches('/').to_owned())
        };
        let (root, own, file) = match path("memory") {
            Some(own) => ("/sys/fs/cgroup/memory", own, "memory.limit_in_bytes"),
            None => ("/sys/fs/cgroup", path("").ok_or("no cgroup")?, "memory.max"),
        };
        let folder = Path::new(root)
            .join(own)
            .join(format!("siskin-test-{}", std::process::id()));
        fs::create_dir(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
        let group = Cgroup(folder);
        let limited = fs::write(group.0.join(file), limit.to_string());
        limited.map_err(|e| format!("{}: {e}", group.0.join(file).display()))?;
        Ok(group)
    }

    /// Starts the program within the group.
    fn siskin(&self, command: &str) -> Command {
        let mut shell = Command::new("sh");
        shell.env("XDG_STATE_HOME", siskin_testing::NO_STATE);
        shell.args(["-c", "echo $$ > \"$0\" && exec \"$@\""]);
        shell.arg(self.0.join("cgroup.procs"));
        shell.args([env!("CARGO_BIN_EXE_siskin"), command]);
        shell
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.0);
    }
}

#[test]
fn a_group_of_300_mb_is_enough() {
    let group = match Cgroup::new(300_000_000) {
        Ok(group) => group,
        Err(reason) => return siskin_testing::skip(&format!("no memory limit can be set here: {reason}")),
    };
    let folder = tempfile::tempdir().expect("a temporary folder");
    synthetic::checkpoint(folder.path(), &SIZES, None);
    let peak = peak(group.siskin("convert"), folder.path(), "q4_k_m");
    assert!(peak <= BUDGET, "{peak} bytes");
}
