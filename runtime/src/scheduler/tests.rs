use super::*;

const NOW: Duration = Duration::ZERO;

fn limits() -> Limits {
    Limits {
        parallel: 2,
        sequences: 4,
        cells: 100,
        pass_tokens: 64,
        ..Limits::default()
    }
}

/// Fast enough that only the number of tokens limits a pass.
fn fast() -> Costs {
    Costs::new(0.01, 10_000.0)
}

fn ask(prompt: impl IntoIterator<Item = i32>, max_tokens: u32) -> Ask {
    Ask {
        prompt: prompt.into_iter().map(Token).collect(),
        max_tokens,
        class: Class::Chat,
        namespace: 0,
        conversation: None,
        rows_from: None,
        follows: None,
        joined: false,
    }
}

/// Computes until a request has ended with as many tokens as it may have; returns its end.
fn finish(scheduler: &mut Scheduler, id: RequestId) -> Ended {
    for _ in 0..1000 {
        let pass = scheduler.next(NOW).expect("work");
        scheduler.computed(&pass, Duration::from_millis(10));
        for part in pass.parts.iter().filter(|part| part.draws) {
            if !scheduler.drew(part.id, Token(7)) {
                let ended = scheduler.end(part.id, NOW).expect("it was there");
                if part.id == id {
                    return ended;
                }
            }
        }
    }
    panic!("request {id} does not end");
}

#[test]
fn a_prompt_is_computed_and_every_token_after_it() {
    let mut scheduler = Scheduler::new(limits(), fast());
    let id = scheduler.admit(ask(0..5, 3), NOW).expect("room").id;
    let first = scheduler.next(NOW).expect("work");
    assert_eq!((first.started.as_slice(), first.parts.len()), (&[id][..], 1));
    let part = &first.parts[0];
    assert_eq!(
        (part.position, part.tokens.len(), part.rows, part.draws),
        (0, 5, PartRows::Last, true)
    );
    // Nothing of it was computed: the same again.
    assert_eq!(scheduler.next(NOW).expect("work").parts, first.parts);
    scheduler.computed(&first, Duration::from_millis(1));
    assert_eq!(scheduler.next(NOW), None, "nothing was drawn");
    assert!(scheduler.drew(id, Token(9)));
    let second = scheduler.next(NOW).expect("work");
    assert_eq!(
        (second.parts[0].position, &second.parts[0].tokens[..]),
        (5, &[Token(9)][..])
    );
    scheduler.computed(&second, Duration::from_millis(1));
    assert!(scheduler.drew(id, Token(9)) && scheduler.next(NOW).is_some());
    assert!(!scheduler.drew(id, Token(9)), "three tokens");
    assert_eq!(scheduler.end(id, NOW), Some(Ended::default()));
    assert_eq!(scheduler.end(id, NOW), None, "it ends once");
    assert!(scheduler.is_idle());
}

#[test]
fn what_never_fits_is_refused_with_numbers() {
    let mut scheduler = Scheduler::new(limits(), fast());
    for (prompt, max_tokens, fits) in [
        (90, 11, true),
        (90, 12, false),
        (100, 1, true),
        (101, 1, false),
        (0, 1, false),
    ] {
        let admitted = scheduler.admit(ask(0..prompt, max_tokens), NOW);
        let refused = Refusal::TooLong {
            prompt: prompt as u32,
            max_tokens,
            cells: 100,
        };
        assert_eq!(
            admitted.err(),
            (!fits).then_some(refused),
            "{prompt} {max_tokens}"
        );
    }
}

#[test]
fn a_request_waits_until_its_cells_are_free() {
    let mut scheduler = Scheduler::new(limits(), fast());
    let long = scheduler.admit(ask(0..10, 60), NOW).expect("room").id;
    let _ = scheduler.next(NOW).expect("it starts");
    let second = scheduler.admit(ask(50..60, 40), NOW).expect("it waits").id;
    assert_eq!(
        scheduler.next(NOW).expect("the first").started,
        [] as [RequestId; 0]
    );
    assert!(matches!(
        scheduler.progress(second, NOW),
        Some(Progress::Queued { ahead: 0, .. })
    ));
    let short = scheduler.admit(ask(70..75, 5), NOW).expect("room").id;
    assert_eq!(
        scheduler.next(NOW).expect("work").started,
        [short],
        "it fits beside"
    );
    finish(&mut scheduler, long);
    assert_eq!(scheduler.next(NOW).expect("work").started, [second]);
}

