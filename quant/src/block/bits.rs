//! What several formats share: f16 scales as bytes, nibbles, and the extremes of a block.

use half::f16;

/// An f16 as it lies in a block.
pub(super) type Half = [u8; 2];

#[inline(always)]
pub(super) fn half(v: f32) -> Half {
    f16::from_f32(v).to_le_bytes()
}

#[inline(always)]
pub(super) fn float(h: Half) -> f32 {
    f16::from_le_bytes(h).to_f32()
}

/// 1/d, or 0 where d is 0: a block of zeros gets zeros.
#[inline(always)]
pub(super) fn inverse(d: f32) -> f32 {
    if d == 0.0 { 0.0 } else { 1.0 / d }
}

/// The nearest integer, ties to even, for |v| < 2^22; some integer below 2^22 in magnitude for any other value.
/// Adding 1.5 * 2^23 leaves no fraction bits, so the float's own rounding does the work.
#[inline(always)]
pub(super) fn nearest(v: f32) -> i32 {
    ((v + 12_582_912.0).to_bits() & 0x007f_ffff) as i32 - 0x0040_0000
}

/// The largest magnitude of a block. Magnitudes are ordered as their bits are, and integers reduce in SIMD.
#[inline(always)]
pub(super) fn max_abs(x: &[f32; 32]) -> f32 {
    f32::from_bits(x.iter().fold(0, |max, v| max.max(v.to_bits() & 0x7fff_ffff)))
}

/// The first value of the largest magnitude, with its sign; +0 for a block of zeros.
#[inline(always)]
pub(super) fn extreme(x: &[f32; 32]) -> f32 {
    let max = max_abs(x);
    let at = (0..32).fold(31, |at, i| if x[i].abs() == max { at.min(i as u32) } else { at });
    if max == 0.0 { 0.0 } else { x[at as usize & 31] }
}

/// Smallest and largest value; of zeros of both signs the first counts, as it does when values are compared in
/// order.
#[inline(always)]
pub(super) fn min_max(x: &[f32; 32]) -> (f32, f32) {
    let (mut min, mut max) = ([f32::MAX; 8], [-f32::MAX; 8]);
    for part in x.as_chunks::<8>().0 {
        for (i, v) in part.iter().enumerate() {
            min[i] = if *v < min[i] { *v } else { min[i] };
            max[i] = if *v > max[i] { *v } else { max[i] };
        }
    }
    let min = min.into_iter().fold(f32::MAX, |a, b| if b < a { b } else { a });
    let max = max.into_iter().fold(-f32::MAX, |a, b| if b > a { b } else { a });
    (if min == 0.0 { first_zero(x) } else { min }, max)
}

#[cold]
fn first_zero(x: &[f32; 32]) -> f32 {
    x.iter().copied().find(|v| *v == 0.0).unwrap_or(0.0)
}

/// Packs the lower four bits of 32 values: the first half in the low nibbles.
#[inline(always)]
pub(super) fn nibbles(q: &[u8; 32]) -> [u8; 16] {
    std::array::from_fn(|i| (q[i] & 15) | (q[i + 16] << 4))
}

/// Bit 4 of 32 values.
#[inline(always)]
pub(super) fn fifth_bits(q: &[u8; 32]) -> [u8; 4] {
    let bits = (0..32).fold(0u32, |bits, i| bits | (u32::from(q[i] >> 4) & 1) << i);
    bits.to_le_bytes()
}

/// The inverse of [`nibbles`].
#[inline(always)]
pub(super) fn from_nibbles(qs: &[u8; 16]) -> [u8; 32] {
    std::array::from_fn(|i| if i < 16 { qs[i] & 15 } else { qs[i - 16] >> 4 })
}

/// The inverse of [`nibbles`] and [`fifth_bits`] together.
#[inline(always)]
pub(super) fn from_five_bits(qs: &[u8; 16], qh: [u8; 4]) -> [u8; 32] {
    let high = u32::from_le_bytes(qh);
    let low = from_nibbles(qs);
    std::array::from_fn(|i| low[i] | ((high >> i & 1) as u8) << 4)
}
