//! GBNF, llama.cpp's notation for grammars, as a grammar of llguidance.
//!
//! The notation is that of llama.cpp's `grammars/README.md`: rules `name ::= …`, alternatives, strings and character
//! classes with escapes, groups, `* + ? {m,n}`, `.` for any character, comments, and `root` to start with. Left recursion
//! is allowed. Tokens by number or name (`<[7]>`, `<think>`) are refused.

mod lower;
mod parse;
mod scan;
mod text;

use crate::error::GrammarError;

/// Characters `first..=last` as code points, sorted as they were written.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Class {
    negated: bool,
    ranges: Vec<(u32, u32)>,
}

/// What a rule is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Symbol {
    Text(String),
    Class(Class),
    Rule(usize),
}

/// A symbol, so many times.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Item {
    symbol: Symbol,
    least: u32,
    most: Option<u32>,
}

/// The alternatives of a rule.
type Alternatives = Vec<Vec<Item>>;

/// A grammar: rules by number, and which one is `root`. A group is a rule.
#[derive(Debug, PartialEq, Eq)]
struct Grammar {
    rules: Vec<Alternatives>,
    names: Vec<String>,
    root: usize,
}

/// The grammar in llguidance's notation.
///
/// # Errors
/// Not GBNF, or beyond [`crate::limits`], or without any text.
pub(crate) fn to_lark(source: &str) -> Result<String, GrammarError> {
    lower::lower(&parse::parse(source)?)
}
