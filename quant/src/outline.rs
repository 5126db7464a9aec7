//! The file that a checkpoint would become, known from `config.json` alone: sizes before any download.

use siskin_model::FileType;
use siskin_model::arch::{Arch, ArchError, Role, Rule};
use siskin_model::config::Config;
use siskin_model::gguf::{DEFAULT_ALIGNMENT, Header, TensorInfo};
use siskin_model::shape::{Shape, ShapeError};
use siskin_model::tokenizer::size::{self, List};

use crate::plan::PlannedTensor;
use crate::recipe::{self, TypeContext};
use crate::requantize::{self, RequantizeError};

/// The configuration describes nothing whose sizes can be known.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OutlineError {
    /// siskin does not convert it.
    #[error(transparent)]
    Arch(#[from] ArchError),
    /// Its header would lack a key.
    #[error(transparent)]
    Shape(#[from] ShapeError),
}

/// A GGUF file that cannot be quantized again, or describes nothing whose sizes can be known.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RequantizedError {
    /// A tensor cannot change its type.
    #[error(transparent)]
    Requantize(#[from] RequantizeError),
    /// Its header lacks a key.
    #[error(transparent)]
    Shape(#[from] ShapeError),
}

/// The header of the file of type `file_type` that a checkpoint with this configuration becomes, without the
/// tokenizer and without the text keys. Tensors that some checkpoints of the architecture have and the configuration
/// does not mention (biases, norms of heads) are left out: all of them together are some KiB.
///
/// # Errors
/// An architecture that siskin does not convert, or a field with an impossible value.
pub fn header(config: &Config, file_type: FileType) -> Result<Header, ArchError> {
    let arch = Arch::from_config(config)?;
    let mut rules = arch.rules(config)?;
    rules.retain(|rule| !rule.optional);
    let mut metadata = arch.keys(config, file_type);
    metadata.set("general.architecture", arch.name());
    metadata.set("general.file_type", file_type.id());
    let context = TypeContext {
        n_layers: config.num_hidden_layers,
        tied: !rules.iter().any(|rule| rule.role == Role::Output),
        imatrix: false,
    };
    let data_start = header_bytes(vocabulary(config, arch));
    let mut offset: u64 = 0;
    let tensor = |rule: Rule| {
        let tensor = TensorInfo {
            ty: recipe::tensor_type(file_type, &context, rule.role, rule.layer, &rule.shape),
            name: rule.output,
            shape: rule.shape,
            offset,
        };
        let bytes = tensor.ty.tensor_bytes(&tensor.shape).unwrap_or(0);
        offset = offset.saturating_add(bytes);
        offset = offset
            .checked_next_multiple_of(DEFAULT_ALIGNMENT)
            .unwrap_or(u64::MAX);
        tensor
    };
    let tensors: Vec<TensorInfo> = rules.into_iter().map(tensor).collect();
    Ok(Header {
        version: 3,
        metadata,
        tensors,
        alignment: DEFAULT_ALIGNMENT,
        data_start,
        file_len: data_start.saturating_add(offset),
    })
}

/// The shape of that file, its vocabulary estimated from the number of tokens, and its sizes in every file type.
///
/// # Errors
/// As [`header`]'s.
pub fn shape(config: &Config, file_type: FileType) -> Result<Shape, OutlineError> {
    let outline = header(config, file_type)?;
    let (tokens, merges) = vocabulary(config, Arch::from_config(config)?);
    let of_type = |ty: FileType| {
        Some((
            ty,
            Shape::from_header(&header(config, ty).ok()?).ok()?.weight_bytes,
        ))
    };
    Ok(Shape {
        vocabulary: tokens.count,
        vocabulary_bytes: size::own(tokens, merges),
        by_type: FileType::all().filter_map(of_type).collect(),
        ..Shape::from_header(&outline)?
    })
}

/// The shape of a GGUF file if it is quantized again as `file_type`, or as it is without one, and its sizes in every
/// file type that siskin can make of it.
///
/// # Errors
/// It cannot be made a file of that type, or is not a language model.
pub fn requantized(header: &Header, file_type: Option<FileType>) -> Result<Shape, RequantizedError> {
    let as_type = |ty: FileType| -> Result<Shape, RequantizedError> {
        let plan = requantize::plan_requantize(header.clone(), 0, ty, true, false)?;
        let tensor = |planned: &PlannedTensor| TensorInfo {
            name: planned.name.clone(),
            shape: planned.shape.clone(),
            ty: planned.ty,
            offset: planned.offset,
        };
        let header = Header {
            tensors: plan.tensors.iter().map(tensor).collect(),
            alignment: DEFAULT_ALIGNMENT,
            file_len: header.data_start.saturating_add(plan.data_bytes()),
            metadata: plan.metadata,
            ..*header
        };
        Ok(Shape::from_header(&header)?)
    };
    let by_type = FileType::all().filter_map(|ty| Some((ty, as_type(ty).ok()?.weight_bytes)));
    let shape = match file_type {
        Some(ty) => as_type(ty)?,
        None => Shape::from_header(header)?,
    };
    Ok(Shape {
        by_type: by_type.collect(),
        ..shape
    })
}

/// Tokens and merges of the tokenizer. Byte-level BPE has about two merges a token, SentencePiece none; texts are
/// short.
fn vocabulary(config: &Config, arch: Arch) -> (List, u64) {
    let count = config.vocab_size.unwrap_or(0);
    let merges = if arch == Arch::Llama && count <= 32_064 {
        0
    } else {
        2 * count
    };
    let tokens = List {
        count,
        text: count.saturating_mul(7),
    };
    (tokens, merges)
}

/// Bytes of a header: nearly all of it is the vocabulary's texts, with their lengths and types.
fn header_bytes((tokens, merges): (List, u64)) -> u64 {
    19u64
        .saturating_mul(tokens.count)
        .saturating_add(18u64.saturating_mul(merges))
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
        let outline = header(&config, FileType::Q4KM).expect("a header");
        assert_eq!(outline.tensors.len(), 3 + 22 * 9);
        let shape = shape(&config, FileType::Q4KM).expect("a shape");
        assert_eq!(shape.weight_bytes, 667_078_656);
        assert_eq!(
            (shape.layers, shape.key_width, shape.training_context),
            (22, 4 * 64, 2048)
        );
        // The outline as a file, and that file in another type.
        let again = requantized(&outline, Some(FileType::Q8_0)).expect("it can be quantized again");
        let direct = super::shape(&config, FileType::Q8_0).expect("a shape");
        assert_eq!(
            (again.file_type, again.weight_bytes),
            (Some(FileType::Q8_0), direct.weight_bytes)
        );
        assert_eq!(again.by_type, direct.by_type);
        let as_it_is = requantized(&outline, None).expect("a shape");
        assert_eq!(as_it_is.weight_bytes, shape.weight_bytes);
        let tied = text.replace("embeddings\":false", "embeddings\":true");
        let tied: Config = serde_json::from_str(&tied).expect("a config");
        assert_eq!(
            header(&tied, FileType::Q4KM).expect("a header").tensors.len(),
            2 + 22 * 9
        );
    }
}
