//! The four models that siskin is made for, compared for one device: what was measured, and what their shapes
//! imply.

mod entries;

use serde::{Serialize, Serializer};
use siskin_device::budget;
use siskin_device::settings::{CacheType, Values};
use siskin_model::FileType;
use siskin_model::config::Config;
use siskin_quant::outline;

use crate::result::{Kind, Results, Run, Tool};

pub use entries::{CATALOG, Entry, Purpose};

/// The context, in tokens, for which memory is given.
pub const CONTEXT: u32 = 2048;
/// Common memory sizes of boards.
const BOARDS_GIB: [u64; 4] = [1, 2, 4, 8];
/// The part of a board's memory that the system uses or that is left free: targets/raspberry-pi-5.toml.
const SYSTEM_BYTES: u64 = (300 + 96) << 20;
/// Slower text makes the reader wait: people read about 250 words a minute, 5 to 6 tokens a second.
const READING_PACE: f64 = 5.5;
/// Above this speed, prefer the more precise type.
const COMFORTABLE_PACE: f64 = 15.0;
/// A computed speed must be above [`COMFORTABLE_PACE`] by this factor: it is the most that the memory allows, and the
/// memory's speed is known to a tenth or two.
const SAFETY: f64 = 1.25;

/// A figure, and how it is known. In JSON it is an object with one key: `{"computed": 20.4}`, `{"unmeasured": null}`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Figure {
    /// Measured by `siskin bench` on this device.
    Measured(f64),
    /// Computed from shapes; a computed speed is the most that memory bandwidth allows.
    Computed(f64),
    /// Neither measured nor computed.
    Unmeasured,
}

impl Serialize for Figure {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (key, value) = match self {
            Figure::Measured(value) => ("measured", Some(value)),
            Figure::Computed(value) => ("computed", Some(value)),
            Figure::Unmeasured => ("unmeasured", None),
        };
        serializer.collect_map([(key, value)])
    }
}

/// A model in one type, on the present device.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    /// The model's name.
    pub name: &'static str,
    /// The Hugging Face repository of its checkpoint.
    pub repository: &'static str,
    /// Whether its publisher asks for an account that has accepted the licence.
    pub needs_account: bool,
    /// What it is for.
    pub purpose: Purpose,
    /// The file's type.
    pub file_type: FileType,
    /// The number of weights.
    pub parameters: u64,
    /// The size of the file in bytes.
    pub file_bytes: u64,
    /// Bits of the file per weight.
    pub bits_per_weight: f64,
    /// Prefill in tokens a second.
    pub prefill_tokens_per_second: Figure,
    /// Decode in tokens a second.
    pub decode_tokens_per_second: Figure,
    /// Peak RSS with a context of [`CONTEXT`] tokens.
    pub peak_rss_bytes: Figure,
    /// The boards it runs on with that context, by their memory in GiB.
    pub fits_gib: Vec<u64>,
}

/// The memory of a device: how much, and how fast.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct DeviceMemory {
    /// Memory in bytes that this process may use.
    pub usable_bytes: u64,
    /// Read bandwidth of the memory, in bytes a second.
    pub read_bytes_per_second: f64,
    /// Whether other programs used the CPUs meanwhile: the memory is then faster than this.
    pub is_busy: bool,
}

/// The model to use on a device, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Choice {
    /// The model's name.
    pub name: &'static str,
    /// The file's type.
    pub file_type: FileType,
    /// The reason, in one sentence.
    pub reason: String,
    /// Commands that get it, converted, and run it.
    pub commands: [String; 2],
}

/// The model of the catalogue with a short name, or with its whole name; in upper or lower case.
pub fn find(name: &str) -> Option<&'static Entry> {
    let same = |known: &str| known.eq_ignore_ascii_case(name);
    CATALOG
        .iter()
        .find(|entry| same(entry.name) || entry.short_names.iter().any(|short| same(short)))
}

/// Every model in each of `types`. `results` holds what was measured on this device.
pub fn rows(types: &[FileType], memory: &DeviceMemory, results: Option<&Results>) -> Vec<Row> {
    let all = CATALOG
        .iter()
        .flat_map(|entry| types.iter().map(move |&ty| (entry, ty)));
    all.map(|(entry, ty)| row(entry, ty, memory, results)).collect()
}

