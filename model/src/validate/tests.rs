//! Models that pass, and every kind of damage.

use super::*;
use crate::TensorType;
use crate::gguf::{Array, Metadata, TensorInfo};

/// Returns the header of a valid model with one block; there is no file.
fn good(arch: Arch) -> Header {
    let mut metadata = Metadata::new();
    metadata.set("general.architecture", arch.name());
    let counts = [
        ("block_count", 1u32),
        ("context_length", 128),
        ("embedding_length", 64),
        ("feed_forward_length", 96),
        ("attention.head_count", 4),
    ];
    for (key, n) in counts {
        metadata.set(format!("{}.{key}", arch.name()), n);
    }
    metadata.set(format!("{}.attention.layer_norm_epsilon", arch.name()), 1e-5f32);
    metadata.set(
        format!("{}.attention.layer_norm_rms_epsilon", arch.name()),
        1e-5f32,
    );
    metadata.set(format!("{}.use_parallel_residual", arch.name()), true);
    let mut tokens: Vec<String> = (0..=255u8).map(|byte| format!("<0x{byte:02X}>")).collect();
    tokens.push("word".into());
    metadata.set("tokenizer.ggml.model", "llama");
    metadata.set("tokenizer.ggml.scores", vec![0f32; tokens.len()]);
    metadata.set("tokenizer.ggml.token_type", vec![6i32; tokens.len()]);
    metadata.set("tokenizer.ggml.tokens", tokens);
    metadata.set("tokenizer.ggml.bos_token_id", 1u32);
    let shape = keys::check(arch, &metadata).expect("good keys");
    let tensors = tensors::expected(arch, &shape, true);
    let tensors = tensors
        .into_iter()
        .filter(|rule| !rule.optional)
        .map(|rule| TensorInfo {
            name: rule.output,
            shape: rule.shape,
            ty: match rule.role {
                crate::arch::Role::Vector => TensorType::F32,
                _ => TensorType::Q8_0,
            },
            offset: 0,
        });
    Header {
        version: 3,
        metadata,
        tensors: tensors.collect(),
        alignment: 32,
        data_start: 4096,
        file_len: 1 << 20,
    }
}

#[test]
fn good_models_pass() {
    for arch in [Arch::Llama, Arch::StableLm, Arch::GptNeoX] {
        check_model(&good(arch), false).unwrap_or_else(|e| panic!("{arch:?}: {e}"));
    }
}

#[test]
fn keys_that_llama_cpp_would_assert_on_are_named() {
    let cases: [(&str, Value, &str); 24] = [
        ("llama.block_count", 0u32.into(), "is 0; it must be from 1 to 512"),
        ("llama.block_count", 513u32.into(), "is 513"),
        ("llama.block_count", 1u64.into(), "has type U64"),
        ("llama.block_count", 2u32.into(), "tensor \"blk.1."),
        (
            "llama.context_length",
            (1u32 << 31).into(),
            "is 2147483648; it must be from 1 to 16777216",
        ),
        (
            "llama.embedding_length",
            u32::MAX.into(),
            "it must be from 1 to 1048576",
        ),
        ("llama.embedding_length", 128u32.into(), "but the keys require"),
        ("llama.attention.head_count", 0u32.into(), "is 0"),
        ("llama.context_length", vec![4u32].into(), "has type Array"),
        (
            "llama.attention.head_count_kv",
            3u32.into(),
            "is 3, which does not divide the 4 heads",
        ),
        ("llama.attention.head_count", 64u32.into(), "heads of 1 numbers"),
        ("llama.attention.key_length", 15u32.into(), "heads of 15 numbers"),
        (
            "llama.attention.value_length",
            8u32.into(),
            "keys of 16 numbers and values of 8",
        ),
        ("llama.rope.dimension_count", 8u32.into(), "rotates whole"),
        ("llama.rope.dimension_count", 18u32.into(), "not more than the 16"),
        ("llama.rope.freq_base", f32::NAN.into(), "is NaN"),
        (
            "llama.rope.scaling.type",
            "longrope".into(),
            "supported: none, linear, yarn",
        ),
        ("llama.rope.scaling.factor", 1e-44f32.into(), "it must be from 0"),
        ("llama.attention.layer_norm_rms_epsilon", (-1f32).into(), "is -1"),
        ("llama.expert_count", 8u32.into(), "is 8; siskin supports only 0"),
        (
            "llama.nextn_predict_layers",
            1u32.into(),
            "is 1; siskin supports only 0",
        ),
        (
            "llama.attention.causal",
            false.into(),
            "is false; siskin supports only true",
        ),
        ("split.count", 3u16.into(), "one part of 3"),
        (
            "general.architecture",
            "falcon".into(),
            "supported: llama, stablelm, gptneox",
        ),
    ];
    for (key, value, want) in cases {
        let mut header = good(Arch::Llama);
        header.metadata.set(key, value);
        let error = check_model(&header, false).expect_err(key).to_string();
        assert!(error.contains(want), "{key}: {error}");
    }
    let mut header = good(Arch::GptNeoX);
    header.metadata.set("gptneox.attention.key_length", 8u32);
    header.metadata.set("gptneox.attention.value_length", 8u32);
    let error = check_model(&header, false).expect_err("short heads").to_string();
    assert!(
        error.contains("4 heads of 8 numbers; together they must have 64"),
        "{error}"
    );
    header.metadata.retain(|key| key != "gptneox.context_length");
    let error = check_model(&header, false)
        .expect_err("a missing key")
        .to_string();
    assert_eq!(
        error,
        "key \"gptneox.context_length\" is missing; get the file again"
    );
}

