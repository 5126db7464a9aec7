//! What siskin reports about machines, whether models fit, and where settings come from.

use std::path::{Path, PathBuf};

use serde_json::Value as Json;

use crate::util::{checkpoint, convert, fail, siskin, siskin_that_hears_signals, succeed};

fn json(output: &std::process::Output) -> Json {
    serde_json::from_slice(&output.stdout).expect("one JSON object")
}

fn stderr(output: &std::process::Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data/devices")
        .join(name)
}

/// A config.json with the shape of Llama-3.2-1B.
const CONFIG: &str = r#"{"architectures":["LlamaForCausalLM"],"hidden_size":2048,"intermediate_size":8192,
    "num_hidden_layers":16,"num_attention_heads":32,"num_key_value_heads":8,"head_dim":64,"vocab_size":128256,
    "max_position_embeddings":131072,"tie_word_embeddings":true}"#;

#[test]
fn devices_and_their_profiles() {
    let cases = [
        ("raspberry-pi-5", "raspberry-pi-5", "Cortex-A76"),
        (
            "raspberry-pi-4",
            "raspberry-pi-4",
            "82.1 °C (cpu-thermal); now: frequency capped, throttled",
        ),
        ("rk3588", "rk3588", "8 CPUs (4 performance cores"),
        ("x86-laptop", "x86-64-v3", "throttled 3 times since boot"),
        (
            "container",
            "x86-64-v3",
            "668 MiB usable of 31.3 GiB, cgroup /sys/fs/cgroup limited to 768 MiB",
        ),
    ];
    for (name, profile, line) in cases {
        let root = fixture(name);
        let output = succeed(siskin(["device", "--root"]).arg(&root));
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            text.contains(&format!("profile   {profile} ")) && text.contains(line),
            "{name}: {text}"
        );
        let device = json(&succeed(siskin(["device", "--json", "--root"]).arg(&root)));
        assert_eq!(device["profile"]["name"], profile);
        assert!(
            device["machine"]["ram"]["usable_bytes"]
                .as_u64()
                .expect("a number")
                > 0
        );
    }
}

#[test]
fn unreadable_entries_are_reported_and_do_not_stop() {
    let root = tempfile::tempdir().expect("a folder");
    std::fs::create_dir_all(root.path().join("proc/meminfo")).expect("made");
    let output = succeed(siskin(["device", "--root"]).arg(root.path()));
    assert!(stderr(&output).contains("/proc/meminfo: "), "{}", stderr(&output));
}

#[test]
fn a_users_profile_wins_and_a_wrong_one_is_named_and_passed_over() {
    let config = tempfile::tempdir().expect("a folder");
    let folder = config.path().join("siskin/targets");
    std::fs::create_dir_all(&folder).expect("made");
    let text = std::fs::read_to_string(fixture("../../../targets/raspberry-pi-5.toml")).expect("the profile");
    let write = |text: &str| std::fs::write(folder.join("raspberry-pi-5.toml"), text).expect("written");
    let command = || {
        let mut command = siskin(["device", "--json", "--root"]);
        command
            .arg(fixture("raspberry-pi-5"))
            .env("XDG_CONFIG_HOME", config.path());
        command
    };
    write(&text.replace("threads = 2", "threads = 3"));
    let device = json(&succeed(&mut command()));
    assert_eq!(
        (&device["profile"]["user"], &device["profile"]["run"]["threads"]),
        (&true.into(), &3.into())
    );
    write(&text.replace("threads = 2", "threads = 0"));
    let output = succeed(&mut command());
    let line = stderr(&output);
    assert_eq!(
        json(&output)["profile"]["user"],
        false,
        "the user's is passed over"
    );
    let at = 1 + text
        .lines()
        .position(|line| line.starts_with("threads = 2"))
        .expect("there");
    assert!(
        line.contains(&format!("raspberry-pi-5.toml:{at}: ")) && line.contains("a number from 1"),
        "{line}"
    );
}

