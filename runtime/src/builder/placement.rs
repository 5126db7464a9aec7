//! Where a model's weights are read fastest: what was measured here, or is measured now, once.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use siskin_device::pages::{self, Cached, Choice, Measured, Placement, Subject};
use siskin_device::probe::Root;
use siskin_device::settings::{Overrides, Priority};
use siskin_device::tuned::Tuned;
use siskin_model::shape::Shape;

use super::{Builder, Device, Source};
use crate::engine::pages as engine;

/// With less memory to use, the sample might displace what it is compared with.
const SPARE_BYTES: u64 = 1 << 30;

/// Where the weights are read fastest. Only large files are worth it, and only if that is to be chosen at all.
pub(super) fn of(
    builder: &Builder,
    device: &Device,
    shape: Option<&Shape>,
    tuned: Option<&Tuned>,
) -> Option<Placed> {
    let Source::File(path) = &builder.source else {
        return None;
    };
    let shape = shape?;
    let is_read = |layer: &Overrides| layer.mmap == Some(false);
    let is_chosen = builder.typed.huge_pages.is_some()
        || builder.priority == Priority::Decode
        || is_read(&builder.typed)
        || tuned.is_some_and(|tuned| is_read(&tuned.settings));
    let is_wanted = builder.use_tuned || builder.measure_again;
    if is_chosen || !is_wanted || builder.vocab_only || shape.weight_bytes < pages::LEAST_WEIGHTS {
        return None;
    }
    choose(path, device, shape, builder.measure_again)
}

/// Chooses for the file at `path`; `None` if nothing is known of it, and then it is mapped as it is.
///
/// If `again` is true, a result that is known is measured again. Nothing is measured if the result could not be kept:
/// every start would take longer.
fn choose(path: &Path, device: &Device, shape: &Shape, again: bool) -> Option<Placed> {
    let file = siskin_model::files::open(path).ok()?;
    let store = pages::path()?;
    let key = pages::key(&device.machine, &kernel(), engine::file_system(&file)?);
    // A damaged file holds nothing, and is replaced; a newer siskin's is left alone by `check`.
    let known = pages::load(&store, &key).unwrap_or_default();
    let cached = engine::cached(&file, path, shape.embedding_bytes)?;
    let is_shared = || engine::is_shared(&file);
    let measured = match known {
        Some(known) if !again => known,
        // Only a file in small pages shows what they cost.
        known if cached == Cached::Small && !is_shared() => {
            measure(&file, path, device, &store, &key).or(known)?
        }
        known => known?,
    };
    let name = engine::name(&file)?;
    let subject = Subject {
        weight_bytes: shape.weight_bytes,
        cached,
        name: &name,
    };
    let choice = measured.choose(&subject, is_shared);
    let is_read_again = choice.placement == Placement::MappedHuge && cached == Cached::Small;
    let mark = is_read_again.then(|| Mark {
        store,
        key,
        measured: measured.with_tried(&name),
    });
    Some(Placed { choice, mark })
}

/// Where weights are to be, and what is to be kept before they get there.
#[derive(Debug)]
pub(super) struct Placed {
    pub(super) choice: Choice,
    pub(super) mark: Option<Mark>,
}

/// That a file is read from storage again, once for each start of the system.
#[derive(Debug)]
pub(super) struct Mark {
    store: PathBuf,
    key: String,
    measured: Measured,
}

impl Mark {
    /// Keeps it; returns whether that could be done.
    pub(super) fn keep(&self) -> bool {
        pages::save(&self.store, &self.key, &self.measured).is_ok()
    }
}

fn measure(file: &File, path: &Path, device: &Device, store: &Path, key: &str) -> Option<Measured> {
    let (root, cpus) = (Root::system(), device.machine.cpus.available);
    let is_busy = || root.text("proc/loadavg").is_none_or(|text| is_busy(&text, cpus));
    if device.machine.ram.usable_bytes < SPARE_BYTES || is_busy() {
        return None;
    }
    pages::check(store).ok()?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
    let how = engine::How {
        threads: device.machine.cpus.physical,
        cache_bytes: usize::try_from(root.largest_cache()).unwrap_or(usize::MAX),
        measured_at: now.as_secs(),
    };
    let measured = engine::measure(file, path, &how)?;
    // What others slowed is worth nothing, and would be kept.
    if is_busy() {
        return None;
    }
    pages::save(store, key, &measured).ok()?;
    Some(measured)
}

/// Whether, by the text of `/proc/loadavg`, other threads run on more than a quarter of the CPUs: the fourth field counts
/// those that run now, and this one is one of them.
fn is_busy(loadavg: &str, cpus: usize) -> bool {
    let field = loadavg.split_whitespace().nth(3);
    let running = field.and_then(|field| field.split('/').next()?.parse::<usize>().ok());
    running.is_none_or(|running| running.saturating_sub(1) > cpus / 4)
}

/// The kernel's release: which file systems have huge pages depends on it.
fn kernel() -> String {
    rustix::system::uname().release().to_string_lossy().into_owned()
}

/// What was measured on this machine, with the names of the file systems.
pub(super) fn known(device: &Device) -> Vec<(String, Measured)> {
    pages::path().map_or_else(Vec::new, |store| pages::all(&store, &device.machine, &kernel()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_threads_make_a_machine_busy() {
        let cases = [
            ("0.00 0.01 0.05 1/112 4242\n", 2, false),
            ("0.00 0.01 0.05 2/112 4242\n", 2, true),
            ("0.00 0.01 0.05 2/112 4242\n", 4, false),
            ("9.00 9.01 9.05 6/112 4242\n", 4, true),
            ("", 4, true),
        ];
        for (text, cpus, want) in cases {
            assert_eq!(is_busy(text, cpus), want, "{text:?} {cpus}");
        }
    }
}
