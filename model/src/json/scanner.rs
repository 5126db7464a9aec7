//! One pass over a JSON text that finds where it differs from strict JSON. No recursion: open objects and arrays are a
//! list.

use std::borrow::Cow;
use std::hash::{BuildHasher, RandomState};
use std::ops::Range;

use super::{Edit, JsonError, MAX_DEPTH, MAX_EDITS};

/// What is wrong, and at which byte.
pub(super) struct Fault {
    at: usize,
    problem: &'static str,
}

impl Fault {
    pub(super) fn at_line(self, text: &[u8]) -> JsonError {
        let before = &text[..self.at.min(text.len())];
        let start = before
            .iter()
            .rposition(|&byte| byte == b'\n')
            .map_or(0, |at| at + 1);
        JsonError::Syntax {
            line: before.iter().filter(|&&byte| byte == b'\n').count() + 1,
            column: before.len() - start + 1,
            problem: self.problem,
        }
    }
}

/// A key of an open object: the hash of its text, and where it is, quotes included.
struct Key {
    hash: u64,
    start: u32,
    end: u32,
}

/// An object or array that is not closed yet.
enum Open {
    Object(Vec<Key>),
    Array,
}

/// What may come next.
enum Next {
    Value,
    Key,
    AfterValue,
}

pub(super) struct Scanner<'a> {
    text: &'a [u8],
    at: usize,
    open: Vec<Open>,
    edits: Vec<Edit>,
    hasher: RandomState,
}

type Scan<T> = Result<T, Fault>;

impl<'a> Scanner<'a> {
    pub(super) fn new(text: &'a [u8]) -> Self {
        Scanner {
            text,
            at: 0,
            open: Vec::new(),
            edits: Vec::new(),
            hasher: RandomState::new(),
        }
    }

    /// Reads the whole text, which is UTF-8.
    pub(super) fn edits(mut self) -> Scan<Vec<Edit>> {
        if u32::try_from(self.text.len()).is_err() {
            return self.fault("the text is larger than 4 GiB");
        }
        let mut next = Next::Value;
        loop {
            self.skip_space();
            next = match next {
                Next::Value => self.value()?,
                Next::Key => self.key()?,
                Next::AfterValue => match self.after_value()? {
                    Some(next) => next,
                    None => return Ok(self.edits),
                },
            };
        }
    }

    fn value(&mut self) -> Scan<Next> {
        match self.peek() {
            Some(b'{') => self.enter(Open::Object(Vec::new()), b'}', Next::Key),
            Some(b'[') => self.enter(Open::Array, b']', Next::Value),
            Some(b'"') => self.string().map(|_| Next::AfterValue),
            Some(_) => self.word().map(|()| Next::AfterValue),
            None => self.fault("the text ends too early; get the file again"),
        }
    }

    /// Enters an object or array; if it is empty, leaves it again.
    fn enter(&mut self, open: Open, close: u8, first: Next) -> Scan<Next> {
        if self.open.len() == MAX_DEPTH {
            return self.fault("nested deeper than any configuration");
        }
        self.at += 1;
        self.skip_space();
        if self.peek() == Some(close) {
            self.at += 1;
            return Ok(Next::AfterValue);
        }
        self.open.push(open);
        Ok(first)
    }

    fn key(&mut self) -> Scan<Next> {
        if self.peek() != Some(b'"') {
            return self.fault("expected a key in double quotes");
        }
        let range = self.string()?;
        let hash = self.hasher.hash_one(name(self.text, &range).as_ref());
        if let Some(Open::Object(keys)) = self.open.last_mut() {
            keys.push(Key {
                hash,
                start: range.start as u32,
                end: range.end as u32,
            });
        }
        self.skip_space();
        if self.peek() != Some(b':') {
            return self.fault("expected a colon");
        }
        self.at += 1;
        Ok(Next::Value)
    }

    /// What follows a value; `None` at the end of the text.
    fn after_value(&mut self) -> Scan<Option<Next>> {
        let byte = self.peek();
        let Some(open) = self.open.last() else {
            return match byte {
                None => Ok(None),
                Some(_) => self.fault("more text after the end of the JSON"),
            };
        };
        let (close, another, problem) = match open {
            Open::Object(_) => (b'}', Next::Key, "expected a comma or }"),
            Open::Array => (b']', Next::Value, "expected a comma or ]"),
        };
        match byte {
            Some(b',') => {
                self.at += 1;
                Ok(Some(another))
            }
            Some(byte) if byte == close => {
                self.at += 1;
                if let Some(Open::Object(keys)) = self.open.pop() {
                    self.drop_repeated(&keys)?;
                }
                Ok(Some(Next::AfterValue))
            }
            None => self.fault("the text ends too early; get the file again"),
            Some(_) => self.fault(problem),
        }
    }

