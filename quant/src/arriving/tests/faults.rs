//! What goes wrong on the way: lost connections, wrong bytes, other origins, damaged journals, signals.

use super::*;
use siskin_model::ErrorKind;

const TYPE: FileType = FileType::Q8_0;

struct Case {
    repository: Repository,
    source: Source,
    dir: tempfile::TempDir,
    cancel: AtomicBool,
}

impl Case {
    fn new() -> Self {
        let repository = Repository::read(&fixture("llama-sharded"));
        Case {
            source: Source::new(&repository),
            repository,
            dir: tempfile::tempdir().expect("a folder"),
            cancel: AtomicBool::new(false),
        }
    }

    fn target(&self) -> PathBuf {
        self.dir.path().join("out.gguf")
    }

    fn run(&self, origin: &str) -> (Result<Arrived, ArrivingError>, Vec<String>) {
        let Case {
            repository, source, ..
        } = self;
        arrive(repository, TYPE, source, &self.target(), origin, &self.cancel)
    }

    fn lose_connection_after(&self, bytes: i64) {
        self.source.left.store(bytes, Ordering::Relaxed);
    }

    fn total(&self) -> u64 {
        self.source.shards.iter().map(|shard| shard.len() as u64).sum()
    }

    fn is_whole(&self) {
        assert!(bytes_of(&self.target()) == self.repository.expected(TYPE));
        assert_eq!(names(self.dir.path()), ["out.gguf"]);
    }
}

const LEFT: [&str; 2] = [".out.gguf.pull", ".out.gguf.pull.json"];

#[test]
fn a_lost_connection_is_continued_and_little_is_read_twice() {
    let case = Case::new();
    let (mut runs, mut read) = (0, 0);
    loop {
        case.lose_connection_after(70_000);
        let (arrived, events) = case.run("here");
        read += 70_000 - case.source.left.load(Ordering::Relaxed).max(0);
        runs += 1;
        match arrived {
            Ok(arrived) => {
                assert!(arrived.resumed > 0);
                break;
            }
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Io, "{error}");
                assert!(
                    error.to_string().contains("safetensors: the connection is lost"),
                    "{error}"
                );
                assert_eq!(names(case.dir.path()), LEFT);
                assert_eq!(events[0], format!("begin {}", runs > 1));
            }
        }
        assert!(runs < 100, "it does not end");
    }
    assert!(runs > 3);
    let offsets = case.source.opened();
    assert!(offsets.iter().any(|(_, offset)| *offset > 0));
    assert!(offsets.iter().all(|(_, offset)| offset % 64 == 0), "{offsets:?}");
    assert!(read >= case.total() as i64, "{read}");
    case.is_whole();
}

#[test]
fn a_wrong_byte_costs_one_shard_once_more() {
    let case = Case::new();
    *case.source.wrong.lock().expect("nobody panicked") = Some((1, 30_000, 1));
    let (arrived, events) = case.run("here");
    arrived.expect("the second time is right");
    assert_eq!(events, ["begin false", "again 1", "finished"]);
    assert_eq!(case.source.opened(), [(0, 0), (1, 0), (1, 0), (2, 0)]);
    case.is_whole();
}

#[test]
fn a_shard_that_stays_wrong_is_named_with_both_hashes() {
    let case = Case::new();
    *case.source.wrong.lock().expect("nobody panicked") = Some((1, 30_000, 2));
    let error = case.run("here").0.expect_err("wrong twice");
    let want = sha::digest(&case.source.shards[1]).to_string();
    let mut bytes = case.source.shards[1].clone();
    bytes[30_000] ^= 1;
    let found = sha::digest(&bytes).to_string();
    let text = error.to_string();
    assert!(text.contains(&want) && text.contains(&found), "{text}");
    assert_eq!(error.kind(), ErrorKind::Damaged);
    assert_eq!(names(case.dir.path()), LEFT);
    // The shards that were right are not read again.
    case.source.opened();
    case.run("here").0.expect("right now");
    assert_eq!(case.source.opened(), [(1, 0), (2, 0)]);
    case.is_whole();
}

#[test]
fn wrong_bytes_are_not_taken_for_wrong_weights() {
    let mut case = Case::new();
    // A weight that is not finite, only on the way.
    let header = u64::from_le_bytes(case.source.shards[0][..8].try_into().expect("eight bytes"));
    let right = case.source.shards[0].clone();
    for byte in &mut case.source.shards[0][8 + header as usize..][..512] {
        *byte = 0xff;
    }
    let error = case.run("here").0.expect_err("wrong");
    assert!(matches!(error, ArrivingError::Hash { .. }), "{error}");
    case.source.shards[0] = right;
    case.run("here").0.expect("right");
    case.is_whole();
}

