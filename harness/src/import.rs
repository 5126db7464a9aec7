//! Results from files, shown with those that were just measured.

use std::ffi::OsStr;
use std::path::Path;

use crate::result::{Results, Run, Sustained, Tool};
use crate::{BenchError, compare, llama_bench};

/// What files contained: siskin's own results and llama-bench's.
#[derive(Debug, Default)]
pub struct Imported {
    results: Vec<(String, Results)>,
    runs: Vec<Run>,
}

impl Imported {
    /// True if no file has been added.
    pub fn is_empty(&self) -> bool {
        self.results.is_empty() && self.runs.is_empty()
    }

    /// Adds the text of `file`, of either kind.
    ///
    /// # Errors
    /// It is not JSON of either program, or of another version.
    pub fn add(&mut self, text: &str, file: &Path) -> Result<(), BenchError> {
        if text.trim().is_empty() {
            // An empty list of llama-bench's lines would be one without a test.
            compare::parse(text, file)?;
        }
        let json: Option<serde_json::Value> = serde_json::from_str(text).ok();
        let name = self.name(file);
        if json.is_some_and(|json| json.get("schema_version").is_some()) {
            self.results.push((name, compare::parse(text, file)?));
        } else {
            let runs = llama_bench::import(text, file)?;
            self.runs.extend(runs.into_iter().map(|run| marked(run, &name)));
        }
        Ok(())
    }

    /// What marks the runs of `file`: its name, or its path if another file has the same name.
    fn name(&self, file: &Path) -> String {
        // A file's name may hold anything, and it goes to terminals.
        let shown = |text: &OsStr| text.to_string_lossy().replace(char::is_control, "?");
        let name = shown(file.file_name().unwrap_or(file.as_os_str()));
        let of_results = self.results.iter().map(|(name, _)| name);
        let mut known = of_results.chain(self.runs.iter().filter_map(|run| run.imported_from.as_ref()));
        match known.any(|known| *known == name) {
            true => shown(file.as_os_str()),
            false => name,
        }
    }

    /// Adds everything to results that were just measured, each run with a mark.
    pub fn add_to(self, results: &mut Results) {
        if self.is_empty() {
            return;
        }
        for (name, other) in self.results {
            let (date, machine) = (&other.date_utc, other.machine.identity());
            let version = &other.siskin_version;
            results.notes.push(format!(
                "imported from {name}: measured {date} by siskin {version} on {machine}"
            ));
            let from = other.provenance();
            let runs = other.runs.into_iter().map(|run| {
                let measured = match run.imported_from {
                    Some(_) => run.measured.clone(),
                    None => Some(from.clone()),
                };
                Run {
                    measured,
                    ..marked(run, &name)
                }
            });
            results.runs.extend(runs);
            results
                .sustained
                .extend(other.sustained.into_iter().map(|one| Sustained {
                    imported_from: one.imported_from.or_else(|| Some(name.clone())),
                    ..one
                }));
        }
        results.runs.extend(self.runs);
        compare_tools(results);
    }

    /// Everything, if nothing was measured: the first of siskin's results with the others added. If there are only
    /// another program's runs, they are added to `nothing`, results without a measurement.
    pub fn into_results(mut self, nothing: Results) -> Results {
        if self.results.is_empty() {
            let mut nothing = nothing;
            self.add_to(&mut nothing);
            return nothing;
        }
        let (name, mut first) = self.results.remove(0);
        if !self.is_empty() {
            first.notes.push(format!("rows without a mark are from {name}"));
        }
        self.add_to(&mut first);
        first
    }
}

fn marked(run: Run, file: &str) -> Run {
    Run {
        imported_from: run.imported_from.or_else(|| Some(file.to_owned())),
        ..run
    }
}

/// Compares siskin with llama-bench on the tests both ran, unless a comparison already exists.
fn compare_tools(results: &mut Results) {
    let known = results
        .comparisons
        .iter()
        .any(|comparison| comparison.with == Tool::LlamaBench.name());
    if !known {
        let comparison = compare::with_tool(&results.runs, Tool::LlamaBench, false);
        results.comparisons.extend(comparison);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{Format, Layout, fixture, render};

    #[test]
    fn imported_runs_are_marked_and_those_measured_are_not() {
        let text = render(&fixture(), Format::Json, &Layout::default());
        let both = || {
            let mut imported = Imported::default();
            imported.add(&text, Path::new("/tmp/a.json")).expect("results");
            imported.add(&text, Path::new("/tmp/b.json")).expect("results");
            imported
        };
        let marks = |results: &Results, name: &str| {
            let marked = |run: &&Run| run.imported_from.as_deref() == Some(name);
            results.runs.iter().filter(marked).count()
        };
        let runs = fixture().runs.len();
        let mut measured = fixture();
        both().add_to(&mut measured);
        assert_eq!(measured.runs.len(), 3 * runs);
        assert_eq!(
            (marks(&measured, "a.json"), marks(&measured, "b.json")),
            (runs, runs)
        );
        assert!(
            measured
                .notes
                .iter()
                .any(|note| note.starts_with("imported from a.json: "))
        );
        // What was measured elsewhere keeps its machine and its date in every format.
        let mut elsewhere = fixture();
        elsewhere.machine.cpu = "another CPU".into();
        let text = render(&elsewhere, Format::Json, &Layout::default());
        let mut imported = Imported::default();
        imported.add(&text, Path::new("old/x.json")).expect("results");
        imported.add(&text, Path::new("new/x.json")).expect("results");
        let mut mixed = fixture();
        imported.add_to(&mut mixed);
        assert_eq!(
            (marks(&mixed, "x.json"), marks(&mixed, "new/x.json")),
            (runs, runs)
        );
        for format in [Format::Csv, Format::Jsonl] {
            let text = render(&mixed, format, &Layout::default());
            assert_eq!(text.matches("another CPU").count(), 2 * runs, "{format}");
        }
        let alone = both().into_results(fixture());
        assert!(
            alone
                .notes
                .contains(&"rows without a mark are from a.json".to_owned())
        );
        assert_eq!(alone.runs.len(), 2 * runs);
        assert_eq!((marks(&alone, "a.json"), marks(&alone, "b.json")), (0, runs));
    }

    #[test]
    fn other_files_are_refused() {
        let mut imported = Imported::default();
        for (text, want) in [
            ("\n", "not results of a benchmark"),
            ("prose", "not the JSON of llama-bench or siskin bench"),
            (r#"{"schema_version": 99}"#, "have schema 99"),
        ] {
            let error = imported
                .add(text, Path::new("x.json"))
                .expect_err(want)
                .to_string();
            assert!(error.starts_with("x.json: ") && error.contains(want), "{error}");
        }
        assert!(imported.is_empty());
    }
}
