//! `siskin serve`: models over HTTP.

mod check;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use siskin_serve::address::Address;
use siskin_serve::journal::Level;
use siskin_serve::keys::{KeySource, new_key};
use siskin_serve::listen::Limits;
use siskin_serve::store::{self, DailyWrites};
use siskin_serve::unit::Unit;
use siskin_serve::{Config, ModelConfig, StoreConfig};

use super::sampling_args::SamplerArgs;
use super::session_args::{EngineArgs, TuningArgs};
use super::spec_args::Spec;
use crate::exit::usage_error;
use crate::render::text;
use crate::{environment, interrupt};

/// Serves models over HTTP, with the OpenAI API, ollama's and llama.cpp's
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Example:
  siskin serve model.gguf
  siskin serve llama.gguf pythia.gguf --parallel 4
  curl localhost:8080/v1/chat/completions -d '{\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"}]}'")]
pub(crate) struct ServeArgs {
    /// GGUF files; all are served, and loaded when they are asked for [default: the embedded storyteller]
    #[arg(value_name = "MODEL")]
    pub(crate) models: Vec<PathBuf>,
    /// Address to listen at; other than loopback it needs keys
    #[arg(
        long,
        value_name = "ADDRESS",
        default_value = "127.0.0.1",
        help_heading = "Connections"
    )]
    host: String,
    /// Port to listen at; 0 for a free one
    #[arg(long, value_name = "N", default_value_t = 8080, help_heading = "Connections")]
    port: u16,
    /// UNIX socket to listen at, instead of a port
    #[arg(long, value_name = "PATH", help_heading = "Connections")]
    unix: Option<PathBuf>,
    /// File with one key a line, which only you can read; clients send one of them
    #[arg(long, value_name = "FILE", help_heading = "Connections")]
    api_key_file: Option<PathBuf>,
    /// Listen beyond loopback without keys
    #[arg(long, help_heading = "Connections")]
    no_auth: bool,
    /// Name under which clients may reach this machine, besides its own (may be given several times)
    #[arg(long, value_name = "NAME", help_heading = "Connections")]
    allowed_host: Vec<String>,
    /// Origin of pages that may ask, as https://chat.example.org (may be given several times)
    #[arg(long, value_name = "ORIGIN", help_heading = "Connections")]
    allow_origin: Vec<String>,
    /// Print a new key and its line for the file, and end
    #[arg(long, value_name = "NAME", help_heading = "Connections")]
    new_key: Option<String>,
    /// Name of the first model [default: its file's name]
    #[arg(short, long, value_name = "NAME")]
    alias: Option<String>,
    /// Requests computed at the same time
    #[arg(long, visible_alias = "np", value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=64))]
    parallel: u16,
    /// Refuse requests that would wait longer
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = time)]
    max_wait: Duration,
    /// Requests whose last message begins with this text wait for all others, as titles and tags that chat pages ask for
    /// (may be given several times)
    #[arg(long, value_name = "TEXT")]
    background: Vec<String>,
    /// Memory for all models together [default: what the machine has]
    #[arg(long, value_name = "SIZE", value_parser = size)]
    memory: Option<u64>,
    /// The same request and seed give the same bits whatever else is computed: each request computed at the same time has
    /// a part of the context of its own
    #[arg(long)]
    deterministic: bool,
    /// Guess tokens and compute several at once, which is faster and gives the same text: auto or lookup guess from the
    /// text so far, draft=FILE asks a smaller model with the same vocabulary, too; off
    #[arg(long, value_name = "HOW", default_value = "auto")]
    spec: Spec,
    /// Folder in which computed prompts are kept over restarts, or off [default: $STATE_DIRECTORY under systemd, else off]
    #[arg(long, value_name = "DIR", help_heading = "Prefixes")]
    prefix_store: Option<PathBuf>,
    /// Bytes that may be written there a day
    #[arg(
        long,
        value_name = "SIZE",
        default_value = "1GiB/day",
        help_heading = "Prefixes"
    )]
    prefix_writes: DailyWrites,
    /// Bytes that may be kept there
    #[arg(long, value_name = "SIZE", default_value = "512MiB", value_parser = size, help_heading = "Prefixes")]
    prefix_space: u64,
    /// When asked to end, let running answers finish for so long
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = time, help_heading = "Operation")]
    drain: Duration,
    /// Unload a model that nobody used for so long; 0 for never
    #[arg(long, value_name = "TIME", default_value = "15m", value_parser = time, help_heading = "Operation")]
    idle_unload: Duration,
    /// End if nobody used the service for so long and systemd keeps its socket; 0 for never
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = time, help_heading = "Operation")]
    idle_exit: Duration,
    /// Write prompts and answers to the log
    #[arg(long, help_heading = "Operation")]
    log_prompts: bool,
    /// Print the units for systemd, and end
    #[arg(long, help_heading = "Operation")]
    unit: bool,
    /// Serve on a free port, ask every path once, print figures and who could reach the service, and end
    #[arg(long, help_heading = "Operation")]
    check: bool,
    /// Print to stderr where each setting comes from, what will be in memory, and every limit
    #[arg(long, help_heading = "Operation")]
    explain: bool,
    #[command(flatten)]
    tuning: TuningArgs,
    #[command(flatten, next_help_heading = "Sampling, unless a request says otherwise")]
    sampler: SamplerArgs,
    #[command(flatten)]
    engine: EngineArgs,
}

