//! Text to tokens, by the rules of jinja2's lexer with `trim_blocks` and `lstrip_blocks`.

use crate::SyntaxError;

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Token {
    /// Template text.
    Data(String),
    VariableBegin,
    VariableEnd,
    BlockBegin,
    BlockEnd,
    Name(String),
    Text(String),
    Int(i128),
    Float(f64),
    Operator(&'static str),
}

/// A token and its line.
pub(crate) type Lexed = (Token, u32);

/// Longest first.
const OPERATORS: [&str; 25] = [
    "//", "**", "==", "!=", ">=", "<=", "+", "-", "/", "*", "%", "~", "[", "]", "(", ")", "{", "}", ">", "<",
    "=", ".", ":", "|", ",",
];

struct Lexer<'a> {
    source: &'a str,
    at: usize,
    line: u32,
    tokens: Vec<Lexed>,
    /// Whether what is at `at` begins a line, as far as stripping before a block is concerned.
    line_starting: bool,
}

/// All tokens of a template.
pub(crate) fn lex(source: &str) -> Result<Vec<Lexed>, SyntaxError> {
    let source = source.replace("\r\n", "\n").replace('\r', "\n");
    let source = source.strip_suffix('\n').unwrap_or(&source);
    let mut lexer = Lexer {
        source,
        at: 0,
        line: 1,
        tokens: Vec::new(),
        line_starting: true,
    };
    while lexer.at < source.len() {
        lexer.root()?;
    }
    Ok(lexer.tokens)
}

/// Where the next tag begins: `{{`, `{%` or `{#`.
fn next_tag(text: &str) -> Option<usize> {
    text.match_indices('{')
        .map(|(at, _)| at)
        .find(|at| matches!(text.as_bytes().get(at + 1), Some(b'{' | b'%' | b'#')))
}

