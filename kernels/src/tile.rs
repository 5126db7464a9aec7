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

use crate::ahead::Lines;

pub(crate) use frame::{Simple, Superblocks, run};
pub(crate) use unpack::{formats, unrolled};

/// The most rows that a register has lanes for.
pub(crate) const MAX_ROWS: usize = 16;

/// Registers of levels in a tile: four weights each.
const LEVELS: usize = 64;

/// The first bytes of the rows' blocks. Only as many are used as the instruction set has lanes.
pub(crate) type Starts = [*const u8; MAX_ROWS];

/// Blocks to unpack, and what to prefetch meanwhile.
pub(crate) struct Rows {
    at: Starts,
    ahead: Lines,
}

impl Rows {
    /// As [`Simd::levels`]; prefetches as many bytes, so that prefetches are spread over the work.
    ///
    /// # Safety
    /// As [`Simd::levels`].
    #[inline(always)]
    unsafe fn levels<S: Simd>(&mut self, at: usize) -> [S::V; 4] {
        self.ahead.fetch(16 * S::ROWS);
        // SAFETY: the caller's promise.
        unsafe { S::levels(&self.at, at) }
    }
}

/// Where levels go when they are unpacked.
///
/// # Safety
/// As [`Simd`].
pub(crate) trait Levels<S: Simd> {
    /// Takes sixteen levels of each row, registers `at` to `at + 3` of a tile. SAFETY: the trait's.
    unsafe fn put(&mut self, header: &Header<S>, at: usize, levels: [S::V; 4]);
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
    /// A sum of products of each row.
    type Sum: Copy;
    /// For products with one column, if they are direct, and for fewer rows than lanes.
    type Alone: Simd;
    /// Up to how many columns, at most four, levels are multiplied as they are unpacked, without a tile.
    const DIRECT: usize;
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

    /// Each byte shifted right by `N` bits, zeros come in. SAFETY: the trait's.
    #[inline(always)]
    unsafe fn shr_bytes<const N: u32>(a: Self::V) -> Self::V {
        // SAFETY: the caller's promise.
        unsafe { Self::and(Self::shr::<N>(a), Self::splat(0x0101_0101 * (0xff >> N))) }
    }
    /// The low nibble of each byte of `low`, and above it that of `high`; of all this the bits in `mask`, among
    /// which are the first nibble's. SAFETY: the trait's.
    #[inline(always)]
    unsafe fn join_low(low: Self::V, high: Self::V, mask: u32) -> Self::V {
        // SAFETY: the caller's promise.
        unsafe {
            let high = Self::and(Self::shl::<4>(high), Self::splat(mask & 0xf0f0_f0f0));
            Self::or(Self::and(low, Self::splat(0x0f0f_0f0f)), high)
        }
    }
    /// The high nibble of each byte of `low`, and above it that of `high`; of all this the bits in `mask`, among
    /// which are the first nibble's. SAFETY: the trait's.
    #[inline(always)]
    unsafe fn join_high(low: Self::V, high: Self::V, mask: u32) -> Self::V {
        // SAFETY: the caller's promise.
        unsafe {
            let high = Self::and(high, Self::splat(mask & 0xf0f0_f0f0));
            Self::or(Self::shr_bytes::<4>(low), high)
        }
    }
    /// The four bytes of each lane, as integers from 0 to 255. SAFETY: the trait's.
    #[inline(always)]
    unsafe fn bytes(word: Self::V) -> [Self::V; 4] {
        // SAFETY: the caller's promise.
        unsafe {
            let byte = Self::splat(0xff);
            [
                Self::and(word, byte),
                Self::and(Self::shr::<8>(word), byte),
                Self::and(Self::shr::<16>(word), byte),
                Self::shr::<24>(word),
            ]
        }
    }
    /// The four bytes of each lane, from -128 to 127, as floats. SAFETY: the trait's.
    #[inline(always)]
    unsafe fn signed_floats(word: Self::V) -> [Self::F; 4] {
        // SAFETY: the caller's promise.
        unsafe {
            [
                Self::float(Self::sar::<24>(Self::shl::<24>(word))),
                Self::float(Self::sar::<24>(Self::shl::<16>(word))),
                Self::float(Self::sar::<24>(Self::shl::<8>(word))),
                Self::float(Self::sar::<24>(word)),
            ]
        }
    }

