//! Divides the rows of a product among threads.
//!
//! Each thread gets most of its rows from the start, so that it reads one stretch of memory. The last quarter
//! of a large product is split into pieces for whichever thread is ready, because threads are not equally
//! fast: there may be two kinds of cores, other users on a shared machine, and one memory channel for all.

use std::ops::Range;

/// Rows in a group: their results fill a cache line, so that no two threads write to the same one.
const GROUP: usize = 16;
/// A product has pieces from this many bytes of weights on. Below, waiting costs less than asking for pieces.
const LARGE: usize = 256 << 10;
/// Pieces for each thread, if all are equally fast.
const PIECES: usize = 4;

/// The division of `rows` rows among `threads` threads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shares {
    rows: usize,
    threads: usize,
    /// Rows that are divided from the start.
    fixed: usize,
    /// Rows in each piece of the remainder.
    piece: usize,
}

impl Shares {
    /// Divides all rows from the start.
    pub(super) fn fixed(rows: usize, threads: usize) -> Self {
        Self {
            rows,
            threads,
            fixed: rows,
            piece: GROUP,
        }
    }

    /// Leaves the last quarter in pieces, if rows of `stride` bytes make that worthwhile.
    pub(super) fn with_pieces(rows: usize, threads: usize, stride: usize) -> Self {
        if threads < 2 || rows.saturating_mul(stride) < LARGE {
            return Self::fixed(rows, threads);
        }
        let fixed = rows / 4 * 3 / GROUP * GROUP;
        let piece = (rows - fixed).div_ceil(threads * PIECES).next_multiple_of(GROUP);
        Self {
            rows,
            threads,
            fixed,
            piece,
        }
    }

    /// Whether some rows are left in pieces.
    pub(super) fn has_pieces(&self) -> bool {
        self.fixed < self.rows
    }

    /// The rows that `thread` gets from the start.
    pub(super) fn own(&self, thread: usize) -> Range<usize> {
        let groups = self.fixed.div_ceil(GROUP);
        let at = |thread: usize| (groups * thread / self.threads * GROUP).min(self.fixed);
        at(thread)..at(thread + 1)
    }

    /// The rows of piece `index`; `None` after the last.
    pub(super) fn piece(&self, index: usize) -> Option<Range<usize>> {
        let start = self.fixed.saturating_add(index.saturating_mul(self.piece));
        (start < self.rows).then(|| start..(start + self.piece).min(self.rows))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_computed_once() {
        for rows in [0, 1, 15, 16, 17, 100, 2048, 5632, 32003] {
            for threads in 1..=9 {
                for stride in [64, 1152, 1 << 20] {
                    let all = [
                        Shares::fixed(rows, threads),
                        Shares::with_pieces(rows, threads, stride),
                    ];
                    for shares in all {
                        let own = (0..threads).map(|thread| shares.own(thread));
                        let pieces = (0..).map_while(|index| shares.piece(index));
                        let mut next = 0;
                        for range in own.chain(pieces) {
                            assert_eq!(range.start, next, "{shares:?}");
                            assert!(range.start.is_multiple_of(GROUP) || range.is_empty());
                            next = range.end;
                        }
                        assert_eq!(next, rows, "{shares:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn small_products_and_single_threads_have_no_pieces() {
        for (rows, threads, stride, pieces) in [
            (2048, 2, 1152, true),
            (128, 2, 1152, false),
            (2048, 1, 1152, false),
        ] {
            assert_eq!(Shares::with_pieces(rows, threads, stride).has_pieces(), pieces);
        }
    }
}
