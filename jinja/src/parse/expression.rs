//! Expressions, in jinja2's order of precedence.

use super::{NOTED, Parsed, Parser};
use crate::ast::{Arguments, Binary, Comparison, Expr, Step, StepKind};
use crate::lex::Token;

const COMPARISONS: [(&str, Comparison); 6] = [
    ("==", Comparison::Equal),
    ("!=", Comparison::NotEqual),
    ("<", Comparison::Less),
    ("<=", Comparison::LessOrEqual),
    (">", Comparison::Greater),
    (">=", Comparison::GreaterOrEqual),
];

const SUMS: &[(&str, Binary)] = &[("+", Binary::Add), ("-", Binary::Subtract)];

const PRODUCTS: &[(&str, Binary)] = &[
    ("*", Binary::Multiply),
    ("/", Binary::Divide),
    ("//", Binary::FloorDivide),
    ("%", Binary::Remainder),
];

const POWERS: &[(&str, Binary)] = &[("**", Binary::Power)];

/// How many inline ifs without an `else` may follow one another: each is inside the next.
const MAX_IFS: usize = 4;

/// `first`, or a chain if there are more.
fn joined(mut parts: Vec<Expr>, join: fn(Vec<Expr>) -> Expr) -> Expr {
    match parts.len() {
        1 => parts.remove(0),
        _ => join(parts),
    }
}

impl Parser {
    pub(super) fn expression(&mut self) -> Parsed<Expr> {
        self.deeper(|parser| {
            let mut value = parser.condition_or()?;
            let mut ifs = 0;
            while parser.skip_name("if") {
                ifs += 1;
                if ifs > MAX_IFS {
                    return parser.error(format!("more than {MAX_IFS} inline ifs without an else in a row"));
                }
                let test = Box::new(parser.condition_or()?);
                let otherwise = match parser.skip_name("else") {
                    true => Some(Box::new(parser.expression()?)),
                    false => None,
                };
                let then = Box::new(value);
                value = Expr::If {
                    test,
                    then,
                    otherwise,
                };
            }
            Ok(value)
        })
    }

    /// A value without an inline `if`, a tuple without parentheses.
    pub(super) fn condition(&mut self) -> Parsed<Expr> {
        self.tuple(false)
    }

    /// One value, or several with commas between.
    pub(super) fn tuple(&mut self, conditional: bool) -> Parsed<Expr> {
        let one = |parser: &mut Self| match conditional {
            true => parser.expression(),
            false => parser.deeper(Self::condition_or),
        };
        let first = one(self)?;
        if !self.is(",") {
            return Ok(first);
        }
        let mut values = vec![first];
        while self.skip(",") {
            let closed = self.is(")")
                || self.is_name("recursive")
                || matches!(self.peek(), Some(Token::BlockEnd | Token::VariableEnd));
            if closed {
                break;
            }
            values.push(one(self)?);
        }
        Ok(Expr::Tuple(values))
    }

    fn condition_or(&mut self) -> Parsed<Expr> {
        let mut parts = vec![self.condition_and()?];
        while self.skip_name("or") {
            parts.push(self.condition_and()?);
        }
        Ok(joined(parts, Expr::Or))
    }

    fn condition_and(&mut self) -> Parsed<Expr> {
        let mut parts = vec![self.condition_not()?];
        while self.skip_name("and") {
            parts.push(self.condition_not()?);
        }
        Ok(joined(parts, Expr::And))
    }

    fn condition_not(&mut self) -> Parsed<Expr> {
        let mut count = 0;
        while self.skip_name("not") {
            count += 1;
        }
        let mut value = self.comparison()?;
        // An even number of them makes a Boolean as two do.
        let negations = if count > 2 { 2 - count % 2 } else { count };
        for _ in 0..negations {
            value = Expr::Not(Box::new(value));
        }
        Ok(value)
    }

    fn comparison(&mut self) -> Parsed<Expr> {
        let first = self.sum()?;
        let mut rest = Vec::new();
        while let Some(comparison) = self.comparison_operator() {
            rest.push((comparison, self.sum()?));
        }
        Ok(match rest.is_empty() {
            true => first,
            false => Expr::Compare(Box::new(first), rest),
        })
    }

