//! Compares every format of one fixed result with snapshots that were reviewed by hand (`cargo insta review`,
//! or `INSTA_UPDATE=always`, then look at the diff).

use super::*;
use crate::result::*;
use crate::stats::{Summary, paired_ratio};

fn summary(samples: &[f64]) -> Summary {
    Summary::from_samples(samples.to_vec()).expect("samples")
}

fn run(tool: Tool, kind: Kind, tokens: u32, depth_tokens: u32, speeds: &[f64]) -> Run {
    let model = Model {
        name: "tiny|<llama>".into(),
        architecture: "llama".into(),
        file_type: "q4_k_m".into(),
        sha256: Some("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad".into()),
        file_bytes: 667_811_072,
        parameters: 1_100_048_384,
        bits_per_weight: 4.856,
        training_context_tokens: Some(2048),
    };
    let settings = vec![
        Setting {
            name: "threads".into(),
            value: "2".into(),
            origin: "flag".into(),
        },
        Setting {
            name: "repack".into(),
            value: "off".into(),
            origin: "default".into(),
        },
    ];
    let decode = kind == Kind::Decode;
    let pass = kind.is_pass().then(|| {
        let seconds: Vec<f64> = speeds.iter().map(|speed| f64::from(tokens) / speed).collect();
        let one: Vec<f64> = [20.0, 20.1, 19.9].map(|speed| 1.0 / speed).to_vec();
        Pass {
            relative_time: paired_ratio(&seconds, &one),
            seconds: summary(&seconds),
        }
    });
    let ours = tool == Tool::Siskin;
    let latency = Latency {
        p50_seconds: 0.055,
        p95_seconds: 0.061,
        p99_seconds: 0.072,
        max_seconds: 0.08,
        samples_microseconds: vec![54_000, 55_000, 55_500, 61_000, 80_000],
    };
    Run {
        settings: if ours { settings } else { vec![] },
        kernels: ours.then(|| "siskin".into()),
        context_tokens: ours.then_some(depth_tokens + 128),
        sequences: (kind == Kind::Parallel).then_some(4),
        pass,
        tokens_per_second: summary(speeds),
        time_to_first_token_seconds: (ours && kind == Kind::Prefill).then(|| summary(&[1.1, 1.12, 1.15])),
        token_latency: (ours && decode).then_some(latency),
        memory: Some(MemoryUse {
            peak_rss_bytes: (if ours { 720 << 20 } else { 1151 << 20 }) + u64::from(depth_tokens) * 22528,
            anonymous_bytes: ours.then_some(60 << 20),
            file_bytes: ours.then_some(645 << 20),
        }),
        kv_bytes: ours.then_some(22528 * 256),
        bytes_read_per_token: (ours && decode).then_some(636_000_000),
        read_bandwidth_share: (ours && decode).then_some(0.46),
        energy: (ours && decode).then(|| Energy {
            source: "RAPL package".into(),
            joules_per_token: summary(&[0.5, 0.52, 0.51]),
        }),
        heat: ours.then_some(Heat {
            before_celsius: Some(51.0),
            after_celsius: Some(67.5),
            before_hertz: Some(2.4e9),
            after_hertz: Some(2.4e9),
            throttled: Some(false),
        }),
        ..Run::bare(
            tool,
            model,
            2,
            Test {
                kind,
                tokens,
                depth_tokens,
            },
        )
    }
}

fn sustained() -> Sustained {
    let moment = |seconds: f64, tokens_per_second, celsius| Moment {
        seconds,
        tokens_per_second,
        celsius: Some(celsius),
        hertz: Some(2.4e9),
        throttled: Some(celsius > 80.0),
        conditions: if celsius > 80.0 {
            vec!["throttled".into()]
        } else {
            vec![]
        },
    };
    Sustained {
        imported_from: None,
        model: run(Tool::Siskin, Kind::Decode, 32, 0, &[18.0]).model,
        threads: 2,
        kernels: "siskin".into(),
        before_celsius: Some(51.0),
        moments: vec![
            moment(3.0, 18.2, 60.0),
            moment(6.0, 18.0, 72.0),
            moment(9.0, 14.1, 85.2),
        ],
    }
}

