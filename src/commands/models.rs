//! `siskin models`: compares the models that siskin is made for on this device, and recommends one.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::ValueEnum;
use siskin::device::{self, probe};
use siskin_harness::catalog::{self, CATALOG, Choice, DeviceMemory, Entry, Figure, Row};
use siskin_harness::report::number::{bytes, parameters, three};
use siskin_harness::report::{self, Table, markdown_table, text_table};
use siskin_harness::{compare, nothing_measured, read_memory};
use siskin_model::FileType;

use super::bench;
use super::target_args::file_types;
use crate::render::text;

/// Compares four models on this device and recommends one
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Example:
  siskin models --results results.json

The models are TinyLlama-1.1B, Llama-3.2-1B, StableLM-2-1.6B and Pythia-1B; none of them is needed. Sizes and memory \
are computed from their shapes. The upper bound of the decoding speed is computed from how fast this device reads \
memory, which siskin measures for a few seconds. With --results, what siskin bench measured replaces computed \
figures. The commands below the table get the recommended model and start a chat.")]
pub(crate) struct ModelsArgs {
    /// Use the speeds in this file, which siskin bench -o json wrote on this device
    #[arg(long, value_name = "FILE")]
    results: Option<PathBuf>,
    /// File types to show
    #[arg(
        long,
        value_name = "TYPE,...",
        value_delimiter = ',',
        default_value = "q4_k_m,q8_0",
        value_parser = file_types(),
        ignore_case = true
    )]
    types: Vec<FileType>,
    /// Output format
    #[arg(
        short,
        long,
        value_name = "FORMAT",
        default_value = "table",
        ignore_case = true
    )]
    output: Format,
    /// Same as -o json
    #[arg(long, conflicts_with = "output")]
    json: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    Table,
    Json,
    Md,
}

