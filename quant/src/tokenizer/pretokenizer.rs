//! Finds the llama.cpp pre-tokenizer that splits text as `tokenizer.json` describes.
//!
//! llama.cpp's converter recognises a pre-tokenizer by a hash of the tokens of one text, which also depends
//! on the vocabulary. Here only the description decides: the normalizer and the chain of pre-tokenizers.

use serde_json::Value;

use super::ContentError;
use super::hf::Tokenizer;

/// One step of a chain, reduced to what changes how a text is split.
#[derive(Debug, PartialEq, Eq)]
enum Step<'a> {
    /// A split at the matches of a regular expression.
    Split(&'a str),
    /// Maps bytes to characters; if `regex` is true, splits by GPT-2's own expression first.
    ByteLevel { regex: bool },
}

const LLAMA3: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const STABLELM2: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

const BYTES: Step<'static> = Step::ByteLevel { regex: false };

/// llama.cpp's name, whether text is first normalised to NFC, the chain.
type Row = (&'static str, bool, &'static [Step<'static>]);

/// The known pre-tokenizers, sorted by name.
const TABLE: [Row; 4] = [
    ("gpt-2", false, &[Step::ByteLevel { regex: true }]),
    ("llama-bpe", false, &[Step::Split(LLAMA3), BYTES]),
    ("olmo", true, &[Step::ByteLevel { regex: true }]), // llama.cpp names GPT-NeoX's tokenizer after OLMo
    ("stablelm2", true, &[Step::Split(STABLELM2), BYTES]),
];

/// Returns the value of `tokenizer.ggml.pre`, or a sentence that names the unknown part.
pub(super) fn recognise(tokenizer: &Tokenizer) -> Result<&'static str, ContentError> {
    let unknown = |what: &str, json: &Option<Value>| {
        let text = json.as_ref().map_or("null".into(), Value::to_string);
        let short: String = text.chars().take(200).collect();
        let known = TABLE.map(|row| row.0).join(", ");
        ContentError::Unsupported(format!(
            "{what} {short} is not supported; supported: those of {known}"
        ))
    };
    let nfc = match tokenizer.normalizer.as_ref() {
        None | Some(Value::Null) => false,
        Some(json) if json["type"] == "NFC" => true,
        Some(_) => return Err(unknown("normalizer", &tokenizer.normalizer)),
    };
    let mut chain = Vec::new();
    let whole = tokenizer
        .pre_tokenizer
        .as_ref()
        .is_some_and(|json| steps(json, &mut chain).is_some());
    let row = TABLE
        .iter()
        .find(|row| whole && row.1 == nfc && row.2 == chain.as_slice());
    row.map(|row| row.0)
        .ok_or_else(|| unknown("pre-tokenizer", &tokenizer.pre_tokenizer))
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

    fn recognised(normalizer: Value, pre_tokenizer: Value) -> Result<&'static str, ContentError> {
        let json = json!({
            "normalizer": normalizer, "pre_tokenizer": pre_tokenizer,
            "model": {"type": "BPE", "vocab": {}, "merges": []}
        });
        recognise(&serde_json::from_value(json).expect("a tokenizer"))
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
        let cases = [
            (Value::Null, bytes(true), Some("gpt-2")),
            (nfc.clone(), bytes(true), Some("olmo")),
            (
                Value::Null,
                both(split(LLAMA3, "Isolated", false)),
                Some("llama-bpe"),
            ),
            (
                nfc.clone(),
                both(split(STABLELM2, "Removed", true)),
                Some("stablelm2"),
            ),
            (Value::Null, both(split(r"\p{N}", "Isolated", false)), None),
            (Value::Null, both(split(LLAMA3, "Removed", false)), None),
            (Value::Null, bytes(false), None),
            (Value::Null, json!({"type": "Metaspace"}), None),
            (Value::Null, Value::Null, None),
            (json!({"type": "Lowercase"}), bytes(true), None),
        ];
        for (normalizer, pre, want) in cases {
            let got = recognised(normalizer.clone(), pre.clone());
            assert_eq!(got.as_ref().ok().copied(), want, "{normalizer} {pre} {got:?}");
            if want.is_none() {
                assert!(matches!(got, Err(ContentError::Unsupported(_))));
            }
        }
    }
}