#[test]
fn another_architecture_is_let_through_where_asked_for() {
    let mut header = good(Arch::Llama);
    header.metadata.set("general.architecture", "falcon");
    check_model(&header, true).expect("asked for");
    check_vocabulary(&header).expect("a vocabulary");
}

#[test]
fn vocabularies_that_would_end_the_process_are_refused() {
    type Damage = fn(&mut Vec<String>);
    let cases: [(&str, Damage, &str); 7] = [
        (
            "twice",
            |t| t[7] = "word".into(),
            "the token \"word\" twice, the second time as number 256",
        ),
        (
            "cut at NUL",
            |t| t.push("word\0x".into()),
            "twice, the second time as number 257",
        ),
        ("a byte", |t| t[0x41] = "x1".into(), "no token for byte <0x41>"),
        (
            "shorter lists",
            |t| t.push("more".into()),
            "tokenizer.ggml.scores\" has 257 entries for 258 tokens",
        ),
        ("long", |t| t[256] = "x".repeat(5000), "a token of 5000 bytes"),
        (
            "few",
            |t| t.truncate(1),
            "tokenizer.ggml.bos_token_id\" is 1, but the vocabulary has 1 tokens",
        ),
        ("none", |t| t.clear(), "the vocabulary has 0 tokens"),
    ];
    for (name, damage, want) in cases {
        let mut header = good(Arch::Llama);
        let tokens = vocabulary::tokens(&header.metadata).expect("tokens");
        let mut tokens: Vec<String> = tokens.iter().map(str::to_owned).collect();
        damage(&mut tokens);
        header.metadata.set("tokenizer.ggml.tokens", tokens);
        let error = check_vocabulary(&header).expect_err(name).to_string();
        assert!(error.contains(want), "{name}: {error}");
    }
    let mut header = good(Arch::Llama);
    for (key, value, want) in [
        (
            "tokenizer.ggml.eos_token_id",
            Value::U32(257),
            "is 257, but the vocabulary has 257",
        ),
        (
            "tokenizer.ggml.model",
            "none".into(),
            "is \"none\"; supported: llama and gpt2",
        ),
        (
            "tokenizer.ggml.tokens",
            Value::U8(1),
            "is missing or not a list of strings",
        ),
    ] {
        header.metadata.set(key, value);
        let error = check_vocabulary(&header).expect_err(key).to_string();
        assert!(error.contains(want), "{key}: {error}");
        header = good(Arch::Llama);
    }
    // Byte-level tokens that llama.cpp would spell out character by character.
    header.metadata.set("tokenizer.ggml.model", "gpt2");
    let Some(Value::Array(Array::String(tokens))) = header.metadata.get("tokenizer.ggml.tokens").cloned()
    else {
        panic!("tokens")
    };
    let tokens: Vec<String> = tokens
        .iter()
        .map(|token| "\u{4e00}".repeat(1000) + token)
        .collect();
    header.metadata.set("tokenizer.ggml.tokens", tokens);
    let error = check_vocabulary(&header).expect_err("long texts").to_string();
    assert!(error.contains("not byte-level text"), "{error}");
}

