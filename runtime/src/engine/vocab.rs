//! Text to tokens and back: by siskin's own tokenizer, or by llama.cpp's if siskin does not know the vocabulary.

mod agreement;

use std::sync::atomic::{AtomicBool, Ordering};

use llama_cpp_2::model::LlamaModel;
use llama_cpp_2::token::LlamaToken;
use llama_cpp_2::token_type::LlamaTokenAttr;
use llama_cpp_2::vocab::VocabType;

use super::{Model, Token};
use siskin_model::tokenizer::normalizer::Normalizer;
use siskin_model::tokenizer::{TokenType, Tokenizer};

/// Who tokenizes for a model.
#[derive(Debug)]
pub(super) enum Vocab {
    /// siskin; llama.cpp has loaded no vocabulary.
    Own(Box<Tokenizer>),
    /// llama.cpp, after this was done to the text.
    LlamaCpp(Normalizer),
}

/// A token that templates write by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SpecialToken {
    /// Begins texts.
    Bos,
    /// Ends texts.
    Eos,
    /// Fills up batches.
    Pad,
}

/// How a text becomes tokens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tokenize {
    /// Add the tokens that the model wants around a text (BOS, EOS).
    pub add_special: bool,
    /// Recognise special tokens such as `<s>` that are written out in the text.
    pub parse_special: bool,
}

impl Tokenize {
    /// Plain text in the middle of another: nothing is added, nothing is recognised.
    pub const PLAIN: Tokenize = Tokenize {
        add_special: false,
        parse_special: false,
    };
    /// A whole text from a stranger: the model's tokens are added, and its spellings are only text.
    pub const TEXT: Tokenize = Tokenize {
        add_special: true,
        parse_special: false,
    };
    /// A prompt that may write special tokens itself.
    pub const PROMPT: Tokenize = Tokenize {
        add_special: true,
        parse_special: true,
    };
}

impl Model {
    /// The token ids of `text`.
    pub fn tokenize(&self, text: &str, options: Tokenize) -> Vec<Token> {
        self.tokenize_until(text, options, None).unwrap_or_default()
    }

    /// The same; `None` if `stop` became true meanwhile. If llama.cpp tokenizes, `stop` is heeded at the beginning only.
    pub fn tokenize_until(
        &self,
        text: &str,
        options: Tokenize,
        stop: Option<&AtomicBool>,
    ) -> Option<Vec<Token>> {
        let (special, parse_special) = (options.add_special, options.parse_special);
        let stopped = || stop.is_some_and(|stop| stop.load(Ordering::Relaxed));
        if stopped() {
            return None;
        }
        match self.vocab() {
            Vocab::Own(own) => {
                let ids = own.tokenize_until(text, special, parse_special, &stopped)?;
                Some(ids.into_iter().map(token).collect())
            }
            Vocab::LlamaCpp(normalizer) => {
                let (text, vocab) = (normalizer.apply(text), self.llama().vocab());
                if parse_special {
                    let tokens = vocab.tokenize(text.as_bytes(), special, true);
                    return Some(tokens.into_iter().map(|token| Token(token.0)).collect());
                }
                let mut tokens = Vec::from_iter(self.bos().filter(|_| special));
                self.plain_by_llama_cpp(&text, &mut tokens);
                tokens.extend((special && vocab.should_add_eos()).then(|| Token(vocab.eos().0)));
                Some(tokens)
            }
        }
    }

    /// Appends the ids of plain text that follows `tokens`; `None` if `stop` became true meanwhile.
    pub(crate) fn append_until(
        &self,
        text: &str,
        stop: Option<&AtomicBool>,
        tokens: &mut Vec<Token>,
    ) -> Option<()> {
        match self.vocab() {
            Vocab::Own(own) => {
                let stopped = || stop.is_some_and(|stop| stop.load(Ordering::Relaxed));
                let last = tokens.last().and_then(|&last| self.id(last));
                let more = own.tokenize_after(last, text, &stopped)?;
                tokens.extend(more.into_iter().map(token));
            }
            Vocab::LlamaCpp(_) => tokens.extend(self.tokenize_until(text, Tokenize::PLAIN, stop)?),
        }
        Some(())
    }

    /// llama.cpp's tokens of plain text. It merges text into control tokens if the vocabulary says so; such a text is
    /// halved until it does not.
    fn plain_by_llama_cpp(&self, text: &str, tokens: &mut Vec<Token>) {
        let is_text =
            |token: Token| !matches!(self.token_type(token), TokenType::Control | TokenType::Unknown);
        let mut parts = vec![text];
        while let Some(part) = parts.pop() {
            let got = self.llama().vocab().tokenize(part.as_bytes(), false, false);
            let got = got.into_iter().map(|token| Token(token.0));
            if got.clone().all(is_text) {
                tokens.extend(got);
            } else if let Some(middle) = middle(part) {
                let (left, right) = part.split_at(middle);
                parts.extend([right, left]);
            }
        }
    }

