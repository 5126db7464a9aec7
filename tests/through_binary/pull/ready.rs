//! Models that are GGUF already: of a repository, of a registry, of ollama's own store.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;

use serde_json::json;
use sha2::{Digest, Sha256};
use siskin_testing::hub::{Fault, File};

use super::{Site, converted, files_of, names, printed, read, said, side_by_side, silent};
use crate::util::{self, fail, siskin};

const TINY: &str = "Tiny-1B-Instruct";

/// A repository of GGUF files, as people make them.
fn repository(site: &Site) -> [Vec<u8>; 3] {
    let types = [("F16", "f16"), ("Q8_0", "q8_0"), ("Q4_K_M", "q4_k_m")];
    let models = types.map(|(_, ty)| converted("llama-spm", ty));
    let mut files: Vec<(String, File)> = types
        .iter()
        .zip(&models)
        .map(|((name, _), bytes)| (format!("{TINY}-{name}.gguf"), File::large(bytes.clone())))
        .collect();
    files.push(("README.md".into(), File::small("# Tiny")));
    files.push((format!("{TINY}-mmproj-F16.gguf"), File::large("no model")));
    super::put(&site.hub, "maker/Tiny-GGUF", "main", &files);
    models
}

#[test]
fn a_file_of_a_repository_is_chosen_by_type_or_name_or_because_it_fits() {
    let cases = [
        ("maker/Tiny-GGUF:Q8_0", 1),
        ("maker/Tiny-GGUF:q8_0", 1),
        ("maker/Tiny-GGUF --type f16", 0),
        ("maker/Tiny-GGUF/Tiny-1B-Instruct-F16.gguf", 0),
        (
            "https://huggingface.co/maker/Tiny-GGUF/blob/main/Tiny-1B-Instruct-Q8_0.gguf",
            1,
        ),
        ("maker/Tiny-GGUF:Q4_K", 2),
        ("maker/Tiny-GGUF", 2),
    ];
    let stems = ["F16", "Q8_0", "Q4_K_M"].map(|ty| format!("{TINY}-{ty}"));
    side_by_side(&cases, |(name, want)| {
        let site = Site::new();
        let models = repository(&site);
        silent(&mut site.pull(&format!("{name} --no-read-back")));
        assert_eq!(site.shown(), [format!("{}.gguf", stems[*want])], "{name}");
        assert!(read(&site.model(&stems[*want])) == models[*want], "{name}");
        assert_eq!(site.unfinished(), [""; 0]);
        site.hub.take_log();
        let line = said(&mut site.line(&format!("pull {name}")));
        assert!(line.ends_with("is here and up to date\n"), "{name}: {line}");
        let asked = site.asked();
        assert!(
            asked.iter().all(|path| path.starts_with("/api/")),
            "{name}: {asked:?}"
        );
    });
    let site = Site::new();
    repository(&site);
    let reason = said(&mut site.line("pull maker/Tiny-GGUF --dry-run"));
    assert!(
        reason.contains("q4_k_m is the type that loses little and fits into "),
        "{reason}"
    );
    let line = fail(&mut site.pull("maker/Tiny-GGUF:Q5_K_M"), 1);
    assert!(line.contains("no Q5_K_M in this repository; it has "), "{line}");
    let line = fail(&mut site.pull("maker/Tiny-GGUF/other.gguf"), 1);
    assert!(
        line.contains("other.gguf: the repository has no such GGUF file"),
        "{line}"
    );
}

#[test]
fn a_ready_file_is_used_by_its_name_and_pulled_once() {
    let site = Site::new();
    repository(&site);
    let text = |name: &str| printed(&mut site.line(&format!("run {name} --raw -n 4 --temp 0 -p hello")));
    let first = text("hf:maker/Tiny-GGUF:Q8_0");
    assert!(!first.is_empty() && !site.asked().is_empty());
    for name in [
        "hf:maker/Tiny-GGUF:Q8_0",
        "Tiny-1B-Instruct-Q8_0",
        "tiny-1b-instruct",
    ] {
        assert_eq!(text(name), first, "{name}");
        assert_eq!(site.asked(), [""; 0], "{name}");
    }
    assert_eq!(site.shown(), [format!("{TINY}-Q8_0.gguf")]);
}

