//! What becomes of every setting of `config.json`: no setting that changes the computation is silently unread.
//!
//! A table for each architecture has the settings of its class in transformers, [`common`] those of the base class,
//! and [`foreign`] those of other architectures that are found in configurations of these. A key in none of the
//! tables is unknown; [`notices`] names it.

mod common;
mod foreign;
mod gptneox;
mod llama;
mod stablelm;

use serde_json::Value;

use super::{Arch, ArchError};
use crate::config::{Config, one, shown};

/// Key of `config.json`, what it means, what becomes of it.
type Row = (&'static str, &'static str, Use);

/// Keys with spaces between them, what each means, what becomes of it.
type Group = (&'static str, &'static str, Use);

/// What becomes of a setting.
#[derive(Clone, Copy)]
enum Use {
    /// It enters the converted model.
    Honoured,
    /// It changes nothing in what the model computes: training, text generation, file formats.
    Harmless,
    /// Refused unless it has one of these values, or is null.
    Only(&'static [Neutral]),
    /// Refused if the function says why.
    Unless(fn(&Config) -> Option<String>),
    /// The weights are stored in a format of another library.
    Quantized,
    /// It names Python code that may compute something else.
    Code,
}

/// A value with which a setting changes nothing.
#[derive(Clone, Copy)]
enum Neutral {
    Number(f64),
    Bool(bool),
    Text(&'static str),
    /// An empty text, list or object.
    Empty,
}

impl Neutral {
    /// True if the value is this one; of a list, if every entry is.
    fn is(&self, value: &Value) -> bool {
        match (self, value) {
            (Neutral::Number(want), Value::Number(_)) => value.as_f64() == Some(*want),
            (Neutral::Bool(want), Value::Bool(found)) => found == want,
            (Neutral::Text(want), Value::String(found)) => found == want,
            (Neutral::Empty, Value::String(text)) => text.is_empty(),
            (Neutral::Empty, Value::Array(list)) => list.is_empty(),
            (Neutral::Empty, Value::Object(object)) => object.is_empty(),
            (_, Value::Array(list)) => !list.is_empty() && list.iter().all(|entry| self.is(entry)),
            _ => false,
        }
    }
}

impl std::fmt::Display for Neutral {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Neutral::Number(number) => write!(f, "{number}"),
            Neutral::Bool(flag) => write!(f, "{flag}"),
            Neutral::Text(text) => write!(f, "{text:?}"),
            Neutral::Empty => f.write_str("nothing"),
        }
    }
}

const OFF: Use = Use::Only(&[Neutral::Bool(false), Neutral::Number(0.0)]);
const ONE: Use = Use::Only(&[Neutral::Number(1.0)]);
const NOTHING: Use = Use::Only(&[Neutral::Empty]);
const ABSENT: Use = Use::Only(&[]);

/// The tables of an architecture, the first one first.
fn tables(arch: Arch) -> [&'static [Row]; 2] {
    let own = match arch {
        Arch::Llama => llama::ROWS,
        Arch::StableLm => stablelm::ROWS,
        Arch::GptNeoX => gptneox::ROWS,
    };
    [own, common::ROWS]
}

/// What a setting means, and what becomes of it; `None` if it is unknown.
fn find(arch: Arch, key: &str) -> Option<(&'static str, Use)> {
    let of_transformers = tables(arch).into_iter().find_map(|rows| {
        let at = rows.binary_search_by_key(&key, |row| row.0).ok()?;
        Some((rows[at].1, rows[at].2))
    });
    let foreign = || {
        let group = foreign::GROUPS
            .iter()
            .find(|group| group.0.split_whitespace().any(|name| name == key))?;
        Some((group.1, group.2))
    };
    of_transformers.or_else(foreign)
}

/// Refuses a configuration with a setting that the converted model would not have.
pub(super) fn check(arch: Arch, config: &Config) -> Result<(), ArchError> {
    // A quantized checkpoint has odd values elsewhere as well; this is the one to report.
    let mut found: Vec<_> = config
        .settings
        .iter()
        .filter_map(|(key, raw)| Some((key, raw, find(arch, key)?)))
        .collect();
    found.sort_by_key(|(.., (_, usage))| !matches!(usage, Use::Quantized));
    found
        .into_iter()
        .try_for_each(|(key, raw, (meaning, usage))| check_setting(key, raw, meaning, usage, config))
}

