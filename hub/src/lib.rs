//! From a name to files: where a model is, what its repository holds, and its bytes over a network that fails.
//!
//! | module | holds |
//! | --- | --- |
//! | [`name`] | what people type: `OWNER/REPO`, `hf:…`, `ollama:…`, `oci:…`, addresses |
//! | [`environment`] | the variables that other clients of the hub know |
//! | [`choose`] | what of a repository is needed, pure |
//! | [`store`] | the models on this machine, by names |
//! | [`ollama`] | models that ollama has on this disk, used without a copy |
//! | `net` | HTTP with resuming; repositories; registries; the cache that other clients share (feature `net`) |
//!
//! Everything that a server says is checked: sizes before memory is allocated, names before they become paths, and
//! SHA-256 of every byte that the repository's list gives one for.

#![forbid(unsafe_code)]

pub mod choose;
pub mod digest;
pub mod environment;
mod error;
pub mod name;
#[cfg(feature = "net")]
pub mod net;
pub mod ollama;
pub mod store;

pub use error::HubError;
pub use name::Name;
