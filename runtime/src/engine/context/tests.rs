use std::sync::{Arc, Mutex};

use siskin_device::settings::{CacheType, FlashAttention, Values};

use super::*;
use crate::engine::{LoadOptions, MulMat, STORYTELLER, Tokenize, argmax};

const PROMPTS: [&str; 4] = [
    "Once upon a time",
    "The little bird",
    "A king had three sons, and",
    "In the forest",
];

pub(super) fn model() -> Model {
    Model::load_bytes(STORYTELLER, &LoadOptions::default()).expect("the embedded model")
}

fn context(model: &Model, sequences: u32, layout: CacheLayout) -> Context {
    let options = ContextOptions {
        context: Some(256),
        sequences,
        layout,
        ..ContextOptions::default()
    };
    model.context(options).expect("a context")
}

fn prompt(model: &Model, text: &str) -> Vec<Token> {
    model.tokenize(text, Tokenize::PROMPT)
}

/// A text of some twenty tokens.
pub(super) const TEXT: &str =
    "Once upon a time there was a little bird who wanted to see the whole wide world";

/// The bits of the logits of `count` greedy tokens after `first`.
pub(super) fn continued(
    context: &mut Context,
    sequence: SequenceId,
    first: Token,
    count: usize,
) -> Vec<Vec<u32>> {
    let mut next = first;
    let mut rows = Vec::new();
    for _ in 0..count {
        let mut batch = Batch::new();
        batch.push(sequence, &[next], Rows::Last);
        context
            .decode(&batch, |row| {
                rows.push(row.logits.iter().map(|x| x.to_bits()).collect());
                next = argmax(row.logits);
            })
            .expect("room");
    }
    rows
}

/// Greedy continuations of 24 tokens, each step of all sequences in one batch.
fn greedy(context: &mut Context, prompts: &[&str]) -> Vec<Vec<Token>> {
    let model = context.model().clone();
    let sequences: Vec<SequenceId> = prompts
        .iter()
        .map(|_| context.sequence().expect("a sequence"))
        .collect();
    let mut next: Vec<Vec<Token>> = prompts.iter().map(|text| prompt(&model, text)).collect();
    // One token of each prompt in a pass: in longer passes ggml computes the attention, and its sums differ.
    while next.iter().any(|tokens| tokens.len() > 1) {
        let mut batch = Batch::new();
        for (sequence, tokens) in sequences.iter().zip(&mut next) {
            if tokens.len() > 1 {
                batch.push(*sequence, &[tokens.remove(0)], Rows::None);
            }
        }
        context.decode(&batch, |_| {}).expect("room");
    }
    let mut drawn: Vec<Vec<Token>> = vec![vec![]; prompts.len()];
    for _ in 0..24 {
        let mut batch = Batch::new();
        for (sequence, tokens) in sequences.iter().zip(&next) {
            batch.push(*sequence, tokens, Rows::Last);
        }
        let mut rows = Vec::new();
        context
            .decode(&batch, |row| rows.push((row.sequence, argmax(row.logits))))
            .expect("room");
        for (index, sequence) in sequences.iter().enumerate() {
            let row = rows.iter().find(|row| row.0 == *sequence).expect("a row");
            assert_eq!(context.logits(*sequence).map(argmax), Some(row.1));
            drawn[index].push(row.1);
            next[index] = vec![row.1];
        }
    }
    sequences
        .into_iter()
        .for_each(|sequence| context.release(sequence));
    drawn
}

#[test]
fn four_sequences_together_give_what_they_give_alone() {
    let model = model();
    let alone: Vec<Vec<Token>> = PROMPTS
        .iter()
        .map(|text| greedy(&mut context(&model, 1, CacheLayout::Separate), &[text]).remove(0))
        .collect();
    for layout in [CacheLayout::Separate, CacheLayout::Unified] {
        let mut together = context(&model, 4, layout);
        assert_eq!(greedy(&mut together, &PROMPTS), alone, "{layout:?}");
        // Sequences that were given back leave nothing behind.
        assert_eq!(greedy(&mut together, &PROMPTS[..2]), alone[..2], "{layout:?}");
    }
}

