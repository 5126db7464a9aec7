//! What the commands that write a GGUF file share: flags, progress, the closing line.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use super::number;
use super::session_args::one_of;
use super::target_args::{Target, type_in_name};
use anyhow::Context;
use clap::builder::TypedValueParser;
use serde_json::{Value, json};
use siskin::device::{self, memory::Memory};
use siskin_model::FileType;
use siskin_model::atomic_file::{self, Overwrite};
use siskin_quant::block::Effort;
use siskin_quant::convert::{Conversion, ConvertError};
use siskin_quant::imatrix::Imatrix;
use siskin_quant::split::{self, SplitOptions};
use siskin_quant::stream::{Progress, StreamError, StreamOptions};

use crate::interrupt;
use crate::render::progress::WriteProgress;
use crate::render::{plan_table, size, text};

/// Flags of the commands that write a GGUF file.
#[derive(Debug, clap::Args)]
pub(crate) struct WriteArgs {
    /// Worker threads [default: the CPUs available]
    #[arg(short, long, value_name = "N", value_parser = number::threads::<usize>)]
    threads: Option<usize>,
    /// Overwrite the output file if it exists
    #[arg(long)]
    force: bool,
    /// Print the plan and write nothing
    #[arg(long)]
    dry_run: bool,
    /// Accept weights that are NaN or infinite
    #[arg(long)]
    allow_nonfinite: bool,
    /// Search effort: high gives smaller errors, and takes about 8 times as long (23 times for q4_0)
    #[arg(long, value_name = "EFFORT", default_value = "normal", value_parser = effort(), ignore_case = true)]
    effort: Effort,
    /// Importance matrix that weights the search; siskin imatrix makes one
    #[arg(long, value_name = "FILE")]
    imatrix: Option<PathBuf>,
    /// Write parts of at most SIZE, e.g. 2GiB, named OUT-00001-of-00003.gguf and so on
    #[arg(long, value_name = "SIZE", value_parser = size::parse)]
    split: Option<u64>,
    /// Write a first part without tensors, which has only the metadata
    #[arg(long, requires = "split")]
    split_empty_first: bool,
    /// Print no progress and no summary
    #[arg(short, long)]
    quiet: bool,
    /// Print one JSON object on stdout
    #[arg(long)]
    json: bool,
}

fn effort() -> impl TypedValueParser<Value = Effort> {
    one_of(Effort::ALL.iter().map(|effort| effort.name()))
}

impl WriteArgs {
    /// Makes a plan, then prints it or writes the target from it; `name` makes a name if none was given. None of the
    /// `inputs` may be the output. `task` is the context of errors in writing.
    pub(crate) fn carry_out(
        &self,
        plan: impl FnOnce(Option<&Imatrix>) -> Result<Conversion, ConvertError>,
        inputs: &[PathBuf],
        target: &Target,
        name: impl FnOnce(FileType) -> PathBuf,
        task: &str,
    ) -> anyhow::Result<ExitCode> {
        // What was typed is checked before anything is read; a name is made of the type that is read.
        if let Some(output) = target.output.as_deref().filter(|_| !self.dry_run) {
            self.check(output, inputs)?;
        }
        let start = Instant::now();
        let imatrix = self.imatrix.as_deref().map(Imatrix::open).transpose()?;
        let conversion = plan(imatrix.as_ref())?;
        for notice in conversion.notices.iter().filter(|_| !self.quiet) {
            say!("siskin: warning: {}", text::escaped(notice));
        }
        self.warn_of_unweighed(&conversion);
        if self.dry_run {
            return self.print_plan(&conversion);
        }
        let output = match &target.output {
            Some(output) => output.clone(),
            None => {
                let made = name(conversion.file_type);
                self.check(&made, inputs)?;
                made
            }
        };
        if !self.quiet {
            self.say_type(&output, target.by_name, conversion.file_type);
        }
        self.write(&conversion, imatrix.as_ref(), &output, start, task)
    }

    /// How the output is split, if it is.
    fn split(&self) -> Option<SplitOptions> {
        self.split.map(|most_bytes| SplitOptions {
            most_bytes,
            no_tensor_first: self.split_empty_first,
        })
    }

    /// The output is no input, and may be written. The names of parts are known later, and checked then.
    fn check(&self, output: &Path, inputs: &[PathBuf]) -> anyhow::Result<()> {
        if self.split.is_some() {
            return Ok(());
        }
        atomic_file::check_inputs(output, inputs.iter().chain(&self.imatrix))?;
        Ok(atomic_file::check(output, self.overwrite())?)
    }

