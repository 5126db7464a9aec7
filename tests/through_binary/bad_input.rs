//! Bad input through the binary: exit code 1, one line that names what is wrong, the place and the remedy,
//! and no file written.

use std::path::{Path, PathBuf};

use crate::util::{self, fail, siskin, succeed};

/// A folder of good files to damage.
struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        Place {
            dir: tempfile::tempdir().expect("a temporary folder"),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A copy of a fixture checkpoint, with one of its files changed.
    fn checkpoint(
        &self,
        fixture: &str,
        name: &str,
        file: &str,
        change: impl FnOnce(Vec<u8>) -> Vec<u8>,
    ) -> PathBuf {
        let to = self.path(name);
        std::fs::create_dir(&to).expect("made");
        for entry in std::fs::read_dir(util::checkpoint(fixture))
            .expect("a folder")
            .flatten()
        {
            if entry.path().is_file() {
                std::fs::copy(entry.path(), to.join(entry.file_name())).expect("copied");
            }
        }
        let bytes = std::fs::read(to.join(file)).expect("there");
        std::fs::write(to.join(file), change(bytes)).expect("written");
        to
    }

    /// A GGUF file of a fixture, changed.
    fn gguf(&self, fixture: &str, name: &str, change: impl FnOnce(&mut Vec<u8>)) -> PathBuf {
        let good = util::convert(&util::checkpoint(fixture), self.dir.path(), "f32");
        let mut bytes = std::fs::read(good).expect("there");
        change(&mut bytes);
        let path = self.path(name);
        std::fs::write(&path, bytes).expect("written");
        path
    }
}

/// The offset of the first `what`.
fn find(bytes: &[u8], what: &str) -> usize {
    let found = bytes
        .windows(what.len())
        .position(|window| window == what.as_bytes());
    found.unwrap_or_else(|| panic!("{what} stands nowhere"))
}

/// Writes `new` over the bytes that start `skip` bytes after the first `key`.
fn behind(bytes: &mut [u8], key: &str, skip: usize, new: &[u8]) {
    let at = find(bytes, key) + key.len() + skip;
    bytes[at..at + new.len()].copy_from_slice(new);
}

/// The bytes with the first `old`, which must exist, replaced by `new`.
fn replaced(bytes: Vec<u8>, old: &str, new: &str) -> Vec<u8> {
    let at = find(&bytes, old);
    [&bytes[..at], new.as_bytes(), &bytes[at + old.len()..]].concat()
}

/// A safetensors file with `old` in its header replaced by `new`, which may have another length.
fn safetensors(bytes: Vec<u8>, old: &str, new: &str) -> Vec<u8> {
    let end = 8 + u64::from_le_bytes(bytes[..8].try_into().expect("eight bytes")) as usize;
    let header = replaced(bytes[8..end].to_vec(), old, new);
    [&(header.len() as u64).to_le_bytes(), &header[..], &bytes[end..]].concat()
}

/// Asserts that the command fails with a line that contains all of `wants`, and that it writes no `target`.
fn refuse(name: &str, args: &[&Path], target: &Path, wants: &[&str]) {
    let line = fail(&mut siskin(args), 1);
    assert!(line.starts_with("siskin: "), "{name}: {line}");
    for want in wants {
        assert!(line.contains(want), "{name}: {want:?} is not in {line}");
    }
    assert!(!target.exists(), "{name}: something was written");
}

