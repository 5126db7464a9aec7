//! A vocabulary in which every byte is a token, and what a constraint over it says.

use siskin_grammar::{Constraint, ErrorKind, Form, GrammarError, TokenText, Vocabulary};

/// The token that ends a text.
pub(crate) const END: u32 = 256;

/// Tokens 0 to 255 are bytes, 256 and 257 end a text, the rest are longer pieces.
pub(crate) fn vocabulary() -> Vocabulary {
    let pieces = [
        "{\"", "\": ", "\", \"", "\"}", ", ", "true", "false", "null", "}}", "]}", "the", " a", "12", "<tool",
    ];
    let bytes = (0..=255u8).map(|byte| TokenText::Text(vec![byte]));
    let ends = [TokenText::Control, TokenText::Control];
    let pieces = pieces
        .iter()
        .map(|piece| TokenText::Text(piece.as_bytes().to_vec()));
    Vocabulary::new(bytes.chain(ends).chain(pieces), &[END, END + 1]).expect("a vocabulary")
}

/// A constraint of `form`.
pub(crate) fn compile(form: &Form) -> Result<Constraint, GrammarError> {
    form.compile(&vocabulary())
}

/// How many bytes of `text` are accepted, and whether it may end there.
pub(crate) fn feed(constraint: &mut Constraint, text: &str) -> (usize, bool) {
    for (at, byte) in text.bytes().enumerate() {
        if !constraint.allows(byte.into()) {
            let error = constraint
                .accept(byte.into())
                .expect_err("a token that is not allowed is refused");
            assert_eq!(error.kind(), ErrorKind::Token, "{error}");
            return (at, false);
        }
        constraint
            .accept(byte.into())
            .expect("a token that is allowed is accepted");
    }
    (text.len(), constraint.may_end())
}

/// Whether `text` has the form from its beginning to its end.
pub(crate) fn is_whole(constraint: &Constraint, text: &str) -> bool {
    feed(&mut constraint.clone(), text) == (text.len(), true)
}

/// A text that is written by chance under the mask, or `None` if it has not ended after `most` tokens. Checks that the
/// mask and `allows` agree.
pub(crate) fn random_text(constraint: &Constraint, rng: &mut fastrand::Rng, most: usize) -> Option<String> {
    let vocabulary = vocabulary();
    let mut constraint = constraint.clone();
    let mut bytes = Vec::new();
    let pieces: Vec<Vec<u8>> = pieces();
    for step in 0..most {
        let mask = constraint.mask().expect("a mask").to_vec();
        let allowed: Vec<u32> = (0..vocabulary.len() as u32)
            .filter(|t| mask[*t as usize / 32] >> (t % 32) & 1 == 1)
            .collect();
        assert!(!allowed.is_empty());
        if step % 7 == 0 {
            for token in 0..vocabulary.len() as u32 {
                assert_eq!(
                    constraint.allows(token),
                    allowed.contains(&token),
                    "token {token} after {bytes:?}"
                );
            }
        }
        let token = pick(&allowed, rng, step * 2 > most);
        constraint.accept(token).expect("a token of the mask is accepted");
        if token == END || token == END + 1 {
            return Some(String::from_utf8(bytes).expect("a text is UTF-8"));
        }
        bytes.extend_from_slice(&pieces[token as usize]);
    }
    None
}

fn pieces() -> Vec<Vec<u8>> {
    let words = [
        "{\"", "\": ", "\", \"", "\"}", ", ", "true", "false", "null", "}}", "]}", "the", " a", "12", "<tool",
    ];
    let bytes = (0..=255u8).map(|byte| vec![byte]);
    bytes
        .chain([Vec::new(), Vec::new()])
        .chain(words.iter().map(|word| word.as_bytes().to_vec()))
        .collect()
}

/// By chance, but what closes something comes often, so that texts end.
fn pick(allowed: &[u32], rng: &mut fastrand::Rng, hurry: bool) -> u32 {
    let closing: Vec<u32> = allowed
        .iter()
        .copied()
        .filter(|t| [u32::from(b'"'), b'}'.into(), b']'.into(), END].contains(t))
        .collect();
    if !closing.is_empty() && (hurry || rng.u8(..4) == 0) {
        return closing[rng.usize(..closing.len())];
    }
    allowed[rng.usize(..allowed.len())]
}
