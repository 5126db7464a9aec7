//! Plans the conversion of a GGUF file to another type, for `siskin quantize`.
//!
//! The rules are those of llama-quantize: all keys keep their order and types, `general.file_type` and
//! `general.quantization_version` describe the new file, and tensors that are never quantized keep their
//! type. So converting to a type gives the same file as converting to f32 and then quantizing to that type.
//! The mixes are llama-quantize's for models without experts.

use crate::block;
use crate::plan::{Plan, PlannedTensor, QUANTIZATION_VERSION, Source};
use crate::recipe::{TypeContext, role_of, tensor_type};
use crate::view::View;
use siskin_model::arch::{MAX_DIM, Role, Transform};
use siskin_model::gguf::{DEFAULT_ALIGNMENT, Header, Metadata, TensorInfo, Value, align_up};
use siskin_model::{ErrorKind, FileType, TensorType};

/// Longest accepted row in weights: far above any model's, and only a few megabytes for each row in flight.
const MAX_ROW: u64 = MAX_DIM;

/// Why a GGUF file cannot be quantized.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RequantizeError {
    /// A key that every model needs is missing or has another type.
    #[error("key {key:?} is missing or not {expected}; the file contains no model")]
    Key {
        /// Name of the key.
        key: String,
        /// The expected type.
        expected: &'static str,
    },
    /// The file is one part of a model split into this many files.
    #[error("the file is one part of {0}; join the parts first")]
    Split(u64),
    /// The file has no tensors.
    #[error("the file contains no tensors, only a vocabulary")]
    NoTensors,
    /// The rows of a tensor are longer than those of any model.
    #[error(
        "tensor {tensor:?} has rows of {len} weights, more than any model; the file is damaged; get it again"
    )]
    LongRow {
        /// Name of the tensor.
        tensor: String,
        /// Weights per row.
        len: u64,
    },
    /// A tensor is already quantized.
    #[error(
        "tensor {tensor:?} is already {ty}, and would lose precision again; use an f32, f16 or bf16 file"
    )]
    Quantized {
        /// Name of the tensor.
        tensor: String,
        /// Its current type.
        ty: TensorType,
    },
    /// siskin cannot dequantize the type of a tensor.
    #[error("tensor {tensor:?} is {ty}, which siskin cannot read; use an f32, f16 or bf16 file")]
    Unreadable {
        /// Name of the tensor.
        tensor: String,
        /// Its current type.
        ty: TensorType,
    },
}

impl RequantizeError {
    /// What kind of failure this is.
    pub fn kind(&self) -> ErrorKind {
        match self {
            RequantizeError::Key { .. } | RequantizeError::NoTensors => ErrorKind::Format,
            RequantizeError::Split(_) => ErrorKind::Split,
            RequantizeError::LongRow { .. } => ErrorKind::Damaged,
            RequantizeError::Quantized { .. } => ErrorKind::AlreadyQuantized,
            RequantizeError::Unreadable { .. } => ErrorKind::Unsupported,
        }
    }
}

/// Plans the conversion of a GGUF file to type `file_type`. The file has this `header` and is number `file`
/// of its [`siskin_model::files::Files`]. A tensor that is already quantized and would change its type is refused,
/// unless `allow_requantize` is true. `imatrix` is true if an importance matrix will weight the search for
/// scales.
///
/// # Errors
/// Fails if the file is not a whole model, or if the type of a tensor cannot be changed.
pub fn plan_requantize(
    header: Header,
    file: usize,
    file_type: FileType,
    allow_requantize: bool,
    imatrix: bool,
) -> Result<Plan, RequantizeError> {
    let context = type_context(&header, imatrix)?;
    let mut offset = 0;
    let mut tensors = Vec::with_capacity(header.tensors.len());
    for tensor in &header.tensors {
        let (role, layer) = role_of(&tensor.name);
        let ty = match is_kept(role, &tensor.shape) {
            true => tensor.ty,
            false => tensor_type(file_type, &context, role, layer, &tensor.shape),
        };
        check_change(tensor, ty, allow_requantize)?;
        let planned = PlannedTensor {
            name: tensor.name.clone(),
            sources: vec![source(&header, file, tensor)],
            transform: Transform::Copy,
            role,
            layer,
            ty,
            shape: tensor.shape.clone(),
            offset,
        };
        offset = align_up(offset + planned.bytes(), DEFAULT_ALIGNMENT);
        tensors.push(planned);
    }
    Ok(Plan {
        metadata: metadata(header.metadata, file_type),
        tensors,
    })
}

