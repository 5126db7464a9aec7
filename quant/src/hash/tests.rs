use super::*;
use crate::convert::Conversion;
use crate::split::SplitOptions;
use crate::stream::StreamOptions;
use siskin_model::FileType;
use siskin_model::atomic_file::Overwrite;

fn hash(path: &Path) -> ModelHash {
    let mut heard = Vec::new();
    let hash = hash_file(path, &AtomicBool::new(false), &mut |name, hash| {
        heard.push((name.to_owned(), hash));
    });
    let hash = hash.expect("hashed");
    assert_eq!(hash.tensors, heard);
    hash
}

#[test]
fn hashes_are_of_the_tensors_and_not_of_the_file() {
    let dir = tempfile::tempdir().expect("a folder");
    let checkpoint = siskin_testing::checkpoint("llama-tied");
    let plan = Conversion::from_checkpoint(&checkpoint, Some(FileType::Q4_0), None);
    let mut conversion = plan.expect("planned");
    let cancel = AtomicBool::new(false);
    let options = StreamOptions::new(1, &cancel);
    let whole = dir.path().join("whole.gguf");
    let write = conversion.write(&whole, Overwrite::Refuse, options, &mut |_| {});
    write.expect("written");
    let split = SplitOptions {
        most_bytes: u64::MAX,
        no_tensor_first: true,
    };
    let parts = conversion.write_split(&whole, split, Overwrite::Refuse, options, &mut |_| {});
    let parts = parts.expect("written");
    let want = hash(&whole);
    assert_eq!(hash(&parts[0]), want);
    conversion
        .plan
        .metadata
        .set("general.name", "another name, which moves everything");
    let renamed = dir.path().join("renamed.gguf");
    let write = conversion.write(&renamed, Overwrite::Refuse, options, &mut |_| {});
    write.expect("written");
    assert_eq!(hash(&renamed), want);

    // Of one tensor and of the whole, by hand.
    let model = ModelFile::open(&whole).expect("opened");
    let mut all = Vec::new();
    for (tensor, (name, hash)) in model.header.tensors.iter().zip(&want.tensors) {
        let bytes = model.files.read(0, model.header.range(tensor)).expect("read");
        assert_eq!((&tensor.name, Hash::of(&bytes)), (name, *hash));
        all.extend(bytes);
    }
    assert_eq!(Hash::of(&all), want.data);
    let stopped = hash_file(&whole, &AtomicBool::new(true), &mut |_, _| {});
    assert!(matches!(stopped, Err(HashError::Interrupted)));

    let mut lines: Vec<String> = Vec::new();
    for (name, hash) in &want.tensors {
        lines.push(format!("xxh64     {:016x}  a:b.gguf:{name}", 7));
        lines.push(format!("sha256    {hash}  a:b.gguf:{name}"));
    }
    lines.push(format!("sha256    {}  m.gguf", want.data));
    let manifest = |lines: &[String]| Manifest::parse(&lines.join("\n")).expect("a manifest");
    assert!(manifest(&lines).check(&want).is_same());
    assert!(manifest(&lines[lines.len() - 1..]).check(&want).is_same());
    // A line is missing, one is about another tensor, and one has another hash.
    let (last, first) = (lines.len() - 1, want.tensors[0].0.clone());
    let fewer = manifest(&lines[..last - 1]).check(&want);
    assert_eq!(fewer.tensors.last().expect("tensors").1, Verdict::Extra);
    let other = format!("sha256 {} m.gguf:other", want.data);
    let more = manifest(&[&lines[..], &[other]].concat()).check(&want);
    assert_eq!(
        more.tensors.last().expect("tensors"),
        &("other".to_owned(), Verdict::Missing)
    );
    lines[1] = format!("sha256 {} m.gguf:{first}", want.data);
    let changed = manifest(&lines).check(&want);
    assert_eq!(changed.tensors[0], (first, Verdict::Differs));
    assert!(!fewer.is_same() && !more.is_same() && !changed.is_same());
}

#[test]
fn the_hash_of_a_model_is_that_of_its_documented_bytes_in_any_order() {
    let info = |name: &str, shape: &[u64]| TensorInfo {
        name: name.into(),
        shape: shape.to_vec(),
        ty: siskin_model::TensorType::Q8_0,
        offset: 0,
    };
    let (a, b) = (info("a", &[32]), info("bc", &[64, 2]));
    let (hash_a, hash_b) = (Hash([1; 32]), Hash([2; 32]));
    let mut bytes = Vec::new();
    bytes.extend([
        1, 0, 0, 0, 0, 0, 0, 0, b'a', 8, 0, 0, 0, 1, 0, 0, 0, 32, 0, 0, 0, 0, 0, 0, 0,
    ]);
    bytes.extend([1; 32]);
    bytes.extend([2, 0, 0, 0, 0, 0, 0, 0, b'b', b'c', 8, 0, 0, 0, 2, 0, 0, 0]);
    bytes.extend([64, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0]);
    bytes.extend([2; 32]);
    let pair = |info: &TensorInfo, hash| (info.name.clone(), hash);
    let one = of_model(&[a.clone(), b.clone()], &[pair(&a, hash_a), pair(&b, hash_b)]);
    let two = of_model(&[b.clone(), a.clone()], &[pair(&b, hash_b), pair(&a, hash_a)]);
    assert_eq!((one, two), (Hash::of(&bytes), Hash::of(&bytes)));
}

#[test]
fn manifests_that_are_none() {
    let hash = Hash::of(b"");
    let cases = [
        ("", ManifestError::NoSha256),
        ("xxh64 0123456789abcdef a.gguf:t", ManifestError::NoSha256),
        ("# a comment\n\nsha256 12 a.gguf:t", ManifestError::Line(3)),
        ("sha256", ManifestError::Line(1)),
        ("md5 1 a", ManifestError::Line(1)),
    ];
    for (text, want) in cases {
        assert_eq!(Manifest::parse(text), Err(want), "{text}");
    }
    let twice = format!("sha256 {hash} a:t\nsha256 {hash} b:t");
    assert_eq!(Manifest::parse(&twice), Err(ManifestError::Twice(2)));
    assert_eq!(hash.to_string().parse(), Ok(hash));
    assert_eq!(
        hash.to_string(),
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    );
}
