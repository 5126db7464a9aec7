//! `siskin bench` end to end: what it measures, writes and refuses.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value as Json;

use crate::util::{checkpoint, convert, fail, siskin, siskin_that_hears_signals, succeed};

/// Flags for a bench of a second or two, unless a test sets them.
const QUICK: [[&str; 2]; 4] = [["-p", "16"], ["-n", "8"], ["-r", "1"], ["-t", "1"]];

fn bench(args: &[&str]) -> Command {
    let asked = QUICK.iter().filter(|flag| !args.contains(&flag[0])).flatten();
    siskin(["bench"].iter().chain(asked).chain(args))
}

fn json(command: &mut Command) -> Json {
    serde_json::from_slice(&succeed(command).stdout).expect("JSON")
}

fn number(json: &Json, pointer: &str) -> f64 {
    json.pointer(pointer)
        .and_then(Json::as_f64)
        .unwrap_or_else(|| panic!("{pointer}: {json:#}"))
}

#[test]
fn the_embedded_model_is_measured_in_seconds() {
    let results = json(&mut bench(&["-d", "0,32", "-r", "3", "-o", "json"]));
    let names: Vec<&str> = (0..4)
        .filter_map(|run| results["runs"][run]["test"]["kind"].as_str())
        .collect();
    assert_eq!(names, ["prefill", "decode", "prefill", "decode"]);
    for (run, depth) in [(0, 0.0), (1, 0.0), (2, 32.0), (3, 32.0)] {
        let at = |field: &str| number(&results, &format!("/runs/{run}/{field}"));
        assert_eq!((at("threads"), at("test/depth_tokens")), (1.0, depth));
        assert!(at("tokens_per_second/median") > 0.0);
        assert_eq!(
            results["runs"][run]["tokens_per_second"]["samples"]
                .as_array()
                .map(Vec::len),
            Some(3)
        );
        assert!(at("kv_bytes") > 0.0);
    }
    for field in [
        "token_latency/p50_seconds",
        "token_latency/p99_seconds",
        "bytes_read_per_token",
        "read_bandwidth_share",
    ] {
        assert!(number(&results, &format!("/runs/1/{field}")) > 0.0, "{field}");
    }
    assert!(number(&results, "/runs/0/time_to_first_token_seconds/median") > 0.0);
    assert!(
        number(&results, "/loads/0/load_seconds/median")
            <= number(&results, "/loads/0/first_token_seconds/median")
    );
    assert!(number(&results, "/read_bandwidths/0/bytes_per_second/median") > 1e8);
    let origins = results["runs"][0]["settings"]
        .as_array()
        .expect("settings")
        .iter();
    let origins: Vec<(&str, &str)> = origins
        .filter_map(|setting| Some((setting["name"].as_str()?, setting["origin"].as_str()?)))
        .collect();
    assert!(origins.contains(&("threads", "flag")), "{origins:?}");
    let chosen = |&(name, origin): &(&str, &str)| name == "repack" && origin != "flag";
    assert!(origins.iter().any(chosen), "{origins:?}");
}

#[test]
fn every_format_and_a_terminal_of_40_columns() {
    let text = |format: &str| {
        let output = succeed(bench(&["-o", format]).env("COLUMNS", "40"));
        String::from_utf8(output.stdout).expect("UTF-8")
    };
    let table = text("table");
    let too_wide: Vec<&str> = table.lines().filter(|line| line.chars().count() > 40).collect();
    assert!(table.contains("tokens/s") && too_wide.is_empty(), "{too_wide:#?}");
    assert!(
        text("jsonl")
            .lines()
            .all(|line| serde_json::from_str::<Json>(line).is_ok_and(|run| run["schema_version"] == 1))
    );
    assert!(text("csv").starts_with("date_utc,siskin_version,") && text("csv").lines().count() == 3);
    assert!(text("md").contains("| model | test | thr | tokens/s |"));
    if cfg!(feature = "html") {
        assert!(text("html").starts_with("<!DOCTYPE html>"));
    }
}

