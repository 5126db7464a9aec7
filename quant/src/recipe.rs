//! The type of each tensor in a file: the mixes of llama.cpp's converter and of llama-quantize.
//!
//! These are pure functions of a tensor's role, layer and shape. Source of the rules: llama.cpp
//! `src/llama-quant.cpp` (`llama_tensor_get_type_impl`, `tensor_type_fallback`) and `conversion/base.py`
//! (`prepare_tensors`). `tests/mixes.rs` compares every tensor with the output of llama-quantize.

use siskin_model::arch::Role;
use siskin_model::{FileType, TensorType};

/// The role of a tensor by a part of its name; the first matching row decides.
const ROLES: [(&str, Role); 10] = [
    ("attn_qkv.weight", Role::AttnQkv),
    ("attn_kv_b.weight", Role::AttnV),
    ("attn_v.weight", Role::AttnV),
    ("attn_k.weight", Role::AttnK),
    ("attn_q.weight", Role::AttnQ),
    ("attn_output.weight", Role::AttnOutput),
    ("ffn_gate_inp", Role::Vector),
    ("ffn_up", Role::FfnUp),
    ("ffn_gate", Role::FfnGate),
    ("ffn_down", Role::FfnDown),
];

/// Parts of the names of matrices that are too small or too sensitive to quantize. Most of them belong to
/// architectures that siskin quantizes but does not convert.
const KEPT: [&str; 27] = [
    "_norm.weight",
    "altup",
    "attn_rel_b.weight",
    "indexer.k_proj.weight",
    "indexer.q_proj.weight",
    "laurel",
    "per_layer_model_proj",
    "position_embd",
    "shortconv.conv.weight",
    "ssm_conv1d",
    "tid2eid",
    "time_mix_a0.weight",
    "time_mix_a1.weight",
    "time_mix_a2.weight",
    "time_mix_decay_w1.weight",
    "time_mix_decay_w2.weight",
    "time_mix_first.weight",
    "time_mix_g1.weight",
    "time_mix_g2.weight",
    "time_mix_lerp_fused.weight",
    "time_mix_v0.weight",
    "time_mix_v1.weight",
    "time_mix_v2.weight",
    "time_mix_w0.weight",
    "time_mix_w1.weight",
    "time_mix_w2.weight",
    "token_types",
];

/// Returns the role of the tensor with this GGUF name, and the block it belongs to.
pub fn role_of(name: &str) -> (Role, Option<u32>) {
    let layer = name
        .strip_prefix("blk.")
        .and_then(|rest| rest.split('.').next()?.parse().ok());
    let role = match name {
        "output.weight" => Role::Output,
        "token_embd.weight" | "per_layer_token_embd.weight" => Role::TokenEmbd,
        _ if !name.ends_with("weight") || KEPT.iter().any(|part| name.contains(part)) => Role::Vector,
        _ => {
            let row = ROLES.iter().find(|(part, _)| name.contains(part));
            row.map_or(Role::Other, |row| row.1)
        }
    };
    (role, layer)
}

/// Properties of the whole model that the mixes depend on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TypeContext {
    /// Number of transformer blocks.
    pub n_layers: u32,
    /// True if the model has no `output.weight`: the embedding matrix is also the output matrix.
    pub tied: bool,
    /// True if quantization is weighted by an importance matrix.
    pub imatrix: bool,
}

/// Returns the type of a tensor in a file of type `file_type`. `shape` is in ggml's order, the row length
/// first.
pub fn tensor_type(
    file_type: FileType,
    context: &TypeContext,
    role: Role,
    layer: Option<u32>,
    shape: &[u64],
) -> TensorType {
    if role == Role::Vector || shape.len() < 2 {
        return TensorType::F32;
    }
    if !file_type.is_quantized() {
        return file_type.base();
    }
    fitting(mixed(file_type, context, role, layer.unwrap_or(0)), shape[0])
}

/// Whether a matrix of type `ty` in a file of type `file_type` has that type because its rows of `len` weights are not
/// whole blocks of the type that the mix has for it.
pub fn is_fallback(file_type: FileType, role: Role, ty: TensorType, len: u64) -> bool {
    if !file_type.is_quantized() || role == Role::Vector || len.is_multiple_of(256) {
        return false;
    }
    match ty {
        TensorType::Q5_0 | TensorType::Q5_1 => true,
        TensorType::F16 => !len.is_multiple_of(32),
        TensorType::Q8_0 => file_type != FileType::Q8_0,
        _ => false,
    }
}

