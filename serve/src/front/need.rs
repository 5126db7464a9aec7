//! Which role a path needs.

use crate::keys::Role;

/// What a key must allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    /// Nothing: the path tells nothing that is of use to a stranger.
    Nothing,
    /// A role.
    Role(Role),
}

/// Paths that need something else than `infer`. The page asks for the key itself: a browser sends none with a link.
const PATHS: [(&str, Need); 11] = [
    ("/", Need::Nothing),
    ("/favicon.ico", Need::Nothing),
    ("/health", Need::Nothing),
    ("/livez", Need::Nothing),
    ("/metrics", Need::Role(Role::Metrics)),
    ("/models/load", Need::Role(Role::Admin)),
    ("/models/unload", Need::Role(Role::Admin)),
    ("/readyz", Need::Nothing),
    ("/slots", Need::Role(Role::Metrics)),
    ("/v1/health", Need::Nothing),
    ("/v1/slots", Need::Role(Role::Metrics)),
];

/// Paths that are asked for by the minute, by programs: they are logged only for who looks for a fault.
const PROBES: [&str; 6] = ["/health", "/livez", "/metrics", "/readyz", "/slots", "/v1/health"];

/// What a path needs. A path that is not known needs a key, so that a stranger learns nothing about paths.
pub(super) fn of(path: &str) -> Need {
    let found = PATHS.binary_search_by_key(&path, |(known, _)| known);
    found.map_or(Need::Role(Role::Infer), |place| PATHS[place].1)
}

/// Whether a path tells nothing but that the service lives.
pub(super) fn is_for_anyone(path: &str) -> bool {
    is_probe(path) && of(path) == Need::Nothing
}

/// Whether a path is asked for again and again.
pub(super) fn is_probe(path: &str) -> bool {
    PROBES.contains(&path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted() {
        assert!(PATHS.is_sorted_by(|(a, _), (b, _)| a < b));
    }

    #[test]
    fn strangers_see_whether_the_service_lives_and_nothing_else() {
        let cases = [
            ("/livez", Need::Nothing),
            ("/readyz", Need::Nothing),
            ("/", Need::Nothing),
            ("/livez/", Need::Role(Role::Infer)),
            ("/LIVEZ", Need::Role(Role::Infer)),
            ("", Need::Role(Role::Infer)),
            ("/v1/models", Need::Role(Role::Infer)),
            ("/props", Need::Role(Role::Infer)),
            ("/no/such/path", Need::Role(Role::Infer)),
            ("/metrics", Need::Role(Role::Metrics)),
            ("/models/load", Need::Role(Role::Admin)),
        ];
        for (path, want) in cases {
            assert_eq!(of(path), want, "{path}");
        }
    }
}
