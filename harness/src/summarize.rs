//! Turns what the processes measured into results.

use crate::plan::{Case, Setup, Subject};
use crate::protocol::{Loaded, Sample, Turn};
use crate::result::{Bandwidth, Energy, Kind, Latency, Load, MemoryUse, Pass, Run, Setting, Test, Tool};
use crate::stats::{Spread, Summary, paired_ratio, percentile};
use crate::turns::Measured;

/// A run for each test of each case: siskin's runs, then llama-bench's.
pub(crate) fn runs(
    subjects: &[Subject],
    cases: &[Case],
    measured: &[Measured],
    bandwidths: &[Bandwidth],
) -> Vec<Run> {
    let mut runs = Vec::new();
    for (case, measured) in cases.iter().zip(measured) {
        let subject = &subjects[case.subject];
        for (index, test) in case.tests.iter().enumerate() {
            runs.extend(ours(subject, case, *test, index, measured, bandwidths));
        }
        for (index, test) in case.tests.iter().enumerate() {
            runs.extend(theirs(subject, case, *test, index, measured));
        }
    }
    runs
}

fn ours(
    subject: &Subject,
    case: &Case,
    test: Test,
    index: usize,
    measured: &Measured,
    bandwidths: &[Bandwidth],
) -> Option<Run> {
    let setup = &subject.setups[case.setup];
    let (values, shape) = (setup.values(), &subject.info.shape);
    let samples: Vec<&Sample> = measured.turns.iter().map(|turn| &turn.samples[index]).collect();
    let speed = speed(&measured.turns, index, test)?;
    let decode = test.kind == Kind::Decode;
    // The cache grows while decoding: its middle size represents all tokens.
    let bytes = decode.then(|| {
        shape.bytes_read_per_token(
            test.depth_tokens.saturating_add(test.tokens / 2),
            values.cache_type,
        )
    });
    let bandwidth = bandwidths.iter().find(|entry| entry.threads == values.threads);
    let share = bytes
        .zip(bandwidth)
        .map(|(bytes, entry)| bytes as f64 * speed.median / entry.bytes_per_second.median);
    Some(Run {
        settings: setup.settings(),
        kernels: measured.kernels.clone(),
        context_tokens: Some(case.context),
        sequences: Some(case.sequences).filter(|&count| count > 1),
        time_to_first_token_seconds: summary(samples.iter().map(|sample| sample.first_token_seconds)),
        token_latency: latency(&samples),
        pass: pass(case, test, |index| {
            Some(
                measured
                    .turns
                    .iter()
                    .map(|turn| turn.samples[index].seconds)
                    .collect(),
            )
        }),
        memory: memory(measured),
        kv_bytes: Some(case.kv_bytes(shape, values.cache_type)),
        bytes_read_per_token: bytes,
        read_bandwidth_share: share,
        energy: energy(&samples, test, measured),
        heat: measured.heat,
        tokens_per_second: speed,
        ..Run::bare(
            Tool::Siskin,
            subject.info.model.clone(),
            setup.threads(test),
            test,
        )
    })
}

fn theirs(subject: &Subject, case: &Case, test: Test, index: usize, measured: &Measured) -> Option<Run> {
    let speeds = |index: usize| -> Option<Vec<f64>> {
        let turns = measured.llama_bench.iter();
        turns.map(|turn| turn.tokens_per_second[index]).collect()
    };
    let speed = Summary::from_samples(speeds(index)?)?;
    let peak = measured
        .llama_bench
        .iter()
        .filter_map(|turn| turn.peak_rss_bytes)
        .max();
    let threads = subject.setups[case.setup].threads(test);
    let build = measured.llama_bench.first().and_then(|turn| turn.build.clone());
    let build = build.map(|value| Setting {
        name: "build".into(),
        value,
        origin: "llama-bench".into(),
    });
    Some(Run {
        settings: build.into_iter().collect(),
        tokens_per_second: speed,
        pass: pass(case, test, |index| {
            let tokens = f64::from(case.tests[index].tokens);
            Some(speeds(index)?.into_iter().map(|speed| tokens / speed).collect())
        }),
        memory: peak.map(|peak_rss_bytes| MemoryUse {
            peak_rss_bytes,
            anonymous_bytes: None,
            file_bytes: None,
        }),
        ..Run::bare(Tool::LlamaBench, subject.info.model.clone(), threads, test)
    })
}

/// Tokens a second of the test at `index`; `None` of no turns.
pub(crate) fn speed(turns: &[Turn], index: usize, test: Test) -> Option<Summary> {
    let seconds = turns.iter().map(|turn| turn.samples[index].seconds);
    Summary::from_samples(seconds.map(|seconds| f64::from(test.tokens) / seconds).collect())
}

/// The summary of all samples; `None` if one is missing.
fn summary(samples: impl Iterator<Item = Option<f64>>) -> Option<Summary> {
    Summary::from_samples(samples.collect::<Option<Vec<f64>>>()?)
}

fn latency(samples: &[&Sample]) -> Option<Latency> {
    let seconds: Vec<f64> = samples
        .iter()
        .flat_map(|sample| sample.token_seconds.iter().copied())
        .collect();
    let at = |percent| percentile(&seconds, percent);
    Some(Latency {
        p50_seconds: at(50.0)?,
        p95_seconds: at(95.0)?,
        p99_seconds: at(99.0)?,
        max_seconds: at(100.0)?,
        samples_microseconds: seconds
            .iter()
            .map(|seconds| (seconds * 1e6).round() as u64)
            .collect(),
    })
}

