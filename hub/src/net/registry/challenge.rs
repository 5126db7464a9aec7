//! The challenge of a registry: `WWW-Authenticate: Bearer realm="…",service="…",scope="…"`. Pure.

use crate::name::segment;

/// The address that gives a token to read `repository`; `None` if the challenge does not name one.
pub(super) fn token_address(challenge: &str, repository: &str) -> Option<String> {
    let (scheme, mut rest) = challenge.trim().split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return None;
    }
    let (mut realm, mut service) = (None, None);
    while let Some((name, after)) = rest.split_once('=') {
        let (value, after) = match after.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"')?,
            None => after.split_once(',').unwrap_or((after, "")),
        };
        match name.trim_matches([' ', ',']) {
            "realm" => realm = Some(value),
            "service" => service = Some(value),
            _ => {}
        }
        rest = after;
    }
    let realm = realm?;
    let sign = if realm.contains('?') { '&' } else { '?' };
    let service = service.map_or(String::new(), |service| format!("service={}&", segment(service)));
    // The scope is made from the name that was typed: the challenge cannot widen it.
    let scope = segment(&format!("repository:{repository}:pull"));
    Some(format!("{realm}{sign}{service}scope={scope}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenges_say_where_tokens_are() {
        let scope = "scope=repository%3Aa%2Fb%3Apull";
        let cases = [
            (
                r#"Bearer realm="https://auth.example/token",service="reg, one",scope="repository:x:push""#,
                Some(format!("https://auth.example/token?service=reg%2C%20one&{scope}")),
            ),
            (
                r#"bearer realm="https://auth.example/t?x=1""#,
                Some(format!("https://auth.example/t?x=1&{scope}")),
            ),
            ("Bearer service=x", None),
            ("Basic realm=\"x\"", None),
            ("Bearer realm=\"open", None),
            ("", None),
        ];
        for (challenge, expected) in cases {
            assert_eq!(token_address(challenge, "a/b"), expected, "{challenge}");
        }
    }
}
