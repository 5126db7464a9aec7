//! The settings that are one of a few words.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::Overrides;

/// A name that none of the words is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{found:?} is not one of {allowed}")]
pub struct UnknownName {
    /// What was given.
    pub found: String,
    /// The words.
    pub allowed: String,
}

/// An enum whose variants have a name each: the same for serde, flags and tables.
macro_rules! named {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum $name {
            $($(#[$variant_doc])* #[serde(rename = $text)] $variant,)*
        }

        impl $name {
            /// Every value.
            pub const ALL: &'static [$name] = &[$($name::$variant,)*];

            /// The name, as the flag takes it.
            pub fn name(self) -> &'static str {
                match self { $($name::$variant => $text,)* }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.name())
            }
        }

        impl FromStr for $name {
            type Err = UnknownName;

            fn from_str(text: &str) -> Result<Self, UnknownName> {
                let found = $name::ALL.iter().find(|value| value.name().eq_ignore_ascii_case(text));
                found.copied().ok_or_else(|| UnknownName {
                    found: text.to_owned(),
                    allowed: [$($text,)*].join(", "),
                })
            }
        }
    };
}

named! {
    /// CPUs that threads are bound to.
    Affinity {
        /// The system decides.
        None = "none",
        /// The fast ones.
        Big = "big",
    }
}

named! {
    /// Whether attention is computed in one fused step.
    FlashAttention {
        /// llama.cpp decides.
        Auto = "auto",
        /// Always; quantized caches need it.
        On = "on",
        /// Never.
        Off = "off",
    }
}

named! {
    /// Whose kernels compute a token's products.
    Kernels {
        /// ggml's own.
        Ggml = "ggml",
        /// siskin's, if they can be used.
        Siskin = "siskin",
    }
}

named! {
    /// What matters most if memory, prompt and decoding want different settings.
    Priority {
        /// The profile's choice.
        Balanced = "balanced",
        /// Tokens per second while decoding.
        Decode = "decode",
        /// Little memory.
        Memory = "memory",
    }
}

named! {
    /// What OpenMP's threads do while they wait (`OMP_WAIT_POLICY`).
    WaitPolicy {
        /// OpenMP's own: spin a while, then sleep.
        Default = "default",
        /// Spin: the next product starts sooner.
        Active = "active",
        /// Sleep: other programs get the CPU.
        Passive = "passive",
    }
}

#[allow(clippy::derivable_impls)] // the macro has no place for the attribute
impl Default for Priority {
    fn default() -> Self {
        Priority::Balanced
    }
}

impl Priority {
    /// The settings that a priority decides itself.
    pub fn overrides(self) -> Overrides {
        let none = Overrides::default();
        match self {
            Priority::Balanced => none,
            // Weights that are read lie in huge pages; the page cache's pages are small.
            Priority::Decode => Overrides {
                mmap: Some(false),
                ..none
            },
            Priority::Memory => Overrides {
                repack: Some(false),
                mmap: Some(true),
                ..none
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back_and_others_refused() {
        for kernels in Kernels::ALL {
            assert_eq!(kernels.name().parse(), Ok(*kernels));
            assert_eq!(kernels.name().to_uppercase().parse(), Ok(*kernels));
            assert_eq!(serde_json::to_value(kernels).expect("a name"), kernels.name());
        }
        for wrong in ["", "mine"] {
            let error = wrong.parse::<Kernels>().unwrap_err().to_string();
            assert!(error.contains("is not one of ggml, siskin"), "{error}");
        }
    }
}
