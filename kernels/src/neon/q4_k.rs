//! q4_K by q8_K.

use std::arch::aarch64::*;

use super::scale_min::{Column, Header, activations};
use super::{add_scaled, dot, nibbles};
use crate::Product;
use crate::block::{Q4K, Q8K};
use crate::rows::{Ahead, groups};

/// # Safety
/// As [`crate::Kernel::run`], on a CPU with the instructions.
#[target_feature(enable = "neon,dotprod,fp16")]
pub(super) unsafe fn run(product: &Product) {
    // SAFETY: the caller's promise.
    unsafe {
        groups(product, |rows, ahead| {
            tile(rows, product.column.cast(), product.blocks, ahead)
        });
    }
}

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
            for (row, sum) in rows.iter().zip(&mut sums) {
                let block = row.add(b);
                let header = Header::load(block.cast());
                let qs = (&raw const (*block).qs).cast::<u8>();
                let mut acc = vdupq_n_s32(0);
                macro_rules! pair {
                    ($pair:literal) => {
                        let (x0, x1) = (activations(y, 2 * $pair), activations(y, 2 * $pair + 1));
                        let [l0, h0] = nibbles(vld1q_u8(qs.add(32 * $pair)));
                        let [l1, h1] = nibbles(vld1q_u8(qs.add(32 * $pair + 16)));
                        let low = dot(vdupq_n_s32(0), vreinterpretq_s8_u8(l0), x0[0]);
                        let low = dot(low, vreinterpretq_s8_u8(l1), x0[1]);
                        acc = add_scaled!(acc, low, header.scales, 2 * $pair);
                        let high = dot(vdupq_n_s32(0), vreinterpretq_s8_u8(h0), x1[0]);
                        let high = dot(high, vreinterpretq_s8_u8(h1), x1[1]);
                        acc = add_scaled!(acc, high, header.scales, 2 * $pair + 1);
                    };
                }
                pair!(0);
                pair!(1);
                pair!(2);
                pair!(3);
                *sum = header.add(column, acc, *sum);
            }
        }
    }
    [
        vaddvq_f32(sums[0]),
        vaddvq_f32(sums[1]),
        vaddvq_f32(sums[2]),
        vaddvq_f32(sums[3]),
    ]
}
