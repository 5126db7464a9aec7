//! The float types: plain conversions, rounded to nearest even as in numpy and ggml.

use pulp::{Simd, WithSimd};

use super::bits::{Half, float, half};
use super::lanes::{Isa, Step};
use siskin_model::TensorType;

/// Number of weights between two checks for non-finite values.
const CHUNK: usize = 512;

/// Index of the first value of `row` that is infinite or NaN.
pub fn first_nonfinite(row: &[f32]) -> Option<usize> {
    if !any_above(row, f32::MAX) {
        return None;
    }
    row.iter().position(|v| !v.is_finite())
}

/// True if the magnitude of a weight is above `limit`, which is finite, or is NaN.
pub fn any_above(weights: &[f32], limit: f32) -> bool {
    !Isa::best().run(Within {
        weights,
        limit: limit.to_bits(),
    })
}

/// True if all weights in the stored `bytes` are finite. `None` if `ty` is not a 16-bit float: other types
/// must be converted first.
pub fn all_finite(ty: TensorType, bytes: &[u8]) -> Option<bool> {
    let infinity = match ty {
        TensorType::F16 => 0x7c00,
        TensorType::Bf16 => 0x7f80,
        _ => return None,
    };
    let halves = bytes.as_chunks().0;
    Some(Isa::best().run(FiniteHalves { halves, infinity }))
}

/// Checks that the bits of all magnitudes are at most `limit`.
struct Within<'a> {
    weights: &'a [f32],
    limit: u32,
}

impl WithSimd for Within<'_> {
    type Output = bool;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> bool {
        for chunk in self.weights.chunks(CHUNK) {
            // Magnitudes have the same order as their bits, and SIMD can find the largest integer.
            let mut largest = 0;
            for v in chunk {
                largest = largest.max(v.to_bits() & 0x7fff_ffff);
            }
            if largest > self.limit {
                return false;
            }
        }
        true
    }
}

/// Checks that all magnitudes are below the infinity of their type.
struct FiniteHalves<'a> {
    halves: &'a [Half],
    infinity: u16,
}

impl WithSimd for FiniteHalves<'_> {
    type Output = bool;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> bool {
        for chunk in self.halves.chunks(CHUNK) {
            let mut largest = 0;
            for half in chunk {
                largest = largest.max(u16::from_le_bytes(*half) & 0x7fff);
            }
            if largest >= self.infinity {
                return false;
            }
        }
        true
    }
}

