//! Damage is counted and removed, and never given out.

use super::*;

/// Damage to one of two entries: what is done to the state's and the manifest's file, and what is counted for it.
#[test]
fn damage_is_counted_and_removed_and_never_given_out() {
    type Harm = fn(&[PathBuf; 2]);
    fn edit(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
        let mut bytes = read(path);
        change(&mut bytes);
        std::fs::write(path, bytes).expect("written");
    }
    fn counts(store: &Store) -> [u64; 4] {
        let counters = store.counters();
        [
            counters.damaged,
            counters.outdated,
            counters.foreign,
            counters.leftovers,
        ]
    }
    let table: [(&str, Harm, [u64; 4]); 17] = [
        (
            "the first bit of the state",
            |[state, _]| edit(state, |bytes| bytes[0] ^= 1),
            [1, 0, 0, 0],
        ),
        (
            "a bit in the middle",
            |[state, _]| edit(state, |bytes| bytes[5000] ^= 16),
            [1, 0, 0, 0],
        ),
        (
            "the last bit",
            |[state, _]| edit(state, |bytes| bytes[9999] ^= 128),
            [1, 0, 0, 0],
        ),
        (
            "a page of zeros",
            |[state, _]| edit(state, |bytes| bytes[4096..8192].fill(0)),
            [1, 0, 0, 0],
        ),
        (
            "a byte less",
            |[state, _]| edit(state, |bytes| bytes.truncate(9999)),
            [1, 0, 0, 0],
        ),
        (
            "an empty state",
            |[state, _]| edit(state, Vec::clear),
            [1, 0, 0, 0],
        ),
        (
            "a byte more",
            |[state, _]| edit(state, |bytes| bytes.push(0)),
            [1, 0, 0, 0],
        ),
        (
            "no state",
            |[state, _]| std::fs::remove_file(state).expect("removed"),
            [1, 0, 0, 0],
        ),
        (
            "no manifest",
            |[_, manifest]| std::fs::remove_file(manifest).expect("removed"),
            [0, 0, 0, 1],
        ),
        (
            "half a manifest",
            |[_, manifest]| edit(manifest, |bytes| bytes.truncate(600)),
            [1, 0, 0, 0],
        ),
        (
            "an empty manifest",
            |[_, manifest]| edit(manifest, Vec::clear),
            [1, 0, 0, 0],
        ),
        (
            "another token",
            |[_, manifest]| edit(manifest, |bytes| bytes[700] ^= 1),
            [1, 0, 0, 0],
        ),
        (
            "a format to come",
            |[_, manifest]| edit(manifest, |bytes| bytes[8] = 2),
            [0, 1, 0, 0],
        ),
        (
            "a link to the state",
            |[state, _]| {
                let aside = state.with_extension("aside");
                std::fs::rename(state, &aside).expect("moved");
                symlink(aside, state).expect("made");
            },
            // The file that was moved is not the store's either.
            [0, 0, 2, 0],
        ),
        (
            "a link to the manifest",
            |[_, manifest]| {
                let aside = manifest.with_extension("aside");
                std::fs::rename(manifest, &aside).expect("moved");
                symlink(aside, manifest).expect("made");
            },
            [0, 0, 2, 0],
        ),
        (
            "a FIFO in the place of the state",
            |[state, _]| {
                std::fs::remove_file(state).expect("removed");
                let made = std::process::Command::new("mkfifo")
                    .arg(state)
                    .status()
                    .expect("mkfifo");
                assert!(made.success());
            },
            [0, 0, 1, 0],
        ),
        (
            "a folder in the place of the manifest",
            |[_, manifest]| {
                std::fs::remove_file(manifest).expect("removed");
                std::fs::create_dir(manifest).expect("made");
            },
            [0, 0, 1, 0],
        ),
    ];
    for (what, harm, want) in table {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("store");
        let [good, bad] = [tokens(1, 300), tokens(2, 300)];
        let mut store = open(&path);
        for text in [&good, &bad] {
            save(&mut store, scope(1), text, 10_000).expect("saved");
        }
        drop(store);
        harm(&files(&path, scope(1), &bad));
        let mut store = open(&path);
        assert!(!restored(&mut store, scope(1), &bad), "{what}");
        assert!(!restored(&mut store, scope(1), &bad), "{what}");
        assert_eq!(counts(&store), want, "{what}");
        assert!(restored(&mut store, scope(1), &good), "{what}");
        assert_eq!(store.len(), 1, "{what}");
        drop(store);
        // What could be removed is gone, and the place can be used again.
        let [state, manifest] = files(&path, scope(1), &bad);
        assert!(std::fs::symlink_metadata(&state).is_err(), "{what}");
        if !manifest.is_dir() {
            let mut store = open(&path);
            save(&mut store, scope(1), &bad, 10_000).expect("saved");
            assert!(restored(&mut store, scope(1), &bad), "{what}");
        }
    }
}

/// Damage while the store is open: the files are looked at when they are used.
#[test]
fn damage_is_found_when_an_entry_is_used() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("store");
    let texts: Vec<Vec<u32>> = (0..4).map(|seed| tokens(seed, 300)).collect();
    let mut store = open(&path);
    for text in &texts {
        save(&mut store, scope(1), text, 10_000).expect("saved");
    }
    let state = |text: &[u32]| files(&path, scope(1), text)[0].clone();
    std::fs::remove_file(state(&texts[0])).expect("removed");
    std::fs::write(state(&texts[1]), content(&texts[2], 10_000)).expect("written");
    std::fs::rename(state(&texts[2]), dir.path().join("aside")).expect("moved");
    symlink(dir.path().join("aside"), state(&texts[2])).expect("made");
    for text in &texts[..3] {
        assert!(!restored(&mut store, scope(1), text));
    }
    assert!(restored(&mut store, scope(1), &texts[3]));
    assert_eq!((store.len(), store.counters().damaged), (1, 3));
    assert!(dir.path().join("aside").exists(), "what a link leads to stays");
    // What the engine does not take is removed, too.
    let id = store.entries[0].id;
    store.discard(id);
    store.discard(id);
    assert_eq!((store.len(), store.counters().damaged), (0, 4));
    assert_eq!(names(&path), ["ledger", "lock"]);
}

#[test]
fn files_that_are_not_the_stores_are_left_alone() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("store");
    std::fs::create_dir(&path).expect("made");
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o700)).expect("set");
    let foreign = ["model.gguf", "notes.partial", "x.state", "README"];
    for name in foreign {
        std::fs::write(path.join(name), "mine").expect("written");
    }
    let mut store = open(&path);
    assert_eq!(store.counters().foreign, 4);
    save(&mut store, scope(1), &tokens(1, 300), 1000).expect("saved");
    drop(store);
    open(&path);
    for name in foreign {
        assert_eq!(read(&path.join(name)), b"mine");
    }
}
