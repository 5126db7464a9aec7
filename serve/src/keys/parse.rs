//! The lines of a file of keys.

use super::{Key, ROLES, Roles, secret};

/// The most keys that a file may have: each request is compared with all of them.
const MAX_KEYS: usize = 1000;

/// A line is not a key, or there are none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct KeyLineError {
    /// The line, counted from 1.
    pub line: usize,
    /// What is wrong with it.
    pub problem: LineProblem,
}

/// What is wrong with a line. It never has the line's text, which may be a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LineProblem {
    /// It is neither three words nor one.
    #[error("not `NAME ROLE[,ROLE] sha256:HEX`, and not one key")]
    Form,
    /// The name has other characters, or too many.
    #[error("a name has 1 to 32 letters, digits, dots, hyphens and underscores")]
    Name,
    /// A role is not known.
    #[error("roles are infer, metrics and admin, with commas between them")]
    Role,
    /// The digest is not 64 hexadecimal digits after `sha256:`.
    #[error("a digest is sha256: and 64 hexadecimal digits")]
    Digest,
    /// The key is too short to be one.
    #[error("a key has at least 8 characters")]
    Short,
    /// The key has characters that a header cannot have.
    #[error("a key has letters, digits and signs of ASCII only")]
    Characters,
    /// An earlier line has the same name.
    #[error("has the name of line {0}")]
    SameName(usize),
    /// An earlier line has the same key.
    #[error("has the key of line {0}")]
    SameKey(usize),
    /// There are more keys than that.
    #[error("a file has at most {MAX_KEYS} keys")]
    TooMany,
    /// The file has no keys.
    #[error("the file ends without a key")]
    NoKeys,
}

/// Reads all lines.
pub(super) fn parse(text: &str) -> Result<Vec<Key>, KeyLineError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut keys: Vec<(usize, Key)> = Vec::new();
    let mut plain = 0;
    let mut last = 1;
    for (line, text) in (1..).zip(text.lines()) {
        last = line;
        let fail = |problem| KeyLineError { line, problem };
        let text = text.trim();
        if text.is_empty() || text.starts_with('#') {
            continue;
        }
        let words: Vec<&str> = text.split_whitespace().take(4).collect();
        let key = match words[..] {
            [name, roles, digest] => named(name, roles, digest),
            [key] => {
                plain += 1;
                one(key, plain)
            }
            _ => Err(LineProblem::Form),
        };
        let key = key.map_err(fail)?;
        if keys.len() == MAX_KEYS {
            return Err(fail(LineProblem::TooMany));
        }
        for (earlier, other) in &keys {
            if other.digest == key.digest {
                return Err(fail(LineProblem::SameKey(*earlier)));
            }
            if other.name == key.name {
                return Err(fail(LineProblem::SameName(*earlier)));
            }
        }
        keys.push((line, key));
    }
    if keys.is_empty() {
        let problem = LineProblem::NoKeys;
        return Err(KeyLineError { line: last, problem });
    }
    Ok(keys.into_iter().map(|(_, key)| key).collect())
}

fn named(name: &str, roles: &str, digest: &str) -> Result<Key, LineProblem> {
    check_name(name)?;
    let mut all = Roles::default();
    for word in roles.split(',') {
        let known = ROLES.iter().find(|(known, _)| *known == word);
        all = all.and(known.ok_or(LineProblem::Role)?.1);
    }
    let digest = digest.strip_prefix("sha256:").and_then(secret::from_hex);
    let digest = digest.ok_or(LineProblem::Digest)?;
    Ok(Key::new(name.to_owned(), all, digest))
}

fn one(key: &str, number: usize) -> Result<Key, LineProblem> {
    if !key.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(LineProblem::Characters);
    }
    // A digest alone is a line that lost its name, not a key.
    if key.starts_with("sha256:") {
        return Err(LineProblem::Form);
    }
    if key.len() < 8 {
        return Err(LineProblem::Short);
    }
    Ok(Key::new(
        format!("key{number}"),
        Roles::all(),
        secret::digest(key.as_bytes()),
    ))
}

/// Whether a text can be a key's name.
pub(super) fn check_name(name: &str) -> Result<(), LineProblem> {
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
    let good = (1..=32).contains(&name.len()) && name.bytes().all(letter);
    good.then_some(()).ok_or(LineProblem::Name)
}
