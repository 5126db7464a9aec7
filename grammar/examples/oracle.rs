//! Texts by chance for `tests/data/oracle.py` and `tests/data/gbnf_oracle.py` to judge. Every line of the input is
//! `{"schema": …}` or `{"gbnf": …, "strings": […]}`, every line of the output an object: `{"error": …}`, or
//! `{"texts": […], "unfinished": n, "accepted": […]}`.

use std::io::BufRead as _;

use serde_json::{Value, json};
use siskin_grammar::{Constraint, Form, TokenText, Vocabulary};

const TEXTS: usize = 20;
const LONGEST: usize = 400;
const END: u32 = 256;

fn main() {
    let bytes = (0..=255u8).map(|byte| TokenText::Text(vec![byte]));
    let vocabulary = Vocabulary::new(bytes.chain([TokenText::Control]), &[END]).expect("a vocabulary");
    let mut rng = fastrand::Rng::with_seed(16);
    for line in std::io::stdin().lock().lines() {
        let mut case: Value = serde_json::from_str(&line.expect("text")).expect("a case");
        let form = match case["gbnf"].as_str() {
            Some(source) => Form::Gbnf(source.to_owned()),
            None => Form::JsonSchema {
                schema: case["schema"].take(),
                strict: false,
            },
        };
        let answer = match form.compile(&vocabulary) {
            Err(error) => json!({"error": error.to_string(), "kind": format!("{:?}", error.kind())}),
            Ok(constraint) => {
                let texts: Vec<String> = (0..TEXTS)
                    .filter_map(|_| walk(constraint.clone(), &mut rng))
                    .collect();
                let strings = case["strings"].as_array().map_or(&[][..], Vec::as_slice);
                let accepted: Vec<bool> = strings
                    .iter()
                    .map(|text| accepts(constraint.clone(), text.as_str().unwrap_or_default()))
                    .collect();
                json!({"unfinished": TEXTS - texts.len(), "texts": texts, "accepted": accepted})
            }
        };
        println!("{answer}");
    }
}

fn accepts(mut constraint: Constraint, text: &str) -> bool {
    text.bytes().all(|byte| constraint.accept(byte.into()).is_ok()) && constraint.may_end()
}

fn walk(mut constraint: Constraint, rng: &mut fastrand::Rng) -> Option<String> {
    let mut bytes = Vec::new();
    for step in 0..LONGEST {
        let mask = constraint.mask().expect("a mask");
        let allowed: Vec<u32> = (0..=END)
            .filter(|t| mask[*t as usize / 32] >> (t % 32) & 1 == 1)
            .collect();
        let closing: Vec<u32> = allowed
            .iter()
            .copied()
            .filter(|t| [b'"'.into(), b'}'.into(), b']'.into(), END].contains(t))
            .collect();
        let hurry = step * 2 > LONGEST || rng.u8(..4) == 0;
        let from = if hurry && !closing.is_empty() {
            &closing
        } else {
            &allowed
        };
        let token = from[rng.usize(..from.len())];
        constraint.accept(token).expect("a token of the mask is accepted");
        if token == END {
            return Some(String::from_utf8(bytes).expect("a text is UTF-8"));
        }
        bytes.push(token as u8);
    }
    None
}
