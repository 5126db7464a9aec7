//! The pages that a model's file is mapped in: how the page cache has it, what small pages cost here, and how they
//! become huge ones.
//!
//! The page cache holds a file in pieces of any size (folios), as it was read or written. Pieces of 2 MiB are mapped
//! as one page each. ext4 (Linux 6.16), XFS and btrfs make such pieces if a file is read from storage in long steps,
//! and small ones if it is written in short steps, as all copies and downloads are. What is there in small pieces stays
//! so until it is dropped and read again.

use std::fs::File;
use std::hint::black_box;
use std::num::NonZeroU64;
use std::ops::Range;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use memmap2::{Advice, Mmap, MmapMut};
use siskin_device::memory::kib_field;
use siskin_device::pages::{Cached, Measured};

use super::{lost_file, opened};
use crate::read::read_memory;

/// The size and alignment of a huge page on x86-64, and on ARM with 4 KiB pages.
const HUGE: usize = 2 << 20;

/// How many places of a file are looked at.
const PLACES: usize = 16;

/// Bytes that are dropped and read again to see what that gives.
const TRIAL: usize = 16 << 20;

/// What is read to compare pages, in bytes.
const SAMPLE: usize = 64 << 20;

/// Before it is read, this many times the largest cache is read of the rest of the file: what is in caches is as fast in
/// small pages.
const CACHES: usize = 2;

/// The share of huge pages from which a file counts as being in huge pages: reading begins with small ones.
const MOST: f64 = 0.8;

/// How often each kind of pages is read: as often as there is time for, within this.
const TURNS: Range<usize> = 3..9;
const TIME: Duration = Duration::from_millis(400);

/// How the page cache has a file; `None` if that cannot be seen.
///
/// It looks at a few places, and reads nothing from storage. The system tells it to the file's owner, and to those who
/// may write it.
///
/// `lookup_bytes` of the file are read a row at a time and need no huge pages.
pub(crate) fn cached(file: &File, path: &Path, lookup_bytes: u64) -> Option<Cached> {
    let view = View::of(file, path)?;
    let places = places(view.map.len());
    let mut there = Vec::new();
    for &at in &places {
        if view.cached(file, at..at + HUGE)? == HUGE {
            there.push(at);
        }
    }
    if there.len() * 2 < places.len() || there.is_empty() {
        return Some(Cached::Not);
    }
    for at in there.iter().copied() {
        view.map.advise_range(Advice::PopulateRead, at, HUGE).ok()?;
    }
    let streamed = 1.0 - (lookup_bytes as f64 / view.map.len() as f64).min(1.0);
    let is_huge = view.huge_share()? >= MOST * streamed;
    Some(if is_huge { Cached::Huge } else { Cached::Small })
}

/// Whether another process that this one can see maps the file.
pub(crate) fn is_shared(file: &File) -> bool {
    let (Ok(meta), name) = (file.metadata(), opened::mapped_name(file)) else {
        return false;
    };
    let own = std::process::id();
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let others = processes
        .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
        .filter(|id| *id != own);
    let inode = meta.ino().to_string();
    let name = name
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default();
    others
        .filter_map(|id| std::fs::read_to_string(format!("/proc/{id}/maps")).ok())
        .any(|maps| maps.lines().any(|line| shows(line, &inode, &name)))
}

/// Whether a line of `/proc/PID/maps` is of the file with this inode and name. The device is not compared: btrfs has
/// two for one file.
fn shows(line: &str, inode: &str, name: &str) -> bool {
    let mut fields = line.splitn(6, ' ').skip(4);
    fields.next() == Some(inode) && fields.next().is_some_and(|path| path.trim() == name)
}

/// Has the file mapped in huge pages from now on, if the page cache can have it so.
///
/// What is not in the page cache is read in long steps. What is there in small pieces is dropped first, unless another
/// process maps it. Bytes that are not on the disk yet stay as they are, and so do those of `lookup`: each row that is
/// read there would bring a huge page into memory.
pub(super) fn make_huge(file: &File, path: &Path, lookup: &Range<u64>) {
    match cached(file, path, lookup.end - lookup.start) {
        None | Some(Cached::Huge) => return,
        Some(Cached::Small) if is_shared(file) => return,
        Some(Cached::Small) => {
            forget(file, 0..lookup.start);
            forget(file, lookup.end..u64::MAX);
        }
        Some(Cached::Not) => {}
    }
    let Some(view) = View::of(file, path) else { return };
    let position = |byte: u64| usize::try_from(byte).unwrap_or(usize::MAX).min(view.map.len());
    let parts = [0..position(lookup.start), position(lookup.end)..view.map.len()];
    for part in parts.into_iter().filter(|part| !part.is_empty()) {
        // Advice only: without it, llama.cpp reads the file as the system does by itself.
        let _ = view.map.advise_range(Advice::HugePage, part.start, part.len());
        let _ = view
            .map
            .advise_range(Advice::PopulateRead, part.start, part.len());
    }
}

