//! What a tensor is for, and how a checkpoint's rows become its rows.

/// The function of a tensor in the network; the recipe chooses types by it.
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
    /// Norms, biases, RoPE factors: kept in f32.
    Vector,
    /// A matrix without a special rule in the recipe.
    Other,
}

/// How rows of the sources become rows of the output. Every transform is a permutation of rows, so a
/// conversion only ever needs a few rows at a time. A bias counts as rows of one weight each.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Transform {
    /// Output row r is source row r.
    Copy,
    /// Converts RoPE pairs from "two halves" to "neighbours": within each of `heads` heads of 2n rows, source
    /// rows `[2, n]` become output rows `[n, 2]`.
    PermuteRotary {
        /// Heads of this tensor: query heads for q, key/value heads for k.
        heads: u64,
    },
    /// Fused QKV stored head by head, `[heads, 3, head_dim]` rows, becomes `[3, heads, head_dim]`.
    RegroupQkv {
        /// Number of attention heads.
        heads: u64,
    },
    /// Each source is a vector; in order, they become the rows of a matrix.
    Stack,
    /// There is no source; the values are computed from the configuration (`rope_freqs.weight`).
    Generated {
        /// The tensor's f32 values.
        #[serde(skip)]
        values: Vec<f32>,
    },
}
