//! `siskin serve`: models over HTTP.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use siskin::Model;
use siskin::SamplerConfig;
use siskin::device::settings::{Kernels, Overrides};
use siskin_serve::{Config, ModelConfig};

use super::session_args::TuningArgs;
use super::{kernels, session_args};
use crate::environment;
use crate::render::text;

/// Serves models over HTTP, with the OpenAI API, ollama's and llama.cpp's
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Example:
  siskin serve model.gguf
  siskin serve llama.gguf pythia.gguf --parallel 4
  curl localhost:8080/v1/chat/completions -d '{\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"}]}'")]
pub(crate) struct ServeArgs {
    /// GGUF files [default: the embedded storyteller]
    #[arg(value_name = "MODEL")]
    models: Vec<PathBuf>,
    /// Address to listen at
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1")]
    host: String,
    /// Port to listen at
    #[arg(long, value_name = "N", default_value_t = 8080)]
    port: u16,
    /// Name of the first model [default: its file's name]
    #[arg(short, long, value_name = "NAME")]
    alias: Option<String>,
    /// Requests computed at the same time
    #[arg(long, visible_alias = "np", value_name = "N", default_value_t = 2)]
    parallel: usize,
    /// The same request and seed give the same bits whatever else is computed; prompts are computed slower
    #[arg(long)]
    deterministic: bool,
    #[command(flatten)]
    tuning: TuningArgs,
    /// Run an architecture that siskin cannot check; llama.cpp may abort if such a file is damaged
    #[arg(long)]
    any_arch: bool,
    /// Kernels to decode with [default: $SISKIN_KERNELS, else tuned, else siskin's if this CPU can run them]
    #[arg(long, value_name = "KERNELS", value_parser = session_args::kernels(), ignore_case = true)]
    kernels: Option<Kernels>,
    /// Show llama.cpp's log
    #[arg(short, long)]
    verbose: bool,
}

pub(crate) fn main(args: ServeArgs) -> anyhow::Result<ExitCode> {
    environment::prepare();
    if args.verbose {
        siskin::show_log(text::note);
    }
    let (typed, priority) = args.tuning.overrides()?;
    let environment = kernels::environment()?;
    let builder = |path: Option<&PathBuf>| {
        let builder = match path {
            Some(path) => Model::builder(path),
            None => Model::embedded(),
        };
        let overrides = Overrides {
            kernels: args.kernels,
            ..typed.clone()
        };
        builder
            .overrides(overrides)
            .environment(environment.clone())
            .priority(priority)
            .any_architecture(args.any_arch)
    };
    let mut models: Vec<ModelConfig> = args
        .models
        .iter()
        .map(|path| ModelConfig {
            name: name(path),
            path: Some(path.clone()),
            builder: builder(Some(path)),
        })
        .collect();
    if models.is_empty() {
        models.push(ModelConfig {
            name: "storyteller".into(),
            path: None,
            builder: builder(None),
        });
    }
    if let Some(alias) = args.alias {
        models[0].name = alias;
    }
    say!("siskin: http://{}:{}", args.host, args.port);
    siskin_serve::run(Config {
        models,
        parallel: args.parallel,
        deterministic: args.deterministic,
        max_wait: Duration::from_secs(60),
        memory: None,
        sampler: SamplerConfig::default(),
        host: args.host,
        port: args.port,
    })?;
    Ok(ExitCode::SUCCESS)
}

/// The name of a model's file, without its end.
fn name(path: &std::path::Path) -> String {
    let name = path.file_stem().unwrap_or(path.as_os_str());
    name.to_string_lossy().into_owned()
}
