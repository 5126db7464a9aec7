//! Choosing what fits: the settings as they are if there is memory for them, else one step down after the other.

use siskin_model::CacheType;
use siskin_model::shape::Shape;

use super::cost::{beyond_file_and_cache, is_better_read};
use super::limit::{Constraints, MemoryLimit, widest};
use super::models::Models;
use super::refusal::refusal;
use super::{BudgetError, Plan, Reason, mib};
use crate::values::{DEFAULT_CONTEXT, Overrides, Priority, Values};

/// The smallest context that siskin chooses by itself.
const LEAST_CONTEXT: u32 = 512;
/// The smallest batch that it chooses by itself: smaller ones slow the prompt down and save little.
const LEAST_UBATCH: u32 = 128;
/// What a model may take beyond its file and its KV cache before the batch is made smaller: half the batch is up to
/// 20 MB less, for a prompt that takes up to a tenth longer.
const WORKING_BYTES: u64 = 40_000_000;

/// Plans: the first of the candidates that fits.
///
/// # Errors
/// None fits, and none is forced.
pub fn plan(
    shape: &Shape,
    values: &Values,
    limit: &MemoryLimit,
    constraints: &Constraints<'_>,
) -> Result<Plan, BudgetError> {
    let models = Models {
        target: shape,
        draft: None,
    };
    plan_models(models, values, limit, constraints)
}

/// Plans a model and another that guesses for it: the settings are the first one's, and
/// [`draft_values`](super::draft_values) has the other's.
///
/// # Errors
/// As [`plan`]'s, of both together.
pub fn plan_pair(
    target: &Shape,
    draft: &Shape,
    values: &Values,
    limit: &MemoryLimit,
    constraints: &Constraints<'_>,
) -> Result<Plan, BudgetError> {
    let models = Models {
        target,
        draft: Some(draft),
    };
    plan_models(models, values, limit, constraints)
}

fn plan_models(
    models: Models<'_>,
    values: &Values,
    limit: &MemoryLimit,
    constraints: &Constraints<'_>,
) -> Result<Plan, BudgetError> {
    let tries = candidates(models.target, values, constraints);
    let fits = |settings: &Values| limit.allows(models, settings);
    let found = tries.iter().find(|(settings, _)| fits(settings));
    let forced = constraints.force.then_some(&tries[0]);
    let (settings, steps) = found.or(forced).unwrap_or(&tries[tries.len() - 1]);
    let settings = match constraints.fixed.context {
        Some(0) if found.is_some() => widest(models, settings, limit),
        _ => *settings,
    };
    let first = &tries[0].0;
    let plan = Plan {
        items: models.items(&settings),
        settings,
        total_bytes: models.total(&settings),
        usable_bytes: limit.usable_bytes,
        reserve_bytes: limit.reserve_bytes,
        fits: fits(&settings),
        reasons: reasons(models, values, limit, constraints, (&settings, first), steps),
    };
    if found.or(forced).is_none() {
        return Err(refusal(models, limit, constraints, plan));
    }
    Ok(plan)
}

/// Why the settings are what they are, if they come from the settings to try `first` by `steps`.
fn reasons(
    models: Models<'_>,
    values: &Values,
    limit: &MemoryLimit,
    constraints: &Constraints<'_>,
    (settings, first): (&Values, &Values),
    steps: &[&'static str],
) -> Vec<Reason> {
    let missing = match limit.short_of(models, first) {
        Some((_, need, there)) => need - there,
        None => models.total(first).saturating_sub(limit.bytes()),
    };
    let missing = mib(missing);
    let mut reasons = first_reasons(models.target, values, constraints, settings, first);
    for &setting in steps {
        let reason = match setting {
            "mmap" => format!("mapped: with weights in memory {missing} would be missing"),
            _ => format!("reduced: the usual settings need {missing} too much"),
        };
        match reasons.iter_mut().find(|known| known.setting == setting) {
            Some(known) => known.reason = reason,
            None => reasons.push(Reason { setting, reason }),
        }
    }
    reasons
}

/// Settings to try, the best first, each with the names of what was made smaller in it.
fn candidates(
    shape: &Shape,
    values: &Values,
    constraints: &Constraints<'_>,
) -> Vec<(Values, Vec<&'static str>)> {
    let fixed = constraints.fixed;
    let mut now = start(shape, values, constraints);
    let mut list = vec![(now, vec![])];
    let mut steps: Vec<&'static str> = Vec::new();
    let mut step = |now: Values, name: &'static str| {
        if !steps.contains(&name) {
            steps.push(name);
        }
        list.push((now, steps.clone()));
    };
    if constraints.may_map && !now.mmap {
        now.mmap = true;
        step(now, "mmap");
    }
    if now.repack && now.mmap && fixed.repack.is_none() {
        now.repack = false;
        step(now, "repack");
    }
    while fixed.ubatch.is_none() && now.ubatch > LEAST_UBATCH {
        now.ubatch = (now.ubatch / 2).max(LEAST_UBATCH);
        step(now, "ubatch-size");
    }
    // Blocks of 32 numbers must not cross heads.
    let can_quantize = fixed.cache_type.is_none() && shape.head_dim.is_multiple_of(32);
    if can_quantize && now.cache_type == CacheType::F16 {
        now.cache_type = CacheType::Q8_0;
        step(now, "cache-type");
    }
    while fixed.context.is_none() && now.context > LEAST_CONTEXT {
        now.context = (now.context / 2).max(LEAST_CONTEXT);
        step(now, "ctx-size");
    }
    if can_quantize && now.cache_type == CacheType::Q8_0 {
        now.cache_type = CacheType::Q4_0;
        step(now, "cache-type");
    }
    list
}