/// Plans a copy of a GGUF file: every tensor keeps its type, every key its value. Positions are those of `header`.
///
/// # Errors
/// Fails if the file has no tensors, or one with longer rows than any model.
pub fn plan_copy(header: Header) -> Result<Plan, RequantizeError> {
    if header.tensors.is_empty() {
        return Err(RequantizeError::NoTensors);
    }
    let mut offset = 0;
    let mut tensors = Vec::with_capacity(header.tensors.len());
    for tensor in &header.tensors {
        check_change(tensor, tensor.ty, true)?;
        let (role, layer) = role_of(&tensor.name);
        let planned = PlannedTensor {
            name: tensor.name.clone(),
            sources: vec![source(&header, 0, tensor)],
            transform: Transform::Copy,
            role,
            layer,
            ty: tensor.ty,
            shape: tensor.shape.clone(),
            offset,
        };
        offset = align_up(offset + planned.bytes(), DEFAULT_ALIGNMENT);
        tensors.push(planned);
    }
    Ok(Plan {
        metadata: aligned(header.metadata),
        tensors,
    })
}

fn type_context(header: &Header, imatrix: bool) -> Result<TypeContext, RequantizeError> {
    let metadata = &header.metadata;
    let missing = |key: &str, expected| RequantizeError::Key {
        key: key.to_owned(),
        expected,
    };
    let Some(Value::String(arch)) = metadata.get("general.architecture") else {
        return Err(missing("general.architecture", "a string"));
    };
    let key = format!("{arch}.block_count");
    let Some(&Value::U32(n_layers)) = metadata.get(&key) else {
        return Err(missing(&key, "a u32"));
    };
    if let Some(&Value::U16(parts @ 2..)) = metadata.get("split.count") {
        return Err(RequantizeError::Split(parts.into()));
    }
    if header.tensors.is_empty() {
        return Err(RequantizeError::NoTensors);
    }
    let tied = !header.tensors.iter().any(|tensor| tensor.name == "output.weight");
    Ok(TypeContext {
        n_layers,
        tied,
        imatrix,
    })
}

/// True if a tensor keeps its type in every file: vectors, and matrices that llama-quantize does not change.
/// A tensor is not a matrix if all its dimensions after the first are 1.
fn is_kept(role: Role, shape: &[u64]) -> bool {
    role == Role::Vector || shape.iter().skip(1).all(|&dim| dim == 1)
}

fn check_change(tensor: &TensorInfo, to: TensorType, allow_requantize: bool) -> Result<(), RequantizeError> {
    let (name, ty, len) = (tensor.name.clone(), tensor.ty, tensor.shape[0]);
    if len > MAX_ROW {
        return Err(RequantizeError::LongRow { tensor: name, len });
    }
    if ty == to {
        return Ok(());
    }
    if !block::supports(ty) {
        return Err(RequantizeError::Unreadable { tensor: name, ty });
    }
    if ty.is_quantized() && !allow_requantize {
        return Err(RequantizeError::Quantized { tensor: name, ty });
    }
    Ok(())
}

fn source(header: &Header, file: usize, tensor: &TensorInfo) -> Source {
    let view = View {
        file,
        start: header.range(tensor).start,
        ty: tensor.ty,
        shape: tensor.shape.iter().rev().copied().collect(),
    };
    Source {
        name: tensor.name.clone(),
        view,
    }
}

/// The keys of the new file.
fn metadata(metadata: Metadata, file_type: FileType) -> Metadata {
    let mut metadata = aligned(metadata);
    metadata.set("general.quantization_version", QUANTIZATION_VERSION);
    metadata.set("general.file_type", file_type.id());
    metadata
}

/// The keys of a whole file. Tensors use the default alignment, whatever the alignment of the old file was.
fn aligned(mut metadata: Metadata) -> Metadata {
    metadata.retain(|key| !key.starts_with("split."));
    if metadata.get("general.alignment").is_some() {
        metadata.set("general.alignment", DEFAULT_ALIGNMENT as u32);
    }
    metadata
}

#[cfg(test)]
mod tests {
    use super::*;

    const F16: TensorType = TensorType::F16;

