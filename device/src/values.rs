//! The table of settings, and what follows from it: [`Values`], [`Overrides`], [`Origins`].
//!
//! To add a setting: a line in the table, its flag in the program's `session_args.rs`, and the place that reads it.

mod kinds;

use serde::{Deserialize, Serialize};

pub use kinds::{Affinity, FlashAttention, Kernels, Priority, UnknownName, WaitPolicy};
pub use siskin_model::CacheType;

/// The context if none is asked for and the model was trained with more: what chats and stories need. The training
/// length of Llama 3.2 would be 4 GiB of keys and values.
pub const DEFAULT_CONTEXT: u32 = 4096;

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
                vec![$(($flag, self.$field.word()),)*]
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

        impl Origins {
            /// Lays `layer` over `values`; every value that it has comes from `origin`.
            pub(crate) fn apply(&mut self, values: &mut Values, layer: &Overrides, origin: Origin) {
                $(if let Some(value) = layer.$field {
                    values.$field = value;
                    self.$field = origin;
                })*
            }

            /// Takes `planned` over; every value that changes comes from `origin`.
            pub(crate) fn adjust(&mut self, values: &mut Values, planned: &Values, origin: Origin) {
                $(if values.$field != planned.$field {
                    values.$field = planned.$field;
                    self.$field = origin;
                })*
            }

            /// Every setting for people, with these values.
            pub fn rows(&self, values: &Values) -> Vec<Row> {
                let origins = [$(self.$field,)*];
                let rows = values.rows().into_iter().zip(origins);
                rows.map(|((name, value), origin)| Row { name, value, origin }).collect()
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
    /// Have mapped weights in huge pages; if the page cache has them in small ones, it reads them from storage again.
    #[serde(default)]
    huge_pages: bool = false, "huge-pages";
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
    /// Measured on this machine when a model was first run here.
    Measured,
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
            Origin::Measured => "measured",
            Origin::Profile => "profile",
            Origin::Default => "default",
            Origin::Budget => "budget",
        }
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

/// A value as its flag takes it.
trait Word {
    fn word(&self) -> String;
}

impl Word for bool {
    fn word(&self) -> String {
        if *self { "on" } else { "off" }.into()
    }
}

macro_rules! displayed {
    ($($ty:ty),*) => {
        $(impl Word for $ty {
            fn word(&self) -> String {
                self.to_string()
            }
        })*
    };
}

displayed!(
    u32,
    usize,
    Affinity,
    CacheType,
    FlashAttention,
    Kernels,
    WaitPolicy
);
