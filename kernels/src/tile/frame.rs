//! Goes through the rows of a product tile by tile.

use std::cell::RefCell;
use std::marker::PhantomData;
use std::ops::Range;

use super::multiply::{self, Part, Step, Sum, Superblock};
use super::unpack::{simple, superblocks, unrolled};
use super::{Header, MAX_ROWS, Rows, Simd, Starts, Tile};
use crate::Product;
use crate::ahead::Ahead;
use crate::block::Q8K;
use crate::product::Next;

/// How a kind of format goes through a product.
///
/// # Safety
/// As [`Simd`].
pub(crate) trait Kind<S: Simd> {
    /// Bytes of a block of weights.
    const BYTES: usize;
    /// Blocks in a tile.
    const BLOCKS: usize;
    /// The part of a column that a tile is multiplied by.
    type Part: Copy;

    /// Makes every column ready.
    ///
    /// # Safety
    /// `product` must be whole, as [`crate::Kernel::run`] says.
    unsafe fn prepare(product: &Product, ready: &mut Ready);
    /// The part of `column` from `block` on.
    ///
    /// # Safety
    /// As [`Kind::prepare`]; the column has the block, and `ready` is the product's.
    unsafe fn part(product: &Product, ready: &Ready, column: usize, block: usize) -> Self::Part;
    /// Unpacks `blocks` blocks.
    ///
    /// # Safety
    /// Every row must point at so many.
    unsafe fn unpack(rows: &mut Rows, blocks: usize, tile: &mut Tile<S>);
    /// Blocks that are multiplied directly at a time, if there are so many: 1 or 4.
    const DIRECT: usize;
    /// The most columns that are multiplied directly: with more, the sums do not fit the registers.
    const MOST: usize;
    /// Adds the products of block `at` with parts of columns to `totals`, without a tile.
    ///
    /// # Safety
    /// Every row must have the block, and so must `parts`.
    unsafe fn direct<const C: usize>(
        rows: &mut Rows,
        at: usize,
        parts: [Self::Part; C],
        totals: [S::F; C],
    ) -> [S::F; C];
    /// Multiplies tiles by columns.
    ///
    /// # Safety
    /// As [`multiply::superblock`].
    unsafe fn multiply<const C: usize, const R: usize>(
        tiles: &[Tile<S>; 2],
        blocks: usize,
        columns: [Self::Part; C],
        out: [*mut f32; C],
        first: bool,
    );
}

/// Formats of super-blocks.
pub(crate) struct Superblocks<F>(PhantomData<F>);

impl<S: Simd, F: superblocks::Format<S>> Kind<S> for Superblocks<F> {
    const BYTES: usize = F::BYTES;
    const BLOCKS: usize = 1;
    const DIRECT: usize = 1;
    const MOST: usize = if F::GROUP == 4 { 2 } else { 4 };
    type Part = Superblock;

    #[inline(always)]
    unsafe fn prepare(product: &Product, ready: &mut Ready) {
        if F::EXCESS == 0 && !F::MINIMUM {
            return;
        }
        for column in 0..product.columns {
            let start = product.column.wrapping_add(column * product.column_stride);
            for block in 0..product.blocks {
                // SAFETY: the caller's promise.
                unsafe { multiply::sums::<S, F>(start.cast::<Q8K>().wrapping_add(block), &mut ready.sums) };
            }
        }
    }

    #[inline(always)]
    unsafe fn part(product: &Product, ready: &Ready, column: usize, block: usize) -> Superblock {
        let start = product.column.wrapping_add(column * product.column_stride);
        let groups = 64 / F::GROUP;
        Superblock {
            block: start.cast::<Q8K>().wrapping_add(block),
            sums: ready
                .sums
                .as_ptr()
                .wrapping_add((column * product.blocks + block) * groups),
        }
    }

    #[inline(always)]
    unsafe fn unpack(rows: &mut Rows, _: usize, tile: &mut Tile<S>) {
        // SAFETY: the caller's promise.
        unsafe { F::unpack(rows, &mut tile.header, &mut tile.levels) }
    }

    #[inline(always)]
    unsafe fn direct<const C: usize>(
        rows: &mut Rows,
        _: usize,
        parts: [Superblock; C],
        totals: [S::F; C],
    ) -> [S::F; C] {
        // SAFETY: the caller's promise.
        unsafe {
            let mut header = Header::empty();
            let mut levels = multiply::DirectSuperblock::<S, F, C>::new(parts);
            F::unpack(rows, &mut header, &mut levels);
            levels.add_to(totals, &header)
        }
    }

    #[inline(always)]
    unsafe fn multiply<const C: usize, const R: usize>(
        tiles: &[Tile<S>; 2],
        _: usize,
        columns: [Superblock; C],
        out: [*mut f32; C],
        first: bool,
    ) {
        // SAFETY: the caller's promise.
        unsafe { multiply::superblock::<S, F, C, R>(tiles, columns, out, first) }
    }
}

/// Formats of simple blocks.
pub(crate) struct Simple<F>(PhantomData<F>);