/// The type from the mix, before the row length is checked.
fn mixed(file_type: FileType, context: &TypeContext, role: Role, layer: u32) -> TensorType {
    use FileType::*;
    let base = file_type.base();
    let n_layers = context.n_layers;
    let first_eighth = layer < n_layers / 8;
    match (role, file_type) {
        (Role::Output, _) => as_output(base),
        (Role::TokenEmbd, _) if context.tied => as_output(base),
        (Role::AttnV | Role::AttnQkv, Q4KM | Q5KM) if deserves_more_bits(layer, n_layers) => TensorType::Q6K,
        (Role::AttnV | Role::AttnQkv, Q4KS) if layer < 4 => TensorType::Q5K,
        (Role::FfnDown, Q4KM | Q5KM) if deserves_more_bits(layer, n_layers) => TensorType::Q6K,
        (Role::FfnDown, Q4KS) if first_eighth => TensorType::Q5K,
        (Role::FfnDown, Q4_0) if first_eighth && context.imatrix => TensorType::Q4_1,
        _ => base,
    }
}

/// The output matrix alone decides the next token, so it gets at least six bits.
fn as_output(base: TensorType) -> TensorType {
    match base {
        TensorType::Q8_0 => TensorType::Q8_0,
        _ => TensorType::Q6K,
    }
}

/// True for the first eighth of the layers, the last eighth, and every third layer between them.
fn deserves_more_bits(layer: u32, n_layers: u32) -> bool {
    let eighth = n_layers / 8;
    layer < eighth || u64::from(layer) >= 7 * u64::from(n_layers) / 8 || (layer - eighth) % 3 == 2
}

/// Returns `ty`, or the nearest type whose blocks fit rows of `len` weights: blocks of 32 if blocks of 256 do
/// not fit, else f16.
fn fitting(ty: TensorType, len: u64) -> TensorType {
    let smaller = match ty {
        TensorType::Q4K => TensorType::Q5_0,
        TensorType::Q5K => TensorType::Q5_1,
        TensorType::Q6K => TensorType::Q8_0,
        other => other,
    };
    [ty, smaller]
        .into_iter()
        .find(|ty| len.is_multiple_of(ty.block_len()))
        .unwrap_or(TensorType::F16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_that_blocks_do_not_fit() {
        let context = TypeContext {
            n_layers: 2,
            tied: false,
            imatrix: false,
        };
        let cases = [
            (FileType::Q4KM, Role::AttnQ, 320, TensorType::Q5_0),
            (FileType::Q5KM, Role::AttnQ, 320, TensorType::Q5_1),
            (FileType::Q6K, Role::AttnQ, 320, TensorType::Q8_0),
            (FileType::Q4KM, Role::Output, 320, TensorType::Q8_0),
            (FileType::Q4KM, Role::AttnQ, 48, TensorType::F16),
            (FileType::Q8_0, Role::AttnQ, 48, TensorType::F16),
            (FileType::Q4_0, Role::Output, 64, TensorType::Q8_0),
            (FileType::Bf16, Role::AttnQ, 48, TensorType::Bf16),
        ];
        for (file_type, role, len, want) in cases {
            let got = tensor_type(file_type, &context, role, Some(0), &[len, 2]);
            assert_eq!(got, want, "{file_type} {role:?} {len}");
            assert_eq!(
                is_fallback(file_type, role, got, len),
                file_type != FileType::Bf16,
                "{file_type}"
            );
            let whole = tensor_type(file_type, &context, role, Some(0), &[512, 2]);
            assert!(!is_fallback(file_type, role, whole, 512), "{file_type}");
        }
    }

    #[test]
    fn roles_by_name() {
        assert!(KEPT.is_sorted());
        let cases = [
            ("token_embd.weight", Role::TokenEmbd, None),
            ("output.weight", Role::Output, None),
            ("output_norm.weight", Role::Vector, None),
            ("blk.7.attn_v.weight", Role::AttnV, Some(7)),
            ("blk.7.attn_v.bias", Role::Vector, Some(7)),
            ("blk.12.attn_q_norm.weight", Role::Vector, Some(12)),
            ("blk.0.ffn_down_exps.weight", Role::FfnDown, Some(0)),
            ("blk.0.ffn_gate_inp.weight", Role::Vector, Some(0)),
            ("blk.x.ffn_gate.weight", Role::FfnGate, None),
            ("blk.0.time_mix_key.weight", Role::Other, Some(0)),
        ];
        for (name, role, layer) in cases {
            assert_eq!(role_of(name), (role, layer), "{name}");
        }
    }

    #[test]
    fn vectors_stay_f32() {
        let context = TypeContext {
            n_layers: 2,
            tied: true,
            imatrix: true,
        };
        for file_type in FileType::all() {
            assert_eq!(
                tensor_type(file_type, &context, Role::Vector, Some(1), &[64, 32]),
                TensorType::F32
            );
            assert_eq!(
                tensor_type(file_type, &context, Role::Other, None, &[256]),
                TensorType::F32
            );
        }
    }
}
