//! From source to rules. Groups are kept on a list, not on the stack.

use std::collections::HashMap;

use super::scan::Scanner;
use super::{Alternatives, Class, Grammar, Item, Symbol, text};
use crate::error::{ErrorKind, GrammarError};
use crate::limits;

/// A rule or group that is being read.
struct Open {
    rule: usize,
    alternatives: Alternatives,
    /// Whether `*` may follow: the last item has no repetition yet.
    repeatable: bool,
}

struct Parser<'a> {
    scanner: Scanner<'a>,
    rules: Vec<Option<Alternatives>>,
    names: Vec<String>,
    by_name: HashMap<&'a str, usize>,
}

/// Reads a whole grammar.
pub(super) fn parse(source: &str) -> Result<Grammar, GrammarError> {
    if source.len() > limits::MAX_BYTES {
        let message = format!("the grammar has more than {} bytes", limits::MAX_BYTES);
        return Err(GrammarError::new(ErrorKind::Limit, "", message));
    }
    let mut parser = Parser {
        scanner: Scanner::new(source),
        rules: Vec::new(),
        names: Vec::new(),
        by_name: HashMap::new(),
    };
    parser.scanner.skip(true);
    while parser.scanner.peek().is_some() {
        parser.rule()?;
        parser.scanner.skip(true);
    }
    parser.finish()
}

fn is_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '-' || c == '_'
}

impl<'a> Parser<'a> {
    fn rule(&mut self) -> Result<(), GrammarError> {
        let name = self.scanner.take_while(is_name);
        if name.is_empty() {
            return Err(self
                .scanner
                .error(ErrorKind::Syntax, "a rule begins with its name"));
        }
        self.scanner.skip(false);
        if !self.scanner.take("::=") {
            return Err(self
                .scanner
                .error(ErrorKind::Syntax, format!("::= follows the name {name}")));
        }
        let rule = self.named(name)?;
        if self.rules[rule].is_some() {
            return Err(self
                .scanner
                .error(ErrorKind::Syntax, format!("the rule {name} is there already")));
        }
        self.scanner.skip(true);
        self.rules[rule] = Some(self.alternatives(rule)?);
        if !matches!(self.scanner.peek(), None | Some('\r' | '\n')) {
            return Err(self.scanner.error(ErrorKind::Syntax, "this cannot follow here"));
        }
        Ok(())
    }

    /// The alternatives of `rule` with all groups in them.
    fn alternatives(&mut self, rule: usize) -> Result<Alternatives, GrammarError> {
        let mut outer: Vec<Open> = Vec::new();
        let mut open = Open {
            rule,
            alternatives: vec![Vec::new()],
            repeatable: false,
        };
        loop {
            self.scanner.skip(!outer.is_empty());
            if outer.is_empty() {
                self.scanner.skip_to_alternative();
            }
            if self.scanner.take("|") {
                open.alternatives.push(Vec::new());
                open.repeatable = false;
                self.scanner.skip(true);
            } else if self.scanner.take("(") {
                if outer.len() == limits::MAX_GROUP_DEPTH {
                    let message = format!("groups are nested more than {} deep", limits::MAX_GROUP_DEPTH);
                    return Err(self.scanner.error(ErrorKind::Limit, message));
                }
                let group = self.add(format!("a group of {}", self.names[rule]))?;
                let inner = Open {
                    rule: group,
                    alternatives: vec![Vec::new()],
                    repeatable: false,
                };
                outer.push(std::mem::replace(&mut open, inner));
            } else if self.scanner.peek() == Some(')') && !outer.is_empty() {
                self.scanner.next();
                if let Some(around) = outer.pop() {
                    let group = std::mem::replace(&mut open, around);
                    self.rules[group.rule] = Some(group.alternatives);
                    push(&mut open, Symbol::Rule(group.rule));
                }
            } else if let Some((least, most)) = text::repetition(&mut self.scanner)? {
                self.repeat(&mut open, least, most)?;
            } else if let Some(symbol) = self.symbol()? {
                push(&mut open, symbol);
            } else if outer.is_empty() {
                return Ok(open.alternatives);
            } else {
                return Err(self.scanner.error(ErrorKind::Syntax, "a group ends with )"));
            }
        }
    }

    /// A string, class, any character, or rule; `None` if something else is next.
    fn symbol(&mut self) -> Result<Option<Symbol>, GrammarError> {
        if self.scanner.take("\"") {
            return text::string(&mut self.scanner).map(|text| Some(Symbol::Text(text)));
        }
        if self.scanner.take("[") {
            return text::class(&mut self.scanner).map(|class| Some(Symbol::Class(class)));
        }
        if self.scanner.take(".") {
            return Ok(Some(Symbol::Class(Class {
                negated: true,
                ranges: Vec::new(),
            })));
        }
        if self.scanner.rest().starts_with(['<', '!']) {
            let rest = self.scanner.rest();
            let token: String = rest
                .chars()
                .take_while(|c| *c != '>' && *c != '\n')
                .take(40)
                .collect();
            let message =
                format!("{token}> is a token: tokens by number or name are not supported, write text");
            return Err(self.scanner.error(ErrorKind::Unsupported, message));
        }
        let name = self.scanner.take_while(is_name);
        if name.is_empty() {
            Ok(None)
        } else {
            self.named(name).map(|rule| Some(Symbol::Rule(rule)))
        }
    }

    fn repeat(&self, open: &mut Open, least: u32, most: Option<u32>) -> Result<(), GrammarError> {
        let repeatable = std::mem::replace(&mut open.repeatable, false);
        match open.alternatives.last_mut().and_then(|items| items.last_mut()) {
            Some(item) if repeatable => {
                (item.least, item.most) = (least, most);
                Ok(())
            }
            _ => Err(self
                .scanner
                .error(ErrorKind::Syntax, "a repetition follows what is repeated, once")),
        }
    }

    fn named(&mut self, name: &'a str) -> Result<usize, GrammarError> {
        if let Some(rule) = self.by_name.get(name) {
            return Ok(*rule);
        }
        let rule = self.add(name.to_owned())?;
        self.by_name.insert(name, rule);
        Ok(rule)
    }

    fn add(&mut self, name: String) -> Result<usize, GrammarError> {
        if self.rules.len() == limits::MAX_RULES {
            let message = format!("the grammar has more than {} rules and groups", limits::MAX_RULES);
            return Err(self.scanner.error(ErrorKind::Limit, message));
        }
        self.rules.push(None);
        self.names.push(name);
        Ok(self.rules.len() - 1)
    }

    fn finish(self) -> Result<Grammar, GrammarError> {
        let syntax = |message: String| GrammarError::new(ErrorKind::Syntax, "", message);
        let root = *self
            .by_name
            .get("root")
            .ok_or_else(|| syntax("the grammar has no rule root".to_owned()))?;
        let mut rules = Vec::with_capacity(self.rules.len());
        for (rule, name) in self.rules.into_iter().zip(&self.names) {
            rules.push(rule.ok_or_else(|| syntax(format!("the rule {name} is used but not written")))?);
        }
        Ok(Grammar {
            rules,
            names: self.names,
            root,
        })
    }
}

fn push(open: &mut Open, symbol: Symbol) {
    if let Some(items) = open.alternatives.last_mut() {
        items.push(Item {
            symbol,
            least: 1,
            most: Some(1),
        });
        open.repeatable = true;
    }
}