#[test]
fn weights_that_are_not_finite_are_named_and_nothing_is_left() {
    let mut case = Case::new();
    let shard = &mut case.repository.shards[0].1;
    let header = u64::from_le_bytes(shard[..8].try_into().expect("eight bytes"));
    for byte in &mut shard[8 + header as usize..][..512] {
        *byte = 0xff;
    }
    case.source = Source::new(&case.repository);
    let error = case.run("here").0.expect_err("no weights");
    assert_eq!(error.kind(), ErrorKind::NonFinite, "{error}");
    assert_eq!(names(case.dir.path()), [""; 0]);
}

#[test]
fn what_is_of_another_run_is_begun_again() {
    // What happens to what is left, the origin of the next run, and why it begins again.
    type Change = fn(&Path);
    let cases: [(&str, Change, Option<&str>); 6] = [
        ("here", |_| {}, None),
        ("there", |_| {}, Some("anew it is of here")),
        (
            "here",
            |dir| std::fs::write(dir.join(LEFT[1]), "{\"version\":1").expect("written"),
            Some("anew its journal cannot be read"),
        ),
        (
            "here",
            |dir| std::fs::remove_file(dir.join(LEFT[1])).expect("removed"),
            Some("anew its journal cannot be read"),
        ),
        (
            "here",
            |dir| std::fs::write(dir.join(LEFT[0]), "short").expect("written"),
            Some("anew its journal cannot be read"),
        ),
        (
            "here",
            |dir| {
                let mut json = json_of(&dir.join(LEFT[1]));
                json["fingerprint"] = "0".repeat(64).into();
                std::fs::write(dir.join(LEFT[1]), json.to_string()).expect("written");
            },
            Some("anew it has other settings or is of another version"),
        ),
    ];
    for (origin, change, want) in cases {
        let case = Case::new();
        case.lose_connection_after(200_000);
        case.run("here").0.expect_err("lost");
        case.lose_connection_after(i64::MAX);
        change(case.dir.path());
        let (arrived, events) = case.run(origin);
        let arrived = arrived.expect("complete");
        assert_eq!(arrived.resumed > 0, want.is_none());
        assert_eq!(events.get(1).map(String::as_str), want.or(Some("finished")));
        case.is_whole();
    }
}

#[test]
fn a_journal_that_lies_is_not_believed() {
    let lies: [fn(&mut serde_json::Value); 5] = [
        |shard| shard["midstate"]["at"] = (1_u64 << 40).into(),
        |shard| shard["midstate"]["at"] = 63.into(),
        |shard| shard["pieces"] = 1_000_000.into(),
        |shard| shard["written"] = serde_json::json!([]),
        |shard| shard["found"] = "0".repeat(64).into(),
    ];
    for lie in lies {
        let case = Case::new();
        case.lose_connection_after(30_000);
        case.run("here").0.expect_err("lost");
        case.lose_connection_after(i64::MAX);
        let journal = case.dir.path().join(LEFT[1]);
        let mut json = json_of(&journal);
        lie(&mut json["shards"][2]);
        std::fs::write(&journal, json.to_string()).expect("written");
        let (arrived, events) = case.run("here");
        assert_eq!(arrived.expect("complete").resumed, 0);
        assert_eq!(events[1], "anew its journal cannot be read");
        case.is_whole();
    }
}

#[test]
fn a_run_that_is_stopped_keeps_what_has_arrived() {
    let case = Case::new();
    case.lose_connection_after(200_000);
    case.run("here").0.expect_err("lost");
    case.lose_connection_after(i64::MAX);
    case.cancel.store(true, Ordering::Relaxed);
    let error = case.run("here").0.expect_err("stopped");
    assert_eq!(error.kind(), ErrorKind::Interrupted);
    assert!(
        matches!(error, ArrivingError::Interrupted { kept } if kept > 64),
        "{error:?}"
    );
    assert_eq!(names(case.dir.path()), LEFT);
    case.cancel.store(false, Ordering::Relaxed);
    assert!(case.run("here").0.expect("complete").resumed > 64);
    case.is_whole();
    assert!(matches!(
        case.run("here").0,
        Err(ArrivingError::Target(
            siskin_model::atomic_file::AtomicFileError::Exists(_)
        ))
    ));
}

#[test]
fn shards_that_are_not_the_checkpoints_are_refused() {
    let case = Case::new();
    let conversion = case.repository.conversion(TYPE);
    let cancel = AtomicBool::new(false);
    let options = Arriving::new("here", StreamOptions::new(1, &cancel));
    let mut longer = case.repository.listed();
    longer[0].bytes += 1;
    for shards in [vec![], case.repository.listed()[..2].to_vec(), longer] {
        let refused = run(
            &conversion,
            &shards,
            &case.source,
            &case.target(),
            Overwrite::Refuse,
            &options,
            &mut |_| {},
        );
        let error = refused.expect_err("other shards");
        assert_eq!(error.kind(), ErrorKind::Mismatch, "{error}");
        assert_eq!(names(case.dir.path()), [""; 0]);
    }
}
