//! What is known of a model of the store.

use std::fs::{File, FileTimes};
use std::path::PathBuf;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use siskin_model::atomic_file::{AtomicFile, Overwrite};
use siskin_model::files;

use super::{RECORDS, Store, StoreError};

/// The form of the file; another number is another form.
const FORM: u32 = 1;
/// The largest record that is read, in bytes.
const MOST: u64 = 64 << 10;
/// The time of a record whose model has not been used.
const NEVER: SystemTime = SystemTime::UNIX_EPOCH;

/// Where a model is from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// Its name, by which it can be pulled again: `hf:OWNER/REPO`, `ollama:NAME:TAG`.
    pub name: String,
    /// The commit, or the digest of a manifest.
    pub commit: String,
    /// Who served it.
    pub endpoint: String,
    /// What was read, and its SHA-256 as hexadecimal digits.
    pub files: Vec<(String, String)>,
}

/// What is known of a model.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Record {
    form: u32,
    /// Where it is from; `None` if it was put into the folder by hand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
    /// The type of the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file_type: Option<String>,
    /// When what was read was compared with its SHA-256, in seconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verified_at: Option<u64>,
    /// The size of all files in bytes when they were written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// A file of another program that this model is, without a copy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub linked: Option<PathBuf>,
}

impl Record {
    /// A model that was read from `origin` and verified now.
    pub fn new(origin: Origin, file_type: Option<String>) -> Self {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        Record {
            form: FORM,
            origin: Some(origin),
            file_type,
            verified_at: now.ok().map(|time| time.as_secs()),
            bytes: None,
            linked: None,
        }
    }
}

impl Store {
    pub(super) fn record_path(&self, name: &str) -> PathBuf {
        self.folder.join(RECORDS).join(format!("{name}.json"))
    }

    /// What is known of a model. A damaged record is none: it is written again when the model is pulled.
    pub(super) fn record(&self, name: &str) -> Option<Record> {
        let text = files::read_text(&self.record_path(name), MOST).ok()?;
        let record: Record = serde_json::from_str(&text).ok()?;
        (record.form <= FORM).then_some(record)
    }

    /// When a model was used: its record's time.
    pub(super) fn used(&self, name: &str) -> Option<SystemTime> {
        let modified = std::fs::metadata(self.record_path(name)).ok()?.modified().ok()?;
        (modified != NEVER).then_some(modified)
    }

    /// Keeps what is known of a model.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write(&self, name: &str, record: &Record) -> Result<(), StoreError> {
        self.make()?;
        let record = Record {
            form: FORM,
            ..record.clone()
        };
        let mut text = serde_json::to_string_pretty(&record).unwrap_or_default();
        text.push('\n');
        let file = AtomicFile::create(&self.record_path(name), Overwrite::Replace)?;
        file.write_all(text.as_bytes())?;
        file.commit()?;
        self.stamp(name, NEVER);
        Ok(())
    }

    /// Sets the time of a model's record. Nothing is told if it cannot be set: it is a help only.
    pub(super) fn stamp(&self, name: &str, time: SystemTime) {
        let record = File::options().write(true).open(self.record_path(name));
        let _ = record.and_then(|file| file.set_times(FileTimes::new().set_modified(time)));
    }
}
