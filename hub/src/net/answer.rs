//! One request and its answer: redirects, refusals, and the checks that every answer goes through.

use std::io::{self, Read};
use std::ops::Range;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use ureq::http::Response;

use super::client::{Client, Credential};
use super::refusal::{Refusal, Subject, error};
use super::retry::{Failure, asked_wait};
use super::url::Url;
use crate::HubError;

/// The most redirects of one request.
const MAX_REDIRECTS: usize = 10;

/// A request.
#[derive(Debug, Clone)]
pub(super) struct Ask<'a> {
    pub(super) url: &'a Url,
    pub(super) subject: &'a Subject,
    /// The bytes that are wanted; the end may be left open.
    pub(super) range: Option<(u64, Option<u64>)>,
    pub(super) accept: Option<&'a str>,
    pub(super) credential: Option<&'a Credential>,
    /// Whether the address is one that a redirect led to before, and that may have expired.
    pub(super) is_signed: bool,
}

/// A good answer: 200 or 206.
pub(super) struct Answer {
    response: Response<ureq::Body>,
    /// The address that gave it, after redirects.
    pub(super) url: Url,
}

impl Answer {
    pub(super) fn header(&self, name: &str) -> Option<String> {
        header(&self.response, name)
    }

    pub(super) fn is_partial(&self) -> bool {
        self.response.status().as_u16() == 206
    }

    pub(super) fn content_length(&self) -> Option<u64> {
        self.header("content-length")?.trim().parse().ok()
    }

    /// The bytes that a partial answer says it has, and the file's size if it tells.
    pub(super) fn content_range(&self) -> Option<(Range<u64>, Option<u64>)> {
        content_range(&self.header("content-range")?)
    }

    /// The body. Its errors say what happened to the connection.
    pub(super) fn into_reader(self) -> Box<dyn Read + Send> {
        Box::new(self.response.into_body().into_reader())
    }

    /// The whole body, if it has at most `limit` bytes.
    pub(super) fn read(self, client: &Client, subject: &Subject, limit: u64) -> Result<Vec<u8>, Failure> {
        let too_large = || HubError::TooLarge {
            what: subject.what.clone(),
            limit,
        };
        if self.content_length().is_some_and(|len| len > limit) {
            return Err(too_large().into());
        }
        let mut bytes = Vec::new();
        let read = self
            .into_reader()
            .take(limit.saturating_add(1))
            .read_to_end(&mut bytes);
        client.0.bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        read.map_err(|error| of_body(error, client.stall()))?;
        if bytes.len() as u64 > limit {
            return Err(too_large().into());
        }
        Ok(bytes)
    }
}

fn header(response: &Response<ureq::Body>, name: &str) -> Option<String> {
    Some(response.headers().get(name)?.to_str().ok()?.to_owned())
}

/// `bytes FIRST-LAST/TOTAL`, with `*` for a total that is not known.
fn content_range(text: &str) -> Option<(Range<u64>, Option<u64>)> {
    let (range, total) = text.trim().strip_prefix("bytes")?.trim().split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let (first, last) = (first.trim().parse().ok()?, last.trim().parse::<u64>().ok()?);
    let total = match total.trim() {
        "*" => None,
        total => Some(total.parse().ok()?),
    };
    let end = last.checked_add(1)?;
    (first < end).then_some((first..end, total))
}

impl Client {
    /// Sends one request and follows its redirects. The token goes to its own site only.
    pub(super) fn ask(&self, ask: &Ask<'_>) -> Result<Answer, Failure> {
        self.may_ask_for(&ask.subject.what)?;
        let mut url = ask.url.clone();
        for _ in 0..MAX_REDIRECTS {
            let credential = ask
                .credential
                .filter(|credential| credential.site.is_same_site(&url));
            let response = self.send(ask, &url, credential)?;
            let status = response.status().as_u16();
            let heads = response.headers().iter();
            let heads = heads.map(|(name, value)| {
                (
                    name.to_string(),
                    String::from_utf8_lossy(value.as_bytes()).into_owned(),
                )
            });
            self.tell_head(&url, status, heads);
            if !matches!(status, 301 | 302 | 303 | 307 | 308) {
                return self.judge(ask, url, response, credential.is_some());
            }
            let wrong = |problem: &str| wrong(&url, ask.subject, problem);
            let location =
                header(&response, "location").ok_or_else(|| wrong("a redirect without an address"))?;
            let next = url
                .join(&location)
                .ok_or_else(|| wrong("a redirect to something that is not an address"))?;
            if !url.may_lead_to(&next) {
                return Err(wrong("it redirects from https to http, which is not followed").into());
            }
            url = next;
        }
        Err(wrong(ask.url, ask.subject, "it redirects in a circle").into())
    }