#[test]
fn fit_plans_before_any_download() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("config.json");
    std::fs::write(&config, CONFIG).expect("written");
    let fit = |arguments: &[&str]| {
        let mut command = siskin(["fit"]);
        command.arg(&config).args(arguments);
        command
    };
    let report = json(&succeed(&mut fit(&["--device", "raspberry-pi-5", "--json"])));
    let plan = &report["plan"];
    assert_eq!(
        (&report["file_type"], &plan["settings"]["context"]),
        (&"q4_k_m".into(), &4096.into())
    );
    let total: u64 = plan["items"]
        .as_array()
        .expect("items")
        .iter()
        .filter_map(|item| item["bytes"].as_u64())
        .sum();
    assert_eq!(Some(total), plan["total_bytes"].as_u64());
    // A folder is accepted in place of its config.json.
    let text = succeed(siskin(["fit", "--device", "raspberry-pi-5"]).arg(folder.path())).stdout;
    let text = String::from_utf8_lossy(&text);
    assert!(
        ["KV cache", "peak RSS", "ctx-size"]
            .iter()
            .all(|word| text.contains(word)),
        "{text}"
    );
    let refused = fail(
        &mut fit(&["--device", "raspberry-pi-5", "--type", "f16", "-c", "32768"]),
        1,
    );
    assert!(
        refused.contains("would fit") && !refused.contains("--force"),
        "{refused}"
    );
    let too_small = fail(&mut fit(&["--ram", "300MiB"]), 1);
    assert!(too_small.contains("usable"), "{too_small}");
}

#[test]
fn impossible_requests_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("config.json");
    std::fs::write(&config, CONFIG).expect("written");
    let config = config.to_str().expect("a path");
    let cases: [(&[&str], i32, &str); 5] = [
        (
            &["fit", config, "--device", "pi"],
            1,
            "no such profile; known: aarch64-generic, ",
        ),
        (&["fit", "/nonexistent.gguf"], 1, "no such file"),
        (&["run", "-c", "1000000000"], 1, "-c "),
        (
            &["run", "--no-mmap", "-c", "1000000000"],
            1,
            "with --force the system swaps, or ends the program",
        ),
        (&["tune", "/nonexistent.gguf"], 1, "/nonexistent.gguf"),
    ];
    for (arguments, code, want) in cases {
        // tune looks first whether it could keep what it finds.
        let line = fail(siskin(arguments).env("XDG_STATE_HOME", folder.path()), code);
        assert!(line.contains(want), "{arguments:?}: {line}");
    }
    for wrong in [
        ["fit", config, "--ram", "much"],
        ["run", "-n1", "--favor", "speed"],
        ["run", "-n1", "--cache-type", "q9"],
    ] {
        let output = siskin(wrong).output().expect("it starts");
        assert_eq!(output.status.code(), Some(2), "{wrong:?}");
        assert!(
            stderr(&output).contains("; possible: ") || stderr(&output).contains("write e.g."),
            "{}",
            stderr(&output)
        );
    }
}

#[test]
fn more_threads_than_cpus_are_said() {
    let output = succeed(&mut siskin(["run", "-n", "1", "--threads", "512", "--explain"]));
    assert!(
        stderr(&output).contains("--threads 512 is more than the "),
        "{}",
        stderr(&output)
    );
}

#[test]
fn explain_says_where_each_setting_came_from() {
    let output = succeed(&mut siskin([
        "run",
        "-n",
        "1",
        "--explain",
        "--ubatch",
        "64",
        "--no-mmap",
    ]));
    let text = stderr(&output);
    for want in [
        "ubatch-size   64       flag",
        "mmap          off      flag",
        "threads  ",
        "peak RSS",
    ] {
        assert!(text.contains(want), "{want}: {text}");
    }
    assert!(
        text.lines()
            .any(|line| line.starts_with("repack ") && !line.contains(" flag ")),
        "{text}"
    );
}