    /// The tokens that `text` begins with: `most` of them, or all if it has less. No more of the text is tokenized than
    /// that takes.
    pub fn tokenize_start(
        &self,
        text: &str,
        options: Tokenize,
        most: usize,
        stop: Option<&AtomicBool>,
    ) -> Option<Vec<Token>> {
        // A word more, so that the last of the tokens is one of the whole text's.
        let longest = usize::try_from(self.longest_token()).unwrap_or(usize::MAX);
        let bytes = most.saturating_add(16).saturating_mul(longest);
        let mut tokens = self.tokenize_until(&text[..text.floor_char_boundary(bytes)], options, stop)?;
        tokens.truncate(most);
        Some(tokens)
    }

    /// The fewest tokens that a text of so many bytes can have: a text is known to be too long before it is tokenized.
    pub fn fewest_tokens(&self, bytes: u64) -> u64 {
        bytes.div_ceil(self.longest_token())
    }

    /// The longest token's length in bytes, at least 1.
    fn longest_token(&self) -> u64 {
        let longest = self.longest().get_or_init(|| match self.vocab() {
            Vocab::Own(own) => own.longest(),
            Vocab::LlamaCpp(normalizer) => {
                let vocab = self.llama().vocab();
                let lengths = self.tokens().filter_map(|token| vocab.text(LlamaToken(token.0)));
                normalizer.most_bytes(lengths.map(|text| text.to_bytes().len()).max().unwrap_or(0))
            }
        });
        (*longest).max(1) as u64
    }

    /// The bytes of a token: part of a UTF-8 text, not always whole characters. Control tokens have none, unless
    /// `special` is true.
    pub fn piece(&self, token: Token, special: bool) -> Vec<u8> {
        match (self.vocab(), self.id(token)) {
            (_, None) => Vec::new(),
            (Vocab::Own(own), Some(id)) => own.piece(id, special),
            (Vocab::LlamaCpp(_), Some(_)) => {
                self.llama()
                    .vocab()
                    .token_to_piece(LlamaToken(token.0), special, None)
            }
        }
    }

    /// True for tokens that end a text or a turn.
    pub fn is_eog(&self, token: Token) -> bool {
        match self.vocab() {
            Vocab::Own(own) => self.id(token).is_some_and(|id| own.is_eog(id)),
            Vocab::LlamaCpp(_) => self.llama().vocab().is_eog(LlamaToken(token.0)),
        }
    }

    /// The token that begins texts; `None` if the model wants none there.
    pub fn bos(&self) -> Option<Token> {
        match self.vocab() {
            Vocab::Own(own) => own.adds_bos().then(|| token(own.bos_id())),
            Vocab::LlamaCpp(_) => {
                let vocab = self.llama().vocab();
                vocab.should_add_bos().then(|| Token(vocab.bos().0))
            }
        }
    }

    /// True if the tokenizer writes a space before the first word, as SentencePiece does.
    pub fn adds_space_prefix(&self) -> bool {
        match self.vocab() {
            Vocab::Own(own) => own.adds_space_prefix(),
            Vocab::LlamaCpp(_) => self.llama().vocab().vocab_type() == VocabType::SPM,
        }
    }

    /// Tokens in the vocabulary.
    pub fn vocabulary_len(&self) -> usize {
        usize::try_from(self.llama().n_vocab()).unwrap_or_default()
    }

    /// True if siskin tokenizes, false if llama.cpp does.
    pub fn has_own_tokenizer(&self) -> bool {
        matches!(self.vocab(), Vocab::Own(_))
    }

    /// Every token.
    pub(crate) fn tokens(&self) -> impl Iterator<Item = Token> {
        (0..self.llama().n_vocab()).map(Token)
    }

    /// A token's text as the vocabulary spells it; `None` if there is no such token.
    pub(crate) fn spelling(&self, token: Token) -> Option<String> {
        let id = self.id(token)?;
        match self.vocab() {
            Vocab::Own(own) => own.spelling(id).map(str::to_owned),
            Vocab::LlamaCpp(_) => {
                let vocab = self.llama().vocab();
                let text = vocab.text(LlamaToken(token.0))?;
                text.to_str().ok().map(str::to_owned)
            }
        }
    }

    /// The spelling of a token that templates name; `None` if the model lacks it.
    pub(crate) fn special_token(&self, name: SpecialToken) -> Option<String> {
        let token = match (self.vocab(), name) {
            (Vocab::Own(own), SpecialToken::Bos) => token(own.bos_id()),
            (Vocab::Own(own), SpecialToken::Eos) => token(own.eos_id()),
            (Vocab::Own(own), SpecialToken::Pad) => token(own.pad_id()?),
            (Vocab::LlamaCpp(_), SpecialToken::Bos) => Token(self.llama().vocab().bos().0),
            (Vocab::LlamaCpp(_), SpecialToken::Eos) => Token(self.llama().vocab().eos().0),
            (Vocab::LlamaCpp(_), SpecialToken::Pad) => Token(self.llama().vocab().pad().0),
        };
        self.spelling(token)
    }

