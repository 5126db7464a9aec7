//! Every path of the dialects: one table for the test of the router and for the document.

use schemars::{Schema, SchemaGenerator};

use crate::api::{anthropic, llama_cpp, ollama, openai, responses};
use crate::dialect::Dialect;

/// Makes the schema of a request.
type Request = fn(&mut SchemaGenerator) -> Schema;

/// A path with a method.
pub(crate) struct Route {
    pub(crate) method: &'static str,
    pub(crate) path: &'static str,
    pub(crate) summary: &'static str,
    pub(crate) request: Option<Request>,
    pub(crate) statuses: &'static [u16],
    /// Fields that an answer has at least.
    pub(crate) fields: &'static [&'static str],
    /// The type of an answer that comes piece by piece, if it may.
    pub(crate) stream: Option<&'static str>,
}

impl Route {
    pub(crate) fn dialect(&self) -> Dialect {
        Dialect::of_path(self.path)
    }

    /// The path with a model's name in it.
    pub(crate) fn example(&self) -> String {
        self.path
            .replace("{id}", "storyteller")
            .replace("{digest}", "sha256:0")
    }
}

/// What every request may meet.
const READS: &[u16] = &[200, 401, 403, 404, 429];
const HEALTH: &[u16] = &[200, 503];
const ASKS: &[u16] = &[200, 400, 401, 403, 404, 408, 413, 415, 429, 500, 503];
const NEVER: &[u16] = &[401, 403, 408, 413, 415, 429, 501];

const EVENTS: Option<&str> = Some("text/event-stream");
const LINES: Option<&str> = Some("application/x-ndjson");

macro_rules! schema {
    ($request:ty) => {
        Some(|generator| generator.subschema_for::<$request>())
    };
}

const fn get(
    path: &'static str,
    summary: &'static str,
    statuses: &'static [u16],
    fields: &'static [&'static str],
) -> Route {
    Route {
        method: "GET",
        path,
        summary,
        request: None,
        statuses,
        fields,
        stream: None,
    }
}

const fn post(
    path: &'static str,
    summary: &'static str,
    request: Option<Request>,
    fields: &'static [&'static str],
    stream: Option<&'static str>,
) -> Route {
    Route {
        method: "POST",
        path,
        summary,
        request,
        statuses: ASKS,
        fields,
        stream,
    }
}

const fn never(method: &'static str, path: &'static str, summary: &'static str) -> Route {
    Route {
        method,
        path,
        summary,
        request: None,
        statuses: NEVER,
        fields: &[],
        stream: None,
    }
}

const CHAT: &[&str] = &["id", "object", "created", "model", "choices", "usage"];

/// The paths.
pub(crate) const ROUTES: &[Route] = &[
    get("/v1/models", "Every model", READS, &["object", "data"]),
    get(
        "/v1/models/{id}",
        "One model",
        READS,
        &["id", "object", "created", "owned_by"],
    ),
    post(
        "/v1/chat/completions",
        "Answer a conversation",
        schema!(openai::chat::ChatRequest),
        CHAT,
        EVENTS,
    ),
    post(
        "/chat/completions",
        "The same",
        schema!(openai::chat::ChatRequest),
        CHAT,
        EVENTS,
    ),
    post(
        "/v1/completions",
        "Continue texts, and score them",
        schema!(openai::completions::CompletionRequest),
        CHAT,
        EVENTS,
    ),
    post(
        "/v1/embeddings",
        "Embed texts",
        schema!(openai::embeddings::EmbeddingsRequest),
        &["object", "data", "model", "usage"],
        None,
    ),
    post(
        "/v1/responses",
        "Answer a conversation, without a memory",
        schema!(responses::request::ResponsesRequest),
        &["id", "object", "created_at", "status", "model", "output"],
        EVENTS,
    ),
    post(
        "/v1/messages",
        "Answer a conversation, in Anthropic's form",
        schema!(anthropic::request::MessagesRequest),
        &["id", "type", "role", "model", "content", "stop_reason", "usage"],
        EVENTS,
    ),
    post(
        "/v1/messages/count_tokens",
        "Count the tokens of a conversation",
        schema!(anthropic::request::CountRequest),
        &["input_tokens"],
        None,
    ),
    get("/api/version", "The version of ollama's API", READS, &["version"]),
    get("/api/tags", "Every model, in ollama's form", READS, &["models"]),
    get("/api/ps", "Loaded models", READS, &["models"]),
    post(
        "/api/show",
        "One model, in ollama's form",
        schema!(ollama::models::ShowRequest),
        &["details", "model_info", "capabilities"],
        None,
    ),
    post(
        "/api/chat",
        "Answer a conversation, in ollama's form",
        schema!(ollama::chat::ChatRequest),
        &["model", "created_at", "message", "done"],
        LINES,
    ),
    post(
        "/api/generate",
        "Answer a prompt, in ollama's form",
        schema!(ollama::generate::GenerateRequest),
        &["model", "created_at", "response", "done"],
        LINES,
    ),
    post(
        "/api/embed",
        "Embed texts, in ollama's form",
        schema!(ollama::embed::EmbedRequest),
        &["model", "embeddings"],
        None,
    ),
    post(
        "/api/embeddings",
        "Embed a text, in ollama's older form",
        schema!(ollama::embed::EmbeddingsRequest),
        &["embedding"],
        None,
    ),
    never("POST", "/api/pull", "Not done here"),
    never("POST", "/api/push", "Not done here"),
    never("POST", "/api/create", "Not done here"),
    never("POST", "/api/copy", "Not done here"),
    never("DELETE", "/api/delete", "Not done here"),
    never("POST", "/api/blobs/{digest}", "Not done here"),
    get("/health", "Whether requests are answered", HEALTH, &["status"]),
    get("/v1/health", "The same", HEALTH, &["status"]),
    get("/readyz", "The same", HEALTH, &["status"]),
    get("/livez", "Whether HTTP works", HEALTH, &["status"]),
    get(
        "/props",
        "The settings in force",
        READS,
        &["default_generation_settings", "total_slots"],
    ),
    get("/slots", "The places at which requests are computed", READS, &[]),
    post(
        "/tokenize",
        "The tokens of a text",
        schema!(llama_cpp::tokens::TokenizeRequest),
        &["tokens"],
        None,
    ),
    post(
        "/detokenize",
        "The text of tokens",
        schema!(llama_cpp::tokens::DetokenizeRequest),
        &["content"],
        None,
    ),
    post(
        "/apply-template",
        "The text of a conversation",
        schema!(llama_cpp::tokens::TemplateRequest),
        &["prompt"],
        None,
    ),
    get(
        "/tokenizer_info",
        "What programs that tokenize need to know",
        READS,
        &["eos_token"],
    ),
    get("/openapi.json", "This document", READS, &["openapi", "paths"]),
];
