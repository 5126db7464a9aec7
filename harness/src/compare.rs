//! Compares two programs, or two versions of one.

use std::path::Path;

use super::result::{Compared, Comparison, Machine, Results, Run, SCHEMA_VERSION, Tool};
use super::stats::{paired_ratio, ratio};

/// Why results cannot be compared.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // the messages explain them
pub enum CompareError {
    #[error(
        "{file}: schema {found} of results, this siskin reads {SCHEMA_VERSION}; measure the baseline again with this siskin"
    )]
    Schema { file: String, found: String },
    #[error("{file}: no results of siskin bench ({reason}); give a file that `siskin bench -o json` wrote")]
    NoResults { file: String, reason: String },
    #[error(
        "{file}: measured on another machine ({there}; this is {here}); measure a baseline here, or add --any-machine"
    )]
    Machine {
        file: String,
        there: String,
        here: String,
    },
    #[error("{file}: none of its runs has the same model, type, test and threads as one of these")]
    NothingInCommon { file: String },
}

/// Reads results that `siskin bench -o json` wrote.
///
/// # Errors
/// If the text is not such results, or was written with another schema version.
pub fn parse(text: &str, file: &Path) -> Result<Results, CompareError> {
    let file = file.display().to_string();
    let no_results = |reason: String| CompareError::NoResults {
        file: file.clone(),
        reason,
    };
    let json: serde_json::Value =
        serde_json::from_str(text).map_err(|error| no_results(error.to_string()))?;
    match json.get("schema_version") {
        None => return Err(no_results("it has no schema_version".into())),
        Some(version) if version.as_u64() != Some(SCHEMA_VERSION.into()) => {
            return Err(CompareError::Schema {
                file,
                found: version.to_string(),
            });
        }
        Some(_) => {}
    }
    serde_json::from_value(json).map_err(|error| no_results(error.to_string()))
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
    let name = file.display().to_string();
    let [on_here, on_there] = [&here.machine, &baseline.machine].map(Machine::identity);
    if on_here != on_there && !any_machine {
        return Err(CompareError::Machine {
            file: name,
            there: on_there,
            here: on_here,
        });
    }
    let rows: Vec<Compared> = (here.runs.iter().filter(|run| run.tool == Tool::Siskin))
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
        return Err(CompareError::NothingInCommon { file: name });
    }
    Ok(Comparison { with: name, rows })
}

/// Compares siskin's runs with those of `tool` in the same results. `paired` means that both took turns.
pub fn with_tool(runs: &[Run], tool: Tool, paired: bool) -> Option<Comparison> {
    let rows: Vec<Compared> = (runs.iter().filter(|run| run.tool == Tool::Siskin))
        .filter_map(|run| compared(run, runs, twin(run, runs, runs, tool)?, paired))
        .collect();
    (!rows.is_empty()).then(|| Comparison {
        with: tool.name().into(),
        rows,
    })
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
        let rivals = here
            .iter()
            .filter(|other| other.tool == run.tool)
            .filter(same)
            .count();
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
