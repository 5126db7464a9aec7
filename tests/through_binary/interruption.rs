//! However a run is ended, the target is the old file or the whole new one, and the next run removes what was
//! left.

use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};

use crate::util::{self, siskin, siskin_that_hears_signals, succeed};
use siskin_testing::synthetic::{self, Sizes};

/// Random points in time or size for each command and signal.
const POINTS: usize = 50;
const OLD: &[u8] = b"what was there before";

/// A command that writes a file, and its input.
struct Writer {
    name: &'static str,
    arguments: Box<Arguments>,
}

/// The command line that writes to a path.
type Arguments = dyn Fn(&Path) -> Vec<std::ffi::OsString>;

/// The commands under test.
fn writers(folder: &Path) -> [Writer; 2] {
    let checkpoint = folder.join("checkpoint");
    std::fs::create_dir(&checkpoint).expect("made");
    // 34 million weights, 68 MB.
    let sizes = Sizes {
        layers: 8,
        width: 512,
        ffn: 2048,
        heads: [8, 8],
        vocabulary: 512,
    };
    let mut random = Random(1);
    let mut weight = || random.next() as f32 - 0.5;
    synthetic::checkpoint(&checkpoint, &sizes, Some(&mut weight));
    let half = util::convert(&checkpoint, folder, "f16");
    let convert = move |out: &Path| {
        let words = [
            "convert".as_ref(),
            checkpoint.as_os_str(),
            "-o".as_ref(),
            out.as_os_str(),
        ];
        let flags = ["--type", "q4_k_m", "--quiet", "--force"].map(AsRef::as_ref);
        words.into_iter().chain(flags).map(Into::into).collect()
    };
    let quantize = move |out: &Path| {
        let words = [
            "quantize".as_ref(),
            half.as_os_str(),
            out.as_os_str(),
            "q4_k_m".as_ref(),
        ];
        let flags = ["--quiet", "--force"].map(AsRef::as_ref);
        words.into_iter().chain(flags).map(Into::into).collect()
    };
    [
        Writer {
            name: "convert",
            arguments: Box::new(convert),
        },
        Writer {
            name: "quantize",
            arguments: Box::new(quantize),
        },
    ]
}

/// Pseudo-random numbers; the seed is printed, and `SISKIN_SEED` repeats a run.
struct Random(u64);

impl Random {
    fn new() -> Self {
        let given = std::env::var("SISKIN_SEED")
            .ok()
            .and_then(|seed| seed.parse().ok());
        let now = std::time::SystemTime::UNIX_EPOCH
            .elapsed()
            .map_or(1, |time| time.as_nanos() as u64);
        let seed = given.unwrap_or(now) | 1;
        println!("SISKIN_SEED={seed}");
        Random(seed)
    }

    /// Uniform in 0..1.
    fn next(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// A target path and the bytes of the whole new file.
struct Target {
    path: PathBuf,
    new: Vec<u8>,
}

impl Target {
    fn prepare(&self, old: bool) {
        if old {
            std::fs::write(&self.path, OLD).expect("written");
        } else if self.path.exists() {
            std::fs::remove_file(&self.path).expect("removed");
        }
    }

    /// Panics unless the target is as it was, or new and whole; returns whether it is new.
    fn check(&self, old: bool, what: &str) -> bool {
        let found = std::fs::read(&self.path).ok();
        let is_new = found.as_deref() == Some(&self.new);
        let as_it_was = found.as_deref() == old.then_some(OLD);
        let length = found.as_ref().map(Vec::len);
        assert!(
            is_new || as_it_was,
            "{what}: a target of {length:?} bytes, neither old nor new"
        );
        is_new
    }

    /// Names of other files in the target's folder.
    fn left_overs(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.path.parent().expect("a folder")).expect("a folder");
        let names = entries.map(|entry| {
            entry
                .expect("an entry")
                .file_name()
                .to_string_lossy()
                .into_owned()
        });
        names.filter(|name| *name != "out.gguf").collect()
    }
}

fn target(writer: &Writer, folder: &Path) -> Target {
    std::fs::create_dir_all(folder).expect("made");
    let path = folder.join("out.gguf");
    succeed(&mut siskin((writer.arguments)(&path)));
    let new = std::fs::read(&path).expect("written");
    Target { path, new }
}

/// Starts a run and ends it with `signal` after `delay`.
fn end(writer: &Writer, target: &Target, signal: Signal, delay: Duration) -> ExitStatus {
    let mut child = siskin_that_hears_signals((writer.arguments)(&target.path))
        .stderr(std::process::Stdio::null())
        .spawn()
        .expect("the program starts");
    std::thread::sleep(delay);
    let id = Pid::from_child(&child);
    // A child that has ended but was not waited for still has its id, so the signal cannot reach another
    // process.
    rustix::process::kill_process(id, signal).expect("sent");
    child.wait().expect("ended")
}

#[test]
fn a_signal_at_any_moment_leaves_the_old_target_or_the_whole_new_one() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut random = Random::new();
    for writer in writers(folder.path()) {
        let target = target(&writer, &folder.path().join(writer.name));
        let time = |_| {
            let start = Instant::now();
            succeed(&mut siskin((writer.arguments)(&target.path)));
            start.elapsed()
        };
        let whole = (0..3).map(time).min().expect("three");
        for (signal, code) in [
            (Signal::KILL, None),
            (Signal::TERM, Some(143)),
            (Signal::INT, Some(130)),
        ] {
            let mut cut = 0;
            for point in 0..POINTS {
                let old = point % 2 == 0;
                target.prepare(old);
                let delay = whole.mul_f64(random.next());
                let status = end(&writer, &target, signal, delay);
                let what = format!(
                    "{} {signal:?} after {delay:?} of {whole:?}: {status}",
                    writer.name
                );
                let is_new = target.check(old, &what);
                cut += usize::from(!is_new);
                let killed = status.signal() == Some(signal.as_raw());
                // Signals that can be handled are handled, once the program has installed its handlers.
                let handled = status.code() == code && code.is_some();
                assert!(killed || handled || (is_new && status.success()), "{what}");
                let left = target.left_overs();
                let most = usize::from(killed);
                assert!(left.len() <= most, "{what}: {left:?}");
                assert!(
                    left.iter().all(|name| name.ends_with(".partial")),
                    "{what}: {left:?}"
                );
            }
            println!(
                "{} {signal:?}: {cut} of {POINTS} cut short, a run takes {whole:?}",
                writer.name
            );
            assert!(
                cut >= POINTS / 5,
                "{} {signal:?}: only {cut} runs were cut short",
                writer.name
            );
            succeed(&mut siskin((writer.arguments)(&target.path)));
            assert!(target.check(false, writer.name));
            assert_eq!(target.left_overs(), [""; 0], "{}: cleared away", writer.name);
        }
    }
}

