//! Calls into llama.cpp's C interface for which llama-cpp-2 has no safe form.

use std::ffi::{CStr, CString, c_char, c_void};
use std::mem;
use std::ptr;
use std::sync::{Mutex, OnceLock};

use llama_cpp_2::llama_backend::LlamaBackend;
use llama_cpp_2::model::LlamaModel;
use llama_cpp_sys_2 as sys;
use sys::llama_model_kv_override__bindgen_ty_1 as Content;

use super::LoadOptions;

/// llama.cpp's global state, created once per process.
pub(super) fn backend() -> &'static LlamaBackend {
    static BACKEND: OnceLock<LlamaBackend> = OnceLock::new();
    BACKEND.get_or_init(|| {
        if LOG.get().is_none() {
            silence();
        }
        crate::ggml_hook::select_default();
        LlamaBackend::init().expect("the only initialisation in this process")
    })
}

/// The first error that llama.cpp logged since this was last cleared, while its log is silenced.
static FIRST_ERROR: Mutex<String> = Mutex::new(String::new());

unsafe extern "C" fn keep_errors(level: sys::ggml_log_level, text: *const c_char, _: *mut c_void) {
    if level != sys::GGML_LOG_LEVEL_ERROR || text.is_null() {
        return;
    }
    // SAFETY: llama.cpp passes a C string that lives until the callback returns; null was ruled out.
    let text = unsafe { CStr::from_ptr(text) };
    if let Ok(mut first) = FIRST_ERROR.try_lock()
        && first.is_empty()
    {
        *first = text.to_string_lossy().trim().to_owned();
    }
}

/// The version of llama.cpp that is linked in.
pub fn llama_cpp_version() -> String {
    // SAFETY: takes no argument, returns a string constant.
    let version = unsafe { CStr::from_ptr(sys::llama_version()) };
    version.to_string_lossy().into_owned()
}

/// Whom llama.cpp's log is shown to.
static LOG: OnceLock<fn(&str)> = OnceLock::new();

/// Has llama.cpp's log passed to `show`, line by line or in parts of lines; it has names from the model's file as they
/// are there. By default it is silent, and errors carry its first complaint. The first call in a process counts.
pub fn show_log(show: fn(&str)) {
    LOG.get_or_init(|| show);
    // SAFETY: the callback has the required signature, reads nothing but the text while the text lives, and lives for
    // ever; a panic of `show` aborts. No user data is passed.
    unsafe { sys::llama_log_set(Some(pass_on), ptr::null_mut()) };
}

unsafe extern "C" fn pass_on(level: sys::ggml_log_level, text: *const c_char, data: *mut c_void) {
    // SAFETY: the same arguments.
    unsafe { keep_errors(level, text, data) };
    if let Some(show) = LOG.get().filter(|_| !text.is_null()) {
        // SAFETY: llama.cpp passes a C string that lives until the callback returns; null was ruled out.
        show(&unsafe { CStr::from_ptr(text) }.to_string_lossy());
    }
}

/// Drops what llama.cpp would log to stderr; errors are kept, so that loading can report them.
fn silence() {
    // SAFETY: the callback has the required signature, reads nothing but the text while the text lives,
    // cannot panic and lives for ever; no user data is passed.
    unsafe { sys::llama_log_set(Some(keep_errors), ptr::null_mut()) };
}

/// The first error that llama.cpp logged, without the function name in front of it.
pub(super) fn first_error() -> String {
    let text = FIRST_ERROR
        .lock()
        .map(|mut text| mem::take(&mut *text))
        .unwrap_or_default();
    match text
        .rsplit_once("error loading model: ")
        .map(|(_, reason)| reason)
    {
        Some(reason) => reason.to_owned(),
        None if text.is_empty() => "it gave no reason".into(),
        None => text,
    }
}

/// Forgets what was logged before.
pub(super) fn forget_error() {
    drop(first_error());
}

/// The features that llama.cpp's kernels were compiled with, by its own names, e.g. `AVX2`, `DOTPROD`.
pub fn compiled_features() -> Vec<String> {
    backend();
    static CALL: Mutex<()> = Mutex::new(());
    let call = CALL.lock();
    // SAFETY: returns a C string that llama.cpp keeps until the next call, on any thread; it is copied while
    // the lock keeps this function, the only caller, from being entered twice.
    let text = unsafe { CStr::from_ptr(sys::llama_print_system_info()) }
        .to_string_lossy()
        .into_owned();
    drop(call);
    // "CPU : SSE3 = 1 | AVX2 = 1 | "
    let features = text.split(['|', ':']).filter_map(|part| part.split_once(" = "));
    features
        .filter(|(_, value)| value.trim() != "0")
        .map(|(name, _)| name.trim().to_owned())
        .collect()
}

