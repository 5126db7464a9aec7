//! `siskin quantize` through the binary: it gives the same bytes as converting in one step, and loses
//! nothing.

use std::os::unix::fs::symlink;
use std::path::Path;

use serde_json::Value as Json;
use siskin_model::FileType;
use siskin_model::files::Files;
use siskin_model::gguf::{Header, Metadata, TensorInfo, Value, write_header};

use crate::util::{self, fail, siskin, succeed};

fn quantize(from: &Path, to: &Path, ty: &str, more: &[&str]) -> std::process::Command {
    let mut command = siskin(["quantize"]);
    command.arg(from).arg(to).arg(ty).args(more);
    command
}

fn header(path: &Path) -> Header {
    let mut files = Files::new();
    let file = files.open(path).expect("opened");
    Header::read(&files, file).expect("a header")
}

/// The file with `general.file_type` as its last key. llama.cpp's converter writes no such key for GPT-NeoX,
/// so quantize has to add it, and adds it at the end.
fn file_type_last(path: &Path) -> Vec<u8> {
    let (bytes, header) = (std::fs::read(path).expect("there"), header(path));
    let mut metadata = header.metadata.clone();
    let file_type = metadata.get("general.file_type").cloned();
    metadata.retain(|key| key != "general.file_type");
    metadata.extend(file_type.map(|ty| ("general.file_type".to_owned(), ty)));
    let mut out = Vec::new();
    write_header(&mut out, &metadata, &header.tensors, header.alignment).expect("a Vec takes everything");
    out.extend(&bytes[header.data_start as usize..]);
    out
}

#[test]
fn converting_and_then_quantizing_gives_the_bytes_of_converting_in_one_step() {
    let out = tempfile::tempdir().expect("a temporary folder");
    let mut compared = 0;
    for dir in util::checkpoints() {
        let whole = util::convert(&dir, out.path(), "f32");
        let name = dir.file_name().expect("a name").to_string_lossy();
        for ty in FileType::all() {
            let direct = util::convert(&dir, out.path(), ty.name());
            let target = out.path().join("quantized.gguf");
            succeed(&mut quantize(&whole, &target, ty.name(), &["--quiet", "--force"]));
            let same = match name.starts_with("gptneox") {
                // Of the files that are not quantized, only those that quantize wrote have the key.
                true if !ty.is_quantized() => {
                    let (a, b) = (header(&direct), header(&target));
                    a.tensors == b.tensors
                        && std::fs::read(&direct).expect("there")[a.data_start as usize..]
                            == std::fs::read(&target).expect("there")[b.data_start as usize..]
                }
                true => file_type_last(&direct) == file_type_last(&target),
                false => std::fs::read(&direct).expect("there") == std::fs::read(&target).expect("there"),
            };
            assert!(same, "{name} {ty}");
            compared += 1;
        }
    }
    assert_eq!(compared, util::checkpoints().len() * FileType::all().count());
}

/// Writes a GGUF file with additional `keys`, and with tensors given as name, type and shape.
fn write_gguf(path: &Path, keys: &[(&str, Value)], tensors: &[(&str, siskin_model::TensorType, &[u64])]) {
    let mut metadata = Metadata::new();
    metadata.set("general.architecture", "llama");
    metadata.set("llama.block_count", 1u32);
    metadata.extend(keys.iter().map(|(key, value)| ((*key).to_owned(), value.clone())));
    let (mut infos, mut end) = (Vec::new(), 0);
    for (name, ty, shape) in tensors {
        let (name, shape) = ((*name).to_owned(), shape.to_vec());
        let bytes = ty.tensor_bytes(&shape).expect("possible");
        infos.push(TensorInfo {
            name,
            shape,
            ty: *ty,
            offset: end,
        });
        end = (end + bytes).next_multiple_of(32);
    }
    let mut bytes = Vec::new();
    let start = write_header(&mut bytes, &metadata, &infos, 32).expect("a Vec takes everything");
    // Bytes that differ, so that an incomplete copy is noticed.
    bytes.extend((0..end).map(|n| (n % 60) as u8));
    assert_eq!(bytes.len() as u64, start + end);
    std::fs::write(path, bytes).expect("written");
}

