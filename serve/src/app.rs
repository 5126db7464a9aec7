//! The paths, and what every handler shares.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::SystemTime;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderValue, Request, Response};
use siskin_runtime::SamplerConfig;

use crate::api;
use crate::body;
use crate::dialect::Dialect;
use crate::engine::Engine;
use crate::error::{ApiError, Kind};
use crate::journal::Journal;
use crate::metrics::Metrics;
use crate::models::Models;

/// What every handler shares.
pub(crate) struct App {
    /// Computes.
    pub(crate) engine: Engine,
    /// What is served.
    pub(crate) models: Arc<Models>,
    /// The settings of requests that name none.
    pub(crate) sampler: SamplerConfig,
    /// Figures.
    pub(crate) metrics: Arc<Metrics>,
    /// Where prompts and answers are logged; `None` if they are not.
    pub(crate) prompts: Option<Arc<Journal>>,
    /// Requests whose last message of the person begins with one of these are of the background class.
    pub(crate) background: Vec<String>,
    /// The service ends: nothing new is begun.
    pub(crate) draining: AtomicBool,
    /// The first model has been loaded once.
    pub(crate) opened: AtomicBool,
    /// When it began, in seconds since 1970.
    pub(crate) started: u64,
    ids: AtomicU64,
}

/// A handle to what every handler shares.
pub(crate) type Shared = State<Arc<App>>;

/// Who asks: the key's name and namespace, put there by the check of keys.
#[derive(Debug, Clone, Default)]
pub(crate) struct Caller {
    /// The key's name; empty if keys are not asked for.
    pub(crate) name: String,
    /// Whose prefixes it may use.
    pub(crate) namespace: u64,
}

impl App {
    /// The state of a service.
    pub(crate) fn new(engine: Engine, models: Models, sampler: SamplerConfig, metrics: Arc<Metrics>) -> Self {
        App {
            engine,
            models: Arc::new(models),
            sampler,
            metrics,
            prompts: None,
            background: Vec::new(),
            draining: AtomicBool::new(false),
            opened: AtomicBool::new(false),
            started: unix_time(),
            ids: AtomicU64::new(1),
        }
    }

    /// A new id, such as `chatcmpl-…`.
    pub(crate) fn id(&self, prefix: &str) -> String {
        use std::hash::{BuildHasher, RandomState};
        let number = self.ids.fetch_add(1, Ordering::Relaxed);
        format!("{prefix}{:016x}{number:08x}", RandomState::new().hash_one(number))
    }

    /// Refuses what is new if the service ends.
    ///
    /// # Errors
    /// It ends.
    pub(crate) fn check_open(&self) -> Result<(), ApiError> {
        match self.draining.load(Ordering::Relaxed) {
            false => Ok(()),
            true => Err(ApiError::draining()),
        }
    }
}

/// Seconds since 1970.
pub(crate) fn unix_time() -> u64 {
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |time| time.as_secs())
}

/// Every path.
pub(crate) fn router(app: Arc<App>) -> Router {
    Router::new()
        .merge(api::openai::router())
        .merge(api::llama_cpp::router())
        .merge(api::ollama::router())
        .merge(api::anthropic::router())
        .merge(api::responses::router())
        .merge(api::openapi::router())
        .merge(api::operations::router())
        .fallback(|request: Request<Body>| async move {
            let path: String = request.uri().path().chars().take(200).collect();
            let error = ApiError::new(Kind::NotFound, format!("there is no path {path:?}"));
            Dialect::of_path(&path).refuse(&error)
        })
        .method_not_allowed_fallback(|request: Request<Body>| async move {
            let (method, path) = (request.method(), request.uri().path());
            let error = ApiError::new(Kind::Method, format!("{path} does not take {method}"));
            Dialect::of_path(path).refuse(&error)
        })
        .layer(axum::middleware::from_fn_with_state(app.clone(), api::edge::edge))
        .with_state(app)
}

/// Parses a body, has it answered, and writes what is refused in the dialect; fields that nobody read are named in a
/// header.
pub(crate) async fn answer<T, F>(
    dialect: Dialect,
    bytes: Bytes,
    handle: impl FnOnce(T) -> F,
) -> Response<Body>
where
    T: serde::de::DeserializeOwned + body::Fields,
    F: Future<Output = Result<Response<Body>, ApiError>>,
{
    let request: T = match body::parse(&bytes) {
        Ok(request) => request,
        Err(error) => return dialect.refuse(&error),
    };
    let ignored = body::ignored(&request);
    let mut response = match handle(request).await {
        Ok(response) => response,
        Err(error) => dialect.refuse(&error),
    };
    if let Some(names) = ignored.and_then(|names| HeaderValue::from_str(&names).ok()) {
        response.headers_mut().insert("x-siskin-ignored", names);
    }
    response
}
