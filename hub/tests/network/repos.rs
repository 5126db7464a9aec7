//! Repositories, headers, registries, the cache: what goes well.

use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use siskin_hub::HubError;
use siskin_hub::name::OciName;
use siskin_hub::net::cache::HubCache;
use siskin_hub::net::download::{Expected, download, partial_of};
use siskin_hub::net::registry::{Artifact, Role};
use siskin_hub::net::{Client, Repo};
use siskin_model::files::ReadAt;
use siskin_testing::hub::{Fault, File, Hub};

use crate::common::{client, hub_name, settings, weights};

const FILE: &str = "model.safetensors";

fn start() -> Hub {
    let hub = Hub::start();
    let folder = "chat_templates/tool use.jinja";
    hub.repo(
        "a/b",
        [
            ("config.json", File::small("{}")),
            (folder, File::small("{{ x }}")),
            (FILE, File::large(weights())),
        ],
    );
    hub
}

#[test]
fn a_repository_is_read_at_the_commit_that_it_had_when_it_was_opened() {
    let hub = start();
    hub.page(2);
    let client = client(&hub, None);
    let repo = Repo::open(&client, &hub_name("a/b")).expect("opened");
    let paths: Vec<&str> = repo.files.iter().map(|file| file.path.as_str()).collect();
    assert_eq!(paths, ["chat_templates/tool use.jinja", "config.json", FILE]);
    let large = repo.file(FILE).expect("listed");
    assert_eq!(
        (large.size, large.sha256.is_some(), large.git_sha1),
        (600_000, true, None)
    );
    hub.repo("a/b", [("config.json", File::small("{\"moved\":1}"))]);
    assert_eq!(repo.small("config.json", 100).expect("small"), b"{}");
    assert_eq!(
        repo.small("chat_templates/tool use.jinja", 100).expect("small"),
        b"{{ x }}"
    );
    assert!(matches!(repo.small(FILE, 100), Err(HubError::TooLarge { .. })));
    assert!(matches!(repo.small("no", 100), Err(HubError::NoFile { .. })));
    // A commit, two pages, two files.
    assert_eq!(client.requests(), 5);
}

#[test]
fn a_branch_that_moves_between_two_requests_changes_nothing() {
    let hub = Hub::start();
    let old = hub.repo("a/b", [("config.json", File::small("old"))]);
    let new = hub.branch("a/b", "next", [("config.json", File::small("new"))]);
    hub.fault("/tree/", Fault::Move("a/b".into(), "main".into(), new), 1);
    let repo = Repo::open(&client(&hub, None), &hub_name("a/b")).expect("opened");
    assert_eq!(repo.commit, old);
    assert_eq!(repo.small("config.json", 100).expect("small"), b"old");
}

#[test]
fn renamed_repositories_and_branches_with_slashes_are_found() {
    let hub = start();
    hub.branch("a/b", "refs/pr/1", [("config.json", File::small("[]"))]);
    hub.rename("a/b", "new/name");
    let client = client(&hub, None);
    let repo = Repo::open(&client, &hub_name("a/b@refs%2Fpr%2F1")).expect("opened");
    assert_eq!(
        (repo.id.as_str(), repo.revision.as_str()),
        ("new/name", "refs/pr/1")
    );
    assert_eq!(repo.small("config.json", 100).expect("small"), b"[]");
    let refs = Repo::refs(&client, &hub_name("a/b")).expect("refs");
    assert_eq!(refs.branches, ["main", "refs/pr/1"]);
}

