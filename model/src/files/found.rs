//! What a file is, by its first bytes: for errors that tell a user what was downloaded instead of a model.

use std::fmt;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// A kind of file that is often found in the place of another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Found {
    /// Nothing: a download that never began, or a full disk.
    Empty,
    /// A pointer of Git LFS: <https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md>.
    LfsPointer,
    /// A web page, such as a login form.
    Html,
    /// XML, such as an error message of an object store.
    Xml,
    /// A JSON object or list, such as an error message of a server.
    Json,
    /// A ZIP archive; PyTorch's newer files are ZIP archives too.
    Zip,
    /// A file compressed by another program.
    Compressed(&'static str),
    /// Python's pickle, as in PyTorch's older files.
    Pickle,
    /// A GGUF file.
    Gguf,
    /// llama.cpp's formats from before GGUF.
    OldGgml,
    /// A safetensors file.
    Safetensors,
    /// A tar archive.
    Tar,
    /// Some other text.
    Text,
}

/// Bytes that are enough to recognize every kind; `ustar` is at position 257.
pub(super) const ENOUGH: usize = 512;

/// The first bytes of a kind; none is the start of another.
const STARTS: [(&[u8], Found); 16] = [
    (b"version https://git-lfs.github.com/spec/", Found::LfsPointer),
    (b"GGUF", Found::Gguf),
    (b"FUGG", Found::Gguf),
    (b"lmgg", Found::OldGgml),
    (b"fmgg", Found::OldGgml),
    (b"tjgg", Found::OldGgml),
    (b"algg", Found::OldGgml),
    (b"PK\x03\x04", Found::Zip),
    (b"PK\x05\x06", Found::Zip),
    (b"\x1f\x8b", Found::Compressed("gzip")),
    (b"\x28\xb5\x2f\xfd", Found::Compressed("zstd")),
    (b"\xfd7zXZ\0", Found::Compressed("xz")),
    (b"BZh", Found::Compressed("bzip2")),
    (b"7z\xbc\xaf\x27\x1c", Found::Compressed("7-Zip")),
    (b"\x80\x02", Found::Pickle),
    (b"\x80\x04", Found::Pickle),
];

/// Starts of a web page, in lower case, after white space and a byte order mark.
const HTML: [&[u8]; 4] = [b"<!doctype html", b"<html", b"<head", b"<body"];

