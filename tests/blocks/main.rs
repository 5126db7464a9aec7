//! Checks siskin's block formats against ggml: `ggml_quantize_chunk` with and without an importance matrix,
//! and `to_float`.

use std::path::Path;

use siskin_model::TensorType;
use siskin_quant::block::{Isa, Search, dequantize_row, quantize_row, quantize_row_with};

mod ggml;
mod quality;
mod rows;

use rows::{Noise, extreme_rows, importances, rows};

/// Every format that quantizes, in the order of ggml's numbers.
const BLOCKS: [TensorType; 8] = [
    TensorType::Q4_0,
    TensorType::Q4_1,
    TensorType::Q5_0,
    TensorType::Q5_1,
    TensorType::Q8_0,
    TensorType::Q4K,
    TensorType::Q5K,
    TensorType::Q6K,
];
const FLOATS: [TensorType; 2] = [TensorType::F16, TensorType::Bf16];

fn ours(ty: TensorType, x: &[f32]) -> Vec<u8> {
    let mut bytes = vec![0; ty.row_bytes(x.len() as u64).unwrap() as usize];
    quantize_row(ty, x, &mut bytes);
    bytes
}

fn to_floats(ty: TensorType, bytes: &[u8], n: usize) -> Vec<f32> {
    let mut y = vec![f32::NAN; n];
    dequantize_row(ty, bytes, &mut y);
    y
}

/// Sums of squared errors: plain, and weighted as in ggml's search for scales (root mean square of 32
/// weights, plus magnitude).
fn errors(x: &[f32], y: &[f32]) -> [f64; 2] {
    let square = |x: &f32| f64::from(*x).powi(2);
    let mut sums = [0.0; 2];
    for (x, y) in x.chunks(32).zip(y.chunks(32)) {
        let typical = (x.iter().map(square).sum::<f64>() / 32.0).sqrt();
        for (x, y) in x.iter().zip(y) {
            let error = (f64::from(*x) - f64::from(*y)).powi(2);
            sums[0] += error;
            sums[1] += error * (typical + f64::from(x.abs()));
        }
    }
    sums
}

/// Asserts that the bytes equal ggml's if ggml is compiled without fused multiply-add (x86-64). Elsewhere
/// ggml rounds its sums differently from its own reference, and the error may be larger only by that
/// rounding.
fn assert_as_good(ty: TensorType, what: &str, x: &[f32]) {
    let (mine, theirs) = (ours(ty, x), ggml::quantize(ty, x));
    if cfg!(target_arch = "x86_64") {
        let size = ty.block_bytes() as usize;
        let differ = mine
            .chunks(size)
            .zip(theirs.chunks(size))
            .filter(|(a, b)| a != b)
            .count();
        assert_eq!(
            differ,
            0,
            "{ty}, {what}: {differ} of {} blocks differ",
            mine.len() / size
        );
    }
    let mine = errors(x, &to_floats(ty, &mine, x.len()));
    let theirs = errors(x, &to_floats(ty, &theirs, x.len()));
    for (mine, theirs) in mine.iter().zip(theirs) {
        assert!(
            mine.sqrt() <= theirs.sqrt() * 1.0005,
            "{ty}, {what}: {mine} against ggml's {theirs}"
        );
    }
}

#[test]
fn quantizing_equals_ggml() {
    for (what, x) in rows(256 * 401, 7) {
        for ty in BLOCKS {
            assert_as_good(ty, what, &x);
        }
    }
}

#[test]
fn narrowing_equals_ggml() {
    for (what, x) in rows(1000, 8).into_iter().chain(extreme_rows(1000, 9)) {
        for ty in FLOATS {
            assert!(ours(ty, &x) == ggml::quantize(ty, &x), "{ty}, {what}");
        }
    }
}

