use std::collections::BTreeMap;

use super::*;
use crate::checkpoint::Folder;
use crate::view::View;
use siskin_model::config::Config;
use siskin_model::files::Files;

/// A checkpoint in memory with exactly the tensors that the architecture's rules require.
fn checkpoint(config: &str) -> Checkpoint {
    let config = serde_json::from_str(config).expect("a config");
    let rules = Arch::from_config(&config)
        .and_then(|arch| arch.rules(&config))
        .expect("rules");
    let mut tensors = BTreeMap::new();
    for rule in rules.iter().filter(|rule| !rule.optional) {
        for name in &rule.sources {
            let shape = rule.shape.iter().rev().copied().collect();
            tensors.insert(
                name.clone(),
                View {
                    file: 0,
                    start: 0,
                    ty: TensorType::Bf16,
                    shape,
                },
            );
        }
    }
    Checkpoint {
        folder: Folder::Disk("model".into()),
        name: None,
        config,
        sampling: Default::default(),
        files: Files::new(),
        tensors,
        others: BTreeMap::new(),
        notices: Vec::new(),
    }
}

const LLAMA: &str = r#"{"architectures":["LlamaForCausalLM"],"hidden_size":256,"intermediate_size":512,
    "num_hidden_layers":2,"num_attention_heads":4,"num_key_value_heads":2,"vocab_size":512}"#;

#[test]
fn a_whole_checkpoint_gives_a_whole_plan() {
    let plan = plan_checkpoint(&checkpoint(LLAMA), FileType::Q8_0, Metadata::new(), false).expect("a plan");
    let names: Vec<&str> = plan.tensors.iter().map(|t| t.name.as_str()).collect();
    assert_eq!(names.len(), 3 + 2 * 9);
    assert!(
        names.contains(&"blk.1.attn_k.weight") && names.contains(&"output.weight"),
        "{names:?}"
    );
    for pair in plan.tensors.windows(2) {
        let end = pair[0].offset + pair[0].bytes();
        assert!(pair[1].offset >= end && pair[1].offset - end < DEFAULT_ALIGNMENT);
        assert!(pair[1].offset.is_multiple_of(DEFAULT_ALIGNMENT));
    }
    assert_eq!(stored_type(&checkpoint(LLAMA)), FileType::Bf16);
}

#[test]
fn what_does_not_fit_is_named() {
    type Damage = fn(&mut Checkpoint);
    let cases: [(&str, Damage, &str); 4] = [
        (
            "missing",
            |c| drop(c.tensors.remove("model.layers.1.mlp.up_proj.weight")),
            "tensor model.layers.1.mlp.up_proj.weight is missing",
        ),
        (
            "unexpected",
            |c| {
                let view = c.tensors["model.norm.weight"].clone();
                drop(c.tensors.insert("model.extra.weight".into(), view));
            },
            "tensor model.extra.weight is not part",
        ),
        (
            "shape",
            |c| c.tensors.get_mut("lm_head.weight").expect("there").shape = vec![512, 255],
            "tensor lm_head.weight has shape [512, 255], but config.json requires [512, 256]",
        ),
        (
            "layers",
            |c| c.config.num_hidden_layers = 3,
            "tensor model.layers.2.self_attn.q_proj.weight is missing",
        ),
    ];
    for (name, damage, want) in cases {
        let mut checkpoint = checkpoint(LLAMA);
        damage(&mut checkpoint);
        let error = plan_checkpoint(&checkpoint, FileType::F16, Metadata::new(), false)
            .expect_err(name)
            .to_string();
        assert!(error.starts_with(want), "{name}: {error}");
    }
}

#[test]
fn impossible_configurations_are_refused() {
    let cases = [
        (
            "\"vocab_size\":512",
            "\"vocab_size\":0",
            "vocab_size is missing or 0",
        ),
        (
            "\"num_key_value_heads\":2",
            "\"num_key_value_heads\":3",
            "not a multiple of num_key_value_heads",
        ),
        (
            "\"num_hidden_layers\":2",
            "\"num_hidden_layers\":4000000000",
            "num_hidden_layers must be",
        ),
        (
            "\"hidden_size\":256",
            "\"hidden_size\":18446744073709551615",
            "hidden_size is 18446744073709551615",
        ),
        (
            "LlamaForCausalLM",
            "FalconForCausalLM",
            "architecture \"FalconForCausalLM\" is not supported",
        ),
        (
            "\"vocab_size\":512",
            "\"vocab_size\":512,\"rope_scaling\":{\"type\":\"yarn\",\"factor\":2}",
            "rope scaling \"yarn\"",
        ),
    ];
    for (old, new, want) in cases {
        let mut broken = checkpoint(LLAMA);
        broken.config = serde_json::from_str(&LLAMA.replace(old, new)).expect("a config");
        let error = plan_checkpoint(&broken, FileType::F16, Metadata::new(), false)
            .expect_err(want)
            .to_string();
        assert!(error.contains(want), "{error}");
    }
}

