//! Plain data: what can be chosen, and what is in use.

use std::fmt;

use serde::Serialize;
use siskin_device::settings::Kernels;

/// The environment variable that chooses the kernels if no flag does.
pub const ENVIRONMENT: &str = "SISKIN_KERNELS";

/// The kernels in use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Status {
    /// Whose kernels are in use.
    pub kernels: Kernels,
    /// Name of the instruction set that siskin's kernels use on this CPU; `None` if there are no kernels for
    /// it.
    pub isa: Option<&'static str>,
    /// Bytes of weights that each thread prefetches.
    pub prefetch_bytes: u32,
    /// Why siskin's kernels cannot be used; `None` if they can.
    pub reason: Option<String>,
}

/// Operations that siskin's kernels have computed. Each thread counts each operation once.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Calls {
    /// Products of a matrix with one or a few columns.
    pub products: u64,
    /// Attentions of a few tokens.
    pub attentions: u64,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kernels.name())?;
        match (self.kernels, self.isa, &self.reason) {
            (Kernels::Siskin, Some(isa), _) => {
                write!(f, " ({isa}, prefetches {} bytes)", self.prefetch_bytes)
            }
            (_, _, Some(reason)) => write!(f, " ({reason})"),
            _ => Ok(()),
        }
    }
}
