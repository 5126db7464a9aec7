//! Compares siskin's mixes with llama-quantize's, tensor by tensor. `data/mixes/make.py` recorded the latter.

use std::fs;
use std::path::{Path, PathBuf};

use siskin_model::FileType;
use siskin_model::TensorType;
use siskin_quant::recipe::{TypeContext, role_of, tensor_type};

/// One tensor of a golden file.
struct Golden {
    name: String,
    shape: Vec<u64>,
    ty: TensorType,
}

/// Parses a shape such as `5632x2048`.
fn shape(text: &str) -> Vec<u64> {
    text.split('x').map(|dim| dim.parse().unwrap()).collect()
}

/// Parses layer numbers such as `0-1,4`.
fn layers(text: &str) -> impl Iterator<Item = u32> {
    text.split(',').flat_map(|run| {
        let (first, last) = run.split_once('-').unwrap_or((run, run));
        first.parse().unwrap()..=last.parse().unwrap()
    })
}

/// Parses a line such as `blk.*.ffn_down.weight 5632x2048 q6_K:0-1,4 q4_K:2-3`.
fn tensors(line: &str) -> Vec<Golden> {
    let mut words = line.split(' ');
    let (name, dims) = (words.next().unwrap(), shape(words.next().unwrap()));
    let golden = |name: String, ty: &str| Golden {
        name,
        shape: dims.clone(),
        ty: ty.parse().unwrap(),
    };
    let mut all = Vec::new();
    for word in words {
        match word.split_once(':') {
            None => all.push(golden(name.to_owned(), word)),
            Some((ty, runs)) => {
                let named = |layer: u32| name.replace('*', &layer.to_string());
                all.extend(layers(runs).map(|layer| golden(named(layer), ty)));
            }
        }
    }
    all
}

fn golden_files() -> Vec<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/mixes");
    let paths = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    paths
        .filter(|path| path.extension().is_some_and(|ext| ext == "txt"))
        .collect()
}

#[test]
fn every_tensor_gets_llama_quantizes_type() {
    let files = golden_files();
    assert_eq!(files.len(), 11);
    for path in files {
        let case = path.file_stem().unwrap().to_string_lossy();
        let text = fs::read_to_string(&path).unwrap();
        let (first, rest) = text.split_once('\n').unwrap();
        let context = TypeContext {
            n_layers: first.strip_prefix("layers ").unwrap().parse().unwrap(),
            tied: !text.contains("\noutput.weight "),
            imatrix: case.starts_with("imatrix"),
        };
        let mut sections = 0;
        for section in rest.split("\n[").skip(1) {
            let (file_type, lines) = section.split_once("]\n").unwrap();
            let file_type: FileType = file_type.parse().unwrap();
            for golden in lines.lines().flat_map(tensors) {
                let (role, layer) = role_of(&golden.name);
                let got = tensor_type(file_type, &context, role, layer, &golden.shape);
                assert_eq!(got, golden.ty, "{case} {file_type} {}", golden.name);
            }
            sections += 1;
        }
        assert_eq!(
            sections,
            FileType::all().filter(|ty| ty.is_quantized()).count(),
            "{case}"
        );
    }
}