#[test]
fn settings_change_memory_and_speed_but_not_the_text() {
    let text = |flags: &[&str]| {
        let arguments = [
            "run",
            "-n",
            "24",
            "--temp",
            "0",
            "-p",
            "Once upon a time there was a little girl",
        ];
        String::from_utf8(succeed(siskin(arguments).args(flags)).stdout).expect("a text")
    };
    let plain = text(&[]);
    for flags in [
        &["--no-mmap"][..],
        &["--ubatch", "4"],
        &["--favor", "memory"],
        &["--favor", "decode"],
        &["--mlock"],
        &["-t", "1"],
    ] {
        assert_eq!(text(flags), plain, "{flags:?}");
    }
}

#[test]
fn quantized_keys_and_values() {
    let folder = tempfile::tempdir().expect("a folder");
    let model = convert(&checkpoint("llama-spm"), folder.path(), "f16");
    for cache_type in ["f16", "q8_0", "q4_0"] {
        let command = &mut siskin([
            "run",
            "-n",
            "8",
            "--temp",
            "0",
            "-p",
            "The",
            "--cache-type",
            cache_type,
        ]);
        let output = command.arg(&model).output().expect("it starts");
        // If a head has fewer than 32 numbers, it holds no whole block, and the program must report that.
        assert!(
            output.status.success() || stderr(&output).contains("context"),
            "{cache_type}: {}",
            stderr(&output)
        );
    }
}

#[test]
fn tune_keeps_what_run_then_uses_and_a_damaged_file_is_ignored() {
    let state = tempfile::tempdir().expect("a folder");
    let with_state = |arguments: &[&str]| {
        let mut command = siskin(arguments);
        command.env("XDG_STATE_HOME", state.path());
        command
    };
    // Other tests use the CPUs meanwhile: what is measured now is noise, kept by force.
    let report = json(&succeed(&mut with_state(&[
        "tune", "--quick", "--json", "--force",
    ])));
    assert_eq!(report["kept"], true);
    assert!(report["after"]["decode"].as_f64().expect("a number") > 0.0);
    let rows = report["measurements"].as_array().expect("measurements");
    for setting in [
        "weights",
        "threads",
        "threads-batch",
        "ubatch-size",
        "flash-attn",
        "wait-policy",
        "cache-type",
        "all",
    ] {
        assert!(rows.iter().any(|row| row["setting"] == setting), "{setting}");
    }
    let costs = report["tuned"]["pass_costs"].as_array().expect("costs");
    let lengths: Vec<u64> = costs.iter().filter_map(|cost| cost["tokens"].as_u64()).collect();
    assert_eq!(lengths, [1, 2, 3, 4, 5, 6, 7, 8]);
    assert!(
        costs
            .iter()
            .all(|cost| cost["relative_time"].as_f64() > Some(0.0)),
        "{costs:?}"
    );
    let explained = stderr(&succeed(&mut with_state(&["run", "-n", "1", "--explain"])));
    let tuned = report["tuned"]["threads"].to_string();
    assert!(
        explained
            .lines()
            .any(|line| line.starts_with(&format!("threads       {tuned:<9}tuned"))),
        "{explained}"
    );
    let kept = std::fs::read(state.path().join("siskin/tuned.json")).expect("kept");
    std::fs::write(state.path().join("siskin/tuned.json"), "{").expect("written");
    let damaged = stderr(&succeed(&mut with_state(&["run", "-n", "1", "--explain"])));
    assert!(
        damaged.contains("tuned.json: ignored") && !damaged.contains(" tuned "),
        "{damaged}"
    );
    std::fs::write(state.path().join("siskin/tuned.json"), kept).expect("written");
    let forget = |want: &str| {
        let output = succeed(&mut with_state(&["tune", "--forget"]));
        let text = String::from_utf8(output.stdout).expect("UTF-8");
        assert!(text.starts_with(want), "{text}");
    };
    forget("removed the settings of this model in ");
    let explained = stderr(&succeed(&mut with_state(&["run", "-n", "1", "--explain"])));
    assert!(!explained.contains(" tuned "), "{explained}");
    forget("no settings of this model were saved in ");
}

