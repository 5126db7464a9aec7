//! The flags of a model and its context, shared by the commands that make text.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use siskin::device::settings::{CacheType, FlashAttention, Kernels, Overrides, Priority};
use siskin::{Builder, LoadPlan, Model};

use super::number;
use super::{kernels, notices};
use crate::environment;
use crate::render::{explain, text};

/// What was typed.
#[derive(Debug, clap::Args)]
pub(crate) struct SessionArgs {
    /// GGUF file, also after -m [default: the embedded storyteller]
    #[arg(index = 1)]
    pub(crate) model: Option<PathBuf>,
    #[command(flatten)]
    tuning: TuningArgs,
    /// Print to stderr where each setting comes from and what will be in memory
    #[arg(long)]
    explain: bool,
    /// Run even if the model does not fit into memory
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    engine: EngineArgs,
}

/// What llama.cpp is allowed, and what computes in its place.
#[derive(Debug, clap::Args)]
pub(crate) struct EngineArgs {
    /// Run an architecture that siskin cannot check; llama.cpp may abort if such a file is damaged
    #[arg(long)]
    any_arch: bool,
    /// Kernels to decode with [default: $SISKIN_KERNELS, else tuned, else siskin's if this CPU can run
    /// them]
    #[arg(long, value_name = "KERNELS", value_parser = kernels(), ignore_case = true)]
    kernels: Option<Kernels>,
    /// Show llama.cpp's log
    #[arg(short, long)]
    verbose: bool,
}

impl EngineArgs {
    /// Shows llama.cpp's log if it is to be shown.
    pub(crate) fn show_log(&self) {
        if self.verbose {
            siskin::show_log(text::note);
        }
    }

    /// How the model at `path` is loaded, or the embedded one, with what was typed.
    pub(crate) fn builder(&self, path: Option<&Path>, tuning: &TuningArgs) -> anyhow::Result<Builder> {
        let (typed, priority) = tuning.overrides()?;
        let builder = match path {
            Some(path) => Model::builder(path),
            None => Model::embedded(),
        };
        Ok(builder
            .overrides(Overrides {
                kernels: self.kernels,
                ..typed
            })
            .environment(kernels::environment()?)
            .priority(priority)
            .any_architecture(self.any_arch))
    }
}

/// Settings that are otherwise chosen: by what was measured, by the device's profile, by what fits.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct TuningArgs {
    /// Context in tokens; 0 for the largest that fits [default: the training length, at most 4096]
    #[arg(short, long, value_name = "N", value_parser = number::tokens::<u32>)]
    ctx_size: Option<u32>,
    /// Threads for decoding [default: tuned, else the device's profile]
    #[arg(short, long, value_name = "N", value_parser = number::threads::<usize>)]
    threads: Option<usize>,
    /// Threads for the prompt [default: same as --threads, if given]
    #[arg(long, value_name = "N", value_parser = number::threads::<usize>)]
    threads_batch: Option<usize>,
    #[command(flatten)]
    runtime: RuntimeArgs,
}

/// The same without context and threads, of which `siskin bench` takes lists.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct RuntimeArgs {
    /// Prompt tokens per batch; a smaller batch needs less memory [default: tuned, else the device's profile, less if
    /// memory is short]
    #[arg(long = "ubatch-size", visible_alias = "ubatch", value_name = "N", value_parser = number::ubatch::<u32>)]
    ubatch: Option<u32>,
    /// Type of the KV cache; a smaller one needs less memory, with some loss [default: the device's profile, smaller if
    /// memory is short]
    #[arg(long, value_name = "TYPE", value_parser = cache_type(), ignore_case = true)]
    cache_type: Option<CacheType>,
    /// Flash attention: computes attention in one fused step, in less memory [default: tuned, else the device's profile]
    #[arg(long, visible_alias = "fa", value_name = "WHEN", value_parser = flash_attention(), ignore_case = true)]
    flash_attn: Option<FlashAttention>,
    /// Let llama.cpp repack the weights for the CPU: faster on some CPUs, but a second copy in memory unless --no-mmap
    /// [default: tuned, else the device's profile]
    #[arg(long, overrides_with = "no_repack")]
    repack: bool,
    /// Use the weights as they are in the file
    #[arg(long)]
    no_repack: bool,
    /// Map the file instead of reading it into memory [default: tuned, else the device's profile]
    #[arg(long, overrides_with = "no_mmap")]
    mmap: bool,
    /// Read the file into memory instead of mapping it
    #[arg(long)]
    no_mmap: bool,
    /// Have mapped weights in huge pages: on reads the file from storage again if the page cache has it in small ones
    /// [default: measured at the first run of a large model]
    #[arg(long, value_name = "WHEN", value_parser = on_or_off(), ignore_case = true)]
    huge_pages: Option<bool>,
    /// Lock the weights in memory, so that they are not swapped out
    #[arg(long)]
    mlock: bool,
    /// What matters most: decode for tokens per second, memory for a small footprint
    #[arg(long, value_name = "WHAT", default_value = "balanced", value_parser = priority(), ignore_case = true)]
    favor: Priority,
}

