//! The wrappers, and the switch that decides whether they compute.

use std::ffi::{c_int, c_void};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use llama_cpp_sys_2::ggml_tensor;
use siskin_device::settings::{Kernels, Values};
use siskin_kernels::block::{Q8K, SUPER};
use siskin_kernels::{AttentionKernel, Format, Isa, Kernel, Quantizer};

use super::abi::{self, ComputeParams};
use super::product::{self, Call, Work};
use super::{Calls, Status, attention, check, choose, environment, original};

/// Whether the wrappers compute or call ggml's own functions.
static ON: AtomicBool = AtomicBool::new(false);
/// Whether `select` has been called.
static SELECTED: AtomicBool = AtomicBool::new(false);
static AHEAD: AtomicU32 = AtomicU32::new(0);
static PRODUCTS: AtomicU64 = AtomicU64::new(0);
static ATTENTIONS: AtomicU64 = AtomicU64::new(0);
/// The kernels, or why they cannot be used.
static KERNELS: OnceLock<Result<Set, String>> = OnceLock::new();

/// The kernels for products, one per format, for attention, and for the columns of k-quants.
#[derive(Debug)]
struct Set {
    isa: Isa,
    products: Vec<Kernel>,
    attention: AttentionKernel,
    quantizer: Quantizer,
}

pub(super) fn select(asked: Kernels, prefetch_bytes: u32) -> Status {
    SELECTED.store(true, Ordering::Relaxed);
    let usable = asked == Kernels::Siskin && kernels().is_ok();
    AHEAD.store(prefetch_bytes, Ordering::Relaxed);
    ON.store(usable, Ordering::Release);
    status()
}

pub(super) fn select_default() {
    if !SELECTED.load(Ordering::Relaxed) {
        let values = Values::default();
        let kernels = environment().ok().flatten().unwrap_or(values.kernels);
        select(kernels, values.prefetch_bytes);
    }
}

pub(super) fn computes(ty: &str) -> bool {
    Format::ALL
        .iter()
        .any(|format| format.name().eq_ignore_ascii_case(ty))
}

pub(super) fn attends(key: u64, value: u64, group: u64) -> bool {
    attention::computes(key, value, group)
}

pub(super) fn status() -> Status {
    let on = ON.load(Ordering::Acquire);
    Status {
        kernels: if on { Kernels::Siskin } else { Kernels::Ggml },
        isa: kernels().as_ref().ok().map(|set| set.isa.name()),
        prefetch_bytes: AHEAD.load(Ordering::Relaxed),
        reason: kernels().as_ref().err().cloned(),
    }
}

pub(super) fn calls() -> Calls {
    Calls {
        products: PRODUCTS.load(Ordering::Relaxed),
        attentions: ATTENTIONS.load(Ordering::Relaxed),
    }
}

fn kernels() -> &'static Result<Set, String> {
    KERNELS.get_or_init(|| {
        // Keeps the wrappers linked: the linker must have seen them before ggml refers to them.
        std::hint::black_box((
            __wrap_llamafile_sgemm as abi::Sgemm,
            __wrap_ggml_compute_forward_flash_attn_ext as abi::FlashAttention,
            __wrap_ggml_compute_forward_mul_mat_tiled as abi::Tiled,
            __wrap_quantize_row_q8_K as abi::Quantize,
        ));
        if original::llamafile_sgemm().is_none() || original::flash_attention().is_none() {
            return Err("this program was linked without --wrap".into());
        }
        let none = "there are none for this CPU's instructions";
        let isa = choose::fastest().ok_or(none)?;
        // Attention and products of f16 weights add floats up in another order with wider registers, so what is measured
        // must not choose these: the same seed would give another text on a busy day. Products of blocks add integers.
        let best = Isa::best().ok_or(none)?;
        Ok(Set {
            isa,
            products: check::checked(isa, best)?,
            attention: check::checked_attention(best)?,
            quantizer: check::checked_quantizer(best)?,
        })
    })
}

/// The kernels, if they are switched on.
fn active() -> Option<&'static Set> {
    let on = ON.load(Ordering::Acquire);
    on.then(|| KERNELS.get()?.as_ref().ok()).flatten()
}

/// ggml's calls of `ggml_compute_forward_mul_mat_tiled` arrive here, before it has made the columns ready. If there
/// is a kernel for the product, it tells ggml to go on: to [`__wrap_llamafile_sgemm`].
///
/// # Safety
/// As ggml's own: every thread of the operation calls it with the same node.
#[cfg_attr(kernel_seam, unsafe(no_mangle))]
unsafe extern "C" fn __wrap_ggml_compute_forward_mul_mat_tiled(
    params: *const ComputeParams,
    dst: *mut ggml_tensor,
) -> bool {
    if let Some(set) = active() {
        // SAFETY: ggml promises a valid node with two sources.
        if unsafe { product::is_computed(dst, &set.products) } {
            return false;
        }
    }
    // SAFETY: ggml's own function with ggml's own arguments.
    original::mul_mat_tiled().is_some_and(|real| unsafe { real(params, dst) })
}

