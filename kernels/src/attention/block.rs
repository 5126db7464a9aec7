//! The order of the work: blocks of cells, passes over keys and values, chunks of cells, heads of keys, tiles of
//! columns.
//!
//! A pass reads whole rows of the cache, a few at a time, in the order of their addresses: a head's rows alone
//! are too far apart for the CPU to see that they are read in order.

use std::mem::MaybeUninit;
use std::ops::Range;

use super::cells::{Block, Scan};
use super::lanes::Lanes;
use super::rows::{Ready, Room, Rows, ready};
use super::tile::{Cells, Column, Sums, add_values, score, weigh};
use super::{Attention, Cache, CacheFormat};
use crate::prefetch::prefetch;

/// The longest head, in numbers.
pub const MAX_DIM: usize = 256;
/// The most heads that share keys.
pub const MAX_GROUP: usize = HEADS;
/// Heads that are computed together.
const HEADS: usize = 64;
/// Tokens that are computed together.
const TOKENS: usize = 8;
/// Cells that are read together, for one head of keys after the other.
pub(super) const CHUNK: usize = 16;

/// # Safety
/// As [`super::AttentionKernel::run`], inlined into a function compiled for `L`.
#[inline(always)]
pub(super) unsafe fn run<L: Lanes>(a: &Attention) {
    let heads = HEADS / a.group * a.group;
    for stream in 0..a.streams {
        for token in (0..a.tokens).step_by(TOKENS) {
            let mut first = a.heads.start;
            while first < a.heads.end {
                // Up to a group's end, so that the next part has whole groups.
                let end = (first / heads + 1) * heads;
                let mut room = MaybeUninit::<Columns>::uninit();
                let part = Part {
                    a,
                    stream,
                    tokens: token..a.tokens.min(token + TOKENS),
                    heads: first..end.min(a.heads.end),
                    sums: room.as_mut_ptr().cast(),
                };
                // SAFETY: the caller's promise.
                unsafe { part.run::<L>() };
                first = end;
            }
        }
    }
}

/// At most [`TOKENS`] tokens of a stream, and at most [`HEADS`] heads.
struct Part<'a> {
    a: &'a Attention,
    stream: usize,
    tokens: Range<usize>,
    heads: Range<usize>,
    /// The first of [`Columns`].
    sums: *mut Sums,
}

/// A block for each token.
type Blocks = [Block; TOKENS];
/// Sums for each head of each token.
type Columns = [[Sums; HEADS]; TOKENS];

/// The tokens of a part, counted from its first, that see the same block of cells.
#[derive(Clone, Copy)]
struct Shared {
    first: usize,
    end: usize,
}

/// Cells that are read later, to ask the memory for: keys or values.
#[derive(Clone, Copy)]
struct Ahead<'a> {
    cache: Cache,
    cells: &'a [u32],
}

