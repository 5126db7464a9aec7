//! What cannot be had ends with one sentence, and soon.

use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use siskin_hub::HubError;
use siskin_hub::net::{Client, Notice, Repo, Settings};
use siskin_testing::hub::{Fault, File, Gate, Hub, Site};

use crate::common::{client, environment, hub_name, settings, weights};

const FILE: &str = "model.safetensors";

fn start() -> Hub {
    let hub = Hub::start();
    hub.repo(
        "a/b",
        [("config.json", File::small("{}")), (FILE, File::large(weights()))],
    );
    hub.branch("a/b", "step512", [(FILE, File::large(weights()))]);
    hub
}

/// Opens the repository, reads the small file and the large one.
fn read_all(client: &Client, name: &str) -> Result<Vec<u8>, HubError> {
    let repo = Repo::open(client, &hub_name(name))?;
    repo.small("config.json", 1000)?;
    let mut bytes = Vec::new();
    let mut body = repo.open_at(FILE, 0)?;
    body.read_to_end(&mut bytes)
        .map_err(|error| HubError::in_io(error).expect("the hub's error"))?;
    Ok(bytes)
}

#[test]
fn what_stays_broken_ends_with_one_sentence() {
    let status = |status| Fault::Status(status, "X-Nothing", String::new());
    let cases: Vec<(&str, Fault, &str)> = vec![
        (
            "/cdn/",
            Fault::Html,
            "answers with a web page instead of model.safetensors of a/b",
        ),
        (
            "/revision/",
            Fault::Html,
            "answers with a web page instead of the commit of a/b",
        ),
        (
            "config.json",
            Fault::Html,
            "answers with a web page instead of config.json of a/b",
        ),
        ("/cdn/", Fault::Gzip, "compressed (gzip)"),
        ("/cdn/", Fault::Cut(0), "the connection was cut (4 attempts)"),
        ("/cdn/", Fault::Stall(0), "not a byte came for 1 s (4 attempts)"),
        ("/cdn/", Fault::Silent, "not a byte came for 1 s (4 attempts)"),
        (
            "/cdn/",
            Fault::WrongLength(5),
            "sends 600005 bytes, and the file has 600000",
        ),
        ("/cdn/", status(403), "answers 403 (4 attempts)"),
        ("/tree/", status(500), "the server answers 500 (4 attempts)"),
        (
            "/revision/",
            Fault::Status(429, "Retry-After", "99".into()),
            "asks to wait for 99 s",
        ),
        (
            "config.json",
            Fault::WrongByte(1),
            "config.json of a/b arrived damaged: expected git:",
        ),
        ("config.json", status(404), "a/b has no file config.json"),
        ("config.json", status(451), "refuses config.json of a/b: 451"),
        (
            "/resolve/",
            Fault::Redirect("/elsewhere?/resolve/".into()),
            "it redirects in a circle",
        ),
        (
            "/resolve/",
            Fault::Redirect("ftp://x/".into()),
            "a redirect to something that is not an address",
        ),
    ];
    std::thread::scope(|scope| {
        for (pattern, fault, text) in cases {
            scope.spawn(move || {
                let hub = start();
                hub.fault(pattern, fault.clone(), 100);
                let error = read_all(&client(&hub, None), "a/b").expect_err(text).to_string();
                let is_right = error.contains(text) && error.lines().count() == 1;
                assert!(is_right, "{fault:?} for {pattern}: {error}");
            });
        }
    });
}

#[test]
fn names_that_lead_to_nothing_say_what_is_missing() {
    let hub = start();
    let client = client(&hub, None);
    for (name, text) in [
        ("a/c", "there is no repository a/c"),
        ("a/b@step7", "a/b has no revision step7; it has main, step512"),
        ("a/b@step512", "a/b has no file config.json"),
    ] {
        let error = read_all(&client, name).expect_err(name).to_string();
        assert!(error.contains(text), "{name}: {error}");
    }
}

#[test]
fn gated_repositories_say_what_to_do_with_and_without_a_token() {
    let hub = start();
    hub.gate("a/b", Gate::Token("hf_good".into()));
    let page = format!("{}/a/b", hub.url());
    for (token, text) in [(None, "a/b needs a token"), (Some("hf_other"), "a/b is gated")] {
        let error = read_all(&client(&hub, token), "a/b").expect_err(text).to_string();
        assert!(
            error.contains(text) && error.contains(&page) && !error.contains("hf_"),
            "{error}"
        );
    }
    assert_eq!(
        read_all(&client(&hub, Some("hf_good")), "a/b")
            .expect("allowed")
            .len(),
        600_000
    );
}

#[test]
fn the_token_goes_to_no_other_host_and_is_not_lost_when_a_download_goes_on() {
    let hub = start();
    hub.gate("a/b", Gate::Token("hf_good".into()));
    hub.fault("/cdn/", Fault::Cut(1000), 2);
    hub.fault(
        "config.json",
        Fault::Redirect(format!("{}/elsewhere", hub.cdn_url())),
        1,
    );
    let client = client(&hub, Some("hf_good"));
    assert_eq!(read_all(&client, "a/b").expect("allowed").len(), 600_000);
    let log = hub.take_log();
    assert!(
        log.iter().filter(|request| request.site == Site::Cdn).count() >= 4,
        "{log:?}"
    );
    for request in log {
        let expected = (request.site == Site::Hub).then_some("Bearer hf_good");
        assert_eq!(request.authorization.as_deref(), expected, "{request:?}");
    }
}

