//! `tokenizer.json`: pre-tokenizer, vocabulary, merges, special tokens.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use siskin_model::config::Config;
use siskin_quant::tokenizer;

static CONFIG: LazyLock<Config> = LazyLock::new(|| {
    let shape = r#"{"hidden_size":64,"intermediate_size":64,"num_hidden_layers":1,"num_attention_heads":2,
        "vocab_size":600,"bos_token_id":1,"eos_token_id":[2,3]}"#;
    serde_json::from_str(shape).expect("a configuration")
});

fuzz_target!(|data: &[u8]| {
    let _ = tokenizer::from_json(data, &CONFIG);
});
