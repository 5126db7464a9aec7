//! `q4_1`: 32 weights as an f16 scale, an f16 minimum and 4-bit values; weight = scale * value + minimum.

use bytemuck::{AnyBitPattern, NoUninit};

use super::bits::{Half, float, from_nibbles, half, inverse, min_max, nibbles};
use super::lanes::Isa;

/// As it lies in a file; value i is the low nibble of byte i, value i + 16 the high one.
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

impl super::Block<32> for Block {
    fn quantize(isa: Isa, src: &[[f32; 32]], dst: &mut [Self]) {
        isa.run(|| {
            for (x, block) in src.iter().zip(dst) {
                let (min, max) = min_max(x);
                let d = (max - min) / 15.0;
                let id = inverse(d);
                *block = Self::pack(d, min, &x.map(|v| (((v - min) * id + 0.5) as u8).min(15)));
            }
        });
    }

    #[inline(always)]
    fn dequantize(&self, dst: &mut [f32; 32]) {
        let (d, min) = (float(self.scale), float(self.min));
        *dst = from_nibbles(&self.q).map(|q| f32::from(q) * d + min);
    }
}
