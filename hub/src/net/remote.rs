//! A file on a server that is read at any position: headers are read before anything is downloaded.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Read};
use std::sync::{Arc, Mutex, PoisonError};

use siskin_model::files::ReadAt;

use super::body::{Body, Source};
use super::client::Client;

/// The first request's size in bytes: a header of safetensors has about 30 KiB per billion parameters.
const FIRST: u64 = 128 << 10;
/// The largest request that is longer than what was asked for.
const MOST: u64 = 4 << 20;
/// What is kept in bytes. The header of a GGUF file, which holds the vocabulary, has up to 16 MiB.
const KEPT: usize = 32 << 20;

/// A file that is read in ranges. What was read is kept; a reader that goes on where it stopped gets more at a time.
pub struct RemoteReader {
    client: Client,
    source: Arc<Source>,
    cache: Mutex<Cache>,
}

#[derive(Default)]
struct Cache {
    /// Pieces by their position; none overlaps another.
    pieces: BTreeMap<u64, Vec<u8>>,
    held: usize,
    /// The position after the last request, and that request's size.
    last: Option<(u64, u64)>,
}

impl fmt::Debug for RemoteReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RemoteReader")
            .field(&self.source.subject.what)
            .finish()
    }
}

impl Cache {
    /// Copies what is kept from `position` on; gives the number of bytes.
    fn copy(&self, position: u64, bytes: &mut [u8]) -> usize {
        let Some((start, piece)) = self.pieces.range(..=position).next_back() else {
            return 0;
        };
        let rest = usize::try_from(position - start)
            .ok()
            .and_then(|skip| piece.get(skip..))
            .unwrap_or_default();
        let len = rest.len().min(bytes.len());
        bytes[..len].copy_from_slice(&rest[..len]);
        len
    }

    /// How many bytes to ask for at `position`, if `wanted` are needed and `left` are in the file.
    fn ahead(&self, position: u64, wanted: u64, left: u64) -> u64 {
        let ahead = match self.last {
            Some((end, size)) if end == position => size.saturating_mul(2).min(MOST),
            _ => FIRST,
        };
        let next = self
            .pieces
            .range(position..)
            .next()
            .map_or(left, |(start, _)| start - position);
        ahead.max(wanted).min(left).min(next)
    }

    fn keep(&mut self, position: u64, piece: Vec<u8>) {
        if self.held + piece.len() > KEPT {
            self.pieces.clear();
            self.held = 0;
        }
        self.last = Some((position + piece.len() as u64, piece.len() as u64));
        self.held += piece.len();
        self.pieces.insert(position, piece);
    }
}

impl RemoteReader {
    pub(crate) fn new(client: Client, source: Arc<Source>) -> Self {
        RemoteReader {
            client,
            source,
            cache: Mutex::default(),
        }
    }

    /// The file's size in bytes.
    pub fn len(&self) -> u64 {
        self.source.len
    }

    /// True if the file has no bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn fetch(&self, position: u64, size: u64) -> io::Result<Vec<u8>> {
        let mut body = Body::new(
            self.client.clone(),
            Arc::clone(&self.source),
            position..position + size,
        );
        let mut piece = vec![0; usize::try_from(size).map_err(io::Error::other)?];
        body.read_exact(&mut piece)?;
        Ok(piece)
    }
}

impl ReadAt for RemoteReader {
    fn read_at(&self, start: u64, bytes: &mut [u8]) -> io::Result<()> {
        let end = start
            .checked_add(bytes.len() as u64)
            .filter(|end| *end <= self.len());
        if end.is_none() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut position, mut rest) = (start, bytes);
        while !rest.is_empty() {
            let copied = cache.copy(position, rest);
            if copied == 0 {
                let size = cache.ahead(position, (rest.len() as u64).min(MOST), self.len() - position);
                cache.keep(position, self.fetch(position, size)?);
                continue;
            }
            position += copied as u64;
            rest = &mut rest[copied..];
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_grow_as_a_reader_goes_on_and_never_fetch_twice() {
        let mut cache = Cache::default();
        let (mut sizes, mut position) = (Vec::new(), 0);
        while position < 8 << 20 {
            let size = cache.ahead(position, 100, (1 << 30) - position);
            cache.keep(position, vec![0; size as usize]);
            sizes.push(size >> 10);
            position += size;
        }
        assert_eq!(sizes, [128, 256, 512, 1024, 2048, 4096, 4096]);
        // Elsewhere it begins small again, and ends before what is there or at the end.
        assert_eq!(cache.ahead(1 << 29, 100, 1 << 29), FIRST);
        assert_eq!(cache.ahead((1 << 30) - 22, 22, 22), 22);
        cache.keep(1 << 29, vec![0; 10]);
        assert_eq!(cache.ahead((1 << 29) - 7, 100, 1 << 29), 7);
    }
}
