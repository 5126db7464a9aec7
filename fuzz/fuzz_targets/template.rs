//! Chat templates: any source ends in a text or an error, and what was said stays so.
#![no_main]

use libfuzzer_sys::fuzz_target;
use siskin_jinja::{Input, Template};

/// Characters that no template has.
const SAID: &str = "\u{e000}\u{e001}";

fuzz_target!(|source: &str| {
    let Ok(template) = Template::parse(source) else {
        return;
    };
    let message = |role: &str| {
        Input::Map(vec![
            ("role".into(), Input::Text(role.into())),
            ("content".into(), Input::Said(SAID.into())),
        ])
    };
    let variables = [
        ("messages", Input::List(vec![message("system"), message("user")])),
        ("add_generation_prompt", Input::Bool(true)),
        ("tools", Input::None),
    ];
    let Ok(rendered) = template.render(&variables, &|_| Ok("now".into()), 50_000) else {
        return;
    };
    let mut done = 0;
    for said in &rendered.said {
        assert!(said.start >= done && said.start < said.end);
        assert!(rendered.text.is_char_boundary(said.start) && rendered.text.is_char_boundary(said.end));
        done = said.end;
    }
    // A template can write these only by an escape or by a number.
    if !source.contains(['\\', '%', '\u{e000}', '\u{e001}']) {
        for (at, _) in rendered.text.match_indices(|c: char| SAID.contains(c)) {
            assert!(rendered.said.iter().any(|said| said.contains(&at)), "{source:?}");
        }
    }
});