/// The parts of the resident memory that a bench reports add up to no more than the peak (with 5 % of
/// tolerance), and a longer context adds the size of its KV cache.
#[test]
fn resident_memory_is_what_proc_says() {
    let results = json(&mut bench(&["-o", "json"]));
    let at = |field: &str| number(&results, &format!("/runs/0/memory/{field}"));
    let (peak, anonymous, file) = (at("peak_rss_bytes"), at("anonymous_bytes"), at("file_bytes"));
    assert!(
        anonymous > 0.0 && file > 0.0 && anonymous + file <= 1.05 * peak,
        "{peak} {anonymous} {file}"
    );
    // A longer context adds its cache, but no memory of another process.
    let longer = json(&mut bench(&["-o", "json", "-c", "4096"]));
    let grown = number(&longer, "/runs/0/memory/anonymous_bytes") - anonymous;
    let cache = number(&longer, "/runs/0/kv_bytes") - number(&results, "/runs/0/kv_bytes");
    assert!(
        cache > 4e6 && (grown - cache).abs() < 0.2 * cache,
        "the cache grew by {cache}, memory by {grown}"
    );
}

#[test]
fn a_model_takes_its_own_size_and_no_other_model_s() {
    let out = tempfile::tempdir().expect("a temporary folder");
    let small = convert(&checkpoint("stablelm-bpe"), out.path(), "q8_0");
    let large = convert(&checkpoint("stablelm-bpe"), out.path(), "f32");
    let bytes = |path: &Path| std::fs::metadata(path).expect("a file").len() as f64;
    // A busy kernel may reclaim mapped pages at any time, even between loading and measuring: one run of
    // three must pass.
    let mut seen = Vec::new();
    let results = (0..3).find_map(|_| {
        let results = json(bench(&["-o", "json"]).args([&small, &large]));
        assert_eq!(results["runs"].as_array().map(Vec::len), Some(4));
        let file_part = |run: usize| number(&results, &format!("/runs/{run}/memory/file_bytes"));
        seen.push((file_part(2) - file_part(0)) / (bytes(&large) - bytes(&small)));
        // Only the rows of the embedding that were looked up are resident.
        seen.last()
            .is_some_and(|share| (0.5..1.05).contains(share))
            .then_some(results)
    });
    let results =
        results.unwrap_or_else(|| panic!("mapped, as shares of what the files differ by: {seen:?}"));
    let sum = Command::new("sha256sum").arg(&small).output().expect("coreutils");
    let sum = String::from_utf8_lossy(&sum.stdout).into_owned();
    assert_eq!(
        results["runs"][0]["model"]["sha256"].as_str(),
        sum.split(' ').next()
    );
}

#[test]
fn comparisons_and_the_exit_code_of_a_slow_run() {
    let out = tempfile::tempdir().expect("a temporary folder");
    let write = |name: &str, json: &Json| {
        let path = out.path().join(name);
        std::fs::write(&path, json.to_string()).expect("written");
        path.display().to_string()
    };
    let before = json(&mut bench(&["-r", "3", "-o", "json"]));
    let scaled = |factor: f64| {
        let mut scaled = before.clone();
        for run in scaled["runs"].as_array_mut().expect("runs") {
            for sample in run["tokens_per_second"]["samples"]
                .as_array_mut()
                .expect("samples")
            {
                *sample = (sample.as_f64().expect("a number") * factor).into();
            }
        }
        scaled
    };
    let (slow, fast) = (
        write("slow.json", &scaled(1e-3)),
        write("fast.json", &scaled(1e3)),
    );
    let good = json(&mut bench(&[
        "-o",
        "json",
        "-r",
        "3",
        "--compare",
        &slow,
        "--fail-below",
        "0.95",
    ]));
    assert!(number(&good, "/comparisons/0/rows/0/speed/ratio") > 100.0);
    assert!(
        number(&good, "/comparisons/0/rows/0/speed/low")
            <= number(&good, "/comparisons/0/rows/0/speed/ratio")
    );
    let output = bench(&["--compare", &fast, "--fail-below", "0.95"])
        .output()
        .expect("started");
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(3), "{stderr}");
    assert!(
        stderr.contains("pp16 is 0.00") && stderr.contains("below 0.95"),
        "{stderr}"
    );

    let mut other = before.clone();
    other["machine"]["cpu"] = "Cortex-A76".into();
    let other = write("other.json", &other);
    let line = fail(&mut bench(&["--compare", &other]), 1);
    assert!(
        line.contains("measured on another machine") && line.contains("Cortex-A76"),
        "{line}"
    );
    succeed(&mut bench(&["--compare", &other, "--any-machine"]));
    let mut newer = before.clone();
    newer["schema_version"] = 99.into();
    let line = fail(&mut bench(&["--compare", &write("newer.json", &newer)]), 1);
    assert!(
        line.contains("newer.json: its results have schema 99, and this version reads 1"),
        "{line}"
    );
    let line = fail(&mut bench(&["-p", "24", "-n", "0", "--compare", &slow]), 1);
    assert!(line.contains("none of its runs"), "{line}");
}

