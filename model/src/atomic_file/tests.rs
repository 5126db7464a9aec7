use std::os::unix::fs::symlink;

use super::*;

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).expect("a folder");
    let mut names: Vec<_> = entries
        .map(|e| e.expect("an entry").file_name().into_string().expect("UTF-8"))
        .collect();
    names.sort();
    names
}

#[test]
fn a_target_appears_whole_or_not_at_all() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let path = dir.path().join("out.gguf");
    let target = AtomicFile::create(&path, Overwrite::Refuse).expect("created");
    target.write_all(b"half").expect("written");
    assert!(!path.exists());
    drop(target);
    assert_eq!(names(dir.path()), [""; 0]);

    let target = AtomicFile::create(&path, Overwrite::Refuse).expect("created");
    target.reserve(5).expect("reserved");
    target.write_all(b"whole").expect("written");
    target.commit().expect("committed");
    assert_eq!(std::fs::read(&path).expect("there"), b"whole");
    assert_eq!(names(dir.path()), ["out.gguf"]);
}

#[test]
fn an_existing_target_is_kept_or_replaced_as_asked() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let path = dir.path().join("out.gguf");
    std::fs::write(&path, "old").expect("written");
    assert!(matches!(
        AtomicFile::create(&path, Overwrite::Refuse),
        Err(AtomicFileError::Exists(_))
    ));
    let target = AtomicFile::create(&path, Overwrite::Replace).expect("created");
    target.write_all(b"new").expect("written");
    assert_eq!(std::fs::read(&path).expect("there"), b"old");
    target.commit().expect("committed");
    assert_eq!(std::fs::read(&path).expect("there"), b"new");
}

#[test]
fn a_target_made_meanwhile_is_not_replaced() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let path = dir.path().join("out.gguf");
    let target = AtomicFile::create(&path, Overwrite::Refuse).expect("created");
    std::fs::write(&path, "somebody else's").expect("written");
    assert!(matches!(target.commit(), Err(AtomicFileError::Exists(_))));
    assert_eq!(std::fs::read(&path).expect("there"), b"somebody else's");
    assert_eq!(names(dir.path()), ["out.gguf"]);
}

#[test]
fn left_overs_of_killed_runs_go_and_everything_else_stays() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let path = dir.path().join("out.gguf");
    let stays = [
        ".out.gguf.12x.partial",
        ".out.gguf..partial",
        ".other.gguf.1.partial",
        "out.gguf.1.partial",
    ];
    for name in stays.into_iter().chain([".out.gguf.1.partial"]) {
        std::fs::write(dir.path().join(name), "left").expect("written");
    }
    let living = dir.path().join(".out.gguf.2.partial");
    let locked = File::create(&living).expect("created");
    locked.lock().expect("locked");
    drop(AtomicFile::create(&path, Overwrite::Refuse).expect("created"));
    let mut want = stays.map(str::to_owned).to_vec();
    want.push(".out.gguf.2.partial".to_owned());
    want.sort();
    assert_eq!(names(dir.path()), want);
}

#[test]
fn what_is_no_file_name_is_refused() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    for path in [dir.path().to_owned(), "/dev/null".into(), "new/".into()] {
        assert!(
            matches!(
                AtomicFile::create(&path, Overwrite::Replace),
                Err(AtomicFileError::NotAFile { .. })
            ),
            "{path:?}"
        );
    }
    let nowhere = dir.path().join("no/such/out.gguf");
    assert!(matches!(
        AtomicFile::create(&nowhere, Overwrite::Refuse),
        Err(AtomicFileError::NoFolder { .. })
    ));
}

fn replace(path: &Path, text: &str) {
    let target = AtomicFile::create(path, Overwrite::Replace).expect("created");
    target.write_all(text.as_bytes()).expect("written");
    target.commit().expect("committed");
}

