//! Calls of tools: what may be written, and what is read from it.

use serde_json::{Value, json};
use siskin_grammar::{CallEvent, CallParser, CallStyle, Constraint, ErrorKind, Tool, ToolChoice, ToolSet};

use crate::bytes::{compile, is_whole};

fn tool(name: &str, parameters: Value) -> Tool {
    Tool {
        name: name.to_owned(),
        description: String::new(),
        parameters,
        strict: false,
    }
}

fn weather() -> Vec<Tool> {
    let place = json!({"type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
        "required": ["city"]});
    vec![tool("get_weather", place), tool("get", Value::Null)]
}

fn constraint(choice: ToolChoice, parallel: bool, style: CallStyle) -> Constraint {
    let set = ToolSet::new(weather(), choice, parallel, style).unwrap();
    compile(&set.form().expect("a form")).unwrap_or_else(|error| panic!("{error}"))
}

const TAGGED: &str =
    "<tool_call>\n{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Bern\"}}\n</tool_call>";
const TAGGED_OTHER: &str = "<tool_call>{\"name\":\"get\",\"arguments\":{}}</tool_call>";
const BARE: &str = "{\"name\": \"get_weather\", \"parameters\": {\"city\": \"Bern\", \"days\":3}}";

fn check(mut constraint: Constraint, whole: &[&str], other: &[&str]) {
    let _ = constraint.may_end();
    for text in whole {
        assert!(is_whole(&constraint, text), "refuses {text:?}");
    }
    for text in other {
        assert!(!is_whole(&constraint, text), "accepts {text:?}");
    }
}

#[test]
fn a_required_call_is_written_from_the_first_token() {
    let two = format!("{TAGGED}\n{TAGGED_OTHER}");
    let wrong = TAGGED.replace("city", "town");
    check(
        constraint(ToolChoice::Required, false, CallStyle::Tagged),
        &[TAGGED, TAGGED_OTHER],
        &["", "Hello", &two, &wrong],
    );
    check(
        constraint(ToolChoice::Required, true, CallStyle::Tagged),
        &[TAGGED, &two],
        &["Hello"],
    );
    let named = ToolChoice::Named("get".to_owned());
    check(
        constraint(named, false, CallStyle::Plain),
        &[TAGGED_OTHER],
        &[TAGGED],
    );
    check(
        constraint(ToolChoice::Required, false, CallStyle::Bare),
        &[BARE],
        &["", "Hi", &format!("{BARE}; {BARE}")],
    );
    check(
        constraint(ToolChoice::Required, true, CallStyle::Bare),
        &[BARE],
        &["", &format!("{BARE}; {BARE}"), &format!("{BARE}\n{BARE}")],
    );
}

#[test]
fn an_answer_may_be_text_or_calls() {
    let after = format!("I look it up.\n{TAGGED}\n{TAGGED_OTHER}");
    let wrong = TAGGED.replace("Bern", "B\n");
    let free = ["", "Hello <b>{\"a\"}", "a <tool_ca", "\n"];
    check(
        constraint(ToolChoice::Auto, true, CallStyle::Tagged),
        &free,
        &[&wrong, "<tool_call>", "x<tool_call>y"],
    );
    check(
        constraint(ToolChoice::Auto, true, CallStyle::Tagged),
        &[TAGGED, &after, &format!("x{TAGGED}")],
        &[],
    );
    check(
        constraint(ToolChoice::Auto, false, CallStyle::Tagged),
        &[TAGGED],
        &[&after],
    );
    let other = BARE.replace("city", "town");
    check(
        constraint(ToolChoice::Auto, false, CallStyle::Bare),
        &[BARE, "", "Hello {", " \n", " a{"],
        &["{", "{\"a\": 1}", &other, "\n{}", &format!("{BARE} ")],
    );
}

#[test]
fn names_of_parameters_may_look_like_a_grammar() {
    let names = [
        "// x",
        "/* y",
        "%json {",
        "}",
        "a\"b\n",
        "start: FREE",
        "ü#",
        "\\",
    ];
    let properties: serde_json::Map<String, Value> = names
        .iter()
        .map(|name| ((*name).to_owned(), json!({"const": name})))
        .collect();
    let set = ToolSet::new(
        vec![tool("f", json!({"properties": properties, "required": names}))],
        ToolChoice::Required,
        false,
        CallStyle::Tagged,
    );
    let constraint = compile(&set.unwrap().form().unwrap()).unwrap();
    let arguments: serde_json::Map<String, Value> = names
        .iter()
        .map(|name| ((*name).to_owned(), json!(name)))
        .collect();
    let call = json!({"name": "f", "arguments": arguments});
    assert!(is_whole(
        &constraint,
        &format!("<tool_call>\n{call}\n</tool_call>")
    ));
}

#[test]
fn the_number_of_calls_is_bounded() {
    let calls = |count: usize| vec![TAGGED_OTHER; count].join("\n");
    let parallel = constraint(ToolChoice::Required, true, CallStyle::Tagged);
    assert!(is_whole(&parallel, &calls(16)) && !is_whole(&parallel, &calls(17)));
}

