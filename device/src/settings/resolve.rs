//! Flag, then environment, then tuned, then measured at the first run, then profile, then default: one pure step from what was typed, measured and
//! written down to the values in force.

use siskin_model::shape::Shape;

use super::Resolved;
use crate::budget::{self, BudgetError, Constraints, MemoryLimit, Plan, Reason};
use crate::pages::Choice;
use crate::probe::Machine;
use crate::profile::{Profile, Run};
use crate::tuned::Tuned;
use crate::values::{DEFAULT_CONTEXT, Origin, Origins, Overrides, Priority};

/// What the values are chosen from.
#[derive(Debug, Clone, Copy)]
pub struct Sources<'a> {
    /// What was typed.
    pub typed: &'a Overrides,
    /// What the environment names.
    pub environment: &'a Overrides,
    /// What matters most.
    pub priority: Priority,
    /// Plan even what does not fit, and use what is known to be dangerous.
    pub force: bool,
    /// What was measured for this model on this machine.
    pub tuned: Option<&'a Tuned>,
    /// What the size of pages costs here, and what was chosen for this model's weights.
    pub pages: Option<&'a Choice>,
    /// The machine's profile.
    pub profile: Option<&'a Profile>,
    /// The machine.
    pub machine: &'a Machine,
    /// The model's shape; `None` if its header does not state it.
    pub shape: Option<&'a Shape>,
    /// llama.cpp's repacked kernels end the program on this machine: profiles and measurements do not ask for them.
    pub repack_faults: bool,
}

/// The settings cannot be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SettingsError {
    /// The model does not fit.
    #[error(transparent)]
    Budget(#[from] BudgetError),
    /// Repacked weights were requested on a CPU on which they crash the program.
    #[error(
        "llama.cpp repacks weights for AMX on this CPU, and its AMX code, compiled by GCC 12, crashes the program"
    )]
    RepackFaults,
}

/// Decides every setting.
///
/// # Errors
/// The model does not fit and nothing may be made smaller, or repacking was asked for and faults on this machine.
pub fn resolve(sources: &Sources<'_>) -> Result<Resolved, SettingsError> {
    if sources.repack_faults && sources.typed.repack == Some(true) && !sources.force {
        return Err(SettingsError::RepackFaults);
    }
    let run = sources
        .profile
        .map_or_else(Run::default, |profile| profile.run.clone());
    let mut resolved = Resolved::default();
    for (layer, origin) in layers(sources, &run) {
        resolved.apply(&layer, origin);
    }
    let Some(shape) = sources.shape else {
        return Ok(resolved);
    };
    let limit = MemoryLimit::new(sources.machine.ram.usable_bytes, run.reserve_mib << 20)
        .within(&sources.machine.limits);
    let constraints = Constraints {
        fixed: sources.typed,
        priority: sources.priority,
        force: sources.force,
        may_map: resolved.origins.mmap == Origin::Measured,
    };
    let mut plan = budget::plan(shape, &resolved.values, &limit, &constraints)?;
    let context = context_origin(sources.typed.context, plan.settings.context, shape);
    resolved
        .origins
        .adjust(&mut resolved.values, &plan.settings, Origin::Budget);
    resolved.origins.context = context;
    if let Some(choice) = sources.pages {
        explain(&mut plan, &resolved.origins, choice);
    }
    resolved.plan = Some(plan);
    Ok(resolved)
}

/// Says why the weights are where they are, unless something stronger than the measurement has decided it.
fn explain(plan: &mut Plan, origins: &Origins, choice: &Choice) {
    let setting = match (origins.mmap, origins.huge_pages) {
        (Origin::Measured, _) => "mmap",
        (_, Origin::Measured) if plan.settings.mmap => "huge-pages",
        _ => return,
    };
    plan.reasons.retain(|reason| reason.setting != setting);
    let reason = choice.reason.clone();
    plan.reasons.push(Reason { setting, reason });
}

/// What is known, the weakest first.
fn layers(sources: &Sources<'_>, run: &Run) -> [(Overrides, Origin); 6] {
    let cpus = &sources.machine.cpus;
    let base = match sources.profile {
        Some(_) => Origin::Profile,
        None => Origin::Default,
    };
    // A profile or an old measurement asks for no more than a flag may.
    let safe = |layer: Overrides| Overrides {
        repack: layer.repack.map(|repack| repack && !sources.repack_faults),
        ..layer
    };
    let tuned = sources.tuned.map(|tuned| tuned.settings).unwrap_or_default();
    let tuned = Overrides {
        threads: tuned.threads.map(|count| count.min(cpus.available)),
        threads_batch: tuned.threads_batch.map(|count| count.min(cpus.available)),
        ..tuned
    };
    let pages = sources.pages.map(Choice::overrides).unwrap_or_default();
    // As in llama.cpp, --threads alone counts for the prompt too.
    let typed = Overrides {
        threads_batch: sources.typed.threads_batch.or(sources.typed.threads),
        ..*sources.typed
    };
    [
        (safe(run.overrides(cpus)), base),
        (pages, Origin::Measured),
        (safe(tuned), Origin::Tuned),
        (sources.priority.overrides(), Origin::Flag),
        (*sources.environment, Origin::Environment),
        (typed, Origin::Flag),
    ]
}

/// A context that is smaller than usual is the budget's; one that was typed is a flag's, and so is 0, "as many as fit".
fn context_origin(typed: Option<u32>, planned: u32, shape: &Shape) -> Origin {
    match typed {
        Some(1..) => Origin::Flag,
        _ if planned < shape.training_context.min(DEFAULT_CONTEXT) => Origin::Budget,
        Some(_) => Origin::Flag,
        None => Origin::Default,
    }
}
