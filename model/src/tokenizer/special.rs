//! Special tokens: which ones there are, which of them end a text, and where they occur in a text.
//!
//! Files often do not give a token's purpose; its spelling then decides, as in llama.cpp.

use crate::gguf::{Array, Metadata, Value};

use super::brake::Brake;
use super::index::Tokens;
use super::spellings::{ENDS, INFILL, TEXTS};
use super::token_type::TokenType;

/// Values that llama.cpp assumes if a file has no key for them.
#[derive(Debug)]
pub(super) struct Defaults {
    bos: u32,
    eos: u32,
    add_bos: bool,
}

impl Defaults {
    pub(super) const SENTENCE_PIECE: Defaults = Defaults {
        bos: 1,
        eos: 2,
        add_bos: true,
    };

    pub(super) fn byte_level(add_bos: bool) -> Self {
        Defaults {
            bos: 11,
            eos: 11,
            add_bos,
        }
    }
}

/// The special tokens that the file's keys name.
#[derive(Debug)]
pub(crate) struct Keys {
    /// The id of the token that begins texts.
    pub(crate) bos: u32,
    /// The id of the token that ends texts.
    pub(crate) eos: u32,
    /// The id of the token that fills up batches.
    pub(crate) pad: Option<u32>,
    eot: Option<u32>,
    eom: Option<u32>,
    /// In the order of [`INFILL`].
    infill: [Option<u32>; INFILL.len()],
    /// More tokens that end a turn.
    ends: Vec<u32>,
    add_bos: bool,
    add_eos: bool,
}

impl Keys {
    /// Reads the keys. Returns `None` if one has a type that llama.cpp rejects.
    pub(super) fn read(metadata: &Metadata, defaults: &Defaults, tokens: usize) -> Option<Self> {
        // An id outside the vocabulary counts as absent.
        let id = |name: &str| match metadata.get(&format!("tokenizer.ggml.{name}")) {
            None => Some(None),
            Some(Value::U32(id)) => Some(Some(*id).filter(|&id| (id as usize) < tokens)),
            Some(_) => None,
        };
        let mut infill = [None; INFILL.len()];
        for (slot, row) in infill.iter_mut().zip(&INFILL) {
            for key in row.keys {
                *slot = id(key)?.or(*slot);
            }
        }
        for unused in ["unknown_token_id", "seperator_token_id", "mask_token_id"] {
            id(unused)?;
        }
        Some(Keys {
            bos: id("bos_token_id")?.unwrap_or(defaults.bos),
            eos: id("eos_token_id")?.unwrap_or(defaults.eos),
            pad: id("padding_token_id")?,
            eot: id("eot_token_id")?,
            eom: id("eom_token_id")?,
            infill,
            ends: more_ends(metadata, tokens)?,
            add_bos: flag(metadata, "tokenizer.ggml.add_bos_token", defaults.add_bos)?,
            add_eos: flag(metadata, "tokenizer.ggml.add_eos_token", false)?,
        })
    }

    /// The token to put before a text, if the model wants one.
    pub(crate) fn begin(&self) -> Option<u32> {
        self.add_bos.then_some(self.bos)
    }

    /// The token to put after a text, if the model wants one.
    pub(super) fn end(&self) -> Option<u32> {
        self.add_eos.then_some(self.eos)
    }
}

/// The key by which siskin's converter names more tokens that end a turn than llama.cpp has keys for.
pub const MORE_ENDS: &str = "siskin.tokenizer.eog_token_ids";

/// The ids under [`MORE_ENDS`]; `None` if it is no list of the vocabulary's ids.
fn more_ends(metadata: &Metadata, tokens: usize) -> Option<Vec<u32>> {
    match metadata.get(MORE_ENDS) {
        None => Some(Vec::new()),
        Some(Value::Array(Array::U32(ids))) => {
            let inside = ids.iter().all(|&id| (id as usize) < tokens);
            inside.then(|| ids.clone())
        }
        Some(_) => None,
    }
}

/// The value of a boolean key; `None` if the key has another type.
pub(super) fn flag(metadata: &Metadata, key: &str, default: bool) -> Option<bool> {
    match metadata.get(key) {
        None => Some(default),
        Some(Value::Bool(value)) => Some(*value),
        Some(_) => None,
    }
}

