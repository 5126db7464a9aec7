//! Compares every format of one fixed result with snapshots that were reviewed by hand (`cargo insta review`,
//! or `INSTA_UPDATE=always`, then look at the diff).

use super::*;
use crate::bench::result::*;
use crate::bench::stats::{Summary, paired_ratio};

fn summary(samples: &[f64]) -> Summary {
    Summary::of(samples.to_vec()).expect("samples")
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
        tokens_per_second: summary(speeds),
        time_to_first_token_seconds: (ours && !decode).then(|| summary(&[1.1, 1.12, 1.15])),
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
    }
}

fn beside() -> Beside {
    Beside {
        device: Device::named("raspberry-pi-5").expect("known"),
        results: None,
    }
}

#[test]
fn tables_at_two_widths() {
    for width in [80, 40] {
        let text = render(&results(), Format::Table, width, None);
        let too_wide: Vec<&str> = text.lines().filter(|line| line.chars().count() > width).collect();
        assert!(too_wide.is_empty(), "{too_wide:#?}");
        insta::assert_snapshot!(format!("table_{width}"), text);
    }
}

#[test]
fn documents() {
    insta::assert_snapshot!("md", render(&results(), Format::Md, 80, Some(&beside())));
    insta::assert_snapshot!("html", render(&results(), Format::Html, 80, None));
}

#[test]
fn machines_read() {
    insta::assert_snapshot!("json", render(&results(), Format::Json, 80, None));
    insta::assert_snapshot!("jsonl", render(&results(), Format::Jsonl, 80, None));
    insta::assert_snapshot!("csv", render(&results(), Format::Csv, 80, None));
    let json = render(&results(), Format::Json, 80, None);
    assert_eq!(
        serde_json::from_str::<Results>(&json).expect("the same shape"),
        results()
    );
}

#[test]
fn a_page_fetches_nothing_and_escapes_names() {
    let page = render(&results(), Format::Html, 80, None);
    for word in ["<script", "src=", "href=", "url(", "@import", "tiny|<llama>"] {
        assert!(!page.contains(word), "{word}");
    }
    // `xmlns` names a vocabulary; nothing else may look like a URL.
    assert_eq!(
        page.matches("http").count(),
        page.matches("xmlns=\"http://www.w3.org/2000/svg\"").count()
    );
    assert_eq!(page.matches("<svg").count(), 5);
}

#[test]
fn nothing_measured_is_an_empty_report_and_no_panic() {
    let empty = Results {
        read_bandwidths: vec![],
        loads: vec![],
        runs: vec![],
        comparisons: vec![],
        notes: vec![],
        ..results()
    };
    for format in [
        Format::Table,
        Format::Json,
        Format::Jsonl,
        Format::Csv,
        Format::Md,
        Format::Html,
    ] {
        render(&empty, format, 40, Some(&beside()));
    }
}