pub(crate) fn main(args: ServeArgs) -> anyhow::Result<ExitCode> {
    if let Some(name) = &args.new_key {
        return print_key(name);
    }
    let addresses = args.addresses()?;
    if args.unit {
        return args.print_unit(addresses);
    }
    environment::prepare();
    args.engine.show_log();
    let config = args.config(addresses)?;
    if args.explain {
        args.explain(&config)?;
    }
    if args.check {
        return check::main(config);
    }
    siskin_serve::run(config, |addresses| {
        interrupt::listen();
        for address in addresses {
            say!("siskin: serving at {address}");
        }
    })?;
    Ok(ExitCode::SUCCESS)
}

impl ServeArgs {
    /// Whether it serves, and not only prints something.
    pub(crate) fn serves(&self) -> bool {
        !self.check && !self.unit && self.new_key.is_none()
    }

    fn addresses(&self) -> anyhow::Result<Vec<Address>> {
        match &self.unix {
            Some(path) => Ok(vec![Address::Unix(path.clone())]),
            None => Ok(Address::resolve(&self.host, self.port)?),
        }
    }

    fn config(&self, addresses: Vec<Address>) -> anyhow::Result<Config> {
        let credentials = std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from);
        Ok(Config {
            models: self.models()?,
            parallel: self.parallel.into(),
            deterministic: self.deterministic,
            speculates: self.spec != Spec::Off,
            must_speculate: matches!(self.spec, Spec::Lookup | Spec::Draft(_)),
            max_wait: self.max_wait,
            memory: self.memory,
            background: self.background.clone(),
            sampler: self.sampler.config()?,
            addresses,
            keys: KeySource::choose(self.api_key_file.as_deref(), credentials.as_deref()),
            no_auth: self.no_auth,
            allowed_hosts: self.allowed_host.clone(),
            allowed_origins: self.allow_origin.clone(),
            drain: self.drain,
            idle_unload: Some(self.idle_unload).filter(|time| !time.is_zero()),
            idle_exit: Some(self.idle_exit).filter(|time| !time.is_zero()),
            store: self.store(),
            limits: Limits::default(),
            level: Level::Info,
            log_prompts: self.log_prompts,
            hostname: rustix::system::uname()
                .nodename()
                .to_str()
                .ok()
                .map(str::to_owned),
        })
    }

    fn models(&self) -> anyhow::Result<Vec<ModelConfig>> {
        let model = |path: Option<&Path>| -> anyhow::Result<ModelConfig> {
            Ok(ModelConfig {
                name: path.map_or_else(|| "storyteller".into(), name),
                path: path.map(Path::to_owned),
                builder: self.engine.builder(path, &self.tuning)?,
                draft: match &self.spec {
                    Spec::Draft(draft) => Some(self.engine.builder(Some(draft), &self.tuning)?),
                    _ => None,
                },
            })
        };
        let mut models: Vec<ModelConfig> = match self.models.is_empty() {
            true => vec![model(None)?],
            false => self
                .models
                .iter()
                .map(|path| model(Some(path)))
                .collect::<Result<_, _>>()?,
        };
        if let Some(alias) = &self.alias {
            models[0].name.clone_from(alias);
        }
        for (at, one) in models.iter().enumerate() {
            if models[..at].iter().any(|other| other.name == one.name) {
                return Err(usage_error(format!(
                    "two models have the name {}; rename a file",
                    one.name
                )));
            }
        }
        Ok(models)
    }

    fn store(&self) -> Option<StoreConfig> {
        let given = self.prefix_store.clone();
        // systemd makes the folder, and only the service can read it.
        let state =
            || std::env::var_os("STATE_DIRECTORY").map(|folder| PathBuf::from(folder).join("prefixes"));
        let folder = given
            .or_else(state)
            .filter(|folder| folder.as_os_str() != "off")?;
        let DailyWrites::Bytes(daily) = self.prefix_writes else {
            return None;
        };
        let limits = store::Limits {
            folder: self.prefix_space,
            daily,
        };
        Some(StoreConfig { folder, limits })
    }

    /// Where each setting of the first model comes from, and the limits of connections.
    fn explain(&self, config: &Config) -> anyhow::Result<()> {
        let plan = config.models[0].builder.clone().plan()?;
        crate::render::explain::print(&plan);
        for row in config.limit_rows() {
            say!("{:<30} {:>8}  against {}", row.name, row.value, row.against);
        }
        Ok(())
    }

    fn print_unit(&self, addresses: Vec<Address>) -> anyhow::Result<ExitCode> {
        let memory = match self.models.is_empty() {
            true => None,
            false => {
                let plan = self.models()?.remove(0).builder.plan()?;
                plan.settings.plan.map(|plan| plan.total_bytes)
            }
        };
        let arguments: Vec<String> = std::env::args().skip(1).filter(|word| word != "--unit").collect();
        let absolute = |path: &PathBuf| std::path::absolute(path);
        let unit = Unit {
            program: std::env::current_exe()?,
            arguments,
            addresses,
            models: self.models.iter().map(absolute).collect::<Result<_, _>>()?,
            memory,
            keys: self.api_key_file.as_ref().map(absolute).transpose()?,
            drain: self.drain,
            environment: None,
        };
        let units = unit.render();
        let both = format!(
            "# /etc/systemd/system/siskin.service\n{}\n# /etc/systemd/system/siskin.socket\n{}",
            units.service, units.socket
        );
        text::put(&both)?;
        Ok(ExitCode::SUCCESS)
    }
}

fn print_key(name: &str) -> anyhow::Result<ExitCode> {
    let key = new_key(name)?;
    text::put(&format!("{}\n", key.secret))?;
    say!("the key is shown once; this line goes into the file of --api-key-file:");
    say!("{}", key.line);
    Ok(ExitCode::SUCCESS)
}

/// A time: 90s, 15m, 1h30m; a number without a unit is in seconds.
fn time(text: &str) -> Result<Duration, String> {
    let seconds = text
        .parse::<u32>()
        .map(|seconds| Duration::from_secs(seconds.into()));
    let time = seconds.or_else(|_| {
        text.parse::<jiff::SignedDuration>()
            .map_err(|_| ())
            .and_then(|time| time.try_into().map_err(|_| ()))
    });
    time.map_err(|()| "it is a time such as 90s, 15m or 1h".to_owned())
}

/// A number of bytes: 512MiB, 4GiB.
fn size(text: &str) -> Result<u64, String> {
    store::parse_size(text).map_err(|error| error.to_string())
}

/// The name of a model's file, without its end.
fn name(path: &Path) -> String {
    let name = path.file_stem().unwrap_or(path.as_os_str());
    name.to_string_lossy().into_owned()
}
