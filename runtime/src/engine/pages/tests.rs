use std::io::Write;

use super::*;

const SMAPS: &str = "\
7f0000000000-7f0000400000 r--s 00000000 fe:00 77                         /data/my model.gguf
Size:               4096 kB
Rss:                4096 kB
FilePmdMapped:      2048 kB
VmFlags: rd mr mw me ms
7f0000400000-7f0000800000 r--s 00400000 fe:00 77                         /data/my model.gguf
Rss:                1024 kB
FilePmdMapped:         0 kB
7f0001000000-7f0001400000 rw-p 00000000 00:00 0 
Rss:                 512 kB
FilePmdMapped:         0 kB
";

#[test]
fn resident_pages_of_a_mapping() {
    let cases = [
        (0x7f00_0000_0000..0x7f00_0040_0000, (4096, 2048)),
        (0x7f00_0000_0000..0x7f00_0080_0000, (5120, 2048)),
        (0x7f00_0100_0000..0x7f00_0140_0000, (512, 0)),
        (0x1000..0x2000, (0, 0)),
    ];
    for (addresses, want) in cases {
        assert_eq!(resident(SMAPS, addresses.clone()), want, "{addresses:x?}");
    }
    assert_eq!(resident("no smaps\nRss: many\n", 0..usize::MAX), (0, 0));
}

#[test]
fn a_file_is_known_by_inode_and_name() {
    let line = "7f0010000000-7f0010400000 r--s 00001000 fe:00 77                         /data/my model.gguf";
    let cases = [
        ("77", "/data/my model.gguf", true),
        ("78", "/data/my model.gguf", false),
        ("77", "/data/other.gguf", false),
    ];
    for (inode, name, want) in cases {
        assert_eq!(shows(line, inode, name), want, "{inode} {name}");
    }
    assert!(!shows(
        "7f00-7f01 rw-p 00000000 00:00 0 ",
        "0",
        "/data/my model.gguf"
    ));
    assert!(!shows("", "", ""));
}

#[test]
fn places_are_whole_huge_pages_in_the_file() {
    for mib in [0, 1, 2, 3, 31, 32, 33, 1000] {
        let (len, places) = (mib << 20, places(mib << 20));
        assert_eq!(places.len(), (mib / 2).min(PLACES), "{mib} MiB");
        assert!(
            places.iter().all(|at| at % HUGE == 0 && at + HUGE <= len),
            "{places:?}"
        );
        assert!(places.is_sorted_by(|a, b| a < b), "{places:?}");
    }
}

#[test]
fn every_word_is_read_by_any_number_of_threads() {
    let words: Vec<u64> = (0..1 << 16).collect();
    for threads in [0, 1, 2, 3, 64, 1 << 20] {
        // The threads of the last case are not all started.
        let threads = threads.min(1000);
        assert!(rate(&words, threads) > 0.0);
    }
    assert!(rate(&[], 2) >= 0.0);
    let (one, other) = in_turns(&words, &words, &words[..100], 1);
    assert!(one > 0.0 && other > 0.0);
}

/// A file of `mib` MiB that is on the disk, and in the page cache in small pieces.
fn file(mib: usize) -> (tempfile::NamedTempFile, Vec<u8>) {
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    let bytes: Vec<u8> = (0..(mib << 20) as u32)
        .map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    for part in bytes.chunks(64 << 10) {
        file.write_all(part).expect("written");
    }
    file.as_file().sync_all().expect("on the disk");
    (file, bytes)
}

#[test]
fn a_file_keeps_its_contents_whatever_its_pages_are() {
    let (file, bytes) = file(40);
    let (open, path) = (file.as_file(), file.path());
    let Some(before) = cached(open, path, 0) else {
        return println!("skipped: this file system does not say what is cached");
    };
    assert_ne!(before, Cached::Not, "it was just written");
    make_huge(open, path, &(0..0));
    let after = cached(open, path, 0).expect("as before");
    assert_ne!(after, Cached::Not, "it was just read");
    assert!(std::fs::read(path).expect("read") == bytes);
    // What is read a row at a time stays as it is.
    make_huge(open, path, &(8 << 20..10 << 20));
    assert!(std::fs::read(path).expect("read") == bytes);
    // Once more changes nothing.
    make_huge(open, path, &(0..0));
    assert_eq!(cached(open, path, 0), Some(after));
}

#[test]
fn a_file_that_another_process_maps_is_shared() {
    let (file, _) = file(2);
    assert!(!is_shared(file.as_file()));
    // This process's own mapping does not count.
    let view = View::of(file.as_file(), file.path());
    assert!(view.is_some() && !is_shared(file.as_file()));
    let known = std::fs::read_to_string("/proc/1/maps");
    let program = std::fs::read_link("/proc/1/exe");
    if let (Ok(_), Ok(program)) = (known, program) {
        let program = File::open(program).expect("opened");
        assert!(is_shared(&program), "the first process maps its own program");
    }
}

#[test]
fn a_file_is_kept_twice_only_if_there_is_room() {
    let meminfo = "MemTotal:  9000 kB\nMemAvailable:    2048 kB\n";
    assert!(!is_crowded(meminfo, 1 << 20) && is_crowded(meminfo, (1 << 20) + 1));
    assert!(!is_crowded("", u64::MAX) && !is_crowded("MemAvailable: much\n", u64::MAX));
}

#[test]
fn names_tell_files_apart() {
    let (one, other) = (file(1).0, file(1).0);
    let (a, b) = (name(one.as_file()), name(other.as_file()));
    assert!(a.is_some() && a != b && a == name(one.as_file()), "{a:?} {b:?}");
}

#[test]
fn speeds_are_measured_or_nothing_is_said() {
    let (file, _) = file(128);
    let how = How {
        threads: 2,
        cache_bytes: 1 << 20,
        measured_at: 7,
    };
    let Some(found) = measure(file.as_file(), file.path(), &how) else {
        return println!("skipped: this file system does not drop what it has cached");
    };
    assert_eq!(found.measured_at, 7);
    for rate in [found.mapped, found.huge, found.copied]
        .into_iter()
        .chain(found.again)
    {
        assert!(rate > 1e6 && rate.is_finite(), "{found:?}");
    }
    let (small, _) = self::file(20);
    assert_eq!(measure(small.as_file(), small.path(), &how), None, "too small");
}
