//! Renders what jinja2 rendered: `data/make.py` has the templates, and how jinja2 is set up.

use serde_json::Value;
use siskin_jinja::{Input, Template};

fn input(value: &Value) -> Input {
    match value {
        Value::Null => Input::None,
        Value::Bool(value) => Input::Bool(*value),
        Value::String(text) => Input::Text(text.clone()),
        Value::Array(items) => Input::List(items.iter().map(input).collect()),
        Value::Object(entries) => Input::Map(
            entries
                .iter()
                .map(|(key, value)| (key.clone(), input(value)))
                .collect(),
        ),
        Value::Number(_) => unreachable!("the variables have no numbers"),
    }
}

#[test]
fn every_template_gives_what_jinja2_gives() {
    let goldens: Value = serde_json::from_str(include_str!("data/jinja2.json")).expect("JSON");
    let variables = goldens["variables"].as_object().expect("variables");
    let variables: Vec<(&str, Input)> = variables
        .iter()
        .map(|(name, value)| (name.as_str(), input(value)))
        .collect();
    let clock = |_: &str| Ok("26 Jul 2024".to_owned());
    let cases = goldens["cases"].as_array().expect("cases");
    assert!(cases.len() > 400);
    let mut differ = Vec::new();
    for case in cases {
        let (source, want) = (case[0].as_str().expect("a template"), case[1].as_str());
        let got = Template::parse(source)
            .map_err(|error| error.to_string())
            .and_then(|template| {
                let rendered = template.render(&variables, &clock, 100_000);
                rendered.map_err(|error| error.to_string())
            });
        if got.as_ref().ok().map(|rendered| rendered.text.as_str()) != want {
            differ.push(format!("{source}\n  jinja2: {want:?}\n  siskin: {got:?}"));
        }
    }
    assert!(differ.is_empty(), "{}", differ.join("\n"));
}
