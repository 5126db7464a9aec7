//! Compares templates with transformers' renderings, and tries templates that mean harm.

use std::time::{Duration, Instant};

use jiff::{ZonedDateTime, civil, tz::TimeZone};

use super::{Chat, ChatEvent, Message, Role, Template, TemplateError, TemplateTokens};
use crate::Sampling;

/// The time that `tests/data/chat.py` pretends it is.
fn today() -> ZonedDateTime {
    let noon = civil::date(2024, 7, 26).at(12, 30, 0, 0);
    noon.to_zoned_datetime(TimeZone::UTC).expect("a date")
}

fn template(source: &str) -> Result<Template, TemplateError> {
    let tokens = TemplateTokens {
        bos: Some("<s>".into()),
        eos: Some("</s>".into()),
        pad: None,
    };
    Template::new(source, tokens, today())
}

fn hello() -> Vec<Message> {
    vec![Message {
        role: Role::User,
        content: "hello".into(),
    }]
}

#[test]
fn own_templates_render_as_in_transformers() {
    let goldens = include_str!("../../../tests/data/chat.json");
    let goldens: serde_json::Value = serde_json::from_str(goldens).expect("JSON");
    let dialogue: Vec<Message> = serde_json::from_value(goldens["dialogue"].clone()).expect("messages");
    let own = goldens["own"].as_object().expect("templates");
    assert!(own.len() > 10);
    for (name, golden) in own {
        let source = golden["template"].as_str().expect("a template");
        let rendered = template(source).and_then(|template| template.render(&dialogue, true));
        match golden["refused"].as_str() {
            None => assert_eq!(
                rendered.expect(name),
                golden["text"].as_str().expect("a text"),
                "{name}"
            ),
            Some(words) => assert_eq!(
                rendered.expect_err(name).to_string(),
                format!("the chat template refuses this conversation: {words}")
            ),
        }
    }
}

#[test]
fn the_plain_template_names_who_speaks() {
    let mut messages = hello();
    let message = |role, content: &str| Message {
        role,
        content: content.into(),
    };
    messages.insert(0, message(Role::System, " A tale.\n"));
    messages.push(message(Role::Assistant, " Hi! "));
    messages.push(message(Role::User, "{{ bye }}"));
    assert_eq!(
        Template::plain().render(&messages, true).expect("a text"),
        "A tale.\n\nUser: hello\nAssistant: Hi!\nUser: {{ bye }}\nAssistant:"
    );
}

#[test]
fn templates_that_cannot_be_used_say_why() {
    let long = "x".repeat(2 << 20);
    let nested = format!("{{{{ {} }}}}", "(".repeat(200_000));
    let cases = [
        (
            "{% if %}",
            "the chat template cannot be read: unexpected the end of the tag, expected a value (line 1)",
        ),
        ("{{ messages[0]['content' }}", "(line 1)"),
        (
            "a\n{{ messages[0].content.explode() }}",
            "the chat template failed: 'str object' has no attribute 'explode' (line 2)",
        ),
        ("{{ missing.content.more }}", "'missing' is undefined (line 1)"),
        (
            "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}",
            "more work",
        ),
        (&long, "more than the limit of 1048576"),
        (&nested, "cannot be read"),
        ("{% include '/etc/passwd' %}", "needs other templates"),
    ];
    for (source, want) in cases {
        let rendered = template(source).and_then(|template| template.render(&hello(), true));
        let error = rendered.expect_err(want).to_string();
        assert!(error.contains(want), "{want}: {error}");
    }
}

#[test]
fn what_is_said_reaches_the_model() {
    // A template of a model that sees images takes a message in parts only.
    let parts = "{% for m in messages %}{% for part in m.content %}{{ part.text }}{% endfor %}{% endfor %}";
    let rendered = template(parts).expect("a template").rendered(&hello(), true);
    let rendered = rendered.expect("a text");
    assert_eq!(
        (rendered.text.as_str(), &rendered.said[..]),
        ("hello", &[std::ops::Range { start: 0, end: 5 }][..])
    );

    for (source, mute) in [
        ("{{ 1 }}", true),
        ("{# #}", true),
        ("{{ messages[0].content }}", false),
        ("{{ nope() }}", false),
    ] {
        assert_eq!(template(source).expect("a template").is_mute(), mute, "{source}");
    }

    let model = crate::Model::embedded().load().expect("the embedded model");
    for empty in ["", " \n"] {
        let template = super::template_from(&model, empty, today()).expect("the plain template");
        assert!(template.is_plain(), "{empty:?}");
    }
}

#[test]
fn as_few_turns_as_possible_are_dropped_in_time_that_follows_from_the_context() {
    let model = crate::Model::embedded().load().expect("the embedded model");
    let mut chat = Chat::open(&model, Some("You are brief.".into())).expect("a chat");
    let turns = 20_000;
    for turn in 0..turns {
        chat.conversation_mut().ask(format!("question {turn}"));
        chat.conversation_mut().answer(format!("answer {turn}"));
    }
    let room = chat.session().capacity() as usize - 10;
    let start = Instant::now();
    let prepared = chat.prepare(&[], 10, None).expect("some turns fit");
    // Alone it takes a fraction of a second.
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
    assert!(
        prepared.tokens <= room && prepared.dropped > 0 && prepared.complete,
        "{prepared:?}"
    );
    assert_eq!(chat.conversation().turns(), (turns, prepared.dropped));
    let more = chat.conversation().newest(turns - prepared.dropped + 1);
    let more = super::tokenize(&model, &Template::plain(), &more).expect("tokens");
    assert!(more.len() > room, "one turn more would have fit");

    let stop = std::sync::atomic::AtomicBool::new(true);
    chat.conversation_mut().ask("And now?".into());
    let interrupted = chat.prepare(&[], 10, Some(&stop)).expect("interrupted");
    assert!(!interrupted.complete);
}

#[test]
fn an_answer_that_is_left_early_stays_and_an_interrupted_message_goes() {
    let model = crate::Model::embedded().load().expect("the embedded model");
    let mut chat = Chat::open(&model, None).expect("a chat");
    let sampling = Sampling::greedy().max_tokens(40);
    let first = {
        let mut reply = chat.reply("Who is there?", &sampling, None).expect("an answer");
        match reply.next() {
            Some(Ok(ChatEvent::Text(text))) => text,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(chat.conversation().turns(), (1, 0));
    let json = chat.conversation().to_json().expect("JSON");
    assert!(
        json.contains("Who is there?") && json.contains(first.trim()),
        "{json}"
    );

    let stop = std::sync::atomic::AtomicBool::new(true);
    let mut reply = chat
        .reply("And now?", &sampling, Some(&stop))
        .expect("interrupted");
    assert!(!reply.prepared().complete && reply.next().is_none());
    assert_eq!(reply.stop_reason(), Some(crate::StopReason::Interrupted));
    drop(reply);
    assert_eq!(chat.conversation().turns(), (1, 0), "the message was taken out");

    let long = "word ".repeat(600);
    assert!(chat.reply(long, &sampling, None).is_err());
    assert_eq!(
        chat.conversation().turns(),
        (1, 0),
        "and so is one that does not fit"
    );
}
