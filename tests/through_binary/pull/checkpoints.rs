//! A checkpoint that is converted while it arrives gives the bytes of `siskin convert`.

use serde_json::Value;

use super::{Site, converted, files_of, json, put, read, said, side_by_side, silent, torch, upload};
use crate::util;

#[test]
fn a_pulled_checkpoint_has_the_bytes_of_a_converted_one() {
    let fixtures = [
        "llama-spm",
        "llama-sharded",
        "llama-tied",
        "gptneox-bpe",
        "stablelm-qknorm",
    ];
    let types = ["f16", "q8_0", "q4_k_m"];
    let cases: Vec<(&str, &str)> = fixtures
        .iter()
        .flat_map(|fixture| types.map(|ty| (*fixture, ty)))
        .collect();
    let site = Site::new();
    for fixture in fixtures {
        upload(&site.hub, &format!("org/{fixture}"), fixture);
    }
    side_by_side(&cases, |(fixture, ty)| {
        silent(&mut site.pull(&format!("org/{fixture} --type {ty}")));
        let pulled = read(&site.model(&format!("{fixture}-{ty}")));
        assert!(pulled == converted(fixture, ty), "{fixture} {ty}");
    });
    assert_eq!(site.unfinished(), [""; 0]);
}

#[test]
fn pickled_weights_give_the_bytes_of_safetensors() {
    let site = Site::new();
    let mut files = files_of(&util::checkpoint("gptneox-bpe"));
    files.retain(|(name, _)| !name.ends_with(".safetensors"));
    let weights = torch::archive(&read(&util::checkpoint("gptneox-bpe").join("model.safetensors")));
    files.push((
        "pytorch_model.bin".into(),
        siskin_testing::hub::File::large(weights.clone()),
    ));
    put(&site.hub, "org/gptneox-bpe", "step64000", &files);
    silent(&mut site.pull("org/gptneox-bpe --steps 64000 --type q8_0"));
    let pulled = read(&site.model("gptneox-bpe-step64000-q8_0"));
    assert!(pulled == converted("gptneox-bpe", "q8_0"));
}

#[test]
fn a_dry_run_reads_headers_and_leaves_nothing() {
    let site = Site::new();
    upload(&site.hub, "org/llama-spm", "llama-spm");
    let line = said(&mut site.line("pull org/llama-spm --dry-run"));
    assert!(
        line.contains("org/llama-spm at ")
            && line.contains(" to read, ")
            && line.ends_with(" to write as q4_k_m\n"),
        "{line}"
    );
    assert_eq!(super::names(&site.path("models")), [""; 0]);
    let log = site.hub.take_log();
    let weights: u64 = log
        .iter()
        .filter(|request| request.path.contains("/cdn/"))
        .map(|request| request.sent)
        .sum();
    assert!(weights <= 256 << 10, "{weights} bytes of weights");
    assert!(log.len() <= 12, "{} requests", log.len());
}

#[test]
fn json_says_where_the_file_is_and_where_it_is_from() {
    let site = Site::new();
    let commit = upload(&site.hub, "org/llama-tied", "llama-tied");
    let report = json(&mut site.line("pull org/llama-tied --type q8_0 --json"));
    let path = site.model("llama-tied-q8_0");
    let size = read(&path).len();
    let want = [
        ("/output", Value::from(path.display().to_string())),
        ("/is_new", true.into()),
        ("/bytes", size.into()),
        ("/bytes_resumed", 0.into()),
        ("/origin/name", "hf:org/llama-tied".into()),
        ("/origin/commit", commit.into()),
        ("/origin/endpoint", site.hub.url().into()),
    ];
    for (key, value) in want {
        assert_eq!(report.pointer(key), Some(&value), "{key}");
    }
    let requests = site.hub.take_log().len();
    assert_eq!(report["requests"], requests);
    assert!(report["bytes_read"].as_u64() > Some(265_888) && report["seconds"].as_f64() > Some(0.0));
    assert!(report["peak_rss_bytes"].is_u64());
    let again = json(&mut site.line("pull org/llama-tied --type q8_0 --json"));
    assert_eq!(
        again,
        serde_json::json!({"output": path.display().to_string(), "is_new": false})
    );
    // A file of one's own is told of too.
    let own = site.path("own.gguf");
    let report = json(site.line("pull org/llama-tied --type q8_0 --json -o").arg(&own));
    assert_eq!(report["output"], own.display().to_string());
    assert!(read(&own) == read(&path));
    assert_eq!(site.shown(), ["llama-tied-q8_0.gguf"]);
}

#[test]
fn a_kept_checkpoint_is_in_the_cache_that_others_read() {
    for (links, disable) in [(true, "0"), (false, "1")] {
        let site = Site::new();
        let commit = upload(&site.hub, "org/llama-sharded", "llama-sharded");
        let mut pull = site.pull("org/llama-sharded --type q8_0 --keep-checkpoint");
        silent(pull.env("HF_HUB_DISABLE_SYMLINKS", disable));
        assert!(read(&site.model("llama-sharded-q8_0")) == converted("llama-sharded", "q8_0"));
        let repo = site.path("hf/hub/models--org--llama-sharded");
        assert_eq!(read(&repo.join("refs/main")), commit.as_bytes());
        let snapshot = repo.join("snapshots").join(&commit);
        for (name, file) in files_of(&util::checkpoint("llama-sharded")) {
            let path = snapshot.join(&name);
            assert!(
                read(&path) == read(&util::checkpoint("llama-sharded").join(&name)),
                "{name}"
            );
            let digest = if name.ends_with(".safetensors") {
                file.sha256()
            } else {
                file.git()
            };
            let link = std::fs::read_link(&path).ok();
            let blob = std::path::Path::new("../../blobs").join(digest);
            assert_eq!(link, links.then_some(blob), "{name}");
        }
        // What is kept is not asked for again.
        site.hub.take_log();
        silent(
            site.pull("org/llama-sharded --type f16 --keep-checkpoint")
                .env("HF_HUB_DISABLE_SYMLINKS", disable),
        );
        assert!(read(&site.model("llama-sharded-f16")) == converted("llama-sharded", "f16"));
        let sent: u64 = site
            .hub
            .take_log()
            .iter()
            .filter(|r| r.path.contains("/cdn/"))
            .map(|r| r.sent)
            .sum();
        let source: u64 = [123_520, 107_696, 115_680].iter().sum();
        assert!(sent <= source, "{sent} bytes of weights, which are in the cache");
    }
}

#[test]
fn an_importance_matrix_is_heeded_and_a_file_that_is_here_does_not_stand_in_for_it() {
    let site = Site::new();
    upload(&site.hub, "org/llama-spm", "llama-spm");
    let matrix = siskin_testing::root().join("tests/data/imatrix/llama-spm.gguf");
    silent(&mut site.pull("org/llama-spm --type q4_k_m"));
    let plain = read(&site.model("llama-spm-q4_k_m"));
    silent(site.pull("org/llama-spm --type q4_k_m --imatrix").arg(&matrix));
    let weighted = read(&site.model("llama-spm-q4_k_m"));
    let own = site.path("own.gguf");
    let mut convert = site.line("convert --type q4_k_m --quiet --imatrix");
    util::succeed(
        convert
            .arg(&matrix)
            .arg(util::checkpoint("llama-spm"))
            .arg("-o")
            .arg(&own),
    );
    assert!(weighted == read(&own) && weighted != plain);
}