#[test]
fn no_form_is_needed_if_no_tool_may_be_called() {
    let none = ToolSet::new(weather(), ToolChoice::None, true, CallStyle::Tagged).unwrap();
    let empty = ToolSet::new(Vec::new(), ToolChoice::Auto, true, CallStyle::Tagged).unwrap();
    for set in [none, empty] {
        assert!(set.form().is_none() && set.parser().is_none() && set.instructions().is_empty());
    }
}

#[test]
fn tools_that_cannot_be_called_are_refused() {
    use ErrorKind::{Limit, Syntax, Unsupported};
    let null = || Value::Null;
    let many: Vec<Tool> = (0..65).map(|i| tool(&format!("t{i}"), null())).collect();
    let cases = [
        (vec![tool("", null())], ToolChoice::Auto, Syntax, ""),
        (vec![tool("a b", null())], ToolChoice::Auto, Syntax, "a b"),
        (
            vec![tool(&"a".repeat(65), null())],
            ToolChoice::Auto,
            Syntax,
            &*"a".repeat(64),
        ),
        (
            vec![tool("a", null()), tool("a", null())],
            ToolChoice::Auto,
            Syntax,
            "a",
        ),
        (
            vec![tool("a", null())],
            ToolChoice::Named("b".to_owned()),
            Syntax,
            "b",
        ),
        (vec![], ToolChoice::Required, Syntax, ""),
        (many, ToolChoice::Auto, Limit, ""),
        (
            vec![tool("a", json!({"type": "string"}))],
            ToolChoice::Auto,
            Syntax,
            "tool a: #/type",
        ),
        (
            vec![tool("a", json!({"not": {}}))],
            ToolChoice::Auto,
            Unsupported,
            "tool a: #",
        ),
        (vec![tool("a", json!([]))], ToolChoice::Auto, Syntax, "tool a"),
    ];
    for (tools, choice, kind, at) in cases {
        let error = ToolSet::new(tools, choice, true, CallStyle::Plain).unwrap_err();
        assert_eq!((error.kind(), error.at()), (kind, at), "{error}");
    }
}

#[test]
fn the_instructions_name_the_tools_and_the_form() {
    let text = ToolSet::new(weather(), ToolChoice::Auto, true, CallStyle::Plain)
        .unwrap()
        .instructions();
    for part in [
        "<tool_call>",
        "</tool_call>",
        "\"arguments\"",
        "get_weather",
        "\"city\"",
        "several",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let named = ToolChoice::Named("get".to_owned());
    let text = ToolSet::new(weather(), named, false, CallStyle::Plain)
        .unwrap()
        .instructions();
    assert!(
        !text.contains("get_weather") && !text.contains("several"),
        "{text}"
    );
}

fn read<'a>(style: CallStyle, pieces: impl IntoIterator<Item = &'a str>) -> Vec<CallEvent> {
    let mut parser = CallParser::new(style);
    let mut events: Vec<CallEvent> = pieces.into_iter().flat_map(|piece| parser.push(piece)).collect();
    events.extend(parser.finish());
    joined(events)
}

/// What is written in two pieces is the same as in one.
fn joined(events: Vec<CallEvent>) -> Vec<CallEvent> {
    let mut joined: Vec<CallEvent> = Vec::new();
    for event in events {
        match (joined.last_mut(), event) {
            (Some(CallEvent::Text(before)), CallEvent::Text(text)) => before.push_str(&text),
            (Some(CallEvent::Arguments { piece: before, .. }), CallEvent::Arguments { piece, .. }) => {
                before.push_str(&piece);
            }
            (_, event) => joined.push(event),
        }
    }
    joined
}

/// Events as text: what is in brackets is a call.
fn shown(events: &[CallEvent]) -> String {
    events
        .iter()
        .map(|event| match event {
            CallEvent::Text(text) => text.clone(),
            CallEvent::Begin { index, name } => format!("[{index} {name}: "),
            CallEvent::Arguments { piece, .. } => piece.clone(),
            CallEvent::End { index } => format!(" {index}]"),
        })
        .collect()
}