#[test]
fn headers_cost_little_and_signed_addresses_may_expire() {
    let hub = Hub::start();
    let bytes: Vec<u8> = weights().into_iter().cycle().take(9_000_000).collect();
    hub.repo("a/b", [("m.gguf", File::large(bytes.clone()))]);
    let client = client(&hub, None);
    let repo = Repo::open(&client, &hub_name("a/b")).expect("opened");
    let before = client.bytes();
    let reader = repo.read_at("m.gguf").expect("a reader");
    let read = |start: usize, len: usize| {
        let mut piece = vec![0; len];
        reader.read_at(start as u64, &mut piece).expect("read");
        assert!(piece == bytes[start..start + len], "{start}");
    };
    read(0, 8);
    read(8, 30_000);
    assert!(
        client.bytes() - before <= 128 << 10,
        "{}",
        client.bytes() - before
    );
    for start in (0..8_000_000).step_by(4096) {
        read(start, 4096);
    }
    hub.expire_signatures();
    read(8_999_000, 1000);
    let ranges = hub
        .take_log()
        .iter()
        .filter(|request| request.range.is_some() && request.status == 206)
        .count();
    assert!(ranges <= 8, "{ranges} requests");
    assert!(reader.read_at(8_999_999, &mut [0; 2]).is_err(), "past the end");
}

#[test]
fn blobs_of_registries_are_read_with_and_without_a_token() {
    for token in [None, Some("t0ken")] {
        let hub = Hub::start();
        let digest = hub.artifact(
            "who/model",
            "v1",
            &[
                ("application/vnd.docker.ai.gguf.v3", weights()),
                ("application/vnd.ollama.image.params", b"{}".to_vec()),
            ],
        );
        if let Some(token) = token {
            hub.registry_token(token);
        }
        let client = client(&hub, Some("hf_secret"));
        let oci = |reference: &str| OciName {
            host: hub.host(),
            repository: "who/model".into(),
            reference: reference.into(),
        };
        let artifact = Artifact::open(&client, &oci("v1")).expect("opened");
        assert_eq!(artifact.digest.to_string(), digest);
        assert_eq!(
            Artifact::open(&client, &oci(&digest)).expect("opened").layers,
            artifact.layers
        );
        let layer = artifact.models().next().expect("a model");
        assert_eq!(
            (layer.role, layer.size, artifact.layers.len()),
            (Role::Model, 600_000, 2)
        );
        hub.fault("/blobs/", Fault::Cut(5), 1);
        let mut bytes = Vec::new();
        artifact
            .open_at(layer, 0)
            .expect("a body")
            .read_to_end(&mut bytes)
            .expect("read");
        assert!(bytes == weights());
        let error = Artifact::open(&client, &oci("no"))
            .expect_err("no such tag")
            .to_string();
        assert!(error.contains("who/model:no: 404"), "{error}");
        let other = hub
            .take_log()
            .into_iter()
            .filter_map(|request| request.authorization);
        assert!(other.into_iter().all(|sent| sent == "Bearer t0ken"));
    }
}

#[test]
fn downloads_go_on_after_what_is_there_and_notice_what_is_wrong() {
    let hub = start();
    let client = client(&hub, None);
    let repo = Repo::open(&client, &hub_name("a/b")).expect("opened");
    let listed = repo.file(FILE).expect("listed");
    let expected = Expected {
        what: FILE.into(),
        size: listed.size,
        digest: listed.digest(),
    };
    let dir = tempfile::tempdir().expect("a folder");
    let target = dir.path().join("m");
    let partial = partial_of(&target);
    let good = weights();
    let mut wrong = good[..400_000].to_vec();
    wrong[7] ^= 1;
    let longer = [&good[..], b"more"].concat();
    // What lies there, and how many bytes then come at most.
    let cases: [(&str, &[u8], u64); 6] = [
        ("nothing", b"", 600_000),
        ("a part", &good[..400_000], 200_000),
        ("all", &good, 0),
        ("a damaged part", &wrong, 800_000),
        ("zeros after a power cut", &[0; 599_999], 600_001),
        ("too much", &longer, 600_000),
    ];
    for (case, there, most) in cases {
        std::fs::write(&partial, there).expect("written");
        let before = client.bytes();
        let mut last = 0;
        download(
            |offset| repo.open_at(FILE, offset),
            &expected,
            &target,
            |have| last = have,
        )
        .expect(case);
        assert!(std::fs::read(&target).expect("there") == good, "{case}");
        assert_eq!(
            (last, client.bytes() - before <= most, partial.exists()),
            (600_000, true, false),
            "{case}"
        );
        std::fs::remove_file(&target).expect("removed");
    }
    let other = std::fs::File::create(&partial).expect("created");
    other.lock().expect("locked");
    let error =
        download(|offset| repo.open_at(FILE, offset), &expected, &target, |_| {}).expect_err("locked");
    assert!(matches!(error, HubError::Locked { .. }), "{error}");
    drop(other);
    hub.fault("/cdn/", Fault::WrongByte(5), 2);
    let error =
        download(|offset| repo.open_at(FILE, offset), &expected, &target, |_| {}).expect_err("damaged");
    assert!(
        matches!(error, HubError::Digest { .. }) && !target.exists() && !partial.exists(),
        "{error}"
    );
    hub.fault("/cdn/", Fault::Cut(100_000), 1);
    hub.fault("/cdn/", Fault::Status(451, "X-Nothing", String::new()), 4);
    download(|offset| repo.open_at(FILE, offset), &expected, &target, |_| {}).expect_err("refused");
    assert_eq!(std::fs::metadata(&partial).expect("kept").len(), 100_000);
}

