//! Whether two models have the same tokens, so that one can guess what the other writes.
//!
//! Numbers say nothing: vocabularies of 32,000 tokens are of many kinds, and the same vocabulary is padded to other
//! sizes. So the texts of all tokens are compared, and the first that differs is named.

mod listed;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::fmt;

use super::{TokenType, Tokenizer};
use crate::ErrorKind;
use crate::gguf::shortened;

pub use listed::Listed;

/// A vocabulary as far as it is compared. Ids go from 0 to [`len`](Vocabulary::len).
pub trait Vocabulary {
    /// Ids, those of padding too.
    fn len(&self) -> u32;

    /// A token's text as the vocabulary spells it.
    fn text(&self, id: u32) -> Option<Cow<'_, str>>;

    /// A token's type.
    fn token_type(&self, id: u32) -> TokenType;

    /// Whether the token ends a text or a turn.
    fn is_eog(&self, id: u32) -> bool;

    /// The token that begins every text; `None` if texts begin with none.
    fn bos(&self) -> Option<u32>;

    /// True if there are no ids.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Vocabulary for Tokenizer {
    fn len(&self) -> u32 {
        u32::try_from(self.types.len()).unwrap_or(u32::MAX)
    }

    fn text(&self, id: u32) -> Option<Cow<'_, str>> {
        self.spelling(id).map(Cow::Borrowed)
    }

    fn token_type(&self, id: u32) -> TokenType {
        Tokenizer::token_type(self, id).unwrap_or(TokenType::Undefined)
    }

    fn is_eog(&self, id: u32) -> bool {
        Tokenizer::is_eog(self, id)
    }

    fn bos(&self) -> Option<u32> {
        self.special.keys.begin()
    }
}

/// What two vocabularies have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Agreement {
    /// Ids below this one mean the same to both. A draft must not be given others, and guesses none.
    pub common: u32,
    /// Tokens from there on that only the target has: a fine-tune's, such as those of its chat template.
    pub only_target: u32,
    /// Tokens from there on that only the draft has.
    pub only_draft: u32,
}

/// Two models do not have the same tokens.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Disagreement {
    /// Tokens differ in their text, or in whether they are text.
    #[error(
        "token {id} is {}; {differing} of {common} tokens differ",
        Both(target, draft)
    )]
    Token {
        /// The first that differs.
        id: u32,
        /// What it is in the target.
        target: Seen,
        /// What it is in the draft.
        draft: Seen,
        /// Tokens that differ, of those that both have.
        differing: u32,
        /// Tokens that both have.
        common: u32,
    },
    /// One ends at less than half of the other.
    #[error("the target has {target} tokens and the draft {draft}; only {common} are in both")]
    TooFew {
        /// Tokens that both have.
        common: u32,
        /// The target's tokens.
        target: u32,
        /// The draft's tokens.
        draft: u32,
    },
    /// A token ends texts in one and not in the other.
    #[error("token {id} {text:?} ends a text in the {}, and not in the {}", named(*.in_target), named(!.in_target))]
    End {
        /// The first such token.
        id: u32,
        /// Its text.
        text: String,
        /// Whether it does so in the target.
        in_target: bool,
    },
    /// Texts begin otherwise.
    #[error("texts begin with {} in the target and with {} in the draft", first(*.target), first(*.draft))]
    Begin {
        /// The token that begins the target's texts.
        target: Option<u32>,
        /// The token that begins the draft's texts.
        draft: Option<u32>,
    },
}

impl Disagreement {
    /// What kind of failure this is.
    pub fn kind(&self) -> ErrorKind {
        ErrorKind::Mismatch
    }
}

/// A token in one of two vocabularies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Its text; the start of it, if it is long.
    pub text: String,
    /// What is drawn with it.
    pub meaning: Meaning,
}

/// What a token is to whoever draws it. Files of the same model call a token that is never split now a word, now
/// text of the user, and nothing comes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meaning {
    /// Text.
    Text,
    /// One byte.
    Byte,
    /// Begins or ends a text or turn, or replaces what no token spells.
    Control,
    /// Nothing: it fills the vocabulary up, and is not drawn.
    Padding,
}

