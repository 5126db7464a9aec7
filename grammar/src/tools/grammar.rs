//! The grammar of an answer that may be calls.

use std::fmt::Write as _;

use super::{ToolChoice, ToolSet, prepared};
use crate::error::GrammarError;
use crate::limits;

/// llguidance's notation for the answers of `set`. A call may begin with a marker anywhere in the text, or be the whole
/// text; what begins like a call is one.
pub(super) fn write(set: &ToolSet) -> Result<String, GrammarError> {
    let syntax = set.style.syntax();
    let free = set.choice == ToolChoice::Auto;
    let mut text = String::from("start: calls");
    text.push_str(if free { " | FREE | \"\"\n" } else { "\n" });
    // The first call of a text may have other text before its marker.
    let first = if syntax.open.is_empty() {
        ""
    } else if free {
        "LEAD "
    } else {
        "OPEN "
    };
    let _ = write!(text, "calls: {first}body");
    if set.parallel {
        let _ = write!(text, " (NEXT body){{0,{}}}", limits::MAX_CALLS - 1);
    }
    text.push('\n');
    if syntax.open.is_empty() {
        // Text that does not begin with a brace. Blanks before one would hide a call.
        text.push_str("FREE: /(\\s*[^{\\s](?s:.)*|\\s+)/\n");
    } else {
        let open = slashes(syntax.open);
        let _ = writeln!(text, "FREE: /(?s:.+)/ & ~/(?s:.*){open}(?s:.*)/");
        let _ = writeln!(text, "LEAD: OPEN | FREE OPEN");
        let _ = writeln!(text, "OPEN: /{open}/");
        let _ = writeln!(text, "NEXT: /\\n?{open}/");
    }
    let bodies: Vec<String> = (0..set.callable().count())
        .map(|at| format!("body{at}"))
        .collect();
    let _ = writeln!(text, "body: {}", bodies.join(" | "));
    for (at, tool) in set.callable().enumerate() {
        let newline = if syntax.open.is_empty() { "" } else { "\\n?" };
        let _ = writeln!(text, "body{at}: HEAD{at} arguments{at} TAIL");
        let name = &tool.name;
        let arguments = syntax.arguments;
        let _ = writeln!(
            text,
            "HEAD{at}: /{newline}\\{{\"name\": ?\"{name}\", ?\"{arguments}\": ?/"
        );
        let _ = writeln!(text, "arguments{at}: %json {}", prepared(tool)?);
    }
    let newline = if syntax.close.is_empty() { "" } else { "\\n?" };
    let _ = writeln!(text, "TAIL: /\\}}{newline}{}/", slashes(syntax.close));
    Ok(text)
}

/// A slash ends a regular expression.
fn slashes(text: &str) -> String {
    text.replace('/', "\\/")
}
