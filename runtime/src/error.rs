//! What can go wrong between a model's file and its text.

use std::path::PathBuf;

use siskin_device::settings::{CacheType, SettingsError};
use siskin_model::files::FileError;
use siskin_model::gguf::GgufError;
use siskin_model::tokenizer::agreement::Disagreement;
use siskin_model::validate::ValidateError;

use crate::engine::NotExact;

/// A model could not be loaded or run. The texts name no flag of a program; a front end decides by [`Error::kind`]
/// what it can offer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file cannot be opened or read.
    #[error(transparent)]
    File(#[from] FileError),
    /// The file's header is damaged, or it is not a GGUF file.
    #[error(transparent)]
    Header(#[from] GgufError),
    /// llama.cpp would abort on the file, or siskin does not know what it would do.
    #[error("{}: {source}", path.display())]
    Invalid {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        source: ValidateError,
    },
    /// The path cannot be passed to llama.cpp.
    #[error("{}: the path contains a NUL byte", .0.display())]
    Path(PathBuf),
    /// The embedded model cannot be made readable for llama.cpp.
    #[error("the embedded model: {0}")]
    Embedded(std::io::Error),
    /// The model does not fit, or a setting cannot be had on this machine.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// llama.cpp refused the model.
    #[error("{}: llama.cpp cannot load this model: {reason}", path.display())]
    Load {
        /// Which file.
        path: PathBuf,
        /// llama.cpp's reason.
        reason: String,
    },
    /// A KV cache in blocks needs flash attention.
    #[error("a KV cache of {0} needs flash attention, which is off")]
    CacheNeedsFlashAttention(CacheType),
    /// Blocks of the KV cache would cross heads.
    #[error(
        "a KV cache of {cache_type} needs a head size that is a multiple of 32; this model's is {head_dim}"
    )]
    CacheCrossesHeads {
        /// The type asked for.
        cache_type: CacheType,
        /// Numbers of a head.
        head_dim: u64,
    },
    /// llama.cpp could not make a context.
    #[error("llama.cpp cannot make a context of {context} tokens: {reason}")]
    Context {
        /// Tokens asked for.
        context: u32,
        /// llama.cpp's reason.
        reason: String,
    },
    /// More tokens than the context has room for.
    #[error("{tokens} tokens do not fit: {room} of the context's {context} tokens are free")]
    ContextFull {
        /// Tokens to compute.
        tokens: usize,
        /// Free places.
        room: u32,
        /// The context's size.
        context: u32,
    },
    /// A text that is too long, whatever its tokens are.
    #[error(
        "{bytes} bytes of text are at least {fewest} tokens and do not fit: {room} of the context's {context} tokens are free"
    )]
    TextTooLong {
        /// Bytes of the text.
        bytes: u64,
        /// The fewest tokens that it can have.
        fewest: u64,
        /// Free places.
        room: u32,
        /// The context's size.
        context: u32,
    },
    /// Every sequence of the context is taken.
    #[error("all {0} sequences of the context are in use")]
    NoSequence(u32),
    /// A computation failed.
    #[error("llama.cpp failed to decode {tokens} tokens at position {position}: {reason}")]
    Decode {
        /// Tokens in the batch.
        tokens: usize,
        /// Position of the first.
        position: u32,
        /// llama.cpp's reason.
        reason: String,
    },
    /// The model's memory cannot be cut at a position, as that of recurrent models.
    #[error("the state of this model cannot be truncated to {0} tokens")]
    CannotTruncate(u32),
    /// Tokens of this model cannot be guessed.
    #[error("speculative decoding is not possible: {0}")]
    NotExact(NotExact),
    /// A smaller model has other tokens than the one that it is to guess for.
    #[error("the draft model cannot guess for this model: {0}")]
    Draft(Disagreement),
    /// A sequence's keys and values could not be written to a file.
    #[error("the state of a sequence cannot be saved: {0}")]
    SaveState(String),
    /// A file is not the keys and values of these tokens in this context, or cannot be read.
    #[error("the state of a sequence cannot be loaded: {0}")]
    LoadState(String),
    /// A model's file asks for another way to make one vector of many.
    #[error("this model's file asks for a pooling of its own, which is not supported")]
    Pooling,
    /// The model's output is not a number.
    #[error(
        "the model's output at position {position} is not a number: its weights are damaged; get the file again"
    )]
    NotANumber {
        /// Tokens before it.
        position: u32,
    },
    /// There is nothing to continue.
    #[error(
        "nothing to continue: this model adds no beginning-of-text token, so the prompt must not be empty"
    )]
    EmptyPrompt,
    /// A sampling parameter is out of its range.
    #[error("{name} is {value}; it must be {allowed}")]
    Parameter {
        /// The parameter, as llama.cpp's flag names it.
        name: &'static str,
        /// Its value.
        value: f32,
        /// What it may be.
        allowed: &'static str,
    },
    /// The inputs of a matrix product are NaN or infinite.
    #[error(
        "the inputs of {0} are not finite: the model is damaged, or its type is too narrow for this text"
    )]
    NonFinite(String),
}

/// What an error is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The file is not there, or cannot be read.
    File,
    /// The file is not a model, or damaged.
    DamagedModel,
    /// The model is of an architecture that siskin does not check.
    UnknownArchitecture,
    /// The model does not fit into memory.
    DoesNotFit,
    /// A setting cannot be had: on this machine, with this model, or together with another.
    Setting,
    /// The context has no room for more tokens or sequences.
    ContextFull,
    /// The request is empty or out of range.
    Request,
    /// llama.cpp failed.
    Engine,
}

impl Error {
    /// What the error is about.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Error::File(_) | Error::Header(GgufError::File(_)) | Error::Path(_) | Error::Embedded(_) => {
                ErrorKind::File
            }
            Error::Invalid {
                source: ValidateError::Architecture(_),
                ..
            } => ErrorKind::UnknownArchitecture,
            Error::Header(_) | Error::Invalid { .. } | Error::NotANumber { .. } | Error::NonFinite(_) => {
                ErrorKind::DamagedModel
            }
            Error::Settings(SettingsError::Budget(_)) => ErrorKind::DoesNotFit,
            Error::Settings(_)
            | Error::NotExact(_)
            | Error::Draft(_)
            | Error::CacheNeedsFlashAttention(_)
            | Error::CacheCrossesHeads { .. } => ErrorKind::Setting,
            Error::ContextFull { .. } | Error::TextTooLong { .. } | Error::NoSequence(_) => {
                ErrorKind::ContextFull
            }
            Error::EmptyPrompt | Error::Parameter { .. } => ErrorKind::Request,
            Error::Load { .. }
            | Error::Context { .. }
            | Error::Decode { .. }
            | Error::CannotTruncate(_)
            | Error::SaveState(_)
            | Error::LoadState(_)
            | Error::Pooling => ErrorKind::Engine,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_names_a_flag() {
        let errors = [
            Error::ContextFull {
                tokens: 9,
                room: 1,
                context: 8,
            },
            Error::Context {
                context: 9,
                reason: "no".into(),
            },
            Error::CacheNeedsFlashAttention(CacheType::Q8_0),
            Error::Settings(SettingsError::RepackFaults),
            Error::EmptyPrompt,
        ];
        for error in errors {
            let text = error.to_string();
            assert!(!text.contains(" -") && !text.contains("--"), "{text}");
        }
    }
}
