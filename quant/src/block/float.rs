//! The float types: plain conversions, rounded to nearest even as numpy and ggml do.

use half::f16;
use half::slice::HalfFloatSliceExt;

use super::lanes::Isa;

/// Weights converted at a time where a small buffer stands between bytes and floats.
const CHUNK: usize = 64;

/// Index of the first value of `row` that is infinite or not a number.
pub fn first_nonfinite(row: &[f32]) -> Option<usize> {
    const EXPONENT: u32 = 0x7f80_0000;
    let bad = |v: &f32| v.to_bits() & EXPONENT == EXPONENT;
    // The common answer is "none": count without branches chunk by chunk, look closer only where there is one.
    let found = Isa::best().run(|| {
        row.chunks(256)
            .position(|chunk| chunk.iter().filter(|v| bad(v)).count() > 0)
    })?;
    let start = found * 256;
    row[start..].iter().position(bad).map(|at| start + at)
}

pub(super) fn to_f32(src: &[f32], dst: &mut [u8]) {
    for (bytes, v) in dst.as_chunks_mut().0.iter_mut().zip(src) {
        *bytes = v.to_le_bytes();
    }
}

pub(super) fn from_f32(src: &[u8], dst: &mut [f32]) {
    for (v, bytes) in dst.iter_mut().zip(src.as_chunks().0) {
        *v = f32::from_le_bytes(*bytes);
    }
}

pub(super) fn to_f16(src: &[f32], dst: &mut [u8]) {
    let mut half = [f16::ZERO; CHUNK];
    for (src, dst) in src.chunks(CHUNK).zip(dst.chunks_mut(2 * CHUNK)) {
        let half = &mut half[..src.len()];
        half.convert_from_f32_slice(src);
        for (bytes, h) in dst.as_chunks_mut().0.iter_mut().zip(half) {
            *bytes = h.to_le_bytes();
        }
    }
}

pub(super) fn from_f16(src: &[u8], dst: &mut [f32]) {
    let mut half = [f16::ZERO; CHUNK];
    for (src, dst) in src.chunks(2 * CHUNK).zip(dst.chunks_mut(CHUNK)) {
        let half = &mut half[..dst.len()];
        for (h, bytes) in half.iter_mut().zip(src.as_chunks().0) {
            *h = f16::from_le_bytes(*bytes);
        }
        half.convert_to_f32_slice(dst);
    }
}

pub(super) fn to_bf16(src: &[f32], dst: &mut [u8]) {
    Isa::best().run(|| {
        for (bytes, v) in dst.as_chunks_mut().0.iter_mut().zip(src) {
            *bytes = bf16_bits(*v).to_le_bytes();
        }
    });
}

pub(super) fn from_bf16(src: &[u8], dst: &mut [f32]) {
    Isa::best().run(|| {
        for (v, bytes) in dst.iter_mut().zip(src.as_chunks().0) {
            *v = f32::from_bits(u32::from(u16::from_le_bytes(*bytes)) << 16);
        }
    });
}

/// Round to nearest even; a NaN keeps its upper half and becomes quiet, as in ggml.
#[inline(always)]
fn bf16_bits(v: f32) -> u16 {
    let bits = v.to_bits();
    let rounded = bits.wrapping_add(0x7fff + ((bits >> 16) & 1)) >> 16;
    let quiet = (bits >> 16) | 0x40;
    (if bits & 0x7fff_ffff > 0x7f80_0000 {
        quiet
    } else {
        rounded
    }) as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn narrowing_rounds_to_nearest_even() {
        // (f32 bits, bf16 bits, f16 bits); f16 as numpy gives them.
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
            to_bf16(&[f32::from_bits(bits)], &mut b);
            to_f16(&[f32::from_bits(bits)], &mut h);
            assert_eq!(u16::from_le_bytes(b), bf16, "bf16 of {bits:08x}");
            assert_eq!(u16::from_le_bytes(h), half, "f16 of {bits:08x}");
        }
    }

    #[test]
    fn every_half_survives_the_way_up_and_down() {
        let bytes: Vec<u8> = (0..=u16::MAX).flat_map(u16::to_le_bytes).collect();
        let mut wide = vec![0f32; 1 << 16];
        let mut back = vec![0u8; 2 << 16];
        from_bf16(&bytes, &mut wide);
        to_bf16(&wide, &mut back);
        let nan = |i: usize, exponent: u16| i as u16 & 0x7fff > exponent;
        for i in (0..1 << 16).filter(|&i| !nan(i, 0x7f80)) {
            assert_eq!(bytes[2 * i..2 * i + 2], back[2 * i..2 * i + 2], "bf16 {i:04x}");
        }
        from_f16(&bytes, &mut wide);
        to_f16(&wide, &mut back);
        for i in (0..1 << 16).filter(|&i| !nan(i, 0x7c00)) {
            assert_eq!(bytes[2 * i..2 * i + 2], back[2 * i..2 * i + 2], "f16 {i:04x}");
        }
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
