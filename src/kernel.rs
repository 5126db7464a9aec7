//! siskin's own kernels under llama.cpp's graph.
//!
//! Decoding multiplies every weight with one column of activations, a short prompt with a few. The crate `siskin-kernels` does that at the
//! memory's speed; here is the seam through which ggml calls it. The linker sends ggml's calls of a few functions
//! to wraps (`--wrap`, see `build.rs`) that pass on to ggml's own until [`select`] switches them. What the
//! kernels do not know, ggml computes as ever.
//!
//! ```text
//! llama.cpp's graph ─► ggml's mul_mat        ─► wrap ─┬─► siskin-kernels   few columns, a format with a kernel
//!                      ggml's flash attention ─► wrap ─┤                    one token, f16 keys and values
//!                                                      └─► ggml's own       everything else, until switched
//! ```
//!
//! Three things must hold before the switch turns: this program was linked with the wraps, this CPU has
//! instructions that there are kernels for, and every kernel agrees with ggml's own on known blocks
//! ([`Status::reason`] says which does not).

#[cfg(own_kernels)]
mod abi;
#[cfg(own_kernels)]
mod attention;
#[cfg(own_kernels)]
mod check;
mod choice;
#[cfg(own_kernels)]
mod product;
#[cfg(own_kernels)]
mod real;
#[cfg(own_kernels)]
mod seam;
#[cfg(not(own_kernels))]
#[path = "kernel/absent.rs"]
mod seam;
#[cfg(own_kernels)]
mod share;

pub use choice::{Calls, ENVIRONMENT, Kernels, Settings, Status};

/// Switches between ggml's kernels and siskin's. Between decodes: a product that is being computed while the
/// switch turns may come out wrong.
pub fn select(settings: &Settings) -> Status {
    seam::select(settings)
}

/// What is in use.
pub fn status() -> Status {
    seam::status()
}

/// What siskin's kernels have computed in this process.
pub fn calls() -> Calls {
    seam::calls()
}

/// Selects as the environment says, unless something was selected before.
pub(crate) fn select_default() {
    seam::select_default();
}
