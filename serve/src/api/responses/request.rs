//! Requests for responses.

use serde::Deserialize;
use serde_json::{Map, Value as Json, json};
use siskin_grammar::Form;
use siskin_runtime::SamplerConfig;

use crate::answer::Ask;
use crate::api::client::conversation;
use crate::api::dialog::Dialog;
use crate::api::openai::common::{self, Fraction, Sampling};
use crate::api::openai::messages::{self, Content, Message};
use crate::api::refused::{self, Neutral, Refused};
use crate::body::Fields;
use crate::error::ApiError;
use crate::live::Live;

/// A request.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct ResponsesRequest {
    /// The model's name; the first model if there is none.
    model: Option<String>,
    /// What is asked: a text, or the items of a conversation.
    input: Input,
    /// The system prompt.
    instructions: Option<String>,
    /// Tokens to draw at most.
    max_output_tokens: Option<i64>,
    /// Functions that may be called.
    tools: Option<Vec<Json>>,
    /// auto, none, required, or a function.
    tool_choice: Option<Json>,
    /// Whether there may be several calls.
    parallel_tool_calls: Option<bool>,
    /// The form of the text.
    text: Option<TextOptions>,
    /// Softmax temperature.
    temperature: Option<f32>,
    /// Only the most likely tokens that together have this probability.
    top_p: Option<f32>,
    /// Send events as they come.
    stream: Option<bool>,
    /// Nothing is stored.
    #[allow(dead_code, reason = "known: the response says that nothing is stored")]
    store: Option<bool>,
    /// Told again.
    metadata: Option<Json>,
    /// Who asks, or which conversation it is.
    user: Option<String>,
    /// The same.
    prompt_cache_key: Option<String>,
    #[serde(flatten)]
    #[cfg_attr(test, schemars(skip))]
    unknown: Map<String, Json>,
}

/// What is asked.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(untagged)]
pub(crate) enum Input {
    /// What the user says.
    Text(String),
    /// A conversation.
    Items(Vec<Item>),
}

/// An item of a conversation: a message, a call of a function, or its output; others are refused.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Item {
    /// message, function_call or function_call_output; message if it is not said.
    #[serde(rename = "type")]
    ty: Option<String>,
    /// Whose message it is.
    role: Option<String>,
    /// Its text, or parts.
    content: Option<Content>,
    /// The call's id.
    call_id: Option<String>,
    /// The function.
    name: Option<String>,
    /// The call's arguments, as JSON in a text.
    arguments: Option<String>,
    /// What came of the call: a text, or parts.
    output: Option<Content>,
}

/// Options of the text.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct TextOptions {
    /// text, json_object or json_schema.
    format: Option<Json>,
}

impl Fields for ResponsesRequest {
    fn unknown(&self) -> &Map<String, Json> {
        &self.unknown
    }
}

/// Fields that need a memory, or would change what the answer means.
const REFUSED: &[Refused] = &[
    ("background", Neutral::None),
    ("conversation", Neutral::None),
    ("include", Neutral::Text("reasoning.encrypted_content")),
    ("max_tool_calls", Neutral::None),
    ("previous_response_id", Neutral::None),
    ("prompt", Neutral::None),
    ("top_logprobs", Neutral::None),
    ("truncation", Neutral::Text("disabled")),
];

impl ResponsesRequest {
    /// Whether events are sent as they come.
    pub(super) fn stream(&self) -> bool {
        self.stream.unwrap_or(false)
    }

    /// The model.
    pub(super) fn model(&self) -> Option<&str> {
        self.model.as_deref()
    }

    /// Fields that the response tells again.
    pub(super) fn echoed(&self, defaults: &SamplerConfig) -> Map<String, Json> {
        let format = self.text.as_ref().and_then(|text| text.format.clone());
        let fields = json!({
            "background": false,
            "instructions": self.instructions,
            "max_output_tokens": self.max_output_tokens,
            "metadata": self.metadata.clone().unwrap_or_else(|| json!({})),
            "parallel_tool_calls": self.parallel_tool_calls.unwrap_or(true),
            "previous_response_id": null,
            "reasoning": { "effort": null, "summary": null },
            "store": false,
            "temperature": self.temperature.unwrap_or(defaults.temp),
            "text": { "format": format.unwrap_or_else(|| json!({ "type": "text" })) },
            "tool_choice": self.tool_choice.clone().unwrap_or_else(|| "auto".into()),
            "tools": self.tools.clone().unwrap_or_default(),
            "top_p": self.top_p.unwrap_or(defaults.top_p),
            "truncation": "disabled",
            "user": self.user,
        });
        match fields {
            Json::Object(fields) => fields,
            _ => Map::new(),
        }
    }

