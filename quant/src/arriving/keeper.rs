//! Keeps the journal: sees to it that it never counts rows that are not on the disk, and tells the caller what happens.

use std::sync::mpsc::Receiver;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use super::Event;
use super::execute::Work;
use super::flight::Flight;
use super::journal::Journal;
use super::route::{Piece, runs};
use siskin_model::atomic_file::AtomicFileError;

/// What reader and workers tell the keeper.
#[derive(Debug)]
pub(super) enum Tell {
    /// So many bytes of a file have arrived in all.
    Arrived {
        /// Index of the file.
        file: usize,
        /// Bytes of it so far.
        bytes: u64,
    },
    /// A piece is written.
    Written(usize, Piece),
    /// A file is read again from its start.
    Again(usize),
}

/// Writes journals until reader and workers are gone, and a last one then.
pub(super) fn keep(
    work: &Work<'_>,
    flight: &Mutex<Flight>,
    told: &Receiver<Tell>,
    mut rows_left: RowsLeft,
    on_event: &mut (dyn FnMut(Event<'_>) + Send),
) -> Result<(), AtomicFileError> {
    let mut last = Instant::now();
    let mut waiting = 0;
    let mut arrived = 0;
    while let Ok(tell) = told.recv() {
        match tell {
            Tell::Arrived { file, bytes } => {
                waiting += bytes.saturating_sub(arrived);
                arrived = bytes;
                on_event(Event::Arrived {
                    shard: work.of_file[file],
                    bytes,
                });
            }
            Tell::Written(file, piece) => rows_left.written(work, file, &piece, on_event),
            Tell::Again(file) => {
                rows_left.again(work, file);
                on_event(Event::Again {
                    shard: work.of_file[file],
                });
            }
        }
        let is_due =
            waiting >= work.options.checkpoint_bytes || last.elapsed() >= work.options.checkpoint_time;
        if is_due {
            checkpoint(work, flight)?;
            (last, waiting) = (Instant::now(), 0);
        }
    }
    checkpoint(work, flight)
}

/// The order is what makes it right: look what is written, wait until it is on the disk, then say so.
fn checkpoint(work: &Work<'_>, flight: &Mutex<Flight>) -> Result<(), AtomicFileError> {
    let journal = flight.lock().unwrap_or_else(PoisonError::into_inner).snapshot();
    work.disk.sync()?;
    work.disk.write_journal(&journal.to_json())
}

/// Rows of each tensor that are not written yet.
pub(super) struct RowsLeft {
    rows: Vec<u64>,
    finished: usize,
}

impl RowsLeft {
    /// Those that a journal does not count, before anything is written.
    pub(super) fn new(work: &Work<'_>, journal: &Journal) -> Self {
        let rows = work
            .plan
            .tensors
            .iter()
            .map(|tensor| match tensor.sources.is_empty() {
                true => 0,
                false => tensor.rows().0,
            });
        let mut left = RowsLeft {
            rows: rows.collect(),
            finished: 0,
        };
        for (file, entry) in journal.shards.iter().enumerate() {
            let done = usize::try_from(entry.pieces).unwrap_or(usize::MAX);
            for piece in work.route.pieces(file).take(done) {
                left.each(work, file, &piece, |rows, count| {
                    *rows = rows.saturating_sub(count)
                });
            }
        }
        left.finished = left.rows.iter().filter(|rows| **rows == 0).count();
        left
    }

    /// Calls `change` with the rows of each tensor that a piece has rows of, and their number.
    fn each(&mut self, work: &Work<'_>, file: usize, piece: &Piece, mut change: impl FnMut(&mut u64, u64)) {
        let stretch = &work.route.files[file][piece.stretch];
        for run in runs(work.plan, stretch, &piece.rows) {
            change(&mut self.rows[run.tensor], run.rows.end - run.rows.start);
        }
    }

    fn written(
        &mut self,
        work: &Work<'_>,
        file: usize,
        piece: &Piece,
        on_event: &mut (dyn FnMut(Event<'_>) + Send),
    ) {
        self.each(work, file, piece, |rows, count| {
            *rows = rows.saturating_sub(count)
        });
        let stretch = &work.route.files[file][piece.stretch];
        for of in &stretch.uses {
            if self.rows[of.tensor] == 0 {
                self.finished += 1;
                on_event(Event::Finished {
                    tensor: &work.plan.tensors[of.tensor],
                    finished: self.finished,
                    tensors: self.rows.len(),
                });
            }
        }
    }

    /// The rows of a file are written again.
    fn again(&mut self, work: &Work<'_>, file: usize) {
        for tensor in work.plan.tensors.iter().enumerate() {
            let of_file = tensor.1.sources.iter().any(|source| source.view.file == file);
            if of_file && self.rows[tensor.0] == 0 {
                self.finished = self.finished.saturating_sub(1);
            }
        }
        for piece in work.route.pieces(file) {
            self.each(work, file, &piece, |rows, count| *rows += count);
        }
        // Of a tensor that was not finished, some rows were still left.
        for (rows, tensor) in self.rows.iter_mut().zip(&work.plan.tensors) {
            *rows = (*rows).min(tensor.rows().0);
        }
    }
}
