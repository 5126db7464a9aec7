//! Words as unit files have them (systemd.syntax(7), systemd.service(5) "Command lines").

use std::path::Path;

/// A command line: each word is one argument, whatever it has.
pub(super) fn words(words: impl Iterator<Item = String>) -> String {
    let mut words = words.map(|word| self::word(&word));
    let first = words.next().unwrap_or_default();
    words.fold(first, |line, word| line + " " + &word)
}

fn word(word: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:=,+@~".contains(&byte);
    // These are signs for systemd at the start of a command.
    if !word.is_empty() && word.bytes().all(plain) && !word.starts_with(['-', '@', ':', '+', '~'])
        || is_flag(word)
    {
        return word.to_owned();
    }
    let mut quoted = String::from('"');
    for character in word.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            '%' => quoted.push_str("%%"),
            '$' => quoted.push_str("$$"),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            character if character.is_control() => {
                let mut bytes = [0; 4];
                for byte in character.encode_utf8(&mut bytes).bytes() {
                    quoted.push_str(&format!("\\x{byte:02x}"));
                }
            }
            character => quoted.push(character),
        }
    }
    quoted.push('"');
    quoted
}

/// `--name` and `-n`, as they are.
fn is_flag(word: &str) -> bool {
    let name = word.strip_prefix("--").or_else(|| word.strip_prefix('-'));
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    name.is_some_and(|name| !name.is_empty() && name.bytes().all(letter))
}

/// A path in a setting that is no command: only `%` has a meaning, and quotes hold spaces together.
pub(super) fn path(path: &Path) -> String {
    let text = path.to_string_lossy();
    let special =
        |character: char| character.is_whitespace() || character.is_control() || "\"'\\;".contains(character);
    if text.contains(special) {
        // `$` is not replaced here.
        word(&text).replace("$$", "$")
    } else {
        text.replace('%', "%%")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_stays_one_word() {
        let cases = [
            ("/usr/bin/siskin", "/usr/bin/siskin"),
            ("serve", "serve"),
            ("--ctx-size", "--ctx-size"),
            ("-c", "-c"),
            ("--max-wait=60s", "\"--max-wait=60s\""),
            ("-", "\"-\""),
            ("", "\"\""),
            ("a b", "\"a b\""),
            ("50%", "\"50%%\""),
            ("$HOME", "\"$$HOME\""),
            ("a\"b\\c'", "\"a\\\"b\\\\c'\""),
            ("a\nb\u{1}", "\"a\\nb\\x01\""),
            ("a;b", "\"a;b\""),
            ("#x", "\"#x\""),
            ("Zoë", "\"Zoë\""),
        ];
        for (text, want) in cases {
            assert_eq!(word(text), want, "{text:?}");
        }
        assert_eq!(words(["a b", "c"].map(str::to_owned).into_iter()), "\"a b\" c");
    }

    #[test]
    fn paths_are_quoted_if_they_must_be() {
        let cases = [
            ("/a/b", "/a/b"),
            ("/a b", "\"/a b\""),
            ("/50%", "/50%%"),
            ("/$x y", "\"/$x y\""),
        ];
        for (text, want) in cases {
            assert_eq!(path(Path::new(text)), want);
        }
    }
}
