//! Turns a checkpoint into a plan: every source is used once, every output is made, every shape matches the
//! configuration.

use crate::checkpoint::Checkpoint;
use crate::plan::{Plan, PlannedTensor, QUANTIZATION_VERSION, Source};
use crate::recipe::{self, TypeContext};
use siskin_model::arch::{self, Arch, ArchError, Rule};
use siskin_model::arch::{Role, Transform};
use siskin_model::gguf::{DEFAULT_ALIGNMENT, Metadata};
use siskin_model::{ErrorKind, FileType, TensorType};

/// Suffixes of buffers that old checkpoints contain and no architecture reads.
const IGNORED: [&str; 3] = [
    ".attention.bias",
    ".attention.masked_bias",
    ".rotary_emb.inv_freq",
];

/// Endings of tensors in formats of other libraries, and what to do about each format.
const FORMATS: [(&str, &str); 15] = [
    (".qweight", GPTQ),
    (".qzeros", GPTQ),
    (".g_idx", GPTQ),
    (".scales", GPTQ),
    (".absmax", BITSANDBYTES),
    (".quant_map", BITSANDBYTES),
    (".nested_absmax", BITSANDBYTES),
    (".SCB", BITSANDBYTES),
    (".weight_scale", SCALED),
    (".weight_scale_inv", SCALED),
    (".input_scale", SCALED),
    (".weight_packed", SCALED),
    (".lora_A.weight", LORA),
    (".lora_B.weight", LORA),
    (".base_layer.weight", LORA),
];
const GPTQ: &str = "the weights are quantized by GPTQ or AWQ; get the model that this one was made from";
const BITSANDBYTES: &str =
    "the weights are quantized by bitsandbytes; get the model that this one was made from";
const SCALED: &str =
    "the weights are quantized, with scales apart; get the model that this one was made from";
const LORA: &str = "part of a LoRA adapter; merge it into its base model and save that: \
                    merge_and_unload().save_pretrained(DIR)";

/// What to do about a type that is not converted.
fn advice(dtype: &str) -> &'static str {
    match dtype {
        "F64" => "load it with transformers in float32 and save it again",
        _ => "these are quantized weights; get the model that this one was made from",
    }
}

/// The checkpoint does not match its configuration.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// The configuration itself is wrong.
    #[error("config.json: {0}")]
    Arch(#[from] ArchError),
    /// A tensor is missing.
    #[error("tensor {0} is missing from the checkpoint; get its files again")]
    Missing(String),
    /// The checkpoint contains a tensor that the architecture does not have.
    #[error("tensor {0} is not part of this architecture; converting without it would change the model")]
    Unexpected(String),
    /// A tensor is stored in a type that is not converted.
    #[error(
        "tensor {name} is stored as {dtype}; siskin converts F32, F16 and BF16: {}",
        advice(dtype)
    )]
    Stored {
        /// Name of the tensor in the checkpoint.
        name: String,
        /// Name of its type in safetensors.
        dtype: String,
    },
    /// A tensor belongs to weights in another format.
    #[error("tensor {name}: {format}")]
    Format {
        /// Name of the tensor in the checkpoint.
        name: String,
        /// The format, and what to do.
        format: &'static str,
    },
    /// The shape of a tensor does not match the configuration.
    #[error("tensor {name} has shape {found:?}, but config.json requires {expected:?}")]
    Shape {
        /// Name of the tensor in the checkpoint.
        name: String,
        /// Shape of the tensor, outermost dimension first.
        found: Vec<u64>,
        /// Expected shape, outermost dimension first.
        expected: Vec<u64>,
    },
}

impl PlanError {
    /// What kind of failure this is.
    pub fn kind(&self) -> ErrorKind {
        match self {
            PlanError::Arch(source) => source.kind(),
            PlanError::Stored { .. } | PlanError::Format { .. } => ErrorKind::Unsupported,
            PlanError::Missing(_) | PlanError::Unexpected(_) | PlanError::Shape { .. } => ErrorKind::Mismatch,
        }
    }
}

/// The type that `auto` selects: bf16 if the first matrix is bf16, else f16.
pub fn stored_type(checkpoint: &Checkpoint) -> FileType {
    let first = checkpoint.tensors.values().find(|view| view.shape.len() >= 2);
    match first.map(|view| view.ty) {
        Some(TensorType::Bf16) => FileType::Bf16,
        _ => FileType::F16,
    }
}

