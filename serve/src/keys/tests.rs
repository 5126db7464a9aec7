use std::os::unix::fs::PermissionsExt;

use super::*;

const ALICE: &str = "sk-alice-0123456789";

fn line(name: &str, roles: &str, secret: &str) -> String {
    let hex: String = secret::digest(secret.as_bytes())
        .iter()
        .map(|byte| format!("{byte:02X}"))
        .collect();
    format!("{name} {roles} sha256:{hex}")
}

fn file(folder: &Path, text: &str, mode: u32) -> PathBuf {
    let path = folder.join("keys");
    std::fs::write(&path, text).expect("written");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).expect("set");
    path
}

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        headers.append(*name, value.parse().expect("a value"));
    }
    headers
}

#[test]
fn lines_name_keys_and_their_roles() {
    let text = format!(
        "# keys\n\n{}\r\n  {}\nplain-key-of-llama\nanother-plain-key\n",
        line("alice", "infer,metrics", ALICE),
        line("root", "admin", "sk-root-0123456789")
    );
    let set = KeySet::parse(&text).expect("keys");
    let names: Vec<&str> = set.0.iter().map(|key| key.name.as_str()).collect();
    assert_eq!(names, ["alice", "root", "key1", "key2"]);
    let alice = set.find(ALICE.as_bytes()).expect("known");
    let may = |key: &Key| [Role::Infer, Role::Metrics, Role::Admin].map(|role| key.roles.has(role));
    assert_eq!(may(alice), [true, true, false]);
    let plain = set.find(b"plain-key-of-llama").expect("known");
    assert_eq!((plain.name.as_str(), may(plain)), ("key1", [true; 3]));
    for unknown in [
        "",
        "sk-alice-012345678",
        "sk-alice-01234567890",
        "alice",
        "plain-key-of-llama ",
    ] {
        assert_eq!(set.find(unknown.as_bytes()), None, "{unknown}");
    }
}

#[test]
fn errors_name_lines_and_never_what_is_in_them() {
    use LineProblem::*;
    let alice = line("alice", "infer", ALICE);
    let hex = "0".repeat(64);
    let cases = [
        (String::new(), 1, NoKeys),
        ("# only\n# comments\n".to_owned(), 2, NoKeys),
        ("secret two\n".to_owned(), 1, Form),
        (format!("secret infer sha256:{hex} more"), 1, Form),
        (format!("\nsha256:{hex}"), 2, Form),
        (format!("secret/ infer sha256:{hex}"), 1, Name),
        (format!("{} infer sha256:{hex}", "s".repeat(33)), 1, Name),
        (format!("secret root sha256:{hex}"), 1, Role),
        (format!("secret infer, sha256:{hex}"), 1, Role),
        (format!("secret INFER sha256:{hex}"), 1, Role),
        (format!("secret infer sha256:{hex}0"), 1, Digest),
        (format!("secret infer sha256:{}g", "0".repeat(63)), 1, Digest),
        (format!("secret infer sha256:{}", "é".repeat(32)), 1, Digest),
        (format!("secret infer md5:{hex}"), 1, Digest),
        ("secret".to_owned(), 1, Short),
        ("sécret-of-somebody".to_owned(), 1, Characters),
        (format!("{alice}\n{}", line("bob", "infer", ALICE)), 2, SameKey(1)),
        (format!("{alice}\n{ALICE}"), 2, SameKey(1)),
        (
            format!("{alice}\n\n{}", line("alice", "admin", "secret-of-bob")),
            3,
            SameName(1),
        ),
        (
            (0..=1000)
                .map(|number| format!("secret-key-{number}\n"))
                .collect(),
            1001,
            TooMany,
        ),
    ];
    for (text, line, problem) in cases {
        let error = KeySet::parse(&text).expect_err("refused");
        assert_eq!((error.line, error.problem), (line, problem), "{text}");
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains("secret") && !shown.contains(ALICE), "{shown}");
    }
}

/// The headers of a request, and whether it is let in.
type Case<'a> = (&'a [(&'static str, &'a str)], Result<(), Denied>);

