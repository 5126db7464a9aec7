//! A build without siskin's kernels, by choice or because none exist for its CPU: ggml's are always used.

use siskin_device::settings::Kernels;

use super::{Calls, Status};

pub(super) fn select(_: Kernels, _: u32) -> Status {
    status()
}

pub(super) fn select_default() {}

pub(super) fn status() -> Status {
    Status {
        kernels: Kernels::Ggml,
        isa: None,
        prefetch_bytes: 0,
        reason: Some(reason().into()),
    }
}

pub(super) fn computes(_: &str) -> bool {
    false
}

pub(super) fn attends(_: u64, _: u64, _: u64) -> bool {
    false
}

pub(super) fn calls() -> Calls {
    Calls::default()
}

fn reason() -> &'static str {
    match cfg!(feature = "kernels") {
        true => "siskin has kernels for x86-64 and 64-bit ARM only",
        false => "this program was built without its own kernels",
    }
}
