//! The service from its start to its end.

mod beat;
mod signals;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use siskin_device::energy::Meter;
use siskin_runtime::{SamplerConfig, scheduler};
use tokio::sync::watch;

use crate::address::{self, Address, Exposed};
use crate::app::{self, App};
use crate::engine::Engine;
use crate::front::Front;
use crate::guard::{Guard, OriginError};
use crate::journal::{Journal, Level};
use crate::keys::{KeySource, Keys, KeysError};
use crate::listen::{self, LimitRow, ListenError, Listeners, Phase};
use crate::metrics::Metrics;
use crate::models::{ModelConfig, Models, Sharing};
use crate::notify::Notifier;
use crate::store::{self, Store};

/// How long connections are kept after the last word to their clients.
const FAREWELL: Duration = Duration::from_millis(300);

/// What is served, and how.
#[derive(Debug)]
pub struct Config {
    /// The models; the first is loaded at once.
    pub models: Vec<ModelConfig>,
    /// Requests computed at the same time.
    pub parallel: usize,
    /// Whether a request's bits depend on nothing but the request: each has a part of the context of its own.
    pub deterministic: bool,
    /// Whether tokens are guessed, and computed several at once, if that changes no text.
    pub speculates: bool,
    /// Whether models of which none can be guessed are refused.
    pub must_speculate: bool,
    /// Requests that would wait longer are refused.
    pub max_wait: Duration,
    /// Bytes for all models together; `None` for what the machine has.
    pub memory: Option<u64>,
    /// Settings of requests that name none.
    pub sampler: SamplerConfig,
    /// Where it listens, unless systemd passes sockets.
    pub addresses: Vec<Address>,
    /// The keys that are asked for.
    pub keys: KeySource,
    /// Listen beyond this machine without keys.
    pub no_auth: bool,
    /// Requests whose last message of the person begins with one of these are of the background class.
    pub background: Vec<String>,
    /// Further names of this machine.
    pub allowed_hosts: Vec<String>,
    /// Pages of other origins that may ask.
    pub allowed_origins: Vec<String>,
    /// How long running answers may take when the service ends.
    pub drain: Duration,
    /// Models that nobody used for so long are unloaded; `None` for never.
    pub idle_unload: Option<Duration>,
    /// The service ends if nobody used it for so long and systemd keeps its socket; `None` for never.
    pub idle_exit: Option<Duration>,
    /// Where prefixes are kept over restarts.
    pub store: Option<StoreConfig>,
    /// Limits of connections and bodies.
    pub limits: listen::Limits,
    /// What is logged.
    pub level: Level,
    /// Whether prompts and answers are logged.
    pub log_prompts: bool,
    /// This machine's name.
    pub hostname: Option<String>,
}

impl Config {
    /// All limits of connections and of the queue, for a table.
    pub fn limit_rows(&self) -> Vec<LimitRow> {
        let queue = scheduler::Limits::default();
        let row = |name, value, against| LimitRow { name, value, against };
        let mut rows = self.limits.rows();
        rows.extend([
            row(
                "wait",
                format!("{} s", self.max_wait.as_secs_f64()),
                "requests that nobody waits for any more",
            ),
            row(
                "waiting requests of a key",
                queue.queue_each.to_string(),
                "one client that fills the queue",
            ),
        ]);
        rows
    }
}

/// The store of prefixes.
#[derive(Debug, Clone)]
pub struct StoreConfig {
    /// Its folder.
    pub folder: PathBuf,
    /// What it may take.
    pub limits: store::Limits,
}

