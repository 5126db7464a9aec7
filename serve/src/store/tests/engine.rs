//! The store with the engine: what is computed after a restart has the same bits.

use siskin_device::settings::Values;
use siskin_runtime::{
    Batch, CacheLayout, Context, ContextOptions, LoadOptions, Model, Rows, STORYTELLER, SequenceId, Token,
    Tokenize,
};

use super::*;

const TEXT: &str = "Once upon a time there was a little bird who wanted to see the whole wide world";

fn context(model: &Model) -> Context {
    let options = ContextOptions {
        context: Some(128),
        sequences: 2,
        layout: CacheLayout::Unified,
        ..ContextOptions::from(Values {
            threads: 1,
            threads_batch: 1,
            ..Values::default()
        })
    };
    Context::new(model, options).expect("a context")
}

/// Computes tokens in passes of eight at most, and gives the bits of the last row.
fn computed(context: &mut Context, sequence: SequenceId, tokens: &[Token]) -> Vec<u32> {
    let mut bits = Vec::new();
    for piece in tokens.chunks(8) {
        let mut batch = Batch::new();
        batch.push(sequence, piece, Rows::Last);
        context
            .decode(&batch, |row| {
                bits = row.logits.iter().map(|x| x.to_bits()).collect()
            })
            .expect("room");
    }
    bits
}

#[test]
fn a_prompt_goes_on_from_a_stored_prefix_with_the_same_bits() {
    let model = Model::load_bytes(STORYTELLER, &LoadOptions::default()).expect("the embedded model");
    let text = model.tokenize(TEXT, Tokenize::PROMPT);
    let prompt = [&text[..], &model.tokenize(" and the moon", Tokenize::PLAIN)].concat();
    let ids = |tokens: &[Token]| -> Vec<u32> { tokens.iter().map(|token| token.0.cast_unsigned()).collect() };
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("store");
    let want = {
        let mut context = context(&model);
        let sequence = context.sequence().expect("one");
        computed(&mut context, sequence, &text);
        let mut store = open(&path);
        store
            .save(&prefix(scope(1), &ids(&text), 4 << 20), NOW, |file| {
                context.save_sequence(sequence, file).map_err(io::Error::other)
            })
            .expect("saved");
        computed(&mut context, sequence, &prompt[text.len()..])
    };
    // The whole prefix, and a prompt that leaves it before its end.
    let fork = [&text[..9], &prompt[text.len()..]].concat();
    for (prompt, want) in [(&prompt, Some(want)), (&fork, None)] {
        let mut store = open(&path);
        let mut context = context(&model);
        let [first, second] = [0, 1].map(|_| context.sequence().expect("one"));
        let candidate = store.best_prefix(scope(1), &ids(prompt)).expect("a prefix");
        let verified = store.verify(&candidate).expect("right");
        assert_eq!(verified.tokens, ids(&text));
        context
            .load_sequence(first, &verified.file, &text)
            .expect("loaded");
        store.note_hit(verified.id, NOW);
        context.truncate(first, candidate.usable).expect("cut");
        let got = computed(&mut context, first, &prompt[candidate.usable..]);
        let want = want.unwrap_or_else(|| computed(&mut context, second, prompt));
        assert_eq!(got.len(), want.len());
        let apart = |(a, b): (&u32, &u32)| (f32::from_bits(*a) - f32::from_bits(*b)).abs();
        let apart = got.iter().zip(&want).map(apart).fold(0.0, f32::max);
        // Without siskin's kernels, products of other passes round in another order.
        assert!(apart < 0.5 && (prompt == &fork || got == want), "{apart}");
    }
}
