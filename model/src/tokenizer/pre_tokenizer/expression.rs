//! The regular expressions of pre-tokenizers, as far as they need one: alternatives in order, sets of characters, runs.
//!
//! A run is a loop over characters and an expression nests a few levels, so the depth of the stack does not depend on
//! the text. What can follow a run in these expressions makes every search linear in the text.
//!
//! ```text
//! [^\r\n\p{L}]?   a set: characters, ranges, \s, \p{L}; && is an intersection; \u{4e00} is a character
//! x{1,3}          repetitions: ? * + {n} {n,m}, as many as possible
//! (?:ab|c)*       a group, never given back, so nothing that it could take may follow it
//! (?!\S)          what does not follow
//! ```

use super::class::{Class, class, is_space};

/// Alternatives; the first one that matches counts.
#[derive(Debug)]
pub(super) struct Expression(Vec<Vec<Item>>);

/// A part of an alternative, and how often it occurs.
#[derive(Debug)]
struct Item {
    what: What,
    least: usize,
    most: usize,
}

#[derive(Debug)]
enum What {
    Set(Set),
    Group(Expression),
    /// The next character is not in the set, or there is none.
    NotBefore(Set),
}

/// A set of characters.
#[derive(Debug, Default)]
struct Set {
    negated: bool,
    ranges: Vec<(u32, u32)>,
    classes: Vec<Class>,
    /// The characters must be in this set too.
    and: Option<Box<Set>>,
}

impl Set {
    fn has(&self, c: char) -> bool {
        // Every blank beyond ASCII counts as a vertical tab, as in llama.cpp.
        let c = if !c.is_ascii() && is_space(c) { '\u{b}' } else { c };
        let code = u32::from(c);
        let listed = self
            .ranges
            .iter()
            .any(|&(first, last)| first <= code && code <= last)
            || (!self.classes.is_empty() && self.classes.contains(&class(c)));
        listed != self.negated && self.and.as_ref().is_none_or(|and| and.has(c))
    }
}

impl Expression {
    /// Reads an expression; `None` if it is not one of the kind above.
    pub(super) fn parse(pattern: &str) -> Option<Self> {
        let mut rest = pattern;
        let expression = alternatives(&mut rest)?;
        rest.is_empty().then_some(expression)
    }

    /// Calls `each` with every match and with every stretch between matches, in order.
    pub(super) fn split<'a>(&self, text: &'a str, each: &mut dyn FnMut(&'a str)) {
        let (mut from, mut at) = (0, 0);
        while let Some(c) = text[at..].chars().next() {
            match self.matched(&text[at..]) {
                Some(len) if len > 0 => {
                    if at > from {
                        each(&text[from..at]);
                    }
                    each(&text[at..at + len]);
                    at += len;
                    from = at;
                }
                _ => at += c.len_utf8(),
            }
        }
        if text.len() > from {
            each(&text[from..]);
        }
    }

    /// The length in bytes of the match at the start of `text`.
    fn matched(&self, text: &str) -> Option<usize> {
        self.0.iter().find_map(|items| all_matched(items, text))
    }
}

fn all_matched(items: &[Item], text: &str) -> Option<usize> {
    let Some((item, rest)) = items.split_first() else {
        return Some(0);
    };
    match &item.what {
        What::NotBefore(set) => {
            let free = text.chars().next().is_none_or(|c| !set.has(c));
            free.then(|| all_matched(rest, text))?
        }
        What::Group(group) => {
            let (mut end, mut count) = (0, 0);
            while count < item.most
                && let Some(len) = group.matched(&text[end..]).filter(|&len| len > 0)
            {
                end += len;
                count += 1;
            }
            let more = all_matched(rest, &text[end..]).filter(|_| count >= item.least)?;
            Some(end + more)
        }
        What::Set(set) => {
            let (mut end, mut count) = (0, 0);
            for c in text.chars().take(item.most).take_while(|&c| set.has(c)) {
                end += c.len_utf8();
                count += 1;
            }
            while count >= item.least {
                if let Some(more) = all_matched(rest, &text[end..]) {
                    return Some(end + more);
                }
                end -= text[..end].chars().next_back()?.len_utf8();
                count -= 1;
            }
            None
        }
    }
}

fn alternatives(rest: &mut &str) -> Option<Expression> {
    let mut all = vec![Vec::new()];
    while !rest.is_empty() && !rest.starts_with(')') {
        if eat(rest, "|") {
            all.push(Vec::new());
            continue;
        }
        let what = if eat(rest, "(?!") {
            let what = What::NotBefore(one(rest)?);
            eat(rest, ")").then_some(what)?
        } else if eat(rest, "(?:") {
            let what = What::Group(alternatives(rest)?);
            eat(rest, ")").then_some(what)?
        } else if rest.starts_with('(') {
            return None;
        } else {
            What::Set(one(rest)?)
        };
        let (least, most) = repetitions(rest)?;
        all.last_mut()?.push(Item { what, least, most });
    }
    Some(Expression(all))
}

