//! Grammars in GBNF.

use siskin_grammar::{ErrorKind, Form};

use crate::bytes::{compile, is_whole};

fn check(source: &str, whole: &[&str], other: &[&str]) {
    let constraint =
        compile(&Form::Gbnf(source.to_owned())).unwrap_or_else(|error| panic!("{source}: {error}"));
    for text in whole {
        assert!(is_whole(&constraint, text), "{source} refuses {text:?}");
    }
    for text in other {
        assert!(!is_whole(&constraint, text), "{source} accepts {text:?}");
    }
}

#[test]
fn rules_alternatives_and_groups() {
    check(
        r#"root ::= "yes" | "no""#,
        &["yes", "no"],
        &["", "ye", "yesno", "maybe"],
    );
    check(
        "# answer\nroot ::= a b # both\na ::= \"x\" |\n  \"y\"\n\nb ::= (\"1\"\n | \"2\")",
        &["x1", "y2"],
        &["x", "1", "x3"],
    );
    check(
        "root ::= \"a\"\n  | \"b\"\n  # more\n  | \"c\"\nother ::= \"d\"",
        &["a", "b", "c"],
        &["d"],
    );
    check(
        "root ::= (\"a\" (\"b\" | \"c\")){2}",
        &["abac", "acab"],
        &["ab", "abab ", "ababab"],
    );
    check("root ::= \"\" | \"a\"", &["", "a"], &["b"]);
    check("root ::= | \"a\"", &["", "a"], &["aa"]);
    check("root\t::=\r\n \"a\"\r\n", &["a"], &[""]);
}