    /// Sixteen bytes of each row, from byte `at` on, four in each register. SAFETY: the trait's.
    unsafe fn transpose(rows: &Starts, at: usize) -> [Self::V; 4];
    /// The 16 bits at byte `at` of each row, in the low half of its lane. SAFETY: the trait's.
    unsafe fn sixteen(rows: &Starts, at: usize) -> Self::V;
    /// Sixteen bytes of each row, from byte `at` on, in any arrangement that [`Simd::dots`] takes; the byte next to
    /// another is the next byte of the row. SAFETY: the trait's.
    #[inline(always)]
    unsafe fn levels(rows: &Starts, at: usize) -> [Self::V; 4] {
        // SAFETY: the caller's promise.
        unsafe { Self::transpose(rows, at) }
    }
    /// Adds 16 to those of the levels, arranged as by [`Simd::levels`], whose bit is set: bit `16 * half + i` of a
    /// row's lane of `bits` belongs to its level `i`. SAFETY: the trait's.
    #[inline(always)]
    unsafe fn add_fifth(levels: [Self::V; 4], bits: Self::V, half: usize) -> [Self::V; 4] {
        // SAFETY: the caller's promise.
        unsafe {
            let bits = if half == 0 { bits } else { Self::shr::<16>(bits) };
            let parts = [
                bits,
                Self::shr::<4>(bits),
                Self::shr::<8>(bits),
                Self::shr::<12>(bits),
            ];
            let mut sums = levels;
            for (part, sum) in parts.into_iter().zip(&mut sums) {
                // Copies of the four bits, 7 places apart, do not overlap.
                let copies = Self::mul(Self::and(part, Self::splat(15)), Self::splat(0x0020_4081));
                *sum = Self::or(*sum, Self::shl::<4>(Self::and(copies, Self::splat(0x0101_0101))));
            }
            sums
        }
    }
    /// Levels of eight bits as [`Simd::dots`] takes them: [`Simd::EXCESS`] too high. SAFETY: the trait's.
    unsafe fn eight(levels: Self::V) -> Self::V;
    /// Number `nibble` of a table, for each byte of `nibbles`, which are below 16. SAFETY: the trait's.
    unsafe fn lookup(table: &[i8; 16], nibbles: Self::V) -> Self::V;

    /// The sum of 32 activations. SAFETY: the trait's.
    #[inline(always)]
    unsafe fn sum(x: *const i8) -> i32 {
        // SAFETY: the caller's promise.
        (0..32).map(|at| i32::from(unsafe { *x.add(at) })).sum()
    }
    /// A sum that begins with `x`. SAFETY: the trait's.
    unsafe fn start(x: i32) -> Self::Sum;
    /// Adds the products of sixteen levels, of at most `bits` bits, with sixteen activations to `sum`; `bits` is
    /// known when it is compiled. SAFETY: the trait's.
    unsafe fn dots(bits: u32, sum: Self::Sum, levels: &[Self::V; 4], x: *const i8) -> Self::Sum;
    /// A sum's value. SAFETY: the trait's.
    unsafe fn total(sum: Self::Sum) -> Self::V;

    /// The half-precision numbers at byte `at` of each row. SAFETY: the trait's.
    #[inline(always)]
    unsafe fn halves(rows: &Starts, at: usize) -> Self::F {
        // SAFETY: the caller's promise.
        unsafe { Self::half(Self::sixteen(rows, at)) }
    }
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
    header: Header<S>,
}

/// What rows have besides levels.
pub(crate) struct Header<S: Simd> {
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
        unsafe {
            Self {
                levels: [S::splat(0); LEVELS],
                header: Header::empty(),
            }
        }
    }
}

impl<S: Simd> Header<S> {
    /// # Safety
    /// The trait's.
    #[inline(always)]
    unsafe fn empty() -> Self {
        // SAFETY: the caller's promise.
        let none = unsafe { S::splat_float(0.0) };
        Self {
            scales: [none; 16],
            minimums: [none; 16],
        }
    }
}

impl<S: Simd> Levels<S> for [S::V; LEVELS] {
    #[inline(always)]
    unsafe fn put(&mut self, _: &Header<S>, at: usize, levels: [S::V; 4]) {
        self[at..at + 4].copy_from_slice(&levels);
    }
}
