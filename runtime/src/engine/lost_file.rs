//! A model file that is cut or overwritten while it is mapped: the kernel then has no bytes for a page and sends
//! SIGBUS, which would end the program without a word.

use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering};

use super::opened;

/// Writes the line of a model file.
type Line = fn(&Path) -> String;

static LINE: OnceLock<Line> = OnceLock::new();

/// What the system did on SIGBUS before.
static BEFORE: OnceLock<libc::sigaction> = OnceLock::new();

/// The model files of this process; entries are added and never removed.
static FILES: AtomicPtr<Entry> = AtomicPtr::new(ptr::null_mut());

/// Whether a thread is in the handler.
static HANDLING: AtomicBool = AtomicBool::new(false);

/// A file that may be mapped.
struct Entry {
    /// The path as `/proc/self/maps` has it.
    mapped: Vec<u8>,
    /// What is printed.
    line: Vec<u8>,
    next: *mut Entry,
}

/// From now on, if a model file is cut or overwritten while it is mapped, the process prints what `line` makes of its
/// path to stderr and exits with code 1. Without this, SIGBUS ends the process.
///
/// It replaces the process's handler of SIGBUS, so it is for programs and not for libraries. Faults at other addresses
/// are left to the handler that was there before.
pub fn report_lost_models(line: fn(&Path) -> String) {
    if LINE.set(line).is_err() {
        return;
    }
    // SAFETY: all zeros is a valid `sigaction`: no flags, an empty mask, the default action.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_flags = libc::SA_SIGINFO;
    action.sa_sigaction = handle as *const () as usize;
    let mut before = action;
    // SAFETY: both pointers are to valid structs that live through the call, and the handler has the signature that
    // SA_SIGINFO asks for. It calls only async-signal-safe functions.
    let set = unsafe { libc::sigaction(libc::SIGBUS, &action, &mut before) } == 0;
    if set {
        let _ = BEFORE.set(before);
    }
}

/// Notes a file that is about to be mapped, under the name that a user knows.
pub(super) fn note(file: &File, path: &Path) {
    let (Some(line), Some(mapped)) = (LINE.get(), opened::mapped_name(file)) else {
        return;
    };
    let mapped = mapped.as_os_str().as_bytes().to_vec();
    if entries().any(|entry| entry.mapped == mapped) {
        return;
    }
    let line = line(path).into_bytes();
    let entry = Box::into_raw(Box::new(Entry {
        mapped,
        line,
        next: ptr::null_mut(),
    }));
    let mut first = FILES.load(Ordering::Acquire);
    loop {
        // SAFETY: the entry has just been allocated, and no other thread has its address yet.
        unsafe { (*entry).next = first };
        match FILES.compare_exchange(first, entry, Ordering::Release, Ordering::Acquire) {
            Ok(_) => return,
            Err(now) => first = now,
        }
    }
}

fn entries() -> impl Iterator<Item = &'static Entry> {
    let mut next = FILES.load(Ordering::Acquire);
    std::iter::from_fn(move || {
        // SAFETY: every pointer in the list is null or came from `Box::into_raw` in `note`, which wrote the entry before
        // it released the pointer; entries are not changed afterwards and never freed.
        let entry = unsafe { next.as_ref() }?;
        next = entry.next;
        Some(entry)
    })
}

/// The handler: no locks, no memory from the heap.
extern "C" fn handle(_: libc::c_int, info: *mut libc::siginfo_t, _: *mut libc::c_void) {
    while HANDLING.swap(true, Ordering::AcqRel) {
        // Many threads read the same weights. The one that came first ends the process.
        std::hint::spin_loop();
    }
    // SAFETY: the kernel passes a valid `siginfo_t` of SIGBUS, which has an address.
    let address = unsafe { (*info).si_addr() } as usize;
    if let Some(entry) = file_at(address) {
        // SAFETY: writes initialized bytes that live for ever, and ends the process; both are async-signal-safe.
        unsafe {
            libc::write(libc::STDERR_FILENO, entry.line.as_ptr().cast(), entry.line.len());
            libc::_exit(1);
        }
    }
    // Not a model: after this handler returns, the instruction faults again and meets the earlier handler.
    let before = BEFORE.get().map_or(ptr::null(), ptr::from_ref);
    if before.is_null() {
        // SAFETY: ends the process; async-signal-safe.
        unsafe { libc::_exit(128 + libc::SIGBUS) };
    }
    // SAFETY: `before` came from `sigaction` itself and lives for ever.
    unsafe { libc::sigaction(libc::SIGBUS, before, ptr::null_mut()) };
    HANDLING.store(false, Ordering::Release);
}

