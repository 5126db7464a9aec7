//! Checks that llama.cpp's graph calls siskin's kernels, and that they give nearly the same results as ggml's own.
//!
//! The switch belongs to the whole process, so these tests are a separate program and take turns.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard};

use siskin::device::settings::{CacheType, FlashAttention, Kernels, Values};
use siskin::{ContextOptions, LoadOptions, Model, STORYTELLER, Session, Tokenize, ggml_hook};

/// The program, which converts the fixtures.
const PROGRAM: &str = env!("CARGO_BIN_EXE_siskin");

/// File types with kernels for their products. Rows whose length a type does not divide get another type.
const TYPES: [&str; 6] = ["f16", "q8_0", "q6_k", "q5_k_m", "q4_k_m", "q4_0"];

fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// Selects `kernels` and returns whether they are in use; prints why a test is skipped if they are not.
fn switch(kernels: Kernels) -> bool {
    let status = ggml_hook::select(kernels, Values::default().prefetch_bytes);
    if kernels == Kernels::Siskin && status.kernels != kernels {
        siskin_testing::skip(&status.to_string());
    }
    status.kernels == kernels
}

fn model(path: &Path) -> Model {
    Model::load(path, &LoadOptions::default()).expect("a model")
}

/// The logits after each token of a prompt, and of 40 tokens after it.
fn all_logits(model: &Model, prompt: &str) -> Vec<Vec<f32>> {
    let mut session = Session::new(model, ContextOptions::default()).expect("a session");
    let mut tokens = model.tokenize(prompt, Tokenize::PROMPT);
    let usual = tokens.clone();
    tokens.extend((0..40).map(|at| usual[at % usual.len()]));
    let rows = tokens.iter().map(|token| {
        session.decode(&[*token]).expect("room");
        session.logits().expect("logits").to_vec()
    });
    rows.collect()
}

/// How far two rows of logits are apart, relative to how far they are from their mean.
fn apart(a: &[f32], b: &[f32]) -> f64 {
    let mean = a.iter().map(|x| f64::from(*x)).sum::<f64>() / a.len() as f64;
    let spread: f64 = a.iter().map(|x| (f64::from(*x) - mean).powi(2)).sum();
    let change: f64 = a.iter().zip(b).map(|(a, b)| f64::from(a - b).powi(2)).sum();
    (change / spread).sqrt()
}

#[test]
fn logits_are_nearly_the_same_with_either_kernel() {
    let _turn = turn();
    let out = tempfile::tempdir().expect("a temporary folder");
    let mut files: Vec<(PathBuf, String)> = Vec::new();
    for dir in siskin_testing::checkpoints() {
        for ty in TYPES {
            files.push((
                siskin_testing::convert(PROGRAM, &dir, out.path(), ty),
                format!("{} {ty}", dir.display()),
            ));
        }
    }
    let embedded = Model::load_bytes(STORYTELLER, &LoadOptions::default()).expect("embedded");
    let models = files.iter().map(|(path, name)| (model(path), name.clone()));
    let mut most: (f64, String) = (0.0, String::new());
    for (model, name) in models.chain([(embedded, "embedded".to_owned())]) {
        assert!(switch(Kernels::Ggml));
        let theirs = all_logits(&model, "Once upon a time");
        if !switch(Kernels::Siskin) {
            return;
        }
        let ours = all_logits(&model, "Once upon a time");
        for (ours, theirs) in ours.iter().zip(&theirs) {
            let apart = apart(theirs, ours);
            if apart > most.0 {
                most = (apart, name.clone());
            }
        }
    }
    println!("furthest apart: {:.1e}, {}", most.0, most.1);
    // An activation that is rounded to the next level changes a little of everything after it.
    assert!(most.0 < 0.05, "{}: {:.1e}", most.1, most.0);
}

