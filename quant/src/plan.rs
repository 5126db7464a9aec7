//! The whole conversion as data: every tensor's name, sources, transform, type, shape and offset,
//! known before a byte of a tensor is read.

use crate::TensorType;
use crate::gguf::Metadata;
use crate::view::View;

/// What a tensor does in the network; the recipe decides types by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)] // the names are GGUF's
pub enum Role {
    TokenEmbd,
    Output,
    AttnQ,
    AttnK,
    AttnV,
    AttnQkv,
    AttnOutput,
    FfnGate,
    FfnUp,
    FfnDown,
    /// Norms, biases, rotary factors: kept in f32.
    Vector,
    /// A matrix the recipe treats like any other.
    Other,
}

/// How rows of the sources become rows of the output. Every transform is a permutation of rows, so a
/// conversion never needs more than a few rows at a time. A bias counts as rows of one weight each.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Transform {
    /// Output row r is source row r.
    Copy,
    /// Rotary pairs from "two halves" to "neighbours": within each of `heads` heads of 2n rows, source rows
    /// `[2, n]` become output rows `[n, 2]`.
    PermuteRotary {
        /// Heads of this tensor: query heads for q, key/value heads for k.
        heads: u64,
    },
    /// Fused QKV stored head by head, `[heads, 3, head_dim]` rows, becomes `[3, heads, head_dim]`.
    RegroupQkv {
        /// Attention heads.
        heads: u64,
    },
    /// The sources one after another, each a vector, become the rows of a matrix.
    Stack,
    /// No source: these values, computed from the configuration (`rope_freqs.weight`).
    Generated {
        /// The tensor's f32 values.
        #[serde(skip)]
        values: Vec<f32>,
    },
}

/// A checkpoint tensor feeding an output.
#[derive(Debug, Clone, PartialEq)]
pub struct Source {
    /// Its name in the checkpoint.
    pub name: String,
    /// Where it lies.
    pub view: View,
}

/// One output tensor.
#[derive(Debug, Clone, PartialEq)]
pub struct PlannedTensor {
    /// GGUF name.
    pub name: String,
    /// What feeds it, in order; empty for [`Transform::Generated`].
    pub sources: Vec<Source>,
    /// How the sources' rows become its rows.
    pub transform: Transform,
    /// What it does in the network.
    pub role: Role,
    /// The block it belongs to, where it belongs to one.
    pub layer: Option<u32>,
    /// Output type.
    pub ty: TensorType,
    /// Output shape in ggml's order: the row's length first.
    pub shape: Vec<u64>,
    /// First byte, counted from the start of the GGUF's data section.
    pub offset: u64,
}

/// A conversion before it starts.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// All keys of the output, in order.
    pub metadata: Metadata,
    /// All tensors of the output, in file order.
    pub tensors: Vec<PlannedTensor>,
}
