//! `"{}".format(value)`.

use super::field::{Field, float_text, integer_text};
use crate::arguments::Called;
use crate::run::Rendering;
use crate::text::Text;
use crate::value::Value;
use crate::{Fault, Res, fail, number};

type Chars = [(char, bool)];

/// How fields were numbered so far: by their order, or by themselves.
#[derive(Debug, Default)]
struct Numbering {
    next: usize,
    automatic: bool,
    manual: bool,
}

/// Fills the fields of a pattern.
pub(crate) fn braces(run: &Rendering<'_>, pattern: &Text, called: &Called) -> Res<Text> {
    let chars: Vec<(char, bool)> = pattern.chars().collect();
    run.meter.spend(chars.len() / 16 + 1)?;
    let mut out = Text::default();
    fill(run, &chars, called, &mut Numbering::default(), 2, &mut out)?;
    Ok(out)
}

/// `next` counts fields without a name; `depth` is how deep fields may nest.
fn fill(
    run: &Rendering<'_>,
    chars: &Chars,
    called: &Called,
    next: &mut Numbering,
    depth: usize,
    out: &mut Text,
) -> Res<()> {
    let Some(depth) = depth.checked_sub(1) else {
        return fail("Max string recursion exceeded");
    };
    let mut at = 0;
    while let Some(&(c, said)) = chars.get(at) {
        at += 1;
        let doubled = chars.get(at).is_some_and(|(after, _)| *after == c);
        match c {
            '{' | '}' if doubled => {
                out.push_char(c, said);
                at += 1;
            }
            '}' => return fail("Single '}' encountered in format string"),
            '{' => {
                let mut open = 1;
                let end = chars[at..].iter().position(|(c, _)| {
                    open += match c {
                        '{' => 1,
                        '}' => -1,
                        _ => 0,
                    };
                    open == 0
                });
                let Some(end) = end else {
                    return fail("expected '}' before end of string");
                };
                run.meter.spend(end + 4)?;
                field(run, &chars[at..at + end], called, next, depth, out)?;
                at += end + 1;
            }
            c => out.push_char(c, said),
        }
    }
    Ok(())
}

/// One field: `name!conversion:specification`.
fn field(
    run: &Rendering<'_>,
    chars: &Chars,
    called: &Called,
    next: &mut Numbering,
    depth: usize,
    out: &mut Text,
) -> Res<()> {
    let mut brackets = 0;
    let name_end = chars.iter().position(|(c, _)| {
        brackets += match c {
            '[' => 1,
            ']' => -1,
            _ => 0,
        };
        matches!(c, '!' | ':') && brackets <= 0
    });
    let name_end = name_end.unwrap_or(chars.len());
    let name: String = chars[..name_end].iter().map(|(c, _)| c).collect();
    let mut rest = &chars[name_end..];
    let mut value = lookup(run, &name, called, next)?;
    if let [('!', _), (conversion, _), after @ ..] = rest {
        value = match conversion {
            's' => Value::text(run.str(&value)?),
            'r' | 'a' => Value::text(run.repr(&value)?),
            _ => return fail("unknown conversion specifier"),
        };
        rest = after;
    }
    let specification = match rest {
        [] => Text::default(),
        [(':', _), specification @ ..] => {
            let mut filled = Text::default();
            fill(run, specification, called, next, depth, &mut filled)?;
            filled
        }
        _ => return fail("expected ':' after conversion specifier"),
    };
    formatted(run, &value, &specification, out)
}

/// The value of a field's name: `0`, `name`, `name.attribute[index]`.
fn lookup(run: &Rendering<'_>, name: &str, called: &Called, next: &mut Numbering) -> Res<Value> {
    let end = name.find(['.', '[']).unwrap_or(name.len());
    let (first, mut path) = name.split_at(end);
    let place = match first {
        "" => {
            next.next += 1;
            next.automatic = true;
            Some(next.next - 1)
        }
        first => first.parse().ok().inspect(|_| next.manual = true),
    };
    if next.automatic && next.manual {
        return fail("cannot switch between automatic and manual field numbering");
    }
    let found = match place {
        Some(place) => called.positional.get(place),
        None => called
            .named
            .iter()
            .find(|(name, _)| **name == *first)
            .map(|(_, value)| value),
    };
    let Some(mut value) = found.cloned() else {
        return fail(match place {
            Some(place) => format!("Replacement index {place} out of range for positional args tuple"),
            None => format!("'{first}'"),
        });
    };
    while !path.is_empty() {
        run.meter.spend(1)?;
        if let Some(rest) = path.strip_prefix('.') {
            let end = rest.find(['.', '[']).unwrap_or(rest.len());
            value = run.attribute(&value, &rest[..end])?;
            path = &rest[end..];
        } else {
            let Some((index, rest)) = path.strip_prefix('[').and_then(|rest| rest.split_once(']')) else {
                return fail("Missing ']' in format string");
            };
            let index = index.parse().map_or_else(|_| Value::own(index), Value::Int);
            value = run.item(&value, &index)?;
            path = rest;
        }
        if let Value::Undefined(what) = &value {
            return fail(&**what);
        }
    }
    Ok(value)
}