#[test]
fn a_replaced_file_keeps_its_mode() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let path = dir.path().join("out.gguf");
    for mode in [0o600, 0o640, 0o444, 0o755] {
        std::fs::write(&path, "old").expect("written");
        std::fs::set_permissions(&path, Permissions::from_mode(mode)).expect("set");
        replace(&path, "new");
        let meta = std::fs::metadata(&path).expect("there");
        assert_eq!(meta.mode() & 0o7777, mode);
        std::fs::remove_file(&path).expect("removed");
    }
}

#[test]
fn a_link_stays_and_its_file_is_replaced() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let at = |name: &str| dir.path().join(name);
    std::fs::create_dir(at("disk")).expect("made");
    std::fs::write(at("disk/model"), "old").expect("written");
    symlink("disk/model", at("near")).expect("linked");
    symlink(at("near"), at("far")).expect("linked");
    assert!(matches!(
        check(&at("far"), Overwrite::Refuse),
        Err(AtomicFileError::Exists(_))
    ));
    replace(&at("far"), "new");
    assert!(at("far").is_symlink() && at("near").is_symlink());
    assert_eq!(std::fs::read(at("disk/model")).expect("there"), b"new");
    assert_eq!(names(&at("disk")), ["model"]);

    symlink("disk/none", at("dangling")).expect("linked");
    symlink("circle", at("circle")).expect("linked");
    for overwrite in [Overwrite::Refuse, Overwrite::Replace] {
        let error = check(&at("dangling"), overwrite).expect_err("leads nowhere");
        assert!(
            error.to_string().contains("disk/none, which does not exist"),
            "{error}"
        );
        assert!(check(&at("circle"), overwrite).is_err());
    }
}

#[test]
fn any_name_that_the_system_allows_can_be_written() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    for name in [
        "x".repeat(255),
        "\u{20ac}".repeat(85),
        "-a".into(),
        "a b\n".into(),
    ] {
        replace(&dir.path().join(&name), "new");
        assert_eq!(names(dir.path()), std::slice::from_ref(&name));
        std::fs::remove_file(dir.path().join(&name)).expect("removed");
    }
    assert!(check(&dir.path().join("x".repeat(256)), Overwrite::Refuse).is_err());
    assert!(matches!(
        check(Path::new("-"), Overwrite::Replace),
        Err(AtomicFileError::Dash)
    ));
}

#[test]
fn an_output_is_not_an_input_under_any_name() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let at = |name: &str| dir.path().join(name);
    std::fs::write(at("in"), "").expect("written");
    std::fs::write(at("other"), "").expect("written");
    std::fs::hard_link(at("in"), at("hard")).expect("linked");
    symlink("in", at("soft")).expect("linked");
    symlink("none", at("dangling")).expect("linked");
    for (output, refused) in [
        ("in", true),
        ("hard", true),
        ("soft", true),
        ("other", false),
        ("none", false),
        ("dangling", false),
    ] {
        let checked = check_inputs(&at(output), [at("none"), at("in")]);
        assert_eq!(checked.is_err(), refused, "{output}");
    }
}

#[test]
fn what_a_file_system_lacks_is_told_from_what_fails() {
    for errno in [
        Errno::NOLCK,
        Errno::NOSYS,
        Errno::OPNOTSUPP,
        Errno::INVAL,
        Errno::PERM,
    ] {
        assert!(is_unsupported(&errno.into()), "{errno}");
    }
    for errno in [Errno::IO, Errno::NOSPC, Errno::DQUOT, Errno::ROFS] {
        assert!(!is_unsupported(&errno.into()), "{errno}");
    }
}

#[test]
fn more_than_the_disk_has_is_refused_before_the_work() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let target = AtomicFile::create(&dir.path().join("out"), Overwrite::Refuse).expect("created");
    // More than any file system allows; those that cannot reserve space at all accept it.
    let too_much = i64::MAX as u64;
    let refused = fallocate(target.file(), FallocateFlags::empty(), 0, too_much)
        .is_err_and(|errno| [Errno::NOSPC, Errno::FBIG, Errno::DQUOT].contains(&errno));
    assert_eq!(target.reserve(too_much).is_err(), refused);
    target.reserve(0).expect("nothing");
}
