//! Sets `own_kernels` if siskin has kernels for the architecture, and `kernel_seam` if ggml's calls can reach them.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rustc-check-cfg=cfg(own_kernels, kernel_seam)");
    let of_target = |name: &str| std::env::var(name).unwrap_or_default();
    let asked = std::env::var_os("CARGO_FEATURE_KERNELS").is_some();
    let arch = of_target("CARGO_CFG_TARGET_ARCH");
    if !(asked && siskin_link::ARCHITECTURES.contains(&arch.as_str())) {
        return;
    }
    println!("cargo:rustc-cfg=own_kernels");
    if siskin_link::is_wrapped(&of_target("CARGO_CFG_TARGET_OS"), &arch) {
        println!("cargo:rustc-cfg=kernel_seam");
        // For this crate's own tests.
        siskin_link::wrap();
    }
}