#[test]
fn old_buffers_are_ignored_and_biases_follow_their_matrix() {
    let mut checkpoint = checkpoint(LLAMA);
    let mut add = |name: &str, shape: &[u64]| {
        let view = View {
            file: 0,
            start: 0,
            ty: TensorType::F16,
            shape: shape.to_vec(),
        };
        checkpoint.tensors.insert(name.into(), view);
    };
    add("model.layers.0.self_attn.rotary_emb.inv_freq", &[32]);
    add("model.layers.0.self_attn.q_proj.bias", &[256]);
    let plan = plan_checkpoint(&checkpoint, FileType::F16, Metadata::new(), false).expect("a plan");
    let bias = plan
        .tensors
        .iter()
        .find(|t| t.name == "blk.0.attn_q.bias")
        .expect("the bias");
    assert_eq!(bias.transform, Transform::PermuteRotary { heads: 4 });
    assert_eq!((bias.rows(), bias.ty), ((256, 1), TensorType::F32));
}

/// Weights in other types and formats are called what they are, with what to do.
#[test]
fn weights_that_are_not_floats_are_named() {
    const WEIGHT: &str = "model.layers.0.mlp.up_proj.weight";
    // Type in which a weight is stored, ending of another tensor, part of the message.
    let cases: [(Option<&str>, Option<&str>, &str); 9] = [
        (
            Some("F64"),
            None,
            "is stored as F64; siskin converts F32, F16 and BF16: load it",
        ),
        (
            Some("F8_E4M3"),
            None,
            "is stored as F8_E4M3; siskin converts F32, F16 and BF16: these are quantized",
        ),
        (Some("I8"), Some(".SCB"), "quantized by bitsandbytes"),
        (Some("U8"), Some(".absmax"), "quantized by bitsandbytes"),
        (Some("F8_E5M2"), Some(".weight_scale_inv"), "with scales apart"),
        (None, Some(".qweight"), "quantized by GPTQ or AWQ"),
        (None, Some(".scales"), "quantized by GPTQ or AWQ"),
        (None, Some(".lora_A.weight"), "part of a LoRA adapter; merge"),
        (
            None,
            Some(".weird"),
            "up_proj.weird is not part of this architecture",
        ),
    ];
    for (dtype, ending, want) in cases {
        let mut checkpoint = checkpoint(LLAMA);
        let view = checkpoint.tensors[WEIGHT].clone();
        if let Some(dtype) = dtype {
            checkpoint.tensors.remove(WEIGHT);
            checkpoint.others.insert(WEIGHT.into(), dtype.into());
        }
        if let Some(ending) = ending {
            let name = WEIGHT.replace(".weight", ending);
            checkpoint.tensors.insert(name, view);
        }
        let error = check(&checkpoint).expect_err(want);
        let text = error.to_string();
        assert!(
            text.contains(want) && !text.contains("get its files again"),
            "{text}"
        );
    }
}

/// What a configuration states of biases and norms is required, not only permitted.
#[test]
fn stated_biases_are_required_or_refused() {
    const BIAS: &str = "model.layers.0.self_attn.q_proj.bias";
    let cases = [
        ("\"attention_bias\":true", false, Some("q_proj.bias is missing")),
        ("\"mlp_bias\":true", false, Some("gate_proj.bias is missing")),
        (
            "\"attention_bias\":false",
            true,
            Some("q_proj.bias is not part of this architecture"),
        ),
        ("\"attention_bias\":false", false, None),
        ("\"attention_bias\":null", true, None),
    ];
    for (setting, stored, want) in cases {
        let mut checkpoint = checkpoint(LLAMA);
        checkpoint.config =
            Config::from_json(LLAMA.replacen('{', &format!("{{{setting},"), 1).as_bytes()).expect("a config");
        if stored {
            let view = View {
                shape: vec![256],
                ..checkpoint.tensors["model.norm.weight"].clone()
            };
            checkpoint.tensors.insert(BIAS.into(), view);
        }
        match (check(&checkpoint), want) {
            (Ok(()), None) => {}
            (Err(error), Some(want)) => assert!(error.to_string().contains(want), "{setting}: {error}"),
            (result, _) => panic!("{setting}: {result:?}"),
        }
    }
}

/// llama.cpp reads the embedding as the output of Llama only; the others get it a second time.
#[test]
fn a_tied_output_is_written_for_architectures_that_need_one() {
    let neox = LLAMA
        .replace("LlamaForCausalLM", "GPTNeoXForCausalLM")
        .replace(",\"num_key_value_heads\":2", "");
    let stable = LLAMA.replace("LlamaForCausalLM", "StableLmForCausalLM");
    for (config, source) in [
        (LLAMA, None),
        (&stable, Some("model.embed_tokens.weight")),
        (&neox, Some("gpt_neox.embed_in.weight")),
    ] {
        let tied = config.replacen('{', "{\"tie_word_embeddings\":true,", 1);
        let plan =
            plan_checkpoint(&checkpoint(&tied), FileType::F16, Metadata::new(), false).expect("a plan");
        let output = plan.tensors.iter().find(|tensor| tensor.name == "output.weight");
        assert_eq!(output.map(|tensor| tensor.sources[0].name.as_str()), source);
    }
}
