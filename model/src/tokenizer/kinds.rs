//! The kinds of tokens.

use crate::gguf::{Array, Metadata, Value};

/// A token's kind: `enum llama_token_type`, `tokenizer.ggml.token_type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The file gives no known kind.
    Undefined,
    /// Ordinary text.
    Normal,
    /// Replaces text that no token spells.
    Unknown,
    /// Begins or ends a text or turn; no text spells it.
    Control,
    /// Text that is never split into pieces.
    UserDefined,
    /// Reserved for later use.
    Unused,
    /// A byte that no other token spells.
    Byte,
}

/// The kinds of `count` tokens. Returns `None` if llama.cpp would not accept the list.
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
