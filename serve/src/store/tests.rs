use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;

use super::*;

mod damage;
mod engine;
mod kill;

const NOW: u64 = 1_700_000_000;
const DAY: u64 = 86_400;
const VERSION: &str = "siskin 0.1.0, llama.cpp b1";
const LIMITS: Limits = Limits {
    folder: 64 << 20,
    daily: 256 << 20,
};

fn scope(namespace: u64) -> Scope {
    Scope {
        key: KeyId([1; 32]),
        namespace,
    }
}

fn open(path: &Path) -> Store {
    Store::open(path, LIMITS, VERSION, NOW).expect("a store")
}

fn tokens(seed: u32, len: usize) -> Vec<u32> {
    (0..len as u32).map(|n| n.wrapping_mul(31) + seed).collect()
}

/// A state that follows from its tokens.
fn content(tokens: &[u32], len: usize) -> Vec<u8> {
    let seed = tokens.iter().fold(7u64, |sum, token| {
        sum.wrapping_mul(31).wrapping_add(u64::from(*token))
    });
    let mut bytes = vec![0; len];
    fastrand::Rng::with_seed(seed).fill(&mut bytes);
    bytes
}

fn prefix(scope: Scope, tokens: &[u32], bytes: usize) -> Prefix<'_> {
    Prefix {
        scope,
        tokens,
        bytes: bytes as u64,
        seconds: 8.0,
        hits: 2,
    }
}

fn save(store: &mut Store, scope: Scope, tokens: &[u32], bytes: usize) -> Result<u64, Refused> {
    store.save(&prefix(scope, tokens, bytes), NOW, |mut file| {
        file.write_all(&content(tokens, bytes))?;
        Ok(bytes as u64)
    })
}

/// What the store gives for exactly these tokens, compared with what was written.
fn restored(store: &mut Store, scope: Scope, tokens: &[u32]) -> bool {
    let Some(candidate) = store
        .best_prefix(scope, tokens)
        .filter(|candidate| candidate.usable == tokens.len())
    else {
        return false;
    };
    let Some(verified) = store.verify(&candidate) else {
        return false;
    };
    assert_eq!(verified.tokens[..tokens.len()], *tokens);
    let len = usize::try_from(candidate.bytes).expect("small");
    let mut bytes = vec![0; len];
    std::os::unix::fs::FileExt::read_exact_at(&verified.file, &mut bytes, 0).expect("read");
    assert!(
        bytes == content(&verified.tokens, len),
        "a wrong state was given out"
    );
    store.note_hit(candidate.id, NOW);
    true
}

/// The files of an entry: state, manifest.
fn files(path: &Path, scope: Scope, tokens: &[u32]) -> [PathBuf; 2] {
    let id = EntryId::new(&scope, tokens);
    [folder::state(id), folder::manifest(id)].map(|name| path.join(name))
}

fn read(path: &Path) -> Vec<u8> {
    std::fs::read(path).expect("it is there")
}

fn names(path: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(path)
        .expect("a folder")
        .map(|entry| {
            entry
                .expect("an entry")
                .file_name()
                .to_string_lossy()
                .into_owned()
        })
        .collect();
    names.sort();
    names
}

#[test]
fn what_is_saved_is_there_after_a_restart_for_its_own_only() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("deep/store");
    let text = tokens(1, 300);
    {
        let mut store = open(&path);
        assert!(store.is_empty());
        assert_eq!(
            save(&mut store, scope(1), &text, 100_000).expect("saved"),
            100_000
        );
        assert!(matches!(
            save(&mut store, scope(1), &text, 100_000),
            Err(Refused::There)
        ));
        assert!(restored(&mut store, scope(1), &text));
        let counters = store.counters();
        assert_eq!(
            (counters.saved, counters.restored, counters.bytes_read),
            (1, 1, 100_000)
        );
        assert!(store.disk_rate().is_some_and(|rate| rate > 0.0));
        store.flush(NOW).expect("written");
    }
    for file in files(&path, scope(1), &text) {
        assert_eq!(
            std::fs::metadata(&file).expect("there").permissions().mode() & 0o777,
            0o600
        );
    }
    assert_eq!(
        std::fs::metadata(&path).expect("there").permissions().mode() & 0o777,
        0o700
    );
    let mut store = open(&path);
    assert_eq!(store.counters(), Counters::default());
    assert_eq!((store.len(), store.entries[0].worth.hits), (1, 3));
    assert!(restored(&mut store, scope(1), &text));
    let other_key = Scope {
        key: KeyId([2; 32]),
        ..scope(1)
    };
    for other in [scope(2), other_key] {
        assert_eq!(store.best_prefix(other, &text), None);
    }
}