/// The service cannot start or go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// A model cannot be loaded.
    #[error(transparent)]
    Model(#[from] siskin_runtime::Error),
    /// The first model cannot be loaded.
    #[error("{0}")]
    Load(String),
    /// Nobody is asked for a key, and others than this machine could ask.
    #[error(transparent)]
    Exposed(#[from] Exposed),
    /// The keys cannot be read.
    #[error(transparent)]
    Keys(#[from] KeysError),
    /// An address cannot be had.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// An origin or a host is not one.
    #[error(transparent)]
    Origin(#[from] OriginError),
    /// The system refuses.
    #[error("{what}: {source}")]
    System {
        /// What was tried.
        what: &'static str,
        /// Why not.
        source: std::io::Error,
    },
}

/// Serves until it is asked to end. `ready` is told the addresses once the first model has computed a token.
///
/// # Errors
/// A model cannot be loaded, the address cannot be had, or it is open to others without keys.
pub fn run(config: Config, ready: impl FnOnce(&[Address])) -> Result<(), ServeError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(2)
        .thread_stack_size(2 << 20)
        .build()
        .map_err(|source| ServeError::System {
            what: "the service cannot start",
            source,
        })?;
    let served = runtime.block_on(serve(config, ready));
    // What is being loaded or tokenized is of no use any more.
    runtime.shutdown_background();
    served
}

async fn serve(config: Config, ready: impl FnOnce(&[Address])) -> Result<(), ServeError> {
    let system = |what: &'static str| move |source| ServeError::System { what, source };
    let journal = Arc::new(Journal::stderr(
        config.level,
        std::env::var("JOURNAL_STREAM").ok().as_deref(),
    ));
    let keys = Arc::new(Keys::load(config.keys.clone())?);
    let inherited = Listeners::inherited()?;
    let listeners = match inherited.is_empty() {
        true => {
            address::permit(&config.addresses, !keys.now().is_empty(), config.no_auth)?;
            Listeners::bind(&config.addresses)?
        }
        false => inherited,
    };
    let activated = listeners.are_inherited();
    let addresses = listeners.addresses();
    address::permit(&addresses, !keys.now().is_empty(), config.no_auth)?;
    let bound: Vec<_> = addresses.iter().filter_map(Address::tcp).collect();
    let guard = Guard::new(
        &bound,
        config.hostname.as_deref(),
        &config.allowed_hosts,
        &config.allowed_origins,
    )?;
    let notifier = Notifier::to(std::env::var_os("NOTIFY_SOCKET").as_deref()).unwrap_or_else(|error| {
        journal.log(
            Level::Warning,
            format_args!("systemd cannot be told that the service is ready: {error}"),
        );
        Notifier::none()
    });
    let version = env!("CARGO_PKG_VERSION");
    let metrics = Arc::new(Metrics::new(vec![
        ("version", version.to_owned()),
        ("llama_cpp", siskin_runtime::llama_cpp_version()),
        ("arch", std::env::consts::ARCH.to_owned()),
    ]));
    let store = config.store.as_ref().and_then(|store| {
        let writer = format!("{version} {}", siskin_runtime::llama_cpp_version());
        match Store::open(&store.folder, store.limits, &writer, app::unix_time()) {
            Ok(opened) => Some(opened),
            Err(error) => {
                journal.log(Level::Warning, format_args!("prefixes are not stored: {error}"));
                None
            }
        }
    });
    let stores = store.is_some();
    let meter = Meter::of_this_machine();
    let engine =
        Engine::start(store, meter.clone(), metrics.clone()).map_err(system("the engine's thread"))?;
    let sharing = Sharing {
        parallel: config.parallel.clamp(1, 64),
        deterministic: config.deterministic,
        max_wait: config.max_wait,
        stores,
        speculates: config.speculates,
        must_speculate: config.must_speculate,
    };
    let models = Models::new(config.models, engine.clone(), config.memory, sharing)?;
    let mut app = App::new(engine.clone(), models, config.sampler, metrics.clone());
    app.background = config.background;
    app.prompts = config.log_prompts.then(|| journal.clone());
    let app = Arc::new(app);
    let front = Front::new(guard, keys.clone(), metrics.clone(), journal.clone());
    let router = front.wrap(app::router(app.clone()));
    let (phase, watched) = watch::channel(Phase::Serving);
    let doorman: &dyn listen::Doorman = &*metrics;
    let serving = listen::serve(listeners, router, config.limits, watched, doorman);
    let rest = async {
        let lease = app.models.lease(None).await;
        if let Err(error) = lease {
            let _ = phase.send(Phase::Stopped);
            return Err(ServeError::Load(error.message));
        }
        drop(lease);
        app.opened.store(true, std::sync::atomic::Ordering::Relaxed);
        // Who reads that it is ready may send a signal at once.
        let mut signals = signals::Signals::listen();
        notifier.ready("ready");
        ready(&addresses);
        let beat = beat::Beat {
            app: &app,
            notifier: &notifier,
            journal: &journal,
            meter: meter.as_ref(),
            idle_unload: config.idle_unload,
            idle_exit: config.idle_exit.filter(|_| activated),
        };
        tokio::select! {
            () = beat.run() => {}
            () = signals.until_end(&keys, &notifier, &journal) => {}
        }
        app.draining.store(true, std::sync::atomic::Ordering::Relaxed);
        notifier.stopping("finishing what is running");
        let until = tokio::time::Instant::now() + config.drain;
        let _ = phase.send(Phase::Draining(until + FAREWELL));
        // A second signal ends it at once.
        signals.until_second(config.drain).await;
        // Clients hear that nothing more comes, before their connections are closed.
        let cut = engine.stop();
        if cut > 0 {
            journal.log(Level::Warning, format_args!("{cut} answers were cut"));
        }
        tokio::time::sleep(FAREWELL).await;
        let _ = phase.send(Phase::Stopped);
        Ok(())
    };
    let served = tokio::select! {
        closed = serving => match closed {
            Ok(closed) if closed.cut > 0 => {
                journal.log(Level::Warning, format_args!("{} clients took no end of their answers", closed.cut));
                Ok(())
            }
            Ok(_) => Ok(()),
            Err(source) => Err(ServeError::System { what: "a socket cannot be watched", source }),
        },
        Err(error) = rest => Err(error),
    };
    engine.stop();
    served
}
