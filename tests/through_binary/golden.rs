//! Compares converted fixtures with transformers: logits, greedy tokens, tokenizations. Also a real trained
//! model and the four real tokenizers, if the shared data is there.

use std::path::Path;

use crate::util;
use serde_json::{Value as Json, json};
use siskin::device::settings::{CacheType, Values};
use siskin::{ContextOptions, LoadOptions, Model, SamplerConfig, Session, Token, Tokenize};

/// The real tokenizers in the shared data.
pub(crate) const TOKENIZERS: [&str; 4] = [
    "tinyllama-1.1b-chat",
    "llama-3.2-1b-instruct",
    "stablelm-2-zephyr-1_6b",
    "pythia-1b",
];

/// Allowed distance of logits from transformers', relative to the largest logit.
const TOLERANCE: f64 = 1e-3;

pub(crate) fn golden(dir: &Path) -> Json {
    let text = std::fs::read_to_string(dir.join("golden/golden.json")).expect("a golden");
    serde_json::from_str(&text).expect("JSON")
}

pub(crate) fn ids(json: &Json) -> Vec<Token> {
    let id = |id: &Json| Token(i32::try_from(id.as_i64().expect("an id")).expect("an id"));
    json.as_array().expect("ids").iter().map(id).collect()
}

pub(crate) fn floats(path: &Path) -> Vec<f32> {
    let bytes = std::fs::read(path).expect("logits");
    bytes
        .as_chunks()
        .0
        .iter()
        .map(|bytes| f32::from_le_bytes(*bytes))
        .collect()
}

#[test]
fn logits_and_greedy_tokens_equal_those_of_transformers() {
    let out = tempfile::tempdir().expect("a temporary folder");
    // transformers keeps keys and values in f32; f16 in llama.cpp alone moves logits by about 1e-3.
    let exact = || {
        ContextOptions::from(Values {
            cache_type: CacheType::F32,
            ..Values::default()
        })
    };
    let greedy = SamplerConfig {
        temp: 0.0,
        ..SamplerConfig::default()
    };
    for dir in util::checkpoints() {
        let (name, golden) = (dir.display(), golden(&dir));
        let model =
            Model::load(&util::convert(&dir, out.path(), "f32"), &LoadOptions::default()).expect("a model");
        let prompt = ids(&golden["prompt_ids"]);
        let text = golden["prompt"].as_str().expect("a prompt");
        assert_eq!(model.tokenize(text, Tokenize::PROMPT), prompt, "{name}");

        let mut session = Session::new(&model, exact()).expect("a session");
        let mut got: Vec<f32> = Vec::new();
        session
            .decode_rows(&prompt, |row| got.extend_from_slice(row))
            .expect("logits");
        let want = floats(&dir.join("golden/logits.f32"));
        assert_eq!(got.len(), want.len(), "{name}");
        let largest = want.iter().fold(0f32, |most, x| most.max(x.abs()));
        let furthest = got
            .iter()
            .zip(&want)
            .fold(0f32, |most, (a, b)| most.max((a - b).abs()));
        let relative = f64::from(furthest / largest);
        // ggml computes GELU in its tanh form; transformers computes it with erf, as GPT-NeoX specifies.
        let allowed = TOLERANCE + golden["tanh_gelu_shift"].as_f64().expect("a shift");
        assert!(
            relative <= allowed,
            "{name}: logits differ by {relative:.2e} of the largest, allowed {allowed:.2e}"
        );

        let want = ids(&golden["greedy_ids"]);
        let drawn = session.sample(&greedy).expect("a generator").take(want.len());
        let got: Vec<Token> = drawn.map(|token| token.expect("a token")).collect();
        assert_eq!(got, want, "{name}");
    }
}

#[test]
fn tokenizations_equal_those_of_transformers() {
    let out = tempfile::tempdir().expect("a temporary folder");
    let vocabulary = LoadOptions {
        vocab_only: true,
        ..LoadOptions::default()
    };
    for dir in util::checkpoints() {
        let model = Model::load(&util::convert(&dir, out.path(), "auto"), &vocabulary).expect("a model");
        for case in golden(&dir)["tokenizations"].as_array().expect("cases") {
            let text = case["text"].as_str().expect("a text");
            assert_eq!(
                model.tokenize(text, Tokenize::PLAIN),
                ids(&case["ids"]),
                "{} {text:?}",
                dir.display()
            );
        }
    }
}

