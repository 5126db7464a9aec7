//! Schemas that cannot be enforced, and input that is hostile.

use serde_json::{Value, json};
use siskin_grammar::{ErrorKind, Form};

use crate::bytes::{compile, feed, is_whole};

fn refusal(schema: Value, strict: bool) -> siskin_grammar::GrammarError {
    let text: String = schema.to_string().chars().take(200).collect();
    compile(&Form::JsonSchema { schema, strict }).expect_err(&text)
}

#[test]
fn what_cannot_be_enforced_is_refused_and_located() {
    use ErrorKind::{Limit, Syntax, Unsatisfiable, Unsupported};
    let cases = [
        (json!({"not": {"type": "null"}}), Unsupported, "#"),
        (
            json!({"properties": {"a": {"if": {}, "then": {}}}}),
            Unsupported,
            "#/properties/a",
        ),
        (json!({"items": {"uniqueItems": true}}), Unsupported, "#/items"),
        (json!({"anyOf": [{}, {"contains": {}}]}), Unsupported, "#/anyOf/1"),
        (
            json!({"properties": {"a/b": {"dependentRequired": {}}}}),
            Unsupported,
            "#/properties/a~1b",
        ),
        (json!({"propertyNames": {"pattern": "a"}}), Unsupported, "#"),
        (json!({"unevaluatedProperties": false}), Unsupported, "#"),
        (json!({"$ref": "https://example.com/x.json"}), Unsupported, "#"),
        (json!({"$ref": "#anchor"}), Unsupported, "#"),
        (json!({"$ref": "#/$defs/none"}), Syntax, "#"),
        (
            json!({"$ref": "#/$defs/a", "$defs": {"a": {"properties": {"x": {"not": {}}}}}}),
            Unsupported,
            "#/$defs/a/properties/x",
        ),
        (
            json!({"properties": {"a": {"$id": "x"}}}),
            Unsupported,
            "#/properties/a",
        ),
        (json!({"const": 9007199254740993u64}), Unsupported, "#"),
        (json!({"minimum": 1e300}), Unsupported, "#"),
        (json!({"multipleOf": 0}), Unsupported, "#"),
        (json!({"multipleOf": 123457}), Unsupported, "#"),
        (json!({"type": "string", "maxLength": 100000000}), Limit, "#"),
        (json!({"type": "array", "minItems": 100000}), Limit, "#"),
        (json!({"type": "string", "minLength": -1}), Syntax, "#"),
        (json!({"type": "string", "pattern": "a".repeat(2000)}), Limit, "#"),
        (json!({"properties": []}), Syntax, "#"),
        (json!({"items": 3}), Syntax, "#/items"),
        (json!([]), Syntax, ""),
        (json!(false), Unsatisfiable, ""),
        (json!({"type": "string", "format": "iri"}), Unsupported, "#"),
        (json!({"type": "string", "format": 1}), Syntax, "#"),
        (json!({"required": "a"}), Syntax, "#"),
        (json!({"type": "string", "pattern": "(?=a)b"}), Unsupported, ""),
        (
            json!({"oneOf": [{"type": "integer"}, {"type": "number"}]}),
            Unsupported,
            "",
        ),
        (json!({"type": "text"}), Syntax, "#"),
        (json!({"type": []}), Syntax, "#"),
        (
            json!({"type": "integer", "minimum": 3, "maximum": 2}),
            Unsatisfiable,
            "",
        ),
        (
            json!({"allOf": [{"type": "string"}, {"type": "null"}]}),
            Unsatisfiable,
            "",
        ),
    ];
    for (schema, kind, at) in cases {
        let text = schema.to_string();
        let error = refusal(schema, false);
        assert_eq!(
            (error.kind(), error.at()),
            (kind, at),
            "{error}: {}",
            &text[..text.len().min(200)]
        );
        assert!(
            !error.message().contains('\n') && !error.message().is_empty(),
            "{error}"
        );
    }
}

#[test]
fn unknown_keywords_are_annotations_unless_strict() {
    let schema = json!({"type": "object", "properties": {"a": {"type": "null", "requird": true}}});
    assert!(
        compile(&Form::JsonSchema {
            schema: schema.clone(),
            strict: false
        })
        .is_ok()
    );
    assert_eq!(refusal(schema, true).at(), "#/properties/a");
    let schema = json!({"type": "string", "format": "phone"});
    assert!(
        compile(&Form::JsonSchema {
            schema: schema.clone(),
            strict: false
        })
        .is_ok()
    );
    assert_eq!(refusal(schema, true).kind(), ErrorKind::Unsupported);
}

#[test]
fn a_client_cannot_set_llguidances_options() {
    let schema = json!({"x-guidance": {"lenient": true}, "not": {}});
    assert_eq!(refusal(schema, false).kind(), ErrorKind::Unsupported);
}

