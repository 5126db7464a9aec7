//! How far a run is, as a file that survives the run.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Shard;
use super::route::Route;
use super::sha::{Hash, Midstate, Sha256, digest};
use crate::convert::infos;
use crate::plan::Plan;
use crate::stream::{PIECE_WEIGHTS, StreamOptions};
use siskin_model::gguf::{DEFAULT_ALIGNMENT, write_header};

/// The version of the journal's form.
const VERSION: u32 = 1;

/// Everything that the next run must know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Journal {
    version: u32,
    /// Where the shards come from, as the caller names it.
    origin: String,
    /// Of the plan and of all that decides about the output's bytes.
    fingerprint: Hash,
    /// Of the files of the checkpoint, in order.
    pub(super) shards: Vec<Entry>,
}

/// How far a shard is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry {
    name: String,
    bytes: u64,
    expected: Option<Hash>,
    /// The hash of the whole shard; its rows are all on the disk then.
    pub(super) found: Option<Hash>,
    /// Pieces whose rows are on the disk: the first ones.
    pub(super) pieces: u64,
    /// The shard's hash before the first piece that is not on the disk. The next run reads from there.
    pub(super) midstate: Midstate,
    /// Of each stretch: a hash of the output's bytes so far.
    pub(super) written: Vec<Hash>,
}

impl Entry {
    /// Bytes that need not be read again.
    pub(super) fn consumed(&self) -> u64 {
        match self.found {
            Some(_) => self.bytes,
            None => self.midstate.at,
        }
    }

    /// Forgets everything that has arrived.
    pub(super) fn restart(&mut self) {
        self.found = None;
        self.pieces = 0;
        self.midstate = Midstate::start();
        self.written.fill(Hash([0; 32]));
    }

    /// Adds a piece's hash to that of its stretch. Pieces are added in order.
    pub(super) fn add(&mut self, stretch: usize, piece: Hash) {
        let so_far = &mut self.written[stretch];
        *so_far = digest(&[so_far.0, piece.0].concat());
    }
}

/// Why what an earlier run left is not continued.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Anew {
    /// The journal is missing or damaged, or the file has another size.
    Unreadable,
    /// It came from somewhere else: this is where.
    Origin(String),
    /// Other tensors, types, options or another version of siskin.
    Plan,
    /// The shards have other sizes or hashes.
    Shards,
}

impl fmt::Display for Anew {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Anew::Unreadable => f.write_str("its journal cannot be read"),
            Anew::Origin(other) => write!(f, "it is of {other}"),
            Anew::Plan => f.write_str("it has other settings or is of another version"),
            Anew::Shards => f.write_str("its files have changed"),
        }
    }
}

impl Journal {
    /// Of a run that has read nothing. `shards` are in the order of the checkpoint's files.
    pub(super) fn new<'s>(
        origin: &str,
        fingerprint: Hash,
        route: &Route,
        shards: impl Iterator<Item = &'s Shard>,
    ) -> Self {
        let entry = |(shard, stretches): (&Shard, &Vec<_>)| Entry {
            name: shard.name.clone(),
            bytes: shard.bytes,
            expected: shard.sha256.map(Hash),
            found: None,
            pieces: 0,
            midstate: Midstate::start(),
            written: vec![Hash([0; 32]); stretches.len()],
        };
        Journal {
            version: VERSION,
            origin: origin.to_owned(),
            fingerprint,
            shards: shards.zip(&route.files).map(entry).collect(),
        }
    }

    /// The journal in `text`, if it is of the same run as `self`, which has read nothing.
    pub(super) fn resumed(&self, text: &[u8], route: &Route) -> Result<Self, Anew> {
        let left: Journal = serde_json::from_slice(text).map_err(|_| Anew::Unreadable)?;
        if left.version != self.version {
            return Err(Anew::Unreadable);
        }
        if left.origin != self.origin {
            return Err(Anew::Origin(left.origin));
        }
        if left.fingerprint != self.fingerprint {
            return Err(Anew::Plan);
        }
        let identity = |entry: &Entry| (entry.name.clone(), entry.bytes, entry.expected);
        if !left
            .shards
            .iter()
            .map(identity)
            .eq(self.shards.iter().map(identity))
        {
            return Err(Anew::Shards);
        }
        let possible = |(file, entry): (usize, &Entry)| {
            let stretches = &route.files[file];
            // The bytes of the next piece, and of all after it, are still to be read.
            let next = usize::try_from(entry.pieces).ok().map(|next| {
                let next = route.pieces(file).nth(next);
                next.map_or(entry.bytes, |piece| {
                    let stretch = &stretches[piece.stretch];
                    stretch.start + piece.rows.start * stretch.row_bytes
                })
            });
            entry.midstate.at.is_multiple_of(super::sha::BLOCK)
                && next.is_some_and(|next| entry.midstate.at <= next)
                && entry.written.len() == stretches.len()
                && entry.pieces <= route.pieces(file).count() as u64
                && (entry.found.is_none() || entry.expected.is_none() || entry.found == entry.expected)
        };
        match left.shards.iter().enumerate().all(possible) {
            true => Ok(left),
            false => Err(Anew::Unreadable),
        }
    }

    /// Bytes of all shards that need not be read again.
    pub(super) fn consumed(&self) -> u64 {
        self.shards.iter().map(Entry::consumed).sum()
    }

    pub(super) fn to_json(&self) -> Vec<u8> {
        // Texts and numbers always have a JSON form.
        serde_json::to_vec(self).unwrap_or_default()
    }
}

/// A hash of all that decides about the output's bytes, and about the pieces in which they are made.
pub(super) fn fingerprint(plan: &Plan, options: &StreamOptions<'_>) -> Hash {
    let mut sha = Sha256::new();
    let mut add = |bytes: &[u8]| {
        sha.update(&(bytes.len() as u64).to_le_bytes());
        sha.update(bytes);
    };
    let StreamOptions {
        allow_nonfinite,
        effort,
        imatrix,
        ..
    } = options;
    let settings = format!(
        "{} {PIECE_WEIGHTS} {allow_nonfinite} {effort:?}",
        env!("CARGO_PKG_VERSION")
    );
    add(settings.as_bytes());
    let mut header = Vec::new();
    // A Vec takes everything that is written to it.
    let _ = write_header(&mut header, &plan.metadata, &infos(plan), DEFAULT_ALIGNMENT);
    add(&header);
    drop(header);
    for tensor in &plan.tensors {
        add(format!("{:?} {:?}", tensor.transform, tensor.sources).as_bytes());
        let importance = imatrix.and_then(|imatrix| imatrix.importance(tensor));
        let bytes: Vec<u8> = importance
            .iter()
            .copied()
            .flatten()
            .flat_map(|x| x.to_le_bytes())
            .collect();
        add(&bytes);
    }
    sha.finish()
}
