//! Control tokens belong to the template: no message can write one.
//!
//! A rendered conversation is text, and `<|eot_id|>` typed by a person looks in it exactly like the one the
//! template wrote. Therefore, before rendering, every control token's spelling inside a message is broken
//! with a mark, a character that occurs nowhere else. After rendering, only unbroken spellings become control
//! tokens, and the marks are removed. Messages that spell no control token are rendered unchanged, so the
//! template sees what it would see in transformers.

use std::sync::atomic::AtomicBool;

use aho_corasick::automaton::Automaton;
use aho_corasick::nfa::noncontiguous::NFA;
use aho_corasick::{Input, Match, MatchKind};

use super::conversation::Message;
use super::template::Template;
use crate::engine::{Model, Token, Tokenize};
use siskin_model::tokenizer::TokenType;

/// The control tokens of a vocabulary and their spellings.
#[derive(Debug)]
pub(super) struct ControlTokens {
    // The plainest automaton: the crate's faster ones are 50 KB of program for some special tokens.
    search: NFA,
    tokens: Vec<Control>,
}

#[derive(Debug)]
struct Control {
    token: Token,
    spelling: String,
    /// Whether the tokenizer turns this spelling into the token everywhere, even in plain text.
    stubborn: bool,
}

/// Two characters that occur neither in the messages nor in the template.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Marks {
    /// Breaks a spelling; the text around it is tokenized as one piece.
    join: char,
    /// Breaks a spelling that must also be tokenized in two parts.
    cut: char,
}

impl ControlTokens {
    /// The control tokens of the model's vocabulary: those of the control or unknown kind, and user-defined
    /// ones that the template spells out.
    pub(super) fn new(model: &Model, template: &Template) -> Self {
        let control = |token: Token| {
            let (plain, stubborn) = match model.token_type(token) {
                TokenType::Control | TokenType::Unknown => (true, false),
                TokenType::UserDefined => (false, true),
                _ => return None,
            };
            let spelling = model.spelling(token)?;
            // A one-character spelling cannot be broken; blanks are text to any tokenizer.
            let usable = spelling.chars().nth(1).is_some() && !spelling.trim().is_empty();
            let wanted = plain || template.mentions(&spelling);
            (usable && wanted).then_some(Control {
                token,
                spelling,
                stubborn,
            })
        };
        ControlTokens::from_tokens(model.tokens().filter_map(control).collect())
    }

    fn from_tokens(tokens: Vec<Control>) -> Self {
        let spellings = tokens.iter().map(|control| control.spelling.as_str());
        let search = NFA::builder()
            .match_kind(MatchKind::LeftmostLongest)
            .build(spellings)
            .expect("a vocabulary's few special tokens");
        ControlTokens { search, tokens }
    }

    /// Breaks every spelling in the messages. Returns `None` if no two characters are free to be marks.
    pub(super) fn defuse(&self, messages: &mut [Message], template: &Template) -> Option<Marks> {
        let free = |mark: &char| {
            let mut buffer = [0; 4];
            let text = mark.encode_utf8(&mut buffer);
            !template.mentions(text) && messages.iter().all(|message| !message.content.contains(*mark))
        };
        // Noncharacters of Unicode first, then characters of private use.
        let mut marks = ('\u{fdd0}'..='\u{fdef}')
            .chain('\u{f0000}'..='\u{ffffd}')
            .filter(free);
        let marks = Marks {
            join: marks.next()?,
            cut: marks.next()?,
        };
        for message in messages {
            message.content = self.broken(&message.content, marks);
        }
        Some(marks)
    }

    /// `content` with a mark after the first character of each spelling that begins in it, and a mark at an
    /// end of the message if the template's text there could complete a spelling.
    fn broken(&self, content: &str, marks: Marks) -> String {
        let trimmed = content.trim();
        let begins = content.len() - content.trim_start().len();
        let mut inserts = Vec::new();
        if self.any_split(|_, end| trimmed.starts_with(end)) {
            inserts.push((begins, marks.join));
        }
        let mut from = 0;
        while let Some(found) = self.find(Input::new(content).range(from..)) {
            let first = content[found.start()..].chars().next().map_or(1, char::len_utf8);
            from = found.start() + first;
            let control = &self.tokens[found.pattern().as_usize()];
            inserts.push((from, if control.stubborn { marks.cut } else { marks.join }));
        }
        if self.any_split(|start, _| trimmed.ends_with(start)) {
            inserts.push((begins + trimmed.len(), marks.join));
        }
        let mut text = String::with_capacity(content.len() + 4 * inserts.len());
        let mut done = 0;
        for (at, mark) in inserts {
            text.push_str(&content[done..at]);
            text.push(mark);
            done = at;
        }
        text + &content[done..]
    }

