//! This process's memory as Linux counts it (`/proc/self/status`, proc(5)).

use serde::Serialize;

/// Resident memory in bytes. A field is `None` if the system does not report it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Memory {
    /// The largest resident size so far (`VmHWM`), including mapped file pages.
    pub peak_bytes: Option<u64>,
    /// The anonymous part of what is resident now (`RssAnon`): heap, stacks, KV cache.
    pub anonymous_bytes: Option<u64>,
    /// The part of what is resident now that is mapped from files (`RssFile`): weights, program.
    pub file_bytes: Option<u64>,
}

impl Memory {
    /// Reads this process's memory now.
    pub fn now() -> Self {
        std::fs::read_to_string("/proc/self/status")
            .map_or_else(|_| Memory::default(), |text| Memory::parse(&text))
    }

    /// Parses the text of a `status` file, of this process or another.
    pub fn parse(status: &str) -> Self {
        Memory {
            peak_bytes: kib_field(status, "VmHWM"),
            anonymous_bytes: kib_field(status, "RssAnon"),
            file_bytes: kib_field(status, "RssFile"),
        }
    }
}

/// The value, in bytes, of a line `NAME: COUNT kB` in a file under `/proc`.
pub fn kib_field(text: &str, name: &str) -> Option<u64> {
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_files() {
        let text = "Name:\tx\nVmHWM:\t  2048 kB\nRssAnon:\t       4 kB\nRssFile:\tmany kB\n";
        let want = Memory {
            peak_bytes: Some(2 << 20),
            anonymous_bytes: Some(4096),
            file_bytes: None,
        };
        assert_eq!(Memory::parse(text), want);
        assert_eq!(Memory::parse(""), Memory::default());
    }

    #[test]
    fn a_block_of_memory_shows() {
        let before = Memory::now().anonymous_bytes.expect("Linux has it");
        let block = std::hint::black_box(vec![1u8; 64 << 20]);
        let after = Memory::now().anonymous_bytes.expect("Linux has it");
        assert!(after >= before + (60 << 20), "{before} {after} {}", block.len());
    }
}
