//! SentencePiece's `tokenizer.model`: parses the protobuf message and converts it to GGUF's `llama` keys.
//!
//! Format: `sentencepiece_model.proto`. Field 1 of the model is a repeated piece, with text (1), score (2, float) and
//! type (3); field 2 says how the model was trained, field 3 how text is normalised. Everything in them that changes
//! the tokens of a text is honoured or refused by its name.

use super::protobuf::{Field, Message};
use super::tokens::Tokens;
use super::{ContentError, TokenizerError};
use crate::checkpoint::{CheckpointError, Content, Folder};
use siskin_model::files::Found;
use siskin_model::gguf::Metadata;
use siskin_model::tokenizer::{PREFIX_AFTER_USER_DEFINED, TokenType};

/// Size limit of `tokenizer.model` in bytes.
const MAX_FILE: u64 = 16 << 20;

/// A piece of the vocabulary.
#[derive(Debug, PartialEq)]
struct Piece {
    text: String,
    score: f32,
    ty: TokenType,
}

/// A serialized model: its pieces, and what it says besides them.
#[derive(Debug)]
struct Model {
    pieces: Vec<Piece>,
    spec: Spec,
}

/// The settings that change tokens, with protobuf's defaults.
#[derive(Debug, PartialEq)]
struct Spec {
    model_type: u64,
    byte_fallback: bool,
    whitespace_as_suffix: bool,
    rule: String,
    has_charsmap: bool,
    dummy_prefix: bool,
    remove_extra_whitespaces: bool,
    escape_whitespaces: bool,
}

impl Default for Spec {
    fn default() -> Self {
        Spec {
            model_type: 1,
            byte_fallback: false,
            whitespace_as_suffix: false,
            rule: String::new(),
            has_charsmap: false,
            dummy_prefix: true,
            remove_extra_whitespaces: true,
            escape_whitespaces: true,
        }
    }
}

/// True if the file begins as a SentencePiece model does: with a piece, a message in field 1.
pub(super) fn is_one(folder: &Folder, name: &str) -> Result<bool, TokenizerError> {
    let first = folder.first_byte(name).map_err(CheckpointError::from)?;
    Ok(first == Some(0x0a))
}

/// Returns the vocabulary of the model in file `name`, padded to `rows` tokens, and the keys of its settings.
pub(super) fn read(folder: &Folder, name: &str, rows: u64) -> Result<(Tokens, Metadata), TokenizerError> {
    let error = |source: ContentError| TokenizerError::File {
        path: folder.path(name),
        source,
    };
    let bytes = match folder.read(name, MAX_FILE).map_err(CheckpointError::from)? {
        Content::Whole(bytes) => bytes,
        Content::TooLarge(len) => {
            let limit = MAX_FILE;
            return Err(error(ContentError::TooLarge { len, limit }));
        }
        Content::Absent => return Err(TokenizerError::Missing(folder.root().to_owned())),
    };
    let parsed = model(&bytes).map_err(|reason| {
        let reason = match Found::from_start(&bytes) {
            Some(found) => format!("not a SentencePiece model but {found}"),
            None => reason,
        };
        error(reason.into())
    })?;
    let keys = settings(&parsed).map_err(error)?;
    let count = parsed.pieces.len() as u64;
    if count > rows {
        return Err(TokenizerError::TooSmall {
            dir: folder.root().to_owned(),
            size: rows,
            tokens: count,
        });
    }
    let mut tokens = Tokens::padding(rows).with_scores();
    for (id, piece) in parsed.pieces.into_iter().enumerate() {
        tokens.set(id, piece.text, piece.ty);
        tokens.set_score(id, piece.score);
    }
    Ok((tokens, keys))
}

