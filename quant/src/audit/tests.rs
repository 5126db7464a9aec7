use siskin_model::gguf::{Metadata, TensorInfo};

use super::*;

fn header(keys: &[(&str, &str)], tensors: &[&str]) -> Header {
    let mut metadata = Metadata::new();
    metadata.set("general.architecture", "llama");
    metadata.set("llama.block_count", 1u32);
    for (key, value) in keys {
        metadata.set(*key, *value);
    }
    let tensor = |name: &&str| TensorInfo {
        name: (*name).into(),
        shape: vec![32],
        ty: siskin_model::TensorType::F32,
        offset: 0,
    };
    Header {
        version: 3,
        metadata,
        tensors: tensors.iter().map(tensor).collect(),
        alignment: 32,
        data_start: 0,
        file_len: 0,
    }
}

#[test]
fn a_usual_header_has_no_warning() {
    let template = "{% for m in messages %}{{ m.content }}{% endfor %}";
    let keys = [
        ("general.name", "Émile 7B"),
        ("general.license.link", "https://example.org/licence"),
        (
            "general.base_model.0.repo_url",
            "https://huggingface.co/org/model",
        ),
        ("tokenizer.ggml.model", "gpt2"),
        ("quantize.imatrix.file", "imatrix.gguf"),
        (TEMPLATE, template),
    ];
    let findings = audit(&header(&keys, &["token_embd.weight"]));
    let [one] = &findings[..] else {
        panic!("{findings:?}")
    };
    assert_eq!((one.severity, one.place.as_str()), (Severity::Note, TEMPLATE));
    let hash = Hash::of(template.as_bytes()).to_string();
    assert!(
        one.what.contains("no known chat template") && one.what.contains(&hash),
        "{}",
        one.what
    );
}

#[test]
fn what_is_found() {
    use Severity::{Note, Warning};
    let long = "x".repeat(LONG_TEXT + 1);
    let named = format!("{TEMPLATE}.tool_use");
    let cases: [(&str, &str, Severity, &str); 12] = [
        ("general.name", "p\u{430}ypal", Warning, "mix Latin letters"),
        (TEMPLATE, "a\u{200B}b", Warning, "without a width"),
        (named.as_str(), "{{ ''.__class__ }}", Warning, "\"__class__\""),
        ("general.description", "<SCRIPT>alert(1)", Warning, "\"<script\""),
        (
            TEMPLATE,
            "Visit https://example.org",
            Warning,
            "an address of the web",
        ),
        (
            "general.description",
            "see http://example.org",
            Note,
            "an address of the web",
        ),
        ("mistral.block_count", "1", Note, "converters do not write"),
        ("payload", "1", Note, "converters do not write"),
        ("general.$(id)", "1", Warning, "other characters"),
        ("general.n\u{202E}ame", "1", Warning, "other characters"),
        ("general.description", &long, Warning, "16385 bytes of text"),
        (
            &format!("general.{}", "k".repeat(200)),
            "1",
            Note,
            "a key of 208 bytes",
        ),
    ];
    for (key, value, severity, want) in cases {
        let findings = audit(&header(&[(key, value)], &[]));
        let found = findings.iter().find(|finding| finding.what.contains(want));
        let found = found.unwrap_or_else(|| panic!("{key}: {findings:?}"));
        assert_eq!((found.severity, found.place.as_str()), (severity, key));
        assert!(!found.what.contains('\n') && findings.is_sorted_by_key(|f| std::cmp::Reverse(f.severity)));
    }
    let findings = audit(&header(&[], &["good", "b\u{200B}ad"]));
    assert_eq!(findings.len(), 1);
    assert_eq!(findings[0].place, "b\u{200B}ad");
}

#[test]
fn a_hostile_header_gives_a_bounded_list() {
    let keys: Vec<String> = (0..2000).map(|n| format!("x{n}")).collect();
    let keys: Vec<(&str, &str)> = keys.iter().map(|key| (key.as_str(), "\u{200B}eval(")).collect();
    let findings = audit(&header(&keys, &["\u{200B}"; 500]));
    assert!(findings.len() < 20 * MOST, "{}", findings.len());
    assert!(findings.iter().any(|finding| finding.what.contains("2002 keys")));
}

/// The hashes are of the files that the hub has; the files themselves are next to the project.
#[test]
fn known_templates_are_recognized() {
    let Some(data) = siskin_testing::shared() else {
        return;
    };
    let folders = [
        ("llama-3.2-1b-instruct", "meta-llama/Llama-3.2-1B-Instruct"),
        ("tinyllama-1.1b-chat", "TinyLlama/TinyLlama-1.1B-Chat-v1.0"),
        ("stablelm-2-zephyr-1_6b", "stabilityai/stablelm-2-zephyr-1_6b"),
    ];
    for (folder, repository) in folders {
        let folder = data.join("tokenizers").join(folder);
        let template = std::fs::read_to_string(folder.join("chat_template.jinja")).unwrap_or_else(|_| {
            let config = std::fs::read(folder.join("tokenizer_config.json")).expect("a configuration");
            let config: serde_json::Value = serde_json::from_slice(&config).expect("JSON");
            config["chat_template"].as_str().expect("a template").to_owned()
        });
        let found = repositories(&template).expect(repository);
        assert!(found.contains(repository), "{found}");
    }
}
