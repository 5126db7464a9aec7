//! Time a token that drafters without a model take: `cargo bench -p siskin-runtime --bench speculate`. All together
//! must stay below 20 microseconds.

use std::collections::HashMap;
use std::hint::black_box;
use std::path::Path;

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use siskin_runtime::Token;
use siskin_runtime::speculate::{Drafter, History, Recycled, Remembered, RememberedKey};

/// Tokens of a text: what an index may have at most.
const TOKENS: usize = 65_536;

/// Tokens whose time is measured, the last ones of a text.
const MEASURED: usize = 4096;

/// Guesses asked for after each token.
const MOST: usize = 7;

/// This repository's prose, a token for each word.
fn prose() -> Vec<Token> {
    let pages = [
        "ARCHITECTURE.md",
        "BENCHMARKS.md",
        "README.md",
        "CHANGELOG.md",
        "benches/README.md",
    ];
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    let pages =
        pages.map(|page| std::fs::read_to_string(root.join(page)).expect("a page of this repository"));
    let mut ids = HashMap::new();
    let words = pages.iter().flat_map(|page| page.split_whitespace());
    let known = words.map(|word| {
        let new = ids.len() as i32;
        Token(*ids.entry(word).or_insert(new))
    });
    known.take(TOKENS).collect()
}

/// Texts by what an index has most work with.
fn texts() -> [(&'static str, Vec<Token>); 4] {
    let mut random = fastrand::Rng::with_seed(1);
    // As frequent as words (Zipf).
    let words = (0..TOKENS)
        .map(|_| Token(30_000f64.powf(random.f64()) as i32))
        .collect();
    let mut random = fastrand::Rng::with_seed(2);
    let two = (0..TOKENS).map(|_| Token(random.i32(0..2))).collect();
    [
        ("prose", prose()),
        ("words", words),
        ("two tokens", two),
        ("one token", vec![Token(3); TOKENS]),
    ]
}

/// Makes a drafter of no text.
type New<'a> = &'a dyn Fn() -> Box<dyn Drafter>;

/// The last tokens of a text, one after the other, with guesses after each.
fn observe_and_propose(drafter: &mut dyn Drafter, tokens: &[Token]) {
    for &token in tokens {
        drafter.observe(&[token]);
        black_box(drafter.propose(MOST, &|_| true));
    }
}

fn drafters(criterion: &mut Criterion) {
    let key = RememberedKey {
        model: [0; 32],
        vocabulary: 1 << 20,
    };
    let new: [(&str, New); 2] = [
        ("history", &|| Box::new(History::new())),
        ("remembered", &|| Box::new(Remembered::new(key))),
    ];
    for (name, new) in new {
        let mut group = criterion.benchmark_group(name);
        group
            .throughput(Throughput::Elements(MEASURED as u64))
            .sample_size(10);
        for (text, tokens) in texts() {
            let (before, measured) = tokens.split_at(tokens.len() - MEASURED);
            let observed = || {
                let mut drafter = new();
                drafter.observe(before);
                drafter
            };
            group.bench_function(BenchmarkId::from_parameter(text), |bench| {
                bench.iter_batched_ref(
                    observed,
                    |drafter| observe_and_propose(drafter.as_mut(), measured),
                    BatchSize::PerIteration,
                );
            });
        }
    }
}

fn forget(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("history/forget");
    group.sample_size(10);
    for (text, tokens) in texts() {
        let observed = || {
            let mut history = History::new();
            history.observe(&tokens);
            history
        };
        group.bench_function(BenchmarkId::from_parameter(text), |bench| {
            let cut = |history: &mut History| history.forget(tokens.len() - 1);
            bench.iter_batched_ref(observed, cut, BatchSize::PerIteration);
        });
    }
}

fn rows(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("recycled");
    for tokens in [32_000, 128_256] {
        let mut random = fastrand::Rng::with_seed(3);
        let logits: Vec<f32> = (0..tokens).map(|_| random.f32() * 20.0 - 10.0).collect();
        let mut recycled = Recycled::new();
        group.throughput(Throughput::Bytes(4 * tokens as u64));
        group.bench_function(BenchmarkId::new("row", tokens), |bench| {
            let mut token = 0;
            bench.iter(|| {
                token = (token + 1) % 1000;
                recycled.row(Token(token), black_box(&logits));
            });
        });
        group.throughput(Throughput::Elements(1));
        group.bench_function(BenchmarkId::new("observe and propose", tokens), |bench| {
            let mut token = 0;
            bench.iter(|| {
                token = (token + 1) % 1000;
                observe_and_propose(&mut recycled, &[Token(token)]);
            });
        });
    }
}

criterion_group!(benches, drafters, forget, rows);
criterion_main!(benches);
