//! The service, as its clients and systemd see it.

mod client;
mod guesses;
mod numbers;
mod refusals;
mod start;
mod systemd;

use std::io::Read;
use std::net::TcpStream;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::Path;

use rustix::process::Signal;
use serde_json::{Value as Json, json};

use crate::util::{self, siskin};
use client::{Reply, Service, greedy, until, write};

const PROMPT: &str = "Once upon a time";

/// Writes a file that only its owner can read.
fn secret(path: &Path, text: &str) {
    use std::io::Write;
    let mut options = std::fs::OpenOptions::new();
    let file = options
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path);
    file.expect("a file").write_all(text.as_bytes()).expect("written");
}

#[test]
fn an_answer_is_what_siskin_run_writes_whole_and_in_pieces() {
    let service = Service::start(&[]);
    assert_eq!(service.get("/readyz").status, 200);
    let output = util::succeed(&mut siskin([
        "run", "--raw", "--temp", "0", "--json", "-n", "24", "-p", PROMPT,
    ]));
    let run: Json = serde_json::from_slice(&output.stdout).expect("JSON");
    let want = run["text"].as_str().expect("a text");
    let whole = service.post("/v1/completions", &greedy(PROMPT, 24, false));
    assert_eq!(whole.completion(), want);
    let stream = service.post("/v1/completions", &greedy(PROMPT, 24, true));
    assert_eq!(stream.streamed(), want);
    service.stop();
}

#[test]
fn sampling_flags_are_the_defaults_of_requests() {
    let service = Service::start(&["--temp", "0"]);
    let asked = |extra: Json| {
        let mut body = json!({ "prompt": PROMPT, "max_tokens": 12 });
        body.as_object_mut()
            .expect("an object")
            .extend(extra.as_object().expect("an object").clone());
        service.post("/v1/completions", &body).completion()
    };
    assert_eq!(asked(json!({})), asked(json!({ "temperature": 0, "seed": 7 })));
    service.stop();
}

#[test]
fn sigterm_lets_a_stream_finish_and_admits_nobody() {
    let mut service = Service::start(&[]);
    let want = service
        .post("/v1/completions", &greedy(PROMPT, 300, false))
        .completion();
    let mut stream = service.begin_stream(300);
    service.send(Signal::TERM);
    until("a closed door", || {
        TcpStream::connect(&service.address).is_err().then_some(())
    });
    let mut rest = String::new();
    stream.read_to_string(&mut rest).expect("the rest");
    assert!(rest.contains("[DONE]"), "{rest}");
    assert!(!want.is_empty());
    let status = service.end();
    assert_eq!(status.code(), Some(0), "{:?}", service.said);
}

#[test]
fn a_second_sigterm_ends_at_once() {
    // It would have an hour.
    let mut service = Service::start(&["--drain", "1h"]);
    // Its client holds the connection open and sends nothing more, so that it is not done.
    let _streams = [service.begin_stream(400), service.begin_stream(400)];
    service.send(Signal::TERM);
    until("a closed door", || {
        TcpStream::connect(&service.address).is_err().then_some(())
    });
    service.send(Signal::TERM);
    let status = service.end();
    assert_eq!(status.code(), Some(0), "{:?}", service.said);
}

#[test]
fn a_stream_that_outlives_the_drain_hears_of_it() {
    let mut service = Service::start(&["--drain", "0s"]);
    let mut stream = service.connect();
    let mut body = greedy(PROMPT, 1500, true);
    body["ignore_eos"] = true.into();
    let headers = format!("Host: {}\r\nContent-Type: application/json\r\n", service.address);
    write(
        &mut stream,
        "POST",
        "/v1/completions",
        &headers,
        &body.to_string(),
    );
    let mut first = [0; 256];
    stream.read_exact(&mut first).expect("a beginning");
    service.send(Signal::TERM);
    let mut rest = String::new();
    stream.read_to_string(&mut rest).expect("the rest");
    let last = rest.lines().rfind(|line| line.starts_with("data: "));
    assert!(last.is_some_and(|line| line.contains("\"draining\"")), "{last:?}");
    assert!(!rest.contains("[DONE]"));
    // The body is whole: its last chunk has come.
    assert!(rest.ends_with("\r\n0\r\n\r\n"), "{rest}");
    let status = service.end();
    service.line("1 answers were cut");
    assert_eq!(status.code(), Some(0), "{:?}", service.said);
}

