//! The models of the catalogue, with data from their publishers.

/// What a model is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// It was trained to answer, and has a chat template.
    Chat,
    /// It continues texts; its publisher made it to study how models learn.
    Research,
}

impl Purpose {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Purpose::Chat => "chat",
            Purpose::Research => "research",
        }
    }
}

/// A model of the catalogue.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    /// Its name.
    pub name: &'static str,
    /// Short names by which it is pulled and found, in lower case.
    pub short_names: &'static [&'static str],
    /// The Hugging Face repository of its checkpoint.
    pub repository: &'static str,
    /// Whether its publisher asks for an account that has accepted the licence.
    pub needs_account: bool,
    /// What it is for.
    pub purpose: Purpose,
    /// The number of tokens it was trained on, according to its model card.
    pub training_tokens: f64,
    /// Bytes of a file's header, keys and vocabulary: `file_bytes` minus the tensors, both as `siskin convert
    /// --dry-run --json` prints them for the published configuration and tokenizer. The same for every type.
    pub header_bytes: u64,
    /// The part of `config.json` that determines the sizes.
    pub config: &'static str,
}

/// The models, ordered by the amount of training text, most first.
pub const CATALOG: [Entry; 4] = [
    Entry {
        name: "Llama-3.2-1B",
        short_names: &["llama-3.2-1b", "llama3.2:1b", "llama32"],
        repository: "meta-llama/Llama-3.2-1B-Instruct",
        needs_account: true,
        purpose: Purpose::Chat,
        training_tokens: 9e12,
        header_bytes: 7_831_072,
        config: r#"{"architectures":["LlamaForCausalLM"],"hidden_size":2048,"intermediate_size":8192,
            "num_hidden_layers":16,"num_attention_heads":32,"num_key_value_heads":8,"head_dim":64,
            "max_position_embeddings":131072,"vocab_size":128256,"tie_word_embeddings":true}"#,
    },
    Entry {
        name: "TinyLlama-1.1B",
        short_names: &["tinyllama", "tinyllama-1.1b"],
        repository: "TinyLlama/TinyLlama-1.1B-Chat-v1.0",
        needs_account: false,
        purpose: Purpose::Chat,
        training_tokens: 3e12,
        header_bytes: 736_544,
        config: r#"{"architectures":["LlamaForCausalLM"],"hidden_size":2048,"intermediate_size":5632,
            "num_hidden_layers":22,"num_attention_heads":32,"num_key_value_heads":4,
            "max_position_embeddings":2048,"vocab_size":32000,"tie_word_embeddings":false}"#,
    },
    Entry {
        name: "StableLM-2-1.6B",
        short_names: &["stablelm-2-1.6b", "stablelm2", "stablelm2:1.6b"],
        repository: "stabilityai/stablelm-2-zephyr-1_6b",
        needs_account: false,
        purpose: Purpose::Chat,
        training_tokens: 2e12,
        header_bytes: 3_559_616,
        config: r#"{"architectures":["StableLmForCausalLM"],"hidden_size":2048,"intermediate_size":5632,
            "num_hidden_layers":24,"num_attention_heads":32,"num_key_value_heads":32,
            "max_position_embeddings":4096,"vocab_size":100352,"tie_word_embeddings":false,
            "partial_rotary_factor":0.25,"use_qkv_bias":true}"#,
    },
    Entry {
        name: "Pythia-1B",
        short_names: &["pythia-1b", "pythia"],
        repository: "EleutherAI/pythia-1b",
        needs_account: false,
        purpose: Purpose::Research,
        training_tokens: 3e11,
        header_bytes: 1_779_744,
        config: r#"{"architectures":["GPTNeoXForCausalLM"],"hidden_size":2048,"intermediate_size":8192,
            "num_hidden_layers":16,"num_attention_heads":8,"max_position_embeddings":2048,
            "vocab_size":50304,"tie_word_embeddings":false,"rotary_pct":0.25,"use_parallel_residual":true}"#,
    },
];