fn row(entry: &Entry, file_type: FileType, memory: &DeviceMemory, results: Option<&Results>) -> Row {
    let sure = "a test reads every entry";
    let config: Config = serde_json::from_str(entry.config).expect(sure);
    let shape = outline::shape(&config, file_type).expect(sure);
    let parameters = shape.parameters;
    let file_bytes = entry.header_bytes + shape.weight_bytes;
    let values = Values {
        context: CONTEXT,
        cache_type: CacheType::F16,
        ubatch: 512,
        repack: false,
        mmap: true,
        ..Values::default()
    };
    let rss: u64 = budget::items(&shape, &values).iter().map(|item| item.bytes).sum();
    let runs = || measured(results, &shape.arch, parameters, file_type);
    let speed = |kind| {
        runs()
            .filter(|run| run.test.kind == kind && run.test.depth_tokens == 0)
            .map(|run| run.tokens_per_second.median)
            .next()
    };
    let at_context = runs()
        .filter(|run| run.context_tokens == Some(CONTEXT) && run.sequences.is_none())
        .find_map(|run| run.memory);
    let peak_rss_bytes = at_context.map_or(Figure::Computed(rss as f64), |memory| {
        Figure::Measured(memory.peak_rss_bytes as f64)
    });
    let peak = peak_rss_bytes.value().unwrap_or(rss as f64);
    Row {
        name: entry.name,
        repository: entry.repository,
        needs_account: entry.needs_account,
        purpose: entry.purpose,
        file_type,
        parameters,
        file_bytes,
        bits_per_weight: file_bytes as f64 * 8.0 / parameters as f64,
        prefill_tokens_per_second: speed(Kind::Prefill).map_or(Figure::Unmeasured, Figure::Measured),
        decode_tokens_per_second: speed(Kind::Decode).map_or(
            Figure::Computed(memory.read_bytes_per_second / shape.weight_bytes_per_token as f64),
            Figure::Measured,
        ),
        peak_rss_bytes,
        fits_gib: BOARDS_GIB
            .into_iter()
            .filter(|gib| peak + SYSTEM_BYTES as f64 <= (gib << 30) as f64)
            .collect(),
    }
}

/// siskin's runs of this model: those with the same architecture, size and type, whatever the file is called.
/// Sizes may differ by the biases, which a configuration does not list.
fn measured<'r>(
    results: Option<&'r Results>,
    architecture: &str,
    parameters: u64,
    file_type: FileType,
) -> impl Iterator<Item = &'r Run> {
    let alike = move |run: &&Run| {
        run.tool == Tool::Siskin
            && run.model.architecture == architecture
            && run.model.parameters.abs_diff(parameters) <= parameters / 1000
            && run.model.file_type == file_type.name()
    };
    results
        .into_iter()
        .flat_map(|results| &results.runs)
        .filter(alike)
}

impl Figure {
    /// The number, if there is one.
    pub fn value(self) -> Option<f64> {
        match self {
            Figure::Measured(value) | Figure::Computed(value) => Some(value),
            Figure::Unmeasured => None,
        }
    }
}

/// Of the chat models that fit and keep a reader's pace, the one trained on the most text, in the most precise type that
/// is still comfortable. If no model keeps the pace, the fastest that fits. A computed speed must be comfortable by
/// some margin. If the machine was busy, computed speeds are too low and decide nothing: the choice does not change with
/// noise.
pub fn choose(rows: &[Row], memory: &DeviceMemory) -> Option<Choice> {
    let pace = |row: &Row| row.decode_tokens_per_second.value().unwrap_or(0.0);
    let fits = |row: &&Row| {
        let peak = row.peak_rss_bytes.value();
        row.purpose == Purpose::Chat && peak.is_some_and(|bytes| bytes <= memory.usable_bytes as f64)
    };
    let fitting: Vec<&Row> = rows.iter().filter(fits).collect();
    let readable: Vec<&Row> = fitting
        .iter()
        .copied()
        .filter(|row| pace(row) >= READING_PACE || is_unknown(row, memory))
        .collect();
    let Some(first) = readable.first() else {
        let fastest = fitting.into_iter().max_by(|a, b| pace(a).total_cmp(&pace(b)))?;
        return Some(chosen(
            fastest,
            memory,
            "the fastest chat model that fits; none is as fast as a reader here".into(),
        ));
    };
    let same: Vec<&Row> = readable
        .iter()
        .copied()
        .filter(|row| row.name == first.name)
        .collect();
    let is_comfortable = |row: &&Row| match row.decode_tokens_per_second {
        Figure::Measured(speed) => speed >= COMFORTABLE_PACE,
        Figure::Computed(bound) => !memory.is_busy && bound >= SAFETY * COMFORTABLE_PACE,
        Figure::Unmeasured => false,
    };
    let comfortable = same.iter().copied().filter(is_comfortable);
    let exact = comfortable.max_by(|a, b| a.bits_per_weight.total_cmp(&b.bits_per_weight));
    let row = exact.or_else(|| same.iter().copied().max_by(|a, b| pace(a).total_cmp(&pace(b))))?;
    let entry = CATALOG.iter().find(|entry| entry.name == row.name)?;
    let among = if entry.name == CATALOG[0].name {
        "of the four"
    } else {
        "of those that fit"
    };
    Some(chosen(
        row,
        memory,
        format!(
            "{among}, it was trained on the most text ({:.1} T tokens)",
            entry.training_tokens / 1e12
        ),
    ))
}

