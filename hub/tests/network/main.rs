//! The network's part against a hub that breaks on purpose.
#![cfg(feature = "net")]

mod common;
mod endings;
mod faults;
mod proxies;
mod repos;