#[test]
fn a_wish_to_stop_ends_every_wait_within_a_second() {
    let cases = [
        ("/revision/", Fault::Silent),
        ("/cdn/", Fault::Stall(1000)),
        ("/cdn/", Fault::Trickle(1000)),
        ("/tree/", Fault::Status(429, "Retry-After", "60".into())),
    ];
    for (pattern, fault) in cases {
        let hub = start();
        hub.fault(pattern, fault.clone(), 100);
        let cancel = Arc::new(AtomicBool::new(false));
        let settings = Settings {
            stall: Duration::from_secs(60),
            longest_wait: Duration::from_secs(60),
            ..settings()
        };
        let client =
            Client::new(&environment(&hub, None), settings, Arc::clone(&cancel), |_| {}).expect("a client");
        let stopper = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(300));
            cancel.store(true, Ordering::Relaxed);
            Instant::now()
        });
        let error = read_all(&client, "a/b").expect_err("stopped");
        let ended = Instant::now();
        let asked = stopper.join().expect("stops");
        assert!(matches!(error, HubError::Interrupted), "{fault:?}: {error}");
        assert!(
            ended.saturating_duration_since(asked) < Duration::from_secs(1),
            "{fault:?}"
        );
    }
}

#[test]
fn a_connection_from_which_nothing_comes_is_given_up_at_the_limit() {
    let hub = start();
    hub.fault("/cdn/", Fault::Stall(50_000), 1);
    let client = client(&hub, None);
    let started = Instant::now();
    assert_eq!(read_all(&client, "a/b").expect("read").len(), 600_000);
    let took = started.elapsed();
    assert!(
        took >= settings().stall && took < settings().stall * 3,
        "{took:?}"
    );
    let log = hub.take_log();
    assert!(
        log.iter()
            .any(|request| request.range.as_deref() == Some("bytes=50000-")),
        "{log:?}"
    );
}

#[test]
fn people_hear_why_they_wait() {
    let hub = start();
    hub.fault("/cdn/", Fault::Cut(1000), 1);
    hub.fault("/cdn/", Fault::Whole, 1);
    hub.fault(
        "/tree/",
        Fault::Status(429, "RateLimit", "\"api\";r=0;t=1".into()),
        1,
    );
    let heard = Arc::new(std::sync::Mutex::new(Vec::new()));
    let listener = Arc::clone(&heard);
    let notice = move |notice: &Notice| listener.lock().expect("a lock").push(notice.clone());
    let cancel = Arc::new(AtomicBool::new(false));
    let client = Client::new(&environment(&hub, None), settings(), cancel, notice).expect("a client");
    read_all(&client, "a/b").expect("read");
    let heard = heard.lock().expect("a lock");
    let all = heard.as_slice();
    assert!(
        matches!(
            all,
            [
                Notice::Waiting { seconds: 1, .. },
                Notice::Retrying { .. },
                Notice::Skipping { bytes: 1000, .. }
            ]
        ),
        "{all:?}"
    );
}

#[test]
fn secrets_of_the_environment_are_not_printed_and_do_not_go_over_plain_http() {
    let environment = siskin_hub::environment::Environment::read(|name| match name {
        "HF_ENDPOINT" => Some("http://mirror.example".into()),
        "HF_TOKEN" => Some("hf_secret".into()),
        "HTTPS_PROXY" => Some("http://me:secret@proxy.example".into()),
        _ => None,
    })
    .expect("good");
    let client = Client::new(&environment, settings(), Arc::default(), |_| {}).expect("a client");
    assert!(!client.has_token());
    assert!(!format!("{client:?} {environment:?}").contains("secret"));
    assert_eq!(
        environment.proxy_for("https", "x"),
        Some("http://me:secret@proxy.example")
    );
}

#[test]
fn a_server_that_does_not_speak_tls_is_said() {
    let hub = start();
    let url = hub.url().replace("http://", "https://");
    let environment = siskin_hub::environment::Environment::read(|name| {
        (name == "HF_ENDPOINT").then(|| url.clone().into())
    });
    let client =
        Client::new(&environment.expect("good"), settings(), Arc::default(), |_| {}).expect("a client");
    let error = read_all(&client, "a/b").expect_err("no TLS").to_string();
    assert!(
        error.starts_with("127.0.0.1:") && error.lines().count() == 1,
        "{error}"
    );
    println!("{error}");
}

#[test]
fn offline_asks_nobody() {
    let hub = start();
    let url = hub.url();
    let environment = siskin_hub::environment::Environment::read(|name| match name {
        "HF_ENDPOINT" => Some(url.clone().into()),
        "HF_HUB_OFFLINE" => Some("1".into()),
        _ => None,
    });
    let cancel = Arc::new(AtomicBool::new(false));
    let client = Client::new(&environment.expect("good"), settings(), cancel, |_| {}).expect("a client");
    let error = read_all(&client, "a/b").expect_err("offline").to_string();
    assert!(error.contains("HF_HUB_OFFLINE forbids the network"), "{error}");
    assert_eq!((client.requests(), hub.take_log().len()), (0, 0));
}
