//! Conversations: answers, what is kept of them, and what the model sees afterwards.

use std::sync::atomic::{AtomicBool, Ordering};

use siskin::chat::{self, Chat, ChatEvent, Prepared, Template};
use siskin::{Model, Sampling, StopReason, Token};
use siskin_testing::Rng;

use super::{Habit, Room, Script, State, fixture, guess, has_kernels, samplings, write};

/// What is done with a conversation.
#[derive(Debug, Clone)]
enum Act {
    /// A question, and an answer that is dropped or interrupted after so many events.
    Ask {
        message: String,
        sampling: Sampling,
        dropped: Option<usize>,
        interrupted: Option<usize>,
    },
    /// The last turn again, as `/retry` does.
    Retry(Sampling),
    /// The last turn is taken back.
    Undo,
    Reset,
    System(Option<String>),
}

#[derive(Debug, PartialEq)]
struct Seen {
    events: Vec<ChatEvent>,
    tokens: Vec<Token>,
    stop: Option<StopReason>,
    prepared: Option<Prepared>,
    prompt_tokens: usize,
    dropped: usize,
}

fn ask(
    chat: &mut Chat,
    message: &str,
    sampling: &Sampling,
    [dropped, interrupted]: [Option<usize>; 2],
) -> Result<Option<Seen>, String> {
    let flag = AtomicBool::new(false);
    let reply = chat.reply(message, sampling, Some(&flag));
    let mut reply = reply.map_err(|error| error.to_string())?;
    let mut events = vec![];
    for at in 0.. {
        if interrupted == Some(at) {
            flag.store(true, Ordering::Relaxed);
        }
        if dropped == Some(at) {
            break;
        }
        let Some(event) = reply.next() else { break };
        events.push(event.map_err(|error| error.to_string())?);
    }
    Ok(Some(Seen {
        events,
        tokens: reply.tokens().to_vec(),
        stop: reply.stop_reason(),
        prepared: Some(reply.prepared()),
        prompt_tokens: reply.usage().prompt_tokens,
        dropped: reply.dropped(),
    }))
}

fn act(chat: &mut Chat, act: &Act) -> Result<Option<Seen>, String> {
    match act {
        Act::Ask {
            message,
            sampling,
            dropped,
            interrupted,
        } => ask(chat, message, sampling, [*dropped, *interrupted]),
        Act::Retry(sampling) => match chat.conversation_mut().undo() {
            Some(question) => ask(chat, &question, sampling, [None, None]),
            None => Ok(None),
        },
        Act::Undo => Ok(chat.conversation_mut().undo().map(|_| ()).and(None)),
        Act::Reset => {
            chat.conversation_mut().reset();
            Ok(None)
        }
        Act::System(text) => {
            chat.conversation_mut().set_system(text.clone());
            Ok(None)
        }
    }
}

/// What the answer would be if nothing ended it, with the token that the model ended it with.
fn future(model: &Model, room: Room, chat: &Chat, seen: &Seen, sampling: &Sampling) -> Vec<Token> {
    let mut longer = sampling.clone();
    (longer.stop, longer.max_tokens) = (vec![], Some(64));
    let prompt = seen.prepared.map_or(0, |prepared| prepared.tokens);
    let prompt = chat.session().tokens().get(..prompt).unwrap_or_default();
    let text = write(&mut room.session(model), prompt, &longer);
    let text = text.map(|text| text.tokens).unwrap_or_default();
    let mut next = if text.starts_with(&seen.tokens) {
        text
    } else {
        seen.tokens.clone()
    };
    let ids = (0..).map(Token).take(model.vocabulary_len());
    next.extend(ids.filter(|token| model.is_eog(*token)));
    next
}

fn chance_act(rng: &mut Rng) -> Act {
    let words = [
        "the king", "a fox", "and then", "she said", "golden", "Hans", "\n\n", "<s>",
    ];
    let message: Vec<&str> = (0..rng.usize(1..6))
        .map(|_| words[rng.usize(0..words.len())])
        .collect();
    let sampling = samplings()[rng.usize(0..7)].clone();
    let sampling = sampling.max_tokens(rng.usize(1..40));
    let some = |rng: &mut Rng| (rng.u8(0..4) == 0).then(|| rng.usize(0..12));
    match rng.u8(0..12) {
        0 => Act::Retry(sampling),
        1 => Act::Undo,
        2 => Act::Reset,
        3 => Act::System(rng.bool().then(|| "Be brief.".into())),
        stopped => Act::Ask {
            message: message.join(" "),
            sampling: match stopped {
                4 | 5 => sampling.stop("e").stop(" the"),
                _ => sampling,
            },
            dropped: some(rng),
            interrupted: some(rng),
        },
    }
}

fn template(model: &Model, own: bool) -> Template {
    let own = own.then(|| chat::template_of(model, chat::now()).expect("a template"));
    own.flatten().unwrap_or_else(Template::plain)
}

/// Talks by chance; returns how often turns were dropped in the middle of an answer.
fn talk(model: &Model, room: Room, seed: u64, acts: usize) -> usize {
    let mut rng = Rng::with_seed(seed);
    let own = rng.bool();
    let script = Script::default();
    let mut session = room.session(model);
    let habit = Habit::ALL[seed as usize % Habit::ALL.len()];
    guess(&mut session, seed as usize % 7 + 1, habit, &script);
    let mut guessing = Chat::new(session, template(model, own), None);
    let mut plain = Chat::new(room.session(model), template(model, own), None);
    let mut drops = 0;
    for at in 0..acts {
        let next = chance_act(&mut rng);
        let want = act(&mut plain, &next);
        script.tell(&[]);
        if let (Ok(Some(seen)), Act::Ask { sampling, .. } | Act::Retry(sampling)) = (&want, &next) {
            script.tell(&future(model, room, &plain, seen, sampling));
            let before = seen.prepared.map_or(0, |prepared| prepared.dropped);
            drops += usize::from(seen.dropped > before);
        }
        let found = act(&mut guessing, &next);
        let case = format!("seed {seed}, {room:?}, {habit:?}, own template {own}, act {at}: {next:?}");
        assert_eq!(found, want, "{case}");
        assert_eq!(
            State::of(guessing.session()),
            State::of(plain.session()),
            "{case}"
        );
        assert_eq!(guessing.conversation(), plain.conversation(), "{case}");
    }
    drops
}

#[test]
fn conversations_are_the_same_whatever_happens_to_them() {
    if !has_kernels() {
        return;
    }
    let out = tempfile::tempdir().expect("a temporary folder");
    let mut drops = 0;
    for (at, (name, ty)) in [
        ("llama-tied", "q8_0"),
        ("llama-rope-llama3", "q4_0"),
        ("stablelm-bpe", "q4_k_m"),
    ]
    .into_iter()
    .enumerate()
    {
        let model = fixture(name, ty, out.path());
        for seed in 0..8 {
            let room = Room::of([90, 150, 256][seed as usize % 3]);
            drops += talk(&model, room, seed * 5 + at as u64, 24);
        }
    }
    assert!(
        drops > 3,
        "turns were dropped in the middle of {drops} answers only"
    );
}

/// What is computed again after an answer must be the same number of tokens: with weights of f16, more than eight give
/// other bits than eight.
#[test]
fn conversations_with_f16_weights_are_the_same() {
    if !has_kernels() {
        return;
    }
    let out = tempfile::tempdir().expect("a temporary folder");
    for name in ["stablelm-bpe", "llama-rope-llama3"] {
        let model = fixture(name, "f16", out.path());
        for seed in 40..48 {
            talk(&model, Room::of(200), seed, 24);
        }
    }
}
