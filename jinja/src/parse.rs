//! Tokens to a tree: statements. Expressions are in `expression`.

mod expression;

use crate::SyntaxError;
use crate::ast::{Arguments, Body, Expr, For, Kind, Macro, Statement, Step, StepKind, Target};
use crate::lex::{Lexed, Token, lex};

/// How deep statements and expressions may nest. Python's own compiler, which jinja2 ends in, stops at 20 loops and 200
/// parentheses.
const MAX_DEPTH: usize = 64;

/// The tree of a template.
pub(crate) fn parse(source: &str) -> Result<Body, SyntaxError> {
    let tokens = lex(source)?;
    let mut parser = Parser {
        tokens,
        at: 0,
        depth: 0,
        named: [false; 4],
    };
    let (body, end) = parser.body(&[])?;
    match end {
        None => Ok(body),
        Some(tag) => parser.error(format!("unexpected tag {tag:?}")),
    }
}

/// Names whose use a loop or a macro must know of.
const NOTED: [&str; 4] = ["varargs", "kwargs", "caller", "loop"];

struct Parser {
    tokens: Vec<Lexed>,
    at: usize,
    depth: usize,
    /// Which of [`NOTED`] were seen.
    named: [bool; 4],
}

type Parsed<T> = Result<T, SyntaxError>;

impl Parser {
    fn line(&self) -> u32 {
        let last = self.tokens.last().map_or(1, |(_, line)| *line);
        self.tokens.get(self.at).map_or(last, |(_, line)| *line)
    }

    fn error<T>(&self, message: impl Into<String>) -> Parsed<T> {
        Err(SyntaxError::new(self.line(), message))
    }

