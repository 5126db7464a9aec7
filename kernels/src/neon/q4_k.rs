//! q4_K by q8_K.

use std::arch::aarch64::*;

use super::scale_min::{Column, Header, activations, activations_of};
use super::{add_scaled, dot, nibbles, totals};
use crate::block::{Q4K, Q8K};
use crate::rows::{Ahead, kernel};

kernel!(pub(super) run, "neon,dotprod,fp16", tile);

#[inline]
#[target_feature(enable = "neon,dotprod,fp16")]
unsafe fn tile(rows: [*const Q4K; 4], column: *const Q8K, blocks: usize, mut ahead: Ahead) -> [f32; 4] {
    let mut sums = [vdupq_n_f32(0.0); 4];
    for b in 0..blocks {
        ahead.fetch::<4, { size_of::<Q4K>() }>();
        // SAFETY: every row and the column have `blocks` blocks.
        unsafe {
            let y = column.add(b);
            let column = Column::load(y);
            let x = activations_of(y);
            let blocks = rows.map(|row| row.add(b));
            let headers = Header::load(blocks.map(|block| block.cast()));
            let mut products = [vdupq_n_s32(0); 4];
            // A pair of sub-blocks of every row, while their activations are in registers.
            macro_rules! pair {
                ($pair:literal) => {
                    let (x0, x1) = (activations(x, 2 * $pair), activations(x, 2 * $pair + 1));
                    for r in 0..4 {
                        let qs = (&raw const (*blocks[r]).qs).cast::<u8>();
                        let [l0, h0] = nibbles(vld1q_u8(qs.add(32 * $pair)));
                        let [l1, h1] = nibbles(vld1q_u8(qs.add(32 * $pair + 16)));
                        let low = dot(vdupq_n_s32(0), vreinterpretq_s8_u8(l0), x0[0]);
                        let low = dot(low, vreinterpretq_s8_u8(l1), x0[1]);
                        products[r] = add_scaled!(products[r], low, headers[r].scales, 2 * $pair);
                        let high = dot(vdupq_n_s32(0), vreinterpretq_s8_u8(h0), x1[0]);
                        let high = dot(high, vreinterpretq_s8_u8(h1), x1[1]);
                        products[r] = add_scaled!(products[r], high, headers[r].scales, 2 * $pair + 1);
                    }
                };
            }
            pair!(0);
            pair!(1);
            pair!(2);
            pair!(3);
            for r in 0..4 {
                sums[r] = headers[r].add(column, products[r], sums[r]);
            }
        }
    }
    totals(sums)
}
