//! Where a large model's weights are: what small pages cost is measured once, kept, shown, and followed.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use siskin::device::pages::{self, Measured};
use siskin::device::probe::{Machine, Root};

use crate::util::{convert, siskin, succeed};
use siskin_testing::synthetic::{self, Sizes};

/// The smallest model whose pages matter.
const SIZES: Sizes = Sizes {
    layers: 1,
    width: 2048,
    ffn: 8192,
    heads: [32, 8],
    vocabulary: 8192,
};

/// A model, the same in small pages of the page cache, and a folder for what is measured.
struct Case {
    folder: tempfile::TempDir,
    bytes: Vec<u8>,
}

impl Case {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        synthetic::checkpoint(folder.path(), &SIZES, None);
        let bytes = std::fs::read(convert(folder.path(), folder.path(), "f16")).expect("converted");
        Case { folder, bytes }
    }

    /// Writes the model as downloads are written: in short pieces.
    fn download(&self) -> PathBuf {
        let path = self.folder.path().join("small.gguf");
        let mut file = File::create(&path).expect("created");
        self.bytes
            .chunks(64 << 10)
            .for_each(|part| file.write_all(part).expect("written"));
        file.sync_all().expect("on the disk");
        path
    }

    fn store(&self) -> PathBuf {
        self.folder.path().join("state/siskin/pages.json")
    }

    /// The text, and what `--explain` prints, of a run with this folder for what is measured.
    fn run(&self, state: &Path, flags: &[&str]) -> (String, String) {
        let mut command = siskin([
            "run",
            "--raw",
            "-p",
            "Once",
            "-n",
            "1",
            "--temp",
            "0",
            "--explain",
        ]);
        let command = command
            .args(flags)
            .arg(self.download())
            .env("XDG_STATE_HOME", state);
        let output = succeed(command);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (text(&output.stdout), text(&output.stderr))
    }

    /// Has this be what was measured, whatever file system this is.
    fn keep(&self, measured: &Measured) {
        let machine = Machine::probe(&Root::system());
        let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").expect("Linux has it");
        for (file_system, _) in pages::FILE_SYSTEMS {
            let key = pages::key(&machine, kernel.trim(), file_system);
            pages::save(&self.store(), &key, measured).expect("kept");
        }
    }

    /// Whether the system tells how the page cache has a file of this file system.
    fn is_told(&self) -> bool {
        self.keep(&MEASURED);
        let (_, explained) = self.run(&self.folder.path().join("state"), &[]);
        explained.contains("measured here")
    }
}

const MEASURED: Measured = Measured {
    mapped: 1e9,
    huge: 2e9,
    copied: 1e12,
    again: None,
    measured_at: 86_400,
    tried: vec![],
};

#[test]
fn what_pages_cost_is_measured_once_kept_and_followed() {
    let case = Case::new();
    let state = case.folder.path().join("state");
    // A state folder that cannot be written: nothing is measured, and nothing is said.
    let (text, plain) = case.run(Path::new("/dev/null"), &[]);
    assert!(
        !plain.contains("measured") && !plain.contains("warning"),
        "{plain}"
    );
    let (first, explained) = case.run(&state, &[]);
    assert_eq!(first, text);
    // On a busy machine nothing is measured.
    let is_kept = case.store().exists();
    assert_eq!(explained.contains("measured here, "), is_kept, "{explained}");
    if !case.is_told() {
        return siskin_testing::skip("this file system does not tell what the page cache has");
    }

    let again = Measured {
        again: Some(1e12),
        ..MEASURED
    };
    let slow = Measured {
        copied: 1e6,
        ..MEASURED
    };
    let no_gain = Measured {
        huge: 1e9,
        ..MEASURED
    };
    let seen = "measured here, 1970-01-02: mapped 1.0 GB/s, huge pages 2.0 GB/s; ";
    // What is kept, the flags, what is shown.
    let cases = [
        (&MEASURED, &[][..], format!("mmap          off      measured {seen}the file is read into huge pages")),
        (&MEASURED, &["--mmap"], "mmap          on       flag     as asked".into()),
        (
            &again,
            &[],
            format!("huge-pages    on       measured {seen}the file is read from storage again, into huge pages"),
        ),
        (&again, &["--huge-pages", "off"], "huge-pages    off      flag".into()),
        (
            &slow,
            &[],
            format!("huge-pages    off      measured {seen}reading it into huge pages would take longer than it gains"),
        ),
        (
            &no_gain,
            &[],
            "huge-pages    off      measured measured here, 1970-01-02: mapped 1.0 GB/s, huge pages 1.0 GB/s; no gain".into(),
        ),
    ];
    for (measured, flags, want) in cases {
        case.keep(measured);
        let (now, explained) = case.run(&state, flags);
        assert!(
            explained.contains(&want),
            "{measured:?} {flags:?}: {want}: {explained}"
        );
        assert_eq!(now, text, "{measured:?} {flags:?}");
    }
    case.keep(&MEASURED);
    let device = succeed(siskin(["device"]).env("XDG_STATE_HOME", &state));
    let device = String::from_utf8_lossy(&device.stdout).into_owned();
    assert!(
        device.contains("pages     mapped 1.0 GB/s, huge pages 2.0 GB/s ("),
        "{device}"
    );

    // A damaged file holds nothing.
    std::fs::write(case.store(), "{").expect("written");
    assert_eq!(case.run(&state, &[]).0, text);
    // A newer siskin's stays.
    let newer = r#"{"schema":1000,"results":{}}"#;
    std::fs::write(case.store(), newer).expect("written");
    assert_eq!(case.run(&state, &[]).0, text);
    assert_eq!(std::fs::read(case.store()).expect("kept"), newer.as_bytes());
}
