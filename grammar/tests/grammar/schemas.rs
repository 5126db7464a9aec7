//! Schemas, and texts that have or do not have their form.

use serde_json::{Value, json};
use siskin_grammar::Form;

use crate::bytes::{compile, is_whole};

fn check(schema: Value, whole: &[&str], other: &[&str]) {
    let constraint = compile(&Form::JsonSchema {
        schema: schema.clone(),
        strict: false,
    })
    .unwrap_or_else(|error| panic!("{schema}: {error}"));
    for text in whole {
        assert!(is_whole(&constraint, text), "{schema} refuses {text}");
    }
    for text in other {
        assert!(!is_whole(&constraint, text), "{schema} accepts {text}");
    }
}

#[test]
fn any_object_is_compact_json() {
    let constraint = compile(&Form::JsonObject).unwrap();
    for text in [
        "{}",
        r#"{"a":1}"#,
        r#"{"a": [1, 2,3], "b": {"c": null}}"#,
        r#"{"ü\n": -1.5}"#,
    ] {
        assert!(is_whole(&constraint, text), "{text}");
    }
    for text in [
        "",
        "[]",
        "1",
        "{ }",
        "{\n}",
        r#"{"a":  1}"#,
        r#"{"a" :1}"#,
        r#"{"a":01}"#,
        r#"{"a":1,}"#,
        " {}",
    ] {
        assert!(!is_whole(&constraint, text), "{text}");
    }
}

