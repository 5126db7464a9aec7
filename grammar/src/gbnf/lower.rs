//! From rules to llguidance's notation.
//!
//! llguidance has a lexer: among the terminals that may be next it takes the longest match, and does not come back. GBNF
//! has none. So a grammar without recursion becomes one terminal, a regular expression, which is exact. In every other
//! grammar a terminal is a single character: no match is longer than another, and the parser follows all of them.

use std::collections::HashMap;
use std::fmt::Write as _;

use super::{Class, Grammar, Item, Symbol};
use crate::error::{ErrorKind, GrammarError};
use crate::limits;

/// The grammar in Lark. See the module.
pub(super) fn lower(grammar: &Grammar) -> Result<String, GrammarError> {
    check_ends(grammar)?;
    check_chains(grammar)?;
    let plain = without_recursion(grammar);
    let mut out = Writer::default();
    if plain[grammar.root] {
        // A terminal is not empty; the empty text is an alternative of its own.
        let _ = writeln!(
            out.text,
            "start: FULL | \"\"\nFULL: R{} & /(?s:.+)/",
            grammar.root
        );
        if !may_be_empty(grammar)[grammar.root] {
            out.text = format!("start: R{}\n", grammar.root);
        }
        out.rules(grammar, "R", true);
    } else {
        check_alternatives(grammar)?;
        let _ = writeln!(out.text, "start: r{}", grammar.root);
        out.rules(grammar, "r", false);
    }
    out.classes();
    Ok(out.text)
}

#[derive(Default)]
struct Writer {
    text: String,
    classes: HashMap<Class, usize>,
}

impl Writer {
    /// Rules that can be reached from the root; `whole` writes strings in one piece.
    fn rules(&mut self, grammar: &Grammar, prefix: &str, whole: bool) {
        for rule in reachable(grammar) {
            let _ = write!(self.text, "{prefix}{rule}:");
            for (at, items) in grammar.rules[rule].iter().enumerate() {
                self.text.push_str(if at == 0 { " " } else { " | " });
                if items.is_empty() {
                    self.text.push_str("\"\"");
                }
                for item in items {
                    self.item(item, prefix, whole);
                }
            }
            self.text.push('\n');
        }
    }

    fn item(&mut self, item: &Item, prefix: &str, whole: bool) {
        match &item.symbol {
            Symbol::Rule(rule) => {
                let _ = write!(self.text, "{prefix}{rule}");
            }
            Symbol::Class(class) => self.class(class),
            Symbol::Text(text) if text.is_empty() => self.text.push_str("\"\""),
            Symbol::Text(text) if whole => {
                let _ = write!(self.text, "/{}/", escaped(text.chars()));
            }
            Symbol::Text(text) => {
                self.text.push_str("( ");
                for character in text.chars() {
                    let ranges = vec![(character.into(), character.into())];
                    self.class(&Class {
                        negated: false,
                        ranges,
                    });
                    self.text.push(' ');
                }
                self.text.push(')');
            }
        }
        match (item.least, item.most) {
            (1, Some(1)) => {}
            (0, Some(1)) => self.text.push('?'),
            (0, None) => self.text.push('*'),
            (1, None) => self.text.push('+'),
            (least, None) => {
                let _ = write!(self.text, "{{{least},}}");
            }
            (least, Some(most)) => {
                let _ = write!(self.text, "{{{least},{most}}}");
            }
        }
        self.text.push(' ');
    }

    fn class(&mut self, class: &Class) {
        let number = self.classes.len();
        let number = *self.classes.entry(class.clone()).or_insert(number);
        let _ = write!(self.text, "C{number}");
    }

    fn classes(&mut self) {
        let mut classes: Vec<_> = self.classes.iter().collect();
        classes.sort_by_key(|(_, number)| **number);
        for (class, number) in classes {
            let _ = writeln!(self.text, "C{number}: /{}/", expression(class));
        }
    }
}

fn escaped(text: impl Iterator<Item = char>) -> String {
    let mut out = String::new();
    for character in text {
        let _ = write!(out, "\\x{{{:x}}}", u32::from(character));
    }
    out
}

/// A regular expression for one character.
fn expression(class: &Class) -> String {
    if class.ranges.is_empty() {
        return "(?s:.)".to_owned();
    }
    let mut out = String::from(if class.negated { "[^" } else { "[" });
    for &(first, last) in &class.ranges {
        // No character is between these two.
        for (low, high) in [(first, last.min(0xD7FF)), (first.max(0xE000), last)] {
            if low <= high {
                let _ = write!(out, "\\x{{{low:x}}}-\\x{{{high:x}}}");
            }
        }
    }
    out.push(']');
    out
}

