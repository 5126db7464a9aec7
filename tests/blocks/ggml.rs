//! The reference: ggml, called through the sys crate.

use llama_cpp_sys_2 as sys;
use siskin_model::TensorType;

pub(crate) fn quantize(ty: TensorType, x: &[f32]) -> Vec<u8> {
    quantize_rows(ty, x, x.len(), None)
}

/// Quantizes rows of `len` weights, with the importance of each column.
pub(crate) fn quantize_rows(ty: TensorType, x: &[f32], len: usize, importance: Option<&[f32]>) -> Vec<u8> {
    assert!(x.len().is_multiple_of(len) && importance.is_none_or(|w| w.len() == len));
    let mut bytes = vec![0u8; ty.row_bytes(x.len() as u64).unwrap() as usize];
    let (rows, len) = ((x.len() / len) as i64, len as i64);
    let importance = importance.map_or(std::ptr::null(), <[f32]>::as_ptr);
    // SAFETY: `x` holds `rows` rows of `len` weights, `bytes` exactly their bytes in this type, and
    // `importance` `len` values; these types take a null importance matrix as "none".
    let written = unsafe {
        sys::ggml_quantize_chunk(
            ty.id(),
            x.as_ptr(),
            bytes.as_mut_ptr().cast(),
            0,
            rows,
            len,
            importance,
        )
    };
    assert_eq!(written, bytes.len());
    bytes
}

pub(crate) fn dequantize(ty: TensorType, bytes: &[u8], n: usize) -> Vec<f32> {
    // ggml reads blocks through u16 fields; a Vec<u64> is aligned well enough.
    let mut aligned = vec![0u64; bytes.len().div_ceil(8)];
    for (word, part) in aligned.iter_mut().zip(bytes.chunks(8)) {
        let mut eight = [0; 8];
        eight[..part.len()].copy_from_slice(part);
        *word = u64::from_ne_bytes(eight);
    }
    let mut y = vec![0f32; n];
    // SAFETY: the traits table is static; `to_float` reads the bytes of n weights, which `aligned` holds, and
    // writes n floats.
    unsafe {
        let to_float = (*sys::ggml_get_type_traits(ty.id()))
            .to_float
            .expect("ggml reads this type");
        to_float(aligned.as_ptr().cast(), y.as_mut_ptr(), n as i64);
    }
    y
}
