//! Conditions of a template on what messages say: a template can hide another answer behind a word in a question.

use std::collections::BTreeSet;

use crate::Template;
use crate::ast::{Arguments, Body, Comparison, Expr, Kind, Statement, Step, StepKind, Target};

/// A condition on the text of messages.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Condition {
    /// Line of the statement, from 1.
    pub line: u32,
    /// The text that is looked for, or the method that looks.
    pub what: String,
}

/// Names of the text of a message and of its parts.
const CONTENT: [&str; 3] = ["content", "text", "reasoning_content"];
/// What is a message's or a part's, and not its text.
const NOT_TEXT: [&str; 7] = ["role", "type", "name", "id", "image", "image_url", "tool_calls"];
/// Methods that search a text.
const SEARCHES: [&str; 8] = [
    "startswith",
    "endswith",
    "find",
    "rfind",
    "index",
    "rindex",
    "count",
    "partition",
];
/// Filters and tests that do.
const TESTS: [&str; 6] = ["equalto", "eq", "==", "in", "ne", "select"];
/// Texts that templates of known models look for: where an earlier answer reasoned or called a tool, and kinds of parts.
const KNOWN: [&str; 19] = [
    "</think>",
    "<think>",
    "</tool_call>",
    "<tool_call>",
    "</tool_response>",
    "<tool_response>",
    "/no_think",
    "/think",
    "assistant",
    "audio",
    "image",
    "image_url",
    "system",
    "text",
    "tool",
    "type",
    "user",
    "video",
    "content",
];

impl Template {
    /// The conditions on what messages say, in order: comparisons with a text, searches for one. Those of templates of
    /// known models are left out: roles, kinds of parts, the marks of reasoning and of tools.
    pub fn conditions_on_content(&self) -> Vec<Condition> {
        // Names that hold what a message says, until no more are found; each round finds one more step of a chain.
        let mut names: BTreeSet<&str> = CONTENT.into();
        for _ in 0..8 {
            let known = names.len();
            statements(&self.body, &mut |statement| named(statement, &mut names));
            if names.len() == known {
                break;
            }
        }
        let mut found = BTreeSet::new();
        statements(&self.body, &mut |statement| {
            expressions(statement, &mut |expr| {
                let texts = looked_for(expr, &names);
                found.extend(texts.into_iter().map(|what| Condition {
                    line: statement.line,
                    what,
                }));
            });
        });
        found.into_iter().collect()
    }
}

/// Every statement. Bodies nest as deep as the parser allows.
fn statements<'t>(body: &'t Body, see: &mut dyn FnMut(&'t Statement)) {
    for statement in body {
        see(statement);
        match &statement.kind {
            Kind::If { arms, otherwise } => {
                arms.iter().for_each(|(_, body)| statements(body, see));
                statements(otherwise, see);
            }
            Kind::For(of) => {
                statements(&of.body, see);
                statements(&of.otherwise, see);
            }
            Kind::Macro(of) => statements(&of.body, see),
            Kind::Call { caller, .. } => statements(&caller.body, see),
            Kind::SetBlock { body, .. }
            | Kind::Filter { body, .. }
            | Kind::With { body, .. }
            | Kind::Scope(body) => statements(body, see),
            Kind::Text(_) | Kind::Print(_) | Kind::Set(..) | Kind::Break | Kind::Continue => {}
        }
    }
}

/// Every expression of a statement, without those of the statements in it.
fn expressions<'t>(statement: &'t Statement, see: &mut dyn FnMut(&'t Expr)) {
    match &statement.kind {
        Kind::Print(expr) | Kind::Set(_, expr) | Kind::Call { call: expr, .. } => inside(expr, see),
        Kind::If { arms, .. } => arms.iter().for_each(|(test, _)| inside(test, see)),
        Kind::For(of) => {
            inside(&of.list, see);
            of.test.iter().for_each(|test| inside(test, see));
        }
        Kind::SetBlock { filters, .. } | Kind::Filter { filters, .. } => {
            filters.iter().for_each(|step| of_step(step, see));
        }
        Kind::With { values, .. } => values.iter().for_each(|(_, expr)| inside(expr, see)),
        Kind::Macro(of) => {
            let defaults = of.parameters.iter().filter_map(|(_, expr)| expr.as_ref());
            defaults.for_each(|expr| inside(expr, see));
        }
        Kind::Text(_) | Kind::Scope(_) | Kind::Break | Kind::Continue => {}
    }
}

