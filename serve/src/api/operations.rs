//! What people and programs that watch the service ask for: the page, figures, whether it lives.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, Response, header};
use axum::routing::get;
use serde_json::json;

use crate::app::{App, Shared};
use crate::dialect::{Dialect, json_response};
use crate::engine::Load;
use crate::error::{ApiError, Kind};
use crate::metrics;

/// The paths.
pub(crate) fn router() -> Router<Arc<App>> {
    Router::new()
        .route("/", get(page))
        .route("/metrics", get(figures))
        .route("/livez", get(live))
        .route("/readyz", get(ready))
        .route("/health", get(ready))
        .route("/v1/health", get(ready))
}

async fn page(headers: HeaderMap) -> Response<Body> {
    let (status, headers, body) = crate::page::page(headers.get(header::IF_NONE_MATCH));
    let mut response = Response::new(Body::from(body));
    (*response.status_mut(), *response.headers_mut()) = (status, headers);
    response
}

async fn figures(State(app): Shared) -> Response<Body> {
    app.measure();
    let mut response = Response::new(Body::from(app.metrics.render()));
    let ty = HeaderValue::from_static(metrics::CONTENT_TYPE);
    response.headers_mut().insert(header::CONTENT_TYPE, ty);
    response
}

/// HTTP is answered.
async fn live() -> Response<Body> {
    json_response(200, &json!({ "status": "ok" }))
}

/// The engine moves, and requests are taken.
async fn ready(State(app): Shared) -> Response<Body> {
    match app.check_ready() {
        Ok(()) => json_response(200, &json!({ "status": "ok" })),
        Err(error) => Dialect::OpenAi.refuse(&error),
    }
}

impl App {
    /// Whether requests would be answered now.
    ///
    /// # Errors
    /// The first model is being loaded, the service ends, or the engine's thread does not move.
    pub(crate) fn check_ready(&self) -> Result<(), ApiError> {
        self.check_open()?;
        let second = std::time::Duration::from_secs(1);
        if !self.opened.load(Ordering::Relaxed) {
            return Err(ApiError::new(Kind::Loading, "the model is being loaded").retry_after(second));
        }
        if self.engine.is_stuck() {
            return Err(ApiError::new(Kind::Loading, "the engine does not answer").retry_after(10 * second));
        }
        Ok(())
    }

    /// The load of all models together, and their cells.
    fn load(&self) -> (Load, u32) {
        let mut all = Load::default();
        let mut cells = 0;
        for live in self.models.entries().iter().filter_map(|entry| entry.live()) {
            let load = self.engine.load(live.slot);
            all.queued += load.queued;
            all.active += load.active;
            all.cells += load.cells;
            all.wait = all.wait.max(load.wait);
            cells += live.context;
        }
        (all, cells)
    }

    /// A line of what the service does.
    pub(crate) fn status(&self) -> String {
        let (load, cells) = self.load();
        let models = self
            .models
            .entries()
            .iter()
            .filter(|entry| entry.live().is_some())
            .count();
        format!(
            "{models} of {} models loaded; {} requests computed, {} waiting; {} of {cells} cells used",
            self.models.entries().len(),
            load.active,
            load.queued,
            load.cells
        )
    }

    /// Brings the figures up to date that nobody counts.
    pub(crate) fn measure(&self) {
        let (load, cells) = self.load();
        let metrics = &self.metrics;
        metrics.processing.set(load.active as f64);
        metrics.deferred.set(load.queued as f64);
        metrics.cells.set(cells.into());
        metrics.cells_used.set(load.cells.into());
        metrics.predicted_wait.set(load.wait.as_secs_f64());
        let stored = self.engine.stored();
        metrics.store_hits.raise_to(stored.restored);
        metrics.store_writes.raise_to(stored.saved);
        metrics.store_written_bytes.raise_to(stored.bytes_written);
        metrics.store_damaged.raise_to(stored.damaged);
        metrics
            .model_loads
            .raise_to(self.models.loads.load(Ordering::Relaxed));
        metrics
            .model_unloads
            .raise_to(self.models.unloads.load(Ordering::Relaxed));
        let mut planned = 0;
        for entry in self.models.entries() {
            let loaded = entry.live().is_some();
            metrics.model(&entry.name, loaded);
            planned += if loaded { entry.planned_bytes() } else { 0 };
        }
        metrics.memory_predicted.set(planned as f64);
        let passes = metrics.decodes.get();
        if passes > 0 {
            metrics
                .busy_slots_per_decode
                .set(metrics.busy_slots.get() as f64 / passes as f64);
        }
    }
}