#[test]
fn calls_are_read_in_the_same_way_however_the_text_is_split() {
    use CallStyle::{Bare, Tagged};
    let a = r#"{"name": "f", "arguments": {"x": "}\"\\{]", "y": [{}]}}"#;
    let b = r#"{"name":"g","parameters":{}}"#;
    let cases = [
        (Tagged, "Hello".to_owned(), "Hello"),
        (Tagged, String::new(), ""),
        (
            Tagged,
            format!("<tool_call>\n{a}\n</tool_call>"),
            r#"[0 f: {"x": "}\"\\{]", "y": [{}]} 0]"#,
        ),
        (
            Tagged,
            format!(" ü <tool_call>{a}</tool_call>"),
            r#" ü [0 f: {"x": "}\"\\{]", "y": [{}]} 0]"#,
        ),
        (
            Tagged,
            format!(
                "<tool_call>{a}</tool_call>\n<tool_call>{}</tool_call>\n",
                a.replace("\"f\"", "\"h\"")
            ),
            r#"[0 f: {"x": "}\"\\{]", "y": [{}]} 0][1 h: {"x": "}\"\\{]", "y": [{}]} 1]"#,
        ),
        (Tagged, "a <tool_cat> b <".to_owned(), "a <tool_cat> b <"),
        (
            Tagged,
            "<tool_call>\n{\"name\": \"f".to_owned(),
            "<tool_call>\n{\"name\": \"f",
        ),
        (Tagged, "<tool_call>nothing".to_owned(), "<tool_call>nothing"),
        (
            Tagged,
            "<tool_call>{\"name\":\"f\",\"arguments\":{\"x".to_owned(),
            "[0 f: {\"x",
        ),
        (
            Tagged,
            format!("<tool_call>{a}</tool_call> \n<to"),
            "[0 f: {\"x\": \"}\\\"\\\\{]\", \"y\": [{}]} 0] \n<to",
        ),
        (
            Tagged,
            format!("<tool_call>{a}\n</tool"),
            r#"[0 f: {"x": "}\"\\{]", "y": [{}]} 0]"#,
        ),
        (Bare, "\n Hi {".to_owned(), "\n Hi {"),
        (Bare, b.to_owned(), "[0 g: {} 0]"),
        (Bare, format!("\n{b}; {b}\n"), "[0 g: {} 0][1 g: {} 1]"),
        (Bare, format!("{b} \u{128}"), "[0 g: {} 0] \u{128}"),
        (Bare, "{\"a\": 1}".to_owned(), "{\"a\": 1}"),
        (Bare, " \n".to_owned(), " \n"),
    ];
    for (style, text, expected) in &cases {
        let whole = read(*style, [text.as_str()]);
        assert_eq!(&shown(&whole), expected, "{text:?}");
        let bounds: Vec<usize> = (0..=text.len()).filter(|at| text.is_char_boundary(*at)).collect();
        for &first in &bounds {
            for &second in bounds.iter().filter(|second| **second >= first) {
                let pieces = [&text[..first], &text[first..second], &text[second..]];
                assert_eq!(read(*style, pieces), whole, "{pieces:?}");
            }
        }
        assert_eq!(
            read(*style, text.split_inclusive(|_| true)),
            whole,
            "{text:?} by characters"
        );
    }
}

#[test]
fn the_beginning_of_a_call_that_was_cut_is_no_text() {
    use CallStyle::{Bare, Tagged};
    let call = r#"{"name": "f", "arguments": {"x": 1}}"#;
    for (style, text, expected) in [
        (Tagged, "Hello".to_owned(), "Hello"),
        (Tagged, " ".to_owned(), " "),
        (Tagged, "a <to".to_owned(), "a "),
        (Tagged, "a <tool_cat".to_owned(), "a <tool_cat"),
        (Tagged, "a <tool_call>".to_owned(), "a "),
        (Tagged, "<tool_call>\n{\"name\": \"f\", \"argu".to_owned(), ""),
        (
            Tagged,
            "<tool_call>{\"name\": \"f\", \"arguments\": {\"x".to_owned(),
            "[0 f: {\"x",
        ),
        (Tagged, format!("<tool_call>{call}"), "[0 f: {\"x\": 1} 0]"),
        (
            Tagged,
            format!("<tool_call>{call}</tool_call>\n<tool_call>{{"),
            "[0 f: {\"x\": 1} 0]",
        ),
        (
            Tagged,
            format!("<tool_call>{call}</tool_call>\n<too"),
            "[0 f: {\"x\": 1} 0]",
        ),
        (Bare, "{\"name\": \"f".to_owned(), ""),
        (Bare, "{\"nome\"".to_owned(), "{\"nome\""),
        (Bare, "Hi {".to_owned(), "Hi {"),
    ] {
        for end in (0..=text.len()).filter(|end| text.is_char_boundary(*end)) {
            let mut parser = CallParser::new(style);
            let mut events = parser.push(&text[..end]);
            events.extend(parser.push(&text[end..]));
            events.extend(parser.cut());
            assert_eq!(shown(&joined(events)), expected, "{text:?} at {end}");
            assert_eq!(parser.finish(), [], "{text:?}: nothing comes after the end");
        }
    }
}

#[test]
fn arguments_stream_as_they_come() {
    let mut parser = CallParser::new(CallStyle::Tagged);
    assert!(
        parser
            .push("<tool_call>\n{\"name\": \"f\", \"arguments\": ")
            .is_empty()
    );
    let begin = CallEvent::Begin {
        index: 0,
        name: "f".to_owned(),
    };
    assert_eq!(
        parser.push("{\"x\":"),
        [
            begin,
            CallEvent::Arguments {
                index: 0,
                piece: "{\"x\":".to_owned()
            }
        ]
    );
    assert_eq!(
        parser.push(" 1"),
        [CallEvent::Arguments {
            index: 0,
            piece: " 1".to_owned()
        }]
    );
    let end = [
        CallEvent::Arguments {
            index: 0,
            piece: "}".to_owned(),
        },
        CallEvent::End { index: 0 },
    ];
    assert_eq!(parser.push("}}\n"), end);
    assert_eq!(parser.calls(), 1);
}