const PEER: &str = r#"{"build_commit":"abc","model_filename":"m.gguf","model_type":"llama 260K Q8_0","model_size":1000,
    "model_n_params":1000,"n_threads":1,"n_prompt":16,"n_gen":0,"n_depth":0,"samples_ts":[100.0,101.0,102.0]}"#;

#[test]
fn imported_results_stand_in_one_table() {
    let out = tempfile::tempdir().expect("a temporary folder");
    let path = |name: &str| out.path().join(name).display().to_string();
    std::fs::write(path("peer.json"), format!("[{PEER}]")).expect("written");
    std::fs::write(path("ours.json"), succeed(&mut bench(&["-o", "json"])).stdout).expect("written");
    let both = ["--import", &path("peer.json"), "--import", &path("ours.json")];
    let shown = String::from_utf8(succeed(siskin(["bench", "-o", "csv"]).args(both)).stdout).expect("UTF-8");
    let tools: Vec<&str> = shown
        .lines()
        .skip(1)
        .filter_map(|line| {
            line.split(',')
                .find(|cell| ["siskin", "llama-bench"].contains(cell))
        })
        .collect();
    assert_eq!(tools, ["siskin", "siskin", "llama-bench"], "{shown}");
    let marked = |text: &str| text.lines().filter(|line| line.contains("json")).count();
    assert_eq!(
        marked(&shown),
        1,
        "only the peer's row was imported into siskin's: {shown}"
    );
    let model = convert(&checkpoint("llama-spm"), out.path(), "q8_0");
    let measured = succeed(bench(&["-o", "csv"]).arg(&model).args(both));
    let measured = String::from_utf8(measured.stdout).expect("UTF-8");
    assert_eq!(
        (measured.lines().count(), marked(&measured)),
        (6, 3),
        "{measured}"
    );
    let alone = succeed(&mut siskin(["bench", "-o", "md", "--import", &path("peer.json")]));
    assert!(String::from_utf8_lossy(&alone.stdout).contains("llama-bench"));
}