    fn comparison_operator(&mut self) -> Option<Comparison> {
        if let Some((_, comparison)) = COMPARISONS.into_iter().find(|(operator, _)| self.is(operator)) {
            self.at += 1;
            return Some(comparison);
        }
        if self.skip_name("in") {
            return Some(Comparison::In);
        }
        let not_in =
            self.is_name("not") && matches!(self.peek_second(), Some(Token::Name(name)) if name == "in");
        if not_in {
            self.at += 2;
            return Some(Comparison::NotIn);
        }
        None
    }

    /// Operators of one precedence, from left to right.
    fn chain(&mut self, operators: &[(&str, Binary)], part: fn(&mut Self) -> Parsed<Expr>) -> Parsed<Expr> {
        let first = part(self)?;
        let mut rest = Vec::new();
        while let Some((_, binary)) = operators.iter().find(|(operator, _)| self.is(operator)) {
            self.at += 1;
            rest.push((*binary, part(self)?));
        }
        Ok(match rest.is_empty() {
            true => first,
            false => Expr::Chain(Box::new(first), rest),
        })
    }

    fn sum(&mut self) -> Parsed<Expr> {
        self.chain(SUMS, Self::concatenation)
    }

    fn concatenation(&mut self) -> Parsed<Expr> {
        let mut parts = vec![self.product()?];
        while self.skip("~") {
            parts.push(self.product()?);
        }
        Ok(joined(parts, Expr::Concat))
    }

    fn product(&mut self) -> Parsed<Expr> {
        self.chain(PRODUCTS, Self::power)
    }

    fn power(&mut self) -> Parsed<Expr> {
        self.chain(POWERS, Self::unary)
    }

    fn unary(&mut self) -> Parsed<Expr> {
        self.unary_with(true)
    }

    fn unary_with(&mut self, filters: bool) -> Parsed<Expr> {
        let value = if self.skip("-") {
            Expr::Negative(Box::new(self.deeper(|parser| parser.unary_with(false))?))
        } else if self.skip("+") {
            Expr::Positive(Box::new(self.deeper(|parser| parser.unary_with(false))?))
        } else {
            self.primary()?
        };
        let mut steps = Vec::new();
        self.postfix(&mut steps)?;
        if filters {
            self.filters_and_tests(&mut steps)?;
        }
        Ok(match steps.is_empty() {
            true => value,
            false => Expr::Steps(Box::new(value), steps),
        })
    }

    fn primary(&mut self) -> Parsed<Expr> {
        let Some(token) = self.peek().cloned() else {
            return self.unexpected("a value");
        };
        match token {
            Token::Name(_) => {
                let name = self.name()?;
                if let Some(noted) = NOTED.iter().position(|noted| *noted == name) {
                    self.named[noted] = true;
                }
                Ok(match name.as_str() {
                    "true" | "True" => Expr::Bool(true),
                    "false" | "False" => Expr::Bool(false),
                    "none" | "None" => Expr::None,
                    _ => Expr::Name(name),
                })
            }
            Token::Text(mut text) => {
                self.at += 1;
                while let Some(Token::Text(more)) = self.peek() {
                    text += more;
                    self.at += 1;
                }
                Ok(Expr::Text(text))
            }
            Token::Int(value) => {
                self.at += 1;
                Ok(Expr::Int(value))
            }
            Token::Float(value) => {
                self.at += 1;
                Ok(Expr::Float(value))
            }
            Token::Operator("(") => {
                self.at += 1;
                if self.skip(")") {
                    return Ok(Expr::Tuple(Vec::new()));
                }
                let inner = self.tuple(true)?;
                self.expect(")")?;
                Ok(inner)
            }
            Token::Operator("[") => {
                self.at += 1;
                Ok(Expr::List(self.items("]", Self::expression)?))
            }
            Token::Operator("{") => {
                self.at += 1;
                let pair = |parser: &mut Self| {
                    let key = parser.expression()?;
                    parser.expect(":")?;
                    Ok((key, parser.expression()?))
                };
                Ok(Expr::Map(self.items("}", pair)?))
            }
            _ => self.unexpected("a value"),
        }
    }

