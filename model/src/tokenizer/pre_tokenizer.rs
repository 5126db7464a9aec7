//! Splits text into words, as the regular expressions of byte-level pre-tokenizers do.
//!
//! `table` has llama.cpp's names and what each of them does. The most frequent expressions are written by hand
//! (`words`), the others are read by a small engine (`expression`): a general one with its tables would be larger than
//! the whole tokenizer here. llama.cpp gives many of them to `std::regex`, which calls itself once a character: a word
//! of 26,000 letters overflows the stack.

mod class;
mod expression;
mod table;
mod words;

use expression::Expression;
use table::{Source, TABLE};
use words::Words;

/// What splits a text, and what else its name means to llama.cpp.
#[derive(Debug)]
pub(super) struct PreTokenizer {
    steps: Vec<Step>,
    /// Whether a word that is a token is taken whole instead of being merged from its parts.
    pub(super) whole_words: bool,
    /// Whether a text begins with BOS if the file has no key for it.
    pub(super) adds_bos: bool,
}

#[derive(Debug)]
enum Step {
    Words(Words),
    Expression(Expression),
    TrailingBlanks,
    Cascade,
    Thousands,
    AsciiThousands,
}

/// True if the splitting by this name includes an expression.
pub(super) fn has_expressions(name: &str) -> bool {
    let row = TABLE.iter().find(|row| row.names.contains(&name));
    row.is_some_and(|row| row.steps.iter().any(|step| matches!(step, Source::Expression(_))))
}

impl PreTokenizer {
    /// What has this name in llama.cpp (`tokenizer.ggml.pre`). `None` if siskin cannot split as it does.
    pub(super) fn named(name: &str) -> Option<Self> {
        let row = TABLE.iter().find(|row| row.names.contains(&name))?;
        let step = |source: &Source| {
            Some(match *source {
                Source::Words(words) => Step::Words(words),
                Source::Expression(pattern) => Step::Expression(Expression::parse(pattern)?),
                Source::TrailingBlanks => Step::TrailingBlanks,
                Source::Cascade => Step::Cascade,
                Source::Thousands => Step::Thousands,
                Source::AsciiThousands => Step::AsciiThousands,
            })
        };
        Some(PreTokenizer {
            steps: row.steps.iter().map(step).collect::<Option<_>>()?,
            whole_words: row.whole_words,
            adds_bos: row.adds_bos,
        })
    }

    /// Every name that siskin splits by.
    pub(super) fn names() -> impl Iterator<Item = &'static str> {
        TABLE.iter().flat_map(|row| row.names).copied()
    }

    /// Calls `each` with the words of `text` in order; joined together they are the text.
    pub(super) fn split<'a>(&self, text: &'a str, each: &mut dyn FnMut(&'a str)) {
        split(&self.steps, text, each);
    }
}

/// Splits by the first step, and each of its words by the others.
fn split<'a>(steps: &[Step], text: &'a str, each: &mut dyn FnMut(&'a str)) {
    let Some((step, rest)) = steps.split_first() else {
        if !text.is_empty() {
            each(text);
        }
        return;
    };
    let mut next = |word: &'a str| split(rest, word, each);
    match step {
        Step::Words(words) => words.split(text).for_each(next),
        Step::Expression(expression) => expression.split(text, &mut next),
        Step::TrailingBlanks => {
            let (before, blanks) = text.split_at(text.trim_end().len());
            next(before);
            next(blanks);
        }
        Step::Cascade => cascade(text, &mut next),
        Step::Thousands => thousands(text, class_is_number, &mut next),
        Step::AsciiThousands => ascii_thousands(text, &mut next),
    }
}

fn class_is_number(c: char) -> bool {
    class::class(c) == class::Class::Number
}