fn repetitions(rest: &mut &str) -> Option<(usize, usize)> {
    let marks = [("?", 0, 1), ("*", 0, usize::MAX), ("+", 1, usize::MAX)];
    if let Some(mark) = marks.into_iter().find(|mark| eat(rest, mark.0)) {
        return Some((mark.1, mark.2));
    }
    if !eat(rest, "{") {
        return Some((1, 1));
    }
    let (inside, after) = rest.split_once('}')?;
    *rest = after;
    let (least, most) = inside.split_once(',').unwrap_or((inside, inside));
    Some((least.parse().ok()?, most.parse().ok()?))
}

/// A set in brackets, a class or a character.
fn one(rest: &mut &str) -> Option<Set> {
    let mut set = Set::default();
    if !eat(rest, "[") {
        member(rest, &mut set)?;
        return Some(set);
    }
    set.negated = eat(rest, "^");
    while !eat(rest, "]") {
        if eat(rest, "&&") {
            set.and = Some(Box::new(one(rest)?));
        } else {
            member(rest, &mut set)?;
        }
    }
    Some(set)
}

/// Adds a class, a character or, before a hyphen, a range to the set.
fn member(rest: &mut &str, set: &mut Set) -> Option<()> {
    const CLASSES: [(&str, &[Class]); 6] = [
        (r"\p{L}", &[Class::Letter]),
        (r"\p{M}", &[Class::Mark]),
        (r"\p{N}", &[Class::Number]),
        (r"\p{P}", &[Class::Punctuation]),
        (r"\p{S}", &[Class::Symbol]),
        (r"\s", &[Class::Space]),
    ];
    if let Some((_, classes)) = CLASSES.iter().find(|row| eat(rest, row.0)) {
        set.classes.extend_from_slice(classes);
        return Some(());
    }
    if eat(rest, r"\S") {
        set.negated = true;
        set.classes.push(Class::Space);
        return Some(());
    }
    let first = character(rest)?;
    let range = rest.strip_prefix('-').filter(|after| !after.starts_with(']'));
    let last = match range {
        Some(after) => {
            *rest = after;
            character(rest)?
        }
        None => first,
    };
    set.ranges.push((first, last));
    Some(())
}

fn character(rest: &mut &str) -> Option<u32> {
    if eat(rest, r"\u{") {
        let (code, after) = rest.split_once('}')?;
        *rest = after;
        return u32::from_str_radix(code, 16).ok();
    }
    let escaped = eat(rest, r"\");
    let c = rest.chars().next()?;
    *rest = &rest[c.len_utf8()..];
    Some(u32::from(match (escaped, c) {
        (true, 'r') => '\r',
        (true, 'n') => '\n',
        (true, 't') => '\t',
        (_, c) => c,
    }))
}

/// Passes over `start` if the rest begins with it.
fn eat(rest: &mut &str, start: &str) -> bool {
    rest.strip_prefix(start).map(|after| *rest = after).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(pattern: &str, text: &str) -> String {
        let mut parts = Vec::new();
        let expression = Expression::parse(pattern).expect(pattern);
        expression.split(text, &mut |part| parts.push(part.to_owned()));
        assert_eq!(parts.concat(), text, "{pattern}");
        parts.join("/")
    }

    #[test]
    fn matches_and_what_is_between_them() {
        let cases = [
            (r"\p{N}", "a12 b3", "a/1/2/ b/3"),
            (r"\p{N}{1,3}", "a1234", "a/123/4"),
            (r"x{2}", "xxxxx", "xx/xx/x"),
            (r"\s?[A-Z]+", "a BC\tDe", "a/ BC/\tD/e"),
            (r"[^\s\-]+", "a-b c", "a/-/b/ /c"),
            (r"\s+(?!\S)|\s+", "a   b ", "a/  / /b/ "),
            (
                r"[\p{L}&&[^a-z]]*[\p{L}&&[^A-Z]]+|[\p{L}&&[^a-z]]+",
                "fooBAR Baz中É",
                "foo/BAR/ /Baz中É",
            ),
            (r"\p{L}(?:[\p{L}\p{M}]| \p{L})*", "a b  c", "a b/  /c"),
            (r"\p{L}+(?:'s|'ll)?", "he'll's", "he'll/'/s"),
            (r"[\u{4e00}-\u{9fa5}]+", "a中文b", "a/中文/b"),
            (r"[\u{3000}]", "a\u{3000}b", "a\u{3000}b"),
            (r"\s*[\r\n]+", "a \n \n  b", "a/ \n \n/  b"),
            (r"[\p{P}\p{S}]+", "a+-!b", "a/+-!/b"),
        ];
        for (pattern, text, want) in cases {
            assert_eq!(parts(pattern, text), want, "{pattern} {text:?}");
        }
    }

    #[test]
    fn what_is_no_expression_is_not_read() {
        for pattern in ["(a", "a)", "[a", "a{x}", r"\u{zz}", "(?:a", "(?!a"] {
            assert!(Expression::parse(pattern).is_none(), "{pattern}");
        }
    }
}
