use super::*;

fn hub(owner: &str, repo: &str, revision: Option<&str>, wanted: Wanted) -> Name {
    Name::Hub(HubName {
        owner: owner.into(),
        repo: repo.into(),
        revision: revision.map(Into::into),
        wanted,
    })
}

#[test]
fn what_people_type_is_understood() {
    let file = |path: &str| Wanted::File(path.into());
    let ty = |name: &str| Wanted::Type(name.into());
    let ollama = |namespace: &str, model: &str, tag: &str| {
        Name::Ollama(OllamaName {
            namespace: namespace.into(),
            model: model.into(),
            tag: tag.into(),
        })
    };
    let oci = |host: &str, repository: &str, reference: &str| {
        Name::Oci(OciName {
            host: host.into(),
            repository: repository.into(),
            reference: reference.into(),
        })
    };
    let digest = format!("sha256:{}", "0a".repeat(32));
    let cases = [
        ("tinyllama", Name::Short("tinyllama".into())),
        ("a/b", hub("a", "b", None, Wanted::Model)),
        ("hf:a/b", hub("a", "b", None, Wanted::Model)),
        ("hf:a/b@step1000", hub("a", "b", Some("step1000"), Wanted::Model)),
        ("a/b@refs/pr/1", hub("a", "b", Some("refs/pr/1"), Wanted::Model)),
        (
            "a/b@refs/pr/1/x.gguf",
            hub("a", "b", Some("refs/pr/1"), file("x.gguf")),
        ),
        ("a/b@refs/pr/1:q8_0", hub("a", "b", Some("refs/pr/1"), ty("q8_0"))),
        (
            "a/b@refs%2Fpr%2F1",
            hub("a", "b", Some("refs/pr/1"), Wanted::Model),
        ),
        ("a/b/sub/x.gguf", hub("a", "b", None, file("sub/x.gguf"))),
        ("hf:a/b@v1/x.gguf", hub("a", "b", Some("v1"), file("x.gguf"))),
        ("hf:a/b:Q4_K_M", hub("a", "b", None, ty("Q4_K_M"))),
        ("a/b:q8_0", hub("a", "b", None, ty("q8_0"))),
        ("a/b@v1:q8_0", hub("a", "b", Some("v1"), ty("q8_0"))),
        ("https://huggingface.co/a/b", hub("a", "b", None, Wanted::Model)),
        (
            "https://huggingface.co/a/b/tree/refs%2Fpr%2F1",
            hub("a", "b", Some("refs/pr/1"), Wanted::Model),
        ),
        (
            "https://huggingface.co/a/b/resolve/main/s/x%20y.gguf?download=true",
            hub("a", "b", Some("main"), file("s/x y.gguf")),
        ),
        (
            "https://huggingface.co/a/b/blob/v1/x.gguf",
            hub("a", "b", Some("v1"), file("x.gguf")),
        ),
        ("ollama:llama3.2", ollama("library", "llama3.2", "latest")),
        ("ollama:llama3.2:1b", ollama("library", "llama3.2", "1b")),
        ("ollama:who/it:q4_0", ollama("who", "it", "q4_0")),
        ("oci:ghcr.io/a/b/c:v1", oci("ghcr.io", "a/b/c", "v1")),
        ("oci:localhost:5000/a", oci("localhost:5000", "a", "latest")),
        (&format!("oci:ghcr.io/a@{digest}"), oci("ghcr.io", "a", &digest)),
    ];
    for (text, name) in cases {
        assert_eq!(Name::parse(text).as_ref(), Ok(&name), "{text}");
        assert_eq!(Name::parse(&name.to_string()), Ok(name), "{text}");
    }
}

#[test]
fn what_is_no_name_is_refused_in_one_line() {
    let long = "a".repeat(MAX_LEN + 1);
    let cases = [
        ("", Problem::Empty),
        (long.as_str(), Problem::TooLong),
        ("a b", Problem::Character),
        ("a/b\n", Problem::Character),
        ("a/b\u{1b}[31m", Problem::Character),
        ("a\\b", Problem::Character),
        ("-x", Problem::Character),
        ("..", Problem::Part),
        ("../b", Problem::Part),
        ("a/..", Problem::Part),
        ("a/", Problem::Part),
        ("/b", Problem::Part),
        ("a/b/../c", Problem::Part),
        ("a/b//c", Problem::Part),
        ("a/b@", Problem::Part),
        ("a/b@..", Problem::Part),
        ("a/b@x%2F..%2Fy", Problem::Part),
        ("a/b@x%0A", Problem::Part),
        ("a/b@x%zz", Problem::Character),
        ("a/b:", Problem::Part),
        ("hf:a", Problem::Parts),
        ("https://huggingface.co/a", Problem::Parts),
        ("https://huggingface.co/a/b/what/main", Problem::Parts),
        ("https://huggingface.co/a/b/resolve/main/..%2Fx", Problem::Part),
        ("https://example.org/a/b", Problem::Site),
        ("ftp://huggingface.co/a/b", Problem::Site),
        ("s3:a/b", Problem::Source),
        ("ollama:a/b/c", Problem::Character),
        ("ollama:", Problem::Part),
        ("oci:ghcr.io", Problem::Oci),
        ("oci:ghcr.io:x/a", Problem::Oci),
        ("oci:ghcr.io/a@sha256:00", Problem::Digest),
        ("oci:ghcr.io/a@md5:00", Problem::Digest),
        ("oci:ghcr.io/a/../b", Problem::Part),
    ];
    for (text, problem) in cases {
        let error = Name::parse(text).expect_err(text);
        assert_eq!(error.problem, problem, "{text:?}");
        assert_eq!(error.to_string().lines().count(), 1, "{text:?}");
    }
}

#[test]
fn paths_that_servers_give_stay_below_their_folder() {
    for (path, safe) in [
        ("config.json", true),
        ("a/b/c d.txt", true),
        ("", false),
        ("/etc/passwd", false),
        ("a/../b", false),
        ("a//b", false),
        ("a/./b", false),
        ("a\\b", false),
        ("a\0", false),
    ] {
        assert_eq!(is_safe_path(path), safe, "{path:?}");
    }
}
