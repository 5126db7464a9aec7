//! The expected values are those of Python's `json.loads`, or what the module's table has instead.

use super::*;
use serde_json::{Value, json};

fn read(text: &str) -> Result<Value, JsonError> {
    from_slice(text.as_bytes())
}

#[test]
fn what_python_reads_is_read() {
    let cases = [
        (r#"{"a":1,"a":2}"#, json!({"a": 2})),
        (
            r#"{"a":1,"b":0,"a":{"a":3,"a":4}}"#,
            json!({"b": 0, "a": {"a": 4}}),
        ),
        (r#"{"a":{"x":NaN,"x":1},"a":2, "a" : 3 }"#, json!({"a": 3})),
        (r#"{"a":1,"\u0061":2}"#, json!({"a": 2})),
        (
            r#"{"é":1,"\u00E9":2,"b":[{"c":1},{"c":2}]}"#,
            json!({"é": 2, "b": [{"c": 1}, {"c": 2}]}),
        ),
        (
            "{\n\"a\" :\t1 ,\r\n\"a\": [] , \"b\": {} }",
            json!({"a": [], "b": {}}),
        ),
        (
            "[NaN, Infinity, -Infinity, 1e999, -1e999]",
            json!(["NaN", "Infinity", "-Infinity", "Infinity", "-Infinity"]),
        ),
        (r#"["NaN", "a,\"NaN\"", "\\"]"#, json!(["NaN", "a,\"NaN\"", "\\"])),
        (
            r#"["\ud83d\ude00", "\ud83d", "\ude00x", "\ud83d\ud83d\ude00"]"#,
            json!(["😀", "\u{fffd}", "\u{fffd}x", "\u{fffd}😀"]),
        ),
        ("\u{feff}{\"a\":1}", json!({"a": 1})),
        (" 7 ", json!(7)),
        ("[true,false,null]", json!([true, false, null])),
    ];
    for (text, want) in cases {
        assert_eq!(read(text).expect(text), want, "{text}");
    }
}

#[test]
fn numbers_keep_their_value() {
    let text = b"[256.0, 1e3, -0, 0.5E-2, 1000000000000000019884624838656]";
    let numbers: Vec<f64> = from_slice(text).expect("numbers");
    assert_eq!(numbers, [256.0, 1000.0, -0.0, 0.005, 1e30]);
}

#[test]
fn strict_text_is_not_copied() {
    for (text, borrowed) in [
        (r#"{"a":[1,{"b":"\u00e9"}],"c":{}}"#, true),
        (r#"{"a":1,"a":1}"#, false),
    ] {
        let strict = strict(text.as_bytes()).expect(text);
        assert_eq!(matches!(strict, Cow::Borrowed(_)), borrowed, "{text}");
    }
}

#[test]
fn what_is_not_json_is_named_with_its_place() {
    let deep = "[".repeat(101);
    let many = "[".to_owned() + &"NaN,".repeat(MAX_EDITS + 1) + "0]";
    let cases: [(&str, &str); 22] = [
        ("", "the file is empty"),
        (" \n", "the file is empty"),
        ("\u{feff}", "the file is empty"),
        ("<!DOCTYPE html>", "an HTML page"),
        ("{", "line 1, column 2: expected a key"),
        ("{\"a\":1,\n  }", "line 2, column 3: expected a key"),
        ("{\"a\"}", "column 5: expected a colon"),
        ("{\"a\":}", "column 6: expected a value"),
        ("{\"a\":1", "column 7: the text ends too early"),
        ("{\"a\":1]", "column 7: expected a comma or }"),
        ("[1}", "column 3: expected a comma or ]"),
        ("[1,]", "column 4: expected a value"),
        ("[1 2]", "column 4: expected a comma"),
        ("1 1", "column 3: more text after the end"),
        ("nonsense", "column 1: expected a value"),
        ("[01]", "column 2: expected a value"),
        ("[+1, .5, 1., 1e]", "column 2: expected a value"),
        ("\"a", "the text ends within a string"),
        ("\"\\x\"", "an unknown escape"),
        ("\"\\u12\"", "four hexadecimal digits"),
        (&deep, "column 101: nested deeper"),
        (&many, "too many keys that come twice"),
    ];
    for (text, want) in cases {
        let error = read(text).expect_err(text).to_string();
        assert!(
            error.contains(want) && !error.contains('\n'),
            "{text:.40}: {error}"
        );
    }
    let error = from_slice::<Value>(b"[\"\xff\"]").expect_err("not UTF-8");
    assert_eq!(
        error.to_string(),
        "byte 2 is not UTF-8 text; get the file again, or save it as UTF-8"
    );
}

#[test]
fn large_objects_are_read_in_linear_time() {
    let names: String = (0..200_000).map(|n| format!("\"{n}\":{n},")).collect();
    let text = format!("{{{names}\"7\":\"last\"}}");
    let value = read(&text).expect("an object");
    assert_eq!(
        (value["7"].as_str(), value["8"].as_u64()),
        (Some("last"), Some(8))
    );
}

/// Whatever strict JSON a text is made of, reading it changes nothing; and no text makes the reader panic.
#[test]
fn random_texts() {
    use proptest::prelude::*;
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    let tree = leaf.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map(any::<String>(), inner, 0..6)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    });
    proptest!(|(tree in tree, junk in "[\\[\\]{}:,\"\\\\aNu0-9eE.+ -]{0,40}")| {
        prop_assert_eq!(&read(&tree.to_string()).expect("strict"), &tree);
        prop_assert_eq!(&read(&serde_json::to_string_pretty(&tree).expect("text")).expect("strict"), &tree);
        // What the scanner accepts, serde_json accepts too.
        if let Ok(text) = strict(junk.as_bytes()) {
            prop_assert!(serde_json::from_slice::<Value>(&text).is_ok(), "{}", junk);
        }
    });
}