#[test]
fn tune_looks_for_a_place_to_keep_results_before_it_measures() {
    let begun = std::time::Instant::now();
    let mut command = siskin(["tune", "--full"]);
    // A folder cannot be made in a file.
    let line = fail(command.env("XDG_STATE_HOME", "/dev/null"), 1);
    assert!(line.contains("/dev/null/siskin"), "{line}");
    assert!(begun.elapsed().as_secs() < 10);
}

/// A home that cannot be written is no reason to refuse: it is said before anything is measured.
#[test]
fn tune_without_a_home_says_so_and_begins() {
    use rustix::process::{Pid, Signal, kill_process};
    use std::io::BufRead;
    let mut command = siskin_that_hears_signals(["tune", "--full", "--force"]);
    command.env_remove("XDG_STATE_HOME").env("HOME", "/dev/null");
    let mut child = command
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("started");
    let lines = std::io::BufReader::new(child.stderr.take().expect("a pipe")).lines();
    let mut lines = lines.map(|line| line.expect("UTF-8"));
    let mut seen = String::new();
    for line in &mut lines {
        seen += &(line + "\n");
        if seen.contains("this takes ") {
            break;
        }
    }
    let warned = seen.find("/dev/null/.local/state/siskin").expect("a warning");
    assert!(warned < seen.find("this takes ").expect("an estimate"), "{seen}");
    assert!(seen.contains("printed but not saved"), "{seen}");
    kill_process(Pid::from_child(&child), Signal::TERM).expect("sent");
    assert_eq!(child.wait().expect("ended").code(), Some(143));
}

/// The worker dies of the same Ctrl-C, perhaps first; SIGTERM reaches this program only.
#[test]
fn tune_ends_with_the_signal_s_exit_code_and_keeps_nothing() {
    use rustix::process::{Pid, Signal, kill_process, kill_process_group};
    use std::os::unix::process::CommandExt;
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let state = tempfile::tempdir().expect("a folder");
        let mut command = siskin_that_hears_signals(["tune", "--full", "--force"]);
        command.env("XDG_STATE_HOME", state.path()).process_group(0);
        let child = command
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped());
        let child = child.spawn().expect("started");
        std::thread::sleep(std::time::Duration::from_secs(2));
        let pid = Pid::from_child(&child);
        let sent = if signal == Signal::INT {
            kill_process_group(pid, signal)
        } else {
            kill_process(pid, signal)
        };
        sent.expect("sent");
        let output = child.wait_with_output().expect("ended");
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{text}");
        assert!(text.contains("interrupted; nothing was saved"), "{text}");
        assert!(
            !text.contains("signal 2;") && !text.contains("signal 15;"),
            "{text}"
        );
        assert!(!state.path().join("siskin/tuned.json").exists());
    }
}

/// Compares the predicted peak with the measured one for tiny models. Their weights are small compared with
/// the program, so the tolerance is absolute. Between machines and runs, 6 MiB is the difference made by the
/// heaps of threads and by the program's code pages, which the kernel maps in runs of 64 KiB when they are
/// first used. On full-size models that is 1 %.
#[test]
fn the_predicted_peak_is_the_measured_one() {
    let folder = tempfile::tempdir().expect("a folder");
    for name in ["llama-spm", "stablelm-bpe", "gptneox-bpe"] {
        let model = convert(&checkpoint(name), folder.path(), "f16");
        for context in ["256", "1024", "2048"] {
            let plan = json(&succeed(siskin(["fit", "--json", "-c", context]).arg(&model)));
            let predicted = plan["plan"]["total_bytes"].as_u64().expect("a number") as f64;
            let run = siskin(["run", "-n", "4", "--json", "-p", "The king", "-c", context])
                .arg(&model)
                .output()
                .expect("it starts");
            let measured = json(&run)["stats"]["peak_rss_bytes"].as_f64().expect("a number");
            let difference = (predicted - measured) / f64::from(1 << 20);
            assert!(
                difference.abs() < 6.0,
                "{name} at {context}: predicted {predicted}, measured {measured}: {difference:+.1} MiB"
            );
        }
    }
}
