//! `siskin imatrix` through the binary, compared with llama-imatrix, and how convert and quantize use its
//! file.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use siskin_model::files::Files;
use siskin_model::gguf::{Header, Value};
use siskin_quant::block::dequantize_row;

use crate::util::{self, fail, siskin, succeed};

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data/imatrix")
        .join(name)
}

fn imatrix(model: &Path, out: &Path, more: &[&str]) -> std::process::Command {
    let mut command = siskin(["imatrix"]);
    command
        .arg(model)
        .arg("--file")
        .arg(data("text.txt"))
        .arg("-o")
        .arg(out);
    command.args(["--threads", "1"]).args(more);
    command
}

fn read(path: &Path) -> (Header, BTreeMap<String, Vec<f32>>) {
    let mut files = Files::new();
    let file = files.open(path).expect("opened");
    let header = Header::read(&files, file).expect("a header");
    let tensors = header.tensors.iter().map(|tensor| {
        let mut window = Vec::new();
        files
            .read_into(file, header.range(tensor), &mut window)
            .expect("there");
        let mut values = vec![0.0; tensor.shape.iter().product::<u64>() as usize];
        dequantize_row(tensor.ty, &window, &mut values);
        (tensor.name.clone(), values)
    });
    let tensors = tensors.collect();
    (header, tensors)
}

/// The golden was made by llama-imatrix from the same weights and text (`tests/data/imatrix/make.sh`). The
/// programs use different kernels, so the inputs differ by rounding: by at most 1 % of a column's sum, or of
/// a hundredth of the tensor's mean if the sum is smaller than that.
#[test]
fn the_sums_are_llama_imatrix_s() {
    let out = tempfile::tempdir().expect("a temporary folder");
    let model = util::convert(&util::checkpoint("llama-spm"), out.path(), "f32");
    let file = out.path().join("ours.gguf");
    succeed(&mut imatrix(
        &model,
        &file,
        &["-c", "64", "--chunks", "4", "--quiet"],
    ));
    let ((header, mine), (golden, theirs)) = (read(&file), read(&data("llama-spm.gguf")));
    assert_eq!(header.tensors, golden.tensors, "names, shapes, places");
    for key in ["general.type", "imatrix.chunk_count", "imatrix.chunk_size"] {
        assert_eq!(header.metadata.get(key), golden.metadata.get(key), "{key}");
    }
    for (name, theirs) in theirs {
        let floor = theirs.iter().sum::<f32>() / theirs.len() as f32 / 100.0;
        for (column, (a, b)) in mine[&name].iter().zip(&theirs).enumerate() {
            assert!(
                (a - b).abs() <= 0.01 * b.max(floor),
                "{name} {column}: {a} against {b}"
            );
        }
    }
}

#[test]
fn an_importance_matrix_weighs_convert_and_quantize_alike() {
    let out = tempfile::tempdir().expect("a temporary folder");
    let checkpoint = util::checkpoint("llama-spm");
    let model = util::convert(&checkpoint, out.path(), "f32");
    let golden = data("llama-spm.gguf");
    let file = |name: &str| out.path().join(name);
    let weigh = |command: &mut std::process::Command, more: &[&str]| {
        succeed(
            command
                .args(["--quiet", "--force", "--imatrix"])
                .arg(&golden)
                .args(more),
        );
    };
    for effort in ["normal", "high"] {
        let effort = ["--effort", effort];
        weigh(
            siskin(["convert"])
                .arg(&checkpoint)
                .arg("-o")
                .arg(file("a"))
                .args(["--type", "q4_k_m"]),
            &effort,
        );
        weigh(
            siskin(["quantize"]).arg(&model).arg(file("b")).arg("q4_k_m"),
            &effort,
        );
        let bytes = std::fs::read(file("a")).expect("there");
        assert!(bytes == std::fs::read(file("b")).expect("there"), "{effort:?}");
        if effort[1] == "high" {
            assert!(bytes != std::fs::read(file("normal")).expect("there"));
        }
        std::fs::rename(file("a"), file(effort[1])).expect("renamed");
    }
    let (header, _) = read(&file("normal"));
    let want: [(&str, Value); 3] = [
        ("quantize.imatrix.file", golden.to_string_lossy().as_ref().into()),
        ("quantize.imatrix.entries_count", 14u32.into()),
        ("quantize.imatrix.chunks_count", 4u32.into()),
    ];
    for (key, value) in want {
        match (header.metadata.get(key), &value) {
            // llama-quantize keeps 127 bytes of a path, and so does siskin.
            (Some(Value::String(got)), Value::String(want)) => {
                assert!(want.starts_with(got.as_str()), "{got}")
            }
            (got, want) => assert_eq!(got, Some(want), "{key}"),
        }
    }
}

#[test]
fn what_does_not_work_is_reported_in_a_line() {
    let out = tempfile::tempdir().expect("a temporary folder");
    let model = util::convert(&util::checkpoint("llama-spm"), out.path(), "f16");
    let file = out.path().join("new.gguf");
    let cases: [(&[&str], &str); 4] = [
        (
            &["-c", "4096"],
            "do not fill one chunk of 4096; give a longer text, or shorter chunks with -c",
        ),
        (&["-c", "8"], "--ctx-size is 8; give at least 16"),
        (&["--chunks", "0"], "--chunks is 0"),
        (&["--file", "no-such-text"], "no-such-text: No such file"),
    ];
    for (more, want) in cases {
        let output = imatrix(&model, &file, more).output().expect("the program starts");
        let line = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && line.contains(want), "{line}");
        assert!(!file.exists());
    }
    let with = |matrix: &Path| {
        let mut command = siskin(["quantize"]);
        command
            .arg(&model)
            .arg(&file)
            .args(["q4_k_m", "--imatrix"])
            .arg(matrix);
        fail(&mut command, 1)
    };
    assert!(with(&data("text.txt")).contains("not an importance matrix"));
    let not_one = with(&model);
    assert!(
        not_one.contains("no tensor is named *.in_sum2") && not_one.contains("siskin imatrix"),
        "{not_one}"
    );
    let stories = util::convert(&util::checkpoint("llama-f32"), out.path(), "f32");
    let mut command = siskin(["quantize"]);
    command
        .arg(&stories)
        .arg(&file)
        .args(["q4_k_m", "--imatrix"])
        .arg(data("llama-spm.gguf"));
    let line = fail(&mut command, 1);
    assert!(line.contains("made for another model"), "{line}");
    assert!(!file.exists());
}
