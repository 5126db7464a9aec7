//! What tuning found, as data and in words.

use serde::Serialize;
use siskin_device::tuned::Tuned;

use super::{LeftOut, Sample, passes};
use crate::CpuLoad;
use crate::cpu_load::Used;

/// What was found.
#[derive(Debug, Clone, Serialize)]
pub struct TuneReport {
    /// The settings to keep, and what they gave.
    pub tuned: Tuned,
    /// What the settings gave that tuning started with; `None` if they could not be measured.
    pub before: Option<Sample>,
    /// What the settings to keep gave, in the same rounds.
    pub after: Sample,
    /// True if the settings to keep are others than those that tuning started with.
    pub changed: bool,
    /// Every value that was measured, in order.
    pub measurements: Vec<Row>,
    /// Other programs used the CPUs when it began.
    pub busy_before: Option<CpuLoad>,
    /// Other programs used the CPUs meanwhile.
    pub busy_meanwhile: Option<CpuLoad>,
    /// The share of the CPUs' time that the host of a virtual machine withheld, if it is worth a note.
    pub withheld: Option<f64>,
}

impl TuneReport {
    /// True if other programs used the machine: the figures are unreliable and should not be saved.
    pub fn is_disturbed(&self) -> bool {
        self.busy_before.is_some() || self.busy_meanwhile.is_some()
    }

    /// How much faster the settings found are than those that tuning started with, in one line.
    pub fn won(&self) -> String {
        let after = &self.after;
        let Some(before) = self.before else {
            return format!("decode {:.1}, prompt {:.1} tokens/s", after.decode, after.prefill);
        };
        if !self.changed {
            return format!(
                "nothing is faster than the settings without tuning by more than noise: decode {:.1}, prompt {:.1} tokens/s",
                after.decode, after.prefill
            );
        }
        let gain = |name: &str, before: f64, after: f64| {
            let percent = 100.0 * (after / before - 1.0);
            format!("{name} {before:.1} → {after:.1} tokens/s, {percent:+.0} %")
        };
        let decode = gain("decode", before.decode, after.decode);
        format!("{decode}; {}", gain("prompt", before.prefill, after.prefill))
    }

    /// What several tokens cost that are computed together, in a line for each depth.
    pub fn passes(&self) -> Vec<String> {
        passes::lines(&self.tuned.pass_costs)
    }

    /// What a reader must know to judge the figures.
    pub fn notes(&self) -> Vec<String> {
        let used = Used {
            others: self.busy_meanwhile.clone(),
            withheld: self.withheld,
        };
        let mut notes: Vec<String> = self.busy_before.iter().map(CpuLoad::at_start).collect();
        notes.extend(used.notes());
        let skipped = self.measurements.iter().filter_map(|row| {
            let reason = row.failure.as_ref()?;
            Some(format!("{} {}: skipped: {reason}", row.setting, row.value))
        });
        notes.extend(skipped);
        notes
    }
}

/// One value of a setting and what was measured with it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    /// The setting, by the name of its flag.
    pub setting: &'static str,
    /// The value.
    pub value: String,
    /// Medians of what it gave; `None` if nothing could be measured.
    #[serde(flatten)]
    pub median: Option<Sample>,
    /// True if it was taken.
    pub chosen: bool,
    /// Rounds thrown away because the clock was held down.
    pub dropped_rounds: usize,
    /// Why it was left out.
    pub failure: Option<LeftOut>,
}