impl<S: Simd, F: simple::Format<S>> Kind<S> for Simple<F> {
    const BYTES: usize = F::BYTES;
    const BLOCKS: usize = 8;
    const DIRECT: usize = 4;
    const MOST: usize = 4;
    type Part = Part;

    #[inline(always)]
    unsafe fn prepare(product: &Product, ready: &mut Ready) {
        let bytes = multiply::column_bytes::<S, F>();
        for column in 0..product.columns {
            let start = product.column.wrapping_add(column * product.column_stride);
            for block in 0..product.blocks {
                // SAFETY: the caller's promise.
                ready
                    .steps
                    .push(unsafe { multiply::step::<S, F>(start.wrapping_add(block * bytes)) });
            }
        }
    }

    #[inline(always)]
    unsafe fn part(product: &Product, ready: &Ready, column: usize, block: usize) -> Part {
        let start = product.column.wrapping_add(column * product.column_stride);
        Part {
            blocks: start.wrapping_add(block * multiply::column_bytes::<S, F>()),
            steps: ready.steps.as_ptr().wrapping_add(column * product.blocks + block),
        }
    }

    #[inline(always)]
    unsafe fn unpack(rows: &mut Rows, blocks: usize, tile: &mut Tile<S>) {
        let (header, levels) = (&mut tile.header, &mut tile.levels);
        let mut block = 0;
        // SAFETY: the caller's promise.
        unsafe {
            while block + 4 <= blocks {
                unrolled!(i in [0 1 2 3] {
                    F::unpack(rows, i * F::BYTES, block + i, header, levels);
                });
                rows.at = rows.at.map(|row| row.wrapping_add(4 * F::BYTES));
                block += 4;
            }
            while block < blocks {
                F::unpack(rows, 0, block, header, levels);
                rows.at = rows.at.map(|row| row.wrapping_add(F::BYTES));
                block += 1;
            }
        }
    }

    #[inline(always)]
    unsafe fn direct<const C: usize>(
        rows: &mut Rows,
        at: usize,
        parts: [Part; C],
        totals: [S::F; C],
    ) -> [S::F; C] {
        // SAFETY: the caller's promise.
        unsafe {
            let mut header = Header::empty();
            let mut levels = multiply::DirectBlock::<S, F, C>::new(parts, at);
            F::unpack(rows, at * F::BYTES, 0, &mut header, &mut levels);
            levels.add_to(totals, &header)
        }
    }

    #[inline(always)]
    unsafe fn multiply<const C: usize, const R: usize>(
        tiles: &[Tile<S>; 2],
        blocks: usize,
        columns: [Part; C],
        out: [*mut f32; C],
        first: bool,
    ) {
        // SAFETY: the caller's promise.
        unsafe { multiply::blocks::<S, F, C, R>(tiles, blocks, columns, out, first) }
    }
}

/// What is made ready of the columns.
pub(crate) struct Ready {
    steps: Vec<Step>,
    sums: Vec<Sum>,
}

thread_local! {
    /// Of the product that this thread computes; kept, so that it is allocated once.
    static READY: RefCell<Ready> = const { RefCell::new(Ready::NONE) };
}

impl Ready {
    const NONE: Ready = Ready {
        steps: Vec::new(),
        sums: Vec::new(),
    };
}

/// Computes the rows of a product that `next` gives.
///
/// # Safety
/// As [`crate::Kernel::run`], on a CPU with the instructions; inlined into a function compiled for them.
#[inline(always)]
pub(crate) unsafe fn run<S: Simd, K: Kind<S> + Kind<S::Alone>>(product: &Product, next: Next<'_>) {
    // Not inside a closure, which would not be compiled for the instructions.
    let mut ready = READY.replace(Ready::NONE);
    ready.steps.clear();
    ready.sums.clear();
    // SAFETY: the caller's promise.
    unsafe {
        <K as Kind<S>>::prepare(product, &mut ready);
        let mut tiles = [Tile::<S>::empty(), Tile::<S>::empty()];
        while let Some(Range { start, end }) = next() {
            // Conditions that are known when it is compiled come first: nothing is compiled that they rule out.
            let (columns, few) = (product.columns, end - start < S::ROWS);
            if const { S::DIRECT >= 2 } && columns == 2 {
                direct::<S, K, 2>(product, &ready, 0, start..end);
            } else if const { S::DIRECT >= 3 && <K as Kind<S>>::MOST >= 3 } && columns == 3 {
                direct::<S, K, 3>(product, &ready, 0, start..end);
            } else if const { S::DIRECT >= 4 && <K as Kind<S>>::MOST >= 4 } && columns == 4 {
                direct::<S, K, 4>(product, &ready, 0, start..end);
            } else if few || const { S::DIRECT >= 1 } && columns == 1 {
                for column in 0..columns {
                    direct::<S::Alone, K, 1>(product, &ready, column, start..end);
                }
            } else {
                tiled::<S, K>(product, &ready, &mut tiles, start..end);
            }
        }
    }
    READY.set(ready);
}

