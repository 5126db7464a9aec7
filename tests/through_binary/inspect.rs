//! `siskin inspect` through the binary: its report on a file, compared with gguf-rs, an independent reader.

use std::path::Path;

use serde_json::{Value as Json, json};
use siskin_model::TensorType;
use siskin_model::gguf::{Metadata, TensorInfo, write_header};

use crate::util::{self, siskin, succeed};

fn inspect(file: &Path, more: &[&str]) -> String {
    let output = succeed(siskin(["inspect"]).arg(file).args(more));
    String::from_utf8(output.stdout).expect("UTF-8")
}

#[test]
fn gguf_rs_reads_the_same() {
    let out = tempfile::tempdir().expect("a temporary folder");
    for dir in util::checkpoints() {
        let file = util::convert(&dir, out.path(), "q4_k_m");
        let path = file.to_str().expect("UTF-8");
        let name = dir.display();
        let ours: Json = serde_json::from_str(&inspect(&file, &["--json", "--tensors"])).expect("JSON");
        let mut container = gguf_rs::get_gguf_container_array_size(path, u64::MAX).expect("a container");
        let theirs = container.decode().expect("a model");

        assert_eq!(ours["architecture"], theirs.model_family(), "{name}");
        assert_eq!(format!("v{}", ours["version"]), container.get_version(), "{name}");
        let keys = ours["metadata"].as_object().expect("keys");
        assert_eq!(keys.len(), theirs.metadata().len(), "{name}");
        for (key, entry) in keys {
            let want = &theirs.metadata()[key];
            match want {
                Json::Array(want) => {
                    let shown = entry.get("first").unwrap_or(entry);
                    let length = entry
                        .get("length")
                        .map_or(want.len(), |n| n.as_u64().unwrap_or(0) as usize);
                    assert_eq!(length, want.len(), "{name} {key}");
                    let shown = shown.as_array().expect("a list");
                    assert!(!shown.is_empty() || want.is_empty(), "{name} {key}");
                    assert!(
                        shown.iter().zip(want).all(|(a, b)| same(a, b)),
                        "{name} {key}: {shown:?}"
                    );
                }
                want => assert!(same(entry, want), "{name} {key}: {entry} {want}"),
            }
        }
        // In the file's order, and with the types next to it.
        let order: Vec<&String> = keys.keys().collect();
        let types = ours["metadata_types"].as_object().expect("types");
        assert_eq!(types.keys().collect::<Vec<_>>(), order);
        assert_eq!(types["general.architecture"], "string");
        let tensors = ours["tensor_list"].as_array().expect("tensors");
        assert_eq!(tensors.len(), theirs.tensors().len(), "{name}");
        for (a, b) in tensors.iter().zip(theirs.tensors()) {
            let ty: TensorType = a["type"].as_str().and_then(|ty| ty.parse().ok()).expect("a type");
            assert_eq!((ty.id(), &a["name"]), (b.kind, &json!(b.name)), "{name}");
            assert_eq!(
                (&a["shape"], &a["offset"], &a["bytes"]),
                (&json!(b.shape), &json!(b.offset), &json!(b.size))
            );
        }
        let weights: u64 = theirs
            .tensors()
            .iter()
            .map(|t| t.shape.iter().product::<u64>())
            .sum();
        assert_eq!(ours["parameters"], weights, "{name}");
        let types = ours["types"].as_array().expect("types");
        let bytes: u64 = types.iter().map(|ty| ty["bytes"].as_u64().expect("bytes")).sum();
        assert_eq!(
            bytes,
            theirs.tensors().iter().map(|t| t.size).sum::<u64>(),
            "{name}"
        );
    }
}

/// Whether two values are equal, numbers as f32: the two readers print floats with different digits.
fn same(a: &Json, b: &Json) -> bool {
    match (a.as_f64(), b.as_f64()) {
        (Some(a), Some(b)) => a as f32 == b as f32,
        _ => a == b,
    }
}

#[test]
fn text_says_what_users_ask_for_and_is_not_cut_in_a_pipe() {
    let out = tempfile::tempdir().expect("a temporary folder");
    let file = util::convert(&util::checkpoint("llama-rope-llama3"), out.path(), "q8_0");
    let text = inspect(&file, &["--tensors"]);
    // The first line names the file, and its path may be long.
    for line in text.lines().skip(1) {
        assert_eq!(line, line.trim_end());
    }
    let template = text
        .lines()
        .find(|line| line.starts_with("tokenizer.chat_template"));
    assert!(
        template.is_some_and(|line| line.len() > 191 && !line.contains('…')),
        "{template:?}"
    );
    let wanted = [
        "architecture   llama",
        "parameters     131,400, q8_0, ",
        "context        256 tokens; cache 256 B a token, 64.0 KiB in full (f16)",
        "vocabulary     512 tokens, tokenizer gpt2, split as llama-bpe",
        "chat template  191 characters",
        "tokenizer.ggml.tokens                   string[512]",
        "blk.1.ffn_down.weight",
    ];
    for want in wanted {
        assert!(text.contains(want), "{want}: {text}");
    }
    assert!(!inspect(&file, &[]).contains("blk.1.ffn_down.weight"));
}

#[test]
fn a_file_cannot_write_terminal_escapes() {
    let out = tempfile::tempdir().expect("a temporary folder");
    let file = out.path().join("hostile.gguf");
    let escape = "\x1b]0;title\x07\u{9b}2J\u{202e}\r\n";
    let mut metadata = Metadata::new();
    metadata.set("general.architecture", escape);
    metadata.set(format!("key{escape}"), escape);
    metadata.set("list", vec![escape.to_owned()]);
    let tensor = TensorInfo {
        name: format!("t{escape}"),
        shape: vec![8],
        ty: TensorType::F32,
        offset: 0,
    };
    let mut bytes = Vec::new();
    write_header(&mut bytes, &metadata, &[tensor], 32).expect("a Vec takes everything");
    bytes.extend([0; 32]);
    std::fs::write(&file, bytes).expect("written");
    for args in [&["--tensors"][..], &["--json", "--tensors"]] {
        let text = inspect(&file, args);
        assert!(text.contains("]0;title"), "{text}");
        let bad = text
            .chars()
            .find(|&c| (c.is_control() && c != '\n') || c == '\u{202e}');
        assert_eq!(bad, None, "{text:?}");
    }
    let error = util::fail(siskin(["run"]).arg(&file), 1);
    assert!(!error.trim_end().chars().any(char::is_control), "{error:?}");
}