#[test]
fn strings_and_classes_with_escapes() {
    check(
        r#"root ::= "a\"b\\\n\t\x41\u00e9\U0001F600""#,
        &["a\"b\\\n\tAé😀"],
        &["a"],
    );
    check(r#"root ::= [a-c\]^-]+"#, &["abc]^-"], &["d", ""]);
    check(r#"root ::= [^a-c\n]"#, &["d", "é", "😀"], &["a", "\n", "", "de"]);
    check("root ::= . .", &["ab", "\n😀"], &["a", "abc"]);
    check(r#"root ::= [\u0400-\u04FF]{2}"#, &["да"], &["ab", "д"]);
}

#[test]
fn repetitions() {
    check(
        "root ::= \"a\"* \"b\"+ \"c\"? [d]{2} [e]{1,2} [f]{2,}",
        &["bddeff", "aabbcddeefff"],
        &["bddef", "addeff", "bdeff"],
    );
    check("root ::= \"ab\"{0,2}", &["", "ab", "abab"], &["a", "ababab"]);
}

#[test]
fn what_a_longest_match_would_miss_is_accepted() {
    check(
        "root ::= (\"a\" | \"ab\") \"bc\"",
        &["abc", "abbc"],
        &["ab", "bc"],
    );
    check(
        "root ::= [a-z]* \"end\"",
        &["end", "enend", "xend"],
        &["en", "endx"],
    );
    let nested = "root ::= \"(\" root \")\" | w\nw ::= \"yes\" | [a-z]+";
    check(nested, &["yes", "yellow", "((y))", "(yes)"], &["(yes", "()"]);
    check("root ::= root \"a\" | \"a\"", &["a", "aaa"], &["", "b"]);
    check(
        "root ::= e\ne ::= e \"+\" e | [0-9]+ | [0-9]+ \".\" [0-9]+",
        &["1", "1+2.5+3"],
        &["1+", "1."],
    );
}

/// The grammar of JSON as it is often written.
pub(crate) const JSON: &str = include_str!("../data/json.gbnf");

#[test]
fn json() {
    check(
        JSON,
        &["{}", "{\n  \"a\": [1, 2.5e3, true],\n  \"b\": \"\\u00e9\"}"],
        &["[]", "{\"a\"}", "{,}", "{\"a\": tru}"],
    );
}

#[test]
fn what_is_not_a_grammar_is_refused_with_its_place() {
    use ErrorKind::{Limit, Syntax, Unsatisfiable, Unsupported};
    let long = "a".repeat(70_000);
    let cases = [
        ("", Syntax, ""),
        ("a ::= \"b\"", Syntax, ""),
        ("root ::= b", Syntax, ""),
        ("root ::= \"a", Syntax, "line 1, column 12"),
        ("root ::= \"a\"\nroot ::= \"b\"", Syntax, "line 2, column 9"),
        ("root = \"a\"", Syntax, "line 1, column 6"),
        ("root ::= [a", Syntax, "line 1, column 12"),
        ("root ::= []", Syntax, "line 1, column 11"),
        ("root ::= [b-a]", Syntax, "line 1, column 14"),
        ("root ::= \"\\q\"", Syntax, "line 1, column 13"),
        ("root ::= \"\\ud800\"", Syntax, "line 1, column 17"),
        ("root ::= (\"a\"", Syntax, "line 1, column 14"),
        ("root ::= \"a\")", Syntax, "line 1, column 13"),
        ("root ::= *", Syntax, "line 1, column 11"),
        ("root ::= \"a\"{2,1}", Syntax, "line 1, column 18"),
        ("root ::= \"a\"{}", Syntax, "line 1, column 14"),
        ("root ::= \"a\"{0,100000}", Limit, "line 1, column 22"),
        ("root ::= <[42]>", Unsupported, "line 1, column 10"),
        ("root ::= !<think>", Unsupported, "line 1, column 10"),
        (
            "root ::= [^\\x00-\\U0010FFFF]",
            Unsatisfiable,
            "line 1, column 28",
        ),
        ("root ::= \"a\" root", Unsatisfiable, "rule root"),
        ("root ::= \"a\" | b\nb ::= \"c\" b", Unsatisfiable, "rule b"),
        (&long, Limit, ""),
        ("%json {}", Syntax, "line 1, column 1"),
    ];
    for (source, kind, at) in cases {
        let error = compile(&Form::Gbnf(source.to_owned())).expect_err(&source[..source.len().min(60)]);
        assert_eq!((error.kind(), error.at()), (kind, at), "{error}");
    }
}

#[test]
fn nested_groups_and_long_chains_are_refused_at_once() {
    let groups = format!("root ::= {}\"a\"{}", "(".repeat(30_000), ")".repeat(30_000));
    assert_eq!(compile(&Form::Gbnf(groups)).unwrap_err().kind(), ErrorKind::Limit);
    let unclosed = format!("root ::= {}", "(".repeat(60_000));
    assert_eq!(
        compile(&Form::Gbnf(unclosed)).unwrap_err().kind(),
        ErrorKind::Limit
    );
    let chain: String = (0..900).map(|i| format!("r{i} ::= r{}\n", i + 1)).collect();
    let chain = format!("root ::= r0\n{chain}r900 ::= \"a\"");
    assert_eq!(compile(&Form::Gbnf(chain)).unwrap_err().kind(), ErrorKind::Limit);
    let many: String = (0..1100).map(|i| format!("r{i} ::= \"a\"\n")).collect();
    assert_eq!(
        compile(&Form::Gbnf(format!("root ::= r0\n{many}")))
            .unwrap_err()
            .kind(),
        ErrorKind::Limit
    );
}

#[test]
fn the_largest_grammars_that_are_allowed_do_not_overflow_the_stack() {
    let groups = format!("root ::= {}\"a\"{}", "(".repeat(100), ")".repeat(100));
    check(&groups, &["a"], &["b"]);
    let chain: String = (0..250)
        .map(|i| format!("r{i} ::= \"(\" r{} | \"x\"\n", i + 1))
        .collect();
    check(
        &format!("root ::= r0\n{chain}r250 ::= \"a\""),
        &["x", "((x"],
        &["a"],
    );
    check(
        &format!("root ::= r0 | root \"y\"\n{chain}r250 ::= \"a\""),
        &["x", "((xyy"],
        &["a"],
    );
}

#[test]
fn many_alternatives_are_refused_if_they_are_not_one_expression() {
    let words: Vec<String> = (0..5000).map(|i| format!("\"w{i}\"")).collect();
    let source = format!("root ::= \"(\" root \")\" | {}", words.join(" | "));
    assert_eq!(compile(&Form::Gbnf(source)).unwrap_err().kind(), ErrorKind::Limit);
    // The same words without recursion are one expression.
    check(
        &format!("root ::= {}", words.join(" | ")),
        &["w7", "w4999"],
        &["w5000"],
    );
}
