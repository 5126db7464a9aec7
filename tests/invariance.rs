//! A token's logits have the same bits whatever is computed with it: how many tokens of its sequence in one pass, which
//! other sequences, and by how many threads. Models of f16 weights are promised that in passes of up to eight tokens.

use std::hash::{DefaultHasher, Hasher};
use std::path::Path;

use siskin::device::settings::{CacheType, Kernels, Values};
use siskin::{
    Batch, CacheLayout, Context, ContextOptions, LoadOptions, Model, Row, Rows, SequenceId, Token, ggml_hook,
};

/// The program, which converts the fixtures.
const PROGRAM: &str = env!("CARGO_BIN_EXE_siskin");
/// The most tokens of a pass of a model with f16 weights.
const MOST_F16: usize = 8;
/// Tokens that are compared.
const LENGTH: usize = 200;
/// Every type that `convert` writes.
const TYPES: [&str; 6] = ["f16", "q8_0", "q6_k", "q5_k_m", "q4_k_m", "q4_0"];

/// How a text is computed.
#[derive(Debug, Clone, Copy)]
struct Way {
    /// Tokens in each pass.
    tokens: usize,
    /// Other sequences in each pass, with one token each.
    neighbours: usize,
    layout: CacheLayout,
    threads: usize,
}

const ALONE: Way = Way {
    tokens: 1,
    neighbours: 0,
    layout: CacheLayout::Separate,
    threads: 1,
};

fn ways() -> Vec<Way> {
    let with = |tokens| Way { tokens, ..ALONE };
    let beside = |neighbours, layout| Way {
        neighbours,
        layout,
        ..ALONE
    };
    let by = |threads| Way { threads, ..ALONE };
    vec![
        with(2),
        with(3),
        with(5),
        with(8),
        with(9),
        with(64),
        with(LENGTH),
        by(2),
        by(3),
        Way {
            threads: 4,
            ..with(4)
        },
        beside(1, CacheLayout::Separate),
        beside(4, CacheLayout::Unified),
        Way {
            threads: 2,
            tokens: 3,
            ..beside(3, CacheLayout::Unified)
        },
        Way {
            threads: 2,
            tokens: 2,
            ..beside(2, CacheLayout::Separate)
        },
        Way {
            threads: 2,
            tokens: 50,
            ..beside(3, CacheLayout::Unified)
        },
    ]
}

fn digest(logits: &[f32]) -> u64 {
    let mut hasher = DefaultHasher::new();
    logits.iter().for_each(|x| hasher.write_u32(x.to_bits()));
    hasher.finish()
}

fn text(model: &Model, length: usize, seed: usize) -> Vec<Token> {
    let size = model.vocabulary_len();
    // Any ids: the model's weights are random, too.
    let id = |at: usize| (at * at * 31 + at * 7 + seed * 101) % size;
    (0..length)
        .map(|at| Token(i32::try_from(id(at)).expect("an id")))
        .collect()
}

