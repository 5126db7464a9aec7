//! Filters of texts.

use std::rc::Rc;

use super::text_of;
use crate::arguments::{Called, flag, int, required, text as text_argument};
use crate::run::Rendering;
use crate::text::Text;
use crate::value::Value;
use crate::{Fault, Res, fail, words};

/// A text with the characters of HTML escaped.
pub(crate) fn escaped(text: &Text) -> Text {
    let mut escaped = text.map_chars(|c, out| match c {
        '&' => out.push_str("&amp;"),
        '<' => out.push_str("&lt;"),
        '>' => out.push_str("&gt;"),
        '"' => out.push_str("&#34;"),
        '\'' => out.push_str("&#39;"),
        c => out.push(c),
    });
    escaped.markup = true;
    escaped
}

pub(super) fn escape(run: &Rendering<'_>, value: &Value, called: Called) -> Res<Value> {
    let [] = called.bind("escape", [])?;
    let text = text_of(run, value)?;
    Ok(match text.markup {
        true => Value::Text(text),
        false => Value::text(escaped(&text)),
    })
}

pub(super) fn forceescape(run: &Rendering<'_>, value: &Value, called: Called) -> Res<Value> {
    let [] = called.bind("forceescape", [])?;
    Ok(Value::text(escaped(&*text_of(run, value)?)))
}

pub(super) fn safe(run: &Rendering<'_>, value: &Value, called: Called) -> Res<Value> {
    let [] = called.bind("safe", [])?;
    let mut text = (*text_of(run, value)?).clone();
    text.markup = true;
    Ok(Value::text(text))
}

pub(super) fn string(run: &Rendering<'_>, value: &Value, called: Called) -> Res<Value> {
    let [] = called.bind("string", [])?;
    Ok(Value::Text(text_of(run, value)?))
}

pub(super) fn lower(run: &Rendering<'_>, value: &Value, called: Called) -> Res<Value> {
    let [] = called.bind("lower", [])?;
    Ok(Value::text(text_of(run, value)?.map_runs(str::to_lowercase)))
}

pub(super) fn upper(run: &Rendering<'_>, value: &Value, called: Called) -> Res<Value> {
    let [] = called.bind("upper", [])?;
    Ok(Value::text(text_of(run, value)?.map_runs(str::to_uppercase)))
}

pub(super) fn capitalize(run: &Rendering<'_>, value: &Value, called: Called) -> Res<Value> {
    let [] = called.bind("capitalize", [])?;
    Ok(Value::text(words::capitalized(&*text_of(run, value)?)))
}

/// A letter is a capital after a blank, a hyphen or an opening bracket.
pub(super) fn title(run: &Rendering<'_>, value: &Value, called: Called) -> Res<Value> {
    let [] = called.bind("title", [])?;
    let mut begins = true;
    Ok(Value::text(text_of(run, value)?.map_chars(|c, out| {
        let separates = words::is_space(c) || matches!(c, '-' | '(' | '{' | '[' | '<');
        match begins && !separates {
            true => words::capital(c, out),
            false => out.extend(c.to_lowercase()),
        }
        begins = separates;
    })))
}

pub(super) fn trim(run: &Rendering<'_>, value: &Value, called: Called) -> Res<Value> {
    let [chars] = called.bind("trim", ["chars"])?;
    let chars = text_argument(chars, "trim")?;
    let chars = chars.as_deref().map(Text::as_str);
    Ok(Value::text(words::stripped(
        &*text_of(run, value)?,
        chars,
        "strip",
    )))
}

pub(super) fn center(run: &Rendering<'_>, value: &Value, called: Called) -> Res<Value> {
    let [width] = called.bind("center", ["width"])?;
    let width = int(width, 80, "center")?;
    words::padded(
        &*text_of(run, value)?,
        width,
        &Text::own(" "),
        "center",
        &run.meter,
    )
    .map(Value::text)
}

pub(super) fn replace(run: &Rendering<'_>, value: &Value, called: Called) -> Res<Value> {
    let [old, new, count] = called.bind("replace", ["old", "new", "count"])?;
    let old = run.str(&required(old, "replace")?)?;
    let new = run.str(&required(new, "replace")?)?;
    let count = int(count.filter(|count| !matches!(count, Value::None)), -1, "replace")?;
    words::replaced(&*text_of(run, value)?, &old, &new, count, &run.meter).map(Value::text)
}

pub(super) fn indent(run: &Rendering<'_>, value: &Value, called: Called) -> Res<Value> {
    let [width, first, blank] = called.bind("indent", ["width", "first", "blank"])?;
    let (first, blank) = (flag(first, false), flag(blank, false));
    let indent = match width {
        Some(Value::Text(text)) => (*text).clone(),
        width => {
            let width = usize::try_from(int(width, 4, "indent")?).unwrap_or(0);
            run.meter.spend_bytes(width)?;
            Text::own(" ".repeat(width))
        }
    };
    let Value::Text(text) = value else {
        return fail(format!(
            "unsupported operand type(s) for +=: '{}' and 'str'",
            value.type_name()
        ));
    };
    let mut whole = (**text).clone();
    whole.push_str("\n", false);
    let mut out = Text::default();
    for (at, line) in words::lines(whole.as_str(), false, &run.meter)?
        .into_iter()
        .enumerate()
    {
        run.meter.spend_bytes(indent.len() + line.len())?;
        if at > 0 {
            out.push_str("\n", false);
        }
        if at == 0 && first || at > 0 && (blank || !line.is_empty()) {
            out.push(&indent);
        }
        out.push(&whole.part(line));
    }
    Ok(Value::text(out))
}

