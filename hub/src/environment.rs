//! The variables that other clients of the hub know, so that one setting serves them all. Pure but for
//! [`Environment::token`], which may read a file.

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use siskin_model::files;

use crate::HubError;

/// The hub's address if no variable names another.
pub const ENDPOINT: &str = "https://huggingface.co";
/// The longest token in bytes; those of the hub have less than 50.
const MAX_TOKEN: u64 = 4096;

/// A secret that is sent to one host. It is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// A token, if the text can be one: printable characters without spaces.
    pub fn new(text: &str) -> Option<Self> {
        let text = text.trim();
        let good =
            !text.is_empty() && text.len() as u64 <= MAX_TOKEN && text.bytes().all(|b| b.is_ascii_graphic());
        good.then(|| Token(text.to_owned()))
    }

    /// The secret, for the header of a request.
    #[cfg_attr(not(feature = "net"), allow(dead_code))]
    pub(crate) fn secret(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(hidden)")
    }
}

/// A proxy's address, which may have a password in it. It is never printed.
#[derive(Clone, PartialEq, Eq)]
struct ProxyAddress(String);

impl fmt::Debug for ProxyAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ProxyAddress(hidden)")
    }
}

/// Where a token comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
enum TokenSource {
    None,
    Given(Token),
    File(PathBuf),
}

/// What the variables say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Environment {
    /// The hub's address, without a slash at the end: `HF_ENDPOINT`.
    pub endpoint: String,
    /// The folder of the shared cache: `HF_HUB_CACHE`, `HF_HOME/hub`; `None` if there is no home.
    pub cache: Option<PathBuf>,
    /// The variable that forbids the network: `HF_HUB_OFFLINE` or `TRANSFORMERS_OFFLINE`.
    pub offline: Option<&'static str>,
    /// Whether snapshots have copies in place of links: `HF_HUB_DISABLE_SYMLINKS`.
    pub no_symlinks: bool,
    /// How long an answer's head may take: `HF_HUB_ETAG_TIMEOUT`.
    pub head_timeout: Option<Duration>,
    /// How long a body may be without a byte: `HF_HUB_DOWNLOAD_TIMEOUT`.
    pub body_timeout: Option<Duration>,
    /// The folder of ollama's models: `OLLAMA_MODELS`, else `~/.ollama/models`.
    pub ollama: Option<PathBuf>,
    https_proxy: Option<ProxyAddress>,
    http_proxy: Option<ProxyAddress>,
    /// Hosts that are reached without a proxy.
    no_proxy: Vec<String>,
    token: TokenSource,
}

impl Environment {
    /// Reads the variables of this process.
    ///
    /// # Errors
    /// As [`Environment::read`]'s.
    pub fn of_process() -> Result<Self, HubError> {
        Self::read(|name| std::env::var_os(name))
    }