/// Blanks in pieces of a power of two from 512 to 4, then of 2 and 1.
fn cascade<'a>(text: &'a str, next: &mut dyn FnMut(&'a str)) {
    if !text.chars().all(class::is_space) || text.ends_with(['\r', '\n']) {
        return next(text);
    }
    let mut rest = text;
    let mut left = text.chars().count();
    while left > 0 {
        let size = [512, 256, 128, 64, 32, 16, 8, 4, 2]
            .into_iter()
            .find(|&size| size <= left)
            .unwrap_or(1);
        let len = rest.chars().take(size).map(char::len_utf8).sum();
        let (piece, after) = rest.split_at(len);
        next(piece);
        rest = after;
        left -= size;
    }
}

/// Cuts before every third digit from the right of each number, except at the number's start, and after each number.
fn thousands<'a>(text: &'a str, is_digit: fn(char) -> bool, next: &mut dyn FnMut(&'a str)) {
    let (mut done, mut rest) = (0, text);
    while let Some(start) = rest.find(is_digit) {
        let digits = &rest[start..];
        let digits = &digits[..digits.find(|c| !is_digit(c)).unwrap_or(digits.len())];
        let mut at = text.len() - rest.len() + start;
        rest = &rest[start + digits.len()..];
        let mut left = digits.chars().count();
        for c in digits.chars() {
            at += c.len_utf8();
            left -= 1;
            if left % 3 == 0 {
                next(&text[done..at]);
                done = at;
            }
        }
    }
    next(&text[done..]);
}

/// Cuts before every third digit from the right of each number, the number's start included.
fn ascii_thousands<'a>(text: &'a str, next: &mut dyn FnMut(&'a str)) {
    let mut done = 0;
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        let digits = bytes[at..]
            .iter()
            .take_while(|byte| byte.is_ascii_digit())
            .count();
        for cut in (at..at + digits).filter(|cut| (at + digits - cut).is_multiple_of(3)) {
            next(&text[done..cut]);
            done = cut;
        }
        at += digits.max(1);
    }
    next(&text[done..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(name: &str, text: &str) -> String {
        let mut parts = Vec::new();
        let named = PreTokenizer::named(name).expect(name);
        named.split(text, &mut |part| parts.push(part.to_owned()));
        assert_eq!(parts.concat(), text, "{name}");
        parts.join("/")
    }

    #[test]
    fn every_name_is_known_once_and_its_expressions_are_read() {
        let mut names: Vec<_> = PreTokenizer::names().collect();
        assert!(names.iter().all(|name| PreTokenizer::named(name).is_some()));
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
        assert!(PreTokenizer::named("whitespace").is_none());
        for row in &TABLE {
            assert!(row.names.is_sorted() || row.names.contains(&"default"), "{row:?}");
        }
    }

    #[test]
    fn steps_that_are_no_expressions() {
        let cases = [
            ("jais-2", "a          b", "a/        / / b"),
            ("jais-2", "a   \n  ", "a/   \n/  "),
            ("afmoe", "1234567", "1/234/567"),
            ("superbpe", "a 1234567 123", "a /1/234/567/ /123"),
            ("deepseek-llm", "a. \t ", "a/./ \t "),
            ("deepseek-llm", "a  b1２ 中", "a/ / b/1２/ /中"),
            ("smollm", "in 2024", "in/ /2/0/2/4"),
            ("default", "$12 12345!", "$/12/ /123/45/!"),
            ("chameleon", "a  b<sentinel:12>", "a/  /b/</sentinel/:/1/2/>"),
        ];
        for (name, text, want) in cases {
            assert_eq!(parts(name, text), want, "{name} {text:?}");
        }
    }

    #[test]
    fn long_words_take_time_in_proportion_to_their_length() {
        let texts = [
            "a", "A", "-", " ", "\n", "1", "中", "\u{301}", "\t", "aA", " a", "\u{3000}", "' ",
        ];
        for name in TABLE.iter().filter_map(|row| row.names.first()) {
            let named = PreTokenizer::named(name).expect(name);
            for text in texts {
                let text = text.repeat(20_000);
                for text in [text.clone(), text.clone() + "b", text + "9"] {
                    let mut len = 0;
                    named.split(&text, &mut |part| len += part.len());
                    assert_eq!(len, text.len(), "{name}");
                }
            }
        }
    }
}
