//! Tools that a model may call, and the text of its calls.

mod grammar;
mod head;
mod instructions;
mod parser;
mod style;

use std::collections::HashSet;

use serde_json::Value;

pub use parser::{CallEvent, CallParser};
pub use style::CallStyle;

use crate::error::{ErrorKind, GrammarError};
use crate::form::Form;
use crate::limits;
use crate::schema::{self, Reading};

/// A function that a model may call.
#[derive(Debug, Clone, PartialEq)]
pub struct Tool {
    /// 1 to 64 of `a-z A-Z 0-9 _ -`.
    pub name: String,
    /// What it does, for the model; may be empty.
    pub description: String,
    /// The JSON schema of its arguments, which are an object; objects have only the properties that they name, unless they
    /// say that they may have others. `Null` if it has no arguments.
    pub parameters: Value,
    /// Refuse keywords that JSON Schema does not know. The arguments are valid by the schema either way.
    pub strict: bool,
}

/// Whether an answer is text or calls.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum ToolChoice {
    /// As the model likes.
    #[default]
    Auto,
    /// Text.
    None,
    /// At least one call.
    Required,
    /// A call of this tool.
    Named(String),
}

/// The tools of a request, checked.
#[derive(Debug, Clone)]
pub struct ToolSet {
    tools: Vec<Tool>,
    choice: ToolChoice,
    parallel: bool,
    style: CallStyle,
}

impl ToolSet {
    /// The tools of a request. `parallel` lets one answer have up to [`limits::MAX_CALLS`] calls, but for
    /// [`CallStyle::Bare`].
    ///
    /// # Errors
    /// No tool for a choice that needs one, too many tools, a name that is not allowed, there twice, or chosen but not
    /// there; parameters that cannot be enforced. The error is at the tool's name.
    pub fn new(
        tools: Vec<Tool>,
        choice: ToolChoice,
        parallel: bool,
        style: CallStyle,
    ) -> Result<ToolSet, GrammarError> {
        let error = |kind, at: &str, message: String| Err(GrammarError::new(kind, at, message));
        if tools.len() > limits::MAX_TOOLS {
            let message = format!("{} tools are more than {}", tools.len(), limits::MAX_TOOLS);
            return error(ErrorKind::Limit, "", message);
        }
        let mut names = HashSet::new();
        let mut bytes = 0;
        for tool in &tools {
            if !is_name(&tool.name) {
                let message = "the name of a tool is 1 to 64 of a-z, A-Z, 0-9, _ and -".to_owned();
                return error(
                    ErrorKind::Syntax,
                    &tool.name.chars().take(64).collect::<String>(),
                    message,
                );
            }
            if !names.insert(tool.name.as_str()) {
                return error(
                    ErrorKind::Syntax,
                    &tool.name,
                    "two tools have this name".to_owned(),
                );
            }
            bytes += prepared(tool)?.to_string().len();
            if bytes > limits::MAX_TOOL_BYTES {
                let message = format!(
                    "the parameters of all tools have more than {} bytes",
                    limits::MAX_TOOL_BYTES
                );
                return error(ErrorKind::Limit, &tool.name, message);
            }
        }
        match &choice {
            ToolChoice::Named(name) if !names.contains(name.as_str()) => {
                let at = name.chars().take(64).collect::<String>();
                error(
                    ErrorKind::Syntax,
                    &at,
                    "no tool has the name that is chosen".to_owned(),
                )
            }
            ToolChoice::Required if tools.is_empty() => error(
                ErrorKind::Syntax,
                "",
                "a call is required and there is no tool".to_owned(),
            ),
            // Conversations with several calls in an answer cannot be rendered again in the other style.
            _ => Ok(ToolSet {
                tools,
                choice,
                parallel: parallel && style != CallStyle::Bare,
                style,
            }),
        }
    }

    /// The tools in their order.
    pub fn tools(&self) -> &[Tool] {
        &self.tools
    }

    /// Whether the answer is text or calls.
    pub fn choice(&self) -> &ToolChoice {
        &self.choice
    }

    /// How a call is written.
    pub fn style(&self) -> CallStyle {
        self.style
    }

    /// The form of the answer; `None` if it is any text: there is no tool, or none may be called.
    pub fn form(&self) -> Option<Form> {
        self.may_call().then(|| Form::Tools(Box::new(self.clone())))
    }

    /// The reader of the answer's text; `None` as for [`ToolSet::form`].
    pub fn parser(&self) -> Option<CallParser> {
        self.may_call().then(|| CallParser::new(self.style))
    }

    /// What a model must be told if its template does not know tools: what the tools are and how one is called. Empty if
    /// none may be called.
    pub fn instructions(&self) -> String {
        if self.may_call() {
            instructions::write(self)
        } else {
            String::new()
        }
    }

    fn may_call(&self) -> bool {
        !self.tools.is_empty() && self.choice != ToolChoice::None
    }

    /// The tools that may be called.
    fn callable(&self) -> impl Iterator<Item = &Tool> {
        let only = match &self.choice {
            ToolChoice::Named(name) => Some(name.as_str()),
            _ => None,
        };
        self.tools
            .iter()
            .filter(move |tool| only.is_none_or(|name| name == tool.name))
    }

    pub(crate) fn to_lark(&self) -> Result<String, GrammarError> {
        grammar::write(self)
    }
}

fn is_name(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
}

/// The schema of a tool's arguments as llguidance gets it.
fn prepared(tool: &Tool) -> Result<Value, GrammarError> {
    let none = serde_json::json!({"type": "object", "properties": {}});
    let parameters = if tool.parameters.is_null() {
        &none
    } else {
        &tool.parameters
    };
    schema::prepare(parameters, Reading::Parameters { strict: tool.strict })
        .map_err(|error| error.within(&format!("tool {}", tool.name)))
}
