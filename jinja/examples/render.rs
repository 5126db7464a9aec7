//! Renders templates for comparison with jinja2: reads JSON lines `{"template": …, "messages": …, …}` and writes one line
//! `{"text": …}` or `{"error": …}` for each.

use std::io::BufRead;

use serde_json::{Value, json};
use siskin_jinja::{Input, Template};

fn input(value: &Value, said: bool) -> Input {
    match value {
        Value::Null => Input::None,
        Value::Bool(value) => Input::Bool(*value),
        Value::Number(value) => Input::Text(value.to_string()),
        Value::String(text) if said => Input::Said(text.clone()),
        Value::String(text) => Input::Text(text.clone()),
        Value::Array(items) => Input::List(items.iter().map(|item| input(item, said)).collect()),
        Value::Object(entries) => {
            let entry = |(key, value): (&String, &Value)| (key.clone(), input(value, key == "content"));
            Input::Map(entries.iter().map(entry).collect())
        }
    }
}

fn main() {
    for line in std::io::stdin().lock().lines() {
        let case: Value = serde_json::from_str(&line.expect("a line")).expect("JSON");
        let source = case["template"].as_str().expect("a template");
        let variables = case["variables"].as_object().expect("variables");
        let variables: Vec<(&str, Input)> = variables
            .iter()
            .map(|(name, value)| (name.as_str(), input(value, false)))
            .collect();
        let clock = |_: &str| Ok("26 Jul 2024".to_owned());
        let out = match Template::parse(source) {
            Err(error) => json!({"error": format!("syntax: {error}")}),
            Ok(template) => match template.render(&variables, &clock, 2_000_000) {
                Ok(rendered) => json!({"text": rendered.text}),
                Err(error) => json!({"error": error.to_string()}),
            },
        };
        println!("{out}");
    }
}
