//! Checkpoints with real widths, made during the test, for what depends on size: memory and speed.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use serde_json::{Value as Json, json};

/// The sizes of a model of the Llama architecture.
pub struct Sizes {
    /// Blocks.
    pub layers: u64,
    /// Width of the residual stream.
    pub width: u64,
    /// Width of the feed-forward's middle.
    pub ffn: u64,
    /// Number of heads of queries, and of keys and values.
    pub heads: [u64; 2],
    /// Tokens.
    pub vocabulary: u64,
}

/// Writes the checkpoint to the folder `dir`, with tied embeddings and bf16 weights. Its tokens are those of
/// the small fixture, padded to the vocabulary size. If `weight` is `None`, the weights are a hole in the
/// file: zeros that take no space on disk.
pub fn checkpoint(dir: &Path, sizes: &Sizes, weight: Option<&mut dyn FnMut() -> f32>) {
    let small = crate::checkpoint("llama-tied");
    for name in ["tokenizer.model", "tokenizer_config.json"] {
        fs::copy(small.join(name), dir.join(name)).expect("copied");
    }
    let text = fs::read(small.join("config.json")).expect("there");
    let mut config: Json = serde_json::from_slice(&text).expect("JSON");
    for (key, value) in [
        ("hidden_size", sizes.width),
        ("intermediate_size", sizes.ffn),
        ("num_attention_heads", sizes.heads[0]),
        ("num_key_value_heads", sizes.heads[1]),
        ("num_hidden_layers", sizes.layers),
        ("vocab_size", sizes.vocabulary),
    ] {
        config[key] = json!(value);
    }
    fs::write(dir.join("config.json"), config.to_string()).expect("written");
    write_safetensors(&dir.join("model.safetensors"), &tensors(sizes), weight);
}

/// Names and shapes of all tensors.
fn tensors(sizes: &Sizes) -> Vec<(String, Vec<u64>)> {
    let (width, ffn) = (sizes.width, sizes.ffn);
    let kv = width / sizes.heads[0] * sizes.heads[1];
    let mut all = vec![
        (
            "model.embed_tokens.weight".to_owned(),
            vec![sizes.vocabulary, width],
        ),
        ("model.norm.weight".to_owned(), vec![width]),
    ];
    for layer in 0..sizes.layers {
        let shapes = [
            ("input_layernorm", vec![width]),
            ("post_attention_layernorm", vec![width]),
            ("self_attn.q_proj", vec![width, width]),
            ("self_attn.k_proj", vec![kv, width]),
            ("self_attn.v_proj", vec![kv, width]),
            ("self_attn.o_proj", vec![width, width]),
            ("mlp.gate_proj", vec![ffn, width]),
            ("mlp.up_proj", vec![ffn, width]),
            ("mlp.down_proj", vec![width, ffn]),
        ];
        all.extend(shapes.map(|(name, shape)| (format!("model.layers.{layer}.{name}.weight"), shape)));
    }
    all
}

fn write_safetensors(path: &Path, tensors: &[(String, Vec<u64>)], weight: Option<&mut dyn FnMut() -> f32>) {
    let (mut header, mut bytes) = (serde_json::Map::new(), 0);
    for (name, shape) in tensors {
        let end = bytes + 2 * shape.iter().product::<u64>();
        let entry = json!({"dtype": "BF16", "shape": shape, "data_offsets": [bytes, end]});
        header.insert(name.clone(), entry);
        bytes = end;
    }
    let header = Json::from(header).to_string();
    let mut file = std::io::BufWriter::new(File::create(path).expect("created"));
    file.write_all(&(header.len() as u64).to_le_bytes())
        .expect("written");
    file.write_all(header.as_bytes()).expect("written");
    if let Some(weight) = weight {
        for _ in 0..bytes / 2 {
            let upper_half = (weight().to_bits() >> 16) as u16;
            file.write_all(&upper_half.to_le_bytes()).expect("written");
        }
    }
    let file = file.into_inner().expect("written");
    file.set_len(8 + header.len() as u64 + bytes).expect("sized");
}

/// Repeatable weights that are distributed like those of trained matrices: each is a sum of four uniform ones.
pub fn weights() -> impl FnMut() -> f32 {
    let mut rng = fastrand::Rng::with_seed(7);
    move || (0..4).map(|_| rng.f32() - 0.5).sum::<f32>() * 0.035
}
