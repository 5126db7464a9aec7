//! Compares siskin's reading of a vocabulary with llama.cpp's: every token's text, and the tokens of random
//! texts.

use std::path::{Path, PathBuf};

use siskin::{LoadOptions, Model, Token, Tokenize};
use siskin_model::gguf::{Array, Header, Metadata, Value, write_header};
use siskin_model::tokenizer::pre_tokenizers;

use crate::{golden, util};
use siskin_testing::Rng;

/// Random texts for each vocabulary.
const TEXTS: usize = 3000;

/// Text at which tokenizers split.
const JOINTS: [&str; 38] = [
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
    "    ",
    "a b c",
    "12345678901",
    "XMLParser",
    "$%^",
    "/\n/",
    "１２３",
    "。、",
    "한글",
    "ไทย",
    "\u{3000}",
    "IMGIMGABZ<sentinel:12>",
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

/// The file's vocabulary as siskin and as llama.cpp read it.
fn both(file: &Path, name: &str) -> (Model, Model) {
    let load = |llama_cpp_vocabulary| {
        let options = LoadOptions {
            vocab_only: true,
            llama_cpp_vocabulary,
            ..LoadOptions::default()
        };
        Model::load(file, &options).expect(name)
    };
    let (own, theirs) = (load(false), load(true));
    assert!(own.has_own_tokenizer() && !theirs.has_own_tokenizer(), "{name}");
    (own, theirs)
}

/// Writes `file` again with other keys.
fn with_keys(file: &Path, to: &str, change: impl FnOnce(&mut Metadata)) -> PathBuf {
    let bytes = std::fs::read(file).expect("a file");
    let mut header = Header::parse(&bytes[..], bytes.len() as u64).expect("a header");
    let data = header
        .tensors
        .iter()
        .map(|tensor| header.range(tensor).start)
        .min();
    change(&mut header.metadata);
    let mut out = Vec::new();
    write_header(&mut out, &header.metadata, &header.tensors, 32).expect("written");
    out.extend_from_slice(&bytes[usize::try_from(data.expect("tensors")).expect("a position")..]);
    let to = file.with_file_name(to);
    std::fs::write(&to, out).expect("written");
    to
}

/// Compares both readings of one file.
fn compare(file: &Path, name: &str) {
    let (own, theirs) = both(file, name);
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
    same_classes(&own, &theirs, name);
    let mut rng = Rng::with_seed(7);
    for _ in 0..TEXTS {
        same_tokens(&own, &theirs, &text(&mut rng, &own), name);
    }
}

/// Every character once, to compare its class in the tokenizer: letter, number, space or symbol.
fn same_classes(own: &Model, theirs: &Model, name: &str) {
    for characters in ('\0'..='\u{323af}').collect::<Vec<_>>().chunks(64) {
        let text: String = characters
            .iter()
            .flat_map(|&c| ['a', c, '1', c, ' ', c, '.'])
            .collect();
        let same = own.tokenize(&text, Tokenize::PLAIN) == theirs.tokenize(&text, Tokenize::PLAIN);
        assert!(same, "{name}: {:?} and the 63 after it", characters[0]);
    }
}

fn same_tokens(own: &Model, theirs: &Model, text: &str, name: &str) {
    for (around, parse) in [(false, false), (false, true), (true, false), (true, true)] {
        let options = Tokenize {
            add_special: around,
            parse_special: parse,
        };
        assert_eq!(
            own.tokenize(text, options),
            theirs.tokenize(text, options),
            "{name} {text:?} {around} {parse}"
        );
    }
}

#[test]
fn every_pre_tokenizer_splits_as_llama_cpps() {
    let out = tempfile::tempdir().expect("a temporary folder");
    let file = util::convert(&util::checkpoint("stablelm-bpe"), out.path(), "q8_0");
    for name in pre_tokenizers() {
        let other = with_keys(&file, "other.gguf", |keys| match name {
            "" => keys.retain(|key| key != "tokenizer.ggml.pre"),
            name => keys.set("tokenizer.ggml.pre", name),
        });
        let (own, theirs) = both(&other, name);
        // This one distinguishes every class; for each name it would take minutes.
        if name == "deepseek-v3" {
            same_classes(&own, &theirs, name);
        }
        let mut rng = Rng::with_seed(7);
        for _ in 0..TEXTS / 30 {
            let text = text(&mut rng, &own);
            let same = own.tokenize(&text, Tokenize::TEXT) == theirs.tokenize(&text, Tokenize::TEXT);
            assert!(same, "{name} {text:?}");
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

#[test]
fn a_vocabulary_that_only_llama_cpp_reads_is_refused_if_its_splitting_overflows_there() {
    let out = tempfile::tempdir().expect("a temporary folder");
    let file = util::convert(&util::checkpoint("stablelm-bpe"), out.path(), "q8_0");
    let options = LoadOptions {
        vocab_only: true,
        ..LoadOptions::default()
    };
    for (pre, loads) in [("gpt-2", true), ("tekken", false), ("default", false)] {
        let odd = with_keys(&file, "odd.gguf", |keys| {
            keys.set("tokenizer.ggml.pre", pre);
            keys.set("tokenizer.ggml.merges", vec!["no merge".to_owned()]);
        });
        let loaded = Model::load(&odd, &options);
        assert_eq!(loaded.is_ok(), loads, "{pre}");
        if let Ok(model) = loaded {
            assert!(!model.has_own_tokenizer());
            assert!(!model.tokenize(&"a".repeat(100_000), Tokenize::PLAIN).is_empty());
        }
    }
}

#[test]
fn text_never_becomes_a_control_token() {
    let out = tempfile::tempdir().expect("a temporary folder");
    let options = |llama_cpp_vocabulary| LoadOptions {
        vocab_only: true,
        llama_cpp_vocabulary,
        ..LoadOptions::default()
    };
    for (name, text) in [
        ("stablelm-bpe", " the"),
        ("llama-rope-llama3", " the"),
        ("llama-spm", "the"),
    ] {
        let file = util::convert(&util::checkpoint(name), out.path(), "q8_0");
        let plain = Model::load(&file, &options(false)).expect("a model");
        let [word] = plain.tokenize(text, Tokenize::PLAIN)[..] else {
            panic!("{name}: {text:?} is not one token");
        };
        // The same vocabulary, in which a word is a control token.
        let odd = with_keys(&file, "odd.gguf", |keys| {
            let Some(Value::Array(Array::I32(types))) = keys.get_mut("tokenizer.ggml.token_type") else {
                panic!("no types");
            };
            types[usize::try_from(word.0).expect("an id")] = 3;
        });
        for llama_cpp in [false, true] {
            let model = Model::load(&odd, &options(llama_cpp)).expect("a model");
            for text in [text.to_owned(), format!("{text} x{text}"), text.repeat(1000)] {
                let tokens = model.tokenize(&text, Tokenize::PLAIN);
                assert!(!tokens.contains(&word), "{name} {llama_cpp}");
                let bytes: Vec<u8> = tokens
                    .iter()
                    .flat_map(|&token| model.piece(token, true))
                    .collect();
                let said = String::from_utf8_lossy(&bytes).replace(' ', "");
                assert_eq!(said, text.replace(' ', ""), "{name} {llama_cpp}");
            }
            let spelled = model.piece(word, true);
            let written = String::from_utf8(spelled).expect("text");
            assert!(
                model
                    .tokenize(
                        &written,
                        Tokenize {
                            add_special: false,
                            parse_special: true
                        }
                    )
                    .contains(&word)
            );
        }
    }
}

#[test]
fn decomposed_text_has_the_tokens_of_composed_text() {
    let out = tempfile::tempdir().expect("a temporary folder");
    let options = LoadOptions {
        vocab_only: true,
        ..LoadOptions::default()
    };
    for (name, normalizes) in [
        ("gptneox-bpe", true),
        ("stablelm-bpe", true),
        ("llama-rope-llama3", false),
    ] {
        let file = util::convert(&util::checkpoint(name), out.path(), "q8_0");
        let model = Model::load(&file, &options).expect("a model");
        let of = |text: &str| model.tokenize(text, Tokenize::PLAIN);
        assert_eq!(of("cafe\u{301}") == of("caf\u{e9}"), normalizes, "{name}");
        assert_eq!(
            of("\u{1112}\u{1161}\u{11ab}") == of("\u{d55c}"),
            normalizes,
            "{name}"
        );
    }
}

#[test]
fn a_missing_pre_tokenizer_is_told() {
    let out = tempfile::tempdir().expect("a temporary folder");
    let file = util::convert(&util::checkpoint("llama-rope-llama3"), out.path(), "q8_0");
    let old = with_keys(&file, "old.gguf", |keys| {
        keys.retain(|key| key != "tokenizer.ggml.pre")
    });
    for (file, told) in [(&file, false), (&old, true)] {
        for arguments in [&["tokenize", "It's"][..], &["run", "-p", "It's", "-n", "1"]] {
            let output = util::succeed(util::siskin([arguments[0]]).arg(file).args(&arguments[1..]));
            let said = String::from_utf8_lossy(&output.stderr).contains("tokenizer.ggml.pre");
            assert_eq!(said, told, "{arguments:?} {output:?}");
        }
    }
}
