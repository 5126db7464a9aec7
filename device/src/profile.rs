//! Profiles of devices: `targets/*.toml`, compiled in, and the user's own.
//!
//! A profile is plain data: how to recognise a device, how to build for it, how to run on it, and what was
//! measured on it. `targets/README.md` explains every field.

mod choose;
mod load;

use serde::{Deserialize, Serialize};

pub use choose::{Traits, choose};
pub use load::{ProfileError, builtin, builtin_names, parse, user_folder, with_user};

use super::isa::{CpuArch, Isa};
use super::values::{Affinity, CacheType, FlashAttention, Overrides, WaitPolicy};

/// A device profile, as a TOML file describes it.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// The name on the command line; the file is named `NAME.toml`.
    pub name: String,
    /// A description for people.
    pub title: String,
    /// Measurements made on the device; empty if there are none.
    #[serde(default)]
    pub measured: Vec<Measurement>,
    /// How to recognise the device.
    #[serde(rename = "match")]
    pub recognise: Recognise,
    /// The device's hardware, for plans made on another machine.
    pub hardware: Hardware,
    /// How to build for the device.
    pub build: Build,
    /// How to run on the device.
    pub run: Run,
    /// True if the profile comes from the user's folder.
    #[serde(skip_deserializing)]
    pub user: bool,
}

/// How to recognise a device: every condition given must hold.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Recognise {
    /// The architecture of the running program.
    pub arch: CpuArch,
    /// Device-tree `compatible` strings; the machine must have one of them.
    #[serde(default)]
    pub compatible: Vec<String>,
    /// Prefixes of the model's name (device tree or DMI); the name must start with one of them.
    #[serde(default)]
    pub models: Vec<String>,
    /// Extensions that the CPU must have, all of them.
    #[serde(default)]
    pub features: Vec<Isa>,
}

/// A device's CPUs and memory.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Hardware {
    /// The number of CPUs.
    pub cpus: Count,
    /// How many of them are fast; all of them if absent.
    pub big_cpus: Option<Count>,
    /// RAM in MiB: the smallest size commonly sold.
    pub ram_mib: u64,
    /// RAM in MiB that the system uses on a headless installation.
    pub system_mib: u64,
}

/// How to build for a device.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Build {
    /// Rust's target triple.
    pub triple: String,
    /// The value of `-C target-cpu`.
    pub target_cpu: String,
    /// The values of `-C target-feature`, each with its sign.
    #[serde(default)]
    pub target_features: Vec<String>,
    /// The extensions that llama.cpp's kernels are compiled with.
    pub isa: Vec<Isa>,
    /// CMake file for `CMAKE_PROJECT_INCLUDE_BEFORE`, relative to `targets/`.
    pub cmake_include: Option<String>,
    /// GNU prefix of the distribution's cross compiler, without the last dash.
    pub cross_prefix: String,
    /// The CPU for QEMU's user-mode emulator; absent if no emulator is needed.
    pub qemu_cpu: Option<String>,
    /// Debian's name for the architecture.
    pub deb_arch: String,
    /// Instructions that the finished binary must contain.
    #[serde(default)]
    pub instructions: Vec<String>,
    /// Instructions that the finished binary must not contain.
    #[serde(default)]
    pub no_instructions: Vec<String>,
}

/// How to run on a device.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Run {
    /// Threads for decoding.
    pub threads: Threads,
    /// Threads for the prompt (prefill).
    pub threads_batch: Threads,
    /// Which CPUs the threads are bound to.
    pub affinity: Affinity,
    /// Micro-batch size: tokens computed together.
    pub ubatch: Count,
    /// The type in which the KV cache stores keys and values.
    #[serde(alias = "kv_type")]
    pub cache_type: CacheType,
    /// Whether attention is computed in one fused step.
    pub flash_attention: FlashAttention,
    /// Whether llama.cpp repacks the weights.
    pub repack: bool,
    /// Whether the weights are mapped instead of read.
    pub mmap: bool,
    /// Whether the weights are locked in memory, so that they are never swapped out.
    pub mlock: bool,
    /// What OpenMP's threads do between matrix products.
    pub wait_policy: WaitPolicy,
    /// RAM in MiB that a plan leaves free.
    pub reserve_mib: u64,
    /// Recommended file types, best first.
    pub file_types: Vec<String>,
}

