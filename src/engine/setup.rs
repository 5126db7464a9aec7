//! Models and sessions from a device's settings.

use std::path::Path;

use super::{EngineError, Model, ModelOptions, STORYTELLER, SessionOptions};
use crate::device::tuned::Tunable;

impl ModelOptions {
    /// As `settings` say; `mlock` keeps the weights in memory.
    pub fn of(settings: &Tunable, mlock: bool) -> Self {
        ModelOptions {
            repack: settings.repack,
            mmap: settings.mmap,
            mlock,
            ..ModelOptions::default()
        }
    }
}

impl SessionOptions {
    /// As `settings` say, with a context of `context` tokens.
    pub fn of(settings: &Tunable, context: Option<u32>) -> Self {
        SessionOptions {
            context,
            kv_type: settings.kv_type,
            flash_attention: settings.flash_attention,
            ubatch: settings.ubatch,
            threads: settings.threads,
            threads_batch: settings.threads_batch,
        }
    }
}

impl Model {
    /// Loads the GGUF file at `path`, or the embedded model.
    pub fn open(path: Option<&Path>, options: &ModelOptions) -> Result<Self, EngineError> {
        match path {
            Some(path) => Model::load(path, options),
            None => Model::load_bytes(STORYTELLER, options),
        }
    }
}
