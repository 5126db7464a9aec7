use std::fs::File;
use std::io::{Read, Seek, Write};

use siskin_device::settings::{CacheType, FlashAttention, Values};

use super::*;
use crate::engine::context::tests::{TEXT, continued, model};
use crate::engine::context::{Batch, ContextOptions, Rows};
use crate::engine::{Model, Tokenize};

const LAYOUTS: [CacheLayout; 2] = [CacheLayout::Separate, CacheLayout::Unified];
/// On one thread: threads that wait for each other take long on a machine that does other work.
fn context(model: &Model, layout: CacheLayout, values: Values) -> Context {
    let values = Values {
        threads: 1,
        threads_batch: 1,
        ..values
    };
    let options = ContextOptions {
        context: Some(192),
        sequences: 3,
        layout,
        ..ContextOptions::from(values)
    };
    Context::new(model, options).expect("a context")
}

fn tokens(model: &Model, text: &str) -> Vec<Token> {
    model.tokenize(text, Tokenize::PROMPT)
}

/// Computes tokens in passes of five: of at most eight, so that the bits do not depend on the pass.
fn feed(context: &mut Context, sequence: SequenceId, tokens: &[Token]) {
    for piece in tokens.chunks(5) {
        let mut batch = Batch::new();
        batch.push(sequence, piece, Rows::None);
        context.decode(&batch, |_| {}).expect("room");
    }
}

/// A file with the state of `tokens`, and its length.
fn saved(context: &mut Context, tokens: &[Token]) -> (File, u64) {
    let file = tempfile::NamedTempFile::new().expect("a file");
    let sequence = context.sequence().expect("a sequence");
    feed(context, sequence, tokens);
    let file = file.into_file();
    let bytes = context.save_sequence(sequence, &file).expect("saved");
    context.release(sequence);
    (file, bytes)
}

/// A file with these bytes.
fn file_of(bytes: &[u8]) -> File {
    let mut file = tempfile::tempfile().expect("a file");
    file.write_all(bytes).expect("written");
    file
}

#[test]
fn a_loaded_sequence_continues_with_the_same_bits() {
    let model = model();
    let text = tokens(&model, TEXT);
    let (last, text) = text.split_last().expect("tokens");
    let f16 = Values::default();
    let q8 = Values {
        cache_type: CacheType::Q8_0,
        ..Values::default()
    };
    let transposed = Values {
        flash_attention: FlashAttention::Off,
        ..Values::default()
    };
    for layout in LAYOUTS {
        for values in [&f16, &q8, &transposed] {
            let mut first = context(&model, layout, *values);
            let a = first.sequence().expect("one");
            feed(&mut first, a, text);
            let mut file = tempfile::NamedTempFile::new().expect("a file");
            let bytes = first.save_sequence(a, file.as_file()).expect("saved");
            assert_eq!(bytes, file.as_file().metadata().expect("there").len());
            // Saving changes nothing.
            assert_eq!(first.tokens(a), text);
            let want = continued(&mut first, a, *last, 8);

            // Another context, whose cache has other sequences in it.
            let mut second = context(&model, layout, *values);
            let [b, c] = [0, 1].map(|_| second.sequence().expect("one"));
            let other = tokens(&model, "A king had three sons");
            feed(&mut second, b, &other);
            second.load_sequence(c, file.as_file(), text).expect("loaded");
            assert_eq!(second.tokens(c), text);
            assert_eq!(second.tokens(b), other);
            let got = continued(&mut second, c, *last, 8);
            assert!(got == want, "{layout:?} {values:?}");
            // It can be cut, and what was there before it is as it was.
            second.truncate(c, 5).expect("cut");
            let mut alone = context(&model, layout, *values);
            let d = alone.sequence().expect("one");
            feed(&mut alone, d, &other);
            let [got, want] = [
                followed(&mut second, b, &text[..4]),
                followed(&mut alone, d, &text[..4]),
            ];
            // ggml's attention, which is all without flash attention, sums in another order beside others.
            assert!(apart(&got, &want) < 0.5, "{layout:?} {values:?}");
            file.rewind().expect("a file");
        }
    }
}

