//! Speed of the runtime's parts on the embedded model and the fixtures: `cargo bench --bench engine`, or
//! `make bench`. For the speed on a real model, use `siskin bench`.

use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::process::Command;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use siskin::chat::{self, Message, Role, Template};
use siskin::{ContextOptions, LoadOptions, Model, STORYTELLER, SamplerConfig, Session, Token, Tokenize};
use siskin_model::gguf::Header;

/// Repeated, this gives a text of about a thousand tokens in any vocabulary.
const TEXT: &str = "Once upon a time there was a little bird who lived in a big tree. Every day she sang a song, \
and the wind carried it over the hills to the sea. ";

/// A fixture for each kind of vocabulary: SentencePiece, and the byte-level BPE of two architectures.
const FIXTURES: [&str; 3] = ["llama-spm", "stablelm-bpe", "gptneox-bpe"];

/// The fixture checkpoints as GGUF files, which the program itself converts.
fn fixtures(folder: &Path) -> Vec<(&'static str, PathBuf)> {
    let convert = |name: &'static str| {
        let checkpoint = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/data/checkpoints")
            .join(name);
        let out = folder.join(format!("{name}.gguf"));
        let mut command = Command::new(env!("CARGO_BIN_EXE_siskin"));
        command
            .arg("convert")
            .arg(checkpoint)
            .arg("-o")
            .arg(&out)
            .args(["--type", "q8_0", "--quiet"]);
        assert!(
            command.status().expect("the program starts").success(),
            "{command:?}"
        );
        (name, out)
    };
    FIXTURES.map(convert).to_vec()
}

fn open(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut group = criterion.benchmark_group("gguf_open");
    // The reader reads only what is before the tensors' data.
    let header = |bytes: &[u8]| Header::parse(bytes, bytes.len() as u64).expect("a header");
    group.throughput(Throughput::Bytes(header(STORYTELLER).data_start));
    group.bench_function("header/embedded", |bench| {
        bench.iter(|| header(black_box(STORYTELLER)))
    });
    for (name, path) in fixtures(folder.path()) {
        let bytes = std::fs::read(&path).expect("just written");
        group.throughput(Throughput::Bytes(header(&bytes).data_start));
        group.bench_function(BenchmarkId::new("header", name), |bench| {
            bench.iter(|| header(black_box(&bytes)));
        });
        group.throughput(Throughput::Bytes(bytes.len() as u64));
        group.bench_function(BenchmarkId::new("load", name), |bench| {
            bench.iter(|| Model::load(&path, &LoadOptions::default()).expect("a model"));
        });
    }
}

fn tokenize(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let text = TEXT.repeat(32);
    let mut group = criterion.benchmark_group("tokenize");
    group.throughput(Throughput::Bytes(text.len() as u64));
    for (name, path) in fixtures(folder.path()) {
        for (reader, llama_cpp_vocabulary) in [("siskin", false), ("llama.cpp", true)] {
            let options = LoadOptions {
                vocab_only: true,
                llama_cpp_vocabulary,
                ..LoadOptions::default()
            };
            let model = Model::load(&path, &options).expect("a vocabulary");
            group.bench_function(BenchmarkId::new(reader, name), |bench| {
                bench.iter(|| model.tokenize(black_box(&text), Tokenize::TEXT))
            });
        }
    }
}

fn storyteller() -> Model {
    Model::load_bytes(STORYTELLER, &LoadOptions::default()).expect("the embedded model")
}

fn tokens(model: &Model, count: usize) -> Vec<Token> {
    let mut tokens = model.tokenize(&TEXT.repeat(64), Tokenize::TEXT);
    tokens.truncate(count);
    assert_eq!(tokens.len(), count);
    tokens
}

fn compute(criterion: &mut Criterion) {
    let model = storyteller();
    let mut session = Session::new(&model, ContextOptions::default()).expect("a session");
    let mut group = criterion.benchmark_group("prefill");
    for count in [32, 256] {
        let tokens = tokens(&model, count);
        group.throughput(Throughput::Elements(count as u64));
        group.bench_function(BenchmarkId::new("embedded", count), |bench| {
            bench.iter(|| {
                session.truncate(0).expect("rewound");
                session.decode(black_box(&tokens)).expect("fed");
            });
        });
    }
    group.finish();
    let mut group = criterion.benchmark_group("decode");
    group.throughput(Throughput::Elements(1));
    for depth in [16, 256] {
        session.truncate(0).expect("rewound");
        session.decode(&tokens(&model, depth)).expect("fed");
        let next = tokens(&model, 1);
        group.bench_function(BenchmarkId::new("embedded", depth), |bench| {
            bench.iter(|| {
                session.decode(black_box(&next)).expect("fed");
                session.truncate(depth).expect("rewound");
            });
        });
    }
}

/// Builds a sampler chain and draws one token from the logits of the embedded model's vocabulary.
fn sample(criterion: &mut Criterion) {
    let model = storyteller();
    let mut session = Session::new(&model, ContextOptions::default()).expect("a session");
    session.decode(&tokens(&model, 16)).expect("fed");
    let greedy = SamplerConfig {
        temp: 0.0,
        ..SamplerConfig::default()
    };
    let usual = SamplerConfig {
        seed: Some(1),
        ..SamplerConfig::default()
    };
    let penalty = SamplerConfig {
        repeat_penalty: 1.1,
        ..usual
    };
    let mut group = criterion.benchmark_group("sample");
    group.throughput(Throughput::Elements(model.vocabulary_len() as u64));
    for (name, config) in [
        ("greedy", greedy),
        ("default", usual),
        ("repeat_penalty", penalty),
    ] {
        group.bench_function(name, |bench| {
            bench.iter(|| session.sample(black_box(&config)).expect("a chain").next());
        });
    }
}

/// Renders nine messages with a Llama 3 template and with the plain one, and renders and tokenizes them.
fn chat_template(criterion: &mut Criterion) {
    let model = storyteller();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/checkpoints/llama-rope-llama3");
    let source = std::fs::read_to_string(source.join("chat_template.jinja")).expect("a template");
    let now = jiff::ZonedDateTime::now();
    let own = chat::template_from(&model, &source, now).expect("a template");
    let said = |index: usize| Message {
        role: if index.is_multiple_of(2) {
            Role::User
        } else {
            Role::Assistant
        },
        content: TEXT.to_owned(),
    };
    let messages: Vec<Message> = (0..9).map(said).collect();
    let mut group = criterion.benchmark_group("chat_template");
    group.throughput(Throughput::Bytes((TEXT.len() * messages.len()) as u64));
    for (name, template) in [("llama3", own), ("plain", Template::plain())] {
        group.bench_function(BenchmarkId::new("render", name), |bench| {
            bench.iter(|| template.render(black_box(&messages), true).expect("rendered"));
        });
        group.bench_function(BenchmarkId::new("tokenize", name), |bench| {
            bench.iter(|| chat::tokenize(&model, &template, black_box(&messages)).expect("tokens"));
        });
    }
}

criterion_group!(benches, open, tokenize, compute, sample, chat_template);
criterion_main!(benches);