#[test]
fn every_product_and_attention_of_a_decode_goes_through_the_seam() {
    let _turn = turn();
    let out = tempfile::tempdir().expect("a temporary folder");
    let model = model(&siskin_testing::convert(
        PROGRAM,
        &siskin_testing::checkpoint("llama-spm"),
        out.path(),
        "q4_k_m",
    ));
    let options = || ContextOptions {
        context: Some(512),
        ..ContextOptions::from(Values {
            threads: 2,
            threads_batch: 2,
            ..Values::default()
        })
    };
    let text = vec![model.tokenize("a", Tokenize::PLAIN)[0]; 300];
    // Operations computed while `tokens` are fed at once, with `before` tokens before them.
    let count = |kernels, before: usize, tokens: usize| {
        let used = switch(kernels);
        let mut session = Session::new(&model, options()).expect("a session");
        session.decode(&text[..before]).expect("room");
        let start = ggml_hook::calls();
        session.decode(&text[..tokens]).expect("room");
        let end = ggml_hook::calls();
        used.then(|| (end.products - start.products, end.attentions - start.attentions))
    };
    assert_eq!(count(Kernels::Ggml, 0, 1), Some((0, 0)));
    // Two layers of q, k, v, output, gate, up and down, and the vocabulary; two threads count each.
    let products = 2 * (2 * 7 + 1);
    let told = "llama.cpp no longer calls the seam as it did";
    // Two layers; two threads count each.
    let attentions = 2 * 2;
    if let Some(calls) = count(Kernels::Siskin, 0, 1) {
        assert_eq!(calls, (products, attentions), "{told}");
        assert_eq!(
            count(Kernels::Siskin, 300, 1),
            Some((products, attentions)),
            "{told}"
        );
        assert_eq!(
            count(Kernels::Siskin, 300, 7),
            Some((products, attentions)),
            "{told}"
        );
        for (before, tokens) in [(0, 8), (300, 8), (0, 9), (300, 9), (0, 200), (200, 200)] {
            let calls = count(Kernels::Siskin, before, tokens).map(|(_, attentions)| attentions);
            assert_eq!(calls, Some(attentions), "{told}: {tokens} tokens after {before}");
        }
        assert_eq!(count(Kernels::Ggml, 300, 1), Some((0, 0)));
    }
}

#[test]
fn perplexity_is_nearly_the_same_with_either_kernel() {
    let _turn = turn();
    let Some(shared) = siskin_testing::shared() else {
        return;
    };
    let text = std::fs::read(shared.join("text/wikitext-2/wiki.test.raw")).expect("wikitext-2");
    let text = String::from_utf8_lossy(&text[..24 << 10]).into_owned();
    let out = tempfile::tempdir().expect("a temporary folder");
    for (dir, ty) in [
        (shared.join("stories260k-hf"), "q8_0"),
        (siskin_testing::checkpoint("llama-spm"), "q4_k_m"),
        (siskin_testing::checkpoint("llama-spm"), "q5_k_m"),
    ] {
        let model = model(&siskin_testing::convert(PROGRAM, &dir, out.path(), ty));
        assert!(switch(Kernels::Ggml));
        let theirs = perplexity(&model, &text);
        if !switch(Kernels::Siskin) {
            return;
        }
        let ours = perplexity(&model, &text);
        let change = (ours / theirs - 1.0).abs();
        println!(
            "{} {ty}: {theirs:.6} with ggml's, {ours:.6} with siskin's, {change:.1e} apart",
            dir.display()
        );
        // Floats are added in another order. A sum that changes in its last bit may round an activation to another
        // level, and this small model then changes in its fourth digit.
        assert!(change < 5e-4);
    }
}

#[test]
fn attention_changes_perplexity_less_than_ggml_s() {
    let _turn = turn();
    let Some(shared) = siskin_testing::shared() else {
        return;
    };
    let text = std::fs::read(shared.join("text/wikitext-2/wiki.test.raw")).expect("wikitext-2");
    let text = String::from_utf8_lossy(&text[..32 << 10]).into_owned();
    let out = tempfile::tempdir().expect("a temporary folder");
    // f32 weights: with others, products round the columns to 8 bits, and a sum that differs in its last bit moves
    // some of them to another level.
    let dir = siskin_testing::checkpoint("llama-spm");
    let model = model(&siskin_testing::convert(PROGRAM, &dir, out.path(), "f32"));
    let usual = (CacheType::F16, FlashAttention::On);
    assert!(switch(Kernels::Ggml));
    let exact = perplexity_over(&model, &text, (CacheType::F32, FlashAttention::Off));
    let theirs = perplexity_over(&model, &text, usual);
    if !switch(Kernels::Siskin) {
        return;
    }
    let ours = perplexity_over(&model, &text, usual);
    let [ours, theirs] = [ours, theirs].map(|perplexity| (perplexity / exact - 1.0).abs());
    println!("{exact:.6} with f32 attention; siskin's is {ours:.1e} apart, ggml's {theirs:.1e}");
    assert!(ours < 1e-4 && ours < theirs);
}

/// Perplexity of `text` in windows of 256 tokens, one token at a time, as in decoding.
fn perplexity(model: &Model, text: &str) -> f64 {
    perplexity_over(model, text, (CacheType::F16, FlashAttention::Auto))
}