#[test]
fn tensors_that_do_not_fit_are_named() {
    type Damage = fn(&mut Vec<TensorInfo>);
    let cases: [(&str, Damage, &str); 6] = [
        (
            "missing",
            |t| drop(t.remove(0)),
            "tensor \"token_embd.weight\" is missing",
        ),
        (
            "turned",
            |t| t[0].shape.reverse(),
            "has shape [257, 64], but the keys require [64, 257]",
        ),
        (
            "integers",
            |t| t[0].ty = TensorType::I8,
            "type i8, which llama.cpp cannot compute with",
        ),
        ("activations", |t| t[0].ty = TensorType::Q8K, "type q8_K"),
        ("a half vector", |t| t[1].ty = TensorType::F16, "type f16"),
        (
            "unknown",
            |t| t[2].name = "blk.0.extra.weight".into(),
            "is missing",
        ),
    ];
    for (name, damage, want) in cases {
        let mut header = good(Arch::Llama);
        damage(&mut header.tensors);
        let error = check_model(&header, false).expect_err(name).to_string();
        assert!(error.contains(want), "{name}: {error}");
    }
    let mut header = good(Arch::Llama);
    let mut more = header.tensors[1].clone();
    more.name = "blk.0.extra.weight".into();
    header.tensors.push(more);
    let error = check_model(&header, false).expect_err("one too many").to_string();
    assert!(error.contains("is not part of architecture llama"), "{error}");
    header = good(Arch::Llama);
    header.alignment = 8;
    let error = check_model(&header, false).expect_err("alignment").to_string();
    assert!(
        error.starts_with("tensors are aligned to 8 bytes; llama.cpp needs 32 or more"),
        "{error}"
    );
}

/// Files of other converters have one number for each layer; llama.cpp reads such lists.
#[test]
fn lists_for_the_layers_are_read_if_all_layers_are_alike() {
    let cases: [(&str, Value, Option<&str>); 11] = [
        ("attention.head_count", Value::from(vec![4u32]), None),
        ("attention.head_count_kv", vec![4u32].into(), None),
        (
            "attention.head_count_kv",
            vec![2i32].into(),
            Some("tensor \"blk.0.attn_k.weight\""),
        ),
        ("feed_forward_length", vec![96i32].into(), None),
        (
            "feed_forward_length",
            vec![96u32, 96].into(),
            Some("is a list of 2 numbers; the model has 1 layers"),
        ),
        (
            "attention.head_count",
            Value::Array(Array::U32(vec![])),
            Some("is a list of 0 numbers"),
        ),
        (
            "attention.head_count",
            vec![-4i32].into(),
            Some("is a list of -4; it must be from 1"),
        ),
        ("attention.head_count", vec![4f32].into(), Some("has type Array")),
        (
            "attention.head_count",
            vec![0u32].into(),
            Some("is a list of 0; it must be from 1"),
        ),
        ("embedding_length", vec![64u32].into(), Some("has type Array")),
        ("block_count", vec![1u32].into(), Some("has type Array")),
    ];
    for (key, value, want) in cases {
        let mut header = good(Arch::Llama);
        header.metadata.set(format!("llama.{key}"), value);
        let result = check_model(&header, false).map_err(|error| error.to_string());
        match (result, want) {
            (Ok(()), None) => {}
            (Err(text), Some(want)) => assert!(text.contains(want), "{key}: {text}"),
            (result, _) => panic!("{key}: {result:?}"),
        }
    }
    let mut header = good(Arch::Llama);
    header.metadata.set("llama.block_count", 2u32);
    header
        .metadata
        .set("llama.attention.head_count_kv", vec![4u32, 2]);
    let text = check_model(&header, false)
        .expect_err("different layers")
        .to_string();
    assert!(
        text.contains("is a list with 4 and 2; siskin supports only models whose layers"),
        "{text}"
    );
}