/// The special tokens of a vocabulary.
#[derive(Debug)]
pub(super) struct Special {
    pub(super) keys: Keys,
    ends: Vec<u32>,
    /// The tokens to look for in texts, longest first.
    sought: Vec<u32>,
}

/// A stretch of a text: plain text or a special token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part<'a> {
    Text(&'a str),
    Token(u32),
}

impl Special {
    /// Finds the special tokens, and corrects the types given by the file as llama.cpp does.
    pub(super) fn find(tokens: &Tokens, types: &mut [TokenType], keys: Keys) -> Self {
        let mut ends = Vec::new();
        for (row, named) in INFILL.iter().zip(keys.infill) {
            let spelled = || row.spellings.iter().filter_map(|text| tokens.find(text)).min();
            let found = named.or_else(|| spelled().inspect(|&id| types[id as usize] = TokenType::Control));
            ends.extend(found.filter(|_| row.ends));
        }
        for id in ENDS.iter().filter_map(|text| tokens.find(text)) {
            types[id as usize] = TokenType::Control;
            ends.push(id);
        }
        for id in TEXTS.iter().filter_map(|text| tokens.find(text)) {
            types[id as usize] = TokenType::UserDefined;
        }
        ends.extend([Some(keys.eos), keys.eot, keys.eom].into_iter().flatten());
        ends.extend(&keys.ends);
        let ending = |text: &str, ends: &[u32]| tokens.find(text).filter(|id| ends.contains(id));
        let mut not_an_end = |text: &str, kind: TokenType, ends: &mut Vec<u32>| {
            if let Some(id) = ending(text, ends) {
                ends.retain(|&end| end != id);
                types[id as usize] = kind;
            }
        };
        // If calls end a turn, `<|end|>` ends only a part of one.
        let has = |text: &str, ends: &[u32]| ending(text, ends).is_some();
        let calls = has("<|call|>", &ends) || has("<|calls|>", &ends);
        if calls && (has("<|return|>", &ends) || has("<|flush|>", &ends)) {
            not_an_end("<|end|>", TokenType::UserDefined, &mut ends);
        }
        if has("<|tool_response>", &ends) || has("<|plamo:eos|>", &ends) {
            not_an_end("</s>", TokenType::Normal, &mut ends);
        }
        ends.sort_unstable();
        ends.dedup();
        // What ends a turn is no text, even if the file marks it as a word that is never split.
        for &id in &ends {
            let kind = &mut types[id as usize];
            if *kind == TokenType::UserDefined {
                *kind = TokenType::Control;
            }
        }
        let is_sought = |kind: TokenType| {
            matches!(
                kind,
                TokenType::Control | TokenType::UserDefined | TokenType::Unknown
            )
        };
        let mut sought: Vec<(usize, u32)> = tokens
            .iter()
            .filter(|(id, _)| is_sought(types[*id as usize]))
            .map(|(id, text)| (text.len(), id))
            .collect();
        sought.sort_by_key(|&(len, _)| std::cmp::Reverse(len));
        Special {
            keys,
            ends,
            sought: sought.into_iter().map(|(_, id)| id).collect(),
        }
    }

    pub(super) fn is_eog(&self, id: u32) -> bool {
        self.ends.binary_search(&id).is_ok()
    }

