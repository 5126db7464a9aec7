//! How the formats become tiles: the same bits of every row at once, on any instruction set.

use super::{Rows, Simd, Tile};

mod iq4;
mod q2_k;
mod q3_k;
mod q4_k;
mod q5_k;
mod q6_k;
mod simple4;
mod simple5;
mod simple8;

/// The formats' types.
pub(crate) mod formats {
    pub(crate) use super::iq4::{Iq4Nl, Iq4Xs};
    pub(crate) use super::q2_k::Q2K;
    pub(crate) use super::q3_k::Q3K;
    pub(crate) use super::q4_k::Q4K;
    pub(crate) use super::q5_k::Q5K;
    pub(crate) use super::q6_k::Q6K;
    pub(crate) use super::simple4::{Q4_0, Q4_1};
    pub(crate) use super::simple5::{Q5_0, Q5_1};
    pub(crate) use super::simple8::Q8_0;
}

/// The low four bits of every byte.
const LOW: u32 = 0x0f0f_0f0f;

/// A format of super-blocks: 256 weights with an f16 step for integer scales, multiplied by
/// [`crate::block::Q8K`].
pub(crate) mod superblocks {
    use super::*;

    /// # Safety
    /// As [`Simd`].
    pub(crate) trait Format<S: Simd> {
        /// Bytes of a block.
        const BYTES: usize;
        /// Registers of levels that share a scale: 4 or 8.
        const GROUP: usize;
        /// Bits of a level.
        const BITS: u32;
        /// How much the levels are too high.
        const EXCESS: i32;
        /// Whether each group has a minimum.
        const MINIMUM: bool;

        /// Unpacks the blocks that `rows` point at.
        ///
        /// # Safety
        /// Every row must point at a block.
        unsafe fn unpack(rows: &mut Rows, tile: &mut Tile<S>);
    }
}

/// A format of blocks of 32 weights with an f16 step.
pub(crate) mod simple {
    use super::*;

    /// # Safety
    /// As [`Simd`].
    pub(crate) trait Format<S: Simd> {
        /// Bytes of a block.
        const BYTES: usize;
        /// Bits of a level.
        const BITS: u32;
        /// How much the levels are too high.
        const EXCESS: i32;
        /// Whether a block has a minimum, and is multiplied by blocks that have a sum.
        const MINIMUM: bool;

        /// Unpacks the blocks that are `at` bytes after `rows`, as number `block` of the tile.
        ///
        /// # Safety
        /// Every row must have the block.
        unsafe fn unpack(rows: &mut Rows, at: usize, block: usize, tile: &mut Tile<S>);
    }
}

/// Splits bytes into low and high nibbles.
///
/// # Safety
/// As [`Simd`].
#[inline(always)]
unsafe fn nibbles<S: Simd>(bytes: S::V) -> [S::V; 2] {
    // SAFETY: the caller's promise.
    unsafe {
        let low = S::splat(LOW);
        [S::and(bytes, low), S::and(S::shr::<4>(bytes), low)]
    }
}

/// The four bytes of each lane, as integers from 0 to 255.
///
/// # Safety
/// As [`Simd`].
#[inline(always)]
unsafe fn bytes<S: Simd>(word: S::V) -> [S::V; 4] {
    // SAFETY: the caller's promise.
    unsafe {
        let byte = S::splat(0xff);
        [
            S::and(word, byte),
            S::and(S::shr::<8>(word), byte),
            S::and(S::shr::<16>(word), byte),
            S::shr::<24>(word),
        ]
    }
}

/// The four bytes of each lane, as integers from -128 to 127.
///
/// # Safety
/// As [`Simd`].
#[inline(always)]
unsafe fn signed_bytes<S: Simd>(word: S::V) -> [S::V; 4] {
    // SAFETY: the caller's promise.
    unsafe {
        [
            S::sar::<24>(S::shl::<24>(word)),
            S::sar::<24>(S::shl::<16>(word)),
            S::sar::<24>(S::shl::<8>(word)),
            S::sar::<24>(word),
        ]
    }
}

/// Four integers times a step.
///
/// # Safety
/// As [`Simd`].
#[inline(always)]
unsafe fn times<S: Simd>(step: S::F, integers: [S::V; 4], to: &mut [S::F]) {
    for (to, integer) in to.iter_mut().zip(integers) {
        // SAFETY: the caller's promise.
        *to = unsafe { S::scale(step, S::float(integer)) };
    }
}

/// Eight scales and eight minimums of six bits, from the first sixteen bytes of q4_K and q5_K: two steps and three
/// words. Words 0 and 1 hold the first four scales and minimums whole. Their two upper bits belong to the last four,
/// whose other bits are the nibbles of word 2.
///
/// # Safety
/// As [`Simd`].
#[inline(always)]
unsafe fn write_scales_and_minimums<S: Simd>(tile: &mut Tile<S>, [steps, a, b, c]: [S::V; 4]) {
    // SAFETY: the caller's promise.
    unsafe {
        let (step, zero) = (S::half(steps), S::splat_float(0.0));
        // Minimums are subtracted.
        let minimum_step = S::mul_sub(zero, S::half(S::shr::<16>(steps)), S::splat_float(1.0));
        let (six, high) = (S::splat(0x3f3f_3f3f), S::splat(0x3030_3030));
        let [low, upper] = nibbles::<S>(c);
        let low = S::or(low, S::and(S::shr::<2>(a), high));
        let upper = S::or(upper, S::and(S::shr::<2>(b), high));
        times::<S>(step, bytes::<S>(S::and(a, six)), &mut tile.scales[..4]);
        times::<S>(step, bytes::<S>(low), &mut tile.scales[4..8]);
        times::<S>(minimum_step, bytes::<S>(S::and(b, six)), &mut tile.minimums[..4]);
        times::<S>(minimum_step, bytes::<S>(upper), &mut tile.minimums[4..8]);
    }
}