#[test]
fn the_longest_common_beginning_wins_and_of_equals_the_shortest_state() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("store");
    let mut store = open(&path);
    let long = tokens(1, 500);
    let forked = [&long[..400], &tokens(9, 100)].concat();
    for text in [&long[..300], &long, &forked] {
        save(&mut store, scope(1), text, 1000).expect("saved");
    }
    let prompt = [&long[..], &[1, 2, 3]].concat();
    let other = [&long[..300], &[1, 2, 3]].concat();
    // (usable, stored)
    type Case<'a> = (&'a [u32], Option<(usize, usize)>);
    let table: [Case<'_>; 7] = [
        (&prompt, Some((500, 500))),
        (&long[..450], Some((450, 500))),
        (&forked, Some((500, 500))),
        (&other, Some((300, 300))),
        (&long[..10], Some((10, 300))),
        (&[5, 6], None),
        (&[], None),
    ];
    for (prompt, want) in table {
        let got = store.best_prefix(scope(1), prompt);
        assert_eq!(
            got.map(|candidate| (candidate.usable, candidate.stored)),
            want,
            "{}",
            prompt.len()
        );
    }
}

#[test]
fn two_processes_do_not_share_a_folder_and_one_that_ended_leaves_it() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("store");
    let first = open(&path);
    let error = Store::open(&path, LIMITS, VERSION, NOW).expect_err("in use");
    assert!(matches!(error, StoreError::InUse(_)));
    let text = error.to_string();
    assert!(text.contains("another process") && !text.contains("--"), "{text}");
    drop(first);
    open(&path);
}

#[test]
fn a_folder_that_others_may_use_or_that_is_none_is_refused() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("store");
    std::fs::create_dir(&path).expect("made");
    for mode in [0o755, 0o770, 0o701] {
        std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).expect("set");
        let error = Store::open(&path, LIMITS, VERSION, NOW).expect_err("not private");
        assert!(
            matches!(error, StoreError::NotPrivate { mode: found, .. } if found == mode),
            "{error}"
        );
    }
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o700)).expect("set");
    // As systemd's state folder: reached by a link.
    symlink(&path, dir.path().join("link")).expect("made");
    open(&dir.path().join("link"));
    let file = dir.path().join("file");
    std::fs::write(&file, "").expect("written");
    assert!(matches!(
        Store::open(&file, LIMITS, VERSION, NOW),
        Err(StoreError::Io { .. })
    ));
    // A link in the place of the lock.
    std::fs::remove_file(path.join("lock")).expect("removed");
    symlink(&file, path.join("lock")).expect("made");
    assert!(matches!(
        Store::open(&path, LIMITS, VERSION, NOW),
        Err(StoreError::Io { .. })
    ));
}

#[test]
fn another_version_of_the_software_starts_with_an_empty_store() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("store");
    save(&mut open(&path), scope(1), &tokens(1, 300), 1000).expect("saved");
    let store = Store::open(&path, LIMITS, "siskin 0.1.1, llama.cpp b1", NOW).expect("a store");
    assert_eq!((store.len(), store.counters().outdated), (0, 1));
    assert_eq!(names(&path), ["ledger", "lock"]);
    // What was written still counts.
    assert!(store.budget_left(NOW) < LIMITS.daily);
}

#[test]
fn a_save_that_fails_leaves_nothing_and_only_one_is_made_at_a_time() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("store");
    let mut store = open(&path);
    let [text, other] = [tokens(1, 300), tokens(2, 300)];
    let result = store.save(&prefix(scope(1), &text, 1000), NOW, |mut file| {
        file.write_all(b"half")?;
        Err(io::Error::other("the engine failed"))
    });
    assert!(matches!(result, Err(Refused::Failed(_))));
    for written in [0, 5] {
        let result = store.save(&prefix(scope(1), &text, 1000), NOW, |mut file| {
            file.write_all(b"half")?;
            Ok(written)
        });
        assert!(matches!(result, Err(Refused::Failed(_))), "{written}");
    }
    assert_eq!(
        (store.len(), store.counters().failed, store.counters().saved),
        (0, 3, 0)
    );
    let draft = store.begin(&prefix(scope(1), &text, 1000), NOW).expect("a draft");
    assert!(matches!(
        store.begin(&prefix(scope(1), &other, 1000), NOW),
        Err(Refused::Busy)
    ));
    drop(draft);
    assert_eq!(names(&path), ["ledger", "lock"]);
    for len in [0, MAX_TOKENS + 1] {
        let result = store.begin(&prefix(scope(1), &vec![1; len], 1000), NOW);
        assert!(matches!(result, Err(Refused::Length)), "{len}");
    }
    save(&mut store, scope(1), &text, 1000).expect("saved");
}

