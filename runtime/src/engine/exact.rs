//! Whether a token's logits have the same bits when others are computed with it: then guesses change no text.

use std::fmt;

use llama_cpp_sys_2 as sys;
use sha2::{Digest, Sha256};
use siskin_device::settings::{CacheType, FlashAttention, Kernels, Values};
use siskin_model::gguf::{Header, Value};
use siskin_model::shape::Dimensions;

use super::{Model, Session, Token};
use crate::speculate::RememberedKey;
use crate::{Error, ggml_hook};

/// A matrix of a type that siskin has no kernel for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoKernel {
    /// Its name in the file.
    pub tensor: String,
    /// Its type.
    pub ty: String,
}

/// Why a model's tokens cannot be computed several at a time with the same bits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotExact {
    /// Its state cannot be taken back.
    Recurrent,
    /// llama.cpp's kernels compute it.
    Kernels,
    /// llama.cpp has repacked the weights, and computes them.
    Repacked,
    /// llama.cpp's attention computes it.
    Attention,
    /// A matrix is computed by llama.cpp.
    Matrix(NoKernel),
    /// Its attention is of a form that llama.cpp computes: why.
    Heads(String),
}

impl fmt::Display for NotExact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let other_bits = "gives a token other bits if others are computed with it, so the text could change";
        match self {
            NotExact::Recurrent => f.write_str(
                "this model is recurrent: what was computed for a wrong guess cannot be taken back",
            ),
            NotExact::Kernels => write!(f, "llama.cpp computes this model, and that {other_bits}"),
            NotExact::Repacked => write!(f, "the weights are repacked for llama.cpp, and that {other_bits}"),
            NotExact::Attention => write!(
                f,
                "flash attention is off (an f32 cache has none), and llama.cpp's attention {other_bits}"
            ),
            NotExact::Heads(what) => write!(
                f,
                "siskin's attention does not compute {what}, and llama.cpp's {other_bits}"
            ),
            NotExact::Matrix(NoKernel { tensor, ty }) => {
                write!(
                    f,
                    "siskin has no kernel for {ty}, the type of {tensor}, and llama.cpp's {other_bits}"
                )
            }
        }
    }
}

impl Model {
    /// Checks that tokens may be guessed: that the text stays the same, and that guesses can be taken back.
    ///
    /// # Errors
    /// [`Error::NotExact`] has the reason.
    pub fn check_speculation(&self) -> Result<(), Error> {
        let values = &self.settings().values;
        // SAFETY: the model is alive; both only read it.
        let recurrent = unsafe {
            let raw = self.raw().as_ptr();
            sys::llama_model_is_recurrent(raw) || sys::llama_model_is_hybrid(raw)
        };
        let reasons = [
            (recurrent, NotExact::Recurrent),
            (ggml_hook::status().kernels != Kernels::Siskin, NotExact::Kernels),
            (values.repack, NotExact::Repacked),
            (!attends(values), NotExact::Attention),
        ];
        let reason = reasons
            .into_iter()
            .find_map(|(holds, reason)| holds.then_some(reason));
        match reason.or_else(|| self.not_computed().cloned()) {
            Some(reason) => Err(Error::NotExact(reason)),
            None => Ok(()),
        }
    }
}

impl Session {
    /// Checks that tokens may be guessed, with the session's own settings.
    ///
    /// # Errors
    /// [`Error::NotExact`] has the reason.
    pub fn check_speculation(&self) -> Result<(), Error> {
        self.model().check_speculation()?;
        match self.context.flash_attention() {
            true => Ok(()),
            false => Err(Error::NotExact(NotExact::Attention)),
        }
    }
}

/// Whether contexts with these settings have flash attention: those with an f32 cache have not.
fn attends(values: &Values) -> bool {
    values.flash_attention != FlashAttention::Off && values.cache_type != CacheType::F32
}

/// Architectures whose attention llama.cpp gives a bias or a cap, even if no key of the file says so.
const BIASED: [&str; 8] = [
    "baichuan",
    "bloom",
    "gemma2",
    "grok",
    "jina-bert-v2",
    "refact",
    "t5",
    "t5encoder",
];

