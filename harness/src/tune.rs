//! What `siskin tune` measures and how it decides: pure, so that both can be tested without measuring.
//!
//! One setting after the other, each with the best found so far: the settings hardly depend on each other, and all
//! combinations would take hours.

use serde::{Deserialize, Serialize};

use super::profile::{KvType, Switch, WaitPolicy};
use super::tuned::{Tunable, Tuned};
use crate::kernel::Kernels;

/// What one round of a trial gave.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// Tokens a second of the prompt.
    pub prefill: f64,
    /// Tokens a second of decoding.
    pub decode: f64,
    /// Most memory resident, in bytes.
    pub peak_rss_bytes: u64,
}

/// How thoroughly to measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Effort {
    /// Rounds of each trial.
    pub rounds: usize,
    /// Tokens of the prompt.
    pub prompt: usize,
    /// Tokens decoded.
    pub decode: usize,
}

impl Effort {
    /// Some minutes on a small board.
    pub const QUICK: Effort = Effort {
        rounds: 3,
        prompt: 64,
        decode: 16,
    };
    /// The usual.
    pub const USUAL: Effort = Effort {
        rounds: 5,
        prompt: 128,
        decode: 32,
    };
    /// For figures to be published.
    pub const FULL: Effort = Effort {
        rounds: 9,
        prompt: 512,
        decode: 64,
    };
}

/// What a stage wants to be fast.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Goal {
    /// The prompt.
    Prefill,
    /// Decoding.
    Decode,
    /// A prompt and as many tokens of answer.
    Both,
}

/// A setting and how its values are compared.
#[derive(Debug, Clone, Copy)]
pub struct Stage {
    /// The setting, by the name of its flag.
    pub name: &'static str,
    /// What counts.
    pub goal: Goal,
    /// Whether the fastest is taken, or only shown: another type of keys and values changes what the model says.
    pub adopt: bool,
    /// Whether the prompt is longer by [`LONG`]: attention takes its time in long contexts, and what is faster in short
    /// ones need not be there.
    pub long: bool,
    values: fn(&Tunable, usize) -> Vec<(String, Tunable)>,
}

/// The stages, in order.
pub const STAGES: [Stage; 8] = [
    Stage {
        name: "weights",
        goal: Goal::Both,
        adopt: true,
        long: false,
        values: weights,
    },
    Stage {
        name: "threads",
        goal: Goal::Decode,
        adopt: true,
        long: false,
        values: threads,
    },
    Stage {
        name: "prefetch",
        goal: Goal::Decode,
        adopt: true,
        long: false,
        values: prefetch,
    },
    Stage {
        name: "threads-batch",
        goal: Goal::Prefill,
        adopt: true,
        long: false,
        values: threads_batch,
    },
    Stage {
        name: "ubatch-size",
        goal: Goal::Prefill,
        adopt: true,
        long: false,
        values: ubatch,
    },
    Stage {
        name: "flash-attn",
        goal: Goal::Both,
        adopt: true,
        long: true,
        values: flash,
    },
    Stage {
        name: "wait-policy",
        goal: Goal::Decode,
        adopt: true,
        long: false,
        values: wait,
    },
    Stage {
        name: "cache-type",
        goal: Goal::Both,
        adopt: false,
        long: true,
        values: cache,
    },
];

/// How many times longer a long prompt is.
pub const LONG: usize = 8;

/// A value must be faster by this share to take another's place: less is noise.
const MARGIN: f64 = 0.02;

impl Stage {
    /// The values to be compared, `now`'s first, on a machine with `cpus` CPUs available.
    pub fn trials(&self, now: &Tunable, cpus: usize) -> Vec<(String, Tunable)> {
        let mut trials = (self.values)(now, cpus);
        trials.sort_by_key(|(_, trial)| trial != now);
        trials
    }
}

fn weights(now: &Tunable, _: usize) -> Vec<(String, Tunable)> {
    let with = |name: &str, mmap, repack| (name.to_owned(), Tunable { mmap, repack, ..*now });
    let mut all = vec![
        with("mmap", true, false),
        with("read", false, false),
        with("read, repack", false, true),
    ];
    if now.mmap && now.repack {
        all.push(with("mmap, repack", true, true));
    }
    all
}

/// One thread, each count up to four, then every other one up to all CPUs.
fn counts(cpus: usize) -> impl Iterator<Item = usize> {
    (1..=cpus).filter(move |&n| n <= 4 || n % 2 == 0 || n == cpus)
}

/// Each count with either kernel: the faster a thread is, the fewer of them keep the memory busy.
fn threads(now: &Tunable, cpus: usize) -> Vec<(String, Tunable)> {
    let all = counts(cpus).flat_map(|threads| kernels(now).map(move |kernels| (threads, kernels)));
    let with = |(threads, kernels): (usize, Kernels)| {
        (
            format!("{threads}, {}", kernels.name()),
            Tunable {
                threads,
                kernels,
                ..*now
            },
        )
    };
    all.map(with).collect()
}

