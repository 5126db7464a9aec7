//! A build without the feature `kernels`: ggml's own, always.

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
        reason: Some("this program was built without its own kernels".into()),
    }
}

pub(super) fn calls() -> Calls {
    Calls::default()
}
