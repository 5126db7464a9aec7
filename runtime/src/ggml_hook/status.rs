//! Plain data: what can be chosen, and what is in use.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The environment variable that chooses the kernels if no flag does.
pub const ENVIRONMENT: &str = "SISKIN_KERNELS";

/// Whose kernels compute the products and attention of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kernels {
    /// ggml's own kernels.
    Ggml,
    /// siskin's kernels, if they can be used.
    Siskin,
}

/// The kernels to use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Whose kernels to use.
    pub kernels: Kernels,
    /// Bytes of weights that each thread prefetches; 0 for none.
    pub prefetch_bytes: u32,
}

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
    /// Attentions of one token.
    pub attentions: u64,
}

impl Kernels {
    /// Both choices.
    pub const ALL: [Kernels; 2] = [Kernels::Ggml, Kernels::Siskin];

    /// The name, as typed.
    pub fn name(self) -> &'static str {
        match self {
            Kernels::Ggml => "ggml",
            Kernels::Siskin => "siskin",
        }
    }
}

impl FromStr for Kernels {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Kernels::ALL.into_iter().find(|kernels| kernels.name() == text);
        found.ok_or_else(|| format!("'{text}' is neither ggml nor siskin"))
    }
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            kernels: Kernels::Siskin,
            prefetch_bytes: 8192,
        }
    }
}

impl Settings {
    /// The defaults, with the kernels that the environment names; an unknown name is ignored.
    pub fn from_environment() -> Self {
        let named = std::env::var(ENVIRONMENT).ok();
        let kernels = named.and_then(|name| name.parse().ok());
        let default = Settings::default();
        Settings {
            kernels: kernels.unwrap_or(default.kernels),
            ..default
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kernels.name())?;
        match (self.kernels, self.isa, &self.reason) {
            (Kernels::Siskin, Some(isa), _) => write!(f, " ({isa}, {} bytes ahead)", self.prefetch_bytes),
            (_, _, Some(reason)) => write!(f, " ({reason})"),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back_and_others_refused() {
        for kernels in Kernels::ALL {
            assert_eq!(kernels.name().parse(), Ok(kernels));
        }
        for wrong in ["", "GGML", "mine"] {
            assert!(
                wrong
                    .parse::<Kernels>()
                    .unwrap_err()
                    .contains("neither ggml nor siskin")
            );
        }
    }
}
