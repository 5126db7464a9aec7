//! GGUF headers: the reader returns exactly what the writer wrote, gguf-rs agrees, and damage causes an error
//! at worst.

use std::io::Write;

use proptest::collection::vec;
use proptest::prelude::*;
use siskin_model::TensorType;
use siskin_model::gguf::{
    Array, DEFAULT_ALIGNMENT, Header, Metadata, TensorInfo, Value, align_up, data_start, write_header,
};

/// A whole file: the header, then zeros up to the end of the last tensor.
fn file_of(metadata: &Metadata, tensors: &[TensorInfo], alignment: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    let start = write_header(&mut bytes, metadata, tensors, alignment).unwrap();
    assert_eq!(start, bytes.len() as u64);
    assert_eq!(start, data_start(metadata, tensors, alignment));
    let ends = tensors
        .iter()
        .map(|t| t.offset + t.ty.tensor_bytes(&t.shape).unwrap());
    bytes.resize((start + ends.max().unwrap_or(0)) as usize, 0);
    bytes
}

fn parse(bytes: &[u8]) -> Result<Header, String> {
    Header::parse(bytes, bytes.len() as u64).map_err(|error| error.to_string())
}

/// Places `tensors` one after another, each aligned.
fn packed(tensors: Vec<(String, TensorType, Vec<u64>)>, alignment: u64) -> Vec<TensorInfo> {
    let mut offset = 0;
    let place = |(name, ty, shape): (String, TensorType, Vec<u64>)| {
        let info = TensorInfo {
            name,
            shape,
            ty,
            offset,
        };
        offset = align_up(offset + info.ty.tensor_bytes(&info.shape).unwrap(), alignment);
        info
    };
    tensors.into_iter().map(place).collect()
}

macro_rules! any_value {
    ($($ty:ty),+) => {
        prop_oneof![
            $(any::<$ty>().prop_map(Value::from), vec(any::<$ty>(), 0..9).prop_map(Value::from)),+
        ]
    };
}

fn values() -> impl Strategy<Value = Value> {
    any_value!(u8, i8, u16, i16, u32, i32, f32, bool, String, u64, i64, f64)
}

fn tensors() -> impl Strategy<Value = Vec<(String, TensorType, Vec<u64>)>> {
    let types = TensorType::all().collect::<Vec<_>>();
    let shape = (1u64..4, vec(1u64..4, 0..4));
    let tensor = (proptest::sample::select(types), shape).prop_map(|(ty, (blocks, outer))| {
        let mut shape = vec![blocks * ty.block_len()];
        shape.extend(outer);
        (ty, shape)
    });
    vec(tensor, 0..7).prop_map(|list| {
        let named = list.into_iter().enumerate();
        named
            .map(|(i, (ty, shape))| (format!("blk.{i}.ü.weight"), ty, shape))
            .collect()
    })
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(
        pairs in proptest::collection::btree_map("[a-zä.]{1,12}", values(), 0..9),
        alignment in (0u32..8).prop_map(|n| 1u32 << n),
        tensors in tensors(),
    ) {
        let mut metadata = Metadata::new();
        metadata.extend(pairs);
        metadata.set("general.alignment", alignment);
        let tensors = packed(tensors, alignment.into());
        let bytes = file_of(&metadata, &tensors, alignment.into());
        let header = parse(&bytes).unwrap();

        prop_assert_eq!(&header.tensors, &tensors);
        prop_assert_eq!(header.alignment, u64::from(alignment));
        // Compare bytes and not values: a NaN is not equal to itself.
        prop_assert_eq!(file_of(&header.metadata, &header.tensors, header.alignment), bytes);
    }

    #[test]
    fn damaged_bytes_are_refused_or_read_but_never_panic(
        damage in vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut bytes = sample();
        for (index, byte) in damage {
            let index = index.index(bytes.len());
            bytes[index] = byte;
        }
        if let Ok(header) = parse(&bytes) {
            for tensor in &header.tensors {
                prop_assert!(header.range(tensor).end <= bytes.len() as u64);
            }
        }
    }
}

/// A file with two keys and two tensors of 64 bytes.
fn sample() -> Vec<u8> {
    let mut metadata = Metadata::new();
    metadata.set("general.alignment", 32u32);
    metadata.set("tokens", vec!["a".to_owned(), "bc".to_owned()]);
    let tensors = ["one", "two"].map(|name| (name.to_owned(), TensorType::F32, vec![8, 2]));
    file_of(&metadata, &packed(tensors.into(), 32), 32)
}

/// `data/gguf_py.py` generated the file: every value type, three tensors.
#[test]
fn gguf_py_writes_the_same() {
    let theirs = include_bytes!("data/gguf_py.gguf");
    let header = parse(theirs).unwrap();
    assert_eq!(header.metadata.len(), 25);
    let mut ours = file_of(&header.metadata, &header.tensors, header.alignment);
    ours.resize(ours.len().next_multiple_of(header.alignment as usize), 0);
    assert_eq!(ours, theirs);
}

