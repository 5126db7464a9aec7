//! Messages, tools and forms of answers, as OpenAI writes them.

use serde::Deserialize;
use serde_json::{Map, Value as Json, json};
use siskin_grammar::{Form, Tool, ToolChoice, ToolSet};
use siskin_runtime::chat::PromptMessage;

use crate::error::ApiError;
use crate::live::Live;

/// Messages of a request at most.
const MOST_MESSAGES: usize = 512;
/// Bytes of a grammar or schema at most.
const MOST_FORM: usize = 64 << 10;

/// A message.
#[derive(Debug, Clone, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Message {
    /// system, developer, user, assistant or tool.
    pub(crate) role: String,
    /// The text, or parts of the type text.
    #[serde(default)]
    pub(crate) content: Option<Content>,
    /// Calls that the assistant made.
    #[serde(default)]
    pub(crate) tool_calls: Option<Vec<Json>>,
    /// The call that a message of the role tool answers.
    #[serde(default)]
    pub(crate) tool_call_id: Option<String>,
    /// A name.
    #[serde(default)]
    pub(crate) name: Option<String>,
}

/// A message's text.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(untagged)]
pub(crate) enum Content {
    /// As it is.
    Text(String),
    /// In parts.
    Parts(Vec<ContentPart>),
}

/// A part of a message's text.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct ContentPart {
    /// text; what is not text is refused.
    #[serde(rename = "type")]
    pub(crate) ty: String,
    /// The text.
    #[serde(default)]
    pub(crate) text: Option<String>,
}

impl Content {
    /// The text.
    ///
    /// # Errors
    /// A part is not text.
    pub(crate) fn text(self) -> Result<String, ApiError> {
        match self {
            Content::Text(text) => Ok(text),
            Content::Parts(parts) => parts
                .into_iter()
                .map(|part| match (part.ty.as_str(), part.text) {
                    ("text" | "input_text" | "output_text", Some(text)) => Ok(text),
                    (ty, _) => Err(ApiError::field(
                        "messages",
                        format!("a part of a message has the type {ty:?}; this model reads text only"),
                    )),
                })
                .collect::<Result<Vec<_>, _>>()
                .map(|texts| texts.join("\n")),
        }
    }
}

/// Messages for a template.
///
/// # Errors
/// There are none or too many, or one is not text or of an unknown role.
pub(crate) fn prompt(messages: Vec<Message>) -> Result<Vec<PromptMessage>, ApiError> {
    if messages.is_empty() || messages.len() > MOST_MESSAGES {
        let count = messages.len();
        return Err(ApiError::field(
            "messages",
            format!("there are {count} messages; there must be 1 to {MOST_MESSAGES}"),
        ));
    }
    messages.into_iter().map(one).collect()
}

fn one(message: Message) -> Result<PromptMessage, ApiError> {
    let role = match message.role.as_str() {
        "developer" => "system",
        role @ ("system" | "user" | "assistant" | "tool") => role,
        "function" => "tool",
        role => {
            let role: String = role.chars().take(40).collect();
            return Err(ApiError::field(
                "messages",
                format!("the role {role:?} is not system, developer, user, assistant or tool"),
            ));
        }
    };
    let mut fields = Vec::new();
    if let Some(calls) = message.tool_calls.filter(|calls| !calls.is_empty()) {
        fields.push((
            "tool_calls".into(),
            Json::Array(calls.into_iter().map(call).collect()),
        ));
    }
    fields.extend(
        message
            .tool_call_id
            .map(|id| ("tool_call_id".into(), Json::String(id))),
    );
    fields.extend(message.name.map(|name| ("name".into(), Json::String(name))));
    Ok(PromptMessage {
        role: role.into(),
        content: message.content.map_or(Ok(String::new()), Content::text)?,
        fields,
    })
}

/// Templates want arguments as an object; the API has them as text.
fn call(mut call: Json) -> Json {
    if let Some(arguments) = call.pointer_mut("/function/arguments")
        && let Some(parsed) = arguments
            .as_str()
            .and_then(|text| serde_json::from_str(text).ok())
    {
        *arguments = parsed;
    }
    call
}

/// The tools of a request, and what the template is given of them.
///
/// # Errors
/// A tool is not a function, or its schema cannot be enforced.
pub(crate) fn tools(
    live: &Live,
    tools: Option<&[Json]>,
    choice: Option<&Json>,
    parallel: bool,
) -> Result<Option<ToolSet>, ApiError> {
    let choice = tool_choice(choice)?;
    let Some(tools) = tools.filter(|tools| !tools.is_empty()) else {
        return match choice {
            ToolChoice::Required | ToolChoice::Named(_) => Err(ApiError::field(
                "tool_choice",
                "a tool is required, and there are no tools",
            )),
            ToolChoice::Auto | ToolChoice::None => Ok(None),
        };
    };
    let tools = tools.iter().map(tool).collect::<Result<Vec<_>, _>>()?;
    // Who names a function wants one call of it.
    let parallel = parallel && !matches!(choice, ToolChoice::Named(_));
    let set = ToolSet::new(tools, choice, parallel, live.call_style());
    set.map(Some).map_err(|error| ApiError {
        param: Some("tools".into()),
        ..error.into()
    })
}

