//! Turns of a conversation, as Anthropic writes them.

use serde::Deserialize;
use serde_json::{Value as Json, json};

use crate::api::openai::messages::{Content, Message};
use crate::error::ApiError;

/// A turn of a conversation.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Turn {
    /// user or assistant.
    role: Role,
    /// A text, or blocks.
    content: Blocks,
}

/// Whose turn it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub(crate) enum Role {
    /// The person's.
    User,
    /// The model's.
    Assistant,
}

/// A text, or blocks.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(untagged)]
pub(crate) enum Blocks {
    /// As it is.
    Text(String),
    /// In blocks.
    Many(Vec<Block>),
}

/// A block: of the types text, tool_use and tool_result; others are refused.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Block {
    /// text, tool_use or tool_result.
    #[serde(rename = "type")]
    ty: String,
    /// The text of a text.
    text: Option<String>,
    /// The id of a call.
    id: Option<String>,
    /// The tool of a call.
    name: Option<String>,
    /// The arguments of a call.
    input: Option<Json>,
    /// The call that a result is of.
    tool_use_id: Option<String>,
    /// A result: a text, or blocks of text.
    content: Option<Box<Blocks>>,
}

pub(super) fn message(role: &str, text: String) -> Message {
    Message {
        role: role.into(),
        content: Some(Content::Text(text)),
        ..Message::default()
    }
}

impl Blocks {
    /// The text of blocks of text.
    pub(super) fn text(self, field: &str) -> Result<String, ApiError> {
        let blocks = match self {
            Blocks::Text(text) => return Ok(text),
            Blocks::Many(blocks) => blocks,
        };
        let texts = blocks
            .into_iter()
            .map(|block| match (block.ty.as_str(), block.text) {
                ("text", Some(text)) => Ok(text),
                (ty, _) => Err(unknown_block(field, ty)),
            });
        Ok(texts.collect::<Result<Vec<_>, _>>()?.join("\n"))
    }
}

fn unknown_block(field: &str, ty: &str) -> ApiError {
    let ty: String = ty.chars().take(40).collect();
    ApiError::field(
        field,
        format!("a block has the type {ty:?}; this model reads text and results of tools only"),
    )
}

impl Turn {
    /// Results of tools are messages of their own; they come before what the person says.
    pub(super) fn write(self, messages: &mut Vec<Message>) -> Result<(), ApiError> {
        let blocks = match self.content {
            Blocks::Text(text) => {
                messages.push(message(
                    if self.role == Role::User {
                        "user"
                    } else {
                        "assistant"
                    },
                    text,
                ));
                return Ok(());
            }
            Blocks::Many(blocks) => blocks,
        };
        let (mut texts, mut calls) = (Vec::new(), Vec::new());
        let mut results = false;
        for block in blocks {
            match (self.role, block.ty.as_str()) {
                (_, "text") => texts.push(block.text.unwrap_or_default()),
                // What other models thought is not shown to this one.
                (Role::Assistant, "thinking" | "redacted_thinking") => {}
                (Role::Assistant, "tool_use") => calls.push(json!({
                    "id": block.id,
                    "type": "function",
                    "function": { "name": block.name, "arguments": block.input.unwrap_or_else(|| json!({})) },
                })),
                (Role::User, "tool_result") => {
                    results = true;
                    let text = block
                        .content
                        .map_or(Ok(String::new()), |content| content.text("messages"))?;
                    messages.push(Message {
                        tool_call_id: block.tool_use_id,
                        ..message("tool", text)
                    });
                }
                (_, ty) => return Err(unknown_block("messages", ty)),
            }
        }
        let text = texts.join("\n");
        match self.role {
            Role::User if results && text.is_empty() => {}
            Role::User => messages.push(message("user", text)),
            Role::Assistant => messages.push(Message {
                tool_calls: Some(calls),
                ..message("assistant", text)
            }),
        }
        Ok(())
    }
}
