//! Python's formatting: `"%s" % value` here, `"{}".format(value)` in `braces`, what both share in `field`.

mod braces;
mod field;

use std::rc::Rc;

pub(crate) use braces::braces;

use crate::run::Rendering;
use crate::text::Text;
use crate::value::{Value, find};
use crate::{Fault, Res, fail};
use field::{Field, float_text};

/// `pattern % value`.
pub(crate) fn percent(run: &Rendering<'_>, pattern: &Rc<Text>, value: &Value) -> Res<Value> {
    let chars: Vec<(char, bool)> = pattern.chars().collect();
    run.meter.spend(chars.len() / 16 + 1)?;
    let mut values = match value {
        Value::Tuple(list) => list.items.iter(),
        single => std::slice::from_ref(single).iter(),
    };
    let mut out = Text::default();
    let mut at = 0;
    let mut named = false;
    while let Some(&(c, said)) = chars.get(at) {
        at += 1;
        if c != '%' {
            out.push_char(c, said);
            continue;
        }
        let mut key = None;
        if chars.get(at).is_some_and(|(c, _)| *c == '(') {
            let Some(end) = chars[at..].iter().position(|(c, _)| *c == ')') else {
                return fail("incomplete format key");
            };
            let name: String = chars[at + 1..at + end].iter().map(|(c, _)| c).collect();
            let Value::Map(map) = value else {
                return fail("format requires a mapping");
            };
            let Some(found) = find(&map.entries, &Value::own(name.as_str()), &run.meter)? else {
                return fail(format!("'{name}'"));
            };
            key = Some(map.entries[found].1.clone());
            named = true;
            at += end + 1;
        }
        let mut field = Field::default();
        while let Some((c @ ('-' | '+' | ' ' | '#' | '0'), _)) = chars.get(at) {
            match c {
                '-' => field.align = Some('<'),
                '0' => field.zero = true,
                '#' => field.alternate = true,
                sign => field.sign = if field.sign == '+' { '+' } else { *sign },
            }
            at += 1;
        }
        let mut number = |at: &mut usize| -> Res<Option<i128>> {
            if chars.get(*at).is_some_and(|(c, _)| *c == '*') {
                *at += 1;
                return match values.next().and_then(Value::as_int) {
                    Some(width) => Ok(Some(width)),
                    None => fail("* wants int"),
                };
            }
            let mut width = None;
            while let Some(digit) = chars.get(*at).and_then(|(c, _)| c.to_digit(10)) {
                width = Some(
                    width
                        .unwrap_or(0i128)
                        .saturating_mul(10)
                        .saturating_add(i128::from(digit)),
                );
                *at += 1;
            }
            Ok(width)
        };
        if let Some(width) = number(&mut at)? {
            if width < 0 {
                field.align = Some('<');
            }
            field.width = usize::try_from(width.unsigned_abs()).map_err(|_| Fault::TooMuch)?;
        }
        if chars.get(at).is_some_and(|(c, _)| *c == '.') {
            at += 1;
            let precision = number(&mut at)?.unwrap_or(0).max(0);
            field.precision = Some(usize::try_from(precision).map_err(|_| Fault::TooMuch)?);
        }
        while chars.get(at).is_some_and(|(c, _)| matches!(c, 'h' | 'l' | 'L')) {
            at += 1;
        }
        let Some(&(kind, said)) = chars.get(at) else {
            return fail("incomplete format");
        };
        at += 1;
        if kind == '%' {
            out.push_char('%', said);
            continue;
        }
        let value = match key {
            Some(value) => value,
            None => match values.next() {
                Some(value) => value.clone(),
                None => return fail("not enough arguments for format string"),
            },
        };
        one(run, &value, kind, &field, &mut out)?;
    }
    if values.next().is_some() && !named && !matches!(value, Value::Map(_)) {
        return fail("not all arguments converted during string formatting");
    }
    Ok(Value::text(out))
}

/// One value in the style of `%`.
fn one(run: &Rendering<'_>, value: &Value, kind: char, field: &Field, out: &mut Text) -> Res<()> {
    match kind {
        's' | 'r' | 'a' => {
            let mut text = if kind == 's' {
                run.str(value)?
            } else {
                run.repr(value)?
            };
            if let Some(precision) = field.precision {
                let end = text
                    .as_str()
                    .char_indices()
                    .nth(precision)
                    .map_or(text.len(), |(at, _)| at);
                text = text.slice(0..end);
            }
            field.write(run, &text, field.align.unwrap_or('>'), out)
        }
        'c' => {
            let char = match (value.as_int(), value.as_text()) {
                (Some(code), _) => u32::try_from(code).ok().and_then(char::from_u32),
                (_, Some(text)) if text.as_str().chars().count() == 1 => text.as_str().chars().next(),
                _ => return fail("%c requires int or char"),
            };
            let Some(char) = char else {
                return fail("%c arg not in range");
            };
            // Which character it is may follow from what was said.
            field.write(run, &Text::said(char), field.align.unwrap_or('>'), out)
        }
        'd' | 'i' | 'u' | 'x' | 'X' | 'o' => {
            let int = match value {
                Value::Float(float) if matches!(kind, 'd' | 'i' | 'u') && float.is_finite() => {
                    Some(*float as i128)
                }
                value => value.as_int(),
            };
            let Some(int) = int else {
                return fail(format!(
                    "%{kind} format: a number is required, not {}",
                    value.type_name()
                ));
            };
            let digits = field::integer_text(int.unsigned_abs(), kind);
            let missing = field.precision.unwrap_or(0).saturating_sub(digits.len());
            run.meter.spend(missing / 8)?;
            let digits = "0".repeat(missing) + &digits;
            let prefix = match kind {
                'x' | 'X' | 'o' if field.alternate => format!("0{kind}"),
                _ => String::new(),
            };
            field.number(run, int < 0, &prefix, &digits, out)
        }
        'e' | 'E' | 'f' | 'F' | 'g' | 'G' => {
            let Some(float) = value.as_float() else {
                return fail(format!("must be real number, not {}", value.type_name()));
            };
            let text = float_text(
                run,
                float.abs(),
                kind,
                field.precision.unwrap_or(6),
                field.alternate,
            )?;
            field.number(run, float.is_sign_negative() && !float.is_nan(), "", &text, out)
        }
        kind => fail(format!(
            "unsupported format character '{}'",
            kind.escape_default()
        )),
    }
}
