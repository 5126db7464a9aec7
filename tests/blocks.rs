//! Our block formats held to ggml's own: `ggml_quantize_chunk` without and with an importance matrix, and `to_float`.

use std::path::Path;

use siskin_quant::TensorType;
use siskin_quant::block::{Isa, Search, dequantize_row, quantize_row, quantize_row_with};

/// Every format that quantizes, in order of number.
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

/// The oracle: ggml through the sys crate.
mod ggml {
    use llama_cpp_sys_2 as sys;
    use siskin_quant::TensorType;

    pub(crate) fn quantize(ty: TensorType, x: &[f32]) -> Vec<u8> {
        quantize_rows(ty, x, x.len(), None)
    }

    /// Rows of `len` weights, with the importance of each column.
    pub(crate) fn quantize_rows(
        ty: TensorType,
        x: &[f32],
        len: usize,
        importance: Option<&[f32]>,
    ) -> Vec<u8> {
        assert!(x.len().is_multiple_of(len) && importance.is_none_or(|w| w.len() == len));
        let mut bytes = vec![0u8; ty.row_bytes(x.len() as u64).unwrap() as usize];
        let (rows, len) = ((x.len() / len) as i64, len as i64);
        let importance = importance.map_or(std::ptr::null(), <[f32]>::as_ptr);
        // SAFETY: `x` holds `rows` rows of `len` weights, `bytes` exactly their bytes in this type, and `importance`
        // `len` values; a null importance matrix is what these types take to mean "none".
        let written = unsafe {
            sys::ggml_quantize_chunk(
                ty.id(),
                x.as_ptr(),
                bytes.as_mut_ptr().cast(),
                0,
                rows,
                len,
                importance,
            )
        };
        assert_eq!(written, bytes.len());
        bytes
    }

    pub(crate) fn dequantize(ty: TensorType, bytes: &[u8], n: usize) -> Vec<f32> {
        // ggml reads blocks through u16 fields; a Vec<u64> is aligned well enough.
        let mut aligned = vec![0u64; bytes.len().div_ceil(8)];
        for (word, part) in aligned.iter_mut().zip(bytes.chunks(8)) {
            let mut eight = [0; 8];
            eight[..part.len()].copy_from_slice(part);
            *word = u64::from_ne_bytes(eight);
        }
        let mut y = vec![0f32; n];
        // SAFETY: the traits table is static; `to_float` reads the bytes of n weights, which `aligned` holds, and
        // writes n floats.
        unsafe {
            let to_float = (*sys::ggml_get_type_traits(ty.id()))
                .to_float
                .expect("ggml reads this type");
            to_float(aligned.as_ptr().cast(), y.as_mut_ptr(), n as i64);
        }
        y
    }
}

/// Repeatable noise: xorshift64*.
struct Noise(u64);

