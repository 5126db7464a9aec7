//! Unicode normalisation of the text before it is tokenized.

use std::borrow::Cow;

use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfc_quick};

use crate::gguf::Metadata;

/// The key by which siskin's converter says it. llama.cpp has none and does not normalise.
pub const KEY: &str = "siskin.tokenizer.normalizer";

/// Pre-tokenizers of models that normalise to NFC, although their files cannot say so: OLMo's is that of Pythia too.
const NFC: [&str; 3] = ["olmo", "qwen2", "stablelm2"];

/// What is done to a text before it is tokenized.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Normalizer {
    /// Nothing.
    None,
    /// Characters are composed: `e` and a combining accent become `é`.
    Nfc,
}

impl Normalizer {
    /// The normalizer of a pre-tokenizer (`tokenizer.ggml.pre`), if no key says otherwise.
    pub fn implied(pre_tokenizer: &str) -> Self {
        match NFC.contains(&pre_tokenizer) {
            true => Normalizer::Nfc,
            false => Normalizer::None,
        }
    }

    /// The normalizer of a file's vocabulary. The error is the name of an unknown one.
    ///
    /// # Errors
    /// The file names a normalizer that siskin does not have.
    pub fn from_metadata(metadata: &Metadata) -> Result<Self, String> {
        match metadata.get(KEY) {
            None if metadata.text("tokenizer.ggml.model") == Some("gpt2") => {
                let pre_tokenizer = metadata.text("tokenizer.ggml.pre");
                Ok(pre_tokenizer.map_or(Normalizer::None, Normalizer::implied))
            }
            None => Ok(Normalizer::None),
            Some(_) => {
                let name = metadata.text(KEY).unwrap_or("not a string");
                let all = [Normalizer::None, Normalizer::Nfc];
                let found = all.into_iter().find(|normalizer| normalizer.name() == name);
                found.ok_or_else(|| name.to_owned())
            }
        }
    }

    /// The name in a file.
    pub fn name(self) -> &'static str {
        match self {
            Normalizer::None => "none",
            Normalizer::Nfc => "NFC",
        }
    }

    /// The most bytes that may become `bytes` of normalised text.
    pub fn most_bytes(self, bytes: usize) -> usize {
        match self {
            Normalizer::None => bytes,
            // Three letters of three bytes each become a Hangul syllable of three bytes, and nothing shrinks more.
            Normalizer::Nfc => bytes.saturating_mul(3),
        }
    }

    /// The normalised text.
    pub fn apply(self, text: &str) -> Cow<'_, str> {
        match self {
            Normalizer::Nfc if is_nfc_quick(text.chars()) != IsNormalized::Yes => text.nfc().collect(),
            _ => text.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_counts_before_the_name() {
        let of = |pre: &str, key: Option<&str>| {
            let mut metadata = Metadata::new();
            metadata.set("tokenizer.ggml.model", "gpt2");
            metadata.set("tokenizer.ggml.pre", pre);
            key.into_iter().for_each(|key| metadata.set(KEY, key));
            Normalizer::from_metadata(&metadata)
        };
        assert_eq!(of("olmo", None), Ok(Normalizer::Nfc));
        assert_eq!(of("gpt-2", None), Ok(Normalizer::None));
        assert_eq!(of("olmo", Some("none")), Ok(Normalizer::None));
        assert_eq!(of("gpt-2", Some("NFC")), Ok(Normalizer::Nfc));
        assert_eq!(of("gpt-2", Some("NFKC")), Err("NFKC".to_owned()));
    }

    #[test]
    fn text_is_composed_and_nothing_else() {
        let cases = [
            ("cafe\u{301}", "caf\u{e9}"),
            ("\u{1112}\u{1161}\u{11ab}", "\u{d55c}"),
            ("a\u{301}\u{323}", "\u{1ea1}\u{301}"),
            ("ﬁ ² Ａ", "ﬁ ² Ａ"),
            ("", ""),
        ];
        for (text, want) in cases {
            assert_eq!(Normalizer::Nfc.apply(text), want);
            assert_eq!(Normalizer::None.apply(text), text);
        }
        let long = "e\u{301}".repeat(100_000) + &"\u{301}\u{323}".repeat(100_000);
        assert!(Normalizer::Nfc.apply(&long).starts_with("\u{e9}\u{e9}"));
    }
}
