//! A process that saves is killed at any point; whoever opens the store next finds what is right, and nothing else.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::*;

/// The folder that the child saves into.
const FOLDER: &str = "SISKIN_TEST_STORE";
/// Its first seed.
const SEED: &str = "SISKIN_TEST_SEED";
const LIMITS: Limits = Limits {
    folder: 16 << 20,
    daily: 1 << 40,
};

fn len(seed: u32) -> usize {
    10_000 + (seed as usize * 7919) % 900_000
}

/// What the killed process does: it saves, for much longer than it lives.
#[test]
#[ignore = "the process that the other tests here start and kill"]
fn child_that_saves() {
    let folder = std::env::var_os(FOLDER).expect("started by a test");
    let first: u32 = std::env::var(SEED).expect("a seed").parse().expect("a number");
    let mut store = Store::open(Path::new(&folder), LIMITS, VERSION, NOW).expect("a store");
    println!("\nopen");
    for seed in first..first + 500 {
        let text = tokens(seed, 300);
        if let Err(error @ Refused::Failed(_)) = save(&mut store, scope(1), &text, len(seed)) {
            panic!("{error}");
        }
        println!("saved");
    }
}

/// A process that is killed in any case.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What was found after so many kills.
#[derive(Debug, Default)]
struct Tally {
    kills: u64,
    leftovers: u64,
    restored: u64,
}

fn kill(rounds: u64, seed: u64) -> Tally {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("store");
    let mut random = fastrand::Rng::with_seed(seed);
    let mut tally = Tally::default();
    for round in 0..rounds {
        let first = u32::try_from(round).expect("few") * 1000;
        let child = Command::new(std::env::current_exe().expect("this program"))
            .args([
                "--ignored",
                "--exact",
                "--nocapture",
                "store::tests::kill::child_that_saves",
            ])
            .env(FOLDER, &path)
            .env(SEED, first.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a child");
        let mut child = Killed(child);
        let lines = BufReader::new(child.0.stdout.take().expect("its output")).lines();
        let mut lines = lines.map_while(Result::ok).skip_while(|line| line != "open");
        assert!(lines.next().is_some(), "it opens the store");
        for _ in 0..random.usize(..4) {
            assert_eq!(lines.next().as_deref(), Some("saved"));
        }
        // A save takes milliseconds, so any moment of one is as likely as another.
        std::thread::sleep(Duration::from_micros(random.u64(..10_000)));
        drop(child);

        let mut store = Store::open(&path, LIMITS, VERSION, NOW).expect("the lock went with the process");
        let counters = store.counters();
        assert_eq!(
            (counters.damaged, counters.outdated, counters.foreign),
            (0, 0, 0),
            "{counters:?}"
        );
        tally.leftovers += counters.leftovers;
        assert!(store.bytes() <= LIMITS.folder);
        let texts: Vec<Vec<u32>> = store.entries.iter().map(|entry| entry.tokens.clone()).collect();
        for text in &texts {
            // Compares the content.
            assert!(restored(&mut store, scope(1), text), "round {round}");
            tally.restored += 1;
        }
        let files = names(&path)
            .into_iter()
            .filter(|name| name != "lock" && name != "ledger");
        assert_eq!(
            files.count(),
            2 * store.len(),
            "two files an entry, and none that is incomplete"
        );
        // Every byte of every entry is in the budget, whenever the process ended.
        let written = LIMITS.daily - store.budget_left(NOW);
        assert!(written >= store.bytes(), "{written} of {}", store.bytes());
        store.flush(NOW).expect("written");
        tally.kills += 1;
    }
    tally
}

#[test]
fn a_process_killed_while_it_saves_leaves_what_is_right() {
    let tally = kill(20, 1);
    assert_eq!(tally.kills, 20);
    assert!(tally.restored > 0 && tally.leftovers > 0, "{tally:?}");
}

#[test]
#[ignore = "a soak of 200 kills"]
fn two_hundred_kills_leave_what_is_right() {
    let tally = kill(200, 2);
    println!("{tally:?}");
    assert!(tally.restored > 0 && tally.leftovers > 20, "{tally:?}");
}
