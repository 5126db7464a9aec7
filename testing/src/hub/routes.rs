//! What the hub answers if nothing is wrong.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::http::{Answer, Asked};
use super::{File, Gate, Repository, Site, State, World, registry};

pub(crate) fn answer(asked: &Asked, site: Site, state: &State) -> Answer {
    let (path, query) = asked.path.split_once('?').unwrap_or((&asked.path, ""));
    let parts: Vec<String> = path.trim_start_matches('/').split('/').map(decoded).collect();
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    let world = state.world();
    let asks = Asks {
        asked,
        query,
        state,
        world: &world,
    };
    match (site, &parts[..]) {
        (Site::Cdn, ["cdn", digest]) => asks.signed(digest),
        (Site::Cdn, _) => Answer::new(404, ""),
        (Site::Hub, ["v2", rest @ ..]) => registry::answer(&world, asked, rest, state),
        (Site::Hub, ["token"]) => registry::token(&world),
        (Site::Hub, ["api", "models", owner, repo, rest @ ..]) => {
            asks.repo(owner, repo, |found| match rest {
                [] => asks.revision(found, owner, repo, "main"),
                ["revision", revision] => asks.revision(found, owner, repo, revision),
                ["tree", revision] => asks.tree(found, owner, repo, revision),
                ["refs"] => refs(found),
                _ => Answer::new(404, ""),
            })
        }
        (Site::Hub, [owner, repo, "resolve", revision, file @ ..]) => asks.repo(owner, repo, |found| {
            asks.resolve(found, revision, &file.join("/"))
        }),
        _ => Answer::new(404, ""),
    }
}

struct Asks<'a> {
    asked: &'a Asked,
    query: &'a str,
    state: &'a State,
    world: &'a World,
}

impl Asks<'_> {
    /// The value of a parameter of the query.
    fn parameter(&self, name: &str) -> Option<String> {
        let mut pairs = self.query.split('&').filter_map(|pair| pair.split_once('='));
        pairs
            .find(|(key, _)| *key == name)
            .map(|(_, value)| decoded(value))
    }

    /// Answers for a repository that is there and may be read.
    fn repo(&self, owner: &str, repo: &str, answer: impl Fn(&Repository) -> Answer) -> Answer {
        let id = format!("{owner}/{repo}");
        if let Some(new) = self.world.renamed.get(&id) {
            return Answer::new(307, "").with("Location", self.asked.path.replacen(&id, new, 1));
        }
        let Some(found) = self.world.repos.get(&id) else {
            // The hub does not tell strangers whether a private repository is there.
            let status = if self.asked.authorization.is_some() {
                404
            } else {
                401
            };
            return refused(status, "RepoNotFound");
        };
        match (&found.gate, &self.asked.authorization) {
            (Gate::Token(_), None) => refused(401, "GatedRepo"),
            (Gate::Token(token), Some(sent)) if *sent != format!("Bearer {token}") => {
                refused(403, "GatedRepo")
            }
            _ => answer(found),
        }
    }

    fn revision(&self, repo: &Repository, owner: &str, name: &str, revision: &str) -> Answer {
        match commit(repo, revision) {
            Some(commit) => json_answer(&json!({ "id": format!("{owner}/{name}"), "sha": commit })),
            None => refused(404, "RevisionNotFound"),
        }
    }

    fn tree(&self, repo: &Repository, owner: &str, name: &str, revision: &str) -> Answer {
        let Some((commit, files)) = commit(repo, revision).and_then(|c| Some((c, repo.commits.get(c)?)))
        else {
            return refused(404, "RevisionNotFound");
        };
        let start: usize = self
            .parameter("cursor")
            .and_then(|text| text.parse().ok())
            .unwrap_or(0);
        let mut entries: Vec<Value> = if start == 0 { folders(files) } else { Vec::new() };
        entries.extend(
            files
                .iter()
                .skip(start)
                .take(self.world.page)
                .map(|(path, file)| entry(path, file)),
        );
        let answer = json_answer(&Value::Array(entries));
        let next = start + self.world.page;
        if next >= files.len() {
            return answer;
        }
        let hub = self.state.hub;
        let link = format!(
            "<http://{hub}/api/models/{owner}/{name}/tree/{commit}?recursive=true&cursor={next}>; rel=\"next\""
        );
        answer.with("Link", link)
    }

    fn resolve(&self, repo: &Repository, revision: &str, path: &str) -> Answer {
        let Some(commit) = commit(repo, revision) else {
            return refused(404, "RevisionNotFound");
        };
        let Some(file) = repo.commits.get(commit).and_then(|files| files.get(path)) else {
            return refused(404, "EntryNotFound");
        };
        if !file.is_large {
            let answer = Answer::file(file.content.clone());
            return answer
                .with("X-Repo-Commit", commit)
                .with("ETag", format!("\"{}\"", file.git()));
        }
        let signed = format!(
            "http://{}/cdn/{}?file={}&sig={}",
            self.state.cdn,
            file.sha256(),
            path.rsplit('/').next().unwrap_or_default(),
            self.world.signature
        );
        Answer::new(302, "Found")
            .with("Location", signed)
            .with("X-Repo-Commit", commit)
            .with("X-Linked-Etag", format!("\"{}\"", file.sha256()))
            .with("X-Linked-Size", file.content.len().to_string())
    }

    /// A large file, for a signed address that has not expired.
    fn signed(&self, digest: &str) -> Answer {
        if self.parameter("sig") != Some(self.world.signature.to_string()) {
            return Answer::new(403, "<Error>Request has expired</Error>")
                .with("Content-Type", "application/xml");
        }
        let mut files = self
            .world
            .repos
            .values()
            .flat_map(|repo| repo.commits.values())
            .flat_map(BTreeMap::values);
        match files.find(|file| file.sha256() == digest) {
            Some(file) => Answer::file(file.content.clone()),
            None => Answer::new(404, ""),
        }
    }
}

