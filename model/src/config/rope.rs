//! The settings of rotary position embedding: `rope_scaling` of transformers 4, `rope_parameters` of transformers 5.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use super::values;

/// The keys of `rope_scaling` and `rope_parameters` that transformers knows. Some belong to kinds of scaling that
/// siskin refuses; without such a kind, transformers does not read them.
pub(crate) const ROPE_KEYS: [&str; 18] = [
    "attention_factor",
    "beta_fast",
    "beta_slow",
    "factor",
    "finetuned",
    "high_freq_factor",
    "long_factor",
    "low_freq_factor",
    "mrope_section",
    "mscale",
    "mscale_all_dim",
    "original_max_position_embeddings",
    "partial_rotary_factor",
    "rope_theta",
    "rope_type",
    "short_factor",
    "truncate",
    "type",
];

/// `rope_scaling` of transformers 4, or `rope_parameters` of transformers 5.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RopeScaling {
    /// `default`, `linear`, `llama3`, …
    pub rope_type: Option<String>,
    /// Factor by which scaling extends the context.
    pub factor: Option<f64>,
    /// llama3: wavelengths above `original / low` are divided by the factor.
    pub low_freq_factor: Option<f64>,
    /// llama3: wavelengths below `original / high` are not changed.
    pub high_freq_factor: Option<f64>,
    /// Context before scaling, in tokens.
    pub original_max_position_embeddings: Option<f64>,
    /// RoPE base frequency (transformers 5).
    pub rope_theta: Option<f64>,
    /// Rotated part of each head, from 0 to 1 (transformers 5).
    pub partial_rotary_factor: Option<f64>,
}

impl RopeScaling {
    /// Reads the object under `name`. Keys that transformers does not know are added to `unknown`.
    pub(super) fn read(name: &str, raw: &str, unknown: &mut Vec<String>) -> Result<Option<Self>, String> {
        let wrong = || format!("{name} is {}; it must be an object", values::shown(raw));
        let object: Option<BTreeMap<String, Box<RawValue>>> =
            serde_json::from_str(raw).map_err(|_| wrong())?;
        let Some(object) = object.filter(|object| !object.is_empty()) else {
            return Ok(None);
        };
        if object.values().any(|value| value.get().starts_with('{')) {
            return Err(format!(
                "{name} is {}: different values for kinds of layers; siskin supports one for all",
                values::shown(raw)
            ));
        }
        unknown.extend(
            object
                .keys()
                .filter(|key| !ROPE_KEYS.contains(&key.as_str()))
                .map(|key| format!("{name}.{key}")),
        );
        let at = |key: &str| object.get(key).map_or("null", |value| value.get());
        let named = |key: &str, problem: String| format!("{name}.{key} {problem}");
        let float = |key: &str| values::float(at(key)).map_err(|problem| named(key, problem));
        let text = |key: &str| values::text(at(key)).map_err(|problem| named(key, problem));
        let rope_type = match (text("rope_type")?, text("type")?) {
            (Some(new), Some(old)) if new != old => {
                return Err(format!(
                    "{name} has rope_type {new:?} and type {old:?}: versions of transformers differ in which they use"
                ));
            }
            (new, old) => new.or(old),
        };
        let factor = float("factor")?;
        if rope_type.is_none() && factor.is_some_and(|factor| factor != 1.0) {
            return Err(format!(
                "{name} has a factor and no rope_type; versions of transformers differ in its meaning"
            ));
        }
        Ok(Some(RopeScaling {
            rope_type,
            factor,
            low_freq_factor: float("low_freq_factor")?,
            high_freq_factor: float("high_freq_factor")?,
            original_max_position_embeddings: float("original_max_position_embeddings")?,
            rope_theta: float("rope_theta")?,
            partial_rotary_factor: float("partial_rotary_factor")?,
        }))
    }

    /// Joins `rope_scaling` and `rope_parameters`. What both state must be equal: transformers 4 reads the first
    /// only, transformers 5 either.
    pub(super) fn join(scaling: Option<Self>, parameters: Option<Self>) -> Result<Option<Self>, String> {
        let (Some(a), Some(b)) = (&scaling, &parameters) else {
            return Ok(scaling.or(parameters));
        };
        fn either<T: PartialEq + Clone>(
            a: &Option<T>,
            b: &Option<T>,
            key: &str,
        ) -> Result<Option<T>, String> {
            match (a, b) {
                (Some(a), Some(b)) if a != b => Err(format!(
                    "rope_scaling and rope_parameters differ in {key}: versions of transformers differ in which they use"
                )),
                _ => Ok(a.clone().or(b.clone())),
            }
        }
        let float = |get: fn(&Self) -> Option<f64>, key| either(&get(a), &get(b), key);
        Ok(Some(RopeScaling {
            rope_type: either(&a.rope_type, &b.rope_type, "rope_type")?,
            factor: float(|s| s.factor, "factor")?,
            low_freq_factor: float(|s| s.low_freq_factor, "low_freq_factor")?,
            high_freq_factor: float(|s| s.high_freq_factor, "high_freq_factor")?,
            original_max_position_embeddings: float(
                |s| s.original_max_position_embeddings,
                "original_max_position_embeddings",
            )?,
            rope_theta: float(|s| s.rope_theta, "rope_theta")?,
            partial_rotary_factor: float(|s| s.partial_rotary_factor, "partial_rotary_factor")?,
        }))
    }
}