/// Why siskin's kernels do not compute all products of a model, or not its attention; `None` if they do.
pub(super) fn not_computed(header: &Header) -> Option<NotExact> {
    let matrix = without_kernel(header).map(NotExact::Matrix);
    matrix.or_else(|| other_attention(header).map(NotExact::Heads))
}

/// What the attention of a model has that siskin's kernels do not compute. Sizes that the header does not state as one
/// number are not known to be computed.
fn other_attention(header: &Header) -> Option<String> {
    let metadata = &header.metadata;
    let arch = metadata.text("general.architecture").unwrap_or_default();
    let is_set = |key: &str| {
        let value = metadata.get(&format!("{arch}.{key}"));
        value.is_some_and(|value| !matches!(value, Value::F32(number) if *number == 0.0))
    };
    if header
        .tensors
        .iter()
        .any(|tensor| tensor.name.contains("attn_sinks"))
    {
        return Some("attention with sinks".into());
    }
    if is_set("attention.max_alibi_bias") || is_set("attn_logit_softcapping") || BIASED.contains(&arch) {
        return Some("attention with a bias or a cap".into());
    }
    // The cache of a window may have lost what a token needs that is computed again after a wrong guess.
    if is_set("attention.sliding_window") {
        return Some("attention with a sliding window".into());
    }
    let Dimensions {
        heads,
        kv_heads,
        key_length,
        value_length,
        ..
    } = Dimensions::from_metadata(metadata);
    // Some architectures have layers with heads of another length.
    let others = [
        "key_length_swa",
        "value_length_swa",
        "key_length_mla",
        "value_length_mla",
    ];
    if others.iter().any(|key| is_set(&format!("attention.{key}"))) {
        return Some("heads of several lengths".into());
    }
    let group = heads.zip(kv_heads).and_then(|(heads, kv)| heads.checked_div(kv));
    match (key_length, value_length, group) {
        (Some(key), Some(value), Some(group)) => (!ggml_hook::attends(key, value, group))
            .then(|| format!("heads of {key} numbers in groups of {group}")),
        _ => Some("heads of several lengths or numbers".into()),
    }
}

/// What [`remembered_key`](Model::remembered_key) begins with: another number if it is made otherwise.
const KEY: &[u8] = b"siskin remembered 1";

impl Model {
    /// Whose texts a file of remembered tokens is of: a digest of the vocabulary, and of the model's name and size.
    pub fn remembered_key(&self) -> RememberedKey {
        let mut digest = Sha256::new_with_prefix(KEY);
        let count = i32::try_from(self.vocabulary_len()).unwrap_or(i32::MAX);
        for token in 0..count {
            let piece = self.piece(Token(token), true);
            digest.update((piece.len() as u64).to_le_bytes());
            digest.update(piece);
        }
        digest.update(self.llama().n_params().to_le_bytes());
        digest.update(self.llama().meta_val_str("general.name").unwrap_or_default());
        RememberedKey {
            model: digest.finalize().into(),
            vocabulary: count.unsigned_abs(),
        }
    }
}

/// The first matrix that siskin has no kernel for. An input embedding that is only looked up does not count, and
/// neither do rows of numbers. Stacks of matrices, those of experts, have no kernels.
pub(super) fn without_kernel(header: &Header) -> Option<NoKernel> {
    let has_output = header.tensors.iter().any(|tensor| tensor.name == "output.weight");
    // Norms of each head have a row for each; numbers are multiplied with them one by one.
    let multiplies = |name: &str| {
        let is_looked_up = has_output && name == "token_embd.weight";
        !(is_looked_up || name.starts_with("rope_") || name.ends_with("_norm.weight"))
    };
    let sizes = |shape: &[u64]| shape.iter().filter(|size| **size > 1).count();
    let found = header.tensors.iter().find(|tensor| {
        multiplies(&tensor.name)
            && match sizes(&tensor.shape) {
                0 | 1 => false,
                2 => !ggml_hook::computes(tensor.ty.name()),
                _ => true,
            }
    })?;
    Some(NoKernel {
        tensor: found.name.clone(),
        ty: found.ty.name().to_owned(),
    })
}