/// Digests of the logits after each of the last tokens of `text`, from token `from` on.
fn digests(model: &Model, text: &[Token], from: usize, way: Way, cache: CacheType) -> Vec<u64> {
    let sequences = way.neighbours + 1;
    let room = text.len() + way.tokens + 64;
    let values = Values {
        threads: way.threads,
        threads_batch: way.threads,
        cache_type: cache,
        ..Values::default()
    };
    let options = ContextOptions {
        context: Some(u32::try_from(room * sequences).expect("a length")),
        sequences: u32::try_from(sequences).expect("a number"),
        layout: way.layout,
        ..ContextOptions::from(values)
    };
    let mut context = Context::new(model, options).expect("a context");
    let ids: Vec<SequenceId> = (0..sequences)
        .map(|_| context.sequence().expect("a sequence"))
        .collect();
    let (own, others) = ids.split_first().expect("one");
    // Neighbours have other texts of other lengths.
    for (at, id) in others.iter().enumerate() {
        let mut batch = Batch::new();
        batch.push(*id, &self::text(model, 3 + 5 * at, at + 1), Rows::None);
        context.decode(&batch, |_| ()).expect("room");
    }
    let mut found = Vec::new();
    let mut pass = |context: &mut Context, tokens: &[Token], step: usize, rows| {
        let mut batch = Batch::new();
        batch.push(*own, tokens, rows);
        for (at, id) in others.iter().enumerate() {
            let next = self::text(model, step + 1, at + 9)[step];
            batch.push(*id, &[next], Rows::Last);
        }
        let on_row = |row: Row<'_>| {
            if row.sequence == *own {
                found.push(digest(row.logits));
            }
        };
        context.decode(&batch, on_row).expect("room");
    };
    let (before, compared) = text.split_at(from);
    for (step, tokens) in before.chunks(way.tokens).enumerate() {
        pass(&mut context, tokens, step, Rows::None);
    }
    for (step, tokens) in compared.chunks(way.tokens).enumerate() {
        pass(&mut context, tokens, before.len() + step, Rows::All);
    }
    found
}

fn has_kernels() -> bool {
    let status = ggml_hook::select(Kernels::Siskin, Values::default().prefetch_bytes);
    if status.kernels != Kernels::Siskin {
        siskin_testing::skip(&status.to_string());
    }
    status.kernels == Kernels::Siskin
}

/// Whether a file has products with weights of f16.
fn has_f16(path: &Path) -> bool {
    let file = siskin::model::gguf::ModelFile::open(path).expect("a model");
    let mut tensors = file.header.tensors.iter();
    tensors.any(|tensor| tensor.ty == siskin::model::TensorType::F16)
}

fn load(path: &Path) -> Model {
    Model::load(path, &LoadOptions::default()).expect("a model")
}

#[test]
fn logits_do_not_depend_on_what_is_computed_beside_them() {
    if !has_kernels() {
        return;
    }
    let out = tempfile::tempdir().expect("a temporary folder");
    // Three ways for each model and type, in turns: together they see all of them.
    let mut turns = ways().into_iter().cycle();
    for dir in siskin_testing::checkpoints() {
        for ty in TYPES {
            let path = siskin_testing::convert(PROGRAM, &dir, out.path(), ty);
            // Narrow fixtures have f16 weights in files of other types, too.
            let f16 = has_f16(&path);
            let model = load(&path);
            let text = text(&model, LENGTH, 0);
            let alone = digests(&model, &text, 0, ALONE, CacheType::F16);
            let fits = |way: &Way| !f16 || way.tokens + way.neighbours <= MOST_F16;
            for way in turns.by_ref().filter(fits).take(3) {
                let other = digests(&model, &text, 0, way, CacheType::F16);
                let differs = alone.iter().zip(&other).position(|(a, b)| a != b);
                assert_eq!(differs, None, "{} {ty}: {way:?}", dir.display());
            }
        }
    }
}

#[test]
fn logits_do_not_depend_on_it_deep_in_a_context_and_with_any_cache() {
    if !has_kernels() {
        return;
    }
    let out = tempfile::tempdir().expect("a temporary folder");
    let model = load(&siskin_testing::convert(
        PROGRAM,
        &siskin_testing::checkpoint("llama-spm"),
        out.path(),
        "q4_k_m",
    ));
    let mut turns = ways().into_iter().cycle();
    for cache in [CacheType::F16, CacheType::Q8_0, CacheType::Q4_0] {
        for depth in [500, 1024, 4096] {
            let text = text(&model, depth + 16, 0);
            let alone = digests(&model, &text, depth, Way { tokens: 8, ..ALONE }, cache);
            for way in turns.by_ref().take(2) {
                let other = digests(&model, &text, depth, way, cache);
                let differs = alone.iter().zip(&other).position(|(a, b)| a != b);
                assert_eq!(differs, None, "{cache:?} at {depth}: {way:?}");
            }
        }
    }
}
