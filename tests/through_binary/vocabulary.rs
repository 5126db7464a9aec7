//! Compares siskin's reading of a vocabulary with llama.cpp's: every token's text, and the tokens of random
//! texts.

use std::path::Path;

use siskin::{LoadOptions, Model, Token, Tokenize};

use crate::{golden, util};
use siskin_testing::Rng;

/// Random texts for each vocabulary.
const TEXTS: usize = 3000;

/// Text at which tokenizers split.
const JOINTS: [&str; 26] = [
    " ",
    "  ",
    "\n",
    "\r\n",
    "\n\n ",
    "\t",
    "'s",
    "'LL",
    "'re",
    " 'd",
    "'ſ",
    "7",
    "12345",
    "²",
    "...",
    "!?\n",
    "_",
    "▁",
    "Ġ",
    "é",
    "e\u{301}",
    "中",
    "\u{1f469}\u{200d}\u{1f4bb}",
    "\u{a0}",
    "\u{2028}",
    "\u{ad}",
];

/// A text of ASCII characters, characters of all Unicode, split points and texts of the vocabulary's own
/// tokens.
fn text(rng: &mut Rng, model: &Model) -> String {
    let mut text = String::new();
    for _ in 0..rng.usize(..24) {
        match rng.usize(..8) {
            0..3 => text.push(char::from(32 + rng.usize(..95) as u8)),
            3 => text.push_str(rng.choice(&JOINTS).expect("not empty")),
            4 => text.extend(char::from_u32(rng.usize(..0x3000) as u32)),
            5 => text.extend(char::from_u32(rng.usize(..0x20000) as u32)),
            _ => {
                let token = Token(rng.usize(..(model.vocabulary_len()).max(1)) as i32);
                text.push_str(&String::from_utf8_lossy(&model.piece(token, true)));
            }
        }
    }
    text
}

/// Compares both readings of one file.
fn compare(file: &Path, name: &str) {
    let load = |llama_cpp_vocabulary| {
        let options = LoadOptions {
            vocab_only: true,
            llama_cpp_vocabulary,
            ..LoadOptions::default()
        };
        Model::load(file, &options).expect("a model")
    };
    let (own, theirs) = (load(false), load(true));
    assert!(own.has_own_tokenizer() && !theirs.has_own_tokenizer(), "{name}");
    assert_eq!(own.vocabulary_len(), theirs.vocabulary_len(), "{name}");
    assert_eq!(own.bos(), theirs.bos(), "{name}");
    assert_eq!(own.adds_space_prefix(), theirs.adds_space_prefix(), "{name}");
    for id in -1..=i32::try_from(own.vocabulary_len()).expect("an id") {
        let token = Token(id);
        assert_eq!(own.is_eog(token), theirs.is_eog(token), "{name} {id}");
        for special in [false, true] {
            assert_eq!(
                own.piece(token, special),
                theirs.piece(token, special),
                "{name} {id}"
            );
        }
    }
    // Every character once, to compare its class in the tokenizer: letter, number, space or symbol.
    for characters in ('\0'..='\u{323af}').collect::<Vec<_>>().chunks(64) {
        let text: String = characters
            .iter()
            .flat_map(|&c| ['a', c, '1', c, ' ', c, '.'])
            .collect();
        let same = own.tokenize(&text, Tokenize::PLAIN) == theirs.tokenize(&text, Tokenize::PLAIN);
        assert!(same, "{name}: {:?} and the 63 after it", characters[0]);
    }
    let mut rng = Rng::with_seed(7);
    for _ in 0..TEXTS {
        let text = text(&mut rng, &own);
        for (around, parse) in [(false, false), (false, true), (true, false), (true, true)] {
            let options = Tokenize {
                add_special: around,
                parse_special: parse,
            };
            assert_eq!(
                own.tokenize(&text, options),
                theirs.tokenize(&text, options),
                "{name} {text:?} {around} {parse}"
            );
        }
    }
}

#[test]
fn every_fixtures_vocabulary_is_read_as_llama_cpp_reads_it() {
    let out = tempfile::tempdir().expect("a temporary folder");
    for dir in util::checkpoints() {
        compare(
            &util::convert(&dir, out.path(), "auto"),
            &dir.display().to_string(),
        );
    }
}

#[test]
fn the_four_real_vocabularies_are_read_as_llama_cpp_reads_them() {
    let Some(data) = util::shared() else { return };
    for name in golden::TOKENIZERS {
        let folder = tempfile::tempdir().expect("a temporary folder");
        golden::with_tiny_body(&data.join("tokenizers").join(name), folder.path());
        compare(&util::convert(folder.path(), folder.path(), "q8_0"), name);
    }
}
