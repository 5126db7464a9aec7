//! Turns a checkpoint into a plan: every source is used once, every output is made, every shape matches the
//! configuration.

use std::collections::BTreeMap;

use crate::checkpoint::Checkpoint;
use crate::plan::{Plan, PlannedTensor, QUANTIZATION_VERSION, Source};
use crate::recipe::{self, TypeContext};
use crate::view::View;
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

/// The checkpoint does not match its configuration.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// The configuration itself is wrong.
    #[error(transparent)]
    Arch(#[from] ArchError),
    /// A tensor is missing.
    #[error("tensor {0} is missing from the checkpoint; get its files again")]
    Missing(String),
    /// The checkpoint contains a tensor that the architecture does not have.
    #[error("tensor {0} is not part of this architecture; converting without it would change the model")]
    Unexpected(String),
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
    let rules = used_rules(arch.rules(&checkpoint.config)?, &checkpoint.tensors)?;
    rules
        .iter()
        .try_for_each(|rule| find_sources(rule, &checkpoint.tensors).map(drop))
}

/// Plans the conversion of `checkpoint` to a file of type `file_type`. `vocabulary` is the result of
/// [`crate::tokenizer::vocabulary`]; `imatrix` is true if an importance matrix will weight the search for
/// scales.
///
/// # Errors
/// Fails like [`check`], or if siskin does not support the RoPE scaling of the configuration.
pub fn plan_checkpoint(
    checkpoint: &Checkpoint,
    file_type: FileType,
    vocabulary: Metadata,
    imatrix: bool,
) -> Result<Plan, PlanError> {
    let arch = Arch::from_config(&checkpoint.config)?;
    let rules = used_rules(arch.rules(&checkpoint.config)?, &checkpoint.tensors)?;
    let context = TypeContext {
        n_layers: checkpoint.config.num_hidden_layers,
        tied: !rules.iter().any(|rule| rule.role == Role::Output),
        imatrix,
    };
    let mut offset = 0;
    let mut tensors = Vec::with_capacity(rules.len());
    for rule in rules {
        let sources = find_sources(&rule, &checkpoint.tensors)?;
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
    let mut metadata = arch::general_keys(arch, &model_name(checkpoint), weights, &checkpoint.sampling);
    metadata.extend(arch.keys(&checkpoint.config, file_type)?);
    metadata.set("general.quantization_version", QUANTIZATION_VERSION);
    metadata.extend(vocabulary);
    Ok(Plan { metadata, tensors })
}

/// The name of the checkpoint folder.
fn model_name(checkpoint: &Checkpoint) -> String {
    let dir = checkpoint
        .dir
        .canonicalize()
        .unwrap_or_else(|_| checkpoint.dir.clone());
    dir.file_name()
        .map_or("model".into(), |name| name.to_string_lossy().into_owned())
}

/// Returns the rules without the optional ones whose tensors are absent. Fails if a tensor belongs to no
/// rule.
fn used_rules(rules: Vec<Rule>, tensors: &BTreeMap<String, View>) -> Result<Vec<Rule>, PlanError> {
    let absent = |rule: &Rule| rule.optional && !rule.sources.iter().any(|name| tensors.contains_key(name));
    let used: Vec<Rule> = rules.into_iter().filter(|rule| !absent(rule)).collect();
    let wanted: std::collections::HashSet<&str> = used
        .iter()
        .flat_map(|rule| &rule.sources)
        .map(String::as_str)
        .collect();
    let ignored = |name: &str| IGNORED.iter().any(|ending| name.ends_with(ending));
    match tensors
        .keys()
        .find(|name| !wanted.contains(name.as_str()) && !ignored(name))
    {
        Some(name) => Err(PlanError::Unexpected(name.clone())),
        None => Ok(used),
    }
}

/// Finds the rule's sources in the checkpoint and checks their shapes.
fn find_sources(rule: &Rule, tensors: &BTreeMap<String, View>) -> Result<Vec<Source>, PlanError> {
    let expected: Vec<u64> = match rule.transform {
        Transform::Stack => vec![rule.shape[0]],
        _ => rule.shape.iter().rev().copied().collect(),
    };
    let source = |name: &String| {
        let view = tensors
            .get(name)
            .ok_or_else(|| PlanError::Missing(name.clone()))?;
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
mod tests {
    use super::*;
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
        let dir = "model".into();
        Checkpoint {
            dir,
            config,
            sampling: Default::default(),
            files: Files::new(),
            tensors,
        }
    }

    const LLAMA: &str = r#"{"architectures":["LlamaForCausalLM"],"hidden_size":256,"intermediate_size":512,
        "num_hidden_layers":2,"num_attention_heads":4,"num_key_value_heads":2,"vocab_size":512}"#;

    #[test]
    fn a_whole_checkpoint_gives_a_whole_plan() {
        let plan =
            plan_checkpoint(&checkpoint(LLAMA), FileType::Q8_0, Metadata::new(), false).expect("a plan");
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
            ("\"vocab_size\":512", "\"vocab_size\":0", "vocab_size is 0"),
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
}
