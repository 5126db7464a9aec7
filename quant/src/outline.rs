//! The tensors of a model of which only `config.json` is known: sizes before any download.

use crate::arch::{Arch, ArchError};
use crate::checkpoint::Config;
use crate::gguf::DEFAULT_ALIGNMENT;
use crate::plan::{PlannedTensor, Role};
use crate::recipe::{self, Facts, FileType};

/// The tensors of a GGUF file of type `file_type` made from a checkpoint with this configuration. They have
/// no sources. Optional tensors that the configuration does not mention (biases, norms of heads) are left
/// out; together they take only a few KiB.
///
/// # Errors
/// Fails if siskin does not convert the architecture, or if the configuration contradicts itself.
pub fn outline(config: &Config, file_type: FileType) -> Result<Vec<PlannedTensor>, ArchError> {
    let mut rules = Arch::of(config)?.rules(config)?;
    rules.retain(|rule| !rule.optional);
    let facts = Facts {
        n_layers: config.num_hidden_layers,
        tied: !rules.iter().any(|rule| rule.role == Role::Output),
        imatrix: false,
    };
    let mut offset = 0;
    let tensor = |rule: crate::arch::Rule| {
        let tensor = PlannedTensor {
            ty: recipe::tensor_type(file_type, &facts, rule.role, rule.layer, &rule.shape),
            name: rule.output,
            sources: vec![],
            transform: rule.transform,
            role: rule.role,
            layer: rule.layer,
            shape: rule.shape,
            offset,
        };
        offset = (offset + tensor.bytes()).next_multiple_of(DEFAULT_ALIGNMENT);
        tensor
    };
    Ok(rules.into_iter().map(tensor).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Compares with the tensor bytes in the file that `siskin convert` writes for a checkpoint of this
    /// shape.
    #[test]
    fn tinyllama() {
        let text = r#"{"architectures":["LlamaForCausalLM"],"hidden_size":2048,"intermediate_size":5632,
            "num_hidden_layers":22,"num_attention_heads":32,"num_key_value_heads":4,"vocab_size":32000,
            "max_position_embeddings":2048,"tie_word_embeddings":false}"#;
        let config: Config = serde_json::from_str(text).expect("a config");
        let tensors = outline(&config, FileType::Q4KM).expect("tensors");
        let bytes: u64 = tensors.iter().map(PlannedTensor::bytes).sum();
        assert_eq!(tensors.len(), 3 + 22 * 9);
        assert_eq!(bytes, 667_078_656);
        let tied = text.replace("embeddings\":false", "embeddings\":true");
        let tied: Config = serde_json::from_str(&tied).expect("a config");
        assert_eq!(outline(&tied, FileType::Q4KM).expect("tensors").len(), 2 + 22 * 9);
    }
}