/// A script that prints what llama-bench prints takes a turn in every round.
#[test]
fn a_peer_takes_turns() {
    use std::os::unix::fs::PermissionsExt;
    let out = tempfile::tempdir().expect("a temporary folder");
    let model = convert(&checkpoint("llama-spm"), out.path(), "q8_0");
    let (program, log) = (out.path().join("llama-bench"), out.path().join("log"));
    let decode = PEER.replace(r#""n_prompt":16,"n_gen":0"#, r#""n_prompt":0,"n_gen":8"#);
    let script = format!(
        "#!/bin/sh\necho \"$@\" >> {}\ncat <<'END'\n[{PEER},{decode}]\nEND\n",
        log.display()
    );
    std::fs::write(&program, script).expect("written");
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).expect("executable");
    let results = json(
        bench(&["-o", "json", "-r", "3"])
            .arg(&model)
            .arg("--peer")
            .arg(&program),
    );
    let calls = std::fs::read_to_string(&log).expect("a log");
    assert_eq!(calls.lines().count(), 3, "{calls}");
    assert!(calls.contains("-r 1 -o json -p 16 -n 8 -t 1"), "{calls}");
    let rows = results["comparisons"][0]["rows"].as_array().expect("rows");
    assert_eq!(rows.len(), 2);
    assert!(rows.iter().all(|row| row["speed"]["paired"] == true), "{rows:?}");
    let line = fail(bench(&[]).arg(&model).args(["--peer", "/no/such/llama-bench"]), 1);
    assert!(line.contains("/no/such/llama-bench: cannot be started"), "{line}");
}

#[test]
fn what_cannot_be_measured_is_refused_in_one_line() {
    let out = tempfile::tempdir().expect("a temporary folder");
    let file = |name: &str, bytes: &[u8]| -> PathBuf {
        let path = out.path().join(name);
        std::fs::write(&path, bytes).expect("written");
        path
    };
    let (junk, text) = (file("junk.gguf", b"GGUF"), file("text.json", b"prose"));
    let [junk, text] = [&junk, &text].map(|path| path.display().to_string());
    let cases: [(&[&str], &str); 7] = [
        (&["/no/such/model.gguf"], "/no/such/model.gguf: No such file"),
        (&[&junk], "junk.gguf"),
        (&["-p", "0", "-n", "0"], "nothing to measure"),
        (
            &["-d", "100000"],
            "storyteller: 16 tokens at depth 100000 need a context of 100016, but the model was trained for ",
        ),
        (&["-c", "8"], "need a context of 16, but the context has 8"),
        (
            &["--import", &text],
            "text.json: not the JSON of llama-bench or siskin bench",
        ),
        (
            &["--compare", &text],
            "text.json: not results of a benchmark in JSON",
        ),
    ];
    for (args, want) in cases {
        let line = fail(&mut bench(args), 1);
        assert!(
            line.starts_with("siskin: ") && line.contains(want),
            "{args:?}: {line}"
        );
    }
    let mistakes: [&[&str]; 6] = [
        &["-r", "0"],
        &["-t", "0"],
        &["-o", "xml"],
        &["--fail-below", "0.9"],
        &["--fail-below", "-1", "--import", &text],
        &["--peer", "llama-bench"],
    ];
    for args in mistakes {
        let output = bench(args).output().expect("started");
        assert_eq!(output.status.code(), Some(2), "{args:?}");
    }
}

/// An architecture that siskin does not check is refused, and can be measured all the same.
#[test]
fn an_unknown_architecture_is_measured_if_asked_for() {
    let out = tempfile::tempdir().expect("a temporary folder");
    let model = convert(&checkpoint("llama-spm"), out.path(), "q8_0");
    let mut bytes = std::fs::read(&model).expect("a file");
    // Another name of the same length, in general.architecture and as the prefix of its keys.
    let names = |at: &usize| {
        bytes[*at..].starts_with(b"llama.")
            || bytes[..*at].ends_with(b"architecture\x08\0\0\0\x05\0\0\0\0\0\0\0")
    };
    let positions: Vec<usize> = (0..bytes.len() - 5).filter(names).collect();
    assert!(positions.len() > 5, "{positions:?}");
    positions
        .into_iter()
        .for_each(|at| bytes[at..at + 5].copy_from_slice(b"qwen2"));
    std::fs::write(&model, bytes).expect("written");
    let line = fail(bench(&[]).arg(&model), 1);
    assert!(line.contains("qwen2"), "{line}");
    let results = json(bench(&["--any-arch", "-o", "json"]).arg(&model));
    assert_eq!(results["runs"][0]["model"]["architecture"], "qwen2");
}

