//! Strings, character classes and repetitions.

use super::Class;
use super::scan::Scanner;
use crate::error::{ErrorKind, GrammarError};
use crate::limits;

/// The string after its opening quote.
pub(super) fn string(scanner: &mut Scanner<'_>) -> Result<String, GrammarError> {
    let mut text = String::new();
    loop {
        match scanner.peek() {
            Some('"') => {
                scanner.next();
                return Ok(text);
            }
            None | Some('\n') => return Err(scanner.error(ErrorKind::Syntax, "this string has no end")),
            Some(_) => text.push(scalar(scanner)?),
        }
    }
}

/// The class after its opening bracket.
pub(super) fn class(scanner: &mut Scanner<'_>) -> Result<Class, GrammarError> {
    let negated = scanner.take("^");
    let mut ranges = Vec::new();
    loop {
        match scanner.peek() {
            Some(']') if !ranges.is_empty() => {
                scanner.next();
                return checked(scanner, Class { negated, ranges });
            }
            Some(']') => return Err(scanner.error(ErrorKind::Syntax, "this class has no characters")),
            None | Some('\n') => return Err(scanner.error(ErrorKind::Syntax, "this class has no end")),
            Some(_) => {}
        }
        let first = scalar(scanner)?;
        let rest = scanner.rest();
        let last = if rest.starts_with('-') && !rest.starts_with("-]") {
            scanner.next();
            scalar(scanner)?
        } else {
            first
        };
        if last < first {
            return Err(scanner.error(
                ErrorKind::Syntax,
                format!("the range {first:?}-{last:?} is empty"),
            ));
        }
        ranges.push((first.into(), last.into()));
    }
}

fn checked(scanner: &Scanner<'_>, class: Class) -> Result<Class, GrammarError> {
    let mut sorted = class.ranges.clone();
    sorted.sort_unstable();
    let mut next = 0;
    for (first, last) in sorted {
        if first > next {
            break;
        }
        next = next.max(last + 1);
    }
    if class.negated && next > u32::from(char::MAX) {
        return Err(scanner.error(ErrorKind::Unsatisfiable, "no character is in this class"));
    }
    Ok(class)
}

/// How many hexadecimal digits follow each letter.
const HEXADECIMAL: [(char, usize); 3] = [('x', 2), ('u', 4), ('U', 8)];
/// What other escapes mean.
const ESCAPES: [(char, char); 8] = [
    ('t', '\t'),
    ('r', '\r'),
    ('n', '\n'),
    ('\\', '\\'),
    ('"', '"'),
    ('[', '['),
    (']', ']'),
    ('-', '-'),
];

/// One character, or one escape.
fn scalar(scanner: &mut Scanner<'_>) -> Result<char, GrammarError> {
    let next = scanner.next();
    if next != Some('\\') {
        return next.ok_or_else(|| scanner.error(ErrorKind::Syntax, "the grammar ends here"));
    }
    let Some(letter) = scanner.next() else {
        return Err(scanner.error(ErrorKind::Syntax, "the grammar ends after \\"));
    };
    if let Some((_, plain)) = ESCAPES.iter().find(|(escape, _)| *escape == letter) {
        return Ok(*plain);
    }
    let Some((_, digits)) = HEXADECIMAL.iter().find(|(escape, _)| *escape == letter) else {
        return Err(scanner.error(ErrorKind::Syntax, format!("unknown escape \\{letter}")));
    };
    let mut value = 0u32;
    for _ in 0..*digits {
        let digit = scanner.peek().and_then(|c| c.to_digit(16));
        let Some(digit) = digit else {
            let message = format!("\\{letter} needs {digits} hexadecimal digits");
            return Err(scanner.error(ErrorKind::Syntax, message));
        };
        scanner.next();
        value = value << 4 | digit;
    }
    char::from_u32(value).ok_or_else(|| {
        scanner.error(
            ErrorKind::Syntax,
            format!("{value:X} is not the number of a character"),
        )
    })
}

/// `*`, `+`, `?`, `{m}`, `{m,}` or `{m,n}`, if one is next.
pub(super) fn repetition(scanner: &mut Scanner<'_>) -> Result<Option<(u32, Option<u32>)>, GrammarError> {
    let short = [("*", (0, None)), ("+", (1, None)), ("?", (0, Some(1)))];
    if let Some((_, times)) = short.into_iter().find(|(sign, _)| scanner.take(sign)) {
        return Ok(Some(times));
    }
    if !scanner.take("{") {
        return Ok(None);
    }
    scanner.skip(false);
    let least = number(scanner)?;
    scanner.skip(false);
    let mut most = least;
    if scanner.take(",") {
        scanner.skip(false);
        most = number(scanner)?;
        scanner.skip(false);
    } else if least.is_none() {
        return Err(scanner.error(ErrorKind::Syntax, "{ needs a number"));
    }
    if !scanner.take("}") {
        return Err(scanner.error(ErrorKind::Syntax, "a repetition ends with }"));
    }
    let least = least.unwrap_or(0);
    if most.is_some_and(|most| most < least) {
        return Err(scanner.error(
            ErrorKind::Syntax,
            "this repetition has more at least than at most",
        ));
    }
    Ok(Some((least, most)))
}

fn number(scanner: &mut Scanner<'_>) -> Result<Option<u32>, GrammarError> {
    let digits = scanner.take_while(|c| c.is_ascii_digit());
    if digits.is_empty() {
        return Ok(None);
    }
    match digits.parse::<u32>() {
        Ok(number) if number <= limits::MAX_REPETITION => Ok(Some(number)),
        _ => {
            let message = format!("a repetition has more than {} times", limits::MAX_REPETITION);
            Err(scanner.error(ErrorKind::Limit, message))
        }
    }
}