impl Found {
    /// What `file` is, if it is one of the known kinds.
    ///
    /// # Errors
    /// The system cannot read the file.
    pub fn in_file(file: &File) -> io::Result<Option<Self>> {
        let mut start = [0; ENOUGH];
        let mut len = 0;
        while len < ENOUGH {
            match file.read_at(&mut start[len..], len as u64) {
                Ok(0) => break,
                Ok(read) => len += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Self::from_start(&start[..len]))
    }

    /// What a file is that begins with `start`, a few hundred bytes.
    pub fn from_start(start: &[u8]) -> Option<Self> {
        if start.is_empty() {
            return Some(Found::Empty);
        }
        // A safetensors file is the length of its header, which may look like another kind's start, and the header, a
        // JSON object.
        let header = start.first_chunk().map(|len| u64::from_le_bytes(*len));
        if header.is_some_and(|len| (2..1 << 32).contains(&len)) && start.get(8) == Some(&b'{') {
            return Some(Found::Safetensors);
        }
        if let Some((_, found)) = STARTS.iter().find(|(magic, _)| start.starts_with(magic)) {
            return Some(*found);
        }
        if start.get(257..262) == Some(b"ustar") {
            return Some(Found::Tar);
        }
        let text = start
            .strip_prefix(b"\xef\xbb\xbf")
            .unwrap_or(start)
            .trim_ascii_start();
        let begins = |with: &[u8]| {
            text.get(..with.len())
                .is_some_and(|t| t.eq_ignore_ascii_case(with))
        };
        match text {
            _ if HTML.iter().any(|with| begins(with)) => Some(Found::Html),
            _ if begins(b"<?xml") || begins(b"<Error>") => Some(Found::Xml),
            [b'{' | b'[', rest @ ..] if starts_json(rest) => Some(Found::Json),
            _ if is_text(start) => Some(Found::Text),
            _ => None,
        }
    }

    /// True if no file of a model, no chat template and no importance matrix begins like this.
    pub fn is_never_part_of_a_model(self) -> bool {
        matches!(
            self,
            Found::LfsPointer | Found::Html | Found::Xml | Found::Zip | Found::Compressed(_) | Found::Tar
        )
    }
}

/// Whether this follows the bracket of a JSON object or list. A chat template begins with a bracket too.
fn starts_json(rest: &[u8]) -> bool {
    matches!(
        rest.trim_ascii_start(),
        [] | [b'"' | b'}' | b']' | b'[' | b'0'..=b'9' | b'-', ..]
    )
}

fn is_text(start: &[u8]) -> bool {
    let whole = match std::str::from_utf8(start) {
        Ok(text) => text,
        // The last character may be cut.
        Err(error) if error.error_len().is_none() => {
            std::str::from_utf8(&start[..error.valid_up_to()]).unwrap_or_default()
        }
        Err(_) => return false,
    };
    !whole.is_empty() && !whole.contains(|c: char| c.is_control() && !c.is_ascii_whitespace())
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Found::Empty => "an empty file; get it again",
            Found::LfsPointer => {
                "a Git LFS pointer, not the file itself; run `git lfs pull` in the repository"
            }
            Found::Html => {
                "an HTML page, not the file itself; the download may need a login, or another address"
            }
            Found::Xml => {
                "an XML text, not the file itself; it may be a server's error message: get the file again"
            }
            Found::Json => {
                "a JSON text; it may be a server's error message instead of the file: get the file again"
            }
            Found::Zip => "a ZIP archive; PyTorch's .bin and .pt files are ZIP archives too",
            Found::Compressed(by) => return write!(f, "a file compressed with {by}; decompress it first"),
            Found::Pickle => "a Python pickle, as PyTorch writes it",
            Found::Gguf => "a GGUF file",
            Found::OldGgml => "a file of llama.cpp's formats from before GGUF; get the model as GGUF",
            Found::Safetensors => "a safetensors file",
            Found::Tar => "a tar archive; unpack it first",
            Found::Text => {
                "a text; it may be a server's error message instead of the file: get the file again"
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_bytes() {
        let safetensors = [&64u64.to_le_bytes()[..], b"{\"__metadata__\":{}}"].concat();
        let tar = [&[b'a'; 257][..], b"ustar\0"].concat();
        let pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n";
        let length_like_a_pickle = [&640u64.to_le_bytes()[..], b"{\"a\":{}}"].concat();
        let cases: [(&[u8], Option<Found>); 30] = [
            (&length_like_a_pickle, Some(Found::Safetensors)),
            (b"", Some(Found::Empty)),
            (pointer, Some(Found::LfsPointer)),
            (b"version https://git-lfs.github.com/spec", Some(Found::Text)),
            (b"GGUF\x03\0\0\0", Some(Found::Gguf)),
            (b"<!DOCTYPE html><html>", Some(Found::Html)),
            (b"\xef\xbb\xbf\r\n <HTML lang=en>", Some(Found::Html)),
            (b"<!doctype HTML PUBLIC", Some(Found::Html)),
            (b"<?xml version=\"1.0\"?><Error>", Some(Found::Xml)),
            (b"<Error><Code>AccessDenied", Some(Found::Xml)),
            (b"{\"error\":\"Repository not found\"}", Some(Found::Json)),
            (b"[\n]", Some(Found::Json)),
            (b"{%- if messages %}", Some(Found::Text)),
            (b"{{ bos_token }}", Some(Found::Text)),
            (b"{# a comment #}", Some(Found::Text)),
            (b"PK\x03\x04\x14", Some(Found::Zip)),
            (b"\x1f\x8b\x08\0", Some(Found::Compressed("gzip"))),
            (b"\x28\xb5\x2f\xfd\x24", Some(Found::Compressed("zstd"))),
            (b"BZh91AY", Some(Found::Compressed("bzip2"))),
            (b"\x80\x02\x8a\x0a", Some(Found::Pickle)),
            (b"lmgg", Some(Found::OldGgml)),
            (b"tjgg\x03\0\0\0", Some(Found::OldGgml)),
            (&safetensors, Some(Found::Safetensors)),
            (&tar, Some(Found::Tar)),
            (b"Entry not found", Some(Found::Text)),
            ("Gr\u{fc}\u{df}e".as_bytes(), Some(Found::Text)),
            (b"Gr\xc3", Some(Found::Text)),
            (b"\x0a\x0e\x0a\x05<unk>\x15\0\0\0\0", None),
            (b"\x01\0\0\0\x05\0\0\0a.b.c", None),
            (b"\xff\xfe", None),
        ];
        for (start, want) in cases {
            assert_eq!(Found::from_start(start), want, "{}", start.escape_ascii());
        }
    }

    #[test]
    fn what_can_never_be_a_models_file() {
        for (_, found) in STARTS {
            let model = matches!(found, Found::Gguf | Found::OldGgml | Found::Pickle);
            assert_eq!(found.is_never_part_of_a_model(), !model, "{found}");
        }
    }
}
