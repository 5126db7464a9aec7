//! Products of quantized rows with one column of activations, which take most of the time of decoding a
//! token.
//!
//! A token reads every weight once, so the memory bounds the speed, and a kernel's whole task is to keep the
//! memory busy: it takes several rows at a time, prefetches the next ones, and adds nothing across lanes
//! before the end of a row. Results are those of ggml's kernels, except for the order in which floats are
//! added.
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
mod read;
mod rows;
#[cfg(target_arch = "x86_64")]
mod x86;

pub use attention::{Attention, AttentionKernel, Cache, MAX_DIM, Strided};
pub use format::Format;
pub use isa::Isa;
pub use kernel::Kernel;
pub use product::Product;
pub use read::read;
