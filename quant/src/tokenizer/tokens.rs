//! The tokens of a vocabulary on their way into a GGUF file.

use std::collections::{HashMap, HashSet};

use siskin_model::gguf::Metadata;
use siskin_model::tokenizer::TokenType;

/// Score of padding tokens, as in llama.cpp's converter.
const PADDING_SCORE: f32 = -10_000.0;

/// Tokens and their types, with padding for rows without a token.
#[derive(Debug)]
pub(super) struct Tokens {
    pub(super) texts: Vec<String>,
    types: Vec<i32>,
    /// SentencePiece's.
    scores: Option<Vec<f32>>,
    taken: Vec<bool>,
}

impl Tokens {
    /// Creates `rows` unused padding tokens.
    pub(super) fn padding(rows: u64) -> Self {
        Tokens {
            texts: (0..rows).map(|id| format!("[PAD{id}]")).collect(),
            types: vec![TokenType::Unused as i32; rows as usize],
            scores: None,
            taken: vec![false; rows as usize],
        }
    }

    /// Gives every token a score.
    pub(super) fn with_scores(mut self) -> Self {
        self.scores = Some(vec![PADDING_SCORE; self.texts.len()]);
        self
    }

    pub(super) fn set(&mut self, id: usize, text: String, ty: TokenType) {
        self.texts[id] = text;
        self.types[id] = ty as i32;
        self.taken[id] = true;
    }

    pub(super) fn set_score(&mut self, id: usize, score: f32) {
        if let Some(scores) = &mut self.scores {
            scores[id] = score;
        }
    }

    pub(super) fn set_type(&mut self, id: usize, ty: TokenType) {
        self.types[id] = ty as i32;
    }

    pub(super) fn is_a(&self, id: usize, ty: TokenType) -> bool {
        self.types[id] == ty as i32
    }

    /// The text of token `id`; `None` if no file names one.
    pub(super) fn get(&self, id: u64) -> Option<&str> {
        let id = usize::try_from(id).ok()?;
        self.texts.get(id).filter(|_| self.taken[id]).map(String::as_str)
    }

    /// The rows of the embedding.
    pub(super) fn rows(&self) -> u64 {
        self.texts.len() as u64
    }

    /// The first token with this text.
    pub(super) fn find(&self, text: &str) -> Option<u64> {
        let mut ids = (0..).zip(&self.texts).zip(&self.taken);
        ids.find(|((_, other), taken)| **taken && other.as_str() == text)
            .map(|((id, _), _)| id)
    }

    /// Makes every text unique, as llama.cpp needs it. Of several tokens with one text, text becomes the first in
    /// transformers too; the others become padding.
    pub(super) fn make_unique(&mut self) {
        let mut first: HashMap<&str, usize> = HashMap::with_capacity(self.texts.len());
        let mut twice = Vec::new();
        for (id, text) in self.texts.iter().enumerate().filter(|(id, _)| self.taken[*id]) {
            match first.get(text.as_str()) {
                Some(&before) => twice.push((before, id)),
                None => drop(first.insert(text, id)),
            }
        }
        for (before, id) in twice {
            if self.is_a(id, TokenType::Control) {
                self.set_type(before, TokenType::Control);
            }
            self.set_type(id, TokenType::Unused);
            self.taken[id] = false;
        }
        let taken = (0..)
            .zip(&self.texts)
            .filter(|(id, _): &(usize, _)| self.taken[*id]);
        let texts: HashSet<String> = taken
            .filter(|(_, text)| text.starts_with("[PAD"))
            .map(|(_, text)| text.clone())
            .collect();
        for id in (0..self.texts.len()).filter(|&id| !self.taken[id]) {
            let mut text = format!("[PAD{id}]");
            while texts.contains(&text) {
                text.push(']');
            }
            self.texts[id] = text;
        }
    }

    /// The keys of tokens, scores and types.
    pub(super) fn into_keys(self, keys: &mut Metadata) {
        keys.set("tokenizer.ggml.tokens", self.texts);
        if let Some(scores) = self.scores {
            keys.set("tokenizer.ggml.scores", scores);
        }
        keys.set("tokenizer.ggml.token_type", self.types);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_belongs_to_its_first_token() {
        let mut tokens = Tokens::padding(6);
        tokens.set(0, "<s>".into(), TokenType::Normal);
        tokens.set(1, "[PAD4]".into(), TokenType::Normal);
        tokens.set(2, "<s>".into(), TokenType::Control);
        tokens.set(3, "[PAD4]]".into(), TokenType::Normal);
        assert_eq!((tokens.find("<s>"), tokens.find("[PAD5]")), (Some(0), None));
        tokens.make_unique();
        assert_eq!(
            tokens.texts,
            ["<s>", "[PAD4]", "[PAD2]", "[PAD4]]", "[PAD4]]]", "[PAD5]"]
        );
        assert_eq!(tokens.types, [3, 1, 5, 1, 5, 5]);
        assert_eq!(
            (tokens.get(2), tokens.get(0), tokens.get(9)),
            (None, Some("<s>"), None)
        );
    }
}