/// The model file that is mapped at `address`.
fn file_at(address: usize) -> Option<&'static Entry> {
    // SAFETY: a C string constant; `open` is async-signal-safe.
    let fd = unsafe { libc::open(c"/proc/self/maps".as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC) };
    if fd < 0 {
        return None;
    }
    let mut found = None;
    let mut lines = Lines::default();
    let mut buffer = [0u8; 1024];
    while found.is_none() {
        // SAFETY: reads into a buffer of this length; async-signal-safe.
        let read = unsafe { libc::read(fd, buffer.as_mut_ptr().cast(), buffer.len()) };
        let Some(bytes) = usize::try_from(read).ok().and_then(|read| buffer.get(..read)) else {
            break;
        };
        if bytes.is_empty() {
            break;
        }
        for byte in bytes {
            if let Some(line) = lines.push(*byte)
                && let Some(name) = mapped_at(line, address)
            {
                found = entries().find(|entry| is_of(name, &entry.mapped));
                break;
            }
        }
    }
    // SAFETY: closes the descriptor that was opened above; async-signal-safe.
    unsafe { libc::close(fd) };
    found
}

/// Gathers bytes to lines, without memory from the heap. Of a longer line, the start is kept.
struct Lines {
    line: [u8; Lines::MAX],
    len: usize,
}

impl Default for Lines {
    fn default() -> Self {
        Lines {
            line: [0; Lines::MAX],
            len: 0,
        }
    }
}

impl Lines {
    /// The longest path of Linux, and what is before it.
    const MAX: usize = 4096 + 128;

    /// Adds a byte; returns the line that it ends.
    fn push(&mut self, byte: u8) -> Option<&[u8]> {
        if byte == b'\n' {
            let len = std::mem::take(&mut self.len);
            return self.line.get(..len);
        }
        if let Some(slot) = self.line.get_mut(self.len) {
            *slot = byte;
            self.len += 1;
        }
        None
    }
}

/// The path of a line of `/proc/self/maps`, if its addresses contain `address`: `start-end perms offset dev inode path`.
fn mapped_at(line: &[u8], address: usize) -> Option<&[u8]> {
    let (addresses, rest) = split(line, b' ')?;
    let (start, end) = split(addresses, b'-')?;
    if !(hexadecimal(start)?..hexadecimal(end)?).contains(&address) {
        return None;
    }
    let (_, rest) = split(rest, b' ')?;
    let (_, rest) = split(rest, b' ')?;
    let (_, rest) = split(rest, b' ')?;
    let (_, path) = split(rest, b' ')?;
    Some(path.trim_ascii_start())
}

fn split(bytes: &[u8], at: u8) -> Option<(&[u8], &[u8])> {
    let index = bytes.iter().position(|byte| *byte == at)?;
    Some((bytes.get(..index)?, bytes.get(index + 1..)?))
}

fn hexadecimal(digits: &[u8]) -> Option<usize> {
    digits.iter().try_fold(0usize, |number, digit| {
        let digit = char::from(*digit).to_digit(16)?;
        number.checked_mul(16)?.checked_add(digit as usize)
    })
}

/// Whether a mapping's name is that of the file, which may have been removed since.
fn is_of(name: &[u8], file: &[u8]) -> bool {
    name.strip_prefix(file)
        .is_some_and(|rest| rest.is_empty() || rest == b" (deleted)")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mapping_is_found_by_its_address() {
        let line =
            b"7f0010000000-7f0010400000 r--s 00001000 fe:00 77                         /data/my model.gguf";
        let at = |address| mapped_at(line, address);
        assert_eq!(at(0x7f00_1000_0000), Some(&b"/data/my model.gguf"[..]));
        assert_eq!(at(0x7f00_103f_ffff), Some(&b"/data/my model.gguf"[..]));
        for outside in [0, 0x7f00_0fff_ffff, 0x7f00_1040_0000, usize::MAX] {
            assert_eq!(at(outside), None);
        }
        for damaged in [&b""[..], b"broken line", b"zz-zz r", b"-", b"1-2"] {
            assert_eq!(mapped_at(damaged, 1), None);
        }
        assert!(is_of(b"/a", b"/a") && is_of(b"/a (deleted)", b"/a"));
        assert!(!is_of(b"/ab", b"/a") && !is_of(b"", b"/a"));
    }

    #[test]
    fn lines_are_gathered_and_long_ones_cut() {
        let mut lines = Lines::default();
        let long = [&[b'x'; 2 * Lines::MAX][..], b"\none\n\n"].concat();
        let mut found = Vec::new();
        for byte in long {
            if let Some(line) = lines.push(byte) {
                found.push(line.to_vec());
            }
        }
        assert_eq!(found.iter().map(Vec::len).collect::<Vec<_>>(), [Lines::MAX, 3, 0]);
        assert_eq!(found[1], b"one");
    }

    #[test]
    fn this_program_is_mapped_somewhere() {
        let maps = std::fs::read("/proc/self/maps").expect("Linux has it");
        let here = this_program_is_mapped_somewhere as *const () as usize;
        let own = maps
            .split(|byte| *byte == b'\n')
            .find_map(|line| mapped_at(line, here));
        let path = std::env::current_exe().expect("a path");
        assert_eq!(own, Some(path.as_os_str().as_bytes()));
    }
}
