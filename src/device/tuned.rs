//! What `siskin tune` found, kept between runs: one JSON file under `$XDG_STATE_HOME/siskin/`.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::budget::ModelFacts;
use super::probe::Machine;
use super::profile::{KvType, Switch, WaitPolicy};
use crate::kernel::{self, Kernels};

/// The form of the file; another number is another form.
const SCHEMA: u32 = 2;

/// The largest file read.
const MAX_FILE: u64 = 4 << 20;

/// The settings that measuring decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tunable {
    /// Threads for decoding.
    pub threads: usize,
    /// Threads for the prompt.
    pub threads_batch: usize,
    /// Repacked weights.
    pub repack: bool,
    /// Mapped weights.
    pub mmap: bool,
    /// Tokens computed together.
    pub ubatch: u32,
    /// Fused attention.
    pub flash_attention: Switch,
    /// Type of keys and values.
    pub kv_type: KvType,
    /// What OpenMP's threads do while they wait.
    pub wait_policy: WaitPolicy,
    /// Whose kernels decode.
    pub kernels: Kernels,
    /// Bytes of weights that siskin's kernels ask of the memory before they are needed.
    pub prefetch_bytes: u32,
}

impl From<&Tunable> for kernel::Settings {
    fn from(settings: &Tunable) -> Self {
        kernel::Settings {
            kernels: settings.kernels,
            prefetch_bytes: settings.prefetch_bytes,
        }
    }
}

#[cfg(test)]
impl Tunable {
    /// For tests.
    pub(super) const SAMPLE: Tunable = Tunable {
        threads: 2,
        threads_batch: 2,
        repack: false,
        mmap: true,
        ubatch: 256,
        flash_attention: Switch::Auto,
        kv_type: KvType::F16,
        wait_policy: WaitPolicy::Default,
        kernels: Kernels::Siskin,
        prefetch_bytes: 8192,
    };
}

/// The best settings measured for a kind of model on a device.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Tuned {
    /// The settings.
    #[serde(flatten)]
    pub settings: Tunable,
    /// Tokens a second of the prompt, with these settings.
    pub prefill_tokens_per_second: f64,
    /// Tokens a second of decoding, with these settings.
    pub decode_tokens_per_second: f64,
    /// When, in seconds since 1970.
    pub measured_at: u64,
}

/// All results of a machine.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Store {
    schema: u32,
    results: BTreeMap<String, Tuned>,
}

/// What a result holds for: this device, this shape of model, this siskin.
pub fn key(machine: &Machine, facts: &ModelFacts) -> String {
    let cpu = machine.cpus.name.as_deref().unwrap_or("unknown");
    let board = machine.board.model.as_deref().unwrap_or("unknown");
    let ty = facts.file_type.map_or("other".to_owned(), |ty| ty.to_string());
    let shape = [
        facts.layers,
        facts.width,
        facts.ffn,
        facts.heads,
        facts.key_width,
        facts.vocabulary,
    ];
    let shape = shape.map(|n| n.to_string()).join("x");
    let (arch, cpus, version) = (&facts.arch, machine.cpus.available, env!("CARGO_PKG_VERSION"));
    format!("{board}|{cpu}|{cpus} cpus|{arch} {shape} {ty}|siskin {version}")
}

/// Where results are kept: `$XDG_STATE_HOME/siskin/tuned.json`, by default under `~/.local/state`.
pub fn path() -> Option<PathBuf> {
    let absolute = |name| {
        std::env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    let state = absolute("XDG_STATE_HOME").or_else(|| Some(absolute("HOME")?.join(".local/state")))?;
    Some(state.join("siskin/tuned.json"))
}

/// The result for `key`. A file that is not there holds none; a damaged one is ignored, and the second part says so.
pub fn load(path: &Path, key: &str) -> (Option<Tuned>, Option<String>) {
    match read(path) {
        Ok(store) => (store.results.get(key).cloned(), None),
        Err(reason) => {
            let path = path.display();
            (
                None,
                Some(format!("{path}: ignored: {reason}; `siskin tune` writes it anew")),
            )
        }
    }
}

/// Adds a result in one step: until the new file is whole, the old one stays.
pub fn save(path: &Path, key: &str, tuned: &Tuned) -> std::io::Result<()> {
    // A damaged file holds nothing worth keeping: its reader has said so.
    let mut store = read(path).unwrap_or_default();
    store.schema = SCHEMA;
    store.results.insert(key.to_owned(), tuned.clone());
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)?;
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(serde_json::to_string_pretty(&store)?.as_bytes())?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}

fn read(path: &Path) -> Result<Store, String> {
    let mut text = String::new();
    match std::fs::File::open(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Store::default()),
        Err(error) => return Err(error.to_string()),
        Ok(file) => file
            .take(MAX_FILE)
            .read_to_string(&mut text)
            .map_err(|error| error.to_string())?,
    };
    let store: Store = serde_json::from_str(&text).map_err(|error| error.to_string())?;
    if store.schema == SCHEMA {
        Ok(store)
    } else {
        Err(format!("schema {} instead of {SCHEMA}", store.schema))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tuned() -> Tuned {
        Tuned {
            settings: Tunable::SAMPLE,
            prefill_tokens_per_second: 100.0,
            decode_tokens_per_second: 10.0,
            measured_at: 1,
        }
    }

    #[test]
    fn results_are_kept_and_others_stay() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("siskin/tuned.json");
        assert_eq!(load(&path, "a"), (None, None));
        save(&path, "a", &tuned()).expect("saved");
        let mut other = tuned();
        other.settings.threads = 3;
        save(&path, "b", &other).expect("saved");
        assert_eq!(load(&path, "a"), (Some(tuned()), None));
        assert_eq!(load(&path, "b").0, Some(other));
        assert_eq!(load(&path, "c"), (None, None));
        let left = std::fs::read_dir(folder.path().join("siskin"))
            .expect("there")
            .count();
        assert_eq!(left, 1, "no temporary file is left");
    }

    #[test]
    fn a_damaged_file_is_ignored_and_said() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("tuned.json");
        for text in [
            "",
            "{",
            "[]",
            r#"{"schema":99,"results":{}}"#,
            r#"{"schema":1,"results":{}}"#,
            r#"{"schema":2,"results":{"a":{"threads":-1}}}"#,
        ] {
            std::fs::write(&path, text).expect("written");
            let (found, note) = load(&path, "a");
            assert!(
                found.is_none() && note.is_some_and(|note| note.contains("ignored")),
                "{text}"
            );
        }
        save(&path, "a", &tuned()).expect("a damaged file is replaced");
        assert_eq!(load(&path, "a"), (Some(tuned()), None));
    }
}