/// The settings to try first.
fn start(shape: &Shape, values: &Values, constraints: &Constraints<'_>) -> Values {
    let fixed = constraints.fixed;
    let mut now = Values {
        context: match fixed.context {
            Some(0) => LEAST_CONTEXT.min(shape.training_context),
            Some(context) => context,
            None => DEFAULT_CONTEXT.min(shape.training_context),
        },
        ..*values
    };
    if fixed.ubatch.is_none() && constraints.priority == Priority::Memory {
        now.ubatch = now.ubatch.min(LEAST_UBATCH);
    }
    if fixed.mmap.is_none() && now.mmap && is_better_read(shape) {
        now.mmap = false;
    }
    if shape.repackable_bytes == 0 && fixed.repack.is_none() {
        now.repack = false;
    }
    while fixed.ubatch.is_none()
        && now.ubatch > LEAST_UBATCH
        && beyond_file_and_cache(shape, &now) > WORKING_BYTES
    {
        now.ubatch = (now.ubatch / 2).max(LEAST_UBATCH);
    }
    now
}

/// Why settings are what they are before anything was made smaller.
fn first_reasons(
    shape: &Shape,
    values: &Values,
    constraints: &Constraints<'_>,
    settings: &Values,
    first: &Values,
) -> Vec<Reason> {
    let fixed = constraints.fixed;
    let asked = |typed: bool, reason: &str| if typed { "as asked" } else { reason }.to_owned();
    let kept = format!("less than the usual {}, to save memory", values.ubatch);
    let ubatch = match (constraints.priority, first.ubatch < values.ubatch) {
        (Priority::Balanced | Priority::Decode, true) => kept.as_str(),
        _ => "",
    };
    let repack = match (settings.repack, settings.mmap) {
        (true, true) => "faster kernels, but two copies of the weights",
        (true, false) => "faster kernels; one copy, as nothing is mapped",
        (false, _) => "weights as in the file: one copy, fast start",
    };
    let mmap = match settings.mmap {
        false if values.mmap => {
            "read: much of the file is not weights, and mapping would take it all into memory"
        }
        true => "weights are in the page cache: shared, fast start",
        false => "weights are read into memory",
    };
    let reasons = [
        ("ctx-size", context_reason(shape, fixed, settings)),
        ("cache-type", asked(fixed.cache_type.is_some(), "")),
        ("ubatch-size", asked(fixed.ubatch.is_some(), ubatch)),
        ("repack", asked(fixed.repack.is_some(), repack)),
        ("mmap", asked(fixed.mmap.is_some(), mmap)),
    ];
    reasons.map(|(setting, reason)| Reason { setting, reason }).into()
}

fn context_reason(shape: &Shape, fixed: &Overrides, settings: &Values) -> String {
    let length = shape.training_context;
    match fixed.context {
        Some(0) => format!("the largest that fits, of {length}"),
        Some(_) => "as asked".into(),
        None if length <= DEFAULT_CONTEXT => "the training length".into(),
        None => {
            let all = mib(shape.kv_bytes(settings.cache_type, length));
            format!("enough for chats; all {length} would take {all}")
        }
    }
}
