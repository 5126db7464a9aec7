//! Hosts and origins as headers have them (RFC 9110 section 7.2, RFC 6454 section 6.2).

use std::net::{IpAddr, Ipv6Addr};

/// A name or an IP literal, in one form each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Host {
    /// In small letters, without a dot at the end.
    Name(String),
    /// IPv4 in IPv6's form is IPv4.
    Ip(IpAddr),
}

/// A host, and a port if one is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Authority {
    pub(super) host: Host,
    pub(super) port: Option<u16>,
}

/// Where a page comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Origin {
    /// A file, a sandboxed frame: anything.
    Null,
    /// A scheme in small letters, e.g. `https`, a host and a port.
    Tuple(String, Authority),
}

/// Something that should be an origin or the name of a host is not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?}: not {expected}")]
pub struct OriginError {
    text: String,
    expected: &'static str,
}

impl OriginError {
    pub(super) fn host(text: &str) -> Self {
        OriginError {
            text: text.to_owned(),
            expected: "the name of a host; write it without scheme and port, as in example.org or *.example.org",
        }
    }

    fn origin(text: &str) -> Self {
        OriginError {
            text: text.to_owned(),
            expected: "an origin; write scheme, host and port, as in https://example.org or http://localhost:3000",
        }
    }
}

impl Authority {
    /// `None` if the text has another form.
    pub(super) fn parse(text: &str) -> Option<Self> {
        // The last colon is the port's, unless it is within an IPv6 literal.
        let (name, port) = match text.rsplit_once(':') {
            Some((name, port)) if !port.contains(']') => (name, Some(port)),
            _ => (text, None),
        };
        let port = match port {
            None | Some("") => None,
            Some(port) if port.bytes().all(|byte| byte.is_ascii_digit()) => Some(port.parse().ok()?),
            Some(_) => return None,
        };
        Some(Authority {
            host: host(name)?,
            port,
        })
    }
}

impl Origin {
    pub(super) fn parse(text: &str) -> Result<Self, OriginError> {
        if text == "null" {
            return Ok(Origin::Null);
        }
        let fail = || OriginError::origin(text);
        let (scheme, rest) = text.split_once("://").ok_or_else(fail)?;
        let letters = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
        if scheme.is_empty() || !scheme.bytes().all(letters) {
            return Err(fail());
        }
        let scheme = scheme.to_ascii_lowercase();
        let mut authority = Authority::parse(rest).ok_or_else(fail)?;
        authority.port = authority.port.or_else(|| default_port(&scheme));
        Ok(Origin::Tuple(scheme, authority))
    }

    /// Whether a page of this origin was loaded from the host that it now asks.
    pub(super) fn is_at(&self, asked: &Authority) -> bool {
        let Origin::Tuple(scheme, page) = self else {
            return false;
        };
        // The scheme of this service is not known here: a proxy may speak TLS for it.
        let Some(default) = default_port(scheme) else {
            return false;
        };
        page.host == asked.host && page.port == Some(asked.port.unwrap_or(default))
    }
}

fn default_port(scheme: &str) -> Option<u16> {
    match scheme {
        "http" => Some(80),
        "https" => Some(443),
        _ => None,
    }
}

/// A host without a port.
pub(super) fn host(text: &str) -> Option<Host> {
    if let Some(literal) = text.strip_prefix('[') {
        let ip: Ipv6Addr = literal.strip_suffix(']')?.parse().ok()?;
        return Some(Host::Ip(IpAddr::V6(ip).to_canonical()));
    }
    match text.parse::<std::net::Ipv4Addr>() {
        Ok(ip) => Some(Host::Ip(ip.into())),
        Err(_) => name(text).map(Host::Name),
    }
}

/// A name of letters, digits, hyphens and underscores between dots, as it is compared.
pub(super) fn name(text: &str) -> Option<String> {
    let text = text.strip_suffix('.').unwrap_or(text);
    let label = |label: &str| {
        let good = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        !label.is_empty() && label.len() <= 63 && label.bytes().all(good)
    };
    // What ends in a number is an IPv4 address in one of its old forms (WHATWG URL, "ends in a number").
    let last = text.rsplit('.').next().unwrap_or(text);
    let number = last.bytes().all(|byte| byte.is_ascii_digit()) || last.starts_with("0x");
    let good = text.len() <= 253 && text.split('.').all(label) && !number;
    good.then(|| text.to_ascii_lowercase())
}