#[test]
fn a_cold_load_reads_from_storage_or_says_that_it_could_not() {
    let out = tempfile::tempdir().expect("a temporary folder");
    let model = convert(&checkpoint("llama-spm"), out.path(), "q8_0");
    let results = json(bench(&["-o", "json", "--cold"]).arg(&model));
    let load = &results["loads"][0];
    assert_eq!(load["cold"], true);
    let read = load["storage_read_bytes"].as_f64().expect("Linux tells");
    let noted = results["notes"].to_string().contains("not loaded cold");
    assert!(
        noted || read > 0.5 * number(load, "/model/file_bytes"),
        "{results:#}"
    );
}

/// Renders the page in Chromium and checks that there is something to see in place of the pictures.
#[cfg(feature = "html")]
#[test]
fn the_page_shows_its_pictures_in_a_browser() {
    let Some(browser) = ["chromium", "chromium-browser", "google-chrome"]
        .into_iter()
        .find(|name| {
            Command::new(name)
                .arg("--version")
                .output()
                .is_ok_and(|output| output.status.success())
        })
    else {
        siskin_testing::skip("no Chromium (apt-get install chromium)");
        return;
    };
    let out = tempfile::tempdir().expect("a temporary folder");
    let (page, shot) = (out.path().join("page.html"), out.path().join("page.png"));
    std::fs::write(
        &page,
        succeed(&mut bench(&["-d", "0,32,64", "-o", "html"])).stdout,
    )
    .expect("written");
    let profile = out.path().join("profile");
    let mut command = Command::new(browser);
    command.args([
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--hide-scrollbars",
        "--window-size=1200,1600",
    ]);
    command
        .arg(format!("--user-data-dir={}", profile.display()))
        .arg(format!("--screenshot={}", shot.display()));
    let output = command
        .arg(format!("file://{}", page.display()))
        .output()
        .expect("started");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    if let Some(keep) = std::env::var_os("SISKIN_KEEP_SCREENSHOT") {
        std::fs::copy(&shot, keep).expect("copied");
    }
    let decoder = png::Decoder::new(std::io::BufReader::new(
        std::fs::File::open(&shot).expect("a screenshot"),
    ));
    let mut image = decoder.read_info().expect("a PNG");
    let mut pixels = vec![0; image.output_buffer_size().expect("a size")];
    let frame = image.next_frame(&mut pixels).expect("pixels");
    assert_eq!((frame.width, frame.height), (1200, 1600));
    let step = frame.line_size / frame.width as usize;
    // The colour of the first model: every picture has a line and marks in it.
    let is_first = |pixel: &[u8]| pixel[..3] == [0x00, 0x72, 0xb2];
    let coloured = pixels[..frame.buffer_size()]
        .chunks(step)
        .filter(|pixel| is_first(pixel))
        .count();
    assert!(coloured > 1000, "{coloured} pixels of the first model's colour");
}

/// Ctrl-C in a terminal reaches the workers too, perhaps before it reaches the program that waits for their answer.
#[test]
fn ctrl_c_ends_it_and_its_workers() {
    use rustix::process::{Pid, Signal, kill_process, kill_process_group};
    use std::os::unix::process::CommandExt;
    for to_all in [false, true, true, true] {
        let mut command =
            siskin_that_hears_signals(["bench", "-p", "16", "-n", "8", "-r", "100000", "-t", "1"]);
        let child = command
            .process_group(0)
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped());
        let child = child.spawn().expect("started");
        let id = child.id();
        let children =
            || std::fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap_or_default();
        let begun = std::time::Instant::now();
        while children().is_empty() && begun.elapsed().as_secs() < 60 {
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        let pid = Pid::from_child(&child);
        let kill = if to_all { kill_process_group } else { kill_process };
        kill(pid, Signal::INT).expect("sent");
        let output = child.wait_with_output().expect("ended");
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!((output.status.code(), stderr.as_str()), (Some(130), ""));
        assert!(output.stdout.is_empty() && children().is_empty());
    }
}
