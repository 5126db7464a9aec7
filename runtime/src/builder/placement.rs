//! Where a model's weights are read fastest: what was measured here, or is measured now, once.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use siskin_device::pages::{self, Cached, Choice, Measured, Placement, Subject};
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
    if device.machine.ram.usable_bytes < SPARE_BYTES {
        return None;
    }
    pages::check(store).ok()?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
    let measured = engine::measure(file, path, device.machine.cpus.physical, now.as_secs())?;
    pages::save(store, key, &measured).ok()?;
    Some(measured)
}

/// The kernel's release: which file systems have huge pages depends on it.
fn kernel() -> String {
    rustix::system::uname().release().to_string_lossy().into_owned()
}

/// What was measured on this machine, with the names of the file systems.
pub(super) fn known(device: &Device) -> Vec<(String, Measured)> {
    pages::path().map_or_else(Vec::new, |store| pages::all(&store, &device.machine, &kernel()))
}
