use super::*;
use axum::http::HeaderValue;

use Refusal::{ContentType, CrossSite, HostForm, NoHost, TwoHosts};

fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        let name: HeaderName = name.parse().expect("a name");
        headers.append(name, HeaderValue::from_str(value).expect("a value"));
    }
    headers
}

fn guard(bound: &[&str], hosts: &[&str], origins: &[&str]) -> Guard {
    let bound: Vec<SocketAddr> = bound
        .iter()
        .map(|text| text.parse().expect("an address"))
        .collect();
    let own = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    Guard::new(&bound, Some("Pi5.lan"), &own(hosts), &own(origins)).expect("a guard")
}

fn loopback() -> Guard {
    guard(
        &["127.0.0.1:8080"],
        &["chat.example.org", "*.tail.net"],
        &["https://ui.example.org"],
    )
}

#[test]
fn hosts_are_compared_on_the_loopback() {
    let good = [
        "localhost",
        "localhost:8080",
        "LOCALHOST:8080",
        "localhost.",
        "localhost.:8080",
        "localhost:",
        "localhost:1",
        "127.0.0.1",
        "127.0.0.1:8080",
        "127.1.2.3",
        "[::1]",
        "[::1]:8080",
        "[0:0:0:0:0:0:0:1]:8080",
        "[::ffff:127.0.0.1]:80",
        "pi5.lan",
        "PI5",
        "pi5.local",
        "Pi5.Local.:8080",
        "chat.example.org",
        "a.tail.net",
        "a.b.tail.net:443",
    ];
    let foreign = [
        "evil.example",
        "localhost.evil.example",
        "evil.localhost",
        "127.0.0.1.evil.example",
        "192.168.1.5",
        "[fe80::1]",
        "8.8.8.8",
        "0.0.0.0:8080",
        "[::]:8080",
        "other.local",
        "pi5.local.evil.example",
        "tail.net",
        "eviltail.net",
        "xchat.example.org",
        "chat.example.org.evil.example",
        "pi5.evil.example",
    ];
    let malformed = [
        "",
        ":8080",
        "localhost:x",
        "localhost:99999",
        "localhost:-1",
        "localhost:+80",
        "::1",
        "[::1",
        "[::1]x",
        "[1.2.3.4]",
        "[fe80::1%eth0]",
        "user@localhost",
        "localhost/",
        "local host",
        "a..b",
        "127.1",
        "2130706433",
        "0x7f.1",
        "localhost..",
        "localhost,evil",
        "http://localhost",
        "localhost:80:80",
    ];
    let guard = loopback();
    let check = |host: &str| guard.check(&Method::GET, &headers(&[("host", host)]));
    for host in good {
        assert_eq!(check(host), Ok(()), "{host}");
    }
    for host in foreign {
        assert_eq!(check(host), Err(Refusal::Host), "{host}");
    }
    for host in malformed {
        assert_eq!(check(host), Err(HostForm), "{host}");
    }
}

#[test]
fn a_service_on_every_address_takes_literals_and_still_compares_names() {
    let everywhere = guard(&["0.0.0.0:8080"], &[], &[]);
    let one = guard(&["192.168.1.5:8080"], &[], &[]);
    let unix = guard(&[], &[], &[]);
    let cases: [(&Guard, &str, bool); 12] = [
        (&everywhere, "192.168.1.5:8080", true),
        (&everywhere, "[fd00::5]:8080", true),
        (&everywhere, "0.0.0.0:8080", false),
        (&everywhere, "rebound.example:8080", false),
        (&everywhere, "pi5.local:8080", true),
        (&one, "192.168.1.5", true),
        (&one, "[::ffff:192.168.1.5]", true),
        (&one, "192.168.1.6", false),
        (&one, "127.0.0.1", false),
        (&unix, "localhost", true),
        (&unix, "127.0.0.1", true),
        (&unix, "rebound.example", false),
    ];
    for (guard, host, good) in cases {
        let checked = guard.check(&Method::GET, &headers(&[("host", host)]));
        assert_eq!(checked.is_ok(), good, "{host} {:?}", guard.literals);
    }
}

