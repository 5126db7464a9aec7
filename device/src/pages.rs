//! What the size of memory's pages costs on this device, measured once, and what follows from it for a model's weights.
//!
//! A token reads every weight. In pages of 4 KiB the CPU looks up an address every 4 KiB; in a virtual machine each
//! look-up walks two tables, and that has cost up to a quarter of the speed. The page cache has large files in huge
//! pages if the file system can and the file was read in long pieces; a file that was copied or downloaded, which is
//! written in short ones, lies in small pages until it is read from storage again.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::probe::Machine;
use super::store::Store;
use super::tuned::{DamagedStore, SaveError};
use super::values::Overrides;

/// Smaller models are not worth it, in bytes of weights: caches hold much of them.
pub const LEAST_WEIGHTS: u64 = 128 << 20;

/// The file's form; another number is another form.
const STORE: Store<Measured> = Store::of_form(1);

/// Huge pages are worth it from this many times the speed of small ones.
const FASTER: f64 = 1.05;

/// What reading a file from storage again may take, once for each file, in seconds.
const LONGEST_WAIT: f64 = 3.0;

/// After how many tokens what a start takes longer must be made up for.
const TOKENS: f64 = 128.0;

/// How many of the files that were read again are remembered.
const MOST_TRIED: usize = 64;

/// Speeds of a device with a file system, in bytes a second.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// Reading a file that is mapped in small pages.
    pub mapped: f64,
    /// Reading the same bytes in huge pages.
    pub huge: f64,
    /// Copying a file from the page cache into huge pages.
    pub copied: f64,
    /// Reading a file from storage into huge pages of the page cache; `None` if the file system has none.
    pub again: Option<f64>,
    /// When, in seconds since 1970.
    pub measured_at: u64,
    /// Files that were read again, each once for a start of the system: memory may be in too many pieces for huge pages.
    #[serde(default)]
    pub tried: Vec<String>,
}

/// A file whose weights are to be placed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subject<'a> {
    /// Bytes of its weights.
    pub weight_bytes: u64,
    /// How the page cache has it.
    pub cached: Cached,
    /// What tells it from other files, and this start of the system from others.
    pub name: &'a str,
}

/// How the page cache has a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cached {
    /// In huge pages.
    Huge,
    /// In small pages.
    Small,
    /// Not, or for the smaller part.
    Not,
}

/// Where a model's weights are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placement {
    /// Mapped as the page cache has them.
    Mapped,
    /// Mapped in huge pages: if the page cache has small ones, it drops them and reads the file again.
    MappedHuge,
    /// Read into huge pages of this process.
    Read,
}

/// What was chosen, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// What was chosen.
    pub placement: Placement,
    /// Why, for people.
    pub reason: String,
}

impl Measured {
    /// The day on which they were measured, and the speeds, for people.
    pub fn speeds(&self) -> (String, String) {
        let (mapped, huge) = (gigabytes(self.mapped), gigabytes(self.huge));
        (
            day(self.measured_at),
            format!("mapped {mapped}, huge pages {huge}"),
        )
    }

    /// Where a file's weights are read fastest, without a start that takes noticeably longer.
    ///
    /// `is_shared` says whether another process maps the file: its pages cannot be dropped, and a copy would be a second
    /// one. It is asked only if that matters.
    pub fn choose(&self, file: &Subject<'_>, is_shared: impl FnOnce() -> bool) -> Choice {
        let (placement, why) = self.place(file, is_shared);
        let (day, speeds) = self.speeds();
        let reason = format!("measured here, {day}: {speeds}; {why}");
        Choice { placement, reason }
    }

    fn place(&self, file: &Subject<'_>, is_shared: impl FnOnce() -> bool) -> (Placement, &'static str) {
        let is_worth_it = |rate: f64| {
            file.weight_bytes as f64 / rate <= LONGEST_WAIT && self.tried.iter().all(|name| name != file.name)
        };
        if self.huge < self.mapped * FASTER {
            return (Placement::Mapped, "no gain");
        }
        match (file.cached, self.again) {
            (Cached::Huge, _) => return (Placement::MappedHuge, "the page cache has the file in huge pages"),
            (Cached::Not, Some(_)) => return (Placement::MappedHuge, "the file is mapped in huge pages"),
            (Cached::Small, _) if is_shared() => return (Placement::Mapped, "another process maps the file"),
            (Cached::Small, Some(rate)) if is_worth_it(rate) => {
                return (
                    Placement::MappedHuge,
                    "the file is read from storage again, into huge pages",
                );
            }
            _ => {}
        }
        match self.tokens_to_make_up() <= TOKENS {
            true => (Placement::Read, "the file is read into huge pages"),
            false => (
                Placement::Mapped,
                "reading it into huge pages would take longer than it gains",
            ),
        }
    }