#[test]
fn a_real_trained_model_writes_its_golden_story() {
    let Some(data) = util::shared() else { return };
    let out = tempfile::tempdir().expect("a temporary folder");
    let dir = data.join("stories260k-hf");
    let file = util::convert(&dir, out.path(), "f32");
    let arguments = ["-p", "", "-n", "200", "--temp", "0"];
    let output = util::succeed(util::siskin(["run", "--raw"]).arg(file).args(arguments));
    let want = std::fs::read(dir.join("golden_greedy_200_steps.txt")).expect("the golden text");
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&want)
    );
}

/// Copies the files of a real tokenizer into a checkpoint with one tiny layer.
pub(crate) fn with_tiny_body(tokenizer: &Path, into: &Path) {
    for entry in std::fs::read_dir(tokenizer).expect("a folder") {
        let path = entry.expect("an entry").path();
        std::fs::copy(&path, into.join(path.file_name().expect("a name"))).expect("copied");
    }
    let text = std::fs::read_to_string(tokenizer.join("config.json")).expect("a config");
    let own: Json = serde_json::from_str(&text).expect("JSON");
    let vocabulary = own["vocab_size"].as_u64().expect("a size");
    let config = json!({
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "silu", "hidden_size": 32,
        "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 1, "num_key_value_heads": 1,
        "head_dim": 32, "vocab_size": vocabulary, "tie_word_embeddings": true, "max_position_embeddings": 64,
        "rms_norm_eps": 1e-5, "bos_token_id": own["bos_token_id"], "eos_token_id": own["eos_token_id"]
    });
    std::fs::write(into.join("config.json"), config.to_string()).expect("written");

    let matrices = [
        "self_attn.q_proj",
        "self_attn.k_proj",
        "self_attn.v_proj",
        "self_attn.o_proj",
        "mlp.gate_proj",
        "mlp.up_proj",
        "mlp.down_proj",
    ];
    let norms = ["input_layernorm", "post_attention_layernorm"];
    let layer = |name: &str| format!("model.layers.0.{name}.weight");
    let mut shapes = vec![
        ("model.embed_tokens.weight".to_owned(), vec![vocabulary, 32]),
        ("model.norm.weight".to_owned(), vec![32]),
    ];
    shapes.extend(matrices.map(|name| (layer(name), vec![32, 32])));
    shapes.extend(norms.map(|name| (layer(name), vec![32])));
    let (mut header, mut end) = (serde_json::Map::new(), 0);
    for (name, shape) in shapes {
        let bytes = 2 * shape.iter().product::<u64>();
        header.insert(
            name,
            json!({"dtype": "F16", "shape": shape, "data_offsets": [end, end + bytes]}),
        );
        end += bytes;
    }
    let header = Json::Object(header).to_string();
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend(header.as_bytes());
    // Small numbers that differ. Any weights would do, because the test is about the vocabulary.
    file.extend((0..end / 2).flat_map(|n| half_bits(n).to_le_bytes()));
    std::fs::write(into.join("model.safetensors"), file).expect("written");
}

/// An f16 between 0.5 and 1 that depends on `n`.
fn half_bits(n: u64) -> u16 {
    0x3800 | (n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 54) as u16
}

#[test]
fn the_four_real_tokenizers_pass_their_vectors() {
    let Some(data) = util::shared() else { return };
    let vocabulary = LoadOptions {
        vocab_only: true,
        ..LoadOptions::default()
    };
    for name in TOKENIZERS {
        let tokenizer = data.join("tokenizers").join(name);
        let folder = tempfile::tempdir().expect("a temporary folder");
        with_tiny_body(&tokenizer, folder.path());
        let file = util::convert(folder.path(), folder.path(), "q8_0");
        let model = Model::load(&file, &vocabulary).expect("a model");
        let read = |file: &str| std::fs::read_to_string(tokenizer.join(file)).expect("vectors");
        let (texts, lines) = (read("vectors.inp"), read("vectors.out"));
        let texts: Vec<&str> = texts.split("\n__ggml_vocab_test__\n").collect();
        let lines: Vec<&str> = lines.lines().collect();
        let mut passed = 0;
        for (text, line) in texts.iter().zip(&lines) {
            let want: Vec<Token> = line
                .split_whitespace()
                .map(|id| Token(id.parse().expect("an id")))
                .collect();
            assert_eq!(model.tokenize(text, Tokenize::PLAIN), want, "{name} {text:?}");
            passed += 1;
        }
        assert_eq!(passed, 46, "{name}: {} texts, {} lines", texts.len(), lines.len());
    }
}
