//! Multiplies tiles by columns. The accumulators are the results themselves: floats are only stored and
//! loaded between tiles, which does not change them.

use std::marker::PhantomData;

use super::unpack::{simple, superblocks, unrolled};
use super::{Header, Levels, Simd, Tile};
use crate::block::{Q8_0, Q8_1, Q8K};

/// The most groups in a super-block.
const GROUPS: usize = 16;

/// What a group of a column's activations gives for their sum.
#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) union Sum {
    /// The products that the levels' excess adds, negative.
    excess: i32,
    /// The sum itself.
    sum: f32,
}

/// A super-block of one column, and the sums of its groups.
#[derive(Clone, Copy)]
pub(crate) struct Superblock {
    pub(super) block: *const Q8K,
    pub(super) sums: *const Sum,
}

/// The sums of a super-block of a column, made ready once for all rows.
///
/// # Safety
/// `block` points at a super-block.
#[inline(always)]
pub(super) unsafe fn sums<S: Simd, F: superblocks::Format<S>>(block: *const Q8K, to: &mut Vec<Sum>) {
    // SAFETY: the caller's promise.
    let parts = unsafe { (&raw const (*block).bsums).read() };
    for group in parts.chunks_exact(F::GROUP / 4) {
        // If the step is zero, the parts may have any value.
        let sum = group.iter().map(|part| i32::from(*part)).sum::<i32>();
        to.push(match F::MINIMUM {
            true => Sum { sum: sum as f32 },
            false => Sum {
                excess: -F::EXCESS * sum,
            },
        });
    }
}

/// A loop over at most four columns that is always unrolled, so that their sums stay in registers.
macro_rules! columns {
    ($c:ident of $count:ident $code:block) => {
        unrolled!($c in [0 1 2 3] {
            if $c < $count $code
        })
    };
}

/// Adds the products of `R` tiles with `C` super-blocks of columns to `out`, or writes them if they are the
/// `first` of their rows.
///
/// # Safety
/// As [`Simd`]; each of `out` has room for `R` registers.
#[inline(always)]
#[expect(clippy::needless_range_loop, reason = "the indices run over several arrays")]
pub(super) unsafe fn superblock<S, F, const C: usize, const R: usize>(
    tiles: &[Tile<S>; 2],
    columns: [Superblock; C],
    out: [*mut f32; C],
    first: bool,
) where
    S: Simd,
    F: superblocks::Format<S>,
{
    // SAFETY: the caller's promise; a tile has as many registers as the loops count.
    unsafe {
        let groups = 4 * GROUPS / F::GROUP;
        let mut sums = [[S::splat_float(0.0); C]; R];
        for group in 0..groups {
            let mut products = [[S::start(0); C]; R];
            if F::EXCESS != 0 {
                columns!(c of C {
                    let start = S::start((*columns[c].sums.add(group)).excess);
                    for r in 0..R {
                        products[r][c] = start;
                    }
                });
            }
            for four in 0..F::GROUP / 4 {
                let at = group * F::GROUP + 4 * four;
                columns!(c of C {
                    let x = (&raw const (*columns[c].block).qs).cast::<i8>().add(4 * at);
                    for r in 0..R {
                        let levels = tiles[r].levels.as_ptr().add(at).cast();
                        products[r][c] = S::dots(F::BITS, products[r][c], &*levels, x);
                    }
                });
            }
            for r in 0..R {
                columns!(c of C {
                    let product = S::float(S::total(products[r][c]));
                    sums[r][c] = S::mul_add(sums[r][c], tiles[r].header.scales[group], product);
                });
            }
        }
        if F::MINIMUM {
            for group in 0..groups {
                columns!(c of C {
                    let sum = S::splat_float((*columns[c].sums.add(group)).sum);
                    for r in 0..R {
                        sums[r][c] = S::mul_add(sums[r][c], tiles[r].header.minimums[group], sum);
                    }
                });
            }
        }
        for c in 0..C {
            let d = S::splat_float((*columns[c].block).d);
            for r in 0..R {
                let place = out[c].add(r * S::ROWS);
                let total = if first {
                    S::splat_float(0.0)
                } else {
                    S::load(place)
                };
                S::store(place, S::mul_add(total, sums[r][c], d));
            }
        }
    }
}

/// Multiplies the levels of a super-block by columns as they are unpacked, without a tile.
pub(super) struct DirectSuperblock<S: Simd, F, const C: usize> {
    columns: [Superblock; C],
    /// The products of two groups that are begun.
    begun: [[S::Sum; C]; 2],
    /// The products of even groups, until it is their turn.
    waiting: [[S::V; C]; 4],
    sums: [S::F; C],
    format: PhantomData<F>,
}

