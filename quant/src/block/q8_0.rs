//! `q8_0`: 32 weights as an f16 scale and signed bytes; weight = scale * byte.

use bytemuck::{AnyBitPattern, NoUninit};

use super::bits::{Half, float, half, inverse, map, max_abs, nearest_away};
use super::lanes::{Isa, Step};

/// Layout in a file.
#[derive(Clone, Copy, AnyBitPattern, NoUninit)]
#[repr(C)]
pub(super) struct Block {
    scale: Half,
    q: [i8; 32],
}

const _: () = assert!(size_of::<Block>() == 34 && align_of::<Block>() == 1);

impl Step for Block {
    type From = [f32; 32];
    type To = Self;

    #[inline(always)]
    fn step(x: &[f32; 32], block: &mut Self) {
        let d = max_abs(x) / 127.0;
        let id = inverse(d);
        block.scale = half(d);
        block.q = map(x, |v| nearest_away(v * id) as i8);
    }
}

impl super::Block<32> for Block {
    fn quantize(isa: Isa, src: &[[f32; 32]], dst: &mut [Self]) {
        isa.each::<Self>(src, dst);
    }

    #[inline(always)]
    fn dequantize(&self, dst: &mut [f32; 32]) {
        let d = float(self.scale);
        *dst = map(&self.q, |q| f32::from(q) * d);
    }
}
