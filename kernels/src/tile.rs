//! Products of rows with one or more columns, for any instruction set.
//!
//! Some rows are unpacked together, 256 weights at a time, into a tile that stays in the first cache: a
//! register of a tile holds the same four weights of every row, one row in each 32-bit lane. A column's four
//! activations are multiplied by a whole register, so a lane sums one row and nothing is added across lanes.
//! Every column of the product uses the tile before the next 256 weights are unpacked.
//!
//! The sums of a group of weights with one scale are integers and exact. They become floats then, and are added in
//! the order of the weights. So a result does not depend on how many columns are computed together, on the rows
//! next to it, or on the instruction set.

mod frame;
mod multiply;
mod unpack;

use crate::ahead::Ahead;

pub(crate) use frame::{Simple, Superblocks, run};
pub(crate) use unpack::formats;

/// The most rows that a register has lanes for.
pub(crate) const MAX_ROWS: usize = 16;

/// Registers of levels in a tile: four weights each.
const LEVELS: usize = 64;

/// The first bytes of the rows' blocks. Only as many are used as the instruction set has lanes.
pub(crate) type Starts = [*const u8; MAX_ROWS];

/// Blocks to unpack, and what to prefetch meanwhile.
pub(crate) struct Rows<'a> {
    at: Starts,
    ahead: &'a mut Ahead,
}

impl Rows<'_> {
    /// As [`Simd::transpose`]; prefetches as many bytes, so that prefetches are spread over the work.
    ///
    /// # Safety
    /// As [`Simd::transpose`].
    #[inline(always)]
    unsafe fn transpose<S: Simd>(&mut self, at: usize) -> [S::V; 4] {
        self.ahead.fetch(16 * S::ROWS);
        // SAFETY: the caller's promise.
        unsafe { S::transpose(&self.at, at) }
    }

    /// As [`Simd::sixteen`], with prefetches.
    ///
    /// # Safety
    /// As [`Simd::sixteen`].
    #[inline(always)]
    unsafe fn sixteen<S: Simd>(&mut self, at: usize) -> S::V {
        self.ahead.fetch(2 * S::ROWS);
        // SAFETY: the caller's promise.
        unsafe { S::sixteen(&self.at, at) }
    }
}

/// An instruction set, for tiles: registers of 32-bit lanes, one for each row.
///
/// # Safety
/// Every method needs a CPU with the instructions and is inlined into a function that is compiled for it.
/// Pointers need as many readable bytes as the method says.
pub(crate) trait Simd {
    /// A register: four bytes, or one integer, for each row.
    type V: Copy;
    /// A register with a float for each row.
    type F: Copy;
    /// Rows, that is lanes.
    const ROWS: usize;
    /// What [`Simd::eight`] adds to levels of eight bits.
    const EXCESS: u8;

    /// `x` in every lane. SAFETY: the trait's.
    unsafe fn splat(x: u32) -> Self::V;
    /// `a & b`. SAFETY: the trait's.
    unsafe fn and(a: Self::V, b: Self::V) -> Self::V;
    /// `a | b`. SAFETY: the trait's.
    unsafe fn or(a: Self::V, b: Self::V) -> Self::V;
    /// Each lane shifted right by `N` bits, zeros come in. SAFETY: the trait's.
    unsafe fn shr<const N: u32>(a: Self::V) -> Self::V;
    /// Each lane shifted left by `N` bits. SAFETY: the trait's.
    unsafe fn shl<const N: u32>(a: Self::V) -> Self::V;
    /// Each lane shifted right by `N` bits, copies of the sign come in. SAFETY: the trait's.
    unsafe fn sar<const N: u32>(a: Self::V) -> Self::V;
    /// `a + b` in each lane. SAFETY: the trait's.
    unsafe fn add(a: Self::V, b: Self::V) -> Self::V;
    /// The low 32 bits of `a * b` in each lane. SAFETY: the trait's.
    unsafe fn mul(a: Self::V, b: Self::V) -> Self::V;

    /// Sixteen bytes of each row, from byte `at` on, four in each register. SAFETY: the trait's.
    unsafe fn transpose(rows: &Starts, at: usize) -> [Self::V; 4];
    /// The 16 bits at byte `at` of each row, in the low half of its lane. SAFETY: the trait's.
    unsafe fn sixteen(rows: &Starts, at: usize) -> Self::V;
    /// Levels of eight bits as [`Simd::dots`] takes them: [`Simd::EXCESS`] too high. SAFETY: the trait's.
    unsafe fn eight(levels: Self::V) -> Self::V;
    /// Number `nibble` of a table, for each byte of `nibbles`, which are below 16. SAFETY: the trait's.
    unsafe fn lookup(table: &[i8; 16], nibbles: Self::V) -> Self::V;

    /// Adds the products of sixteen levels, of at most `bits` bits, with sixteen activations to `sum`; `bits` is
    /// known when it is compiled. SAFETY: the trait's.
    unsafe fn dots(bits: u32, sum: Self::V, levels: &[Self::V; 4], x: *const i8) -> Self::V;

    /// The half-precision numbers in the low halves of the lanes. SAFETY: the trait's.
    unsafe fn half(bits: Self::V) -> Self::F;
    /// One half-precision number. SAFETY: the trait's.
    unsafe fn narrow(bits: u16) -> f32;
    /// Integers as floats. SAFETY: the trait's.
    unsafe fn float(x: Self::V) -> Self::F;
    /// `x` in every lane. SAFETY: the trait's.
    unsafe fn splat_float(x: f32) -> Self::F;
    /// `a * b`. SAFETY: the trait's.
    unsafe fn scale(a: Self::F, b: Self::F) -> Self::F;
    /// `sum + a * b`, rounded once. SAFETY: the trait's.
    unsafe fn mul_add(sum: Self::F, a: Self::F, b: Self::F) -> Self::F;
    /// `sum - a * b`, rounded once. SAFETY: the trait's.
    unsafe fn mul_sub(sum: Self::F, a: Self::F, b: Self::F) -> Self::F;
    /// Loads a float for each row. SAFETY: the trait's.
    unsafe fn load(from: *const f32) -> Self::F;
    /// Stores a float for each row. SAFETY: the trait's.
    unsafe fn store(to: *mut f32, x: Self::F);
}

/// Unpacked weights: [`Simd::ROWS`] rows of 256.
pub(crate) struct Tile<S: Simd> {
    /// Levels in the order of the weights.
    levels: [S::V; LEVELS],
    /// A scale for each group of levels.
    scales: [S::F; 16],
    /// What is added for each group, times the sum of its activations.
    minimums: [S::F; 16],
}

impl<S: Simd> Tile<S> {
    /// # Safety
    /// The trait's.
    #[inline(always)]
    unsafe fn empty() -> Self {
        // SAFETY: the caller's promise.
        let (zero, none) = unsafe { (S::splat(0), S::splat_float(0.0)) };
        Self {
            levels: [zero; LEVELS],
            scales: [none; 16],
            minimums: [none; 16],
        }
    }
}
