//! What the service is doing: never what it was asked.

use axum::body::Body;
use axum::extract::State;
use axum::http::Response;
use serde_json::{Value as Json, json};

use crate::app::Shared;
use crate::dialect::{Dialect, json_response};

/// The settings in force.
pub(super) async fn props(State(app): Shared) -> Response<Body> {
    let entry = match app.models.find(None) {
        Ok(entry) => entry,
        Err(error) => return Dialect::OpenAi.refuse(&error),
    };
    let live = entry.live();
    let context = live.as_ref().map(|live| live.context);
    let sampler = app.sampler;
    let [bos, eos] = match &live {
        Some(live) => {
            let texts = live.special_texts();
            [texts.bos, texts.eos]
        }
        None => [None, None],
    };
    let template = live
        .as_ref()
        .map_or_else(|| entry.facts.template.clone(), |live| live.template());
    json_response(
        200,
        &json!({
            "default_generation_settings": {
                "n_ctx": context,
                "params": {
                    "temperature": sampler.temp,
                    "top_k": sampler.top_k,
                    "top_p": sampler.top_p,
                    "min_p": sampler.min_p,
                    "repeat_penalty": sampler.repeat_penalty,
                    "repeat_last_n": sampler.repeat_last_n,
                    "frequency_penalty": sampler.frequency_penalty,
                    "presence_penalty": sampler.presence_penalty,
                    "n_predict": -1,
                },
            },
            "total_slots": app.models.parallel(),
            "model_alias": entry.name,
            "model_path": entry.name,
            "n_ctx": context,
            "chat_template": template,
            "bos_token": bos,
            "eos_token": eos,
            "modalities": { "vision": false, "audio": false },
            "build_info": concat!("siskin-", env!("CARGO_PKG_VERSION")),
            "is_sleeping": live.is_none(),
        }),
    )
}

/// The places at which requests are computed.
pub(super) async fn slots(State(app): Shared) -> Response<Body> {
    let mut list: Vec<Json> = Vec::new();
    for live in app.models.entries().iter().filter_map(|entry| entry.live()) {
        let load = app.engine.load(live.slot);
        for index in 0..app.models.parallel() {
            list.push(json!({
                "id": list.len(),
                "model": live.name,
                "n_ctx": live.context,
                "is_processing": index < load.active,
                "n_active": load.active,
                "n_queued": load.queued,
                "n_cells_used": load.cells,
            }));
        }
    }
    json_response(200, &list)
}