/// The bits of the logits after each of `tokens`.
fn followed(context: &mut Context, sequence: SequenceId, tokens: &[Token]) -> Vec<Vec<u32>> {
    let mut batch = Batch::new();
    batch.push(sequence, tokens, Rows::All);
    let mut rows = Vec::new();
    context
        .decode(&batch, |row| {
            rows.push(row.logits.iter().map(|x| x.to_bits()).collect())
        })
        .expect("room");
    rows
}

/// The largest difference between two rows of logits.
fn apart(a: &[Vec<u32>], b: &[Vec<u32>]) -> f32 {
    let pairs = a.iter().flatten().zip(b.iter().flatten());
    let differences = pairs.map(|(a, b)| (f32::from_bits(*a) - f32::from_bits(*b)).abs());
    differences.fold(0.0, f32::max)
}

/// In a shared buffer the cells of a sequence may be anywhere. Attention sums in the order of cells, so the last bits
/// are not those of a sequence whose cells are in order.
#[test]
fn a_sequence_in_scattered_cells_is_saved_and_loaded() {
    let model = model();
    let text = &tokens(&model, TEXT)[..];
    let scatter = |context: &mut Context| -> SequenceId {
        let [a, b] = [0, 1].map(|_| context.sequence().expect("one"));
        for piece in text.chunks(2) {
            feed(context, a, piece);
            feed(context, b, piece);
        }
        context.release(a);
        b
    };
    let mut first = context(&model, CacheLayout::Unified, Values::default());
    let b = scatter(&mut first);
    let file = tempfile::NamedTempFile::new().expect("a file");
    first.save_sequence(b, file.as_file()).expect("saved");
    let next = tokens(&model, "and the moon");
    let want = followed(&mut first, b, &next);
    let mut second = context(&model, CacheLayout::Unified, Values::default());
    let kept = scatter(&mut second);
    let c = second.sequence().expect("one");
    second.load_sequence(c, file.as_file(), text).expect("loaded");
    for sequence in [c, kept] {
        let got = followed(&mut second, sequence, &next);
        assert!(apart(&got, &want) < 0.5, "{}", apart(&got, &want));
    }
}

/// llama.cpp only notes a copy between buffers; the keys and values are those of the source nevertheless.
#[test]
fn a_copy_is_saved_as_its_source() {
    let model = model();
    let text = tokens(&model, TEXT);
    let (last, text) = text.split_last().expect("tokens");
    for layout in LAYOUTS {
        let mut first = context(&model, layout, Values::default());
        let [a, b] = [0, 1].map(|_| first.sequence().expect("one"));
        feed(&mut first, a, text);
        first.copy(a, b);
        let copy = tempfile::tempfile().expect("a file");
        first.save_sequence(b, &copy).expect("saved");
        let want = continued(&mut first, a, *last, 4);
        let mut second = context(&model, layout, Values::default());
        let c = second.sequence().expect("one");
        second.load_sequence(c, &copy, text).expect("loaded");
        assert!(continued(&mut second, c, *last, 4) == want, "{layout:?}");
    }
}

/// Copies that were noted before a load do not change what was loaded, nor what they copy.
#[test]
fn a_load_comes_after_the_copies_that_were_made_before_it() {
    let model = model();
    let text = tokens(&model, TEXT);
    let (last, text) = text.split_last().expect("tokens");
    let other = tokens(&model, "In the forest");
    for layout in LAYOUTS {
        let mut context = context(&model, layout, Values::default());
        let (file, _) = saved(&mut context, &other);
        let [a, b, c] = [0, 1, 2].map(|_| context.sequence().expect("one"));
        feed(&mut context, a, &other);
        feed(&mut context, b, text);
        // Over what will be loaded, and from where it will be loaded.
        context.copy(a, c);
        context.clear(c);
        context.load_sequence(c, &file, &other).expect("loaded");
        let loaded = continued(&mut context, c, *last, 4);
        assert!(continued(&mut context, a, *last, 4) == loaded, "{layout:?}");
        context.copy(b, c);
        context.clear(b);
        context.load_sequence(b, &file, &other).expect("loaded");
        let loaded_again = continued(&mut context, b, *last, 4);
        assert!(loaded_again == loaded, "{layout:?}");
        context.clear(a);
        feed(&mut context, a, text);
        assert!(
            continued(&mut context, c, *last, 4) == continued(&mut context, a, *last, 4),
            "{layout:?}"
        );
    }
}