    /// Drops every member whose key comes again later in the object.
    fn drop_repeated(&mut self, keys: &[Key]) -> Scan<()> {
        let mut order: Vec<u32> = (0..keys.len() as u32).collect();
        let hash = |&n: &u32| keys[n as usize].hash;
        order.sort_unstable_by_key(|n| (hash(n), *n));
        let text = self.text;
        let name_of = |n: u32| {
            let key = &keys[n as usize];
            name(text, &(key.start as usize..key.end as usize))
        };
        for pair in order.windows(2) {
            let (earlier, later) = (pair[0], pair[1]);
            if hash(&earlier) == hash(&later) && name_of(earlier) == name_of(later) {
                let start = keys[earlier as usize].start as usize;
                // A later member has this key, so a member follows.
                let end = keys[earlier as usize + 1].start as usize;
                self.edit(start..end, "")?;
            }
        }
        Ok(())
    }

    /// Reads a string and returns its range, quotes included.
    fn string(&mut self) -> Scan<Range<usize>> {
        let start = self.at;
        self.at += 1;
        loop {
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(start..self.at);
                }
                Some(b'\\') => self.escape()?,
                Some(0..0x20) => return self.fault("a control character in a text"),
                Some(_) => self.at += 1,
                None => return self.fault("the text ends within a string; get the file again"),
            }
        }
    }

    fn escape(&mut self) -> Scan<()> {
        let start = self.at;
        match self.text.get(start + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 2,
            Some(b'u') => match (self.unit(start), self.unit(start + 6)) {
                (Some(0xd800..0xdc00), Some(0xdc00..0xe000)) => self.at += 12,
                (Some(0xd800..0xe000), _) => {
                    self.at += 6;
                    self.edit(start..self.at, "\\ufffd")?;
                }
                (Some(_), _) => self.at += 6,
                (None, _) => return self.fault("expected four hexadecimal digits after \\u"),
            },
            _ => return self.fault("an unknown escape in a text"),
        }
        Ok(())
    }

    /// The UTF-16 unit that is written at `at` as `\uXXXX`.
    fn unit(&self, at: usize) -> Option<u32> {
        let digits = self.text.get(at..at + 6)?.strip_prefix(b"\\u")?;
        let digit = |unit: u32, &byte: &u8| Some(unit << 4 | char::from(byte).to_digit(16)?);
        digits.iter().try_fold(0, digit)
    }

    /// Reads a number, `true`, `false`, `null`, or one of Python's numbers that are not finite.
    fn word(&mut self) -> Scan<()> {
        let rest = &self.text[self.at..];
        let ends =
            |byte: &u8| matches!(byte, b',' | b':' | b'"' | b'[' | b']' | b'{' | b'}') || is_space(*byte);
        let len = rest.iter().position(ends).unwrap_or(rest.len());
        let range = self.at..self.at + len;
        match &rest[..len] {
            b"true" | b"false" | b"null" => {}
            b"NaN" => self.edit(range, "\"NaN\"")?,
            b"Infinity" => self.edit(range, "\"Infinity\"")?,
            b"-Infinity" => self.edit(range, "\"-Infinity\"")?,
            word if is_number(word) => match std::str::from_utf8(word).unwrap_or_default().parse() {
                Ok(f64::INFINITY) => self.edit(range, "\"Infinity\"")?,
                Ok(f64::NEG_INFINITY) => self.edit(range, "\"-Infinity\"")?,
                _ => {}
            },
            _ => return self.fault("expected a value"),
        }
        self.at += len;
        Ok(())
    }

    fn edit(&mut self, range: Range<usize>, text: &'static str) -> Scan<()> {
        if self.edits.len() == MAX_EDITS {
            return self.fault("too many keys that come twice, or numbers that are not finite");
        }
        self.edits.push(Edit {
            start: range.start,
            end: range.end,
            text,
        });
        Ok(())
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn skip_space(&mut self) {
        while self.peek().is_some_and(is_space) {
            self.at += 1;
        }
    }

    fn fault<T>(&self, problem: &'static str) -> Scan<T> {
        Err(Fault { at: self.at, problem })
    }
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

/// True if the word has the grammar of JSON's numbers.
fn is_number(word: &[u8]) -> bool {
    let digits = |text: &[u8]| text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let mut rest = word.strip_prefix(b"-").unwrap_or(word);
    let whole = digits(rest);
    if whole == 0 || (whole > 1 && rest[0] == b'0') {
        return false;
    }
    rest = &rest[whole..];
    if let [b'.', fraction @ ..] = rest {
        let count = digits(fraction);
        if count == 0 {
            return false;
        }
        rest = &fraction[count..];
    }
    if let [b'e' | b'E', exponent @ ..] = rest {
        let exponent = match exponent {
            [b'+' | b'-', exponent @ ..] => exponent,
            exponent => exponent,
        };
        return !exponent.is_empty() && digits(exponent) == exponent.len();
    }
    rest.is_empty()
}

/// The text of a key. Two spellings of one text, with and without escapes, are the same key.
fn name<'a>(text: &'a [u8], range: &Range<usize>) -> Cow<'a, str> {
    let quoted = &text[range.clone()];
    let plain = std::str::from_utf8(&quoted[1..quoted.len() - 1]).unwrap_or_default();
    match plain.contains('\\') {
        // A key with half of a surrogate pair is no text; its spelling serves as well.
        true => serde_json::from_slice(quoted).map_or(Cow::Borrowed(plain), Cow::<str>::Owned),
        false => Cow::Borrowed(plain),
    }
}
