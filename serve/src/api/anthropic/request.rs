//! Requests for messages.

use serde::Deserialize;
use serde_json::{Map, Value as Json, json};
use siskin_runtime::SamplerConfig;

use super::turns::{Blocks, Turn, message};
use crate::answer::Ask;
use crate::api::client::conversation;
use crate::api::dialog::Dialog;
use crate::api::openai::common::{self, Fraction, Sampling, Stop};
use crate::api::refused::{self, Neutral, Refused};
use crate::body::Fields;
use crate::error::ApiError;
use crate::live::Live;

/// A request for an answer.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct MessagesRequest {
    #[serde(flatten)]
    said: CountRequest,
    /// Tokens to draw at most.
    max_tokens: i64,
    /// Texts that end an answer.
    stop_sequences: Option<Vec<String>>,
    /// Send events as they come.
    stream: Option<bool>,
    /// Softmax temperature.
    temperature: Option<f32>,
    /// Only the most likely tokens that together have this probability.
    top_p: Option<f32>,
    /// Only so many of the most likely tokens.
    top_k: Option<i32>,
    /// Who asks.
    metadata: Option<Metadata>,
}

/// A request for the number of its tokens.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct CountRequest {
    /// The model's name.
    model: String,
    /// The conversation.
    messages: Vec<Turn>,
    /// The system prompt: a text, or blocks of text.
    system: Option<Blocks>,
    /// Tools that may be called.
    tools: Option<Vec<ToolSpec>>,
    /// auto, any, tool or none.
    tool_choice: Option<Choice>,
    #[serde(flatten)]
    #[cfg_attr(test, schemars(skip))]
    unknown: Map<String, Json>,
}

/// Who asks.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Metadata {
    /// The conversation: the same one finds its prefix again.
    user_id: Option<String>,
}

/// A tool.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct ToolSpec {
    /// custom; tools that Anthropic's servers run are refused.
    #[serde(rename = "type")]
    ty: Option<String>,
    /// Its name.
    name: String,
    /// What it does.
    description: Option<String>,
    /// The schema of its arguments.
    input_schema: Option<Json>,
}

/// Which tool is to be called.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Choice {
    /// auto, any, tool or none.
    #[serde(rename = "type")]
    ty: String,
    /// The tool.
    name: Option<String>,
    /// Whether there may be only one call.
    disable_parallel_tool_use: Option<bool>,
}

impl Fields for MessagesRequest {
    fn unknown(&self) -> &Map<String, Json> {
        &self.said.unknown
    }
}

impl Fields for CountRequest {
    fn unknown(&self) -> &Map<String, Json> {
        &self.unknown
    }
}

/// Fields that would change what the answer means, and are not known here.
const REFUSED: &[Refused] = &[
    ("container", Neutral::None),
    ("mcp_servers", Neutral::None),
    ("output_format", Neutral::None),
    ("thinking", Neutral::Type("disabled")),
];

impl MessagesRequest {
    /// Whether events are sent as they come.
    pub(super) fn stream(&self) -> bool {
        self.stream.unwrap_or(false)
    }

    /// The model.
    pub(super) fn model(&self) -> &str {
        &self.said.model
    }

    /// The ask.
    ///
    /// # Errors
    /// Something of it is refused.
    pub(super) fn ask(self, live: &Live, defaults: &SamplerConfig) -> Result<Ask, ApiError> {
        let sampling = Sampling {
            temperature: self.temperature.map(Fraction),
            top_p: self.top_p.map(Fraction),
            top_k: self.top_k,
            ..Sampling::default()
        };
        if self.max_tokens < 1 {
            let message = format!("max_tokens is {}; it must be 1 or more", self.max_tokens);
            return Err(ApiError::field("max_tokens", message));
        }
        let stop = common::stops(self.stop_sequences.map(Stop::Many)).map_err(|error| ApiError {
            param: Some("stop_sequences".into()),
            ..error
        })?;
        let user = self.metadata.and_then(|metadata| metadata.user_id);
        let ask = self.said.dialog()?.ask(live, sampling.config(defaults)?)?;
        Ok(Ask {
            max_tokens: Some(u32::try_from(self.max_tokens).unwrap_or(u32::MAX)),
            stop: [stop, ask.stop].concat(),
            conversation: conversation(&[user.as_deref()]),
            ..ask
        })
    }
}

impl CountRequest {
    /// The model.
    pub(super) fn model(&self) -> &str {
        &self.model
    }

    /// The tokens of its prompt.
    ///
    /// # Errors
    /// Something of it is refused.
    pub(super) fn count(self, live: &Live, defaults: &SamplerConfig) -> Result<usize, ApiError> {
        Ok(self.dialog()?.ask(live, *defaults)?.prompt.len())
    }

    fn dialog(self) -> Result<Dialog, ApiError> {
        refused::check(&self.unknown, &[REFUSED])?;
        let mut messages = Vec::new();
        if let Some(system) = self.system {
            messages.push(message("system", system.text("system")?));
        }
        for turn in self.messages {
            turn.write(&mut messages)?;
        }
        let tools = self.tools.map(|tools| {
            tools
                .into_iter()
                .map(ToolSpec::openai)
                .collect::<Result<Vec<_>, _>>()
        });
        let single_call = self
            .tool_choice
            .as_ref()
            .and_then(|choice| choice.disable_parallel_tool_use);
        Ok(Dialog {
            messages,
            tools: tools.transpose()?,
            choice: self.tool_choice.map(Choice::openai).transpose()?,
            single_call: single_call.unwrap_or(false),
            form: None,
        })
    }
}

impl ToolSpec {
    fn openai(self) -> Result<Json, ApiError> {
        match self.ty.as_deref() {
            None | Some("custom") => {}
            Some(ty) => {
                let ty: String = ty.chars().take(40).collect();
                return Err(ApiError::field(
                    "tools",
                    format!("a tool has the type {ty:?}; only custom tools are known here"),
                ));
            }
        }
        Ok(json!({ "type": "function", "function": {
            "name": self.name,
            "description": self.description.unwrap_or_default(),
            "parameters": self.input_schema,
        } }))
    }
}

impl Choice {
    fn openai(self) -> Result<Json, ApiError> {
        match (self.ty.as_str(), self.name) {
            ("auto" | "none", _) => Ok(self.ty.into()),
            ("any", _) => Ok("required".into()),
            ("tool", Some(name)) => Ok(json!({ "type": "function", "function": { "name": name } })),
            _ => Err(ApiError::field(
                "tool_choice",
                "tool_choice.type must be auto, any, none, or tool with a name",
            )),
        }
    }
}
