//! Addresses, as far as redirects need them. Pure.

use std::fmt;

/// `SCHEME://HOST[:PORT]/PATH[?QUERY]`, without a user and a fragment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Url {
    is_secure: bool,
    /// Host and port, in lower case.
    authority: String,
    /// Path and query, from the first slash on.
    path: String,
}

impl Url {
    /// Reads an absolute address; `None` if it is not one of HTTP, or has what no server needs to send.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (scheme, rest) = text.split_once("://")?;
        let is_secure = match scheme.to_ascii_lowercase().as_str() {
            "https" => true,
            "http" => false,
            _ => return None,
        };
        let rest = rest.split('#').next()?;
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        let plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic());
        if authority.is_empty() || authority.contains(['@', '\\']) || !plain(rest) {
            return None;
        }
        Some(Url {
            is_secure,
            authority: authority.to_ascii_lowercase(),
            path: if path.starts_with('/') {
                path.to_owned()
            } else {
                format!("/{path}")
            },
        })
    }

    /// The address that `location`, of a redirect or a link, means here.
    pub(crate) fn join(&self, location: &str) -> Option<Self> {
        let location = location.trim();
        let scheme = if self.is_secure { "https" } else { "http" };
        if location.contains("://") && !location.starts_with('/') {
            return Url::parse(location);
        }
        if let Some(rest) = location.strip_prefix("//") {
            return Url::parse(&format!("{scheme}://{rest}"));
        }
        let path = self.path.split('?').next()?;
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        let path = match location.chars().next()? {
            '/' => location.to_owned(),
            '?' => format!("{path}{location}"),
            _ => format!("{folder}/{location}"),
        };
        Url::parse(&format!("{scheme}://{}{path}", self.authority))
    }

    /// True if both are the same site: scheme, host and port. Secrets go to no other one.
    pub(crate) fn is_same_site(&self, other: &Url) -> bool {
        let port = |url: &Url| if url.is_secure { ":443" } else { ":80" };
        let bare = |url: &Url| {
            url.authority
                .strip_suffix(port(url))
                .unwrap_or(&url.authority)
                .to_owned()
        };
        self.is_secure == other.is_secure && bare(self) == bare(other)
    }

    /// True if a redirect may go from here to `next`: never from TLS to plain text, except on this machine.
    pub(crate) fn may_lead_to(&self, next: &Url) -> bool {
        !self.is_secure || next.is_secure || next.is_loopback()
    }

    /// True if nobody on the way reads what is sent: TLS, or this machine.
    pub(crate) fn keeps_secrets(&self) -> bool {
        self.is_secure || self.is_loopback()
    }

    pub(crate) fn is_loopback(&self) -> bool {
        let host = self.host();
        let ip = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>();
        host == "localhost" || ip.is_ok_and(|ip| ip.is_loopback())
    }

    pub(crate) fn scheme(&self) -> &'static str {
        if self.is_secure { "https" } else { "http" }
    }

    /// The host without its port.
    pub(crate) fn host(&self) -> &str {
        match self.authority.rsplit_once(':') {
            Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
            _ => &self.authority,
        }
    }

    /// The host, with its port if there is one: for errors.
    pub(crate) fn site(&self) -> &str {
        &self.authority
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", self.scheme(), self.authority, self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirects_lead_where_browsers_go() {
        let base = Url::parse("https://Hub.example/a/b/c?q=1").expect("an address");
        let cases = [
            ("/x", Some("https://hub.example/x")),
            ("x?y", Some("https://hub.example/a/b/x?y")),
            ("?z", Some("https://hub.example/a/b/c?z")),
            ("//cdn.example/x", Some("https://cdn.example/x")),
            (
                "https://cdn.example:8443/x?sig=a://b",
                Some("https://cdn.example:8443/x?sig=a://b"),
            ),
            (
                "/x?next=https://y/",
                Some("https://hub.example/x?next=https://y/"),
            ),
            ("HTTP://cdn.example", Some("http://cdn.example/")),
            ("ftp://cdn.example/x", None),
            ("https://user@cdn.example/x", None),
            ("https://evil\\@cdn.example/x", None),
            ("https:///x", None),
            ("/a b", None),
            ("", None),
        ];
        for (location, expected) in cases {
            let found = base.join(location).map(|url| url.to_string());
            assert_eq!(found.as_deref(), expected, "{location}");
        }
    }

    #[test]
    fn secrets_stay_on_their_site_and_tls_is_not_left() {
        let cases = [
            ("https://a.example/x", "https://A.example:443/y", true, true),
            ("https://a.example/", "https://b.example/", false, true),
            ("https://a.example/", "https://a.example:444/", false, true),
            ("https://a.example/", "http://a.example/", false, false),
            ("https://a.example/", "http://127.0.0.1:80/", false, true),
            ("https://a.example/", "http://127.0.0.1.b.example/", false, false),
            ("http://localhost:1/", "http://localhost:1/x", true, true),
            ("http://localhost:1/", "http://localhost:2/x", false, true),
        ];
        for (from, to, same, allowed) in cases {
            let (a, b) = (Url::parse(from).expect(from), Url::parse(to).expect(to));
            assert_eq!(
                (a.is_same_site(&b), a.may_lead_to(&b)),
                (same, allowed),
                "{from} {to}"
            );
        }
    }
}
