//! Reads shards, hands their pieces to workers, and verifies each shard at its end.

use std::io::{ErrorKind, Read};
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;

use rayon::{ScopeFifo, ThreadPool};

use super::disk::Disk;
use super::flight::{Failed, Flight};
use super::journal::Journal;
use super::keeper::{self, Tell};
use super::route::{Piece, Route, row_bytes, runs};
use super::sha::{Hash, Midstate, Sha256};
use super::{Arriving, ArrivingError, Event, Shard, Shards, WINDOW};
use crate::convert::infos;
use crate::plan::Plan;
use crate::stream::converter::{Buffers, Converter, Largest};
use crate::stream::{StreamError, workers};
use siskin_model::arch::Transform;
use siskin_model::gguf::{DEFAULT_ALIGNMENT, write_header};

/// Bytes that are read at a time.
const STEP: usize = 256 << 10;

/// Everything that a run needs.
pub(super) struct Work<'a> {
    pub(super) plan: &'a Plan,
    /// Position of the data section in the output.
    pub(super) data_start: u64,
    pub(super) route: &'a Route,
    /// As the caller gave them.
    pub(super) shards: &'a [Shard],
    /// The index of the shard that each file of the checkpoint is.
    pub(super) of_file: &'a [usize],
    pub(super) source: &'a dyn Shards,
    pub(super) disk: &'a dyn Disk,
    pub(super) options: &'a Arriving<'a>,
}

/// What reader and workers share.
struct Shared<'a> {
    work: &'a Work<'a>,
    flight: &'a Mutex<Flight>,
    tell: Sender<Tell>,
    free: Sender<Buffers>,
    /// Set if the keeper has failed.
    stop: &'a AtomicBool,
}

/// A shard that is being read.
struct Body<'a> {
    input: Box<dyn Read + Send + 'a>,
    sha: Sha256,
    file: usize,
}

