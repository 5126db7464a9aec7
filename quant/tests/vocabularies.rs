//! Which real vocabularies are the same: those of the four models, from their own files.

use std::collections::BTreeMap;
use std::path::Path;

use siskin_model::config::Config;
use siskin_model::gguf::{Array, Metadata, Value};
use siskin_model::tokenizer::TokenType;
use siskin_model::tokenizer::agreement::{Agreement, Disagreement, Listed, agreement};
use siskin_quant::checkpoint::Folder;
use siskin_quant::tokenizer::vocabulary;

const NAMES: [&str; 4] = [
    "tinyllama-1.1b-chat",
    "llama-3.2-1b-instruct",
    "stablelm-2-zephyr-1_6b",
    "pythia-1b",
];

/// The keys that a model of this vocabulary with `rows` rows of its embedding gets; without rows, as many as it has.
fn keys(folder: &Path, rows: Option<u64>) -> Metadata {
    let text = std::fs::read(folder.join("config.json")).expect("a configuration");
    let mut config = Config::from_json(&text).expect("a configuration");
    config.vocab_size = rows.or(config.vocab_size);
    vocabulary(&Folder::Disk(folder.to_owned()), &config).expect("a vocabulary")
}

/// The same from `tokenizer.json` alone, as a fine-tune has it that was saved without `tokenizer.model`.
fn keys_of_json(folder: &Path) -> Metadata {
    let read = |name: &str| std::fs::read(folder.join(name)).expect("read");
    let config = Config::from_json(&read("config.json")).expect("a configuration");
    let names = ["tokenizer.json", "tokenizer_config.json"];
    let files: BTreeMap<_, _> = names.map(|name| (name.to_owned(), read(name))).into();
    let name = folder.to_owned();
    vocabulary(&Folder::Memory { name, files }, &config).expect("a vocabulary")
}

/// With more tokens at the end, as a fine-tune for chats has them.
fn with_more(mut keys: Metadata, more: &[&str]) -> Metadata {
    let tokens = keys.strings("tokenizer.ggml.tokens").expect("tokens");
    let texts: Vec<String> = tokens
        .iter()
        .chain(more.iter().copied())
        .map(str::to_owned)
        .collect();
    let Some(Value::Array(Array::I32(types))) = keys.get("tokenizer.ggml.token_type") else {
        panic!("types")
    };
    let mut types = types.clone();
    types.resize(texts.len(), TokenType::Control as i32);
    keys.set("tokenizer.ggml.tokens", texts);
    keys.set("tokenizer.ggml.token_type", Value::Array(Array::I32(types)));
    keys
}

fn compare(target: &Metadata, draft: &Metadata) -> Result<Agreement, Disagreement> {
    let listed = |keys| Listed::from_metadata(keys).expect("a vocabulary");
    agreement(&listed(target), &listed(draft))
}

#[test]
fn only_a_model_s_own_vocabulary_is_the_same() {
    let Some(data) = siskin_testing::shared() else {
        return;
    };
    let all = NAMES.map(|name| keys(&data.join("tokenizers").join(name), None));
    for (target_name, target) in NAMES.iter().zip(&all) {
        for (draft_name, draft) in NAMES.iter().zip(&all) {
            let found = compare(target, draft);
            assert_eq!(
                found.is_ok(),
                target_name == draft_name,
                "{target_name} {draft_name}"
            );
        }
    }
    let said = |a: usize, b: usize| compare(&all[a], &all[b]).expect_err("others").to_string();
    let want = "token 0 is \"<unk>\", a control token, in the target and \"!\", text, in the draft; ";
    assert!(said(0, 1).starts_with(want), "{}", said(0, 1));
    // Both were made from OpenAI's: the first hundred thousand are the same.
    let other = said(1, 2);
    assert!(other.starts_with("token 100256 is "), "{other}");
}

/// Pythia's vocabulary is padded to three sizes.
#[test]
fn padding_does_not_count() {
    let Some(data) = siskin_testing::shared() else {
        return;
    };
    let folder = data.join("tokenizers/pythia-1b");
    let target = keys(&folder, None);
    for rows in [50_277, 50_304, 50_432, 50_688] {
        let draft = keys(&folder, Some(rows));
        for (one, other) in [(&target, &draft), (&draft, &target)] {
            let found = compare(one, other).expect("the same");
            assert_eq!(
                (found.common, found.only_target, found.only_draft),
                (50_277, 0, 0)
            );
        }
    }
}

#[test]
fn a_fine_tune_may_add_tokens() {
    let Some(data) = siskin_testing::shared() else {
        return;
    };
    let folder = data.join("tokenizers/tinyllama-1.1b-chat");
    let draft = keys(&folder, None);
    let target = with_more(keys_of_json(&folder), &["[PAD]", "<|im_start|>", "<|im_end|>"]);
    let found = compare(&target, &draft).expect("the same");
    assert_eq!(
        (found.common, found.only_target, found.only_draft),
        (32_000, 3, 0)
    );
    let found = compare(&draft, &target).expect("the same");
    assert_eq!(
        (found.common, found.only_target, found.only_draft),
        (32_000, 0, 3)
    );
}
