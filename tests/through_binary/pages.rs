//! Where a large model's weights are: what small pages cost is measured once, kept, shown, and followed.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde_json::{Value as Json, json};

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

    /// What is kept, without the files that were read again.
    fn measured(&self) -> Option<Json> {
        let text = std::fs::read_to_string(self.store()).ok()?;
        let mut store: Json = serde_json::from_str(&text).expect("JSON");
        let results = store["results"].as_object_mut().expect("results");
        results
            .values_mut()
            .for_each(|result| result["tried"] = json!([]));
        Some(store)
    }

    /// Has the kept measurement say something else.
    fn keep(&self, changes: &Json) {
        let text = std::fs::read_to_string(self.store()).expect("kept");
        let mut store: Json = serde_json::from_str(&text).expect("JSON");
        let results = store["results"].as_object_mut().expect("results");
        for result in results.values_mut() {
            let result = result.as_object_mut().expect("a result");
            result.extend(changes.as_object().expect("an object").clone());
        }
        std::fs::write(self.store(), store.to_string()).expect("written");
    }
}

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
    let Some(kept) = case.measured() else {
        return siskin_testing::skip(
            "this file system does not say what the page cache has, or memory is short",
        );
    };
    assert!(explained.contains("measured here, "), "{explained}");
    case.run(&state, &[]);
    assert_eq!(case.measured(), Some(kept), "it is measured once");

    let speeds = |changes: Json| {
        let mut all = json!({"mapped": 1e9, "huge": 2e9, "copied": 1e12, "again": null, "measured_at": 86400, "tried": []});
        let object = all.as_object_mut().expect("an object");
        object.extend(changes.as_object().expect("an object").clone());
        all
    };
    let seen = "measured here, 1970-01-02: mapped 1.0 GB/s, huge pages 2.0 GB/s; ";
    // What is kept, the flags, what is shown.
    let cases = [
        (json!({}), &[][..], format!("mmap          off      measured {seen}the file is read into huge pages")),
        (json!({}), &["--mmap"], "mmap          on       flag     as asked".into()),
        (
            json!({"again": 1e12}),
            &[],
            format!("huge-pages    on       measured {seen}the file is read from storage again, into huge pages"),
        ),
        (json!({"again": 1e12}), &["--huge-pages", "off"], "huge-pages    off      flag".into()),
        (
            json!({"copied": 1e6}),
            &[],
            format!("huge-pages    off      measured {seen}reading it into huge pages would take longer than it gains"),
        ),
        (
            json!({"huge": 1e9}),
            &[],
            "huge-pages    off      measured measured here, 1970-01-02: mapped 1.0 GB/s, huge pages 1.0 GB/s; no gain".into(),
        ),
    ];
    for (changes, flags, want) in cases {
        case.keep(&speeds(changes.clone()));
        let (now, explained) = case.run(&state, flags);
        assert!(
            explained.contains(&want),
            "{changes} {flags:?}: {want}: {explained}"
        );
        assert_eq!(now, text, "{changes} {flags:?}");
    }
    case.keep(&speeds(json!({})));
    let device = succeed(siskin(["device"]).env("XDG_STATE_HOME", &state));
    let device = String::from_utf8_lossy(&device.stdout).into_owned();
    assert!(
        device.contains("pages     mapped 1.0 GB/s, huge pages 2.0 GB/s ("),
        "{device}"
    );

    // A damaged file holds nothing, and is written again.
    std::fs::write(case.store(), "{").expect("written");
    assert_eq!(case.run(&state, &[]).0, text);
    assert_ne!(std::fs::read(case.store()).expect("kept"), b"{");
    // A newer siskin's stays.
    let newer = r#"{"schema":1000,"results":{}}"#;
    std::fs::write(case.store(), newer).expect("written");
    assert_eq!(case.run(&state, &[]).0, text);
    assert_eq!(std::fs::read(case.store()).expect("kept"), newer.as_bytes());
}
