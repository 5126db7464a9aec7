//! Makes damaged files: each depends only on a good file and a number. Half of the kinds change bytes in
//! place, so that what follows is misread. The other half rewrite the whole header, so that it parses but is
//! wrong.

use std::path::Path;

use siskin_model::TensorType;
use siskin_model::files::Files;
use siskin_model::gguf::{Array, Header, Metadata, Value, write_header};

use super::fields::{self, Field, Kind};
use siskin_testing::Rng;

/// A good file with its parsed header.
pub(super) struct Good {
    pub(super) bytes: Vec<u8>,
    header: Header,
    fields: Vec<Field>,
}

impl Good {
    pub(super) fn read(path: &Path) -> Self {
        let mut files = Files::new();
        let file = files.open(path).expect("opened");
        let bytes = std::fs::read(path).expect("there");
        Good {
            header: Header::read(&files, file).expect("a header"),
            fields: fields::fields(&bytes),
            bytes,
        }
    }
}

/// Numbers that often reveal bugs.
const TRAPS: [u64; 24] = [
    0,
    1,
    2,
    3,
    7,
    8,
    16,
    31,
    33,
    63,
    127,
    128,
    255,
    512,
    1 << 15,
    (1 << 16) - 1,
    1 << 20,
    (1 << 31) - 1,
    1 << 31,
    (1 << 32) - 1,
    1 << 40,
    1 << 60,
    (1 << 63) - 1,
    u64::MAX,
];
const FLOAT_TRAPS: [f32; 9] = [
    0.0,
    -1.0,
    1e-45,
    1e-30,
    1e38,
    f32::NAN,
    f32::INFINITY,
    f32::NEG_INFINITY,
    2.0,
];
const TEXT_TRAPS: [&str; 16] = [
    "", "none", "no_vocab", "llama", "gpt2", "bert", "t5", "rwkv", "plamo2", "yarn", "longrope", "stablelm",
    "gptneox", "qwen2", "default", "phi-3",
];
/// Keys that change what llama.cpp does, either whole or without the architecture's prefix.
const KEY_TRAPS: [&str; 24] = [
    "expert_count",
    "expert_used_count",
    "expert_group_count",
    "nextn_predict_layers",
    "attention.head_count_kv",
    "attention.key_length",
    "attention.value_length",
    "attention.causal",
    "attention.sliding_window",
    "embedding_length_out",
    "pooling_type",
    "classifier.pooling_type",
    "rope.dimension_count",
    "rope.scaling.type",
    "rope.scaling.factor",
    "rope.scaling.original_context_length",
    "rope.freq_base",
    "vocab_size",
    "use_parallel_residual",
    "tensor_data_layout",
    "general.alignment",
    "tokenizer.ggml.add_bos_token",
    "tokenizer.ggml.eot_token_id",
    "split.count",
];

/// A description of the damage, and the damaged file.
pub(super) fn mutate(good: &Good, number: u64) -> (String, Vec<u8>) {
    let mut rng = Rng::with_seed(number.wrapping_mul(0x2545_f491_4f6c_dd1d));
    type Damage = fn(&Good, &mut Rng) -> (String, Vec<u8>);
    let kinds: [(usize, Damage); 8] = [
        (30, rewrite_field),
        (8, flip_header),
        (8, flip_data),
        (8, cut),
        (16, set_key),
        (8, drop_key),
        (6, bend_vocabulary),
        (16, bend_tensors),
    ];
    let mut ticket = rng.usize(..kinds.iter().map(|(weight, _)| weight).sum::<usize>());
    for (weight, damage) in kinds {
        match ticket.checked_sub(weight) {
            Some(rest) => ticket = rest,
            None => return damage(good, &mut rng),
        }
    }
    unreachable!("a ticket is below the sum of the weights")
}

/// Writes another number into a field of the header; each kind of field is about equally likely.
fn rewrite_field(good: &Good, rng: &mut Rng) -> (String, Vec<u8>) {
    use Kind::*;
    let kind = *rng
        .choice(&[
            Start, Name, ValueType, Value, Value, Length, Entries, Dimension, TensorType, Offset,
        ])
        .expect("not empty");
    let candidates: Vec<&Field> = good.fields.iter().filter(|field| field.kind == kind).collect();
    let field = **rng.choice(&candidates).expect("not empty");
    let mut bytes = good.bytes.clone();
    let slot = &mut bytes[field.at..field.at + field.len.min(8)];
    let mut old = [0; 8];
    old[..slot.len()].copy_from_slice(slot);
    let old = u64::from_le_bytes(old);
    let float = FLOAT_TRAPS[rng.usize(..(FLOAT_TRAPS.len()).max(1))]
        .to_bits()
        .into();
    let new = match rng.usize(..8) {
        0 => old.wrapping_add(1),
        1 => old.wrapping_sub(1),
        2 => old.wrapping_mul(2),
        3 => old / 2,
        4 if slot.len() == 4 => float,
        5 => rng.u64(..),
        _ => *rng.choice(&TRAPS).expect("not empty"),
    };
    slot.copy_from_slice(&new.to_le_bytes()[..slot.len()]);
    (format!("{kind:?} at {}: {old} to {new}", field.at), bytes)
}