pub(super) fn truncate(run: &Rendering<'_>, value: &Value, called: Called) -> Res<Value> {
    let parameters = ["length", "killwords", "end", "leeway"];
    let [length, kill, end, leeway] = called.bind("truncate", parameters)?;
    let (length, leeway) = (int(length, 255, "truncate")?, int(leeway, 5, "truncate")?);
    let end = text_argument(end, "truncate")?.unwrap_or_else(|| Rc::new(Text::own("...")));
    let text = text_of(run, value)?;
    let end_length = end.as_str().chars().count() as i128;
    if length < end_length || leeway < 0 {
        return fail(format!("expected length >= {end_length}, got {length}"));
    }
    let count = text.as_str().chars().count() as i128;
    if count <= length.saturating_add(leeway) {
        return Ok(Value::Text(text));
    }
    let keep = (length - end_length) as usize;
    let byte = text
        .as_str()
        .char_indices()
        .nth(keep)
        .map_or(text.len(), |(at, _)| at);
    let mut cut = text.slice(0..byte);
    if !flag(kill, false)
        && let Some(blank) = cut.as_str().rfind(' ')
    {
        cut = cut.slice(0..blank);
    }
    cut.push(&end);
    Ok(Value::text(cut))
}

pub(super) fn wordcount(run: &Rendering<'_>, value: &Value, called: Called) -> Res<Value> {
    let [] = called.bind("wordcount", [])?;
    let text = text_of(run, value)?;
    let words = text.as_str().split(|c: char| c != '_' && !c.is_alphanumeric());
    Ok(Value::Int(words.filter(|word| !word.is_empty()).count() as i128))
}

pub(super) fn urlencode(run: &Rendering<'_>, value: &Value, called: Called) -> Res<Value> {
    let [] = called.bind("urlencode", [])?;
    let quoted = |text: &Text, slash: bool| {
        text.map_chars(|c, out| match c {
            'A'..='Z' | 'a'..='z' | '0'..='9' | '_' | '.' | '-' | '~' => out.push(c),
            '/' if slash => out.push(c),
            ' ' if !slash => out.push('+'),
            c => c
                .encode_utf8(&mut [0; 4])
                .bytes()
                .for_each(|byte| *out += &format!("%{byte:02X}")),
        })
    };
    let pairs: Vec<Value> = match value {
        Value::Map(map) => {
            let pairs = map.entries.iter();
            let pairs = pairs.map(|(key, item)| Value::tuple(vec![key.clone(), item.clone()], &run.meter));
            pairs.collect::<Res<_>>()?
        }
        Value::List(_) | Value::Tuple(_) | Value::View(..) | Value::Iterator(_) => value.items(&run.meter)?,
        single => return Ok(Value::text(quoted(&*text_of(run, single)?, true))),
    };
    let mut out = Text::default();
    for (at, pair) in pairs.iter().enumerate() {
        let Ok([key, item]) = <[Value; 2]>::try_from(pair.items(&run.meter)?) else {
            return fail("urlencode: an item is not a pair");
        };
        out.push_str(if at > 0 { "&" } else { "" }, false);
        out.push(&quoted(&*text_of(run, &key)?, false));
        out.push_str("=", false);
        out.push(&quoted(&*text_of(run, &item)?, false));
    }
    Ok(Value::text(out))
}

pub(super) fn xmlattr(run: &Rendering<'_>, value: &Value, called: Called) -> Res<Value> {
    let [space] = called.bind("xmlattr", ["autospace"])?;
    let Value::Map(map) = value else {
        return fail("xmlattr: expected a mapping");
    };
    let mut out = Text::default();
    for (key, item) in &map.entries {
        if matches!(item, Value::None | Value::Undefined(_)) {
            continue;
        }
        let key = text_of(run, key)?;
        if key
            .as_str()
            .contains(|c: char| c.is_ascii_whitespace() || matches!(c, '/' | '>' | '='))
        {
            return fail("Invalid character in attribute name");
        }
        if !out.is_empty() || flag(space.clone(), true) {
            out.push_str(" ", false);
        }
        out.push(&escaped(&key));
        out.push_str("=\"", false);
        out.push(&escaped(&*text_of(run, item)?));
        out.push_str("\"", false);
    }
    Ok(Value::text(out))
}