#[test]
fn checkpoints() {
    let place = Place::new();
    let target = place.path("out.gguf");
    let weights = "model.safetensors";
    let with = |name: &str, file: &str, old: &'static str, new: &'static str| {
        place.checkpoint("llama-tied", name, file, |bytes| replaced(bytes, old, new))
    };
    let with_header = |name: &str, old: &'static str, new: &'static str| {
        place.checkpoint("llama-tied", name, weights, |bytes| safetensors(bytes, old, new))
    };
    let pickle = with("pickle", "config.json", "{", "{");
    std::fs::rename(pickle.join(weights), pickle.join("pytorch_model.bin")).expect("renamed");
    let first = r#""model.layers.0.mlp.up_proj.weight""#;
    let cases: Vec<(&str, PathBuf, &[&str])> = vec![
        (
            "missing folder",
            place.path("nowhere"),
            &["nowhere: no such folder; name the folder"],
        ),
        (
            "file where a folder is meant",
            util::checkpoint("llama-tied").join("config.json"),
            &["not a folder; name"],
        ),
        (
            "truncated",
            place.checkpoint("llama-tied", "truncated", weights, |mut b| {
                b.truncate(b.len() / 2);
                b
            }),
            &["model.safetensors: tensor ", "truncated or damaged; get it again"],
        ),
        (
            "header length 2^63",
            place.checkpoint("llama-tied", "long", weights, |mut b| {
                b[..8].copy_from_slice(&(1u64 << 63).to_le_bytes());
                b
            }),
            &["model.safetensors: a header of 9223372036854775808 bytes"],
        ),
        (
            "overlapping tensors",
            place.checkpoint("llama-tied", "overlap", weights, overlap),
            &["model.safetensors: tensors ", " overlap; the file is damaged"],
        ),
        (
            "wrong shape",
            with(
                "shape",
                "config.json",
                "\"intermediate_size\": ",
                "\"intermediate_size\": 1",
            ),
            &["has shape [", "but config.json requires ["],
        ),
        (
            "missing tensor",
            with(
                "missing",
                "config.json",
                "\"num_hidden_layers\": 2",
                "\"num_hidden_layers\": 3",
            ),
            &[
                "tensor model.layers.2.",
                "is missing from the checkpoint; get its files again",
            ],
        ),
        (
            "unexpected tensor",
            with_header("unexpected", first, r#""model.layers.0.mlp.up_proj.extra""#),
            &["tensor model.layers.0.mlp.up_proj.extra is not part of this architecture"],
        ),
        (
            "unknown architecture",
            with(
                "architecture",
                "config.json",
                "LlamaForCausalLM",
                "FalconForCausalLM",
            ),
            &["architecture \"FalconForCausalLM\" is not supported; supported: LlamaForCausalLM, "],
        ),
        (
            "unknown pre-tokenizer",
            place.checkpoint("stablelm-bpe", "pre", "tokenizer.json", |b| {
                replaced(b, "\"Split\"", "\"Metaspace\"")
            }),
            &[
                "tokenizer.json: words are split in a way that is not supported",
                "supported are the tokenizers of deepseek-coder, gpt-2, llama-bpe",
            ],
        ),
        (
            "not what PyTorch saves",
            pickle,
            &["pytorch_model.bin: not weights of PyTorch but a safetensors file"],
        ),
        (
            "a billion heads",
            with(
                "heads",
                "config.json",
                "\"num_attention_heads\": ",
                "\"num_attention_heads\": 100000000",
            ),
            &["num_attention_heads is ", "it must be from 1 to 1024"],
        ),
    ];
    for (name, dir, wants) in cases {
        let args = ["convert".as_ref(), dir.as_path(), "-o".as_ref(), target.as_path()];
        refuse(name, &args, &target, wants);
    }
    let good = util::checkpoint("llama-tied");
    let args = [
        "convert".as_ref(),
        good.as_path(),
        "-o".as_ref(),
        place.dir.path(),
    ];
    let line = fail(&mut siskin(args), 1);
    assert!(
        line.contains("not a regular file; name a file to write to"),
        "{line}"
    );
    let copy = with("itself", "config.json", "{", "{");
    let itself = copy.join(weights);
    let before = std::fs::read(&itself).expect("there");
    let line = fail(
        siskin(["convert"])
            .arg(&copy)
            .arg("-o")
            .arg(&itself)
            .arg("--force"),
        1,
    );
    assert!(
        line.contains("the output is the input itself; name another file"),
        "{line}"
    );
    assert_eq!(std::fs::read(&itself).expect("there"), before);
}

/// Moves the second tensor so that it begins within the first.
fn overlap(bytes: Vec<u8>) -> Vec<u8> {
    let end = 8 + u64::from_le_bytes(bytes[..8].try_into().expect("eight bytes")) as usize;
    let mut header: serde_json::Value = serde_json::from_slice(&bytes[8..end]).expect("JSON");
    let tensors = header.as_object_mut().expect("a map");
    let mut spans: Vec<(u64, u64, String)> = tensors
        .iter()
        .filter_map(|(name, entry)| {
            let offsets = entry["data_offsets"].as_array()?;
            Some((offsets[0].as_u64()?, offsets[1].as_u64()?, name.clone()))
        })
        .collect();
    spans.sort();
    let (start, end_of, name) = &spans[1];
    tensors[name]["data_offsets"] = serde_json::json!([start - 2, end_of - 2]);
    let header = header.to_string();
    [
        &(header.len() as u64).to_le_bytes(),
        header.as_bytes(),
        &bytes[end..],
    ]
    .concat()
}

#[test]
fn weights_that_are_no_numbers() {
    let place = Place::new();
    let target = place.path("out.gguf");
    for (name, value) in [("NaN", f32::NAN), ("inf", f32::INFINITY)] {
        let checkpoint = place.checkpoint("llama-f32", name, "model.safetensors", |mut bytes| {
            let at = bytes.len() - 400;
            bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
            bytes
        });
        let file = place.gguf("llama-f32", &format!("{name}.gguf"), |bytes| {
            let at = bytes.len() - 400;
            bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
        });
        let convert: [&Path; 5] = [
            "convert".as_ref(),
            &checkpoint,
            "-o".as_ref(),
            &target,
            "-q".as_ref(),
        ];
        let quantize: [&Path; 5] = [
            "quantize".as_ref(),
            &file,
            &target,
            "q8_0".as_ref(),
            "-q".as_ref(),
        ];
        for args in [convert, quantize] {
            let wants: [&str; 4] = ["tensor ", "weight ", &format!("is {name}"), "--allow-nonfinite"];
            refuse(name, &args, &target, &wants);
            succeed(siskin(args).arg("--allow-nonfinite"));
            std::fs::remove_file(&target).expect("written");
        }
        // The logits of such a file are not numbers, so there is no text.
        let line = fail(siskin(["run"]).arg(&file).args(["-p", "The king", "-n", "4"]), 1);
        assert!(
            line.contains("is not a number: its weights are damaged"),
            "{line}"
        );
    }
}

#[test]
fn model_files() {
    let place = Place::new();
    let target = place.path("out.gguf");
    let aligned = |bytes: &mut Vec<u8>, alignment: u32| {
        // Adds one key before the first.
        let mut key = 17u64.to_le_bytes().to_vec();
        key.extend(b"general.alignment");
        key.extend(4u32.to_le_bytes());
        key.extend(alignment.to_le_bytes());
        bytes[16] += 1;
        bytes.splice(24..24, key);
    };
    let cases: Vec<(&str, PathBuf, &[&str])> = vec![
        (
            "missing",
            place.path("nowhere.gguf"),
            &["nowhere.gguf: No such file"],
        ),
        (
            "a folder",
            place.dir.path().to_owned(),
            &["not a regular file; name a file"],
        ),
        (
            "magic",
            place.gguf("llama-tied", "magic.gguf", |b| {
                b[..4].copy_from_slice(b"PK\x03\x04")
            }),
            &[
                "magic.gguf: ",
                "not a GGUF file but a ZIP archive",
                "to make one from a checkpoint: siskin convert",
            ],
        ),
        (
            "version",
            place.gguf("llama-tied", "version.gguf", |b| b[4] = 9),
            &["version 9 is not supported; siskin reads versions 2 and 3"],
        ),
        (
            "alignment 0",
            place.gguf("llama-tied", "alignment.gguf", |b| aligned(b, 0)),
            &["alignment 0 is not a power"],
        ),
        (
            "a string of 2^60",
            place.gguf("llama-tied", "string.gguf", |b| {
                behind(b, "general.architecture", 4, &(1u64 << 60).to_le_bytes());
            }),
            &[
                "key \"general.architecture\" (byte ",
                "needs 1152921504606846976 bytes, but the file has",
                "get it again",
            ],
        ),
        (
            "a tensor past the end",
            place.gguf("llama-tied", "past.gguf", |b| b.truncate(b.len() - 64)),
            &[
                "tensor \"",
                "are past the end of the file; it is truncated; get it again",
            ],
        ),
        (
            "empty",
            place.gguf("llama-tied", "empty.gguf", Vec::clear),
            &["an empty file; get it again"],
        ),
    ];
    for (name, file, wants) in &cases {
        let commands: [&[&Path]; 4] = [
            &["inspect".as_ref(), file],
            &["quantize".as_ref(), file, &target, "q8_0".as_ref()],
            &["tokenize".as_ref(), file, "text".as_ref()],
            &["run".as_ref(), file, "-p".as_ref(), "text".as_ref()],
        ];
        for args in commands {
            refuse(name, args, &target, wants);
        }
    }
}

#[test]
fn models_that_llama_cpp_would_choke_on() {
    let place = Place::new();
    let file = |name: &str, change: fn(&mut Vec<u8>)| place.gguf("llama-tied", name, change);
    let cases: Vec<(&str, PathBuf, &[&str])> = vec![
        (
            "unknown architecture",
            file("falcon.gguf", |b| behind(b, "general.architecture", 12, b"lloma")),
            &[
                "architecture \"lloma\"",
                "supported: llama, stablelm, gptneox",
                "--any-arch",
            ],
        ),
        (
            "context of 2^31",
            file("context.gguf", |b| {
                behind(b, "llama.context_length", 4, &(1u32 << 31).to_le_bytes())
            }),
            &["key \"llama.context_length\" is 2147483648; it must be from 1 to 16777216"],
        ),
        (
            "no heads",
            file("heads.gguf", |b| {
                behind(b, "llama.attention.head_count", 4, &[0; 4])
            }),
            &["key \"llama.attention.head_count\" is 0; it must be from 1 to 1024"],
        ),
        (
            "other width",
            file("width.gguf", |b| {
                behind(b, "llama.embedding_length", 4, &128u32.to_le_bytes())
            }),
            &["but the keys require"],
        ),
        (
            "tokens twice",
            file("twice.gguf", |b| {
                let at = find(b, "<0x41>");
                b[at..at + 6].copy_from_slice(b"<0x42>");
            }),
            &["the vocabulary has the token \"<0x42>\" twice"],
        ),
    ];
    for (name, path, wants) in cases {
        let args: [&Path; 4] = ["run".as_ref(), &path, "-p".as_ref(), "text".as_ref()];
        refuse(name, &args, &place.path("out.gguf"), wants);
    }
    let pre = place.gguf("stablelm-bpe", "pre.gguf", |b| {
        behind(b, "tokenizer.ggml.pre", 12, b"stablelmX")
    });
    for command in ["run", "tokenize"] {
        let line = fail(
            siskin([command])
                .arg(&pre)
                .arg("-f")
                .arg(util::checkpoint("llama-tied").join("config.json")),
            1,
        );
        assert!(line.contains("unknown pre-tokenizer type: 'stablelmX'"), "{line}");
    }
    // With --any-arch, llama.cpp decides: it refuses a name that it does not know.
    let path = place.path("falcon.gguf");
    let line = fail(siskin(["run", "--any-arch", "-p", "text"]).arg(&path), 1);
    assert!(line.contains("unknown model architecture: 'lloma'"), "{line}");
    let long = "a prompt that is a good deal longer than the context";
    let line = fail(&mut siskin(["run", "-c", "8", "-p", long]), 1);
    assert!(
        line.contains(
            "do not fit: 8 of the context's 8 tokens are free; shorten the prompt, or use a larger context"
        ),
        "{line}"
    );
}