#[test]
fn sighup_reads_the_keys_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("keys");
    secret(&file, "old-key-of-sixteen\n");
    let mut service = Service::start(&["--api-key-file", &file.to_string_lossy()]);
    let status = |service: &Service, key: &str| {
        let header = format!("Authorization: Bearer {key}\r\n");
        service.ask("GET", "/v1/models", &header, "").status
    };
    assert_eq!(service.get("/v1/models").status, 401);
    assert_eq!(service.get("/readyz").status, 200);
    assert_eq!(status(&service, "old-key-of-sixteen"), 200);
    secret(&file, "new-key-of-sixteen\n");
    service.send(Signal::HUP);
    service.line("read again");
    assert_eq!(status(&service, "old-key-of-sixteen"), 401);
    assert_eq!(status(&service, "new-key-of-sixteen"), 200);
    // What cannot be read changes nothing.
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).expect("set");
    service.send(Signal::HUP);
    service.line("the keys stay as they were");
    assert_eq!(status(&service, "new-key-of-sixteen"), 200);
    service.stop();
}

#[test]
fn a_new_key_is_printed_once_and_works() {
    let output = util::succeed(&mut siskin(["serve", "--new-key", "kitchen"]));
    let key = String::from_utf8(output.stdout).expect("text");
    let said = String::from_utf8(output.stderr).expect("text");
    let line = said
        .lines()
        .find(|line| line.contains("sha256:"))
        .expect("a line");
    assert!(!line.contains(key.trim()), "{line}");
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("keys");
    let line = line.trim_start_matches("siskin: ");
    secret(&file, &format!("{line}\n"));
    let service = Service::start(&["--api-key-file", &file.to_string_lossy()]);
    let header = format!("Authorization: Bearer {}\r\n", key.trim());
    assert_eq!(service.ask("GET", "/v1/models", &header, "").status, 200);
    service.stop();
}

#[test]
fn a_unix_socket_is_served_removed_and_taken_over() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("socket");
    let name = path.to_string_lossy();
    for round in 0..2 {
        let mut service = Service::spawn(util::siskin_that_hears_signals(["serve", "--unix", &name]));
        let mut stream = UnixStream::connect(&path).expect("connected");
        write(&mut stream, "GET", "/readyz", "Host: localhost\r\n", "");
        assert_eq!(Reply::read(stream).status, 200);
        if round == 0 {
            // A killed service leaves its file.
            service.send(Signal::KILL);
            service.end();
            assert!(path.exists());
        } else {
            service.stop();
            assert!(!path.exists());
        }
    }
}

#[test]
fn a_client_that_leaves_frees_its_place() {
    let service = Service::start(&["--parallel", "1"]);
    drop(service.begin_stream(400));
    until("a cancelled request", || {
        (service.metric("siskin_requests_cancelled_total") >= 1.0).then_some(())
    });
    let slots = service.get("/slots").json();
    assert_eq!(slots[0]["n_active"], 0, "{slots}");
    assert!(
        !service
            .post("/v1/completions", &greedy(PROMPT, 4, false))
            .completion()
            .is_empty()
    );
    service.stop();
}

