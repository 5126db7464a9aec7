//! f16 by f16, summed in f32: register by register along the rows, so that a result does not depend on the rows
//! and columns next to it.

use std::ops::Range;

use crate::Product;
use crate::ahead::Ahead;
use crate::attention::lanes::Lanes;
use crate::product::Next;
use crate::tile::unrolled;

/// Rows that are computed together.
const ROWS: usize = 4;
/// The most numbers in a register.
const MOST: usize = 16;
/// Numbers between prefetches.
const STEP: usize = 64;

/// Computes the rows of a product that `next` gives.
///
/// # Safety
/// As [`crate::Kernel::run`], on a CPU with the instructions; inlined into a function compiled for them.
#[inline(always)]
pub(crate) unsafe fn run<L: Lanes>(product: &Product, next: Next<'_>) {
    while let Some(Range { start, end }) = next() {
        for first in (start..end).step_by(ROWS) {
            let mut column = 0;
            while column < product.columns {
                // SAFETY: the caller's promise; the rows and columns are the product's.
                column += unsafe {
                    match product.columns - column {
                        1 => tile::<L, 1>(product, first, end, column),
                        2 => tile::<L, 2>(product, first, end, column),
                        3 => tile::<L, 3>(product, first, end, column),
                        _ => tile::<L, 4>(product, first, end, column),
                    }
                };
            }
        }
    }
}

/// Computes [`ROWS`] rows by `C` columns and returns `C`. If fewer rows are left, the last fills the missing
/// places.
///
/// # Safety
/// As [`run`].
#[inline(always)]
unsafe fn tile<L: Lanes, const C: usize>(
    product: &Product,
    first: usize,
    end: usize,
    column: usize,
) -> usize {
    let left = end - first;
    let rows: [*const u16; ROWS] = std::array::from_fn(|row| {
        let row = first + row.min(left - 1);
        product.rows.wrapping_add(row * product.stride).cast()
    });
    let columns: [*const u16; C] = std::array::from_fn(|c| {
        product
            .column
            .wrapping_add((column + c) * product.column_stride)
            .cast()
    });
    let len = product.blocks;
    let whole = len - len % L::COUNT;
    let mut ahead = Ahead::new(product, first + ROWS - 1, end);
    // SAFETY: the caller's promise: every row and column has `len` numbers, and `out` has room.
    unsafe {
        let mut sums = [[L::splat(0.0); C]; ROWS];
        let mut add = |rows: [*const u16; ROWS], columns: [*const u16; C]| {
            let x = columns.map(|column| L::load_half(column));
            for (row, sums) in rows.into_iter().zip(&mut sums) {
                let weights = L::load_half(row);
                for (x, sum) in x.into_iter().zip(sums) {
                    *sum = L::mul_add(weights, x, *sum);
                }
            }
        };
        // Four registers at a time take fewer instructions.
        let four = 4 * L::COUNT;
        let fours = whole - whole % four;
        for at in (0..fours).step_by(four) {
            if column == 0 && at % STEP == 0 {
                ahead.fetch(ROWS * STEP * 2);
            }
            let (rows, columns) = (rows.map(|row| row.add(at)), columns.map(|column| column.add(at)));
            unrolled!(i in [0 1 2 3] {
                let at = i * L::COUNT;
                add(rows.map(|row| row.add(at)), columns.map(|column| column.add(at)));
            });
        }
        for at in (fours..whole).step_by(L::COUNT) {
            add(rows.map(|row| row.add(at)), columns.map(|column| column.add(at)));
        }
        if whole < len {
            // The rest, and zeros.
            let rest = |from: *const u16| {
                let mut numbers = [0u16; MOST];
                from.add(whole)
                    .copy_to_nonoverlapping(numbers.as_mut_ptr(), len - whole);
                numbers
            };
            let (rows, columns) = (rows.map(rest), columns.map(rest));
            add(
                rows.each_ref().map(|r| r.as_ptr()),
                columns.each_ref().map(|c| c.as_ptr()),
            );
        }
        for (r, sums) in sums.into_iter().enumerate().take(left) {
            for (c, sum) in sums.into_iter().enumerate() {
                let place = (column + c) * product.out_stride + first + r;
                product.out.add(place).write(L::sum(sum));
            }
        }
    }
    C
}
