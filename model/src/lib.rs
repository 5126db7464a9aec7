//! What a model file is: the crate that every other crate of siskin uses.
//!
//! | module | holds |
//! | --- | --- |
//! | [`gguf`] | typed metadata in the file's order, a checked reader, a writer |
//! | [`files`], [`atomic_file`] | inputs that are read in pieces; outputs that appear whole or not at all |
//! | [`config`], [`arch`] | `config.json`, and for each architecture its keys and its table of tensors |
//! | [`json`] | JSON as Python writes it, for the files of a checkpoint |
//! | [`shape`] | the sizes that memory and speed follow from, read from a header |
//! | [`tokenizer`] | text to tokens and back, with llama.cpp's results in a fifth of its memory |
//! | [`validate`] | everything llama.cpp would abort on, found before it sees the file |
//! | [`summary`] | what a file holds, in figures |
//!
//! Files come from strangers: nothing here is `unsafe`, sizes are checked before memory is allocated, and arithmetic
//! on numbers from a file is checked.

#![forbid(unsafe_code)]

pub mod arch;
pub mod atomic_file;
mod cache_type;
pub mod config;
mod error_kind;
mod file_type;
pub mod files;
pub mod gguf;
pub mod json;
pub mod shape;
pub mod summary;
pub mod tokenizer;
mod types;
pub mod validate;

pub use cache_type::{CacheType, UnknownCacheType};
pub use error_kind::ErrorKind;
pub use file_type::{FileType, UnknownFileType, file_type_name};
pub use types::{TensorType, UnknownTensorType};