#[test]
fn prefixes_are_used_again() {
    let with = |namespace, conversation, ask: Ask| Ask {
        namespace,
        conversation,
        ..ask
    };
    // Namespace, conversation, prompt: tokens that the cache has, after 0..40 with 3 tokens drawn (7, 7, 7).
    let goes_on = (0..40).chain([7, 7, 5]);
    let cases = [
        (
            "the same conversation",
            0,
            Some(1),
            goes_on.clone().collect::<Vec<_>>(),
            42,
        ),
        (
            "another that begins alike",
            0,
            None,
            (0..20).chain([90, 91]).collect(),
            20,
        ),
        ("the same prompt", 0, None, (0..40).collect(), 39),
        ("another key", 1, Some(1), goes_on.collect(), 0),
        ("nothing alike", 0, None, (60..80).collect(), 0),
    ];
    for (name, namespace, conversation, prompt, cached) in cases {
        let mut scheduler = Scheduler::new(limits(), fast());
        let first = with(0, Some(1), ask(0..40, 3));
        let id = scheduler.admit(first, NOW).expect("room").id;
        finish(&mut scheduler, id);
        let second = with(namespace, conversation, ask(prompt, 2));
        let id = scheduler.admit(second, NOW).expect("room").id;
        assert_eq!(finish(&mut scheduler, id).cached, cached, "{name}");
    }
}

#[test]
fn a_copied_prefix_takes_its_cells_once() {
    let mut scheduler = Scheduler::new(limits(), fast());
    for other in [[90, 91], [92, 93]] {
        let id = scheduler
            .admit(ask((0..40).chain(other), 1), NOW)
            .expect("room")
            .id;
        finish(&mut scheduler, id);
    }
    assert_eq!(
        scheduler.used_cells(),
        42,
        "the second took the first's sequence over"
    );
    let one = scheduler
        .admit(ask((0..20).chain(60..70), 2), NOW)
        .expect("room")
        .id;
    let pass = scheduler.next(NOW).expect("work");
    assert!(
        matches!(pass.moves[..], [Move::Copy { tokens: 20, .. }]),
        "{:?}",
        pass.moves
    );
    finish(&mut scheduler, one);
    assert_eq!(scheduler.used_cells(), 42 + 10 + 1);
}

#[test]
fn choices_of_one_prompt_compute_it_once() {
    let mut scheduler = Scheduler::new(limits(), fast());
    let first = scheduler.admit(ask(0..30, 2), NOW).expect("room").id;
    let second = Ask {
        follows: Some(first),
        ..ask(0..30, 2)
    };
    let second = scheduler.admit(second, NOW).expect("room").id;
    let pass = scheduler.next(NOW).expect("work");
    assert_eq!((pass.started.as_slice(), pass.prompt_tokens), (&[first][..], 30));
    scheduler.computed(&pass, Duration::from_millis(1));
    scheduler.drew(first, Token(1));
    let pass = scheduler.next(NOW).expect("work");
    assert_eq!((pass.started.as_slice(), pass.prompt_tokens), (&[second][..], 1));
}

#[test]
fn a_background_request_spares_the_chats_prefix() {
    let mut scheduler = Scheduler::new(
        Limits {
            sequences: 3,
            ..limits()
        },
        fast(),
    );
    let chat = scheduler.admit(ask(0..30, 2), NOW).expect("room").id;
    finish(&mut scheduler, chat);
    for title in 0..5 {
        let background = Ask {
            class: Class::Background,
            ..ask(40 + title..60 + title, 2)
        };
        let id = scheduler.admit(background, NOW).expect("room").id;
        finish(&mut scheduler, id);
    }
    assert_eq!(scheduler.known(&ask(0..30, 1)), 29);
}

