use super::super::super::Drafter;
use super::*;
use crate::engine::Token;

const KEY: RememberedKey = RememberedKey {
    model: [7; 32],
    vocabulary: 100,
};

fn some(tokens: usize) -> Remembered {
    let mut random = fastrand::Rng::with_seed(1);
    let text: Vec<Token> = (0..tokens).map(|_| Token(random.i32(0..100))).collect();
    let mut remembered = Remembered::new(KEY);
    remembered.observe(&text);
    remembered.set_extra(b"tables".to_vec());
    remembered
}

/// A file with its checksum corrected.
fn with_sum(mut bytes: Vec<u8>) -> Vec<u8> {
    let content = bytes.len() - 8;
    let sum = fnv(&bytes[..content]).to_le_bytes();
    bytes[content..].copy_from_slice(&sum);
    bytes
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).expect("is there").permissions().mode() & 0o777
}

#[test]
fn what_is_written_is_read() {
    for tokens in [0, 1, 2, 3, 500, 50_000] {
        let written = some(tokens);
        let read = decode(&encode(&written), KEY).expect("whole");
        assert_eq!(
            read.table.used().collect::<Vec<_>>(),
            written.table.used().collect::<Vec<_>>()
        );
        assert_eq!((read.generation, read.extra()), (1, &b"tables"[..]));
        assert!(read.learns);
    }
}

#[test]
fn a_full_table_takes_no_more_bytes_than_are_read() {
    let mut full = some(0);
    let key = RememberedKey {
        vocabulary: u32::MAX,
        ..KEY
    };
    full.key = key;
    full.observe(&(0..600_000).map(Token).collect::<Vec<_>>());
    full.set_extra(vec![1; MAX_EXTRA]);
    let bytes = encode(&full);
    assert!((3 << 20..=MAX_FILE).contains(&bytes.len()), "{}", bytes.len());
    const { assert!(MAX_FILE <= 4 << 20) };
    assert!(decode(&bytes, key).is_ok());
}

#[test]
fn the_file_and_its_folder_are_private_and_the_last_writer_wins() {
    let root = tempfile::tempdir().expect("folder");
    let folder = root.path().join("state/siskin");
    let path = folder.join("remembered");
    assert_eq!(
        encode(&Remembered::load(&path, KEY).expect("nothing")),
        encode(&Remembered::new(KEY))
    );
    some(10).save(&path).expect("saved");
    assert_eq!((mode(&path), mode(&folder)), (0o600, 0o700));
    std::fs::set_permissions(&path, Permissions::from_mode(0o644)).expect("set");
    some(500).save(&path).expect("saved");
    assert_eq!(mode(&path), 0o600);
    assert_eq!(
        std::fs::read_dir(&folder).expect("listed").count(),
        1,
        "nothing is left over"
    );
    let read = Remembered::load(&path, KEY).expect("whole");
    assert_eq!(read.table, some(500).table);
}

#[test]
fn what_cannot_be_used_is_said_in_one_line() {
    let root = tempfile::tempdir().expect("folder");
    let path = root.path().join("remembered");
    let bytes = encode(&some(50));
    let changed = |at: usize, new: &[u8]| {
        let mut changed = bytes.clone();
        changed[at..at + new.len()].copy_from_slice(new);
        with_sum(changed)
    };
    let slot = 56 + b"tables".len();
    let cases: [(Vec<u8>, &str); 17] = [
        (vec![], "not a file of remembered tokens"),
        (b"siskinR".to_vec(), "not a file of remembered tokens"),
        (b"GGUF and so on".to_vec(), "not a file of remembered tokens"),
        (bytes[..10].to_vec(), "it ends early"),
        (bytes[..14].to_vec(), "its checksum is wrong"),
        (bytes[..bytes.len() - 1].to_vec(), "its checksum is wrong"),
        (with_sum(bytes[..30].to_vec()), "it ends early"),
        (with_sum([&bytes[..], &[0; 13]].concat()), "its size is wrong"),
        (
            changed(8, &[2]),
            "written by another siskin (form 2; this one reads 1)",
        ),
        (changed(12, &[8]), "remembered with another model"),
        (changed(44, &[101]), "remembered with another model"),
        (changed(50, &[0xFF; 2]), "it has more than there can be"),
        (changed(52, &[0xFF; 4]), "it has more than there can be"),
        (changed(52, &[0, 0, 4, 0]), "its size is wrong"),
        (changed(slot, &[0xFF; 2]), "a slot is impossible"),
        (changed(slot + 8, &[100]), "a slot is impossible"),
        (changed(slot + 12, &[0]), "a slot is impossible"),
    ];
    for (bytes, reason) in cases {
        std::fs::write(&path, &bytes).expect("written");
        let error = Remembered::load(&path, KEY).expect_err(reason);
        assert_eq!(
            error.to_string(),
            format!("{}: ignored: {reason}", path.display())
        );
    }
    std::fs::write(&path, vec![0; MAX_FILE + 1]).expect("written");
    let error = Remembered::load(&path, KEY).expect_err("too large").to_string();
    assert!(error.contains("larger than") && !error.contains('\n'), "{error}");
    let error = Remembered::load(root.path(), KEY)
        .expect_err("a folder")
        .to_string();
    assert!(error.contains("not a regular file"), "{error}");
}

#[test]
fn more_slots_than_a_bucket_has_are_refused() {
    let bytes = encode(&some(3));
    let slots = bytes.len() - 8 - SLOT_BYTES;
    let mut nine = bytes[..slots].to_vec();
    let count = bytes[52] + 8;
    (0..9).for_each(|_| nine.extend_from_slice(&bytes[slots..slots + SLOT_BYTES]));
    nine[52] = count;
    nine.extend_from_slice(&[0; 8]);
    assert_eq!(
        decode(&with_sum(nine), KEY).err(),
        Some(Unusable::Damaged("a slot is impossible"))
    );
}

#[test]
fn no_damage_is_read_as_a_table_and_none_panics() {
    let bytes = encode(&some(40));
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 1 << (at % 8);
        assert!(decode(&changed, KEY).is_err(), "byte {at}");
        assert!(decode(&bytes[..at], KEY).is_err(), "cut at {at}");
    }
    // With a good checksum: whatever is read can be used and written.
    let mut random = fastrand::Rng::with_seed(2);
    let mut usable = 0;
    for _ in 0..3000 {
        let mut changed = bytes.clone();
        for _ in 0..random.usize(1..4) {
            let at = random.usize(44..changed.len());
            changed[at] = random.u8(..);
        }
        let Ok(mut read) = decode(&with_sum(changed), KEY) else {
            continue;
        };
        usable += 1;
        read.observe(&[Token(1), Token(2), Token(3)]);
        assert!(
            read.propose(9, &|_| true)
                .tokens
                .iter()
                .all(|(token, _)| (0..100).contains(&token.0))
        );
        assert!(decode(&encode(&read), KEY).is_ok());
    }
    assert!(usable > 100, "{usable}");
}
