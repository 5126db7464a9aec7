//! Memory and time over a real vocabulary: `measure < TOKENS`. The first line has the end tokens, every further line a
//! token's bytes in hexadecimal, or `-` for a control token.

use std::io::Read as _;
use std::time::{Duration, Instant};

use serde_json::json;
use siskin_grammar::{CallStyle, Constraint, Form, TokenText, Tool, ToolChoice, ToolSet, Vocabulary};

fn main() {
    let mut input = String::new();
    std::io::stdin()
        .read_to_string(&mut input)
        .expect("tokens in text");
    let mut lines = input.lines();
    let ends: Vec<u32> = lines
        .next()
        .unwrap_or("")
        .split(' ')
        .map(|end| end.parse().expect("an end token"))
        .collect();
    let tokens: Vec<TokenText> = lines.map(token).collect();
    let before = resident();
    let start = Instant::now();
    let vocabulary = Vocabulary::new(tokens.iter().cloned(), &ends).expect("a vocabulary");
    println!(
        "{} tokens in {:.1?}: {:.1} MB, {:.1} MB at the peak",
        vocabulary.len(),
        start.elapsed(),
        megabytes(resident().0.saturating_sub(before.0)),
        megabytes(resident().1.saturating_sub(before.0)),
    );
    let name = json!({"type": "object", "additionalProperties": false, "required": ["name", "age", "tags"],
        "properties": {"name": {"type": "string"}, "age": {"type": "integer", "minimum": 0, "maximum": 150},
            "tags": {"type": "array", "items": {"type": "string", "maxLength": 20}}}});
    let text = r#"{"name": "Ada Lovelace, the first one", "age": 36, "tags": ["mathematics", "engines"]}"#;
    let tool = |at: usize| Tool {
        name: format!("tool_{at}"),
        description: String::new(),
        parameters: name.clone(),
        strict: true,
    };
    let tools = ToolSet::new(
        (0..8).map(tool).collect(),
        ToolChoice::Auto,
        true,
        CallStyle::Tagged,
    )
    .expect("tools");
    let call = format!("<tool_call>\n{{\"name\": \"tool_3\", \"arguments\": {text}}}\n</tool_call>");
    let most = ToolSet::new(
        (0..64).map(tool).collect(),
        ToolChoice::Auto,
        true,
        CallStyle::Tagged,
    )
    .expect("tools");
    measure(
        &vocabulary,
        &tokens,
        "call of 64 tools",
        &most.form().expect("a form"),
        &call,
    );
    let gbnf = include_str!("../tests/data/json.gbnf");
    let schema = Form::JsonSchema {
        schema: name.clone(),
        strict: true,
    };
    measure(&vocabulary, &tokens, "object", &Form::JsonObject, text);
    measure(&vocabulary, &tokens, "schema", &schema, text);
    measure(
        &vocabulary,
        &tokens,
        "call",
        &tools.form().expect("a form"),
        &call,
    );
    measure(
        &vocabulary,
        &tokens,
        "text",
        &tools.form().expect("a form"),
        &"The weather is fine today. ".repeat(20),
    );
    measure(
        &vocabulary,
        &tokens,
        "gbnf json",
        &Form::Gbnf(gbnf.to_owned()),
        text,
    );
    let list = Form::Gbnf("root ::= (\"- \" [^\\n]+ \"\\n\")+".to_owned());
    measure(
        &vocabulary,
        &tokens,
        "gbnf list",
        &list,
        "- one\n- two and three\n- four\n",
    );
    let (now, peak) = resident();
    println!(
        "{:.1} MB more than before, {:.1} at the peak",
        megabytes(now - before.0),
        megabytes(peak - before.0)
    );
}

fn token(line: &str) -> TokenText {
    if line == "-" {
        return TokenText::Control;
    }
    let byte = |at| u8::from_str_radix(&line[at..at + 2], 16).expect("hexadecimal digits");
    TokenText::Text((0..line.len()).step_by(2).map(byte).collect())
}

fn measure(vocabulary: &Vocabulary, tokens: &[TokenText], what: &str, form: &Form, text: &str) {
    let start = Instant::now();
    let fresh = form.compile(vocabulary).expect("a form");
    let compiled = start.elapsed();
    let longest = |rest: &[u8]| {
        let fits =
            |token: &TokenText| matches!(token, TokenText::Text(b) if !b.is_empty() && rest.starts_with(b));
        let length = |token: &TokenText| {
            if let TokenText::Text(bytes) = token {
                bytes.len()
            } else {
                0
            }
        };
        (0..tokens.len())
            .filter(|t| fits(&tokens[*t]))
            .max_by_key(|t| length(&tokens[*t]))
            .map(|t| (t, length(&tokens[t])))
    };
    let mut ids = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((token, length)) = longest(rest) {
        ids.push(token as u32);
        rest = &rest[length..];
    }
    let (mut checks, mut masks, mut worst) = (Duration::ZERO, Duration::ZERO, Duration::ZERO);
    let mut walk = |constraint: &mut Constraint, masked: bool| {
        for id in &ids {
            if masked {
                let start = Instant::now();
                constraint.mask().expect("a mask");
                masks += start.elapsed();
                worst = worst.max(start.elapsed());
            }
            let start = Instant::now();
            constraint.accept(*id).expect("the text has the form");
            checks += if masked { Duration::ZERO } else { start.elapsed() };
        }
        assert!(constraint.may_end());
    };
    walk(&mut fresh.clone(), false);
    walk(&mut fresh.clone(), true);
    let count = ids.len() as u32;
    println!(
        "{what}: compiled in {compiled:.1?}; {count} tokens; a token tried and accepted {:.1?}; a mask {:.1?}, at most {worst:.1?}",
        checks / count,
        masks / count,
    );
}

/// Bytes that are resident now, and at the most so far.
fn resident() -> (u64, u64) {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let field = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name));
        line.and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok())
            .unwrap_or(0)
            * 1024
    };
    (field("VmRSS:"), field("VmHWM:"))
}

fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}
