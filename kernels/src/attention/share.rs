//! Divides heads among threads.

use std::ops::Range;

/// The heads of thread `thread`. The units that are dealt out are groups if that is even enough, because a
/// group's keys are then read by one thread; else they are parts of groups.
pub(super) fn share(heads: usize, group: usize, thread: usize, threads: usize) -> Range<usize> {
    let unit = unit(heads, group, threads);
    let count = heads / unit;
    count * thread / threads * unit..count * (thread + 1) / threads * unit
}

/// The largest unit with which the busiest thread has at most a tenth more heads than with the best unit.
fn unit(heads: usize, group: usize, threads: usize) -> usize {
    let most = |unit: usize| (heads / unit).div_ceil(threads) * unit;
    let units = || {
        [group, 4, 2, 1]
            .into_iter()
            .filter(|unit| group.is_multiple_of(*unit))
    };
    let best = units().map(most).min().unwrap_or(heads);
    units().find(|unit| most(*unit) * 10 <= best * 11).unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_head_is_some_thread_s() {
        for (heads, group) in [
            (32, 8),
            (32, 1),
            (8, 1),
            (4, 4),
            (14, 7),
            (6, 6),
            (9, 3),
            (71, 71),
        ] {
            for threads in 1..=9 {
                let mut next = 0;
                for thread in 0..threads {
                    let range = share(heads, group, thread, threads);
                    assert_eq!(range.start, next, "{heads} {group} {threads}");
                    next = range.end;
                }
                assert_eq!(next, heads);
            }
        }
    }

    #[test]
    fn groups_stay_whole_if_they_divide_evenly() {
        for (heads, group, threads, unit) in [
            (32, 8, 2, 8),
            (32, 8, 4, 8),
            (32, 8, 3, 4),
            (32, 4, 3, 4),
            (8, 8, 2, 4),
            (14, 7, 2, 7),
            (14, 7, 4, 1),
            (4, 4, 4, 1),
            (32, 1, 3, 1),
        ] {
            assert_eq!(
                super::unit(heads, group, threads),
                unit,
                "{heads} {group} {threads}"
            );
        }
    }
}
