//! Python's numbers: arithmetic, and their texts both ways.

use crate::ast::Binary;
use crate::value::Value;
use crate::{Res, fail};

fn too_large<T>() -> Res<T> {
    fail("a number is too large")
}

/// Arithmetic of two numbers; `None` if one is not.
pub(crate) fn arithmetic(operation: Binary, a: &Value, b: &Value) -> Option<Res<Value>> {
    if let (Some(a), Some(b)) = (a.as_int(), b.as_int()) {
        return Some(integers(operation, a, b));
    }
    let (a, b) = (a.as_float()?, b.as_float()?);
    Some(floats(operation, a, b).map(Value::Float))
}

fn integers(operation: Binary, a: i128, b: i128) -> Res<Value> {
    let by_zero = b == 0
        && matches!(
            operation,
            Binary::Divide | Binary::FloorDivide | Binary::Remainder
        );
    if by_zero {
        return fail("division by zero");
    }
    let value = match operation {
        Binary::Add => a.checked_add(b),
        Binary::Subtract => a.checked_sub(b),
        Binary::Multiply => a.checked_mul(b),
        Binary::Divide => return Ok(Value::Float(a as f64 / b as f64)),
        Binary::FloorDivide => a
            .checked_div(b)
            .map(|quotient| quotient - i128::from(a % b != 0 && (a < 0) != (b < 0))),
        Binary::Remainder => a.checked_rem(b).map(|rest| {
            if rest != 0 && (rest < 0) != (b < 0) {
                rest + b
            } else {
                rest
            }
        }),
        Binary::Power if b < 0 => return floats(operation, a as f64, b as f64).map(Value::Float),
        Binary::Power => u32::try_from(b).ok().and_then(|b| a.checked_pow(b)).or(match a {
            0 | 1 => Some(a),
            -1 => Some(if b % 2 == 0 { 1 } else { -1 }),
            _ => None,
        }),
    };
    value.map_or_else(too_large, |value| Ok(Value::Int(value)))
}

fn floats(operation: Binary, a: f64, b: f64) -> Res<f64> {
    let divides = matches!(
        operation,
        Binary::Divide | Binary::FloorDivide | Binary::Remainder
    );
    if b == 0.0 && divides || operation == Binary::Power && a == 0.0 && b < 0.0 {
        return fail("float division by zero");
    }
    let remainder = || {
        let rest = a % b;
        if rest == 0.0 {
            0f64.copysign(b)
        } else if (rest < 0.0) != (b < 0.0) {
            rest + b
        } else {
            rest
        }
    };
    Ok(match operation {
        Binary::Add => a + b,
        Binary::Subtract => a - b,
        Binary::Multiply => a * b,
        Binary::Divide => a / b,
        Binary::FloorDivide => {
            let quotient = (a - remainder()) / b;
            let floor = quotient.floor();
            if quotient - floor > 0.5 {
                floor + 1.0
            } else {
                floor
            }
        }
        Binary::Remainder => remainder(),
        Binary::Power => {
            let power = a.powf(b);
            if power.is_nan() && !a.is_nan() && !b.is_nan()
                || power.is_infinite() && a.is_finite() && b.is_finite()
            {
                return too_large();
            }
            power
        }
    })
}

/// The shortest decimal digits of a finite number and the exponent of the first one.
fn digits(value: f64) -> (String, i32) {
    let text = format!("{:e}", value.abs());
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    (mantissa.replace('.', ""), exponent.parse().unwrap_or(0))
}

/// Python's `repr` of a float.
pub(crate) fn float(value: f64) -> String {
    if value.is_nan() {
        return "nan".into();
    }
    let sign = if value.is_sign_negative() { "-" } else { "" };
    if value.is_infinite() {
        return format!("{sign}inf");
    }
    let (digits, exponent) = digits(value);
    if (-4..16).contains(&exponent) {
        let text = format!("{value}");
        return if text.contains('.') { text } else { text + ".0" };
    }
    let (first, rest) = digits.split_at(1);
    let point = if rest.is_empty() { "" } else { "." };
    format!("{sign}{first}{point}{rest}e{}", exponent_text(exponent))
}

/// An exponent with its sign and at least two digits.
pub(crate) fn exponent_text(exponent: i32) -> String {
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{sign}{:02}", exponent.unsigned_abs())
}

/// Python's `int(text, base)`; `None` if the text is no such number.
pub(crate) fn parse_int(text: &str, base: u32) -> Option<i128> {
    let text = text.trim();
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let prefixes = [("0x", 16), ("0o", 8), ("0b", 2)];
    let lower = digits.to_ascii_lowercase();
    let mut digits = lower.as_str();
    let mut base = base;
    let mut prefixed = false;
    for (prefix, of) in prefixes {
        if let Some(rest) = digits.strip_prefix(prefix).filter(|_| base == of || base == 0) {
            (digits, base, prefixed) = (rest, of, true);
            break;
        }
    }
    if base == 0 {
        if digits.len() > 1 && digits.starts_with('0') && digits.bytes().any(|c| c != b'0' && c != b'_') {
            return None;
        }
        base = 10;
    }
    let digits = if prefixed {
        digits.strip_prefix('_').unwrap_or(digits)
    } else {
        digits
    };
    let plain = without_underscores(digits)?;
    if !(2..=36).contains(&base) || plain.starts_with(['+', '-']) {
        return None;
    }
    let value = i128::from_str_radix(&plain, base).ok()?;
    Some(if negative { -value } else { value })
}

/// Digits without single underscores between them.
fn without_underscores(text: &str) -> Option<String> {
    let wrong = text.starts_with('_') || text.ends_with('_') || text.contains("__");
    (!wrong).then(|| text.replace('_', ""))
}

/// Python's `float(text)`.
pub(crate) fn parse_float(text: &str) -> Option<f64> {
    let plain = without_underscores(text.trim())?;
    plain.parse().ok()
}

/// Python's `round(value, digits)`: to the nearest, ties to even.
pub(crate) fn round(value: &Value, digits: i128) -> Option<Value> {
    if let Some(int) = value.as_int() {
        if digits >= 0 {
            return Some(Value::Int(int));
        }
        let unit = 10i128.checked_pow(u32::try_from(-digits).ok()?);
        let Some(unit) = unit else {
            return Some(Value::Int(0));
        };
        let low = int.div_euclid(unit) * unit;
        let (rest, even) = (int - low, low / unit % 2 == 0);
        let up = rest * 2 > unit || rest * 2 == unit && !even;
        return Some(Value::Int(if up { low + unit } else { low }));
    }
    let float = value.as_float()?;
    if !float.is_finite() || digits > 330 {
        return Some(Value::Float(float));
    }
    if digits < -330 {
        return Some(Value::Float(0f64.copysign(float)));
    }
    let rounded = if digits >= 0 {
        format!("{float:.*}", digits as usize).parse().unwrap_or(float)
    } else {
        let unit = 10f64.powi(-digits as i32);
        (float / unit).round_ties_even() * unit
    };
    Some(Value::Float(rounded))
}
