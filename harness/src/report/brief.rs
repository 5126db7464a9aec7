//! A report in a few lines: of the settings those that were chosen, of the notes those that change how speeds are read.

use siskin_device::settings::Values;

use super::tables::if_they_differ;
use crate::result::{Results, Run, Setting};
use crate::summarize;

/// The settings in force that are not the defaults, on one line; `None` if no run here has settings.
pub(super) fn settings(results: &Results) -> Option<String> {
    let mut runs = results.runs.iter().filter(|run| run.imported_from.is_none());
    let first = runs.find(|run| !run.settings.is_empty())?;
    let usual = Values::default().rows();
    // What a flag or tuning chose is named, of a profile only what it changes.
    let is_usual = |setting: &Setting| {
        let same = usual
            .iter()
            .any(|(name, value)| (*name, value) == (setting.name.as_str(), &setting.value));
        setting.origin == "default" || (setting.origin == "profile" && same)
    };
    let chosen = first.settings.iter().filter_map(|setting| {
        let values = values(results, &setting.name);
        let all_default = values.iter().all(|setting| is_usual(setting));
        let mut texts: Vec<String> = values.iter().map(|setting| setting.value.clone()).collect();
        // One value for all runs is named once.
        if if_they_differ(texts.clone()).iter().all(String::is_empty) {
            texts.truncate(1);
        }
        texts.dedup();
        (!all_default).then(|| {
            let value = texts.join(" and ");
            format!("{} {value} ({})", setting.name, setting.origin)
        })
    });
    let chosen: Vec<String> = chosen.collect();
    Some(match chosen.is_empty() {
        true => "settings: the defaults".into(),
        false => format!("settings: {}; else the defaults", chosen.join(", ")),
    })
}

/// The different values of a setting among the runs that were measured here.
fn values<'r>(results: &'r Results, name: &str) -> Vec<&'r Setting> {
    let measured = |run: &&Run| run.imported_from.is_none();
    let all = results.runs.iter().filter(measured).flat_map(|run| &run.settings);
    let mut values: Vec<&Setting> = Vec::new();
    for setting in all.filter(|setting| setting.name == name) {
        if !values.contains(&setting) {
            values.push(setting);
        }
    }
    values
}

/// The notes that a reader of the speeds needs.
pub(super) fn notes(results: &Results) -> Vec<String> {
    let mut notes = results.notes.clone();
    notes.retain(|note| !summarize::is_detail(note));
    if results.noisy() {
        notes.push("noisy: the speed varies by more than 5 %; repeat it on a quieter machine".into());
    }
    notes
}
