//! siskin runs small language models on small Linux machines, in little memory.
//!
//! It loads a GGUF model of about one billion parameters and generates text, on llama.cpp with its own kernels for
//! decoding:
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
//! [`Model::builder`] probes the machine and chooses settings: yours first, then what `siskin tune` saved, then the
//! profile of the device. It plans every byte of memory, refuses a model that does not fit, and switches on siskin's
//! decode kernels; [`Builder::plan`] stops before loading. [`Session::generate`] gives pieces of valid UTF-8, and handles
//! stop strings, limits and end tokens.
//!
//! # What to use
//! | to | use |
//! | --- | --- |
//! | continue a text | [`Model::session`], [`Session::generate`] |
//! | chat, with the model's template | [`chat::Chat`] |
//! | see the settings and the memory before loading | [`Builder::plan`] |
//! | compute many texts in one batch | [`Context`] |
//! | convert a checkpoint, quantize a GGUF file | [`quant::convert::Conversion`] |
//! | read a GGUF file | [`model::gguf::Header`] |
//!
//! `Model::embedded()` loads a storyteller of 3.7 million parameters that is compiled in: a first test without a file.
//!
//! # The crates
//! Each can be used alone; only the runtime needs llama.cpp.
//!
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
//! `kernels` are siskin's decode kernels (AVX2, AVX-512, NEON). The linker puts them in the place of ggml's if your
//! package's `build.rs` asks it to, in one line: `fn main() { siskin_link::wrap(); }`. Without it ggml's kernels compute,
//! and [`kernels_status`] gives the reason. `openmp` runs ggml's threads through OpenMP, which is
//! faster. `static` links OpenMP and the C++ library into the program.
//!
//! llama.cpp is compiled for the CPU that `RUSTFLAGS` or `.cargo/config.toml` name: set `-C target-cpu=native` in your
//! own workspace for programs that run where they are built. Rust's and siskin's kernels are chosen at run time.
//!
//! # Threads that wait
//! ggml's threads wait for each other many times a token. libgomp has them look up to 14 ms before they sleep; if several
//! programs share the CPUs, they wait for threads that only look. libgomp reads its variables before `main`, so a library
//! cannot set them: start your program with `GOMP_SPINCOUNT=2000` (50000 on ARM), as siskin does with itself. A program that
//! should end with a line of its own if llama.cpp cannot go on calls [`on_abort`].
//!
//! # Platforms
//! Linux on x86-64 and 64-bit ARM; 32-bit ARM with ggml's kernels.
//!
//! # Errors
//! Every function that can fail documents when. [`Error::kind`] sorts errors for programs; their texts are one line and
//! name no flags.

#![deny(unsafe_code)]

pub use siskin_device as device;
pub use siskin_model as model;
pub use siskin_quant as quant;
pub use siskin_runtime::{
    Batch, Builder, CacheLayout, Context, ContextOptions, Cut, Device, Error, ErrorKind, EvalCallback,
    Generation, Importance, LoadOptions, LoadPlan, Model, MulMat, NoKernel, NotExact, Notice, Pooling,
    Progress, Row, Rows, STORYTELLER, SamplerConfig, Samples, Sampling, SequenceId, Session, StopReason,
    StopStrings, Sums, TextDecoder, Token, Tokenize, Usage, Utf8Stream, argmax, chat, compiled_features,
    ggml_hook, llama_cpp_version, on_abort, report_lost_models, restart, share_one_heap, show_log, speculate,
};

/// Which kernels decode in this process, and the reason if siskin's cannot.
pub fn kernels_status() -> ggml_hook::Status {
    ggml_hook::status()
}

#[cfg(not(target_os = "linux"))]
compile_error!("siskin runs on Linux");