pub(crate) fn main(args: ModelsArgs) -> anyhow::Result<ExitCode> {
    let results = args.results.as_deref().map(bench::results).transpose()?;
    if let (Some(results), Some(file)) = (&results, &args.results) {
        compare::same_machine(&nothing_measured("", "").machine, &results.machine, file)?;
    }
    let usable_bytes = probe::Machine::probe(&probe::Root::system()).ram.usable_bytes;
    let (read_bytes_per_second, load) = read_memory(device::available_cpus(), Some(usable_bytes));
    if let Some(load) = &load {
        say!("siskin: warning: this machine is busy: {load}; its memory is faster than measured here");
    }
    let memory = DeviceMemory {
        usable_bytes,
        read_bytes_per_second,
        is_busy: load.is_some(),
    };
    let rows = catalog::rows(&args.types, &memory, results.as_ref());
    let choice = catalog::choose(&rows, &memory);
    let mut out = text::stdout();
    let format = if args.json { Format::Json } else { args.output };
    match format {
        Format::Json => {
            let json = serde_json::json!({"device": memory, "models": rows, "choice": choice});
            writeln!(out, "{}", serde_json::to_string_pretty(&json)?)?;
        }
        Format::Table => {
            let width = bench::width();
            write!(out, "{}", text_table(&table(&rows, width), width))?;
            for line in explanation(&memory, choice.as_ref()) {
                write!(out, "{}", report::wrap(&line, "", width))?;
            }
            for command in choice.iter().flat_map(|choice| &choice.commands) {
                write!(out, "{}", pasteable(command, width))?;
            }
        }
        Format::Md => {
            let lines = explanation(&memory, choice.as_ref()).join("\n\n");
            writeln!(out, "{}\n{lines}", markdown_table(&table(&rows, usize::MAX)))?;
            for command in choice.iter().flat_map(|choice| &choice.commands) {
                writeln!(out, "    {command}")?;
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Narrower terminals have no room for what the size of the file shows as well.
const WIDE: usize = 100;

fn table(rows: &[Row], width: usize) -> Table {
    let columns = [
        "model", "for", "type", ">params", ">file", ">bits", ">prefill", ">decode", ">RSS 2k", ">GB",
    ];
    let mut table = Table::new("Models", &columns);
    let is_measured = rows
        .iter()
        .any(|row| row.prefill_tokens_per_second != Figure::Unmeasured);
    let shown = |wanted: bool, text: String| if wanted { text } else { String::new() };
    for row in rows {
        // If a board runs a model, every larger board runs it too.
        let least = row.fits_gib.first().map(u64::to_string);
        table.row([
            row.name.into(),
            row.purpose.name().into(),
            row.file_type.name().into(),
            shown(width >= WIDE, parameters(row.parameters)),
            bytes(row.file_bytes),
            shown(width >= WIDE, format!("{:.2}", row.bits_per_weight)),
            shown(is_measured, figure(row.prefill_tokens_per_second, "≤", three)),
            figure(row.decode_tokens_per_second, "≤", three),
            figure(row.peak_rss_bytes, "~", |value| bytes(value as u64)),
            least.unwrap_or_else(|| "none".into()),
        ]);
    }
    table.without_empty_columns()
}

/// A measured figure is shown as it is, a computed one after a mark.
fn figure(figure: Figure, computed: &str, show: impl Fn(f64) -> String) -> String {
    match figure {
        Figure::Measured(value) => show(value),
        Figure::Computed(value) => format!("{computed}{}", show(value)),
        Figure::Unmeasured => "-".into(),
    }
}

/// A command in lines of at most `width` columns that a shell reads as one.
fn pasteable(command: &str, width: usize) -> String {
    const END: &str = " \\";
    let wrapped = report::wrap(command, "  ", width.saturating_sub(END.len()));
    let lines: Vec<&str> = wrapped.lines().collect();
    lines.join(&format!("{END}\n  ")) + "\n"
}

/// What the marks mean, what the device has, where the models are, which one to use.
fn explanation(memory: &DeviceMemory, choice: Option<&Choice>) -> Vec<String> {
    let read = three(memory.read_bytes_per_second / 1e9);
    let usable = bytes(memory.usable_bytes);
    let busy = if memory.is_busy {
        " or more: other programs used the CPUs"
    } else {
        ""
    };
    let entry = |entry: &Entry| {
        let account = if entry.needs_account {
            " (needs an account that accepted the licence)"
        } else {
            ""
        };
        format!("{} is {}{account}", entry.name, entry.repository)
    };
    let repositories: Vec<String> = CATALOG.iter().map(entry).collect();
    let mut lines = vec![
        "Speeds in tokens/s. ≤: upper bound, computed from the memory's speed; ~: computed; -: unmeasured; no mark: \
         measured here by siskin bench. RSS 2k: peak memory with a context of 2048 tokens. GB: the smallest board of \
         1, 2, 4 or 8 GB that runs it."
            .to_owned(),
        format!("This device: {usable} of memory usable; it reads memory at {read} GB/s{busy}."),
        format!("On huggingface.co: {}.", repositories.join("; ")),
        match choice {
            Some(choice) => format!(
                "Best choice: {} {}: {}. To get it:",
                choice.name, choice.file_type, choice.reason
            ),
            None => "Best choice: none of these fits into the memory that is usable now.".into(),
        },
    ];
    if choice.is_some() && memory.is_busy {
        lines.insert(
            2,
            "Run it again when the machine is quiet: a more precise type may be as good a choice.".into(),
        );
    }
    lines
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_broken_command_is_still_one() {
        let command = "siskin pull meta-llama/Llama-3.2-1B-Instruct --type q4_k_m -o llama.gguf";
        assert_eq!(super::pasteable(command, 80), format!("  {command}\n"));
        let narrow = super::pasteable(command, 40);
        assert!(narrow.lines().all(|line| line.chars().count() <= 40), "{narrow}");
        let joined = narrow.replace("\\\n", " ");
        assert_eq!(
            joined.split_whitespace().collect::<Vec<_>>(),
            command.split_whitespace().collect::<Vec<_>>()
        );
    }
}