/// Results with every field filled: outliers, noise, a peer, a comparison.
pub(crate) fn results() -> Results {
    let runs = vec![
        run(Tool::Siskin, Kind::Prefill, 128, 0, &[117.0, 116.0, 118.0]),
        run(
            Tool::Siskin,
            Kind::Decode,
            32,
            0,
            &[18.1, 18.2, 18.3, 12.5, 18.2, 18.1],
        ),
        run(
            Tool::LlamaBench,
            Kind::Decode,
            32,
            0,
            &[16.1, 16.2, 16.3, 12.0, 16.2, 16.1],
        ),
        run(Tool::Siskin, Kind::Prefill, 128, 512, &[100.0, 80.0, 110.0]),
        run(Tool::Siskin, Kind::Decode, 32, 512, &[15.1, 15.2]),
        run(Tool::Siskin, Kind::Verify, 1, 0, &[20.0, 20.1, 19.9]),
        run(Tool::Siskin, Kind::Verify, 4, 0, &[55.0, 56.0, 54.0]),
        run(Tool::LlamaBench, Kind::Verify, 4, 0, &[40.0, 41.0, 39.0]),
        run(Tool::Siskin, Kind::Verify, 1, 512, &[20.0, 20.1, 19.9]),
        run(Tool::Siskin, Kind::Parallel, 1, 512, &[20.0, 20.2, 19.9]),
        run(Tool::Siskin, Kind::Parallel, 4, 512, &[50.0, 51.0, 40.0]),
    ];
    let load = Load {
        model: runs[0].model.clone(),
        settings: runs[0].settings.clone(),
        cold: false,
        storage_read_bytes: Some(0),
        load_seconds: summary(&[0.09, 0.1, 0.08]),
        first_token_seconds: summary(&[0.19, 0.2, 0.18]),
    };
    let ratio = paired_ratio(
        &runs[1].tokens_per_second.samples,
        &runs[2].tokens_per_second.samples,
    );
    let compared = Compared {
        model: "tiny|<llama> q4_k_m".into(),
        test: runs[1].test,
        threads: 2,
        tokens_per_second: 18.15,
        other_tokens_per_second: 16.15,
        speed: ratio.expect("samples"),
        peak_rss: Some(0.63),
    };
    Results {
        schema_version: SCHEMA_VERSION,
        command: "siskin bench tiny.gguf -p 128 -n 32 -d 0,512".into(),
        date_utc: "2026-11-24T06:00:00Z".into(),
        siskin_version: "0.1.0".into(),
        llama_cpp_version: "0.6.0".into(),
        machine: Machine {
            board: Some("Raspberry Pi 5 Model B".into()),
            cpu: "arm,cortex-a76".into(),
            architecture: "aarch64".into(),
            isa: vec!["NEON".into(), "DOTPROD".into()],
            cpus: 4,
            ram_bytes: 8 << 30,
            kernel: "linux 6.6.31".into(),
        },
        rounds: 6,
        read_bandwidths: vec![Bandwidth {
            threads: 2,
            bytes_per_second: summary(&[25.0e9, 24.9e9, 25.1e9]),
        }],
        loads: vec![load],
        comparisons: vec![Comparison {
            with: "llama-bench".into(),
            rows: vec![compared],
        }],
        notes: vec!["siskin tiny|<llama> q4_k_m, tg32: outliers: round 4 (12.5 tokens/s)".into()],
        runs,
        hardware: Some(Hardware {
            compatible: vec!["raspberrypi,5-model-b".into(), "brcm,bcm2712".into()],
            profile: Some("raspberry-pi-5".into()),
            cpus_online: 4,
            cores: 4,
            max_mhz: vec![2400],
            governor: Some("ondemand".into()),
            page_bytes: 16384,
            huge_pages: Some("madvise".into()),
            slowed_since_boot: vec!["under-voltage".into()],
            ..Hardware::default()
        }),
        sustained: vec![sustained()],
    }
}

#[test]
fn tables_at_two_widths() {
    for (width, details) in [(80, false), (80, true), (40, false), (40, true)] {
        let layout = Layout {
            width,
            details,
            hints: vec!["more: --details".into()],
        };
        let text = render(&results(), Format::Table, &layout);
        let too_wide: Vec<&str> = text.lines().filter(|line| line.chars().count() > width).collect();
        assert!(too_wide.is_empty(), "{too_wide:#?}");
        let name = if details { "details" } else { "table" };
        insta::assert_snapshot!(format!("{name}_{width}"), text);
    }
}

/// A terminal has 24 lines. The report of one model fits into them, and the speeds are last.
#[test]
fn a_brief_report_of_one_model_fits_on_a_screen_and_ends_with_its_speeds() {
    let mut one = results();
    one.runs.truncate(2);
    one.comparisons.clear();
    one.sustained.clear();
    one.hardware = None;
    one.notes.extend([
        "energy unmeasured: there is no counter".into(),
        "other programs used 1.0 CPUs when this began; the speeds are too low".into(),
    ]);
    let text = render(&one, Format::Table, &Layout::default());
    assert!(text.lines().count() < 24, "{text}");
    assert!(
        text.lines().last().is_some_and(|line| line.contains("tg32")),
        "{text}"
    );
    assert!(
        text.contains("other programs") && !text.contains("unmeasured"),
        "{text}"
    );
    assert!(
        text.contains("settings: threads 2 (flag); else the defaults"),
        "{text}"
    );
    let all = Layout {
        details: true,
        ..Layout::default()
    };
    let all = render(&one, Format::Table, &all);
    assert!(
        all.contains("energy unmeasured") && all.contains("Time of a token"),
        "{all}"
    );
    assert!(
        all.lines().last().is_some_and(|line| line.contains("tg32")),
        "{all}"
    );
}