impl<S: Simd, F: superblocks::Format<S>, const C: usize> DirectSuperblock<S, F, C> {
    /// # Safety
    /// As [`Simd`].
    #[inline(always)]
    pub(super) unsafe fn new(columns: [Superblock; C]) -> Self {
        // SAFETY: the caller's promise.
        unsafe {
            Self {
                columns,
                begun: [[S::start(0); C]; 2],
                waiting: [[S::splat(0); C]; 4],
                sums: [S::splat_float(0.0); C],
                format: PhantomData,
            }
        }
    }

    /// Adds the super-block to `totals`.
    ///
    /// # Safety
    /// As [`Simd`]; the columns have the block.
    #[inline(always)]
    pub(super) unsafe fn add_to(self, totals: [S::F; C], header: &Header<S>) -> [S::F; C] {
        let (mut sums, mut totals) = (self.sums, totals);
        // SAFETY: the caller's promise.
        unsafe {
            columns!(c of C {
                let column = self.columns[c];
                if F::MINIMUM {
                    for (group, minimum) in header.minimums.iter().enumerate().take(4 * GROUPS / F::GROUP) {
                        let activations = S::splat_float((*column.sums.add(group)).sum);
                        sums[c] = S::mul_add(sums[c], *minimum, activations);
                    }
                }
                totals[c] = S::mul_add(totals[c], sums[c], S::splat_float((*column.block).d));
            });
        }
        totals
    }

    /// Adds the products of a group.
    ///
    /// # Safety
    /// As [`Simd`].
    #[inline(always)]
    unsafe fn add(&mut self, header: &Header<S>, group: usize, products: [S::V; C]) {
        // SAFETY: the caller's promise.
        unsafe {
            columns!(c of C {
                self.sums[c] = S::mul_add(self.sums[c], header.scales[group], S::float(products[c]));
            });
        }
    }
}

impl<S: Simd, F: superblocks::Format<S>, const C: usize> Levels<S> for DirectSuperblock<S, F, C> {
    #[inline(always)]
    unsafe fn put(&mut self, header: &Header<S>, at: usize, levels: [S::V; 4]) {
        let (group, of_group) = (at / F::GROUP, at % F::GROUP);
        // SAFETY: the caller's promise; the columns have four activations for each register of a tile.
        unsafe {
            let mut products = self.begun[group % 2];
            columns!(c of C {
                let column = self.columns[c];
                let x = (&raw const (*column.block).qs).cast::<i8>().add(4 * at);
                let start = match of_group {
                    0 if F::EXCESS != 0 => S::start((*column.sums.add(group)).excess),
                    0 => S::start(0),
                    _ => products[c],
                };
                products[c] = S::dots(F::BITS, start, &levels, x);
            });
            if of_group + 4 < F::GROUP {
                self.begun[group % 2] = products;
                return;
            }
            let mut sums = self.waiting[0];
            columns!(c of C {
                sums[c] = S::total(products[c]);
            });
            if F::GROUP == 4 && group % 2 == 0 && group % 8 != 0 {
                self.waiting[group % 8 / 2] = sums;
                return;
            }
            self.add(header, group, sums);
            if F::GROUP == 4 && group % 2 == 1 && group % 8 != 7 {
                self.add(header, group + 1, self.waiting[(group + 1) % 8 / 2]);
            }
        }
    }
}

/// The steps of one block of a column, made ready once for all rows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Step {
    /// The step.
    d: f32,
    /// The sum times the step, if the rows have minimums.
    sum: f32,
    /// What the levels' excess adds to a product, negative.
    excess: i32,
}

/// A part of a column: its first block, and the blocks' steps.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Part {
    pub(super) blocks: *const u8,
    pub(super) steps: *const Step,
}

/// Bytes of a block of the columns that `F` is multiplied by.
pub(super) const fn column_bytes<S: Simd, F: simple::Format<S>>() -> usize {
    if F::MINIMUM {
        size_of::<Q8_1>()
    } else {
        size_of::<Q8_0>()
    }
}

/// Makes a block's steps ready.
///
/// # Safety
/// As [`Simd`]; `block` points at a block of [`column_bytes`].
#[inline(always)]
pub(super) unsafe fn step<S: Simd, F: simple::Format<S>>(block: *const u8) -> Step {
    // SAFETY: the caller's promise.
    unsafe {
        let half = |at: usize| S::narrow(block.add(at).cast::<u16>().read_unaligned());
        let mut excess = 0;
        if F::EXCESS != 0 {
            excess = -S::sum(block.add(2).cast());
        }
        Step {
            d: half(0),
            sum: if F::MINIMUM { half(2) } else { 0.0 },
            excess: excess * F::EXCESS,
        }
    }
}