impl Noise {
    fn bits(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// In 0..1, never 0.
    fn uniform(&mut self) -> f64 {
        ((self.bits() >> 11) as f64 + 0.5) / (1u64 << 53) as f64
    }

    fn gaussian(&mut self) -> f64 {
        (-2.0 * self.uniform().ln()).sqrt() * (std::f64::consts::TAU * self.uniform()).cos()
    }

    fn fill(&mut self, n: usize, mut draw: impl FnMut(&mut Self, usize) -> f64) -> Vec<f32> {
        (0..n).map(|i| draw(self, i) as f32).collect()
    }
}

/// Named rows of `n` weights, the distributions that weights have and those that break quantizers.
fn rows(n: usize, seed: u64) -> Vec<(&'static str, Vec<f32>)> {
    let z = &mut Noise(seed | 1);
    vec![
        ("gaussian", z.fill(n, |z, _| 0.02 * z.gaussian())),
        // Student's t with 3 degrees of freedom.
        (
            "heavy-tailed",
            z.fill(n, |z, _| {
                let chi: f64 = (0..3).map(|_| z.gaussian().powi(2)).sum();
                0.01 * z.gaussian() / (chi / 3.0).sqrt()
            }),
        ),
        // A scale for each input channel, and a few channels far larger, as trained matrices have.
        (
            "trained-like",
            z.fill(n, |z, i| {
                let channel = (i % 256) as f64;
                let outlier = if i % 97 == 13 { 12.0 } else { 1.0 };
                (0.01 + 0.02 * (channel * 0.37).sin().powi(2)) * outlier * z.gaussian()
            }),
        ),
        ("uniform", z.fill(n, |z, _| z.uniform() - 0.5)),
        ("positive", z.fill(n, |z, _| z.uniform())),
        ("negative", z.fill(n, |z, _| -z.uniform())),
        (
            "sparse",
            z.fill(n, |z, _| if z.bits() % 8 == 0 { z.gaussian() } else { 0.0 }),
        ),
        (
            "one of each block",
            z.fill(n, |z, i| if i % 32 == 7 { z.gaussian() } else { 0.0 }),
        ),
        ("three values", z.fill(n, |z, _| (z.bits() % 3) as f64 - 1.0)),
        ("zeros", vec![0.0; n]),
        ("constant", vec![0.3; n]),
        ("negative constant", vec![-0.3; n]),
        (
            "zeros of both signs",
            z.fill(n, |z, i| {
                if z.bits() % 2 == 0 {
                    -0.0
                } else {
                    (i % 2) as f64 * 0.0
                }
            }),
        ),
        (
            "zeros of both signs, and positive",
            z.fill(n, |z, i| match i % 3 {
                0 => -0.0,
                1 => 0.0,
                _ => z.uniform(),
            }),
        ),
        ("ramp", z.fill(n, |_, i| (i % 256) as f64 / 256.0 - 0.4)),
        (
            "a scale for each block",
            z.fill(n, |z, i| z.gaussian() * 10f64.powi((i / 32 % 10) as i32 - 6)),
        ),
        ("small", z.fill(n, |z, _| 1e-5 * z.gaussian())),
        ("tiny", z.fill(n, |z, _| 1e-12 * z.gaussian())),
        ("large", z.fill(n, |z, _| 1e4 * z.gaussian())),
    ]
}

/// Rows at the ends of f32, where scales do not fit f16: dequantized values are compared, and only their finiteness
/// where ggml's own are not finite.
fn extreme_rows(n: usize, seed: u64) -> Vec<(&'static str, Vec<f32>)> {
    let z = &mut Noise(seed | 1);
    vec![
        ("denormal", z.fill(n, |z, _| 1e-40 * z.gaussian())),
        ("huge", z.fill(n, |z, _| 1e8 * z.gaussian())),
        ("at f16's end", z.fill(n, |z, _| 6e4 * (z.uniform() - 0.5))),
    ]
}

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

/// Sum of squared errors: plain, and weighted as ggml's search for scales weights (root mean square of 32 plus
/// magnitude).
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

/// The bytes are ggml's where ggml is compiled without fused multiply-add (x86-64); elsewhere its sums are rounded
/// otherwise than in its own reference, and the error must be no larger but for that rounding.
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

/// The weights of a checkpoint that was trained, not drawn: all of them one after another.
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

/// Named columns of `n` importances.
fn importances(n: usize, seed: u64) -> Vec<(&'static str, Vec<f32>)> {
    let z = &mut Noise(seed | 1);
    vec![
        ("squares", z.fill(n, |z, _| z.gaussian().powi(2))),
        // As activations have: a few columns far above the others.
        (
            "outliers",
            z.fill(n, |z, i| {
                (0.1 * z.gaussian()).exp() * if i % 61 == 5 { 400.0 } else { 0.03 }
            }),
        ),
        ("all equal", vec![1.0; n]),
        (
            "many unused",
            z.fill(n, |z, i| if i % 96 < 64 { 0.0 } else { z.uniform() }),
        ),
        ("all unused", vec![0.0; n]),
        ("small", z.fill(n, |z, _| 1e-12 * z.uniform())),
    ]
}

fn searched(isa: Isa, search: Search, ty: TensorType, x: &[f32]) -> Vec<u8> {
    let mut bytes = vec![0; ty.row_bytes(x.len() as u64).unwrap() as usize];
    search.quantize_row_with(isa, ty, x, &mut bytes);
    bytes
}

/// With importance the bytes are ggml's too, where ggml is compiled without fused multiply-add; elsewhere the search
/// takes the same steps, rounded otherwise.
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
