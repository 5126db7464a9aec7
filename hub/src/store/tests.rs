use super::*;
use std::fs::{hard_link, write};
use std::os::unix::fs::symlink;

fn store(files: &[&str]) -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let store = Store::at(folder.path().join("models"));
    store.make().expect("made");
    for file in files {
        write(store.folder().join(file), b"1234").expect("written");
    }
    (folder, store)
}

fn origin() -> Origin {
    Origin {
        name: "hf:org/Model".into(),
        commit: "0123".into(),
        endpoint: "https://example.org".into(),
        files: vec![("model.safetensors".into(), "ab".into())],
    }
}

#[test]
fn the_folder_follows_from_the_environment() {
    type Case<'c> = (&'c [(&'c str, &'c str)], Option<&'c str>);
    let cases: [Case<'_>; 6] = [
        (&[("SISKIN_MODELS", "/m"), ("HOME", "/h")], Some("/m")),
        (&[("SISKIN_MODELS", "m")], Some("m")),
        (
            &[("XDG_DATA_HOME", "/d"), ("HOME", "/h")],
            Some("/d/siskin/models"),
        ),
        (
            &[("XDG_DATA_HOME", "d"), ("HOME", "/h")],
            Some("/h/.local/share/siskin/models"),
        ),
        (&[("SISKIN_MODELS", ""), ("HOME", "")], None),
        (&[], None),
    ];
    for (variables, want) in cases {
        let read = |name: &str| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| value.into())
        };
        let folder = Store::of_user(read).ok().map(|store| store.folder);
        assert_eq!(folder.as_deref(), want.map(Path::new), "{variables:?}");
    }
}

#[test]
fn names_leave_parts_and_endings_out() {
    let cases = [
        ("a-q4_k_m.gguf", Some("a-q4_k_m")),
        ("a-00001-of-00003.gguf", Some("a")),
        ("a-0001-of-00003.gguf", Some("a-0001-of-00003")),
        ("-00001-of-00003.gguf", None),
        (".a.gguf", None),
        (".a.gguf.pull", None),
        ("a.bin", None),
        ("é-00001-of-00003.gguf", Some("é")),
        (".gguf", None),
    ];
    for (file, want) in cases {
        assert_eq!(name_of(file), want, "{file}");
    }
}

#[test]
fn models_are_listed_with_what_is_known_of_them() {
    let (_folder, store) = store(&[
        "b-00002-of-00002.gguf",
        "b-00001-of-00002.gguf",
        "a.gguf",
        ".c.gguf.pull",
    ]);
    let record = Record::new(origin(), Some("q4_k_m".into()));
    store.write("a", &record).expect("written");
    write(store.folder().join(".siskin/b.json"), b"{").expect("written");
    symlink("/nowhere", store.folder().join("gone.gguf")).expect("a link");
    let models = store.list().expect("listed");
    let seen: Vec<_> = models
        .iter()
        .map(|model| {
            (
                model.name.as_str(),
                model.files.len(),
                model.bytes,
                model.record.is_some(),
            )
        })
        .collect();
    assert_eq!(
        seen,
        [("a", 1, 4, true), ("b", 2, 8, false), ("gone", 1, 0, false)]
    );
    assert!(models[1].path().ends_with("b-00001-of-00002.gguf"));
    assert_eq!(
        models[0].record.as_ref().and_then(|record| record.origin.clone()),
        Some(origin())
    );
    assert_eq!(Store::at("/no/such/folder".into()).list().expect("none"), []);
}

#[test]
fn a_name_means_one_model_or_names_those_it_could_mean() {
    let (_folder, store) = store(&[
        "TinyLlama-1.1B-Chat-v1.0-q4_k_m.gguf",
        "pythia-1b-q4_k_m.gguf",
        "pythia-1b-q8_0.gguf",
        "mine.gguf",
    ]);
    let tiny = Some("TinyLlama-1.1B-Chat-v1.0");
    type Case<'c> = (&'c str, Option<&'c str>, Result<Option<&'c str>, &'c str>);
    let cases: [Case<'_>; 8] = [
        ("tinyllama", tiny, Ok(Some("TinyLlama-1.1B-Chat-v1.0-q4_k_m"))),
        ("tinyllama", None, Ok(None)),
        (
            "tinyllama-1.1b-chat-v1.0",
            None,
            Ok(Some("TinyLlama-1.1B-Chat-v1.0-q4_k_m")),
        ),
        ("pythia-1b-Q8_0", None, Ok(Some("pythia-1b-q8_0"))),
        ("pythia-1b-q8_0.gguf", None, Ok(Some("pythia-1b-q8_0"))),
        (
            "pythia-1b",
            None,
            Err("2 models have this name: pythia-1b-q4_k_m, pythia-1b-q8_0"),
        ),
        ("mine", None, Ok(Some("mine"))),
        ("", None, Ok(None)),
    ];
    for (name, base, want) in cases {
        let found = store.find(name, base).map(|found| found.map(|model| model.name));
        match (found, want) {
            (Ok(found), Ok(want)) => assert_eq!(found.as_deref(), want, "{name}"),
            (Err(error), Err(want)) => assert!(error.to_string().contains(want), "{error}"),
            (found, _) => panic!("{name}: {found:?}"),
        }
    }
    let error = store.get("nobody", None).expect_err("none").to_string();
    assert!(error.contains("there is TinyLlama"), "{error}");
}

#[test]
fn a_use_is_noted_and_a_pull_is_none() {
    let (_folder, store) = store(&["a.gguf", "b.gguf"]);
    store.write("a", &Record::new(origin(), None)).expect("written");
    let used = |name: &str| store.get(name, None).expect("there").used;
    assert_eq!((used("a"), used("b")), (None, None));
    store.touch(&store.file("a"));
    store.touch(&store.file("b"));
    store.touch(Path::new("/elsewhere/c.gguf"));
    assert!(used("a").is_some() && used("b").is_some());
    store.write("a", &Record::new(origin(), None)).expect("written");
    assert_eq!(used("a"), None, "it is another file now");
    assert_eq!(store.list().expect("listed").len(), 2);
}

#[test]
fn removing_frees_what_nothing_else_uses() {
    let (folder, store) = store(&["a.gguf", "b-00001-of-00002.gguf", "b-00002-of-00002.gguf"]);
    let blob = folder.path().join("blob");
    write(&blob, b"12345678").expect("written");
    hard_link(&blob, store.folder().join("hard.gguf")).expect("a link");
    symlink(&blob, store.folder().join("soft.gguf")).expect("a link");
    store.write("a", &Record::new(origin(), None)).expect("written");
    let cases = [("a", 4, 0), ("b", 8, 0), ("hard", 0, 8), ("soft", 0, 0)];
    for (name, bytes, kept) in cases {
        let model = store.get(name, None).expect("there");
        let freed = store.remove(&model).expect("removed");
        assert_eq!(freed, Freed { bytes, kept }, "{name}");
    }
    assert_eq!(store.list().expect("listed"), []);
    assert!(!store.record_path("a").exists() && blob.exists());
}
