//! How fast threads read memory: each thread reads its own array, as the read-only form of STREAM does
//! (McCalpin, <https://www.cs.virginia.edu/stream/>). This is the most that decoding can reach.

use std::hint::black_box;
use std::sync::{Barrier, OnceLock};
use std::thread;
use std::time::Instant;

use siskin_device::probe::Root;
use siskin_runtime::read_memory;

/// How often each array is read; the best pass counts, as in STREAM.
const PASSES: usize = 6;
/// The size of all arrays together: this many times the largest cache, within the limits below.
const CACHES: u64 = 4;
const LEAST_BYTES: u64 = 64 << 20;
const MOST_BYTES: u64 = 1 << 30;

/// Bytes to read so that caches do not help; `available` is the free memory in bytes.
pub(crate) fn array_bytes(root: &Root, available: Option<u64>) -> u64 {
    let most = available.map_or(MOST_BYTES, |available| (available / 4).min(MOST_BYTES));
    root.largest_cache()
        .saturating_mul(CACHES)
        .max(LEAST_BYTES)
        .min(most.max(1 << 20))
}

/// Bytes a second that `threads` threads read together, from arrays of `bytes` in total.
pub(crate) fn measure(threads: usize, bytes: u64) -> f64 {
    let threads = threads.max(1);
    let len = (within_reach(bytes) / 8 / threads as u64).max(1) as usize;
    let barrier = OnceLock::new();
    let reader = || {
        let barrier: &Barrier = barrier.wait();
        // The reading thread writes its array, so that the memory is local to that thread.
        let numbers = vec![1u64; len];
        let pass = |_| {
            barrier.wait();
            let start = Instant::now();
            black_box(read_memory(black_box(&numbers)));
            (start, Instant::now())
        };
        (0..PASSES).map(pass).collect::<Vec<_>>()
    };
    let spans: Vec<Vec<(Instant, Instant)>> = thread::scope(|scope| {
        let start = || thread::Builder::new().spawn_scoped(scope, reader);
        let readers: Vec<_> = (0..threads).map_while(|_| start().ok()).collect();
        // As many as the system gives, or this thread alone.
        barrier.get_or_init(|| Barrier::new(readers.len().max(1)));
        if readers.is_empty() {
            return vec![reader()];
        }
        let spans = readers.into_iter().map(|reader| reader.join());
        spans.map(|span| span.expect("a sum does not panic")).collect()
    });
    let threads = spans.len();
    let seconds = |pass: usize| {
        let start = spans.iter().map(|thread| thread[pass].0).min().expect("a thread");
        let end = spans.iter().map(|thread| thread[pass].1).max().expect("a thread");
        (end - start).as_secs_f64()
    };
    let best = (0..PASSES).map(seconds).fold(f64::INFINITY, f64::min);
    (len * threads * 8) as f64 / best
}

/// At most `bytes`, and what the system lets this process allocate.
fn within_reach(mut bytes: u64) -> u64 {
    let can_have = |bytes: u64| {
        let count = usize::try_from(bytes).unwrap_or(usize::MAX);
        Vec::<u8>::new().try_reserve_exact(count).is_ok()
    };
    // Threads take some too.
    while bytes > 1 << 20 && !can_have(bytes.saturating_mul(2)) {
        bytes /= 2;
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrays_are_larger_than_the_caches_and_smaller_than_memory() {
        let root = tempfile::tempdir().expect("a temporary folder");
        let index = root.path().join("sys/devices/system/cpu/cpu0/cache/index3");
        std::fs::create_dir_all(&index).expect("made");
        // (cache, free memory, array)
        let cases = [
            ("32768K\n", Some(16 << 30), 128 << 20),
            ("2048K\n", Some(16 << 30), 64 << 20),
            ("1048576K\n", None, 1 << 30),
            ("no size", Some(128 << 20), 32 << 20),
        ];
        for (text, available, want) in cases {
            std::fs::write(index.join("size"), text).expect("written");
            assert_eq!(array_bytes(&Root::at(root.path()), available), want, "{text}");
        }
    }

    /// Two threads on one CPU cannot read faster than one: the figure counts bytes, not threads.
    #[test]
    fn threads_pinned_to_one_cpu_read_no_faster_than_one() {
        use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
        // Threads inherit the affinity of the thread that starts them; only this test's thread is pinned.
        let pinned = thread::spawn(|| {
            let all = sched_getaffinity(None).expect("an affinity");
            let first = (0..CpuSet::MAX_CPU).find(|&cpu| all.is_set(cpu)).expect("a CPU");
            let mut one = CpuSet::new();
            one.set(first);
            sched_setaffinity(None, &one).expect("pinned");
            // Short passes, best of many, one after the other: other programs occasionally take this CPU
            // away.
            let mut best = (0.0f64, 0.0f64);
            for _ in 0..8 {
                best = (best.0.max(measure(1, 16 << 20)), best.1.max(measure(2, 16 << 20)));
            }
            best
        });
        let (one, two) = pinned.join().expect("measured");
        assert!(one > 1e8, "{one:e} bytes a second is slower than any memory");
        assert!(two < 1.5 * one, "one thread {one:e}, two on the same CPU {two:e}");
    }
}