/// One request: method, headers, what is decided.
type Case<'a> = (Method, &'a [(&'a str, &'a str)], Result<(), Refusal>);

const JSON: (&str, &str) = ("content-type", "application/json");
const HERE: (&str, &str) = ("host", "localhost:8080");
const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");
const CROSS: (&str, &str) = ("sec-fetch-site", "cross-site");

#[test]
fn pages_of_other_sites_are_refused() {
    let origin = |value| ("origin", value);
    let same = ("origin", "http://localhost:8080");
    let bad = Err(Refusal::Origin);
    let cases: [Case<'_>; 41] = [
        (Method::GET, &[], Err(NoHost)),
        (Method::GET, &[HERE, HERE], Err(TwoHosts)),
        (Method::POST, &[HERE, JSON], Ok(())),
        (Method::POST, &[HERE, JSON, same], Ok(())),
        (
            Method::POST,
            &[HERE, JSON, origin("HTTP://LOCALHOST:8080")],
            Ok(()),
        ),
        (Method::POST, &[HERE, JSON, origin("http://localhost")], bad),
        (Method::POST, &[HERE, JSON, origin("http://localhost:3000")], bad),
        (Method::POST, &[HERE, JSON, origin("http://127.0.0.1:8080")], bad),
        (Method::POST, &[HERE, JSON, origin("null")], bad),
        (Method::POST, &[HERE, JSON, origin("")], bad),
        (Method::POST, &[HERE, JSON, origin("https://evil.example")], bad),
        (
            Method::POST,
            &[HERE, JSON, origin("https://ui.example.org")],
            Ok(()),
        ),
        (
            Method::POST,
            &[HERE, JSON, origin("https://ui.example.org:443")],
            Ok(()),
        ),
        (Method::POST, &[HERE, JSON, origin("http://ui.example.org")], bad),
        (
            Method::POST,
            &[HERE, JSON, origin("https://ui.example.org.evil.example")],
            bad,
        ),
        (
            Method::POST,
            &[HERE, JSON, origin("https://ui.example.org/")],
            bad,
        ),
        (Method::POST, &[HERE, JSON, same, same], bad),
        (Method::POST, &[HERE, JSON, origin("app://obsidian.md")], bad),
        (
            Method::GET,
            &[("host", "chat.example.org"), origin("https://chat.example.org")],
            Ok(()),
        ),
        (
            Method::GET,
            &[("host", "chat.example.org"), origin("http://chat.example.org")],
            Ok(()),
        ),
        (
            Method::GET,
            &[
                ("host", "chat.example.org"),
                origin("https://chat.example.org:8443"),
            ],
            bad,
        ),
        (
            Method::GET,
            &[("host", "[::1]:8080"), origin("http://[::1]:8080")],
            Ok(()),
        ),
        (
            Method::GET,
            &[("host", "rebound.example"), origin("http://rebound.example")],
            Err(Refusal::Host),
        ),
        (Method::GET, &[HERE, CROSS], Err(CrossSite)),
        (
            Method::GET,
            &[
                HERE,
                CROSS,
                ("sec-fetch-mode", "no-cors"),
                ("sec-fetch-dest", "image"),
            ],
            Err(CrossSite),
        ),
        (
            Method::GET,
            &[
                HERE,
                CROSS,
                ("sec-fetch-mode", "navigate"),
                ("sec-fetch-dest", "document"),
            ],
            Ok(()),
        ),
        (
            Method::GET,
            &[
                HERE,
                CROSS,
                ("sec-fetch-mode", "navigate"),
                ("sec-fetch-dest", "iframe"),
            ],
            Err(CrossSite),
        ),
        (
            Method::POST,
            &[
                HERE,
                JSON,
                CROSS,
                ("sec-fetch-mode", "navigate"),
                ("sec-fetch-dest", "document"),
            ],
            Err(CrossSite),
        ),
        (
            Method::POST,
            &[HERE, JSON, CROSS, origin("https://ui.example.org")],
            Ok(()),
        ),
        (
            Method::POST,
            &[HERE, JSON, CROSS, origin("https://evil.example")],
            bad,
        ),
        (
            Method::GET,
            &[HERE, ("sec-fetch-site", "same-origin"), CROSS],
            Err(CrossSite),
        ),
        (Method::GET, &[HERE, ("sec-fetch-site", "none")], Ok(())),
        (
            Method::POST,
            &[HERE, JSON, ("sec-fetch-site", "same-origin"), same],
            Ok(()),
        ),
        (Method::POST, &[HERE], Ok(())),
        (Method::POST, &[HERE, FORM], Ok(())),
        (Method::POST, &[HERE, FORM, same], Err(ContentType)),
        (
            Method::POST,
            &[HERE, FORM, ("sec-fetch-site", "same-origin")],
            Err(ContentType),
        ),
        (Method::POST, &[HERE, same], Err(ContentType)),
        (
            Method::POST,
            &[HERE, ("content-type", "text/plain")],
            Err(ContentType),
        ),
        (
            Method::POST,
            &[HERE, ("content-type", "Application/JSON; charset=utf-8"), same],
            Ok(()),
        ),
        (
            Method::DELETE,
            &[HERE, JSON, ("content-type", "text/plain")],
            Err(ContentType),
        ),
    ];
    let guard = loopback();
    for (number, (method, pairs, want)) in cases.into_iter().enumerate() {
        let found = guard.check(&method, &headers(pairs));
        assert_eq!(found, want, "case {number}: {method} {pairs:?}");
    }
}

