//! What strangers send to `siskin serve`: bodies for every path, headers, files of keys, manifests of stored prefixes. A
//! request is answered or refused, and the service never fails. The first byte chooses what the rest is; an engine that
//! draws from noise is in the place of llama.cpp.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    siskin_serve::fuzzing::take(data);
});