/// Loads a model from its file, or from all files that it was split into; the error is llama.cpp's reason for refusing it.
///
/// llama-cpp-2 has no setter for `use_extra_bufts`. With it, as is llama.cpp's default, weights are repacked
/// into a second copy in addition to the mapped file.
pub(super) fn load(
    paths: &[CString],
    options: &LoadOptions,
    no_vocabulary: Option<NoVocabulary>,
) -> Result<LlamaModel, String> {
    backend();
    let overrides = no_vocabulary.map(|dummy| dummy.overrides()).transpose()?;
    forget_error();
    // SAFETY: takes no argument, returns a plain struct by value.
    let mut params = unsafe { sys::llama_model_default_params() };
    params.n_gpu_layers = 0;
    params.use_extra_bufts = options.values.repack;
    params.vocab_only = options.vocab_only;
    if let Some(overrides) = &overrides {
        params.kv_overrides = overrides.as_ptr();
    }
    params.load_mode = match (options.values.mmap, options.values.mlock) {
        (false, false) => sys::LLAMA_LOAD_MODE_NONE,
        (true, false) => sys::LLAMA_LOAD_MODE_MMAP,
        (false, true) => sys::LLAMA_LOAD_MODE_MLOCK,
        (true, true) => sys::LLAMA_LOAD_MODE_MMAP_MLOCK,
    };
    let mut pointers: Vec<*const c_char> = paths.iter().map(|path| path.as_ptr()).collect();
    // SAFETY: `pointers` has as many C strings as are announced; they outlive the call, which copies them. `params`
    // are the defaults with plain fields changed, so every pointer in them was set by llama.cpp (to null), except the
    // overrides: they end with one that has no key, outlive the call, and are copied in it.
    let model = unsafe { sys::llama_model_load_from_splits(pointers.as_mut_ptr(), pointers.len(), params) };
    let model = ptr::NonNull::new(model).ok_or_else(first_error)?;
    // SAFETY: `LlamaModel` is `repr(transparent)` over a `NonNull<llama_model>`, and owns it: its `Drop`
    // frees the model exactly once. `model` has just come from llama.cpp and has no other owner.
    Ok(unsafe { mem::transmute::<ptr::NonNull<sys::llama_model>, LlamaModel>(model) })
}

/// What llama.cpp is given instead of the file's vocabulary: no vocabulary, and the number of tokens.
#[derive(Debug)]
pub(super) struct NoVocabulary<'a> {
    /// The value of `general.architecture`.
    pub(super) architecture: &'a str,
    /// The number of rows of the model's embedding.
    pub(super) tokens: usize,
}

impl NoVocabulary<'_> {
    /// Two keys that replace the file's, and the end of the list.
    fn overrides(&self) -> Result<[sys::llama_model_kv_override; 3], String> {
        let mut text = [0; 128];
        write(&mut text, "no_vocab")?;
        let tokens = i64::try_from(self.tokens).map_err(|e| e.to_string())?;
        let size_key = format!("{}.vocab_size", self.architecture);
        Ok([
            value(
                "tokenizer.ggml.model",
                sys::LLAMA_KV_OVERRIDE_TYPE_STR,
                Content { val_str: text },
            )?,
            value(
                &size_key,
                sys::LLAMA_KV_OVERRIDE_TYPE_INT,
                Content { val_i64: tokens },
            )?,
            value("", sys::LLAMA_KV_OVERRIDE_TYPE_INT, Content { val_i64: 0 })?,
        ])
    }
}

fn value(
    key: &str,
    tag: sys::llama_model_kv_override_type,
    value: Content,
) -> Result<sys::llama_model_kv_override, String> {
    let mut bytes = [0; 128];
    write(&mut bytes, key)?;
    Ok(sys::llama_model_kv_override {
        tag,
        key: bytes,
        __bindgen_anon_1: value,
    })
}

/// Writes a C string into `bytes`.
fn write(bytes: &mut [c_char; 128], text: &str) -> Result<(), String> {
    // The last byte stays zero.
    if text.len() >= bytes.len() {
        return Err(format!("the key {text:?} is too long"));
    }
    for (to, from) in bytes.iter_mut().zip(text.bytes()) {
        *to = from as c_char;
    }
    Ok(())
}

/// The llama.cpp model that a `LlamaModel` wraps.
pub(super) fn model(model: &LlamaModel) -> ptr::NonNull<sys::llama_model> {
    // SAFETY: `LlamaModel` is `repr(transparent)` over this pointer.
    unsafe { *ptr::from_ref(model).cast() }
}

const _: () = assert!(mem::size_of::<LlamaModel>() == mem::size_of::<*mut sys::llama_model>());

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn features_are_names_and_hold_what_rust_was_compiled_with() {
        let features = compiled_features();
        assert!(
            features
                .iter()
                .all(|name| !name.is_empty() && !name.contains(' ')),
            "{features:?}"
        );
        let has = |name: &str| features.iter().any(|feature| feature == name);
        assert_eq!(has("AVX2"), cfg!(target_feature = "avx2"), "{features:?}");
        assert_eq!(has("DOTPROD"), cfg!(target_feature = "dotprod"), "{features:?}");
    }

    #[test]
    fn a_file_that_is_no_model_is_refused_and_nothing_is_freed_twice() {
        backend();
        let path = CString::new("/dev/null").expect("no NUL");
        for _ in 0..2 {
            assert!(load(std::slice::from_ref(&path), &LoadOptions::default(), None).is_err());
        }
    }
}
