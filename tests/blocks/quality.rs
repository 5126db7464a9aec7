//! The quantization error of each tensor, compared with ggml's own quantizer without an importance matrix.
//!
//! `cargo test --release --test blocks quality -- --nocapture` prints the tables.

use std::path::{Path, PathBuf};

use siskin_model::TensorType;
use siskin_quant::block::{Effort, Isa, Search, dequantize_row};
use siskin_quant::checkpoint::Checkpoint;

use super::rows::{importances, rows};
use super::{errors, ggml, searched, to_floats};

const FORMATS: [TensorType; 5] = [
    TensorType::Q4_0,
    TensorType::Q4K,
    TensorType::Q5K,
    TensorType::Q6K,
    TensorType::Q8_0,
];
/// The types that file types fall back to if a row's length does not fit.
const FALLBACKS: [TensorType; 3] = [TensorType::Q4_1, TensorType::Q5_0, TensorType::Q5_1];

/// A group of tensors, such as those of one checkpoint.
struct Set {
    name: String,
    tensors: Vec<(String, Vec<f32>)>,
}

/// Errors of one tensor, ours divided by ggml's: plain and weighted RMSE.
#[derive(Clone, Copy)]
struct Ratio([f64; 2]);

impl Ratio {
    fn new(mine: [f64; 2], ggml: [f64; 2]) -> Self {
        let ratio = |i: usize| {
            if mine[i] == ggml[i] {
                1.0
            } else {
                (mine[i] / ggml[i]).sqrt()
            }
        };
        Ratio([ratio(0), ratio(1)])
    }
}

/// The matrices of a checkpoint, each as one row of whole super-blocks; matrices smaller than one are left
/// out.
fn checkpoint(dir: &Path) -> Set {
    let checkpoint = Checkpoint::open(dir).expect("a checkpoint");
    let matrices = checkpoint
        .tensors
        .iter()
        .filter(|(_, view)| view.shape.len() == 2);
    let read = |(name, view): (&String, &siskin_quant::view::View)| {
        let n = view.shape.iter().product::<u64>() / 256 * 256;
        let bytes = view.ty.row_bytes(n).expect("floats");
        let mut window = Vec::new();
        let read = checkpoint
            .files
            .read_into(view.file, view.start..view.start + bytes, &mut window);
        read.expect("there");
        let mut x = vec![0.0; n as usize];
        dequantize_row(view.ty, &window, &mut x);
        (n > 0).then(|| (name.clone(), x))
    };
    let mut tensors: Vec<_> = matrices.filter_map(read).collect();
    tensors.sort_by(|a, b| a.0.cmp(&b.0));
    let name = dir.file_name().expect("a name").to_string_lossy().into_owned();
    Set { name, tensors }
}

fn trained() -> Vec<Set> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let fixtures = ["llama-spm", "stablelm-bpe", "gptneox-bpe"];
    let mut sets: Vec<Set> = fixtures
        .iter()
        .map(|name| checkpoint(&root.join("tests/data/checkpoints").join(name)))
        .collect();
    let shared = std::env::var_os("SISKIN_SHARED").map_or_else(|| root.join("../shared"), PathBuf::from);
    match shared.join("data/stories260k-hf") {
        stories if stories.is_dir() => sets.push(checkpoint(&stories)),
        _ => siskin_testing::skip("stories260k-hf: no shared data"),
    }
    sets
}

/// Random weights with the distributions that real weights have.
fn random() -> Set {
    let kinds = ["gaussian", "heavy-tailed", "trained-like", "uniform"];
    let drawn = rows(256 * 256, 21).into_iter();
    let tensors = drawn
        .filter(|(what, _)| kinds.contains(what))
        .map(|(what, x)| (what.to_owned(), x));
    Set {
        name: "random".into(),
        tensors: tensors.collect(),
    }
}

fn mine(effort: Effort, ty: TensorType, x: &[f32]) -> [f64; 2] {
    let search = Search {
        effort,
        ..Search::default()
    };
    errors(x, &to_floats(ty, &searched(Isa::best(), search, ty, x), x.len()))
}

fn theirs(ty: TensorType, x: &[f32]) -> [f64; 2] {
    errors(x, &to_floats(ty, &ggml::quantize(ty, x), x.len()))
}

/// Prints the ratios of a set and returns the largest of its tensors, plain and weighted.
fn row(set: &Set, effort: Effort, ty: TensorType) -> Ratio {
    let (mut sums, mut worst) = ([[0.0; 2]; 2], Ratio([0.0; 2]));
    for (_, x) in &set.tensors {
        let (mine, ggml) = (mine(effort, ty, x), theirs(ty, x));
        for i in 0..2 {
            sums[0][i] += mine[i];
            sums[1][i] += ggml[i];
            worst.0[i] = worst.0[i].max(Ratio::new(mine, ggml).0[i]);
        }
    }
    let all = Ratio::new(sums[0], sums[1]);
    println!(
        "{effort:6} {ty:5} {:15} {:>8.4} {:>8.4} {:>8.4} {:>8.4}",
        set.name, all.0[0], worst.0[0], all.0[1], worst.0[1]
    );
    worst
}

