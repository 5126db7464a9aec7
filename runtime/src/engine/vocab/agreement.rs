//! Whether two loaded models have the same tokens.

use std::borrow::Cow;

use siskin_model::tokenizer::TokenType;
use siskin_model::tokenizer::agreement::{Agreement, Disagreement, Vocabulary, agreement};

use super::{Model, Token, Vocab, token};

impl Model {
    /// What its vocabulary has in common with that of a model that guesses for it.
    ///
    /// # Errors
    /// They are not the same: the first token that differs.
    pub fn agreement(&self, draft: &Model) -> Result<Agreement, Disagreement> {
        agreement(&Loaded(self), &Loaded(draft))
    }
}

/// A model's vocabulary, whoever has read it.
struct Loaded<'m>(&'m Model);

impl Vocabulary for Loaded<'_> {
    fn len(&self) -> u32 {
        u32::try_from(self.0.vocabulary_len()).unwrap_or(u32::MAX)
    }

    fn text(&self, id: u32) -> Option<Cow<'_, str>> {
        match self.0.vocab() {
            Vocab::Own(own) => own.text(id),
            Vocab::LlamaCpp(_) => self.0.spelling(token(id)).map(Cow::Owned),
        }
    }

    fn token_type(&self, id: u32) -> TokenType {
        self.0.token_type(token(id))
    }

    fn is_eog(&self, id: u32) -> bool {
        self.0.is_eog(token(id))
    }

    fn bos(&self) -> Option<u32> {
        let Token(id) = self.0.bos()?;
        u32::try_from(id).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{LoadOptions, STORYTELLER};

    #[test]
    fn a_vocabulary_is_the_same_whoever_reads_it() {
        let load = |llama_cpp_vocabulary| {
            let options = LoadOptions {
                vocab_only: true,
                llama_cpp_vocabulary,
                ..LoadOptions::default()
            };
            Model::load_bytes(STORYTELLER, &options).expect("the embedded model")
        };
        let (own, theirs) = (load(false), load(true));
        let tokens = u32::try_from(own.vocabulary_len()).expect("few");
        for (target, draft) in [(&own, &own), (&own, &theirs), (&theirs, &own)] {
            let found = target.agreement(draft).expect("the same");
            assert_eq!(
                (found.common, found.only_target, found.only_draft),
                (tokens, 0, 0)
            );
        }
    }
}
