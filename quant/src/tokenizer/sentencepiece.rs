//! SentencePiece's `tokenizer.model`: parses the protobuf message and converts it to GGUF's `llama` keys.
//!
//! Format: `sentencepiece_model.proto`: field 1 of the model is a repeated piece, with text (1), score (2,
//! float) and type (3). All other fields are skipped.

use std::collections::BTreeMap;
use std::path::Path;

use super::hf::TokenizerConfig;
use super::{ContentError, TokenizerError, Tokens, looks_special};
use crate::checkpoint::{MAX_JSON, read_json};
use siskin_model::files::Files;
use siskin_model::gguf::Metadata;
use siskin_model::tokenizer::TokenType;

/// Size limit of `tokenizer.model` in bytes.
const MAX_FILE: u64 = 16 << 20;
/// Score of padding tokens, as in llama.cpp's converter.
const PADDING_SCORE: f32 = -10_000.0;
/// Score of added tokens, as in llama.cpp's converter.
const ADDED_SCORE: f32 = -1000.0;

/// A piece of the vocabulary.
#[derive(Debug, PartialEq)]
struct Piece {
    text: String,
    score: f32,
    ty: TokenType,
}

/// Returns the vocabulary keys for the model at `path`, padded to `rows` tokens.
pub(super) fn keys(
    dir: &Path,
    path: &Path,
    rows: u64,
    settings: Option<&TokenizerConfig>,
) -> Result<Metadata, TokenizerError> {
    let error = |source: ContentError| TokenizerError::File {
        path: path.to_owned(),
        source,
    };
    let mut files = Files::new();
    let file = files
        .open(path)
        .map_err(crate::checkpoint::CheckpointError::from)?;
    let len = files.len(file);
    if len > MAX_FILE {
        let limit = MAX_FILE;
        return Err(error(ContentError::TooLarge { len, limit }));
    }
    let bytes = files
        .read(file, 0..len)
        .map_err(crate::checkpoint::CheckpointError::from)?;
    let parsed = pieces(&bytes).map_err(|reason| error(reason.into()))?;
    let count = parsed.len() as u64;
    if count > rows {
        return Err(TokenizerError::TooSmall {
            dir: dir.to_owned(),
            size: rows,
            tokens: count,
        });
    }
    let mut tokens = Tokens::padding(rows);
    let mut scores = vec![PADDING_SCORE; rows as usize];
    for (id, piece) in parsed.into_iter().enumerate() {
        tokens.set(id, piece.text, piece.ty);
        scores[id] = piece.score;
    }
    let mut add = |id: u64, text: String, ty: TokenType| {
        // Ids outside the embedding have no row: the model can neither read nor produce them.
        if id < rows {
            tokens.set(id as usize, text, ty);
            scores[id as usize] = ADDED_SCORE;
        }
    };
    let added: Option<BTreeMap<String, u64>> = read_json(&dir.join("added_tokens.json"), MAX_JSON)?;
    for (text, id) in added.unwrap_or_default() {
        add(id, text, TokenType::UserDefined);
    }
    for (id, token) in settings.map(|s| &s.added_tokens_decoder).into_iter().flatten() {
        let Ok(id) = id.parse() else { continue };
        if token.special || looks_special(&token.content) {
            add(id, token.content.clone(), TokenType::Control);
        } else {
            add(id, token.content.replace('\u{2581}', " "), TokenType::UserDefined);
        }
    }
    let mut keys = Metadata::new();
    keys.set("tokenizer.ggml.model", "llama");
    keys.set("tokenizer.ggml.pre", "default");
    keys.set("tokenizer.ggml.tokens", tokens.texts);
    keys.set("tokenizer.ggml.scores", scores);
    keys.set("tokenizer.ggml.token_type", tokens.types);
    Ok(keys)
}

/// Parses the pieces of a serialized model.
fn pieces(bytes: &[u8]) -> Result<Vec<Piece>, String> {
    let mut pieces = Vec::new();
    let mut message = Message { bytes };
    while let Some((field, value)) = message.next()? {
        if let (1, Field::Bytes(bytes)) = (field, value) {
            pieces.push(piece(bytes).map_err(|e| format!("piece {}: {e}", pieces.len()))?);
        }
    }
    if pieces.is_empty() {
        return Err("no pieces; not a SentencePiece model".into());
    }
    Ok(pieces)
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
            // llama.cpp's converter turns user-defined pieces (4) into normal ones; so does siskin.
            (3, Field::Varint(ty)) => {
                piece.ty = match ty {
                    1 | 4 => TokenType::Normal,
                    2 => TokenType::Unknown,
                    3 => TokenType::Control,
                    5 => TokenType::Unused,
                    6 => TokenType::Byte,
                    other => return Err(format!("unknown type {other}")),
                }
            }
            _ => {}
        }
    }
    Ok(piece)
}

/// A protobuf message, read field by field.
struct Message<'a> {
    bytes: &'a [u8],
}

/// A field's value, by wire type.
enum Field<'a> {
    Varint(u64),
    Fixed64,
    Bytes(&'a [u8]),
    Fixed32(u32),
}

impl<'a> Message<'a> {
    /// Returns the next field's number and value, or `None` at the end.
    fn next(&mut self) -> Result<Option<(u64, Field<'a>)>, String> {
        if self.bytes.is_empty() {
            return Ok(None);
        }
        let tag = self.varint()?;
        let value = match tag & 7 {
            0 => Field::Varint(self.varint()?),
            1 => self.take(8).map(|_| Field::Fixed64)?,
            2 => {
                let len = self.varint()?;
                Field::Bytes(self.take(len)?)
            }
            5 => Field::Fixed32(u32::from_le_bytes(
                self.take(4)?.try_into().expect("four bytes were taken"),
            )),
            other => return Err(format!("wire type {other}; the file is damaged")),
        };
        Ok(Some((tag >> 3, value)))
    }

    fn take(&mut self, len: u64) -> Result<&'a [u8], String> {
        let len = usize::try_from(len).ok().filter(|len| *len <= self.bytes.len());
        let (taken, rest) = self
            .bytes
            .split_at(len.ok_or("ends in the middle of a field; the file is truncated")?);
        self.bytes = rest;
        Ok(taken)
    }

    fn varint(&mut self) -> Result<u64, String> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.take(1)?[0];
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err("a number of more than 64 bits; the file is damaged".into())
    }
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
        bytes.extend([0x12, 3, 1, 2, 3]); // trainer_spec
        bytes.extend(encoded("\u{2581}a", -1.5, 1));
        let got = pieces(&bytes).expect("pieces");
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
        assert_eq!(got, want);
    }

    #[test]
    fn damage_anywhere_is_an_error_or_fewer_pieces_never_a_panic() {
        let mut bytes = encoded("<unk>", 0.0, 2);
        bytes.extend(encoded("ab", -1.5, 1));
        for end in 0..bytes.len() {
            let _ = pieces(&bytes[..end]);
        }
        for at in 0..bytes.len() {
            for value in [0, 0x7f, 0xff] {
                let mut broken = bytes.clone();
                broken[at] = value;
                let _ = pieces(&broken);
            }
        }
        assert!(
            pieces(&[0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f])
                .expect_err("too long")
                .contains("truncated")
        );
        assert!(
            pieces(&[0xff; 11])
                .expect_err("too many bits")
                .contains("64 bits")
        );
        assert!(pieces(b"").expect_err("empty").contains("no pieces"));
    }
}