/// The commit that a branch, a tag or a commit's own name means.
fn commit<'a>(repo: &'a Repository, revision: &str) -> Option<&'a String> {
    let named = repo.revisions.get(revision);
    named.or_else(|| repo.commits.keys().find(|commit| *commit == revision))
}

fn refs(repo: &Repository) -> Answer {
    let list: Vec<Value> = repo
        .revisions
        .iter()
        .map(|(name, commit)| json!({ "name": name, "ref": format!("refs/heads/{name}"), "targetCommit": commit }))
        .collect();
    json_answer(&json!({ "branches": list, "tags": [], "converts": [] }))
}

fn folders(files: &BTreeMap<String, File>) -> Vec<Value> {
    let mut names: Vec<&str> = files
        .keys()
        .filter_map(|path| Some(path.rsplit_once('/')?.0))
        .collect();
    names.dedup();
    names
        .iter()
        .map(|name| json!({ "type": "directory", "oid": "0", "size": 0, "path": name }))
        .collect()
}

fn entry(path: &str, file: &File) -> Value {
    let size = file.content.len();
    if !file.is_large {
        return json!({ "type": "file", "oid": file.git(), "size": size, "path": path });
    }
    let lfs = json!({ "oid": file.sha256(), "size": size, "pointerSize": 134 });
    json!({ "type": "file", "oid": file.git(), "size": size, "lfs": lfs, "path": path })
}

pub(crate) fn json_answer(value: &Value) -> Answer {
    Answer::new(200, value.to_string()).with("Content-Type", "application/json; charset=utf-8")
}

fn refused(status: u16, code: &str) -> Answer {
    Answer::new(status, "{\"error\":\"refused\"}")
        .with("X-Error-Code", code)
        .with("X-Error-Message", format!("refused: {code}"))
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        let digit = |byte: Option<u8>| byte.and_then(|b| char::from(b).to_digit(16)).unwrap_or(0);
        bytes.push(if byte == b'%' {
            (digit(rest.next()) * 16 + digit(rest.next())) as u8
        } else {
            byte
        });
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