/// The time of a pass; `seconds` has the rounds of the case's test at an index. Each round's time is compared with
/// that of one token in the same round.
fn pass(case: &Case, test: Test, seconds: impl Fn(usize) -> Option<Vec<f64>>) -> Option<Pass> {
    if !test.kind.is_pass() {
        return None;
    }
    let of = |tokens: u32| {
        let test = Test { tokens, ..test };
        seconds(case.tests.iter().position(|other| *other == test)?)
    };
    let (pass, one) = (of(test.tokens)?, of(1));
    Some(Pass {
        relative_time: one.and_then(|one| paired_ratio(&pass, &one)),
        seconds: Summary::from_samples(pass)?,
    })
}

fn memory(measured: &Measured) -> Option<MemoryUse> {
    let last = measured.turns.last()?;
    Some(MemoryUse {
        peak_rss_bytes: last.peak_rss_bytes?,
        anonymous_bytes: last.anonymous_bytes,
        file_bytes: last.file_bytes,
    })
}

fn energy(samples: &[&Sample], test: Test, measured: &Measured) -> Option<Energy> {
    let source = measured.turns.first()?.energy_source.clone()?;
    let joules = samples
        .iter()
        .map(|sample| Some(sample.joules? / f64::from(test.tokens)));
    Some(Energy {
        source,
        joules_per_token: summary(joules)?,
    })
}

/// The loads of one model with one setup.
pub(crate) fn load(subject: &Subject, setup: &Setup, cold: bool, rounds: &[Loaded]) -> Option<Load> {
    let mut read: Vec<u64> = rounds
        .iter()
        .filter_map(|loaded| loaded.storage_read_bytes)
        .collect();
    read.sort_unstable();
    Some(Load {
        model: subject.info.model.clone(),
        settings: setup.settings(),
        cold,
        storage_read_bytes: read.get(read.len() / 2).copied(),
        load_seconds: Summary::from_samples(rounds.iter().map(|loaded| loaded.load_seconds).collect())?,
        first_token_seconds: Summary::from_samples(
            rounds.iter().map(|loaded| loaded.first_token_seconds).collect(),
        )?,
    })
}

/// Parts of notes that are details: they name what is missing, or what the column `spread` of the speeds already has.
const DETAILS: [&str; 5] = [
    ": outliers: ",
    ": noisy, ",
    ": reads from the CPU's caches",
    " unmeasured: ",
    "fewer than 3 repetitions",
];

/// Whether a note of [`notes`] is a detail, which a brief report leaves out.
pub(crate) fn is_detail(note: &str) -> bool {
    DETAILS.iter().any(|part| note.contains(part))
}

/// Notes that a reader needs to judge the figures.
pub(crate) fn notes(runs: &[Run], loads: &[Load], bandwidths: &[Bandwidth]) -> Vec<String> {
    let mut notes = Vec::new();
    for entry in bandwidths
        .iter()
        .filter(|entry| entry.bytes_per_second.spread == Spread::Noisy)
    {
        notes.push(format!(
            "the read bandwidth with {} thread{} is noisy: {}",
            entry.threads,
            if entry.threads == 1 { "" } else { "s" },
            spread(&entry.bytes_per_second)
        ));
    }
    for run in runs {
        let what = format!("{} {}, {}", run.tool.name(), run.title(runs), run.test.name());
        let speed = &run.tokens_per_second;
        if speed.spread == Spread::Noisy {
            notes.push(format!(
                "{what}: noisy, {}; repeat it on a quieter machine",
                spread(speed)
            ));
        }
        let named = speed
            .outliers
            .iter()
            .map(|outlier| format!("round {} ({:.1} tokens/s)", outlier.round, outlier.value));
        let named: Vec<String> = named.collect();
        if !named.is_empty() {
            notes.push(format!("{what}: outliers: {}", named.join(", ")));
        }
        if run.read_bandwidth_share.is_some_and(|share| share > 1.0) {
            notes.push(format!("{what}: reads from the CPU's caches, not from memory"));
        }
        if run.heat.is_some_and(|heat| heat.throttled == Some(true)) {
            notes.push(format!("{what}: throttled, the clock was lowered meanwhile"));
        }
    }
    let not_dropped = |load: &&Load| {
        load.cold
            && load
                .storage_read_bytes
                .is_some_and(|read| read < load.model.file_bytes / 2)
    };
    for load in loads.iter().filter(not_dropped) {
        let name = &load.model.name;
        notes.push(format!(
            "{name}: was not loaded cold: another process maps the file, or its file system keeps the pages"
        ));
    }
    if runs
        .iter()
        .any(|run| run.tool == Tool::Siskin && run.tokens_per_second.spread == Spread::Unknown)
    {
        notes.push("fewer than 3 repetitions: the spread is unknown".into());
    }
    let ours = || runs.iter().filter(|run| run.tool == Tool::Siskin);
    let unmeasured = [
        (
            "energy",
            ours().all(|run| run.energy.is_none()),
            "there is no RAPL counter or Raspberry Pi PMIC that this user can read",
        ),
        (
            "temperature",
            ours().all(|run| run.heat.is_none_or(|heat| heat.after_celsius.is_none())),
            "there is no thermal zone",
        ),
        (
            "throttling",
            ours().all(|run| run.heat.is_none_or(|heat| heat.throttled.is_none())),
            "the system does not report it",
        ),
    ];
    for (what, _, why) in unmeasured
        .into_iter()
        .filter(|entry| entry.1 && ours().next().is_some())
    {
        notes.push(format!("{what} unmeasured: {why}"));
    }
    notes
}

fn spread(summary: &Summary) -> String {
    let share = |value: f64| 100.0 * value / summary.median;
    format!(
        "{:.0} to {:.0} % of the median",
        share(summary.min),
        share(summary.max)
    )
}
