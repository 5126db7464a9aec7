//! What a model's header says, for lists of models: read once, at the start.

use std::path::Path;
use std::time::SystemTime;

use siskin_model::TensorType;
use siskin_model::gguf::{Header, ModelFile};
use siskin_model::shape::Shape;

/// Facts of a model.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Facts {
    /// Bytes of the file.
    pub(crate) bytes: u64,
    /// Numbers in its tensors.
    pub(crate) parameters: u64,
    /// `general.architecture`.
    pub(crate) architecture: String,
    /// Its file type, such as Q4_K_M.
    pub(crate) file_type: String,
    /// The context that it was trained with.
    pub(crate) training_context: u64,
    /// Numbers of a token's embedding.
    pub(crate) width: u64,
    /// Tokens of the vocabulary.
    pub(crate) vocabulary: u64,
    /// The chat template that came with it.
    pub(crate) template: Option<String>,
    /// `general.license`.
    pub(crate) license: Option<String>,
    /// Whether it has matrices of floats, whose products are ggml's.
    pub(crate) has_float_weights: bool,
    /// When the file was changed, in seconds since 1970.
    pub(crate) modified: u64,
    /// SHA-256 of the header, and the size: what ollama calls a digest.
    pub(crate) digest: String,
}

impl Facts {
    /// Reads a file's header; the embedded model's without a path.
    ///
    /// # Errors
    /// The file is not a model.
    pub(crate) fn read(path: Option<&Path>) -> Result<Self, siskin_runtime::Error> {
        let (header, bytes, modified) = match path {
            Some(path) => {
                let modified = std::fs::metadata(path).and_then(|meta| meta.modified());
                let file = ModelFile::open(path)?;
                let bytes = (0..file.files.count()).map(|index| file.files.len(index)).sum();
                (file.header, bytes, modified.ok())
            }
            None => {
                let bytes = siskin_runtime::STORYTELLER;
                let header = Header::parse(bytes, bytes.len() as u64);
                let header =
                    header.map_err(|error| siskin_runtime::Error::Embedded(std::io::Error::other(error)))?;
                (header, bytes.len() as u64, None)
            }
        };
        Ok(Facts::from_header(&header, bytes, modified))
    }

    fn from_header(header: &Header, bytes: u64, modified: Option<SystemTime>) -> Self {
        use sha2::{Digest, Sha256};
        let text = |key: &str| header.metadata.text(key).map(str::to_owned);
        let shape = Shape::from_header(header).ok();
        let modified = modified.and_then(|time| time.duration_since(SystemTime::UNIX_EPOCH).ok());
        let mut digest = Sha256::new();
        digest.update(bytes.to_le_bytes());
        for tensor in &header.tensors {
            digest.update(tensor.name.as_bytes());
        }
        digest.update(text("general.name").unwrap_or_default());
        Facts {
            bytes,
            parameters: shape.as_ref().map_or(0, |shape| shape.parameters),
            architecture: text("general.architecture").unwrap_or_default(),
            file_type: shape
                .as_ref()
                .and_then(|shape| shape.file_type)
                .map_or_else(|| "other".into(), |ty| ty.to_string().to_uppercase()),
            training_context: shape.as_ref().map_or(0, |shape| shape.training_context.into()),
            width: shape.as_ref().map_or(0, |shape| shape.width),
            vocabulary: shape.as_ref().map_or(0, |shape| shape.vocabulary),
            has_float_weights: header.tensors.iter().any(|tensor| {
                let float = matches!(tensor.ty, TensorType::F16 | TensorType::Bf16 | TensorType::F32);
                float && tensor.shape.iter().filter(|size| **size > 1).count() > 1
            }),
            template: text("tokenizer.chat_template"),
            license: text("general.license"),
            modified: modified.map_or(0, |time| time.as_secs()),
            digest: digest
                .finalize()
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect(),
        }
    }
}
