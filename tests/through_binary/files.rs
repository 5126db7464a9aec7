//! Files through the binary: what is opened, what is read while others write it, and what is written.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use siskin_model::gguf::{Metadata, ModelFile, TensorInfo, align_up, write_header};

use crate::util::{self, fail, siskin, succeed};

/// Writes the model at `from` as `parts` files and returns the first.
fn split(from: &Path, into: &Path, parts: usize) -> PathBuf {
    let ModelFile { files, header } = ModelFile::open(from).expect("a model");
    let each = header.tensors.len().div_ceil(parts);
    let path = |part: usize| into.join(format!("m-{:05}-of-{parts:05}.gguf", part + 1));
    for (part, tensors) in header.tensors.chunks(each).enumerate() {
        let mut metadata = match part {
            0 => header.metadata.clone(),
            _ => Metadata::new(),
        };
        metadata.set("split.no", part as u16);
        metadata.set("split.count", parts as u16);
        metadata.set("split.tensors.count", header.tensors.len() as i32);
        let mut data = Vec::new();
        let move_here = |tensor: &TensorInfo| {
            let offset = data.len() as u64;
            data.extend(files.read(0, header.range(tensor)).expect("read"));
            data.resize(align_up(data.len() as u64, header.alignment) as usize, 0);
            TensorInfo {
                offset,
                ..tensor.clone()
            }
        };
        let tensors: Vec<TensorInfo> = tensors.iter().map(move_here).collect();
        let mut bytes = Vec::new();
        write_header(&mut bytes, &metadata, &tensors, header.alignment).expect("written");
        bytes.extend(data);
        std::fs::write(path(part), bytes).expect("written");
    }
    path(0)
}

fn run(model: &Path) -> Command {
    let mut command = siskin(["run", "-p", "hello world", "-n", "8", "--temp", "0", "-c", "64"]);
    command.arg(model);
    command
}

#[test]
fn a_split_model_runs_is_inspected_and_quantized_as_the_whole_one() {
    let dir = tempfile::tempdir().expect("a folder");
    let whole = util::convert(&util::checkpoint("llama-spm"), dir.path(), "f16");
    let first = split(&whole, dir.path(), 3);
    let text = |model: &Path| succeed(&mut run(model)).stdout;
    assert_eq!(text(&first), text(&whole));
    assert_eq!(text(&dir.path().join("m-00002-of-00003.gguf")), text(&whole));
    let tokens = |model: &Path| succeed(siskin(["tokenize", "--ids"]).arg(model).arg("hello")).stdout;
    assert_eq!(tokens(&first), tokens(&whole));
    let shown =
        |model: &Path| String::from_utf8(succeed(siskin(["inspect"]).arg(model)).stdout).expect("UTF-8");
    assert!(shown(&first).contains("parts          3"), "{}", shown(&first));
    let line = |text: &str| {
        text.lines()
            .find(|line| line.starts_with("layers"))
            .map(str::to_owned)
    };
    assert_eq!(line(&shown(&first)), line(&shown(&whole)));
    succeed(siskin(["fit"]).arg(&first));
    // The parts become one file again.
    let quantized = |from: &Path, name: &str| {
        let to = dir.path().join(name);
        succeed(siskin(["quantize", "-q"]).arg(from).arg(&to).arg("q8_0"));
        std::fs::read(to).expect("there")
    };
    assert!(quantized(&first, "joined") == quantized(&whole, "direct"));
    std::fs::remove_file(dir.path().join("m-00002-of-00003.gguf")).expect("removed");
    for command in ["run", "fit", "inspect", "tokenize"] {
        let line = fail(siskin([command]).arg(&first), 1);
        assert!(
            line.contains("m-00002-of-00003.gguf: part 2 of 3 of the model is missing"),
            "{line}"
        );
    }
}

#[test]
fn a_model_that_is_cut_while_it_is_used_ends_the_program_in_one_line() {
    let dir = tempfile::tempdir().expect("a folder");
    let whole = util::convert(&util::checkpoint("llama-spm"), dir.path(), "f32");
    let model = dir.path().join("cut\u{1b}.gguf");
    for keep in [0, std::fs::metadata(&whole).expect("there").len() / 2] {
        std::fs::copy(&whole, &model).expect("copied");
        let mut chat = siskin(["chat", "--json", "-n", "4"])
            .arg(&model)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("starts");
        let mut input = chat.stdin.take().expect("piped");
        let mut output = BufReader::new(chat.stdout.take().expect("piped"));
        input.write_all(b"hello\n").expect("written");
        let mut answer = String::new();
        output.read_line(&mut answer).expect("an answer");
        assert!(!answer.is_empty());
        let file = std::fs::File::options().write(true).open(&model).expect("opened");
        file.set_len(keep).expect("cut");
        // It may have ended already.
        let _ = input.write_all(b"hello again\n");
        drop(input);
        let ended = chat.wait_with_output().expect("ended");
        let stderr = String::from_utf8(ended.stderr).expect("UTF-8");
        assert_eq!(ended.status.code(), Some(1), "{stderr}");
        let last = stderr.lines().last().unwrap_or_default();
        assert!(
            last.contains("was truncated or overwritten while it was in use"),
            "{stderr}"
        );
        assert!(!stderr.contains('\u{1b}'), "escaped: {stderr:?}");
    }
}

