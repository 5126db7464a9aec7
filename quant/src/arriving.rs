//! Executes a conversion whose shards arrive once, in order, and are not stored.
//!
//! ```text
//! shard ─► pieces in the shard's order ─► rows, quantized ─► positional writes into .NAME.pull ─► NAME
//!      └─► SHA-256                    └─► .NAME.pull.json: what is on the disk, and the hash's state before the rest
//! ```
//!
//! A run that ends early, by a signal or by a power failure, leaves `.NAME.pull` and its journal, and the next run goes
//! on from there. The journal is written only after the rows that it counts are on the disk (`keeper`), and it has the
//! state of the shard's hash before the first byte that is read again (`sha`), so that every byte is verified although
//! none is stored. The output's bytes are those of [`Conversion::write`].
//!
//! Memory: as in `stream`, a fixed set of buffers circulates, of at most `WINDOW` source bytes.

mod disk;
mod error;
mod execute;
mod flight;
mod journal;
mod keeper;
mod read_back;
mod route;
mod sha;

use std::io::{self, Read};
use std::path::Path;
use std::time::Duration;

use crate::convert::Conversion;
use crate::plan::PlannedTensor;
use crate::stream::{PIECE_WEIGHTS, StreamError, StreamOptions};
pub use error::ArrivingError;
use execute::Work;
pub use journal::Anew;
use journal::{Journal, fingerprint};
use route::Route;
use siskin_model::atomic_file::{KeptFile, Overwrite};
use siskin_model::gguf::{DEFAULT_ALIGNMENT, data_start};

/// The most source bytes that are in memory.
const WINDOW: usize = 16 << 20;

/// Gives the bytes of shards.
pub trait Shards: Sync {
    /// The bytes of shard `shard` from `offset` on. It tries again by itself: an error is final.
    ///
    /// # Errors
    /// Fails if the shard cannot be had.
    fn open(&self, shard: usize, offset: u64) -> io::Result<Box<dyn Read + Send + '_>>;
}

/// A shard, as its repository describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shard {
    /// Its name in the checkpoint.
    pub name: String,
    /// Its size in bytes.
    pub bytes: u64,
    /// The SHA-256 that its bytes must have, if it is known.
    pub sha256: Option<[u8; 32]>,
}

/// How to run.
#[derive(Debug, Clone, Copy)]
pub struct Arriving<'a> {
    /// Threads, effort, importance matrix, and how to stop.
    pub stream: StreamOptions<'a>,
    /// Where the shards come from, exactly: what another run must have to go on with this one.
    pub origin: &'a str,
    /// If true, the output is read from the disk at the end and compared with what was written; after an earlier run it is
    /// in any case.
    pub read_back: bool,
    /// Source bytes between two journals.
    pub checkpoint_bytes: u64,
    /// Time between two journals.
    pub checkpoint_time: Duration,
}

impl<'a> Arriving<'a> {
    /// The usual: a journal every 64 MiB or 5 s, and the output is read back.
    pub fn new(origin: &'a str, stream: StreamOptions<'a>) -> Self {
        Arriving {
            stream,
            origin,
            read_back: true,
            checkpoint_bytes: 64 << 20,
            checkpoint_time: Duration::from_secs(5),
        }
    }
}

/// What happens during a run.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Event<'a> {
    /// Space is reserved, and the shards are asked for next.
    Begin {
        /// Source bytes that an earlier run has left nothing to do for.
        resumed: u64,
        /// Source bytes in all shards.
        total: u64,
        /// Why what an earlier run left is not continued; `None` if there was nothing, or it is continued.
        anew: Option<Anew>,
    },
    /// Bytes of a shard have arrived.
    Arrived {
        /// Index of the shard.
        shard: usize,
        /// Bytes of it so far.
        bytes: u64,
    },
    /// All rows of a tensor are written.
    Finished {
        /// The tensor.
        tensor: &'a PlannedTensor,
        /// Tensors that are finished.
        finished: usize,
        /// All tensors.
        tensors: usize,
    },
    /// The bytes of a shard had another hash than they should; it is asked for once more.
    Again {
        /// Index of the shard.
        shard: usize,
    },
    /// The output is being read back.
    ReadBack {
        /// Bytes so far.
        bytes: u64,
        /// All bytes.
        total: u64,
    },
}

/// What a run has done.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Arrived {
    /// Source bytes that an earlier run had left nothing to do for.
    pub resumed: u64,
    /// The SHA-256 of each shard, in the order of `shards`; of a shard that no tensor is in, `None`.
    pub sha256: Vec<Option<[u8; 32]>>,
    /// Size of the output in bytes.
    pub bytes: u64,
}

