//! siskin's own kernels under llama.cpp's graph.
//!
//! Decoding multiplies every weight with one column of activations, a prompt with many. The crate
//! `siskin-kernels` does that at the speed of the memory; this module connects it to ggml. The linker
//! redirects ggml's calls of a few functions to wrappers (`--wrap`, see `build.rs`). The wrappers call ggml's
//! own functions until [`select`] switches them. ggml always computes what the kernels do not support.
//!
//! ```text
//! llama.cpp's graph ─► ggml's mul_mat        ─► wrap ─┬─► siskin-kernels   a format with a kernel
//!                      ggml's flash attention ─► wrap ─┤                    few tokens, keys and values of a type with a kernel
//!                                                      └─► ggml's own       everything else, until switched
//! ```
//!
//! siskin's kernels are used only if three things hold: this program was linked with the wrappers, this CPU
//! has instructions that the kernels are written for, and every kernel agrees with ggml's own on known
//! blocks. [`Status::reason`] names the one that failed.

#[cfg(own_kernels)]
mod abi;
#[cfg(own_kernels)]
mod attention;
#[cfg(own_kernels)]
mod check;
#[cfg(own_kernels)]
mod choose;
#[cfg(own_kernels)]
mod original;
#[cfg(own_kernels)]
mod partition;
#[cfg(own_kernels)]
mod product;
#[cfg(own_kernels)]
mod seam;
#[cfg(not(own_kernels))]
#[path = "ggml_hook/disabled.rs"]
mod seam;

mod status;

use siskin_device::settings::{Kernels, UnknownName};

pub use status::{Calls, ENVIRONMENT, Status};

/// Switches between ggml's kernels and siskin's. Call it between decodes only: a product that is being
/// computed during the switch may be wrong.
///
/// `prefetch_bytes` of weights are requested from memory before they are needed; 0 for none.
pub fn select(kernels: Kernels, prefetch_bytes: u32) -> Status {
    seam::select(kernels, prefetch_bytes)
}

/// The kernels that the environment variable [`ENVIRONMENT`] names, if it is set.
///
/// # Errors
/// It names none that there are.
pub fn environment() -> Result<Option<Kernels>, UnknownName> {
    let named = std::env::var(ENVIRONMENT).ok();
    named.map(|name| name.parse()).transpose()
}

/// The kernels in use, and why siskin's are not if they cannot be.
pub fn status() -> Status {
    seam::status()
}

/// Whether siskin has a kernel for matrices of a type, by its name in GGUF files.
pub(crate) fn computes(ty: &str) -> bool {
    seam::computes(ty)
}

/// Whether siskin's attention computes heads with keys and values of these lengths, if so many share keys.
pub(crate) fn attends(key: u64, value: u64, group: u64) -> bool {
    seam::attends(key, value, group)
}

/// Counts what siskin's kernels have computed in this process.
pub fn calls() -> Calls {
    seam::calls()
}

/// Selects the kernels that the environment names, unless [`select`] was called before.
pub(crate) fn select_default() {
    seam::select_default();
}