/// The keys of the settings; an error names the setting that siskin cannot honour.
fn settings(model: &Model) -> Result<Metadata, ContentError> {
    let spec = &model.spec;
    let kind = match spec.model_type {
        2 => None,
        1 => Some("a unigram model"),
        3 => Some("a model of whole words"),
        4 => Some("a model of characters"),
        _ => Some("a model of an unknown type"),
    };
    let refused = [
        kind.map(|kind| format!("{kind} (model_type); SentencePiece models must be BPE")),
        spec.whitespace_as_suffix
            .then(|| "spaces at the end of words (treat_whitespace_as_suffix) are not supported".to_owned()),
        spec.has_charsmap.then(|| {
            let rule = if spec.rule.is_empty() { "of its own" } else { &spec.rule };
            format!("the normalizer {rule:?} (precompiled_charsmap) is not supported")
        }),
        (!spec.escape_whitespaces)
            .then(|| "spaces that are not escaped (escape_whitespaces) are not supported".to_owned()),
        (!spec.byte_fallback).then(|| {
            "characters outside the vocabulary are not spelled in bytes (byte_fallback), which is not supported".to_owned()
        }),
    ];
    if let Some(reason) = refused.into_iter().flatten().next() {
        return Err(ContentError::Unsupported(reason));
    }
    let mut keys = Metadata::new();
    if !spec.dummy_prefix {
        keys.set("tokenizer.ggml.add_space_prefix", false);
    }
    if spec.remove_extra_whitespaces {
        keys.set("tokenizer.ggml.remove_extra_whitespaces", true);
    }
    let is_own = |piece: &Piece| piece.ty == TokenType::UserDefined;
    if spec.dummy_prefix && model.pieces.iter().any(is_own) {
        keys.set(PREFIX_AFTER_USER_DEFINED, false);
    }
    Ok(keys)
}

/// Parses a serialized model.
fn model(bytes: &[u8]) -> Result<Model, String> {
    let mut pieces = Vec::new();
    let mut spec = Spec::default();
    let mut message = Message { bytes };
    while let Some(field) = message.next()? {
        match field {
            (1, Field::Bytes(bytes)) => {
                pieces.push(piece(bytes).map_err(|e| format!("piece {}: {e}", pieces.len()))?);
            }
            (2, Field::Bytes(bytes)) => trained(bytes, &mut spec)?,
            (3, Field::Bytes(bytes)) => normalized(bytes, &mut spec)?,
            _ => {}
        }
    }
    if pieces.is_empty() {
        return Err("no pieces; not a SentencePiece model".into());
    }
    Ok(Model { pieces, spec })
}

/// Reads the trainer's settings.
fn trained(bytes: &[u8], spec: &mut Spec) -> Result<(), String> {
    let mut message = Message { bytes };
    while let Some(field) = message.next()? {
        match field {
            (3, Field::Varint(kind)) => spec.model_type = kind,
            (24, Field::Varint(flag)) => spec.whitespace_as_suffix = flag != 0,
            (35, Field::Varint(flag)) => spec.byte_fallback = flag != 0,
            _ => {}
        }
    }
    Ok(())
}

/// Reads the normalizer's settings.
fn normalized(bytes: &[u8], spec: &mut Spec) -> Result<(), String> {
    let mut message = Message { bytes };
    while let Some(field) = message.next()? {
        match field {
            (1, Field::Bytes(name)) => spec.rule = String::from_utf8_lossy(name).into_owned(),
            (2 | 6, Field::Bytes(rules)) => spec.has_charsmap |= !rules.is_empty(),
            (3, Field::Varint(flag)) => spec.dummy_prefix = flag != 0,
            (4, Field::Varint(flag)) => spec.remove_extra_whitespaces = flag != 0,
            (5, Field::Varint(flag)) => spec.escape_whitespaces = flag != 0,
            _ => {}
        }
    }
    Ok(())
}

