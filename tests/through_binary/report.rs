//! `siskin report` end to end: what it measures and writes, and what is not in it.

use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value as Json;

use crate::util::{checkpoint, convert, fail, siskin, siskin_that_hears_signals, succeed};

/// A report of a few seconds.
const SHORT: [&str; 4] = ["report", "--quick", "--seconds", "1"];

fn report(folder: &Path, args: &[&str]) -> Command {
    let mut command = siskin(SHORT.iter().chain(args));
    command.current_dir(folder);
    command
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn files(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).expect("a folder");
    let names = entries.map(|entry| {
        entry
            .expect("an entry")
            .file_name()
            .to_string_lossy()
            .into_owned()
    });
    names.collect()
}

/// The file is written under a name of its own, has every part, names nobody, and is read again in every format.
#[test]
fn a_report_has_its_figures_and_names_nobody() {
    let out = tempfile::tempdir().expect("a temporary folder");
    let secret = out.path().join("secret-folder-of-mallory");
    let work = out.path().join("work");
    for folder in [&secret, &work] {
        std::fs::create_dir(folder).expect("made");
    }
    let model = convert(&checkpoint("llama-spm"), &secret, "q8_0");
    let stem = model.file_stem().expect("a name").to_string_lossy().into_owned();
    let mut command = report(&work, &[]);
    command
        .arg(&model)
        .env("HOME", &secret)
        .env("USER", "mallory-the-user")
        .env("LOGNAME", "mallory-the-user")
        .env("COLUMNS", "120");
    let output = succeed(&mut command);
    let names = files(&work);
    let [name] = &names[..] else { panic!("{names:?}") };
    assert!(
        name.starts_with("siskin-report-") && name.ends_with(".json"),
        "{name}"
    );
    let shown = text(&output.stdout);
    for part in [
        "Speed",
        "T(n)",
        "Decoding without a pause",
        "memory is read",
        name,
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    let file = std::fs::read_to_string(work.join(name)).expect("a report");
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").expect("Linux has it");
    // A very short name may be part of any word.
    let host = Some(host.trim()).filter(|host| host.len() > 4);
    let never = ["mallory", "secret-folder", "/tmp", "/home", "/root", "/proc"];
    for word in never.into_iter().chain(host) {
        assert!(!file.contains(word), "{word}: {file}");
    }
    let results: Json = serde_json::from_str(&file).expect("JSON");
    assert_eq!(
        results["command"],
        format!("siskin report {stem}.gguf --quick --seconds 1")
    );
    assert!(results["hardware"]["page_bytes"].as_u64() >= Some(4096));
    assert!(
        !results["hardware"]["cpu_isa"]
            .as_array()
            .expect("a list")
            .is_empty()
    );
    let models: Vec<&str> = results["runs"]
        .as_array()
        .expect("runs")
        .iter()
        .filter_map(|run| run["model"]["name"].as_str())
        .collect();
    assert!(
        models.contains(&"storyteller") && models.contains(&stem.as_str()),
        "{models:?}"
    );
    let bandwidths = results["read_bandwidths"].as_array().expect("bandwidths");
    assert!(
        bandwidths.iter().any(|entry| entry["threads"] == 1),
        "{bandwidths:?}"
    );
    let moments = results["sustained"][0]["moments"].as_array().expect("moments");
    assert!(
        moments
            .iter()
            .all(|moment| moment["tokens_per_second"].as_f64() > Some(0.0))
    );
    assert!(moments.last().expect("one")["seconds"].as_f64() >= Some(1.0));

    let import = |format: &str| {
        let import = siskin(["bench", "-o", format, "--import", name]);
        text(&succeed({ import }.current_dir(&work)).stdout)
    };
    let md = import("md");
    assert!(
        md.contains("### Moments of decoding") && md.contains("| verify8 |"),
        "{md}"
    );
    assert!(import("csv").lines().count() > 10);
    let again: Json = serde_json::from_str(&import("json")).expect("JSON");
    assert_eq!(again, results);
    let figures = import("toml");
    assert!(
        figures.contains("[[measured]]\nmodel = \"storyteller q4_k_m\"\nwhat = \"tg16\""),
        "{figures}"
    );

    // A second report of the day has another name.
    succeed(&mut report(&work, &[]));
    assert_eq!(files(&work).len(), 2);
}

#[test]
fn a_report_goes_to_stdout_or_to_a_file_that_it_may_write() {
    let out = tempfile::tempdir().expect("a temporary folder");
    for flags in [&["--json"][..], &["-o", "-"]] {
        let output = succeed(&mut report(out.path(), flags));
        let results: Json = serde_json::from_slice(&output.stdout).expect("JSON alone");
        assert_eq!(results["schema_version"], 1);
    }
    assert_eq!(files(out.path()), Vec::<String>::new());
    // What cannot be written is known before anything is measured: an hour of decoding is not waited for.
    std::fs::write(out.path().join("there.json"), "mine").expect("written");
    let model = convert(&checkpoint("llama-spm"), out.path(), "q8_0");
    let model = model.to_str().expect("UTF-8");
    let cases: [(&[&str], &str); 5] = [
        (&["-o", "there.json"], "--force overwrites it"),
        (&["-o", "no/such/folder/x.json"], "no/such/folder"),
        (&["-o", "."], "siskin: "),
        (&[model, "-o", model, "--force"], "siskin: "),
        (&["none.gguf"], "none.gguf"),
    ];
    for (args, want) in cases {
        let line = fail(
            &mut report(out.path(), &[args, &["--seconds", "3600"]].concat()),
            1,
        );
        assert!(
            line.starts_with("siskin: ") && line.contains(want),
            "{args:?}: {line}"
        );
    }
    assert_eq!(
        std::fs::read_to_string(out.path().join("there.json")).expect("there"),
        "mine"
    );
    for args in [["--seconds", "0"], ["--seconds", "3601"]] {
        fail(&mut report(out.path(), &args), 2);
    }
}

/// Ctrl-C while it measures ends it and its workers, and leaves nothing.
#[test]
fn ctrl_c_leaves_no_report() {
    use rustix::process::{Pid, Signal, kill_process};
    let out = tempfile::tempdir().expect("a temporary folder");
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let mut command = siskin_that_hears_signals(["report", "--seconds", "3600"]);
        command
            .current_dir(out.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let child = command.spawn().expect("started");
        let id = child.id();
        let children =
            || std::fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap_or_default();
        let begun = std::time::Instant::now();
        while children().is_empty() && begun.elapsed().as_secs() < 60 {
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        kill_process(Pid::from_child(&child), signal).expect("sent");
        let output = child.wait_with_output().expect("ended");
        let stderr = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{stderr}");
        assert!(
            stderr.ends_with("siskin: interrupted; nothing was written\n"),
            "{stderr}"
        );
        assert!(output.stdout.is_empty() && children().is_empty());
        assert_eq!(files(out.path()), Vec::<String>::new());
    }
}