    /// A model with the `ffn_down` of one layer and the tensors in `more`.
    fn header(more: &[(&str, TensorType, &[u64])]) -> Header {
        let mut metadata = Metadata::new();
        metadata.set("general.file_type", 1u32);
        metadata.set("general.architecture", "llama");
        metadata.set("llama.block_count", 2u32);
        metadata.set("general.alignment", 64u32);
        metadata.set("x.small", 7i8);
        let mut tensors = Vec::new();
        let mut offset = 0;
        let first: [(&str, TensorType, &[u64]); 1] = [("blk.0.ffn_down.weight", F16, &[256, 2])];
        for (name, ty, shape) in first.iter().chain(more) {
            let info = TensorInfo {
                name: (*name).into(),
                shape: shape.to_vec(),
                ty: *ty,
                offset,
            };
            offset = align_up(offset + ty.tensor_bytes(shape).unwrap(), 64);
            tensors.push(info);
        }
        Header {
            version: 3,
            metadata,
            tensors,
            alignment: 64,
            data_start: 640,
            file_len: 640 + offset,
        }
    }

    #[test]
    fn types_and_places_of_tensors() {
        let more: &[(&str, TensorType, &[u64])] = &[
            ("blk.0.attn_norm.weight", F16, &[256]),
            ("blk.1.attn_q.weight", TensorType::F32, &[64, 3]),
            ("blk.1.attn_k.weight", F16, &[256, 1]),
            ("blk.1.ids.weight", TensorType::Q4K, &[256, 3]),
        ];
        let plan = plan_requantize(header(more), 5, FileType::Q4KM, false, false).unwrap();
        let got: Vec<_> = plan
            .tensors
            .iter()
            .map(|t| (t.ty, t.offset, t.sources[0].view.start))
            .collect();
        let want = [
            (TensorType::Q4K, 0, 640),
            (F16, 288, 640 + 1024),
            (TensorType::Q5_0, 800, 640 + 1536),
            (F16, 960, 640 + 2304),
            (TensorType::Q4K, 1472, 640 + 2816),
        ];
        assert_eq!(got, want);
        assert!(plan.tensors.iter().all(|t| t.sources[0].view.file == 5));
        assert_eq!(plan.tensors[2].sources[0].view.shape, [3, 64]);
    }

    #[test]
    fn keys_stay_in_order_with_their_types() {
        let mut header = header(&[]);
        header.metadata.set("split.count", 1u16);
        let plan = plan_requantize(header, 0, FileType::Q8_0, false, false).unwrap();
        let want: [(&str, Value); 6] = [
            ("general.file_type", 7u32.into()),
            ("general.architecture", "llama".into()),
            ("llama.block_count", 2u32.into()),
            ("general.alignment", 32u32.into()),
            ("x.small", 7i8.into()),
            ("general.quantization_version", 2u32.into()),
        ];
        let got: Vec<_> = plan.metadata.into_iter().collect();
        assert_eq!(got, want.map(|(key, value)| (key.to_owned(), value)));
    }

    #[test]
    fn what_is_refused() {
        let quantized = [("output.weight", TensorType::Q8_0, &[256u64, 4][..])];
        let unreadable = [("output.weight", TensorType::Iq4Nl, &[256u64, 4][..])];
        let plan = |header: &Header, allow| {
            plan_requantize(header.clone(), 0, FileType::Q4KM, allow, false).map(drop)
        };
        let error = |header: &Header, allow| plan(header, allow).unwrap_err().to_string();

        assert!(error(&header(&quantized), false).contains("\"output.weight\" is already q8_0"));
        plan(&header(&quantized), true).unwrap();
        assert!(error(&header(&unreadable), true).contains("is iq4_nl, which siskin cannot read"));

        let long = [("x.bias", TensorType::I8, &[MAX_ROW + 1][..])];
        assert!(error(&header(&long), true).contains("\"x.bias\" has rows of 1048577 weights"));

        let mut part = header(&[]);
        part.metadata.set("split.count", 3u16);
        assert!(error(&part, false).contains("one part of 3"));
        let mut nameless = header(&[]);
        nameless.metadata = Metadata::new();
        assert!(error(&nameless, false).contains("\"general.architecture\" is missing or not a string"));
        let mut vocabulary = header(&[]);
        vocabulary.tensors.clear();
        assert!(error(&vocabulary, false).contains("no tensors"));
    }
}