#[test]
fn every_other_key_stays_and_tensors_it_cannot_read_are_copied() {
    use siskin_model::TensorType::{F16, I32, Iq4Nl};
    let out = tempfile::tempdir().expect("a temporary folder");
    let (from, to) = (out.path().join("from.gguf"), out.path().join("to.gguf"));
    let keys: [(&str, Value); 4] = [
        ("x.small", 7i8.into()),
        ("x.list", vec![1u16, 2].into()),
        ("general.file_type", 1u32.into()),
        ("x.last", 0.5f64.into()),
    ];
    let tensors: [(&str, _, &[u64]); 3] = [
        ("blk.0.ids", I32, &[7]),
        ("blk.0.attn_q.weight", F16, &[64, 3]),
        ("blk.0.x_norm.weight", Iq4Nl, &[64, 2]),
    ];
    write_gguf(&from, &keys, &tensors);
    succeed(&mut quantize(&from, &to, "q8_0", &["-q"]));
    let (old, new) = (header(&from), header(&to));
    let names: Vec<&str> = new.metadata.iter().map(|(key, _)| key).collect();
    let want = [
        "general.architecture",
        "llama.block_count",
        "x.small",
        "x.list",
        "general.file_type",
        "x.last",
        "general.quantization_version",
    ];
    assert_eq!(names, want);
    for (key, value) in keys.iter().filter(|(key, _)| *key != "general.file_type") {
        assert_eq!(new.metadata.get(key), Some(value), "{key}");
    }
    let bytes = |path: &Path, header: &Header, at: usize| {
        let range = header.range(&header.tensors[at]);
        std::fs::read(path).expect("there")[range.start as usize..range.end as usize].to_vec()
    };
    for at in [0, 2] {
        assert_eq!(bytes(&from, &old, at), bytes(&to, &new, at), "{}", tensors[at].0);
    }
    assert_eq!(new.tensors[1].ty, siskin_model::TensorType::Q8_0);
}

#[test]
fn quantized_files_need_a_word_and_the_input_is_never_the_output() {
    let out = tempfile::tempdir().expect("a temporary folder");
    let from = util::convert(&util::checkpoint("llama-spm"), out.path(), "q8_0");
    let before = std::fs::read(&from).expect("there");
    let to = out.path().join("to.gguf");
    let line = fail(&mut quantize(&from, &to, "q4_k_m", &[]), 1);
    assert!(
        line.contains("is already q8_0") && line.contains("--allow-requantize"),
        "{line}"
    );
    succeed(&mut quantize(&from, &to, "q4_k_m", &["--allow-requantize", "-q"]));
    assert!(std::fs::metadata(&to).expect("there").len() < before.len() as u64);

    let (soft, hard) = (out.path().join("soft.gguf"), out.path().join("hard.gguf"));
    symlink(&from, &soft).expect("a link");
    std::fs::hard_link(&from, &hard).expect("a link");
    for target in [
        &from,
        &soft,
        &hard,
        &out.path().join("./").join(from.file_name().expect("a name")),
    ] {
        let line = fail(&mut quantize(&from, target, "q8_0", &["--force"]), 1);
        assert!(
            line.contains("the output is the input itself; name another file"),
            "{line}"
        );
    }
    assert_eq!(std::fs::read(&from).expect("there"), before);
}

