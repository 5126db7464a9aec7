//! Single values of `config.json`, as leniently as Python's classes take them. `null` is no value.

use serde_json::Value;

/// Longest value that is read, in bytes: a list with a number for each layer takes some hundred.
const MAX_VALUE: usize = 64 << 10;
/// Most characters of a value that a message shows.
const MAX_SHOWN: usize = 60;

/// What is wrong with a value, to be read after the setting's name.
type Parsed<T> = Result<Option<T>, String>;

/// The value as JSON, for a message: on one line, and cut.
pub(crate) fn shown(raw: &str) -> String {
    let line = raw.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(MAX_SHOWN) {
        Some((at, _)) => format!("{}…", &line[..at]),
        None => line,
    }
}

/// The parsed value; of a list whose entries are all equal, as files with one number a layer have it, the entry.
pub(crate) fn one(raw: &str) -> Parsed<Value> {
    if raw.len() > MAX_VALUE {
        return Err(format!("takes {} bytes, more than any setting", raw.len()));
    }
    match serde_json::from_str(raw) {
        Ok(Value::Null) => Ok(None),
        Ok(Value::Array(list)) => match list.split_first() {
            Some((first, rest)) if rest.iter().all(|other| same(first, other)) => Ok(Some(first.clone())),
            Some(_) => Err(format!(
                "is {}: different values for the layers; siskin supports one for all",
                shown(raw)
            )),
            None => Err("is an empty list".into()),
        },
        Ok(value) => Ok(Some(value)),
        Err(error) => Err(format!("cannot be read: {error}")),
    }
}

fn same(a: &Value, b: &Value) -> bool {
    match (a.as_f64(), b.as_f64()) {
        (Some(a), Some(b)) => a == b,
        _ => a == b,
    }
}

/// A number: `10000.0`, `"10000"`, `[1e4, 1e4]`. Numbers that are not finite are refused.
pub(super) fn float(raw: &str) -> Parsed<f64> {
    let number = match one(raw)? {
        None => return Ok(None),
        Some(Value::Number(number)) => number.as_f64(),
        Some(Value::String(text)) => text.trim().replace('_', "").parse().ok(),
        Some(_) => None,
    };
    match number {
        Some(number) if number.is_finite() => Ok(Some(number)),
        _ => Err(format!("is {}; it must be a finite number", shown(raw))),
    }
}

/// A number without a fraction that is not negative: `256`, `256.0`, `"256"`.
pub(super) fn whole(raw: &str) -> Parsed<u64> {
    // Numbers above 2^53 must not lose their digits in a float: the message shows them.
    if let Ok(number) = raw.trim().parse() {
        return Ok(Some(number));
    }
    match float(raw) {
        Ok(None) => Ok(None),
        Ok(Some(number)) if number.fract() == 0.0 && (0.0..u64::MAX as f64).contains(&number) => {
            Ok(Some(number as u64))
        }
        Err(problem) if !problem.ends_with("number") => Err(problem),
        _ => Err(format!(
            "is {}; it must be a whole number that is not negative",
            shown(raw)
        )),
    }
}

/// `true` or `false`; Python takes 1 and 0 as well.
pub(super) fn flag(raw: &str) -> Parsed<bool> {
    match one(raw)? {
        None => Ok(None),
        Some(Value::Bool(flag)) => Ok(Some(flag)),
        Some(Value::Number(number)) if number.as_f64() == Some(1.0) => Ok(Some(true)),
        Some(Value::Number(number)) if number.as_f64() == Some(0.0) => Ok(Some(false)),
        Some(_) => Err(format!("is {}; it must be true or false", shown(raw))),
    }
}

/// A text.
pub(super) fn text(raw: &str) -> Parsed<String> {
    match one(raw)? {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(format!("is {}; it must be a text", shown(raw))),
    }
}

/// A list of texts; a single text counts as a list of one.
pub(super) fn texts(raw: &str) -> Parsed<Vec<String>> {
    if raw.len() > MAX_VALUE {
        return Err(format!("takes {} bytes, more than any setting", raw.len()));
    }
    match serde_json::from_str(raw) {
        Ok(Value::Null) => Ok(None),
        Ok(Value::String(text)) => Ok(Some(vec![text])),
        value => match value.and_then(serde_json::from_value) {
            Ok(list) => Ok(Some(list)),
            Err(_) => Err(format!("is {}; it must be a list of texts", shown(raw))),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_every_spelling() {
        let cases: [(&str, Result<Option<u64>, &str>); 16] = [
            ("null", Ok(None)),
            ("256", Ok(Some(256))),
            ("256.0", Ok(Some(256))),
            ("2.56e2", Ok(Some(256))),
            ("\"256\"", Ok(Some(256))),
            ("\" 256.0 \"", Ok(Some(256))),
            ("[256, 256.0]", Ok(Some(256))),
            ("18446744073709551615", Ok(Some(u64::MAX))),
            ("[]", Err("is an empty list")),
            (
                "[256, 128]",
                Err("is [256, 128]: different values for the layers"),
            ),
            ("256.5", Err("is 256.5; it must be a whole number")),
            ("-1", Err("is -1; it must be a whole number")),
            ("\"NaN\"", Err("is \"NaN\"; it must be a whole number")),
            ("\"many\"", Err("is \"many\"; it must be a whole number")),
            ("true", Err("is true; it must be a whole number")),
            ("{\"a\":\n 1}", Err("is {\"a\": 1}; it must be a whole number")),
        ];
        for (raw, want) in cases {
            match (whole(raw), want) {
                (Ok(got), Ok(want)) => assert_eq!(got, want, "{raw}"),
                (Err(got), Err(want)) => assert!(got.starts_with(want), "{raw}: {got}"),
                (got, _) => panic!("{raw}: {got:?}"),
            }
        }
        assert_eq!(float("\"1e-5\""), Ok(Some(1e-5)));
        assert!(float("\"Infinity\"").is_err_and(|problem| problem.contains("finite")));
        assert_eq!(
            (flag("1"), flag("false"), flag("null")),
            (Ok(Some(true)), Ok(Some(false)), Ok(None))
        );
        assert!(flag("\"yes\"").is_err());
        assert_eq!(texts("\"A\""), Ok(Some(vec!["A".into()])));
        assert!(texts("[1]").is_err());
        assert!(shown(&"x".repeat(100)).chars().count() == MAX_SHOWN + 1);
    }
}