impl Part<'_> {
    /// # Safety
    /// As [`run`].
    #[inline(always)]
    unsafe fn run<L: Lanes>(&self) {
        let mut room = MaybeUninit::uninit();
        let mut scans = [Scan::new(std::ptr::null(), 0); TOKENS];
        for (scan, token) in scans.iter_mut().zip(self.tokens.clone()) {
            *scan = Scan::new(self.a.mask.row(self.stream, token), self.a.cells);
        }
        let mut blocks = [[Block::EMPTY; TOKENS]; 2];
        let [mut now, mut next] = blocks.each_mut();
        // SAFETY: the caller's promise.
        unsafe {
            self.clear();
            self.fill::<L>(&mut scans, now);
            while now.iter().any(|block| block.count > 0) {
                self.fill::<L>(&mut scans, next);
                let mut first = 0;
                while first < self.tokens.len() {
                    let same = |token: &usize| now[*token].is_of(&now[first]);
                    let end = (first + 1..self.tokens.len()).take_while(same).count() + first + 1;
                    self.block::<L>(Shared { first, end }, now, next, &mut room);
                    first = end;
                }
                std::mem::swap(&mut now, &mut next);
            }
            self.divide();
        }
    }

    /// Makes `blocks` each token's next.
    ///
    /// # Safety
    /// As [`run`].
    #[inline(always)]
    unsafe fn fill<L: Lanes>(&self, scans: &mut [Scan; TOKENS], blocks: &mut Blocks) {
        for (scan, block) in scans.iter_mut().zip(blocks).take(self.tokens.len()) {
            // SAFETY: the mask has a row for each token.
            unsafe { scan.fill::<L>(block) };
        }
    }

    /// Adds the block that `shared` see to the sums of their heads.
    ///
    /// # Safety
    /// As [`run`].
    #[inline(always)]
    unsafe fn block<L: Lanes>(&self, shared: Shared, now: &Blocks, next: &Blocks, room: &mut Room) {
        let seen = now[shared.first].seen();
        let following = now[..self.tokens.len()]
            .get(shared.end)
            .unwrap_or(&next[0])
            .seen();
        let values = Ahead {
            cache: self.a.v,
            cells: seen,
        };
        let keys = Ahead {
            cache: self.a.k,
            cells: following,
        };
        // SAFETY: the caller's promise.
        unsafe {
            self.pass::<L, false>(shared, seen, values, room);
            for (token, block) in now.iter().enumerate().take(shared.end).skip(shared.first) {
                for head in self.heads.clone() {
                    weigh::<L>(
                        &mut *self.sums(token, head),
                        seen.len(),
                        &block.bias,
                        self.a.scale,
                    );
                }
            }
            self.pass::<L, true>(shared, seen, keys, room);
        }
    }

    /// Computes the products of `cells`, or with `VALUES` the sums of their weighted values. `after` is what is
    /// read after this pass.
    ///
    /// # Safety
    /// As [`run`].
    #[inline(always)]
    unsafe fn pass<L: Lanes, const VALUES: bool>(
        &self,
        shared: Shared,
        cells: &[u32],
        after: Ahead<'_>,
        room: &mut Room,
    ) {
        let cache = if VALUES { self.a.v } else { self.a.k };
        let kv_heads = self.heads.start / self.a.group..self.heads.end.div_ceil(self.a.group);
        for first in (0..cells.len()).step_by(CHUNK) {
            let (chunk, rest) = cells[first..].split_at(CHUNK.min(cells.len() - first));
            let ahead = if rest.is_empty() {
                after
            } else {
                Ahead { cache, cells: rest }
            };
            for kv in kv_heads.clone() {
                let columns = (shared.end - shared.first) * self.group(kv).len();
                let data = cache.row(self.stream, 0, kv);
                // SAFETY: the caller's promise.
                unsafe {
                    match ready::<L>(cache, data, self.a.dim, chunk, columns, room) {
                        Ready::Cached(rows) => {
                            self.tiles::<L, _, VALUES>(shared, kv, self.cells(first, chunk, rows), ahead);
                        }
                        Ready::Unpacked(rows) => {
                            self.tiles::<L, _, VALUES>(shared, kv, self.cells(first, chunk, rows), ahead);
                        }
                    }
                }
            }
        }
    }

    /// Computes the columns that share a head of keys.
    ///
    /// # Safety
    /// As [`run`].
    #[inline(always)]
    unsafe fn tiles<L: Lanes, R: Rows, const VALUES: bool>(
        &self,
        shared: Shared,
        kv: usize,
        cells: Cells<R>,
        ahead: Ahead<'_>,
    ) {
        let heads = self.group(kv);
        let count = (shared.end - shared.first) * heads.len();
        let column = |at: usize| {
            let (token, head) = (shared.first + at / heads.len(), heads.start + at % heads.len());
            let place = (self.stream, self.tokens.start + token, head);
            Column {
                q: self.a.q.row(place.0, place.1, place.2),
                out: self.a.out.row(place.0, place.1, place.2),
                sums: self.sums(token, head),
            }
        };
        let mut at = 0;
        // SAFETY: the caller's promise.
        unsafe {
            while L::COLUMNS == 4 && at + 4 <= count {
                self.fetch(ahead, kv, at..at + 4, count);
                step::<L, R, 4, VALUES>(std::array::from_fn(|h| column(at + h)), cells);
                at += 4;
            }
            while at + 2 <= count {
                self.fetch(ahead, kv, at..at + 2, count);
                step::<L, R, 2, VALUES>(std::array::from_fn(|h| column(at + h)), cells);
                at += 2;
            }
            if at < count {
                self.fetch(ahead, kv, at..count, count);
                step::<L, R, 1, VALUES>([column(at)], cells);
            }
        }
    }

    /// Asks for the part of the next chunk that is due with the columns `done` of `count`. With one column of
    /// f16 the arithmetic is so short that the CPU looks far enough ahead itself.
    #[inline(always)]
    fn fetch(&self, ahead: Ahead<'_>, kv: usize, done: Range<usize>, count: usize) {
        if count == 1 && ahead.cache.format == CacheFormat::F16 {
            return;
        }
        let cells = ahead.cells.len().min(CHUNK);
        for &cell in &ahead.cells[cells * done.start / count..cells * done.end / count] {
            let row = ahead.cache.row(self.stream, cell as usize, kv);
            prefetch::<false>(row, ahead.cache.format.row_bytes(self.a.dim));
        }
    }

    /// The heads of this part that share head `kv` of keys.
    fn group(&self, kv: usize) -> Range<usize> {
        let group = self.a.group;
        (kv * group).max(self.heads.start)..((kv + 1) * group).min(self.heads.end)
    }

    fn cells<R>(&self, first: usize, chunk: &[u32], rows: R) -> Cells<R> {
        Cells {
            first,
            count: chunk.len(),
            rows,
            dim: self.a.dim,
        }
    }

    /// The sums of a head of a token; tokens are counted from the part's first.
    fn sums(&self, token: usize, head: usize) -> *mut Sums {
        self.sums.wrapping_add(token * HEADS + head - self.heads.start)
    }

    /// Calls `each` with every column's sums and result.
    fn columns(&self, mut each: impl FnMut(*mut Sums, *mut f32)) {
        for (at, token) in self.tokens.clone().enumerate() {
            for head in self.heads.clone() {
                each(self.sums(at, head), self.a.out.row(self.stream, token, head));
            }
        }
    }

    /// Begins all sums.
    ///
    /// # Safety
    /// As [`run`].
    unsafe fn clear(&self) {
        // SAFETY: there are sums for each column, and a result of `dim` numbers.
        self.columns(|sums, out| unsafe {
            sums.write(Sums::EMPTY);
            out.write_bytes(0, self.a.dim);
        });
    }

    /// Turns sums of values into results: zero if a token sees no cell.
    ///
    /// # Safety
    /// As [`run`], after `clear`.
    unsafe fn divide(&self) {
        // SAFETY: as in `clear`, which has made both numbers.
        self.columns(|sums, out| unsafe {
            let weight = (*sums).weight;
            for value in std::slice::from_raw_parts_mut(out, self.a.dim) {
                *value = if weight == 0.0 { 0.0 } else { *value / weight };
            }
        });
    }
}

/// # Safety
/// As [`score`] and [`add_values`].
#[inline(always)]
unsafe fn step<L: Lanes, R: Rows, const H: usize, const VALUES: bool>(columns: [Column; H], cells: Cells<R>) {
    // SAFETY: the caller's promise.
    unsafe {
        if VALUES {
            add_values::<L, R, H>(columns, cells);
        } else {
            score::<L, R, H>(columns, cells);
        }
    }
}