/// The largest ratio of the error to ggml's that any tensor may have, plain and weighted.
fn limit(effort: Effort, ty: TensorType) -> [f64; 2] {
    match (effort, ty) {
        (Effort::High, TensorType::Q4K) => [0.98, 1.0],
        // If ggml is compiled with fused multiply-add, it rounds its sums differently from its own reference.
        (Effort::Normal, _) if !cfg!(target_arch = "x86_64") => [1.0005, 1.0005],
        _ => [1.0, 1.0],
    }
}

#[test]
fn quality_is_ggmls_or_better_on_every_tensor() {
    println!("effort type  tensors of          RMSE    worst weighted    worst");
    let mut missed = Vec::new();
    for set in trained().iter().chain([&random()]) {
        for effort in Effort::ALL {
            for ty in FORMATS.into_iter().chain(FALLBACKS) {
                let (worst, limit) = (row(set, effort, ty).0, limit(effort, ty));
                if worst[0] > limit[0] || worst[1] > limit[1] {
                    missed.push(format!(
                        "{effort} {ty} on {}: {worst:?} above {limit:?}",
                        set.name
                    ));
                }
            }
        }
    }
    assert!(missed.is_empty(), "{missed:#?}");
}

fn square(x: &[f32]) -> f64 {
    x.iter().map(|v| f64::from(*v).powi(2)).sum()
}

/// The error that a search with an importance matrix minimises: weighted by each column's importance and,
/// except for q6_K, by the root of the typical square plus the weight's own square.
fn counted(ty: TensorType, x: &[f32], y: &[f32], importance: &[f32]) -> f64 {
    let (part, around) = match ty {
        TensorType::Q4K | TensorType::Q5K => (256, 2.0),
        _ => (importance.len(), 1.0),
    };
    let mut sum = 0.0;
    for (at, (x, y)) in x.chunks(part).zip(y.chunks(part)).enumerate() {
        let typical = around * square(x) / x.len() as f64;
        for (i, (x, y)) in x.iter().zip(y).enumerate() {
            let own = match ty {
                TensorType::Q6K => 1.0,
                _ => (typical + f64::from(*x).powi(2)).sqrt(),
            };
            let importance = f64::from(importance[(at * part + i) % importance.len()]);
            sum += importance * own * f64::from(x - y).powi(2);
        }
    }
    sum
}

#[test]
fn quality_with_importance_is_better_at_high_effort() {
    let len = 256 * 4;
    println!("weighted error, high over normal, with an importance matrix");
    for (which, importance) in importances(len, 22).into_iter().take(4) {
        for (what, x) in random().tensors {
            print!("{what:13} {which:12}");
            for ty in FORMATS.into_iter().chain(FALLBACKS) {
                let error = |effort| {
                    let search = Search {
                        effort,
                        importance: Some(&importance),
                    };
                    let y = to_floats(ty, &searched(Isa::best(), search, ty, &x), x.len());
                    counted(ty, &x, &y, &importance).sqrt()
                };
                let ratio = error(Effort::High) / error(Effort::Normal);
                print!("  {ty} {ratio:.4}");
                assert!(ratio <= 1.0, "{ty}, {what}, {which}: {ratio}");
            }
            println!();
        }
    }
}

/// For any weights, the wider search is no worse, and writes the same finite weights on every instruction
/// set.
#[test]
fn quality_of_any_row_at_high_effort() {
    for (what, x) in rows(256 * 9, 23)
        .into_iter()
        .chain(super::extreme_rows(256 * 9, 24))
    {
        for ty in FORMATS.into_iter().chain(FALLBACKS) {
            let search = Search {
                effort: Effort::High,
                ..Search::default()
            };
            let bytes = searched(Isa::best(), search, ty, &x);
            for isa in Isa::available() {
                assert!(searched(isa, search, ty, &x) == bytes, "{ty}, {what} on {isa}");
            }
            let (mine, ggml) = (errors(&x, &to_floats(ty, &bytes, x.len()))[0], theirs(ty, &x)[0]);
            // Some rows fit a format exactly, except for the rounding of scales to f16, which then decides
            // the error.
            let exact = mine < square(&x) * 2f64.powi(-17);
            if ggml.is_finite() && !exact {
                assert!(mine <= ggml * 1.01, "{ty}, {what}: {mine} above {ggml}");
            }
        }
    }
}
