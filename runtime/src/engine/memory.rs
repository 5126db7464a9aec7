//! How the weights are placed in memory: parts that are read a row at a time need not stay resident, parts
//! that decoding reads in full go into huge pages.
//!
//! Decoding reads every weight once per token, so the page size matters: streaming through 256 MiB here ran
//! at 13.3 GB/s from anonymous 4 KiB pages, 15.2 from the page cache, 17.4 from anonymous 2 MiB pages (one
//! thread, the best of 40 passes). The page cache of most file systems cannot be mapped in huge pages;
//! anonymous memory can.

use std::ops::Range;
use std::path::Path;

/// The size and alignment of a huge page on x86-64, and on ARM with 4 KiB pages.
const HUGE: usize = 2 << 20;

/// The smallest region, in bytes, that is worth it: weights of a language model, not its buffers, which are
/// sparsely used.
const LEAST: usize = 64 << 20;

/// Collapses pages into huge ones now instead of in the background (Linux 6.1).
const MADV_COLLAPSE: i32 = 25;

/// A model file, mapped to read its header.
#[derive(Debug)]
pub(super) struct Mapped(memmap2::Mmap);

impl Mapped {
    /// Maps the whole file; `None` if its file system cannot.
    pub(super) fn new(file: &std::fs::File) -> Option<Self> {
        // SAFETY: the mapping is read-only, and read only to parse a header that is checked byte for byte. If another
        // process changes the file meanwhile, the checks see other bytes; if one cuts it, reading ends the process, as
        // it does while llama.cpp maps the same file to compute.
        let map = unsafe { memmap2::Mmap::map(file) }.ok()?;
        Some(Mapped(map))
    }

    /// Has the system read `bytes` ahead, because llama.cpp reads them next. Without the advice it is only slower.
    pub(super) fn read_ahead(&self, bytes: Range<u64>) {
        let clamp = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(self.0.len());
        let (start, end) = (clamp(bytes.start), clamp(bytes.end));
        if start < end {
            let _ = self.0.advise_range(memmap2::Advice::WillNeed, start, end - start);
        }
    }

    /// The file's bytes.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// A line of `/proc/self/maps`.
#[derive(Debug, PartialEq, Eq)]
struct Mapping<'t> {
    range: Range<usize>,
    permissions: &'t str,
    offset: u64,
    /// The path of the file; empty for anonymous memory.
    path: &'t str,
}

impl<'t> Mapping<'t> {
    fn parse(line: &'t str) -> Option<Self> {
        // address perms offset dev inode path
        let (addresses, rest) = line.split_once(' ')?;
        let (permissions, rest) = rest.split_once(' ')?;
        let (offset, rest) = rest.split_once(' ')?;
        let path = rest.splitn(3, ' ').nth(2).unwrap_or("").trim();
        let (start, end) = addresses.split_once('-')?;
        let address = |text| usize::from_str_radix(text, 16).ok();
        Some(Mapping {
            range: address(start)?..address(end)?,
            permissions,
            offset: u64::from_str_radix(offset, 16).ok()?,
            path,
        })
    }
}

fn maps() -> String {
    std::fs::read_to_string("/proc/self/maps").unwrap_or_default()
}

/// The anonymous regions that exist now.
pub(super) fn anonymous() -> Vec<Range<usize>> {
    anonymous_in(&maps())
}

fn anonymous_in(maps: &str) -> Vec<Range<usize>> {
    let mappings = maps.lines().filter_map(Mapping::parse);
    let plain = mappings.filter(|mapping| mapping.path.is_empty() && mapping.permissions.starts_with("rw-p"));
    plain.map(|mapping| mapping.range).collect()
}

/// Asks the kernel for huge pages in the large anonymous regions that did not exist `before`.
pub(super) fn make_huge(before: &[Range<usize>]) {
    for region in anonymous().into_iter().flat_map(|region| without(region, before)) {
        let (start, end) = (region.start.next_multiple_of(HUGE), region.end / HUGE * HUGE);
        if end.saturating_sub(start) < LEAST {
            continue;
        }
        // Older kernels do not have MADV_COLLAPSE and gather the pages in the background; some have no huge
        // pages.
        for advice in [libc::MADV_HUGEPAGE, MADV_COLLAPSE] {
            // SAFETY: neither advice changes what the memory contains or may be used for, whoever owns it.
            // For addresses that are no longer mapped the kernel returns ENOMEM.
            unsafe { libc::madvise(start as *mut libc::c_void, end - start, advice) };
        }
    }
}