#[test]
fn keys_come_as_bearer_or_as_anthropic_sends_them() {
    let set = KeySet::parse(&line("alice", "infer", ALICE)).expect("keys");
    let bearer = format!("Bearer {ALICE}");
    let small = format!("bearer   {ALICE} ");
    let basic = format!("Basic {ALICE}");
    let cases: [Case<'_>; 10] = [
        (&[("authorization", &bearer)], Ok(())),
        (&[("authorization", &small)], Ok(())),
        (&[("x-api-key", ALICE)], Ok(())),
        (&[("authorization", &bearer), ("x-api-key", "other")], Ok(())),
        (&[], Err(Denied::Missing)),
        (&[("authorization", "Bearer")], Err(Denied::Unknown)),
        (&[("authorization", "Bearer nobody")], Err(Denied::Unknown)),
        (&[("authorization", &basic)], Err(Denied::Unknown)),
        (
            &[("authorization", &bearer), ("authorization", &bearer)],
            Err(Denied::Unknown),
        ),
        (&[("x-api-key", "")], Err(Denied::Unknown)),
    ];
    for (pairs, want) in cases {
        let found = set.authenticate(&headers(pairs));
        let name = found.map(|key| key.expect("there are keys").name.clone());
        assert_eq!(name, want.map(|()| "alice".to_owned()), "{pairs:?}");
    }
    let open = KeySet::default();
    assert_eq!(
        open.authenticate(&headers(&[("authorization", "Bearer x")])),
        Ok(None)
    );
}

#[test]
fn namespaces_depend_on_the_key_alone() {
    let one = KeySet::parse(&format!(
        "{}\nanother-plain-key\nplain-key-of-llama",
        line("a", "infer", ALICE)
    ));
    let other = KeySet::parse(&format!("plain-key-of-llama\n{}", line("b", "admin", ALICE)));
    let (one, other) = (one.expect("keys"), other.expect("keys"));
    let namespace = |set: &KeySet, secret: &str| set.find(secret.as_bytes()).expect("known").namespace;
    for secret in [ALICE, "plain-key-of-llama"] {
        assert_eq!(namespace(&one, secret), namespace(&other, secret));
    }
    assert_ne!(namespace(&one, ALICE), namespace(&one, "plain-key-of-llama"));
    // It is written into the names of stored files, so it must not change with a new version.
    assert_eq!(namespace(&one, ALICE), 6_999_876_108_749_426_535);
}

#[test]
fn files_that_others_may_read_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let text = line("alice", "infer", ALICE);
    for (mode, good) in [
        (0o600, true),
        (0o400, true),
        (0o640, false),
        (0o604, false),
        (0o620, false),
        (0o777, false),
    ] {
        let path = file(folder.path(), &text, mode);
        let loaded = Keys::load(KeySource::File(path.clone()));
        assert_eq!(loaded.is_ok(), good, "{mode:o}");
        // systemd's credentials are protected by their folder.
        assert!(Keys::load(KeySource::Credential(path)).is_ok(), "{mode:o}");
    }
    let missing = Keys::load(KeySource::File(folder.path().join("none")));
    assert!(matches!(missing, Err(KeysError::File(_))));
    assert!(Keys::load(KeySource::Nowhere).expect("no keys").now().is_empty());
}

#[test]
fn a_file_is_preferred_to_a_credential() {
    let folder = tempfile::tempdir().expect("a folder");
    let (path, none) = (folder.path(), Path::new("/nonexistent"));
    assert_eq!(KeySource::choose(None, Some(path)), KeySource::Nowhere);
    std::fs::write(path.join(CREDENTIAL), "x").expect("written");
    assert_eq!(
        KeySource::choose(None, Some(path)),
        KeySource::Credential(path.join(CREDENTIAL))
    );
    assert_eq!(
        KeySource::choose(Some(none), Some(path)),
        KeySource::File(none.into())
    );
    assert_eq!(KeySource::choose(None, None), KeySource::Nowhere);
}

#[test]
fn a_broken_file_keeps_the_old_keys() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = file(folder.path(), &line("alice", "infer", ALICE), 0o600);
    let keys = Keys::load(KeySource::File(path)).expect("loaded");
    let running = keys.now();
    file(folder.path(), "not a key\n", 0o600);
    assert!(matches!(keys.reload(), Err(KeysError::Line { .. })));
    assert_eq!(keys.now(), running);
    file(folder.path(), "plain-key-of-bob\nplain-key-of-carol\n", 0o600);
    assert_eq!(keys.reload().expect("read"), 2);
    assert_eq!(keys.now().find(ALICE.as_bytes()), None);
    assert!(running.find(ALICE.as_bytes()).is_some());
}

#[test]
fn a_new_key_opens_what_its_line_says() {
    let new = new_key("kitchen").expect("made");
    let other = new_key("kitchen").expect("made");
    assert_ne!(new.secret, other.secret);
    assert!(new.secret.starts_with("sk-siskin-") && new.secret.len() == 58);
    assert!(!new.line.contains(&new.secret));
    let set = KeySet::parse(&new.line).expect("a line");
    let key = set.find(new.secret.as_bytes()).expect("known");
    assert!(key.name == "kitchen" && key.roles.has(Role::Infer) && !key.roles.has(Role::Admin));
    assert!(new_key("two words").is_err());
}
