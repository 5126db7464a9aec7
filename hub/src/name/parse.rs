//! The forms of a name.

use super::{HubName, MAX_LEN, Name, OciName, OllamaName, Problem, Wanted, is_safe_path};

/// Tags of a `huggingface.co` address between repository and revision.
const VIEWS: [&str; 4] = ["tree", "blob", "resolve", "raw"];

pub(super) fn name(text: &str) -> Result<Name, Problem> {
    if text.is_empty() {
        return Err(Problem::Empty);
    }
    if text.len() > MAX_LEN {
        return Err(Problem::TooLong);
    }
    if text.contains(|c: char| c.is_control() || c == '\\') {
        return Err(Problem::Character);
    }
    if let Some((scheme, rest)) = text.split_once("://") {
        return address(scheme, rest);
    }
    let source = text
        .split_once(':')
        .filter(|(before, _)| !before.contains(['/', '@']));
    match source {
        Some(("hf" | "huggingface", rest)) => hub(rest),
        Some(("ollama", rest)) => ollama(rest),
        Some(("oci" | "docker", rest)) => oci(rest),
        Some(_) => Err(Problem::Source),
        None if text.contains('/') => hub(text),
        None => word(text).map(Name::Short),
    }
}

/// One part of a name: letters, digits, `-`, `_`, `.`.
fn word(text: &str) -> Result<String, Problem> {
    if text.is_empty() || text.bytes().all(|byte| byte == b'.') {
        return Err(Problem::Part);
    }
    if text.len() > 128 {
        return Err(Problem::TooLong);
    }
    let known = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if text.starts_with('-') || !text.bytes().all(known) {
        return Err(Problem::Character);
    }
    Ok(text.to_owned())
}

/// A path of a repository: any characters that a path may have.
fn file(text: &str) -> Result<String, Problem> {
    if is_safe_path(text) {
        Ok(text.to_owned())
    } else {
        Err(Problem::Part)
    }
}

/// A revision: what Git allows of a branch's name, and no part that is made of dots.
fn revision(text: &str) -> Result<String, Problem> {
    let text = percent_decoded(text)?;
    if !is_safe_path(&text) || text.contains("..") {
        return Err(Problem::Part);
    }
    if text.starts_with('-') || text.contains(|c: char| c.is_whitespace() || "~^:?*[@".contains(c)) {
        return Err(Problem::Character);
    }
    Ok(text)
}

fn percent_decoded(text: &str) -> Result<String, Problem> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        let digit = |byte: Option<u8>| byte.and_then(|b| char::from(b).to_digit(16));
        bytes.push(match byte {
            b'%' => match (digit(rest.next()), digit(rest.next())) {
                (Some(high), Some(low)) => (high * 16 + low) as u8,
                _ => return Err(Problem::Character),
            },
            byte => byte,
        });
    }
    String::from_utf8(bytes).map_err(|_| Problem::Character)
}

/// `OWNER/REPO[@REVISION][/FILE]`, `OWNER/REPO[@REVISION]:TYPE`.
fn hub(text: &str) -> Result<Name, Problem> {
    let (owner, rest) = text.split_once('/').ok_or(Problem::Parts)?;
    let end = rest.find(['/', '@', ':']).unwrap_or(rest.len());
    let (repo, rest) = rest.split_at(end);
    let (owner, repo) = (word(owner)?, word(repo)?);
    let (at, rest) = match rest.strip_prefix('@') {
        // What follows a slash is a file, so a slash of a revision is typed as %2F. Git's own names, such as
        // refs/pr/1, are known by their start.
        Some(rest) => {
            let parts = if rest.starts_with("refs/") { 3 } else { 1 };
            let slash = rest.match_indices('/').nth(parts - 1);
            let end = slash.map_or(rest.len(), |(at, _)| at);
            let end = rest[..end].find(':').unwrap_or(end);
            (Some(revision(&rest[..end])?), &rest[end..])
        }
        None => (None, rest),
    };
    let wanted = match rest.split_at_checked(1) {
        None => Wanted::Model,
        Some(("/", path)) => Wanted::File(file(path)?),
        Some((_, ty)) => Wanted::Type(word(ty)?),
    };
    Ok(Name::Hub(HubName {
        owner,
        repo,
        revision: at,
        wanted,
    }))
}

/// `https://huggingface.co/OWNER/REPO[/tree/REVISION | /blob/REVISION/FILE | /resolve/REVISION/FILE]`.
fn address(scheme: &str, rest: &str) -> Result<Name, Problem> {
    let rest = rest.split(['?', '#']).next().unwrap_or_default();
    let (host, path) = rest.split_once('/').ok_or(Problem::Site)?;
    let known = ["huggingface.co", "www.huggingface.co", "hf.co"];
    if !matches!(scheme, "https" | "http") || !known.contains(&host) {
        return Err(Problem::Site);
    }
    let mut parts = path.trim_end_matches('/').splitn(5, '/');
    let owner = word(parts.next().unwrap_or_default())?;
    let repo = word(parts.next().ok_or(Problem::Parts)?)?;
    let (at, wanted) = match (parts.next(), parts.next(), parts.next()) {
        (None, ..) => (None, Wanted::Model),
        (Some(view), Some(at), path) if VIEWS.contains(&view) => {
            let wanted = match path {
                Some(path) => Wanted::File(file(&percent_decoded(path)?)?),
                None => Wanted::Model,
            };
            (Some(revision(at)?), wanted)
        }
        _ => return Err(Problem::Parts),
    };
    Ok(Name::Hub(HubName {
        owner,
        repo,
        revision: at,
        wanted,
    }))
}

/// `NAME[:TAG]`, `NAMESPACE/NAME[:TAG]`.
fn ollama(text: &str) -> Result<Name, Problem> {
    let (path, tag) = text.split_once(':').unwrap_or((text, "latest"));
    let (namespace, model) = path.split_once('/').unwrap_or(("library", path));
    Ok(Name::Ollama(OllamaName {
        namespace: word(namespace)?,
        model: word(model)?,
        tag: word(tag)?,
    }))
}

/// `HOST[:PORT]/NAME[:TAG | @sha256:…]`.
fn oci(text: &str) -> Result<Name, Problem> {
    let (host, rest) = text.split_once('/').ok_or(Problem::Oci)?;
    let (name, port) = host.split_once(':').unwrap_or((host, "443"));
    word(name)?;
    port.parse::<u16>().map_err(|_| Problem::Oci)?;
    let (repository, reference) = match rest.split_once('@') {
        Some((repository, digest)) => {
            let hex = digest.strip_prefix("sha256:").ok_or(Problem::Digest)?;
            if hex.len() != 64 || !hex.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
                return Err(Problem::Digest);
            }
            (repository, digest.to_owned())
        }
        None => {
            let (repository, tag) = rest.split_once(':').unwrap_or((rest, "latest"));
            (repository, word(tag)?)
        }
    };
    for part in repository.split('/') {
        word(part)?;
    }
    Ok(Name::Oci(OciName {
        host: host.to_owned(),
        repository: repository.to_owned(),
        reference,
    }))
}