#[test]
fn a_browser_that_asks_first_is_answered_for_allowed_origins_only() {
    let ask = |origin| {
        headers(&[
            HERE,
            ("origin", origin),
            ("access-control-request-method", "POST"),
            ("access-control-request-private-network", "true"),
        ])
    };
    let guard = loopback();
    let good = guard
        .preflight(&Method::OPTIONS, &ask("https://ui.example.org"))
        .expect("answered");
    assert_eq!(good["access-control-allow-origin"], "https://ui.example.org");
    assert_eq!(good["access-control-allow-private-network"], "true");
    assert_eq!(good["vary"], "origin");
    assert!(!good.contains_key("access-control-allow-credentials"));
    for origin in ["https://evil.example", "null", "http://localhost:8080"] {
        assert_eq!(guard.preflight(&Method::OPTIONS, &ask(origin)), None, "{origin}");
        let answer = guard.cors(&ask(origin));
        assert!(!answer.contains_key("access-control-allow-origin"), "{origin}");
    }
    assert_eq!(
        guard.preflight(&Method::POST, &ask("https://ui.example.org")),
        None
    );
    let closed = super::tests::guard(&["127.0.0.1:8080"], &[], &[]);
    assert!(closed.cors(&ask("https://ui.example.org")).is_empty());
}

#[test]
fn lists_that_are_not_origins_or_hosts_are_refused_at_start() {
    let new = |hosts: &[&str], origins: &[&str]| {
        let own = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        Guard::new(&[], None, &own(hosts), &own(origins))
    };
    assert!(new(&["example.org", "10.0.0.1"], &["null", "app://obsidian.md"]).is_ok());
    for host in [
        "*",
        "*.",
        "http://example.org",
        "example.org:80",
        "*.10.0.0.1",
        "a b",
        "",
    ] {
        let error = new(&[host], &[]).expect_err(host).to_string();
        assert!(error.contains("not the name of a host"), "{error}");
    }
    for origin in [
        "*",
        "example.org",
        "https://",
        "https://a/b",
        "://a",
        "https://a:b",
    ] {
        let error = new(&[], &[origin]).expect_err(origin).to_string();
        assert!(error.contains("not an origin"), "{error}");
    }
}

#[test]
fn refusals_have_a_status() {
    assert_eq!(NoHost.status(), 400);
    assert_eq!(Refusal::Host.status(), 403);
    assert_eq!(CrossSite.status(), 403);
    assert_eq!(ContentType.status(), 415);
}
