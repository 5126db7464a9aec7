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
    let nested = "(".repeat(200_000);
    let nested = format!("{{{{ {nested} }}}}");
    let cases = [
        ("{% if %}", "the chat template cannot be read: syntax error"),
        ("{{ messages[0]['content' }}", "(line 1)"),
        (
            "a\n{{ messages[0].content.explode() }}",
            "has no method named explode (line 2)",
        ),
        ("{{ missing.content.more }}", "undefined value"),
        (&long, "more than the limit of 1048576"),
        (&nested, "cannot be read"),
        ("{% include '/etc/passwd' %}", "template not found"),
    ];
    for (source, want) in cases {
        let rendered = template(source).and_then(|template| template.render(&hello(), true));
        let error = rendered.expect_err(want).to_string();
        assert!(error.contains(want), "{want}: {error}");
    }
}

#[test]
fn hostile_templates_neither_hang_nor_eat_memory() {
    let cases = [
        (
            "counting",
            "{% for i in range(100000) %}{% for j in range(100000) %}{% endfor %}{% endfor %}",
        ),
        (
            "doubling",
            "{% set n = namespace(s='xxxxxxxx') %}{% for i in range(64) %}{% set n.s = n.s ~ n.s %}{% endfor %}",
        ),
        (
            "adding",
            "{% set n = namespace(s='xxxxxxxx') %}{% for i in range(64) %}{% set n.s = n.s + n.s %}{% endfor %}",
        ),
        (
            "repeating",
            "{{ 'x' * 90000000 }}{{ 'x' * 90000000 }}{{ 'x' * 90000000 }}",
        ),
        (
            "writing",
            "{% for i in range(100000) %}{{ 'x' * 1000 }}{% endfor %}",
        ),
        (
            "replacing",
            "{% set n = namespace(s='aa') %}{% for i in range(64) %}{% set n.s = n.s.replace('a', 'aaaa') %}{% endfor %}",
        ),
        (
            "joining",
            "{% set n = namespace(s='aa') %}{% for i in range(64) %}{% set n.s = n.s.join(n.s) %}{% endfor %}",
        ),
        (
            "centring",
            "{% for i in range(9000) %}{% set x = 'a'.format() | indent(900000, true) %}{% endfor %}",
        ),
        ("formatting", "{{ '%900000000d' | format(1) }}"),
        ("formatting as Python", "{{ '{:>900000000}'.format(1) }}"),
        ("formatting to a width", "{{ '{:>{}}'.format(1, 900000000) }}"),
        (
            "formatting often",
            "{% for i in range(100000) %}{% set x = '{:>9999}{:>9999}{:>9999}'.format(1, 2, 3) %}{% endfor %}",
        ),
        ("indenting", "{{ messages | tojson(indent=900000000) }}"),
        (
            "recursion",
            "{% macro f(n) %}{{ f(n + 1) }}{{ f(n + 1) }}{% endmacro %}{{ f(0) }}",
        ),
        (
            "slow matching",
            "{% set a = 'a' * 1000000 %}{% for i in range(100000) %}{% set x = a.find('ab') %}{% endfor %}",
        ),
        (
            "counting matches",
            "{% set a = 'a' * 1000000 %}{% for i in range(100000) %}{% set x = a.count('b') %}{% endfor %}",
        ),
    ];
    let mut survived: Vec<&str> = Vec::new();
    for (name, source) in cases {
        let start = Instant::now();
        let rendered = template(source).and_then(|template| template.render(&hello(), true));
        let took = start.elapsed();
        let ended = rendered.map(|text| text.len()).map_err(|error| error.to_string());
        println!("{name}: {took:.1?} {ended:?}");
        // While a machine is busy with other tests, this takes several times as long as it does alone.
        if ended.is_ok() || took > Duration::from_secs(10) {
            survived.push(name);
        }
    }
    assert_eq!(survived, [""; 0]);
    let peak = siskin_device::memory::Memory::now()
        .peak_bytes
        .expect("Linux has it");
    assert!(peak < 1 << 30, "peak RSS {peak}");
}

#[test]
fn values_as_deep_as_the_fuel_allows_do_not_overflow_the_stack() {
    // A long message gives the most fuel possible.
    let mut messages = hello();
    messages[0].content = "x".repeat(4 << 20);
    for depth in [1000, 50_000] {
        for last in [
            "{{ n.l }}",
            "{{ n.l | tojson }}",
            "{{ n.l == n.m }}",
            "{{ n.l | list | unique | length }}",
            "{{ n.l ~ n.m }}",
            "{{ '%s' | format(n.l) }}",
            "{{ '{}'.format(n.l) }}",
            "{{ n.l | string | length }}",
            "{{ [n.l, n.m] | sort | length }}",
            "{{ {n.l: 1} }}",
        ] {
            let source = format!(
                "{{% set n = namespace(l=[1], m=[1]) %}}{{% for i in range({depth}) %}}{{% set n.l = [n.l] %}}\
                 {{% set n.m = [n.m] %}}{{% endfor %}}{last}"
            );
            let rendered = template(&source).and_then(|template| template.render(&messages, true));
            assert!(rendered.is_ok(), "{depth} {last}: {rendered:?}");
        }
    }
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
