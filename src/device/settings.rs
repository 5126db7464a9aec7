//! How a model is run on this machine: flag, then tuned, then profile, then default, each setting with its origin.
//!
//! One pure step from what was typed, measured and written down to what is done.

use serde::Serialize;

use super::budget::{self, BudgetError, Extras, Favor, ModelFacts, Plan, Room, Wishes};
use super::probe::Machine;
use super::profile::{Affinity, Count, KvType, Profile, Run, Switch, Threads, WaitPolicy};
use super::tuned::{Tunable, Tuned};
use crate::kernel::{self, Kernels};

/// Where a setting came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// Typed.
    Flag,
    /// Named by an environment variable.
    Environment,
    /// Measured on this machine by `siskin tune`.
    Tuned,
    /// The device's profile.
    Profile,
    /// Built in.
    Default,
    /// Made smaller, so that it fits.
    Budget,
}

/// A setting and its origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Chosen<T> {
    /// The value.
    pub value: T,
    /// Where it came from.
    pub origin: Origin,
}

/// What was typed; `None` where it was not.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
#[allow(missing_docs)] // the flags' own names
pub struct Flags {
    pub context: Option<u32>,
    pub threads: Option<usize>,
    pub threads_batch: Option<usize>,
    pub ubatch: Option<u32>,
    pub kv_type: Option<KvType>,
    pub flash_attention: Option<Switch>,
    pub repack: Option<bool>,
    pub mmap: Option<bool>,
    pub mlock: Option<bool>,
    /// Typed, or named by the environment.
    pub kernels: Option<Chosen<Kernels>>,
    pub favor: Favor,
    pub extras: Extras,
    pub force: bool,
}

impl Flags {
    /// Those that a memory plan heeds.
    pub fn wishes(&self) -> Wishes {
        Wishes {
            context: self.context,
            kv_type: self.kv_type,
            ubatch: self.ubatch,
            repack: self.repack,
            mmap: self.mmap,
            favor: self.favor,
            extras: self.extras,
            force: self.force,
        }
    }
}

/// Everything that is decided before a model is loaded.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Settings {
    /// Context in tokens; `None` where the model did not tell enough to plan, and llama.cpp decides.
    pub context: Option<Chosen<u32>>,
    /// Threads for decoding.
    pub threads: Chosen<usize>,
    /// Threads for the prompt.
    pub threads_batch: Chosen<usize>,
    /// CPUs the threads are bound to.
    pub affinity: Chosen<Affinity>,
    /// Tokens computed together.
    pub ubatch: Chosen<u32>,
    /// Type of keys and values.
    pub kv_type: Chosen<KvType>,
    /// Fused attention.
    pub flash_attention: Chosen<Switch>,
    /// Repacked weights.
    pub repack: Chosen<bool>,
    /// Mapped weights.
    pub mmap: Chosen<bool>,
    /// Locked weights.
    pub mlock: Chosen<bool>,
    /// What OpenMP's threads do while they wait.
    pub wait_policy: Chosen<WaitPolicy>,
    /// Whose kernels decode, where siskin's can be used.
    pub kernels: Chosen<Kernels>,
    /// Bytes of weights that siskin's kernels ask of the memory before they are needed.
    pub prefetch_bytes: Chosen<u32>,
    /// What that takes, and why; `None` as for `context`.
    pub plan: Option<Plan>,
}

impl Settings {
    /// Those that tuning chooses between.
    pub fn tunable(&self) -> Tunable {
        Tunable {
            threads: self.threads.value,
            threads_batch: self.threads_batch.value,
            repack: self.repack.value,
            mmap: self.mmap.value,
            ubatch: self.ubatch.value,
            flash_attention: self.flash_attention.value,
            kv_type: self.kv_type.value,
            wait_policy: self.wait_policy.value,
            kernels: self.kernels.value,
            prefetch_bytes: self.prefetch_bytes.value,
        }
    }
}

/// What a choice is made from.
#[derive(Debug, Clone, Copy)]
pub struct Sources<'a> {
    /// What was typed.
    pub flags: &'a Flags,
    /// What was measured for this model on this machine.
    pub tuned: Option<&'a Tuned>,
    /// The machine's profile.
    pub profile: Option<&'a Profile>,
    /// The machine.
    pub machine: &'a Machine,
    /// The model's shape; `None` where it does not tell.
    pub facts: Option<&'a ModelFacts>,
}

