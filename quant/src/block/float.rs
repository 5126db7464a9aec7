//! The float types, little-endian.
use half::{bf16, f16};

macro_rules! float {
    ($to:ident, $from:ident, $n:literal, $enc:expr, $dec:expr) => {
        pub(super) fn $to(src: &[f32], dst: &mut [u8]) {
            for (w, out) in src.iter().zip(dst.chunks_exact_mut($n)) {
                out.copy_from_slice(&$enc(*w));
            }
        }
        pub(super) fn $from(src: &[u8], dst: &mut [f32]) {
            for (w, b) in dst.iter_mut().zip(src.as_chunks::<$n>().0) {
                *w = $dec(*b);
            }
        }
    };
}
float!(f32_to, f32_from, 4, f32::to_le_bytes, f32::from_le_bytes);
float!(f16_to, f16_from, 2, |w| f16::from_f32(w).to_le_bytes(), |b| {
    f16::from_le_bytes(b).to_f32()
});
float!(bf16_to, bf16_from, 2, |w| bf16::from_f32(w).to_le_bytes(), |b| {
    bf16::from_le_bytes(b).to_f32()
});
