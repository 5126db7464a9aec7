//! `/api/tags`, `/api/ps`, `/api/show`.

use std::time::{Duration, SystemTime};

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::Response;
use serde::Deserialize;
use serde_json::{Map, Value as Json, json};

use super::reply::now;
use crate::app::{self, App, Shared};
use crate::body::Fields;
use crate::dialect::{Dialect, json_response};
use crate::facts::Facts;
use crate::models::Entry;

/// Which model to describe.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct ShowRequest {
    /// The model's name.
    model: Option<String>,
    /// The same, as older clients have it.
    name: Option<String>,
    /// Nothing more is told.
    #[allow(dead_code, reason = "known, so that it is not told as ignored")]
    verbose: Option<bool>,
    #[serde(flatten)]
    #[cfg_attr(test, schemars(skip))]
    unknown: Map<String, Json>,
}

impl Fields for ShowRequest {
    fn unknown(&self) -> &Map<String, Json> {
        &self.unknown
    }
}

/// ollama's names have a tag.
fn tagged(name: &str) -> String {
    if name.contains(':') {
        name.into()
    } else {
        format!("{name}:latest")
    }
}

fn details(facts: &Facts) -> Json {
    json!({
        "parent_model": "",
        "format": "gguf",
        "family": facts.architecture,
        "families": [facts.architecture],
        "parameter_size": parameters(facts.parameters),
        "quantization_level": facts.file_type,
    })
}

/// Such as 1.1B.
fn parameters(count: u64) -> String {
    match count {
        1_000_000_000.. => format!("{:.1}B", count as f64 / 1e9),
        1_000_000.. => format!("{:.1}M", count as f64 / 1e6),
        _ => format!("{:.1}K", count as f64 / 1e3),
    }
}

fn time(seconds: u64) -> String {
    let time = i64::try_from(seconds)
        .ok()
        .and_then(|seconds| jiff::Timestamp::from_second(seconds).ok());
    time.unwrap_or(jiff::Timestamp::UNIX_EPOCH).to_string()
}

fn modified(app: &App, facts: &Facts) -> String {
    time(if facts.modified > 0 {
        facts.modified
    } else {
        app.started
    })
}

fn model(app: &App, entry: &Entry) -> Map<String, Json> {
    let mut model = Map::new();
    model.insert("name".into(), tagged(&entry.name).into());
    model.insert("model".into(), tagged(&entry.name).into());
    model.insert("modified_at".into(), modified(app, &entry.facts).into());
    model.insert("size".into(), entry.facts.bytes.into());
    model.insert("digest".into(), entry.facts.digest.clone().into());
    model.insert("details".into(), details(&entry.facts));
    model
}

/// Every model.
pub(super) async fn tags(State(app): Shared) -> Response<Body> {
    let list: Vec<Map<String, Json>> = app
        .models
        .entries()
        .iter()
        .map(|entry| model(&app, entry))
        .collect();
    json_response(200, &json!({ "models": list }))
}

/// Loaded models.
pub(super) async fn ps(State(app): Shared) -> Response<Body> {
    let loaded = app
        .models
        .entries()
        .iter()
        .filter_map(|entry| Some((entry, entry.live()?)));
    let list: Vec<Map<String, Json>> = loaded
        .map(|(entry, live)| {
            let mut model = model(&app, entry);
            model.remove("modified_at");
            model.insert("size".into(), entry.planned_bytes().into());
            model.insert("size_vram".into(), 0.into());
            model.insert("context_length".into(), live.context.into());
            model.insert("expires_at".into(), expires(&app, entry).into());
            model
        })
        .collect();
    json_response(200, &json!({ "models": list }))
}

/// When nobody wants it kept any more; the service's own limit may be later.
fn expires(app: &App, entry: &Entry) -> String {
    let left = entry.kept_until().saturating_sub(app.engine.now());
    let until = SystemTime::now()
        .checked_add(left)
        .unwrap_or(SystemTime::UNIX_EPOCH);
    let since = until
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or(Duration::ZERO);
    if left.is_zero() {
        now()
    } else {
        time(since.as_secs())
    }
}

/// One model.
pub(super) async fn show(State(app): Shared, bytes: Bytes) -> Response<Body> {
    app::answer(Dialect::Ollama, bytes, async |request: ShowRequest| {
        let entry = app
            .models
            .find(request.model.as_deref().or(request.name.as_deref()))?;
        let facts = &entry.facts;
        let family = &facts.architecture;
        let mut info = Map::new();
        info.insert("general.architecture".into(), family.clone().into());
        info.insert("general.file_type".into(), facts.file_type.clone().into());
        info.insert("general.parameter_count".into(), facts.parameters.into());
        info.insert(format!("{family}.context_length"), facts.training_context.into());
        info.insert(format!("{family}.embedding_length"), facts.width.into());
        info.insert(format!("{family}.vocab_size"), facts.vocabulary.into());
        let template = facts.template.clone().unwrap_or_default();
        Ok(json_response(
            200,
            &json!({
                "license": facts.license,
                "modelfile": "",
                "parameters": "",
                "template": template,
                "details": details(facts),
                "model_info": info,
                "capabilities": ["completion", "tools"],
                "modified_at": modified(&app, facts),
            }),
        ))
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_names_and_times_are_ollamas() {
        for (count, text) in [
            (1_100_048_384, "1.1B"),
            (134_515_008, "134.5M"),
            (3_700, "3.7K"),
            (0, "0.0K"),
        ] {
            assert_eq!(parameters(count), text);
        }
        assert_eq!((tagged("a"), tagged("a:q4")), ("a:latest".into(), "a:q4".into()));
        assert_eq!(time(0), "1970-01-01T00:00:00Z");
        assert_eq!(time(u64::MAX), "1970-01-01T00:00:00Z");
    }
}