    /// A type that only the name gives, or a name that gives another type, is reported before the work.
    fn say_type(&self, output: &Path, by_name: bool, written: FileType) {
        let name = output.display().to_string();
        let name = text::escaped(&name);
        match type_in_name(output) {
            Some(ty) if by_name => say!("siskin: type {ty}, as the name {name} says; --type gives another"),
            Some(ty) if ty != written => say!("siskin: the name {name} says {ty}, but the type is {written}"),
            _ => {}
        }
    }

    fn overwrite(&self) -> Overwrite {
        match self.force {
            true => Overwrite::Replace,
            false => Overwrite::Refuse,
        }
    }

    /// Importance matrices usually have no entry for the embedding and the output, so these need no warning.
    fn warn_of_unweighed(&self, conversion: &Conversion) {
        let expected = ["token_embd.weight", "output.weight"];
        let others = || {
            conversion
                .unweighed
                .iter()
                .filter(|name| !expected.contains(&name.as_str()))
        };
        if let (Some(first), false) = (others().next(), self.quiet) {
            say!(
                "siskin: warning: the importance matrix has no entry for {} of the matrices to quantize, for example {}; they are quantized without it",
                others().count(),
                text::bounded(first)
            );
        }
    }

    fn print_plan(&self, conversion: &Conversion) -> anyhow::Result<ExitCode> {
        if let Some(options) = self.split() {
            let parts = split::parts(&conversion.plan, options)?.len();
            if !self.quiet && !self.json {
                say!(
                    "siskin: {parts} parts of at most {}",
                    size::bytes(options.most_bytes)
                );
            }
        }
        let mut out = text::stdout();
        let (plan, file_type, bytes) = (&conversion.plan, conversion.file_type, conversion.file_bytes());
        if self.json {
            writeln!(out, "{}", text::json(&plan_table::json(plan, file_type, bytes))?)?;
        } else {
            plan_table::print(&mut out, plan, file_type, bytes)?;
        }
        Ok(ExitCode::SUCCESS)
    }

    fn write(
        &self,
        conversion: &Conversion,
        imatrix: Option<&Imatrix>,
        output: &Path,
        start: Instant,
        task: &str,
    ) -> anyhow::Result<ExitCode> {
        let overwrite = self.overwrite();
        let split = self.split();
        if split.is_none() {
            conversion.check_target(output, overwrite)?;
        }
        let threads = self.threads.unwrap_or_else(device::available_cpus);
        let options = StreamOptions {
            threads,
            allow_nonfinite: self.allow_nonfinite,
            effort: self.effort,
            imatrix,
            cancel: interrupt::listen(),
        };
        let bar = WriteProgress::new(self.quiet || self.json, conversion.file_bytes());
        let mut show = |progress: Progress<'_>| bar.show(&progress);
        let written = match split {
            None => {
                let written = conversion.write(output, overwrite, options, &mut show);
                written.map(|()| vec![output.to_owned()])
            }
            Some(split) => conversion.write_split(output, split, overwrite, options, &mut show),
        };
        bar.finish();
        let written = match written {
            Err(ConvertError::Stream(StreamError::Interrupted)) => {
                say!("siskin: interrupted; nothing was written");
                return Ok(ExitCode::from(interrupt::exit_code()));
            }
            written => written.with_context(|| task.to_owned())?,
        };
        let seconds = start.elapsed().as_secs_f64();
        if self.json {
            let report = report(conversion, &written, seconds, threads);
            writeln!(text::stdout(), "{}", text::json(&report)?)?;
        } else if !self.quiet {
            say!("{}", closing_line(conversion, &written, seconds));
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn report(conversion: &Conversion, written: &[PathBuf], seconds: f64, threads: usize) -> Value {
    let mut report = plan_table::json(&conversion.plan, conversion.file_type, conversion.file_bytes());
    report["seconds"] = json!(seconds);
    report["threads"] = json!(threads);
    report["peak_rss_bytes"] = json!(Memory::now().peak_bytes);
    // Of several parts, the first is the one that the model is opened by.
    let paths: Vec<String> = written.iter().map(|path| path.display().to_string()).collect();
    report["output"] = json!(paths.first());
    if paths.len() > 1 {
        report["parts"] = json!(paths);
    }
    report
}

fn closing_line(conversion: &Conversion, written: &[PathBuf], seconds: f64) -> String {
    let bytes = conversion.file_bytes();
    let first = written.first().map(|path| path.display().to_string());
    let first = first.unwrap_or_default();
    let output = match written.len() {
        0 | 1 => first,
        parts => format!("{first} and the other {} parts", parts - 1),
    };
    format!(
        "{output}: {}, {}, {:.2} bits per weight, {seconds:.1} s, {:.0} MB/s, peak RSS {}",
        conversion.file_type,
        size::bytes(bytes),
        plan_table::bits(&conversion.plan, bytes),
        bytes as f64 / 1e6 / seconds,
        Memory::now().peak_bytes.map_or("unknown".into(), size::bytes),
    )
}
