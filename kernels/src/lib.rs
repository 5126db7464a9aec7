//! Quantized rows times one activation column: the products that decoding a token lives on.
//!
//! A token reads every weight once, so the memory bounds how fast tokens come, and a kernel's whole task is to
//! keep it busy: several rows at a time, the next ones asked for early, nothing added across lanes before a
//! row's end. Results are those of ggml's kernels but for the order in which floats are added.
//!
//! ```
//! use siskin_kernels::{Format, Isa, Kernel};
//!
//! let best = Isa::best().and_then(|isa| Kernel::new(Format::Q4K, isa));
//! println!("{:?}", best.map(|kernel| kernel.isa().name()));
//! ```

mod attention;
pub mod block;
pub mod check;
mod format;
mod isa;
mod kernel;
#[cfg(target_arch = "aarch64")]
mod neon;
mod product;
mod rows;
#[cfg(target_arch = "x86_64")]
mod x86;

pub use attention::{Attention, AttentionKernel, Cache, MAX_DIM, Strided};
pub use format::Format;
pub use isa::Isa;
pub use kernel::Kernel;
pub use product::Product;