/// An expression and all in it.
fn inside<'t>(expr: &'t Expr, see: &mut dyn FnMut(&'t Expr)) {
    see(expr);
    match expr {
        Expr::List(all) | Expr::Tuple(all) | Expr::Concat(all) | Expr::And(all) | Expr::Or(all) => {
            all.iter().for_each(|expr| inside(expr, see));
        }
        Expr::Map(pairs) => pairs.iter().for_each(|(key, value)| {
            inside(key, see);
            inside(value, see);
        }),
        Expr::Not(expr) | Expr::Negative(expr) | Expr::Positive(expr) => inside(expr, see),
        Expr::Chain(first, rest) => {
            inside(first, see);
            rest.iter().for_each(|(_, expr)| inside(expr, see));
        }
        Expr::Compare(first, rest) => {
            inside(first, see);
            rest.iter().for_each(|(_, expr)| inside(expr, see));
        }
        Expr::If {
            test,
            then,
            otherwise,
        } => {
            inside(test, see);
            inside(then, see);
            otherwise.iter().for_each(|expr| inside(expr, see));
        }
        Expr::Steps(first, steps) => {
            inside(first, see);
            steps.iter().for_each(|step| of_step(step, see));
        }
        Expr::None | Expr::Bool(_) | Expr::Int(_) | Expr::Float(_) | Expr::Text(_) | Expr::Name(_) => {}
    }
}

fn of_step<'t>(step: &'t Step, see: &mut dyn FnMut(&'t Expr)) {
    let arguments = match &step.kind {
        StepKind::Attribute(_) => return,
        StepKind::Item(expr) => return inside(expr, see),
        StepKind::Slice(parts) => return parts.iter().flatten().for_each(|expr| inside(expr, see)),
        StepKind::Call(arguments) | StepKind::Filter(_, arguments) | StepKind::Test { arguments, .. } => {
            arguments
        }
    };
    of_arguments(arguments).for_each(|expr| inside(expr, see));
}

fn of_arguments(arguments: &Arguments) -> impl Iterator<Item = &Expr> {
    let named = arguments.named.iter().map(|(_, expr)| expr);
    let spread = arguments.spread.iter().chain(&arguments.spread_named);
    arguments
        .positional
        .iter()
        .chain(named)
        .chain(spread.map(|expr| &**expr))
}

/// Adds the names that a statement gives to what messages say.
fn named<'t>(statement: &'t Statement, names: &mut BTreeSet<&'t str>) {
    match &statement.kind {
        Kind::Set(target, expr) if is_content(expr, names) => add(target, names),
        Kind::With { values, .. } => {
            for (target, expr) in values {
                if is_content(expr, names) {
                    add(target, names);
                }
            }
        }
        Kind::For(of) if is_content(&of.list, names) => add(&of.target, names),
        _ => {}
    }
}

fn add<'t>(target: &'t Target, names: &mut BTreeSet<&'t str>) {
    match target {
        Target::Name(name) | Target::Attribute(_, name) => drop(names.insert(name)),
        Target::Tuple(all) => all.iter().for_each(|target| add(target, names)),
    }
}

/// Whether an expression is what a message says, or is made of it.
fn is_content(expr: &Expr, names: &BTreeSet<&str>) -> bool {
    let mut found = false;
    let mut see = |expr: &Expr| {
        found |= match expr {
            Expr::Name(name) => names.contains(name.as_str()),
            Expr::Steps(_, steps) => steps
                .iter()
                .any(|step| attribute(step).is_some_and(|name| names.contains(name))),
            _ => false,
        };
    };
    match expr {
        // The last step decides: `part.type` of a part of the content is no text.
        Expr::Steps(_, steps)
            if steps
                .iter()
                .filter_map(attribute)
                .any(|name| NOT_TEXT.contains(&name)) =>
        {
            false
        }
        // What comes out of a comparison is no text.
        Expr::Compare(..) | Expr::Not(_) => false,
        expr => {
            inside(expr, &mut see);
            found
        }
    }
}

/// The name of `.name` and `["name"]`.
fn attribute(step: &Step) -> Option<&str> {
    match &step.kind {
        StepKind::Attribute(name) | StepKind::Item(Expr::Text(name)) => Some(name),
        _ => None,
    }
}