impl<'a> Lexer<'a> {
    fn rest(&self) -> &'a str {
        &self.source[self.at..]
    }

    fn error<T>(&self, message: impl Into<String>) -> Result<T, SyntaxError> {
        Err(SyntaxError::new(self.line, message))
    }

    fn push(&mut self, token: Token) {
        self.tokens.push((token, self.line));
    }

    /// Goes on by `length` bytes.
    fn advance(&mut self, length: usize) {
        let passed = &self.source[self.at..self.at + length];
        self.line += passed.matches('\n').count() as u32;
        if let Some(last) = passed.bytes().last() {
            self.line_starting = last == b'\n';
        }
        self.at += length;
    }

    /// Template text up to the next tag, and the tag.
    fn root(&mut self) -> Result<(), SyntaxError> {
        let Some(length) = next_tag(self.rest()) else {
            self.push(Token::Data(self.rest().to_owned()));
            self.at = self.source.len();
            return Ok(());
        };
        let tag = &self.rest()[length..];
        let kind = tag.as_bytes()[1];
        let sign = tag
            .as_bytes()
            .get(2)
            .copied()
            .filter(|c| matches!(c, b'-' | b'+'));
        self.data(length, sign, kind != b'{');
        self.advance(2 + usize::from(sign.is_some()));
        match kind {
            b'#' => {
                let Some(end) = self.rest().find("#}") else {
                    return self.error("a comment has no end");
                };
                let sign = self.rest()[..end].bytes().last();
                self.advance(end + 2);
                self.after_block(sign);
                Ok(())
            }
            b'{' => {
                self.push(Token::VariableBegin);
                self.expression("}}")
            }
            _ => match self.raw_begin() {
                Some(length) => self.raw(length),
                None => {
                    self.push(Token::BlockBegin);
                    self.expression("%}")
                }
            },
        }
    }

    /// Template text of `length` bytes before a tag with this sign.
    fn data(&mut self, length: usize, sign: Option<u8>, block: bool) {
        let text = &self.rest()[..length];
        let kept = match sign {
            Some(b'-') => text.trim_end(),
            None if block => {
                let line = text.rfind('\n').map_or(0, |at| at + 1);
                let blank = text[line..].trim_start().is_empty();
                if blank && (line > 0 || self.line_starting) {
                    &text[..line]
                } else {
                    text
                }
            }
            _ => text,
        };
        if !kept.is_empty() {
            self.push(Token::Data(kept.to_owned()));
        }
        self.advance(length);
    }

    /// What a closing tag with this sign takes of the text after it.
    fn after_block(&mut self, sign: Option<u8>) {
        let rest = self.rest();
        let length = match sign {
            Some(b'-') => rest.len() - rest.trim_start().len(),
            Some(b'+') => 0,
            _ => usize::from(rest.starts_with('\n')),
        };
        self.advance(length);
    }

    /// The length of the rest of a `{% raw %}` tag, if this is one.
    fn raw_begin(&self) -> Option<usize> {
        let rest = self.rest();
        let inside = rest.trim_start().strip_prefix("raw")?;
        let after = inside.trim_start();
        let end = match after.strip_prefix("-%}") {
            Some(end) => end.trim_start(),
            None => after.strip_prefix("%}")?,
        };
        Some(rest.len() - end.len())
    }

    /// Text up to `{% endraw %}`.
    fn raw(&mut self, length: usize) -> Result<(), SyntaxError> {
        self.advance(length);
        let mut from = 0;
        while let Some(found) = self.rest()[from..].find("{%") {
            let begin = from + found;
            let tag = &self.rest()[begin + 2..];
            let sign = tag.bytes().next().filter(|c| matches!(c, b'-' | b'+'));
            let inside = &tag[usize::from(sign.is_some())..];
            let end = inside.trim_start().strip_prefix("endraw").map(str::trim_start);
            let end = end.and_then(|end| {
                let close = end.bytes().next().filter(|c| matches!(c, b'-' | b'+'));
                let end = &end[usize::from(close.is_some())..];
                end.strip_prefix("%}").map(|end| (end.len(), close))
            });
            if let Some((left, close)) = end {
                let length = self.rest().len() - begin - left;
                self.data(begin, sign, true);
                self.advance(length);
                self.after_block(close);
                return Ok(());
            }
            from = begin + 2;
        }
        self.error("a raw block has no {% endraw %}")
    }

    /// The tokens of a tag up to its end.
    fn expression(&mut self, end: &'static str) -> Result<(), SyntaxError> {
        let begin = self.line;
        let mut open: Vec<u8> = Vec::new();
        loop {
            let blanks = self.rest().len() - self.rest().trim_start().len();
            self.advance(blanks);
            let rest = self.rest();
            let Some(first) = rest.chars().next() else {
                return Err(SyntaxError::new(begin, format!("a tag has no {end}")));
            };
            if open.is_empty() && self.close(end) {
                return Ok(());
            }
            match first {
                '"' | '\'' => self.string()?,
                '0'..='9' => self.number()?,
                c if c == '_' || c.is_alphanumeric() => self.name(),
                _ => {
                    let Some(operator) = OPERATORS.into_iter().find(|operator| rest.starts_with(operator))
                    else {
                        return self.error(format!("unexpected {first:?}"));
                    };
                    match (operator.as_bytes()[0], open.last()) {
                        (c @ (b'(' | b'[' | b'{'), _) => open.push(c),
                        (c @ (b')' | b']' | b'}'), last) => {
                            let pair = [b"()", b"[]", b"{}"].into_iter().find(|pair| pair[1] == c);
                            if pair.map(|pair| &pair[0]) != last {
                                return self.error(format!("unexpected {operator:?}"));
                            }
                            open.pop();
                        }
                        _ => {}
                    }
                    self.push(Token::Operator(operator));
                    self.advance(operator.len());
                }
            }
        }
    }

    /// Takes the end of a tag, if it is here.
    fn close(&mut self, end: &'static str) -> bool {
        let rest = self.rest();
        let sign = rest.bytes().next().filter(|c| matches!(c, b'-' | b'+'));
        let sign = sign.filter(|sign| *sign == b'-' || end == "%}");
        if !rest[usize::from(sign.is_some())..].starts_with(end) {
            return false;
        }
        self.push(if end == "%}" {
            Token::BlockEnd
        } else {
            Token::VariableEnd
        });
        self.advance(usize::from(sign.is_some()) + 2);
        if end == "%}" || sign.is_some() {
            self.after_block(sign);
        }
        true
    }

    fn name(&mut self) {
        let rest = self.rest();
        let length = rest
            .find(|c: char| c != '_' && !c.is_alphanumeric())
            .unwrap_or(rest.len());
        self.push(Token::Name(rest[..length].to_owned()));
        self.advance(length);
    }

    fn number(&mut self) -> Result<(), SyntaxError> {
        let rest = self.rest();
        let digits = |text: &str, radix: u32| {
            let mut length = 0;
            for (at, c) in text.bytes().enumerate() {
                match c {
                    b'_' if length == at && at > 0 => {}
                    c if char::from(c).is_digit(radix) => length = at + 1,
                    _ => break,
                }
            }
            length
        };
        let radix = match rest.as_bytes().get(..2) {
            Some(b"0x" | b"0X") => 16,
            Some(b"0o" | b"0O") => 8,
            Some(b"0b" | b"0B") => 2,
            _ => 10,
        };
        let plain = |text: &str| text.replace('_', "");
        if radix != 10 {
            let length = digits(&rest[2..], radix);
            let Ok(value) = i128::from_str_radix(&plain(&rest[2..2 + length]), radix) else {
                return self.error("a number cannot be read");
            };
            self.push(Token::Int(value));
            self.advance(2 + length);
            return Ok(());
        }
        let whole = digits(rest, 10);
        let mut length = whole;
        if !self.source[..self.at].ends_with('.') {
            if rest[length..].starts_with('.') {
                let fraction = digits(&rest[length + 1..], 10);
                length += if fraction > 0 { 1 + fraction } else { 0 };
            }
            if rest[length..].starts_with(['e', 'E']) {
                let sign = usize::from(rest[length + 1..].starts_with(['+', '-']));
                let exponent = digits(&rest[length + 1 + sign..], 10);
                length += if exponent > 0 { 1 + sign + exponent } else { 0 };
            }
        }
        let text = plain(&rest[..length]);
        let token = if length > whole {
            text.parse().ok().map(Token::Float)
        } else {
            text.parse().ok().map(Token::Int)
        };
        let Some(token) = token else {
            return self.error("a number is too large");
        };
        self.push(token);
        self.advance(length);
        Ok(())
    }

    fn string(&mut self) -> Result<(), SyntaxError> {
        let rest = self.rest();
        let quote = rest.as_bytes()[0];
        let mut end = 1;
        loop {
            match rest.as_bytes().get(end) {
                None => return self.error("a text has no end"),
                Some(b'\\') => end += 2,
                Some(c) if *c == quote => break,
                Some(_) => end += 1,
            }
        }
        let Some(text) = unescaped(&rest[1..end]) else {
            return self.error("a text has an escape that is no character");
        };
        self.push(Token::Text(text));
        self.advance(end + 1);
        Ok(())
    }
}

