//! Helpers that several formats share: f16 scales as bytes, nibbles, and the extremes of a block.

/// `x.map(f)` as a plain loop, which the compiler always inlines.
#[inline(always)]
pub(super) fn map<T: Copy, U: Copy + Default, const N: usize>(x: &[T; N], f: impl Fn(T) -> U) -> [U; N] {
    from_fn(|i| f(x[i]))
}

/// `from_fn(f)` as a plain loop, which the compiler always inlines.
#[inline(always)]
pub(super) fn from_fn<U: Copy + Default, const N: usize>(f: impl Fn(usize) -> U) -> [U; N] {
    let mut out = [U::default(); N];
    for (i, out) in out.iter_mut().enumerate() {
        *out = f(i);
    }
    out
}

/// An f16 as stored in a block: little-endian.
pub(super) type Half = [u8; 2];

/// Rounds to the nearest f16, ties to even, without a branch. A NaN becomes the quiet NaN of its sign.
#[inline(always)]
pub(super) fn half(v: f32) -> Half {
    const SUBNORMAL_END: u32 = 0x3880_0000; // 2^-14
    const INFINITE: u32 = 0x477f_f000; // 65520, halfway from the largest f16 to the next power of two
    const NAN: u32 = 0x7f80_0001;
    let bits = v.to_bits();
    let magnitude = bits & 0x7fff_ffff;
    // Changes the exponent's bias from 127 to 15, and drops 13 bits of the fraction, with rounding.
    let odd = (magnitude >> 13) & 1;
    let normal = magnitude.wrapping_sub(112 << 23).wrapping_add(0xfff + odd) >> 13;
    // The last bit of 0.5 represents 2^-24, like the last bit of a subnormal f16: the addition does the
    // rounding.
    let subnormal = (f32::from_bits(magnitude) + 0.5)
        .to_bits()
        .wrapping_sub(0.5f32.to_bits());
    let finite = if magnitude < SUBNORMAL_END {
        subnormal
    } else {
        normal
    };
    let infinite = if magnitude < NAN { 0x7c00 } else { 0x7e00 };
    let rounded = if magnitude < INFINITE { finite } else { infinite };
    (((bits >> 16) & 0x8000 | rounded) as u16).to_le_bytes()
}

/// The value of an f16, without a branch.
#[inline(always)]
pub(super) fn float(h: Half) -> f32 {
    const EXPONENT: u32 = 0x7c00 << 13;
    let h = u32::from(u16::from_le_bytes(h));
    let shifted = (h & 0x7fff) << 13;
    // Changes the bias from 15 to 127; an exponent with all bits set stays so.
    let bias = if shifted & EXPONENT == EXPONENT {
        224 << 23
    } else {
        112 << 23
    };
    let normal = f32::from_bits(shifted + bias);
    // A subnormal has no leading one: add one and subtract it again.
    let subnormal = f32::from_bits(shifted + (113 << 23)) - f32::from_bits(113 << 23);
    let magnitude = if shifted & EXPONENT == 0 {
        subnormal
    } else {
        normal
    };
    f32::from_bits(magnitude.to_bits() | (h & 0x8000) << 16)
}

/// 1/d, or 0 if d is 0: a block of zeros stays zero.
#[inline(always)]
pub(super) fn inverse(d: f32) -> f32 {
    if d == 0.0 { 0.0 } else { 1.0 / d }
}

/// Returns the nearest integer, ties to even, for |v| < 2^22; for any other value, some integer below 2^22 in
/// magnitude. Adding 1.5 * 2^23 leaves no fraction bits, so the float addition does the rounding.
#[inline(always)]
pub(super) fn nearest(v: f32) -> i32 {
    ((v + 12_582_912.0).to_bits() & 0x007f_ffff) as i32 - 0x0040_0000
}

/// Returns the nearest integer, ties away from zero as in C's `roundf`, for |v| < 2^22.
#[inline(always)]
pub(super) fn nearest_away(v: f32) -> i32 {
    let even = nearest_even(v);
    let left = v - even;
    // A tie was rounded towards zero if the remainder points away from zero.
    let tie = left.abs() == 0.5 && left * v > 0.0;
    nearest(even + if tie { left + left } else { 0.0 })
}

/// Returns the largest integer that is not above v, for |v| < 2^22; some integer for any other value.
#[inline(always)]
pub(super) fn floor(v: f32) -> i32 {
    let even = nearest_even(v);
    nearest(even - if even > v { 1.0 } else { 0.0 })
}

#[inline(always)]
fn nearest_even(v: f32) -> f32 {
    (v + 12_582_912.0) - 12_582_912.0
}

/// Returns the largest magnitude of a block. Magnitudes have the same order as their bits, and SIMD can
/// reduce integers.
#[inline(always)]
pub(super) fn max_abs(x: &[f32; 32]) -> f32 {
    f32::from_bits(x.iter().fold(0, |max, v| max.max(v.to_bits() & 0x7fff_ffff)))
}

