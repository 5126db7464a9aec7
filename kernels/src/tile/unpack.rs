//! How the formats become tiles: the same bits of every row at once, on any instruction set.

use super::{Header, Levels, Rows, Simd};

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

        /// Unpacks the blocks that `rows` point at. Levels come in the order of the weights, except that groups of
        /// 32 weights come in pairs, the first halves of both first, and of eight groups of 16 weights the even ones
        /// come first.
        ///
        /// # Safety
        /// Every row must point at a block.
        unsafe fn unpack(rows: &mut Rows, header: &mut Header<S>, levels: &mut impl Levels<S>);
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
        unsafe fn unpack(
            rows: &mut Rows,
            at: usize,
            block: usize,
            header: &mut Header<S>,
            levels: &mut impl Levels<S>,
        );
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
        [S::and(bytes, low), S::shr_bytes::<4>(bytes)]
    }
}

/// Splits the bytes of four registers into low and high nibbles.
///
/// # Safety
/// As [`Simd`].
#[inline(always)]
unsafe fn all_nibbles<S: Simd>(packed: [S::V; 4]) -> [[S::V; 4]; 2] {
    let [a, b, c, d] = packed;
    // SAFETY: the caller's promise.
    let [[a, e], [b, f], [c, g], [d, h]] =
        unsafe { [nibbles::<S>(a), nibbles::<S>(b), nibbles::<S>(c), nibbles::<S>(d)] };
    [[a, b, c, d], [e, f, g, h]]
}

/// Runs code for numbers that are known when it is compiled: loops that the compiler should unroll.
macro_rules! unrolled {
    ($at:ident in [$($number:literal)*] $code:block) => {
        $({
            let $at: usize = $number;
            $code
        })*
    };
}
pub(crate) use unrolled;

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

/// `-x`: minimums are subtracted.
///
/// # Safety
/// As [`Simd`].
#[inline(always)]
unsafe fn negative<S: Simd>(x: S::F) -> S::F {
    // SAFETY: the caller's promise.
    unsafe { S::mul_sub(S::splat_float(0.0), x, S::splat_float(1.0)) }
}

/// Eight scales and eight minimums of six bits, from the first sixteen bytes of q4_K and q5_K: two steps and three
/// words. Words 0 and 1 hold the first four scales and minimums whole. Their two upper bits belong to the last four,
/// whose other bits are the nibbles of word 2.
///
/// # Safety
/// As [`Simd`].
#[inline(always)]
unsafe fn write_scales_and_minimums<S: Simd>(header: &mut Header<S>, [steps, a, b, c]: [S::V; 4]) {
    // SAFETY: the caller's promise.
    unsafe {
        let step = S::half(steps);
        let minimum_step = negative::<S>(S::half(S::shr::<16>(steps)));
        let (six, high) = (S::splat(0x3f3f_3f3f), S::splat(0x3030_3030));
        let [low, upper] = nibbles::<S>(c);
        let low = S::or(low, S::and(S::shr::<2>(a), high));
        let upper = S::or(upper, S::and(S::shr::<2>(b), high));
        times::<S>(step, S::bytes(S::and(a, six)), &mut header.scales[..4]);
        times::<S>(step, S::bytes(low), &mut header.scales[4..8]);
        times::<S>(minimum_step, S::bytes(S::and(b, six)), &mut header.minimums[..4]);
        times::<S>(minimum_step, S::bytes(upper), &mut header.minimums[4..8]);
    }
}