/// As [`superblock`], for `blocks` simple blocks.
///
/// # Safety
/// As [`superblock`]; the columns have `blocks` blocks.
#[inline(always)]
#[expect(clippy::needless_range_loop, reason = "the indices run over several arrays")]
pub(super) unsafe fn blocks<S, F, const C: usize, const R: usize>(
    tiles: &[Tile<S>; 2],
    blocks: usize,
    columns: [Part; C],
    out: [*mut f32; C],
    first: bool,
) where
    S: Simd,
    F: simple::Format<S>,
{
    // SAFETY: the caller's promise; a tile has as many registers as the loops count.
    unsafe {
        let bytes = column_bytes::<S, F>();
        let mut totals = [[S::splat_float(0.0); C]; R];
        if !first {
            for r in 0..R {
                for c in 0..C {
                    totals[r][c] = S::load(out[c].add(r * S::ROWS));
                }
            }
        }
        for block in 0..blocks {
            let mut products = [[S::start(0); C]; R];
            columns!(c of C {
                let step = &*columns[c].steps.add(block);
                let x = columns[c].blocks.add((block + 1) * bytes - 32).cast::<i8>();
                for r in 0..R {
                    let levels = tiles[r].levels.as_ptr().add(8 * block).cast::<[S::V; 4]>();
                    let half = S::dots(F::BITS, start::<S, F>(step), &*levels, x);
                    products[r][c] = S::dots(F::BITS, half, &*levels.add(1), x.add(16));
                }
            });
            columns!(c of C {
                let step = &*columns[c].steps.add(block);
                for r in 0..R {
                    let header = &tiles[r].header;
                    totals[r][c] = add_block::<S, F>(totals[r][c], products[r][c], header, block, step);
                }
            });
        }
        for r in 0..R {
            for c in 0..C {
                S::store(out[c].add(r * S::ROWS), totals[r][c]);
            }
        }
    }
}

/// The products of a block begin with what takes the levels' excess away.
///
/// # Safety
/// As [`blocks`].
#[inline(always)]
unsafe fn start<S: Simd, F: simple::Format<S>>(step: &Step) -> S::Sum {
    let excess = if F::EXCESS == 0 { 0 } else { step.excess };
    // SAFETY: the caller's promise.
    unsafe { S::start(excess) }
}

/// Adds a block to `total`: number `block` of a tile.
///
/// # Safety
/// As [`blocks`].
#[inline(always)]
unsafe fn add_block<S, F>(
    total: S::F,
    products: S::Sum,
    header: &Header<S>,
    block: usize,
    step: &Step,
) -> S::F
where
    S: Simd,
    F: simple::Format<S>,
{
    // SAFETY: the caller's promise.
    unsafe {
        let scale = S::scale(header.scales[block], S::splat_float(step.d));
        let total = S::mul_add(total, scale, S::float(S::total(products)));
        if F::MINIMUM {
            S::mul_add(total, header.minimums[block], S::splat_float(step.sum))
        } else {
            total
        }
    }
}

/// Multiplies the levels of a simple block by columns as they are unpacked, without a tile.
pub(super) struct DirectBlock<S: Simd, F, const C: usize> {
    /// The columns' blocks: activations and steps.
    columns: [(*const i8, *const Step); C],
    products: [S::Sum; C],
    format: PhantomData<F>,
}

impl<S: Simd, F: simple::Format<S>, const C: usize> DirectBlock<S, F, C> {
    /// For block `at` of `parts`.
    ///
    /// # Safety
    /// As [`Simd`]; `parts` have the block.
    #[inline(always)]
    pub(super) unsafe fn new(parts: [Part; C], at: usize) -> Self {
        let bytes = column_bytes::<S, F>();
        // SAFETY: the caller's promise.
        unsafe {
            let mut products = [S::start(0); C];
            columns!(c of C {
                products[c] = start::<S, F>(&*parts[c].steps.add(at));
            });
            Self {
                columns: parts.map(|part| {
                    let x = part.blocks.wrapping_add((at + 1) * bytes - 32);
                    (x.cast(), part.steps.wrapping_add(at))
                }),
                products,
                format: PhantomData,
            }
        }
    }

    /// Adds the block to `totals`.
    ///
    /// # Safety
    /// As [`Simd`].
    #[inline(always)]
    pub(super) unsafe fn add_to(self, totals: [S::F; C], header: &Header<S>) -> [S::F; C] {
        let mut totals = totals;
        // SAFETY: the caller's promise.
        unsafe {
            columns!(c of C {
                let step = &*self.columns[c].1;
                totals[c] = add_block::<S, F>(totals[c], self.products[c], header, 0, step);
            });
        }
        totals
    }
}

impl<S: Simd, F: simple::Format<S>, const C: usize> Levels<S> for DirectBlock<S, F, C> {
    #[inline(always)]
    unsafe fn put(&mut self, _: &Header<S>, at: usize, levels: [S::V; 4]) {
        // SAFETY: the caller's promise; the columns have four activations for each register of a tile.
        unsafe {
            columns!(c of C {
                let x = self.columns[c].0.add(4 * at);
                self.products[c] = S::dots(F::BITS, self.products[c], &levels, x);
            });
        }
    }
}
