//! The whole product, which takes long: every prompt, every number of guesses, threads, types and depths.
//!
//! `make spec-full` runs it. `SISKIN_SPEC_MODEL` is the file of a model to run instead of the fixtures; `SISKIN_SPEC_PROMPTS`
//! limits the prompts.

use std::path::{Path, PathBuf};

use siskin::device::settings::CacheType;
use siskin::speculate::{History, Judge, Speculator};
use siskin::{Model, Sampling, Token, Tokenize};

use super::{PROGRAM, Room, State, TYPES, has_kernels, load, write};

/// Tokens of each text.
const LENGTH: usize = 64;

/// What a variable says; the Makefile sets them empty.
fn set(variable: &str) -> Option<String> {
    std::env::var(variable).ok().filter(|value| !value.is_empty())
}

/// The prompts of Spec-Bench if they are there, else lines of this project's own text.
fn prompts() -> Vec<String> {
    let limit = set("SISKIN_SPEC_PROMPTS");
    let limit = limit.map_or(usize::MAX, |count| count.parse().expect("a number"));
    let file = siskin_testing::shared().map(|data| data.join("eval/spec_bench.jsonl"));
    let all: Vec<String> = match file.and_then(|file| std::fs::read_to_string(file).ok()) {
        Some(lines) => lines.lines().map(prompt).collect(),
        None => {
            let text = include_str!("../../ARCHITECTURE.md");
            text.split("\n\n").map(str::to_owned).collect()
        }
    };
    // If there are fewer, of every kind.
    let step = all.len().div_ceil(limit.max(1)).max(1);
    all.into_iter().step_by(step).collect()
}

fn prompt(line: &str) -> String {
    let item: serde_json::Value = serde_json::from_str(line).expect("JSON");
    item["turns"][0].as_str().expect("a prompt").to_owned()
}

/// The files, one for each type.
fn files(out: &Path) -> Vec<PathBuf> {
    if let Some(file) = set("SISKIN_SPEC_MODEL") {
        return vec![file.into()];
    }
    let dirs = siskin_testing::checkpoints();
    let fixtures = dirs
        .iter()
        .flat_map(|dir| TYPES.map(|ty| siskin_testing::convert(PROGRAM, dir, out, ty)));
    fixtures.collect()
}

/// The prompt so often that it is `depth` tokens long; as it is if that is 0.
fn at_depth(prompt: &[Token], depth: usize) -> Vec<Token> {
    match depth {
        0 => prompt.iter().copied().take(1500).collect(),
        _ => prompt.iter().copied().cycle().take(depth).collect(),
    }
}

#[test]
#[ignore = "takes hours: make spec-full"]
fn every_text_is_the_same_with_every_number_of_guesses() {
    assert!(has_kernels(), "there is nothing to compare without kernels");
    let out = tempfile::tempdir().expect("a temporary folder");
    let given = set("SISKIN_SPEC_MODEL").is_some();
    let prompts = prompts();
    let samplings = [Sampling::greedy(), Sampling::default().temp(0.7).seed(1)];
    let caches = [CacheType::F16, CacheType::Q8_0, CacheType::Q4_0];
    let (mut texts, mut kept) = (0u64, 0u64);
    for file in files(out.path()) {
        let model = load(&file);
        if let Err(error) = model.check_speculation() {
            println!("left out: {}: {error}", file.display());
            continue;
        }
        // A prompt has one depth, cache and number of threads with the fixtures, and all with a model that is given.
        for (at, prompt) in prompts.iter().enumerate() {
            let prompt = model.tokenize(prompt, Tokenize::PROMPT);
            if prompt.is_empty() {
                continue;
            }
            let ways = (0..4).flat_map(|threads| [0, 512, 4096].map(|depth| (threads + 1, depth)));
            let ways = ways.enumerate().filter(|(way, _)| given || at % 12 == *way);
            for (way, (threads, depth)) in ways {
                let cache = if given {
                    CacheType::F16
                } else {
                    caches[(at + way) % 3]
                };
                let (more, of_texts) = one(&model, &at_depth(&prompt, depth), threads, cache, &samplings);
                (kept, texts) = (kept + more, texts + of_texts);
            }
        }
        println!(
            "{}: {texts} texts the same so far, {kept} guesses kept",
            file.display()
        );
    }
    assert!(texts > 0 && kept > 0);
}

/// Guesses kept and texts compared of one prompt: each way of choosing tokens with one to seven guesses.
fn one(
    model: &Model,
    prompt: &[Token],
    threads: usize,
    cache: CacheType,
    samplings: &[Sampling],
) -> (u64, u64) {
    let context = u32::try_from(prompt.len() + LENGTH).expect("a length");
    let f16 = Room {
        context,
        threads,
        cache: CacheType::F16,
    };
    // Quantized caches need heads of a multiple of 32.
    let fits = siskin::Session::new(model, quantized(f16, cache)).is_ok();
    let room = if fits { Room { cache, ..f16 } } else { f16 };
    let (mut kept, mut texts) = (0, 0);
    let mut plain = room.session(model);
    let mut guessing = room.session(model);
    for sampling in samplings {
        let sampling = sampling.clone().max_tokens(LENGTH);
        let last = prompt.len() - 1;
        // The prompt is computed once; its last token is computed again for each text.
        let begin = |session: &mut siskin::Session| {
            let same = session.keep_prefix(prompt);
            session.decode(&prompt[same..last]).expect("room");
        };
        begin(&mut plain);
        let want = write(&mut plain, &prompt[last..], &sampling).expect("a text");
        for most in 1..=7 {
            let speculator = Speculator::new(vec![Box::new(History::new())], Judge::always(most));
            guessing.set_speculator(Some(speculator)).expect("checked");
            begin(&mut guessing);
            let found = write(&mut guessing, &prompt[last..], &sampling).expect("a text");
            assert_eq!(
                found,
                want,
                "{most} guesses, {room:?}, {} tokens, {sampling:?}",
                prompt.len()
            );
            assert_eq!(State::of(&guessing), State::of(&plain));
            kept += guessing.speculator().map_or(0, |it| it.counts().accepted);
            texts += 1;
        }
    }
    (kept, texts)
}

fn quantized(room: Room, cache: CacheType) -> siskin::ContextOptions {
    let values = siskin::device::settings::Values {
        cache_type: cache,
        ..siskin::device::settings::Values::default()
    };
    siskin::ContextOptions {
        context: Some(room.context),
        ..siskin::ContextOptions::from(values)
    }
}
