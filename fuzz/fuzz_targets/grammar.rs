//! Schemas, grammars and calls of clients: a form is refused or can be written, and a text is read the same however it is
//! split. The first byte chooses what the rest is.
#![no_main]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use siskin_grammar::{
    CallEvent, CallParser, CallStyle, ErrorKind, Form, TokenText, Tool, ToolChoice, ToolSet, Vocabulary,
};

const END: u32 = 256;

fn vocabulary() -> &'static Vocabulary {
    static VOCABULARY: OnceLock<Vocabulary> = OnceLock::new();
    VOCABULARY.get_or_init(|| {
        let bytes = (0..=255u8).map(|byte| TokenText::Text(vec![byte]));
        Vocabulary::new(bytes.chain([TokenText::Control]), &[END]).expect("a vocabulary")
    })
}

/// Writes a little of the form; `choices` choose among the tokens of each mask.
fn write(form: &Form, choices: &[u8]) {
    let mut constraint = match form.compile(vocabulary()) {
        Ok(constraint) => constraint,
        Err(error) => return assert_ne!(error.kind(), ErrorKind::Internal, "{error}"),
    };
    for choice in choices.iter().take(48) {
        let Ok(mask) = constraint.mask() else { return };
        let allowed: Vec<u32> = (0..=END)
            .filter(|t| mask[*t as usize / 32] >> (t % 32) & 1 == 1)
            .collect();
        let token = allowed[usize::from(*choice) % allowed.len()];
        match constraint.accept(token) {
            Ok(()) if token == END => return,
            Ok(()) => {}
            Err(error) => return assert_eq!(error.kind(), ErrorKind::TooComplex, "{error}"),
        }
    }
}

fn events<'a>(style: CallStyle, pieces: impl IntoIterator<Item = &'a str>) -> String {
    let mut parser = CallParser::new(style);
    let mut events: Vec<CallEvent> = pieces.into_iter().flat_map(|piece| parser.push(piece)).collect();
    events.extend(parser.finish());
    let text = |event| match event {
        CallEvent::Text(text) => text,
        CallEvent::Begin { index, name } => format!("\0{index}{name}\0"),
        CallEvent::Arguments { piece, .. } => piece,
        CallEvent::End { .. } => "\0".to_owned(),
    };
    events.into_iter().map(text).collect()
}

fuzz_target!(|data: &[u8]| {
    let Some((choice, rest)) = data.split_first() else {
        return;
    };
    let Ok(text) = std::str::from_utf8(rest) else {
        return;
    };
    match choice % 5 {
        0 => write(&Form::Gbnf(text.to_owned()), rest),
        kind @ 1..=3 => {
            let Ok(schema) = serde_json::from_str::<serde_json::Value>(text) else {
                return;
            };
            if kind < 3 {
                return write(
                    &Form::JsonSchema {
                        schema,
                        strict: kind == 2,
                    },
                    rest,
                );
            }
            let tool = Tool {
                name: "f".to_owned(),
                description: String::new(),
                parameters: schema,
                strict: false,
            };
            let style = if choice & 64 == 0 {
                CallStyle::Tagged
            } else {
                CallStyle::Bare
            };
            if let Ok(set) = ToolSet::new(vec![tool], ToolChoice::Auto, true, style) {
                write(&set.form().expect("a tool may be called"), rest);
            }
        }
        _ => {
            for style in [CallStyle::Tagged, CallStyle::Bare] {
                assert_eq!(
                    events(style, [text]),
                    events(style, text.split_inclusive(|_| true))
                );
            }
        }
    }
});
