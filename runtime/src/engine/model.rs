//! A model: weights and tokenizer.

use std::ffi::CString;
use std::io::Write;
use std::ops::Range;
use std::os::fd::AsRawFd;
use std::panic::resume_unwind;
use std::path::Path;
use std::ptr::NonNull;
use std::sync::{Arc, Mutex, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use llama_cpp_2::model::LlamaModel;
use siskin_device::budget::DEFAULT_CONTEXT;
use siskin_device::settings::{Resolved, Values};
use siskin_model::files::Files;
use siskin_model::gguf::{Header, ModelFile};
use siskin_model::shape::Dimensions;
use siskin_model::tokenizer::normalizer::Normalizer;
use siskin_model::tokenizer::{self, Outline, Tokenizer};

use super::vocab::Vocab;
use super::{Context, ContextOptions, STORYTELLER, Session, exact, ffi, memory, opened, pages, validate};
use crate::{Error, Notice};

/// A token's id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(transparent)]
pub struct Token(pub i32);

/// How to load a model.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LoadOptions {
    /// Whether weights are mapped, locked and repacked; the other values are for contexts.
    pub values: Values,
    /// Load the tokenizer only.
    pub vocab_only: bool,
    /// Have llama.cpp read the vocabulary, in five times the memory, even if siskin can.
    pub llama_cpp_vocabulary: bool,
    /// Load architectures too whose shapes siskin cannot check: llama.cpp may abort the process on damaged ones.
    pub any_architecture: bool,
}

/// A loaded model. Cloning it gives another handle to the same weights.
#[derive(Debug, Clone)]
pub struct Model(Arc<Loaded>);

#[derive(Debug)]
struct Loaded {
    llama: LlamaModel,
    vocab: Vocab,
    /// The longest token's length in bytes, once someone asked.
    longest: OnceLock<usize>,
    head_dim: Option<u64>,
    lacks_pre_tokenizer: bool,
    /// Why siskin's kernels do not compute all of it.
    not_computed: Option<exact::NotExact>,
    settings: Resolved,
    load_time: Duration,
}

impl Model {
    /// Loads a model with these options and nothing else: no memory plan, no profile, no affinity. Programs want
    /// [`Model::builder`]; tests and measurements want this.
    ///
    /// The file is checked first: llama.cpp aborts the process on some damaged files.
    ///
    /// # Errors
    /// The file cannot be read, is damaged, or llama.cpp refuses it.
    pub fn load(path: &Path, options: &LoadOptions) -> Result<Self, Error> {
        let settings = Resolved {
            values: options.values,
            ..Resolved::default()
        };
        Model::load_resolved(path, options, settings)
    }

    /// The same, of a model in memory, through an anonymous file.
    ///
    /// # Errors
    /// As [`Model::load`]'s.
    pub fn load_bytes(bytes: &[u8], options: &LoadOptions) -> Result<Self, Error> {
        with_file(bytes, |path| Model::load(path, options))
    }

    /// The same, of the model at `path`, or of the embedded one.
    ///
    /// # Errors
    /// As [`Model::load`]'s.
    pub fn open(path: Option<&Path>, options: &LoadOptions) -> Result<Self, Error> {
        match path {
            Some(path) => Model::load(path, options),
            None => Model::load_bytes(STORYTELLER, options),
        }
    }

    /// The same, with the settings that contexts of this model will have.
    pub(crate) fn open_resolved(
        path: Option<&Path>,
        options: &LoadOptions,
        settings: Resolved,
    ) -> Result<Self, Error> {
        match path {
            Some(path) => Model::load_resolved(path, options, settings),
            None => with_file(STORYTELLER, |path| Model::load_resolved(path, options, settings)),
        }
    }

    fn load_resolved(path: &Path, options: &LoadOptions, settings: Resolved) -> Result<Self, Error> {
        let start = Instant::now();
        let ModelFile { files, mut header } = validate::check(path, options)?;
        let names = opened::names(&files)?;
        let values = &options.values;
        let before = if values.mmap { vec![] } else { memory::anonymous() };
        let lookup = lookup_only(&header).map(|bytes| {
            let (file, start) = files.locate(bytes.start);
            (file, start..start + (bytes.end - bytes.start))
        });
        if values.mmap && values.huge_pages && !options.vocab_only {
            for index in 0..files.count() {
                let lookup = lookup.as_ref().filter(|(file, _)| *file == index);
                let lookup = lookup.map_or(0..0, |(_, bytes)| bytes.clone());
                if let Some(file) = files.file(index) {
                    pages::make_huge(file, files.path(index), &lookup);
                }
            }
        }
        let (llama, vocab) = load(&names, options, &mut header).map_err(|reason| Error::Load {
            path: path.to_owned(),
            reason: with_paths(reason, &names, &files),
        })?;
        match lookup {
            _ if !values.mmap => {
                memory::make_huge(&before);
                if !options.vocab_only {
                    let on_disk = (0..files.count()).filter_map(|index| files.file(index));
                    on_disk.for_each(pages::release);
                }
            }
            Some((file, bytes)) if !values.mlock => {
                if let Some(name) = files.file(file).and_then(opened::mapped_name) {
                    memory::drop_mapped(&name, bytes);
                }
            }
            _ => {}
        }
        let lacks_pre_tokenizer = tokenizer::lacks_pre_tokenizer(&header.metadata);
        let head_dim = Dimensions::from_metadata(&header.metadata).key_length;
        let not_computed = exact::not_computed(&header);
        drop(header);
        memory::trim();
        Ok(Model(Arc::new(Loaded {
            llama,
            vocab,
            longest: OnceLock::new(),
            head_dim,
            lacks_pre_tokenizer,
            not_computed,
            settings,
            load_time: start.elapsed(),
        })))
    }