fn flip(bytes: &mut [u8], start: usize, end: usize, rng: &mut Rng) -> String {
    let mut places = Vec::new();
    for _ in 0..1 + rng.usize(..4) {
        let (at, bit) = (start + rng.usize(..(end - start).max(1)), rng.usize(..8));
        bytes[at] ^= 1 << bit;
        places.push(format!("{at}.{bit}"));
    }
    format!("bits {}", places.join(" "))
}

fn flip_header(good: &Good, rng: &mut Rng) -> (String, Vec<u8>) {
    let mut bytes = good.bytes.clone();
    let what = flip(&mut bytes, 0, good.header.data_start as usize, rng);
    (what, bytes)
}

/// Overwrites a run of weights with bytes that no training gives, or flips some bits of weights.
fn flip_data(good: &Good, rng: &mut Rng) -> (String, Vec<u8>) {
    let mut bytes = good.bytes.clone();
    let (start, end) = (good.header.data_start as usize, bytes.len());
    if rng.usize(..2) == 0 {
        let what = flip(&mut bytes, start, end, rng);
        return (what, bytes);
    }
    let (from, byte) = (
        start + rng.usize(..(end - start).max(1)),
        *rng.choice(&[0x7fu8, 0xff, 0x00, 0x7c]).expect("not empty"),
    );
    let to = (from + 1 + rng.usize(..4096)).min(end);
    bytes[from..to].fill(byte);
    (format!("bytes {from} to {to} are {byte:#x}"), bytes)
}

/// Cuts the file at a field or anywhere, or appends bytes.
fn cut(good: &Good, rng: &mut Rng) -> (String, Vec<u8>) {
    let mut bytes = good.bytes.clone();
    let len = match rng.usize(..3) {
        0 => rng.choice(&good.fields).expect("not empty").at,
        1 => rng.usize(..(bytes.len()).max(1)),
        _ => bytes.len() + rng.usize(..100),
    };
    bytes.resize(len, 0xa5);
    (format!("{len} bytes long"), bytes)
}

/// The whole file with another header.
fn with(good: &Good, metadata: &Metadata, header: &Header) -> Vec<u8> {
    let mut bytes = Vec::new();
    write_header(&mut bytes, metadata, &header.tensors, header.alignment).expect("a Vec takes everything");
    bytes.extend(&good.bytes[good.header.data_start as usize..]);
    bytes
}

fn trap_value(rng: &mut Rng) -> Value {
    let number = *rng.choice(&TRAPS).expect("not empty");
    match rng.usize(..10) {
        0 => Value::F32(*rng.choice(&FLOAT_TRAPS).expect("not empty")),
        1 => Value::Bool(rng.usize(..2) == 0),
        2 => Value::String((*rng.choice(&TEXT_TRAPS).expect("not empty")).to_owned()),
        3 => Value::U64(number),
        4 => Value::I32(number as i32),
        5 => Value::Array(Array::U32(vec![number as u32; 2])),
        6 => Value::U16(number as u16),
        _ => Value::U32(number as u32),
    }
}

/// Sets a key to another value, mostly of the same type, or adds a key that changes what llama.cpp does.
fn set_key(good: &Good, rng: &mut Rng) -> (String, Vec<u8>) {
    let mut metadata = good.header.metadata.clone();
    let arch = match metadata.get("general.architecture") {
        Some(Value::String(arch)) => arch.clone(),
        _ => String::new(),
    };
    let scalars: Vec<String> = metadata
        .iter()
        .filter(|(_, value)| !matches!(value, Value::Array(_)))
        .map(|(key, _)| key.to_owned())
        .collect();
    let key = match rng.usize(..3) {
        0 => match *rng.choice(&KEY_TRAPS).expect("not empty") {
            whole
                if whole.starts_with("general.")
                    || whole.starts_with("tokenizer.")
                    || whole.starts_with("split.") =>
            {
                whole.to_owned()
            }
            key => format!("{arch}.{key}"),
        },
        _ => rng.choice(&scalars).expect("not empty").clone(),
    };
    let number = *rng.choice(&TRAPS).expect("not empty");
    let value = match (metadata.get(&key), rng.usize(..4)) {
        (Some(Value::U32(old)), 1) => Value::U32(old.wrapping_add(1)),
        (Some(Value::U32(old)), 2) => Value::U32(old.wrapping_mul(2)),
        (Some(Value::U32(_)), 3) => Value::U32(number as u32),
        (Some(Value::F32(_)), 1..) => Value::F32(*rng.choice(&FLOAT_TRAPS).expect("not empty")),
        (Some(Value::Bool(old)), 1..) => Value::Bool(!old),
        (Some(Value::String(_)), 1..) => {
            Value::String((*rng.choice(&TEXT_TRAPS).expect("not empty")).to_owned())
        }
        _ => trap_value(rng),
    };
    let what = format!("{key} = {value:?}");
    metadata.set(key, value);
    let bytes = with(good, &metadata, &good.header);
    (what, bytes)
}

