//! The most frequent expressions, by hand: several times as fast as [`Expression`](super::expression::Expression).
//!
//! ```text
//! gpt-2      's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
//! llama-bpe  (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+
//! stablelm2  the same with \p{N} alone
//! ```

use super::class::{Class, class};

/// The expression that splits a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Words {
    /// GPT-2's expression.
    Gpt2,
    /// Llama 3's and its relatives': letters may follow one other character, and line ends may follow signs.
    Llama3 {
        /// The largest number of digits in a word.
        digits: usize,
    },
}

/// The classes of characters that these expressions distinguish.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Letter,
    Number,
    Space,
    Sign,
}

impl From<char> for Kind {
    fn from(c: char) -> Self {
        match class(c) {
            Class::Letter => Kind::Letter,
            Class::Number => Kind::Number,
            Class::Space => Kind::Space,
            Class::Mark | Class::Punctuation | Class::Symbol | Class::Other => Kind::Sign,
        }
    }
}

impl Words {
    /// The words of `text`; joined together they are the text.
    pub(super) fn split(self, text: &str) -> impl Iterator<Item = &str> {
        let mut rest = text;
        std::iter::from_fn(move || {
            let len = self.word(rest)?;
            let (word, after) = rest.split_at(len);
            rest = after;
            Some(word)
        })
    }

    /// The length in bytes of the first word; `None` if the text is empty.
    fn word(self, text: &str) -> Option<usize> {
        let first = text.chars().next()?;
        if let Some(len) = self.contraction(text) {
            return Some(len);
        }
        // The character that may precede the word, and the rest after it.
        let lead = match self {
            Words::Gpt2 => first == ' ',
            Words::Llama3 { .. } => {
                !matches!(first, '\r' | '\n') && !matches!(Kind::from(first), Kind::Letter | Kind::Number)
            }
        };
        let body = if lead { &text[first.len_utf8()..] } else { text };
        let lead = text.len() - body.len();
        let run = |text: &str, wanted: Kind, most: usize| -> usize {
            let same = text.chars().take(most).take_while(|&c| Kind::from(c) == wanted);
            same.map(char::len_utf8).sum()
        };
        let any = usize::MAX;
        match run(body, Kind::Letter, any) {
            0 => {}
            letters => return Some(lead + letters),
        }
        let space = usize::from(first == ' ');
        let (numbers, signs) = match self {
            Words::Gpt2 => (
                run(&text[space..], Kind::Number, any),
                run(&text[space..], Kind::Sign, any),
            ),
            Words::Llama3 { digits } => (
                run(text, Kind::Number, digits),
                run(&text[space..], Kind::Sign, any),
            ),
        };
        if numbers > 0 {
            return Some(numbers + if self == Words::Gpt2 { space } else { 0 });
        }
        if signs > 0 {
            let end = space + signs;
            let lines = text[end..].len() - text[end..].trim_start_matches(['\r', '\n']).len();
            return Some(end + if self == Words::Gpt2 { 0 } else { lines });
        }
        Some(self.blanks(text))
    }

    /// The length of a contraction such as `'s`.
    fn contraction(self, text: &str) -> Option<usize> {
        let rest = text.strip_prefix('\'')?;
        let same = |ending: &&&str| match self {
            Words::Gpt2 => rest.starts_with(**ending),
            Words::Llama3 { .. } => rest
                .get(..ending.len())
                .is_some_and(|start| start.eq_ignore_ascii_case(ending)),
        };
        let endings = ["s", "t", "re", "ve", "m", "ll", "d"];
        endings.iter().find(same).map(|ending| 1 + ending.len())
    }

    /// The length of a run of blanks: with Llama 3, up to its last line end; otherwise without its last
    /// blank, which belongs to the next word.
    fn blanks(self, text: &str) -> usize {
        let after = text.trim_start();
        let blanks = &text[..text.len() - after.len()];
        let line_end = blanks.rfind(['\r', '\n']).map(|at| at + 1);
        if let (Words::Llama3 { .. }, Some(end)) = (self, line_end) {
            return end;
        }
        let last = blanks.chars().next_back().map_or(0, char::len_utf8);
        match blanks.len() - last {
            0 => last,
            _ if after.is_empty() => blanks.len(),
            before => before,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_as_the_expressions_part_them() {
        let one = Words::Llama3 { digits: 1 };
        let cases: [(Words, &str, &[&str]); 16] = [
            (Words::Gpt2, "", &[]),
            (
                Words::Gpt2,
                "Hello, world's 12345!",
                &["Hello", ",", " world", "'s", " 12345", "!"],
            ),
            (Words::Gpt2, "it'S 'tis", &["it", "'", "S", " '", "tis"]),
            (Words::Gpt2, "a  b", &["a", " ", " b"]),
            (Words::Gpt2, "a\n\n b  ", &["a", "\n\n", " b", "  "]),
            (Words::Gpt2, "!!\n", &["!!", "\n"]),
            (Words::Gpt2, "\tx", &["\t", "x"]),
            (
                Words::Llama3 { digits: 3 },
                "Hello, world'S 12345!",
                &["Hello", ",", " world", "'S", " ", "123", "45", "!"],
            ),
            (one, "a 12", &["a", " ", "1", "2"]),
            (Words::Llama3 { digits: 3 }, "a  b", &["a", " ", " b"]),
            (
                Words::Llama3 { digits: 3 },
                "a \n \n  b",
                &["a", " \n \n", " ", " b"],
            ),
            (Words::Llama3 { digits: 3 }, "!!\r\n\nx", &["!!\r\n\n", "x"]),
            (Words::Llama3 { digits: 3 }, "\tx(y", &["\tx", "(y"]),
            (Words::Llama3 { digits: 3 }, " é\u{301}²", &[" é", "\u{301}", "²"]),
            (
                Words::Llama3 { digits: 3 },
                "中文 １２３４",
                &["中文", " ", "１２３", "４"],
            ),
            (Words::Llama3 { digits: 3 }, "'ſ we'LL", &["'ſ", " we", "'LL"]),
        ];
        for (words, text, want) in cases {
            assert_eq!(words.split(text).collect::<Vec<_>>(), want, "{words:?} {text:?}");
        }
    }
}
