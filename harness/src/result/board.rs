//! What a report has besides speeds: the machine, and how it decodes for longer. Nothing here names a person, a host or a
//! folder.

use serde::{Deserialize, Serialize};

use super::Model;

/// What the system reports about a machine.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Hardware {
    /// Strings of the device tree's `compatible`, most specific first.
    pub compatible: Vec<String>,
    /// The profile that siskin chose, if it is one of its own.
    pub profile: Option<String>,
    /// CPUs that are online.
    pub cpus_online: usize,
    /// CPUs of the fast kind that this process may use.
    pub cpus_big: usize,
    /// Cores that the CPUs belong to which this process may use.
    pub cores: usize,
    /// The CPU time this process may use, in CPUs, if a control group limits it.
    pub quota_cpus: Option<f64>,
    /// The highest clocks of the kinds of CPUs, in MHz, the highest first.
    pub max_mhz: Vec<u64>,
    /// Instruction sets of the CPU.
    pub cpu_isa: Vec<String>,
    /// The kernel's policy for choosing clocks.
    pub governor: Option<String>,
    /// The caches of the first CPU.
    pub caches: Vec<Cache>,
    /// The size of a page of memory in bytes.
    pub page_bytes: u64,
    /// When the kernel gives huge pages: `always`, `madvise`, `never`.
    pub huge_pages: Option<String>,
    /// All memory that the kernel manages, in bytes.
    pub ram_bytes: u64,
    /// Memory that this process could use at the start, in bytes.
    pub usable_bytes: u64,
    /// All swap, in bytes.
    pub swap_bytes: u64,
    /// The part of the swap that is compressed memory.
    pub zram_bytes: u64,
    /// The kinds of temperature sensors.
    pub sensors: Vec<String>,
    /// What has slowed the machine down since it started, as a Raspberry Pi's firmware reports it.
    pub slowed_since_boot: Vec<String>,
}

/// A cache.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cache {
    /// 1 is the nearest to the CPU.
    pub level: u64,
    /// `Data`, `Instruction` or `Unified`.
    pub kind: String,
    /// Its size in bytes.
    pub bytes: u64,
}

/// Decoding without a pause.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sustained {
    /// The file that it was imported from; `None` if it was measured with the others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub imported_from: Option<String>,
    /// The model that decoded.
    pub model: Model,
    /// The number of threads.
    pub threads: usize,
    /// Whose kernels decoded.
    pub kernels: String,
    /// The hottest sensor before it began, in degrees Celsius.
    pub before_celsius: Option<f64>,
    /// One after the other, without gaps.
    pub moments: Vec<Moment>,
}

/// A few seconds of decoding, and the machine at their end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Moment {
    /// Seconds since the beginning.
    pub seconds: f64,
    /// Tokens a second meanwhile.
    pub tokens_per_second: f64,
    /// The hottest sensor.
    pub celsius: Option<f64>,
    /// The mean clock of the CPUs.
    pub hertz: Option<f64>,
    /// Whether the clock was limited meanwhile; `None` if the system does not report it.
    pub throttled: Option<bool>,
    /// What slows the machine down, as a Raspberry Pi's firmware reports it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<String>,
}

impl Sustained {
    /// Tokens a second at the beginning and at the end: the medians of the first and the last fifth of the moments.
    pub fn first_and_last(&self) -> Option<(f64, f64)> {
        let speeds = self.moments.iter().map(|moment| moment.tokens_per_second);
        let speeds: Vec<f64> = speeds.collect();
        let part = speeds.len().div_ceil(5);
        let median = crate::stats::median;
        Some((median(&speeds[..part])?, median(&speeds[speeds.len() - part..])?))
    }

    /// Whether the clock was limited at any time; `None` if the system does not report it.
    pub fn throttled(&self) -> Option<bool> {
        let reported = self.moments.iter().filter_map(|moment| moment.throttled);
        reported.reduce(|one, other| one || other)
    }

    /// The highest temperature.
    pub fn hottest(&self) -> Option<f64> {
        let all = self.moments.iter().filter_map(|moment| moment.celsius);
        all.chain(self.before_celsius).max_by(f64::total_cmp)
    }
}