impl Meaning {
    fn of(vocabulary: &dyn Vocabulary, id: u32, text: &str) -> Self {
        match vocabulary.token_type(id) {
            TokenType::Unused | TokenType::Undefined => Meaning::Padding,
            _ if is_padding(text, id) => Meaning::Padding,
            TokenType::Control | TokenType::Unknown => Meaning::Control,
            TokenType::Byte => Meaning::Byte,
            TokenType::Normal | TokenType::UserDefined => Meaning::Text,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Meaning::Text => "text",
            Meaning::Byte => "a byte",
            Meaning::Control => "a control token",
            Meaning::Padding => "padding",
        }
    }
}

/// Converters call a row of the embedding that no token has `[PAD`, its number, `]`; siskin adds a `]` if a token is
/// called so.
fn is_padding(text: &str, id: u32) -> bool {
    let number = text.strip_prefix("[PAD").map(|rest| rest.trim_end_matches(']'));
    number.is_some_and(|number| number.parse() == Ok(id))
}

/// What two vocabularies have in common, by the texts of their tokens. Padding does not count, and one may have more
/// tokens at its end.
///
/// # Errors
/// They are not the same: the first token that differs.
pub fn agreement(target: &dyn Vocabulary, draft: &dyn Vocabulary) -> Result<Agreement, Disagreement> {
    let (target_len, draft_len) = (real_len(target), real_len(draft));
    let common = target_len.min(draft_len);
    // What one fills up with, the other may use: whoever has it as padding neither draws nor guesses it.
    let both = |id: u32| {
        let (target, draft) = (seen(target, id), seen(draft, id));
        let counts = target.1 != Meaning::Padding && draft.1 != Meaning::Padding;
        counts.then_some((target, draft))
    };
    let differs = |id: &u32| both(*id).is_some_and(|(target, draft)| target != draft);
    let mut differing = (0..common).filter(differs);
    if let Some(id) = differing.next() {
        return Err(Disagreement::Token {
            id,
            target: Seen::of(target, id),
            draft: Seen::of(draft, id),
            differing: 1 + u32::try_from(differing.count()).unwrap_or(u32::MAX),
            common,
        });
    }
    if common < target_len.max(draft_len).div_ceil(2) || common == 0 {
        return Err(Disagreement::TooFew {
            common,
            target: target_len,
            draft: draft_len,
        });
    }
    let ends_differ = |id: &u32| target.is_eog(*id) != draft.is_eog(*id) && both(*id).is_some();
    if let Some(id) = (0..common).find(ends_differ) {
        return Err(Disagreement::End {
            id,
            text: Seen::of(target, id).text,
            in_target: target.is_eog(id),
        });
    }
    if target.bos() != draft.bos() {
        return Err(Disagreement::Begin {
            target: target.bos(),
            draft: draft.bos(),
        });
    }
    Ok(Agreement {
        common,
        only_target: target_len - common,
        only_draft: draft_len - common,
    })
}

/// Ids up to the last that is not padding.
fn real_len(vocabulary: &dyn Vocabulary) -> u32 {
    let last = (0..vocabulary.len()).rfind(|&id| seen(vocabulary, id).1 != Meaning::Padding);
    last.map_or(0, |id| id + 1)
}

fn seen(vocabulary: &dyn Vocabulary, id: u32) -> (Cow<'_, str>, Meaning) {
    let text = vocabulary.text(id).unwrap_or_default();
    let meaning = Meaning::of(vocabulary, id, &text);
    (text, meaning)
}

impl Seen {
    fn of(vocabulary: &dyn Vocabulary, id: u32) -> Self {
        let (text, meaning) = seen(vocabulary, id);
        Seen {
            text: shortened(&text),
            meaning,
        }
    }
}

/// A token in the target and in the draft: texts if they differ, else what they mean.
struct Both<'s>(&'s Seen, &'s Seen);

impl fmt::Display for Both<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Both(target, draft) = self;
        if target.meaning == draft.meaning {
            return write!(
                f,
                "{:?} in the target and {:?} in the draft",
                target.text, draft.text
            );
        }
        let (target_is, draft_is) = (target.meaning.name(), draft.meaning.name());
        write!(
            f,
            "{:?}, {target_is}, in the target and {:?}, {draft_is}, in the draft",
            target.text, draft.text
        )
    }
}

fn named(is_target: bool) -> &'static str {
    if is_target { "target" } else { "draft" }
}

fn first(bos: Option<u32>) -> String {
    bos.map_or("no token".to_owned(), |id| format!("token {id}"))
}
