//! The vocabulary of a header: no text is tokenized with it.

use std::borrow::Cow;

use super::Vocabulary;
use crate::gguf::Metadata;
use crate::tokenizer::index::Tokens;
use crate::tokenizer::pre_tokenizer::PreTokenizer;
use crate::tokenizer::special::{Defaults, Keys, Special};
use crate::tokenizer::{TOKENS, TokenType, pre_tokenizer_name, token_type};
use crate::validate::read_by_llama_cpp;

/// The tokens that a header lists, also of kinds that siskin leaves to llama.cpp, and which of them end texts: as
/// both find out after loading.
pub struct Listed {
    tokens: Tokens,
    types: Vec<TokenType>,
    special: Special,
}

impl Listed {
    /// Reads a header, checked or not. `None` if it lists no tokens, or has keys of types that llama.cpp refuses.
    pub fn from_metadata(metadata: &Metadata) -> Option<Self> {
        let tokens = metadata.strings(TOKENS)?;
        let count = tokens.len();
        let mut types = token_type::read(metadata, count)?;
        let defaults = match metadata.text("tokenizer.ggml.model")? {
            "llama" => Defaults::SENTENCE_PIECE,
            _ => {
                let pre_tokenizer = pre_tokenizer_name(metadata).and_then(PreTokenizer::named);
                Defaults::byte_level(pre_tokenizer.is_some_and(|known| known.adds_bos))
            }
        };
        let keys = Keys::read(metadata, &defaults, count)?;
        let is_token = |id: u32| (id as usize) < count;
        if !is_token(keys.eos) || !is_token(keys.bos) {
            return None;
        }
        let read = tokens.iter().enumerate();
        let tokens = Tokens::new(read.map(|(id, text)| read_by_llama_cpp(text, id)).collect());
        let special = Special::find(&tokens, &mut types, keys);
        Some(Listed {
            tokens,
            types,
            special,
        })
    }
}

impl Vocabulary for Listed {
    fn len(&self) -> u32 {
        u32::try_from(self.types.len()).unwrap_or(u32::MAX)
    }

    fn text(&self, id: u32) -> Option<Cow<'_, str>> {
        self.tokens.text(id).map(Cow::Borrowed)
    }

    fn token_type(&self, id: u32) -> TokenType {
        let found = self.types.get(id as usize).copied();
        found.unwrap_or(TokenType::Undefined)
    }

    fn is_eog(&self, id: u32) -> bool {
        self.special.is_eog(id)
    }

    fn bos(&self) -> Option<u32> {
        self.special.keys.begin()
    }
}
