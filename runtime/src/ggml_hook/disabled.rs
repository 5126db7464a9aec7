//! A build without siskin's kernels, by choice or because none exist for its CPU: ggml's are always used.

use super::{Calls, Kernels, Settings, Status};

pub(super) fn select(_: &Settings) -> Status {
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

pub(super) fn calls() -> Calls {
    Calls::default()
}

fn reason() -> &'static str {
    match cfg!(feature = "kernels") {
        true => "siskin has no kernels for 32-bit CPUs and others than x86-64 and ARMv8",
        false => "this program was built without its own kernels",
    }
}
