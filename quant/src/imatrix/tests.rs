use super::*;
use siskin_model::TensorType;
use siskin_model::arch::Transform;
use siskin_model::atomic_file::Overwrite;

fn collected() -> Collected {
    let sums = |squares: &[f64], count| Sums {
        squares: squares.to_vec(),
        count,
    };
    Collected {
        tensors: BTreeMap::from([
            ("blk.0.ffn_down.weight".to_owned(), sums(&[8.0, 2.0, 0.0, 6.0], 4)),
            ("blk.0.attn_q.weight".to_owned(), sums(&[1.0, 3.0], 2)),
        ]),
        dataset: "tales.txt".into(),
        chunks: 2,
        chunk_size: 2,
    }
}

/// A file in the old format with two entries; each value is multiplied by its calls.
fn legacy() -> Vec<u8> {
    let mut bytes = 2i32.to_le_bytes().to_vec();
    for (name, calls, values) in [
        ("blk.0.ffn_down.weight", 2i32, &[4f32, 1.0, 0.0, 3.0][..]),
        ("x", 0, &[0.5]),
    ] {
        bytes.extend((name.len() as i32).to_le_bytes());
        bytes.extend(name.bytes());
        bytes.extend(calls.to_le_bytes());
        bytes.extend((values.len() as i32).to_le_bytes());
        bytes.extend(values.iter().flat_map(|v| v.to_le_bytes()));
    }
    bytes.extend(7i32.to_le_bytes());
    bytes.extend(5i32.to_le_bytes());
    bytes.extend(b"a.txt");
    bytes
}

fn read(bytes: &[u8]) -> Result<Imatrix, String> {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let path = dir.path().join("f");
    std::fs::write(&path, bytes).expect("written");
    Imatrix::open(&path).map_err(|error| error.to_string())
}

fn planned(name: &str, role: Role, shape: &[u64]) -> PlannedTensor {
    PlannedTensor {
        name: name.into(),
        sources: vec![],
        transform: Transform::Copy,
        role,
        layer: None,
        ty: TensorType::Q4_0,
        shape: shape.to_vec(),
        offset: 0,
    }
}

fn plan(tensors: Vec<PlannedTensor>) -> Plan {
    Plan {
        metadata: Default::default(),
        tensors,
    }
}

#[test]
fn what_is_written_is_read() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let path = dir.path().join("new.gguf");
    collected().write(&path, Overwrite::Refuse).expect("written");
    let imatrix = Imatrix::open(&path).expect("read");
    assert_eq!((imatrix.len(), imatrix.chunks), (2, 2));
    assert_eq!(imatrix.datasets, ["tales.txt"]);
    assert_eq!(imatrix.entries["blk.0.ffn_down.weight"], [2.0, 0.5, 0.0, 1.5]);
    assert_eq!(imatrix.entries["blk.0.attn_q.weight"], [0.5, 1.5]);
    assert!(collected().write(&path, Overwrite::Refuse).is_err());
}

#[test]
fn the_old_format_is_read() {
    let imatrix = read(&legacy()).expect("read");
    assert_eq!(imatrix.entries["blk.0.ffn_down.weight"], [2.0, 0.5, 0.0, 1.5]);
    assert_eq!(imatrix.entries["x"], [0.5]);
    assert_eq!((imatrix.chunks, imatrix.datasets), (7, vec!["a.txt".to_owned()]));
    let end = legacy().len();
    let oldest = read(&legacy()[..end - 13]).expect("read");
    assert_eq!((oldest.chunks, oldest.datasets.len(), oldest.len()), (0, 0, 2));
}

#[test]
fn damaged_files_are_refused_wherever_they_are_cut_or_changed() {
    let good = legacy();
    for cut in 0..good.len() - 13 {
        read(&good[..cut]).expect_err("cut");
    }
    let gguf = collected().bytes();
    for cut in (0..gguf.len() - 32).step_by(3) {
        read(&gguf[..cut]).expect_err("cut");
    }
    for bytes in [&good, &gguf] {
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= if at % 2 == 0 { 0xff } else { 0x80 };
            let _ = read(&changed); // either a result or an error, but no panic
        }
    }
}

#[test]
fn what_is_wrong_is_said() {
    let with = |change: fn(&mut Collected)| {
        let mut collected = collected();
        change(&mut collected);
        read(&collected.bytes()).expect_err("refused")
    };
    let infinite = with(|c| {
        c.tensors
            .values_mut()
            .for_each(|sums| sums.squares[0] = f64::INFINITY)
    });
    assert!(
        infinite.contains("\"blk.0.attn_q.weight\" contains inf, which is not a mean of squares"),
        "{infinite}"
    );
    let none = with(|c| c.tensors.clear());
    assert!(none.contains("not an importance matrix"), "{none}");
    let text = read(b"Once upon a time there was a matrix.").expect_err("text");
    assert!(text.contains("not an importance matrix"), "{text}");
    let empty = read(b"").expect_err("empty");
    assert!(empty.contains("not an importance matrix"), "{empty}");
}

#[test]
fn a_plan_is_matched_by_name_and_size() {
    let imatrix = read(&legacy()).expect("read");
    let down = || planned("blk.0.ffn_down.weight", Role::FfnDown, &[4, 32]);
    let mut good = plan(vec![
        down(),
        planned("output.weight", Role::Output, &[32, 32]),
        planned("x", Role::TokenEmbd, &[32, 32]), // has another size and is ignored
        planned("norm", Role::Vector, &[4]),
    ]);
    assert_eq!(imatrix.apply(&mut good).expect("fits"), ["output.weight"]);
    assert_eq!(
        imatrix.importance(&good.tensors[0]),
        Some(&[2.0, 0.5, 0.0, 1.5][..])
    );
    assert_eq!(imatrix.importance(&good.tensors[2]), None);
    let keys: Vec<&str> = good.metadata.iter().map(|(key, _)| key).collect();
    let names = ["file", "dataset", "entries_count", "chunks_count"];
    assert_eq!(keys, names.map(|name| format!("quantize.imatrix.{name}")));

    let mut wide = plan(vec![planned("blk.0.ffn_down.weight", Role::FfnDown, &[32, 4])]);
    let error = imatrix.apply(&mut wide).expect_err("wide").to_string();
    assert!(
        error.contains("\"blk.0.ffn_down.weight\" has 4 importances, but this model's has 32 columns"),
        "{error}"
    );
    let mut other = plan(vec![planned("blk.9.ffn_down.weight", Role::FfnDown, &[4, 32])]);
    let error = imatrix.apply(&mut other).expect_err("other").to_string();
    assert!(
        error.contains("none of its 2 entries names a matrix of this model"),
        "{error}"
    );
}

#[test]
fn experts_have_their_own_columns() {
    let sums = Sums {
        squares: vec![1.0, 2.0, 3.0, 4.0],
        count: 1,
    };
    let mut experts = collected();
    experts.tensors = BTreeMap::from([("e".to_owned(), sums)]);
    let imatrix = read(&experts.bytes()).expect("read");
    let tensor = planned("e", Role::Other, &[2, 5, 2]);
    assert_eq!(imatrix.importance(&tensor).map(<[f32]>::len), Some(4));
    assert_eq!(imatrix.importance(&planned("e", Role::Other, &[2, 5])), None);
}