/// A text without Python's escapes; unknown ones stay as they are.
fn unescaped(text: &str) -> Option<String> {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\\') {
        plain.push_str(before);
        let c = after.chars().next()?;
        rest = &after[c.len_utf8()..];
        let hex = |digits: usize| {
            let code = rest.get(..digits)?;
            let code = u32::from_str_radix(code, 16)
                .ok()
                .filter(|_| !code.starts_with('+'))?;
            char::from_u32(code)
        };
        match c {
            '\n' => {}
            '\\' | '\'' | '"' => plain.push(c),
            'a' => plain.push('\u{7}'),
            'b' => plain.push('\u{8}'),
            'f' => plain.push('\u{c}'),
            'n' => plain.push('\n'),
            'r' => plain.push('\r'),
            't' => plain.push('\t'),
            'v' => plain.push('\u{b}'),
            'x' | 'u' | 'U' => {
                let digits = match c {
                    'x' => 2,
                    'u' => 4,
                    _ => 8,
                };
                plain.push(hex(digits)?);
                rest = &rest[digits..];
            }
            '0'..='7' => {
                let length = after
                    .bytes()
                    .take(3)
                    .take_while(|c| matches!(c, b'0'..=b'7'))
                    .count();
                plain.push(char::from_u32(u32::from_str_radix(&after[..length], 8).ok()?)?);
                rest = &after[length..];
            }
            'N' => return None,
            c => {
                plain.push('\\');
                plain.push(c);
            }
        }
    }
    Some(plain + rest)
}