/// Decides.
pub fn resolve(sources: &Sources<'_>) -> Result<Settings, BudgetError> {
    let Sources {
        flags,
        tuned,
        profile,
        machine,
        facts,
    } = *sources;
    let tuned = tuned.map(|tuned| &tuned.settings);
    let kernels = kernel::Settings::default();
    let run = profile.map_or_else(Run::default, |profile| profile.run.clone());
    let base = if profile.is_some() {
        Origin::Profile
    } else {
        Origin::Default
    };
    let cpus = &machine.cpus;
    let threads = |flag: Option<usize>, measured: Option<usize>, profile: Threads| {
        let measured = measured.map(|count| count.min(cpus.available));
        first(flag, measured, profile.count(cpus), base)
    };
    let decode = threads(flags.threads, tuned.map(|t| t.threads), run.threads);
    // As in llama.cpp, --threads alone counts for the prompt too.
    let batch = threads(
        flags.threads_batch.or(flags.threads),
        tuned.map(|t| t.threads_batch),
        run.threads_batch,
    );
    // The favoured setting overrules what was tuned for balance, and both overrule the profile.
    let favored = favored(flags.favor);
    let soft = |favored: Option<bool>, measured: Option<bool>, profile: bool| match favored {
        Some(value) => Chosen {
            value,
            origin: Origin::Flag,
        },
        None => first(None, measured, profile, base),
    };
    let ubatch = first(flags.ubatch, tuned.map(|t| t.ubatch), run.ubatch.0, base);
    let kv_type = first(flags.kv_type, tuned.map(|t| t.kv_type), run.kv_type, base);
    let repack = flags
        .repack
        .map_or_else(|| soft(favored.repack, tuned.map(|t| t.repack), run.repack), flag);
    let mmap = flags
        .mmap
        .map_or_else(|| soft(favored.mmap, tuned.map(|t| t.mmap), run.mmap), flag);
    let effective = Run {
        ubatch: Count(ubatch.value),
        kv_type: kv_type.value,
        repack: repack.value,
        mmap: mmap.value,
        ..run.clone()
    };
    let room = Room {
        usable_bytes: machine.ram.usable_bytes,
        reserve_bytes: run.reserve_mib << 20,
    };
    let plan = facts
        .map(|facts| budget::plan(facts, &effective, &room, &flags.wishes()))
        .transpose()?;
    let planned = plan.as_ref().map(|plan| plan.settings);
    let context = planned.map(|planned| match flags.context {
        Some(asked) if asked > 0 => flag(planned.context),
        _ if planned.context
            < facts.map_or(0, |facts| facts.training_context.min(budget::DEFAULT_CONTEXT)) =>
        {
            Chosen {
                value: planned.context,
                origin: Origin::Budget,
            }
        }
        Some(_) => flag(planned.context),
        None => Chosen {
            value: planned.context,
            origin: Origin::Default,
        },
    });
    let fitted = |chosen: Chosen<u32>, planned: Option<u32>| shrunk(chosen, planned);
    Ok(Settings {
        context,
        threads: decode,
        threads_batch: batch,
        affinity: Chosen {
            value: run.affinity,
            origin: base,
        },
        ubatch: fitted(ubatch, planned.map(|p| p.ubatch)),
        kv_type: shrunk(kv_type, planned.map(|p| p.kv_type)),
        flash_attention: first(
            flags.flash_attention,
            tuned.map(|t| t.flash_attention),
            run.flash_attention,
            base,
        ),
        repack: shrunk(repack, planned.map(|p| p.repack)),
        mmap: shrunk(mmap, planned.map(|p| p.mmap)),
        mlock: first(flags.mlock, None, run.mlock, base),
        wait_policy: first(None, tuned.map(|t| t.wait_policy), run.wait_policy, base),
        kernels: flags
            .kernels
            .unwrap_or_else(|| first(None, tuned.map(|t| t.kernels), kernels.kernels, Origin::Default)),
        prefetch_bytes: first(
            None,
            tuned.map(|t| t.prefetch_bytes),
            kernels.prefetch_bytes,
            Origin::Default,
        ),
        plan,
    })
}

/// What a favour decides; `None` leaves it to the profile.
struct Favored {
    repack: Option<bool>,
    mmap: Option<bool>,
}

fn favored(favor: Favor) -> Favored {
    match favor {
        Favor::Balanced => Favored {
            repack: None,
            mmap: None,
        },
        // Read weights lie in huge pages; the page cache's are small.
        Favor::Decode => Favored {
            repack: None,
            mmap: Some(false),
        },
        Favor::Memory => Favored {
            repack: Some(false),
            mmap: Some(true),
        },
    }
}

fn flag<T>(value: T) -> Chosen<T> {
    Chosen {
        value,
        origin: Origin::Flag,
    }
}

/// Flag, then tuned, then what is left.
fn first<T>(typed: Option<T>, measured: Option<T>, rest: T, base: Origin) -> Chosen<T> {
    match (typed, measured) {
        (Some(value), _) => flag(value),
        (None, Some(value)) => Chosen {
            value,
            origin: Origin::Tuned,
        },
        (None, None) => Chosen {
            value: rest,
            origin: base,
        },
    }
}

/// The plan's value; where it differs, the budget is its origin.
fn shrunk<T: PartialEq>(chosen: Chosen<T>, planned: Option<T>) -> Chosen<T> {
    match planned {
        Some(value) if value != chosen.value => Chosen {
            value,
            origin: Origin::Budget,
        },
        _ => chosen,
    }
}

#[cfg(test)]
mod tests;
