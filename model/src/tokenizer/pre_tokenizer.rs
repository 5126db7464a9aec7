//! Splits text into words, as the regular expressions of byte-level pre-tokenizers do.
//!
//! ```text
//! gpt-2      's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
//! llama-bpe  (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+
//! stablelm2  the same with \p{N} alone
//! ```
//!
//! They are implemented by hand: a regex engine with its tables would be larger than the whole tokenizer
//! here.

use unicode_general_category::{GeneralCategory, get_general_category};

/// The expression that splits a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PreTokenizer {
    /// GPT-2's expression.
    Gpt2,
    /// Llama 3's and its relatives': letters may follow one other character, and line ends may follow signs.
    Llama3 {
        /// The largest number of digits in a word.
        digits: usize,
    },
}

/// llama.cpp's names (`tokenizer.ggml.pre`). OLMo's expression is GPT-NeoX's; llama.cpp does not normalise
/// text to NFC.
const NAMES: [(&str, PreTokenizer); 5] = [
    ("gpt-2", PreTokenizer::Gpt2),
    ("llama-bpe", PreTokenizer::LLAMA3),
    ("olmo", PreTokenizer::Gpt2),
    ("qwen2", PreTokenizer::Llama3 { digits: 1 }),
    ("stablelm2", PreTokenizer::Llama3 { digits: 1 }),
];

/// The classes of characters that the expressions distinguish.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    Letter,
    Number,
    Space,
    Sign,
}

impl PreTokenizer {
    /// Llama 3's expression: up to three digits.
    pub(super) const LLAMA3: PreTokenizer = PreTokenizer::Llama3 { digits: 3 };

    /// The expression that has this name in llama.cpp.
    pub(super) fn named(name: &str) -> Option<Self> {
        NAMES.iter().find(|row| row.0 == name).map(|row| row.1)
    }

    /// The words of `text`; joined together they are the text.
    pub(super) fn words(self, text: &str) -> impl Iterator<Item = &str> {
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
            PreTokenizer::Gpt2 => first == ' ',
            PreTokenizer::Llama3 { .. } => {
                !matches!(first, '\r' | '\n') && !matches!(class(first), Class::Letter | Class::Number)
            }
        };
        let body = if lead { &text[first.len_utf8()..] } else { text };
        let lead = text.len() - body.len();
        let run = |text: &str, wanted: Class, most: usize| -> usize {
            let same = text.chars().take(most).take_while(|&c| class(c) == wanted);
            same.map(char::len_utf8).sum()
        };
        let any = usize::MAX;
        match run(body, Class::Letter, any) {
            0 => {}
            letters => return Some(lead + letters),
        }
        let space = usize::from(first == ' ');
        let (numbers, signs) = match self {
            PreTokenizer::Gpt2 => (
                run(&text[space..], Class::Number, any),
                run(&text[space..], Class::Sign, any),
            ),
            PreTokenizer::Llama3 { digits } => (
                run(text, Class::Number, digits),
                run(&text[space..], Class::Sign, any),
            ),
        };
        if numbers > 0 {
            return Some(numbers + if self == PreTokenizer::Gpt2 { space } else { 0 });
        }
        if signs > 0 {
            let end = space + signs;
            let lines = text[end..].len() - text[end..].trim_start_matches(['\r', '\n']).len();
            return Some(end + if self == PreTokenizer::Gpt2 { 0 } else { lines });
        }
        Some(self.blanks(text))
    }

    /// The length of a contraction such as `'s`.
    fn contraction(self, text: &str) -> Option<usize> {
        let rest = text.strip_prefix('\'')?;
        let same = |ending: &&&str| match self {
            PreTokenizer::Gpt2 => rest.starts_with(**ending),
            PreTokenizer::Llama3 { .. } => rest
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
        if let (PreTokenizer::Llama3 { .. }, Some(end)) = (self, line_end) {
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

fn class(c: char) -> Class {
    use GeneralCategory::*;
    if c.is_ascii() {
        return match c {
            'a'..='z' | 'A'..='Z' => Class::Letter,
            '0'..='9' => Class::Number,
            _ if c.is_whitespace() => Class::Space,
            _ => Class::Sign,
        };
    }
    if c.is_whitespace() {
        return Class::Space;
    }
    match get_general_category(c) {
        // Letters added in Unicode 15.1, whose tables llama.cpp has; the crate has those of 15.0.
        Unassigned if matches!(c, '\u{2ebf0}'..='\u{2ee5d}') => Class::Letter,
        UppercaseLetter | LowercaseLetter | TitlecaseLetter | ModifierLetter | OtherLetter => Class::Letter,
        DecimalNumber | LetterNumber | OtherNumber => Class::Number,
        _ => Class::Sign,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_sorted_and_known() {
        assert!(NAMES.is_sorted_by(|a, b| a.0 < b.0));
        assert_eq!(PreTokenizer::named("default"), None);
    }

    #[test]
    fn words_as_the_expressions_part_them() {
        let one = PreTokenizer::Llama3 { digits: 1 };
        let cases: [(PreTokenizer, &str, &[&str]); 16] = [
            (PreTokenizer::Gpt2, "", &[]),
            (
                PreTokenizer::Gpt2,
                "Hello, world's 12345!",
                &["Hello", ",", " world", "'s", " 12345", "!"],
            ),
            (PreTokenizer::Gpt2, "it'S 'tis", &["it", "'", "S", " '", "tis"]),
            (PreTokenizer::Gpt2, "a  b", &["a", " ", " b"]),
            (PreTokenizer::Gpt2, "a\n\n b  ", &["a", "\n\n", " b", "  "]),
            (PreTokenizer::Gpt2, "!!\n", &["!!", "\n"]),
            (PreTokenizer::Gpt2, "\tx", &["\t", "x"]),
            (
                PreTokenizer::LLAMA3,
                "Hello, world'S 12345!",
                &["Hello", ",", " world", "'S", " ", "123", "45", "!"],
            ),
            (one, "a 12", &["a", " ", "1", "2"]),
            (PreTokenizer::LLAMA3, "a  b", &["a", " ", " b"]),
            (PreTokenizer::LLAMA3, "a \n \n  b", &["a", " \n \n", " ", " b"]),
            (PreTokenizer::LLAMA3, "!!\r\n\nx", &["!!\r\n\n", "x"]),
            (PreTokenizer::LLAMA3, "\tx(y", &["\tx", "(y"]),
            (PreTokenizer::LLAMA3, " é\u{301}²", &[" é", "\u{301}", "²"]),
            (
                PreTokenizer::LLAMA3,
                "中文 １２３４",
                &["中文", " ", "１２３", "４"],
            ),
            (PreTokenizer::LLAMA3, "'ſ we'LL", &["'ſ", " we", "'LL"]),
        ];
        for (pre_tokenizer, text, want) in cases {
            assert_eq!(
                pre_tokenizer.words(text).collect::<Vec<_>>(),
                want,
                "{pre_tokenizer:?} {text:?}"
            );
        }
    }
}
