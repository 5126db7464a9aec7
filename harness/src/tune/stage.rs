//! The stages of tuning: which values are measured and which is taken. Pure, so that both are tested without measuring.

use serde::Serialize;
use siskin_device::settings::{CacheType, FlashAttention, Kernels, Overrides, Values, WaitPolicy};

/// Medians of one trial.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Sample {
    /// Tokens a second of the prompt.
    pub prefill: f64,
    /// Tokens a second of decoding.
    pub decode: f64,
    /// Most memory resident, in bytes.
    pub peak_rss_bytes: u64,
    /// Median absolute deviation of the prompt's speed, as a share of it.
    pub prefill_spread: f64,
    /// The same of decoding.
    pub decode_spread: f64,
}

/// How thoroughly to measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Effort {
    /// Rounds of each trial.
    pub rounds: usize,
    /// Tokens of the prompt.
    pub prompt: u32,
    /// Tokens decoded.
    pub decode: u32,
}

impl Effort {
    /// Few rounds, short texts.
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

    /// Rounds of the last comparison, which decides whether anything is kept.
    pub(super) fn last_rounds(self) -> usize {
        self.rounds.max(LAST_ROUNDS)
    }

    /// Tokens of the prompt, tokens decoded, tokens in the context before, within a training context.
    pub(super) fn lengths(self, long: bool, training_context: u32) -> (u32, u32, u32) {
        let most = training_context.max(1);
        let (prompt, decode) = (self.prompt.min(most), self.decode.min(most));
        let depth = if long { self.prompt * (LONG - 1) } else { 0 };
        (prompt, decode, depth.min(most - prompt.max(decode)))
    }
}

/// The fewest rounds of the last comparison: what is kept must be faster beyond doubt.
const LAST_ROUNDS: usize = 7;

/// What a stage wants to be fast.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Goal {
    /// The prompt.
    Prefill,
    /// Decoding.
    Decode,
    /// A prompt and as many tokens of answer.
    Both,
}

/// A setting and how its values are compared.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stage {
    /// The setting, by the name of its flag.
    pub(super) name: &'static str,
    /// What counts.
    pub(super) goal: Goal,
    /// Whether the fastest is taken, or only shown: another type of keys and values changes the output of the model.
    pub(super) adopt: bool,
    /// Whether the context is filled first, so that a prompt ends [`LONG`] times its length: attention takes its time
    /// in long contexts, and what is faster in short ones need not be there.
    pub(super) long: bool,
    values: fn(&Values, usize) -> Vec<(String, Values)>,
}