#[test]
fn a_plan_and_a_report_as_convert_gives_them() {
    let out = tempfile::tempdir().expect("a temporary folder");
    let from = util::convert(&util::checkpoint("llama-spm"), out.path(), "f16");
    let to = out.path().join("to.gguf");
    let json = |more: &[&str]| {
        let output = succeed(quantize(&from, &to, "q4_k_m", &["--json"]).args(more));
        serde_json::from_slice::<Json>(&output.stdout).expect("JSON")
    };
    let planned = json(&["--dry-run"]);
    assert!(!to.exists());
    let table = succeed(&mut quantize(&from, &to, "q4_k_m", &["--dry-run"])).stdout;
    assert!(String::from_utf8_lossy(&table).contains("blk.1.ffn_down.weight"));
    let written = json(&["--threads", "1"]);
    assert_eq!(planned["tensors"], written["tensors"]);
    assert_eq!(written["threads"], 1);
    assert_eq!(
        planned["file_bytes"].as_u64(),
        Some(std::fs::metadata(&to).expect("there").len())
    );
    let line = fail(&mut quantize(&from, &to, "q4_k_m", &[]), 1);
    assert!(
        line.contains("already exists") && line.contains("--force"),
        "{line}"
    );
    let output = succeed(&mut quantize(&from, &to, "q4_k_m", &["--force"]));
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        stderr.contains("100%") && stderr.contains("bits per weight"),
        "{stderr}"
    );
    assert!(output.stdout.is_empty());
}

#[test]
fn convert_and_quantize_take_words_and_flags_and_make_names() {
    let out = tempfile::tempdir().expect("a temporary folder");
    let checkpoint = util::checkpoint("llama-spm");
    let checkpoint = checkpoint.to_str().expect("UTF-8");
    // The words, the file that they write, what is reported besides the closing line.
    let cases: [(&[&str], &str, &str); 9] = [
        (
            &["convert", checkpoint, "--type", "F16"],
            "llama-spm-f16.gguf",
            "",
        ),
        (&["convert", checkpoint, "a.gguf", "Q8_0"], "a.gguf", ""),
        (
            &["convert", checkpoint, "--outfile", "b-q4_0.gguf"],
            "b-q4_0.gguf",
            "type q4_0, as the name",
        ),
        (
            &["convert", checkpoint, "-o", "c-q4_0.gguf", "--outtype", "f16"],
            "c-q4_0.gguf",
            "the name c-q4_0.gguf says q4_0, but the type is f16",
        ),
        (
            &["quantize", "llama-spm-f16.gguf", "q8_0"],
            "llama-spm-q8_0.gguf",
            "",
        ),
        (
            &["quantize", "llama-spm-f16.gguf", "Q4_K_M"],
            "llama-spm-q4_k_m.gguf",
            "",
        ),
        (
            &["quantize", "llama-spm-f16.gguf", "18"],
            "llama-spm-q6_k.gguf",
            "",
        ),
        (
            &["quantize", "llama-spm-f16.gguf", "-o", "d.gguf", "--type", "q4_0"],
            "d.gguf",
            "",
        ),
        (
            &["quantize", "llama-spm-f16.gguf", "e.gguf", "q5_k"],
            "e.gguf",
            "",
        ),
    ];
    for (words, file, notice) in cases {
        let output = succeed(siskin(words).current_dir(out.path()));
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(out.path().join(file).is_file(), "{words:?}: {stderr}");
        assert!(stderr.contains(notice), "{words:?}: {stderr}");
        let notices = stderr.lines().filter(|line| line.starts_with("siskin: "));
        assert_eq!(
            notices.count(),
            usize::from(!notice.is_empty()),
            "{words:?}: {stderr}"
        );
    }
    let missing = fail(
        siskin(["quantize", "llama-spm-f16.gguf", "f.gguf"]).current_dir(out.path()),
        2,
    );
    assert!(missing.contains("TYPE is missing"), "{missing}");
    let unknown = fail(
        siskin(["quantize", "llama-spm-f16.gguf", "f.gguf", "q4"]).current_dir(out.path()),
        2,
    );
    assert!(
        unknown.contains("did you mean q4_k_m or q4_k_s or q4_0"),
        "{unknown}"
    );
}
