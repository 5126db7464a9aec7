//! Characters that a reader does not see, or takes for others.

use std::fmt;

/// A kind of odd characters in a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Odd {
    kind: &'static str,
    count: usize,
    /// The line of the first one, from 1, and the character; of a word, the word.
    line: usize,
    first: String,
}

impl fmt::Display for Odd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Odd {
            kind,
            count,
            line,
            first,
        } = self;
        write!(
            f,
            "{count} {kind}, the first in line {line}: {first}; look at it with a hex editor"
        )
    }
}

/// Ranges of characters of a kind, both ends included.
type Row = (&'static str, &'static [(char, char)]);

/// Sources: Unicode's Bidi_Control, Default_Ignorable_Code_Point, and the blocks' charts.
const KINDS: [Row; 5] = [
    (
        "characters that change the direction of text",
        &[
            ('\u{61C}', '\u{61C}'),
            ('\u{200E}', '\u{200F}'),
            ('\u{202A}', '\u{202E}'),
            ('\u{2066}', '\u{2069}'),
        ],
    ),
    (
        "characters without a width",
        &[
            ('\u{AD}', '\u{AD}'),
            ('\u{34F}', '\u{34F}'),
            ('\u{115F}', '\u{1160}'),
            ('\u{17B4}', '\u{17B5}'),
            ('\u{180B}', '\u{180F}'),
            ('\u{200B}', '\u{200D}'),
            ('\u{2060}', '\u{2065}'),
            ('\u{206A}', '\u{206F}'),
            ('\u{3164}', '\u{3164}'),
            ('\u{FEFF}', '\u{FEFF}'),
            ('\u{FFA0}', '\u{FFA0}'),
        ],
    ),
    ("invisible tags", &[('\u{E0000}', '\u{E0FFF}')]),
    (
        "characters of private use",
        &[
            ('\u{E000}', '\u{F8FF}'),
            ('\u{F0000}', '\u{FFFFD}'),
            ('\u{100000}', '\u{10FFFD}'),
        ],
    ),
    (
        "control characters",
        &[
            ('\0', '\u{8}'),
            ('\u{B}', '\u{C}'),
            ('\u{E}', '\u{1F}'),
            ('\u{7F}', '\u{9F}'),
            ('\u{2028}', '\u{2029}'),
        ],
    ),
];

/// Scripts with letters that look like Latin ones: Greek, Cyrillic, Armenian, Cherokee, and full-width Latin.
const LIKE_LATIN: [(char, char); 6] = [
    ('\u{370}', '\u{3FF}'),
    ('\u{400}', '\u{52F}'),
    ('\u{531}', '\u{587}'),
    ('\u{13A0}', '\u{13FF}'),
    ('\u{FF21}', '\u{FF3A}'),
    ('\u{FF41}', '\u{FF5A}'),
];

fn is_in(ranges: &[(char, char)], c: char) -> bool {
    ranges.iter().any(|&(from, to)| (from..=to).contains(&c))
}

impl Odd {
    /// The odd characters of a text, one entry a kind.
    pub(super) fn in_text(text: &str) -> Vec<Odd> {
        if text
            .bytes()
            .all(|byte| matches!(byte, b'\t' | b'\n' | b'\r' | b' '..=b'~'))
        {
            return Vec::new();
        }
        let mut found: Vec<Odd> = Vec::new();
        let mut add = |kind: &'static str, line: usize, first: &dyn Fn() -> String| match found
            .iter_mut()
            .find(|odd| odd.kind == kind)
        {
            Some(odd) => odd.count += 1,
            None => found.push(Odd {
                kind,
                count: 1,
                line,
                first: first(),
            }),
        };
        for (line, text) in (1..).zip(text.split('\n')) {
            for c in text.chars() {
                // The blocks above are all outside ASCII, but for control characters.
                if let Some(row) = KINDS.iter().find(|row| is_in(row.1, c)) {
                    add(row.0, line, &|| format!("U+{:04X}", u32::from(c)));
                }
            }
            for word in text.split(|c: char| !c.is_alphanumeric()) {
                let has = |of: &dyn Fn(char) -> bool| word.chars().any(of);
                if has(&|c| c.is_ascii_alphabetic()) && has(&|c| c.is_alphabetic() && is_in(&LIKE_LATIN, c)) {
                    add(
                        "words that mix Latin letters with others that look like them",
                        line,
                        &|| {
                            let shown: String = word.chars().take(40).collect();
                            shown.escape_unicode().to_string()
                        },
                    );
                }
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_odd_and_what_is_not() {
        /// Part of the message, count, line.
        type Want<'a> = Option<(&'a str, usize, usize)>;
        let cases: [(&str, Want<'_>); 11] = [
            ("Usual text\n\twith tabs, 中文, émigré, Ελλάδα, Москва, 👩", None),
            ("a\nb\u{202E}c\u{2066}", Some(("direction", 2, 2))),
            ("zero\u{200B}width", Some(("without a width", 1, 1))),
            ("\u{FEFF}start", Some(("without a width", 1, 1))),
            ("tag\u{E0041}\u{E0042}", Some(("invisible tags", 2, 1))),
            ("\u{E000}", Some(("private use", 1, 1))),
            ("\u{1B}[2J", Some(("control characters", 1, 1))),
            ("\u{7F}", Some(("control characters", 1, 1))),
            ("p\u{430}ypal and paypal", Some(("mix Latin", 1, 1))),
            ("\u{3B1}dmin", Some(("mix Latin", 1, 1))),
            ("\u{FF41}dmin", Some(("mix Latin", 1, 1))),
        ];
        for (text, want) in cases {
            let found = Odd::in_text(text);
            let found = found.first().map(|odd| (odd.to_string(), odd.count, odd.line));
            match (found, want) {
                (None, None) => {}
                (Some((what, count, line)), Some(want)) => {
                    assert!(what.contains(want.0), "{text:?}: {what}");
                    assert_eq!((count, line), (want.1, want.2), "{text:?}");
                }
                (found, want) => panic!("{text:?}: {found:?}, not {want:?}"),
            }
        }
        let both = Odd::in_text("p\u{430}y\u{200B}");
        assert_eq!(both.len(), 2);
    }
}
