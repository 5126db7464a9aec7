//! The chat page that the service has at `/`: one file, put together when siskin is compiled, that asks nobody else for
//! anything. The header `Content-Security-Policy` names the hashes of its only script and its only style, so that a
//! browser runs nothing else, whatever a model writes.

use std::sync::OnceLock;

use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use sha2::{Digest, Sha256};

macro_rules! style {
    () => {
        include_str!("page/style.css")
    };
}
macro_rules! script {
    () => {
        concat!(
            include_str!("page/markdown.js"),
            include_str!("page/chats.js"),
            include_str!("page/talk.js"),
            include_str!("page/view.js"),
            include_str!("page/main.js"),
        )
    };
}

const PAGE: &str = concat!(
    include_str!("page/head.html"),
    "<style>",
    style!(),
    "</style>\n",
    include_str!("page/body.html"),
    "<script>",
    script!(),
    "</script>\n</body>\n</html>\n"
);

/// The answer to `GET /`: its status, headers and body. It is 304 without a body if the client's `If-None-Match` has
/// this page's tag.
pub(crate) fn page(if_none_match: Option<&HeaderValue>) -> (StatusCode, HeaderMap, &'static str) {
    static HEADERS: OnceLock<HeaderMap> = OnceLock::new();
    let headers = HEADERS.get_or_init(headers).clone();
    if same(if_none_match, headers.get(ETAG)) {
        (StatusCode::NOT_MODIFIED, headers, "")
    } else {
        (StatusCode::OK, headers, PAGE)
    }
}

/// Whether the tags that a client has, separated by commas, include the tag of this page. A proxy that compresses makes
/// a tag weak (`W/"…"`); the page is the same.
fn same(has: Option<&HeaderValue>, tag: Option<&HeaderValue>) -> bool {
    let text = |value: Option<&HeaderValue>| value.and_then(|v| v.to_str().ok().map(str::to_owned));
    match (text(has), text(tag)) {
        (Some(has), Some(tag)) => has
            .split(',')
            .map(str::trim)
            .any(|one| one.strip_prefix("W/").unwrap_or(one) == tag),
        _ => false,
    }
}

fn headers() -> HeaderMap {
    let fixed = [
        (CONTENT_TYPE, "text/html; charset=utf-8"),
        (CACHE_CONTROL, "no-cache"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        (
            HeaderName::from_static("cross-origin-opener-policy"),
            "same-origin",
        ),
        (
            HeaderName::from_static("cross-origin-resource-policy"),
            "same-origin",
        ),
        (
            HeaderName::from_static("permissions-policy"),
            "camera=(), geolocation=(), microphone=()",
        ),
    ];
    let mut headers: HeaderMap = fixed
        .into_iter()
        .map(|(name, value)| (name, HeaderValue::from_static(value)))
        .collect();
    let computed = [
        (CONTENT_SECURITY_POLICY, policy()),
        (ETAG, format!("\"{}\"", base64(&Sha256::digest(PAGE)))),
    ];
    for (name, value) in computed {
        // Both are ASCII by construction.
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.insert(name, value);
        }
    }
    headers
}

fn policy() -> String {
    let hash = |text: &str| format!("'sha256-{}'", base64(&Sha256::digest(text)));
    format!(
        "default-src 'none'; script-src {}; style-src {}; connect-src 'self'; img-src 'self' data:; base-uri 'none'; \
         form-action 'none'; frame-ancestors 'none'",
        hash(script!()),
        hash(style!())
    )
}

/// Base64 with padding (RFC 4648, section 4).
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for piece in bytes.chunks(3) {
        let mut word = [0; 3];
        word[..piece.len()].copy_from_slice(piece);
        let word = u32::from_be_bytes([0, word[0], word[1], word[2]]);
        for digit in 0..4 {
            let index = (word >> (18 - 6 * digit)) & 63;
            out.push(if digit <= piece.len() {
                char::from(DIGITS[index as usize])
            } else {
                '='
            });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn between<'a>(text: &'a str, open: &str, close: &str) -> &'a str {
        let (_, rest) = text.split_once(open).expect(open);
        rest.split_once(close).expect(close).0
    }

    #[test]
    fn base64_is_that_of_the_rfc() {
        for (bytes, expected) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(base64(bytes.as_bytes()), expected, "{bytes}");
        }
    }

    #[test]
    fn the_policy_has_the_hashes_of_what_a_browser_finds_in_the_page() {
        let (status, headers, page) = page(None);
        assert_eq!(status, StatusCode::OK);
        let policy = headers[CONTENT_SECURITY_POLICY].to_str().expect("ASCII");
        for (tag, directive) in [("script", "script-src"), ("style", "style-src")] {
            let (open, close) = (format!("<{tag}>"), format!("</{tag}>"));
            assert_eq!(page.matches(&format!("<{tag}")).count(), 1, "one {tag}");
            assert_eq!(page.matches(&close).count(), 1, "one end of {tag}");
            let hash = base64(&Sha256::digest(between(page, &open, &close)));
            assert!(
                policy.contains(&format!("{directive} 'sha256-{hash}';")),
                "{policy}"
            );
        }
    }

    #[test]
    fn the_page_is_small_and_asks_nobody_else() {
        assert!(PAGE.len() < 60_000, "{} bytes", PAGE.len());
        for never in [
            "http://",
            "https://",
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
            "new Function",
            " style=",
            "<link rel=\"stylesheet\"",
            "@import",
            "url(",
        ] {
            assert!(!PAGE.contains(never), "{never}");
        }
        let html = between(PAGE, "<body>", "<script>");
        for word in html.split(|c: char| c.is_whitespace() || c == '<') {
            assert!(
                !(word.starts_with("on") && word.contains('=')),
                "an event handler: {word}"
            );
            assert!(!word.starts_with("src="), "a request: {word}");
        }
    }

    #[test]
    fn a_client_that_has_the_page_gets_no_body() {
        let (_, headers, _) = page(None);
        let tag = headers[ETAG].to_str().expect("ASCII").to_owned();
        for (has, status) in [
            (tag.clone(), StatusCode::NOT_MODIFIED),
            (format!("W/{tag}"), StatusCode::NOT_MODIFIED),
            (format!("\"other\", {tag}"), StatusCode::NOT_MODIFIED),
            ("\"other\"".to_owned(), StatusCode::OK),
            (tag.trim_matches('"').to_owned(), StatusCode::OK),
        ] {
            let value = HeaderValue::from_str(&has).expect("a header");
            let (got, _, body) = page(Some(&value));
            assert_eq!(got, status, "{has}");
            assert_eq!(body.is_empty(), status == StatusCode::NOT_MODIFIED, "{has}");
        }
    }
}
