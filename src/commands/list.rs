//! `siskin list`: the models on this machine.

use std::io::Write;
use std::process::ExitCode;
use std::time::SystemTime;

use jiff::Timestamp;
use serde_json::json;
use siskin_harness::report::{Table, text_table};
use siskin_hub::store::{Store, Stored};
use siskin_model::gguf::ModelFile;
use siskin_model::summary;

use super::bench;
use super::model_name::store;
use crate::render::{size, text};

/// Lists the models that siskin pull got, and others in its folder
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Example:
  siskin list --json

The folder is $SISKIN_MODELS, by default ~/.local/share/siskin/models. GGUF files that you put there are listed too. \
siskin run, chat, serve, bench and the others take these names in place of a path.")]
pub(crate) struct ListArgs {
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(crate) fn main(args: ListArgs) -> anyhow::Result<ExitCode> {
    let store = store()?;
    let models = store.list()?;
    if args.json {
        let report = json!({
            "folder": store.folder().display().to_string(),
            "models": models.iter().map(report).collect::<Vec<_>>(),
        });
        writeln!(text::stdout(), "{}", text::json(&report)?)?;
        return Ok(ExitCode::SUCCESS);
    }
    if models.is_empty() {
        let folder = store.folder().display().to_string();
        say!(
            "siskin: no models in {} yet; siskin pull tinyllama gets one",
            text::escaped(&folder)
        );
        return Ok(ExitCode::SUCCESS);
    }
    let width = bench::terminal_width().unwrap_or(usize::MAX);
    let table = table(&store, &models, SystemTime::now(), width >= WIDE);
    let shown = text_table(&table, width);
    text::stdout().write_all(shown.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

/// Narrower terminals have no room for where a model is from; --json has it.
const WIDE: usize = 120;

fn table(store: &Store, models: &[Stored], now: SystemTime, is_wide: bool) -> Table {
    let all = ["name", "type", ">size", "used", "verified", "from"];
    let columns = match is_wide {
        true => &all[..],
        false => &all[..4],
    };
    let folder = store.folder().display().to_string();
    let mut table = Table::new(&text::escaped(&folder), columns);
    for model in models {
        let record = model.record.as_ref();
        let verified = record.and_then(|record| record.verified_at);
        let verified = verified.map(|at| SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(at));
        let mut row = vec![
            text::escaped(&model.name),
            file_type(model),
            size::bytes(model.bytes),
            model.used.map_or("never".into(), |at| ago(now, at)),
            verified.map_or("no".into(), day),
            record
                .and_then(|record| record.origin.as_ref())
                .map_or("here".into(), |origin| text::escaped(&origin.name)),
        ];
        row.truncate(columns.len());
        table.rows.push(row);
    }
    table
}

/// The type that is known, else the one that the file has.
fn file_type(model: &Stored) -> String {
    let known = model.record.as_ref().and_then(|record| record.file_type.clone());
    if !model.is_whole() {
        return "damaged".into();
    }
    known.unwrap_or_else(|| match ModelFile::open(model.path()) {
        Ok(opened) => summary::file_type(&opened.header),
        Err(_) => "damaged".into(),
    })
}

fn report(model: &Stored) -> serde_json::Value {
    let seconds = |at: SystemTime| {
        let since = at.duration_since(SystemTime::UNIX_EPOCH);
        since.map(|time| time.as_secs()).ok()
    };
    let record = model.record.as_ref();
    json!({
        "name": model.name,
        "file_type": file_type(model),
        "bytes": model.bytes,
        "files": model.files.iter().map(|path| path.display().to_string()).collect::<Vec<_>>(),
        "used_at": model.used.and_then(seconds),
        "verified_at": record.and_then(|record| record.verified_at),
        "origin": record.and_then(|record| record.origin.as_ref()),
    })
}

/// The day of a time, as 2026-11-28.
fn day(at: SystemTime) -> String {
    let zone = jiff::tz::TimeZone::system();
    Timestamp::try_from(at).map_or_else(|_| "unknown".into(), |at| zone.to_datetime(at).date().to_string())
}

/// How long ago a time was, in its largest unit.
fn ago(now: SystemTime, at: SystemTime) -> String {
    let seconds = now.duration_since(at).map_or(0, |time| time.as_secs());
    const UNITS: [(u64, &str); 3] = [(86_400, "day"), (3_600, "hour"), (60, "minute")];
    match UNITS.iter().find(|(unit, _)| seconds >= *unit) {
        Some((unit, name)) => {
            let count = seconds / unit;
            format!("{count} {name}{} ago", if count == 1 { "" } else { "s" })
        }
        None => "just now".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn times_are_told_in_their_largest_unit() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        let cases = [
            (0, "just now"),
            (59, "just now"),
            (60, "1 minute ago"),
            (7_200, "2 hours ago"),
            (86_400 * 3, "3 days ago"),
        ];
        for (seconds, want) in cases {
            assert_eq!(ago(now, now - Duration::from_secs(seconds)), want);
        }
        assert_eq!(ago(now, now + Duration::from_secs(5)), "just now");
    }
}
