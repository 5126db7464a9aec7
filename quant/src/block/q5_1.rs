//! `q5_1`: 32 weights as an f16 scale, an f16 minimum and 5-bit values; weight = scale * value + minimum.

use bytemuck::{AnyBitPattern, NoUninit};

use super::bits::{Half, fifth_bits, float, floor, from_five_bits, half, inverse, map, min_max, nibbles};
use super::lanes::{Isa, Step};

/// Layout in a file: nibbles as in `q4_0`; the fifth bit of value i is bit i of `high`.
#[derive(Clone, Copy, AnyBitPattern, NoUninit)]
#[repr(C)]
pub(super) struct Block {
    scale: Half,
    min: Half,
    high: [u8; 4],
    low: [u8; 16],
}

const _: () = assert!(size_of::<Block>() == 24 && align_of::<Block>() == 1);

impl Block {
    #[inline(always)]
    pub(super) fn pack(scale: f32, min: f32, q: &[u8; 32]) -> Self {
        Self {
            scale: half(scale),
            min: half(min),
            high: fifth_bits(q),
            low: nibbles(q),
        }
    }
}

impl Step for Block {
    type From = [f32; 32];
    type To = Self;

    #[inline(always)]
    fn step(x: &[f32; 32], block: &mut Self) {
        let (min, max) = min_max(x);
        let d = (max - min) / 31.0;
        let id = inverse(d);
        let q = map(x, |v| (floor((v - min) * id + 0.5) as u8).min(31));
        *block = Self::pack(d, min, &q);
    }
}

impl super::Block<32> for Block {
    fn quantize(isa: Isa, src: &[[f32; 32]], dst: &mut [Self]) {
        isa.each::<Self>(src, dst);
    }

    #[inline(always)]
    fn dequantize(&self, dst: &mut [f32; 32]) {
        let (d, min) = (float(self.scale), float(self.min));
        *dst = map(&from_five_bits(&self.low, self.high), |q| f32::from(q) * d + min);
    }
}
