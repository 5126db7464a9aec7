//! Texts written by chance under the mask have the form: judged by a second opinion.

use serde_json::{Value, json};
use siskin_grammar::{CallEvent, CallParser, CallStyle, Form, Tool, ToolChoice, ToolSet};

use crate::bytes::{compile, random_text};

/// Texts a form.
const TEXTS: u64 = 12;
/// Tokens a text; one that is not finished by then is left.
const LONGEST: usize = 160;

/// Texts by chance; fails if most do not end.
fn texts(form: &Form) -> Vec<String> {
    let constraint = compile(form).unwrap_or_else(|error| panic!("{form:?}: {error}"));
    let texts: Vec<String> = (0..TEXTS)
        .filter_map(|seed| random_text(&constraint, &mut fastrand::Rng::with_seed(seed), LONGEST))
        .collect();
    assert!(
        texts.len() as u64 * 2 > TEXTS,
        "most texts of {form:?} do not end"
    );
    texts
}

fn is_person(value: &Value) -> bool {
    let Some(map) = value.as_object() else {
        return false;
    };
    let name = map
        .get("name")
        .and_then(Value::as_str)
        .is_some_and(|name| (1..=8).contains(&name.chars().count()));
    let age = map
        .get("age")
        .is_none_or(|age| age.as_i64().is_some_and(|age| (0..150).contains(&age)));
    let tags = map.get("tags").is_none_or(|tags| {
        tags.as_array()
            .is_some_and(|tags| tags.len() <= 3 && tags.iter().all(|tag| tag == "a" || tag == "b"))
    });
    name && age
        && tags
        && map
            .keys()
            .all(|key| ["name", "age", "tags"].contains(&key.as_str()))
}

fn person() -> Value {
    json!({"type": "object", "additionalProperties": false, "required": ["name"], "properties": {
        "name": {"type": "string", "minLength": 1, "maxLength": 8},
        "age": {"type": "integer", "minimum": 0, "exclusiveMaximum": 150},
        "tags": {"type": "array", "items": {"enum": ["a", "b"]}, "maxItems": 3}}})
}

#[test]
fn objects_by_chance_are_objects() {
    for text in texts(&Form::JsonObject) {
        let value: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert!(value.is_object(), "{text}");
    }
}

#[test]
fn texts_of_a_schema_by_chance_validate() {
    for text in texts(&Form::JsonSchema {
        schema: person(),
        strict: true,
    }) {
        let value: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert!(is_person(&value), "{text}");
    }
}

#[test]
fn calls_by_chance_are_read_and_their_arguments_validate() {
    for style in [CallStyle::Tagged, CallStyle::Bare] {
        let tool = |name: &str| Tool {
            name: name.to_owned(),
            description: String::new(),
            parameters: person(),
            strict: true,
        };
        let set = ToolSet::new(vec![tool("a"), tool("ab")], ToolChoice::Required, false, style).unwrap();
        for text in texts(&set.form().unwrap()) {
            let mut parser = CallParser::new(style);
            let mut events = parser.push(&text);
            events.extend(parser.finish());
            let (mut arguments, mut ends) = (String::new(), 0);
            for event in &events {
                match event {
                    CallEvent::Text(other) => panic!("{text}: {other} is no call"),
                    CallEvent::Begin { index: 0, name } => assert!(name == "a" || name == "ab"),
                    CallEvent::Arguments { piece, .. } => arguments.push_str(piece),
                    CallEvent::End { .. } => ends += 1,
                    CallEvent::Begin { .. } => panic!("{text}: a second call"),
                }
            }
            assert_eq!(ends, 1, "{text}");
            assert!(is_person(&serde_json::from_str(&arguments).unwrap()), "{text}");
        }
    }
}

#[test]
fn texts_of_a_grammar_by_chance_are_json() {
    for text in texts(&Form::Gbnf(crate::gbnf::JSON.to_owned())) {
        // The grammar lets a number begin with zeros after its exponent's sign, which is JSON, and nothing that is not.
        serde_json::from_str::<&serde_json::value::RawValue>(&text)
            .unwrap_or_else(|error| panic!("{text}: {error}"));
    }
}

#[test]
fn answers_by_chance_that_may_be_text_or_calls_are_read_without_loss() {
    for style in [CallStyle::Tagged, CallStyle::Bare] {
        let tool = Tool {
            name: "f".to_owned(),
            description: String::new(),
            parameters: Value::Null,
            strict: false,
        };
        let set = ToolSet::new(vec![tool], ToolChoice::Auto, true, style).unwrap();
        for text in texts(&set.form().unwrap()) {
            let mut parser = set.parser().unwrap();
            let mut events = parser.push(&text);
            events.extend(parser.finish());
            let words: String = events
                .iter()
                .filter_map(|e| {
                    if let CallEvent::Text(text) = e {
                        Some(text.as_str())
                    } else {
                        None
                    }
                })
                .collect();
            assert!(parser.calls() > 0 || words == text, "{text}");
        }
    }
}

#[test]
fn patterns_that_cost_much_are_refused_or_end_the_answer() {
    let patterns = [
        "^((a{1000}){1000}){1000}$",
        "(.*a){200}",
        "(a?){500}a{500}",
        "^[^x]*x.{300}$",
        "((((((((((a*)*)*)*)*)*)*)*)*)*)",
        "a{0,4294967295}",
        "(x+x+)+y",
        "[",
        "(?<n>a)\\k<n>",
    ];
    for pattern in patterns {
        let schema = json!({"type": "string", "pattern": pattern, "maxLength": 60_000});
        if let Ok(constraint) = compile(&Form::JsonSchema {
            schema,
            strict: false,
        }) {
            let mut constraint = constraint;
            for byte in b"\"aaaaaaaaaaaaaaaaaaaaaaaaxxxxxxxxxxxxx" {
                if !constraint.allows(u32::from(*byte)) || constraint.accept(u32::from(*byte)).is_err() {
                    break;
                }
                let Ok(mask) = constraint.mask() else { break };
                assert!(mask.iter().any(|word| *word != 0));
            }
        }
    }
}
