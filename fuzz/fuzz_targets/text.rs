//! Text to tokens and back. The first byte chooses the vocabulary: that of a test fixture, or one that the input
//! lists itself, which must pass the checks that come before the tokenizer.
#![no_main]

use std::path::Path;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use siskin_model::config::Config;
use siskin_model::gguf::{Header, Metadata};
use siskin_model::tokenizer::{Outline, TokenType, Tokenizer, bytes};
use siskin_model::validate;
use siskin_quant::checkpoint::Folder;
use siskin_quant::tokenizer::vocabulary;

/// One fixture of each tokenizer and pre-tokenizer.
const FIXTURES: [&str; 4] = ["llama-spm", "gptneox-bpe", "llama-rope-llama3", "stablelm-bpe"];

/// Pre-tokenizers of listed vocabularies; "" is SentencePiece.
const PRE_TOKENIZERS: [&str; 4] = ["", "gpt-2", "llama-bpe", "stablelm2"];

/// Separates a listed vocabulary from the text.
const END_OF_LIST: &str = "\n\n";

static TOKENIZERS: LazyLock<[Tokenizer; FIXTURES.len()]> = LazyLock::new(|| FIXTURES.map(fixture));

fuzz_target!(|data: &[u8]| {
    let Some((&choice, rest)) = data.split_first() else {
        return;
    };
    let rest = String::from_utf8_lossy(rest);
    let choice = usize::from(choice) % (FIXTURES.len() + PRE_TOKENIZERS.len());
    match choice.checked_sub(FIXTURES.len()) {
        None => check(&TOKENIZERS[choice], &rest),
        Some(pre) => {
            let (list, text) = rest.split_once(END_OF_LIST).unwrap_or((&rest, ""));
            if let Some(tokenizer) = listed(PRE_TOKENIZERS[pre], list) {
                check(&tokenizer, text);
            }
        }
    }
});

/// Checks what holds for every text: tokens exist, and ordinary ones give the text back.
fn check(tokenizer: &Tokenizer, text: &str) {
    for (around, parse_special) in [(true, true), (true, false), (false, true), (false, false)] {
        let ids = tokenizer.tokenize(text, around, parse_special);
        let ordinary = |&id: &u32| {
            let ty = tokenizer.token_type(id).expect("the token exists");
            matches!(ty, TokenType::Normal | TokenType::Byte)
        };
        // User-defined tokens and SentencePiece's space before each part are not the text's own.
        if ids.iter().all(ordinary) && !around && !parse_special {
            let pieces: Vec<u8> = ids.iter().flat_map(|&id| tokenizer.piece(id, false)).collect();
            assert_eq!(plain(tokenizer, &pieces), plain(tokenizer, text.as_bytes()), "{ids:?}");
        }
    }
}

/// What the tokens of a text keep of it. SentencePiece spells spaces as U+2581 and may put one before the text.
fn plain(tokenizer: &Tokenizer, text: &[u8]) -> String {
    let text = String::from_utf8(text.to_vec()).expect("pieces of a whole text are UTF-8");
    match tokenizer.adds_space_prefix() {
        true => text.replace('\u{2581}', " ").trim_start_matches(' ').to_owned(),
        false => text,
    }
}

/// The tokenizer of a test fixture.
fn fixture(name: &str) -> Tokenizer {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/checkpoints").join(name);
    let config = std::fs::read(dir.join("config.json")).expect("a configuration");
    let config: Config = serde_json::from_slice(&config).expect("a configuration");
    let mut metadata = vocabulary(&Folder::Disk(dir), &config).expect("a vocabulary");
    let outline = Outline::from_metadata(&metadata).expect("a supported vocabulary");
    Tokenizer::new(outline, &mut metadata).expect("a whole vocabulary")
}

/// A vocabulary of all bytes and the tokens of `list`, one a line: `1abc` is a token of type 1, `mab c` the merge of
/// `ab` and `c`. `None` if the checks refuse it.
fn listed(pre: &str, list: &str) -> Option<Tokenizer> {
    let (mut tokens, mut types): (Vec<String>, Vec<i32>) = match pre {
        "" => (0..=255u8).map(|byte| (format!("<0x{byte:02X}>"), TokenType::Byte as i32)).unzip(),
        _ => (0..=255u8).map(|byte| (bytes::spelling(byte).to_string(), TokenType::Normal as i32)).unzip(),
    };
    let mut merges = Vec::new();
    for line in list.lines() {
        match line.split_at_checked(1)? {
            ("m", merge) => merges.push(merge.to_owned()),
            (ty, token) => {
                types.push(ty.parse().ok().filter(|ty| *ty != TokenType::Byte as i32)?);
                tokens.push(token.to_owned());
            }
        }
    }
    let mut metadata = Metadata::new();
    metadata.set("general.architecture", "llama");
    metadata.set("tokenizer.ggml.model", if pre.is_empty() { "llama" } else { "gpt2" });
    metadata.set("tokenizer.ggml.pre", pre);
    metadata.set("tokenizer.ggml.scores", (0..tokens.len()).map(|id| (id % 7) as f32).collect::<Vec<_>>());
    metadata.set("tokenizer.ggml.token_type", types);
    metadata.set("tokenizer.ggml.tokens", tokens);
    metadata.set("tokenizer.ggml.merges", merges);
    let mut header = Header {
        version: 3,
        metadata,
        tensors: vec![],
        alignment: 32,
        data_start: 0,
        file_len: 0,
    };
    validate::check_vocabulary(&header).ok()?;
    let outline = Outline::from_metadata(&header.metadata)?;
    Tokenizer::new(outline, &mut header.metadata)
}
