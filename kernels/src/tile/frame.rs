//! Goes through the rows of a product tile by tile.

use std::cell::RefCell;
use std::marker::PhantomData;
use std::ops::Range;

use super::multiply::{self, Part, Step, Sum, Superblock};
use super::unpack::{simple, superblocks};
use super::{MAX_ROWS, Rows, Simd, Tile};
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
        unsafe { F::unpack(rows, tile) }
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
        for block in 0..blocks {
            // SAFETY: the caller's promise.
            unsafe { F::unpack(rows, block * F::BYTES, block, tile) };
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
pub(crate) unsafe fn run<S: Simd, K: Kind<S>>(product: &Product, next: Next<'_>) {
    // Not inside a closure, which would not be compiled for the instructions.
    let mut ready = READY.replace(Ready::NONE);
    ready.steps.clear();
    ready.sums.clear();
    // SAFETY: the caller's promise.
    unsafe {
        K::prepare(product, &mut ready);
        let mut tiles = [Tile::<S>::empty(), Tile::<S>::empty()];
        while let Some(Range { start, end }) = next() {
            let mut first = start;
            while first < end {
                if end - first >= 2 * S::ROWS {
                    band::<S, K, 2>(product, &ready, &mut tiles, first, end);
                    first += 2 * S::ROWS;
                } else if end - start >= S::ROWS {
                    // The last rows: a few of them once more, rather than an incomplete register.
                    let last = first.min(end - S::ROWS);
                    band::<S, K, 1>(product, &ready, &mut tiles, last, end);
                    first = last + S::ROWS;
                } else {
                    few_rows::<S, K>(product, &ready, &mut tiles, first..end);
                    first = end;
                }
            }
        }
    }
    READY.set(ready);
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
                    ahead: &mut ahead,
                };
                K::unpack(&mut rows, blocks, tile);
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

/// Computes fewer rows than a register has lanes; the last row fills the others.
///
/// # Safety
/// As [`run`].
#[inline(always)]
unsafe fn few_rows<S: Simd, K: Kind<S>>(
    product: &Product,
    ready: &Ready,
    tiles: &mut [Tile<S>; 2],
    range: Range<usize>,
) {
    for column in 0..product.columns {
        let mut sums = [0f32; MAX_ROWS];
        for block in (0..product.blocks).step_by(K::BLOCKS) {
            let blocks = K::BLOCKS.min(product.blocks - block);
            let at = std::array::from_fn(|row| {
                let row = (range.start + row).min(range.end - 1);
                product.rows.wrapping_add(row * product.stride + block * K::BYTES)
            });
            // SAFETY: the caller's promise; a register has at most `MAX_ROWS` lanes.
            unsafe {
                let mut ahead = Ahead::none();
                let mut rows = Rows {
                    at,
                    ahead: &mut ahead,
                };
                K::unpack(&mut rows, blocks, &mut tiles[0]);
                let part = K::part(product, ready, column, block);
                K::multiply::<1, 1>(tiles, blocks, [part], [sums.as_mut_ptr()], block == 0);
            }
        }
        let out = product
            .out
            .wrapping_add(column * product.out_stride + range.start);
        // SAFETY: the product has room for the results of its rows.
        unsafe { sums.as_ptr().copy_to_nonoverlapping(out, range.len()) };
    }
}