#[test]
fn objects() {
    let both = json!({"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "boolean"}},
        "required": ["a"], "additionalProperties": false});
    check(
        both,
        &[r#"{"a":1}"#, r#"{"a": 1, "b": true}"#],
        &["{}", r#"{"b":true}"#, r#"{"a":1,"c":2}"#, r#"{"a":"1"}"#],
    );
    let open = json!({"type": "object", "properties": {"a": {"type": "integer"}}});
    check(
        open,
        &["{}", r#"{"x":[]}"#, r#"{"a":1,"x":2}"#],
        &[r#"{"a":"x"}"#, r#"{"x":1,"a":"y"}"#],
    );
    let typed = json!({"type": "object", "additionalProperties": {"type": "string"}});
    check(typed, &["{}", r#"{"x":"y"}"#], &[r#"{"x":1}"#]);
    let patterns = json!({"type": "object", "patternProperties": {"^n_": {"type": "number"}}, "additionalProperties": false});
    check(
        patterns,
        &["{}", r#"{"n_a":1}"#],
        &[r#"{"m":1}"#, r#"{"n_a":"1"}"#],
    );
    check(
        json!({"type": "object", "minProperties": 1, "maxProperties": 2}),
        &[r#"{"a":1}"#, r#"{"a":1,"b":2}"#],
        &["{}", r#"{"a":1,"b":2,"c":3}"#],
    );
}

#[test]
fn constants_and_lists_of_them() {
    check(
        json!({"enum": ["red", 1, null, [1, "x"], {"a": true}]}),
        &[r#""red""#, "1", "null", r#"[1,"x"]"#, r#"{"a":true}"#],
        &[r#""re""#, "2", "[1]", "{}"],
    );
    check(
        json!({"const": "a\"b\\c\nd"}),
        &[r#""a\"b\\c\nd""#],
        &[r#""ab""#, r#""a""#],
    );
    check(json!({"const": 0.25}), &["0.25"], &["0.2", "0.255", "1"]);
    check(
        json!({"type": "string", "enum": ["a", "b"]}),
        &[r#""a""#],
        &[r#""c""#, "1"],
    );
}

#[test]
fn arrays() {
    check(
        json!({"type": "array", "items": {"type": "integer"}, "minItems": 1, "maxItems": 3}),
        &["[1]", "[1,2, 3]"],
        &["[]", "[1,2,3,4]", r#"["1"]"#],
    );
    check(
        json!({"type": "array", "prefixItems": [{"const": 1}, {"type": "string"}], "items": false, "minItems": 2}),
        &[r#"[1,"x"]"#],
        &["[1]", r#"["x",1]"#, r#"[1,"x",2]"#],
    );
    check(
        json!({"type": "array", "items": [{"type": "null"}], "additionalItems": {"type": "boolean"}}),
        &["[null,true]", "[]"],
        &["[null,1]", "[true]"],
    );
}

#[test]
fn strings() {
    check(
        json!({"type": "string", "minLength": 2, "maxLength": 3}),
        &[r#""ab""#, r#""äöü""#, r#""\n\"a""#],
        &[r#""a""#, r#""abcd""#, "12"],
    );
    check(
        json!({"type": "string", "pattern": "^[a-z]+-[0-9]{2}$"}),
        &[r#""ab-12""#],
        &[r#""ab-1""#, r#""-12""#, r#""ab-123""#],
    );
    check(
        json!({"type": "string", "pattern": "x"}),
        &[r#""axb""#],
        &[r#""ab""#],
    );
    check(
        json!({"type": "string", "format": "date"}),
        &[r#""2026-11-27""#],
        &[r#""2026-13-01""#, r#""today""#],
    );
    check(
        json!({"type": "string", "format": "uuid"}),
        &[r#""123e4567-e89b-12d3-a456-426614174000""#],
        &[r#""123""#],
    );
    check(
        json!({"type": "string"}),
        &[r#""""#, r#""a b""#],
        &["\"a\nb\"", r#""\x""#, r#""\u0061""#, r#"""#],
    );
}

#[test]
fn numbers() {
    check(
        json!({"type": "integer", "minimum": -3, "exclusiveMaximum": 12}),
        &["-3", "0", "11"],
        &["-4", "12", "1.5", "01", "\"1\""],
    );
    check(
        json!({"type": "number", "minimum": 0.5, "maximum": 1.25}),
        &["0.5", "1", "1.25", "0.75"],
        &["0.4", "1.26", "2"],
    );
    check(
        json!({"type": "number"}),
        &["0", "-1.5", "1000000"],
        &[".5", "1.", "+1", "NaN", "Infinity", "1e999"],
    );
    check(
        json!({"type": "integer", "multipleOf": 5}),
        &["0", "15", "-10"],
        &["7", "1"],
    );
    check(
        json!({"type": "integer", "minimum": 1, "exclusiveMinimum": true}),
        &["2"],
        &["1", "0"],
    );
}

#[test]
fn combinations() {
    check(
        json!({"anyOf": [{"type": "integer"}, {"type": "string", "maxLength": 1}]}),
        &["1", r#""a""#],
        &["null", r#""ab""#],
    );
    check(
        json!({"oneOf": [{"type": "integer"}, {"type": "null"}]}),
        &["1", "null"],
        &["true"],
    );
    check(json!({"type": ["string", "null"]}), &["null", r#""x""#], &["1"]);
    let all = json!({"allOf": [{"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]},
        {"properties": {"b": {"type": "null"}}, "required": ["b"]}]});
    check(all, &[r#"{"a":1,"b":null}"#], &[r#"{"a":1}"#, r#"{"b":null}"#]);
    check(json!(true), &["1", "[]", "null"], &["", "x"]);
    check(json!({}), &["1", "{}"], &["x"]);
}

#[test]
fn references() {
    let tree = json!({"$ref": "#/$defs/node", "$defs": {"node": {"type": "object", "additionalProperties": false,
        "properties": {"v": {"type": "integer"}, "next": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]}},
        "required": ["v", "next"]}}});
    check(
        tree,
        &[r#"{"v":1,"next":null}"#, r#"{"v":1,"next":{"v":2,"next":null}}"#],
        &[r#"{"v":1}"#, r#"{"v":1,"next":{}}"#],
    );
    let escaped = json!({"$defs": {"a/b~c d": {"type": "null"}}, "properties": {"x": {"$ref": "#/$defs/a~1b~0c%20d"}},
        "required": ["x"], "type": "object", "additionalProperties": false});
    check(escaped, &[r#"{"x":null}"#], &[r#"{"x":1}"#, "{}"]);
    let unusual = json!({"components": {"S": {"const": 1, "title": "one"}}, "type": "array", "items": {"$ref": "#/components/S"}});
    check(unusual, &["[1,1]"], &["[2]"]);
    let union = json!({"oneOf": [{"$ref": "#/$defs/cat"}, {"$ref": "#/$defs/dog"}], "discriminator": {"propertyName": "kind"},
        "$defs": {"cat": {"type": "object", "properties": {"kind": {"const": "cat"}}, "required": ["kind"], "additionalProperties": false},
            "dog": {"type": "object", "properties": {"kind": {"const": "dog"}}, "required": ["kind"], "additionalProperties": false}}});
    check(
        union,
        &[r#"{"kind":"cat"}"#, r#"{"kind": "dog"}"#],
        &[r#"{"kind":"cow"}"#],
    );
}

#[test]
fn strict_objects_have_only_what_they_name() {
    let schema = json!({"type": "object", "properties": {"a": {"type": "object", "properties": {"b": {"type": "null"}}}}});
    let strict = compile(&Form::JsonSchema {
        schema: schema.clone(),
        strict: true,
    })
    .unwrap();
    let plain = compile(&Form::JsonSchema {
        schema,
        strict: false,
    })
    .unwrap();
    for (text, by_strict) in [
        (r#"{"a":{"b":null}}"#, true),
        (r#"{"c":1}"#, false),
        (r#"{"a":{"c":1}}"#, false),
    ] {
        assert!(is_whole(&plain, text), "{text}");
        assert_eq!(is_whole(&strict, text), by_strict, "{text}");
    }
}

#[test]
fn dates_and_times_exist() {
    let date = json!({"type": "string", "format": "date"});
    let days = [
        "\"2024-02-29\"",
        "\"2000-02-29\"",
        "\"0001-01-01\"",
        "\"2026-11-30\"",
    ];
    check(
        date,
        &days,
        &[
            "\"2023-02-29\"",
            "\"1900-02-29\"",
            "\"0000-02-29\"",
            "\"2026-11-31\"",
            "\"0000-01-01\"",
        ],
    );
    let stamp = json!({"type": "string", "format": "date-time", "pattern": "Z$"});
    check(
        stamp,
        &["\"2026-11-27T20:15:00.5Z\""],
        &[
            "\"2026-11-27T20:15:60Z\"",
            "\"2026-11-27T20:15:00+01:00\"",
            "\"2026-11-27\"",
        ],
    );
}

/// What generators of schemas write.
#[test]
fn schemas_of_clients() {
    let pydantic = json!({"$defs": {"Color": {"enum": ["red", "green"], "title": "Color", "type": "string"},
        "Pet": {"properties": {"name": {"title": "Name", "type": "string"}}, "required": ["name"], "title": "Pet", "type": "object"}},
        "properties": {"id": {"title": "Id", "type": "integer"}, "color": {"$ref": "#/$defs/Color", "default": "red"},
            "pet": {"anyOf": [{"$ref": "#/$defs/Pet"}, {"type": "null"}], "default": null},
            "path": {"format": "path", "title": "Path", "type": "string"},
            "notes": {"additionalProperties": {"type": "string"}, "title": "Notes", "type": "object"},
            "price": {"exclusiveMinimum": 0, "title": "Price", "type": "number"}},
        "required": ["id"], "title": "Item", "type": "object"});
    let text = r#"{"id": 1, "color": "green", "pet": {"name": "x"}, "path": "/a", "notes": {"k": "v"}, "price": 0.5}"#;
    check(
        pydantic,
        &[text, r#"{"id":1}"#, r#"{"id":1,"pet":null}"#],
        &["{}", r#"{"id":1,"color":"blue"}"#, r#"{"id":1,"price":0}"#],
    );
    let zod = json!({"$schema": "http://json-schema.org/draft-07/schema#", "type": "object", "additionalProperties": false,
        "properties": {"city": {"type": "string", "minLength": 1, "description": "where"}, "unit": {"type": "string", "enum": ["c", "f"]}},
        "required": ["city", "unit"]});
    check(
        zod,
        &[r#"{"city":"Bern","unit":"c"}"#],
        &[r#"{"city":"","unit":"c"}"#, r#"{"unit":"c","city":"Bern"}"#],
    );
    let home = json!({"type": "object", "properties": {"name": {"type": "string"}, "area": {"type": "string", "nullable": true},
        "domain": {"type": "array", "items": {"type": "string"}}, "brightness": {"type": "integer", "minimum": 0, "maximum": 100}},
        "required": []});
    check(
        home,
        &["{}", r#"{"name":"Lamp","domain":["light"],"brightness":100}"#],
        &[r#"{"brightness":101}"#],
    );
}
