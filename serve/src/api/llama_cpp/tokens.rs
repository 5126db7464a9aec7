//! Texts into tokens and back, with llama-server's names and vLLM's, which programs that score texts use.

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::Response;
use serde::Deserialize;
use serde_json::{Map, Value as Json, json};
use siskin_runtime::{Model, Token, Tokenize};

use crate::api::dialog::Dialog;
use crate::api::openai::messages::Message;
use crate::api::openai::prompts;
use crate::app::{self, Shared};
use crate::body::Fields;
use crate::dialect::{Dialect, json_response};
use crate::error::ApiError;
use crate::models::blocking;

/// A text to tokenize.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct TokenizeRequest {
    /// The model's name; the first model if there is none.
    model: Option<String>,
    /// The text, as llama-server names it.
    content: Option<String>,
    /// The text, as vLLM names it.
    prompt: Option<String>,
    /// Add the tokens that the model wants around a text: not of a content, but of a prompt, if neither is said.
    add_special: Option<bool>,
    /// The same.
    add_special_tokens: Option<bool>,
    /// Recognise special tokens that are written out.
    parse_special: Option<bool>,
    /// Tell each token's text too.
    with_pieces: Option<bool>,
    #[serde(flatten)]
    #[cfg_attr(test, schemars(skip))]
    unknown: Map<String, Json>,
}

/// Tokens to make a text of.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct DetokenizeRequest {
    /// The model's name; the first model if there is none.
    model: Option<String>,
    /// The tokens.
    tokens: Vec<i64>,
    #[serde(flatten)]
    #[cfg_attr(test, schemars(skip))]
    unknown: Map<String, Json>,
}

/// A conversation to write as a prompt.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct TemplateRequest {
    /// The model's name; the first model if there is none.
    model: Option<String>,
    /// The conversation.
    messages: Vec<Message>,
    /// Functions that may be called.
    tools: Option<Vec<Json>>,
    /// auto, none, required, or a function.
    tool_choice: Option<Json>,
    #[serde(flatten)]
    #[cfg_attr(test, schemars(skip))]
    unknown: Map<String, Json>,
}

macro_rules! fields {
    ($($request:ty),*) => {$(
        impl Fields for $request {
            fn unknown(&self) -> &Map<String, Json> {
                &self.unknown
            }
        }
    )*};
}
fields!(TokenizeRequest, DetokenizeRequest, TemplateRequest);

/// The tokens of a text.
pub(super) async fn tokenize(State(app): Shared, bytes: Bytes) -> Response<Body> {
    app::answer(Dialect::OpenAi, bytes, async |request: TokenizeRequest| {
        let (text, special) = match (request.content, request.prompt) {
            (Some(content), None) => (content, false),
            (None, Some(prompt)) => (prompt, true),
            _ => {
                return Err(ApiError::field(
                    "content",
                    "give a text: either content or prompt",
                ));
            }
        };
        let options = Tokenize {
            add_special: request
                .add_special
                .or(request.add_special_tokens)
                .unwrap_or(special),
            parse_special: request.parse_special.unwrap_or(true),
        };
        let lease = app.models.lease(request.model.as_deref()).await?;
        let pieces = request.with_pieces.unwrap_or(false);
        let body = blocking(move || {
            let model = &lease.live.model;
            let tokens = model.tokenize(&text, options);
            let list: Vec<Json> = tokens
                .iter()
                .map(|token| match pieces {
                    true => json!({ "id": token.0, "piece": piece(model, *token) }),
                    false => token.0.into(),
                })
                .collect();
            json!({ "tokens": list, "count": tokens.len(), "max_model_len": lease.live.context })
        });
        Ok(json_response(200, &body.await?))
    })
    .await
}

/// A token's text, or its bytes if these are no whole characters.
fn piece(model: &Model, token: Token) -> Json {
    String::from_utf8(model.piece(token, true)).map_or_else(|error| error.into_bytes().into(), Json::from)
}

/// The text of tokens.
pub(super) async fn detokenize(State(app): Shared, bytes: Bytes) -> Response<Body> {
    app::answer(Dialect::OpenAi, bytes, async |request: DetokenizeRequest| {
        let lease = app.models.lease(request.model.as_deref()).await?;
        let text = blocking(move || {
            let tokens = prompts::known(&lease.live, "tokens", &request.tokens)?;
            let bytes: Vec<u8> = tokens
                .iter()
                .flat_map(|token| lease.live.model.piece(*token, true))
                .collect();
            Ok::<_, ApiError>(String::from_utf8_lossy(&bytes).into_owned())
        });
        let text = text.await??;
        Ok(json_response(200, &json!({ "content": text, "prompt": text })))
    })
    .await
}

/// The text of a conversation.
pub(super) async fn apply_template(State(app): Shared, bytes: Bytes) -> Response<Body> {
    app::answer(Dialect::OpenAi, bytes, async |request: TemplateRequest| {
        let lease = app.models.lease(request.model.as_deref()).await?;
        let dialog = Dialog {
            messages: request.messages,
            tools: request.tools,
            choice: request.tool_choice,
            ..Dialog::default()
        };
        let text = blocking(move || dialog.text(&lease.live)).await??;
        Ok(json_response(200, &json!({ "prompt": text })))
    })
    .await
}

/// What programs that tokenize by this service need to know.
pub(super) async fn tokenizer_info(State(app): Shared) -> Response<Body> {
    let lease = match app.models.lease(None).await {
        Ok(lease) => lease,
        Err(error) => return Dialect::OpenAi.refuse(&error),
    };
    let live = &lease.live;
    let texts = live.special_texts();
    json_response(
        200,
        &json!({
            "tokenizer_class": "siskin",
            "bos_token": texts.bos,
            "eos_token": texts.eos,
            "pad_token": texts.pad,
            "add_bos_token": live.model.bos().is_some(),
            "chat_template": live.template(),
            "model_max_length": live.context,
            "n_ctx_train": live.facts.training_context,
            "vocab_size": live.model.vocabulary_len(),
        }),
    )
}
