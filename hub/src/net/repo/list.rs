//! The hub's API: which commit a revision is, its tree, branches. Limits first: the answers come from strangers.

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::{Refs, RemoteFile, address_of, ask};
use crate::HubError;
use crate::digest::{Digest, hex_bytes};
use crate::name::{HubName, is_safe_path, segment};
use crate::net::answer::wrong;
use crate::net::client::Client;
use crate::net::refusal::Subject;
use crate::net::url::Url;

/// The largest answer in bytes: a page of a tree has at most 1000 files.
const MAX_ANSWER: u64 = 16 << 20;
/// The most files of a repository.
const MAX_FILES: usize = 100_000;
/// The most pages of a tree.
const MAX_PAGES: usize = 1000;

#[derive(Deserialize)]
struct Revision {
    id: Option<String>,
    sha: String,
}

#[derive(Deserialize)]
struct Entry {
    r#type: String,
    path: String,
    #[serde(default)]
    size: u64,
    oid: Option<String>,
    lfs: Option<Lfs>,
}

#[derive(Deserialize)]
struct Lfs {
    oid: String,
    size: u64,
}

#[derive(Deserialize)]
struct RefLists {
    #[serde(default)]
    branches: Vec<Ref>,
    #[serde(default)]
    tags: Vec<Ref>,
}

#[derive(Deserialize)]
struct Ref {
    name: String,
}

/// The commit that `revision` is now, and the repository's present name.
pub(super) fn commit(client: &Client, name: &HubName, revision: &str) -> Result<(String, String), HubError> {
    let endpoint = client.endpoint();
    let url = address_of(&format!(
        "{endpoint}/api/models/{}/revision/{}",
        name.id(),
        segment(revision)
    ))?;
    let subject = subject(client, &name.id(), "the commit", Some(revision));
    let (found, _): (Revision, _) = json(client, &url, &subject)?;
    if hex_bytes::<20>(&found.sha).is_none() {
        return Err(wrong(&url, &subject, "its commit is not 40 hexadecimal digits"));
    }
    // The API answers under the new name of a renamed repository.
    let is_name = |id: &String| matches!(crate::Name::parse(&format!("hf:{id}")), Ok(crate::Name::Hub(_)));
    Ok((found.id.filter(is_name).unwrap_or_else(|| name.id()), found.sha))
}

/// The files of a commit, page by page.
pub(super) fn files(client: &Client, id: &str, commit: &str) -> Result<Vec<RemoteFile>, HubError> {
    let endpoint = client.endpoint();
    let first = address_of(&format!(
        "{endpoint}/api/models/{id}/tree/{commit}?recursive=true"
    ))?;
    let subject = subject(client, id, "the list of files", Some(commit));
    let (mut files, mut next) = (Vec::new(), Some(first));
    for _ in 0..MAX_PAGES {
        let Some(url) = next else { return Ok(files) };
        let (entries, link): (Vec<Entry>, _) = json(client, &url, &subject)?;
        for entry in entries {
            if entry.r#type == "file" {
                files.extend(file(entry).map_err(|problem| wrong(&url, &subject, problem))?);
            }
        }
        if files.len() > MAX_FILES {
            return Err(wrong(&url, &subject, "the repository has too many files"));
        }
        next = match link.as_deref().and_then(next_page) {
            None => None,
            Some(link) => {
                let page = url.join(link).filter(|page| page.is_same_site(&url));
                Some(page.ok_or_else(|| wrong(&url, &subject, "the next page is on another site"))?)
            }
        };
    }
    Err(wrong(&address_of(endpoint)?, &subject, "the list has no end"))
}

/// Branches and tags.
pub(super) fn refs(client: &Client, name: &HubName) -> Result<Refs, HubError> {
    let url = address_of(&format!("{}/api/models/{}/refs", client.endpoint(), name.id()))?;
    let subject = subject(client, &name.id(), "the list of branches", None);
    let (lists, _): (RefLists, _) = json(client, &url, &subject)?;
    let names = |refs: Vec<Ref>| {
        let printable = |name: &String| name.len() <= 255 && !name.contains(char::is_control);
        refs.into_iter().map(|r| r.name).filter(printable).collect()
    };
    Ok(Refs {
        branches: names(lists.branches),
        tags: names(lists.tags),
    })
}