    /// Reads the variables that `lookup` gives. An empty variable is as one that is not set.
    ///
    /// # Errors
    /// A value is not text, or is not the address, number or token that it must be.
    pub fn read(lookup: impl Fn(&str) -> Option<OsString>) -> Result<Self, HubError> {
        let raw = |name: &str| lookup(name).filter(|value| !value.is_empty());
        let folder = |name: &str| raw(name).map(PathBuf::from);
        let text = |name: &'static str| match raw(name).map(OsString::into_string) {
            None => Ok(None),
            Some(Ok(text)) => Ok(Some(text)),
            Some(Err(_)) => Err(wrong(name, "the value is not UTF-8")),
        };
        let is_on = |name: &'static str| -> Result<bool, HubError> {
            let value = text(name)?.map(|value| value.to_ascii_uppercase());
            Ok(matches!(value.as_deref(), Some("1" | "ON" | "YES" | "TRUE")))
        };
        let seconds = |name: &'static str| -> Result<Option<Duration>, HubError> {
            let Some(value) = text(name)? else { return Ok(None) };
            match value.parse::<u32>() {
                Ok(seconds @ 1..=86_400) => Ok(Some(Duration::from_secs(seconds.into()))),
                _ => Err(wrong(
                    name,
                    "the value is not a number of seconds from 1 to 86400",
                )),
            }
        };
        // Proxies are known in both spellings.
        let either = |upper: &'static str, lower: &'static str| -> Result<Option<String>, HubError> {
            Ok(text(lower)?.or(text(upper)?))
        };

        let home = folder("HOME");
        let hf_home = folder("HF_HOME").or_else(|| {
            let cache = folder("XDG_CACHE_HOME").or_else(|| Some(home.as_ref()?.join(".cache")));
            Some(cache?.join("huggingface"))
        });
        let cache = folder("HF_HUB_CACHE")
            .or_else(|| folder("HUGGINGFACE_HUB_CACHE"))
            .or_else(|| Some(hf_home.as_ref()?.join("hub")));
        let mut offline = None;
        for name in ["TRANSFORMERS_OFFLINE", "HF_HUB_OFFLINE"] {
            if is_on(name)? {
                offline = Some(name);
            }
        }
        let mut token = match folder("HF_TOKEN_PATH").or_else(|| Some(hf_home.as_ref()?.join("token"))) {
            Some(path) if !is_on("HF_HUB_DISABLE_IMPLICIT_TOKEN")? => TokenSource::File(path),
            _ => TokenSource::None,
        };
        for name in ["HUGGING_FACE_HUB_TOKEN", "HF_TOKEN"] {
            if let Some(value) = text(name)? {
                let given = Token::new(&value).ok_or_else(|| wrong(name, "the value is not a token"))?;
                token = TokenSource::Given(given);
            }
        }
        let proxy = |upper, lower| -> Result<Option<ProxyAddress>, HubError> {
            Ok(either(upper, lower)?.map(ProxyAddress))
        };
        let all = proxy("ALL_PROXY", "all_proxy")?;
        let no_proxy = either("NO_PROXY", "no_proxy")?.unwrap_or_default();
        Ok(Environment {
            endpoint: endpoint(text("HF_ENDPOINT")?)?,
            cache,
            offline,
            no_symlinks: is_on("HF_HUB_DISABLE_SYMLINKS")?,
            head_timeout: seconds("HF_HUB_ETAG_TIMEOUT")?,
            body_timeout: seconds("HF_HUB_DOWNLOAD_TIMEOUT")?,
            ollama: folder("OLLAMA_MODELS").or_else(|| Some(home.as_ref()?.join(".ollama/models"))),
            https_proxy: proxy("HTTPS_PROXY", "https_proxy")?.or_else(|| all.clone()),
            // A web server's HTTP_PROXY can be a client's header; the lower case cannot.
            http_proxy: proxy("HTTP_PROXY", "http_proxy")?.or(all),
            no_proxy: no_proxy
                .split(',')
                .map(|host| host.trim().to_owned())
                .filter(|host| !host.is_empty())
                .collect(),
            token,
        })
    }

    /// The token that a variable gives, or else the one in the token file; `None` if there is neither.
    ///
    /// # Errors
    /// The file is there and cannot be read, or holds no token.
    pub fn token(&self) -> Result<Option<Token>, HubError> {
        let path = match &self.token {
            TokenSource::None => return Ok(None),
            TokenSource::Given(token) => return Ok(Some(token.clone())),
            TokenSource::File(path) => path,
        };
        if !path.exists() {
            return Ok(None);
        }
        let text = files::read_text(path, MAX_TOKEN)?;
        if text.trim().is_empty() {
            return Ok(None);
        }
        let problem = || HubError::Store {
            path: path.clone(),
            problem: "the file does not hold a token".to_owned(),
        };
        Token::new(&text).map(Some).ok_or_else(problem)
    }

    /// The proxy for an address of this scheme and host; `None` if it is reached directly.
    pub fn proxy_for(&self, scheme: &str, host: &str) -> Option<&str> {
        let host = host.to_ascii_lowercase();
        let goes_around = |entry: &String| {
            let entry = entry.to_ascii_lowercase();
            let entry = entry.split(':').next().unwrap_or_default();
            let tail = entry.trim_start_matches('*').trim_start_matches('.');
            entry == "*" || host == tail || (!tail.is_empty() && host.ends_with(&format!(".{tail}")))
        };
        if self.no_proxy.iter().any(goes_around) {
            return None;
        }
        match scheme {
            "https" => self.https_proxy.as_ref(),
            _ => self.http_proxy.as_ref(),
        }
        .map(|proxy| proxy.0.as_str())
    }
}

fn wrong(variable: &'static str, problem: &str) -> HubError {
    HubError::Environment {
        variable,
        problem: problem.to_owned(),
    }
}

/// The hub's or a mirror's address.
fn endpoint(text: Option<String>) -> Result<String, HubError> {
    let Some(text) = text else {
        return Ok(ENDPOINT.to_owned());
    };
    let text = text.trim_end_matches('/');
    let host = text
        .strip_prefix("https://")
        .or_else(|| text.strip_prefix("http://"));
    let good = |host: &str| {
        !host.is_empty()
            && host
                .bytes()
                .all(|b| b.is_ascii_graphic() && !b"@?#\\\"<>".contains(&b))
    };
    match host {
        Some(host) if good(host) => Ok(text.to_owned()),
        _ => Err(wrong(
            "HF_ENDPOINT",
            "the value is not an address such as https://huggingface.co",
        )),
    }
}

#[cfg(test)]
mod tests;