    /// Cuts a text at its special tokens, longest tokens first regardless of their position. Without
    /// `parse_special`, only user-defined tokens are cut out.
    pub(super) fn cut(
        &self,
        text: &str,
        tokens: &Tokens,
        types: &[TokenType],
        parse_special: bool,
        brake: &Brake<'_>,
        mut each: impl FnMut(Part<'_>),
    ) {
        let mut parts = Vec::from_iter((!text.is_empty()).then_some(Part::Text(text)));
        let pairs = Pairs::of(text);
        for &id in &self.sought {
            let (kind, spelling) = (types[id as usize], tokens.text(id).unwrap_or_default());
            if !parse_special && kind != TokenType::UserDefined {
                continue;
            }
            let is_possible = spelling.len() <= text.len() && pairs.may_have(spelling);
            if is_possible && brake.is_on(text.len()) {
                return;
            }
            if !is_possible || !text.contains(spelling) {
                continue;
            }
            let mut cut = Vec::with_capacity(parts.len() + 2);
            for part in parts {
                let Part::Text(text) = part else {
                    cut.push(part);
                    continue;
                };
                for (index, between) in text.split(spelling).enumerate() {
                    cut.extend((index > 0).then_some(Part::Token(id)));
                    cut.extend((!between.is_empty()).then_some(Part::Text(between)));
                }
            }
            parts = cut;
        }
        parts.into_iter().for_each(&mut each);
    }
}

/// The pairs of neighbouring bytes that occur in a text: they tell of most spellings that the text does not have them,
/// without a search for each.
struct Pairs(Box<[u64; 1024]>);

impl Pairs {
    fn of(text: &str) -> Self {
        let mut pairs = Box::new([0; 1024]);
        for pair in text.as_bytes().windows(2) {
            let at = usize::from(pair[0]) << 8 | usize::from(pair[1]);
            pairs[at / 64] |= 1 << (at % 64);
        }
        Pairs(pairs)
    }

    /// False if the first or the last two bytes of `spelling` are not neighbours anywhere.
    fn may_have(&self, spelling: &str) -> bool {
        let has = |pair: &[u8]| {
            let at = usize::from(pair[0]) << 8 | usize::from(pair[1]);
            self.0[at / 64] >> (at % 64) & 1 == 1
        };
        let bytes = spelling.as_bytes();
        bytes.len() < 2 || (has(&bytes[..2]) && has(&bytes[bytes.len() - 2..]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(texts: &[&str], types: &mut Vec<TokenType>) -> (Tokens, Special) {
        types.resize(texts.len(), TokenType::Normal);
        let tokens = Tokens::new(texts.iter().collect());
        let keys = Keys::read(
            &Metadata::new(),
            &Defaults {
                bos: 0,
                eos: 0,
                add_bos: false,
            },
            texts.len(),
        );
        let special = Special::find(&tokens, types, keys.expect("no keys"));
        (tokens, special)
    }

    #[test]
    fn ends_are_known_by_their_spelling() {
        /// Tokens, expected ends, expected types.
        type Case = (
            &'static [&'static str],
            &'static [u32],
            &'static [(usize, TokenType)],
        );
        let cases: [Case; 4] = [
            (
                &["x", "</s>", "b"],
                &[0, 1],
                &[(1, TokenType::Control), (2, TokenType::Normal)],
            ),
            (
                &["x", "<|return|>", "<|call|>", "<|end|>"],
                &[0, 1, 2],
                &[(3, TokenType::UserDefined)],
            ),
            (
                &["x", "<|tool_response>", "</s>"],
                &[0, 1],
                &[(2, TokenType::Normal)],
            ),
            (
                &["x", "<|fim_pad|>", "<fim_prefix>", "<|start|>"],
                &[0, 1],
                &[(2, TokenType::Control), (3, TokenType::UserDefined)],
            ),
        ];
        for (texts, ends, want) in cases {
            let mut types = Vec::new();
            let (_, special) = found(texts, &mut types);
            assert_eq!(special.ends, ends, "{texts:?}");
            want.iter()
                .for_each(|&(id, kind)| assert_eq!(types[id], kind, "{texts:?} {id}"));
        }
    }

    #[test]
    fn the_longest_are_cut_out_first() {
        let mut types = vec![
            TokenType::Normal,
            TokenType::Control,
            TokenType::UserDefined,
            TokenType::Control,
        ];
        let (tokens, special) = found(&["x", "<a>", "<u>", "<a><a>"], &mut types);
        let cut = |text: &str, parse: bool| {
            let mut parts = Vec::new();
            special.cut(text, &tokens, &types, parse, &Brake::new(&|| false), |part| {
                parts.push(match part {
                    Part::Text(text) => text.to_owned(),
                    Part::Token(id) => id.to_string(),
                });
            });
            parts
        };
        assert_eq!(cut("", true), Vec::<String>::new());
        assert_eq!(cut("b<a><a><a>c<u>", true), ["b", "3", "1", "c", "2"]);
        assert_eq!(cut("b<a>c<u><u>", false), ["b<a>c", "2", "2"]);
    }
}