/// Drops a file that was read into this process's memory from the page cache, if memory is too short to hold it twice.
/// Otherwise it stays for the next start; the system takes that memory back when it is needed.
pub(super) fn release(file: &File) {
    let len = file.metadata().map_or(0, |meta| meta.len());
    let meminfo = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    if is_crowded(&meminfo, len) {
        forget(file, 0..u64::MAX);
    }
}

/// Whether a file of `len` bytes in the page cache takes half of what programs could use.
fn is_crowded(meminfo: &str, len: u64) -> bool {
    kib_field(meminfo, "MemAvailable").is_some_and(|available| available / 2 < len)
}

/// What tells this file from others, and this start of the system from others.
pub(crate) fn name(file: &File) -> Option<String> {
    let meta = file.metadata().ok()?;
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let boot = boot.trim().split('-').next()?.to_owned();
    let ids = [meta.dev(), meta.ino(), meta.len()].map(|id| id.to_string());
    Some(format!("{boot}:{}:{}", ids.join(":"), meta.mtime()))
}

/// The kind of the file's file system, as statfs(2) has it.
pub(crate) fn file_system(file: &File) -> Option<u64> {
    // The field's width and sign differ between architectures.
    #[allow(clippy::unnecessary_cast)]
    rustix::fs::fstatfs(file).ok().map(|found| found.f_type as u64)
}

/// Compares small pages of this file, which the page cache must have in small ones, with huge pages of this process.
/// `None` if something of it cannot be measured now: the file is being written or is in use, or memory is short.
///
/// It takes about half a second, and less memory than the weights.
pub(crate) fn measure(file: &File, path: &Path, how: &How) -> Option<Measured> {
    let len = usize::try_from(file.metadata().ok()?.len()).ok()? / HUGE * HUGE;
    let from = len.checked_sub(SAMPLE)?;
    // What is read between is not the sample, and leaves room for the copy.
    let between = TRIAL..from.checked_sub(SAMPLE)?.max(TRIAL);
    let again = read_again(file, path)?;
    let view = View::of(file, path)?;
    view.map.advise_range(Advice::PopulateRead, from, SAMPLE).ok()?;
    let small = words(&view.map[from..len]);
    let mut copy = MmapMut::map_anon(SAMPLE).ok()?;
    // Without huge pages there is nothing to gain: then both are as fast.
    let _ = copy.advise(Advice::HugePage);
    let mut rates = Vec::new();
    for (at, part) in copy.chunks_mut(HUGE).enumerate() {
        let start = Instant::now();
        file.read_exact_at(part, (from + at * HUGE) as u64).ok()?;
        rates.push(part.len() as f64 / start.elapsed().as_secs_f64());
    }
    let count = between
        .len()
        .min(how.cache_bytes.saturating_mul(CACHES).max(SAMPLE));
    let between = words(&view.map[between.start..between.start + count]);
    let (mapped, huge) = in_turns(small, words(&copy), between, how.threads);
    Some(Measured {
        mapped,
        huge,
        copied: median(rates),
        again,
        measured_at: how.measured_at,
        tried: vec![],
    })
}

/// How to measure.
#[derive(Debug, Clone, Copy)]
pub(crate) struct How {
    /// Threads that read at the same time.
    pub(crate) threads: usize,
    /// The size of the largest cache.
    pub(crate) cache_bytes: usize,
    /// When it is measured, in seconds since 1970.
    pub(crate) measured_at: u64,
}

/// Bytes a second at which storage gives the file in huge pages. The outer `None` means that it cannot be said now, the
/// inner one that it does not give huge pages.
fn read_again(file: &File, path: &Path) -> Option<Option<f64>> {
    forget(file, 0..TRIAL as u64);
    let view = View::of(file, path)?;
    if view.cached(file, 0..TRIAL)? > TRIAL / 8 {
        return None;
    }
    view.map.advise_range(Advice::HugePage, 0, TRIAL).ok()?;
    let start = Instant::now();
    view.map.advise_range(Advice::PopulateRead, 0, TRIAL).ok()?;
    let rate = TRIAL as f64 / start.elapsed().as_secs_f64();
    Some((view.huge_share()? >= MOST).then_some(rate))
}