#[test]
fn a_second_model_is_loaded_when_it_is_asked_for() {
    let folder = tempfile::tempdir().expect("a folder");
    let models =
        ["llama-spm", "llama-tied"].map(|name| util::convert(&util::checkpoint(name), folder.path(), "f32"));
    let paths = models.each_ref().map(|path| path.to_string_lossy());
    let service = Service::start(&[&paths[0], &paths[1], "--alias", "first"]);
    let ids: Vec<String> = {
        let list = service.get("/v1/models").json();
        let data = list["data"].as_array().expect("a list").clone();
        data.iter()
            .map(|model| model["id"].as_str().expect("a name").to_owned())
            .collect()
    };
    assert_eq!(ids, ["first", "llama-tied-f32"]);
    assert_eq!(service.metric("siskin_model_loads_total"), 1.0);
    let mut body = greedy("The king", 4, false);
    body["model"] = json!(ids[1]);
    assert_eq!(service.post("/v1/completions", &body).status, 200);
    assert_eq!(service.metric("siskin_model_loads_total"), 2.0);
    body["model"] = json!("nobody");
    let unknown = service.post("/v1/completions", &body);
    assert_eq!(unknown.status, 404, "{unknown:?}");
    assert!(unknown.text.contains("llama-tied-f32"), "{unknown:?}");
    service.stop();
}

#[test]
fn a_prompt_that_was_asked_again_is_known_after_a_restart() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = folder.path().join("prefixes");
    let store = store.to_string_lossy().into_owned();
    // Small keys and values and slow passes: reading is faster than computing on a fast machine, too.
    let settings = "-t 1 --threads-batch 1 --ubatch-size 4 --parallel 1 --cache-type q4_0 --prefix-store";
    let settings: Vec<&str> = settings.split(' ').chain([store.as_str()]).collect();
    let start = || Service::start(&settings);
    let sentence =
        "Once upon a time there was a little cat who liked to run and play in the big green garden. ";
    let body = greedy(&sentence.repeat(14), 8, false);
    let asked = |service: &Service| {
        let reply = service.post("/v1/completions", &body);
        let cached = reply.json()["timings"]["cache_n"].as_u64().expect("a number");
        (reply.completion(), cached)
    };
    let service = start();
    let want = asked(&service).0;
    for _ in 0..2 {
        assert_eq!(asked(&service).0, want);
    }
    until("a file", || {
        (service.metric("siskin_prefix_store_writes_total") >= 1.0).then_some(())
    });
    service.stop();

    let service = start();
    let (text, cached) = asked(&service);
    assert_eq!(text, want);
    assert!(cached > 0);
    assert_eq!(service.metric("siskin_prefix_store_hits_total"), 1.0);
    service.stop();

    for entry in std::fs::read_dir(&store).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.extension().is_some_and(|end| end == "state") {
            let mut bytes = std::fs::read(&path).expect("a state");
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            std::fs::write(&path, bytes).expect("written");
        }
    }
    let service = start();
    assert_eq!(asked(&service), (want, 0));
    assert_eq!(service.metric("siskin_prefix_store_damaged_total"), 1.0);
    service.stop();
}

#[test]
fn a_check_asks_every_path_and_says_who_could_connect() {
    let folder = tempfile::tempdir().expect("a folder");
    let keys = folder.path().join("keys");
    secret(&keys, "a-key-of-sixteen-letters\n");
    let mut check = siskin(["serve", "--check", "--host", "0.0.0.0", "--api-key-file"]);
    let output = util::succeed(check.arg(&keys));
    let text = String::from_utf8(output.stdout).expect("text");
    for part in [
        "/v1/chat/completions",
        "/api/generate",
        "ready after",
        "64 tokens\n",
        " predicted\n",
        "http://0.0.0.0:8080",
        "other machines",
        "asked for",
        "nothing is written",
    ] {
        assert!(text.contains(part), "no {part}: {text}");
    }
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    let line = util::fail(&mut siskin(["serve", "--check", "--host", "0.0.0.0"]), 1);
    assert!(line.contains("--api-key-file FILE"), "{line}");
}
