//! An OCI registry: manifests by tag or digest, blobs by digest, a bearer token for everybody who asks.

use std::collections::BTreeMap;

use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::content::hex;
use super::http::{Answer, Asked};
use super::routes::json_answer;
use super::{Content, State, World};

/// A layer of an artifact: its media type and its bytes.
pub type Layer = (&'static str, Vec<u8>);

#[derive(Debug, Default)]
pub(crate) struct Artifacts {
    /// Manifests by `NAME:TAG` and `NAME@DIGEST`.
    manifests: BTreeMap<String, String>,
    pub(crate) token: Option<String>,
}

pub(crate) fn add(world: &mut World, name: &str, tag: &str, layers: &[Layer]) -> String {
    let mut list = Vec::new();
    for (media_type, bytes) in layers {
        let digest = digest(bytes);
        list.push(json!({ "mediaType": media_type, "digest": digest, "size": bytes.len() }));
        world.blobs.insert(digest, Content::from(bytes.clone()));
    }
    let config = b"{}";
    world.blobs.insert(digest(config), Content::from(config.to_vec()));
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
        "config": { "mediaType": "application/vnd.docker.container.image.v1+json", "digest": digest(config), "size": 2 },
        "layers": list,
    })
    .to_string();
    let own = digest(manifest.as_bytes());
    world
        .artifacts
        .manifests
        .insert(format!("{name}@{own}"), manifest.clone());
    world
        .artifacts
        .manifests
        .insert(format!("{name}:{tag}"), manifest);
    own
}

pub(crate) fn token(world: &World) -> Answer {
    json_answer(&json!({ "token": world.artifacts.token }))
}

pub(crate) fn answer(world: &World, asked: &Asked, parts: &[&str], state: &State) -> Answer {
    if let Some(token) = &world.artifacts.token
        && asked.authorization != Some(format!("Bearer {token}"))
    {
        let challenge = format!(
            "Bearer realm=\"http://{}/token\",service=\"mock\",scope=\"repository:x:pull\"",
            state.hub
        );
        return Answer::new(401, "{\"errors\":[]}").with("WWW-Authenticate", challenge);
    }
    let Some((last, before)) = parts.split_last() else {
        return json_answer(&json!({}));
    };
    let Some((kind, name)) = before.split_last() else {
        return Answer::new(404, "");
    };
    let name = name.join("/");
    match *kind {
        "manifests" => {
            let sign = if last.starts_with("sha256:") { '@' } else { ':' };
            match world.artifacts.manifests.get(&format!("{name}{sign}{last}")) {
                Some(manifest) => Answer::new(200, manifest.as_str()).with(
                    "Content-Type",
                    "application/vnd.docker.distribution.manifest.v2+json",
                ),
                None => Answer::new(404, "{\"errors\":[{\"code\":\"MANIFEST_UNKNOWN\"}]}"),
            }
        }
        "blobs" => match world.blobs.get(*last) {
            Some(blob) => Answer::file(blob.clone()),
            None => Answer::new(404, ""),
        },
        _ => Answer::new(404, ""),
    }
}

fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex(&Sha256::digest(bytes)))
}
