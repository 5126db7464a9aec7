//! siskin: small language models on small machines.
//!
//! Load a GGUF model of about one billion parameters, and make text, in little memory and at the speed of the
//! machine's memory:
//!
//! ```no_run
//! use siskin::{Model, Sampling};
//!
//! # fn main() -> Result<(), siskin::Error> {
//! let model = Model::builder("llama-q4_k_m.gguf").context(4096).load()?;
//! let mut session = model.session()?;
//! for piece in session.generate("Once upon a time", &Sampling::greedy().max_tokens(64))? {
//!     print!("{}", piece?);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! [`Model::builder`] probes the machine, takes what `siskin tune` measured or the profile of the device, plans every
//! byte of memory, refuses what does not fit, and switches on siskin's decode kernels. Pieces of text are valid UTF-8;
//! stop strings, limits and end tokens are handled.
//!
//! # The crates
//! ```text
//! checkpoint ─► tensor map ─► transform ─► quantize ─► GGUF                 quant
//! GGUF ─► plan + settings ─► model ─► sequences ─► text                     runtime
//! ```
//!
//! | module | crate | what it does |
//! | --- | --- | --- |
//! | this one | `siskin-runtime` | [`Model`], [`Session`], [`Context`] for many sequences, [`chat`] |
//! | [`quant`] | `siskin-quant` | converts Hugging Face checkpoints and quantizes, without Python |
//! | [`device`] | `siskin-device` | probes the machine, plans memory, resolves settings |
//! | [`model`] | `siskin-model` | reads and checks GGUF files; tokenizers |
//!
//! The `examples/` folder has programs of 15 to 30 lines: `generate`, `chat`, `convert`, `fit`.
//!
//! # Features
//! Use siskin as a library without the program's dependencies (clap, rustyline, indicatif, …):
//!
//! ```toml
//! [dependencies]
//! siskin = { version = "0.1", default-features = false, features = ["kernels", "openmp"] }
//!
//! [build-dependencies]
//! siskin-link = "0.1"
//! ```
//!
//! `kernels` are siskin's decode kernels (AVX2, AVX-512, NEON). They take the place of ggml's through the linker, which
//! has to be asked in your package's `build.rs`, in one line: `fn main() { siskin_link::wrap(); }`. Without it ggml's
//! kernels compute, and [`kernels_status`] gives the reason. `openmp` runs ggml's threads through OpenMP, which is
//! faster. `static` links OpenMP and the C++ library into the program.
//!
//! llama.cpp is compiled for the CPU that `RUSTFLAGS` or `.cargo/config.toml` name: set `-C target-cpu=native` in your
//! own workspace for programs that run where they are built. Rust's and siskin's kernels are chosen at run time.
//!
//! # Platforms
//! Linux on x86-64 and 64-bit ARM; 32-bit ARM with ggml's kernels.
//!
//! # Errors
//! Every function that can fail says so in its documentation. [`Error::kind`] sorts errors for programs; texts are one
//! line and name no flags.

#![deny(unsafe_code)]

pub use siskin_device as device;
pub use siskin_model as model;
pub use siskin_quant as quant;
pub use siskin_runtime::{
    Batch, Builder, CacheLayout, Context, ContextOptions, Cut, Device, Error, ErrorKind, EvalCallback,
    Generation, Importance, LoadOptions, LoadPlan, Model, MulMat, Notice, Row, Rows, STORYTELLER,
    SamplerConfig, Samples, Sampling, SequenceId, Session, StopReason, StopStrings, Sums, TextDecoder, Token,
    Tokenize, Usage, Utf8Stream, argmax, chat, compiled_features, ggml_hook, llama_cpp_version, show_log,
};

/// Whose kernels decode in this process, and why siskin's do not if they cannot.
pub fn kernels_status() -> ggml_hook::Status {
    ggml_hook::status()
}

#[cfg(not(target_os = "linux"))]
compile_error!("siskin runs on Linux");