/// Conversions: input, output, expression.
macro_rules! conversions {
    ($($(#[$doc:meta])* $name:ident($from:ident: $From:ty) -> $To:ty { $convert:expr })*) => {$(
        $(#[$doc])*
        pub(super) struct $name;

        impl Step for $name {
            type From = $From;
            type To = $To;

            #[inline(always)]
            fn step(from: &$From, to: &mut $To) {
                let $from = *from;
                *to = $convert;
            }
        }
    )*};
}

conversions! {
    ToF32(v: f32) -> [u8; 4] { v.to_le_bytes() }
    FromF32(bytes: [u8; 4]) -> f32 { f32::from_le_bytes(bytes) }
    ToF16(v: f32) -> Half { half(v) }
    FromF16(bytes: Half) -> f32 { float(bytes) }
    ToBf16(v: f32) -> Half { bf16(v) }
    FromBf16(bytes: Half) -> f32 { f32::from_bits(u32::from(u16::from_le_bytes(bytes)) << 16) }
}

/// Rounds to nearest even. A NaN keeps its upper half and becomes quiet, as in ggml.
#[inline(always)]
fn bf16(v: f32) -> Half {
    let bits = v.to_bits();
    let rounded = bits.wrapping_add(0x7fff + ((bits >> 16) & 1)) >> 16;
    let quiet = (bits >> 16) | 0x40;
    let nan = bits & 0x7fff_ffff > f32::INFINITY.to_bits();
    (if nan { quiet } else { rounded } as u16).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::super::{dequantize_row, quantize_row};
    use super::*;

    #[test]
    fn narrowing_rounds_to_nearest_even() {
        // (f32 bits, bf16 bits, f16 bits); the f16 values are from numpy.
        let cases: &[(u32, u16, u16)] = &[
            (0x0000_0000, 0x0000, 0x0000),
            (0x8000_0000, 0x8000, 0x8000),
            (0x3f80_8000, 0x3f80, 0x3c04), // bf16 tie to even, down
            (0x3f81_8000, 0x3f82, 0x3c0c), // bf16 tie to even, up
            (0x3f80_1000, 0x3f80, 0x3c00), // f16 tie to even, down
            (0x3f80_3000, 0x3f80, 0x3c02), // f16 tie to even, up
            (0x7f7f_ffff, 0x7f80, 0x7c00), // too large for either
            (0x477f_efff, 0x4780, 0x7bff), // just below half way to f16's infinity
            (0x3380_0000, 0x3380, 0x0001), // smallest f16 subnormal
            (0x3300_0000, 0x3300, 0x0000), // half of it, to even
            (0x0000_0001, 0x0000, 0x0000),
            (0x7f80_0000, 0x7f80, 0x7c00),
            (0xff80_0001, 0xffc0, 0xfe00), // a signalling NaN becomes quiet
        ];
        for &(bits, bf16, half) in cases {
            let (mut b, mut h) = ([0; 2], [0; 2]);
            quantize_row(TensorType::Bf16, &[f32::from_bits(bits)], &mut b);
            quantize_row(TensorType::F16, &[f32::from_bits(bits)], &mut h);
            assert_eq!(u16::from_le_bytes(b), bf16, "bf16 of {bits:08x}");
            assert_eq!(u16::from_le_bytes(h), half, "f16 of {bits:08x}");
        }
    }

    #[test]
    fn every_half_survives_the_way_up_and_down() {
        let bytes: Vec<u8> = (0..=u16::MAX).flat_map(u16::to_le_bytes).collect();
        let mut wide = vec![0f32; 1 << 16];
        let mut back = vec![0u8; 2 << 16];
        dequantize_row(TensorType::Bf16, &bytes, &mut wide);
        quantize_row(TensorType::Bf16, &wide, &mut back);
        let nan = |i: usize, exponent: u16| i as u16 & 0x7fff > exponent;
        for i in (0..1 << 16).filter(|&i| !nan(i, 0x7f80)) {
            assert_eq!(bytes[2 * i..2 * i + 2], back[2 * i..2 * i + 2], "bf16 {i:04x}");
        }
        dequantize_row(TensorType::F16, &bytes, &mut wide);
        quantize_row(TensorType::F16, &wide, &mut back);
        for i in (0..1 << 16).filter(|&i| !nan(i, 0x7c00)) {
            assert_eq!(bytes[2 * i..2 * i + 2], back[2 * i..2 * i + 2], "f16 {i:04x}");
        }
    }

    #[test]
    fn halves_tell_whether_they_are_finite() {
        for (ty, infinity) in [(TensorType::F16, 0x7c00u16), (TensorType::Bf16, 0x7f80)] {
            for at in [0, 511, 512, 999] {
                let mut halves = vec![infinity - 1; 1000];
                assert_eq!(all_finite(ty, bytemuck::cast_slice(&halves)), Some(true));
                for bad in [infinity, infinity | 0x8000, 0x7fff, 0xffff] {
                    halves[at] = bad.to_le();
                    assert_eq!(all_finite(ty, bytemuck::cast_slice(&halves)), Some(false));
                }
            }
        }
        assert_eq!(all_finite(TensorType::F32, &[0; 4]), None);
    }

    #[test]
    fn the_first_value_that_is_not_finite_is_found() {
        let mut row = vec![f32::MAX; 1000];
        assert_eq!(first_nonfinite(&row), None);
        for (at, bad) in [
            (999, f32::NAN),
            (512, f32::INFINITY),
            (300, f32::NEG_INFINITY),
            (0, -f32::NAN),
        ] {
            row[at] = bad;
            assert_eq!(first_nonfinite(&row), Some(at));
        }
    }
}
