//! Reads results from files: siskin's own and llama-bench's.

use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail};
use siskin::bench::report::Beside;
use siskin::bench::result::{Results, Run, Tool};
use siskin::bench::roofline::{DEVICES, Device};
use siskin::bench::{compare, harness, peer};

use crate::cli::text_input;

/// What the files contained.
pub(super) struct Imported {
    results: Vec<Results>,
    runs: Vec<Run>,
}

/// Reads results that siskin wrote.
pub(in crate::cli) fn results(file: &Path) -> anyhow::Result<Results> {
    Ok(compare::parse(&text_input::file(file)?, file)?)
}

/// Reads files of either kind.
pub(super) fn all(files: &[PathBuf]) -> anyhow::Result<Imported> {
    let mut imported = Imported {
        results: vec![],
        runs: vec![],
    };
    for file in files {
        let text = text_input::file(file)?;
        let json: Option<serde_json::Value> = serde_json::from_str(&text).ok();
        if json.is_some_and(|json| json.get("schema_version").is_some()) {
            imported.results.push(compare::parse(&text, file)?);
        } else {
            imported.runs.extend(peer::import(&text, file)?);
        }
    }
    Ok(imported)
}

/// Parses `raspberry-pi-5` or `raspberry-pi-5=results.json`.
pub(super) fn beside(text: &str) -> anyhow::Result<Beside> {
    let (name, file) = match text.split_once('=') {
        Some((name, file)) => (name, Some(Path::new(file))),
        None => (text, None),
    };
    let device = Device::named(name).ok_or_else(|| {
        let known = DEVICES.map(|device| device.name).join(", ");
        anyhow!("--beside {name}: no such device with published figures; known: {known}")
    })?;
    let results = file.map(results).transpose().context("--beside")?;
    Ok(Beside { device, results })
}

impl Imported {
    /// Adds everything to results that were just measured.
    pub(super) fn add_to(self, results: &mut Results) {
        let new = !self.results.is_empty() || !self.runs.is_empty();
        results
            .runs
            .extend(self.results.into_iter().flat_map(|other| other.runs));
        results.runs.extend(self.runs);
        if new {
            compare_tools(results);
        }
    }

    /// The first of siskin's results, with everything else added. If there are only another program's runs,
    /// they are added to results without a measurement.
    pub(super) fn into_results(mut self, command: &str) -> anyhow::Result<Results> {
        if self.results.is_empty() {
            if self.runs.is_empty() {
                bail!("--import: nothing was measured");
            }
            let mut results = harness::nothing_measured(command, &super::now());
            self.add_to(&mut results);
            return Ok(results);
        }
        let mut first = self.results.remove(0);
        self.add_to(&mut first);
        Ok(first)
    }
}

/// Compares siskin with llama-bench on the tests both ran, unless a comparison already exists.
fn compare_tools(results: &mut Results) {
    let known = results
        .comparisons
        .iter()
        .any(|comparison| comparison.with == Tool::LlamaBench.name());
    if !known {
        results
            .comparisons
            .extend(compare::with_tool(&results.runs, Tool::LlamaBench, false));
    }
}
