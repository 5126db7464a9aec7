//! What `siskin tune` found, kept between runs: one JSON file under `$XDG_STATE_HOME/siskin/`.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use siskin_model::shape::Shape;

use super::probe::Machine;
use super::store::Store;
use super::values::Overrides;

pub use super::store::{DamagedStore, ForgetError, SaveError};

/// The file's form; another number is another form.
const STORE: Store<Tuned> = Store::of_form(3);

/// The best settings measured for a kind of model on a device.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Tuned {
    /// The settings.
    pub settings: Overrides,
    /// Tokens a second of the prompt, with these settings.
    pub prefill_tokens_per_second: f64,
    /// Tokens a second of decoding, with these settings.
    pub decode_tokens_per_second: f64,
    /// When, in seconds since 1970.
    pub measured_at: u64,
}

/// What a result holds for: this device, this shape of model, this siskin.
pub fn key(machine: &Machine, shape: &Shape) -> String {
    let cpu = machine.cpus.name.as_deref().unwrap_or("unknown");
    let board = machine.board.model.as_deref().unwrap_or("unknown");
    let ty = shape.file_type.map_or("other".to_owned(), |ty| ty.to_string());
    let sizes = [
        shape.layers,
        shape.width,
        shape.ffn,
        shape.heads,
        shape.key_width,
        shape.vocabulary,
    ];
    let sizes = sizes.map(|n| n.to_string()).join("x");
    let (arch, cpus, version) = (&shape.arch, machine.cpus.available, env!("CARGO_PKG_VERSION"));
    format!("{board}|{cpu}|{cpus} cpus|{arch} {sizes} {ty}|siskin {version}")
}

/// Where results are kept: `$XDG_STATE_HOME/siskin/tuned.json`, by default under `~/.local/state`.
pub fn path() -> Option<PathBuf> {
    Some(crate::paths::state()?.join("tuned.json"))
}

/// The result for `key`, if there is one. A file that is not there holds none.
///
/// # Errors
/// The file is damaged, or of another version.
pub fn load(path: &Path, key: &str) -> Result<Option<Tuned>, DamagedStore> {
    STORE.load(path, key)
}

/// Looks, before anything is measured, whether a result could be saved.
///
/// # Errors
/// As [`save`]'s.
pub fn check(path: &Path) -> Result<(), SaveError> {
    STORE.check(path)
}

/// Adds a result in one step: until the new file is whole, the old one stays.
///
/// # Errors
/// The folder or the file cannot be written.
pub fn save(path: &Path, key: &str, tuned: &Tuned) -> Result<(), SaveError> {
    STORE.save(path, key, tuned)
}

/// Removes a result. Returns whether there was one.
///
/// # Errors
/// The file is damaged, or cannot be written.
pub fn forget(path: &Path, key: &str) -> Result<bool, ForgetError> {
    STORE.forget(path, key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Values;

    fn tuned() -> Tuned {
        Tuned {
            settings: Values::default().into(),
            prefill_tokens_per_second: 100.0,
            decode_tokens_per_second: 10.0,
            measured_at: 1,
        }
    }

    #[test]
    fn results_are_kept_and_others_stay() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("siskin/tuned.json");
        assert_eq!(load(&path, "a"), Ok(None));
        save(&path, "a", &tuned()).expect("saved");
        let mut other = tuned();
        other.settings.threads = Some(3);
        save(&path, "b", &other).expect("saved");
        assert_eq!(load(&path, "a"), Ok(Some(tuned())));
        assert_eq!(load(&path, "b"), Ok(Some(other)));
        assert_eq!(load(&path, "c"), Ok(None));
        assert!(forget(&path, "b").expect("written"));
        assert!(!forget(&path, "b").expect("nothing to do"));
        assert_eq!(load(&path, "b"), Ok(None));
        assert_eq!(load(&path, "a"), Ok(Some(tuned())));
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
            r#"{"schema":2,"results":{}}"#,
            r#"{"schema":3,"results":{"a":{"threads":-1}}}"#,
        ] {
            std::fs::write(&path, text).expect("written");
            let error = load(&path, "a").expect_err(text).to_string();
            assert!(error.contains("ignored"), "{text}: {error}");
        }
        save(&path, "a", &tuned()).expect("a damaged file is replaced");
        assert_eq!(load(&path, "a"), Ok(Some(tuned())));
    }

    #[test]
    fn what_a_newer_siskin_has_written_is_never_replaced() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("tuned.json");
        for text in [
            r#"{"schema":4,"results":{"a":1}}"#,
            r#"{"found":[],"schema":12345678901}"#,
        ] {
            std::fs::write(&path, text).expect("written");
            assert!(load(&path, "a").expect_err(text).to_string().contains("ignored"));
            for error in [check(&path), save(&path, "a", &tuned())] {
                assert!(matches!(error, Err(SaveError::Newer { .. })), "{error:?}");
            }
            assert!(forget(&path, "a").is_err());
            assert_eq!(std::fs::read_to_string(&path).expect("there"), text);
        }
    }

    #[test]
    fn what_cannot_be_saved_is_known_before() {
        let folder = tempfile::tempdir().expect("a folder");
        check(&folder.path().join("new/tuned.json")).expect("can be made");
        let device = folder.path().join("tuned.json");
        std::os::unix::fs::symlink("/dev/zero", &device).expect("linked");
        assert!(
            load(&device, "a")
                .expect_err("endless")
                .to_string()
                .contains("a device")
        );
        assert!(check(&device).is_err() && save(&device, "a", &tuned()).is_err());
        assert!(check(&device.join("tuned.json")).is_err());
    }
}
