//! The flags of a model and its context, shared by the commands that make text: typed, then meant.

use std::path::PathBuf;

use anyhow::bail;
use siskin::device::budget::Favor;
use siskin::device::probe::Root;
use siskin::device::profile::{KvType, Switch};
use siskin::device::settings::Flags;
use siskin::engine::{self, Model, ModelOptions, Session, SessionOptions};
use siskin::kernel::Kernels;

use super::device::Device;
use super::{environment, explain, kernels, model_facts};

/// What was typed.
#[derive(Debug, clap::Args)]
pub(crate) struct SessionArgs {
    /// GGUF file [default: the embedded storyteller]
    pub(crate) model: Option<PathBuf>,
    #[command(flatten)]
    tuning: TuningArgs,
    /// Say where each setting came from and what will be in memory, to stderr
    #[arg(long)]
    explain: bool,
    /// Go on even where the plan does not fit into memory
    #[arg(long)]
    force: bool,
    /// Run an architecture that siskin cannot check first: llama.cpp may abort where such a file is damaged
    #[arg(long)]
    any_arch: bool,
    /// Whose kernels decode: ggml or siskin [default: $SISKIN_KERNELS, else as tuned, else siskin where
    /// they can be used]
    #[arg(long, value_name = "KERNELS")]
    kernels: Option<Kernels>,
    /// Show llama.cpp's log
    #[arg(short, long)]
    verbose: bool,
}

/// Settings that are otherwise chosen: by what was measured, by the device's profile, by what fits.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct TuningArgs {
    /// Context in tokens; 0 for the largest that fits [default: the training length, at most 4096]
    #[arg(short, long, value_name = "N")]
    ctx_size: Option<u32>,
    /// Threads for decoding
    #[arg(short, long, value_name = "N")]
    threads: Option<usize>,
    /// Threads for the prompt [default: as --threads where that is given]
    #[arg(long, value_name = "N")]
    threads_batch: Option<usize>,
    #[command(flatten)]
    runtime: RuntimeArgs,
}

/// The same without context and threads, of which `siskin bench` takes lists.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct RuntimeArgs {
    /// Tokens computed together; bounds the compute buffers
    #[arg(long = "ubatch-size", visible_alias = "ubatch", value_name = "N")]
    ubatch: Option<u32>,
    /// Type of keys and values: f16, q8_0 or q4_0
    #[arg(long, value_name = "TYPE", value_parser = kv_type)]
    cache_type: Option<KvType>,
    /// Fused attention: on, off or auto
    #[arg(long, visible_alias = "fa", value_name = "WHEN", value_parser = switch)]
    flash_attn: Option<Switch>,
    /// Let llama.cpp repack the weights: a second copy in memory, unless --no-mmap
    #[arg(long, overrides_with = "no_repack")]
    repack: bool,
    /// Leave the weights as they are in the file
    #[arg(long)]
    no_repack: bool,
    /// Map the file instead of reading it
    #[arg(long, overrides_with = "no_mmap")]
    mmap: bool,
    /// Read the weights into memory instead of mapping the file
    #[arg(long)]
    no_mmap: bool,
    /// Keep the weights from being swapped out
    #[arg(long)]
    mlock: bool,
    /// What matters most: balanced, decode (tokens a second) or memory
    #[arg(long, value_name = "WHAT", default_value = "balanced", value_parser = favor)]
    favor: Favor,
}

/// What it means: a model and how to run it.
#[derive(Debug, Clone)]
pub(crate) struct Runtime {
    path: Option<PathBuf>,
    model: ModelOptions,
    session: SessionOptions,
}

impl SessionArgs {
    /// From typed to meant. llama.cpp is silent from here on, unless asked to speak.
    pub(crate) fn resolve(&self) -> anyhow::Result<Runtime> {
        if !self.verbose {
            engine::silence();
        }
        let device = Device::probe(&Root::system())?;
        let flags = Flags {
            force: self.force,
            kernels: kernels::asked(self.kernels)?,
            ..self.tuning.flags()?
        };
        let facts = model_facts::of_model(self.model.as_deref());
        let (settings, note) = device.settings(&flags, facts.as_ref())?;
        // Nothing is said before: it would be said twice.
        environment::apply(&settings, facts.as_ref().map_or(0, |facts| facts.weight_bytes))?;
        kernels::select(&settings);
        self.tuning.warn(device.machine.cpus.available);
        note.iter().for_each(|note| say!("siskin: {note}"));
        device.warn();
        if self.explain {
            explain::print(&device, &settings);
        }
        if let Some(plan) = settings.plan.as_ref().filter(|plan| !plan.fits) {
            say!("siskin: {}", explain::forced(plan));
        }
        device.bind(settings.affinity.value);
        let tunable = settings.tunable();
        Ok(Runtime {
            path: self.model.clone(),
            model: ModelOptions {
                any_architecture: self.any_arch,
                ..ModelOptions::of(&tunable, settings.mlock.value)
            },
            session: SessionOptions::of(
                &tunable,
                settings.context.map(|context| context.value).or(flags.context),
            ),
        })
    }
}

impl TuningArgs {
    /// What was typed, checked.
    pub(crate) fn flags(&self) -> anyhow::Result<Flags> {
        for (flag, count) in self.counts() {
            if count == Some(0) {
                bail!("{flag} is 0; give at least 1");
            }
        }
        Ok(Flags {
            context: self.ctx_size,
            threads: self.threads,
            threads_batch: self.threads_batch,
            ..self.runtime.flags()?
        })
    }
}

impl RuntimeArgs {
    /// What was typed, checked.
    pub(crate) fn flags(&self) -> anyhow::Result<Flags> {
        if self.ubatch == Some(0) {
            bail!("--ubatch-size is 0; give at least 1");
        }
        let either = |yes: bool, no: bool| (yes || no).then_some(yes);
        Ok(Flags {
            ubatch: self.ubatch,
            kv_type: self.cache_type,
            flash_attention: self.flash_attn,
            repack: either(self.repack, self.no_repack),
            mmap: either(self.mmap, self.no_mmap),
            mlock: self.mlock.then_some(true),
            favor: self.favor,
            ..Flags::default()
        })
    }
}

impl TuningArgs {
    fn counts(&self) -> [(&'static str, Option<usize>); 2] {
        [
            ("--threads", self.threads),
            ("--threads-batch", self.threads_batch),
        ]
    }

    /// Says where more threads than CPUs are asked for.
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

impl Runtime {
    /// Loads the model.
    pub(crate) fn load(&self) -> anyhow::Result<Model> {
        Ok(Model::open(self.path.as_deref(), &self.model)?)
    }

    /// An empty context of the model.
    pub(crate) fn start<'m>(&self, model: &'m Model) -> anyhow::Result<Session<'m>> {
        Ok(Session::new(model, &self.session)?)
    }

    /// Threads for decoding and for the prompt.
    pub(crate) fn threads(&self) -> (usize, usize) {
        (self.session.threads, self.session.threads_batch)
    }
}

/// A word of a closed list, as serde names it.
fn word<T: serde::de::DeserializeOwned>(text: &str, allowed: &str) -> Result<T, String> {
    serde_json::from_value(text.into()).map_err(|_| format!("give {allowed}"))
}

fn kv_type(text: &str) -> Result<KvType, String> {
    word(text, "f16, q8_0, q4_0 or f32")
}

fn switch(text: &str) -> Result<Switch, String> {
    word(text, "on, off or auto")
}

fn favor(text: &str) -> Result<Favor, String> {
    word(text, "balanced, decode or memory")
}