    /// What `item` reads, with commas between, up to `end`.
    fn items<T>(&mut self, end: &str, item: fn(&mut Self) -> Parsed<T>) -> Parsed<Vec<T>> {
        let mut items = Vec::new();
        while !self.skip(end) {
            if !items.is_empty() {
                self.expect(",")?;
                if self.skip(end) {
                    break;
                }
            }
            items.push(item(self)?);
        }
        Ok(items)
    }

    fn postfix(&mut self, steps: &mut Vec<Step>) -> Parsed<()> {
        loop {
            let line = self.line();
            let kind = if self.skip(".") {
                match self.peek() {
                    Some(Token::Int(index)) => {
                        let index = *index;
                        self.at += 1;
                        StepKind::Item(Expr::Int(index))
                    }
                    _ => StepKind::Attribute(self.name()?),
                }
            } else if self.skip("[") {
                self.subscript()?
            } else if self.is("(") {
                StepKind::Call(self.arguments()?)
            } else {
                return Ok(());
            };
            steps.push(Step { line, kind });
        }
    }

    fn filters_and_tests(&mut self, steps: &mut Vec<Step>) -> Parsed<()> {
        loop {
            let line = self.line();
            if self.skip("|") {
                steps.push(self.filter()?);
            } else if self.skip_name("is") {
                let kind = self.test()?;
                steps.push(Step { line, kind });
            } else if self.is("(") {
                let kind = StepKind::Call(self.arguments()?);
                steps.push(Step { line, kind });
            } else {
                return Ok(());
            }
        }
    }

    fn subscript(&mut self) -> Parsed<StepKind> {
        let mut parts = [None, None, None];
        let mut at = 0;
        loop {
            if self.is("]") {
                break;
            }
            if self.skip(":") {
                at += 1;
                if at == 3 {
                    return self.unexpected("\"]\"");
                }
                continue;
            }
            if parts[at].is_some() {
                break;
            }
            parts[at] = Some(self.expression()?);
        }
        if at == 0 && self.is(",") {
            let mut items = vec![parts[0].take().unwrap_or(Expr::None)];
            while self.skip(",") {
                items.push(self.expression()?);
            }
            parts[0] = Some(Expr::Tuple(items));
        }
        self.expect("]")?;
        match (at, parts) {
            (0, [Some(index), _, _]) => Ok(StepKind::Item(index)),
            (0, _) => self.error("expected an index"),
            (_, parts) => Ok(StepKind::Slice(Box::new(parts))),
        }
    }

    fn test(&mut self) -> Parsed<StepKind> {
        let negated = self.skip_name("not");
        let name = self.dotted_name()?;
        let mut arguments = Arguments::default();
        let begins = match self.peek() {
            Some(Token::Name(word)) => !matches!(word.as_str(), "else" | "or" | "and" | "is"),
            Some(Token::Text(_) | Token::Int(_) | Token::Float(_)) => true,
            _ => self.is("[") || self.is("{"),
        };
        if self.is("(") {
            arguments = self.arguments()?;
        } else if self.is_name("is") {
            return self.error("tests cannot be chained with is");
        } else if begins {
            let value = self.deeper(Self::primary)?;
            let mut steps = Vec::new();
            self.postfix(&mut steps)?;
            arguments.positional.push(match steps.is_empty() {
                true => value,
                false => Expr::Steps(Box::new(value), steps),
            });
        }
        Ok(StepKind::Test {
            name,
            arguments,
            negated,
        })
    }

    pub(super) fn arguments(&mut self) -> Parsed<Arguments> {
        self.expect("(")?;
        let mut arguments = Arguments::default();
        let mut first = true;
        while !self.skip(")") {
            if !std::mem::take(&mut first) {
                self.expect(",")?;
                if self.skip(")") {
                    break;
                }
            }
            if self.skip("**") {
                arguments.spread_named = Some(Box::new(self.expression()?));
            } else if self.skip("*") {
                arguments.spread = Some(Box::new(self.expression()?));
            } else if let (Some(Token::Name(name)), Some(Token::Operator("="))) =
                (self.peek(), self.peek_second())
            {
                let name = name.clone();
                self.at += 2;
                arguments.named.push((name, self.expression()?));
            } else {
                if !arguments.named.is_empty() || arguments.spread_named.is_some() {
                    return self.error("an argument without a name follows one with a name");
                }
                arguments.positional.push(self.expression()?);
            }
        }
        Ok(arguments)
    }
}