fn drop_key(good: &Good, rng: &mut Rng) -> (String, Vec<u8>) {
    let mut metadata = good.header.metadata.clone();
    let keys: Vec<String> = metadata.iter().map(|(key, _)| key.to_owned()).collect();
    let victim = rng.choice(&keys).expect("not empty").clone();
    metadata.retain(|key| key != victim);
    let bytes = with(good, &metadata, &good.header);
    (format!("without {victim}"), bytes)
}

/// Makes tokens, scores, types or merges too few, too many or different.
fn bend_vocabulary(good: &Good, rng: &mut Rng) -> (String, Vec<u8>) {
    let mut metadata = good.header.metadata.clone();
    let lists: Vec<String> = metadata
        .iter()
        .filter(|(key, value)| key.starts_with("tokenizer.") && matches!(value, Value::Array(_)))
        .map(|(key, _)| key.to_owned())
        .collect();
    let key = rng.choice(&lists).expect("not empty").clone();
    let Some(Value::Array(mut list)) = metadata.get(&key).cloned() else {
        unreachable!("a list was picked")
    };
    let how = match &mut list {
        Array::String(strings) => {
            let mut texts: Vec<String> = strings.iter().map(str::to_owned).collect();
            let (a, b) = (
                rng.usize(..(texts.len()).max(1)),
                rng.usize(..(texts.len()).max(1)),
            );
            match rng.usize(..5) {
                0 => texts.truncate(a),
                1 => texts[a] = texts[b].clone(),
                2 => texts[a] = ["", "\0", " ", "<0x41>", "a\0b", "  "][rng.usize(..6)].to_owned(),
                3 => texts[a] = "\u{4e00}".repeat(1 << rng.usize(..14)),
                _ => texts.push(texts[a].clone()),
            }
            *strings = texts.into_iter().collect();
            format!("text {a}, {b}")
        }
        Array::I32(numbers) => {
            let (a, number) = (
                rng.usize(..(numbers.len()).max(1)),
                *rng.choice(&TRAPS).expect("not empty") as i32,
            );
            match rng.usize(..3) {
                0 => numbers.truncate(a),
                1 => numbers.fill(number),
                _ => numbers[a] = number,
            }
            format!("number {a}: {number}")
        }
        Array::F32(numbers) => {
            let (a, number) = (
                rng.usize(..(numbers.len()).max(1)),
                *rng.choice(&FLOAT_TRAPS).expect("not empty"),
            );
            match rng.usize(..3) {
                0 => numbers.truncate(a),
                1 => numbers.fill(number),
                _ => numbers[a] = number,
            }
            format!("number {a}: {number}")
        }
        _ => "nothing".into(),
    };
    metadata.set(key.clone(), Value::Array(list));
    let bytes = with(good, &metadata, &good.header);
    (format!("{key}: {how}"), bytes)
}

/// Removes a tensor, or changes its name, shape or type; all offsets are computed again so that the file
/// parses.
fn bend_tensors(good: &Good, rng: &mut Rng) -> (String, Vec<u8>) {
    let mut header = good.header.clone();
    let (a, b) = (
        rng.usize(..(header.tensors.len()).max(1)),
        rng.usize(..(header.tensors.len()).max(1)),
    );
    let how = match rng.usize(..6) {
        0 => {
            header.tensors.remove(a);
            "is gone"
        }
        1 => {
            let name = header.tensors[b].name.clone();
            header.tensors[b].name = std::mem::replace(&mut header.tensors[a].name, name);
            "has another's name"
        }
        2 => {
            header.tensors[a].shape.reverse();
            "is turned"
        }
        3 => {
            let at = rng.usize(..(header.tensors[a].shape.len()).max(1));
            header.tensors[a].shape[at] = *rng
                .choice(&[1, 2, 31, 32, 64, 96, 256, 512, 4096])
                .expect("not empty");
            "has another dimension"
        }
        4 => {
            let types: Vec<TensorType> = TensorType::all().collect();
            header.tensors[a].ty = *rng.choice(&types).expect("not empty");
            "has another type"
        }
        _ => {
            header.tensors[a].name = format!("blk.{}.extra.weight", rng.usize(..3));
            "has a name of no meaning"
        }
    };
    let what = format!("tensor {:?} {how}", good.header.tensors[a].name);
    let mut offset = 0;
    for tensor in &mut header.tensors {
        tensor.offset = offset;
        let bytes = tensor.ty.tensor_bytes(&tensor.shape).unwrap_or(64);
        offset = (offset + bytes).next_multiple_of(header.alignment);
    }
    let mut bytes = with(good, &header.metadata, &header);
    let missing = bytes.len() as u64 + offset;
    bytes.resize(missing as usize, 0x11);
    (what, bytes)
}
