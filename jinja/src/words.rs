//! What Python does with texts: strip, split, replace, pad. Each part keeps its origin.

use crate::text::Text;
use crate::{Meter, Res, fail};

/// Python's white space: Unicode's, and the four separators of ASCII.
pub(crate) fn is_space(c: char) -> bool {
    c.is_whitespace() || matches!(c, '\u{1c}'..='\u{1f}')
}

pub(crate) fn is_lower(text: &str) -> bool {
    text.chars().any(char::is_lowercase) && !text.chars().any(char::is_uppercase)
}

pub(crate) fn is_upper(text: &str) -> bool {
    text.chars().any(char::is_uppercase) && !text.chars().any(char::is_lowercase)
}

/// `strip`, `lstrip` or `rstrip`.
pub(crate) fn stripped(text: &Text, chars: Option<&str>, side: &str) -> Text {
    let strip = |c: char| chars.map_or_else(|| is_space(c), |chars| chars.contains(c));
    let whole = text.as_str();
    text.part(match side {
        "lstrip" => whole.trim_start_matches(strip),
        "rstrip" => whole.trim_end_matches(strip),
        _ => whole.trim_matches(strip),
    })
}

/// `split` and, from the end, `rsplit`.
pub(crate) fn split<'a>(
    text: &'a str,
    separator: Option<&str>,
    most: usize,
    from_end: bool,
    meter: &Meter,
) -> Res<Vec<&'a str>> {
    let Some(separator) = separator else {
        return split_at_blanks(text, most, from_end, meter);
    };
    let most = most.saturating_add(1);
    let parts: Vec<&str> = match from_end {
        false => text.splitn(most, separator).collect(),
        true => {
            let mut parts: Vec<&str> = text.rsplitn(most, separator).collect();
            parts.reverse();
            parts
        }
    };
    meter.spend(parts.len())?;
    Ok(parts)
}

fn split_at_blanks<'a>(text: &'a str, most: usize, from_end: bool, meter: &Meter) -> Res<Vec<&'a str>> {
    let mut parts = Vec::new();
    let mut rest = text.trim_matches(is_space);
    while !rest.is_empty() {
        meter.spend(1)?;
        if parts.len() == most {
            // What is left keeps the blanks at its far end.
            let left = match from_end {
                false => &text[rest.as_ptr() as usize - text.as_ptr() as usize..],
                true => &text[..rest.as_ptr() as usize - text.as_ptr() as usize + rest.len()],
            };
            parts.push(left);
            break;
        }
        match from_end {
            false => {
                let end = rest.find(is_space).unwrap_or(rest.len());
                parts.push(&rest[..end]);
                rest = rest[end..].trim_start_matches(is_space);
            }
            true => {
                let end = rest.rfind(is_space);
                let begin = end.map_or(0, |at| at + rest[at..].chars().next().map_or(1, char::len_utf8));
                parts.push(&rest[begin..]);
                rest = rest[..begin].trim_end_matches(is_space);
            }
        }
    }
    if from_end {
        parts.reverse();
    }
    Ok(parts)
}

/// `splitlines`.
pub(crate) fn lines<'a>(text: &'a str, keep: bool, meter: &Meter) -> Res<Vec<&'a str>> {
    let ends = |c: char| {
        matches!(
            c,
            '\n' | '\r' | '\u{b}' | '\u{c}' | '\u{1c}'..='\u{1e}' | '\u{85}' | '\u{2028}' | '\u{2029}'
        )
    };
    let mut lines = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        meter.spend(1)?;
        let Some(at) = rest.find(ends) else {
            lines.push(rest);
            break;
        };
        let length = match rest[at..].starts_with("\r\n") {
            true => 2,
            false => rest[at..].chars().next().map_or(1, char::len_utf8),
        };
        lines.push(&rest[..if keep { at + length } else { at }]);
        rest = &rest[at + length..];
    }
    Ok(lines)
}

