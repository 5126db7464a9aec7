//! Products of quantized rows with columns of activations, which take most of the time of a language model.
//!
//! A token reads every weight once, so the memory bounds the speed of one column, and arithmetic that of many. A kernel
//! unpacks some rows once for all columns, prefetches the next ones, and adds nothing across lanes. A result has the
//! same bits with any number of columns and on every instruction set (f16: on each). It is ggml's result, except for
//! the order in which floats are added.
//!
//! ```
//! use siskin_kernels::{Format, Isa, Kernel};
//!
//! let best = Isa::best().and_then(|isa| Kernel::new(Format::Q4K, isa));
//! println!("{:?}", best.map(|kernel| kernel.isa().name()));
//! ```

mod ahead;
mod attention;
pub mod block;
pub mod check;
mod f16;
mod format;
mod isa;
mod kernel;
#[cfg(target_arch = "aarch64")]
mod neon;
mod prefetch;
mod product;
mod quantize;
mod read;
mod tile;
#[cfg(target_arch = "x86_64")]
mod x86;

pub use attention::{Attention, AttentionKernel, Cache, CacheFormat, MAX_DIM, MAX_GROUP, Mask, Strided};
pub use format::{Column, Format};
pub use isa::Isa;
pub use kernel::Kernel;
pub use product::{Next, Product};
pub use quantize::Quantizer;
pub use read::read;