/// Whether a row's speed was computed from the memory of a busy machine.
fn is_unknown(row: &Row, memory: &DeviceMemory) -> bool {
    memory.is_busy && matches!(row.decode_tokens_per_second, Figure::Computed(_))
}

/// Commands that get a model and run it, each on its line.
fn commands(row: &Row) -> [String; 2] {
    let (repository, ty) = (row.repository, row.file_type);
    let short = find(row.name).and_then(|entry| entry.short_names.first());
    let base = repository.rsplit('/').next().unwrap_or(repository);
    [
        format!("siskin pull {} --type {ty}", short.unwrap_or(&repository)),
        format!("siskin chat {base}-{ty}"),
    ]
}

fn chosen(row: &Row, memory: &DeviceMemory, first: String) -> Choice {
    let gib = |bytes: f64| format!("{:.1}", bytes / f64::from(1 << 30));
    let speed = match row.decode_tokens_per_second {
        Figure::Measured(speed) => format!("decodes {speed:.1} tokens/s (measured)"),
        Figure::Computed(_) if memory.is_busy => "has an unknown speed while the machine is busy".into(),
        Figure::Computed(bound) => format!("decodes at most {bound:.1} tokens/s"),
        Figure::Unmeasured => "has an unmeasured speed".into(),
    };
    let takes = gib(row.peak_rss_bytes.value().unwrap_or(0.0));
    let reason = format!(
        "{first}, takes {takes} of {} GiB, and {speed}",
        gib(memory.usable_bytes as f64)
    );
    Choice {
        name: row.name,
        file_type: row.file_type,
        reason,
        commands: commands(row),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TYPES: [FileType; 2] = [FileType::Q4KM, FileType::Q8_0];

    fn device(gib: u64, gigabytes: f64) -> DeviceMemory {
        DeviceMemory {
            usable_bytes: gib << 30,
            read_bytes_per_second: gigabytes * 1e9,
            is_busy: false,
        }
    }

    /// Parameters are those of the checkpoints. The bounds at the bandwidths of a Raspberry Pi 5 are figures
    /// published for it by others.
    #[test]
    fn the_four_models() {
        let cases = [
            ("Llama-3.2-1B", 1_235_814_432, 12.4, 13.3),
            ("TinyLlama-1.1B", 1_100_048_384, 15.5, 16.7),
            ("StableLM-2-1.6B", 1_644_515_328, 10.7, 11.5),
            ("Pythia-1B", 1_011_781_632, 17.0, 18.0),
        ];
        let bounds = |gigabytes: f64| {
            let rows = rows(&TYPES[..1], &device(8, gigabytes), None);
            rows.iter()
                .map(|row| row.decode_tokens_per_second.value().expect("computed"))
                .collect::<Vec<_>>()
        };
        let all = rows(&TYPES[..1], &device(8, 10.0), None);
        for (index, (name, parameters, low, high)) in cases.into_iter().enumerate() {
            let row = &all[index];
            assert_eq!(row.name, name);
            // Biases, which the configuration does not list, are missing.
            assert!(
                row.parameters.abs_diff(parameters) < parameters / 1000,
                "{name}: {}",
                row.parameters
            );
            let (slow, fast) = (bounds(9.8)[index], bounds(10.5)[index]);
            assert!(
                (slow - low).abs() < 0.8 && (fast - high).abs() < 0.8,
                "{name}: {slow} {fast}"
            );
            assert_eq!(row.prefill_tokens_per_second, Figure::Unmeasured);
        }
    }

    #[test]
    fn boards_and_choices() {
        let all = rows(&TYPES, &device(8, 10.0), None);
        let fits = |name: &str, ty| {
            &all.iter()
                .find(|row| row.name == name && row.file_type == ty)
                .expect("a row")
                .fits_gib
        };
        assert_eq!(fits("TinyLlama-1.1B", FileType::Q4KM), &[2, 4, 8]);
        assert_eq!(fits("StableLM-2-1.6B", FileType::Q8_0), &[4, 8]);
        // (memory and bandwidth, choice)
        let cases = [
            (device(8, 50.0), Some(("Llama-3.2-1B", FileType::Q8_0))),
            (device(8, 12.0), Some(("Llama-3.2-1B", FileType::Q4KM))),
            (
                DeviceMemory {
                    usable_bytes: 850 << 20,
                    read_bytes_per_second: 5e10,
                    is_busy: false,
                },
                Some(("TinyLlama-1.1B", FileType::Q4KM)),
            ),
            // Pythia is faster, and not a chat model.
            (device(8, 1.0), Some(("TinyLlama-1.1B", FileType::Q4KM))),
            // What is comfortable only at the memory's best is not.
            (device(8, 21.0), Some(("Llama-3.2-1B", FileType::Q4KM))),
            (
                DeviceMemory {
                    is_busy: true,
                    ..device(8, 50.0)
                },
                Some(("Llama-3.2-1B", FileType::Q4KM)),
            ),
            (
                DeviceMemory {
                    is_busy: true,
                    ..device(8, 0.5)
                },
                Some(("Llama-3.2-1B", FileType::Q4KM)),
            ),
            (
                DeviceMemory {
                    usable_bytes: 100 << 20,
                    read_bytes_per_second: 1e10,
                    is_busy: false,
                },
                None,
            ),
        ];
        for (memory, want) in cases {
            let choice = choose(&rows(&TYPES, &memory, None), &memory);
            assert_eq!(
                choice.as_ref().map(|choice| (choice.name, choice.file_type)),
                want,
                "{choice:?}"
            );
        }
    }

    #[test]
    fn figures_are_objects_in_json_and_a_choice_says_how_to_get_it() {
        let memory = device(8, 12.0);
        let rows = rows(&TYPES, &memory, None);
        let json = serde_json::to_value(&rows).expect("JSON");
        assert!(json[0]["prefill_tokens_per_second"]["unmeasured"].is_null());
        for row in json.as_array().expect("rows") {
            for key in [
                "prefill_tokens_per_second",
                "decode_tokens_per_second",
                "peak_rss_bytes",
            ] {
                assert!(row[key].is_object(), "{key}");
            }
        }
        let purposes: Vec<&str> = CATALOG.iter().map(|entry| entry.purpose.name()).collect();
        assert_eq!(purposes, ["chat", "chat", "chat", "research"]);
        let choice = choose(&rows, &memory).expect("a choice");
        assert_eq!(
            choice.commands,
            [
                "siskin pull llama-3.2-1b --type q4_k_m",
                "siskin chat Llama-3.2-1B-Instruct-q4_k_m",
            ]
        );
    }

    #[test]
    fn what_was_measured_replaces_what_was_computed() {
        use crate::report::fixture;
        let mut results = fixture();
        for run in &mut results.runs {
            run.context_tokens = Some(CONTEXT);
        }
        let all = rows(&TYPES, &device(8, 10.0), Some(&results));
        let row = |ty| {
            all.iter()
                .find(|row| row.name == "TinyLlama-1.1B" && row.file_type == ty)
                .expect("a row")
        };
        assert_eq!(
            row(FileType::Q4KM).prefill_tokens_per_second,
            Figure::Measured(117.0)
        );
        assert_eq!(
            row(FileType::Q4KM).peak_rss_bytes,
            Figure::Measured(f64::from(720 << 20))
        );
        assert_eq!(row(FileType::Q8_0).prefill_tokens_per_second, Figure::Unmeasured);
    }
}