/// siskin's kernels and ggml's; only ggml's where tuning starts with them, since siskin's cannot be used.
fn kernels(now: &Tunable) -> impl Iterator<Item = Kernels> + use<> {
    let usable = now.kernels == Kernels::Siskin;
    Kernels::ALL
        .into_iter()
        .filter(move |kernels| usable || *kernels == Kernels::Ggml)
}

fn prefetch(now: &Tunable, _: usize) -> Vec<(String, Tunable)> {
    let mut all = vec![0, 2048, 8192, 32768, now.prefetch_bytes];
    all.sort_unstable();
    all.dedup();
    // ggml's kernels leave it to the CPU.
    all.retain(|&bytes| now.kernels == Kernels::Siskin || bytes == now.prefetch_bytes);
    let with = |prefetch_bytes: u32| {
        (
            format!("{prefetch_bytes} bytes"),
            Tunable {
                prefetch_bytes,
                ..*now
            },
        )
    };
    all.into_iter().map(with).collect()
}

fn threads_batch(now: &Tunable, cpus: usize) -> Vec<(String, Tunable)> {
    counts(cpus)
        .map(|threads_batch| {
            (
                threads_batch.to_string(),
                Tunable {
                    threads_batch,
                    ..*now
                },
            )
        })
        .collect()
}

fn ubatch(now: &Tunable, _: usize) -> Vec<(String, Tunable)> {
    let mut sizes = vec![64, 128, 256, 512, now.ubatch];
    sizes.sort_unstable();
    sizes.dedup();
    sizes
        .into_iter()
        .map(|ubatch| (ubatch.to_string(), Tunable { ubatch, ..*now }))
        .collect()
}

fn flash(now: &Tunable, _: usize) -> Vec<(String, Tunable)> {
    let mut all = vec![("on", Switch::On), ("off", Switch::Off)];
    if now.flash_attention == Switch::Auto {
        all[0] = ("auto", Switch::Auto);
    }
    let with = |(name, flash_attention): (&str, Switch)| {
        (
            name.to_owned(),
            Tunable {
                flash_attention,
                ..*now
            },
        )
    };
    all.into_iter().map(with).collect()
}

fn wait(now: &Tunable, _: usize) -> Vec<(String, Tunable)> {
    let all = [
        ("default", WaitPolicy::Default),
        ("active", WaitPolicy::Active),
        ("passive", WaitPolicy::Passive),
    ];
    all.map(|(name, wait_policy)| (name.to_owned(), Tunable { wait_policy, ..*now }))
        .into()
}

fn cache(now: &Tunable, _: usize) -> Vec<(String, Tunable)> {
    let all = [
        ("f16", KvType::F16),
        ("q8_0", KvType::Q8_0),
        ("q4_0", KvType::Q4_0),
    ];
    // Quantized values need flash attention.
    let flash = |kv_type| {
        if kv_type == KvType::F16 {
            now.flash_attention
        } else {
            Switch::On
        }
    };
    all.map(|(name, kv_type)| {
        (
            name.to_owned(),
            Tunable {
                kv_type,
                flash_attention: flash(kv_type),
                ..*now
            },
        )
    })
    .into()
}

/// The median of each figure; `None` of no samples.
pub fn median(samples: &[Sample]) -> Option<Sample> {
    let middle = |figure: fn(&Sample) -> f64| {
        let mut values: Vec<f64> = samples.iter().map(figure).collect();
        values.sort_by(f64::total_cmp);
        let (below, above) = (
            values.get(values.len().checked_sub(1)? / 2)?,
            values.get(values.len() / 2)?,
        );
        Some(f64::midpoint(*below, *above))
    };
    Some(Sample {
        prefill: middle(|sample| sample.prefill)?,
        decode: middle(|sample| sample.decode)?,
        peak_rss_bytes: samples.iter().map(|sample| sample.peak_rss_bytes).max()?,
    })
}

impl Goal {
    /// The larger, the better: tokens a second.
    fn speed(self, sample: &Sample) -> f64 {
        match self {
            Goal::Prefill => sample.prefill,
            Goal::Decode => sample.decode,
            Goal::Both => 2.0 / (1.0 / sample.prefill + 1.0 / sample.decode),
        }
    }
}

/// The index of the fastest: the first, unless another is faster by more than noise. `None` marks a value that could
/// not be measured.
pub fn fastest(goal: Goal, medians: &[Option<Sample>]) -> Option<usize> {
    let speed = |index: usize| medians[index].as_ref().map(|sample| goal.speed(sample));
    let best = (0..medians.len())
        .filter_map(|index| Some((index, speed(index)?)))
        .max_by(|a, b| a.1.total_cmp(&b.1))?;
    match speed(0) {
        Some(first) if best.1 < first * (1.0 + MARGIN) => Some(0),
        _ => Some(best.0),
    }
}

/// What is kept of the best trial.
pub fn result(trial: &Tunable, median: &Sample, measured_at: u64) -> Tuned {
    Tuned {
        settings: *trial,
        prefill_tokens_per_second: median.prefill,
        decode_tokens_per_second: median.decode,
        measured_at,
    }
}

#[cfg(test)]
mod tests;