/// `format(value, specification)`.
fn formatted(run: &Rendering<'_>, value: &Value, specification: &Text, out: &mut Text) -> Res<()> {
    if specification.is_empty() {
        return run.write_str(value, out);
    }
    let chars: Vec<(char, bool)> = specification.chars().collect();
    let (field, kind) = parsed(&chars)?;
    let wrong = || {
        fail(format!(
            "Unknown format code for object of type '{}'",
            value.type_name()
        ))
    };
    let numeric = !matches!(kind, None | Some('s'));
    match value {
        Value::Text(text) => {
            if numeric || field.sign != '\0' || field.group.is_some() || field.align == Some('=') {
                return wrong();
            }
            let end = field
                .precision
                .and_then(|precision| text.as_str().char_indices().nth(precision));
            let text = text.slice(0..end.map_or(text.len(), |(at, _)| at));
            let mut field = field;
            if field.zero && field.fill.is_none() {
                field.fill = Some(('0', false));
            }
            field.write(run, &text, field.align.unwrap_or('<'), out)
        }
        Value::Int(_) | Value::Bool(_) => {
            let int = value.as_int().unwrap_or(0);
            match kind {
                None | Some('d' | 'n' | 'x' | 'X' | 'o' | 'b') if field.precision.is_none() => {
                    let kind = kind.unwrap_or('d');
                    let prefix = match kind {
                        'x' | 'X' | 'o' | 'b' if field.alternate => format!("0{kind}"),
                        _ => String::new(),
                    };
                    field.number(
                        run,
                        int < 0,
                        &prefix,
                        &integer_text(int.unsigned_abs(), kind),
                        out,
                    )
                }
                Some('c') => match u32::try_from(int).ok().and_then(char::from_u32) {
                    // Which character it is may follow from what was said.
                    Some(char) => field.write(run, &Text::said(char), field.align.unwrap_or('<'), out),
                    None => fail("%c arg not in range"),
                },
                Some(kind @ ('e' | 'E' | 'f' | 'F' | 'g' | 'G' | '%')) => {
                    float(run, int as f64, kind, &field, out)
                }
                _ => wrong(),
            }
        }
        Value::Float(value) => match kind {
            None if field.precision.is_none() => {
                let text = number::float(value.abs());
                field.number(run, value.is_sign_negative(), "", &text, out)
            }
            None => {
                let precision = field.precision.unwrap_or(6).max(1);
                let mut text = float_text(run, value.abs(), 'g', precision, field.alternate)?;
                if value.is_finite() && !text.contains(['.', 'e']) {
                    text += ".0";
                }
                field.number(run, value.is_sign_negative(), "", &text, out)
            }
            Some(kind @ ('e' | 'E' | 'f' | 'F' | 'g' | 'G' | '%' | 'n')) => {
                float(run, *value, kind, &field, out)
            }
            _ => wrong(),
        },
        _ => fail(format!(
            "unsupported format string passed to {}.__format__",
            value.type_name()
        )),
    }
}

fn float(run: &Rendering<'_>, value: f64, kind: char, field: &Field, out: &mut Text) -> Res<()> {
    let precision = field.precision.unwrap_or(6);
    let negative = value.is_sign_negative() && !value.is_nan();
    let text = match kind {
        '%' => float_text(run, value.abs() * 100.0, 'f', precision, field.alternate)? + "%",
        'n' => float_text(run, value.abs(), 'g', precision, field.alternate)?,
        kind => float_text(run, value.abs(), kind, precision, field.alternate)?,
    };
    field.number(run, negative, "", &text, out)
}

/// `[[fill]align][sign][#][0][width][group][.precision][type]`.
fn parsed(chars: &Chars) -> Res<(Field, Option<char>)> {
    let mut field = Field::default();
    let is_align = |at: usize| {
        chars
            .get(at)
            .is_some_and(|(c, _)| matches!(c, '<' | '>' | '^' | '='))
    };
    let mut at = 0;
    if is_align(1) {
        field.fill = Some(chars[0]);
        field.align = Some(chars[1].0);
        at = 2;
    } else if is_align(0) {
        field.align = Some(chars[0].0);
        at = 1;
    }
    let mut rest = chars[at..].iter().map(|(c, _)| *c).peekable();
    if let Some(sign) = rest.next_if(|c| matches!(c, '+' | '-' | ' ')) {
        field.sign = sign;
    }
    rest.next_if_eq(&'z');
    field.alternate = rest.next_if_eq(&'#').is_some();
    field.zero = rest.next_if_eq(&'0').is_some();
    field.width = number(&mut rest)?.unwrap_or(0);
    field.group = rest.next_if(|c| matches!(c, ',' | '_'));
    if rest.next_if_eq(&'.').is_some() {
        field.precision = match number(&mut rest)? {
            None => return fail("Format specifier missing precision"),
            precision => precision,
        };
    }
    let kind = rest.next();
    if rest.next().is_some() {
        return fail("Invalid format specifier");
    }
    Ok((field, kind))
}

/// Digits, if there are some.
fn number(rest: &mut std::iter::Peekable<impl Iterator<Item = char>>) -> Res<Option<usize>> {
    let mut value: Option<usize> = None;
    while let Some(digit) = rest.peek().and_then(|c: &char| c.to_digit(10)) {
        let digit = digit as usize;
        rest.next();
        let grown = value
            .unwrap_or(0)
            .checked_mul(10)
            .and_then(|value| value.checked_add(digit));
        value = Some(grown.ok_or(Fault::TooMuch)?);
    }
    Ok(value)
}