#[test]
fn extremes_are_no_worse_than_ggml() {
    for (what, x) in extreme_rows(256 * 64, 10) {
        for ty in BLOCKS {
            let mine = to_floats(ty, &ours(ty, &x), x.len());
            let theirs = ggml::dequantize(ty, &ggml::quantize(ty, &x), x.len());
            if theirs.iter().all(|v| v.is_finite()) {
                assert!(mine == theirs, "{ty}, {what}");
            }
        }
    }
}

#[test]
fn dequantizing_equals_ggml() {
    let n = 256 * 64;
    let z = &mut Noise(11);
    for ty in BLOCKS.into_iter().chain(FLOATS) {
        let len = ty.row_bytes(n as u64).unwrap() as usize;
        let random: Vec<u8> = (0..len).map(|_| z.bits() as u8).collect();
        let rows = rows(n, 12)
            .into_iter()
            .map(|(what, x)| (what, ggml::quantize(ty, &x)));
        for (what, bytes) in rows.chain([("random bytes", random)]) {
            let (mine, theirs) = (to_floats(ty, &bytes, n), ggml::dequantize(ty, &bytes, n));
            let same = |(a, b): (&f32, &f32)| a.to_bits() == b.to_bits() || a.is_nan() && b.is_nan();
            assert!(mine.iter().zip(&theirs).all(same), "{ty}, {what}");
        }
    }
}

/// All weights of a trained checkpoint, one after another.
fn trained() -> Vec<f32> {
    let file =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/checkpoints/llama-spm/model.safetensors");
    let bytes = std::fs::read(&file).unwrap();
    let header = 8 + u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let body = &bytes[header..];
    let mut x = vec![0.0; body.len() / 512 * 256];
    dequantize_row(TensorType::Bf16, &body[..x.len() * 2], &mut x);
    x
}

#[test]
fn trained_weights_quantize_as_in_ggml() {
    let x = trained();
    for ty in BLOCKS {
        assert_as_good(ty, "llama-spm", &x);
    }
}

fn searched(isa: Isa, search: Search, ty: TensorType, x: &[f32]) -> Vec<u8> {
    let mut bytes = vec![0; ty.row_bytes(x.len() as u64).unwrap() as usize];
    search.quantize_row_with(isa, ty, x, &mut bytes);
    bytes
}

/// With importance the bytes equal ggml's too, if ggml is compiled without fused multiply-add. Elsewhere the
/// search takes the same steps, but rounds differently.
#[test]
fn quantizing_with_importance_equals_ggml() {
    let len = 256 * 5;
    let trained = trained();
    let mut data = rows(len * 2, 15);
    data.push(("llama-spm", trained[..len * 64].to_vec()));
    for (what, x) in data {
        for (which, importance) in importances(len, 16) {
            for ty in BLOCKS {
                let search = Search {
                    importance: Some(&importance),
                    ..Search::default()
                };
                let mine = searched(Isa::best(), search, ty, &x);
                if cfg!(target_arch = "x86_64") {
                    let theirs = ggml::quantize_rows(ty, &x, len, Some(&importance));
                    let size = ty.block_bytes() as usize;
                    let blocks = mine.chunks(size).zip(theirs.chunks(size));
                    let differ = blocks.filter(|(a, b)| a != b).count();
                    assert_eq!(
                        differ,
                        0,
                        "{ty}, {what}, {which}: of {} blocks",
                        mine.len() / size
                    );
                }
                for isa in Isa::available() {
                    assert!(
                        searched(isa, search, ty, &x) == mine,
                        "{ty}, {what}, {which} on {isa}"
                    );
                }
            }
        }
    }
}

#[test]
fn every_instruction_set_writes_the_same_bytes() {
    for (what, x) in rows(256 * 9, 13).into_iter().chain(extreme_rows(256 * 9, 14)) {
        for ty in BLOCKS.into_iter().chain(FLOATS) {
            let want = ours(ty, &x);
            for isa in Isa::available() {
                let mut bytes = vec![0; want.len()];
                quantize_row_with(isa, ty, &x, &mut bytes);
                assert!(bytes == want, "{ty}, {what} on {isa}");
            }
        }
    }
}
