//! `q4_0`: 32 weights as an f16 scale and 4-bit values; weight = scale * (value - 8).

use bytemuck::{AnyBitPattern, NoUninit};

use super::bits::{Half, extreme, float, floor, from_nibbles, half, inverse, map, nibbles};
use super::lanes::{Isa, Step};

/// Layout in a file: value i is the low nibble of byte i, value i + 16 is the high one.
#[derive(Clone, Copy, AnyBitPattern, NoUninit)]
#[repr(C)]
pub(super) struct Block {
    scale: Half,
    q: [u8; 16],
}

const _: () = assert!(size_of::<Block>() == 18 && align_of::<Block>() == 1);

impl Block {
    #[inline(always)]
    pub(super) fn pack(scale: f32, q: &[u8; 32]) -> Self {
        Self {
            scale: half(scale),
            q: nibbles(q),
        }
    }
}

impl Step for Block {
    type From = [f32; 32];
    type To = Self;

    #[inline(always)]
    fn step(x: &[f32; 32], block: &mut Self) {
        // The weight of largest magnitude becomes value 0, which represents -8: one step more than value 15
        // reaches.
        let d = extreme(x) / -8.0;
        let id = inverse(d);
        *block = Self::pack(d, &map(x, |v| (floor(v * id + 8.5) as u8).min(15)));
    }
}

impl super::Block<32> for Block {
    fn quantize(isa: Isa, src: &[[f32; 32]], dst: &mut [Self]) {
        isa.each::<Self>(src, dst);
    }

    #[inline(always)]
    fn dequantize(&self, dst: &mut [f32; 32]) {
        let d = float(self.scale);
        *dst = map(&from_nibbles(&self.q), |q| (f32::from(q) - 8.0) * d);
    }
}
