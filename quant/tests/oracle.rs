//! Converts every fixture and compares the result with that of llama.cpp's own converter: keys with types and
//! values, tensors with names, types, shapes and bytes. `tests/data/oracle.py` generated the golden files.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use serde_json::{Value as Json, json};
use sha2::{Digest, Sha256};
use siskin_model::FileType;
use siskin_model::atomic_file::Overwrite;
use siskin_model::files::Files;
use siskin_model::gguf::{Array, Header, Value};
use siskin_quant::block;
use siskin_quant::block::Effort;
use siskin_quant::convert::Conversion;
use siskin_quant::stream::StreamOptions;

fn checkpoints() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/checkpoints");
    let entries = std::fs::read_dir(&folder).expect("the fixtures");
    let mut found: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    found.sort();
    found
}

fn convert(dir: &Path, out: &Path, file_type: Option<FileType>, threads: usize) -> FileType {
    let conversion = Conversion::from_checkpoint(dir, file_type, None)
        .unwrap_or_else(|e| panic!("{}: {e}", dir.display()));
    let cancel = AtomicBool::new(false);
    let options = StreamOptions {
        threads,
        allow_nonfinite: false,
        effort: Effort::Normal,
        imatrix: None,
        cancel: &cancel,
    };
    conversion
        .write(out, Overwrite::Replace, options, &mut |_| {})
        .unwrap_or_else(|e| panic!("{}: {e}", dir.display()));
    assert_eq!(
        std::fs::metadata(out).expect("written").len(),
        conversion.file_bytes()
    );
    conversion.file_type
}

fn sha(bytes: impl AsRef<[u8]>) -> String {
    Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// A key in the oracle's notation.
fn described(key: &str, value: &Value) -> Json {
    let array = |ty: &str, len: usize, bytes: Vec<u8>| json!([key, "ARRAY", ty, len, sha(bytes)]);
    match value {
        Value::String(text) => json!([key, "STRING", text]),
        Value::U32(n) => json!([key, "UINT32", n]),
        Value::I32(n) => json!([key, "INT32", n]),
        Value::Bool(b) => json!([key, "BOOL", b]),
        Value::F32(x) => json!([key, "FLOAT32", f64::from(*x)]),
        Value::Array(Array::String(texts)) => array(
            "STRING",
            texts.len(),
            texts.iter().flat_map(|t| t.bytes().chain([0])).collect(),
        ),
        Value::Array(Array::I32(ns)) => array(
            "INT32",
            ns.len(),
            ns.iter().flat_map(|n| n.to_le_bytes()).collect(),
        ),
        Value::Array(Array::F32(xs)) => array(
            "FLOAT32",
            xs.len(),
            xs.iter().flat_map(|x| x.to_le_bytes()).collect(),
        ),
        other => panic!("{key}: no key of ours has type {:?}", other.ty()),
    }
}

/// The content of a GGUF file, in the oracle's notation and sorted.
fn contents(path: &Path) -> (BTreeMap<String, Json>, BTreeMap<String, Json>) {
    let mut files = Files::new();
    let file = files.open(path).expect("opened");
    let header = Header::read(&files, file).expect("a header");
    let keys = header
        .metadata
        .iter()
        .map(|(key, value)| (key.to_owned(), described(key, value)))
        .collect();
    let tensor = |info: &siskin_model::gguf::TensorInfo| {
        let bytes = files.read(file, header.range(info)).expect("in the file");
        (
            info.name.clone(),
            json!([info.name, info.ty.name().to_uppercase(), info.shape, sha(&*bytes)]),
        )
    };
    (keys, header.tensors.iter().map(tensor).collect())
}

fn named(list: &Json) -> BTreeMap<String, Json> {
    let entry = |entry: &Json| {
        let mut entry = entry.clone();
        if entry[1] == "FLOAT32" {
            // Round to f32: the JSON reader may be off by one in the last digits of an f64.
            entry[2] = json!(f64::from(entry[2].as_f64().expect("a number") as f32));
        }
        (entry[0].as_str().expect("a name").to_owned(), entry)
    };
    list.as_array().expect("a list").iter().map(entry).collect()
}

/// Keys that differ on purpose, with the reason.
fn differs_by_intent(key: &str, quantized_neox: bool) -> bool {
    // siskin uses the folder's name unchanged; llama.cpp's converter splits it into words.
    key == "general.name"
        // llama.cpp's converter does not write it for GPT-NeoX, but llama-quantize does; so do siskin's
        // quantized files.
        || (key == "general.file_type" && quantized_neox)
        // llama.cpp's converter reads chat_template.jinja only if tokenizer_config.json exists too.
        || key == "tokenizer.chat_template"
}

#[test]
fn every_fixture_is_what_the_oracle_says() {
    let out = tempfile::tempdir().expect("a temporary folder");
    let out = out.path().join("out.gguf");
    let mut compared = 0;
    for dir in checkpoints() {
        let name = dir.file_name().expect("a name").to_string_lossy().into_owned();
        let text = std::fs::read_to_string(dir.join("golden/oracle.json")).expect("the oracle's word");
        let oracle: Json = serde_json::from_str(&text).expect("JSON");
        for (ty, want) in oracle.as_object().expect("types") {
            let file_type: Option<FileType> = (ty != "auto").then(|| ty.parse().expect("a type"));
            if file_type.is_some_and(|ty| !block::supports(ty.base())) {
                continue;
            }
            convert(&dir, &out, file_type, 2);
            let (keys, tensors) = contents(&out);
            let quantized_neox = name.starts_with("gptneox") && ty == "q8_0";
            let differs_by_intent = |key: &str| differs_by_intent(key, quantized_neox);
            let (want_keys, want_tensors) = (named(&want["keys"]), named(&want["tensors"]));
            for (key, value) in want_keys.iter().filter(|(key, _)| !differs_by_intent(key)) {
                assert_eq!(keys.get(key), Some(value), "{name} {ty}");
            }
            let extra: Vec<&String> = keys
                .keys()
                .filter(|key| !want_keys.contains_key(*key) && !differs_by_intent(key))
                .collect();
            assert!(extra.is_empty(), "{name} {ty}: {extra:?}");
            assert_eq!(
                tensors.keys().collect::<Vec<_>>(),
                want_tensors.keys().collect::<Vec<_>>(),
                "{name} {ty}"
            );
            for (tensor, value) in &want_tensors {
                assert_eq!(&tensors[tensor], value, "{name} {ty}");
            }
            compared += 1;
        }
    }
    assert!(compared >= 40, "only {compared} conversions were compared");
}

#[test]
fn the_bytes_do_not_depend_on_the_threads() {
    let out = tempfile::tempdir().expect("a temporary folder");
    let dir = checkpoints()
        .into_iter()
        .find(|dir| dir.ends_with("llama-spm"))
        .expect("the fixture");
    let bytes = |threads| {
        let path = out.path().join(format!("{threads}.gguf"));
        convert(&dir, &path, Some(FileType::F16), threads);
        std::fs::read(path).expect("written")
    };
    let one = bytes(1);
    assert!([2, 5, 16].into_iter().all(|threads| bytes(threads) == one));
}