/// ggml's calls of `llamafile_sgemm` arrive here. It computes products by a format with a kernel, and passes the
/// rest to ggml.
///
/// # Safety
/// As ggml's own: every thread of the operation calls it with the same arguments, except for its number.
#[cfg_attr(kernel_seam, unsafe(no_mangle))]
#[allow(clippy::too_many_arguments, non_snake_case)]
unsafe extern "C" fn __wrap_llamafile_sgemm(
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
) -> bool {
    if let Some(set) = active() {
        let call = Call {
            params,
            lengths: [m, n, k],
            data: (a, b, c),
            strides: [lda, ldb, ldc],
            types: [a_type, b_type, c_type],
        };
        let ahead = AHEAD.load(Ordering::Relaxed) as usize;
        // SAFETY: `params` is valid for the call, as ggml promises.
        if let Some(work) = unsafe { Work::from_call(&call, &set.products, ahead) } {
            // SAFETY: ggml promises the rows, columns and results that the call names. `Work` uses ggml's
            // counter only if it has pieces, and it has pieces only if ggml has set the counter.
            unsafe { work.run(&mut || original::next_piece(params)) };
            PRODUCTS.fetch_add(1, Ordering::Relaxed);
            return true;
        }
    }
    let Some(real) = original::llamafile_sgemm() else {
        return false;
    };
    // SAFETY: ggml's own function with ggml's own arguments.
    unsafe { real(params, m, n, k, a, lda, b, ldb, c, ldc, a_type, b_type, c_type) }
}

/// ggml's calls of `ggml_compute_forward_flash_attn_ext` arrive here. It computes the attention of a few tokens,
/// and passes the rest to ggml.
///
/// # Safety
/// As ggml's own: every thread of the operation calls it with the same node.
#[cfg_attr(kernel_seam, unsafe(no_mangle))]
unsafe extern "C" fn __wrap_ggml_compute_forward_flash_attn_ext(
    params: *const ComputeParams,
    dst: *mut ggml_tensor,
) {
    if let Some(set) = active() {
        // SAFETY: ggml's own arguments.
        if let Some(share) = unsafe { attention::share(params, dst) } {
            // SAFETY: ggml promises the rows that the node's shapes name, and `share` has checked that the
            // kernel supports these shapes; no other thread has this thread's heads.
            unsafe { set.attention.run(&share) };
            ATTENTIONS.fetch_add(1, Ordering::Relaxed);
            return;
        }
    }
    if let Some(real) = original::flash_attention() {
        // SAFETY: ggml's own function with ggml's own arguments.
        unsafe { real(params, dst) }
    }
}

/// ggml's calls of `quantize_row_q8_K` arrive here, most of them through its table of types.
///
/// # Safety
/// As ggml's own: `numbers` points at `count` numbers, a multiple of 256, and `blocks` at room for their blocks.
#[cfg_attr(kernel_seam, unsafe(no_mangle))]
#[allow(non_snake_case)]
unsafe extern "C" fn __wrap_quantize_row_q8_K(numbers: *const f32, blocks: *mut c_void, count: i64) {
    if let (Some(set), Ok(count)) = (active(), usize::try_from(count)) {
        // SAFETY: the caller's promise; the blocks are written before they are read, and any bytes are a block.
        let (numbers, blocks) = unsafe {
            (
                std::slice::from_raw_parts(numbers, count / SUPER * SUPER),
                std::slice::from_raw_parts_mut(blocks.cast::<Q8K>(), count / SUPER),
            )
        };
        set.quantizer.run(numbers, blocks);
    } else if let Some(real) = original::quantize_row_q8_k() {
        // SAFETY: ggml's own function with ggml's own arguments.
        unsafe { real(numbers, blocks, count) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_switch_turns_and_says_so() {
        let off = select(Kernels::Ggml, 0);
        assert_eq!(off.kernels, Kernels::Ggml);
        let on = select(Kernels::Siskin, 8192);
        println!("{on}");
        match Isa::best() {
            Some(_) if cfg!(kernel_seam) => {
                assert_eq!((on.kernels, on.reason), (Kernels::Siskin, None));
                assert!(Isa::ALL.iter().any(|isa| on.isa == Some(isa.name())));
            }
            _ => assert!(on.kernels == Kernels::Ggml && on.reason.is_some()),
        }
    }
}
