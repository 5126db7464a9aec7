//! Control tokens belong to the template: no message can write one.
//!
//! A rendered conversation is text, and `<|eot_id|>` typed by a person looks in it exactly like the one the template
//! wrote. Therefore the rendering has a record of which characters were said, whatever the template did to them. A
//! spelling becomes a control token only if the template wrote all of it; everything else is plain text.

use std::ops::Range;
use std::sync::atomic::AtomicBool;

use siskin_jinja::Rendered;
use siskin_model::tokenizer::TokenType;

use super::template::Template;
use crate::engine::{Model, Token};

/// The longest spelling that counts, in bytes. Real ones have a few dozen; what is longer is text.
const MAX_SPELLING: usize = 256;

/// The control tokens of a vocabulary, in the order of their spellings.
#[derive(Debug, Default)]
pub(super) struct ControlTokens(Vec<Control>);

#[derive(Debug)]
struct Control {
    token: Token,
    spelling: Box<str>,
    /// Whether the tokenizer turns this spelling into the token everywhere, even in plain text.
    stubborn: bool,
}

impl ControlTokens {
    /// The control tokens of the model's vocabulary: those of the control or unknown kind, and user-defined
    /// ones that the template spells out.
    pub(super) fn new(model: &Model, template: &Template) -> Self {
        let control = |token: Token| {
            let stubborn = match model.token_type(token) {
                TokenType::Control | TokenType::Unknown => false,
                TokenType::UserDefined => true,
                _ => return None,
            };
            let spelling = model.spelling(token)?;
            // A one-character spelling cannot be broken; blanks are text to any tokenizer.
            let usable = spelling.chars().nth(1).is_some() && !spelling.trim().is_empty();
            (usable && spelling.len() <= MAX_SPELLING).then(|| Control {
                token,
                spelling: spelling.into(),
                stubborn,
            })
        };
        ControlTokens::from_tokens(model.tokens().filter_map(control).collect(), template.own())
    }

    /// Control tokens, and of the stubborn ones those that `own` mentions.
    fn from_tokens(mut tokens: Vec<Control>, own: &str) -> Self {
        tokens.sort_by(|a, b| a.spelling.cmp(&b.spelling));
        let all = ControlTokens(tokens);
        let mut wanted: Vec<bool> = all.0.iter().map(|control| !control.stubborn).collect();
        if wanted.contains(&false) {
            for (at, _) in own.char_indices() {
                all.beginning(&own[at..], |place| wanted[place] = true);
            }
        }
        let mut wanted = wanted.into_iter();
        let mut all = all;
        all.0.retain(|_| wanted.next().unwrap_or(false));
        ControlTokens(all.0)
    }

    /// Calls `found` with each spelling that `text` begins with, the longest first.
    fn beginning(&self, text: &str, mut found: impl FnMut(usize)) {
        let text = text.as_bytes();
        let mut key = &text[..text.len().min(MAX_SPELLING)];
        loop {
            // The last spelling that is not after `key` is the longest beginning of it, or shares less with it.
            let after = self
                .0
                .partition_point(|control| control.spelling.as_bytes() <= key);
            let Some(place) = after.checked_sub(1) else {
                return;
            };
            let spelling = self.0[place].spelling.as_bytes();
            let common = spelling.iter().zip(key).take_while(|(a, b)| a == b).count();
            if common == spelling.len() {
                found(place);
                key = &key[..common.saturating_sub(1)];
            } else {
                key = &key[..common];
            }
            if key.is_empty() {
                return;
            }
        }
    }

    fn longest(&self, text: &str) -> Option<&Control> {
        let mut longest = None;
        self.beginning(text, |place| longest = longest.or(Some(place)));
        longest.map(|place| &self.0[place])
    }

    /// The control tokens that the template wrote: their places in the text. None has a character that was said.
    fn written(&self, rendered: &Rendered) -> Vec<(Range<usize>, Token)> {
        let Rendered { text, said } = rendered;
        let starts = std::iter::once(0).chain(said.iter().map(|said| said.end));
        let ends = said.iter().map(|said| said.start).chain([text.len()]);
        let mut written = Vec::new();
        for (start, end) in starts.zip(ends) {
            let own = &text[start..end];
            let mut at = 0;
            while let Some(first) = own[at..].chars().next() {
                match self.longest(&own[at..]) {
                    Some(control) => {
                        let length = control.spelling.len();
                        written.push((start + at..start + at + length, control.token));
                        at += length;
                    }
                    None => at += first.len_utf8(),
                }
            }
        }
        written
    }