    /// The same, once the file of this name has been read again.
    #[must_use]
    pub fn with_tried(mut self, name: &str) -> Self {
        let oldest = (self.tried.len() + 1).saturating_sub(MOST_TRIED);
        self.tried.drain(..oldest);
        self.tried.push(name.to_owned());
        self
    }

    /// After how many tokens copying the weights has been made up for.
    fn tokens_to_make_up(&self) -> f64 {
        1.0 / self.copied / (1.0 / self.mapped - 1.0 / self.huge)
    }
}

impl Choice {
    /// The settings that were chosen.
    pub fn overrides(&self) -> Overrides {
        match self.placement {
            Placement::Mapped | Placement::MappedHuge => Overrides {
                huge_pages: Some(self.placement == Placement::MappedHuge),
                ..Overrides::default()
            },
            Placement::Read => Overrides {
                mmap: Some(false),
                ..Overrides::default()
            },
        }
    }
}

/// Numbers of file systems (statfs(2)) and their names.
pub const FILE_SYSTEMS: [(u64, &str); 8] = [
    (0xef53, "ext4"),
    (0x5846_5342, "xfs"),
    (0x9123_683e, "btrfs"),
    (0xf2f5_2010, "f2fs"),
    (0x0102_1994, "tmpfs"),
    (0x794c_7630, "overlay"),
    (0x2fc1_2fc1, "zfs"),
    (0x6969, "nfs"),
];

/// What a measurement holds for: this device, its kernel and page size, this siskin; and this kind of file system, whose
/// number statfs(2) gives.
pub fn key(machine: &Machine, kernel: &str, file_system: u64) -> String {
    let found = FILE_SYSTEMS.iter().find(|(magic, _)| *magic == file_system);
    let name = found.map_or_else(|| format!("{file_system:#x}"), |(_, name)| (*name).to_owned());
    prefix(machine, kernel) + &name
}

fn prefix(machine: &Machine, kernel: &str) -> String {
    let cpu = machine.cpus.name.as_deref().unwrap_or("unknown");
    let board = machine.board.model.as_deref().unwrap_or("unknown");
    let (cpus, version) = (machine.cpus.available, env!("CARGO_PKG_VERSION"));
    let page = rustix::param::page_size();
    format!("{board}|{cpu}|{cpus} cpus|{kernel}|pages of {page}|siskin {version}|")
}

/// What was measured on this machine, with the names of the file systems.
pub fn all(path: &Path, machine: &Machine, kernel: &str) -> Vec<(String, Measured)> {
    let prefix = prefix(machine, kernel);
    let all = STORE.all(path).unwrap_or_default().into_iter();
    all.filter_map(|(key, measured)| Some((key.strip_prefix(&prefix)?.to_owned(), measured)))
        .collect()
}

/// Where measurements are kept: `$XDG_STATE_HOME/siskin/pages.json`, by default under `~/.local/state`.
pub fn path() -> Option<PathBuf> {
    Some(crate::paths::state()?.join("pages.json"))
}

/// The measurement for `key`, if there is one. A file that is not there holds none.
///
/// # Errors
/// The file is damaged, or of another version.
pub fn load(path: &Path, key: &str) -> Result<Option<Measured>, DamagedStore> {
    STORE.load(path, key)
}

/// Looks, before anything is measured, whether it could be saved.
///
/// # Errors
/// As [`save`]'s.
pub fn check(path: &Path) -> Result<(), SaveError> {
    STORE.check(path)
}

/// Adds a measurement in one step.
///
/// # Errors
/// The folder or the file cannot be written.
pub fn save(path: &Path, key: &str, measured: &Measured) -> Result<(), SaveError> {
    STORE.save(path, key, measured)
}

fn gigabytes(rate: f64) -> String {
    format!("{:.1} GB/s", rate / 1e9)
}

