//! Registers of f32, as wide as the CPU has.

/// A register of [`Lanes::COUNT`] numbers.
///
/// # Safety
/// Every method needs a CPU with the instructions and is inlined into a function that is compiled for it;
/// pointers need room for a whole register.
pub(crate) trait Lanes {
    type V: Copy;
    const COUNT: usize;
    /// Columns that the registers have room for, with [`super::tile`]'s other operands: 2 or 4.
    const COLUMNS: usize;

    /// `x` in every lane. SAFETY: the trait's.
    unsafe fn splat(x: f32) -> Self::V;
    /// Loads numbers from memory. SAFETY: the trait's.
    unsafe fn load(from: *const f32) -> Self::V;
    /// Stores numbers to memory. SAFETY: the trait's.
    unsafe fn store(to: *mut f32, x: Self::V);
    /// Loads as many f16 numbers from memory and widens them. SAFETY: the trait's.
    unsafe fn load_half(from: *const u16) -> Self::V;
    /// Widens one f16 number. SAFETY: the trait's.
    unsafe fn half(bits: u16) -> f32;
    /// `a * b`. SAFETY: the trait's.
    unsafe fn mul(a: Self::V, b: Self::V) -> Self::V;
    /// `a - b`. SAFETY: the trait's.
    unsafe fn sub(a: Self::V, b: Self::V) -> Self::V;
    /// The larger of `a` and `b`, in each lane; `b` if it is not a number. SAFETY: the trait's.
    unsafe fn max(a: Self::V, b: Self::V) -> Self::V;
    /// `a * b + c`, rounded once. SAFETY: the trait's.
    unsafe fn mul_add(a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    /// Rounds to the nearest integer. SAFETY: the trait's.
    unsafe fn round(x: Self::V) -> Self::V;
    /// 2 to the power of `n`, whole numbers in -126..=127. SAFETY: the trait's.
    unsafe fn power_of_two(n: Self::V) -> Self::V;
    /// `y`, but 0 in lanes in which `x` is below `limit`. SAFETY: the trait's.
    unsafe fn zero_below(x: Self::V, limit: Self::V, y: Self::V) -> Self::V;
    /// The sum of all lanes. SAFETY: the trait's.
    unsafe fn sum(x: Self::V) -> f32;
    /// Stores the sum of all lanes of each register. A sum's bits do not depend on which of the four it is.
    /// SAFETY: the trait's; `to` has room for four numbers.
    unsafe fn store_sums(x: [Self::V; 4], to: *mut f32);
    /// Stores 16 levels times `step`. SAFETY: the trait's; there are 16 levels, and `to` has room for them.
    unsafe fn store_levels(levels: *const i8, step: f32, to: *mut f32);
    /// Stores 16 low nibbles minus 8, times `step`, and then 16 high ones. SAFETY: the trait's; there are 16
    /// bytes, and `to` has room for 32 numbers.
    unsafe fn store_nibbles(bytes: *const u8, step: f32, to: *mut f32);
    /// The largest lane. SAFETY: the trait's.
    unsafe fn largest(x: Self::V) -> f32;
}

#[cfg(target_arch = "aarch64")]
mod neon;
#[cfg(target_arch = "x86_64")]
mod x86;

#[cfg(target_arch = "aarch64")]
pub(crate) use neon::Neon;
#[cfg(target_arch = "x86_64")]
pub(crate) use x86::{Avx2, Avx512};
