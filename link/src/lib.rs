//! Linker arguments for programs that embed siskin.
//!
//! siskin's decode kernels take the place of ggml's through the linker's `--wrap`, and Cargo passes link arguments
//! only to the package whose build script prints them. So a program that embeds siskin needs a `build.rs` of one line:
//!
//! ```text
//! // build.rs, with `siskin-link` in [build-dependencies]
//! fn main() {
//!     siskin_link::wrap();
//! }
//! ```
//!
//! Without it the program still links and runs, with ggml's kernels; `siskin::kernels_status()` gives the reason.
//! GNU ld, gold, lld and mold know `--wrap`. For targets other than Linux, which use other linkers, this prints nothing.

#![forbid(unsafe_code)]

/// The functions of ggml that siskin wraps: `runtime/src/ggml_hook/seam.rs` defines a wrapper for each.
pub const WRAPPED: [&str; 2] = ["ggml_compute_forward_flash_attn_ext", "llamafile_sgemm"];

/// Prints the link arguments of the package whose build script calls it.
pub fn wrap() {
    if !is_wrapped(&std::env::var("CARGO_CFG_TARGET_OS").unwrap_or_default()) {
        return;
    }
    for name in WRAPPED {
        println!("cargo:rustc-link-arg=-Wl,--wrap={name}");
    }
}

/// Whether linkers for this operating system know `--wrap`.
pub fn is_wrapped(target_os: &str) -> bool {
    target_os == "linux"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_wrapped_function_has_a_wrapper() {
        let seam = include_str!("../../runtime/src/ggml_hook/seam.rs");
        for name in WRAPPED {
            assert!(seam.contains(&format!("fn __wrap_{name}(")), "{name}");
        }
        assert!(is_wrapped("linux") && !is_wrapped("macos"));
    }
}
