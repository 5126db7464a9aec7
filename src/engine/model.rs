//! A model: weights and vocabulary.

use std::ffi::CString;
use std::io::Write;
use std::ops::Range;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::{Duration, Instant};

use llama_cpp_2::model::LlamaModel;
use llama_cpp_2::token::LlamaToken;
use llama_cpp_2::vocab::VocabType;
use siskin_quant::gguf::Header;

use super::{EngineError, pages, preflight, raw};

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
            any_architecture: false,
        }
    }
}

/// A loaded model.
#[derive(Debug)]
pub struct Model {
    pub(super) inner: LlamaModel,
    load_time: Duration,
}

impl Model {
    /// Loads the GGUF file at `path`. It is checked first: llama.cpp aborts the process on some damaged files.
    pub fn load(path: &Path, options: &ModelOptions) -> Result<Self, EngineError> {
        let start = Instant::now();
        let header = preflight::check(path, options)?;
        let not_a_model = |reason: &str| EngineError::NotAModel {
            path: path.to_owned(),
            reason: reason.into(),
        };
        let c_path =
            CString::new(path.as_os_str().as_bytes()).map_err(|_| not_a_model("a path with a NUL byte"))?;
        let before = if options.mmap { vec![] } else { pages::anonymous() };
        let inner = raw::load(&c_path, options).map_err(|reason| EngineError::Load {
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

    /// The token ids of `text`. With `special`, the tokens that the model wants around a text are added; with
    /// `parse_special`, special tokens written out in the text are taken as such.
    pub fn tokenize(&self, text: &str, special: bool, parse_special: bool) -> Vec<Token> {
        let tokens = self
            .inner
            .vocab()
            .tokenize(text.as_bytes(), special, parse_special);
        tokens.into_iter().map(|token| Token(token.0)).collect()
    }

    /// The bytes a token stands for: part of a UTF-8 text, not always whole characters. Control tokens stand
    /// for nothing unless `special`.
    pub fn piece(&self, token: Token, special: bool) -> Vec<u8> {
        if token.0 < 0 || token.0 >= self.inner.n_vocab() {
            return Vec::new();
        }
        self.inner
            .vocab()
            .token_to_piece(LlamaToken(token.0), special, None)
    }

    /// True for tokens that end a text or a turn.
    pub fn is_end(&self, token: Token) -> bool {
        self.inner.vocab().is_eog(LlamaToken(token.0))
    }

    /// The chat template that came with the model, as written; `None` where there is none or it is no text.
    pub fn chat_template(&self) -> Option<String> {
        self.inner.chat_template(None).ok()?.to_string().ok()
    }

    /// A token's text as the vocabulary spells it; `None` where there is no such token.
    pub(super) fn spelling(&self, token: LlamaToken) -> Option<String> {
        let known = token.0 >= 0 && token.0 < self.inner.n_vocab();
        let vocab = self.inner.vocab();
        let text = known.then(|| vocab.text(token)).flatten()?;
        text.to_str().ok().map(str::to_owned)
    }

    /// The token that begins texts, where the model wants one there.
    pub fn begin(&self) -> Option<Token> {
        let vocab = self.inner.vocab();
        vocab.should_add_bos().then(|| Token(vocab.bos().0))
    }

    /// True where the vocabulary writes the space before the first word, as SentencePiece's does.
    pub fn leads_with_space(&self) -> bool {
        self.inner.vocab().vocab_type() == VocabType::SPM
    }

    /// Tokens in the vocabulary.
    pub fn vocabulary_len(&self) -> usize {
        usize::try_from(self.inner.n_vocab()).unwrap_or_default()
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

/// The bytes of the input embedding, where it is not the output too: a row a token is read, it need not stay.
fn lookup_only(header: &Header) -> Option<Range<u64>> {
    let tensor = |name: &str| header.tensors.iter().find(|tensor| tensor.name == name);
    let embedding = tensor("token_embd.weight").filter(|_| tensor("output.weight").is_some())?;
    Some(header.range(embedding))
}