#[test]
fn nothing_waits_for_a_fifo() {
    let dir = tempfile::tempdir().expect("a folder");
    let fifo = dir.path().join("fifo");
    succeed(Command::new("mkfifo").arg(&fifo));
    let model = util::convert(&util::checkpoint("llama-spm"), dir.path(), "f16");
    let out = dir.path().join("out");
    let cases: [(&[&Path], &str); 8] = [
        (&[Path::new("run"), &fifo], "a FIFO"),
        (&[Path::new("inspect"), &fifo], "a FIFO"),
        (&[Path::new("fit"), &fifo], "a FIFO"),
        (
            &[Path::new("run"), &model, Path::new("-f"), &fifo],
            "no program writes to",
        ),
        (&[Path::new("quantize"), &fifo, &out, Path::new("q8_0")], "a FIFO"),
        (
            &[
                Path::new("quantize"),
                &model,
                &fifo,
                Path::new("q8_0"),
                Path::new("--force"),
            ],
            "a FIFO",
        ),
        (
            &[Path::new("bench"), Path::new("--import"), &fifo],
            "no program writes to",
        ),
        (
            &[Path::new("convert"), &fifo, Path::new("-o"), &out],
            "not a folder",
        ),
    ];
    for (args, want) in cases {
        let line = fail(&mut siskin(args.iter()), 1);
        assert!(line.contains(want), "{args:?}: {line}");
    }
    // What a program writes may be read.
    let mut tokenize = siskin(["tokenize", "--ids", "-f"]);
    let tokenize = tokenize.arg(&fifo).arg(&model).stdout(Stdio::piped()).spawn();
    std::fs::write(&fifo, "hello").expect("a reader is there");
    let output = tokenize.expect("starts").wait_with_output().expect("ended");
    assert!(output.status.success() && !output.stdout.is_empty());
}

#[test]
fn no_input_is_overwritten_by_the_output() {
    let dir = tempfile::tempdir().expect("a folder");
    let at = |name: &str| dir.path().join(name);
    let checkpoint = util::checkpoint("stablelm-bpe");
    let copy = at("checkpoint");
    std::fs::create_dir(&copy).expect("made");
    for entry in std::fs::read_dir(&checkpoint).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_file() {
            std::fs::copy(&path, copy.join(path.file_name().expect("a name"))).expect("copied");
        }
    }
    std::fs::write(at("text"), "the king said hello ".repeat(400)).expect("written");
    let model = util::convert(&checkpoint, dir.path(), "f16");
    std::fs::hard_link(&model, at("hard")).expect("linked");
    std::os::unix::fs::symlink(&model, at("soft")).expect("linked");
    let convert = |to: PathBuf| vec!["convert".into(), copy.clone(), "-o".into(), to];
    let imatrix = |to: PathBuf| {
        vec![
            "imatrix".into(),
            model.clone(),
            "-f".into(),
            at("text"),
            "-o".into(),
            to,
        ]
    };
    let quantize = |to: PathBuf| vec!["quantize".into(), model.clone(), to, "q8_0".into()];
    let cases: [(Vec<PathBuf>, PathBuf); 8] = [
        (convert(copy.join("config.json")), copy.join("config.json")),
        (convert(copy.join("tokenizer.json")), copy.join("tokenizer.json")),
        (
            convert(copy.join("model.safetensors")),
            copy.join("model.safetensors"),
        ),
        (imatrix(model.clone()), model.clone()),
        (imatrix(at("hard")), model.clone()),
        (imatrix(at("text")), at("text")),
        (quantize(at("hard")), model.clone()),
        (quantize(at("soft")), model.clone()),
    ];
    for (args, victim) in cases {
        let before = std::fs::read(&victim).expect("there");
        for force in [&["--force"][..], &[]] {
            let line = fail(siskin(&args).args(force), 1);
            assert!(
                line.contains("the output is the input itself"),
                "{args:?}: {line}"
            );
        }
        assert!(std::fs::read(&victim).expect("there") == before, "{args:?}");
    }
    // Other files of the folder may be written.
    succeed(siskin(convert(copy.join("model.gguf"))).arg("-q"));
    succeed(siskin(convert(copy.join("model.gguf"))).args(["-q", "--force"]));
}