fn check_setting(key: &str, raw: &str, meaning: &str, usage: Use, config: &Config) -> Result<(), ArchError> {
    let refused = |supported: &[Neutral]| {
        let supported: Vec<String> = supported.iter().map(Neutral::to_string).collect();
        ArchError::Setting {
            key: key.into(),
            value: shown(raw),
            meaning: meaning.into(),
            supported: if supported.is_empty() {
                "nothing else than null".into()
            } else {
                supported.join(", ")
            },
        }
    };
    match usage {
        Use::Honoured | Use::Harmless | Use::Code => Ok(()),
        Use::Only(neutral) => {
            let value = value(raw).ok_or_else(|| refused(neutral))?;
            match value.is_null() || neutral.iter().any(|neutral| neutral.is(&value)) {
                true => Ok(()),
                false => Err(refused(neutral)),
            }
        }
        Use::Unless(why) => match why(config) {
            Some(why) => Err(ArchError::Config(why)),
            None => Ok(()),
        },
        Use::Quantized => match value(raw) {
            Some(Value::Null) => Ok(()),
            value => Err(ArchError::Quantized {
                key: key.into(),
                method: method(value.as_ref()),
            }),
        },
    }
}

/// The parsed value; `None` if it is far larger than any neutral one.
fn value(raw: &str) -> Option<Value> {
    const MAX: usize = 16 << 10;
    (raw.len() <= MAX).then(|| serde_json::from_str(raw).ok())?
}

/// The name of the library that quantized the weights.
fn method(value: Option<&Value>) -> String {
    let at = |key: &str| value?.get(key);
    let text = |key: &str| at(key)?.as_str().map(shown);
    let bits = || {
        at("bits")
            .and_then(Value::as_u64)
            .map(|bits| format!("{bits} bits"))
    };
    let flag = |key: &str| at(key).and_then(Value::as_bool).unwrap_or(false);
    let bitsandbytes = flag("load_in_4bit") || flag("load_in_8bit");
    let old = || bitsandbytes.then(|| "bitsandbytes".into());
    text("quant_method")
        .or_else(old)
        .or_else(bits)
        .unwrap_or_else(|| "an unnamed method".into())
}

/// Lines for the user about settings that may matter and that siskin cannot judge.
pub(super) fn notices(arch: Arch, config: &Config) -> Vec<String> {
    const MOST: usize = 8;
    let unknown = |key: &&String| find(arch, key).is_none() && !key.starts_with('_');
    let mut names: Vec<String> = config
        .settings
        .keys()
        .filter(unknown)
        .map(|key| shown(key))
        .collect();
    names.extend(config.unknown.iter().map(|key| shown(key)));
    let mut lines = Vec::new();
    if !names.is_empty() {
        let more = names.len().saturating_sub(MOST);
        names.truncate(MOST);
        let more = if more > 0 {
            format!(" and {more} more")
        } else {
            String::new()
        };
        lines.push(format!(
            "config.json has settings that siskin does not know: {}{more}; if one of them changes what the model computes, the converted model computes something else",
            names.join(", ")
        ));
    }
    for (key, raw) in &config.settings {
        let is_code = find(arch, key).is_some_and(|(_, usage)| matches!(usage, Use::Code));
        if is_code && raw.contains("AutoModel") {
            lines.push(format!(
                "{key} of config.json names the model's own Python code; siskin computes as transformers' {} does",
                arch.class()
            ));
        }
    }
    lines
}

/// Whether RoPE's scaling is of a kind that llama.cpp computes for this architecture.
fn rope_scaling(config: &Config, supported: &[&str]) -> Option<String> {
    let scaling = config.rope_scaling()?;
    let kind = scaling.rope_type.as_deref().unwrap_or_default();
    if !supported.contains(&kind) {
        return Some(format!(
            "rope scaling {kind:?} is not supported; supported: {}",
            supported.join(", ")
        ));
    }
    match scaling.factor {
        Some(factor) if factor > 0.0 => None,
        Some(factor) => Some(format!(
            "rope scaling {kind:?} has factor {factor}; it must be positive"
        )),
        None => Some(format!("rope scaling {kind:?} has no factor")),
    }
}

/// Attention that sees only the last tokens: llama.cpp computes it for none of these architectures. A window as long
/// as the context hides nothing.
fn window(config: &Config) -> Option<String> {
    let raw = config.settings.get("sliding_window")?;
    let window = match one(raw) {
        Ok(None) | Ok(Some(Value::Bool(false))) => return None,
        Ok(Some(value)) => value.as_f64(),
        Err(_) => None,
    };
    let context = config.max_position_embeddings.unwrap_or(u64::MAX);
    let whole = |window: f64| window <= 0.0 || window >= context as f64;
    (!window.is_some_and(whole)).then(|| {
        format!(
            "sliding_window is {}: attention to the last tokens only, which siskin does not support; the context has {context}",
            shown(raw)
        )
    })
}

/// Heads have `hidden_size / num_attention_heads` weights in these classes, whatever `head_dim` is.
fn head_dim(config: &Config) -> Option<String> {
    let head_dim = config.head_dim?;
    let whole = head_dim.checked_mul(config.num_attention_heads) == Some(config.hidden_size);
    (!whole).then(|| {
        format!("head_dim is {head_dim}; in this architecture, the heads together have hidden_size weights")
    })
}

#[cfg(test)]
mod tests;