#[test]
fn parts_of_a_model_come_together_and_are_one_model() {
    let site = Site::new();
    let parts = site.path("parts");
    std::fs::create_dir(&parts).expect("a folder");
    let checkpoint = util::checkpoint("llama-spm");
    let mut split = siskin(["convert", "--type", "q8_0", "--quiet", "--split", "600KiB"]);
    util::succeed(split.arg(&checkpoint).arg("-o").arg(parts.join("big-q8_0.gguf")));
    let files = names(&parts);
    assert!(files.len() > 1, "{files:?}");
    let list: Vec<(String, File)> = files
        .iter()
        .map(|name| (format!("q8_0/{name}"), File::large(read(&parts.join(name)))))
        .collect();
    super::put(&site.hub, "maker/Big-GGUF", "main", &list);
    site.hub.fault("big-q8_0-00001", Fault::Cut(1000), 2);
    silent(&mut site.pull("maker/Big-GGUF:Q8_0"));
    assert_eq!(site.shown(), files);
    for name in &files {
        assert!(
            read(&site.path("models").join(name)) == read(&parts.join(name)),
            "{name}"
        );
    }
    let whole = site.path("models").join(&files[0]);
    assert_eq!(
        printed(&mut site.line("path big")),
        format!("{}\n", whole.display())
    );
    let text = printed(&mut site.line("run big --raw -n 4 --temp 0 -p hello"));
    assert!(!text.is_empty());
    let line = said(&mut site.line("pull maker/Big-GGUF:Q8_0"));
    assert!(line.ends_with("is here and up to date\n"), "{line}");
    util::succeed(&mut site.line("rm big"));
    assert_eq!(site.shown(), [""; 0]);

    // A pull that ends between two parts goes on with the second; nothing is under a final name before all are there.
    // Two requests for its header come before.
    site.hub.fault("big-q8_0-00002", Fault::Cut(u64::MAX), 2);
    site.hub.fault(
        "big-q8_0-00002",
        Fault::Status(404, "X-Error-Code", "EntryNotFound".into()),
        1,
    );
    let line = fail(&mut site.pull("maker/Big-GGUF:Q8_0"), 1);
    assert!(line.contains("big-q8_0-00002"), "{line}");
    assert_eq!(site.shown(), [""; 0]);
    site.hub.take_log();
    let report = super::json(&mut site.line("pull maker/Big-GGUF:Q8_0 --json"));
    assert!(report["bytes_resumed"].as_u64() > Some(0), "{report}");
    assert_eq!(site.shown(), files);
    let first = list[0].1.sha256();
    let log = site.hub.take_log();
    let again: u64 = log
        .iter()
        .filter(|r| r.path.contains(first))
        .map(|r| r.sent)
        .sum();
    assert!(again <= 1 << 20, "{again} bytes of the first part came again");

    super::put(&site.hub, "maker/Half-GGUF", "main", &list[1..]);
    let line = fail(&mut site.pull("maker/Half-GGUF:Q8_0"), 1);
    assert!(line.contains("part 1 of "), "{line}");
}

#[test]
fn a_ready_file_goes_on_after_a_cut_and_is_compared_with_its_digest() {
    let faults = [
        (Fault::Cut(300_000), 3, true),
        (Fault::WrongByte(500_000), 1, true),
        (Fault::WrongByte(500_000), 1000, false),
        (Fault::Whole, 1000, true),
        (Fault::Html, 1000, false),
        (Fault::Gzip, 1000, false),
        (Fault::Stall(200_000), 1, true),
    ];
    side_by_side(&faults, |(fault, times, is_well)| {
        let site = Site::new();
        let [_, want, _] = repository(&site);
        site.hub.fault("/cdn/", fault.clone(), *times);
        let mut pull = site.pull("maker/Tiny-GGUF:Q8_0");
        if *is_well {
            silent(&mut pull);
            assert!(read(&site.model(&format!("{TINY}-Q8_0"))) == want, "{fault:?}");
        } else {
            let line = fail(&mut pull, 1);
            assert!(line.contains("maker/Tiny-GGUF"), "{fault:?}: {line}");
            assert_eq!(site.shown(), [""; 0], "{fault:?}");
        }
    });
}

#[test]
fn a_file_that_is_no_model_is_found_out_before_it_is_read() {
    let site = Site::new();
    let bytes: Vec<u8> = std::iter::repeat_n(b"this is no model and no page ", 150_000)
        .flatten()
        .copied()
        .collect();
    super::put(
        &site.hub,
        "maker/Fake-GGUF",
        "main",
        &[("fake-Q8_0.gguf".into(), File::large(bytes))],
    );
    let line = fail(&mut site.pull("maker/Fake-GGUF"), 1);
    assert!(line.contains("fake-Q8_0.gguf"), "{line}");
    assert_eq!((site.shown(), site.unfinished()), (vec![], vec![]));
    let log = site.hub.take_log();
    let sent: u64 = log.iter().map(|request| request.sent).sum();
    assert!(sent < 1_200_000, "{sent} bytes: {log:#?}");
}

/// The layers of a model of ollama.
fn layers(model: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("application/vnd.ollama.image.model", model.to_vec()),
        ("application/vnd.ollama.image.template", b"{{ .Prompt }}".to_vec()),
        (
            "application/vnd.ollama.image.params",
            br#"{"stop":["</s>"]}"#.to_vec(),
        ),
    ]
}

