//! Compares the vectors of texts with transformers: a vector times the output matrix has the direction of the logits.

use std::path::Path;

use siskin::device::settings::{CacheType, Values};
use siskin::model::gguf::ModelFile;
use siskin::{ContextOptions, LoadOptions, Model, Pooling};

use crate::{golden, util};

/// The output matrix of a model in f32, row after row; that of the embedding if it has none of its own.
fn output(path: &Path) -> Vec<f32> {
    let ModelFile { header, .. } = ModelFile::open(path).expect("a model");
    let tensor = ["output.weight", "token_embd.weight"]
        .iter()
        .find_map(|name| header.tensors.iter().find(|tensor| tensor.name == *name))
        .expect("an output");
    let range = header.range(tensor);
    let bytes = std::fs::read(path).expect("read");
    let bytes =
        &bytes[usize::try_from(range.start).expect("small")..usize::try_from(range.end).expect("small")];
    bytes
        .as_chunks()
        .0
        .iter()
        .map(|bytes| f32::from_le_bytes(*bytes))
        .collect()
}

/// The cosine of the angle between two vectors.
fn cosine(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

#[test]
fn vectors_are_those_that_transformers_makes_its_logits_of() {
    let out = tempfile::tempdir().expect("a temporary folder");
    for dir in util::checkpoints() {
        let golden = golden::golden(&dir);
        let path = util::convert(&dir, out.path(), "f32");
        let model = Model::load(&path, &LoadOptions::default()).expect("a model");
        let prompt = golden::ids(&golden["prompt_ids"]);
        let want = golden::floats(&dir.join("golden/logits.f32"));
        let rows: Vec<&[f32]> = want.chunks(model.vocabulary_len()).collect();
        assert_eq!(rows.len(), prompt.len());
        let matrix = output(&path);
        let mut context = model
            .context(ContextOptions::from(Values {
                cache_type: CacheType::F32,
                ..Values::default()
            }))
            .expect("a context");
        let sequence = context.sequence().expect("one");
        for len in [1, prompt.len() / 2, prompt.len()] {
            for pooling in [Pooling::Last, Pooling::Mean] {
                let first = match pooling {
                    Pooling::Last => len - 1,
                    Pooling::Mean => 0,
                };
                let vector = context.embed(sequence, &prompt[..len], pooling, None);
                let vector = vector.expect("a vector").expect("not stopped");
                let product = |row: &[f32]| {
                    row.iter()
                        .zip(&vector)
                        .map(|(w, x)| f64::from(w * x))
                        .sum::<f64>()
                };
                let got: Vec<f64> = matrix.chunks(vector.len()).map(product).collect();
                let mut sum = vec![0.0; model.vocabulary_len()];
                for row in &rows[first..len] {
                    sum.iter_mut()
                        .zip(*row)
                        .for_each(|(sum, x)| *sum += f64::from(*x));
                }
                let cosine = cosine(&got, &sum);
                // GELU's two forms; see the test of the logits.
                let shift = golden["tanh_gelu_shift"].as_f64().expect("a shift");
                assert!(
                    cosine > 1.0 - 1e-5 - shift,
                    "{}: {pooling:?} of {len}: {cosine}",
                    dir.display()
                );
            }
        }
    }
}
