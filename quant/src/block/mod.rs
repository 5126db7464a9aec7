//! Block formats, one file each: layout, quantization, dequantization.

mod float;

use crate::TensorType;

/// True where siskin can both read and write `ty`.
pub fn supports(ty: TensorType) -> bool {
    ty.is_float()
}

/// Stores `src` as `ty` in `dst`.
///
/// # Panics
/// Where `dst` is not exactly the row's bytes, or `ty` is not supported.
pub fn quantize_row(ty: TensorType, src: &[f32], dst: &mut [u8]) {
    match ty {
        TensorType::F32 => float::f32_to(src, dst),
        TensorType::F16 => float::f16_to(src, dst),
        TensorType::Bf16 => float::bf16_to(src, dst),
        _ => unreachable!("{ty} is not supported"),
    }
}

/// Reads `src`, stored as `ty`, into `dst`.
///
/// # Panics
/// As [`quantize_row`].
pub fn dequantize_row(ty: TensorType, src: &[u8], dst: &mut [f32]) {
    match ty {
        TensorType::F32 => float::f32_from(src, dst),
        TensorType::F16 => float::f16_from(src, dst),
        TensorType::Bf16 => float::bf16_from(src, dst),
        _ => unreachable!("{ty} is not supported"),
    }
}

/// The index of the first NaN or infinity.
pub fn first_nonfinite(row: &[f32]) -> Option<usize> {
    row.iter().position(|w| !w.is_finite())
}