/// [`perplexity`] over a cache, with or without flash attention.
fn perplexity_over(
    model: &Model,
    text: &str,
    (cache_type, flash_attention): (CacheType, FlashAttention),
) -> f64 {
    let tokens = model.tokenize(text, Tokenize::PLAIN);
    let options = ContextOptions {
        context: Some(256),
        ..ContextOptions::from(Values {
            threads: 1,
            threads_batch: 1,
            cache_type,
            flash_attention,
            ..Values::default()
        })
    };
    let mut session = Session::new(model, options).expect("a session");
    let (mut sum, mut count) = (0.0, 0);
    for window in tokens.chunks_exact(256) {
        session.truncate(0).expect("rewinds");
        for pair in window.windows(2) {
            session.decode(&pair[..1]).expect("room");
            let logits = session.logits().expect("logits");
            let most = logits.iter().fold(f32::NEG_INFINITY, |most, x| most.max(*x));
            let total: f64 = logits.iter().map(|x| f64::from(x - most).exp()).sum();
            let wanted = usize::try_from(pair[1].0).expect("an id");
            sum += total.ln() - f64::from(logits[wanted] - most);
            count += 1;
        }
    }
    (sum / f64::from(count)).exp()
}

#[test]
fn the_switch_is_a_flag_and_an_environment_variable() {
    let used = |arguments: &[&str], environment: Option<&str>| -> serde_json::Value {
        let mut command =
            siskin_testing::command(PROGRAM, ["run", "-p", "Once", "-n", "4", "--temp", "0", "--json"]);
        command.args(arguments).env_remove(ggml_hook::ENVIRONMENT);
        if let Some(value) = environment {
            command.env(ggml_hook::ENVIRONMENT, value);
        }
        let output = siskin_testing::succeed(&mut command);
        let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
        report["settings"]["kernels"]["kernels"].clone()
    };
    let best = used(&[], None);
    assert_eq!(used(&["--kernels", "ggml"], None), "ggml");
    assert_eq!(used(&[], Some("ggml")), "ggml");
    assert_eq!(used(&["--kernels", "siskin"], Some("ggml")), best);
    assert_eq!(used(&[], Some("siskin")), best);
    let mut wrong = siskin_testing::command(PROGRAM, ["run", "-n", "1"]);
    let line = siskin_testing::fail(wrong.env(ggml_hook::ENVIRONMENT, "mine"), 1);
    assert!(
        line.contains("SISKIN_KERNELS: \"mine\" is not one of ggml, siskin"),
        "{line}"
    );
    let flag = siskin_testing::command(PROGRAM, ["run", "--kernels", "mine"])
        .output()
        .expect("the program starts");
    assert_eq!(flag.status.code(), Some(2));
}

/// What `runtime/src/ggml_hook/` assumes about ggml's internals, as ggml's source has it, without the spaces.
const HEADERS: [(&str, &str); 8] = [
    (
        "tiled/tiled.h",
        "bool ggml_compute_forward_mul_mat_tiled(const struct ggml_compute_params * params, struct ggml_tensor * dst);",
    ),
    // Before anything else is done for the product.
    (
        "ggml-cpu.c",
        "if (ggml_compute_forward_mul_mat_tiled(params, dst)) { return; } GGML_TENSOR_BINARY_OP_LOCALS",
    ),
    (
        "quants.h",
        "void quantize_row_q8_K(const float * GGML_RESTRICT x, void * GGML_RESTRICT y, int64_t k);",
    ),
    (
        "llamafile/sgemm.h",
        "bool llamafile_sgemm(const struct ggml_compute_params * params, int64_t, int64_t, int64_t, \
         const void *, int64_t, const void *, int64_t, void *, int64_t, int, int, int);",
    ),
    (
        "ops.h",
        "void ggml_compute_forward_flash_attn_ext(const struct ggml_compute_params * params, struct ggml_tensor * dst);",
    ),
    (
        "ggml-cpu-impl.h",
        "struct ggml_compute_params { int ith, nth; size_t wsize; void * wdata; \
         struct ggml_threadpool * threadpool; bool use_ref; };",
    ),
    (
        "ggml-cpu-impl.h",
        "int ggml_threadpool_chunk_add(struct ggml_threadpool * tp, int value);",
    ),
    // ggml sets the counter, and all threads have seen it, before it asks for a product with columns in the
    // work buffer.
    (
        "ggml-cpu.c",
        "current_chunk, nth, memory_order_relaxed); } ggml_barrier(params->threadpool); \
         #if GGML_USE_LLAMAFILE if (!params->use_ref && src1->type != vec_dot_type) {",
    ),
];

#[test]
fn signatures_are_those_of_the_headers() {
    let folder = siskin_testing::llama_cpp().join("ggml/src/ggml-cpu");
    let words = |text: &str| text.split_whitespace().collect::<String>();
    for (file, wanted) in HEADERS {
        let text = std::fs::read_to_string(folder.join(file)).expect("a header");
        let code: String = text
            .lines()
            .map(|line| line.split("//").next().unwrap_or_default())
            .collect();
        assert!(
            words(&code).contains(&words(wanted)),
            "{file} no longer says: {wanted}"
        );
    }
}