/// Returns the first value with the largest magnitude, including its sign; +0 for a block of zeros.
#[inline(always)]
pub(super) fn extreme(x: &[f32; 32]) -> f32 {
    let (min, max) = bounds(x);
    if max > -min {
        max
    } else if max < -min {
        min
    } else {
        first_of(x, max)
    }
}

/// If both signs have the largest magnitude, the first one counts.
#[cold]
fn first_of(x: &[f32; 32], magnitude: f32) -> f32 {
    let first = x.iter().copied().find(|v| v.abs() == magnitude && *v != 0.0);
    first.unwrap_or(0.0)
}

/// Returns the smallest and the largest value.
#[inline(always)]
fn bounds(x: &[f32; 32]) -> (f32, f32) {
    let less = |a: f32, b: f32| if b < a { b } else { a };
    let more = |a: f32, b: f32| if b > a { b } else { a };
    let (mut min, mut max) = ([x[0]; 16], [x[0]; 16]);
    for part in x.as_chunks::<16>().0 {
        for (i, v) in part.iter().enumerate() {
            min[i] = less(min[i], *v);
            max[i] = more(max[i], *v);
        }
    }
    let mut half = 8;
    while half > 0 {
        for i in 0..half {
            min[i] = less(min[i], min[i + half]);
            max[i] = more(max[i], max[i + half]);
        }
        half /= 2;
    }
    (min[0], max[0])
}

/// Returns the smallest and the largest value. If the smallest is zero, it has the sign of the first zero, as
/// when values are compared in order.
#[inline(always)]
pub(super) fn min_max(x: &[f32; 32]) -> (f32, f32) {
    let (min, max) = bounds(x);
    (if min == 0.0 { first_zero(x) } else { min }, max)
}

#[cold]
fn first_zero(x: &[f32; 32]) -> f32 {
    x.iter().copied().find(|v| *v == 0.0).unwrap_or(0.0)
}

/// Packs the lower four bits of 32 values; the first 16 values go to the low nibbles.
#[inline(always)]
pub(super) fn nibbles(q: &[u8; 32]) -> [u8; 16] {
    from_fn(|i| (q[i] & 15) | (q[i + 16] << 4))
}

/// Packs bit 4 of 32 values.
#[inline(always)]
pub(super) fn fifth_bits(q: &[u8; 32]) -> [u8; 4] {
    const GATHER: u64 = 0x0102_0408_1020_4080; // moves the lowest bits of eight bytes to the highest byte, in order
    from_fn(|i| {
        let eight = u64::from_le_bytes(from_fn(|k| (q[8 * i + k] >> 4) & 1));
        (eight.wrapping_mul(GATHER) >> 56) as u8
    })
}

/// The inverse of [`nibbles`].
#[inline(always)]
pub(super) fn from_nibbles(qs: &[u8; 16]) -> [u8; 32] {
    from_fn(|i| if i < 16 { qs[i] & 15 } else { qs[i - 16] >> 4 })
}

/// The inverse of [`nibbles`] and [`fifth_bits`] together.
#[inline(always)]
pub(super) fn from_five_bits(qs: &[u8; 16], qh: [u8; 4]) -> [u8; 32] {
    let high = u32::from_le_bytes(qh);
    let low = from_nibbles(qs);
    from_fn(|i| low[i] | ((high >> i & 1) as u8) << 4)
}

#[cfg(test)]
mod tests {
    use super::*;
    use half::f16;

    #[test]
    fn halves_are_read_and_rounded_as_the_half_crate_does() {
        for bits in 0..=u16::MAX {
            let want = f16::from_bits(bits).to_f32();
            let got = float(bits.to_le_bytes());
            assert!(
                got.to_bits() == want.to_bits() || got.is_nan() && want.is_nan(),
                "{bits:04x}"
            );
        }
        // Test every exponent and sign, with fractions around every value at which rounding changes.
        for high in 0..=u16::MAX {
            for low in [
                0, 1, 0x0fff, 0x1000, 0x1001, 0x3000, 0x7fff, 0x8000, 0x8001, 0xffff,
            ] {
                let v = f32::from_bits(u32::from(high) << 16 | low);
                let (got, want) = (f16::from_le_bytes(half(v)), f16::from_f32(v));
                assert!(
                    got.to_bits() == want.to_bits() || got.is_nan() && want.is_nan(),
                    "{v:e}"
                );
            }
        }
    }

    #[test]
    fn fifth_bits_come_back() {
        for bit in 0..32 {
            let q: [u8; 32] = from_fn(|i| if i == bit { 0x1f } else { 0x2f });
            assert_eq!(fifth_bits(&q), (1u32 << bit).to_le_bytes());
        }
    }

    #[test]
    fn rounding_is_the_standard_librarys() {
        for v in (-1024..=1024).map(|v| v as f32 / 8.0) {
            for v in [v.next_down(), v, v.next_up()] {
                assert_eq!(nearest_away(v), v.round() as i32, "{v:e}");
                assert_eq!(floor(v), v.floor() as i32, "{v:e}");
            }
        }
    }
}
