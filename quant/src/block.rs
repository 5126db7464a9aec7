//! Block formats: conversion between rows of f32 and bytes, one file per format.
//!
//! The layouts and the search for scales are those of ggml. The output of [`quantize_row`] equals, byte for
//! byte, the output of `llama-quantize` without an importance matrix. Every format is written once, with SIMD
//! lanes; the widest instruction set of the machine is chosen at run time, and the bytes are the same on
//! each.

use std::marker::PhantomData;

use bytemuck::{AnyBitPattern, NoUninit};
use lanes::Step;

use siskin_model::TensorType;

mod bits;
mod float;
mod lanes;
mod q4_0;
mod q4_1;
mod q4_k;
mod q5_0;
mod q5_1;
mod q5_k;
mod q6_k;
mod q8_0;
mod refine;
mod scale_min;
mod search;
#[cfg(test)]
mod tests;
mod weighted;

pub use float::{all_finite, any_above, first_nonfinite};
pub use lanes::Isa;
pub use search::{Effort, Search, UnknownEffort};

/// Weights per super-block of the K formats.
const SUPER: usize = 256;

/// One block of `LEN` weights, with the layout of a file: only bytes, so it has no alignment.
trait Block<const LEN: usize>: AnyBitPattern + NoUninit {
    /// Quantizes whole rows at once, so that a format may place several blocks next to each other in SIMD
    /// lanes.
    fn quantize(isa: Isa, src: &[[f32; LEN]], dst: &mut [Self]);

    /// Computes the weights of one block.
    fn dequantize(&self, dst: &mut [f32; LEN]);
}

/// True if [`quantize_row`] and [`dequantize_row`] support `ty`; they panic on any other type.
pub fn supports(ty: TensorType) -> bool {
    use TensorType as T;
    matches!(
        ty,
        T::F32
            | T::F16
            | T::Bf16
            | T::Q4_0
            | T::Q4_1
            | T::Q5_0
            | T::Q5_1
            | T::Q8_0
            | T::Q4K
            | T::Q5K
            | T::Q6K
    )
}

/// Quantizes whole rows of weights to `ty`, little-endian as in a GGUF file.
///
/// Values that are not finite give unspecified bytes, but never a panic; [`first_nonfinite`] finds them.
///
/// # Panics
/// If the caller makes a mistake: [`supports`] rejects `ty`, `src` is not a whole number of blocks, or `dst`
/// is not exactly `ty.row_bytes(src.len())` long.
pub fn quantize_row(ty: TensorType, src: &[f32], dst: &mut [u8]) {
    quantize_row_with(Isa::best(), ty, src, dst);
}

/// Like [`quantize_row`], with the instruction set `isa`; for benchmarks, and for tests that compare
/// instruction sets.
///
/// # Panics
/// Like [`quantize_row`].
pub fn quantize_row_with(isa: Isa, ty: TensorType, src: &[f32], dst: &mut [u8]) {
    check(ty, src.len(), dst.len());
    match ty {
        TensorType::F32 => isa.each::<float::ToF32>(src, dst.as_chunks_mut().0),
        TensorType::F16 => isa.each::<float::ToF16>(src, dst.as_chunks_mut().0),
        TensorType::Bf16 => isa.each::<float::ToBf16>(src, dst.as_chunks_mut().0),
        TensorType::Q4_0 => quantize::<32, q4_0::Block>(isa, src, dst),
        TensorType::Q4_1 => quantize::<32, q4_1::Block>(isa, src, dst),
        TensorType::Q5_0 => quantize::<32, q5_0::Block>(isa, src, dst),
        TensorType::Q5_1 => quantize::<32, q5_1::Block>(isa, src, dst),
        TensorType::Q8_0 => quantize::<32, q8_0::Block>(isa, src, dst),
        TensorType::Q4K => quantize::<SUPER, q4_k::Block>(isa, src, dst),
        TensorType::Q5K => quantize::<SUPER, q5_k::Block>(isa, src, dst),
        TensorType::Q6K => quantize::<SUPER, q6_k::Block>(isa, src, dst),
        other => panic!("{other} cannot be quantized to; ask block::supports first"),
    }
}

/// Computes the weights of whole rows of type `ty`.
///
/// # Panics
/// Like [`quantize_row`], with `src` and `dst` exchanged.
pub fn dequantize_row(ty: TensorType, src: &[u8], dst: &mut [f32]) {
    check(ty, dst.len(), src.len());
    match ty {
        TensorType::F32 => Isa::best().each::<float::FromF32>(src.as_chunks().0, dst),
        TensorType::F16 => Isa::best().each::<float::FromF16>(src.as_chunks().0, dst),
        TensorType::Bf16 => Isa::best().each::<float::FromBf16>(src.as_chunks().0, dst),
        TensorType::Q4_0 => dequantize::<32, q4_0::Block>(src, dst),
        TensorType::Q4_1 => dequantize::<32, q4_1::Block>(src, dst),
        TensorType::Q5_0 => dequantize::<32, q5_0::Block>(src, dst),
        TensorType::Q5_1 => dequantize::<32, q5_1::Block>(src, dst),
        TensorType::Q8_0 => dequantize::<32, q8_0::Block>(src, dst),
        TensorType::Q4K => dequantize::<SUPER, q4_k::Block>(src, dst),
        TensorType::Q5K => dequantize::<SUPER, q5_k::Block>(src, dst),
        TensorType::Q6K => dequantize::<SUPER, q6_k::Block>(src, dst),
        other => panic!("{other} cannot be dequantized; ask block::supports first"),
    }
}

fn check(ty: TensorType, weights: usize, bytes: usize) {
    assert_eq!(
        ty.row_bytes(weights as u64),
        Some(bytes as u64),
        "{weights} weights of {ty} do not take {bytes} bytes"
    );
}

/// Calls `quantize` with each row of `len` weights and its bytes.
///
/// # Panics
/// If `src` is not a whole number of such rows.
fn each_row(len: usize, src: &[f32], dst: &mut [u8], mut quantize: impl FnMut(&[f32], &mut [u8])) {
    assert!(
        len == 0 && src.is_empty() || src.len().is_multiple_of(len),
        "{} weights are not whole rows of {len}",
        src.len()
    );
    if src.is_empty() {
        return;
    }
    let row_bytes = dst.len() / (src.len() / len);
    for (x, out) in src.chunks_exact(len).zip(dst.chunks_exact_mut(row_bytes)) {
        quantize(x, out);
    }
}

fn quantize<const LEN: usize, B: Block<LEN>>(isa: Isa, src: &[f32], dst: &mut [u8]) {
    let (src, _) = src.as_chunks::<LEN>();
    B::quantize(isa, src, bytemuck::cast_slice_mut(dst));
}

fn dequantize<const LEN: usize, B: Block<LEN>>(src: &[u8], dst: &mut [f32]) {
    let (dst, _) = dst.as_chunks_mut::<LEN>();
    Isa::best().each::<Dequantize<LEN, B>>(bytemuck::cast_slice(src), dst);
}

struct Dequantize<const LEN: usize, B>(PhantomData<B>);

impl<const LEN: usize, B: Block<LEN>> Step for Dequantize<LEN, B> {
    type From = B;
    type To = [f32; LEN];

    #[inline(always)]
    fn step(block: &B, weights: &mut [f32; LEN]) {
        block.dequantize(weights);
    }
}