#[test]
fn deep_and_large_schemas_are_refused_at_once() {
    let mut deep = json!({"type": "null"});
    for _ in 0..40 {
        deep = json!({"type": "array", "items": deep});
    }
    assert_eq!(refusal(deep, false).kind(), ErrorKind::Limit);
    let mut constant = json!(1);
    for _ in 0..120 {
        constant = json!([constant]);
    }
    assert_eq!(
        refusal(json!({"const": constant}), false).kind(),
        ErrorKind::Limit
    );
    assert_eq!(
        refusal(json!({"description": "x".repeat(70_000)}), false).kind(),
        ErrorKind::Limit
    );
    let many: serde_json::Map<String, Value> = (0..600).map(|i| (format!("p{i}"), json!({}))).collect();
    assert_eq!(
        refusal(json!({"properties": many}), false).kind(),
        ErrorKind::Limit
    );
    let values: Vec<u32> = (0..3000).collect();
    assert_eq!(refusal(json!({"enum": values}), false).kind(), ErrorKind::Limit);
    let chain: serde_json::Map<String, Value> = (0..300)
        .map(|i| (format!("d{i}"), json!({"$ref": format!("#/$defs/d{}", i + 1)})))
        .collect();
    assert_eq!(
        refusal(json!({"$ref": "#/$defs/d0", "$defs": chain}), false).kind(),
        ErrorKind::Limit
    );
}

#[test]
fn the_largest_schemas_that_are_allowed_do_not_overflow_the_stack() {
    let mut deep = json!({"type": "null"});
    for _ in 0..15 {
        deep = json!({"type": "array", "items": {"type": "object", "properties": {"a": deep}}});
    }
    compile(&Form::JsonSchema {
        schema: deep,
        strict: false,
    })
    .unwrap();
    let many: serde_json::Map<String, Value> = (0..512)
        .map(|i| (format!("p{i}"), json!({"type": "null"})))
        .collect();
    compile(&Form::JsonSchema {
        schema: json!({"type": "object", "properties": many}),
        strict: false,
    })
    .unwrap();
    let mut chain: serde_json::Map<String, Value> = (0..120)
        .map(|i| {
            (
                format!("d{i}"),
                json!({"type": "array", "items": {"$ref": format!("#/$defs/d{}", i + 1)}}),
            )
        })
        .collect();
    chain.insert("d120".to_owned(), json!({"type": "null"}));
    compile(&Form::JsonSchema {
        schema: json!({"$ref": "#/$defs/d0", "$defs": chain}),
        strict: false,
    })
    .unwrap();
}

#[test]
fn schemas_that_need_themselves_without_end_are_refused() {
    for schema in [
        json!({"$ref": "#"}),
        json!({"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}}),
        json!({"type": "object", "properties": {"a": {"$ref": "#"}}, "required": ["a"]}),
        json!({"type": "array", "items": {"$ref": "#"}, "minItems": 1}),
        json!({"anyOf": [{"$ref": "#"}]}),
    ] {
        let text = schema.to_string();
        let error = refusal(schema, false);
        assert_eq!(error.kind(), ErrorKind::Unsatisfiable, "{text}: {error}");
    }
}

#[test]
fn a_part_that_needs_itself_without_end_is_never_written() {
    let schema = json!({"type": "object", "properties": {"a": {"$ref": "#/$defs/loop"}, "b": {"anyOf": [
        {"$ref": "#/$defs/loop"}, {"type": "null"}]}}, "$defs": {"loop": {"type": "array", "items": {"$ref": "#/$defs/loop"},
        "minItems": 1}}});
    let constraint = compile(&Form::JsonSchema { schema, strict: true }).unwrap();
    assert!(is_whole(&constraint, "{}") && is_whole(&constraint, r#"{"b":null}"#));
    let (length, _) = feed(&mut constraint.clone(), r#"{"a":[["#);
    assert_eq!(length, 2);
    let (length, _) = feed(&mut constraint.clone(), r#"{"b":[["#);
    assert_eq!(length, 5);
}

/// An answer has no `\u` escapes, so these characters could not be in it: the text would silently lose them.
#[test]
fn control_characters_are_refused_and_those_with_a_short_escape_are_not() {
    let schemas = [
        (json!({"const": "a\u{1}b"}), false),
        (json!({"enum": ["x", "\u{7f}"]}), false),
        (json!({"const": {"x": ["\u{0}"]}}), false),
        (json!({"type": "string", "pattern": "^a\\u0001b$"}), false),
        (json!({"type": "string", "pattern": "^[\\x01-\\x05]{3}$"}), false),
        (json!({"const": "a\n\t\"b"}), true),
        (json!({"type": "string", "pattern": "^a\\x20b$"}), true),
        (json!({"type": "string", "description": "\u{1}"}), true),
    ];
    for (schema, fine) in schemas {
        let form = Form::JsonSchema {
            schema: schema.clone(),
            strict: false,
        };
        assert_eq!(compile(&form).is_ok(), fine, "{schema}");
    }
}
