//! What needs a network.
//!
//! | module | holds |
//! | --- | --- |
//! | [`client`] | one client: settings, proxies, cancellation, counters |
//! | [`body`] | the bytes of a file from an offset on, whatever happens to connections |
//! | [`remote`] | a file that is read at any position, with what was read kept |
//! | [`repo`] | a repository of the hub at one commit |
//! | [`registry`] | manifests and blobs of ollama's and other OCI registries |
//! | [`cache`], [`download`] | the cache that other clients share; files at a place of one's own |

mod answer;
pub mod body;
pub mod cache;
pub mod client;
pub mod download;
mod refusal;
pub mod registry;
pub mod remote;
pub mod repo;
mod retry;
mod url;
mod watch;

pub use client::{Client, Notice, Settings};
pub use repo::{RemoteFile, Repo};
