//! How the process ends if llama.cpp cannot go on: ggml's checks abort, and exceptions of C++ that nothing handles.

use std::ffi::{CStr, c_char};
use std::sync::OnceLock;

use llama_cpp_sys_2 as sys;

/// What a program does then.
static END: OnceLock<fn(&str)> = OnceLock::new();

unsafe extern "C" {
    /// `std::set_terminate` of the C++ library, by its name in the Itanium C++ ABI.
    #[link_name = "_ZSt13set_terminatePFvvE"]
    fn set_terminate(handler: extern "C" fn()) -> Option<extern "C" fn()>;
}

/// Has `end` called with the reason if llama.cpp cannot go on, on whatever thread that happens; `end` best ends the
/// process, because it is aborted if `end` returns. Without this ggml prints a trace of the stack. The first call in a
/// process counts.
pub fn on_abort(end: fn(&str)) {
    if END.set(end).is_err() {
        return;
    }
    // SAFETY: both handlers have the signatures that are asked for, live for ever, and do not unwind: a panic in an
    // `extern "C"` function aborts.
    unsafe {
        sys::ggml_set_abort_callback(Some(aborted));
        set_terminate(terminated);
    }
}

unsafe extern "C" fn aborted(message: *const c_char) {
    if message.is_null() {
        return call("it gave no reason");
    }
    // SAFETY: ggml passes a C string that lives until this returns; null was ruled out.
    let message = unsafe { CStr::from_ptr(message) };
    call(&reason(&message.to_string_lossy()));
}

extern "C" fn terminated() {
    call(NO_MEMORY);
    std::process::abort();
}

fn call(reason: &str) {
    if let Some(end) = END.get() {
        end(reason);
    }
}

/// Nearly every such end has this cause: what is wrong with a model is found before.
const NO_MEMORY: &str = "it cannot have the memory that it needs; is it limited?";

/// A line for people from ggml's `FILE:LINE: GGML_ASSERT(CONDITION) failed`.
fn reason(message: &str) -> String {
    let line = message.lines().next().unwrap_or_default();
    // Allocations are checked for null.
    if ["!= NULL", "!= nullptr", "failed to allocate", "alloc"]
        .iter()
        .any(|sign| line.contains(sign))
        || line.contains("GGML_ASSERT(buffer) failed")
    {
        return NO_MEMORY.into();
    }
    let (path, rest) = line.split_once(": ").unwrap_or(("", line));
    let file = path.rsplit('/').next().unwrap_or_default();
    let check = rest
        .strip_prefix("GGML_ASSERT(")
        .and_then(|rest| rest.strip_suffix(") failed"));
    match check {
        Some(check) => format!("its check `{check}` failed ({file})"),
        None if file.is_empty() => rest.to_owned(),
        None => format!("{rest} ({file})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ggmls_messages_become_one_line() {
        let cases = [
            (
                "/a/b/ggml.c:1590: GGML_ASSERT(ctx->mem_buffer != NULL) failed",
                NO_MEMORY,
            ),
            (
                "/a/ggml.c:9: GGML_ASSERT(a == b) failed",
                "its check `a == b` failed (ggml.c:9)",
            ),
            ("/a/ops.cpp:7: fatal error", "fatal error (ops.cpp:7)"),
            ("no place", "no place"),
            ("", ""),
        ];
        for (message, want) in cases {
            assert_eq!(reason(message), want, "{message}");
        }
    }
}
