use std::collections::BTreeSet;

use super::*;
use crate::config::ROPE_KEYS;

const ARCHS: [(Arch, &str, &str); 3] = [
    (
        Arch::Llama,
        "llama",
        r#""architectures":["LlamaForCausalLM"],"rms_norm_eps":1e-5"#,
    ),
    (
        Arch::StableLm,
        "stablelm",
        r#""architectures":["StableLmForCausalLM"]"#,
    ),
    (
        Arch::GptNeoX,
        "gptneox",
        r#""architectures":["GPTNeoXForCausalLM"]"#,
    ),
];

fn config(start: &str, rest: &str) -> Config {
    let shape = r#""hidden_size":256,"intermediate_size":512,"num_hidden_layers":2,"num_attention_heads":4,"vocab_size":300,"max_position_embeddings":512"#;
    let text = format!("{{{start},{shape},{rest}}}");
    Config::from_json(text.as_bytes()).expect(&text)
}

/// What becomes of a setting in each of the three architectures: nothing, or the message of the refusal.
fn outcomes(rest: &str) -> [Option<String>; 3] {
    ARCHS.map(|(_, _, start)| {
        Arch::from_config(&config(start, rest))
            .err()
            .map(|error| error.to_string())
    })
}

#[test]
fn the_tables_are_sorted_and_say_each_thing_once() {
    for arch in ARCHS.map(|row| row.0) {
        for rows in tables(arch) {
            let unsorted = rows.windows(2).find(|pair| pair[0].0 >= pair[1].0);
            assert_eq!(unsorted.map(|pair| (pair[0].0, pair[1].0)), None);
        }
        let mut keys: Vec<_> = foreign::GROUPS
            .iter()
            .flat_map(|group| group.0.split_whitespace())
            .collect();
        keys.sort_unstable();
        assert_eq!(keys.windows(2).find(|pair| pair[0] == pair[1]), None);
    }
}

/// Every key that a version of transformers knows is in the tables. `tests/data/config_keys.py` makes the list from
/// its source; a new key there fails here until somebody has judged it.
#[test]
fn every_key_of_transformers_is_in_the_tables() {
    let list: Value =
        serde_json::from_str(include_str!("../../../tests/data/config_keys.json")).expect("JSON");
    let keys = |name: &str| {
        let keys = list[name].as_array().expect("a list").iter();
        keys.map(|key| key.as_str().expect("a key").to_owned())
            .collect::<Vec<_>>()
    };
    for (arch, name, _) in ARCHS {
        let keys = keys(name);
        let missing: Vec<_> = keys
            .iter()
            .filter(|key| find(arch, key).is_none() && !key.starts_with('_'))
            .collect();
        assert!(keys.len() > 80 && missing.is_empty(), "{name}: {missing:?}");
    }
    let missing: Vec<_> = keys("rope")
        .into_iter()
        .filter(|key| !ROPE_KEYS.contains(&key.as_str()))
        .collect();
    assert_eq!(missing, [""; 0]);
}

