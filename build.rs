//! Asks the linker to send ggml's calls of some functions to siskin's kernels: see the crate `siskin-link`.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    if std::env::var_os("CARGO_FEATURE_KERNELS").is_some() {
        siskin_link::wrap();
    }
}
