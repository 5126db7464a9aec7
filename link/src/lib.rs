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
//! GNU ld, gold, lld and mold know `--wrap`. For targets other than Linux, which use other linkers, and for
//! architectures that siskin has no kernels for, this prints nothing.

#![forbid(unsafe_code)]

/// The functions of ggml that siskin wraps: `runtime/src/ggml_hook/seam.rs` defines a wrapper for each.
pub const WRAPPED: [&str; 4] = [
    "ggml_compute_forward_flash_attn_ext",
    "ggml_compute_forward_mul_mat_tiled",
    "llamafile_sgemm",
    "quantize_row_q8_K",
];

/// The architectures that siskin has kernels for, as Cargo spells them. On others no wrapper is compiled, so a wrapped
/// name would be undefined.
pub const ARCHITECTURES: [&str; 2] = ["x86_64", "aarch64"];

/// Prints the link arguments of the package whose build script calls it.
pub fn wrap() {
    let of_target = |name: &str| std::env::var(name).unwrap_or_default();
    if !is_wrapped(
        &of_target("CARGO_CFG_TARGET_OS"),
        &of_target("CARGO_CFG_TARGET_ARCH"),
    ) {
        return;
    }
    for name in WRAPPED {
        println!("cargo:rustc-link-arg=-Wl,--wrap={name}");
    }
}

/// Whether ggml's functions are wrapped for this operating system and architecture: its linkers know `--wrap`, and
/// siskin has kernels.
pub fn is_wrapped(target_os: &str, target_arch: &str) -> bool {
    target_os == "linux" && ARCHITECTURES.contains(&target_arch)
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
    }

    #[test]
    fn only_targets_with_a_linker_and_kernels_are_wrapped() {
        for (os, arch, wrapped) in [
            ("linux", "x86_64", true),
            ("linux", "aarch64", true),
            ("linux", "arm", false),
            ("linux", "riscv64", false),
            ("macos", "aarch64", false),
            ("", "", false),
        ] {
            assert_eq!(is_wrapped(os, arch), wrapped, "{os} {arch}");
        }
    }
}
