//! The architectures: for each a table of its tensors and a function of its hyper-parameters.
//!
//! To add one: a file beside `llama.rs`, a variant of [`Arch`], a row in `ARCHS`.

mod gptneox;
mod llama;
mod role;
mod rule;
mod stablelm;

use crate::config::{Config, Sampling};
use crate::gguf::Metadata;
use crate::FileType;
pub use role::{Role, Transform};
pub use rule::{Dims, MAX_CONTEXT, MAX_DIM, MAX_HEADS, MAX_LAYERS, Rule};

/// An architecture siskin converts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Arch {
    /// `LlamaForCausalLM`: TinyLlama, Llama 3.2.
    Llama,
    /// `StableLmForCausalLM`: StableLM 2.
    StableLm,
    /// `GPTNeoXForCausalLM`: Pythia.
    GptNeoX,
}

/// Architecture, its class in `config.json`, its name in GGUF keys.
const ARCHS: [(Arch, &str, &str); 3] = [
    (Arch::Llama, "LlamaForCausalLM", "llama"),
    (Arch::StableLm, "StableLmForCausalLM", "stablelm"),
    (Arch::GptNeoX, "GPTNeoXForCausalLM", "gptneox"),
];

/// The configuration describes nothing siskin can convert.
#[derive(Debug, thiserror::Error)]
pub enum ArchError {
    /// `architectures` names none that siskin knows.
    #[error("config.json: architecture {found:?} is not supported; siskin converts {}", ARCHS.map(|row| row.1).join(", "))]
    Unknown {
        /// What `architectures` says, or nothing.
        found: String,
    },
    /// A field is missing or has an impossible value.
    #[error("config.json: {0}")]
    Config(String),
}

impl Arch {
    /// The architecture that `config.json` names.
    pub fn of(config: &Config) -> Result<Self, ArchError> {
        let found = config.architectures.first().map_or("", String::as_str);
        let row = ARCHS.iter().find(|row| row.1 == found);
        row.map(|row| row.0).ok_or_else(|| ArchError::Unknown {
            found: found.to_owned(),
        })
    }

    /// The architecture of this name in GGUF keys.
    pub fn from_name(name: &str) -> Option<Self> {
        ARCHS.iter().find(|row| row.2 == name).map(|row| row.0)
    }

    /// All names in GGUF keys.
    pub fn names() -> [&'static str; 3] {
        ARCHS.map(|row| row.2)
    }

    /// The name in GGUF keys, e.g. `llama`.
    pub fn name(self) -> &'static str {
        ARCHS[self as usize].2
    }

    /// The tensors a checkpoint of this architecture and shape has.
    pub fn rules(self, config: &Config) -> Result<Vec<Rule>, ArchError> {
        let dims = Dims::of(config)?;
        match self {
            Arch::Llama => llama::rules(config, &dims),
            Arch::StableLm => stablelm::rules(config, &dims),
            Arch::GptNeoX => gptneox::rules(config, &dims),
        }
    }

    /// The architecture's own keys, in the order in which llama.cpp's converter writes them.
    pub fn keys(self, config: &Config, file_type: FileType) -> Result<Metadata, ArchError> {
        let mut keys = Keys {
            prefix: self.name(),
            metadata: Metadata::new(),
        };
        match self {
            Arch::Llama => llama::keys(config, file_type, &mut keys)?,
            Arch::StableLm => stablelm::keys(config, file_type, &mut keys),
            Arch::GptNeoX => gptneox::keys(config, file_type, &mut keys),
        }
        Ok(keys.metadata)
    }
}

/// Keys under an architecture's prefix.
struct Keys {
    prefix: &'static str,
    metadata: Metadata,
}

impl Keys {
    fn set(&mut self, key: &str, value: impl Into<crate::gguf::Value>) {
        self.metadata.set(format!("{}.{key}", self.prefix), value);
    }

    /// Counts are u32 in GGUF; the checks of [`Dims::of`] keep them in range.
    fn count(&mut self, key: &str, value: u64) {
        self.set(key, u32::try_from(value).unwrap_or(u32::MAX));
    }

    fn file_type(&mut self, file_type: FileType) {
        self.metadata.set("general.file_type", file_type.id());
    }

    /// The rotary base, where it is not the 10000 that llama.cpp assumes for architectures whose converter
    /// writes none.
    fn unusual_rope_theta(&mut self, config: &Config) {
        if config.rope_theta() != 10_000.0 {
            self.set("rope.freq_base", config.rope_theta() as f32);
        }
    }
}

/// `general.*` keys: what the model is and how it likes to be sampled.
pub fn general_keys(arch: Arch, name: &str, weights: u64, sampling: &Sampling) -> Metadata {
    let mut keys = Metadata::new();
    keys.set("general.architecture", arch.name());
    keys.set("general.type", "model");
    sampling_keys(&mut keys, sampling);
    keys.set("general.name", name);
    keys.set("general.size_label", size_label(weights));
    keys
}

fn sampling_keys(keys: &mut Metadata, sampling: &Sampling) {
    if let Some(top_k) = sampling.top_k {
        keys.set("general.sampling.top_k", top_k);
    }
    let floats = [
        ("top_p", sampling.top_p),
        ("min_p", sampling.min_p),
        ("temp", sampling.temperature),
        ("penalty_repeat", sampling.repetition_penalty),
    ];
    for (key, value) in floats {
        if let Some(value) = value {
            keys.set(format!("general.sampling.{key}"), value);
        }
    }
}

/// The number of weights as GGUF names models: at least two digits, e.g. `1.1B`, `293K`.
fn size_label(weights: u64) -> String {
    let scales = [
        (1_000_000_000_000.0, 'T'),
        (1_000_000_000.0, 'B'),
        (1_000_000.0, 'M'),
        (1_000.0, 'K'),
    ];
    let count = weights as f64;
    let (scale, suffix) = scales.into_iter().find(|s| count > s.0).unwrap_or((1_000.0, 'K'));
    let scaled = count / scale;
    let digits = scaled.round().to_string().trim_start_matches('0').len();
    format!("{scaled:.*}{suffix}", 2usize.saturating_sub(digits))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_the_order_of_the_enum() {
        for (index, (arch, class, _)) in ARCHS.into_iter().enumerate() {
            assert_eq!(arch as usize, index);
            assert_eq!(Arch::from_name(arch.name()), Some(arch));
            let text = format!(
                r#"{{"architectures":["{class}"],"hidden_size":1,"intermediate_size":1,"num_hidden_layers":1,"num_attention_heads":1}}"#
            );
            let config: Config = serde_json::from_str(&text).expect("a config");
            assert_eq!(Arch::of(&config).expect("known"), arch);
        }
    }

    #[test]
    fn size_labels() {
        for (weights, want) in [
            (1_100_048_384, "1.1B"),
            (1_644_515_328, "1.6B"),
            (293_000, "293K"),
            (3_640_000, "3.6M"),
            (12, "0.01K"),
        ] {
            assert_eq!(size_label(weights), want);
        }
    }
}