#[test]
fn an_invented_key_is_named() {
    for (arch, _, start) in ARCHS {
        let plain = config(start, r#""use_cache":true"#);
        assert_eq!(notices(arch, &plain), [""; 0]);
        let config = config(
            start,
            r#""_private":1,"shiny_new_gate":true,"use_cache":false,"rope_scaling":{"rope_type":"default","wobble":2}"#,
        );
        assert_eq!(Arch::from_config(&config).expect("supported"), arch);
        let notices = notices(arch, &config);
        assert_eq!(notices.len(), 1, "{notices:?}");
        let start =
            "config.json has settings that siskin does not know: shiny_new_gate, rope_scaling.wobble; if";
        assert!(notices[0].starts_with(start), "{}", notices[0]);
    }
    let code = config(
        ARCHS[0].2,
        r#""auto_map":{"AutoConfig":"a.B","AutoModelForCausalLM":"m.X"}"#,
    );
    assert!(
        notices(Arch::Llama, &code)[0]
            .starts_with("auto_map of config.json names the model's own Python code")
    );
}

/// The keys that `Config` reads are those that the tables call honoured or check.
#[test]
fn what_is_honoured_is_read() {
    let text = include_str!("../../config.rs");
    let read: BTreeSet<&str> = text
        .split("read.")
        .skip(1)
        .filter_map(|call| call.split('(').nth(1)?.strip_prefix('"')?.split('"').next())
        .collect();
    assert!(read.contains("hidden_size") && read.len() > 20, "{read:?}");
    for arch in ARCHS.map(|row| row.0) {
        for (key, ..) in tables(arch)
            .into_iter()
            .flatten()
            .filter(|row| matches!(row.2, Use::Honoured))
        {
            assert!(read.contains(key), "{key} is honoured and not read");
        }
    }
}

#[test]
fn settings_that_change_the_computation_are_refused_by_name() {
    // Setting, whether each architecture takes it, part of the message.
    let cases: [(&str, [bool; 3], &str); 62] = [
        (r#""hidden_act":"relu""#, [false; 3], "hidden_act is \"relu\""),
        (
            r#""hidden_act":"gelu""#,
            [false, false, true],
            "hidden_act is \"gelu\"",
        ),
        (
            r#""hidden_act":"silu""#,
            [true, true, false],
            "supported: \"gelu\"",
        ),
        (r#""hidden_act":null"#, [true; 3], ""),
        (r#""hidden_act":["silu","relu"]"#, [false; 3], "hidden_act is"),
        (r#""rope_scaling":{"type":"linear","factor":2}"#, [true; 3], ""),
        (r#""rope_scaling":{"type":"linear"}"#, [false; 3], "has no factor"),
        (
            r#""rope_scaling":{"type":"linear","factor":-1}"#,
            [false; 3],
            "it must be positive",
        ),
        (
            r#""rope_scaling":{"type":"dynamic","factor":2}"#,
            [false; 3],
            "rope scaling \"dynamic\" is not supported",
        ),
        (
            r#""rope_scaling":{"rope_type":"yarn","factor":2}"#,
            [false; 3],
            "rope scaling \"yarn\"",
        ),
        (
            r#""rope_parameters":{"rope_type":"longrope","factor":2}"#,
            [false; 3],
            "rope scaling \"longrope\"",
        ),
        (
            r#""rope_scaling":{"rope_type":"llama3","factor":8}"#,
            [true, false, false],
            "rope scaling \"llama3\"",
        ),
        (
            r#""rope_parameters":{"rope_type":"proportional","factor":1}"#,
            [false; 3],
            "rope scaling \"proportional\"",
        ),
        (
            r#""rope_parameters":{"sliding_attention":{"rope_type":"default"}}"#,
            [false; 3],
            "kinds of layers",
        ),
        (r#""rope_theta":"1e4""#, [true; 3], ""),
        (r#""rope_theta":5e5"#, [true, true, false], "rotary_emb_base"),
        (r#""rope_theta":5e5,"rotary_emb_base":10000"#, [true; 3], ""),
        (r#""rope_theta":"soon""#, [false; 3], "rope_theta is \"soon\""),
        (
            r#""rope_theta":-Infinity"#,
            [false; 3],
            "rope_theta is \"-Infinity\"",
        ),
        (
            r#""rotary_emb_base":5e5"#,
            [false, false, true],
            "rotary_emb_base is 5e5",
        ),
        (
            r#""partial_rotary_factor":0.5"#,
            [false, true, false],
            "partial_rotary_factor is",
        ),
        (
            r#""partial_rotary_factor":1.0"#,
            [true, true, false],
            "rotary_pct",
        ),
        (r#""rotary_pct":0.5"#, [false, false, true], "rotary_pct is 0.5"),
        (
            r#""rotary_pct":0.25,"partial_rotary_factor":0.25"#,
            [false, true, true],
            "is 0.25",
        ),
        (
            r#""rope_parameters":{"rope_type":"default","partial_rotary_factor":0.5}"#,
            [false, true, true],
            "rotates whole heads",
        ),
        (
            r#""attention_bias":true"#,
            [true, false, true],
            "attention_bias is true",
        ),
        (
            r#""attention_bias":false"#,
            [true, true, false],
            "attention_bias is false",
        ),
        (r#""mlp_bias":true"#, [true, false, true], "mlp_bias is true"),
        (
            r#""qk_layernorm":true"#,
            [false, true, false],
            "qk_layernorm is true",
        ),
        (r#""head_dim":64"#, [true; 3], ""),
        (r#""head_dim":[64,64]"#, [true; 3], ""),
        (r#""head_dim":32"#, [true, false, false], "head_dim is 32"),
        (
            r#""intermediate_size":[512,256]"#,
            [false; 3],
            "different values for the layers",
        ),
        (r#""sliding_window":null,"max_window_layers":2"#, [true; 3], ""),
        (r#""sliding_window":512"#, [true; 3], ""),
        (r#""sliding_window":128"#, [false; 3], "sliding_window is 128"),
        (
            r#""sliding_window":[null,128]"#,
            [false; 3],
            "sliding_window is [null,128]",
        ),
        (
            r#""use_sliding_window":true"#,
            [false; 3],
            "use_sliding_window is true",
        ),
        (
            r#""layer_types":["full_attention","full_attention"]"#,
            [true; 3],
            "",
        ),
        (
            r#""layer_types":["full_attention","sliding_attention"]"#,
            [false; 3],
            "layer_types is",
        ),
        (
            r#""attention_chunk_size":64"#,
            [false; 3],
            "attention_chunk_size is 64",
        ),
        (r#""logits_scaling":1.0,"residual_multiplier":1"#, [true; 3], ""),
        (
            r#""logits_scaling":8"#,
            [false; 3],
            "logits_scaling is 8: a factor in the computation",
        ),
        (
            r#""embedding_multiplier":12.0"#,
            [false; 3],
            "embedding_multiplier is 12.0",
        ),
        (
            r#""attention_multiplier":0.01"#,
            [false; 3],
            "attention_multiplier is",
        ),
        (
            r#""final_logit_softcapping":30.0"#,
            [false; 3],
            "final_logit_softcapping is 30.0",
        ),
        (r#""clip_qkv":null"#, [true; 3], ""),
        (r#""clip_qkv":8"#, [false; 3], "clip_qkv is 8"),
        (
            r#""num_local_experts":8"#,
            [false; 3],
            "num_local_experts is 8: a mixture of experts",
        ),
        (r#""norm_type":"crmsnorm""#, [false; 3], "norm_type is"),
        (r#""no_rope_layers":[1,0]"#, [false; 3], "no_rope_layers is"),
        (
            r#""position_embedding_type":"alibi""#,
            [false; 3],
            "position_embedding_type is",
        ),
        (r#""is_causal":false"#, [false; 3], "is_causal is false"),
        (r#""pruned_heads":{}"#, [true; 3], ""),
        (r#""pruned_heads":{"0":[1]}"#, [false; 3], "pruned_heads is"),
        (
            r#""per_layer_config":{"0":{"intermediate_size":64}}"#,
            [false; 3],
            "per_layer_config is",
        ),
        (
            r#""model_type":"mistral""#,
            [false; 3],
            "model_type is \"mistral\"",
        ),
        (r#""text_config":{"hidden_size":1}"#, [false; 3], "text_config is"),
        (
            r#""pretraining_tp":2,"use_cache":true,"attention_dropout":0.1"#,
            [true; 3],
            "",
        ),
        (
            r#""quantization_config":{"quant_method":"gptq","bits":4}"#,
            [false; 3],
            "the weights are quantized by \"gptq\"",
        ),
        (
            r#""quantization_config":{"load_in_4bit":true}"#,
            [false; 3],
            "the weights are quantized by \"bitsandbytes\"",
        ),
        (r#""quantization_config":null"#, [true; 3], ""),
    ];
    for (rest, taken, want) in cases {
        for (outcome, taken) in outcomes(rest).into_iter().zip(taken) {
            assert_eq!(outcome.is_none(), taken, "{rest}: {outcome:?}");
            if let Some(message) = &outcome {
                assert!(!message.contains('\n'), "{message}");
            }
        }
        let said = outcomes(rest)
            .into_iter()
            .flatten()
            .any(|message| message.contains(want));
        assert!(said || taken == [true; 3], "{rest}: {:?}", outcomes(rest));
    }
}

/// An architecture that siskin does not know is named before any setting is judged.
#[test]
fn an_unknown_architecture_comes_first() {
    let cases = [
        (
            r#"{"architectures":["GPT2LMHeadModel"],"n_embd":64}"#,
            "architecture \"GPT2LMHeadModel\" is not supported",
        ),
        (
            r#"{"architectures":["LlavaForConditionalGeneration"],"text_config":{}}"#,
            "\"LlavaForConditionalGeneration\"",
        ),
        (
            r#"{"architectures":["FalconForCausalLM"],"hidden_size":"x","alibi":true}"#,
            "\"FalconForCausalLM\"",
        ),
        (
            r#"{"architectures":null,"model_type":"llama"}"#,
            "architectures is missing or empty; supported: LlamaForCausalLM",
        ),
        (r#"{"architectures":[]}"#, "architectures is missing or empty"),
        (
            r#"{"architectures":["LlamaForCausalLM"],"hidden_size":"x"}"#,
            "hidden_size is \"x\"",
        ),
    ];
    for (text, want) in cases {
        let config = Config::from_json(text.as_bytes()).expect(text);
        let message = Arch::from_config(&config).expect_err(text).to_string();
        assert!(message.contains(want), "{text}: {message}");
    }
}