impl Default for Run {
    /// The settings for machines that no profile fits.
    fn default() -> Self {
        Run {
            threads: Threads::Physical,
            threads_batch: Threads::Physical,
            affinity: Affinity::None,
            ubatch: Count(256),
            cache_type: CacheType::F16,
            flash_attention: FlashAttention::Auto,
            repack: false,
            mmap: true,
            mlock: false,
            wait_policy: WaitPolicy::Default,
            reserve_mib: 128,
            file_types: vec!["q4_k_m".into(), "q4_0".into()],
        }
    }
}

impl Run {
    /// The settings of this section, on these CPUs.
    pub fn overrides(&self, cpus: &super::probe::Cpus) -> Overrides {
        Overrides {
            threads: Some(self.threads.count(cpus)),
            threads_batch: Some(self.threads_batch.count(cpus)),
            ..self.overrides_without_threads()
        }
    }

    /// The same of a device that is not this one: its CPUs cannot be counted here.
    pub fn overrides_without_threads(&self) -> Overrides {
        Overrides {
            affinity: Some(self.affinity),
            ubatch: Some(self.ubatch.0),
            cache_type: Some(self.cache_type),
            flash_attention: Some(self.flash_attention),
            repack: Some(self.repack),
            mmap: Some(self.mmap),
            mlock: Some(self.mlock),
            wait_policy: Some(self.wait_policy),
            ..Overrides::default()
        }
    }
}

impl Threads {
    /// The number of threads on these CPUs; never more than are available.
    pub fn count(self, cpus: &super::probe::Cpus) -> usize {
        match self {
            Threads::All => cpus.available,
            Threads::Big => cpus.big,
            Threads::Physical => cpus.physical,
            Threads::Fixed(count) => (count as usize).min(cpus.available),
        }
    }
}

/// A measured figure and how it was obtained.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Measurement {
    /// The model and file type.
    pub model: String,
    /// The quantity that was measured.
    pub what: String,
    /// The figure, in `unit`.
    pub value: f64,
    /// The unit of `value`.
    pub unit: String,
    /// The date, as `YYYY-MM-DD`.
    pub date: String,
    /// The machine it was measured on.
    pub machine: String,
    /// The command that measured it.
    pub command: String,
}

/// A count of at least 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct Count(pub u32);

/// The largest count accepted in a profile: far above any sensible one.
const MAX_COUNT: i64 = 65536;

/// How many threads to use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Threads {
    /// One per available CPU.
    All,
    /// One per available fast CPU.
    Big,
    /// One per available core: one of the CPUs that share it.
    Physical,
    /// This many, but no more than there are CPUs available.
    Fixed(u32),
}

const THREADS: [(Threads, &str); 3] = [
    (Threads::All, "all"),
    (Threads::Big, "big"),
    (Threads::Physical, "physical"),
];

impl Serialize for Threads {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match (self, THREADS.iter().find(|row| row.0 == *self)) {
            (Threads::Fixed(count), _) => serializer.serialize_u32(*count),
            (_, row) => serializer.serialize_str(row.map_or("all", |row| row.1)),
        }
    }
}

/// Deserializes a word of a table, or a count.
struct CountOr<'t, T>(&'t [(T, &'t str)], fn(u32) -> T);

impl<T: Copy> serde::de::Visitor<'_> for CountOr<'_, T> {
    type Value = T;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "a number from 1 to {MAX_COUNT}")?;
        self.0.iter().try_for_each(|row| write!(f, " or {:?}", row.1))
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<T, E> {
        match u32::try_from(value) {
            Ok(count) if (1..=MAX_COUNT).contains(&value) => Ok(self.1(count)),
            _ => Err(E::invalid_value(serde::de::Unexpected::Signed(value), &self)),
        }
    }

    fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<T, E> {
        let row = self.0.iter().find(|row| row.1 == value);
        row.map(|row| row.0)
            .ok_or_else(|| E::invalid_value(serde::de::Unexpected::Str(value), &self))
    }
}

impl<'de> Deserialize<'de> for Threads {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(CountOr(&THREADS, Threads::Fixed))
    }
}

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(CountOr(&[], Count))
    }
}
