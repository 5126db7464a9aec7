//! Files as torch writes them, and files that mean harm.

mod build;

use std::path::Path;
use std::sync::atomic::AtomicBool;

use build::{How, Pickle, Stored, TORCH, entries, zip};
use proptest::prelude::*;
use siskin_model::atomic_file::Overwrite;
use siskin_model::{FileType, TensorType};

use super::*;
use crate::convert::Conversion;
use crate::stream::StreamOptions;
use crate::view::View;

/// A file with two matrices, one of them a Parameter and tied to a third name, and a mask.
fn good() -> (Vec<Stored>, Vec<(&'static str, Vec<u8>)>) {
    let matrix = Stored::new("embed.weight", "FloatStorage", "0", &[2, 3]);
    let tied = Stored {
        name: "head.weight".into(),
        ..matrix.clone()
    };
    let half = Stored {
        parameter: true,
        ..Stored::new("norm.weight", "HalfStorage", "1", &[4])
    };
    let mask = Stored::new("mask", "BoolStorage", "2", &[1, 1, 2, 2]);
    let scalar = Stored::new("masked_bias", "BFloat16Storage", "3", &[]);
    let bytes: Vec<u8> = (0..24).collect();
    (
        vec![matrix, tied, half, mask, scalar],
        vec![
            ("0", bytes),
            ("1", vec![1; 8]),
            ("2", vec![1; 4]),
            ("3", vec![9, 9]),
        ],
    )
}

fn file(tensors: &[Stored], storages: &[(&str, Vec<u8>)]) -> Vec<u8> {
    zip(&entries(Pickle::state(tensors), storages), TORCH)
}

fn place(bytes: &[u8], of: &[u8]) -> u64 {
    bytes
        .windows(of.len())
        .position(|part| part == of)
        .expect("there") as u64
}

#[test]
fn tensors_are_views_of_the_archive() {
    let (tensors, storages) = good();
    for zip64 in [true, false] {
        for streamed in [true, false] {
            let how = How {
                zip64,
                streamed,
                ..TORCH
            };
            let bytes = zip(&entries(Pickle::state(&tensors), &storages), how);
            let found = parse(&bytes, 7).expect("good");
            let view = |start, ty, shape: &[u64]| View {
                file: 7,
                start,
                ty,
                shape: shape.to_vec(),
            };
            let start = place(&bytes, &storages[0].1);
            assert_eq!(start % 64, 0);
            let want = [
                ("embed.weight", view(start, TensorType::F32, &[2, 3])),
                ("head.weight", view(start, TensorType::F32, &[2, 3])),
                ("masked_bias", view(place(&bytes, &[9, 9]), TensorType::Bf16, &[])),
                ("norm.weight", view(place(&bytes, &[1; 8]), TensorType::F16, &[4])),
            ];
            assert_eq!(found.views, want.map(|(name, view)| (name.to_owned(), view)));
            assert_eq!(found.others, [("mask".to_owned(), "BOOL".to_owned())]);
        }
    }
}

/// `tests/data/torch_real.py` made one file with torch, `torch_like.py` one with Python's own pickle and zipfile.
#[test]
fn files_that_torch_and_python_wrote() {
    type Want = (&'static str, TensorType, &'static [u64], Vec<u8>);
    let floats =
        |from: u8, to: u8| -> Vec<u8> { (from..to).flat_map(|n| f32::from(n).to_le_bytes()).collect() };
    let halves = || [0u16, 0x3C00, 0x4000, 0x4200].map(u16::to_le_bytes).concat();
    let scale = || ("scale", TensorType::Bf16, &[][..], vec![0x80, 0x3F]);
    let tied = || {
        let tied = |name| (name, TensorType::F32, &[2, 3][..], floats(0, 6));
        [tied("embed.weight"), tied("head.weight")]
    };
    let real = [
        ("high", TensorType::F32, &[6][..], floats(6, 12)),
        ("low", TensorType::F32, &[6], floats(0, 6)),
        ("norm", TensorType::F16, &[4], halves()),
        scale(),
    ];
    let like = [
        ("norm.weight", TensorType::F16, &[4][..], halves()),
        ("rest.weight", TensorType::F32, &[6], floats(6, 12)),
        scale(),
    ];
    let cases: [(&str, Vec<Want>); 2] = [
        ("torch_real.bin", tied().into_iter().chain(real).collect()),
        ("torch_like.bin", tied().into_iter().chain(like).collect()),
    ];
    for (file, want) in cases {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/data")
            .join(file);
        let bytes = std::fs::read(path).expect("the golden file");
        let found = parse(&bytes, 0).expect(file);
        assert_eq!(found.views.len(), want.len(), "{file}");
        for ((name, view), want) in found.views.iter().zip(want) {
            let start = view.start as usize;
            let stored = &bytes[start..start + want.3.len()];
            let found = (name.as_str(), view.ty, &view.shape[..], stored);
            assert_eq!(found, (want.0, want.1, want.2, &want.3[..]), "{file}");
        }
        let others = [("mask", "BOOL"), ("steps", "I64")];
        let others = others.map(|(name, ty)| (name.to_owned(), ty.to_owned()));
        assert_eq!(found.others, others, "{file}");
    }
}

#[test]
fn slices_of_one_storage_are_read_if_they_are_apart() {
    let slice = |name: &str, offset: i64, shape: &[u64]| Stored {
        len: 8,
        offset,
        ..Stored::new(name, "FloatStorage", "0", shape)
    };
    let read = |tensors: &[Stored]| parse(&file(tensors, &[("0", vec![5; 32])]), 0);
    let found = read(&[slice("a", 0, &[4]), slice("b", 4, &[2, 2])]).expect("apart");
    assert_eq!(found.views[1].1.start - found.views[0].1.start, 16);
    let error = read(&[slice("a", 0, &[5]), slice("b", 4, &[4])]).expect_err("together");
    assert!(error.to_string().contains("tensors a and b overlap"), "{error}");
}

/// One tensor in a file, changed.
fn one(change: impl Fn(&mut Stored)) -> Vec<u8> {
    let mut tensor = Stored::new("a", "FloatStorage", "0", &[2, 3]);
    change(&mut tensor);
    file(&[tensor], &[("0", vec![0; 24])])
}

/// A file with this pickle.
fn pickled(pickle: Pickle) -> Vec<u8> {
    zip(&entries(pickle.0, &[("0", vec![0; 24])]), TORCH)
}

#[test]
fn what_is_refused() {
    let pickle = Pickle::new;
    let deep = (0..100).fold(pickle(), |pickle, _| pickle.raw(b"("));
    let mut many = pickle().raw(b"N");
    many.0.extend([b'q', 0].repeat(3 << 20));
    let with = |entry: &str| {
        let (tensors, storages) = good();
        let mut entries = entries(Pickle::state(&tensors), &storages);
        entries.push((format!("archive/{entry}"), vec![0]));
        zip(&entries, TORCH)
    };
    let twice = {
        let (tensors, storages) = good();
        let mut entries = entries(Pickle::state(&tensors), &storages);
        entries.push(entries[0].clone());
        zip(&entries, TORCH)
    };
    let how = |how: How| zip(&entries(Pickle::state(&good().0), &good().1), how);
    let big_endian = {
        let (tensors, storages) = good();
        let mut entries = entries(Pickle::state(&tensors), &storages);
        entries[1].1 = b"big".to_vec();
        zip(&entries, TORCH)
    };
    let epoch = pickle().ordered().text("epoch").number(3).raw(b"s.");
    let nested = pickle().raw(b"}").text("model").raw(b"}s.");
    let tensor = Stored::new("a", "FloatStorage", "0", &[2, 3]);
    let retyped = Stored {
        name: "b".into(),
        class: "IntStorage",
        ..tensor.clone()
    };
    let cases: Vec<(Vec<u8>, &str)> = vec![
        (vec![], "an empty file"),
        (b"\x80\x02\x8a\x0a".to_vec(), "before 1.6"),
        (b"GGUF\x03\0\0\0".to_vec(), "but a GGUF file"),
        (vec![1, 0xFF, 3], "without the data.pkl"),
        (with("code/model.py"), "TorchScript"),
        (with("constants.pkl"), "TorchScript"),
        (twice, "is in its directory twice"),
        (how(How { method: 8, ..TORCH }), "is compressed"),
        (how(How { flags: 1, ..TORCH }), "is compressed or encrypted"),
        (big_endian, "byte order"),
        (
            pickled(pickle().raw(b"cos\nsystem\n").text("id").raw(b"\x85R.")),
            "asks for \"os.system\"",
        ),
        (
            pickled(pickle().raw(b"c__builtin__\neval\n")),
            "asks for \"__builtin__.eval\"",
        ),
        (
            pickled(pickle().raw(b"ctorch\nload\n")),
            "asks for \"torch.load\"",
        ),
        (pickled(pickle().raw(b"cos")), "a name without an end"),
        (
            pickled(pickle().raw(b"(i__main__\nf\n")),
            "instruction 0x69 at byte 3",
        ),
        (pickled(pickle().raw(b")\x81")), "instruction 0x81"),
        (pickled(pickle().raw(b"\x93")), "instruction 0x93"),
        (
            pickled(pickle().raw(b"r\xff\xff\xff\xff")),
            "more remembered values than",
        ),
        (pickled(many), "more instructions than"),
        (pickled(deep), "more depth than"),
        (
            pickled(pickle().raw(b"h\x05")),
            "a remembered value that is missing",
        ),
        (pickled(pickle().raw(b"t")), "a mark that is missing"),
        (pickled(pickle().raw(b"N(\x85")), "a value that is missing"),
        (pickled(pickle().raw(b"X\xff\xff\xff\xff")), "an early end"),
        (pickled(pickle().raw(b"\x8a\xff")), "an early end"),
        (pickled(pickle().raw(b"X\x01\0\0\0\xff")), "not UTF-8"),
        (
            pickled(pickle().ordered().raw(b"N.")),
            "an end that is not the end",
        ),
        (
            pickled(pickle().ordered().raw(b".N")),
            "an end that is not the end",
        ),
        (pickled(Pickle(vec![0x80, 4])), "another protocol"),
        (pickled(pickle().raw(b"N.")), "no map of tensors"),
        (
            pickled(pickle().ordered().raw(b"}").text("x").raw(b"Nsb.")),
            "attributes that torch does not write",
        ),
        (
            pickled(pickle().raw(b"ccollections\nOrderedDict\nN\x85R")),
            "a call that torch does not write",
        ),
        (pickled(epoch), "\"epoch\" in data.pkl is no tensor but a number"),
        (pickled(nested), "\"model\" in data.pkl is no tensor but a map"),
        (pickled(pickle().raw(b"}K\x01Ns.")), "a map without names"),
        (
            pickled(Pickle(Pickle::state(&[tensor.clone(), retyped]))),
            "has two types or sizes",
        ),
        (
            pickled(Pickle(Pickle::state(&[tensor.clone(), tensor.clone()]))),
            "it is there twice",
        ),
        (
            one(|t| t.strides = vec![1, 2]),
            "tensor a: strides [1, 2] of shape [2, 3] are not those of rows",
        ),
        (one(|t| t.strides = vec![3]), "2 sizes and 1 strides"),
        (
            one(|t| (t.shape, t.strides) = (vec![2, 4], vec![4, 1])),
            "does not fit in its storage",
        ),
        (one(|t| t.offset = 1), "does not fit in its storage"),
        (one(|t| t.offset = -1), "does not fit in its storage"),
        (
            one(|t| (t.shape, t.strides) = (vec![1 << 40, 1 << 40], vec![1 << 40, 1])),
            "does not fit in its storage",
        ),
        (one(|t| t.len = 7), "\"archive/data/0\" of the archive is shorter"),
        (
            one(|t| t.len = 1 << 62),
            "\"archive/data/0\" of the archive is shorter",
        ),
        (one(|t| t.len = u64::MAX), "a storage of a negative size"),
        (
            one(|t| t.key = "1".into()),
            "\"archive/data/1\" of the archive is missing",
        ),
        (one(|t| t.key = "../data.pkl".into()), "is missing"),
        (
            one(|t| t.class = "ComplexFloatStorage"),
            "asks for \"torch.ComplexFloatStorage\"",
        ),
    ];
    for (bytes, want) in cases {
        let error = parse(&bytes, 0).expect_err(want).to_string();
        assert!(error.contains(want) && !error.contains('\n'), "{want}: {error}");
    }
}

/// Changes bytes of a good file and expects an error that says this.
#[test]
fn a_directory_that_lies_is_refused() {
    let (tensors, storages) = good();
    let good = file(&tensors, &storages);
    let last = |signature: &[u8]| {
        let mut places = (0..good.len()).rev();
        places
            .find(|at| good[*at..].starts_with(signature))
            .expect("there")
    };
    let (end, locator, end64) = (last(b"PK\x05\x06"), last(b"PK\x06\x07"), last(b"PK\x06\x06"));
    let entry = last(b"PK\x01\x02");
    let cases: [(usize, &[u8], &str); 11] = [
        (end, b"PK\0\0", "no directory at its end"),
        (end + 4, &[1], "one of several"),
        (locator + 8, &[0; 8], "not where its locator says"),
        (end64 + 4, &[45], "its zip64 end is damaged"),
        (end64 + 32, &[9], "its zip64 end is damaged"),
        (end64 + 40, &[0; 8], "not where its end says"),
        (end64 + 48, &[0xFF; 8], "not where its end says"),
        (entry, b"PK\0\0", "fewer entries"),
        (entry + 24, &[0xFF, 0, 0, 0], "is not in the archive"),
        (entry + 42, &[0xFF, 0xFF, 0xFF, 0x7F], "is not in the archive"),
        (entry + 28, &[0xFF, 0xFF], "its directory ends early"),
    ];
    for (at, change, want) in cases {
        let mut bytes = good.clone();
        bytes[at..at + change.len()].copy_from_slice(change);
        let error = parse(&bytes, 0).expect_err(want).to_string();
        assert!(error.contains(want), "{want}: {error}");
    }
    // The local header of storage 0, and one that points at another's data.
    let local = place(&good, b"archive/data/0") as usize - 30;
    for (at, byte) in [(0, 0), (8, 8), (26, 9), (40, b'x')] {
        let mut bytes = good.clone();
        bytes[local + at] = byte;
        let error = parse(&bytes, 0).expect_err("changed").to_string();
        assert!(error.contains("is not what the directory says"), "{error}");
    }
    // Anything may follow the start of an archive that was cut.
    for len in [4, 21, 22, 100, good.len() - 1] {
        assert!(parse(&good[..len], 0).is_err(), "{len} bytes");
    }
}

/// The values of a safetensors file, and buffers that old checkpoints have, as torch saves them.
fn as_torch(dir: &Path, buffers: &[(&str, &'static str, &[u64], usize)]) -> Vec<u8> {
    let (files, tensors) = tensors_of(dir);
    let mut stored = Vec::new();
    let mut storages = Vec::new();
    for (name, view) in &tensors.views {
        let class = match view.ty {
            TensorType::F32 => "FloatStorage",
            TensorType::F16 => "HalfStorage",
            _ => "BFloat16Storage",
        };
        let len = view.ty.tensor_bytes(&view.shape).expect("floats");
        let bytes = files.read(view.file, view.start..view.start + len).expect("read");
        stored.push(Stored::new(name, class, &stored.len().to_string(), &view.shape));
        storages.push(bytes);
    }
    for (name, class, shape, len) in buffers {
        stored.push(Stored::new(name, class, &stored.len().to_string(), shape));
        storages.push(vec![1; *len]);
    }
    let keys: Vec<String> = (0..storages.len()).map(|n| n.to_string()).collect();
    let storages: Vec<_> = keys.iter().map(String::as_str).zip(storages).collect();
    file(&stored, &storages)
}

fn tensors_of(dir: &Path) -> (Files, Tensors) {
    let mut files = Files::new();
    let file = files.open(&dir.join("model.safetensors")).expect("opened");
    let tensors = crate::checkpoint::safetensors::read_header(&files, file).expect("a header");
    (files, tensors)
}

const BUFFERS: [(&str, &str, &[u64], usize); 3] = [
    (
        "gpt_neox.layers.0.attention.bias",
        "BoolStorage",
        &[1, 1, 4, 4],
        16,
    ),
    ("gpt_neox.layers.0.attention.masked_bias", "HalfStorage", &[], 2),
    (
        "gpt_neox.layers.0.attention.rotary_emb.inv_freq",
        "HalfStorage",
        &[4],
        8,
    ),
];

fn converted(dir: &Path) -> Vec<u8> {
    let conversion = Conversion::from_checkpoint(dir, Some(FileType::Q8_0), None).expect("planned");
    let out = tempfile::tempdir().expect("a folder");
    let path = out.path().join("out.gguf");
    let cancel = AtomicBool::new(false);
    let options = StreamOptions::new(2, &cancel);
    conversion
        .write(&path, Overwrite::Refuse, options, &mut |_| {})
        .expect("written");
    std::fs::read(path).expect("read")
}

#[test]
fn a_checkpoint_gives_the_same_bytes_as_its_safetensors() {
    for name in ["gptneox-bpe", "llama-f32", "stablelm-bpe"] {
        let fixture = siskin_testing::checkpoint(name);
        let all = tempfile::tempdir().expect("a folder");
        // The model's name comes from the folder's.
        let dir = all.path().join(name);
        std::fs::create_dir(&dir).expect("made");
        for entry in std::fs::read_dir(&fixture).expect("the fixture") {
            let path = entry.expect("an entry").path();
            if path.is_file()
                && path
                    .extension()
                    .is_some_and(|extension| extension != "safetensors")
            {
                std::fs::copy(&path, dir.join(path.file_name().expect("a name"))).expect("copied");
            }
        }
        if name == "gptneox-bpe" {
            std::fs::write(dir.join("pytorch_model.bin"), as_torch(&fixture, &BUFFERS)).expect("written");
        } else {
            std::fs::write(dir.join("part-1.bin"), as_torch(&fixture, &[])).expect("written");
            let (_, tensors) = tensors_of(&fixture);
            let views = tensors.views.into_iter();
            let map: serde_json::Map<String, serde_json::Value> =
                views.map(|(name, _)| (name, "part-1.bin".into())).collect();
            let index = serde_json::json!({"weight_map": map}).to_string();
            std::fs::write(dir.join("pytorch_model.bin.index.json"), index).expect("written");
        }
        assert!(converted(&dir) == converted(&fixture), "{name}");
        // Safetensors come first: what is in the other file does not count.
        std::fs::copy(fixture.join("model.safetensors"), dir.join("model.safetensors")).expect("copied");
        std::fs::write(dir.join("pytorch_model.bin"), b"os.system").expect("written");
        assert!(converted(&dir) == converted(&fixture), "{name}");
    }
}

/// Every tensor that is accepted lies in the file.
fn check(bytes: &[u8]) {
    let Ok(tensors) = parse(bytes, 0) else { return };
    for (name, view) in tensors.views {
        let len = view.ty.tensor_bytes(&view.shape).unwrap_or(0);
        assert!(view.start + len <= bytes.len() as u64, "{name}");
    }
}

proptest! {
    #[test]
    fn no_change_of_bytes_makes_a_panic(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8)) {
        let (tensors, storages) = good();
        let mut bytes = file(&tensors, &storages);
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        check(&bytes);
    }

    #[test]
    fn no_pickle_makes_a_panic(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..3u8), 1..6),
        tail in prop::collection::vec(any::<u8>(), 0..20),
    ) {
        let (tensors, storages) = good();
        let mut pickle = Pickle::state(&tensors);
        for (at, byte, kind) in changes {
            let at = at.index(pickle.len());
            match kind {
                0 => pickle[at] = byte,
                1 => pickle.insert(at, byte),
                _ => drop(pickle.remove(at)),
            }
        }
        pickle.extend(tail);
        check(&zip(&entries(pickle, &storages), TORCH));
    }
}
