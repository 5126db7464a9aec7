//! The types of tokens.

use crate::gguf::{Array, Metadata, Value};

/// The type of a token: `enum llama_token_type`, `tokenizer.ggml.token_type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
pub enum TokenType {
    /// The file gives no known type.
    Undefined = 0,
    /// Ordinary text.
    Normal = 1,
    /// Replaces text that no token spells.
    Unknown = 2,
    /// Begins or ends a text or turn; no text spells it.
    Control = 3,
    /// Text that is never split into pieces.
    UserDefined = 4,
    /// Reserved for later use.
    Unused = 5,
    /// A byte that no other token spells.
    Byte = 6,
}

impl TokenType {
    /// Returns the type with llama.cpp's number `id`; unknown numbers are [`TokenType::Undefined`].
    pub fn from_id(id: i32) -> Self {
        match id {
            1 => TokenType::Normal,
            2 => TokenType::Unknown,
            3 => TokenType::Control,
            4 => TokenType::UserDefined,
            5 => TokenType::Unused,
            6 => TokenType::Byte,
            _ => TokenType::Undefined,
        }
    }
}

/// The types of `count` tokens. Returns `None` if llama.cpp would not accept the list.
pub(super) fn read(metadata: &Metadata, count: usize) -> Option<Vec<TokenType>> {
    match metadata.get("tokenizer.ggml.token_type") {
        None => Some(vec![TokenType::Normal; count]),
        Some(Value::Array(Array::I32(types))) => {
            let types = types.get(..count)?;
            Some(types.iter().map(|&number| TokenType::from_id(number)).collect())
        }
        Some(_) => None,
    }
}
