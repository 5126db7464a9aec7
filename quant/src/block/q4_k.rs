//! `q4_K`: 256 weights as a header of 6-bit scales and minimums ([`scale_min`]) and 4-bit levels.

use bytemuck::{AnyBitPattern, NoUninit};

use super::SUPER;
use super::bits::{from_fn, map};
use super::lanes::Isa;
use super::scale_min::{self, Format, Header, Ladder};

/// Layout in a file: of each 64 weights, the first 32 are low nibbles, the others are high nibbles.
#[derive(Clone, Copy, AnyBitPattern, NoUninit)]
#[repr(C)]
pub(super) struct Block {
    header: Header,
    levels: [[u8; 32]; 4],
}

const _: () = assert!(size_of::<Block>() == 144 && align_of::<Block>() == 1);

impl Format for Block {
    const LADDER: Ladder = Ladder {
        top: 15.0,
        first: -1.0,
        last: 20,
    };

    #[inline(always)]
    fn pack(header: Header, levels: &[u8; SUPER]) -> Self {
        let mut packed = [[0; 32]; 4];
        for (packed, pair) in packed.iter_mut().zip(levels.as_chunks::<64>().0) {
            *packed = from_fn(|l| pair[l] | pair[l + 32] << 4);
        }
        Self {
            header,
            levels: packed,
        }
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
            let shift = 4 * (sub % 2);
            *y = map(&self.levels[sub / 2], |l| {
                scale * f32::from((l >> shift) & 15) - min
            });
        }
    }
}
