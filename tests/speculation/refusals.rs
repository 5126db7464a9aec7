//! Models and sessions that would not give the same text do not guess.

use std::path::Path;

use siskin::device::settings::{CacheType, FlashAttention, Values};
use siskin::speculate::{History, Judge, Speculator};
use siskin::{ContextOptions, Error, LoadOptions, Model, NotExact, Session};

use super::{PROGRAM, Room, fixture, has_kernels, load};

fn refused(session: &mut Session) -> Option<NotExact> {
    let speculator = Speculator::new(vec![Box::new(History::new())], Judge::always(7));
    match session.set_speculator(Some(speculator)) {
        Ok(()) => None,
        Err(Error::NotExact(reason)) => {
            assert!(session.speculator().is_none());
            Some(reason)
        }
        Err(error) => panic!("{error}"),
    }
}

fn convert(name: &str, ty: &str, out: &Path) -> std::path::PathBuf {
    siskin_testing::convert(PROGRAM, &siskin_testing::checkpoint(name), out, ty)
}

#[test]
fn matrices_without_a_kernel_are_named() {
    if !has_kernels() {
        return;
    }
    let out = tempfile::tempdir().expect("a temporary folder");
    for (ty, kernel) in [("f32", false), ("bf16", false), ("f16", true), ("q8_0", true)] {
        let model = fixture("llama-spm", ty, out.path());
        let reason = refused(&mut Room::of(64).session(&model));
        match reason {
            None => assert!(kernel, "{ty}"),
            Some(NotExact::Matrix(found)) => {
                assert!(!kernel && found.ty.eq_ignore_ascii_case(ty), "{ty}: {found:?}");
            }
            Some(other) => panic!("{ty}: {other}"),
        }
    }
}

#[test]
fn a_session_s_own_settings_count_and_not_those_of_its_model_alone() {
    if !has_kernels() {
        return;
    }
    let out = tempfile::tempdir().expect("a temporary folder");
    let path = convert("llama-spm", "q8_0", out.path());
    let off = |values: &mut Values| values.flash_attention = FlashAttention::Off;
    let exact = |values: &mut Values| values.cache_type = CacheType::F32;
    type Change<'a> = &'a dyn Fn(&mut Values);
    let cases: [(Change<'_>, bool); 3] = [(&off, true), (&exact, true), (&|_| (), false)];
    for (change, is_refused) in cases {
        let mut values = Values::default();
        change(&mut values);
        let with = |values: Values| ContextOptions {
            context: Some(64),
            ..ContextOptions::from(values)
        };
        let model = load(&path);
        let mut session = Session::new(&model, with(values)).expect("a session");
        assert_eq!(
            refused(&mut session).is_some(),
            is_refused,
            "of the session: {values:?}"
        );
        let options = LoadOptions {
            values,
            ..LoadOptions::default()
        };
        let model = Model::load(&path, &options).expect("a model");
        let mut session = Session::new(&model, with(values)).expect("a session");
        assert_eq!(
            refused(&mut session).is_some(),
            is_refused,
            "of the model: {values:?}"
        );
    }
}

#[test]
fn repacked_weights_are_refused() {
    if !has_kernels() {
        return;
    }
    let out = tempfile::tempdir().expect("a temporary folder");
    let options = LoadOptions {
        values: Values {
            repack: true,
            ..Values::default()
        },
        ..LoadOptions::default()
    };
    let model = Model::load(&convert("llama-spm", "f16", out.path()), &options).expect("a model");
    assert_eq!(
        refused(&mut Room::of(64).session(&model)),
        Some(NotExact::Repacked)
    );
}

/// Heads of 24 numbers are llama.cpp's, which from 512 cells on adds up in another order if there is one token. No other
/// fixture has anything that the kernels do not compute.
#[test]
fn heads_that_the_kernels_do_not_compute_are_refused_and_no_others() {
    if !has_kernels() {
        return;
    }
    let out = tempfile::tempdir().expect("a temporary folder");
    for dir in siskin_testing::checkpoints() {
        let model = load(&siskin_testing::convert(PROGRAM, &dir, out.path(), "q8_0"));
        let reason = refused(&mut Room::of(64).session(&model));
        let is_heads = reason == Some(NotExact::Heads("heads of 24 numbers in groups of 2".into()));
        let expected = match dir.ends_with("llama-bias") {
            true => is_heads,
            false => reason.is_none(),
        };
        assert!(expected, "{}: {reason:?}", dir.display());
    }
}
