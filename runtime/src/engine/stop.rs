//! Stops a computation from outside: llama.cpp asks between two steps of its graph whether it shall go on.

use std::ffi::c_void;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering};

use llama_cpp_sys_2 as sys;

/// The flag that stops the computation under way, if one can.
#[derive(Debug, Clone, Default)]
pub(super) struct Stop(Arc<AtomicPtr<AtomicBool>>);

impl Stop {
    /// Has the context that `params` will make ask. It must be freed before this.
    pub(super) fn install(&self, params: &mut sys::llama_context_params) {
        params.abort_callback = Some(is_stopped);
        params.abort_callback_data = Arc::as_ptr(&self.0).cast_mut().cast();
    }

    /// Computes by `work`, which ends early once `flag` is true.
    pub(super) fn during<T>(&self, flag: Option<&AtomicBool>, work: impl FnOnce() -> T) -> T {
        /// Forgets the flag, even if the work panics.
        struct Forget<'s>(&'s AtomicPtr<AtomicBool>);
        impl Drop for Forget<'_> {
            fn drop(&mut self) {
                self.0.store(ptr::null_mut(), Ordering::Release);
            }
        }
        let flag = flag.map_or(ptr::null_mut(), |flag| ptr::from_ref(flag).cast_mut());
        self.0.store(flag, Ordering::Release);
        let _forget = Forget(&self.0);
        work()
    }
}

/// What llama.cpp calls: true ends the computation.
unsafe extern "C" fn is_stopped(data: *mut c_void) -> bool {
    // SAFETY: the pointer of the `Stop` that installed this; the context holds it and is freed first.
    let flag = unsafe { &*data.cast::<AtomicPtr<AtomicBool>>() };
    // SAFETY: the flag is borrowed for as long as its pointer is stored: `during` takes it away before it returns.
    let flag = unsafe { flag.load(Ordering::Acquire).as_ref() };
    flag.is_some_and(|flag| flag.load(Ordering::Relaxed))
}
