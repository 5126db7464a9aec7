//! `q8_0`: 32 weights as an f16 scale and signed bytes; weight = scale * byte.

use bytemuck::{AnyBitPattern, NoUninit};

use super::bits::{Half, float, half, inverse, max_abs};
use super::lanes::Isa;

/// As it lies in a file.
#[derive(Clone, Copy, AnyBitPattern, NoUninit)]
#[repr(C)]
pub(super) struct Block {
    scale: Half,
    q: [i8; 32],
}

const _: () = assert!(size_of::<Block>() == 34 && align_of::<Block>() == 1);

impl super::Block<32> for Block {
    fn quantize(isa: Isa, src: &[[f32; 32]], dst: &mut [Self]) {
        isa.run(|| {
            for (x, block) in src.iter().zip(dst) {
                let d = max_abs(x) / 127.0;
                let id = inverse(d);
                block.scale = half(d);
                block.q = x.map(|v| (v * id).round() as i8);
            }
        });
    }

    #[inline(always)]
    fn dequantize(&self, dst: &mut [f32; 32]) {
        let d = float(self.scale);
        *dst = self.q.map(|q| f32::from(q) * d);
    }
}