#[test]
fn one_key_does_not_fill_the_queue() {
    let limits = Limits {
        parallel: 1,
        queue_each: 2,
        ..limits()
    };
    let mut scheduler = Scheduler::new(limits, fast());
    let of = |namespace, joined| Ask {
        namespace,
        joined,
        ..ask(0..5, 2)
    };
    let full = |refused: Result<Admitted, Refusal>| matches!(refused, Err(Refusal::Share { waiting: 2, .. }));
    assert!((0..2).all(|_| scheduler.admit(of(1, false), NOW).is_ok()));
    assert!(full(scheduler.admit(of(1, false), NOW)));
    // Parts of what was taken, other keys, and a service without keys.
    for (namespace, joined) in [(1, true), (2, false), (0, false), (0, false), (0, false)] {
        scheduler.admit(of(namespace, joined), NOW).expect("room");
    }
    // One of them is computed now.
    scheduler.next(NOW).expect("work");
    scheduler.admit(of(1, false), NOW).expect("room");
    assert!(full(scheduler.admit(of(1, false), NOW)));
}

#[test]
fn what_was_measured_is_believed_until_passes_tell_more() {
    let known = [None, Some(1.5), None, Some(f64::NAN), Some(0.2)];
    let costs = Costs::measured(0.1, 50.0, |streams| {
        known.get(streams as usize - 1).copied().flatten()
    });
    let steps = [1, 2, 3].map(|streams| (costs.step(streams) * 1000.0).round());
    assert_eq!((steps, costs.prefill_rate()), ([100.0, 150.0, 180.0], 50.0));
}

#[test]
fn prompts_enter_in_pieces_while_somebody_waits_for_tokens() {
    let limits = Limits {
        cells: 4096,
        pass_tokens: 512,
        ..limits()
    };
    // 20 ms a step, 100 tokens of prompt a second: 25 tokens within 300 ms, with a tenth to spare.
    let mut scheduler = Scheduler::new(limits, Costs::new(0.02, 100.0));
    let chat = scheduler.admit(ask(0..4, 100), NOW).expect("room").id;
    let pass = scheduler.next(NOW).expect("work");
    scheduler.computed(&pass, Duration::from_millis(20));
    scheduler.drew(chat, Token(1));
    scheduler.admit(ask(0..1000, 10), NOW).expect("room");
    let pass = scheduler.next(NOW).expect("work");
    assert_eq!((pass.streams, pass.prompt_tokens), (1, 25));
    // Alone it may take a second.
    scheduler.end(chat, NOW);
    assert_eq!(scheduler.next(NOW).expect("work").prompt_tokens, 88);
}

#[test]
fn rows_of_a_prompt_come_in_small_pieces() {
    let limits = Limits {
        pass_rows: 4,
        ..limits()
    };
    let mut scheduler = Scheduler::new(limits, fast());
    let scored = Ask {
        rows_from: Some(3),
        ..ask(0..10, 1)
    };
    scheduler.admit(scored, NOW).expect("room");
    let mut pieces = Vec::new();
    while let Some(pass) = scheduler.next(NOW) {
        scheduler.computed(&pass, Duration::from_millis(1));
        pieces.extend(pass.parts.iter().map(|part| (part.tokens.len(), part.rows)));
    }
    let all = PartRows::All;
    assert_eq!(pieces, [(3, PartRows::None), (4, all), (3, all)]);
}

#[test]
fn waits_are_predicted_and_long_ones_refused() {
    let limits = Limits {
        parallel: 1,
        max_wait: Duration::from_secs(20),
        ..limits()
    };
    let mut scheduler = Scheduler::new(limits, Costs::new(0.1, 10.0));
    // Each takes 1 s of prompt and 4 s of tokens.
    let waits: Vec<u64> = (0..5)
        .map(|at| {
            let prompt = at * 10..at * 10 + 10;
            let wait = scheduler.admit(ask(prompt, 40), NOW).expect("room").wait;
            let _ = scheduler.next(NOW);
            wait.as_secs()
        })
        .collect();
    assert_eq!(waits, [0, 5, 10, 15, 20]);
    let busy = |scheduler: &mut Scheduler| match scheduler.admit(ask(80..90, 40), NOW) {
        Err(Refusal::Busy { wait }) => wait.as_secs(),
        other => panic!("{other:?}"),
    };
    // Those who come again do not come at the same time.
    assert_eq!([(); 3].map(|()| busy(&mut scheduler)), [25, 30, 35]);
}
