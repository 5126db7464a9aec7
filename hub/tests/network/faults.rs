//! Every fault of the mock hub ends well or with one sentence; never with wrong bytes.

use std::io::Read;

use crate::common::{client, hub_name, weights};
use siskin_hub::net::Repo;
use siskin_testing::hub::{Fault, File, Hub};

const FILE: &str = "model.safetensors";

fn start() -> Hub {
    let hub = Hub::start();
    hub.repo(
        "a/b",
        [("config.json", File::small("{}")), (FILE, File::large(weights()))],
    );
    hub
}

#[test]
fn bytes_are_right_whatever_happens_to_connections() {
    let cdn = "/cdn/";
    type Faults = Vec<(&'static str, Fault, usize)>;
    let cases: Vec<(&str, Faults)> = vec![
        ("nothing", vec![]),
        ("cut at once", vec![(cdn, Fault::Cut(0), 2)]),
        ("cut in the middle, often", vec![(cdn, Fault::Cut(70_000), 8)]),
        (
            "expired",
            vec![(cdn, Fault::Status(403, "X-Nothing", String::new()), 1)],
        ),
        (
            "expired after a cut",
            vec![
                (cdn, Fault::Cut(99_999), 1),
                (cdn, Fault::Status(403, "X-Nothing", String::new()), 2),
            ],
        ),
        (
            "the whole file for a range",
            vec![(cdn, Fault::Cut(100_001), 1), (cdn, Fault::Whole, 1)],
        ),
        (
            "another range",
            vec![(cdn, Fault::Cut(100_001), 1), (cdn, Fault::WrongRange(1), 1)],
        ),
        (
            "no range",
            vec![(cdn, Fault::Cut(100_001), 1), (cdn, Fault::NoRange, 1)],
        ),
        ("wrong length", vec![(cdn, Fault::WrongLength(5), 1)]),
        ("no length", vec![(cdn, Fault::NoLength, 1)]),
        (
            "two errors of the server",
            vec![(cdn, Fault::Status(500, "X-Nothing", String::new()), 2)],
        ),
        (
            "too many requests",
            vec![("/resolve/", Fault::Status(429, "Retry-After", "1".into()), 1)],
        ),
        (
            "too many, as RateLimit says",
            vec![(
                cdn,
                Fault::Status(429, "RateLimit", "\"resolve\";r=0;t=1".into()),
                1,
            )],
        ),
        ("nothing comes any more", vec![(cdn, Fault::Stall(50_000), 1)]),
        ("no answer at all", vec![(cdn, Fault::Silent, 1)]),
        ("slow", vec![(cdn, Fault::Trickle(1_000_000), 1)]),
    ];
    // Some cases are slow on purpose, so they run side by side.
    std::thread::scope(|scope| {
        for (case, faults) in &cases {
            for offset in [0, 1, 123_457] {
                scope.spawn(move || read_through(case, faults, offset));
            }
        }
    });
}

fn read_through(case: &str, faults: &[(&str, Fault, usize)], offset: u64) {
    let hub = start();
    let client = client(&hub, None);
    let repo = Repo::open(&client, &hub_name("a/b")).expect(case);
    for (pattern, fault, times) in faults {
        hub.fault(pattern, fault.clone(), *times);
    }
    let mut bytes = Vec::new();
    let mut body = repo.open_at(FILE, offset).expect(case);
    body.read_to_end(&mut bytes)
        .unwrap_or_else(|error| panic!("{case} from {offset}: {error}"));
    assert!(
        bytes == weights()[offset as usize..],
        "{case} from {offset}: {} bytes",
        bytes.len()
    );
    assert!(
        hub.faults_left() == 0 || offset > 0,
        "{case}: not every fault happened"
    );
}
