//! Artifacts of OCI registries, ollama's among them: a manifest by tag or digest, blobs by digest, through the same
//! reader as the hub's files. <https://github.com/opencontainers/distribution-spec/blob/main/spec.md>

mod challenge;

use std::sync::Arc;

use serde::Deserialize;

use super::answer::{Ask, wrong};
use super::body::{Body, Source};
use super::client::{Client, Credential};
use super::refusal::Subject;
use super::remote::RemoteReader;
use super::url::Url;
use crate::HubError;
use crate::digest::Digest;
use crate::environment::Token;
use crate::name::{OciName, OllamaName};
pub use crate::ollama::{Layer, Role};

/// ollama's registry.
const OLLAMA: &str = "registry.ollama.ai";
/// The largest manifest, and the largest answer of a token service, in bytes.
const MAX_MANIFEST: u64 = 4 << 20;
/// Media types of manifests that are understood.
const ACCEPT: &str =
    "application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json";

/// An artifact of a registry, by its manifest.
#[derive(Debug, Clone)]
pub struct Artifact {
    client: Client,
    base: Url,
    repository: String,
    credential: Option<Credential>,
    /// What was asked for, for people.
    pub name: String,
    /// SHA-256 of the manifest: the artifact's own name, which never means anything else.
    pub digest: Digest,
    /// The layers, in the manifest's order.
    pub layers: Vec<Layer>,
}

impl Artifact {
    /// Asks ollama's registry for a model. `OLLAMA_HOST` is not a registry, so no variable names another one.
    ///
    /// # Errors
    /// There is no such model, or the network fails.
    pub fn of_ollama(client: &Client, name: &OllamaName) -> Result<Self, HubError> {
        let OllamaName {
            namespace,
            model,
            tag,
        } = name;
        let name = OciName {
            host: OLLAMA.to_owned(),
            repository: format!("{namespace}/{model}"),
            reference: tag.clone(),
        };
        Self::open(client, &name)
    }

    /// Asks a registry for an artifact: over TLS, or plainly if the registry is on this machine.
    ///
    /// # Errors
    /// There is no such artifact, it is not for everybody, its manifest is not understood, or the network fails.
    pub fn open(client: &Client, name: &OciName) -> Result<Self, HubError> {
        let OciName {
            host,
            repository,
            reference,
        } = name;
        let text = format!("{host}/{repository}:{reference}");
        let subject = Subject {
            what: text.clone(),
            ..Subject::default()
        };
        let parse = |scheme: &str| Url::parse(&format!("{scheme}://{host}/v2/"));
        let base = parse("http").filter(Url::is_loopback).or_else(|| parse("https"));
        let base = base.ok_or_else(|| HubError::Answer {
            host: host.clone(),
            what: text.clone(),
            problem: "this is not a host".to_owned(),
        })?;
        let path = format!("/v2/{repository}/manifests/{reference}");
        let url = base
            .join(&path)
            .ok_or_else(|| wrong(&base, &subject, "the name cannot be in an address"))?;
        let (manifest, credential) = manifest(client, &url, &subject, repository)?;
        let digest = Digest::Sha256([0; 32]).of_same_kind(&manifest);
        if let Some(expected) = Digest::sha256(reference).filter(|_| reference.starts_with("sha256:"))
            && expected != digest
        {
            return Err(HubError::Digest {
                what: text,
                expected,
                found: digest,
            });
        }
        let layers = crate::ollama::layers(&manifest).map_err(|problem| wrong(&url, &subject, &problem))?;
        Ok(Artifact {
            client: client.clone(),
            base,
            repository: repository.clone(),
            credential,
            name: text,
            digest,
            layers,
        })
    }

    /// The layers that are GGUF files of weights; a split model has several.
    pub fn models(&self) -> impl Iterator<Item = &Layer> {
        self.layers.iter().filter(|layer| layer.role == Role::Model)
    }

    /// The bytes of a layer from `offset` on. The caller compares their digest.
    ///
    /// # Errors
    /// The registry's name cannot be in an address.
    pub fn open_at(&self, layer: &Layer, offset: u64) -> Result<Body, HubError> {
        Ok(Body::new(
            self.client.clone(),
            self.source(layer)?,
            offset..layer.size,
        ))
    }

    /// A reader at any position of a layer, for headers.
    ///
    /// # Errors
    /// The registry's name cannot be in an address.
    pub fn read_at(&self, layer: &Layer) -> Result<Arc<RemoteReader>, HubError> {
        Ok(Arc::new(RemoteReader::new(
            self.client.clone(),
            self.source(layer)?,
        )))
    }

    fn source(&self, layer: &Layer) -> Result<Arc<Source>, HubError> {
        let subject = Subject {
            what: format!("{} of {}", layer.digest, self.name),
            ..Subject::default()
        };
        let path = format!("/v2/{}/blobs/{}", self.repository, layer.digest);
        let url = self
            .base
            .join(&path)
            .ok_or_else(|| wrong(&self.base, &subject, "the name cannot be in an address"))?;
        Ok(Arc::new(Source::new(
            url,
            subject,
            self.credential.clone(),
            layer.size,
        )))
    }
}

/// The manifest, and the token that it needed. A registry that wants one says in its 401 where to get it; those for
/// everybody give it to everybody.
fn manifest(
    client: &Client,
    url: &Url,
    subject: &Subject,
    repository: &str,
) -> Result<(Vec<u8>, Option<Credential>), HubError> {
    let get = |credential: Option<&Credential>| {
        let ask = Ask {
            url,
            subject,
            range: None,
            accept: Some(ACCEPT),
            credential,
            is_signed: false,
        };
        client.text(&ask, MAX_MANIFEST, |_| ())
    };
    let challenge = match get(None) {
        Ok((bytes, ())) => return Ok((bytes, None)),
        Err(HubError::Status {
            status: 401, message, ..
        }) => message,
        Err(error) => return Err(error),
    };
    let address = challenge::token_address(&challenge, repository);
    let address = address
        .and_then(|address| Url::parse(&address))
        .filter(|token| url.may_lead_to(token));
    let address =
        address.ok_or_else(|| wrong(url, subject, "it asks for a token without saying where to get it"))?;
    let token_subject = Subject {
        what: format!("a token for {}", subject.what),
        ..Subject::default()
    };
    let token_ask = Ask {
        url: &address,
        subject: &token_subject,
        range: None,
        accept: Some("application/json"),
        credential: None,
        is_signed: false,
    };
    #[derive(Deserialize)]
    struct Given {
        token: Option<String>,
        access_token: Option<String>,
    }
    let (bytes, ()) = client.text(&token_ask, MAX_MANIFEST, |_| ())?;
    let given: Option<Given> = serde_json::from_slice(&bytes).ok();
    let token = given
        .and_then(|given| given.token.or(given.access_token))
        .and_then(|token| Token::new(&token));
    let token = token.ok_or_else(|| wrong(&address, &token_subject, "its answer holds no token"))?;
    let credential = Credential {
        site: url.clone(),
        token,
    };
    let (bytes, ()) = get(Some(&credential)).map_err(|error| match error {
        HubError::Status {
            host,
            what,
            status: status @ (401 | 403),
            ..
        } => HubError::Status {
            host,
            what,
            status,
            message: "this is not for everybody".to_owned(),
        },
        error => error,
    })?;
    Ok((bytes, Some(credential)))
}
