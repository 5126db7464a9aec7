//! Executes a plan: reads rows in pieces, transforms them, quantizes them in parallel and writes them in
//! order.
//!
//! Memory is bounded: each piece in flight owns buffers for about `PIECE_WEIGHTS` weights, stored and
//! quantized. A fixed set of buffers circulates (dispatcher → worker → writer → dispatcher), so that reading,
//! computing and writing overlap, and none can run ahead of the disk. Written bytes are flushed to the disk
//! in steps, in parallel with the rest of the work (`flush`).

pub(crate) mod converter;
mod flush;
mod piece;
pub(crate) mod workers;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use converter::{Buffers, Largest};
use flush::Flusher;

use crate::block::Effort;
use crate::imatrix::Imatrix;
use crate::plan::{Plan, PlannedTensor};
use siskin_model::atomic_file::{AtomicFile, AtomicFileError};
use siskin_model::files::{FileError, Files};
use siskin_model::gguf::DEFAULT_ALIGNMENT;
use siskin_model::{ErrorKind, TensorType};

/// Approximate number of weights per piece: large enough to hide the cost of handing it over, small enough
/// that the buffers of sixteen workers stay far below the memory budget.
pub(crate) const PIECE_WEIGHTS: u64 = 256 * 1024;

/// How to run a plan.
#[derive(Debug, Clone, Copy)]
pub struct StreamOptions<'a> {
    /// Worker threads, at least 1.
    pub threads: usize,
    /// If true, accept NaN and infinities; otherwise a tensor that contains them is refused.
    pub allow_nonfinite: bool,
    /// Effort of the search for scales.
    pub effort: Effort,
    /// Importance matrix that weights the search for scales.
    pub imatrix: Option<&'a Imatrix>,
    /// If another thread sets this, the run stops early with [`StreamError::Interrupted`].
    pub cancel: &'a AtomicBool,
}

impl<'a> StreamOptions<'a> {
    /// The usual: finite weights only, normal effort, no importance matrix.
    pub fn new(threads: usize, cancel: &'a AtomicBool) -> Self {
        StreamOptions {
            threads,
            allow_nonfinite: false,
            effort: Effort::Normal,
            imatrix: None,
            cancel,
        }
    }
}

/// Progress of a run; reported after each piece is written.
#[derive(Debug, Clone, Copy)]
pub struct Progress<'a> {
    /// The tensor being written.
    pub tensor: &'a PlannedTensor,
    /// True if this was the tensor's last piece.
    pub finished: bool,
    /// Bytes of the data section written so far.
    pub written: u64,
    /// Size of the data section in bytes.
    pub total: u64,
}

/// A plan could not be executed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StreamError {
    /// An input could not be read.
    #[error("tensor {tensor}: {source}")]
    Read {
        /// Name of the tensor in the checkpoint.
        tensor: String,
        /// Why it could not be read.
        source: FileError,
    },
    /// The output could not be written.
    #[error(transparent)]
    Write(#[from] AtomicFileError),
    /// A weight is NaN or infinite.
    #[error("tensor {tensor}: weight {index} of row {row} is {value}; the weights are damaged")]
    NonFinite {
        /// Name of the output tensor.
        tensor: String,
        /// Row of the output tensor.
        row: u64,
        /// Index of the weight within the row.
        index: usize,
        /// The weight: NaN or infinite.
        value: f32,
    },
    /// A weight is larger than the output's type can express, itself or as the scale of its block.
    #[error(
        "tensor {tensor}: weight {index} of row {row} is {value}, too large for {ty}; convert to bf16 or f32, which reach as far as the weights"
    )]
    TooLarge {
        /// Name of the output tensor.
        tensor: String,
        /// Row of the output tensor.
        row: u64,
        /// Index of the weight within the row.
        index: usize,
        /// The weight.
        value: f32,
        /// Type of the output tensor.
        ty: TensorType,
    },
    /// The worker threads could not be started.
    #[error("cannot start {threads} worker threads: {reason}")]
    Threads {
        /// Number of threads requested.
        threads: usize,
        /// Error reported by the system.
        reason: String,
    },
    /// The system gives no memory for a piece.
    #[error("the system refuses {bytes} bytes of memory for the rows of a tensor")]
    Memory {
        /// Bytes asked for.
        bytes: usize,
    },
    /// A worker panicked: a bug in siskin, not in the input.
    #[error("tensor {tensor}: a worker failed on it; this is a bug in siskin, please report it")]
    Worker {
        /// Name of the output tensor.
        tensor: String,
    },
    /// The run was stopped by `cancel`.
    #[error("interrupted; nothing was written")]
    Interrupted,
}

impl StreamError {
    /// What kind of failure this is.
    pub fn kind(&self) -> ErrorKind {
        match self {
            StreamError::Read { source, .. } => source.kind(),
            StreamError::Write(source) => source.kind(),
            StreamError::NonFinite { .. } => ErrorKind::NonFinite,
            StreamError::TooLarge { .. } => ErrorKind::OutOfRange,
            StreamError::Threads { .. } | StreamError::Memory { .. } | StreamError::Worker { .. } => {
                ErrorKind::Internal
            }
            StreamError::Interrupted => ErrorKind::Interrupted,
        }
    }
}

