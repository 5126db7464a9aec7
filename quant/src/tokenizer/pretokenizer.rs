//! Finds the llama.cpp pre-tokenizer that splits text as `tokenizer.json` describes.
//!
//! llama.cpp's converter recognises a pre-tokenizer by a hash of the tokens of one text, which also depends
//! on the vocabulary. Here only the description decides: the normalizer and the chain of pre-tokenizers.

use serde_json::Value;

use super::ContentError;
use super::hf::Tokenizer;
use siskin_model::tokenizer::normalizer::Normalizer;

/// One step of a chain, reduced to what changes how a text is split.
#[derive(Debug, PartialEq, Eq)]
enum Step<'a> {
    /// A split at the matches of a regular expression.
    Split(&'a str),
    /// Every digit is a word.
    Digits,
    /// Maps bytes to characters; if `regex` is true, splits by GPT-2's own expression first.
    ByteLevel { regex: bool },
}

const LLAMA3: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const STABLELM2: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

const BYTES: Step<'static> = Step::ByteLevel { regex: false };
const GPT2: Step<'static> = Step::ByteLevel { regex: true };

/// llama.cpp's name, the chain.
type Row = (&'static str, &'static [Step<'static>]);

/// The known pre-tokenizers, sorted by name.
const TABLE: [Row; 6] = [
    (
        "deepseek-coder",
        &[
            Step::Split(r"[\r\n]"),
            Step::Split(r"\s?\p{L}+"),
            Step::Split(r"\s?\p{P}+"),
            Step::Split("[一-龥ࠀ-一가-퟿]+"),
            Step::Digits,
            BYTES,
        ],
    ),
    ("gpt-2", &[GPT2]),
    ("llama-bpe", &[Step::Split(LLAMA3), BYTES]),
    ("olmo", &[GPT2]), // llama.cpp names GPT-NeoX's tokenizer after OLMo
    ("smollm", &[Step::Digits, GPT2]),
    ("stablelm2", &[Step::Split(STABLELM2), BYTES]),
];

/// How llama.cpp and siskin split the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Recognised {
    /// The value of `tokenizer.ggml.pre`.
    pub(super) name: &'static str,
    /// What is done to the text before, if the name does not imply it.
    pub(super) normalizer: Option<Normalizer>,
}

/// Finds the name, or says which part is unknown.
pub(super) fn recognise(tokenizer: &Tokenizer) -> Result<Recognised, ContentError> {
    let normalizer = normalizer(tokenizer.normalizer.as_ref())?;
    let mut chain = Vec::new();
    let json = tokenizer.pre_tokenizer.as_ref().filter(|json| !json.is_null());
    let known = json.is_some_and(|json| steps(json, &mut chain).is_some());
    let rows = || TABLE.iter().filter(|row| known && row.1 == chain.as_slice());
    let implied = rows().find(|row| Normalizer::implied(row.0) == normalizer);
    match (implied, rows().next()) {
        (Some(row), _) => Ok(Recognised {
            name: row.0,
            normalizer: None,
        }),
        (None, Some(row)) => Ok(Recognised {
            name: row.0,
            normalizer: Some(normalizer),
        }),
        (None, None) => Err(ContentError::Unsupported(format!(
            "words are split in a way that is not supported ({}); supported are the tokenizers of {}",
            described(json),
            TABLE.map(|row| row.0).join(", ")
        ))),
    }
}

/// What is done to a text first.
fn normalizer(json: Option<&Value>) -> Result<Normalizer, ContentError> {
    let mut found = Normalizer::None;
    let mut steps: Vec<&Value> = json.filter(|json| !json.is_null()).into_iter().collect();
    while let Some(step) = steps.pop() {
        match (step["type"].as_str(), step["normalizers"].as_array()) {
            (Some("Sequence"), Some(list)) => steps.extend(list.iter().rev()),
            (Some("NFC"), _) => found = Normalizer::Nfc,
            (name, _) => {
                let name = name.unwrap_or("of an unknown type");
                return Err(ContentError::Unsupported(format!(
                    "text is normalised in a way that is not supported (normalizer {name}); supported: NFC"
                )));
            }
        }
    }
    Ok(found)
}

/// The chain in a few words: the types of its steps, and the expressions by which they split.
fn described(json: Option<&Value>) -> String {
    let Some(json) = json else {
        return "there is no pre_tokenizer".to_owned();
    };
    let one = |step: &Value| {
        let kind = step["type"].as_str().unwrap_or("an unknown type");
        let pattern = step["pattern"]["Regex"]
            .as_str()
            .or(step["pattern"]["String"].as_str());
        match pattern {
            Some(pattern) => {
                let start: String = pattern.chars().take(40).collect();
                let more = if start.len() < pattern.len() { "…" } else { "" };
                format!("{kind} at {start}{more}")
            }
            None if step["add_prefix_space"] == true => format!("{kind} with add_prefix_space"),
            None => kind.to_owned(),
        }
    };
    match json["pretokenizers"].as_array() {
        Some(list) => list.iter().take(8).map(one).collect::<Vec<_>>().join(", "),
        None => one(json),
    }
}

/// Appends the steps that `json` describes; returns `None` if one is unknown.
fn steps<'a>(json: &'a Value, chain: &mut Vec<Step<'a>>) -> Option<()> {
    match json["type"].as_str()? {
        "Sequence" => json["pretokenizers"]
            .as_array()?
            .iter()
            .try_for_each(|step| steps(step, chain)),
        "ByteLevel" if json["add_prefix_space"] != true => {
            let regex = json["use_regex"].as_bool().unwrap_or(true);
            chain.push(Step::ByteLevel { regex });
            Some(())
        }
        "Digits" if json["individual_digits"] == true => {
            chain.push(Step::Digits);
            Some(())
        }
        // Isolating the matches, or removing everything outside them, gives the same split.
        "Split" => {
            let (behavior, invert) = (json["behavior"].as_str()?, json["invert"].as_bool()?);
            matches!((behavior, invert), ("Isolated", false) | ("Removed", true)).then_some(())?;
            chain.push(Step::Split(json["pattern"]["Regex"].as_str()?));
            Some(())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn recognised(
        normalizer: Value,
        pre_tokenizer: Value,
    ) -> Result<(&'static str, Option<Normalizer>), ContentError> {
        let json = json!({
            "normalizer": normalizer, "pre_tokenizer": pre_tokenizer,
            "model": {"type": "BPE", "vocab": {}, "merges": []}
        });
        let found = recognise(&serde_json::from_value(json).expect("a tokenizer"));
        found.map(|found| (found.name, found.normalizer))
    }

    #[test]
    fn the_table_is_sorted() {
        assert!(TABLE.is_sorted_by(|a, b| a.0 < b.0));
    }

    #[test]
    fn descriptions_and_their_names() {
        let bytes = |regex: bool| json!({"type": "ByteLevel", "add_prefix_space": false, "use_regex": regex});
        let split = |regex: &str, behavior: &str, invert: bool| json!({"type": "Split", "pattern": {"Regex": regex}, "behavior": behavior, "invert": invert});
        let both = |first: Value| json!({"type": "Sequence", "pretokenizers": [first, bytes(false)]});
        let nfc = json!({"type": "NFC"});
        let digits = json!({"type": "Digits", "individual_digits": true});
        let list = |list: &[Value]| json!({"type": "Sequence", "normalizers": list, "pretokenizers": list});
        let none = Value::Null;
        let (key_none, key_nfc) = (Some(Normalizer::None), Some(Normalizer::Nfc));
        let coder = [
            r"[\r\n]",
            r"\s?\p{L}+",
            r"\s?\p{P}+",
            "[\u{4e00}-\u{9fa5}\u{800}-\u{4e00}\u{ac00}-\u{d7ff}]+",
        ];
        let mut coder = Vec::from(coder.map(|regex| split(regex, "Isolated", false)));
        coder.extend([digits.clone(), bytes(false)]);
        let cases = [
            (none.clone(), bytes(true), Ok(("gpt-2", None))),
            (list(&[]), bytes(true), Ok(("gpt-2", None))),
            (nfc.clone(), bytes(true), Ok(("olmo", None))),
            (list(std::slice::from_ref(&nfc)), bytes(true), Ok(("olmo", None))),
            (
                none.clone(),
                both(split(LLAMA3, "Isolated", false)),
                Ok(("llama-bpe", None)),
            ),
            (
                nfc.clone(),
                both(split(LLAMA3, "Isolated", false)),
                Ok(("llama-bpe", key_nfc)),
            ),
            (
                nfc.clone(),
                both(split(STABLELM2, "Removed", true)),
                Ok(("stablelm2", None)),
            ),
            (
                none.clone(),
                both(split(STABLELM2, "Removed", true)),
                Ok(("stablelm2", key_none)),
            ),
            (
                none.clone(),
                list(&[digits.clone(), bytes(true)]),
                Ok(("smollm", None)),
            ),
            (none.clone(), list(&coder), Ok(("deepseek-coder", None))),
            (
                none.clone(),
                both(split(r"\p{N}", "Isolated", false)),
                Err(r"(Split at \p{N}, ByteLevel)"),
            ),
            (
                none.clone(),
                both(split(LLAMA3, "Removed", false)),
                Err("Split at (?i:'s|'t"),
            ),
            (none.clone(), bytes(false), Err("(ByteLevel)")),
            (
                none.clone(),
                json!({"type": "ByteLevel", "add_prefix_space": true}),
                Err("add_prefix_space"),
            ),
            (none.clone(), json!({"type": "Metaspace"}), Err("(Metaspace)")),
            (none.clone(), none.clone(), Err("there is no pre_tokenizer")),
            (
                json!({"type": "Lowercase"}),
                bytes(true),
                Err("normalizer Lowercase"),
            ),
        ];
        for (normalizer, pre, want) in cases {
            let got = recognised(normalizer.clone(), pre.clone()).map_err(|e| e.to_string());
            match (&got, want) {
                (Ok(got), Ok(want)) => assert_eq!(*got, want, "{normalizer} {pre}"),
                (Err(error), Err(want)) => {
                    assert!(error.contains(want) && !error.contains("\"type\""), "{error}")
                }
                (_, want) => panic!("{normalizer} {pre}: {got:?}, expected {want:?}"),
            }
        }
    }
}
