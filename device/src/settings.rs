//! How a model is run: one table of settings, from which three structs follow.
//!
//! | struct | holds |
//! | --- | --- |
//! | [`Values`] | a value for every setting |
//! | [`Overrides`] | a value for some: typed, tuned, or written in a profile |
//! | [`Resolved`] | the values in force, where each came from, and the memory plan |
//!
//! To add a setting: a line in the table below, its flag in the program's `session_args.rs`, and the place that reads
//! it. Everything between (files of `siskin tune`, results of `siskin bench`, `--explain`) follows the table.

mod kinds;
mod resolve;

use serde::{Deserialize, Serialize};

pub use kinds::{Affinity, FlashAttention, Kernels, Priority, UnknownName, WaitPolicy};
pub use resolve::{SettingsError, Sources, resolve};
pub use siskin_model::CacheType;

use crate::budget::{DEFAULT_CONTEXT, Plan};

/// Makes the structs from the table: field, type, default, name of the flag.
macro_rules! settings {
    ($($(#[$doc:meta])* $field:ident: $ty:ty = $default:expr, $flag:literal;)*) => {
        /// A value for every setting.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
        pub struct Values {
            $($(#[$doc])* pub $field: $ty,)*
        }

        impl Default for Values {
            fn default() -> Self {
                Values { $($field: $default,)* }
            }
        }

        impl Values {
            /// These, with the values that `layer` has in their place.
            pub fn with(self, layer: &Overrides) -> Self {
                Values { $($field: layer.$field.unwrap_or(self.$field),)* }
            }

            /// Every setting for people: the name of its flag, its value.
            pub fn rows(&self) -> Vec<(&'static str, String)> {
                vec![$(($flag, word(&self.$field)),)*]
            }
        }

        /// A value for some settings; `None` leaves the choice to others.
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(default)]
        pub struct Overrides {
            $($(#[$doc])* #[serde(skip_serializing_if = "Option::is_none")] pub $field: Option<$ty>,)*
        }

        impl Overrides {
            /// These, and of those that are `None` here, `other`'s.
            pub fn or(self, other: Overrides) -> Self {
                Overrides { $($field: self.$field.or(other.$field),)* }
            }
        }

        impl From<Values> for Overrides {
            fn from(values: Values) -> Self {
                Overrides { $($field: Some(values.$field),)* }
            }
        }

        /// Where each value came from.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
        pub struct Origins {
            $($(#[$doc])* pub $field: Origin,)*
        }

        impl Default for Origins {
            fn default() -> Self {
                Origins { $($field: Origin::Default,)* }
            }
        }

        impl Resolved {
            /// Replaces the values that `layer` has.
            fn apply(&mut self, layer: &Overrides, origin: Origin) {
                $(if let Some(value) = layer.$field {
                    self.values.$field = value;
                    self.origins.$field = origin;
                })*
            }

            /// Takes `planned` over; `origin` is that of every value that changes.
            fn adjust(&mut self, planned: &Values, origin: Origin) {
                $(if self.values.$field != planned.$field {
                    self.values.$field = planned.$field;
                    self.origins.$field = origin;
                })*
            }

            /// Every setting for people: the name of its flag, its value, where it came from.
            pub fn rows(&self) -> Vec<Row> {
                vec![$(Row {
                    name: $flag,
                    value: word(&self.values.$field),
                    origin: self.origins.$field,
                },)*]
            }
        }
    };
}

settings! {
    /// Context in tokens.
    context: u32 = DEFAULT_CONTEXT, "ctx-size";
    /// Threads for decoding, one token at a time.
    threads: usize = crate::available_cpus(), "threads";
    /// Threads for the prompt, many tokens at a time.
    threads_batch: usize = crate::available_cpus(), "threads-batch";
    /// CPUs the threads are bound to.
    affinity: Affinity = Affinity::None, "affinity";
    /// Tokens computed together; bounds the compute buffers.
    ubatch: u32 = 256, "ubatch-size";
    /// Type of the KV cache.
    cache_type: CacheType = CacheType::F16, "cache-type";
    /// Whether attention is computed in one fused step.
    flash_attention: FlashAttention = FlashAttention::Auto, "flash-attn";
    /// Let llama.cpp repack the weights for the CPU.
    repack: bool = false, "repack";
    /// Map the weights instead of reading them.
    mmap: bool = true, "mmap";
    /// Keep the weights from being swapped out.
    mlock: bool = false, "mlock";
    /// What OpenMP's threads do while they wait.
    wait_policy: WaitPolicy = WaitPolicy::Default, "wait-policy";
    /// Whose kernels decode.
    kernels: Kernels = Kernels::Siskin, "kernels";
    /// Bytes of weights that siskin's kernels request from memory before they need them; 0 for none.
    prefetch_bytes: u32 = 8192, "prefetch";
}

/// Where a value came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// Typed, or set by an embedding program.
    Flag,
    /// Named by an environment variable.
    Environment,
    /// Measured on this machine by `siskin tune`.
    Tuned,
    /// The device's profile.
    Profile,
    /// Built in.
    Default,
    /// Changed by the memory plan, so that the model fits.
    Budget,
}

impl Origin {
    /// The name that results and `--explain` use.
    pub fn name(self) -> &'static str {
        match self {
            Origin::Flag => "flag",
            Origin::Environment => "environment",
            Origin::Tuned => "tuned",
            Origin::Profile => "profile",
            Origin::Default => "default",
            Origin::Budget => "budget",
        }
    }
}

/// Everything that is decided before a model is loaded.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Resolved {
    /// The values in force.
    pub values: Values,
    /// Where each came from.
    pub origins: Origins,
    /// What they take, and why; `None` if the model's header does not state enough to plan.
    pub plan: Option<Plan>,
}

impl Resolved {
    /// The context in tokens; `None` if none was asked for and there was no plan to choose one.
    pub fn context(&self) -> Option<u32> {
        let chosen = self.plan.is_some() || self.origins.context != Origin::Default;
        chosen.then_some(self.values.context)
    }
}

/// One setting for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The name of its flag.
    pub name: &'static str,
    /// Its value, as the flag takes it; `on` or `off` for a switch.
    pub value: String,
    /// Where it came from.
    pub origin: Origin,
}

/// A value by the name that serde gives it.
fn word(value: &impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(name)) => name,
        Ok(serde_json::Value::Bool(true)) => "on".into(),
        Ok(serde_json::Value::Bool(false)) => "off".into(),
        Ok(value) => value.to_string(),
        Err(_) => String::new(),
    }
}

#[cfg(test)]
mod tests;
