//! The flags of a model and its context, shared by the commands that make text: typed, then meant.

use std::path::PathBuf;

use anyhow::bail;
use siskin::device;
use siskin::engine::{self, Model, ModelOptions, STORYTELLER, Session, SessionOptions};

/// What was typed.
#[derive(Debug, clap::Args)]
pub(crate) struct SessionArgs {
    /// GGUF file [default: the embedded storyteller]
    pub(crate) model: Option<PathBuf>,
    /// Context in tokens [default: the training length, at most 4096]
    #[arg(short, long, value_name = "N")]
    ctx_size: Option<u32>,
    /// Threads for decoding [default: the CPUs available]
    #[arg(short, long, value_name = "N")]
    threads: Option<usize>,
    /// Threads for the prompt [default: as --threads]
    #[arg(long, value_name = "N")]
    threads_batch: Option<usize>,
    /// Let llama.cpp repack the weights: a second copy in memory
    #[arg(long)]
    repack: bool,
    /// Read the weights into memory instead of mapping the file
    #[arg(long)]
    no_mmap: bool,
    /// Run an architecture that siskin cannot check first: llama.cpp may abort where such a file is damaged
    #[arg(long)]
    any_arch: bool,
    /// Show llama.cpp's log
    #[arg(short, long)]
    verbose: bool,
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
        let (threads, threads_batch) = threads(self.threads, self.threads_batch)?;
        Ok(Runtime {
            path: self.model.clone(),
            model: ModelOptions {
                repack: self.repack,
                mmap: !self.no_mmap,
                any_architecture: self.any_arch,
                ..ModelOptions::default()
            },
            session: SessionOptions {
                context: self.ctx_size,
                threads,
                threads_batch,
                ..SessionOptions::default()
            },
        })
    }
}

impl Runtime {
    /// Loads the model.
    pub(crate) fn load(&self) -> anyhow::Result<Model> {
        Ok(match &self.path {
            Some(path) => Model::load(path, &self.model)?,
            None => Model::load_bytes(STORYTELLER, &self.model)?,
        })
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

/// Threads for decoding and for the prompt; says where they are more than there are CPUs.
fn threads(decode: Option<usize>, batch: Option<usize>) -> anyhow::Result<(usize, usize)> {
    let cpus = device::available_cpus();
    let decode = decode.unwrap_or(cpus);
    let batch = batch.unwrap_or(decode);
    for (flag, count) in [("--threads", decode), ("--threads-batch", batch)] {
        if count == 0 {
            bail!("{flag} is 0; give at least 1");
        }
        if count > cpus {
            eprintln!(
                "siskin: {flag} {count} is more than the {cpus} CPUs available; this is slower, not faster"
            );
        }
    }
    Ok((decode, batch))
}