    /// An empty session with the settings that the model was loaded with.
    ///
    /// # Errors
    /// llama.cpp cannot make a context with them.
    pub fn session(&self) -> Result<Session, Error> {
        Session::new(self, self.context_options())
    }

    /// An empty context for many sequences; `options` are best made from [`Model::context_options`].
    ///
    /// # Errors
    /// llama.cpp cannot make it.
    pub fn context(&self, options: ContextOptions) -> Result<Context, Error> {
        Context::new(self, options)
    }

    /// The settings that the model was loaded with, for a context of one sequence.
    pub fn context_options(&self) -> ContextOptions {
        ContextOptions {
            context: self.settings().context(),
            ..ContextOptions::from(self.settings().values)
        }
    }

    /// The settings in force, and where each came from.
    pub fn settings(&self) -> &Resolved {
        &self.0.settings
    }

    /// The chat template that came with the model, as written; `None` if there is none or it is not text.
    pub fn chat_template(&self) -> Option<String> {
        self.0.llama.chat_template(None).ok()?.to_string().ok()
    }

    /// The context that the model was trained with, in tokens.
    pub fn training_context(&self) -> u32 {
        self.0.llama.n_ctx_train()
    }

    /// The context taken if none is asked for: the training length, at most 4096 tokens.
    pub(super) fn default_context(&self) -> u32 {
        self.training_context().min(DEFAULT_CONTEXT)
    }

    /// Numbers of a head, if the file states them.
    pub(super) fn head_dim(&self) -> Option<u64> {
        self.0.head_dim
    }

    /// What a user should know about the vocabulary.
    pub fn notice(&self) -> Option<Notice> {
        self.0.lacks_pre_tokenizer.then_some(Notice::NoPreTokenizer)
    }

    /// How long loading took.
    pub fn load_time(&self) -> Duration {
        self.0.load_time
    }

    pub(super) fn llama(&self) -> &LlamaModel {
        &self.0.llama
    }

    /// Why siskin's kernels do not compute all of it.
    pub(super) fn not_computed(&self) -> Option<&exact::NotExact> {
        self.0.not_computed.as_ref()
    }

    pub(super) fn longest(&self) -> &OnceLock<usize> {
        &self.0.longest
    }

    pub(super) fn vocab(&self) -> &Vocab {
        &self.0.vocab
    }

    pub(super) fn raw(&self) -> NonNull<llama_cpp_sys_2::llama_model> {
        ffi::model(&self.0.llama)
    }
}

/// Puts `bytes` where llama.cpp can open them by a path.
fn with_file(bytes: &[u8], load: impl FnOnce(&Path) -> Result<Model, Error>) -> Result<Model, Error> {
    let memory = rustix::fs::memfd_create("siskin-model", rustix::fs::MemfdFlags::CLOEXEC);
    let mut file = std::fs::File::from(memory.map_err(|errno| Error::Embedded(errno.into()))?);
    file.write_all(bytes).map_err(Error::Embedded)?;
    load(format!("/proc/self/fd/{}", file.as_raw_fd()).as_ref())
}

/// llama.cpp's reason, with the paths that the user knows instead of descriptors.
fn with_paths(mut reason: String, names: &[CString], files: &Files) -> String {
    for (index, name) in names.iter().enumerate() {
        let path = files.path(index).display().to_string();
        reason = reason.replace(&*name.to_string_lossy(), &path);
    }
    reason
}

/// Loads the weights by llama.cpp and the tokenizer by siskin, at the same time; or both by llama.cpp.
fn load(
    names: &[CString],
    options: &LoadOptions,
    header: &mut Header,
) -> Result<(LlamaModel, Vocab), String> {
    let architecture = header
        .metadata
        .text("general.architecture")
        .unwrap_or_default()
        .to_owned();
    let outline = match options.llama_cpp_vocabulary {
        true => None,
        false => Outline::from_metadata(&header.metadata),
    };
    if let Some(outline) = outline {
        let no_vocabulary = ffi::NoVocabulary {
            architecture: &architecture,
            tokens: outline.token_count(),
        };
        let input = Mutex::new(Some((outline, &mut header.metadata)));
        let tokenizer = || {
            let (outline, metadata) = input.lock().ok()?.take()?;
            Tokenizer::new(outline, metadata)
        };
        let (llama, own) = thread::scope(|scope| {
            let own = thread::Builder::new().spawn_scoped(scope, tokenizer);
            let llama = ffi::load(names, options, Some(no_vocabulary));
            let own = match own {
                Ok(own) => own.join().unwrap_or_else(|panic| resume_unwind(panic)),
                // No thread is to be had: one after the other.
                Err(_) => tokenizer(),
            };
            (llama, own)
        });
        let llama = llama?;
        if let Some(own) = own {
            return Ok((llama, Vocab::Own(Box::new(own))));
        }
    }
    if !options.llama_cpp_vocabulary && tokenizer::overflows_in_llama_cpp(&header.metadata) {
        return Err(
            "only llama.cpp could read its vocabulary, and a long word in a text would crash it; \
                    convert the model again from its checkpoint"
                .into(),
        );
    }
    let normalizer = Normalizer::from_metadata(&header.metadata).unwrap_or(Normalizer::None);
    Ok((ffi::load(names, options, None)?, Vocab::LlamaCpp(normalizer)))
}

/// The bytes of the input embedding, if it is not the output too: decoding reads a row of it a token, so it need not
/// stay in memory.
fn lookup_only(header: &Header) -> Option<Range<u64>> {
    let tensor = |name: &str| header.tensors.iter().find(|tensor| tensor.name == name);
    let embedding = tensor("token_embd.weight").filter(|_| tensor("output.weight").is_some())?;
    Some(header.range(embedding))
}