/// Checks that the architecture is known, and that the checkpoint has the required tensors in the required
/// shapes.
///
/// # Errors
/// Fails if the configuration is impossible, or if a tensor is missing, unexpected or of another shape.
pub fn check(checkpoint: &Checkpoint) -> Result<(), PlanError> {
    let arch = Arch::from_config(&checkpoint.config)?;
    let rules = used_rules(arch.rules(&checkpoint.config)?, checkpoint)?;
    rules
        .iter()
        .try_for_each(|rule| find_sources(rule, checkpoint).map(drop))
}

/// Plans the conversion of `checkpoint` to a file of type `file_type`. `vocabulary` is the result of
/// [`crate::tokenizer::vocabulary`]; `imatrix` is true if an importance matrix will weight the search for
/// scales.
///
/// # Errors
/// Fails like [`check`].
pub fn plan_checkpoint(
    checkpoint: &Checkpoint,
    file_type: FileType,
    vocabulary: Metadata,
    imatrix: bool,
) -> Result<Plan, PlanError> {
    let arch = Arch::from_config(&checkpoint.config)?;
    let rules = used_rules(arch.rules(&checkpoint.config)?, checkpoint)?;
    let context = TypeContext {
        n_layers: checkpoint.config.num_hidden_layers,
        tied: !rules.iter().any(|rule| rule.role == Role::Output),
        imatrix,
    };
    let mut offset = 0;
    let mut tensors = Vec::with_capacity(rules.len());
    for rule in rules {
        let sources = find_sources(&rule, checkpoint)?;
        let ty = recipe::tensor_type(file_type, &context, rule.role, rule.layer, &rule.shape);
        let Rule {
            output: name,
            transform,
            role,
            layer,
            shape,
            ..
        } = rule;
        let tensor = PlannedTensor {
            name,
            sources,
            transform,
            role,
            layer,
            ty,
            shape,
            offset,
        };
        offset = (offset + tensor.bytes()).next_multiple_of(DEFAULT_ALIGNMENT);
        tensors.push(tensor);
    }
    let weights = tensors.iter().map(PlannedTensor::weights).sum();
    let mut metadata = arch::general_keys(arch, &checkpoint.model_name(), weights, &checkpoint.sampling);
    metadata.extend(arch.keys(&checkpoint.config, file_type));
    metadata.set("general.quantization_version", QUANTIZATION_VERSION);
    metadata.extend(vocabulary);
    Ok(Plan { metadata, tensors })
}

/// Returns the rules without the optional ones whose tensors are absent. Fails if a tensor belongs to no
/// rule.
fn used_rules(rules: Vec<Rule>, checkpoint: &Checkpoint) -> Result<Vec<Rule>, PlanError> {
    let tensors = &checkpoint.tensors;
    let absent = |rule: &Rule| rule.optional && !rule.sources.iter().any(|name| tensors.contains_key(name));
    let used: Vec<Rule> = rules.into_iter().filter(|rule| !absent(rule)).collect();
    let wanted: std::collections::HashSet<&str> = used
        .iter()
        .flat_map(|rule| &rule.sources)
        .map(String::as_str)
        .collect();
    let unwanted = |name: &&String| !wanted.contains(name.as_str());
    for name in tensors.keys().chain(checkpoint.others.keys()).filter(unwanted) {
        if let Some((_, format)) = FORMATS.iter().find(|(ending, _)| name.ends_with(ending)) {
            let name = name.clone();
            return Err(PlanError::Format { name, format });
        }
    }
    let ignored = |name: &&String| IGNORED.iter().any(|ending| name.ends_with(ending));
    match tensors.keys().filter(unwanted).find(|name| !ignored(name)) {
        Some(name) => Err(PlanError::Unexpected(name.clone())),
        None => Ok(used),
    }
}

/// Finds the rule's sources in the checkpoint and checks their shapes.
fn find_sources(rule: &Rule, checkpoint: &Checkpoint) -> Result<Vec<Source>, PlanError> {
    let expected: Vec<u64> = match rule.transform {
        Transform::Stack => vec![rule.shape[0]],
        _ => rule.shape.iter().rev().copied().collect(),
    };
    let missing = |name: &String| match checkpoint.others.get(name) {
        Some(dtype) => PlanError::Stored {
            name: name.clone(),
            dtype: dtype.clone(),
        },
        None => PlanError::Missing(name.clone()),
    };
    let source = |name: &String| {
        let view = checkpoint.tensors.get(name).ok_or_else(|| missing(name))?;
        if view.shape != expected {
            let (name, found, expected) = (name.clone(), view.shape.clone(), expected.clone());
            return Err(PlanError::Shape {
                name,
                found,
                expected,
            });
        }
        Ok(Source {
            name: name.clone(),
            view: view.clone(),
        })
    };
    rule.sources.iter().map(source).collect()
}

#[cfg(test)]
mod tests;
