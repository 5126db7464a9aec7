use super::*;

fn listed(paths: &[(&str, u64)]) -> Vec<Listed> {
    let file = |(path, bytes): &(&str, u64)| Listed {
        path: (*path).to_owned(),
        bytes: *bytes,
    };
    paths.iter().map(file).collect()
}

fn names(files: &[Listed]) -> Vec<&str> {
    files.iter().map(|file| file.path.as_str()).collect()
}

#[test]
fn a_checkpoint_is_its_weights_and_its_small_files() {
    let files = listed(&[
        (".gitattributes", 1),
        ("README.md", 1),
        ("additional_chat_templates/tool.jinja", 1),
        ("config.json", 1),
        ("model-00002-of-00002.safetensors", 5),
        ("model-00001-of-00002.safetensors", 5),
        ("model.safetensors.index.json", 1),
        ("onnx/config.json", 1),
        ("pytorch_model.bin", 9),
        ("tokenizer.json", 1),
        ("tokenizer.model", 1),
    ]);
    let Ok(Contents::Checkpoint { small, shards, form }) = contents(&files) else {
        panic!("a checkpoint");
    };
    assert_eq!(form, Weights::Safetensors);
    assert_eq!(
        names(&small),
        [
            "additional_chat_templates/tool.jinja",
            "config.json",
            "model.safetensors.index.json",
            "tokenizer.json",
            "tokenizer.model"
        ]
    );
    assert_eq!(
        names(&shards),
        [
            "model-00001-of-00002.safetensors",
            "model-00002-of-00002.safetensors"
        ]
    );
}

#[test]
fn weights_are_taken_in_the_order_of_their_forms() {
    type Case<'c> = (&'c [(&'c str, u64)], Result<&'c str, &'c str>);
    let cases: [Case<'_>; 9] = [
        (
            &[("pytorch_model.bin", 1), ("a.gguf", 1)],
            Ok("pytorch_model.bin"),
        ),
        (
            &[("model.safetensors", 1), ("model.safetensors.index.json", 1)],
            Ok("model.safetensors"),
        ),
        (&[("x/a.gguf", 1)], Ok("x/a.gguf")),
        (
            &[
                ("pytorch_model.bin.index.json", 1),
                ("pytorch_model-00001-of-00002.bin", 1),
            ],
            Err("shard 2 of 2"),
        ),
        (
            &[("model.safetensors.index.json", 1)],
            Err("the shards that its index names"),
        ),
        (
            &[("a-00001-of-00002.gguf", 1), ("b.GGUF", 1)],
            Ok("a-00001-of-00002.gguf"),
        ),
        (&[("adapter_model.safetensors", 1)], Err("it is an adapter")),
        (&[("mmproj-f16.gguf", 1)], Err("nor a GGUF file")),
        (&[], Err("neither")),
    ];
    for (paths, want) in cases {
        let first = contents(&listed(paths)).map(|contents| match contents {
            Contents::Checkpoint { shards, .. } => shards[0].path.clone(),
            Contents::Gguf(models) => models[0].files[0].path.clone(),
        });
        match (&first, want) {
            (Ok(first), Ok(want)) => assert_eq!(first, want),
            (Err(error), Err(want)) => assert!(error.to_string().contains(want), "{error}"),
            _ => panic!("{paths:?}: {first:?}"),
        }
    }
}

#[test]
fn types_are_read_from_names() {
    let cases = [
        ("tinyllama-1.1b-chat-v1.0.Q4_K_M", Some("q4_k_m")),
        ("Llama-3.2-1B-Instruct-Q8_0", Some("q8_0")),
        ("model-IQ4_XS", Some("iq4_xs")),
        ("model-f16", Some("f16")),
        ("model.BF16", Some("bf16")),
        ("qwen2", None),
        ("model-q", None),
        ("Q4_0", Some("q4_0")),
    ];
    for (name, want) in cases {
        assert_eq!(type_in(name).as_deref(), want, "{name}");
    }
}

#[test]
fn a_gguf_model_is_the_one_that_is_asked_for_or_fits() {
    let files = listed(&[
        ("m.Q2_K.gguf", 300 << 20),
        ("m.Q4_K_M.gguf", 700 << 20),
        ("m.Q8_0.gguf", 1200 << 20),
        ("m.f16-00001-of-00002.gguf", 1100 << 20),
        ("m.f16-00002-of-00002.gguf", 1100 << 20),
        ("mmproj-m-f16.gguf", 1),
    ]);
    let Ok(Contents::Gguf(models)) = contents(&files) else {
        panic!("GGUF models");
    };
    assert_eq!(models.len(), 4);
    let cases = [
        (Some("Q8_0"), 1 << 30, Ok("q8_0"), false),
        (Some("q4_k"), 1 << 30, Ok("q4_k_m"), false),
        (Some("f16"), 1 << 30, Ok("f16"), false),
        (None, 4u64 << 30, Ok("q4_k_m"), true),
        (None, 512 << 20, Ok("q2_k"), true),
        (
            Some("q6_k"),
            4 << 30,
            Err("it has q2_k, q4_k_m, q8_0, f16"),
            false,
        ),
    ];
    for (wanted, memory, want, told) in cases {
        let chosen = gguf(&models, wanted, memory);
        match (chosen, want) {
            (Ok(chosen), Ok(want)) => {
                assert_eq!(chosen.model.file_type.as_deref(), Some(want), "{wanted:?}");
                assert_eq!(chosen.reason.is_some(), told, "{wanted:?}");
            }
            (Err(error), Err(want)) => assert!(error.to_string().contains(want), "{error}"),
            (chosen, _) => panic!("{wanted:?}: {chosen:?}"),
        }
    }
    let twice = listed(&[("a/m.Q4_0.gguf", 1), ("b/m.Q4_0.gguf", 1)]);
    let Ok(Contents::Gguf(models)) = contents(&twice) else {
        panic!("GGUF models");
    };
    let error = gguf(&models, Some("q4_0"), 1).expect_err("two").to_string();
    assert!(error.contains("a/m.Q4_0.gguf, b/m.Q4_0.gguf"), "{error}");
}

#[test]
fn a_model_that_lacks_a_part_stands_in_nobodys_way() {
    let files = listed(&[
        ("m-Q8_0.gguf", 1),
        ("broken-Q4_K_M-00001-of-00003.gguf", 1),
        ("broken-Q4_K_M-00002-of-00002.gguf", 1),
    ]);
    let Ok(Contents::Gguf(models)) = contents(&files) else {
        panic!("GGUF models");
    };
    let name = |wanted| gguf(&models, wanted, 1 << 30).map(|chosen| chosen.model.name);
    assert_eq!(name(Some("q8_0")).as_deref(), Ok("m-Q8_0"));
    assert_eq!(
        gguf_file(&files, "m-Q8_0.gguf")
            .map(|model| model.name)
            .as_deref(),
        Ok("m-Q8_0")
    );
    let error = gguf_file(&files, "broken-Q4_K_M-00001-of-00003.gguf").expect_err("parts lack");
    assert!(error.to_string().contains("part 2 of 3"), "{error}");
}
