//! What is odd about a model's metadata: characters that a reader does not see, keys that no converter writes, texts that
//! look like code, a chat template that is not the one of the model it is made from. Nothing here is proof of harm; each
//! finding says what to look at.

mod characters;

use siskin_model::gguf::{Header, Value};

use crate::hash::Hash;
use characters::Odd;

/// How much a finding weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Usual, or harmless if it is meant.
    Note,
    /// Unusual: look at it before the model is used.
    Warning,
}

impl Severity {
    /// `note` or `warning`.
    pub fn name(self) -> &'static str {
        match self {
            Severity::Note => "note",
            Severity::Warning => "warning",
        }
    }
}

/// Something to look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// How much it weighs.
    pub severity: Severity,
    /// The key, or the name of the tensor, that it is about.
    pub place: String,
    /// What was found and what to do, in one line.
    pub what: String,
}

/// The key of the chat template; others are in keys that continue it with a dot and a name.
pub const TEMPLATE: &str = "tokenizer.chat_template";

/// SHA-256 of a chat template, and the repositories on the hub that have it.
type Known = (&'static str, &'static str);

/// The chat templates of known base models, by hash: each was computed from the repository's own file.
const TEMPLATES: [Known; 2] = [
    (
        "5816fce10444e03c2e9ee1ef8a4a1ea61ae7e69e438613f3b17b69d0426223a4",
        "meta-llama/Llama-3.2-1B-Instruct",
    ),
    (
        "66291cf0045c2425a3a667cf3cbb7af2b11f09e025c02f97245323ab79119362",
        "TinyLlama/TinyLlama-1.1B-Chat-v1.0, stabilityai/stablelm-2-zephyr-1_6b",
    ),
];

/// Starts of keys that converters write; the architecture's own is added.
const PREFIXES: [&str; 7] = [
    "general.",
    "tokenizer.",
    "split.",
    "quantize.",
    "adapter.",
    "imatrix.",
    "training.",
];

/// Texts that belong to programs and not to a model's description or its template.
const CODE: [&str; 12] = [
    "__import__",
    "__class__",
    "__globals__",
    "__builtins__",
    "__subclasses__",
    "os.system",
    "subprocess",
    "eval(",
    "exec(",
    "<script",
    "powershell",
    "| sh",
];

/// Longest usual key, template, and other text, in bytes, and the most usual keys.
const LONG_KEY: usize = 128;
const LONG_TEMPLATE: usize = 64 << 10;
const LONG_TEXT: usize = 16 << 10;
const MANY_KEYS: usize = 512;
/// The most findings of each kind: a hostile file has any number.
const MOST: usize = 32;

/// The chat templates of a model: key and text.
pub fn templates(header: &Header) -> impl Iterator<Item = (&str, &str)> {
    header.metadata.iter().filter_map(|(key, value)| match value {
        Value::String(text) if is_template(key) => Some((key, text.as_str())),
        _ => None,
    })
}

fn is_template(key: &str) -> bool {
    let rest = key.strip_prefix(TEMPLATE);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// The repositories that have this chat template, if they are known.
pub fn repositories(template: &str) -> Option<&'static str> {
    let hash = Hash::of(template.as_bytes()).to_string();
    TEMPLATES.iter().find(|row| row.0 == hash).map(|row| row.1)
}

/// What is odd about a model's metadata and the names of its tensors: warnings first, each in the file's order.
pub fn audit(header: &Header) -> Vec<Finding> {
    let mut findings = Vec::new();
    let arch = header.metadata.text("general.architecture").unwrap_or_default();
    let own = format!("{arch}.");
    for (key, value) in header.metadata.iter() {
        of_key(key, &own, &mut findings);
        if let Value::String(text) = value {
            of_text(key, text, &mut findings);
        }
    }
    let named = header.tensors.iter().filter_map(|tensor| {
        let odd = Odd::in_text(&tensor.name).into_iter().next()?;
        Some(warning(&tensor.name, odd.to_string()))
    });
    findings.extend(named.take(MOST));
    let keys = header.metadata.len();
    if keys > MANY_KEYS {
        findings.push(note(
            "metadata",
            format!("{keys} keys; converters write fewer than a hundred"),
        ));
    }
    // The sort keeps the order of equals.
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    findings
}

fn warning(place: &str, what: String) -> Finding {
    Finding {
        severity: Severity::Warning,
        place: place.to_owned(),
        what,
    }
}

fn note(place: &str, what: String) -> Finding {
    Finding {
        severity: Severity::Note,
        ..warning(place, what)
    }
}

fn of_key(key: &str, own: &str, findings: &mut Vec<Finding>) {
    if findings.len() >= 8 * MOST {
        return;
    }
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if !key.chars().all(is_plain) {
        let what = "a key with other characters than converters use; do not pass it to other programs";
        findings.push(warning(key, what.into()));
    } else if !PREFIXES.iter().any(|prefix| key.starts_with(prefix)) && !key.starts_with(own) {
        findings.push(note(
            key,
            "a key that converters do not write; ask who made the file what it is for".into(),
        ));
    }
    if key.len() > LONG_KEY {
        findings.push(note(key, format!("a key of {} bytes", key.len())));
    }
}

fn of_text(key: &str, text: &str, findings: &mut Vec<Finding>) {
    if findings.len() >= 8 * MOST {
        return;
    }
    for odd in Odd::in_text(text) {
        findings.push(warning(key, odd.to_string()));
    }
    let lower = text.to_ascii_lowercase();
    for code in CODE.iter().filter(|code| lower.contains(*code)) {
        findings.push(warning(
            key,
            format!("has {code:?}, as programs have; read it before use"),
        ));
    }
    let is_template = is_template(key);
    if ["http://", "https://"]
        .iter()
        .any(|scheme| lower.contains(scheme))
        && !is_address(key)
    {
        let finding = match is_template {
            true => warning(
                key,
                "has an address of the web, which the model is told to use or show; read it".into(),
            ),
            false => note(key, "has an address of the web".into()),
        };
        findings.push(finding);
    }
    let usual = if is_template { LONG_TEMPLATE } else { LONG_TEXT };
    if text.len() > usual {
        let what = format!("{} bytes of text; usual are fewer than {usual}", text.len());
        findings.push(warning(key, what));
    }
    if is_template {
        let hash = Hash::of(text.as_bytes());
        findings.push(match repositories(text) {
            Some(repositories) => note(key, format!("is the chat template of {repositories}")),
            None => note(
                key,
                format!("is no known chat template (sha256 {hash}); compare it with that of the model it is made from"),
            ),
        });
    }
}

/// Keys that are for addresses.
fn is_address(key: &str) -> bool {
    let last = key.rsplit('.').next().unwrap_or_default();
    key.starts_with("general.")
        && (matches!(last, "url" | "repo_url" | "doi" | "link") || last.ends_with("_url"))
}

#[cfg(test)]
mod tests;
