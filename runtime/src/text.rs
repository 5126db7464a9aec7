//! Tokens to text: valid UTF-8 at every moment, stop strings, limits, end tokens, and what it took.

mod decoder;
mod generation;
mod stop;
mod usage;
mod utf8;

pub use decoder::TextDecoder;
pub use generation::{Generation, Sampling, StopReason};
pub use stop::{Cut, StopStrings};
pub use usage::Usage;
pub use utf8::Utf8Stream;

pub(crate) use generation::Writer;
pub(crate) use usage::Clock;
