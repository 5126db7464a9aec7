//! The bytes are those of a conversion of the same checkpoint on the disk.

use super::*;

fn arrives_as_it_is_converted(ty: &str) {
    let ty: FileType = ty.parse().expect("a type");
    let dir = tempfile::tempdir().expect("a folder");
    let target = dir.path().join("out.gguf");
    let fixtures = std::fs::read_dir(fixture("")).expect("the fixtures");
    let mut compared = 0;
    for path in fixtures.map(|entry| entry.expect("an entry").path()) {
        let stored = Repository::read(&path);
        let expected = stored.expected(ty);
        for repository in [stored.clone(), stored.in_shards(3)] {
            let source = Source::new(&repository);
            let cancel = AtomicBool::new(false);
            let (arrived, events) = arrive(&repository, ty, &source, &target, "here", &cancel);
            let arrived = arrived.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            let written = bytes_of(&target);
            assert!(written == expected, "{} {ty}", path.display());
            assert_eq!((arrived.resumed, arrived.bytes), (0, written.len() as u64));
            let hashes: Vec<_> = repository.listed().iter().map(|shard| shard.sha256).collect();
            assert_eq!(arrived.sha256, hashes);
            assert_eq!(events, ["begin false", "finished"]);
            let opened: Vec<(usize, u64)> = (0..repository.shards.len()).map(|shard| (shard, 0)).collect();
            assert_eq!(source.opened(), opened, "every shard is asked for once");
            assert_eq!(names(dir.path()), ["out.gguf"]);
            std::fs::remove_file(&target).expect("removed");
            compared += 1;
        }
    }
    assert!(compared >= 14 * 2, "only {compared}");
}

#[test]
fn every_fixture_arrives_as_f16() {
    arrives_as_it_is_converted("f16");
}

#[test]
fn every_fixture_arrives_as_q8_0() {
    arrives_as_it_is_converted("q8_0");
}

#[test]
fn every_fixture_arrives_as_q4_0() {
    arrives_as_it_is_converted("q4_0");
}

#[test]
fn every_fixture_arrives_as_q4_k_m() {
    arrives_as_it_is_converted("q4_k_m");
}

#[test]
fn a_checkpoint_elsewhere_has_the_name_that_it_is_given() {
    let repository = Repository::read(&fixture("llama-tied"));
    let folder = Folder::Memory {
        name: "owner/model".into(),
        files: repository.small.clone(),
    };
    let shards = |repository: &Repository| {
        let shard = |(name, bytes): &(String, Vec<u8>)| {
            let content: Arc<dyn ReadAt> = Arc::new(bytes.clone());
            (name.clone(), bytes.len() as u64, content)
        };
        repository.shards.iter().map(shard).collect()
    };
    for (given, want) in [(None, "model"), (Some("Another"), "Another")] {
        let checkpoint = Checkpoint::from_remote(folder.clone(), shards(&repository)).expect("a checkpoint");
        let conversion = Conversion::of(checkpoint, given, None, None).expect("a conversion");
        assert_eq!(conversion.plan.metadata.text("general.name"), Some(want));
    }
    let none = Checkpoint::from_remote(folder, Vec::new())
        .expect_err("no shards")
        .to_string();
    assert!(none.starts_with("owner/model: no model.safetensors"), "{none}");
}
