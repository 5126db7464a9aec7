//! `q5_K`: 256 weights as a header of 6-bit scales and minimums ([`scale_min`]) and 5-bit levels.

use bytemuck::{AnyBitPattern, NoUninit};

use super::SUPER;
use super::lanes::Isa;
use super::scale_min::{self, Header, Ladder};

/// As it lies in a file; nibbles as in `q4_K`, the fifth bit of weight l of sub-block s is bit s of `high[l]`.
#[derive(Clone, Copy, AnyBitPattern, NoUninit)]
#[repr(C)]
pub(super) struct Block {
    header: Header,
    high: [u8; 32],
    low: [[u8; 32]; 4],
}

const _: () = assert!(size_of::<Block>() == 176 && align_of::<Block>() == 1);

const LADDER: Ladder = Ladder {
    top: 31.0,
    first: -0.5,
    last: 15,
};

impl Block {
    #[inline(always)]
    pub(super) fn pack(header: Header, levels: &[u8; SUPER]) -> Self {
        let subs = levels.as_chunks::<32>().0;
        let nibbles = |a: u8, b: u8| (a & 15) | b << 4;
        let mut high = [0; 32];
        for (bit, sub) in subs.iter().enumerate() {
            for (high, level) in high.iter_mut().zip(sub) {
                *high |= (level >> 4) << bit;
            }
        }
        let low =
            std::array::from_fn(|p| std::array::from_fn(|l| nibbles(subs[2 * p][l], subs[2 * p + 1][l])));
        Self { header, high, low }
    }
}

impl super::Block<SUPER> for Block {
    fn quantize(isa: Isa, src: &[[f32; SUPER]], dst: &mut [Self]) {
        scale_min::quantize(isa, src, &LADDER, |i, header, levels| {
            dst[i] = Self::pack(header, levels)
        });
    }

    #[inline(always)]
    fn dequantize(&self, dst: &mut [f32; SUPER]) {
        let steps = self.header.steps();
        for (sub, (y, (scale, min))) in dst.as_chunks_mut::<32>().0.iter_mut().zip(steps).enumerate() {
            let low = &self.low[sub / 2];
            *y = std::array::from_fn(|l| {
                let level = ((low[l] >> (4 * (sub % 2))) & 15) | (self.high[l] >> sub & 1) << 4;
                scale * f32::from(level) - min
            });
        }
    }
}