impl SessionArgs {
    /// How another model is loaded, with the same settings.
    pub(crate) fn builder(&self, path: &Path) -> anyhow::Result<Builder> {
        Ok(self.engine.builder(Some(path), &self.tuning)?.force(self.force))
    }

    /// Decides how the model is loaded, and prints what the user should know. The program may start again to change
    /// its environment.
    pub(crate) fn plan(&self) -> anyhow::Result<LoadPlan> {
        environment::prepare();
        self.engine.show_log();
        let builder = self.engine.builder(self.model.as_deref(), &self.tuning)?;
        let plan = builder.force(self.force).plan()?;
        // Nothing is printed before: it would be printed twice.
        let weight_bytes = plan.shape.as_ref().map_or(0, |shape| shape.weight_bytes);
        environment::apply(&plan.settings, weight_bytes);
        self.tuning.warn(plan.device.machine.cpus.available);
        notices::print(&plan.notices);
        if self.explain {
            explain::print(&plan);
        }
        if let Some(plan) = plan.settings.plan.as_ref().filter(|plan| !plan.fits) {
            say!("siskin: {}", explain::forced(plan));
        }
        notices::print(&plan.apply());
        Ok(plan)
    }
}

impl TuningArgs {
    /// What was typed, checked.
    pub(crate) fn overrides(&self) -> anyhow::Result<(Overrides, Priority)> {
        let (typed, priority) = self.runtime.overrides()?;
        let typed = Overrides {
            context: self.ctx_size,
            threads: self.threads,
            threads_batch: self.threads_batch,
            ..typed
        };
        Ok((typed, priority))
    }

    fn counts(&self) -> [(&'static str, Option<usize>); 2] {
        [
            ("--threads", self.threads),
            ("--threads-batch", self.threads_batch),
        ]
    }

    /// Warns if more threads than CPUs are asked for.
    pub(crate) fn warn(&self, cpus: usize) {
        for (flag, count) in self.counts() {
            if let Some(count) = count.filter(|count| *count > cpus) {
                say!(
                    "siskin: {flag} {count} is more than the {cpus} CPUs available; this is slower, not faster"
                );
            }
        }
    }
}

impl RuntimeArgs {
    /// What was typed, checked.
    pub(crate) fn overrides(&self) -> anyhow::Result<(Overrides, Priority)> {
        let either = |yes: bool, no: bool| (yes || no).then_some(yes);
        let typed = Overrides {
            ubatch: self.ubatch,
            cache_type: self.cache_type,
            flash_attention: self.flash_attn,
            repack: either(self.repack, self.no_repack),
            mmap: either(self.mmap, self.no_mmap),
            huge_pages: self.huge_pages,
            mlock: self.mlock.then_some(true),
            ..Overrides::default()
        };
        Ok((typed, self.favor))
    }
}

/// Takes one of these names, in upper or lower case; help and completions list them.
pub(crate) fn one_of<T>(names: impl IntoIterator<Item = &'static str>) -> impl TypedValueParser<Value = T>
where
    T: FromStr<Err: std::error::Error + Send + Sync + 'static> + Clone + Send + Sync + 'static,
{
    PossibleValuesParser::new(names).try_map(|name| name.to_ascii_lowercase().parse::<T>())
}

/// Names of kernels.
pub(crate) fn kernels() -> impl TypedValueParser<Value = Kernels> {
    one_of(Kernels::ALL.iter().map(|value| value.name()))
}

fn on_or_off() -> impl TypedValueParser<Value = bool> {
    PossibleValuesParser::new(["on", "off"]).map(|word| word.eq_ignore_ascii_case("on"))
}

fn cache_type() -> impl TypedValueParser<Value = CacheType> {
    one_of(CacheType::ALL.iter().map(|value| value.name()))
}

fn flash_attention() -> impl TypedValueParser<Value = FlashAttention> {
    one_of(FlashAttention::ALL.iter().map(|value| value.name()))
}

fn priority() -> impl TypedValueParser<Value = Priority> {
    one_of(Priority::ALL.iter().map(|value| value.name()))
}
