//! Digests of the kernels' output for fixed weights: the bytes are the same on every instruction set and
//! every machine.
//!
//! This test printed the digests on x86-64, where `tests/blocks/` compares the same kernels with ggml byte
//! for byte; `scripts/test-aarch64.sh` runs it for NEON. After an intended change of the bytes, run it and
//! copy the digests that it prints.

use sha2::{Digest, Sha256};
use siskin_model::TensorType;
use siskin_quant::block::{Isa, quantize_row_with};

/// The first 16 hex digits of the SHA-256 of each type's bytes.
const DIGESTS: [(TensorType, &str); 10] = [
    (TensorType::F16, "1bc348579eaee300"),
    (TensorType::Bf16, "526a0e7a178a13d3"),
    (TensorType::Q8_0, "95760274d69259cb"),
    (TensorType::Q4_0, "6cc1ccf460e4ff28"),
    (TensorType::Q4_1, "8530c74c747ead7a"),
    (TensorType::Q5_0, "6cdda30e6a2aa869"),
    (TensorType::Q5_1, "86d00d73e81604c9"),
    (TensorType::Q4K, "8c57e33070e8467d"),
    (TensorType::Q5K, "4ef6409ebf5cdd41"),
    (TensorType::Q6K, "106556f31ff95797"),
];

/// Weights of each kind; an odd number of super-blocks, so that some lanes are unused.
const EACH: usize = 256 * 37;

/// Weights of several kinds, from arithmetic that gives the same bits on every machine.
///
/// The generator is written out here and not taken from a library: the digests above are recorded from its numbers,
/// and the next version of a library may give others.
fn weights() -> Vec<f32> {
    let mut seed = 11u64;
    let mut uniform = move || {
        seed = seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (seed >> 40) as f32 / (1u64 << 24) as f32 - 0.5
    };
    let mut bell = move || uniform() + uniform() + uniform() + uniform();
    let mut x: Vec<f32> = (0..EACH).map(|_| bell() * 0.03125).collect();
    x.extend((0..EACH).map(|_| bell().abs()));
    x.extend((0..EACH).map(|_| -bell().abs()));
    x.extend((0..EACH).map(|i| if i % 7 == 3 { bell() } else { 0.0 }));
    x.extend((0..EACH).map(|i| if i % 97 == 13 { 8.0 * bell() } else { bell() }));
    // One power of two for each block of 32.
    x.extend((0..EACH).map(|i| bell() * f32::from_bits((107 + i as u32 / 32 % 24) << 23)));
    x.extend((0..EACH).map(|i| (i / 64 % 5) as f32 * 0.25 - 0.5));
    x
}

#[test]
fn bytes_are_those_recorded() {
    let x = weights();
    let mut wrong = Vec::new();
    for (ty, want) in DIGESTS {
        for isa in Isa::available() {
            let mut bytes = vec![0; ty.row_bytes(x.len() as u64).expect("whole blocks") as usize];
            quantize_row_with(isa, ty, &x, &mut bytes);
            let digest = Sha256::digest(&bytes);
            let got: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
            println!("{ty} on {isa}: {got}");
            if got != want {
                wrong.push(format!("{ty} on {isa}: {got}, recorded {want}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