#[test]
fn gguf_rs_reads_the_same() {
    let mut metadata = Metadata::new();
    metadata.set("general.architecture", "llama");
    metadata.set("general.file_type", 15u32);
    metadata.set("b.negative", -5i64);
    metadata.set("a.half", 0.5f32);
    metadata.set(
        "tokenizer.ggml.tokens",
        vec!["▁a".to_owned(), "ß".to_owned(), String::new()],
    );
    metadata.set("tokenizer.ggml.token_type", vec![1i32, 6, -1]);
    metadata.set("tokenizer.ggml.add_bos_token", true);
    let types = [
        TensorType::F32,
        TensorType::Q4K,
        TensorType::Q6K,
        TensorType::Q8_0,
        TensorType::Q5_0,
    ];
    let tensors = types.map(|ty| (format!("{ty}.weight"), ty, vec![512, 3]));
    let tensors = packed(tensors.into(), DEFAULT_ALIGNMENT);
    let bytes = file_of(&metadata, &tensors, DEFAULT_ALIGNMENT);

    let mut file = tempfile::NamedTempFile::with_suffix(".gguf").unwrap();
    file.write_all(&bytes).unwrap();
    let mut container = gguf_rs::get_gguf_container(file.path().to_str().unwrap()).unwrap();
    let theirs = container.decode().unwrap();
    let ours = parse(&bytes).unwrap();

    let (mut keys, kv) = (Vec::new(), theirs.metadata());
    for (key, value) in ours.metadata.iter() {
        assert_eq!(as_json(value), kv[key], "{key}");
        keys.push(key);
    }
    // gguf-rs does not keep the order of keys and their types.
    keys.sort_unstable();
    assert_eq!(keys, kv.keys().collect::<Vec<_>>());
    assert_eq!(theirs.tensors().len(), ours.tensors.len());
    for (a, b) in theirs.tensors().iter().zip(&ours.tensors) {
        assert_eq!((&a.name, a.kind, a.offset), (&b.name, b.ty.id(), b.offset));
        assert_eq!(a.shape, b.shape);
        assert_eq!(a.size, b.ty.tensor_bytes(&b.shape).unwrap(), "{}", a.name);
    }
}

fn as_json(value: &Value) -> serde_json::Value {
    match value {
        Value::U32(v) => (*v).into(),
        Value::I64(v) => (*v).into(),
        Value::F32(v) => (*v).into(),
        Value::Bool(v) => (*v).into(),
        Value::String(v) => v.clone().into(),
        Value::Array(Array::I32(v)) => v.clone().into(),
        Value::Array(Array::String(v)) => v.iter().collect(),
        other => panic!("no case for {other:?}"),
    }
}

#[test]
fn every_cut_is_noticed() {
    let whole = sample();
    for len in 0..whole.len() {
        let error = parse(&whole[..len]).expect_err("a cut file");
        assert!(!error.contains('\n'), "{error}");
    }
    parse(&whole).unwrap();
}

/// Positions of the fields of [`sample`].
mod field {
    pub(super) const VERSION: usize = 4;
    pub(super) const N_TENSORS: usize = 8;
    pub(super) const N_KEYS: usize = 16;
    pub(super) const KEY_LEN: usize = 24;
    pub(super) const VALUE_TYPE: usize = KEY_LEN + 8 + 17;
    pub(super) const ALIGNMENT: usize = VALUE_TYPE + 4;
    pub(super) const SECOND_KEY_LEN: usize = ALIGNMENT + 4;
    pub(super) const ARRAY_TYPE: usize = SECOND_KEY_LEN + 8 + 6 + 4;
    pub(super) const ARRAY_LEN: usize = ARRAY_TYPE + 4;
    pub(super) const TOKEN_LEN: usize = ARRAY_LEN + 8;
    pub(super) const TOKEN: usize = TOKEN_LEN + 8;
    pub(super) const NAME_LEN: usize = TOKEN + 1 + 8 + 2;
    pub(super) const N_DIMS: usize = NAME_LEN + 8 + 3;
    pub(super) const ROW: usize = N_DIMS + 4;
    pub(super) const TYPE: usize = ROW + 16;
    pub(super) const OFFSET: usize = TYPE + 4;
    pub(super) const SECOND_NAME: usize = OFFSET + 8 + 8;
    pub(super) const SECOND_OFFSET: usize = SECOND_NAME + 3 + 4 + 16 + 4;
}