/// `replace`; a negative `count` replaces all.
pub(crate) fn replaced(text: &Text, old: &Text, new: &Text, count: i128, meter: &Meter) -> Res<Text> {
    let most = usize::try_from(count).unwrap_or(usize::MAX);
    meter.spend_bytes(text.len())?;
    let places: Vec<usize> = text
        .as_str()
        .match_indices(old.as_str())
        .take(most)
        .map(|(at, _)| at)
        .collect();
    meter.spend(places.len() / 4)?;
    meter.spend_bytes(text.len().saturating_add(new.len().saturating_mul(places.len())))?;
    let mut changed = Text::default();
    let mut done = 0;
    for at in places {
        changed.push_slice(text, done..at);
        changed.push(new);
        done = at + old.len();
    }
    changed.push_slice(text, done..text.len());
    Ok(changed)
}

/// `center`, `ljust` or `rjust`.
pub(crate) fn padded(text: &Text, width: i128, fill: &Text, side: &str, meter: &Meter) -> Res<Text> {
    let mut chars = fill.as_str().chars();
    if chars.next().is_none() || chars.next().is_some() {
        return fail("The fill character must be exactly one character long");
    }
    let length = text.as_str().chars().count();
    let missing = usize::try_from(width).unwrap_or(0).saturating_sub(length);
    meter.spend(missing / 8)?;
    let left = match side {
        "ljust" => 0,
        "rjust" => missing,
        // As CPython divides it.
        _ => missing / 2 + (missing & usize::try_from(width).unwrap_or(0) & 1),
    };
    let mut out = Text::default();
    (0..left).for_each(|_| out.push(fill));
    out.push(text);
    (left..missing).for_each(|_| out.push(fill));
    Ok(out)
}

/// `expandtabs`.
pub(crate) fn without_tabs(text: &Text, size: i128, meter: &Meter) -> Res<Text> {
    let size = usize::try_from(size).unwrap_or(0);
    let mut out = Text::default();
    let mut column = 0;
    for (c, said) in text.chars() {
        match c {
            '\t' => {
                let blanks = if size == 0 { 0 } else { size - column % size };
                meter.spend(blanks / 8)?;
                (0..blanks).for_each(|_| out.push_char(' ', said));
                column += blanks;
            }
            c => {
                column = if matches!(c, '\n' | '\r') { 0 } else { column + 1 };
                out.push_char(c, said);
            }
        }
    }
    Ok(out)
}

/// `str.title`: a letter is a capital if none precedes it.
pub(crate) fn title(text: &Text) -> Text {
    let mut inside = false;
    text.map_chars(|c, out| {
        match inside {
            true => out.extend(c.to_lowercase()),
            false => capital(c, out),
        }
        inside = c.is_lowercase() || c.is_uppercase();
    })
}

pub(crate) fn capitalized(text: &Text) -> Text {
    let mut first = true;
    text.map_chars(|c, out| match std::mem::take(&mut first) {
        true => capital(c, out),
        false => out.extend(c.to_lowercase()),
    })
}

/// The character as the first of a word: a character that becomes several has one capital.
pub(crate) fn capital(c: char, out: &mut String) {
    let mut upper = c.to_uppercase();
    out.extend(upper.next());
    out.extend(upper.flat_map(char::to_lowercase));
}

/// `zfill`: zeros after the sign.
pub(crate) fn zero_filled(text: &Text, width: i128, meter: &Meter) -> Res<Text> {
    let missing = usize::try_from(width)
        .unwrap_or(0)
        .saturating_sub(text.as_str().chars().count());
    meter.spend(missing / 8)?;
    let sign = usize::from(text.as_str().starts_with(['+', '-']));
    let mut out = text.slice(0..sign);
    (0..missing).for_each(|_| out.push_char('0', false));
    out.push_slice(text, sign..text.len());
    Ok(out)
}