fn piece(bytes: &[u8]) -> Result<Piece, String> {
    let mut piece = Piece {
        text: String::new(),
        score: 0.0,
        ty: TokenType::Normal,
    };
    let mut message = Message { bytes };
    while let Some(field) = message.next()? {
        match field {
            (1, Field::Bytes(text)) => {
                piece.text =
                    String::from_utf8(text.to_vec()).map_err(|_| "text that is not UTF-8".to_owned())?;
            }
            (2, Field::Fixed32(bits)) => piece.score = f32::from_bits(bits),
            (3, Field::Varint(ty)) => {
                piece.ty = match ty {
                    1 => TokenType::Normal,
                    2 => TokenType::Unknown,
                    3 => TokenType::Control,
                    4 => TokenType::UserDefined,
                    5 => TokenType::Unused,
                    6 => TokenType::Byte,
                    other => return Err(format!("unknown type {other}")),
                }
            }
            _ => {}
        }
    }
    if piece.ty == TokenType::UserDefined {
        piece.text = piece.text.replace('\u{2581}', " ");
    }
    Ok(piece)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(text: &str, score: f32, ty: u8) -> Vec<u8> {
        let mut piece = vec![0x0a, text.len() as u8];
        piece.extend(text.as_bytes());
        piece.push(0x15);
        piece.extend(score.to_le_bytes());
        piece.extend([0x18, ty]);
        let mut field = vec![0x0a, piece.len() as u8];
        field.extend(piece);
        field
    }

    #[test]
    fn pieces_are_read_and_other_fields_passed_over() {
        let mut bytes = encoded("<unk>", 0.0, 2);
        bytes.extend([0x12, 2, 0x18, 2]); // trainer_spec: BPE
        bytes.extend(encoded("\u{2581}a", -1.5, 1));
        let got = model(&bytes).expect("pieces");
        let want = [
            Piece {
                text: "<unk>".into(),
                score: 0.0,
                ty: TokenType::Unknown,
            },
            Piece {
                text: "\u{2581}a".into(),
                score: -1.5,
                ty: TokenType::Normal,
            },
        ];
        assert_eq!(got.pieces, want);
        assert_eq!(got.spec.model_type, 2);
    }

    #[test]
    fn damage_anywhere_is_an_error_or_fewer_pieces_never_a_panic() {
        let mut bytes = encoded("<unk>", 0.0, 2);
        bytes.extend(encoded("ab", -1.5, 1));
        for end in 0..bytes.len() {
            let _ = model(&bytes[..end]);
        }
        for at in 0..bytes.len() {
            for value in [0, 0x7f, 0xff] {
                let mut broken = bytes.clone();
                broken[at] = value;
                let _ = model(&broken);
            }
        }
        assert!(
            model(&[0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f])
                .expect_err("too long")
                .contains("truncated")
        );
        assert!(model(&[0xff; 11]).expect_err("too many bits").contains("64 bits"));
        assert!(model(b"").expect_err("empty").contains("no pieces"));
    }

    #[test]
    fn settings_are_honoured_or_refused_by_name() {
        let flag = |id: u64, on: u8| {
            let tag = id << 3;
            match tag < 0x80 {
                true => vec![tag as u8, on],
                false => vec![(tag & 0x7f) as u8 | 0x80, (tag >> 7) as u8, on],
            }
        };
        let of = |trainer: &[Vec<u8>], normalizer: &[Vec<u8>], ty: u8| {
            let mut bytes = encoded("a", 0.0, ty);
            for (tag, spec) in [(0x12, trainer.concat()), (0x1a, normalizer.concat())] {
                bytes.extend([tag, spec.len() as u8]);
                bytes.extend(spec);
            }
            let model = model(&bytes).expect("a model");
            settings(&model).map_err(|e| e.to_string()).map(|keys| {
                let keys = keys
                    .iter()
                    .map(|(key, _)| key.rsplit('.').next().unwrap_or_default().to_owned());
                keys.collect::<Vec<_>>()
            })
        };
        let bpe = || vec![flag(3, 2), flag(35, 1)];
        let plain = || vec![flag(4, 0)];
        let with = |mut list: Vec<Vec<u8>>, more: Vec<u8>| {
            list.push(more);
            list
        };
        let kept = [
            (bpe(), plain(), 1, vec![]),
            (bpe(), with(plain(), flag(3, 0)), 1, vec!["add_space_prefix"]),
            (bpe(), vec![], 1, vec!["remove_extra_whitespaces"]),
            (bpe(), plain(), 4, vec!["prefix_after_user_defined"]),
            (bpe(), with(plain(), vec![0x12, 0]), 1, vec![]),
        ];
        for (trainer, normalizer, ty, want) in kept {
            assert_eq!(
                of(&trainer, &normalizer, ty),
                Ok(want.into_iter().map(str::to_owned).collect())
            );
        }
        let refused = [
            (vec![flag(35, 1)], plain(), "model_type"),
            (with(bpe(), flag(3, 4)), plain(), "model_type"),
            (vec![flag(3, 2)], plain(), "byte_fallback"),
            (with(bpe(), flag(24, 1)), plain(), "treat_whitespace_as_suffix"),
            (bpe(), with(plain(), vec![0x12, 1, 1]), "precompiled_charsmap"),
            (bpe(), with(plain(), flag(5, 0)), "escape_whitespaces"),
        ];
        for (trainer, normalizer, want) in refused {
            let error = of(&trainer, &normalizer, 1).expect_err(want);
            assert!(error.contains(want), "{error}");
        }
    }
}
