//! The commands, one file each: parse, resolve, call the library, print.

pub(crate) mod bench;
pub(crate) mod chat;
pub(crate) mod completions;
pub(crate) mod convert;
pub(crate) mod device;
#[cfg(feature = "pull")]
mod elsewhere;
pub(crate) mod fit;
pub(crate) mod hash;
pub(crate) mod imatrix;
pub(crate) mod inspect;
mod kernels;
pub(crate) mod list;
#[cfg(feature = "man")]
pub(crate) mod man;
pub(crate) mod model_name;
pub(crate) mod models;
mod names;
mod notices;
mod number;
pub(crate) mod path;
mod prompt_args;
#[cfg(feature = "pull")]
pub(crate) mod pull;
pub(crate) mod quantize;
pub(crate) mod report;
pub(crate) mod rm;
pub(crate) mod run;
mod sampling_args;
pub(crate) mod serve;
mod session_args;
mod spec_args;
mod stats;
mod target_args;
mod template_args;
pub(crate) mod tokenize;
pub(crate) mod tune;
mod write;