#[test]
fn the_cache_has_the_layout_of_other_clients_with_and_without_links() {
    let hub = start();
    for links in [true, false] {
        let client = client(&hub, None);
        let repo = Repo::open(&client, &hub_name("a/b")).expect("opened");
        let dir = tempfile::tempdir().expect("a folder");
        let cache = HubCache::new(dir.path(), links);
        assert_eq!(cache.commit("a/b", "main"), None);
        let deep = "chat_templates/tool use.jinja";
        let blob = dir
            .path()
            .join("models--a--b/blobs")
            .join(repo.file(FILE).and_then(|f| f.digest()).expect("a digest").hex());
        std::fs::create_dir_all(blob.parent().expect("a folder")).expect("made");
        std::fs::write(blob.with_extension("incomplete"), &weights()[..500_000]).expect("written");
        let before = client.bytes();
        for (path, bytes) in [(FILE, weights()), (deep, b"{{ x }}".to_vec())] {
            let file = cache.fetch(&repo, path, |_| {}).expect(path);
            assert_eq!(
                file,
                dir.path()
                    .join("models--a--b/snapshots")
                    .join(&repo.commit)
                    .join(path)
            );
            assert!(std::fs::read(&file).expect("there") == bytes);
            assert_eq!(
                std::fs::symlink_metadata(&file).expect("there").is_symlink(),
                links
            );
            assert_eq!(cache.find("a/b", &repo.commit, path), Some(file));
        }
        assert_eq!(client.bytes() - before, 100_007, "it goes on after what is there");
        let requests = client.requests();
        cache.fetch(&repo, FILE, |_| {}).expect("here");
        assert_eq!(client.requests(), requests, "nothing is asked for what is here");
        assert_eq!(cache.commit("a/b", "main").as_ref(), Some(&repo.commit));
        assert_eq!(cache.find("a/b", &repo.commit, "../x"), None);
    }
}

#[test]
fn a_host_that_is_not_there_and_a_proxy_that_is_not_one_are_said() {
    let environment = |pairs: &'static [(&str, &str)]| {
        let read = move |name: &str| {
            pairs
                .iter()
                .find(|(n, _)| *n == name)
                .map(|(_, value)| (*value).into())
        };
        siskin_hub::environment::Environment::read(read).expect("good")
    };
    let cases = [
        (
            environment(&[("HF_ENDPOINT", "http://127.0.0.1:1")]),
            "127.0.0.1:1: Connection refused",
        ),
        (
            environment(&[("HF_ENDPOINT", "http://127.0.0.1:1"), ("ALL_PROXY", "ftp://x y")]),
            "the address of a proxy",
        ),
    ];
    for (environment, text) in cases {
        let client = Client::new(&environment, settings(), Arc::new(AtomicBool::new(false)), |_| {})
            .expect("a client");
        let error = Repo::open(&client, &hub_name("a/b")).expect_err(text).to_string();
        assert!(error.contains(text), "{error}");
    }
}