/// The stages, in order.
pub(super) const STAGES: [Stage; 8] = [
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

/// How many prompts long a long context is.
pub(super) const LONG: u32 = 8;

impl Stage {
    /// The values to be compared, `now`'s first, on a machine with `cpus` CPUs available.
    pub(super) fn trials(&self, now: &Values, cpus: usize) -> Vec<(String, Values)> {
        let mut trials = (self.values)(now, cpus);
        trials.sort_by_key(|(_, trial)| trial != now);
        trials
    }
}

fn weights(now: &Values, _: usize) -> Vec<(String, Values)> {
    let with = |name: &str, mmap, repack| (name.to_owned(), Values { mmap, repack, ..*now });
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
fn threads(now: &Values, cpus: usize) -> Vec<(String, Values)> {
    let all = counts(cpus).flat_map(|threads| kernels(now).map(move |kernels| (threads, kernels)));
    let with = |(threads, kernels): (usize, Kernels)| {
        (
            format!("{threads}, {}", kernels.name()),
            Values {
                threads,
                kernels,
                ..*now
            },
        )
    };
    all.map(with).collect()
}

/// siskin's kernels and ggml's; only ggml's if tuning starts with them, since siskin's cannot be used.
fn kernels(now: &Values) -> impl Iterator<Item = Kernels> + use<> {
    let usable = now.kernels == Kernels::Siskin;
    Kernels::ALL
        .iter()
        .copied()
        .filter(move |kernels| usable || *kernels == Kernels::Ggml)
}

fn prefetch(now: &Values, _: usize) -> Vec<(String, Values)> {
    let mut all = vec![0, 2048, 8192, 32768, now.prefetch_bytes];
    all.sort_unstable();
    all.dedup();
    // ggml's kernels leave it to the CPU.
    all.retain(|&bytes| now.kernels == Kernels::Siskin || bytes == now.prefetch_bytes);
    let with = |prefetch_bytes: u32| {
        (
            format!("{prefetch_bytes} bytes"),
            Values {
                prefetch_bytes,
                ..*now
            },
        )
    };
    all.into_iter().map(with).collect()
}

fn threads_batch(now: &Values, cpus: usize) -> Vec<(String, Values)> {
    counts(cpus)
        .map(|threads_batch| {
            (
                threads_batch.to_string(),
                Values {
                    threads_batch,
                    ..*now
                },
            )
        })
        .collect()
}

fn ubatch(now: &Values, _: usize) -> Vec<(String, Values)> {
    let mut sizes = vec![64, 128, 256, 512, now.ubatch];
    sizes.sort_unstable();
    sizes.dedup();
    sizes
        .into_iter()
        .map(|ubatch| (ubatch.to_string(), Values { ubatch, ..*now }))
        .collect()
}

fn flash(now: &Values, _: usize) -> Vec<(String, Values)> {
    let mut all = [("on", FlashAttention::On), ("off", FlashAttention::Off)];
    if now.flash_attention == FlashAttention::Auto {
        all[0] = ("auto", FlashAttention::Auto);
    }
    let with = |(name, flash_attention): (&str, FlashAttention)| {
        (
            name.to_owned(),
            Values {
                flash_attention,
                ..*now
            },
        )
    };
    all.into_iter().map(with).collect()
}

fn wait(now: &Values, _: usize) -> Vec<(String, Values)> {
    let all = [
        ("default", WaitPolicy::Default),
        ("active", WaitPolicy::Active),
        ("passive", WaitPolicy::Passive),
    ];
    all.map(|(name, wait_policy)| (name.to_owned(), Values { wait_policy, ..*now }))
        .into()
}

fn cache(now: &Values, _: usize) -> Vec<(String, Values)> {
    let all = [
        ("f16", CacheType::F16),
        ("q8_0", CacheType::Q8_0),
        ("q4_0", CacheType::Q4_0),
    ];
    // Quantized values need flash attention.
    let flash = |cache_type| {
        if cache_type == CacheType::F16 {
            now.flash_attention
        } else {
            FlashAttention::On
        }
    };
    all.map(|(name, cache_type)| {
        (
            name.to_owned(),
            Values {
                cache_type,
                flash_attention: flash(cache_type),
                ..*now
            },
        )
    })
    .into()
}

/// The settings that tuning started with against those that it found.
pub(super) fn result_stage(start: Values, best: Values) -> (Stage, Vec<(String, Values)>) {
    let stage = Stage {
        name: "all",
        goal: Goal::Both,
        adopt: true,
        long: false,
        values: |now, _| vec![("before".into(), *now)],
    };
    let mut trials = stage.trials(&start, 1);
    if best != start {
        trials.push(("after".into(), best));
    }
    (stage, trials)
}

/// Of the settings found, those that tuning chose.
pub(super) fn tuned(values: &Values) -> Overrides {
    Overrides {
        context: None,
        cache_type: None,
        affinity: None,
        mlock: None,
        // Follows from how the page cache has the file.
        huge_pages: None,
        ..Overrides::from(*values)
    }
}

impl Goal {
    /// The larger, the better: tokens a second, from those of the prompt and of decoding.
    pub(super) fn of(self, prefill: f64, decode: f64) -> f64 {
        match self {
            Goal::Prefill => prefill,
            Goal::Decode => decode,
            Goal::Both => 2.0 / (1.0 / prefill + 1.0 / decode),
        }
    }
}