#[test]
fn the_folder_keeps_its_limit_and_what_is_worth_more() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("store");
    let limits = Limits {
        folder: 4 << 20,
        ..LIMITS
    };
    let mib = 1 << 20;
    let mut store = Store::open(&path, limits, VERSION, NOW).expect("a store");
    for seed in 0..3 {
        save(&mut store, scope(1), &tokens(seed, 300), mib).expect("saved");
    }
    for seed in [0, 2] {
        assert!(restored(&mut store, scope(1), &tokens(seed, 300)));
    }
    // A fourth does not fit; the one that was not used since goes.
    save(&mut store, scope(1), &tokens(3, 300), mib).expect("saved");
    assert!(!restored(&mut store, scope(1), &tokens(1, 300)));
    assert_eq!((store.len(), store.counters().evicted), (3, 1));
    assert!(store.bytes() <= limits.folder);
    let text = tokens(4, 300);
    let cheap = Prefix {
        seconds: 0.001,
        ..prefix(scope(1), &text, mib)
    };
    assert!(matches!(store.begin(&cheap, NOW), Err(Refused::Folder)));
    assert!(matches!(
        save(&mut store, scope(1), &tokens(5, 300), 5 * mib),
        Err(Refused::Folder)
    ));
    // A state that is larger than announced takes room from the others.
    let text = tokens(6, 300);
    let announced = Prefix {
        hits: 50,
        ..prefix(scope(1), &text, 1000)
    };
    let written = store.save(&announced, NOW, |mut file| {
        file.write_all(&content(&text, 2 * mib))?;
        Ok(2 << 20)
    });
    assert_eq!(written.expect("saved"), 2 << 20);
    assert!(store.bytes() <= limits.folder, "{}", store.bytes());
    store.flush(NOW).expect("written");
    drop(store);
    // A smaller limit, and what is worth the most stays.
    let limits = Limits {
        folder: 5 << 19,
        ..LIMITS
    };
    let mut store = Store::open(&path, limits, VERSION, NOW).expect("a store");
    assert!(
        store.bytes() <= limits.folder && store.len() == 1,
        "{}",
        store.len()
    );
    assert!(restored(&mut store, scope(1), &text));
}

/// Simulated days, with a restart every three hours: what is written stays below the budget in any 24 hours.
#[test]
fn the_days_bytes_are_counted_over_restarts() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("store");
    let limits = Limits {
        folder: 1 << 20,
        daily: 1 << 20,
    };
    let mut writes = Vec::new();
    let mut refused = 0;
    for step in 0..24 {
        let now = NOW + step * 3 * 3600;
        let mut store = Store::open(&path, limits, VERSION, now).expect("a store");
        for namespace in 0..2 {
            let text = tokens(u32::try_from(step).expect("few"), 300);
            let saved = store.save(&prefix(scope(namespace), &text, 100_000), now, |mut file| {
                file.write_all(&content(&text, 100_000))?;
                Ok(100_000)
            });
            match saved {
                Err(Refused::Budget) => refused += 1,
                saved => assert!(saved.is_ok(), "{saved:?}"),
            }
        }
        store.flush(now).expect("written");
        writes.push((now, store.counters().bytes_written));
    }
    for (start, _) in &writes {
        let day = writes.iter().filter(|(at, _)| (*start..start + DAY).contains(at));
        let bytes: u64 = day.map(|(_, bytes)| bytes).sum();
        assert!(bytes <= limits.daily, "{bytes}");
    }
    let all: u64 = writes.iter().map(|(_, bytes)| bytes).sum();
    assert!(
        refused > 10 && all > 3 * limits.daily * 6 / 10,
        "{refused} refused, {all} bytes"
    );
}

/// Without its ledger a store does not know what it wrote.
#[test]
fn a_ledger_that_is_lost_or_damaged_costs_a_day() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("store");
    let text = tokens(1, 300);
    for harm in ["lost", "damaged"] {
        let mut store = open(&path);
        let _ = save(&mut store, scope(1), &text, 1000);
        drop(store);
        match harm {
            "lost" => std::fs::remove_file(path.join("ledger")).expect("removed"),
            _ => std::fs::write(path.join("ledger"), "nothing").expect("written"),
        }
        let mut store = open(&path);
        assert_eq!(
            (store.budget_left(NOW), store.counters().damaged),
            (0, 1),
            "{harm}"
        );
        assert!(matches!(
            save(&mut store, scope(1), &tokens(2, 300), 1000),
            Err(Refused::Budget)
        ));
        assert!(restored(&mut store, scope(1), &text));
        assert_eq!(store.budget_left(NOW + DAY + 3600), LIMITS.daily);
    }
}