fn subject(client: &Client, id: &str, what: &str, revision: Option<&str>) -> Subject {
    Subject {
        what: format!("{what} of {id}"),
        repo: Some(id.to_owned()),
        revision: revision.map(str::to_owned),
        file: None,
        endpoint: client.endpoint().to_owned(),
    }
}

fn json<T: DeserializeOwned>(
    client: &Client,
    url: &Url,
    subject: &Subject,
) -> Result<(T, Option<String>), HubError> {
    let (bytes, link) = client.text(&ask(client, url, subject), MAX_ANSWER, |answer| {
        answer.header("link")
    })?;
    let parsed = serde_json::from_slice(&bytes);
    let parsed = parsed.map_err(|error| wrong(url, subject, &format!("its JSON cannot be used: {error}")))?;
    Ok((parsed, link))
}

/// A file of the list; `None` if its path cannot be one below a folder: then it is no file of a model.
fn file(entry: Entry) -> Result<Option<RemoteFile>, &'static str> {
    if !is_safe_path(&entry.path) {
        return Ok(None);
    }
    let Some(lfs) = entry.lfs else {
        let git = entry.oid.as_deref().and_then(hex_bytes);
        return Ok(Some(RemoteFile {
            path: entry.path,
            size: entry.size,
            sha256: None,
            git_sha1: git,
        }));
    };
    let Some(Digest::Sha256(sha256)) = Digest::sha256(&lfs.oid) else {
        return Err("the digest of a large file is not a SHA-256");
    };
    Ok(Some(RemoteFile {
        path: entry.path,
        size: lfs.size,
        sha256: Some(sha256),
        git_sha1: None,
    }))
}

/// The address of `rel="next"` in a `Link` header (RFC 8288).
fn next_page(link: &str) -> Option<&str> {
    link.split(',').find_map(|part| {
        let (address, parameters) = part.trim().strip_prefix('<')?.split_once('>')?;
        let is_next = |parameter: &str| matches!(parameter.trim(), "rel=\"next\"" | "rel=next");
        parameters.split(';').any(is_next).then_some(address)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_page_is_found_among_links() {
        let cases = [
            (
                "<https://h/a?cursor=x>; rel=\"next\"",
                Some("https://h/a?cursor=x"),
            ),
            ("</a>; rel=\"prev\", </b>; title=x; rel=next", Some("/b")),
            ("</a>; rel=\"last\"", None),
            ("nonsense", None),
        ];
        for (link, expected) in cases {
            assert_eq!(next_page(link), expected, "{link}");
        }
    }

    #[test]
    fn entries_that_cannot_be_right_are_refused() {
        let sha = "ab".repeat(32);
        let entry = |path: &str, lfs: Option<&str>| Entry {
            r#type: "file".into(),
            path: path.into(),
            size: 130,
            oid: Some("cd".repeat(20)),
            lfs: lfs.map(|oid| Lfs {
                oid: oid.into(),
                size: 7,
            }),
        };
        let large = file(entry("a/b", Some(&sha))).expect("good").expect("a file");
        assert_eq!(
            (large.size, large.sha256, large.git_sha1),
            (7, Some([0xab; 32]), None)
        );
        let small = file(entry("a", None)).expect("good").expect("a file");
        assert_eq!(
            (small.size, small.sha256, small.git_sha1),
            (130, None, Some([0xcd; 20]))
        );
        for path in ["../a", "/a", "a/../b", "a\nb"] {
            assert_eq!(file(entry(path, None)).expect("passed over"), None, "{path:?}");
        }
        for (path, lfs) in [("a", Some("zz")), ("a", Some(""))] {
            assert!(file(entry(path, lfs)).is_err(), "{path} {lfs:?}");
        }
    }
}
