//! Cells in use: sequences that were copied share theirs.

use std::collections::HashMap;

/// Counts cells. A token of a sequence has a cell's number; the same number in two sequences is one cell.
#[derive(Debug, Default)]
pub(super) struct Cells {
    next: u64,
    used: usize,
    /// Sequences that have a cell, if they are more than one.
    shared: HashMap<u64, u32>,
}

impl Cells {
    /// Cells in use.
    pub(super) fn used(&self) -> usize {
        self.used
    }

    /// A cell of its own.
    pub(super) fn take(&mut self) -> u64 {
        self.next += 1;
        self.used += 1;
        self.next
    }

    /// One more sequence has these cells.
    pub(super) fn share(&mut self, cells: &[u64]) {
        for cell in cells {
            *self.shared.entry(*cell).or_insert(1) += 1;
        }
    }

    /// A sequence no longer has these cells.
    pub(super) fn give_back(&mut self, cells: &[u64]) {
        for cell in cells {
            match self.shared.get_mut(cell) {
                Some(count) if *count > 2 => *count -= 1,
                Some(_) => drop(self.shared.remove(cell)),
                None => self.used -= 1,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_counts_once_until_nobody_has_it() {
        let mut cells = Cells::default();
        let own: Vec<u64> = (0..4).map(|_| cells.take()).collect();
        cells.share(&own[..3]);
        cells.share(&own[..2]);
        assert_eq!(cells.used(), 4);
        let steps: [(&[u64], usize); 5] = [
            (&own[3..], 3),
            (&own[..2], 3),
            (&own[..3], 3),
            (&own[2..3], 2),
            (&own[..2], 0),
        ];
        for (given, left) in steps {
            cells.give_back(given);
            assert_eq!(cells.used(), left, "{given:?}");
        }
        assert!(cells.shared.is_empty());
    }
}