fn tool(tool: &Json) -> Result<Tool, ApiError> {
    let wrong = |what: &str| ApiError::field("tools", what.to_owned());
    // The responses API has a function's fields beside its type.
    let function = tool.get("function").unwrap_or(tool);
    if tool.get("type").is_some_and(|ty| ty != "function") {
        return Err(wrong(
            "a tool is not of the type function; no other type is known here",
        ));
    }
    let name = function.get("name").and_then(Json::as_str);
    let name = name.ok_or_else(|| wrong("a tool has no function.name"))?;
    let text = |key: &str| {
        function
            .get(key)
            .and_then(Json::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    Ok(Tool {
        name: name.to_owned(),
        description: text("description"),
        parameters: function.get("parameters").cloned().unwrap_or(Json::Null),
        strict: function.get("strict").and_then(Json::as_bool).unwrap_or(false),
    })
}

fn tool_choice(choice: Option<&Json>) -> Result<ToolChoice, ApiError> {
    let name = |choice: &Json| {
        let name = choice.pointer("/function/name").or_else(|| choice.get("name"));
        name.and_then(Json::as_str).map(str::to_owned)
    };
    match choice {
        None | Some(Json::Null) => Ok(ToolChoice::Auto),
        Some(Json::String(word)) => match word.as_str() {
            "auto" => Ok(ToolChoice::Auto),
            "none" => Ok(ToolChoice::None),
            "required" | "any" => Ok(ToolChoice::Required),
            _ => Err(ApiError::field(
                "tool_choice",
                "it must be auto, none, required, or a function's name",
            )),
        },
        Some(choice) => name(choice)
            .map(ToolChoice::Named)
            .ok_or_else(|| ApiError::field("tool_choice", "it has no function.name")),
    }
}

/// The messages and tools that the template is given: a template that knows no tools has them explained in the system
/// prompt.
pub(crate) fn with_tools(messages: &mut Vec<PromptMessage>, tools: &ToolSet) -> Option<Json> {
    if *tools.choice() == ToolChoice::None {
        return None;
    }
    if tools.style().is_in_template() {
        let list = tools.tools().iter().map(|tool| {
            let mut function = Map::new();
            function.insert("name".into(), tool.name.clone().into());
            function.insert("description".into(), tool.description.clone().into());
            let parameters = match &tool.parameters {
                Json::Null => json!({"type": "object", "properties": {}}),
                parameters => parameters.clone(),
            };
            function.insert("parameters".into(), parameters);
            json!({ "type": "function", "function": function })
        });
        return Some(Json::Array(list.collect()));
    }
    let instructions = tools.instructions();
    match messages.first_mut().filter(|first| first.role == "system") {
        Some(system) => system.content = format!("{}\n\n{instructions}", system.content),
        None => messages.insert(
            0,
            PromptMessage {
                role: "system".into(),
                content: instructions,
                fields: Vec::new(),
            },
        ),
    }
    None
}

/// The form that an answer must have.
///
/// # Errors
/// It is not one that is known, there are two, or it is too long.
pub(crate) fn form(
    response_format: Option<&Json>,
    grammar: Option<&str>,
    schema: Option<&Json>,
) -> Result<Option<Form>, ApiError> {
    let mut forms = Vec::new();
    if let Some(grammar) = grammar.filter(|grammar| !grammar.is_empty()) {
        if grammar.len() > MOST_FORM {
            return Err(ApiError::field(
                "grammar",
                format!("the grammar is longer than {MOST_FORM} bytes"),
            ));
        }
        forms.push(Form::Gbnf(grammar.to_owned()));
    }
    if let Some(schema) = schema.filter(|schema| !schema.is_null()) {
        forms.push(schema_form(schema, false)?);
    }
    if let Some(format) = response_format.filter(|format| !format.is_null()) {
        match format.get("type").and_then(Json::as_str) {
            Some("text") => {}
            // llama-server takes a schema here too.
            Some("json_object") => forms.push(match format.get("schema") {
                Some(schema) => schema_form(schema, false)?,
                None => Form::JsonObject,
            }),
            Some("json_schema") => {
                let outer = format.get("json_schema").unwrap_or(format);
                let schema = outer.get("schema").ok_or_else(|| {
                    ApiError::field("response_format", "response_format.json_schema has no schema")
                })?;
                let strict = outer.get("strict").and_then(Json::as_bool).unwrap_or(false);
                forms.push(schema_form(schema, strict)?);
            }
            _ => {
                return Err(ApiError::field(
                    "response_format",
                    "response_format.type must be text, json_object or json_schema",
                ));
            }
        }
    }
    match forms.len() {
        0 | 1 => Ok(forms.pop()),
        _ => Err(ApiError::field(
            "response_format",
            "give one form: response_format, json_schema or grammar",
        )),
    }
}

fn schema_form(schema: &Json, strict: bool) -> Result<Form, ApiError> {
    if schema.to_string().len() > MOST_FORM {
        return Err(ApiError::field(
            "response_format",
            format!("the schema is longer than {MOST_FORM} bytes"),
        ));
    }
    Ok(Form::JsonSchema {
        schema: schema.clone(),
        strict,
    })
}