#[test]
fn a_sequence_is_cut_without_the_others() {
    let model = model();
    let mut context = context(&model, 2, CacheLayout::Unified);
    let (a, b) = (context.sequence().expect("one"), context.sequence().expect("two"));
    assert!(matches!(context.sequence(), Err(Error::NoSequence(2))));
    let tokens = prompt(&model, PROMPTS[2]);
    let mut batch = Batch::new();
    batch.push(a, &tokens, Rows::Last).push(b, &tokens, Rows::Last);
    context.decode(&batch, |_| {}).expect("room");
    let want = context.logits(b).expect("logits").to_vec();
    context.truncate(a, 3).expect("cut");
    assert_eq!(
        (context.tokens(a).len(), context.tokens(b).len()),
        (3, tokens.len())
    );
    let mut rest = Batch::new();
    rest.push(a, &tokens[3..], Rows::Last);
    context.decode(&rest, |_| {}).expect("room");
    let got = context.logits(a).expect("logits");
    let apart = got
        .iter()
        .zip(&want)
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, f32::max);
    // A part of the tokens is computed in a batch of another size, whose sums round in another order.
    assert!(apart < 0.5 && argmax(got) == argmax(&want), "{apart}");
    assert_eq!(context.logits(b), None, "rows of an earlier computation are gone");
}

#[test]
fn every_row_comes_in_order_however_often_the_batch_is_split() {
    let model = model();
    let mut context = context(&model, 2, CacheLayout::Separate);
    let (a, b) = (context.sequence().expect("one"), context.sequence().expect("two"));
    let tokens = prompt(&model, PROMPTS[0]);
    let mut batch = Batch::new();
    batch
        .push(a, &tokens, Rows::All)
        .push(b, &tokens, Rows::None)
        .push(a, &tokens, Rows::Last);
    let mut rows = Vec::new();
    context
        .decode(&batch, |row| rows.push((row.sequence, row.position)))
        .expect("room");
    let n = u32::try_from(tokens.len()).expect("few");
    let want: Vec<_> = (0..n).chain([2 * n - 1]).map(|position| (a, position)).collect();
    assert_eq!(rows, want);
}

#[test]
fn what_does_not_fit_is_refused_before_anything_is_computed() {
    let model = model();
    let token = prompt(&model, "a")[0];
    for (layout, room) in [(CacheLayout::Separate, 256), (CacheLayout::Unified, 6)] {
        let mut context = context(&model, 2, layout);
        let (a, b) = (context.sequence().expect("one"), context.sequence().expect("two"));
        let mut batch = Batch::new();
        batch
            .push(a, &vec![token; 250], Rows::None)
            .push(b, &vec![token; 257], Rows::Last);
        let error = context.decode(&batch, |_| {}).expect_err("too long").to_string();
        assert!(error.contains(&format!("{room} of the context's 256")), "{error}");
        assert!(context.tokens(a).is_empty() && context.tokens(b).is_empty());
    }
}

#[test]
fn caches_that_llama_cpp_would_refuse_are_explained() {
    let model = model();
    let make = |cache_type, flash_attention| {
        let values = Values {
            cache_type,
            flash_attention,
            ..Values::default()
        };
        Context::new(&model, ContextOptions::from(values)).map(|_| ())
    };
    let error = make(CacheType::Q8_0, FlashAttention::Off).expect_err("off");
    assert_eq!(error.kind(), crate::ErrorKind::Setting);
    assert!(make(CacheType::F16, FlashAttention::Off).is_ok());
}

/// Counts products, and panics if its flag is set.
#[derive(Clone)]
struct Counter(Arc<Mutex<usize>>, bool);

impl EvalCallback for Counter {
    fn wants(&mut self, tensor: &str) -> bool {
        tensor.ends_with("ffn_down.weight")
    }