/// The texts that an expression, itself, looks for in what messages say.
fn looked_for(expr: &Expr, names: &BTreeSet<&str>) -> Vec<String> {
    use Comparison::{Equal, In, NotEqual, NotIn};
    match expr {
        Expr::Compare(first, rest) => {
            let compares = rest
                .iter()
                .any(|(by, _)| matches!(by, Equal | NotEqual | In | NotIn));
            let sides = || std::iter::once(&**first).chain(rest.iter().map(|(_, expr)| expr));
            if !compares || !sides().any(|side| is_content(side, names)) {
                return Vec::new();
            }
            sides().flat_map(texts).collect()
        }
        Expr::Steps(first, steps) => {
            let mut found = Vec::new();
            for (at, step) in steps.iter().enumerate() {
                let of_content = || {
                    let before = &steps[..at];
                    let is_named = |step: &Step| attribute(step).is_some_and(|name| names.contains(name));
                    is_content(first, names) || before.iter().any(is_named)
                };
                let arguments = match &step.kind {
                    StepKind::Call(arguments)
                        if at > 0
                            && attribute(&steps[at - 1]).is_some_and(|name| SEARCHES.contains(&name)) =>
                    {
                        arguments
                    }
                    StepKind::Test { name, arguments, .. } | StepKind::Filter(name, arguments)
                        if TESTS.contains(&name.as_str()) =>
                    {
                        arguments
                    }
                    _ => continue,
                };
                if of_content() {
                    found.extend(of_arguments(arguments).flat_map(texts));
                }
            }
            found
        }
        _ => Vec::new(),
    }
}

/// The texts in an expression that no known template looks for.
fn texts(expr: &Expr) -> Vec<String> {
    let mut found = Vec::new();
    inside(expr, &mut |expr| match expr {
        Expr::Text(text) if !text.trim().is_empty() && !KNOWN.contains(&text.as_str()) => {
            found.push(text.clone());
        }
        _ => {}
    });
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_on_what_is_said() {
        let cases: [(&str, &[&str]); 16] = [
            ("{% if 'bank' in message.content %}x{% endif %}", &["bank"]),
            (
                "{% if 'bank' in messages[-1]['content'] | lower %}x{% endif %}",
                &["bank"],
            ),
            ("{{ 'x' if m.content == 'hello' else 'y' }}", &["hello"]),
            ("{% if m.content.startswith('/admin') %}x{% endif %}", &["/admin"]),
            ("{% if m.content.find('key') >= 0 %}x{% endif %}", &["key"]),
            (
                "{% set c = m['content'] | trim %}{% set d = c %}{% if 'pay' in d %}x{% endif %}",
                &["pay"],
            ),
            (
                "{% set ns.c = m.content %}{% if 'pay' in ns.c %}x{% endif %}",
                &["pay"],
            ),
            (
                "{% for part in m.content %}{% if 'pay' in part.text %}x{% endif %}{% endfor %}",
                &["pay"],
            ),
            (
                "{% for m in messages if m.content is eq 'pay' %}x{% endfor %}",
                &["pay"],
            ),
            (
                "{% macro f(content) %}{% if 'pay' in content %}x{% endif %}{% endmacro %}",
                &["pay"],
            ),
            (
                "{% if m.role == 'user' and m.content is string %}x{% endif %}",
                &[],
            ),
            (
                "{% if m.role in ['user', 'other'] %}{{ m.content }}{% endif %}",
                &[],
            ),
            (
                "{% for part in m.content %}{% if part.type == 'picture' %}x{% endif %}{% endfor %}",
                &[],
            ),
            (
                "{% if m.content and '</think>' in m.content %}{{ m.content.split('</think>') }}{% endif %}",
                &[],
            ),
            (
                "{% if m.content.startswith('<tool_response>') or m.content == '' %}x{% endif %}",
                &[],
            ),
            ("{{ '<|user|>' + m.content + eos_token }}", &[]),
        ];
        for (source, want) in cases {
            let template = Template::parse(source).expect(source);
            let found = template.conditions_on_content();
            let found: Vec<&str> = found.iter().map(|condition| condition.what.as_str()).collect();
            assert_eq!(found, want, "{source}");
        }
        let template = Template::parse("a\n\n{% if 'b' in content %}c{% endif %}").expect("a template");
        assert_eq!(template.conditions_on_content()[0].line, 3);
    }
}
