//! The architectures: a table of tensors and a function of the hyper-parameters for each.
//!
//! To add one, write a file next to `llama.rs`, and add a variant of [`Arch`] and a row of `ARCHS`.

mod gptneox;
mod llama;
mod role;
mod rule;
mod settings;
mod stablelm;

use crate::config::{Config, Sampling};
use crate::gguf::Metadata;
use crate::{ErrorKind, FileType};
pub use role::{Role, Transform};
pub use rule::{Dims, MAX_CONTEXT, MAX_DIM, MAX_HEADS, MAX_LAYERS, Rule};

/// An architecture that siskin can convert.
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

fn unknown(found: &str) -> String {
    match found {
        "" => "architectures is missing or empty".into(),
        found => format!("architecture {found:?} is not supported"),
    }
}

/// siskin cannot convert what the configuration describes. The texts are to be read after the file's name.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ArchError {
    /// `architectures` has no architecture that siskin knows.
    #[error("{}; supported: {}", unknown(found), ARCHS.map(|row| row.1).join(", "))]
    Unknown {
        /// First entry of `architectures`, or an empty string.
        found: String,
    },
    /// A setting changes what the model computes in a way that siskin does not support.
    #[error("{key} is {value}: {meaning}; supported: {supported}")]
    Setting {
        /// Name of the setting.
        key: String,
        /// Its value as JSON, cut.
        value: String,
        /// What the setting means.
        meaning: String,
        /// The values that siskin supports.
        supported: String,
    },
    /// The weights are stored in the format of another library.
    #[error(
        "{key}: the weights are quantized by {method:?}; siskin converts f32, f16 and bf16 weights: get the model that this one was made from"
    )]
    Quantized {
        /// Name of the setting.
        key: String,
        /// The library or format.
        method: String,
    },
    /// A field is missing or has an impossible value.
    #[error("{0}")]
    Config(String),
}

impl ArchError {
    /// What kind of failure this is.
    pub fn kind(&self) -> ErrorKind {
        match self {
            ArchError::Unknown { .. } | ArchError::Setting { .. } | ArchError::Quantized { .. } => {
                ErrorKind::Unsupported
            }
            ArchError::Config(_) => ErrorKind::Damaged,
        }
    }
}

impl Arch {
    /// Returns the architecture that `config.json` names.
    ///
    /// # Errors
    /// Fails if siskin does not know the architecture, if a setting cannot be read, or if a setting changes what the
    /// model computes and siskin does not honour it.
    pub fn from_config(config: &Config) -> Result<Self, ArchError> {
        let found = config.architectures.first().map_or("", String::as_str);
        let row = ARCHS.iter().find(|row| row.1 == found);
        // The problem with `architectures` itself is the only one to report before it.
        let unreadable = |problem: &&String| row.is_some() || problem.starts_with("architectures ");
        if let Some(problem) = config.problem.as_ref().filter(unreadable) {
            return Err(ArchError::Config(problem.clone()));
        }
        let arch = row.map(|row| row.0).ok_or_else(|| ArchError::Unknown {
            found: crate::gguf::shortened(found),
        })?;
        settings::check(arch, config)?;
        Ok(arch)
    }

    /// Lines for the user: settings of the configuration that may matter and that siskin cannot judge.
    pub fn notices(self, config: &Config) -> Vec<String> {
        settings::notices(self, config)
    }

    /// The class in transformers, e.g. `LlamaForCausalLM`.
    fn class(self) -> &'static str {
        ARCHS[self as usize].1
    }

    /// Returns the architecture with this name in GGUF keys.
    pub fn from_name(name: &str) -> Option<Self> {
        ARCHS.iter().find(|row| row.2 == name).map(|row| row.0)
    }

    /// The names of all architectures in GGUF keys.
    pub fn names() -> [&'static str; 3] {
        ARCHS.map(|row| row.2)
    }

    /// The name in GGUF keys, e.g. `llama`.
    pub fn name(self) -> &'static str {
        ARCHS[self as usize].2
    }

    /// The tensors of a checkpoint with this architecture and configuration.
    ///
    /// # Errors
    /// Fails if a field of the configuration is missing, impossible or not supported.
    pub fn rules(self, config: &Config) -> Result<Vec<Rule>, ArchError> {
        let dims = Dims::from_config(config)?;
        match self {
            Arch::Llama => llama::rules(config, &dims),
            Arch::StableLm => stablelm::rules(config, &dims),
            Arch::GptNeoX => gptneox::rules(config, &dims),
        }
    }

    /// The keys of this architecture, in the order of llama.cpp's converter.
    ///
    /// [`Self::from_config`] has refused what the keys cannot express.
    pub fn keys(self, config: &Config, file_type: FileType) -> Metadata {
        let mut keys = Keys {
            prefix: self.name(),
            metadata: Metadata::new(),
        };
        match self {
            Arch::Llama => llama::keys(config, file_type, &mut keys),
            Arch::StableLm => stablelm::keys(config, file_type, &mut keys),
            Arch::GptNeoX => gptneox::keys(config, file_type, &mut keys),
        }
        keys.metadata
    }
}

/// Keys with an architecture's prefix.
struct Keys {
    prefix: &'static str,
    metadata: Metadata,
}

impl Keys {
    fn set(&mut self, key: &str, value: impl Into<crate::gguf::Value>) {
        self.metadata.set(format!("{}.{key}", self.prefix), value);
    }

    /// Sets a count, which is a u32 in GGUF; the checks of [`Dims::from_config`] keep it in range.
    fn count(&mut self, key: &str, value: u64) {
        self.set(key, u32::try_from(value).unwrap_or(u32::MAX));
    }

    fn file_type(&mut self, file_type: FileType) {
        self.metadata.set("general.file_type", file_type.id());
    }

    /// Sets linear RoPE scaling, if there is any; llama3's is a tensor.
    fn rope_scaling(&mut self, config: &Config) {
        let linear = config
            .rope_scaling()
            .filter(|s| s.rope_type.as_deref() == Some("linear"));
        if let Some(factor) = linear.and_then(|scaling| scaling.factor) {
            self.set("rope.scaling.type", "linear");
            self.set("rope.scaling.factor", factor as f32);
        }
    }

    /// Sets the RoPE base if it is not 10000, and the scaling. llama.cpp assumes 10000 for architectures whose converter does
    /// not write it.
    fn unusual_rope(&mut self, config: &Config) {
        if config.rope_theta() != 10_000.0 {
            self.set("rope.freq_base", config.rope_theta() as f32);
        }
        self.rope_scaling(config);
    }
}

/// The `general.*` keys: the model's identity and its recommended sampling settings.
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

/// The number of weights as GGUF labels models: at least two digits, e.g. `1.1B`, `293K`.
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
            assert_eq!(Arch::from_config(&config).expect("known"), arch);
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
