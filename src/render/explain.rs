//! `--explain`: where each setting came from, and what will be in memory.

use siskin::LoadPlan;
use siskin::device::budget::Plan;

use super::size;

/// Prints to stderr: stdout is the text's.
pub(crate) fn print(plan: &LoadPlan) {
    say!("{}", table(plan).trim_end());
}

/// The settings and the plan, line by line.
pub(crate) fn table(plan: &LoadPlan) -> String {
    let settings = &plan.settings;
    let mut text = format!("profile       {}\n", plan.device.profile_name());
    for row in settings.rows() {
        // Without a plan llama.cpp chooses the context, unless the user did.
        if row.name == "ctx-size" && settings.context().is_none() {
            continue;
        }
        let reason = settings.plan.as_ref().map_or("", |plan| reason(plan, row.name));
        let line = format!("{:<14}{:<9}{:<9}{reason}", row.name, row.value, row.origin.name());
        text += line.trim_end();
        text.push('\n');
    }
    if let Some(plan) = &settings.plan {
        text += &plan_table(plan);
    }
    text
}

/// Why a setting is what it is.
pub(crate) fn reason<'p>(plan: &'p Plan, setting: &str) -> &'p str {
    let found = plan.reasons.iter().find(|reason| reason.setting == setting);
    found.map_or("", |reason| &reason.reason)
}

/// What will be in memory.
pub(crate) fn plan_table(plan: &Plan) -> String {
    let line = |what: &str, bytes: u64, detail: &str| {
        format!("{what:<16}{:>9}  {detail}", size::bytes(bytes))
            .trim_end()
            .to_owned()
            + "\n"
    };
    let mut text: String = plan
        .items
        .iter()
        .map(|item| line(item.what, item.bytes, &item.detail))
        .collect();
    let usable = format!(
        "of {} usable, {} kept free",
        size::bytes(plan.usable_bytes),
        size::bytes(plan.reserve_bytes)
    );
    text += &line("peak RSS", plan.total_bytes, &usable);
    text
}

/// The warning for a plan that does not fit and is carried out because it was forced.
pub(crate) fn forced(plan: &Plan) -> String {
    let need = size::bytes(plan.total_bytes);
    let limit = size::bytes(plan.usable_bytes.saturating_sub(plan.reserve_bytes));
    format!(
        "this needs {need}, but only {limit} may be used; with --force {}",
        plan.overcommit()
    )
}