/// Bytes of memory that must be there beside the buffers: for the writer, and for each worker.
const SPARE: usize = 8 << 20;
const SPARE_OF_THREAD: usize = 1 << 20;

/// Number of a piece, and its computed buffers or an error.
type Done = (usize, Result<Buffers, StreamError>);

/// Writes the data section of `plan` to `target`, which is positioned at the start of the section.
///
/// # Errors
/// Returns the first error in file order, or [`StreamError::Interrupted`] if `cancel` was set. After an
/// error, the target is not committed.
pub fn write_data(
    plan: &Plan,
    files: &Files,
    target: &AtomicFile,
    options: StreamOptions<'_>,
    on_progress: &mut (dyn FnMut(Progress<'_>) + Send),
) -> Result<(), StreamError> {
    let stop = AtomicBool::new(false);
    let (done_tx, done_rx) = channel::<Done>();
    let (free_tx, free_rx) = channel::<Buffers>();
    let (stop, writer_free) = (&stop, free_tx.clone());
    thread::scope(|scope| {
        let flusher = Flusher::start(scope, target).map_err(|error| workers::refused(1, &error))?;
        let writer = thread::Builder::new().stack_size(workers::STACK);
        let writer = writer.spawn_scoped(scope, move || {
            let result = write_in_order(plan, target, &flusher, &done_rx, &writer_free, on_progress);
            let result = result.and(flusher.finish().map_err(StreamError::from));
            stop.store(result.is_err(), Ordering::Relaxed);
            result
        });
        let writer = writer.map_err(|error| workers::refused(1, &error))?;
        // If these fail, the writer hears no more and ends.
        let pool = workers::start(options.threads)?;
        let largest = Largest::of(plan, PIECE_WEIGHTS);
        for _ in 0..2 * pool.current_num_threads() + 2 {
            let _ = free_tx.send(largest.buffers()?); // cannot fail: the receiver is alive on this stack
        }
        drop(free_tx);
        // The threads allocate small things meanwhile. If those cannot be had, the process ends and leaves its
        // temporary file.
        drop(converter::with_room::<u8>(
            SPARE + pool.current_num_threads() * SPARE_OF_THREAD,
        )?);
        pool.in_place_scope_fifo(|workers| {
            for (number, piece) in piece::pieces(plan, PIECE_WEIGHTS).enumerate() {
                piece.prefetch(plan, files);
                let Ok(mut buffers) = free_rx.recv() else { break }; // the writer has stopped after an error
                let done = done_tx.clone();
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                if options.cancel.load(Ordering::Relaxed) {
                    let _ = done.send((number, Err(StreamError::Interrupted)));
                    break;
                }
                workers.spawn_fifo(move |_| {
                    // Catch panics: the writer would wait forever for a piece that never arrives.
                    let compute = || piece.compute(plan, files, &options, &mut buffers);
                    let computed = catch_unwind(AssertUnwindSafe(compute)).unwrap_or_else(|_| {
                        Err(StreamError::Worker {
                            tensor: plan.tensors[piece.tensor].name.clone(),
                        })
                    });
                    let _ = done.send((number, computed.map(|()| buffers)));
                });
            }
            drop(done_tx);
        });
        writer
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// Receives pieces in any order and writes them in the plan's order, padding each tensor to the alignment.
fn write_in_order(
    plan: &Plan,
    target: &AtomicFile,
    flusher: &Flusher<'_>,
    done: &Receiver<Done>,
    free: &Sender<Buffers>,
    on_progress: &mut dyn FnMut(Progress<'_>),
) -> Result<(), StreamError> {
    let total = plan.data_bytes();
    let mut written = 0;
    let mut early = BTreeMap::new();
    for (number, piece) in piece::pieces(plan, PIECE_WEIGHTS).enumerate() {
        let buffers = loop {
            if let Some(buffers) = early.remove(&number) {
                break buffers;
            }
            // The channel closes early only if the dispatcher stopped; it has sent the reason as a piece.
            let (other, computed) = done.recv().map_err(|_| StreamError::Interrupted)?;
            early.insert(other, computed?);
        };
        let tensor = &plan.tensors[piece.tensor];
        let finished = piece.rows.end == tensor.rows().0;
        target.write_all(&buffers.out)?;
        flusher.wrote(buffers.out.len() as u64);
        written += buffers.out.len() as u64;
        let _ = free.send(buffers); // fails if the dispatcher has finished; it then needs no buffers
        if finished {
            written += pad(target, written)?;
        }
        on_progress(Progress {
            tensor,
            finished,
            written,
            total,
        });
    }
    Ok(())
}

/// Writes zeros up to the next multiple of the alignment; returns their number.
fn pad(target: &AtomicFile, written: u64) -> Result<u64, AtomicFileError> {
    let padding = written.next_multiple_of(DEFAULT_ALIGNMENT) - written;
    target.write_all(&[0; DEFAULT_ALIGNMENT as usize][..padding as usize])?;
    Ok(padding)
}

#[cfg(test)]
mod tests;
