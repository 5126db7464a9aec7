//! A context whose matrix products are watched: llama.cpp's evaluation callback, which llama-cpp-2 has no setter for.

use std::ffi::{CStr, c_void};
use std::marker::PhantomData;
use std::ptr::{self, NonNull};

use llama_cpp_sys_2 as sys;

use super::collector::Collector;
use super::product::Product;
use super::{EngineError, Model, Token, raw};

/// Tokens computed together: the logits of each are kept, so this bounds memory.
const BATCH: u32 = 128;

/// A context of llama.cpp and who watches it.
#[derive(Debug)]
pub(super) struct Watched<'m> {
    context: Context,
    /// What the callback writes to, by this pointer alone while llama.cpp computes. Made by `Box::into_raw`.
    watcher: NonNull<Collector>,
    life: PhantomData<&'m Model>,
}

/// An owned `llama_context`.
#[derive(Debug)]
struct Context(NonNull<sys::llama_context>);

impl Drop for Context {
    fn drop(&mut self) {
        // SAFETY: the pointer came from `llama_init_from_model` and is freed here only.
        unsafe { sys::llama_free(self.0.as_ptr()) };
    }
}

impl<'m> Watched<'m> {
    pub(super) fn new(
        model: &'m Model,
        tokens: u32,
        threads: usize,
        watcher: Collector,
    ) -> Result<Self, EngineError> {
        let threads = i32::try_from(threads.max(1)).unwrap_or(i32::MAX);
        // SAFETY: takes nothing, returns a plain struct by value.
        let mut params = unsafe { sys::llama_context_default_params() };
        params.n_ctx = tokens;
        params.n_batch = BATCH.min(tokens);
        params.n_ubatch = BATCH.min(tokens);
        params.n_seq_max = 1;
        params.n_threads = threads;
        params.n_threads_batch = threads;
        let watcher = NonNull::from(Box::leak(Box::new(watcher)));
        params.cb_eval = Some(watch);
        params.cb_eval_user_data = watcher.as_ptr().cast();
        // SAFETY: the model outlives the context (`'m`), and the watcher does too: it is freed after the context, in
        // `drop` and `into_watcher`. Every other pointer in `params` is llama.cpp's own.
        let context = unsafe { sys::llama_init_from_model(raw::model(&model.inner).as_ptr(), params) };
        let Some(context) = NonNull::new(context) else {
            // SAFETY: made by `Box::leak` above and known to nobody else, as there is no context.
            drop(unsafe { Box::from_raw(watcher.as_ptr()) });
            return Err(EngineError::Context {
                context: tokens,
                reason: "llama.cpp refused it".into(),
            });
        };
        Ok(Watched {
            context: Context(context),
            watcher,
            life: PhantomData,
        })
    }

    /// Computes these tokens from an empty context on.
    pub(super) fn run(&mut self, tokens: &[Token]) -> Result<(), EngineError> {
        let context = self.context.0.as_ptr();
        // SAFETY: the context is alive, and used by this thread alone (`&mut self`).
        unsafe { sys::llama_memory_clear(sys::llama_get_memory(context), true) };
        for (index, part) in tokens.chunks(BATCH as usize).enumerate() {
            let mut ids: Vec<i32> = part.iter().map(|token| token.0).collect();
            // Every token is an output: llama.cpp drops the others before the last layer's products.
            let mut outputs = vec![1i8; part.len()];
            let batch = sys::llama_batch {
                n_tokens: i32::try_from(part.len()).expect("a batch is short"),
                token: ids.as_mut_ptr(),
                embd: ptr::null_mut(),
                pos: ptr::null_mut(),
                n_seq_id: ptr::null_mut(),
                seq_id: ptr::null_mut(),
                logits: outputs.as_mut_ptr(),
            };
            // SAFETY: `token` and `logits` hold `n_tokens` values and outlive the call; null positions and sequences
            // mean "the next ones" of sequence 0. The callback runs within this call, on this thread.
            let status = unsafe { sys::llama_decode(context, batch) };
            if status != 0 {
                return Err(EngineError::Decode {
                    tokens: part.len(),
                    position: index as u32 * BATCH,
                    reason: format!("status {status}"),
                });
            }
        }
        Ok(())
    }

    pub(super) fn watcher(&self) -> &Collector {
        // SAFETY: alive until `self` is dropped; llama.cpp's callback writes within `run` alone, which takes `&mut self`.
        unsafe { self.watcher.as_ref() }
    }

    pub(super) fn into_watcher(mut self) -> Collector {
        let empty = NonNull::from(Box::leak(Box::new(Collector::default())));
        // SAFETY: made by `Box::leak`; after the exchange only this function has it, and `run` is never called again.
        *unsafe { Box::from_raw(std::mem::replace(&mut self.watcher, empty).as_ptr()) }
    }
}

impl Drop for Watched<'_> {
    fn drop(&mut self) {
        // SAFETY: made by `Box::leak`, freed here only, and no computation is under way that could call back.
        drop(unsafe { Box::from_raw(self.watcher.as_ptr()) });
    }
}

/// llama.cpp asks of each tensor whether it is wanted, and shows those that are once they are computed.
unsafe extern "C" fn watch(tensor: *mut sys::ggml_tensor, ask: bool, watcher: *mut c_void) -> bool {
    // SAFETY: llama.cpp passes a tensor of the graph that it computes.
    let tensor = unsafe { &*tensor };
    if tensor.op != sys::GGML_OP_MUL_MAT {
        // Asked: not wanted. Shown: go on.
        return !ask;
    }
    // SAFETY: a product has two factors; names end within their array.
    let (weights, input, name) = unsafe {
        let weights = &*tensor.src[0];
        (weights, &*tensor.src[1], CStr::from_ptr(weights.name.as_ptr()))
    };
    let name = name.to_str().unwrap_or_default();
    // SAFETY: the watcher that `Watched::new` passed, alive and borrowed by nobody else while a computation runs.
    let watcher = unsafe { &mut *watcher.cast::<Collector>() };
    if ask {
        return input.type_ == sys::GGML_TYPE_F32 && watcher.wants(name);
    }
    if let Some(product) = Product::of(weights, input) {
        watcher.add(name, &product);
    }
    true
}