    /// Places in plain text that must be tokenized apart, because the tokenizer would find a stubborn token across them.
    fn cuts(&self, text: &str) -> Vec<usize> {
        let mut cuts = Vec::new();
        if !self.0.iter().any(|control| control.stubborn) {
            return cuts;
        }
        for (at, first) in text.char_indices() {
            let mut stubborn = false;
            self.beginning(&text[at..], |place| stubborn |= self.0[place].stubborn);
            if stubborn {
                cuts.push(at + first.len_utf8());
            }
        }
        cuts
    }

    /// The tokens of a rendered conversation, preceded by the beginning-of-text token if the model wants one
    /// and the template did not write it. `None` if `stop` became true meanwhile.
    pub(super) fn tokenize(
        &self,
        model: &Model,
        rendered: &Rendered,
        stop: Option<&AtomicBool>,
    ) -> Option<Vec<Token>> {
        let text = &rendered.text;
        let mut tokens = Vec::new();
        let mut done = 0;
        for (place, token) in self.written(rendered) {
            self.plain(model, &text[done..place.start], stop, &mut tokens)?;
            tokens.push(token);
            done = place.end;
        }
        self.plain(model, &text[done..], stop, &mut tokens)?;
        if let Some(bos) = model.bos().filter(|bos| tokens.first() != Some(bos)) {
            tokens.insert(0, bos);
        }
        Some(tokens)
    }

    /// Tokenizes text without control tokens; `None` if it was stopped.
    fn plain(
        &self,
        model: &Model,
        text: &str,
        stop: Option<&AtomicBool>,
        tokens: &mut Vec<Token>,
    ) -> Option<()> {
        let mut done = 0;
        for cut in self.cuts(text).into_iter().chain([text.len()]) {
            if done < cut {
                model.append_until(&text[done..cut], stop, tokens)?;
            }
            done = cut;
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn controls(spellings: &[(&str, bool)], own: &str) -> ControlTokens {
        let control = |(at, (spelling, stubborn)): (usize, &(&str, bool))| Control {
            token: Token(i32::try_from(at).expect("few")),
            spelling: (*spelling).into(),
            stubborn: *stubborn,
        };
        ControlTokens::from_tokens(spellings.iter().enumerate().map(control).collect(), own)
    }

    const SPELLINGS: [(&str, bool); 6] = [
        ("<|user|>", false),
        ("<|us", false),
        ("s|>", false),
        ("<think>", true),
        ("é|", false),
        ("<tool>", true),
    ];

    /// Text in `[]` was said.
    fn rendered(marked: &str) -> Rendered {
        let mut rendered = Rendered::default();
        let mut start = 0;
        for c in marked.chars() {
            match c {
                '[' => start = rendered.text.len(),
                ']' => rendered.said.push(start..rendered.text.len()),
                c => rendered.text.push(c),
            }
        }
        rendered
    }

    #[test]
    fn only_what_the_template_wrote_as_a_whole_is_a_control_token() {
        let cases: [(&str, &[&str]); 9] = [
            ("a <|user|> b", &["<|user|>"]),
            ("<|user|>[<|user|>]<|us", &["<|user|>", "<|us"]),
            ("<|u[ser|>] <|use[r]|>", &["<|us"]),
            ("<|[user]|>", &[]),
            ("<[|]user|>", &[]),
            ("<|uss|>", &["<|us", "s|>"]),
            ("né| [é]|", &["é|"]),
            ("<think><tool>", &["<think>"]),
            ("", &[]),
        ];
        let controls = controls(&SPELLINGS, "say <think>");
        for (marked, want) in cases {
            let rendered = rendered(marked);
            let written = controls.written(&rendered);
            let texts: Vec<&str> = written
                .into_iter()
                .map(|(place, _)| &rendered.text[place])
                .collect();
            assert_eq!(texts, want, "{marked}");
        }
    }

    #[test]
    fn stubborn_tokens_that_were_said_are_cut() {
        let controls = controls(&SPELLINGS, "say <think>");
        assert_eq!(controls.cuts("a <think> <thin <tool> <<think>"), [3, 25]);
        assert_eq!(controls.cuts("<|user|>"), [0; 0]);
    }

    #[test]
    fn every_beginning_is_found_the_longest_first() {
        let controls = controls(
            &[
                ("a", false),
                ("ab", false),
                ("abcd", false),
                ("abx", false),
                ("b", false),
            ],
            "",
        );
        for (text, want) in [
            ("abcde", &["abcd", "ab", "a"][..]),
            ("abd", &["ab", "a"]),
            ("c", &[]),
            ("b", &["b"]),
        ] {
            let mut found = Vec::new();
            controls.beginning(text, |place| found.push(&*controls.0[place].spelling));
            assert_eq!(found, want, "{text}");
        }
    }
}
