//! What a model is told about tools if its template does not do so.

use serde_json::{Value, json};

use super::{ToolChoice, ToolSet};

/// The text for the system message.
pub(super) fn write(set: &ToolSet) -> String {
    let syntax = set.style.syntax();
    let mut text = String::from(match set.choice {
        ToolChoice::Required | ToolChoice::Named(_) => "You answer by calling a tool.",
        ToolChoice::Auto | ToolChoice::None => {
            "You can call tools. Call one only if you need it; otherwise answer in words."
        }
    });
    text.push_str(" A call is written like this:\n");
    let newline = if syntax.open.is_empty() { "" } else { "\n" };
    let (open, close, arguments) = (syntax.open, syntax.close, syntax.arguments);
    text.push_str(&format!(
        "{open}{newline}{{\"name\": \"the tool's name\", \"{arguments}\": {{\"parameter\": \"value\"}}}}{newline}{close}\n"
    ));
    if set.parallel {
        text.push_str("You can write several calls, one after another.\n");
    }
    text.push_str("These are the tools:\n");
    for tool in set.callable() {
        let parameters = if tool.parameters.is_null() {
            &json!({})
        } else {
            &tool.parameters
        };
        let line = json!({"name": tool.name, "description": tool.description, "parameters": parameters});
        text.push_str(&one_line(&line));
        text.push('\n');
    }
    text
}

fn one_line(value: &Value) -> String {
    value.to_string()
}