/// Without comments and tags, with single blanks.
pub(super) fn striptags(run: &Rendering<'_>, value: &Value, called: Called) -> Res<Value> {
    let [] = called.bind("striptags", [])?;
    let text = text_of(run, value)?;
    let mut plain = Text::default();
    let mut rest = text.as_str();
    while let Some(at) = rest.find('<') {
        run.meter.spend_bytes(rest.len())?;
        let end = match rest[at..].starts_with("<!--") {
            true => rest[at..].find("-->").map(|end| at + end + 3),
            false => rest[at..].find('>').map(|end| at + end + 1),
        };
        let Some(end) = end else { break };
        plain.push(&text.part(&rest[..at]));
        rest = &rest[end..];
    }
    plain.push(&text.part(rest));
    let mut out = Text::default();
    for (at, word) in words::split(plain.as_str(), None, usize::MAX, false, &run.meter)?
        .into_iter()
        .enumerate()
    {
        out.push_str(if at > 0 { " " } else { "" }, false);
        out.push(&plain.part(word));
    }
    for (entity, char) in [
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&#34;", "\""),
        ("&#39;", "'"),
        ("&amp;", "&"),
    ] {
        out = words::replaced(&out, &Text::own(entity), &Text::said(char), -1, &run.meter)?;
    }
    Ok(Value::text(out))
}

pub(super) fn wordwrap(run: &Rendering<'_>, value: &Value, called: Called) -> Res<Value> {
    let parameters = ["width", "break_long_words", "wrapstring", "break_on_hyphens"];
    let [width, long, wrap, hyphens] = called.bind("wordwrap", parameters)?;
    let width = int(width, 79, "wordwrap")?;
    let (long, hyphens) = (flag(long, true), flag(hyphens, true));
    let wrap = text_argument(wrap, "wordwrap")?.unwrap_or_else(|| Rc::new(Text::own("\n")));
    let text = text_of(run, value)?;
    if width <= 0 && !text.is_empty() {
        return fail(format!("invalid width {width} (must be > 0)"));
    }
    let width = usize::try_from(width).map_err(|_| Fault::TooMuch)?;
    let mut out = Text::default();
    for (at, line) in words::lines(text.as_str(), false, &run.meter)?
        .into_iter()
        .enumerate()
    {
        if at > 0 {
            out.push(&wrap);
        }
        for (at, (start, end)) in wrapped(line, width, long, hyphens).into_iter().enumerate() {
            run.meter.spend_bytes(wrap.len() + end - start)?;
            if at > 0 {
                out.push(&wrap);
            }
            out.push(&text.part(&line[start..end]));
        }
    }
    Ok(Value::text(out))
}

/// The byte ranges of a line's parts, each at most `width` characters if that is possible.
fn wrapped(line: &str, width: usize, long: bool, hyphens: bool) -> Vec<(usize, usize)> {
    let mut lines = Vec::new();
    // The current line: where it begins, where its last word ends, its length in characters.
    let mut current: Option<(usize, usize, usize)> = None;
    let mut at = 0;
    for chunk in chunks(line, hyphens) {
        let (mut start, end) = (at, at + chunk.len());
        at = end;
        let blank = chunk.starts_with(words::is_space);
        let mut length = chunk.chars().count();
        if let Some((begin, _, filled)) = current.filter(|(_, _, filled)| filled + length <= width) {
            current = Some((begin, end, filled + length));
            continue;
        }
        // A word that fits into no line is cut where this line is full.
        while !blank && length > width && long {
            let (begin, filled) = current.map_or((start, 0), |(begin, _, filled)| (begin, filled));
            let room = width - filled;
            let cut = line[start..]
                .char_indices()
                .nth(room)
                .map_or(end, |(at, _)| start + at);
            lines.push((begin, cut));
            (start, length, current) = (cut, length - room, None);
        }
        if let Some((begin, last, _)) = current.take() {
            lines.push((begin, last));
        }
        if length > 0 && (!blank || lines.is_empty()) {
            current = Some((start, end, length));
        }
    }
    if let Some((begin, last, _)) = current {
        lines.push((begin, last));
    }
    for (begin, last) in &mut lines {
        *last = *begin + line[*begin..*last].trim_end_matches(words::is_space).len();
    }
    lines.retain(|(begin, last)| last > begin);
    lines
}

/// Words and the blanks between them; words end after hyphens between letters.
fn chunks(line: &str, hyphens: bool) -> Vec<&str> {
    let mut chunks = Vec::new();
    let mut start = 0;
    let chars: Vec<(usize, char)> = line.char_indices().collect();
    for (at, pair) in chars.windows(2).enumerate() {
        let [(_, a), (next, b)] = *pair else { continue };
        let boundary = words::is_space(a) != words::is_space(b);
        let before = at >= 2 && chars[at - 1].1.is_alphabetic() && chars[at - 2].1.is_alphabetic()
            || at == 1 && chars[0].1.is_alphabetic();
        let hyphen = hyphens && a == '-' && before && b.is_alphabetic();
        if boundary || hyphen {
            chunks.push(&line[start..next]);
            start = next;
        }
    }
    if start < line.len() {
        chunks.push(&line[start..]);
    }
    chunks
}