/// Computes rows, at least as many as a register has lanes, with tiles.
///
/// # Safety
/// As [`run`]; the product has the rows.
#[inline(always)]
unsafe fn tiled<S: Simd, K: Kind<S>>(
    product: &Product,
    ready: &Ready,
    tiles: &mut [Tile<S>; 2],
    Range { start, end }: Range<usize>,
) {
    let mut first = start;
    while first < end {
        // SAFETY: the caller's promise.
        unsafe {
            if end - first >= 2 * S::ROWS {
                band::<S, K, 2>(product, ready, tiles, first, end);
                first += 2 * S::ROWS;
            } else {
                // The last rows: a few of them once more, rather than an incomplete register.
                let last = first.min(end - S::ROWS);
                band::<S, K, 1>(product, ready, tiles, last, end);
                first = last + S::ROWS;
            }
        }
    }
}

/// Computes the rows of `R` registers, from row `first` on; rows up to `end` are needed next.
///
/// # Safety
/// As [`run`]; the product has the rows.
#[inline(always)]
unsafe fn band<S: Simd, K: Kind<S>, const R: usize>(
    product: &Product,
    ready: &Ready,
    tiles: &mut [Tile<S>; 2],
    first: usize,
    end: usize,
) {
    let mut ahead = Ahead::new(product, first + R * S::ROWS - 1, end);
    for block in (0..product.blocks).step_by(K::BLOCKS) {
        let blocks = K::BLOCKS.min(product.blocks - block);
        // SAFETY: the caller's promise.
        unsafe {
            for (r, tile) in tiles.iter_mut().enumerate().take(R) {
                let at = std::array::from_fn(|row| {
                    let row = first + r * S::ROWS + row % S::ROWS;
                    product.rows.wrapping_add(row * product.stride + block * K::BYTES)
                });
                let mut rows = Rows {
                    at,
                    ahead: ahead.next(S::ROWS * blocks * K::BYTES, at[0]),
                };
                K::unpack(&mut rows, blocks, tile);
                rows.ahead.rest();
            }
            let mut column = 0;
            while column < product.columns {
                macro_rules! columns {
                    ($count:literal) => {{
                        let all: [usize; $count] = std::array::from_fn(|c| column + c);
                        let parts = all.map(|c| K::part(product, ready, c, block));
                        let out = all.map(|c| product.out.wrapping_add(c * product.out_stride + first));
                        K::multiply::<$count, R>(tiles, blocks, parts, out, block == 0);
                        column += $count;
                    }};
                }
                match product.columns - column {
                    1 => columns!(1),
                    2 => columns!(2),
                    3 | 5 => columns!(3),
                    _ => columns!(4),
                }
            }
        }
    }
}

/// Computes rows of `C` columns from `column` on without tiles. If fewer rows are left than a register has lanes, the
/// last fills the others.
///
/// # Safety
/// As [`run`]; the product has the rows and the columns.
#[inline(always)]
unsafe fn direct<S: Simd, K: Kind<S>, const C: usize>(
    product: &Product,
    ready: &Ready,
    column: usize,
    range: Range<usize>,
) {
    for first in range.clone().step_by(S::ROWS) {
        // SAFETY: the caller's promise; a register has at most `MAX_ROWS` lanes.
        unsafe {
            let sums = direct_rows::<S, K, C>(product, ready, column, first, range.end);
            let left = range.end - first;
            for (c, sums) in sums.into_iter().enumerate() {
                let place = product
                    .out
                    .wrapping_add((column + c) * product.out_stride + first);
                if left >= S::ROWS {
                    S::store(place, sums);
                } else {
                    let mut all = [0f32; MAX_ROWS];
                    S::store(all.as_mut_ptr(), sums);
                    all.as_ptr().copy_to_nonoverlapping(place, left);
                }
            }
        }
    }
}

/// Computes the rows of a register from row `first` on, of which those up to `end` are needed.
///
/// # Safety
/// As [`direct`].
#[inline(always)]
unsafe fn direct_rows<S: Simd, K: Kind<S>, const C: usize>(
    product: &Product,
    ready: &Ready,
    column: usize,
    first: usize,
    end: usize,
) -> [S::F; C] {
    let mut ahead = Ahead::new(product, first + S::ROWS - 1, end);
    let mut at: Starts = std::array::from_fn(|row| {
        let row = (first + row % S::ROWS).min(end - 1);
        product.rows.wrapping_add(row * product.stride)
    });
    // SAFETY: the caller's promise.
    unsafe {
        let mut totals = [S::splat_float(0.0); C];
        let mut block = 0;
        while block < product.blocks {
            let count = if block + K::DIRECT <= product.blocks {
                K::DIRECT
            } else {
                1
            };
            let bytes = count * K::BYTES;
            let mut rows = Rows {
                at,
                ahead: ahead.next(S::ROWS * bytes, at[0]),
            };
            let parts = std::array::from_fn(|c| K::part(product, ready, column + c, block));
            totals = K::direct(&mut rows, 0, parts, totals);
            if count == 4 {
                unrolled!(i in [1 2 3] {
                    totals = K::direct(&mut rows, i, parts, totals);
                });
            }
            rows.ahead.rest();
            at = at.map(|row| row.wrapping_add(bytes));
            block += count;
        }
        totals
    }
}
