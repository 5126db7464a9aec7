use std::sync::atomic::AtomicBool;

use siskin_model::FileType;
use siskin_model::atomic_file::Overwrite;
use siskin_model::gguf::{ModelFile, Value};

use super::*;
use crate::convert::Conversion;
use crate::stream::StreamOptions;

fn conversion() -> Conversion {
    let dir = siskin_testing::checkpoint("llama-spm");
    Conversion::from_checkpoint(&dir, Some(FileType::Q8_0), None).expect("planned")
}

fn write(conversion: &Conversion, path: &Path, split: Option<SplitOptions>) -> Vec<PathBuf> {
    let cancel = AtomicBool::new(false);
    let options = StreamOptions::new(2, &cancel);
    let mut last = (0, 0);
    let mut progress = |progress: crate::stream::Progress<'_>| {
        assert!(progress.written > last.0 || progress.finished);
        last = (progress.written, progress.total);
    };
    let paths = match split {
        None => conversion
            .write(path, Overwrite::Refuse, options, &mut progress)
            .map(|()| vec![path.to_owned()]),
        Some(split) => conversion.write_split(path, split, Overwrite::Refuse, options, &mut progress),
    };
    let paths = paths.expect("written");
    assert_eq!(last.0, last.1, "all of it was reported");
    paths
}

/// The bytes of every tensor, in order, with its name.
fn tensors(path: &Path) -> Vec<(String, Vec<u8>)> {
    let model = ModelFile::open(path).expect("opened");
    let header = &model.header;
    let read = |tensor: &siskin_model::gguf::TensorInfo| {
        let range = header.range(tensor);
        let (file, start) = model.files.locate(range.start);
        let bytes = model.files.read(file, start..start + range.end - range.start);
        (tensor.name.clone(), bytes.expect("read"))
    };
    header.tensors.iter().map(read).collect()
}

#[test]
fn parts_are_one_model_and_can_be_joined_and_split_again() {
    let dir = tempfile::tempdir().expect("a folder");
    let at = |name: &str| dir.path().join(name);
    let conversion = conversion();
    let whole = at("whole.gguf");
    write(&conversion, &whole, None);
    // The smallest limit that every tensor fits in.
    let mut most_bytes = 1 << 12;
    while let Err(SplitError::Keys { bytes, .. } | SplitError::Tensor { bytes, .. }) = parts(
        &conversion.plan,
        SplitOptions {
            most_bytes,
            no_tensor_first: false,
        },
    ) {
        most_bytes = bytes;
    }
    for (number, no_tensor_first) in [(0, false), (1, true)] {
        let options = SplitOptions {
            most_bytes,
            no_tensor_first,
        };
        let paths = write(&conversion, &at(&format!("{number}.gguf")), Some(options));
        let count = paths.len();
        assert!(count >= 2 + number, "{count} parts");
        let planned = conversion
            .parts(&at(&format!("{number}.gguf")), options)
            .expect("parts");
        for (number, (path, bytes)) in planned.iter().enumerate() {
            assert_eq!(path, &paths[number]);
            assert_eq!(path.metadata().expect("there").len(), *bytes);
            assert!(*bytes <= options.most_bytes);
            let mut files = siskin_model::files::Files::new();
            let file = files.open(path).expect("opened");
            let header = siskin_model::gguf::Header::read(&files, file).expect("a header");
            let keys: Vec<_> = header.metadata.iter().collect();
            let split = [
                ("split.no", Value::U16(number as u16)),
                ("split.count", Value::U16(count as u16)),
                (
                    "split.tensors.count",
                    Value::I32(conversion.plan.tensors.len() as i32),
                ),
            ];
            let tail = &keys[keys.len() - 3..];
            assert!(
                tail.iter().zip(&split).all(|(a, b)| (a.0, a.1) == (b.0, &b.1)),
                "{tail:?}"
            );
            assert_eq!(keys.len() == 3, number > 0);
            // The first part may be without tensors also because the first tensor has no room beside the keys.
            assert!(header.tensors.is_empty() || number > 0 || !no_tensor_first);
            assert!(number == 0 || !header.tensors.is_empty());
        }
        let entries = std::fs::read_dir(dir.path()).expect("the folder");
        let hidden = |entry: &std::fs::DirEntry| entry.file_name().as_encoded_bytes().starts_with(b".");
        assert_eq!(
            entries.flatten().filter(hidden).count(),
            0,
            "temporary files are left"
        );
        assert_eq!(tensors(&paths[count - 1]), tensors(&whole));
        let joined = at(&format!("joined-{number}.gguf"));
        write(&Conversion::copy_of(&paths[0]).expect("planned"), &joined, None);
        assert!(std::fs::read(&joined).expect("read") == std::fs::read(&whole).expect("read"));
        let again = write(
            &Conversion::copy_of(&whole).expect("planned"),
            &at(&format!("again-{number}.gguf")),
            Some(options),
        );
        for (again, first) in again.iter().zip(&paths) {
            assert!(std::fs::read(again).expect("read") == std::fs::read(first).expect("read"));
        }
    }
}

#[test]
fn what_cannot_be_split_is_said_with_the_bytes_it_needs() {
    let plan = conversion().plan;
    let split = |most_bytes| {
        parts(
            &plan,
            SplitOptions {
                most_bytes,
                no_tensor_first: false,
            },
        )
    };
    let Err(SplitError::Keys { bytes, .. }) = split(100) else {
        panic!("keys need more")
    };
    assert!(split(bytes - 1).is_err());
    // What is named as too small is enough for that tensor.
    let mut most = bytes;
    while let Err(SplitError::Tensor { bytes, .. }) = split(most) {
        assert!(bytes > most);
        most = bytes;
    }
    split(most).expect("all tensors have room");
}

#[test]
fn a_part_that_exists_refuses_all() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("m.gguf");
    let conversion = conversion();
    let options = SplitOptions {
        most_bytes: u64::MAX,
        no_tensor_first: true,
    };
    let taken = part_path(&path, 1, 2).expect("a name");
    assert_eq!(
        taken.file_name().and_then(|name| name.to_str()),
        Some("m-00002-of-00002.gguf")
    );
    std::fs::write(&taken, b"mine").expect("written");
    let cancel = AtomicBool::new(false);
    let stream = StreamOptions::new(1, &cancel);
    let error = conversion.write_split(&path, options, Overwrite::Refuse, stream, &mut |_| {});
    assert_eq!(error.expect_err("it exists").kind(), ErrorKind::Exists);
    let left = std::fs::read_dir(dir.path()).expect("the folder").count();
    assert_eq!(
        (left, std::fs::read(&taken).expect("read")),
        (1, b"mine".to_vec())
    );
}
