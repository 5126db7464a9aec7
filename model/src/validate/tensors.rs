//! Checks every tensor of the architecture: its shape must match the hyper-parameters, and llama.cpp must be
//! able to compute with its type.

use std::collections::HashMap;

use super::ValidateError;
use super::keys::Checked;
use crate::TensorType;
use crate::arch::Role;
use crate::arch::{Arch, Rule};
use crate::config::Config;
use crate::gguf::{Header, TensorInfo};

/// Checks the tensors of `header` against the same table that conversion uses.
pub(super) fn check(arch: Arch, shape: &Checked, header: &Header) -> Result<(), ValidateError> {
    let mut left: HashMap<&str, &TensorInfo> = header
        .tensors
        .iter()
        .map(|tensor| (tensor.name.as_str(), tensor))
        .collect();
    let rules = expected(arch, shape, left.contains_key("blk.0.ffn_norm.weight"));
    if rules.is_empty() {
        let problem = "contradicts its keys; the file is damaged";
        return Err(ValidateError::key("general.architecture", problem));
    }
    for rule in &rules {
        match left.remove(rule.output.as_str()) {
            Some(tensor) => check_tensor(rule, tensor)?,
            None if rule.optional => {}
            None => {
                return Err(ValidateError::tensor(
                    &rule.output,
                    "is missing; get the file again",
                ));
            }
        }
    }
    // Search in the file's order, so that the message is the same each time.
    match header
        .tensors
        .iter()
        .find(|tensor| left.contains_key(tensor.name.as_str()))
    {
        Some(tensor) => Err(ValidateError::tensor(
            &tensor.name,
            format!("is not part of architecture {}", arch.name()),
        )),
        None => Ok(()),
    }
}

/// The tensors of a model with this shape; empty if the architecture cannot have such a shape.
pub(super) fn expected(arch: Arch, shape: &Checked, has_ffn_norm: bool) -> Vec<Rule> {
    let mut rules = arch.rules(&config(arch, shape, has_ffn_norm)).unwrap_or_default();
    if arch == Arch::Llama && !rules.is_empty() {
        rules.push(Rule::norm("rope_freqs", "", shape.rotary / 2).optional());
    }
    rules
}

/// Returns a configuration with this shape.
fn config(arch: Arch, shape: &Checked, has_ffn_norm: bool) -> Config {
    Config {
        hidden_size: shape.width,
        intermediate_size: shape.ffn,
        num_hidden_layers: shape.layers,
        num_attention_heads: shape.heads,
        num_key_value_heads: Some(shape.kv_heads),
        head_dim: Some(shape.head_dim),
        vocab_size: Some(shape.vocab),
        // llama.cpp uses the embedding as the output only for this architecture.
        tie_word_embeddings: Some(arch == Arch::Llama),
        use_parallel_residual: Some(arch == Arch::StableLm && !has_ffn_norm),
        ..Config::default()
    }
}

fn check_tensor(rule: &Rule, tensor: &TensorInfo) -> Result<(), ValidateError> {
    let (found, want) = (trimmed(&tensor.shape), trimmed(&rule.shape));
    if found != want {
        let problem = format!(
            "has shape {:?}, but the keys require {:?}",
            tensor.shape, rule.shape
        );
        return Err(ValidateError::tensor(&tensor.name, problem));
    }
    let fine = match rule.role {
        Role::Vector => tensor.ty == TensorType::F32,
        _ => multiplies(tensor.ty),
    };
    if !fine {
        let problem = format!(
            "has type {}, which llama.cpp cannot compute with for this tensor",
            tensor.ty
        );
        return Err(ValidateError::tensor(&tensor.name, problem));
    }
    Ok(())
}

/// Returns the shape without outer dimensions of 1, which change nothing.
fn trimmed(shape: &[u64]) -> &[u64] {
    let len = shape.iter().rposition(|&dim| dim != 1).map_or(1, |at| at + 1);
    &shape[..len.min(shape.len())]
}

/// True for types that llama.cpp can multiply by and take rows of: not its activation types, and not
/// integers.
fn multiplies(ty: TensorType) -> bool {
    let own = matches!(ty, TensorType::Q8_1 | TensorType::Q8K);
    ty.is_float() || (ty.is_quantized() && !own)
}
