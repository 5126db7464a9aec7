//! Compares two programs, or two versions of one.

use std::path::{Path, PathBuf};

use crate::result::{Compared, Comparison, Machine, Results, Run, SCHEMA_VERSION, Tool};
use crate::stats::{paired_ratio, ratio};

/// Results cannot be read or compared.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CompareError {
    /// Another version of siskin wrote them.
    #[error(
        "{}: its results have schema {found}, and this version reads {SCHEMA_VERSION}; measure again with this version",
        file.display()
    )]
    Schema {
        /// The file.
        file: PathBuf,
        /// The version it states.
        found: String,
    },
    /// The text is not JSON, or not of this form.
    #[error("{}: not results of a benchmark in JSON", file.display())]
    NoResults {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// The JSON does not state its version.
    #[error("{}: not results of a benchmark in JSON: schema_version is missing", file.display())]
    NoVersion {
        /// The file.
        file: PathBuf,
    },
    /// Speeds of different machines cannot be compared.
    #[error("{}: measured on another machine ({there}; this one is {here})", file.display())]
    Machine {
        /// The file.
        file: PathBuf,
        /// The machine of the file.
        there: String,
        /// This machine.
        here: String,
    },
    /// No test was run in both.
    #[error("{}: none of its runs has the model, type, test and threads of a run measured now", file.display())]
    NothingInCommon {
        /// The file.
        file: PathBuf,
    },
}

/// Reads results that `siskin bench -o json` wrote.
///
/// # Errors
/// If the text is not such results, or was written with another schema version.
pub fn parse(text: &str, file: &Path) -> Result<Results, CompareError> {
    let file = || file.to_owned();
    let no_results = |source| CompareError::NoResults { file: file(), source };
    let json: serde_json::Value = serde_json::from_str(text).map_err(no_results)?;
    match json.get("schema_version") {
        None => return Err(CompareError::NoVersion { file: file() }),
        Some(version) if version.as_u64() != Some(SCHEMA_VERSION.into()) => {
            return Err(CompareError::Schema {
                file: file(),
                found: version.to_string(),
            });
        }
        Some(_) => {}
    }
    serde_json::from_value(json).map_err(no_results)
}

/// Compares these results with a baseline that was measured at another time.
///
/// # Errors
/// If the baseline is from another machine (unless `any_machine`), or no test was run in both.
pub fn with_baseline(
    here: &Results,
    baseline: &Results,
    file: &Path,
    any_machine: bool,
) -> Result<Comparison, CompareError> {
    if !any_machine {
        same_machine(&here.machine, &baseline.machine, file)?;
    }
    let rows: Vec<Compared> = (here.runs.iter().filter(|run| is_ours(run)))
        .filter_map(|run| {
            compared(
                run,
                &here.runs,
                twin(run, &here.runs, &baseline.runs, Tool::Siskin)?,
                false,
            )
        })
        .collect();
    if rows.is_empty() {
        return Err(CompareError::NothingInCommon {
            file: file.to_owned(),
        });
    }
    Ok(Comparison {
        with: file.display().to_string(),
        rows,
    })
}

/// Checks that the results in `file` are of the same hardware.
///
/// # Errors
/// They are not.
pub fn same_machine(here: &Machine, there: &Machine, file: &Path) -> Result<(), CompareError> {
    let [here, there] = [here, there].map(Machine::identity);
    if here == there {
        return Ok(());
    }
    Err(CompareError::Machine {
        file: file.to_owned(),
        there,
        here,
    })
}

/// Compares siskin's runs with those of `tool` in the same results. `paired` means that both took turns.
pub fn with_tool(runs: &[Run], tool: Tool, paired: bool) -> Option<Comparison> {
    let rows: Vec<Compared> = (runs.iter().filter(|run| is_ours(run)))
        .filter_map(|run| compared(run, runs, twin(run, runs, runs, tool)?, paired))
        .collect();
    (!rows.is_empty()).then(|| Comparison {
        with: tool.name().into(),
        rows,
    })
}

/// True for what this siskin measured here.
fn is_ours(run: &Run) -> bool {
    run.tool == Tool::Siskin && run.imported_from.is_none()
}

/// The run of `tool` that did the same test: a model of the same name, with the same kernels if there are
/// several; otherwise the only one of the same size and type.
fn twin<'r>(run: &Run, here: &[Run], there: &'r [Run], tool: Tool) -> Option<&'r Run> {
    let same = |other: &&Run| {
        (other.test, other.threads) == (run.test, run.threads)
            && other.model.parameters == run.model.parameters
            && other.model.file_type == run.model.file_type
    };
    let alike: Vec<&Run> = there
        .iter()
        .filter(|other| other.tool == tool)
        .filter(same)
        .collect();
    let named = || alike.iter().filter(|other| other.model.name == run.model.name);
    let exact = named().find(|other| other.kernels == run.kernels);
    let alone = || {
        let rivals = here.iter().filter(|other| is_ours(other)).filter(same).count();
        (alike.len() == 1 && rivals == 1).then_some(())?;
        alike.first()
    };
    exact.or_else(|| named().next()).or_else(alone).copied()
}

fn compared(run: &Run, here: &[Run], other: &Run, paired: bool) -> Option<Compared> {
    let (new, old) = (&run.tokens_per_second, &other.tokens_per_second);
    let paired = paired && new.samples.len() == old.samples.len();
    let speed = if paired { paired_ratio } else { ratio }(&new.samples, &old.samples)?;
    let rss = |run: &Run| run.memory.map(|memory| memory.peak_rss_bytes as f64);
    Some(Compared {
        model: run.title(here),
        test: run.test,
        threads: run.threads,
        tokens_per_second: new.median,
        other_tokens_per_second: old.median,
        speed,
        peak_rss: rss(run).zip(rss(other)).map(|(here, there)| here / there),
    })
}

/// The rows whose speed ratio is below `limit`.
pub fn below(comparison: &Comparison, limit: f64) -> Vec<&Compared> {
    comparison
        .rows
        .iter()
        .filter(|row| row.speed.ratio < limit)
        .collect()
}