#[test]
fn hostile_headers_are_named_for_what_they_are() {
    use field::*;
    let long = 1u64 << 60;
    let cases: &[(&str, usize, &[u8], &str)] = &[
        ("magic", 0, b"GGML", "begins with \"GGML\" instead of \"GGUF\""),
        ("pickle", 0, b"\x80\x02}q", "begins with \"\\x80\\x02}q\""),
        (
            "version 1",
            VERSION,
            &[1],
            "version 1 is not supported; siskin reads versions 2 and 3",
        ),
        ("version 4", VERSION, &[4], "version 4 is"),
        ("version 0", VERSION, &[0], "version 0 is"),
        ("big-endian", VERSION, &[0, 0, 0, 3], "big-endian"),
        (
            "tensors",
            N_TENSORS,
            &(1u64 << 63).to_le_bytes(),
            "9223372036854775808 tensors cannot fit",
        ),
        (
            "keys",
            N_KEYS,
            &(1u64 << 63).to_le_bytes(),
            "9223372036854775808 keys cannot fit",
        ),
        (
            "key's length",
            KEY_LEN,
            &long.to_le_bytes(),
            "name of key 0 (byte 24): needs 1152921504606846976",
        ),
        (
            "key of no length",
            KEY_LEN,
            &[0],
            "name of key 0 (byte 24): the name is empty",
        ),
        (
            "key not UTF-8",
            KEY_LEN + 8,
            &[0xff],
            "name of key 0 (byte 24): not UTF-8",
        ),
        (
            "value type",
            VALUE_TYPE,
            &[13],
            "key \"general.alignment\" (byte 49): unknown value type 13",
        ),
        (
            "alignment's type",
            VALUE_TYPE,
            &[5],
            "key \"general.alignment\" (byte 49): must be a u32",
        ),
        (
            "alignment 0",
            ALIGNMENT,
            &[0],
            "(byte 49): alignment 0 is not a power of two",
        ),
        (
            "alignment 33",
            ALIGNMENT,
            &[33],
            "alignment 33 is not a power of two",
        ),
        (
            "nested array",
            ARRAY_TYPE,
            &[9],
            "key \"tokens\" (byte 71): an array of arrays",
        ),
        (
            "array's length",
            ARRAY_LEN,
            &long.to_le_bytes(),
            "1152921504606846976 strings cannot fit",
        ),
        (
            "token's length",
            TOKEN_LEN,
            &long.to_le_bytes(),
            "key \"tokens\" (byte 71): needs 1152921504606846976",
        ),
        (
            "token not UTF-8",
            TOKEN,
            &[0xc0],
            "key \"tokens\" (byte 71): not UTF-8",
        ),
        (
            "name's length",
            NAME_LEN,
            &long.to_le_bytes(),
            "name of tensor 0 (byte 106): needs",
        ),
        (
            "no dimension",
            N_DIMS,
            &[0],
            "tensor \"one\" (byte 117): 0 dimensions",
        ),
        (
            "5 dimensions",
            N_DIMS,
            &[5],
            "tensor \"one\" (byte 117): 5 dimensions instead of 1 to 4",
        ),
        ("no weights", ROW, &[0], "shape [0, 2] has no weights"),
        (
            "too many weights",
            ROW,
            &[0xff; 8],
            "shape [18446744073709551615, 2] is impossible for type f32",
        ),
        ("type", TYPE, &[4], "unknown tensor type 4"),
        (
            "half a block",
            TYPE,
            &[8],
            "shape [8, 2] is impossible for type q8_0",
        ),
        (
            "misaligned",
            OFFSET,
            &[8],
            "offset 8 is not a multiple of the alignment, 32",
        ),
        (
            "past the end",
            SECOND_OFFSET,
            &[96],
            "tensor \"two\" (byte 149): 64 bytes at offset 96",
        ),
        (
            "far past the end",
            SECOND_OFFSET,
            &(u64::MAX - 31).to_le_bytes(),
            "past the end of the file",
        ),
        (
            "overlap",
            SECOND_OFFSET,
            &[32],
            "tensor \"two\" (byte 149): its data overlaps that of \"one\"",
        ),
        (
            "the same name",
            SECOND_NAME,
            b"one",
            "tensor \"one\" (byte 149): it appears twice",
        ),
    ];
    for (case, position, damage, want) in cases {
        let mut bytes = sample();
        bytes[*position..position + damage.len()].copy_from_slice(damage);
        let error = parse(&bytes).expect_err(case);
        assert!(error.contains(want), "{case}: {error}");
        assert!(!error.contains('\n'), "{case}: {error}");
    }
}

/// A file without an end costs the memory limit of a header, not the length of the file.
#[test]
fn a_header_without_end_is_refused() {
    let mut start = b"GGUF\x03\0\0\0".to_vec();
    start.extend(0u64.to_le_bytes());
    start.extend((1u64 << 40).to_le_bytes());
    let mut keys = 0u64;
    let endless = std::iter::from_fn(|| {
        keys += 1;
        let mut key = 8u64.to_le_bytes().to_vec();
        key.extend(keys.to_le_bytes().map(|byte| byte & 0x7f));
        key.extend([0, 0, 0, 0, 1]);
        Some(key)
    });
    let input = Bytes(start.into_iter().chain(endless.flatten()));
    let error = Header::parse(input, u64::MAX).unwrap_err().to_string();
    assert!(error.contains("more than 256 MiB of memory"), "{error}");
}

/// Reads the bytes of an iterator.
struct Bytes<I>(I);

impl<I: Iterator<Item = u8>> std::io::Read for Bytes<I> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let mut filled = 0;
        for (slot, byte) in buffer.iter_mut().zip(&mut self.0) {
            *slot = byte;
            filled += 1;
        }
        Ok(filled)
    }
}
