//! Every fault of the hub, at every kind of request: the pull ends with the right bytes, or with one line and no file.

use siskin_testing::hub::{Fault, Hub, Site as Server};

use super::{Site, TOKEN, converted, files_of, put, read, side_by_side, silent};
use crate::util;

/// Kinds of requests, by what their addresses contain.
const REQUESTS: [&str; 5] = [
    "/revision/",
    "/tree/",
    "/config.json",
    "/model.safetensors",
    "/cdn/",
];

/// How a pull must end.
#[derive(Debug, Clone, Copy, PartialEq)]
enum End {
    /// With the right bytes.
    Well,
    /// With one line.
    Line,
    /// With either; the kind of request decides.
    Either,
}

fn status(status: u16) -> Fault {
    Fault::Status(status, "X-Nothing", String::new())
}

/// Faults, how often they happen, and how a pull ends.
fn cases(elsewhere: &Hub) -> Vec<(Fault, usize, End)> {
    let always = 1000;
    vec![
        (Fault::Cut(0), 1, End::Well),
        (Fault::Cut(100), 2, End::Well),
        (Fault::Cut(70_001), 3, End::Well),
        (Fault::Stall(50), 1, End::Well),
        (Fault::Silent, 1, End::Well),
        (Fault::Trickle(400_000), 1, End::Well),
        (Fault::WrongByte(300), 1, End::Either),
        (Fault::WrongByte(300), always, End::Either),
        (Fault::WrongByte(200_000), 1, End::Well),
        (Fault::WrongByte(200_000), always, End::Either),
        (Fault::Whole, always, End::Well),
        (Fault::WrongRange(1), 1, End::Either),
        (Fault::WrongRange(64), always, End::Either),
        (Fault::NoRange, always, End::Either),
        (Fault::Gzip, 1, End::Either),
        (Fault::Gzip, always, End::Either),
        (Fault::WrongLength(5), 1, End::Either),
        (Fault::NoLength, 1, End::Either),
        (Fault::NoLength, always, End::Either),
        (Fault::Html, 1, End::Either),
        (Fault::Html, always, End::Line),
        (Fault::Redirect(format!("{}/x", elsewhere.url())), 1, End::Either),
        (
            Fault::Redirect(format!("{}/x", elsewhere.url())),
            always,
            End::Line,
        ),
        (Fault::Redirect("file:///etc/passwd".into()), always, End::Line),
        (status(400), always, End::Line),
        (status(401), always, End::Line),
        (status(403), 1, End::Either),
        (status(403), always, End::Line),
        (status(404), always, End::Line),
        (status(416), always, End::Line),
        (status(418), always, End::Line),
        (status(500), 2, End::Well),
        (status(503), 1, End::Either),
        (Fault::Status(429, "Retry-After", "1".into()), 1, End::Well),
        (Fault::Status(429, "Retry-After", "100000".into()), 1, End::Line),
    ]
}

#[test]
fn whatever_goes_wrong_ends_with_the_right_bytes_or_one_line() {
    // Both wait for a quarter of a minute.
    std::thread::scope(|scope| {
        scope.spawn(a_hub_that_is_not_there_is_said_after_a_few_attempts);
        every_fault_ends_with_the_right_bytes_or_one_line();
    });
}

fn every_fault_ends_with_the_right_bytes_or_one_line() {
    let elsewhere = Hub::start();
    let want = converted("llama-tied", "q8_0");
    let mut all: Vec<(&str, (Fault, usize, End))> = REQUESTS
        .into_iter()
        .flat_map(|request| cases(&elsewhere).into_iter().map(move |case| (request, case)))
        .collect();
    // What is tried often takes longest, and begins first.
    all.sort_by_key(|(_, (_, times, _))| std::cmp::Reverse(*times));
    let files = files_of(&util::checkpoint("llama-tied"));
    let wrong = std::sync::Mutex::new(Vec::new());
    side_by_side(&all, |(request, (fault, times, end))| {
        let site = Site::new();
        put(&site.hub, "org/llama-tied", "main", &files);
        site.hub.fault(request, fault.clone(), *times);
        let mut pull = site.pull("org/llama-tied --type q8_0");
        let output = pull.env("HF_TOKEN", TOKEN).output().expect("the program starts");
        let said = String::from_utf8_lossy(&output.stderr);
        let found = if output.status.success() {
            End::Well
        } else {
            End::Line
        };
        let is_clean = match found {
            End::Well => said.is_empty() && read(&site.model("llama-tied-q8_0")) == want,
            _ => output.status.code() == Some(1) && said.lines().count() == 1 && site.shown().is_empty(),
        };
        let happened = site.hub.faults_left() < *times;
        if !is_clean || !happened || (*end != End::Either && *end != found) {
            let line = format!("{request} {fault:?} {times}: {found:?} {} {said}", output.status);
            wrong.lock().expect("a lock").push(line);
        }
        for request in site.hub.take_log() {
            let token = (request.site == Server::Hub).then(|| format!("Bearer {TOKEN}"));
            assert_eq!(request.authorization, token, "{fault:?}: {request:?}");
        }
        // Afterwards, without faults, it goes on or begins again.
        if found == End::Line {
            site.hub.clear_faults();
            silent(&mut site.pull("org/llama-tied --type q8_0"));
        }
    });
    let wrong = wrong.into_inner().expect("a lock");
    assert!(
        wrong.is_empty(),
        "{} of {}:\n{}",
        wrong.len(),
        all.len(),
        wrong.join("\n")
    );
    for request in elsewhere.take_log() {
        assert_eq!(request.authorization, None, "{request:?}");
    }
}

#[test]
fn a_hub_that_is_not_there_is_said_after_a_few_attempts() {
    let site = Site::new();
    let gone = Hub::start().url();
    let line = util::fail(site.pull("org/good").env("HF_ENDPOINT", &gone), 1);
    assert!(line.contains("127.0.0.1") && line.contains("attempts"), "{line}");
    assert_eq!(site.shown(), [""; 0]);
}

#[test]
fn a_branch_that_moves_during_a_pull_changes_nothing() {
    for request in REQUESTS {
        let site = Site::new();
        let next = put(
            &site.hub,
            "org/llama-tied",
            "main",
            &files_of(&util::checkpoint("llama-bias")),
        );
        let first = put(
            &site.hub,
            "org/llama-tied",
            "main",
            &files_of(&util::checkpoint("llama-tied")),
        );
        let moves = Fault::Move("org/llama-tied".into(), "main".into(), next);
        // The first request asks for the commit; from then on the commit is asked for.
        let Some(request) = Some(request).filter(|request| *request != "/revision/") else {
            continue;
        };
        site.hub.fault(request, moves, 1);
        let report = super::json(&mut site.line("pull org/llama-tied --type q8_0 --json"));
        assert_eq!(report["origin"]["commit"], first, "{request}");
        assert_eq!(site.hub.faults_left(), 0);
        assert!(
            read(&site.model("llama-tied-q8_0")) == converted("llama-tied", "q8_0"),
            "{request}"
        );
    }
}