#[test]
fn a_file_that_is_damaged_in_its_structure_is_refused_and_nothing_else_changes() {
    let model = model();
    let text = tokens(&model, "Once upon a time");
    let (last, rest) = text.split_last().expect("tokens");
    for layout in LAYOUTS {
        let mut context = context(&model, layout, Values::default());
        let (mut file, bytes) = saved(&mut context, rest);
        let mut whole = Vec::new();
        file.rewind().expect("a file");
        file.read_to_end(&mut whole).expect("read");
        assert_eq!(whole.len() as u64, bytes);
        let [kept, target] = [0, 1].map(|_| context.sequence().expect("one"));
        feed(&mut context, kept, rest);
        let mut refused = |bytes: &[u8], what: String| {
            let result = context.load_sequence(target, &file_of(bytes), rest);
            assert!(matches!(result, Err(Error::LoadState(_))), "{what}: {result:?}");
            assert!(context.tokens(target).is_empty());
        };
        // Every length in the head, and some in the rows.
        let head = 4 * (3 + rest.len() + 1 + 3 * rest.len() + 1 + 4 + 3);
        for len in (0..head).chain((head..whole.len()).step_by(509)) {
            refused(&whole[..len], format!("{len} bytes"));
        }
        refused(&[&whole[..], &[0]].concat(), "a byte more".into());
        // The whole head up to the first row of keys.
        for at in 0..head {
            for bit in [0, 7] {
                let mut flipped = whole.clone();
                flipped[at] ^= 1 << bit;
                refused(&flipped, format!("bit {bit} of byte {at}"));
            }
        }
        let other = [&rest[..rest.len() - 1], &[*last]].concat();
        for tokens in [&other[..], &rest[1..], &text[..], &[]] {
            let result = context.load_sequence(target, &file, tokens);
            assert!(
                matches!(result, Err(Error::LoadState(_))),
                "{tokens:?}: {result:?}"
            );
        }
        assert_eq!(context.tokens(kept), rest);
        context
            .load_sequence(target, &file, rest)
            .expect("the file is as it was");
        let result = context.load_sequence(target, &file, rest);
        assert!(
            matches!(result, Err(Error::LoadState(_))),
            "it is not empty: {result:?}"
        );
        let want = continued(&mut context, kept, *last, 4);
        assert!(continued(&mut context, target, *last, 4) == want, "{layout:?}");
    }
}

#[test]
fn another_layout_another_cache_and_a_full_context_are_refused() {
    let model = model();
    let text = tokens(&model, TEXT);
    let (file, _) = saved(
        &mut context(&model, CacheLayout::Unified, Values::default()),
        &text,
    );
    let q8 = Values {
        cache_type: CacheType::Q8_0,
        ..Values::default()
    };
    let transposed = Values {
        flash_attention: FlashAttention::Off,
        ..Values::default()
    };
    for (layout, values) in [
        (CacheLayout::Separate, Values::default()),
        (CacheLayout::Unified, q8),
        (CacheLayout::Unified, transposed),
    ] {
        let mut context = context(&model, layout, values);
        let sequence = context.sequence().expect("one");
        let result = context.load_sequence(sequence, &file, &text);
        assert!(matches!(result, Err(Error::LoadState(_))), "{result:?}");
        assert!(context.tokens(sequence).is_empty());
        feed(&mut context, sequence, &text);
    }
    let mut context = context(&model, CacheLayout::Unified, Values::default());
    let [a, b] = [0, 1].map(|_| context.sequence().expect("one"));
    feed(&mut context, a, &vec![text[1]; 190]);
    let result = context.load_sequence(b, &file, &text);
    assert!(
        matches!(result, Err(Error::ContextFull { room: 2, .. })),
        "{result:?}"
    );
    let result = context.save_sequence(b, &file);
    assert!(
        matches!(result, Err(Error::SaveState(_))),
        "an empty one: {result:?}"
    );
}

#[test]
fn a_disk_that_is_full_is_an_error() {
    let Ok(full) = File::options().write(true).open("/dev/full") else {
        panic!("/dev/full is not there");
    };
    let model = model();
    let mut context = context(&model, CacheLayout::Unified, Values::default());
    let sequence = context.sequence().expect("one");
    feed(&mut context, sequence, &tokens(&model, TEXT));
    let result = context.save_sequence(sequence, &full);
    assert!(matches!(result, Err(Error::SaveState(_))), "{result:?}");
}