/// The parts of `region` outside `others`, which are sorted as the kernel lists them.
fn without(region: Range<usize>, others: &[Range<usize>]) -> Vec<Range<usize>> {
    let mut left = Vec::new();
    let mut start = region.start;
    for other in others
        .iter()
        .filter(|other| other.end > region.start && other.start < region.end)
    {
        if other.start > start {
            left.push(start..other.start);
        }
        start = start.max(other.end);
    }
    if start < region.end {
        left.push(start..region.end);
    }
    left
}

/// Drops the pages of these bytes of a mapped model file from this process's memory. They come back, a page
/// at a time, when they are read. `path` is the file's path as the kernel has it.
pub(super) fn drop_mapped(path: &Path, bytes: Range<u64>) {
    let maps = maps();
    for range in mapped(&maps, &path.to_string_lossy(), &bytes) {
        // SAFETY: the range is in a shared read-only mapping of the model's file, which llama.cpp keeps as
        // long as the model that the caller holds. The pages of such a mapping belong to the file: after they
        // are dropped, they are mapped again with the same contents when they are read.
        unsafe { libc::madvise(range.start as *mut libc::c_void, range.len(), libc::MADV_DONTNEED) };
    }
}

/// Addresses of whole pages that show `bytes` of the file `path`, in shared read-only mappings.
fn mapped(maps: &str, path: &str, bytes: &Range<u64>) -> Vec<Range<usize>> {
    let page = rustix::param::page_size();
    let mappings = maps.lines().filter_map(Mapping::parse);
    let own = mappings.filter(|mapping| mapping.path == path && mapping.permissions == "r--s");
    let part = |mapping: Mapping<'_>| {
        let shown = mapping.offset..mapping.offset + mapping.range.len() as u64;
        let (start, end) = (bytes.start.max(shown.start), bytes.end.min(shown.end));
        let address = |byte: u64| mapping.range.start + usize::try_from(byte - shown.start).unwrap_or(0);
        (start < end).then(|| address(start).next_multiple_of(page)..address(end) / page * page)
    };
    own.filter_map(part)
        .filter(|range| range.start < range.end)
        .collect()
}

/// Whether the system lets this process lock `bytes` more: it tries with memory that nothing is read into.
///
/// # Errors
/// The system's reason for refusing.
pub(crate) fn can_lock(bytes: u64) -> std::io::Result<()> {
    let len = usize::try_from(bytes.max(1)).unwrap_or(usize::MAX);
    // SAFETY: a new private mapping at an address that the kernel chooses; nobody else knows it, nothing is written to
    // it, and it is unmapped here.
    unsafe {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
        let address = libc::mmap(std::ptr::null_mut(), len, libc::PROT_READ, flags, -1, 0);
        if address == libc::MAP_FAILED {
            return Err(std::io::Error::last_os_error());
        }
        // Pages are locked when they are touched: never.
        let refused = libc::mlock2(address, len, libc::MLOCK_ONFAULT as libc::c_uint) != 0;
        let error = std::io::Error::last_os_error();
        libc::munmap(address, len);
        if refused { Err(error) } else { Ok(()) }
    }
}

/// Has all threads of this process allocate from one heap. By default glibc sets 64 MiB of addresses aside for each
/// thread, which a process with few addresses (`ulimit -v`) does not have to give.
pub fn share_one_heap() {
    #[cfg(target_env = "gnu")]
    // SAFETY: sets a parameter of the allocator under the allocator's own lock.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 1);
    }
}

/// Returns freed memory to the system: parsing a header leaves some megabytes of it, and so does a model that was
/// dropped.
pub fn trim() {
    #[cfg(target_env = "gnu")]
    // SAFETY: takes no pointer; glibc's own locks guard its heap.
    unsafe {
        libc::malloc_trim(0)
    };
}

#[cfg(test)]
#[allow(clippy::single_range_in_vec_init)] // lists of ranges are what is tested
mod tests {
    use super::*;
    use std::io::Write;
    use std::os::fd::AsRawFd;

