//! `q4_1`: 32 weights as an f16 scale, an f16 minimum and 4-bit values; weight = scale * value + minimum.

use bytemuck::{AnyBitPattern, NoUninit};

use super::bits::{Half, float, floor, from_nibbles, half, inverse, map, min_max, nibbles};
use super::lanes::{Isa, Step};

/// Layout in a file: value i is the low nibble of byte i, value i + 16 is the high one.
#[derive(Clone, Copy, AnyBitPattern, NoUninit)]
#[repr(C)]
pub(super) struct Block {
    scale: Half,
    min: Half,
    q: [u8; 16],
}

const _: () = assert!(size_of::<Block>() == 20 && align_of::<Block>() == 1);

impl Block {
    #[inline(always)]
    pub(super) fn pack(scale: f32, min: f32, q: &[u8; 32]) -> Self {
        Self {
            scale: half(scale),
            min: half(min),
            q: nibbles(q),
        }
    }
}

impl Step for Block {
    type From = [f32; 32];
    type To = Self;

    #[inline(always)]
    fn step(x: &[f32; 32], block: &mut Self) {
        let (min, max) = min_max(x);
        let d = (max - min) / 15.0;
        let id = inverse(d);
        let q = map(x, |v| (floor((v - min) * id + 0.5) as u8).min(15));
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
        *dst = map(&from_nibbles(&self.q), |q| f32::from(q) * d + min);
    }
}
