//! JSON that is small on disk and large in memory is refused within the same limits as damaged model files.

use std::path::Path;

use crate::mutations::watch::{self, Ending};
use crate::util;

/// `start`, then `part` until the text has `len` bytes, then `end`.
fn long(start: &str, part: &str, len: usize, end: &str) -> Vec<u8> {
    let times = len.saturating_sub(start.len() + end.len()) / part.len();
    (start.to_owned() + &part.repeat(times) + end).into_bytes()
}

/// A safetensors file of many tensors without weights.
fn many_tensors(len: usize) -> Vec<u8> {
    let entry = |n: usize| format!(r#""{n}":{{"dtype":"F32","shape":[0],"data_offsets":[0,0]}}"#);
    let count = len / (entry(1_000_000).len() + 1);
    let header = format!("{{{}}}", (0..count).map(entry).collect::<Vec<_>>().join(","));
    [&(header.len() as u64).to_le_bytes(), header.as_bytes()].concat()
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir(to).expect("made");
    for entry in std::fs::read_dir(from).expect("a folder").flatten() {
        if entry.path().is_file() {
            std::fs::copy(entry.path(), to.join(entry.file_name())).expect("copied");
        }
    }
}

#[test]
fn trees_of_zeros_and_millions_of_names_cost_no_more_than_their_limits() {
    const MIB: usize = 1 << 20;
    let vocabulary = |n: usize| format!(r#""{n}":{n},"#);
    let names: String = (0..2_000_000).map(vocabulary).collect();
    // A chat template that is not text is ignored, and the conversion continues without it.
    let cases: Vec<(&str, &str, Vec<u8>, i32)> = vec![
        (
            "a normalizer of zeros",
            "tokenizer.json",
            long(
                r#"{"normalizer":[0"#,
                ",0",
                39 * MIB,
                r#"],"model":{"vocab":{}}}"#,
            ),
            1,
        ),
        (
            "an unknown key of zeros",
            "tokenizer.json",
            long(r#"{"other":[0"#, ",0", 39 * MIB, r#"],"model":{"vocab":{}}}"#),
            1,
        ),
        (
            "empty merges",
            "tokenizer.json",
            long(
                r#"{"model":{"vocab":{},"merges":[""#,
                r#"",""#,
                39 * MIB,
                r#""]}}"#,
            ),
            1,
        ),
        (
            "names",
            "tokenizer.json",
            format!(r#"{{"model":{{"vocab":{{{names}"x":0}}}}}}"#).into_bytes(),
            1,
        ),
        (
            "a template of zeros",
            "tokenizer_config.json",
            long(r#"{"chat_template":[0"#, ",0", 4 * MIB, "]}"),
            0,
        ),
        (
            "more than any configuration",
            "config.json",
            long("[0", ",0", 5 * MIB, "]"),
            1,
        ),
        (
            "tensors without weights",
            "model.safetensors",
            many_tensors(15 * MIB),
            1,
        ),
        (
            "a header above the limit",
            "model.safetensors",
            many_tensors(17 * MIB),
            1,
        ),
    ];
    let work = tempfile::tempdir().expect("a temporary folder");
    let out = work.path().join("out.gguf");
    for (at, (name, file, bytes, want)) in cases.into_iter().enumerate() {
        let dir = work.path().join(at.to_string());
        copy(&util::checkpoint("stablelm-bpe"), &dir);
        std::fs::write(dir.join(file), bytes).expect("written");
        match watch::run(&["convert", "{}", "-o", "{out}", "-q", "-t", "1"], &dir, &out) {
            Ending::Code(code) => assert_eq!(code, want, "{name}"),
            Ending::Harm(harm) => panic!("{name}: {harm}"),
        }
        assert_eq!(out.exists(), want == 0, "{name}");
        // Removed, so that the next case starts without an output file.
        let _ = std::fs::remove_file(&out);
    }
}