#[test]
fn documents() {
    insta::assert_snapshot!("md", render(&results(), Format::Md, &Layout::default()));
}

#[cfg(feature = "html")]
#[test]
fn page() {
    insta::assert_snapshot!("html", render(&results(), Format::Html, &Layout::default()));
}

#[test]
fn machines_read() {
    insta::assert_snapshot!("json", render(&results(), Format::Json, &Layout::default()));
    insta::assert_snapshot!("jsonl", render(&results(), Format::Jsonl, &Layout::default()));
    insta::assert_snapshot!("csv", render(&results(), Format::Csv, &Layout::default()));
    let json = render(&results(), Format::Json, &Layout::default());
    assert_eq!(
        serde_json::from_str::<Results>(&json).expect("the same shape"),
        results()
    );
}

#[cfg(feature = "html")]
#[test]
fn a_page_fetches_nothing_and_escapes_names() {
    let page = render(&results(), Format::Html, &Layout::default());
    for word in ["<script", "src=", "href=", "url(", "@import", "tiny|<llama>"] {
        assert!(!page.contains(word), "{word}");
    }
    // `xmlns` names a vocabulary; nothing else may look like a URL.
    assert_eq!(
        page.matches("http").count(),
        page.matches("xmlns=\"http://www.w3.org/2000/svg\"").count()
    );
    assert_eq!(page.matches("<svg").count(), 7);
}

#[test]
fn nothing_measured_is_an_empty_report() {
    let empty = Results {
        read_bandwidths: vec![],
        loads: vec![],
        runs: vec![],
        sustained: vec![],
        hardware: None,
        comparisons: vec![],
        notes: vec![],
        ..results()
    };
    for format in Format::ALL {
        render(&empty, *format, &Layout::default());
    }
}

#[test]
fn formats_have_names() {
    for format in Format::ALL {
        assert_eq!(format.name().parse(), Ok(*format));
    }
    let error = "xml".parse::<Format>().expect_err("no such format").to_string();
    assert!(error.contains("table, json, jsonl, csv, md"), "{error}");
}

/// Two thread counts and two kinds of kernels give rows that differ, and so do imported rows.
#[test]
fn rows_that_differ_in_threads_kernels_or_origin_can_be_told_apart() {
    let mut two = results();
    two.loads.push(two.loads[0].clone());
    two.loads[1].settings[0].value = "1".into();
    two.loads[1].settings.push(Setting {
        name: "kernels".into(),
        value: "ggml".into(),
        origin: "flag".into(),
    });
    let mut other = two.runs[0].clone();
    other.settings[0].value = "1".into();
    let mut imported = two.runs[0].clone();
    imported.imported_from = Some("before.json".into());
    let imported_settings = imported.settings.len();
    two.runs.extend([other, imported]);
    let wide = Layout {
        width: 200,
        details: true,
        ..Layout::default()
    };
    let text = render(&two, Format::Table, &wide) + "\n";
    let section = |title: &str| {
        let start = text.split(&format!("\n{title}\n")).nth(1).expect(title);
        let lines: Vec<&str> = start.lines().take_while(|line| !line.is_empty()).collect();
        lines
            .iter()
            .map(|line| (*line).to_owned())
            .collect::<Vec<String>>()
    };
    let load = section("Load");
    assert!(
        load[0].contains("thr  kernels") && load[1] != load[2],
        "{load:#?}"
    );
    let memory = section("Memory");
    assert!(memory[0].contains("thr"), "{memory:#?}");
    let mut distinct = memory.clone();
    distinct.sort_unstable();
    distinct.dedup();
    assert_eq!(distinct.len(), memory.len(), "{memory:#?}");
    for title in ["Heat", "Energy", "Reading", "Time of a token"] {
        let mut rows = section(title);
        let count = rows.len();
        rows.sort_unstable();
        rows.dedup();
        assert_eq!(rows.len(), count, "{rows:#?}");
    }
    for title in ["Speed", "Memory", "First token", "Heat", "Settings"] {
        let rows = section(title);
        let marked = rows.iter().filter(|row| row.ends_with("before.json")).count();
        let want = if title == "Settings" { imported_settings } else { 1 };
        assert!(rows[0].ends_with("imported") && marked == want, "{rows:#?}");
    }
}