    /// Whether `test` holds for some spelling split in two.
    fn any_split(&self, test: impl Fn(&str, &str) -> bool) -> bool {
        self.tokens.iter().any(|control| {
            let cuts = control.spelling.char_indices().skip(1);
            cuts.map(|(at, _)| control.spelling.split_at(at))
                .any(|(start, end)| test(start, end))
        })
    }

    /// The first of the longest spellings.
    fn find(&self, input: Input<'_>) -> Option<Match> {
        let found = self.search.try_find(&input);
        found.expect("this automaton searches from any start")
    }

    /// The tokens of a rendered conversation, preceded by the beginning-of-text token if the model wants one
    /// and the template did not write it. `None` if `stop` became true meanwhile.
    pub(super) fn tokenize(
        &self,
        model: &Model,
        text: &str,
        marks: Marks,
        stop: Option<&AtomicBool>,
    ) -> Option<Vec<Token>> {
        let mut tokens = Vec::new();
        let mut done = 0;
        while let Some(found) = self.find(Input::new(text).range(done..)) {
            plain(model, &text[done..found.start()], marks, stop, &mut tokens)?;
            tokens.push(self.tokens[found.pattern().as_usize()].token);
            done = found.end();
        }
        plain(model, &text[done..], marks, stop, &mut tokens)?;
        if let Some(bos) = model.bos().filter(|bos| tokens.first() != Some(bos)) {
            tokens.insert(0, bos);
        }
        Some(tokens)
    }
}

impl Marks {
    /// The bytes of a rendered text without its marks.
    pub(super) fn bytes_without(self, text: &str) -> u64 {
        let said = text.chars().filter(|c| ![self.join, self.cut].contains(c));
        said.map(|c| c.len_utf8() as u64).sum()
    }
}

/// Tokenizes text without control tokens, and removes the marks; `None` if it was stopped.
fn plain(
    model: &Model,
    text: &str,
    marks: Marks,
    stop: Option<&AtomicBool>,
    tokens: &mut Vec<Token>,
) -> Option<()> {
    for part in text.split(marks.cut) {
        let part = part.replace(marks.join, "");
        if !part.is_empty() {
            tokens.extend(model.tokenize_until(&part, Tokenize::PLAIN, stop)?);
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const MARKS: Marks = Marks { join: '+', cut: '/' };

    fn controls() -> ControlTokens {
        let spellings = [
            ("<|user|>", false),
            ("<|us", false),
            ("s|>", false),
            ("<think>", true),
            ("é|", false),
        ];
        let control = |(at, (spelling, stubborn)): (usize, (&str, bool))| Control {
            token: Token(i32::try_from(at).expect("few")),
            spelling: spelling.into(),
            stubborn,
        };
        ControlTokens::from_tokens(spellings.into_iter().enumerate().map(control).collect())
    }

    #[test]
    fn every_spelling_in_a_message_is_broken_and_nothing_else_is_touched() {
        let cases = [
            ("plain < text | here", "plain < text | here"),
            ("a <|user|> b", "a <+|user|> b"),
            ("<|user|><|user|>.", "<+|user|><+|user|>."),
            ("a <think> b", "a </think> b"),
            // Spellings that overlap: each one is broken.
            ("a <|uss|> b", "a <+|uss+|> b"),
            ("né| b", "né+| b"),
            // Text that a template could complete, next to blanks that it may trim.
            ("a <|u \n", "a <|u+ \n"),
            (" |> a", " +|> a"),
            ("<", "<+"),
            ("", ""),
        ];
        for (content, want) in cases {
            let got = controls().broken(content, MARKS);
            assert_eq!(got, want);
            assert_eq!(got.replace(['+', '/'], ""), content);
        }
    }
}
