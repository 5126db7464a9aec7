//! Text to tokens and back: by siskin's own reading of the vocabulary, or by llama.cpp where that does not know it.

use llama_cpp_2::model::LlamaModel;
use llama_cpp_2::token::LlamaToken;
use llama_cpp_2::token_type::LlamaTokenAttr;
use llama_cpp_2::vocab::VocabType;

use super::{Model, Token};
use siskin_model::tokenizer::{Kind, Vocabulary};

/// Whose vocabulary a model uses.
#[derive(Debug)]
pub(super) enum Words {
    /// siskin's own; llama.cpp has loaded none.
    Own(Box<Vocabulary>),
    /// llama.cpp's.
    LlamaCpp,
}

/// A token that templates write by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Named {
    /// Begins texts.
    Bos,
    /// Ends texts.
    Eos,
    /// Fills up batches.
    Pad,
}

impl Model {
    /// The token ids of `text`. With `special`, the tokens that the model wants around a text are added; with
    /// `parse_special`, special tokens written out in the text are taken as such.
    pub fn tokenize(&self, text: &str, special: bool, parse_special: bool) -> Vec<Token> {
        match &self.words {
            Words::Own(own) => own
                .tokenize(text, special, parse_special)
                .into_iter()
                .map(token)
                .collect(),
            Words::LlamaCpp => {
                let vocab = self.inner.vocab();
                let tokens = vocab.tokenize(text.as_bytes(), special, parse_special);
                tokens.into_iter().map(|token| Token(token.0)).collect()
            }
        }
    }

    /// The bytes a token stands for: part of a UTF-8 text, not always whole characters. Control tokens stand
    /// for nothing unless `special`.
    pub fn piece(&self, token: Token, special: bool) -> Vec<u8> {
        match (&self.words, self.id(token)) {
            (_, None) => Vec::new(),
            (Words::Own(own), Some(id)) => own.piece(id, special),
            (Words::LlamaCpp, Some(_)) => {
                self.inner
                    .vocab()
                    .token_to_piece(LlamaToken(token.0), special, None)
            }
        }
    }

    /// True for tokens that end a text or a turn.
    pub fn is_end(&self, token: Token) -> bool {
        match &self.words {
            Words::Own(own) => self.id(token).is_some_and(|id| own.is_end(id)),
            Words::LlamaCpp => self.inner.vocab().is_eog(LlamaToken(token.0)),
        }
    }

    /// The token that begins texts, where the model wants one there.
    pub fn begin(&self) -> Option<Token> {
        match &self.words {
            Words::Own(own) => own.keys().begin().map(token),
            Words::LlamaCpp => {
                let vocab = self.inner.vocab();
                vocab.should_add_bos().then(|| Token(vocab.bos().0))
            }
        }
    }

    /// True where the vocabulary writes the space before the first word, as SentencePiece's does.
    pub fn leads_with_space(&self) -> bool {
        match &self.words {
            Words::Own(own) => own.leads_with_space(),
            Words::LlamaCpp => self.inner.vocab().vocab_type() == VocabType::SPM,
        }
    }

    /// Tokens in the vocabulary.
    pub fn vocabulary_len(&self) -> usize {
        usize::try_from(self.inner.n_vocab()).unwrap_or_default()
    }

    /// True where siskin reads the vocabulary, false where llama.cpp does.
    pub fn reads_vocabulary(&self) -> bool {
        matches!(self.words, Words::Own(_))
    }

    /// Every token.
    pub(super) fn tokens(&self) -> impl Iterator<Item = Token> {
        (0..self.inner.n_vocab()).map(Token)
    }

    /// A token's text as the vocabulary spells it; `None` where there is no such token.
    pub(super) fn spelling(&self, token: Token) -> Option<String> {
        let id = self.id(token)?;
        match &self.words {
            Words::Own(own) => own.spelling(id).map(str::to_owned),
            Words::LlamaCpp => {
                let vocab = self.inner.vocab();
                let text = vocab.text(LlamaToken(token.0))?;
                text.to_str().ok().map(str::to_owned)
            }
        }
    }

    /// The spelling of a token that templates name, where the model has it.
    pub(super) fn named(&self, name: Named) -> Option<String> {
        let token = match (&self.words, name) {
            (Words::Own(own), Named::Bos) => token(own.keys().bos),
            (Words::Own(own), Named::Eos) => token(own.keys().eos),
            (Words::Own(own), Named::Pad) => token(own.keys().pad?),
            (Words::LlamaCpp, Named::Bos) => Token(self.inner.vocab().bos().0),
            (Words::LlamaCpp, Named::Eos) => Token(self.inner.vocab().eos().0),
            (Words::LlamaCpp, Named::Pad) => Token(self.inner.vocab().pad().0),
        };
        self.spelling(token)
    }

    /// What a token is for.
    pub(super) fn kind(&self, token: Token) -> Kind {
        let kind = match &self.words {
            Words::Own(own) => self.id(token).and_then(|id| own.kind(id)),
            Words::LlamaCpp => self.id(token).map(|_| kind(&self.inner, token)),
        };
        kind.unwrap_or(Kind::Undefined)
    }

    fn id(&self, token: Token) -> Option<u32> {
        let id = u32::try_from(token.0).ok()?;
        (token.0 < self.inner.n_vocab()).then_some(id)
    }
}

fn token(id: u32) -> Token {
    // No vocabulary that passed preflight has more tokens than an i32 counts.
    Token(i32::try_from(id).unwrap_or(-1))
}

/// What llama.cpp says a token is for. It sets several marks at once; a control token is one whatever else it is.
fn kind(model: &LlamaModel, token: Token) -> Kind {
    let attributes = model.vocab().attr(LlamaToken(token.0));
    let table = [
        (LlamaTokenAttr::Control, Kind::Control),
        (LlamaTokenAttr::Unknown, Kind::Unknown),
        (LlamaTokenAttr::UserDefined, Kind::UserDefined),
        (LlamaTokenAttr::Byte, Kind::Byte),
        (LlamaTokenAttr::Unused, Kind::Unused),
        (LlamaTokenAttr::Normal, Kind::Normal),
    ];
    let row = table.iter().find(|row| attributes.contains(row.0));
    row.map_or(Kind::Undefined, |row| row.1)
}
