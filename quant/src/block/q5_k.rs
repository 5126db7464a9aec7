//! `q5_K`: 256 weights as a header of 6-bit scales and minimums ([`scale_min`]) and 5-bit levels.

use bytemuck::{AnyBitPattern, NoUninit};

use super::SUPER;
use super::bits::from_fn;
use super::lanes::Isa;
use super::scale_min::{self, Format, Header, Ladder};

/// Layout in a file: nibbles as in `q4_K`; the fifth bit of weight l of sub-block s is bit s of `high[l]`.
#[derive(Clone, Copy, AnyBitPattern, NoUninit)]
#[repr(C)]
pub(super) struct Block {
    header: Header,
    high: [u8; 32],
    low: [[u8; 32]; 4],
}

const _: () = assert!(size_of::<Block>() == 176 && align_of::<Block>() == 1);

impl Format for Block {
    const LADDER: Ladder = Ladder {
        top: 31.0,
        first: -0.5,
        last: 15,
    };

    #[inline(always)]
    fn pack(header: Header, levels: &[u8; SUPER]) -> Self {
        let subs = levels.as_chunks::<32>().0;
        let mut high = [0; 32];
        for (bit, sub) in subs.iter().enumerate() {
            for (high, level) in high.iter_mut().zip(sub) {
                *high |= (level >> 4) << bit;
            }
        }
        let mut low = [[0; 32]; 4];
        for (low, [even, odd]) in low.iter_mut().zip(subs.as_chunks().0) {
            *low = from_fn(|l| (even[l] & 15) | odd[l] << 4);
        }
        Self { header, high, low }
    }
}

impl super::Block<SUPER> for Block {
    fn quantize(isa: Isa, src: &[[f32; SUPER]], dst: &mut [Self]) {
        scale_min::quantize(isa, src, dst);
    }

    #[inline(always)]
    fn dequantize(&self, dst: &mut [f32; SUPER]) {
        let steps = self.header.steps();
        for (sub, (y, (scale, min))) in dst.as_chunks_mut::<32>().0.iter_mut().zip(steps).enumerate() {
            let low = &self.low[sub / 2];
            *y = from_fn(|l| {
                let level = ((low[l] >> (4 * (sub % 2))) & 15) | (self.high[l] >> sub & 1) << 4;
                scale * f32::from(level) - min
            });
        }
    }
}
