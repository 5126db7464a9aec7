//! A model: weights and vocabulary.

use std::ffi::{CStr, CString};
use std::io::Write;
use std::ops::Range;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::{Duration, Instant};

use llama_cpp_2::model::LlamaModel;
use siskin_model::gguf::Header;

use super::words::Words;
use super::{EngineError, pages, preflight, raw};
use siskin_model::tokenizer::{Outline, Vocabulary};

/// A token's id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(transparent)]
pub struct Token(pub i32);

/// How to load a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ModelOptions {
    /// Map the file instead of reading it: weights stay in the page cache and are shared between processes.
    pub mmap: bool,
    /// Keep the weights from being swapped out.
    pub mlock: bool,
    /// Let llama.cpp repack weights for the CPU: faster on some CPUs, at the price of a second copy.
    pub repack: bool,
    /// Load the vocabulary only.
    pub vocab_only: bool,
    /// Have llama.cpp read the vocabulary, in five times the memory, also where siskin can.
    pub llama_cpp_vocabulary: bool,
    /// Load architectures too whose shapes siskin cannot check: llama.cpp may abort the process on damaged ones.
    pub any_architecture: bool,
}

impl Default for ModelOptions {
    fn default() -> Self {
        ModelOptions {
            mmap: true,
            mlock: false,
            repack: false,
            vocab_only: false,
            llama_cpp_vocabulary: false,
            any_architecture: false,
        }
    }
}

/// A loaded model.
#[derive(Debug)]
pub struct Model {
    pub(super) inner: LlamaModel,
    pub(super) words: Words,
    load_time: Duration,
}

impl Model {
    /// Loads the GGUF file at `path`. It is checked first: llama.cpp aborts the process on some damaged files.
    pub fn load(path: &Path, options: &ModelOptions) -> Result<Self, EngineError> {
        let start = Instant::now();
        let mut header = validate::check(path, options)?;
        let not_a_model = |reason: &str| EngineError::NotAModel {
            path: path.to_owned(),
            reason: reason.into(),
        };
        let c_path =
            CString::new(path.as_os_str().as_bytes()).map_err(|_| not_a_model("a path with a NUL byte"))?;
        let before = if options.mmap { vec![] } else { pages::anonymous() };
        let (inner, words) = load(&c_path, options, &mut header).map_err(|reason| EngineError::Load {
            path: path.to_owned(),
            reason,
        })?;
        match lookup_only(&header) {
            _ if !options.mmap => pages::make_huge(&before),
            Some(bytes) if !options.mlock => pages::drop_mapped(path, bytes),
            _ => {}
        }
        drop(header);
        pages::trim();
        Ok(Model {
            inner,
            words,
            load_time: start.elapsed(),
        })
    }

    /// Loads a model from memory, through an anonymous file where the system has them, else a temporary one.
    pub fn load_bytes(bytes: &[u8], options: &ModelOptions) -> Result<Self, EngineError> {
        let io = |source| EngineError::Io {
            path: "the embedded model".into(),
            source,
        };
        let mut file = match rustix::fs::memfd_create("siskin-model", rustix::fs::MemfdFlags::CLOEXEC) {
            Ok(fd) => std::fs::File::from(fd),
            Err(_) => tempfile::tempfile().map_err(io)?,
        };
        file.write_all(bytes).map_err(io)?;
        Model::load(format!("/proc/self/fd/{}", file.as_raw_fd()).as_ref(), options)
    }

    /// The chat template that came with the model, as written; `None` where there is none or it is no text.
    pub fn chat_template(&self) -> Option<String> {
        self.inner.chat_template(None).ok()?.to_string().ok()
    }

    /// The context the model was trained with, in tokens.
    pub fn training_context(&self) -> u32 {
        self.inner.n_ctx_train()
    }

    /// How long loading took.
    pub fn load_time(&self) -> Duration {
        self.load_time
    }
}

/// Loads the weights by llama.cpp and the vocabulary by siskin, side by side; or both by llama.cpp.
fn load(path: &CStr, options: &ModelOptions, header: &mut Header) -> Result<(LlamaModel, Words), String> {
    let architecture = header
        .metadata
        .text("general.architecture")
        .unwrap_or_default()
        .to_owned();
    let outline = match options.llama_cpp_vocabulary {
        true => None,
        false => Outline::of(&header.metadata),
    };
    if let Some(outline) = outline {
        let no_vocabulary = raw::NoVocabulary {
            architecture: &architecture,
            tokens: outline.len(),
        };
        let metadata = &mut header.metadata;
        let (inner, own) = std::thread::scope(|scope| {
            let own = scope.spawn(|| Vocabulary::build(outline, metadata));
            let inner = raw::load(path, options, Some(no_vocabulary));
            let own = own.join();
            (
                inner,
                own.unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
            )
        });
        let inner = inner?;
        if let Some(own) = own {
            return Ok((inner, Words::Own(Box::new(own))));
        }
    }
    Ok((raw::load(path, options, None)?, Words::LlamaCpp))
}

/// The bytes of the input embedding, where it is not the output too: a row a token is read, it need not stay.
fn lookup_only(header: &Header) -> Option<Range<u64>> {
    let tensor = |name: &str| header.tensors.iter().find(|tensor| tensor.name == name);
    let embedding = tensor("token_embd.weight").filter(|_| tensor("output.weight").is_some())?;
    Some(header.range(embedding))
}
