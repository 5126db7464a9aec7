//! llama.cpp's evaluation callback as a trait: who sees the matrix products of a context.

use std::any::Any;
use std::ffi::{CStr, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::ptr::NonNull;

use llama_cpp_sys_2 as sys;

use super::MulMat;

/// Sees the matrix products of a context while they are computed.
pub trait EvalCallback: Send {
    /// Whether products with the tensor of this name are wanted.
    fn wants(&mut self, tensor: &str) -> bool;

    /// A product with a tensor that was wanted.
    fn mul_mat(&mut self, tensor: &str, product: &MulMat<'_>);
}

impl std::fmt::Debug for dyn EvalCallback {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("EvalCallback")
    }
}

/// What llama.cpp's pointer points to.
struct Data {
    callback: Box<dyn EvalCallback>,
    /// A panic in the callback: it must not unwind through llama.cpp, and goes on after the computation.
    panic: Option<Box<dyn Any + Send>>,
}

/// Owns the data behind llama.cpp's pointer.
pub(super) struct Bridge(NonNull<Data>);

// SAFETY: the data is `Send`, and owned by this alone.
unsafe impl Send for Bridge {}

impl std::fmt::Debug for Bridge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Bridge")
    }
}

impl Bridge {
    pub(super) fn new(callback: Box<dyn EvalCallback>) -> Self {
        let data = Data {
            callback,
            panic: None,
        };
        Bridge(NonNull::from(Box::leak(Box::new(data))))
    }

    /// Has the context that `params` will make call back. It must be freed before this.
    pub(super) fn install(&self, params: &mut sys::llama_context_params) {
        params.cb_eval = Some(observe);
        params.cb_eval_user_data = self.0.as_ptr().cast();
    }

    /// Goes on with a panic that came during a computation.
    pub(super) fn resume_panic(&mut self) {
        // SAFETY: made in `new`, freed in `drop`. No computation is under way, so there is no other reference.
        let data = unsafe { self.0.as_mut() };
        if let Some(panic) = data.panic.take() {
            resume_unwind(panic);
        }
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        // SAFETY: made by `Box::leak` in `new`, freed here only; the context that could call back was freed before.
        drop(unsafe { Box::from_raw(self.0.as_ptr()) });
    }
}

/// llama.cpp asks of each tensor whether it is wanted, and shows those that are once they are computed.
unsafe extern "C" fn observe(tensor: *mut sys::ggml_tensor, ask: bool, data: *mut c_void) -> bool {
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
    // SAFETY: the data of the bridge that installed this, alive and not borrowed otherwise while llama.cpp computes.
    let data = unsafe { &mut *data.cast::<Data>() };
    let called = catch_unwind(AssertUnwindSafe(|| {
        if ask {
            return input.type_ == sys::GGML_TYPE_F32 && data.callback.wants(name);
        }
        if let Some(product) = MulMat::new(weights, input) {
            data.callback.mul_mat(name, &product);
        }
        true
    }));
    called.unwrap_or_else(|panic| {
        data.panic.get_or_insert(panic);
        // Asked: not wanted. Shown: stop the computation.
        false
    })
}
