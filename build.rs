//! Makes the linker redirect ggml's calls of some functions to `src/kernel/seam.rs`.
//!
//! Sets `own_kernels` if siskin has kernels for the architecture, and `kernel_seam` if ggml's calls can reach
//! them. `--wrap=name` turns references to `name` from other object files into references to `__wrap_name`,
//! and references to `__real_name` into references to `name`. GNU ld, lld, gold and mold support it; Apple's
//! and Microsoft's linkers do not.

/// The wrapped functions; `src/kernel/seam.rs` defines a wrapper for each.
const WRAPPED: [&str; 2] = ["ggml_compute_forward_flash_attn_ext", "llamafile_sgemm"];

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rustc-check-cfg=cfg(own_kernels, kernel_seam)");
    let is = |name: &str, wanted: &str| std::env::var(name).is_ok_and(|value| value == wanted);
    let asked = std::env::var_os("CARGO_FEATURE_KERNELS").is_some();
    let known = is("CARGO_CFG_TARGET_ARCH", "x86_64") || is("CARGO_CFG_TARGET_ARCH", "aarch64");
    if asked && known {
        println!("cargo:rustc-cfg=own_kernels");
    }
    if asked && known && is("CARGO_CFG_TARGET_OS", "linux") {
        println!("cargo:rustc-cfg=kernel_seam");
        for name in WRAPPED {
            println!("cargo:rustc-link-arg=-Wl,--wrap={name}");
        }
    }
}