fn references(alternatives: &[Vec<Item>]) -> impl DoubleEndedIterator<Item = usize> {
    alternatives
        .iter()
        .flatten()
        .filter_map(|item| match item.symbol {
            Symbol::Rule(rule) => Some(rule),
            _ => None,
        })
}

/// Rules in the order in which they are reached, with the depth of the chain that led there first.
fn visit(grammar: &Grammar) -> Vec<(usize, usize)> {
    let mut seen = vec![false; grammar.rules.len()];
    let mut open = vec![(grammar.root, 1)];
    let mut order = Vec::new();
    while let Some((rule, depth)) = open.pop() {
        if std::mem::replace(&mut seen[rule], true) {
            continue;
        }
        order.push((rule, depth));
        open.extend(
            references(&grammar.rules[rule])
                .rev()
                .map(|next| (next, depth + 1)),
        );
    }
    order
}

fn reachable(grammar: &Grammar) -> Vec<usize> {
    visit(grammar).into_iter().map(|(rule, _)| rule).collect()
}

/// llguidance recurses from rule to rule.
fn check_chains(grammar: &Grammar) -> Result<(), GrammarError> {
    match visit(grammar)
        .into_iter()
        .find(|(_, depth)| *depth > limits::MAX_RULE_DEPTH)
    {
        Some((rule, _)) => {
            let message = format!(
                "more than {} rules lead from root to here",
                limits::MAX_RULE_DEPTH
            );
            Err(GrammarError::new(
                ErrorKind::Limit,
                format!("rule {}", grammar.names[rule]),
                message,
            ))
        }
        None => Ok(()),
    }
}

/// Each alternative of a grammar with recursion is followed by itself at every character.
fn check_alternatives(grammar: &Grammar) -> Result<(), GrammarError> {
    let most = limits::MAX_ALTERNATIVES;
    match reachable(grammar)
        .into_iter()
        .find(|rule| grammar.rules[*rule].len() > most)
    {
        Some(rule) => {
            let message = format!("more than {most} alternatives in a grammar that has recursion");
            Err(GrammarError::new(
                ErrorKind::Limit,
                format!("rule {}", grammar.names[rule]),
                message,
            ))
        }
        None => Ok(()),
    }
}

/// Grows the set of rules for which `holds` says so, given the set so far, until it grows no more.
fn closure(grammar: &Grammar, holds: impl Fn(&[Vec<Item>], &[bool]) -> bool) -> Vec<bool> {
    let mut known = vec![false; grammar.rules.len()];
    loop {
        let mut grown = false;
        for rule in 0..known.len() {
            if !known[rule] && holds(&grammar.rules[rule], &known) {
                known[rule] = true;
                grown = true;
            }
        }
        if !grown {
            return known;
        }
    }
}

/// Every rule must have a text, or an answer could come to where it can never end.
fn check_ends(grammar: &Grammar) -> Result<(), GrammarError> {
    let ends = closure(grammar, |alternatives, known| {
        alternatives.iter().any(|items| {
            items.iter().all(|item| match item.symbol {
                Symbol::Rule(rule) => known[rule] || item.least == 0,
                _ => true,
            })
        })
    });
    match reachable(grammar).into_iter().find(|rule| !ends[*rule]) {
        Some(rule) => {
            let at = format!("rule {}", grammar.names[rule]);
            Err(GrammarError::new(
                ErrorKind::Unsatisfiable,
                at,
                "no text ends this rule: it always needs itself",
            ))
        }
        None => Ok(()),
    }
}

/// Which rules do not come back to themselves.
fn without_recursion(grammar: &Grammar) -> Vec<bool> {
    closure(grammar, |alternatives, known| {
        references(alternatives).all(|rule| known[rule])
    })
}

fn may_be_empty(grammar: &Grammar) -> Vec<bool> {
    closure(grammar, |alternatives, known| {
        alternatives.iter().any(|items| {
            items.iter().all(|item| {
                item.least == 0
                    || match &item.symbol {
                        Symbol::Rule(rule) => known[*rule],
                        Symbol::Text(text) => text.is_empty(),
                        Symbol::Class(_) => false,
                    }
            })
        })
    })
}