/// Asserts that a run that cannot write its whole file fails with one line and leaves nothing.
fn cannot_write(writer: &Writer, target: &Target, mut command: Command, old: bool, what: &str) {
    target.prepare(old);
    let line = util::fail(&mut command, 1);
    let said = ["cannot write: No space left", "cannot write: File too large"];
    assert!(
        said.iter().any(|said| line.contains(said)),
        "{} {what}: {line}",
        writer.name
    );
    assert!(
        !target.check(old, what),
        "{} {what}: written after all",
        writer.name
    );
    assert_eq!(target.left_overs(), [""; 0], "{} {what}", writer.name);
}

#[test]
fn a_write_limit_leaves_the_old_target() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut random = Random::new();
    for writer in writers(folder.path()) {
        let target = target(&writer, &folder.path().join(writer.name));
        for point in 0..POINTS {
            // A block is 512 bytes in some shells and 1024 in others; this is too few in both.
            let blocks = (target.new.len() as f64 * random.next() / 1024.0) as u64;
            let mut command = Command::new("sh");
            command.env("XDG_STATE_HOME", siskin_testing::NO_STATE);
            command
                .args([
                    "-c",
                    "ulimit -f \"$1\"; shift; exec \"$@\"",
                    "sh",
                    &blocks.to_string(),
                ])
                .arg(env!("CARGO_BIN_EXE_siskin"))
                .args((writer.arguments)(&target.path));
            cannot_write(
                &writer,
                &target,
                command,
                point % 2 == 0,
                &format!("{blocks} blocks"),
            );
        }
    }
}

/// A small disk, unmounted at the end.
struct Disk(PathBuf);

impl Disk {
    /// `None`, with a printed notice, if this user cannot mount one.
    fn new(folder: PathBuf, bytes: u64) -> Option<Disk> {
        std::fs::create_dir_all(&folder).expect("made");
        let options = format!("size={bytes}");
        let mount = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &options, "siskin-test"])
            .arg(&folder)
            .output();
        match mount {
            Ok(output) if output.status.success() => Some(Disk(folder)),
            _ => {
                println!("no tmpfs can be mounted here; only the write limit was tested");
                None
            }
        }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

#[test]
fn a_full_disk_leaves_the_old_target() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut random = Random::new();
    for writer in writers(folder.path()) {
        let whole = target(&writer, &folder.path().join(writer.name));
        for point in 0..POINTS {
            // At least a page, because otherwise no file could be created; less than the file needs.
            let bytes = 8192 + ((whole.new.len() - 65536) as f64 * random.next()) as u64;
            let Some(disk) = Disk::new(folder.path().join("disk"), bytes) else {
                return;
            };
            let target = Target {
                path: disk.0.join("out.gguf"),
                new: whole.new.clone(),
            };
            let command = siskin((writer.arguments)(&target.path));
            cannot_write(
                &writer,
                &target,
                command,
                point % 2 == 0,
                &format!("a disk of {bytes} bytes"),
            );
        }
    }
}
