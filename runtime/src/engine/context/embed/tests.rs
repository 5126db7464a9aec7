use std::sync::atomic::Ordering;

use siskin_device::settings::Values;

use super::*;
use crate::engine::context::tests::{TEXT, continued, model};
use crate::engine::context::{Batch, CacheLayout, ContextOptions, Rows};
use crate::engine::{Model, Tokenize};

fn context(model: &Model, ubatch: u32) -> Context {
    let options = ContextOptions {
        context: Some(128),
        sequences: 3,
        layout: CacheLayout::Unified,
        ..ContextOptions::from(Values {
            ubatch,
            threads: 1,
            threads_batch: 1,
            ..Values::default()
        })
    };
    Context::new(model, options).expect("a context")
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[test]
fn a_vector_has_length_one_and_does_not_depend_on_the_pieces() {
    let model = model();
    let tokens = model.tokenize(TEXT, Tokenize::PROMPT);
    for pooling in [Pooling::Last, Pooling::Mean] {
        let vectors: Vec<Vec<f32>> = [1, 7, 128]
            .map(|ubatch| {
                let mut context = context(&model, ubatch);
                let sequence = context.sequence().expect("one");
                let vector = context.embed(sequence, &tokens, pooling, None).expect("a vector");
                assert!(context.tokens(sequence).is_empty());
                vector.expect("not stopped")
            })
            .into();
        for vector in &vectors {
            assert!((dot(vector, vector) - 1.0).abs() < 1e-5);
            // Sums of other passes round in another order, and inputs of products have eight bits.
            assert!(
                dot(vector, &vectors[0]) > 0.999,
                "{pooling:?}: {}",
                dot(vector, &vectors[0])
            );
        }
    }
}

/// The mean of all tokens' vectors, each of which is the last of a shorter text.
#[test]
fn a_mean_is_the_mean_of_every_last_vector_before_it_is_normalized() {
    let model = model();
    let tokens = model.tokenize("The little bird", Tokenize::PROMPT);
    let mut context = context(&model, 64);
    let sequence = context.sequence().expect("one");
    let mut sum: Vec<f64> = Vec::new();
    for len in 1..=tokens.len() {
        let last = context.pool(sequence, &tokens[..len], Pooling::Last, None);
        let last = last.expect("computed").expect("not stopped");
        context.clear(sequence);
        sum.resize(last.len(), 0.0);
        sum.iter_mut().zip(last).for_each(|(sum, x)| *sum += x);
    }
    let want = normalized(&sum).expect("a vector");
    let got = context
        .embed(sequence, &tokens, Pooling::Mean, None)
        .expect("a vector");
    assert!(dot(&got.expect("not stopped"), &want) > 0.9999);
}

#[test]
fn other_sequences_and_what_is_decoded_afterwards_are_as_without_it() {
    let model = model();
    let tokens = model.tokenize(TEXT, Tokenize::PROMPT);
    let (last, text) = tokens.split_last().expect("tokens");
    let run = |embed: bool| {
        let mut context = context(&model, 64);
        let [a, b] = [0, 1].map(|_| context.sequence().expect("one"));
        for piece in text.chunks(5) {
            let mut batch = Batch::new();
            batch.push(a, piece, Rows::None);
            context.decode(&batch, |_| {}).expect("room");
        }
        if embed {
            for pooling in [Pooling::Mean, Pooling::Last] {
                context.embed(b, &tokens, pooling, None).expect("a vector");
            }
        }
        [
            continued(&mut context, a, *last, 6),
            continued(&mut context, b, *last, 6),
        ]
    };
    assert!(run(true) == run(false));
}

#[test]
fn a_stop_ends_it_and_what_cannot_be_is_refused() {
    let model = model();
    let tokens = model.tokenize(TEXT, Tokenize::PROMPT);
    let mut context = context(&model, 64);
    let [a, b] = [0, 1].map(|_| context.sequence().expect("one"));
    let stop = AtomicBool::new(true);
    for pooling in [Pooling::Last, Pooling::Mean] {
        assert_eq!(
            context.embed(a, &tokens, pooling, Some(&stop)).expect("stopped"),
            None
        );
        assert!(context.tokens(a).is_empty());
        let none = context.embed(a, &[], pooling, None);
        assert!(matches!(none, Err(Error::EmptyPrompt)), "{none:?}");
        let full = context.embed(a, &vec![tokens[1]; 129], pooling, None);
        assert!(
            matches!(full, Err(Error::ContextFull { room: 128, .. })),
            "{full:?}"
        );
    }
    stop.store(false, Ordering::Relaxed);
    assert!(
        context
            .embed(b, &tokens, Pooling::Mean, Some(&stop))
            .expect("a vector")
            .is_some()
    );
    assert_eq!(context.room(b), 128);
}

#[test]
fn a_vector_without_direction_is_none() {
    let table: [(&[f64], Option<&[f32]>); 5] = [
        (&[3.0, -4.0], Some(&[0.6, -0.8])),
        (&[0.0, 0.0], None),
        (&[f64::NAN, 1.0], None),
        (&[f64::INFINITY, 1.0], None),
        (&[], None),
    ];
    for (sum, want) in table {
        assert_eq!(normalized(sum).as_deref(), want, "{sum:?}");
    }
}