impl Work<'_> {
    /// Reads all shards from where `journal` is, and returns the journal of a complete run.
    pub(super) fn execute(
        &self,
        journal: Journal,
        on_event: &mut (dyn FnMut(Event<'_>) + Send),
    ) -> Result<Journal, ArrivingError> {
        for (position, bytes) in self.without_source()? {
            self.disk.write_at(&bytes, position)?;
        }
        let rows_left = keeper::RowsLeft::new(self, &journal);
        let flight = &Mutex::new(Flight::new(journal));
        let stop = &AtomicBool::new(false);
        let (tell, told) = channel();
        let (free, freed) = channel();
        let pool = workers::start(self.options.stream.threads)?;
        let largest = self.route.largest(self.plan);
        for _ in 0..buffers(pool.current_num_threads(), &largest) {
            let _ = free.send(largest.buffers()?); // cannot fail: the receiver is alive
        }
        let read = thread::scope(|scope| {
            let keeper = thread::Builder::new().stack_size(workers::STACK);
            let keeper = keeper.spawn_scoped(scope, move || {
                let kept = keeper::keep(self, flight, &told, rows_left, on_event);
                stop.store(kept.is_err(), Ordering::Relaxed);
                kept
            });
            let keeper = keeper.map_err(|error| workers::refused(1, &error))?;
            let shared = Shared {
                work: self,
                flight,
                tell,
                free,
                stop,
            };
            let read = (0..self.of_file.len()).try_for_each(|file| shared.read_file(&pool, file, &freed));
            drop(shared); // the keeper hears no more and writes the last journal
            let kept = keeper
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            // A failed disk is the reason for whatever else happened.
            kept.map_err(ArrivingError::from).and(read)
        });
        let journal = lock(flight).snapshot();
        match read {
            Err(ArrivingError::Interrupted { .. }) => Err(ArrivingError::Interrupted {
                kept: journal.consumed(),
            }),
            read => read.map(|()| journal),
        }
    }

    /// What is in the output without being in a shard, with its position: the header, and generated tensors.
    pub(super) fn without_source(&self) -> Result<Vec<(u64, Vec<u8>)>, StreamError> {
        let mut header = Vec::new();
        // A Vec takes everything that is written to it.
        let _ = write_header(
            &mut header,
            &self.plan.metadata,
            &infos(self.plan),
            DEFAULT_ALIGNMENT,
        );
        let mut all = vec![(0, header)];
        for tensor in &self.plan.tensors {
            if let Transform::Generated { values } = &tensor.transform {
                let mut bytes = vec![0; usize::try_from(tensor.bytes()).unwrap_or(usize::MAX)];
                Converter::new(tensor, &self.options.stream).generated(values, &mut bytes)?;
                all.push((self.data_start + tensor.offset, bytes));
            }
        }
        Ok(all)
    }

    /// Fails if the caller wants the run to stop.
    pub(super) fn check_cancel(&self, journal: &Journal) -> Result<(), ArrivingError> {
        match self.options.stream.cancel.load(Ordering::Relaxed) {
            true => Err(ArrivingError::Interrupted {
                kept: journal.consumed(),
            }),
            false => Ok(()),
        }
    }
}

impl Shared<'_> {
    /// Reads a file and writes its rows; once more if its hash is wrong.
    fn read_file(
        &self,
        pool: &ThreadPool,
        file: usize,
        freed: &Receiver<Buffers>,
    ) -> Result<(), ArrivingError> {
        let shard = &self.work.shards[self.work.of_file[file]];
        for attempt in 0..2 {
            let begun = lock(self.flight).begin_shard(file);
            let Some((first, midstate)) = begun else {
                return Ok(());
            };
            // Ends when all workers have.
            let hash = pool.in_place_scope_fifo(|scope| self.read(scope, file, first, &midstate, freed));
            let mut flight = lock(self.flight);
            let (hash, failed) = match (hash, flight.take_failure()) {
                (_, Some(Failed::Disk(error))) => return Err(error.into()),
                (Err(ArrivingError::Interrupted { .. }), Some(Failed::Convert(error)))
                    if shard.sha256.is_none() =>
                {
                    return Err(error.into());
                }
                (Err(error), _) => return Err(error),
                (Ok(hash), failed) => (hash, failed),
            };
            match (shard.sha256.map(Hash), failed) {
                (Some(want), _) if want != hash => {
                    flight.restart_shard();
                    if attempt == 1 {
                        return Err(ArrivingError::Hash {
                            shard: shard.name.clone(),
                            expected: want.to_string(),
                            found: hash.to_string(),
                        });
                    }
                    let _ = self.tell.send(Tell::Again(file)); // fails only if the keeper has
                }
                (_, Some(Failed::Convert(error))) => return Err(error.into()),
                (_, _) => {
                    flight.end_shard(hash);
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Reads a file from where `midstate` is, hands the pieces from `first` on to workers, and returns the hash of the
    /// whole file.
    fn read<'s>(
        &'s self,
        scope: &ScopeFifo<'s>,
        file: usize,
        first: u64,
        midstate: &Midstate,
        freed: &Receiver<Buffers>,
    ) -> Result<Hash, ArrivingError> {
        let work = self.work;
        let (index, shard) = (work.of_file[file], &work.shards[work.of_file[file]]);
        let opened = work.source.open(index, midstate.at);
        let input = opened.map_err(|source| self.source_error(file, source))?;
        let mut body = Body {
            input,
            sha: Sha256::from_midstate(midstate),
            file,
        };
        let skipped = usize::try_from(first).unwrap_or(usize::MAX);
        for (number, piece) in (0..).zip(work.route.pieces(file)).skip(skipped) {
            let stretch = &work.route.files[file][piece.stretch];
            let start = stretch.start + piece.rows.start * stretch.row_bytes;
            self.pass(&mut body, start)?;
            // Without a hash to expect, the bytes are as they are; else the hash tells whose fault the failure is.
            if lock(self.flight).has_failed() {
                if shard.sha256.is_none() {
                    return Err(self.interrupted());
                }
                break;
            }
            let mut buffers = freed.recv().map_err(|_| self.interrupted())?;
            lock(self.flight).begin(number, body.sha.midstate());
            let len = (piece.rows.end - piece.rows.start) * stretch.row_bytes;
            buffers
                .stored
                .resize(usize::try_from(len).unwrap_or(usize::MAX), 0);
            let stored = &mut buffers.stored;
            stored
                .chunks_mut(STEP)
                .try_for_each(|bytes| self.fill(&mut body, bytes))?;
            lock(self.flight).taken(number, body.sha.midstate());
            scope.spawn_fifo(move |_| self.compute(number, file, piece, buffers));
        }
        self.pass(&mut body, shard.bytes)?;
        Ok(body.sha.finish())
    }

    /// Reads and hashes what no tensor is in, up to position `end`.
    fn pass(&self, body: &mut Body<'_>, end: u64) -> Result<(), ArrivingError> {
        let mut bytes = [0; 16 << 10];
        while body.sha.len() < end {
            let len = usize::try_from(end - body.sha.len())
                .unwrap_or(usize::MAX)
                .min(bytes.len());
            self.fill(body, &mut bytes[..len])?;
            if lock(self.flight).lacks_disk() {
                return Err(self.interrupted());
            }
        }
        Ok(())
    }

    /// Fills `bytes` from the shard, and hashes them.
    fn fill(&self, body: &mut Body<'_>, bytes: &mut [u8]) -> Result<(), ArrivingError> {
        let mut filled = 0;
        while filled < bytes.len() {
            if self.work.options.stream.cancel.load(Ordering::Relaxed) || self.stop.load(Ordering::Relaxed) {
                return Err(self.interrupted());
            }
            match body.input.read(&mut bytes[filled..]) {
                Ok(0) => return Err(self.source_error(body.file, ErrorKind::UnexpectedEof.into())),
                Ok(read) => filled += read,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(self.source_error(body.file, error)),
            }
        }
        body.sha.update(bytes);
        let (file, bytes) = (body.file, body.sha.len());
        let _ = self.tell.send(Tell::Arrived { file, bytes }); // fails only if the keeper has
        Ok(())
    }

    /// Computes a piece and writes its rows.
    fn compute(&self, number: u64, file: usize, piece: Piece, mut buffers: Buffers) {
        let stretch = piece.stretch;
        let computed = catch_unwind(AssertUnwindSafe(|| self.write(file, &piece, &mut buffers)));
        let computed = computed.unwrap_or_else(|_| {
            let of = self.work.route.files[file][stretch].uses[0];
            Err(Failed::Convert(StreamError::Worker {
                tensor: self.work.plan.tensors[of.tensor].name.clone(),
            }))
        });
        match computed {
            Ok(written) => {
                lock(self.flight).finish(number, stretch, written);
                let _ = self.tell.send(Tell::Written(file, piece));
            }
            Err(failed) => lock(self.flight).fail(failed),
        }
        let _ = self.free.send(buffers); // fails only if the reader has ended
    }

    fn write(&self, file: usize, piece: &Piece, buffers: &mut Buffers) -> Result<Hash, Failed> {
        let work = self.work;
        let stretch = &work.route.files[file][piece.stretch];
        let Buffers { out, stored, weights } = buffers;
        let size = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
        let mut sha = Sha256::new();
        for run in runs(work.plan, stretch, &piece.rows) {
            let tensor = &work.plan.tensors[run.tensor];
            let Range { start, end } = run.rows;
            let row_bytes = row_bytes(tensor);
            out.resize(size((end - start) * row_bytes), 0);
            let stored = |row| {
                let from = size((tensor.source_row(row).1 - piece.rows.start) * stretch.row_bytes);
                &stored[from..from + size(stretch.row_bytes)]
            };
            Converter::new(tensor, &work.options.stream)
                .run(run.rows, stretch.ty, stored, weights, out)
                .map_err(Failed::Convert)?;
            let position = work.data_start + tensor.offset + start * row_bytes;
            work.disk.write_at(out, position).map_err(Failed::Disk)?;
            sha.update(out);
        }
        Ok(sha.finish())
    }

    fn source_error(&self, file: usize, source: std::io::Error) -> ArrivingError {
        ArrivingError::Source {
            shard: self.work.shards[self.work.of_file[file]].name.clone(),
            source,
        }
    }

    fn interrupted(&self) -> ArrivingError {
        ArrivingError::Interrupted { kept: 0 }
    }
}

/// Number of buffers: enough for reading and computing at the same time, within the window.
pub(super) fn buffers(threads: usize, largest: &Largest) -> usize {
    (2 * threads + 2).min((WINDOW / largest.stored.max(1)).max(2))
}

fn lock(flight: &Mutex<Flight>) -> MutexGuard<'_, Flight> {
    flight.lock().unwrap_or_else(PoisonError::into_inner)
}