    fn unexpected<T>(&self, wanted: &str) -> Parsed<T> {
        let found = match self.peek() {
            None => "the end of the template".into(),
            Some(Token::Name(name)) => format!("{name:?}"),
            Some(Token::Text(_)) => "a text".into(),
            Some(Token::Int(_) | Token::Float(_)) => "a number".into(),
            Some(Token::Operator(operator)) => format!("{operator:?}"),
            Some(Token::BlockEnd | Token::VariableEnd) => "the end of the tag".into(),
            Some(Token::Data(_) | Token::VariableBegin | Token::BlockBegin) => "a tag".into(),
        };
        self.error(format!("unexpected {found}, expected {wanted}"))
    }

    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at).map(|(token, _)| token)
    }

    fn peek_second(&self) -> Option<&Token> {
        self.tokens.get(self.at + 1).map(|(token, _)| token)
    }

    fn is(&self, operator: &str) -> bool {
        matches!(self.peek(), Some(Token::Operator(found)) if *found == operator)
    }

    fn is_name(&self, name: &str) -> bool {
        matches!(self.peek(), Some(Token::Name(found)) if found == name)
    }

    fn skip(&mut self, operator: &str) -> bool {
        let found = self.is(operator);
        self.at += usize::from(found);
        found
    }

    fn skip_name(&mut self, name: &str) -> bool {
        let found = self.is_name(name);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, operator: &str) -> Parsed<()> {
        match self.skip(operator) {
            true => Ok(()),
            false => self.unexpected(&format!("{operator:?}")),
        }
    }

    fn name(&mut self) -> Parsed<String> {
        match self.peek() {
            Some(Token::Name(name)) if !name.starts_with(|c: char| c.is_numeric()) => {
                let name = name.clone();
                self.at += 1;
                Ok(name)
            }
            _ => self.unexpected("a name"),
        }
    }

    fn block_end(&mut self) -> Parsed<()> {
        match self.peek() {
            Some(Token::BlockEnd) => {
                self.at += 1;
                Ok(())
            }
            _ => self.unexpected("the end of the tag"),
        }
    }

    /// Runs `parse` one level deeper.
    fn deeper<T>(&mut self, parse: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        if self.depth == MAX_DEPTH {
            return self.error(format!("more than {MAX_DEPTH} levels, one inside the other"));
        }
        self.depth += 1;
        let parsed = parse(self);
        self.depth -= 1;
        parsed
    }

    /// Statements up to the end or one of the tags `ends`, whose name is taken and returned.
    fn body(&mut self, ends: &[&'static str]) -> Parsed<(Body, Option<String>)> {
        let mut body = Body::new();
        loop {
            let line = self.line();
            let Some((token, _)) = self.tokens.get_mut(self.at) else {
                return match ends {
                    [] => Ok((body, None)),
                    ends => self.error(format!(
                        "the template ends before {{% {} %}}",
                        ends[ends.len() - 1]
                    )),
                };
            };
            let kind = match token {
                Token::Data(text) => {
                    let text = std::mem::take(text);
                    self.at += 1;
                    Kind::Text(text)
                }
                Token::VariableBegin => {
                    self.at += 1;
                    let value = self.tuple(true)?;
                    match self.peek() {
                        Some(Token::VariableEnd) => self.at += 1,
                        _ => return self.unexpected("}}"),
                    }
                    Kind::Print(value)
                }
                _ => {
                    self.at += 1;
                    let tag = self.name()?;
                    if ends.contains(&tag.as_str()) {
                        return Ok((body, Some(tag)));
                    }
                    if ends.is_empty() && self.depth == 0 && tag.starts_with("end") {
                        return Ok((body, Some(tag)));
                    }
                    self.deeper(|parser| parser.statement(&tag))?
                }
            };
            body.push(Statement { line, kind });
        }
    }

    /// A body and the end of the tag that closes it.
    fn whole_body(&mut self, end: &'static str) -> Parsed<Body> {
        let (body, _) = self.body(&[end])?;
        self.block_end()?;
        Ok(body)
    }

    fn statement(&mut self, tag: &str) -> Parsed<Kind> {
        match tag {
            "if" => self.if_statement(),
            "for" => self.for_statement(),
            "set" => self.set_statement(),
            "macro" => {
                let name = self.name()?;
                let parameters = self.parameters()?;
                self.block_end()?;
                let definition = self.macro_body(name, parameters, "endmacro")?;
                Ok(Kind::Macro(Box::new(definition)))
            }
            "call" => {
                let parameters = if self.is("(") {
                    self.parameters()?
                } else {
                    Vec::new()
                };
                let call = self.expression()?;
                if !matches!(&call, Expr::Steps(_, steps) if matches!(steps.last(), Some(Step { kind: StepKind::Call(_), .. })))
                {
                    return self.error("expected a call");
                }
                self.block_end()?;
                let caller = Box::new(self.macro_body("caller".into(), parameters, "endcall")?);
                Ok(Kind::Call { caller, call })
            }
            "filter" => {
                let filters = self.filters(true)?;
                self.block_end()?;
                let body = self.whole_body("endfilter")?;
                Ok(Kind::Filter { filters, body })
            }
            "with" => {
                let mut values = Vec::new();
                while !matches!(self.peek(), Some(Token::BlockEnd)) {
                    if !values.is_empty() {
                        self.expect(",")?;
                    }
                    let target = self.target()?;
                    self.expect("=")?;
                    values.push((target, self.expression()?));
                }
                self.block_end()?;
                let body = self.whole_body("endwith")?;
                Ok(Kind::With { values, body })
            }
            "generation" => {
                self.block_end()?;
                Ok(Kind::Scope(self.whole_body("endgeneration")?))
            }
            "autoescape" => {
                if !(self.skip_name("false") || self.skip_name("False")) {
                    return self.error("only autoescape false is supported");
                }
                self.block_end()?;
                Ok(Kind::Scope(self.whole_body("endautoescape")?))
            }
            "block" => {
                let name = self.name()?;
                while self.skip_name("scoped") || self.skip_name("required") {}
                self.block_end()?;
                let (body, _) = self.body(&["endblock"])?;
                self.skip_name(&name);
                self.block_end()?;
                Ok(Kind::Scope(body))
            }
            "break" | "continue" => {
                self.block_end()?;
                Ok(if tag == "break" {
                    Kind::Break
                } else {
                    Kind::Continue
                })
            }
            "extends" | "include" | "import" | "from" => {
                self.error(format!("{{% {tag} %}} needs other templates, and there are none"))
            }
            _ => self.error(format!("unknown tag {tag:?}")),
        }
    }

    fn if_statement(&mut self) -> Parsed<Kind> {
        let mut arms = Vec::new();
        loop {
            let test = self.condition()?;
            self.block_end()?;
            let (body, end) = self.body(&["elif", "else", "endif"])?;
            arms.push((test, body));
            let mut otherwise = Body::new();
            match end.as_deref() {
                Some("elif") => continue,
                Some("else") => {
                    self.block_end()?;
                    otherwise = self.whole_body("endif")?;
                }
                _ => self.block_end()?,
            }
            return Ok(Kind::If { arms, otherwise });
        }
    }

    fn for_statement(&mut self) -> Parsed<Kind> {
        let target = self.target()?;
        if !self.skip_name("in") {
            return self.unexpected("\"in\"");
        }
        let list = self.tuple(false)?;
        let outer = std::mem::take(&mut self.named[3]);
        let test = match self.skip_name("if") {
            true => Some(self.expression()?),
            false => None,
        };
        let recursive = self.skip_name("recursive");
        self.block_end()?;
        let (body, end) = self.body(&["else", "endfor"])?;
        let uses_loop = self.named[3] || recursive;
        self.named[3] = outer;
        self.block_end()?;
        let otherwise = match end.as_deref() {
            Some("else") => self.whole_body("endfor")?,
            _ => Body::new(),
        };
        Ok(Kind::For(Box::new(For {
            target,
            list,
            test,
            recursive,
            uses_loop,
            body,
            otherwise,
        })))
    }

    fn set_statement(&mut self) -> Parsed<Kind> {
        let target = self.target()?;
        if self.skip("=") {
            let value = self.tuple(true)?;
            self.block_end()?;
            return Ok(Kind::Set(target, value));
        }
        let filters = self.filters(false)?;
        self.block_end()?;
        let body = self.whole_body("endset")?;
        Ok(Kind::SetBlock {
            target,
            filters,
            body,
        })
    }

    /// A name, an attribute of a namespace, or several in a tuple.
    fn target(&mut self) -> Parsed<Target> {
        let mut targets = vec![self.one_target()?];
        let mut tuple = false;
        while self.skip(",") {
            tuple = true;
            if self.is("=") || self.is_name("in") || matches!(self.peek(), Some(Token::BlockEnd)) {
                break;
            }
            targets.push(self.one_target()?);
        }
        Ok(match tuple {
            true => Target::Tuple(targets),
            false => targets.remove(0),
        })
    }

    fn one_target(&mut self) -> Parsed<Target> {
        if self.skip("(") {
            let inner = self.deeper(Self::target)?;
            self.expect(")")?;
            return Ok(inner);
        }
        let name = self.name()?;
        if matches!(
            name.as_str(),
            "true" | "false" | "none" | "True" | "False" | "None"
        ) {
            return self.error(format!("cannot assign to {name:?}"));
        }
        Ok(match self.skip(".") {
            true => Target::Attribute(name, self.name()?),
            false => Target::Name(name),
        })
    }

    fn parameters(&mut self) -> Parsed<Vec<(String, Option<Expr>)>> {
        let mut parameters: Vec<(String, Option<Expr>)> = Vec::new();
        self.expect("(")?;
        while !self.skip(")") {
            if !parameters.is_empty() {
                self.expect(",")?;
                if self.skip(")") {
                    break;
                }
            }
            let name = self.name()?;
            let default = match self.skip("=") {
                true => Some(self.expression()?),
                false => None,
            };
            if default.is_none() && parameters.last().is_some_and(|(_, default)| default.is_some()) {
                return self.error("a parameter without a default follows one with a default");
            }
            parameters.push((name, default));
        }
        Ok(parameters)
    }

    fn macro_body(
        &mut self,
        name: String,
        parameters: Vec<(String, Option<Expr>)>,
        end: &'static str,
    ) -> Parsed<Macro> {
        let outer = self.named;
        self.named = [false; 4];
        let body = self.whole_body(end)?;
        let mut takes = [self.named[0], self.named[1], self.named[2]];
        for (take, name) in takes.iter_mut().zip(NOTED) {
            *take &= !parameters.iter().any(|(parameter, _)| parameter == name);
        }
        // A caller's body may name the loop around it.
        self.named = [
            outer[0],
            outer[1],
            outer[2] || self.named[2],
            outer[3] || self.named[3],
        ];
        Ok(Macro {
            name,
            parameters,
            takes,
            body,
        })
    }

    /// `|a|b`, or with `start`, `a|b`.
    fn filters(&mut self, start: bool) -> Parsed<Vec<Step>> {
        let mut filters = Vec::new();
        while (start && filters.is_empty()) || self.skip("|") {
            filters.push(self.filter()?);
        }
        Ok(filters)
    }

    fn filter(&mut self) -> Parsed<Step> {
        let line = self.line();
        let name = self.dotted_name()?;
        let arguments = match self.is("(") {
            true => self.arguments()?,
            false => Arguments::default(),
        };
        let kind = StepKind::Filter(name, arguments);
        Ok(Step { line, kind })
    }

    fn dotted_name(&mut self) -> Parsed<String> {
        let mut name = self.name()?;
        while self.skip(".") {
            name += ".";
            name += &self.name()?;
        }
        Ok(name)
    }
}
