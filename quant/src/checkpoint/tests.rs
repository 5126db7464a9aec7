use super::*;

const CONFIG: &str = r#"{"architectures":["LlamaForCausalLM"],"hidden_size":8,"intermediate_size":8,
    "num_hidden_layers":1,"num_attention_heads":2,"vocab_size":4}"#;

/// Returns a safetensors file with one f32 tensor of 2 weights for each name.
fn shard(names: &[&str]) -> Vec<u8> {
    let entries: Vec<String> = names
        .iter()
        .enumerate()
        .map(|(n, name)| {
            format!(
                r#""{name}":{{"dtype":"F32","shape":[2],"data_offsets":[{},{}]}}"#,
                n * 8,
                n * 8 + 8
            )
        })
        .collect();
    let header = format!("{{{}}}", entries.join(","));
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes.extend(vec![0; names.len() * 8]);
    bytes
}

#[test]
fn folders_that_are_no_checkpoint_are_refused() {
    let index = |map: &str| format!(r#"{{"weight_map":{{{map}}}}}"#).into_bytes();
    /// Case name, files of the folder, part of the message.
    type Case = (&'static str, Vec<(&'static str, Vec<u8>)>, &'static str);
    let cases: Vec<Case> = vec![
        ("empty", vec![], "no config.json"),
        (
            "no weights",
            vec![("config.json", CONFIG.into())],
            "no model.safetensors",
        ),
        (
            "pickle",
            vec![("config.json", CONFIG.into()), ("pytorch_model.bin", vec![1])],
            "pytorch_model.bin: a ZIP archive without",
        ),
        (
            "bad json",
            vec![("config.json", b"{".to_vec())],
            "config.json: cannot be read: line 1, column 2: expected a key",
        ),
        (
            "outside",
            vec![
                ("config.json", CONFIG.into()),
                ("model.safetensors.index.json", index(r#""a":"../x.safetensors""#)),
            ],
            r#"shard "../x.safetensors" is not a plain file name"#,
        ),
        (
            "elsewhere",
            vec![
                ("config.json", CONFIG.into()),
                (
                    "model.safetensors.index.json",
                    index(r#""a":"1.safetensors","b":"2.safetensors""#),
                ),
                ("1.safetensors", shard(&["b"])),
                ("2.safetensors", shard(&["a"])),
            ],
            "tensor a is not in 1.safetensors",
        ),
        (
            "twice",
            vec![
                ("config.json", CONFIG.into()),
                (
                    "model.safetensors.index.json",
                    index(r#""a":"1.safetensors","b":"2.safetensors""#),
                ),
                ("1.safetensors", shard(&["a"])),
                ("2.safetensors", shard(&["a", "b"])),
            ],
            "tensor a is also in another shard",
        ),
        (
            "unlisted",
            vec![
                ("config.json", CONFIG.into()),
                ("model.safetensors.index.json", index(r#""a":"1.safetensors""#)),
                ("1.safetensors", shard(&["a", "c"])),
            ],
            "tensor c is in a shard, but not in the index",
        ),
        (
            "Git LFS",
            vec![
                ("config.json", CONFIG.into()),
                (
                    "model.safetensors",
                    b"version https://git-lfs.github.com/spec/v1\n".to_vec(),
                ),
            ],
            "model.safetensors: a Git LFS pointer, not the file itself; run `git lfs pull`",
        ),
    ];
    for (name, files, want) in cases {
        let dir = tempfile::tempdir().expect("a temporary folder");
        for (file, bytes) in files {
            std::fs::write(dir.path().join(file), bytes).expect("written");
        }
        let error = Checkpoint::open(dir.path()).expect_err(name).to_string();
        assert!(error.contains(want) && !error.contains('\n'), "{name}: {error}");
    }
    let error = Checkpoint::open(Path::new("/no/such/folder")).expect_err("nothing there");
    assert!(error.to_string().contains("no such folder"));
}

#[test]
fn shards_are_joined() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let write = |name: &str, bytes: &[u8]| std::fs::write(dir.path().join(name), bytes).expect("written");
    write("config.json", CONFIG.as_bytes());
    write("1.safetensors", &shard(&["a", "b"]));
    write("2.safetensors", &shard(&["c"]));
    let map = r#"{"weight_map":{"a":"1.safetensors","b":"1.safetensors","c":"2.safetensors"}}"#;
    write("model.safetensors.index.json", map.as_bytes());
    let checkpoint = Checkpoint::open(dir.path()).expect("a checkpoint");
    let found: Vec<_> = checkpoint
        .tensors
        .iter()
        .map(|(name, view)| (name.as_str(), view.file))
        .collect();
    assert_eq!(found, [("a", 0), ("b", 0), ("c", 1)]);
}

/// Writes files into a new folder.
fn folder(files: &[(&str, Vec<u8>)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a temporary folder");
    for (file, bytes) in files {
        let path = dir.path().join(file);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        std::fs::write(path, bytes).expect("written");
    }
    dir
}

#[test]
fn what_else_a_folder_may_hold_is_named() {
    let config = || ("config.json", CONFIG.as_bytes().to_vec());
    let index = || {
        let map = br#"{"weight_map":{"a":"model-00001-of-00002.safetensors"}}"#;
        ("model.safetensors.index.json", map.to_vec())
    };
    /// Files of the folder, part of the message.
    type Case = (Vec<(&'static str, Vec<u8>)>, &'static str);
    let cases: Vec<Case> = vec![
        (
            vec![("adapter_config.json", b"{}".to_vec())],
            "an adapter, not a whole model; merge it",
        ),
        (
            vec![config(), ("adapter_model.safetensors", vec![])],
            "an adapter, not a whole model; merge it",
        ),
        (
            vec![config(), ("consolidated.00.pth", vec![])],
            "the format of the model's authors",
        ),
        (
            vec![config(), ("tf_model.h5", vec![])],
            "only weights for TensorFlow",
        ),
        (
            vec![config(), index()],
            "model.safetensors.index.json: the index names model-00001-of-00002.safetensors, which is not there; get it again",
        ),
        (
            vec![("config.json", vec![])],
            "config.json: not JSON but an empty file",
        ),
        (vec![("config.json", b"<html>".to_vec())], "HTML page"),
        (
            vec![
                ("snapshots/1/config.json", vec![]),
                ("snapshots/2/config.json", vec![]),
            ],
            "snapshots: several snapshots, and refs/main names none of them; name one",
        ),
    ];
    for (files, want) in cases {
        let dir = folder(&files);
        let error = Checkpoint::open(dir.path()).expect_err(want).to_string();
        assert!(error.contains(want) && !error.contains('\n'), "{want}: {error}");
    }
}

#[test]
fn a_damaged_generation_config_is_passed_over() {
    for text in ["", "{", "[]", "<html>"] {
        let files = [
            ("config.json", CONFIG.as_bytes().to_vec()),
            ("generation_config.json", text.into()),
            ("model.safetensors", shard(&["a"])),
        ];
        let dir = folder(&files);
        let checkpoint = Checkpoint::open(dir.path()).expect("a checkpoint");
        assert_eq!(checkpoint.sampling, Sampling::default());
        let notice = &checkpoint.notices[0];
        assert!(
            notice.contains("generation_config.json: ") && notice.ends_with("without sampling settings"),
            "{notice}"
        );
    }
}

/// The hub cache's folders: the snapshot is found, and the model's name is the repository's.
#[test]
fn a_hub_cache_is_a_checkpoint() {
    let commit = "0123456789abcdef0123456789abcdef01234567";
    let at = |name: &str| format!("models--org--tiny-model/snapshots/{commit}/{name}");
    let (config, weights) = (at("config.json"), at("model.safetensors"));
    let other = "models--org--tiny-model/snapshots/ffff/config.json";
    let files = [
        (config.as_str(), CONFIG.as_bytes().to_vec()),
        (weights.as_str(), shard(&["a"])),
        (other, b"{}".to_vec()),
        (
            "models--org--tiny-model/refs/main",
            format!("{commit}\n").into_bytes(),
        ),
    ];
    let dir = folder(&files);
    let model = dir.path().join("models--org--tiny-model");
    for path in [model.clone(), model.join("snapshots").join(commit)] {
        let checkpoint = Checkpoint::open(&path).expect("a checkpoint");
        assert_eq!(checkpoint.model_name(), "tiny-model");
    }
    // A ref that names something outside is not followed.
    std::fs::write(model.join("refs/main"), "../../elsewhere").expect("written");
    assert!(Checkpoint::open(&model).is_err());

    let named = |folder_name: &str, config: &str| {
        let path = |name: &str| format!("{folder_name}/{name}");
        let dir = folder(&[
            (&path("config.json"), config.into()),
            (&path("model.safetensors"), shard(&["a"])),
        ]);
        let checkpoint = Checkpoint::open(&dir.path().join(folder_name)).expect("a checkpoint");
        checkpoint.model_name()
    };
    let origin = CONFIG.replace("{\"arch", "{\"_name_or_path\":\"org/my-model\",\"arch");
    assert_eq!(named("some-folder", &origin), "some-folder");
    assert_eq!(named(commit, &origin), "my-model");
    assert_eq!(named(commit, CONFIG), "model");
}

/// A checkpoint with tied embeddings and these tensors of two weights each.
fn tied(tensors: &[(&str, [f32; 2])], index: bool) -> Result<Checkpoint, CheckpointError> {
    let names: Vec<&str> = tensors.iter().map(|(name, _)| *name).collect();
    let mut bytes = shard(&names);
    let start = bytes.len() - 8 * names.len();
    let data = tensors
        .iter()
        .flat_map(|(_, weights)| weights)
        .flat_map(|weight| weight.to_le_bytes());
    bytes.splice(start.., data);
    let config = CONFIG.replace("{\"arch", "{\"tie_word_embeddings\":true,\"arch");
    let map =
        r#"{"weight_map":{"lm_head.weight":"1.safetensors","model.embed_tokens.weight":"1.safetensors"}}"#;
    let dir = match index {
        true => folder(&[
            ("config.json", config.into()),
            ("1.safetensors", bytes),
            ("model.safetensors.index.json", map.into()),
        ]),
        false => folder(&[("config.json", config.into()), ("model.safetensors", bytes)]),
    };
    Checkpoint::open(dir.path())
}

/// Counts requests.
#[derive(Debug)]
struct Counted(Vec<u8>, std::sync::atomic::AtomicU32);

impl ReadAt for Counted {
    fn read_at(&self, start: u64, bytes: &mut [u8]) -> std::io::Result<()> {
        self.1.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        self.0.read_at(start, bytes)
    }
}

#[test]
fn tied_tensors_elsewhere_are_compared_in_few_requests() {
    const ROWS: usize = 3 << 20;
    let header = serde_json::json!({
        "lm_head.weight": {"dtype": "F32", "shape": [ROWS], "data_offsets": [0, 4 * ROWS]},
        "model.embed_tokens.weight": {"dtype": "F32", "shape": [ROWS], "data_offsets": [4 * ROWS, 8 * ROWS]},
    })
    .to_string();
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes.resize(bytes.len() + 8 * ROWS, 1);
    let config = CONFIG.replace("{\"arch", "{\"tie_word_embeddings\":true,\"arch");
    let folder = Folder::Memory {
        name: "model".into(),
        files: [("config.json".to_owned(), config.into_bytes())].into(),
    };
    let len = bytes.len() as u64;
    let shard = Arc::new(Counted(bytes, 0.into()));
    let shards = vec![(
        "model.safetensors".to_owned(),
        len,
        Arc::clone(&shard) as Arc<dyn ReadAt>,
    )];
    let checkpoint = Checkpoint::from_remote(folder, shards).expect("a checkpoint");
    assert_eq!(checkpoint.tensors.len(), 1);
    // The start twice, length and header, and twice two steps.
    assert_eq!(shard.1.load(std::sync::atomic::Ordering::Relaxed), 8);
}

#[test]
fn tied_embeddings_are_stored_once_twice_or_under_the_other_name() {
    const HEAD: &str = "lm_head.weight";
    const EMBEDDING: &str = "model.embed_tokens.weight";
    // Tensors of the checkpoint, those that are left, whether they are tied.
    type Case<'a> = (&'a [(&'a str, [f32; 2])], &'a [&'a str], bool);
    let cases: [Case<'_>; 4] = [
        (&[(EMBEDDING, [1.0, 2.0])], &[EMBEDDING], true),
        (&[(HEAD, [1.0, 2.0])], &[EMBEDDING], true),
        (&[(HEAD, [1.0, 2.0]), (EMBEDDING, [1.0, 2.0])], &[EMBEDDING], true),
        (
            &[(HEAD, [1.0, 2.0]), (EMBEDDING, [1.0, 2.5])],
            &[HEAD, EMBEDDING],
            false,
        ),
    ];
    for (stored, left, is_tied) in cases {
        for index in [true, false] {
            let checkpoint = tied(stored, index).expect("a checkpoint");
            let names: Vec<&String> = checkpoint.tensors.keys().collect();
            assert_eq!(
                (names, checkpoint.config.tied()),
                (
                    left.iter()
                        .map(|n| n.to_string())
                        .collect::<Vec<_>>()
                        .iter()
                        .collect(),
                    is_tied
                )
            );
            assert_eq!(
                checkpoint.notices.len(),
                usize::from(!is_tied),
                "{:?}",
                checkpoint.notices
            );
        }
    }
    let error = tied(&[("model.norm.weight", [1.0, 1.0])], true).expect_err("neither is stored");
    assert!(error.to_string().contains("is in none of the shards"), "{error}");
}