/// Reading both in turns, in bytes a second. The best pass counts, as in STREAM: what others do meanwhile only slows.
fn in_turns(one: &[u64], other: &[u64], between: &[u64], threads: usize) -> (f64, f64) {
    let mut best = (0.0f64, 0.0f64);
    let start = Instant::now();
    let pass = |words| {
        rate(between, threads);
        rate(words, threads)
    };
    for turn in 0..TURNS.end {
        if turn >= TURNS.start && start.elapsed() > TIME {
            break;
        }
        best = (best.0.max(pass(one)), best.1.max(pass(other)));
    }
    best
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Bytes a second that threads together read once.
fn rate(words: &[u64], threads: usize) -> f64 {
    let part = words.len().div_ceil(threads.max(1)).max(1);
    let start = Instant::now();
    thread::scope(|scope| {
        let (own, others) = words.split_at(part.min(words.len()));
        for words in others.chunks(part) {
            let read = move || black_box(read_memory(words));
            // If no thread is to be had, this one reads it.
            if thread::Builder::new().spawn_scoped(scope, read).is_err() {
                black_box(read_memory(words));
            }
        }
        black_box(read_memory(own));
    });
    size_of_val(words) as f64 / start.elapsed().as_secs_f64()
}

/// Drops these bytes of the file from the page cache, except what is mapped, and what is not on the disk yet.
fn forget(file: &File, bytes: Range<u64>) {
    // No length is the rest of the file.
    let len = match bytes.end {
        u64::MAX => None,
        end if end <= bytes.start => return,
        end => NonZeroU64::new(end - bytes.start),
    };
    let _ = rustix::fs::fadvise(file, bytes.start, len, rustix::fs::Advice::DontNeed);
}

/// Places of whole huge pages, spread over a file of `len` bytes.
fn places(len: usize) -> Vec<usize> {
    let pages = len / HUGE;
    let count = pages.min(PLACES);
    (0..count).map(|place| place * pages / count * HUGE).collect()
}

/// A file, mapped to look at its pages.
struct View {
    map: Mmap,
}

impl View {
    fn of(file: &File, path: &Path) -> Option<Self> {
        lost_file::note(file, path);
        // SAFETY: the mapping is read-only, and what is read from it is only combined to a number that nobody looks at.
        // If another process cuts the file meanwhile, reading ends the process, as it does while llama.cpp maps the same
        // file to compute.
        let map = unsafe { Mmap::map(file) }.ok()?;
        Some(View { map })
    }

    /// How many of these bytes, which are whole pages, the page cache has. `None` if the system does not tell.
    fn cached(&self, file: &File, bytes: Range<usize>) -> Option<usize> {
        // To others the kernel reports that all of it is there.
        let is_owner = file.metadata().ok()?.uid() == rustix::process::geteuid().as_raw();
        let may_write = || {
            let path = opened::name(file, Path::new(""));
            rustix::fs::access(path, rustix::fs::Access::WRITE_OK).is_ok()
        };
        if !is_owner && !may_write() {
            return None;
        }
        let page = rustix::param::page_size();
        let part = self.map.get(bytes)?;
        let mut found = vec![0u8; part.len().div_ceil(page)];
        // SAFETY: `part` lies in this mapping, which lives through the call, and `found` has a byte for each page of it.
        // The call reads nothing of the mapping.
        let error = unsafe { libc::mincore(part.as_ptr() as *mut _, part.len(), found.as_mut_ptr().cast()) };
        let count = found.iter().filter(|found| **found & 1 == 1).count();
        (error == 0).then_some((count * page).min(part.len()))
    }

    /// The share in huge pages of what is mapped of it now.
    fn huge_share(&self) -> Option<f64> {
        let smaps = std::fs::read_to_string("/proc/self/smaps").unwrap_or_default();
        let start = self.map.as_ptr() as usize;
        let (all, huge) = resident(&smaps, start..start + self.map.len());
        (all > 0).then(|| huge as f64 / all as f64)
    }
}

/// KiB of these addresses that are resident, and those of them that are huge pages of a file.
fn resident(smaps: &str, addresses: Range<usize>) -> (u64, u64) {
    let (mut is_inside, mut all, mut huge) = (false, 0, 0);
    for line in smaps.lines() {
        let (first, rest) = line.split_once(' ').unwrap_or((line, ""));
        let kib = || {
            rest.trim()
                .split(' ')
                .next()
                .and_then(|kib| kib.parse::<u64>().ok())
        };
        match first {
            "Rss:" if is_inside => all += kib().unwrap_or(0),
            "FilePmdMapped:" if is_inside => huge += kib().unwrap_or(0),
            name if !name.ends_with(':') => {
                let start = name
                    .split_once('-')
                    .map(|(start, _)| usize::from_str_radix(start, 16));
                is_inside = start.is_some_and(|start| start.is_ok_and(|start| addresses.contains(&start)));
            }
            _ => {}
        }
    }
    (all, huge)
}

/// Whole words of these bytes.
fn words(bytes: &[u8]) -> &[u64] {
    // SAFETY: any eight bytes are a word.
    unsafe { bytes.align_to().1 }
}

#[cfg(test)]
mod tests;
