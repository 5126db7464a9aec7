use super::*;

type Variables = &'static [(&'static str, &'static str)];

fn read(variables: &[(&str, &str)]) -> Result<Environment, HubError> {
    Environment::read(|name| {
        let found = variables.iter().find(|(variable, _)| *variable == name);
        found.map(|(_, value)| (*value).into())
    })
}

#[test]
fn folders_are_where_other_clients_look() {
    let cases: [(Variables, &str); 6] = [
        (&[("HOME", "/h")], "/h/.cache/huggingface/hub"),
        (&[("HOME", "/h"), ("XDG_CACHE_HOME", "/c")], "/c/huggingface/hub"),
        (&[("HOME", "/h"), ("HF_HOME", "/f")], "/f/hub"),
        (&[("HF_HOME", "/f"), ("HF_HUB_CACHE", "/x")], "/x"),
        (&[("HF_HOME", "/f"), ("HUGGINGFACE_HUB_CACHE", "/y")], "/y"),
        (&[("HF_HUB_CACHE", "/x"), ("HUGGINGFACE_HUB_CACHE", "/y")], "/x"),
    ];
    for (variables, cache) in cases {
        let found = read(variables).expect("good values");
        assert_eq!(found.cache, Some(cache.into()), "{variables:?}");
    }
    let none = read(&[]).expect("nothing is set");
    assert_eq!(
        (none.cache, none.ollama, none.endpoint.as_str()),
        (None, None, ENDPOINT)
    );
    let ollama = read(&[("HOME", "/h")]).expect("good").ollama;
    assert_eq!(ollama, Some("/h/.ollama/models".into()));
}

#[test]
fn tokens_come_from_variables_before_files_and_are_never_printed() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("token");
    std::fs::write(&path, "hf_file\n").expect("written");
    let path = path.to_str().expect("UTF-8");
    let cases: [(&[(&str, &str)], _); 6] = [
        (&[("HF_TOKEN_PATH", path)], Some("hf_file")),
        (
            &[("HF_HOME", dir.path().to_str().expect("UTF-8"))],
            Some("hf_file"),
        ),
        (
            &[("HF_TOKEN_PATH", path), ("HUGGING_FACE_HUB_TOKEN", "hf_old")],
            Some("hf_old"),
        ),
        (
            &[("HF_TOKEN", " hf_new "), ("HUGGING_FACE_HUB_TOKEN", "hf_old")],
            Some("hf_new"),
        ),
        (
            &[("HF_TOKEN_PATH", path), ("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1")],
            None,
        ),
        (&[("HF_TOKEN_PATH", "/nonexistent/token")], None),
    ];
    for (variables, expected) in cases {
        let found = read(variables).expect("good values");
        assert!(!format!("{found:?}").contains("hf_"), "{variables:?}");
        let token = found.token().expect("readable");
        assert_eq!(token.as_ref().map(Token::secret), expected, "{variables:?}");
        assert!(!format!("{token:?}").contains("hf_"));
    }
    std::fs::write(path, vec![b'x'; 5000]).expect("written");
    assert!(
        read(&[("HF_TOKEN_PATH", path)]).expect("good").token().is_err(),
        "too long"
    );
}

#[test]
fn wrong_values_are_named_by_their_variable_and_not_shown() {
    let cases = [
        ("HF_TOKEN", "two words"),
        ("HF_TOKEN", "line\r\nHost: evil"),
        ("HF_ENDPOINT", "my.mirror"),
        ("HF_ENDPOINT", "ftp://x"),
        ("HF_ENDPOINT", "https://user@x"),
        ("HF_HUB_ETAG_TIMEOUT", "soon"),
        ("HF_HUB_DOWNLOAD_TIMEOUT", "-5"),
    ];
    for (name, value) in cases {
        let error = read(&[(name, value)]).expect_err(value).to_string();
        assert!(error.starts_with(name) && !error.contains(value), "{error}");
    }
}

#[test]
fn proxies_are_gone_around_for_the_hosts_that_are_listed() {
    let found = read(&[
        ("https_proxy", "http://p:1"),
        ("ALL_PROXY", "socks5://q:2"),
        ("NO_PROXY", "localhost, .corp.example,*.lan,exact.example"),
    ])
    .expect("good values");
    let cases = [
        ("https", "huggingface.co", Some("http://p:1")),
        ("http", "huggingface.co", Some("socks5://q:2")),
        ("https", "LOCALHOST", None),
        ("https", "a.corp.example", None),
        ("https", "notcorp.example", Some("http://p:1")),
        ("https", "nas.lan", None),
        ("https", "exact.example", None),
    ];
    for (scheme, host, proxy) in cases {
        assert_eq!(found.proxy_for(scheme, host), proxy, "{scheme} {host}");
    }
}
