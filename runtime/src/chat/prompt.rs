//! Conversations of other programs as prompts: any roles in any order, tools and their calls.

use std::sync::atomic::AtomicBool;

use serde_json::Value as Json;
use siskin_jinja::{Input, Rendered};

use super::control::ControlTokens;
use super::template::{MAX_MESSAGES, Template, TemplateError};
use crate::engine::{Model, Token};

/// A message, as the OpenAI API has it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PromptMessage {
    /// The author: system, user, assistant, tool, or what else the template knows.
    pub role: String,
    /// The text.
    pub content: String,
    /// Other fields that templates read: `tool_calls`, `name`, `tool_call_id`.
    pub fields: Vec<(String, Json)>,
}

/// A template with the control tokens of a model: made once, used for every request.
#[derive(Debug)]
pub struct Prompter {
    template: Template,
    control: ControlTokens,
}

impl Prompter {
    /// Prepares a template for a model.
    pub fn new(model: &Model, template: Template) -> Self {
        let control = ControlTokens::new(model, &template);
        Prompter { template, control }
    }

    /// The template.
    pub fn template(&self) -> &Template {
        &self.template
    }

    /// The text of a conversation. `tools` is the list of functions, as the OpenAI API has it.
    ///
    /// # Errors
    /// The messages are too long, or the template refuses them, fails, or does too much work.
    pub fn text(
        &self,
        messages: &[PromptMessage],
        tools: Option<&Json>,
        add_generation_prompt: bool,
    ) -> Result<String, TemplateError> {
        Ok(self.rendered(messages, tools, add_generation_prompt)?.text)
    }

    /// The tokens of a conversation, up to the point at which the assistant answers. Nothing that a message or a tool
    /// contains becomes a control token. `None` if `stop` became true meanwhile.
    ///
    /// # Errors
    /// As [`Prompter::text`]'s.
    pub fn tokens(
        &self,
        model: &Model,
        messages: &[PromptMessage],
        tools: Option<&Json>,
        stop: Option<&AtomicBool>,
    ) -> Result<Option<Vec<Token>>, TemplateError> {
        let rendered = self.rendered(messages, tools, true)?;
        Ok(self.control.tokenize(model, &rendered, stop))
    }

    fn rendered(
        &self,
        messages: &[PromptMessage],
        tools: Option<&Json>,
        add_generation_prompt: bool,
    ) -> Result<Rendered, TemplateError> {
        let tools_bytes = tools.map_or(0, |tools| tools.to_string().len());
        let bytes = tools_bytes
            + messages
                .iter()
                .map(|message| message.content.len())
                .sum::<usize>();
        if bytes > MAX_MESSAGES {
            return Err(TemplateError::MessagesTooLong(bytes));
        }
        let inputs = messages.iter().map(|message| self.message(message)).collect();
        let tools = tools.map_or(Input::None, |tools| said(tools, 0));
        self.template
            .render_inputs(inputs, tools, add_generation_prompt, bytes, messages.len())
    }

    fn message(&self, message: &PromptMessage) -> Input {
        let mut fields = vec![
            ("role".into(), Input::Text(message.role.clone())),
            ("content".into(), self.template.content(&message.content)),
        ];
        let others = message.fields.iter();
        fields.extend(others.map(|(name, value)| (name.clone(), said(value, 0))));
        Input::Map(fields)
    }
}

/// Depth of JSON in messages and tools; deeper values are left out. Programs check it before.
const DEPTH: usize = 64;

/// JSON as a template sees it; its texts were said.
fn said(json: &Json, depth: usize) -> Input {
    if depth > DEPTH {
        return Input::None;
    }
    match json {
        Json::Null => Input::None,
        Json::Bool(value) => Input::Bool(*value),
        Json::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(value), _) => Input::Int(value),
            (None, value) => Input::Float(value.unwrap_or_default()),
        },
        Json::String(text) => Input::Said(text.clone()),
        Json::Array(items) => Input::List(items.iter().map(|item| said(item, depth + 1)).collect()),
        Json::Object(entries) => {
            let entries = entries.iter();
            Input::Map(
                entries
                    .map(|(name, value)| (name.clone(), said(value, depth + 1)))
                    .collect(),
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::chat::TemplateTokens;
    use crate::engine::{LoadOptions, STORYTELLER};

    const SOURCE: &str = "{%- for tool in tools or [] %}T {{ tool | tojson }}\n{% endfor -%}
        {%- for message in messages %}[{{ message.role }}]{{ message.content }}
        {%- for call in message.tool_calls or [] %}({{ call.function.name }} {{ call.function.arguments | tojson }}){% endfor %}
        {%- if message.tool_call_id %} to {{ message.tool_call_id }}{% endif %}
        {%- endfor %}{% if add_generation_prompt %}[assistant]{% endif %}";

    #[test]
    fn tools_and_calls_reach_the_template() {
        let model = Model::load_bytes(STORYTELLER, &LoadOptions::default()).expect("the embedded model");
        let template =
            Template::new(SOURCE, TemplateTokens::default(), crate::chat::now()).expect("a template");
        let prompter = Prompter::new(&model, template);
        let tools = json!([{"type": "function", "function": {"name": "f", "parameters": {"minimum": 1, "maximum": 2.5}}}]);
        let messages = [
            PromptMessage {
                role: "user".into(),
                content: "hi".into(),
                fields: vec![],
            },
            PromptMessage {
                role: "assistant".into(),
                content: String::new(),
                fields: vec![(
                    "tool_calls".into(),
                    json!([{"id": "a", "function": {"name": "f", "arguments": {"x": 1}}}]),
                )],
            },
            PromptMessage {
                role: "tool".into(),
                content: "42".into(),
                fields: vec![("tool_call_id".into(), json!("a"))],
            },
        ];
        let text = prompter.text(&messages, Some(&tools), true).expect("text");
        assert_eq!(
            text,
            "T {\"type\": \"function\", \"function\": {\"name\": \"f\", \"parameters\": {\"minimum\": 1, \"maximum\": 2.5}}}\n\
             [user]hi[assistant](f {\"x\": 1})[tool]42 to a[assistant]"
        );
        let tokens = prompter
            .tokens(&model, &messages, Some(&tools), None)
            .expect("tokens");
        assert!(tokens.is_some_and(|tokens| tokens.len() > 20));
    }
}