    fn mul_mat(&mut self, _: &str, product: &MulMat<'_>) {
        assert!(!self.1, "as asked");
        *self.0.lock().expect("one thread") += product.count();
    }
}

#[test]
fn a_callback_sees_products_and_its_panic_is_the_callers() {
    let model = model();
    let tokens = prompt(&model, PROMPTS[0]);
    let run = |panics| {
        let counter = Counter(Arc::default(), panics);
        let options = ContextOptions {
            callback: Some(Box::new(counter.clone())),
            context: Some(64),
            ..ContextOptions::default()
        };
        let mut context = Context::new(&model, options).expect("a context");
        let sequence = context.sequence().expect("one");
        let mut batch = Batch::new();
        batch.push(sequence, &tokens, Rows::All);
        context.decode(&batch, |_| {}).expect("room");
        drop(context);
        Arc::into_inner(counter.0).expect("the context is gone")
    };
    assert!(
        run(false).into_inner().expect("one thread") >= tokens.len(),
        "a row for each token of each layer"
    );
    let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| run(true).into_inner()));
    assert!(panic.is_err());
}

/// A copy continues as the sequence that it was made from, and what it replaced is gone.
#[test]
fn a_copied_sequence_continues_like_its_source() {
    let model = model();
    for layout in [CacheLayout::Separate, CacheLayout::Unified] {
        let mut context = context(&model, 2, layout);
        let [source, copy] = [0, 1].map(|_| context.sequence().expect("a sequence"));
        let [first, other] = [0, 2].map(|index| prompt(&model, PROMPTS[index]));
        let mut batch = Batch::new();
        batch
            .push(source, &first, Rows::None)
            .push(copy, &other, Rows::None);
        context.decode(&batch, |_| {}).expect("room");
        context.copy(source, copy);
        assert_eq!(context.tokens(copy), &first[..]);
        let next = prompt(&model, PROMPTS[1]);
        let mut rows: Vec<Vec<f32>> = Vec::new();
        for sequence in [copy, source] {
            let mut batch = Batch::new();
            batch.push(sequence, &next, Rows::Last);
            context
                .decode(&batch, |row| rows.push(row.logits.to_vec()))
                .expect("room");
        }
        assert_eq!(rows[0], rows[1], "{layout:?}");
    }
}

/// A copy of a beginning continues as if it had been computed, whatever the source does later.
#[test]
fn a_copied_beginning_continues_by_itself() {
    let model = model();
    let tokens = prompt(&model, PROMPTS[2]);
    let one_by_one = |context: &mut Context, sequence, tokens: &[Token]| {
        for &token in tokens {
            let mut batch = Batch::new();
            batch.push(sequence, &[token], Rows::Last);
            context.decode(&batch, |_| {}).expect("room");
        }
        context.logits(sequence).expect("a row").to_vec()
    };
    let mut unified = context(&model, 2, CacheLayout::Unified);
    let [source, copy] = [0, 1].map(|_| unified.sequence().expect("a sequence"));
    let want = one_by_one(&mut unified, source, &tokens);
    unified.copy_start(source, copy, 3).expect("one buffer");
    assert_eq!(unified.tokens(copy), &tokens[..3]);
    // What both have takes its cells once.
    let room = 256 - u32::try_from(tokens.len()).expect("few");
    assert_eq!(unified.room(copy), room);
    unified.clear(source);
    assert_eq!(unified.room(copy), 253);
    assert_eq!(one_by_one(&mut unified, copy, &tokens[3..]), want);

    let mut separate = context(&model, 2, CacheLayout::Separate);
    let [source, copy] = [0, 1].map(|_| separate.sequence().expect("a sequence"));
    one_by_one(&mut separate, source, &tokens);
    assert!(separate.copy_start(source, copy, 3).is_err());
    assert!(separate.tokens(copy).is_empty() && separate.tokens(source) == tokens);
}
