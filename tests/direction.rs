//! The floor plan, held by tests: which crate may use which, which may be `unsafe`, and what the library brings along.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value as Json;

/// Each crate, and the crates of this workspace that it may use: those below it. ARCHITECTURE.md draws the same.
const BELOW: [(&str, &[&str]); 13] = [
    ("siskin-model", &[]),
    ("siskin-grammar", &[]),
    ("siskin-jinja", &[]),
    ("siskin-kernels", &[]),
    ("siskin-link", &[]),
    ("siskin-testing", &[]),
    ("siskin-quant", &["siskin-model"]),
    ("siskin-device", &["siskin-model"]),
    ("siskin-hub", &["siskin-model", "siskin-quant"]),
    (
        "siskin-runtime",
        &[
            "siskin-device",
            "siskin-jinja",
            "siskin-kernels",
            "siskin-link",
            "siskin-model",
        ],
    ),
    (
        "siskin-harness",
        &["siskin-device", "siskin-model", "siskin-quant", "siskin-runtime"],
    ),
    (
        "siskin-serve",
        &[
            "siskin-device",
            "siskin-grammar",
            "siskin-model",
            "siskin-runtime",
        ],
    ),
    (
        "siskin",
        &[
            "siskin-device",
            "siskin-harness",
            "siskin-hub",
            "siskin-jinja",
            "siskin-link",
            "siskin-model",
            "siskin-quant",
            "siskin-runtime",
            "siskin-serve",
        ],
    ),
];

/// What only the program uses: an embedding program must not get it.
const PROGRAM_ONLY: [&str; 13] = [
    "axum",
    "clap",
    "csv",
    "indicatif",
    "plotters",
    "ring",
    "rustls",
    "rustyline",
    "signal-hook",
    "siskin-harness",
    "tokio",
    "sysinfo",
    "ureq",
];

fn cargo(arguments: &[&str]) -> String {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(arguments).args(["--offline", "--locked"]);
    let output = command
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo, which runs this test, starts");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {stderr}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

#[test]
fn every_crate_uses_only_crates_below_it() {
    let metadata: Json =
        serde_json::from_str(&cargo(&["metadata", "--no-deps", "--format-version", "1"])).expect("JSON");
    let text = |json: &Json| json.as_str().expect("a text").to_owned();
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for package in metadata["packages"].as_array().expect("packages") {
        let ours = package["dependencies"].as_array().expect("dependencies").iter();
        // Tests may use what they like.
        let ours = ours.filter(|dependency| dependency["kind"] != "dev" && dependency["path"].is_string());
        let names = ours.map(|dependency| text(&dependency["name"])).collect();
        found.insert(text(&package["name"]), names);
    }
    for (name, below) in BELOW {
        let uses = found.remove(name).unwrap_or_else(|| panic!("no crate {name}"));
        for used in uses {
            assert!(
                below.contains(&used.as_str()),
                "{name} points up or sideways at {used}"
            );
        }
    }
    assert!(found.is_empty(), "crates without a place in the plan: {found:?}");
}

#[test]
fn unsafe_code_is_where_it_may_be() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let attribute = |file: &str, attribute: &str| {
        let text = std::fs::read_to_string(root.join(file)).expect(file);
        assert!(text.contains(attribute), "{file} lacks {attribute}");
    };
    for file in [
        "grammar/src/lib.rs",
        "hub/src/lib.rs",
        "link/src/lib.rs",
        "model/src/lib.rs",
        "quant/src/lib.rs",
        "serve/src/lib.rs",
    ] {
        attribute(file, "#![forbid(unsafe_code)]");
    }
    for file in [
        "src/lib.rs",
        "src/main.rs",
        "device/src/lib.rs",
        "harness/src/lib.rs",
        "runtime/src/lib.rs",
    ] {
        attribute(file, "#![deny(unsafe_code)]");
    }
}

#[test]
fn the_library_brings_nothing_of_the_program() {
    let tree = cargo(&[
        "tree",
        "--no-default-features",
        "--features",
        "kernels,openmp",
        "--edges",
        "normal",
        "--prefix",
        "none",
        "--package",
        "siskin",
    ]);
    let names: BTreeSet<&str> = tree.lines().filter_map(|line| line.split(' ').next()).collect();
    assert!(names.contains("siskin-runtime") && names.contains("siskin-kernels"));
    for name in PROGRAM_ONLY {
        assert!(!names.contains(name), "the library brings {name}");
    }
}

/// Who opens files without `siskin_model::files`, which looks at a path before it opens it, and why.
const OPENS_ITSELF: [(&str, &str); 13] = [
    ("device/src/memory.rs", "reads /proc"),
    ("device/src/energy.rs", "reads /sys"),
    ("harness/src/llama_bench.rs", "reads /proc"),
    ("hub/src/net/cache.rs", "locks"),
    (
        "hub/src/net/download.rs",
        "makes outputs that go on, syncs a folder",
    ),
    ("hub/src/store/record.rs", "reads and sets the time of a record"),
    ("harness/src/worker.rs", "reads /proc"),
    ("model/src/atomic_file/sibling.rs", "makes outputs"),
    ("model/src/atomic_file/target.rs", "syncs a folder"),
    ("model/src/files/open.rs", "is the one way"),
    ("runtime/src/engine/memory.rs", "reads /proc"),
    ("runtime/src/engine/pages.rs", "reads /proc"),
    ("src/interrupt.rs", "reads /proc"),
];

#[test]
fn inputs_are_opened_in_one_place() {
    const CALLS: [&str; 5] = [
        "File::open(",
        "File::options()",
        "OpenOptions::new()",
        "fs::read(",
        "fs::read_to_string(",
    ];
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut folders: Vec<_> = [
        "", "grammar", "jinja", "model", "quant", "hub", "device", "runtime", "serve", "harness",
    ]
    .map(|package| root.join(package).join("src"))
    .into();
    let mut found = BTreeSet::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let name = path
                .strip_prefix(root)
                .expect("below")
                .to_string_lossy()
                .into_owned();
            let text = std::fs::read_to_string(&path).unwrap_or_default();
            let program = text.split("#[cfg(test)]").next().unwrap_or_default();
            let program = program.replace("ModelFile::open(", "");
            if !name.ends_with("tests.rs") && CALLS.iter().any(|call| program.contains(call)) {
                found.insert(name);
            }
        }
    }
    let allowed = OPENS_ITSELF.map(|(file, _)| file.to_owned());
    let allowed = BTreeSet::from(allowed);
    assert_eq!(found, allowed, "open inputs with siskin_model::files");
}