    const MAPS: &str = "\
55d0c0a00000-55d0c0b00000 r-xp 00001000 fe:00 123                        /usr/bin/siskin
7f0000000000-7f0008000000 rw-p 00000000 00:00 0 
7f0010000000-7f0010400000 r--s 00001000 fe:00 77                         /data/my model.gguf
7f0020000000-7f0020400000 r--p 00000000 fe:00 77                         /data/my model.gguf
7ffd00000000-7ffd00021000 rw-p 00000000 00:00 0                          [stack]
broken line
";

    #[test]
    fn lines_of_maps() {
        assert_eq!(anonymous_in(MAPS), [0x7f00_0000_0000..0x7f00_0800_0000]);
        let found = mapped(MAPS, "/data/my model.gguf", &(0x1800..0x5800));
        assert_eq!(
            found,
            [0x7f00_1000_1000..0x7f00_1000_4000],
            "whole pages inside, of the shared mapping only"
        );
        assert!(mapped(MAPS, "/data/my model.gguf", &(0x1800..0x1900)).is_empty());
        assert!(mapped(MAPS, "/data/other.gguf", &(0..1 << 40)).is_empty());
    }

    #[test]
    fn regions_without_others() {
        assert_eq!(without(10..50, &[0..12, 20..30, 60..70]), [12..20, 30..50]);
        assert_eq!(without(10..50, &[]), [10..50]);
        assert!(without(10..50, &[0..100]).is_empty());
    }

    #[test]
    fn dropped_pages_hold_the_file_when_they_are_read_again() {
        let mut file = tempfile::NamedTempFile::new().expect("a file");
        let bytes: Vec<u8> = (0..1u32 << 20).map(|i| (i * 7 % 251) as u8).collect();
        file.write_all(&bytes).expect("written");
        let length = bytes.len();
        // SAFETY: maps all of a file that only this test knows; it is not changed or truncated while it is
        // mapped.
        let map = unsafe {
            let address = libc::mmap(
                std::ptr::null_mut(),
                length,
                libc::PROT_READ,
                libc::MAP_SHARED | libc::MAP_POPULATE,
                file.as_file().as_raw_fd(),
                0,
            );
            assert_ne!(address, libc::MAP_FAILED);
            std::slice::from_raw_parts(address.cast::<u8>(), length)
        };
        let path = file.path().canonicalize().expect("a path");
        let resident = || {
            let smaps = std::fs::read_to_string("/proc/self/smaps").expect("Linux has it");
            let after = smaps
                .split(&*path.to_string_lossy())
                .nth(1)
                .expect("the mapping")
                .to_owned();
            after
                .lines()
                .find_map(|line| line.strip_prefix("Rss:").map(str::to_owned))
                .expect("a size")
        };
        assert!(!resident().trim().starts_with("0 "), "populated");
        drop_mapped(&path, 0..length as u64);
        assert!(resident().trim().starts_with("0 "), "{}", resident());
        assert!(*map == bytes[..]);
    }

    /// KiB of huge pages that a new block of memory got, if the kernel counts them.
    fn huge_of_a_new_block() -> Option<u64> {
        let before = anonymous();
        let block: Vec<u64> = (0..(LEAST as u64 + (8 << 20)) / 8).collect();
        make_huge(&before);
        assert!(
            block
                .iter()
                .enumerate()
                .all(|(index, value)| index as u64 == *value)
        );
        let rollup = std::fs::read_to_string("/proc/self/smaps_rollup").unwrap_or_default();
        rollup.lines().find_map(|line| {
            line.strip_prefix("AnonHugePages:")?
                .trim()
                .split(' ')
                .next()?
                .parse()
                .ok()
        })
    }

    #[test]
    fn new_regions_become_huge_and_keep_their_contents() {
        let enabled =
            std::fs::read_to_string("/sys/kernel/mm/transparent_hugepage/enabled").unwrap_or_default();
        if enabled.is_empty() || enabled.contains("[never]") {
            return println!("skipped: this kernel has no huge pages");
        }
        // Other tests map memory meanwhile. A block next to theirs forms one region with it, which is not
        // new; and on a busy machine no huge page may be free for a moment.
        let mut got = Vec::new();
        for _ in 0..5 {
            match huge_of_a_new_block() {
                None => return println!("skipped: this kernel does not count huge pages"),
                Some(kib) if kib >= 32 << 10 => return,
                Some(kib) => got.push(kib),
            }
            std::thread::sleep(std::time::Duration::from_millis(500));
        }
        panic!("five times no huge pages: {got:?} KiB");
    }
}