/// The day of a time in seconds since 1970, as `2026-11-27` (UTC).
fn day(seconds: u64) -> String {
    let time = i64::try_from(seconds)
        .ok()
        .and_then(|seconds| jiff::Timestamp::from_second(seconds).ok());
    time.map_or_else(|| "unknown day".into(), |time| time.strftime("%F").to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A virtual machine whose file system has huge pages.
    const ZEN: Measured = Measured {
        mapped: 12.1e9,
        huge: 15.9e9,
        copied: 2.5e9,
        again: Some(1.5e9),
        measured_at: 1_795_737_600,
        tried: Vec::new(),
    };

    fn file(weight_bytes: u64, cached: Cached) -> Subject<'static> {
        Subject {
            weight_bytes,
            cached,
            name: "this",
        }
    }

    #[test]
    fn placements() {
        let no_gain = Measured { huge: 12.6e9, ..ZEN };
        let card = Measured {
            again: Some(90e6),
            ..ZEN
        };
        let old = Measured { again: None, ..ZEN };
        let slow_copy = Measured {
            copied: 0.3e9,
            ..old.clone()
        };
        let (others, tried) = (ZEN.with_tried("other"), ZEN.with_tried("this"));
        let in_vain = slow_copy.clone().with_tried("this");
        let (small, huge, not) = (Cached::Small, Cached::Huge, Cached::Not);
        use Placement::{Mapped, MappedHuge, Read};
        // what is the case, measured, cached, shared, placement
        let cases = [
            ("copied or downloaded", &ZEN, small, false, MappedHuge),
            ("another was read again", &others, small, false, MappedHuge),
            ("it was read again in vain", &tried, small, false, Read),
            ("the same, and copying is slow", &in_vain, small, false, Mapped),
            ("in huge pages already", &ZEN, huge, false, MappedHuge),
            ("after a restart", &ZEN, not, false, MappedHuge),
            ("in use by others", &ZEN, small, true, Mapped),
            ("no gain", &no_gain, small, false, Mapped),
            ("a slow card, copied", &card, small, false, Read),
            ("a slow card, after a restart", &card, not, false, MappedHuge),
            ("no huge pages for files", &old, small, false, Read),
            ("no huge pages for files, restart", &old, not, false, Read),
            ("no huge pages, in use by others", &old, small, true, Mapped),
            ("copying takes too long", &slow_copy, small, false, Mapped),
        ];
        for (what, measured, cached, is_shared, want) in cases {
            let choice = measured.choose(&file(668 << 20, cached), || is_shared);
            assert_eq!(choice.placement, want, "{what}: {}", choice.reason);
        }
        let large = ZEN.choose(&file(8 << 30, small), || false);
        assert_eq!(large.placement, Read, "it would take long to read it again");
    }

    #[test]
    fn the_last_files_that_were_read_again_are_remembered() {
        let many = (0..100).fold(ZEN, |all, number| all.with_tried(&number.to_string()));
        assert_eq!(many.tried.len(), MOST_TRIED);
        assert_eq!(many.tried.last().map(String::as_str), Some("99"));
    }

    #[test]
    fn a_reason_has_the_figures_and_their_day() {
        let reason = ZEN.choose(&file(1 << 30, Cached::Small), || false).reason;
        let want = "measured here, 2026-11-27: mapped 12.1 GB/s, huge pages 15.9 GB/s; the file is read from storage \
                    again, into huge pages";
        assert_eq!(reason, want);
    }

    #[test]
    fn days() {
        let cases = [
            (0, "1970-01-01"),
            (951_782_399, "2000-02-28"),
            (951_782_400, "2000-02-29"),
            (951_868_800, "2000-03-01"),
            (4_107_542_400, "2100-03-01"),
            (1_798_761_599, "2026-12-31"),
        ];
        for (seconds, want) in cases {
            assert_eq!(day(seconds), want, "{seconds}");
        }
    }

    #[test]
    fn measurements_are_read_back_and_damaged_files_replaced() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("siskin/pages.json");
        assert_eq!(load(&path, "a"), Ok(None));
        check(&path).expect("can be saved");
        save(&path, "a", &ZEN).expect("saved");
        assert_eq!(load(&path, "a"), Ok(Some(ZEN)));
        assert_eq!(load(&path, "b"), Ok(None));
        std::fs::write(&path, r#"{"schema":1,"results":{"a":{"mapped":"fast"}}}"#).expect("written");
        assert!(load(&path, "a").is_err());
        save(&path, "a", &ZEN).expect("replaced");
        assert_eq!(load(&path, "a"), Ok(Some(ZEN)));
        std::fs::write(&path, r#"{"schema":2,"results":{}}"#).expect("written");
        assert!(check(&path).is_err(), "a newer siskin's");
    }

    #[test]
    fn a_measurement_holds_for_its_machine_kernel_and_file_system() {
        let root: PathBuf = [env!("CARGO_MANIFEST_DIR"), "../tests/data/devices/raspberry-pi-5"]
            .iter()
            .collect();
        let machine = Machine::probe(&crate::probe::Root::at(root));
        let one = key(&machine, "6.12", 0xef53);
        assert!(one.contains("6.12") && one.ends_with("|ext4"), "{one}");
        assert!(key(&machine, "6.12", 0x1234).ends_with("|0x1234"));
        assert_ne!(one, key(&machine, "6.18", 0xef53));
        assert_ne!(one, key(&machine, "6.12", 0x5846_5342));
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("pages.json");
        assert!(all(&path, &machine, "6.12").is_empty());
        save(&path, &one, &ZEN).expect("saved");
        save(&path, &key(&machine, "6.18", 0xef53), &ZEN).expect("saved");
        assert_eq!(all(&path, &machine, "6.12"), [("ext4".to_owned(), ZEN)]);
        std::fs::write(&path, "{").expect("written");
        assert!(all(&path, &machine, "6.12").is_empty());
    }
}
