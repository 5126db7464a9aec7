//! `--explain`: where each setting came from, and what will be in memory.

use std::fmt::Display;

use siskin::device::budget::Plan;
use siskin::device::settings::{Chosen, Origin, Settings};

use super::device::Device;
use super::size;

/// Prints to stderr: stdout is the text's.
pub(crate) fn print(device: &Device, settings: &Settings) {
    eprint!("{}", table(device, settings));
}

/// The settings and the plan, line by line.
pub(crate) fn table(device: &Device, settings: &Settings) -> String {
    let mut text = format!("profile       {}\n", device.name());
    let reason = |name: &str| {
        let reasons = settings.plan.iter().flat_map(|plan| &plan.reasons);
        let reasons: Vec<&str> = reasons
            .filter(|r| r.setting == name)
            .map(|r| r.reason.as_str())
            .collect();
        reasons.join("; ")
    };
    for (name, value, origin) in rows(settings) {
        let line = format!("{name:<14}{value:<9}{:<9}{}", origin_name(origin), reason(name));
        text += line.trim_end();
        text.push('\n');
    }
    if let Some(plan) = &settings.plan {
        text += &plan_table(plan);
    }
    text
}

/// Each setting: its flag's name, its value, where it came from.
pub(crate) fn rows(settings: &Settings) -> Vec<(&'static str, String, Origin)> {
    fn row<T: Copy>(
        name: &'static str,
        chosen: Chosen<T>,
        show: impl Fn(T) -> String,
    ) -> (&'static str, String, Origin) {
        (name, show(chosen.value), chosen.origin)
    }
    let on_off = |on: bool| if on { "on".to_owned() } else { "off".to_owned() };
    let mut rows = Vec::new();
    rows.extend(
        settings
            .context
            .map(|context| row("ctx-size", context, |n| n.to_string())),
    );
    rows.extend([
        row("threads", settings.threads, |n| n.to_string()),
        row("threads-batch", settings.threads_batch, |n| n.to_string()),
        row("affinity", settings.affinity, word),
        row("ubatch-size", settings.ubatch, |n| n.to_string()),
        row("cache-type", settings.kv_type, word),
        row("flash-attn", settings.flash_attention, word),
        row("repack", settings.repack, on_off),
        row("mmap", settings.mmap, on_off),
        row("mlock", settings.mlock, on_off),
        row("wait-policy", settings.wait_policy, word),
        row("kernels", settings.kernels, word),
        row("prefetch", settings.prefetch_bytes, |n| n.to_string()),
    ]);
    rows
}

/// A value by the name serde gives it.
pub(crate) fn word(value: impl serde::Serialize) -> String {
    let json = serde_json::to_value(value).unwrap_or_default();
    json.as_str().map_or_else(|| json.to_string(), str::to_owned)
}

fn origin_name(origin: Origin) -> impl Display {
    word(origin)
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

/// What is said where a plan that does not fit is carried out all the same.
pub(crate) fn forced(plan: &Plan) -> String {
    let weights = plan
        .items
        .iter()
        .find(|item| item.what == "weights")
        .map_or(0, |item| item.bytes);
    let what = match (plan.settings.mmap, weights > plan.usable_bytes) {
        (true, true) => "the weights do not stay in memory and are read from disk again for every token",
        (true, false) => "the system drops weights from memory and reads them again, or swaps",
        (false, _) => "the system swaps, or ends the program",
    };
    let (need, usable) = (size::bytes(plan.total_bytes), size::bytes(plan.usable_bytes));
    format!("this needs {need} and {usable} are usable; with --force {what}")
}
