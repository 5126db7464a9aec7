use super::*;
use crate::settings::Values;

fn tuned() -> Tuned {
    Tuned {
        settings: Values::default().into(),
        prefill_tokens_per_second: 100.0,
        decode_tokens_per_second: 10.0,
        measured_at: 1,
        pass_costs: vec![],
    }
}

#[test]
fn results_are_kept_and_others_stay() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("siskin/tuned.json");
    assert_eq!(load(&path, "a"), Ok(None));
    save(&path, "a", &tuned()).expect("saved");
    let mut other = tuned();
    other.settings.threads = Some(3);
    save(&path, "b", &other).expect("saved");
    assert_eq!(load(&path, "a"), Ok(Some(tuned())));
    assert_eq!(load(&path, "b"), Ok(Some(other)));
    assert_eq!(load(&path, "c"), Ok(None));
    assert!(forget(&path, "b").expect("written"));
    assert!(!forget(&path, "b").expect("nothing to do"));
    assert_eq!(load(&path, "b"), Ok(None));
    assert_eq!(load(&path, "a"), Ok(Some(tuned())));
    let left = std::fs::read_dir(folder.path().join("siskin"))
        .expect("there")
        .count();
    assert_eq!(left, 1, "no temporary file is left");
}

#[test]
fn a_damaged_file_is_ignored_and_said() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("tuned.json");
    for text in [
        "",
        "{",
        "[]",
        r#"{"schema":2,"results":{}}"#,
        r#"{"schema":3,"results":{"a":{"threads":-1}}}"#,
    ] {
        std::fs::write(&path, text).expect("written");
        let error = load(&path, "a").expect_err(text).to_string();
        assert!(error.contains("ignored"), "{text}: {error}");
    }
    save(&path, "a", &tuned()).expect("a damaged file is replaced");
    assert_eq!(load(&path, "a"), Ok(Some(tuned())));
}

#[test]
fn what_a_newer_siskin_has_written_is_never_replaced() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("tuned.json");
    for text in [
        r#"{"schema":4,"results":{"a":1}}"#,
        r#"{"found":[],"schema":12345678901}"#,
    ] {
        std::fs::write(&path, text).expect("written");
        assert!(load(&path, "a").expect_err(text).to_string().contains("ignored"));
        for error in [check(&path), save(&path, "a", &tuned())] {
            assert!(matches!(error, Err(SaveError::Newer { .. })), "{error:?}");
        }
        assert!(forget(&path, "a").is_err());
        assert_eq!(std::fs::read_to_string(&path).expect("there"), text);
    }
}

#[test]
fn what_cannot_be_saved_is_known_before() {
    let folder = tempfile::tempdir().expect("a folder");
    check(&folder.path().join("new/tuned.json")).expect("can be made");
    let device = folder.path().join("tuned.json");
    std::os::unix::fs::symlink("/dev/zero", &device).expect("linked");
    assert!(
        load(&device, "a")
            .expect_err("endless")
            .to_string()
            .contains("a device")
    );
    assert!(check(&device).is_err() && save(&device, "a", &tuned()).is_err());
    assert!(check(&device.join("tuned.json")).is_err());
}

/// A file of before passes were measured is read, and what is read of passes was written.
#[test]
fn costs_of_passes_are_kept_and_older_files_have_none() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("tuned.json");
    save(&path, "a", &tuned()).expect("saved");
    let text = std::fs::read_to_string(&path).expect("there");
    assert!(!text.contains("pass_costs"), "{text}");
    let older = load(&path, "a").expect("read").expect("there");
    assert_eq!((older.pass_cost(1, 0), older.pass_cost(4, 0)), (None, None));
    let cost = |depth, tokens, relative_time| PassCost {
        depth,
        tokens,
        relative_time,
    };
    let costs = vec![
        cost(0, 1, 1.0),
        cost(0, 4, 1.5),
        cost(512, 1, 1.0),
        cost(512, 4, 1.9),
        cost(0, 8, 3.0),
    ];
    let new = Tuned {
        pass_costs: costs,
        ..tuned()
    };
    save(&path, "a", &new).expect("saved");
    let read = load(&path, "a").expect("read").expect("there");
    assert_eq!(read, new);
    // (tokens, depth, T(n))
    let cases = [
        (1, 0, Some(1.0)),
        (1, 300, Some(1.0)),
        (4, 0, Some(1.5)),
        (4, 128, Some(1.6)),
        (4, 512, Some(1.9)),
        (4, 4096, Some(1.9)),
        (8, 512, Some(3.0)),
        (2, 0, None),
        (0, 0, None),
        (16, 0, None),
    ];
    for (tokens, depth, want) in cases {
        let found = read.pass_cost(tokens, depth);
        let near = match (found, want) {
            (Some(found), Some(want)) => (found - want).abs() < 1e-9,
            (found, want) => found == want,
        };
        assert!(near, "{tokens} at {depth}: {found:?}");
    }
}