    /// The type of a token.
    pub(crate) fn token_type(&self, token: Token) -> TokenType {
        let kind = match self.vocab() {
            Vocab::Own(own) => self.id(token).and_then(|id| own.token_type(id)),
            Vocab::LlamaCpp(_) => self.id(token).map(|_| kind(self.llama(), token)),
        };
        kind.unwrap_or(TokenType::Undefined)
    }

    fn id(&self, token: Token) -> Option<u32> {
        let id = u32::try_from(token.0).ok()?;
        (token.0 < self.llama().n_vocab()).then_some(id)
    }
}

/// The place nearest to a text's middle at which it can be cut; `None` if it has one character.
fn middle(text: &str) -> Option<usize> {
    let cuts = text.char_indices().map(|(at, _)| at).skip(1);
    cuts.min_by_key(|at| at.abs_diff(text.len() / 2))
}

fn token(id: u32) -> Token {
    // No vocabulary that passed the checks has more tokens than an i32 counts.
    Token(i32::try_from(id).unwrap_or(-1))
}

/// The type of a token by llama.cpp's attributes. Several may be set; control counts first.
fn kind(model: &LlamaModel, token: Token) -> TokenType {
    let attributes = model.vocab().attr(LlamaToken(token.0));
    let table = [
        (LlamaTokenAttr::Control, TokenType::Control),
        (LlamaTokenAttr::Unknown, TokenType::Unknown),
        (LlamaTokenAttr::UserDefined, TokenType::UserDefined),
        (LlamaTokenAttr::Byte, TokenType::Byte),
        (LlamaTokenAttr::Unused, TokenType::Unused),
        (LlamaTokenAttr::Normal, TokenType::Normal),
    ];
    let row = table.iter().find(|row| attributes.contains(row.0));
    row.map_or(TokenType::Undefined, |row| row.1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{LoadOptions, STORYTELLER};

    fn load(llama_cpp_vocabulary: bool) -> Model {
        let options = LoadOptions {
            vocab_only: true,
            llama_cpp_vocabulary,
            ..LoadOptions::default()
        };
        Model::load_bytes(STORYTELLER, &options).expect("the embedded model")
    }

    /// Long texts are tokenized part by part; llama.cpp takes them whole.
    #[test]
    fn the_parts_of_a_long_text_give_the_tokens_of_the_whole() {
        let (own, theirs) = (load(false), load(true));
        assert!(own.has_own_tokenizer() && !theirs.has_own_tokenizer());
        let words = [
            "the king",
            "  said",
            "\u{2581}hello",
            "\n\n",
            "é🦜",
            "aaaa",
            " ",
            "<s>",
        ];
        let mut state = 7u32;
        let mut text = String::new();
        while text.len() < 40_000 {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            text += words[(state >> 24) as usize % words.len()];
            text += if state >> 31 == 0 { "" } else { " " };
        }
        text += &"no space at all".replace(' ', "").repeat(1000);
        for options in [Tokenize::PLAIN, Tokenize::TEXT, Tokenize::PROMPT] {
            assert_eq!(own.tokenize(&text, options), theirs.tokenize(&text, options));
        }
        assert_eq!(own.longest_token(), theirs.longest_token());
    }

    #[test]
    fn a_text_has_at_least_as_many_tokens_as_were_foretold() {
        let model = load(false);
        for text in ["", "a", "Once upon a time", "é🦜", &"the ".repeat(1000)] {
            let tokens = model.tokenize(text, Tokenize::PLAIN).len() as u64;
            assert!(model.fewest_tokens(text.len() as u64) <= tokens, "{text}");
        }
    }

    #[test]
    fn a_text_s_start_has_its_first_tokens() {
        let model = load(false);
        let text = "Once upon a time there was a king. ".repeat(400);
        let all = model.tokenize(&text, Tokenize::TEXT);
        for most in [0, 1, 7, 200, all.len(), all.len() + 5] {
            let start = model.tokenize_start(&text, Tokenize::TEXT, most, None);
            assert_eq!(start.as_deref(), Some(&all[..most.min(all.len())]), "{most}");
        }
    }

    #[test]
    fn tokenizing_stops() {
        let model = load(false);
        let text = "the king ".repeat(100_000);
        let stop = AtomicBool::new(true);
        assert_eq!(model.tokenize_until(&text, Tokenize::TEXT, Some(&stop)), None);
        stop.store(false, Ordering::Relaxed);
        let tokens = model.tokenize_until(&text, Tokenize::TEXT, Some(&stop));
        assert!(tokens.is_some_and(|tokens| tokens.len() > 100_000));
    }
}
