//! What can go wrong between a GGUF file and its text.

use std::io;
use std::path::PathBuf;

/// A model could not be loaded or run.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The file could not be opened or read.
    #[error("{}: {source}", path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file is not a GGUF model.
    #[error("{}: {reason}", path.display())]
    NotAModel {
        /// Which file.
        path: PathBuf,
        /// What is wrong, and what to do.
        reason: String,
    },
    /// The file's header is damaged.
    #[error(transparent)]
    Header(#[from] siskin_model::gguf::GgufError),
    /// llama.cpp refused the model.
    #[error("{}: llama.cpp cannot load this model: {reason}", path.display())]
    Load {
        /// Which file.
        path: PathBuf,
        /// What llama.cpp said.
        reason: String,
    },
    /// llama.cpp could not make a context.
    #[error("cannot make a context of {context} tokens: {reason}; try a smaller one with -c")]
    Context {
        /// Tokens asked for.
        context: u32,
        /// What llama.cpp said.
        reason: String,
    },
    /// More tokens than the context has room for.
    #[error(
        "{tokens} tokens do not fit into the {room} left of a context of {context}; shorten the prompt or enlarge the context with -c"
    )]
    TooLong {
        /// Tokens to feed.
        tokens: usize,
        /// Places left.
        room: u32,
        /// The context's size.
        context: u32,
    },
    /// A computation failed.
    #[error("llama.cpp failed to decode {tokens} tokens at position {position}: {reason}")]
    Decode {
        /// Tokens in the batch.
        tokens: usize,
        /// Where they were to stand.
        position: u32,
        /// What llama.cpp said.
        reason: String,
    },
    /// The model computes no numbers.
    #[error(
        "the model's output at position {position} is not a number: its weights are damaged, get the file again"
    )]
    NotANumber {
        /// Tokens before it.
        position: u32,
    },
    /// There is nothing to continue.
    #[error(
        "nothing to continue: this model adds no beginning-of-text token, so the prompt must not be empty"
    )]
    Empty,
    /// A sampler setting is out of its range.
    #[error("{name} is {value}; it must be {allowed}")]
    Setting {
        /// The setting.
        name: &'static str,
        /// Its value.
        value: f32,
        /// What it may be.
        allowed: &'static str,
    },
    /// A computation gave NaN or infinities.
    #[error("the inputs of {0} are not finite: the model is damaged, or too narrow a type for this text")]
    NonFinite(String),
}