    /// The ask.
    ///
    /// # Errors
    /// Something of it is refused.
    pub(super) fn ask(self, live: &Live, defaults: &SamplerConfig) -> Result<Ask, ApiError> {
        refused::check(&self.unknown, &[REFUSED, refused::SAMPLERS])?;
        let max_tokens = common::max_tokens(&[("max_output_tokens", self.max_output_tokens)])?;
        let sampling = Sampling {
            temperature: self.temperature.map(Fraction),
            top_p: self.top_p.map(Fraction),
            ..Sampling::default()
        };
        let form = form(self.text)?;
        let mut messages = Vec::new();
        messages.extend(
            self.instructions
                .map(|text| message("system", Content::Text(text))),
        );
        match self.input {
            Input::Text(text) => messages.push(message("user", Content::Text(text))),
            Input::Items(items) => items.into_iter().try_for_each(|item| item.write(&mut messages))?,
        }
        let dialog = Dialog {
            messages,
            tools: self.tools,
            choice: self.tool_choice,
            single_call: self.parallel_tool_calls == Some(false),
            form,
        };
        let ask =
            dialog
                .ask(live, sampling.config(defaults)?)
                .map_err(|error| match error.param.as_deref() {
                    Some("messages") => ApiError {
                        param: Some("input".into()),
                        ..error
                    },
                    _ => error,
                })?;
        Ok(Ask {
            max_tokens,
            conversation: conversation(&[self.prompt_cache_key.as_deref(), self.user.as_deref()]),
            ..ask
        })
    }
}

fn form(text: Option<TextOptions>) -> Result<Option<Form>, ApiError> {
    let format = text.and_then(|text| text.format);
    messages::form(format.as_ref(), None, None).map_err(|error| ApiError {
        param: Some("text".into()),
        ..error
    })
}

fn message(role: &str, content: Content) -> Message {
    Message {
        role: role.into(),
        content: Some(content),
        ..Message::default()
    }
}

impl Item {
    /// Calls that follow each other are of one message.
    fn write(self, messages: &mut Vec<Message>) -> Result<(), ApiError> {
        let wrong = |text: String| Err(ApiError::field("input", text));
        match (self.ty.as_deref().unwrap_or("message"), self.role) {
            ("message", Some(role)) => {
                messages.push(message(
                    &role,
                    self.content.unwrap_or_else(|| Content::Text(String::new())),
                ));
            }
            ("message", None) => return wrong("a message has no role".into()),
            ("function_call", _) => {
                let (Some(id), Some(name)) = (self.call_id, self.name) else {
                    return wrong("a function_call needs call_id, name and arguments".into());
                };
                let function = json!({ "name": name, "arguments": self.arguments.unwrap_or_default() });
                let call = json!({ "id": id, "type": "function", "function": function });
                match messages.last_mut().filter(|last| last.role == "assistant") {
                    Some(last) => last.tool_calls.get_or_insert_default().push(call),
                    None => messages.push(Message {
                        tool_calls: Some(vec![call]),
                        ..message("assistant", Content::Text(String::new()))
                    }),
                }
            }
            ("function_call_output", _) => {
                let Some(id) = self.call_id else {
                    return wrong("a function_call_output needs call_id and output".into());
                };
                messages.push(Message {
                    tool_call_id: Some(id),
                    ..message(
                        "tool",
                        self.output.unwrap_or_else(|| Content::Text(String::new())),
                    )
                });
            }
            // What other models thought is not shown to this one.
            ("reasoning", _) => {}
            (ty, _) => {
                let ty: String = ty.chars().take(40).collect();
                return wrong(format!(
                    "an item has the type {ty:?}; message, function_call and function_call_output are known here"
                ));
            }
        }
        Ok(())
    }
}