    fn send(
        &self,
        ask: &Ask<'_>,
        url: &Url,
        credential: Option<&Credential>,
    ) -> Result<Response<ureq::Body>, Failure> {
        if self.is_cancelled() {
            return Err(HubError::Interrupted.into());
        }
        let mut request = self.agent(url)?.get(url.to_string());
        if let Some(credential) = credential {
            request = request.header("authorization", format!("Bearer {}", credential.token.secret()));
        }
        if let Some((first, end)) = ask.range {
            let last = end.map_or(String::new(), |end| (end - 1).to_string());
            request = request.header("range", format!("bytes={first}-{last}"));
        }
        if let Some(accept) = ask.accept {
            request = request.header("accept", accept);
        }
        self.0.requests.fetch_add(1, Ordering::Relaxed);
        // Names are resolved and connections made without a way to stop, so another thread does it. If the caller
        // wants to stop, that thread ends by its own time limits, and nobody waits for it.
        let (sender, receiver) = mpsc::sync_channel(1);
        let thread = std::thread::Builder::new().name("hub request".to_owned());
        thread
            .spawn(move || {
                // If nobody waits any more, the answer is not needed.
                let _ = sender.send(request.call());
            })
            .map_err(|error| Failure::Again(error.to_string()))?;
        loop {
            match receiver.recv_timeout(Duration::from_millis(100)) {
                Ok(answer) => {
                    return answer.map_err(|error| self.through(url, of_request(error, url, self.stall())));
                }
                Err(RecvTimeoutError::Timeout) if self.is_cancelled() => {
                    return Err(HubError::Interrupted.into());
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(Failure::Again("the request was lost".into()));
                }
            }
        }
    }

    /// Tells people about the proxy that a connection would have gone through: the host itself may be fine.
    fn through(&self, url: &Url, failure: Failure) -> Failure {
        match failure {
            Failure::Again(problem) if self.environment().proxy_for(url.scheme(), url.host()).is_some() => {
                Failure::Again(format!("{problem}, through the proxy that the environment names"))
            }
            failure => failure,
        }
    }

    fn judge(
        &self,
        ask: &Ask<'_>,
        url: Url,
        response: Response<ureq::Body>,
        had_token: bool,
    ) -> Result<Answer, Failure> {
        let text = |name: &str| header(&response, name).unwrap_or_default();
        let status = response.status().as_u16();
        let host = || url.site().to_owned();
        let what = || ask.subject.what.clone();
        match status {
            200 | 206 => {}
            416 => {
                let total = text("content-range");
                let total = total
                    .rsplit_once("*/")
                    .and_then(|(_, total)| total.trim().parse().ok());
                return Err(Failure::Unsatisfiable(total));
            }
            429 => return Err(Failure::Wait(asked_wait(|name| header(&response, name)))),
            503 if !text("retry-after").is_empty() => {
                return Err(Failure::Wait(asked_wait(|name| header(&response, name))));
            }
            408 | 500..=599 => return Err(Failure::Again(format!("the server answers {status}"))),
            // A signed address that expired: the next attempt asks for a new one.
            400 | 401 | 403 | 404 | 410 if ask.is_signed || !url.is_same_site(ask.url) => {
                return Err(Failure::Again(format!("{} answers {status}", url.site())));
            }
            _ => {
                let (code, mut message) = (text("x-error-code"), text("x-error-message"));
                if message.is_empty() {
                    message = text("www-authenticate");
                }
                let refusal = Refusal {
                    host: url.site(),
                    status,
                    code: &code,
                    message: &message,
                    had_token,
                };
                return Err(error(ask.subject, &refusal).into());
            }
        }
        let encoding = text("content-encoding");
        if !matches!(encoding.trim(), "" | "identity") {
            return Err(Failure::Final(HubError::Compressed {
                host: host(),
                what: what(),
                encoding: encoding
                    .chars()
                    .filter(|c| c.is_ascii_graphic())
                    .take(20)
                    .collect(),
            }));
        }
        if text("content-type")
            .trim_start()
            .to_ascii_lowercase()
            .starts_with("text/html")
        {
            return Err(Failure::Final(HubError::Html {
                host: host(),
                what: what(),
            }));
        }
        Ok(Answer { response, url })
    }

