//! ggml's own functions, which the wrappers call. They are null if the linker was not given `--wrap`, as in
//! programs of other crates that use this one.

#[cfg(kernel_seam)]
mod linked {
    use std::ffi::{c_int, c_void};

    use super::super::abi::{FlashAttention, Quantize, Sgemm, Tiled};

    unsafe extern "C" {
        /// Adds `value` to the counter that all threads of a pool share, and returns the counter before that.
        pub(super) fn ggml_threadpool_chunk_add(threadpool: *mut c_void, value: c_int) -> c_int;
        pub(super) static siskin_real_llamafile_sgemm: Option<Sgemm>;
        pub(super) static siskin_real_flash_attention: Option<FlashAttention>;
        pub(super) static siskin_real_mul_mat_tiled: Option<Tiled>;
        pub(super) static siskin_real_quantize_row_q8_K: Option<Quantize>;
    }

    // Weak references, which Rust cannot declare: a program linked without `--wrap` still links.
    std::arch::global_asm!(
        ".weak __real_llamafile_sgemm",
        ".weak __real_ggml_compute_forward_flash_attn_ext",
        ".weak __real_ggml_compute_forward_mul_mat_tiled",
        ".weak __real_quantize_row_q8_K",
        ".pushsection .data.rel.ro.siskin_real,\"aw\",%progbits",
        ".balign 8",
        ".globl siskin_real_llamafile_sgemm",
        ".hidden siskin_real_llamafile_sgemm",
        "siskin_real_llamafile_sgemm:",
        ".quad __real_llamafile_sgemm",
        ".globl siskin_real_flash_attention",
        ".hidden siskin_real_flash_attention",
        "siskin_real_flash_attention:",
        ".quad __real_ggml_compute_forward_flash_attn_ext",
        ".globl siskin_real_mul_mat_tiled",
        ".hidden siskin_real_mul_mat_tiled",
        "siskin_real_mul_mat_tiled:",
        ".quad __real_ggml_compute_forward_mul_mat_tiled",
        ".globl siskin_real_quantize_row_q8_K",
        ".hidden siskin_real_quantize_row_q8_K",
        "siskin_real_quantize_row_q8_K:",
        ".quad __real_quantize_row_q8_K",
        ".popsection",
    );
}

#[cfg(kernel_seam)]
pub(super) fn llamafile_sgemm() -> Option<super::abi::Sgemm> {
    // SAFETY: a constant of this program: null or the address of a function of this type.
    unsafe { linked::siskin_real_llamafile_sgemm }
}

#[cfg(kernel_seam)]
pub(super) fn flash_attention() -> Option<super::abi::FlashAttention> {
    // SAFETY: as above.
    unsafe { linked::siskin_real_flash_attention }
}

#[cfg(kernel_seam)]
pub(super) fn mul_mat_tiled() -> Option<super::abi::Tiled> {
    // SAFETY: as above.
    unsafe { linked::siskin_real_mul_mat_tiled }
}

#[cfg(kernel_seam)]
pub(super) fn quantize_row_q8_k() -> Option<super::abi::Quantize> {
    // SAFETY: as above.
    unsafe { linked::siskin_real_quantize_row_q8_K }
}

#[cfg(not(kernel_seam))]
pub(super) fn quantize_row_q8_k() -> Option<super::abi::Quantize> {
    None
}

#[cfg(not(kernel_seam))]
pub(super) fn mul_mat_tiled() -> Option<super::abi::Tiled> {
    None
}

#[cfg(not(kernel_seam))]
pub(super) fn llamafile_sgemm() -> Option<super::abi::Sgemm> {
    None
}

#[cfg(not(kernel_seam))]
pub(super) fn flash_attention() -> Option<super::abi::FlashAttention> {
    None
}

/// The number of an operation's next piece, from 0. ggml starts its counter at the number of threads, because
/// it assumes that each thread has begun with the piece that has its number.
///
/// # Safety
/// `params` must be those of a product whose counter ggml has set, after the barrier at which its threads
/// waited.
#[cfg(kernel_seam)]
pub(super) unsafe fn next_piece(params: *const super::abi::ComputeParams) -> usize {
    // SAFETY: the caller's promise; the counter is atomic.
    unsafe {
        let next = linked::ggml_threadpool_chunk_add((*params).threadpool, 1);
        usize::try_from(next - (*params).nth).unwrap_or(usize::MAX)
    }
}

#[cfg(not(kernel_seam))]
pub(super) unsafe fn next_piece(_: *const super::abi::ComputeParams) -> usize {
    usize::MAX
}