#[test]
fn a_model_of_a_registry_is_pulled_by_its_digest() {
    let model = converted("llama-tied", "q8_0");
    for token in [None, Some("anybody")] {
        let site = Site::new();
        site.hub.artifact("library/tiny", "1b", &layers(&model));
        if let Some(token) = token {
            site.hub.registry_token(token);
        }
        let name = format!("oci:{}/library/tiny:1b", site.hub.host());
        let mut pull = site.pull(&name);
        silent(pull.env("HF_TOKEN", super::TOKEN));
        assert!(read(&site.model("tiny-1b")) == model);
        for request in site.hub.take_log() {
            // The hub's token is not the registry's.
            assert!(!request.authorization.unwrap_or_default().contains(super::TOKEN));
        }
        let line = said(&mut site.line(&format!("pull {name}")));
        assert!(line.ends_with("is here and up to date\n"), "{line}");
        assert!(!site.asked().iter().any(|path| path.contains("/blobs/")));

        site.hub
            .artifact("library/tiny", "1b", &layers(&converted("llama-tied", "f16")));
        silent(&mut site.pull(&name));
        assert!(read(&site.model("tiny-1b")) == converted("llama-tied", "f16"));

        for (bad, want) in [("library/tiny:2b", "tiny:2b"), ("library/other:1b", "other:1b")] {
            let line = fail(&mut site.pull(&format!("oci:{}/{bad}", site.hub.host())), 1);
            assert!(line.contains(want), "{line}");
        }
        site.hub
            .artifact("library/text", "1", &[("text/plain", b"no model".to_vec())]);
        let line = fail(
            &mut site.pull(&format!("oci:{}/library/text:1", site.hub.host())),
            1,
        );
        assert!(line.contains("has no GGUF model in it"), "{line}");
        assert_eq!(site.shown(), ["tiny-1b.gguf"]);
    }
}

/// Puts a model into a store of ollama, and returns its blob.
fn ollama(store: &Path, name: &str, tag: &str, model: &[u8]) -> std::path::PathBuf {
    let manifests = store.join("manifests/registry.ollama.ai/library").join(name);
    let blobs = store.join("blobs");
    std::fs::create_dir_all(&manifests).expect("a folder");
    std::fs::create_dir_all(&blobs).expect("a folder");
    let mut list = Vec::new();
    for (media_type, bytes) in layers(model) {
        let digest: String = Sha256::digest(&bytes)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        std::fs::write(blobs.join(format!("sha256-{digest}")), &bytes).expect("written");
        list.push(
            json!({"mediaType": media_type, "digest": format!("sha256:{digest}"), "size": bytes.len()}),
        );
    }
    let blob = list[0]["digest"].as_str().expect("text").replace(':', "-");
    let manifest = json!({"schemaVersion": 2, "layers": list});
    std::fs::write(manifests.join(tag), manifest.to_string()).expect("written");
    blobs.join(blob)
}

#[test]
fn a_model_that_ollama_has_is_taken_without_a_copy() {
    let site = Site::new();
    let store = site.path("ollama");
    let model = converted("llama-spm", "q8_0");
    let blob = ollama(&store, "tiny", "1b", &model);
    let with = |mut command: Command| {
        command.env("OLLAMA_MODELS", &store);
        command
    };
    silent(&mut with(site.pull("ollama:tiny:1b")));
    let path = site.model("tiny-1b");
    let inode = |path: &Path| std::fs::metadata(path).expect("there").ino();
    assert_eq!(inode(&path), inode(&blob));
    let run = || {
        printed(&mut with(
            site.line("run ollama:tiny:1b --raw -n 4 --temp 0 -p hello"),
        ))
    };
    assert!(!run().is_empty());
    // A second time there is nothing to do.
    let line = said(&mut with(site.line("pull ollama:tiny:1b")));
    assert!(line.ends_with("is here and up to date\n"), "{line}");
    let removed = said(&mut site.line("rm tiny-1b"));
    assert!(
        removed.contains("stay, because they have another name too"),
        "{removed}"
    );
    assert!(read(&blob) == model);
    assert_eq!(site.asked(), [""; 0], "no network");

    std::fs::write(&blob, b"cut").expect("written");
    let line = fail(&mut with(site.pull("ollama:tiny:1b")), 1);
    assert!(
        line.contains("the file has 3 bytes, and its manifest says "),
        "{line}"
    );
    assert_eq!(site.shown(), [""; 0]);
}

#[test]
fn a_checkpoint_beside_gguf_files_is_what_is_pulled() {
    let site = Site::new();
    let mut files = files_of(&util::checkpoint("llama-tied"));
    files.push(("llama-tied-Q8_0.gguf".into(), File::large("not this one")));
    super::put(&site.hub, "org/llama-tied", "main", &files);
    silent(&mut site.pull("org/llama-tied --type q8_0"));
    assert!(read(&site.model("llama-tied-q8_0")) == converted("llama-tied", "q8_0"));
}
