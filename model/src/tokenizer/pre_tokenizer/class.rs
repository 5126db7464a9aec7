//! Classes of characters.

use unicode_general_category::{GeneralCategory, get_general_category};

/// The classes that the expressions of pre-tokenizers distinguish. Every character is in one of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    Letter,
    Mark,
    Number,
    Punctuation,
    Space,
    Symbol,
    Other,
}

/// True for blanks: Unicode's `White_Space`.
pub(super) fn is_space(c: char) -> bool {
    c.is_whitespace()
}

/// The class of a character.
pub(super) fn class(c: char) -> Class {
    use GeneralCategory::*;
    match c {
        'a'..='z' | 'A'..='Z' => return Class::Letter,
        '0'..='9' => return Class::Number,
        _ if is_space(c) => return Class::Space,
        '$' | '+' | '<'..='>' | '^' | '`' | '|' | '~' => return Class::Symbol,
        '!'..='~' => return Class::Punctuation,
        // Letters added in Unicode 15.1, whose tables llama.cpp has; the crate has those of 15.0.
        '\u{2ebf0}'..='\u{2ee5d}' => return Class::Letter,
        _ => {}
    }
    match get_general_category(c) {
        UppercaseLetter | LowercaseLetter | TitlecaseLetter | ModifierLetter | OtherLetter => Class::Letter,
        NonspacingMark | SpacingMark | EnclosingMark => Class::Mark,
        DecimalNumber | LetterNumber | OtherNumber => Class::Number,
        ConnectorPunctuation | DashPunctuation | OpenPunctuation | ClosePunctuation | InitialPunctuation
        | FinalPunctuation | OtherPunctuation => Class::Punctuation,
        MathSymbol | CurrencySymbol | ModifierSymbol | OtherSymbol => Class::Symbol,
        _ => Class::Other,
    }
}