    /// A whole small body, with attempts. Headers that `pick` wants come with it.
    pub(super) fn text<H>(
        &self,
        ask: &Ask<'_>,
        limit: u64,
        pick: impl Fn(&Answer) -> H,
    ) -> Result<(Vec<u8>, H), HubError> {
        self.persist(ask.url.site(), &ask.subject.what, || {
            let answer = self.ask(ask)?;
            let (picked, host) = (pick(&answer), answer.url.site().to_owned());
            let bytes = answer.read(self, ask.subject, limit)?;
            if is_html(&bytes) {
                return Err(Failure::Final(HubError::Html {
                    host,
                    what: ask.subject.what.clone(),
                }));
            }
            Ok((bytes, picked))
        })
    }
}

/// True if bytes begin as a web page does.
pub(super) fn is_html(bytes: &[u8]) -> bool {
    let start = bytes.trim_ascii_start();
    [&b"<!doctype html"[..], b"<html"].iter().any(|tag| {
        start
            .get(..tag.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(tag))
    })
}

/// An answer that contradicts itself or what was asked.
pub(super) fn wrong(url: &Url, subject: &Subject, problem: &str) -> HubError {
    HubError::Answer {
        host: url.site().to_owned(),
        what: subject.what.clone(),
        problem: problem.to_owned(),
    }
}

/// What an error of a request means.
fn of_request(error: ureq::Error, url: &Url, stall: Duration) -> Failure {
    use ureq::{Error, Timeout};
    let end = |problem: String| {
        Failure::Final(HubError::Network {
            host: url.site().to_owned(),
            problem,
            attempts: 1,
        })
    };
    match error {
        Error::Io(error) => of_body(error, stall),
        Error::Timeout(Timeout::Resolve | Timeout::Connect) => Failure::Again("no connection in time".into()),
        Error::Timeout(_) => Failure::Again(nothing_came(stall)),
        Error::HostNotFound => Failure::Again("the host's name is not known; is there a network?".into()),
        Error::ConnectProxyFailed(problem) => Failure::Again(format!("the proxy refuses: {problem}")),
        Error::Rustls(error) => end(tls(&error.to_string())),
        Error::Tls(problem) => end(format!("TLS: {problem}")),
        Error::BadUri(_) | Error::Http(_) => end("the address cannot be used".into()),
        other => Failure::Again(other.to_string()),
    }
}

/// What an error of TLS means.
fn tls(error: &str) -> String {
    if error.contains("CA certificates") {
        return "this machine has no root certificates: install the package ca-certificates, or set SSL_CERT_FILE".into();
    }
    format!("TLS: {error}")
}

/// What an error of a body means.
pub(super) fn of_body(error: io::Error, stall: Duration) -> Failure {
    let is_interruption = |error: &(dyn std::error::Error + Send + Sync + 'static)| {
        matches!(error.downcast_ref::<HubError>(), Some(HubError::Interrupted))
            || matches!(
                error.downcast_ref::<ureq::Error>(),
                Some(ureq::Error::Io(inner)) if inner.get_ref().is_some_and(|e| e.is::<HubError>())
            )
    };
    match error.get_ref() {
        Some(inner) if is_interruption(inner) => HubError::Interrupted.into(),
        Some(inner) if matches!(inner.downcast_ref(), Some(ureq::Error::Timeout(_))) => {
            Failure::Again(nothing_came(stall))
        }
        _ if error.kind() == io::ErrorKind::UnexpectedEof => Failure::Again("the connection was cut".into()),
        // Without the system's number.
        _ => Failure::Again(
            error
                .to_string()
                .split(" (os error")
                .next()
                .unwrap_or_default()
                .to_owned(),
        ),
    }
}

fn nothing_came(stall: Duration) -> String {
    format!("not a byte came for {} s", stall.as_secs_f32())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_ranges_are_read_or_refused() {
        let cases = [
            ("bytes 0-9/10", Some((0..10, Some(10)))),
            ("bytes 5-9/*", Some((5..10, None))),
            ("bytes 9-5/10", None),
            ("bytes */10", None),
            ("items 0-9/10", None),
            ("bytes 0-18446744073709551615/1", None),
        ];
        for (text, expected) in cases {
            assert_eq!(content_range(text), expected, "{text}");
        }
    }

    #[test]
    fn web_pages_are_known_by_their_start() {
        let cases = [
            ("\n <!DOCTYPE html>", true),
            ("<HTML>", true),
            ("{}", false),
            ("<", false),
            ("", false),
        ];
        for (text, html) in cases {
            assert_eq!(is_html(text.as_bytes()), html, "{text}");
        }
    }
}
