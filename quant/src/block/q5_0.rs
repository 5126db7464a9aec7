//! `q5_0`: 32 weights as an f16 scale and 5-bit values; weight = scale * (value - 16).

use bytemuck::{AnyBitPattern, NoUninit};

use super::bits::{Half, extreme, fifth_bits, float, floor, from_five_bits, half, inverse, map, nibbles};
use super::lanes::{Isa, Step};

/// Layout in a file: nibbles as in `q4_0`; the fifth bit of value i is bit i of `high`.
#[derive(Clone, Copy, AnyBitPattern, NoUninit)]
#[repr(C)]
pub(super) struct Block {
    scale: Half,
    high: [u8; 4],
    low: [u8; 16],
}

const _: () = assert!(size_of::<Block>() == 22 && align_of::<Block>() == 1);

impl Block {
    #[inline(always)]
    pub(super) fn pack(scale: f32, q: &[u8; 32]) -> Self {
        Self {
            scale: half(scale),
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
        // The weight of largest magnitude becomes value 0, which represents -16: one step more than value 31
        // reaches.
        let d = extreme(x) / -16.0;
        let id = inverse(d);
        let q = map(x, |v| (floor(v * id + 16.5) as u8).min(31));
        *block = Self::pack(d, &q);
    }
}

impl super::Block<32> for Block {
    fn quantize(isa: Isa, src: &[[f32; 32]], dst: &mut [Self]) {
        isa.each::<Self>(src, dst);
    }

    #[inline(always)]
    fn dequantize(&self, dst: &mut [f32; 32]) {
        let d = float(self.scale);
        *dst = map(&from_five_bits(&self.low, self.high), |q| {
            (f32::from(q) - 16.0) * d
        });
    }
}
