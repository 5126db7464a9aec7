//! What tokens are for.

use crate::gguf::{Array, Metadata, Value};

/// What a token is for: `enum llama_token_type`, `tokenizer.ggml.token_type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Nothing that is known.
    Undefined,
    /// Text.
    Normal,
    /// What stands for text that no token stands for.
    Unknown,
    /// Begins and ends texts and turns; no text spells it.
    Control,
    /// Text that is never cut in pieces.
    UserDefined,
    /// Held free.
    Unused,
    /// A byte that no other token spells.
    Byte,
}

/// The kinds of `count` tokens; `None` where the list is not one that llama.cpp takes.
pub(super) fn read(metadata: &Metadata, count: usize) -> Option<Vec<Kind>> {
    match metadata.get("tokenizer.ggml.token_type") {
        None => Some(vec![Kind::Normal; count]),
        Some(Value::Array(Array::I32(types))) => {
            let kinds = types.get(..count)?;
            Some(kinds.iter().map(|&number| of_number(number)).collect())
        }
        Some(_) => None,
    }
}

fn of_number(number: i32) -> Kind {
    match number {
        1 => Kind::Normal,
        2 => Kind::Unknown,
        3 => Kind::Control,
        4 => Kind::UserDefined,
        5 => Kind::Unused,
        6 => Kind::Byte,
        _ => Kind::Undefined,
    }
}
