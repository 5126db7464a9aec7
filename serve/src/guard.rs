//! Which requests are answered at all, by their headers: a page on another site must not reach this service through
//! somebody's browser.
//!
//! A browser sends the name that the page used as `Host`. After DNS rebinding that name is the attacker's, so names are
//! compared with a list on every bind, the loopback included. `Origin` and `Sec-Fetch-Site` tell which page asks (Fetch
//! standard, and Fetch Metadata Request Headers, W3C). Everything here is pure: it looks at headers and at nothing else.

mod authority;
mod cors;
mod refusal;

use std::net::{IpAddr, SocketAddr};

use axum::http::header::{CONTENT_TYPE, HOST, HeaderName, ORIGIN};
use axum::http::{HeaderMap, Method};

pub use authority::OriginError;
use authority::{Authority, Host, Origin};
pub use refusal::Refusal;

const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
const FETCH_DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");

/// Types of forms: a page can send them without asking first, and `curl -d` sends the first one.
const FORMS: [&str; 2] = ["application/x-www-form-urlencoded", "multipart/form-data"];

/// The hosts and origins that are answered.
#[derive(Debug, Clone)]
pub struct Guard {
    literals: Literals,
    names: Vec<String>,
    suffixes: Vec<String>,
    origins: Vec<Origin>,
}

/// The IP addresses that are a `Host`.
#[derive(Debug, Clone, Default)]
struct Literals {
    /// The service listens on every address. A literal cannot be rebound, so each one is good.
    any: bool,
    loopback: bool,
    exact: Vec<IpAddr>,
}

impl Guard {
    /// A guard for a service that listens on `bound`. `hostname` is this machine's name: with and without its domain,
    /// and with `.local`, it is a host. Each of `allowed_hosts` is a name, or a suffix as in `*.example.org`; each of
    /// `allowed_origins` is as browsers send it: `https://chat.example.org`, or `null`.
    ///
    /// # Errors
    /// One of `allowed_origins` is not an origin, or one of `allowed_hosts` is not a name.
    pub fn new(
        bound: &[SocketAddr],
        hostname: Option<&str>,
        allowed_hosts: &[String],
        allowed_origins: &[String],
    ) -> Result<Self, OriginError> {
        let mut guard = Guard {
            literals: Literals::default(),
            names: vec!["localhost".to_owned()],
            suffixes: Vec::new(),
            origins: Vec::new(),
        };
        for address in bound {
            let ip = address.ip().to_canonical();
            let literals = &mut guard.literals;
            literals.any |= ip.is_unspecified();
            literals.loopback |= ip.is_loopback();
            literals.exact.push(ip);
        }
        // On a UNIX socket a proxy sends the name it was given, or this.
        guard.literals.loopback |= bound.is_empty();
        for name in hostname.and_then(authority::name).iter() {
            let first = name.split('.').next().unwrap_or(name);
            guard
                .names
                .extend([name.clone(), first.to_owned(), format!("{first}.local")]);
        }
        for host in allowed_hosts {
            let suffix = host.strip_prefix("*.");
            let fail = || OriginError::host(host);
            match authority::host(suffix.unwrap_or(host)).ok_or_else(fail)? {
                Host::Name(name) if suffix.is_some() => guard.suffixes.push(format!(".{name}")),
                Host::Name(name) => guard.names.push(name),
                Host::Ip(ip) if suffix.is_none() => guard.literals.exact.push(ip),
                Host::Ip(_) => return Err(fail()),
            }
        }
        for origin in allowed_origins {
            guard.origins.push(Origin::parse(origin)?);
        }
        Ok(guard)
    }

    /// Decides by a request's method and headers, before its body is read.
    ///
    /// # Errors
    /// The refusal says what to answer and why.
    pub fn check(&self, method: &Method, headers: &HeaderMap) -> Result<(), Refusal> {
        let host = self.host(headers)?;
        let origin = one(headers, &ORIGIN).map_err(|()| Refusal::Origin)?;
        let site = one(headers, &FETCH_SITE).map_err(|()| Refusal::CrossSite)?;
        match origin {
            Some(origin) => self.origin(origin, &host)?,
            None if site == Some("cross-site") && !is_navigation(method, headers) => {
                return Err(Refusal::CrossSite);
            }
            None => {}
        }
        let has_body = !matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS);
        if has_body {
            content_type(headers, origin.is_some() || site.is_some())?;
        }
        Ok(())
    }

    fn host(&self, headers: &HeaderMap) -> Result<Authority, Refusal> {
        let text = one(headers, &HOST).map_err(|()| Refusal::TwoHosts)?;
        let authority = Authority::parse(text.ok_or(Refusal::NoHost)?).ok_or(Refusal::HostForm)?;
        let known = match &authority.host {
            Host::Ip(ip) => self.literals.contain(*ip),
            Host::Name(name) => {
                let below = |suffix: &String| name.len() > suffix.len() && name.ends_with(suffix.as_str());
                self.names.contains(name) || self.suffixes.iter().any(below)
            }
        };
        known.then_some(authority).ok_or(Refusal::Host)
    }

    fn origin(&self, text: &str, host: &Authority) -> Result<(), Refusal> {
        let origin = Origin::parse(text).map_err(|_| Refusal::Origin)?;
        let good = origin.is_at(host) || self.origins.contains(&origin);
        good.then_some(()).ok_or(Refusal::Origin)
    }
}

impl Literals {
    fn contain(&self, ip: IpAddr) -> bool {
        // Pages reach the loopback as 0.0.0.0; nothing else is there.
        let any = self.any && !ip.is_unspecified();
        any || self.loopback && ip.is_loopback() || self.exact.contains(&ip) && !ip.is_unspecified()
    }
}

/// Somebody follows a link to this service's page: nothing is read by the page that has the link.
fn is_navigation(method: &Method, headers: &HeaderMap) -> bool {
    let is = |name, value| one(headers, &name) == Ok(Some(value));
    matches!(*method, Method::GET | Method::HEAD) && is(FETCH_MODE, "navigate") && is(FETCH_DEST, "document")
}

/// A page can POST a form or a text without asking, but not JSON. Without a browser's headers `curl -d` is let through.
fn content_type(headers: &HeaderMap, browser: bool) -> Result<(), Refusal> {
    let refuse = Err(Refusal::ContentType);
    let Ok(value) = one(headers, &CONTENT_TYPE) else {
        return refuse;
    };
    let kind = value.map(|value| value.split(';').next().unwrap_or(value).trim());
    match kind {
        Some(kind) if kind.eq_ignore_ascii_case("application/json") => Ok(()),
        Some(kind) if !browser && FORMS.iter().any(|form| kind.eq_ignore_ascii_case(form)) => Ok(()),
        None if !browser => Ok(()),
        _ => refuse,
    }
}

/// A header that is there once or not at all, as visible ASCII.
fn one<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, ()> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    match (value.to_str(), values.next()) {
        (Ok(text), None) => Ok(Some(text)),
        _ => Err(()),
    }
}

#[cfg(test)]
mod tests;