/// Executes `conversion` with the bytes of `shards` as `source` gives them, and writes `target`. `shards` has the
/// conversion's files in any order; their index is what [`Shards::open`] gets.
///
/// # Errors
/// Fails if the target must not be written or another process writes it, if a shard does not arrive or has another
/// hash than expected twice, if a tensor cannot be converted, or if the disk fails. What has arrived is kept for the
/// next run, except if the checkpoint or the disk is damaged.
pub fn run(
    conversion: &Conversion,
    shards: &[Shard],
    source: &dyn Shards,
    target: &Path,
    existing: Overwrite,
    options: &Arriving<'_>,
    on_event: &mut (dyn FnMut(Event<'_>) + Send),
) -> Result<Arrived, ArrivingError> {
    if conversion.files.hold(target) {
        return Err(ArrivingError::InPlace(target.display().to_string()));
    }
    let plan = &conversion.plan;
    let of_file = shards_of_files(conversion, shards)?;
    let in_order = || of_file.iter().map(|shard| &shards[*shard]);
    let lens: Vec<u64> = in_order().map(|shard| shard.bytes).collect();
    let route = Route::new(plan, &lens, PIECE_WEIGHTS)?;
    let disk = KeptFile::new(target, existing)?;
    let bytes = conversion.file_bytes();
    let fresh = Journal::new(
        options.origin,
        fingerprint(plan, &options.stream),
        &route,
        in_order(),
    );
    let (journal, anew) = match left(&disk, &fresh, &route, bytes)? {
        Left::Continued(journal) => (journal, None),
        Left::Nothing => (fresh, None),
        Left::Anew(reason) => (fresh, Some(reason)),
    };
    let resumed = journal.consumed();
    if resumed == 0 {
        disk.begin(bytes)?;
    }
    on_event(Event::Begin {
        resumed,
        total: lens.iter().sum(),
        anew,
    });
    let work = Work {
        plan,
        data_start: data_start(&plan.metadata, &crate::convert::infos(plan), DEFAULT_ALIGNMENT),
        route: &route,
        shards,
        of_file: &of_file,
        source,
        disk: &disk,
        options,
    };
    let done = work.execute(journal, on_event).and_then(|journal| {
        // What an earlier run wrote may have suffered since: it is compared in any case.
        if options.read_back || resumed > 0 {
            work.read_back(&journal, target, on_event)?;
        }
        Ok(journal)
    });
    match done {
        Ok(journal) => {
            let mut sha256 = vec![None; shards.len()];
            for (shard, entry) in of_file.iter().zip(&journal.shards) {
                sha256[*shard] = entry.found.map(|hash| hash.0);
            }
            disk.commit()?;
            Ok(Arrived {
                resumed,
                sha256,
                bytes,
            })
        }
        Err(error) => {
            if is_damage(&error) {
                disk.remove();
            }
            Err(error)
        }
    }
}

/// What an earlier run left.
enum Left {
    Nothing,
    Continued(Journal),
    Anew(Anew),
}

fn left(disk: &KeptFile, fresh: &Journal, route: &Route, bytes: u64) -> Result<Left, ArrivingError> {
    let (len, journal) = (disk.len()?, disk.journal());
    Ok(match journal {
        // A journal without its file: the run that it is of was killed after it had moved the file to its name.
        _ if len == 0 => Left::Nothing,
        Some(journal) if len == bytes => match fresh.resumed(&journal, route) {
            Ok(journal) if journal.consumed() > 0 => Left::Continued(journal),
            Ok(_) => Left::Nothing,
            Err(reason) => Left::Anew(reason),
        },
        _ => Left::Anew(Anew::Unreadable),
    })
}

/// True if another run with the same bytes would fail too, or must not trust what is there.
fn is_damage(error: &ArrivingError) -> bool {
    matches!(
        error,
        ArrivingError::ReadBack { .. }
            | ArrivingError::Stream(StreamError::NonFinite { .. } | StreamError::TooLarge { .. })
    )
}

/// The index of the shard that each file of the conversion is.
fn shards_of_files(conversion: &Conversion, shards: &[Shard]) -> Result<Vec<usize>, ArrivingError> {
    let files = &conversion.files;
    let find = |file: usize| {
        let path = files.path(file);
        let error = |reason| ArrivingError::Shard {
            shard: path.display().to_string(),
            reason,
        };
        let found = shards.iter().position(|shard| path.ends_with(&shard.name));
        let found = found.ok_or_else(|| error("is not one of the shards"))?;
        match shards[found].bytes == files.len(file) {
            true => Ok(found),
            false => Err(error("has another size")),
        }
    };
    (0..files.count()).map(find).collect()
}

#[cfg(test)]
mod tests;
