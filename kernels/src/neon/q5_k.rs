//! q5_K by q8_K: q4_K with a fifth bit.

use std::arch::aarch64::*;

use super::scale_min::{Column, Header, activations, activations_of};
use super::{add_scaled, dot, nibbles, totals};
use crate::block::{Q5K, Q8K};
use crate::rows::{Ahead, kernel};

kernel!(pub(super) run, "neon,dotprod,fp16", tile);

/// Moves bit `SUB` of every byte of `high` to bit 4, above `low`.
#[inline]
#[target_feature(enable = "neon,dotprod,fp16")]
fn with_bit<const SUB: i32>(low: uint8x16_t, high: uint8x16_t) -> int8x16_t {
    let moved = vshlq_u8(high, vdupq_n_s8(4 - SUB as i8));
    vreinterpretq_s8_u8(vorrq_u8(low, vandq_u8(moved, vdupq_n_u8(16))))
}

#[inline]
#[target_feature(enable = "neon,dotprod,fp16")]
unsafe fn tile(rows: [*const Q5K; 4], column: *const Q8K, blocks: usize, mut ahead: Ahead) -> [f32; 4] {
    let mut sums = [vdupq_n_f32(0.0); 4];
    for b in 0..blocks {
        ahead.fetch::<4, { size_of::<Q5K>() }>();
        // SAFETY: every row and the column have `blocks` blocks.
        unsafe {
            let y = column.add(b);
            let column = Column::load(y);
            let x = activations_of(y);
            let blocks = rows.map(|row| row.add(b));
            let headers = Header::load(blocks.map(|block| block.cast()));
            // Row by row: there are not enough registers for the fifth bits of four rows.
            for ((block, header), sum) in blocks.into_iter().zip(headers).zip(&mut sums) {
                let qs = (&raw const (*block).qs).cast::<u8>();
                let qh = (&raw const (*block).qh).cast::<u8>();
                let (qh0, qh1) = (vld1q_u8(qh), vld1q_u8(qh.add(16)));
                let mut acc = vdupq_n_s32(0);
                macro_rules! pair {
                    ($pair:literal) => {
                        let (x0, x1) = (activations(x, 2 * $pair), activations(x, 2 * $pair + 1));
                        let [l0, h0] = nibbles(vld1q_u8(qs.add(32 * $pair)));
                        let [l1, h1] = nibbles(vld1q_u8(qs.add(32 * $pair + 16)));
                        let low = dot(vdupq_n_s32(0), with_bit::<{ 2 * $pair }>(l0, qh0), x0[0]);
                        let low = dot(low, with_bit::<{ 2 * $pair }>(l1, qh1), x0[1]);
                        acc = add_scaled!(acc, low, header.scales, 2 * $pair);
                        let high = dot(
                            vdupq_n_s32(0),
                            with_bit::<{ 2 * $pair + 1 }>(h0, qh0),
                            x1[0],
                        );
                        let high = dot(high, with_bit::<{ 2 * $pair + 1 }>(h1, qh1), x1[1]);
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
    totals(sums)
}
