//! `q4_K`: 256 weights as a header of 6-bit scales and minimums ([`scale_min`]) and 4-bit levels.

use bytemuck::{AnyBitPattern, NoUninit};

use super::SUPER;
use super::lanes::Isa;
use super::scale_min::{self, Header, Ladder};

/// As it lies in a file; of each 64 weights the first 32 are low nibbles, the others high ones.
#[derive(Clone, Copy, AnyBitPattern, NoUninit)]
#[repr(C)]
pub(super) struct Block {
    header: Header,
    levels: [[u8; 32]; 4],
}

const _: () = assert!(size_of::<Block>() == 144 && align_of::<Block>() == 1);

const LADDER: Ladder = Ladder {
    top: 15.0,
    first: -1.0,
    last: 20,
};

impl Block {
    #[inline(always)]
    pub(super) fn pack(header: Header, levels: &[u8; SUPER]) -> Self {
        let pairs = levels.as_chunks::<64>().0;
        Self {
            header,
            levels: std::array::from_fn(|p| std::array::from_fn(|l| pairs[p][l] | pairs[p][l + 32] << 4)),
        }
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
            let shift = 4 * (sub % 2);
            *y = self.levels[sub / 2].map(|l| scale * f32::from((l >> shift) & 15) - min);
        }
    }
}
