//! ggml's types and signatures that the wrappers need. ggml's headers for them are internal, so
//! `tests/kernels.rs` compares these with the text of the headers, and a decode with ggml's result.

use std::ffi::{c_int, c_void};
use std::mem::offset_of;

use siskin_kernels::{Column, Format};

/// `struct ggml_compute_params`: the share of an operation that a thread computes.
#[derive(Debug)]
#[repr(C)]
pub(super) struct ComputeParams {
    /// The thread's number, from 0.
    pub(super) ith: c_int,
    /// Number of threads.
    pub(super) nth: c_int,
    wsize: usize,
    /// Work buffer: activations in the format that rows are multiplied by.
    pub(super) wdata: *mut c_void,
    /// The threads that compute the operation, with their counter.
    pub(super) threadpool: *mut c_void,
    use_ref: bool,
}

#[cfg(test)]
impl ComputeParams {
    /// Thread `ith` of `nth`.
    pub(super) fn new(ith: c_int, nth: c_int, wdata: *mut c_void) -> Self {
        Self {
            ith,
            nth,
            wsize: 0,
            wdata,
            threadpool: std::ptr::null_mut(),
            use_ref: false,
        }
    }
}

const _: () = {
    assert!(size_of::<ComputeParams>() == 40 && align_of::<ComputeParams>() == 8);
    assert!(offset_of!(ComputeParams, nth) == 4 && offset_of!(ComputeParams, wsize) == 8);
    assert!(offset_of!(ComputeParams, wdata) == 16 && offset_of!(ComputeParams, threadpool) == 24);
    assert!(offset_of!(ComputeParams, use_ref) == 32);
};

/// `llamafile_sgemm`: `c[n][m] = a[m][k] by b[n][k]`. Lengths and strides are in blocks. Every thread calls
/// it; it returns false to hand the work back.
pub(super) type Sgemm = unsafe extern "C" fn(
    params: *const ComputeParams,
    m: i64,
    n: i64,
    k: i64,
    a: *const c_void,
    lda: i64,
    b: *const c_void,
    ldb: i64,
    c: *mut c_void,
    ldc: i64,
    a_type: c_int,
    b_type: c_int,
    c_type: c_int,
) -> bool;

/// `ggml_compute_forward_flash_attn_ext`, called by every thread.
pub(super) type FlashAttention =
    unsafe extern "C" fn(params: *const ComputeParams, dst: *mut llama_cpp_sys_2::ggml_tensor);

/// `GGML_TYPE_F32`.
pub(super) const F32: c_int = llama_cpp_sys_2::GGML_TYPE_F32 as c_int;

/// `ggml_compute_forward_mul_mat_tiled`, called by every thread before anything else is done for a product. It
/// returns false to leave the product to the calls of [`Sgemm`].
pub(super) type Tiled =
    unsafe extern "C" fn(params: *const ComputeParams, dst: *mut llama_cpp_sys_2::ggml_tensor) -> bool;

/// `quantize_row_q8_K`: makes `count` numbers blocks of q8_K.
pub(super) type Quantize = unsafe extern "C" fn(numbers: *const f32, blocks: *mut c_void, count: i64);

/// ggml's type numbers of a format and of the column it is multiplied by.
pub(super) fn types(format: Format) -> (c_int, c_int) {
    use llama_cpp_sys_2 as sys;
    let rows = match format {
        Format::Q4K => sys::GGML_TYPE_Q4_K,
        Format::Q5K => sys::GGML_TYPE_Q5_K,
        Format::Q6K => sys::GGML_TYPE_Q6_K,
        Format::Q8_0 => sys::GGML_TYPE_Q8_0,
        Format::Q4_0 => sys::GGML_TYPE_Q4_0,
        Format::F16 => sys::GGML_TYPE_F16,
        Format::Q4_1 => sys::GGML_TYPE_Q4_1,
        Format::Q5_0 => sys::GGML_TYPE_Q5_0,
        Format::Q5_1 => sys::GGML_TYPE_Q5_1,
        Format::Q2K => sys::GGML_TYPE_Q2_K,
        Format::Q3K => sys::GGML_TYPE_Q3_K,
        Format::Iq4Nl => sys::GGML_TYPE_IQ4_NL,
        Format::Iq4Xs => sys::GGML_TYPE_IQ4_XS,
    };
    let column = match format.column() {
        Column::Q8K => sys::GGML_TYPE_Q8_K,
        Column::Q8_0 => sys::GGML_TYPE_Q8_0,
        Column::Q8_1 => sys::GGML_TYPE_Q8_1,
        Column::F16 => sys::GGML_TYPE_F16,
    };
    (rows as c_int, column as c_int)
}

/// The format for rows of type `a` and a column of type `b`.
pub(super) fn format(a: c_int, b: c_int) -> Option<Format> {
    Format::ALL.into_iter().find(|format| types(*format) == (a, b))
}
