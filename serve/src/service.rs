//! The service from its start to its end.

use std::sync::Arc;
use std::time::Duration;

use siskin_runtime::SamplerConfig;

use crate::app::{self, App};
use crate::engine::Engine;
use crate::models::{ModelConfig, Models, Sharing};

/// What is served, and how.
#[derive(Debug, Clone)]
pub struct Config {
    /// The models; the first is loaded at once.
    pub models: Vec<ModelConfig>,
    /// Requests computed at the same time.
    pub parallel: usize,
    /// Whether a request's bits depend on nothing but the request.
    pub deterministic: bool,
    /// Requests that would wait longer are refused.
    pub max_wait: Duration,
    /// Bytes for all models together; `None` for what the machine has.
    pub memory: Option<u64>,
    /// Settings of requests that name none.
    pub sampler: SamplerConfig,
    /// The address to listen at.
    pub host: String,
    /// The port.
    pub port: u16,
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
    /// The system refuses.
    #[error("{what}: {source}")]
    System {
        /// What was tried.
        what: String,
        /// Why not.
        source: std::io::Error,
    },
}

/// Serves until it is asked to end.
///
/// # Errors
/// A model cannot be loaded, or the address cannot be had.
pub fn run(config: Config) -> Result<(), ServeError> {
    let system = |what: &str| {
        let what = what.to_owned();
        move |source| ServeError::System { what, source }
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(2)
        .thread_stack_size(2 << 20)
        .build()
        .map_err(system("the service cannot start"))?;
    runtime.block_on(async move {
        let engine = Engine::start().map_err(system("the engine's thread"))?;
        let sharing = Sharing {
            parallel: config.parallel.clamp(1, 64),
            deterministic: config.deterministic,
            max_wait: config.max_wait,
        };
        let models = Models::new(config.models, engine.clone(), config.memory, sharing)?;
        let app = Arc::new(App::new(engine, models, config.sampler));
        let address = format!("{}:{}", config.host, config.port);
        let listener = tokio::net::TcpListener::bind(&address).await.map_err(system(&address))?;
        let first = app.models.lease(None).await;
        first.map_err(|error| ServeError::Load(error.message))?;
        axum::serve(listener, app::router(app)).await.map_err(system("serving"))
    })
}
