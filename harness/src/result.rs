//! The outcome of a benchmark as plain data; every unit is in its field's name.

use serde::{Deserialize, Serialize};

use crate::stats::{Ratio, Spread, Summary};

mod board;

pub use board::{Cache, Hardware, Moment, Sustained};

/// Version of the shape of [`Results`]; raised whenever a field changes its name or meaning.
pub const SCHEMA_VERSION: u32 = 1;

/// Everything a benchmark measured, and what is needed to judge and repeat it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Results {
    /// The value of [`SCHEMA_VERSION`] when the results were written.
    pub schema_version: u32,
    /// The command line.
    pub command: String,
    /// The time at which the benchmark began, RFC 3339.
    pub date_utc: String,
    /// Version of siskin.
    pub siskin_version: String,
    /// Version of the llama.cpp built into siskin.
    pub llama_cpp_version: String,
    /// The machine it ran on.
    pub machine: Machine,
    /// More about the machine; only a report has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hardware: Option<Hardware>,
    /// The number of repetitions requested.
    pub rounds: usize,
    /// Read bandwidth, one entry per thread count.
    pub read_bandwidths: Vec<Bandwidth>,
    /// Times to load the models.
    pub loads: Vec<Load>,
    /// Speeds, one entry per test, model and set of settings.
    pub runs: Vec<Run>,
    /// Decoding without a pause; only a report has it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sustained: Vec<Sustained>,
    /// Ratios, if something was compared.
    pub comparisons: Vec<Comparison>,
    /// What a reader must know: noise, throttling, what could not be measured and why.
    pub notes: Vec<String>,
}

/// The machine that the results are from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// The board or product, if the system reports it.
    pub board: Option<String>,
    /// The processor's name.
    pub cpu: String,
    /// `x86_64`, `aarch64` or `arm`.
    pub architecture: String,
    /// Instruction sets that the program was built for and uses, as llama.cpp names them.
    pub isa: Vec<String>,
    /// The number of CPUs this process may use.
    pub cpus: usize,
    /// Memory of the machine, or the smallest limit of a control group around this process.
    pub ram_bytes: u64,
    /// The operating system and its kernel's version.
    pub kernel: String,
}

impl Machine {
    /// What makes two machines the same for comparisons: the kernel may differ, the hardware may not.
    pub fn identity(&self) -> String {
        let board = self
            .board
            .as_deref()
            .map_or(String::new(), |board| format!("{board}, "));
        let ram = (self.ram_bytes as f64 / f64::from(1 << 30)).round();
        format!(
            "{board}{}, {} CPUs, {ram} GiB ({})",
            self.cpu, self.cpus, self.architecture
        )
    }
}

/// How fast threads read memory: sums over an array far larger than the caches, as STREAM does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Bandwidth {
    /// The number of threads that read.
    pub threads: usize,
    /// Bytes read a second, best pass of each round.
    pub bytes_per_second: Summary,
}

/// A model file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Model {
    /// The file's name without folder and extension.
    pub name: String,
    /// The value of `general.architecture`.
    pub architecture: String,
    /// The file's type, e.g. `q4_k_m`.
    pub file_type: String,
    /// SHA-256 of the whole file, if the tool reports it.
    pub sha256: Option<String>,
    /// The size of the file in bytes.
    pub file_bytes: u64,
    /// The number of weights.
    pub parameters: u64,
    /// Bits of the file per weight.
    pub bits_per_weight: f64,
    /// Training context in tokens, if the tool reports it.
    pub training_context_tokens: Option<u64>,
}

impl Model {
    /// The name with the type, unless the name already contains it.
    pub fn title(&self) -> String {
        if self.name.to_lowercase().contains(&self.file_type) {
            self.name.clone()
        } else {
            format!("{} {}", self.name, self.file_type)
        }
    }
}

/// One setting in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setting {
    /// Its name, which is that of the flag that sets it.
    pub name: String,
    /// The value in force.
    pub value: String,
    /// Its source: flag, tuned, profile or default.
    pub origin: String,
}

/// The program that measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tool {
    /// This program.
    Siskin,
    /// llama.cpp's llama-bench.
    LlamaBench,
}

impl Tool {
    /// The program's name.
    pub fn name(self) -> &'static str {
        match self {
            Tool::Siskin => "siskin",
            Tool::LlamaBench => "llama-bench",
        }
    }
}

/// The phase that is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Many tokens at a time.
    Prefill,
    /// One token at a time.
    Decode,
    /// One pass of one sequence over a few tokens, with logits after each: what verifying a draft costs.
    Verify,
    /// One pass of a few sequences over one token each: what answering as many users at once costs.
    Parallel,
}

impl Kind {
    /// Whether a single pass is measured, not a whole prompt or text.
    pub fn is_pass(self) -> bool {
        matches!(self, Kind::Verify | Kind::Parallel)
    }
}

/// One test: a phase, a length and a depth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Test {
    /// What is measured.
    pub kind: Kind,
    /// The number of tokens computed; of a pass in parallel also that of the sequences.
    pub tokens: u32,
    /// The number of tokens in the context beforehand, in every sequence.
    pub depth_tokens: u32,
}

impl Test {
    /// The name llama-bench gives it: `pp128`, `tg32 @ d512`. It has none for passes: `verify4`, `parallel4 @ d512`.
    pub fn name(&self) -> String {
        let kind = match self.kind {
            Kind::Prefill => "pp",
            Kind::Decode => "tg",
            Kind::Verify => "verify",
            Kind::Parallel => "parallel",
        };
        let depth = match self.depth_tokens {
            0 => String::new(),
            depth => format!(" @ d{depth}"),
        };
        format!("{kind}{}{depth}", self.tokens)
    }
}

/// Resident memory of the process that ran this model with this context and nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemoryUse {
    /// The largest resident size, including mapped file pages.
    pub peak_rss_bytes: u64,
    /// The anonymous part after the tests: cache, buffers, repacked weights.
    pub anonymous_bytes: Option<u64>,
    /// The part mapped from files after the tests: weights, program.
    pub file_bytes: Option<u64>,
}

/// Times of single tokens.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)] // percentiles
pub struct Latency {
    pub p50_seconds: f64,
    pub p95_seconds: f64,
    pub p99_seconds: f64,
    pub max_seconds: f64,
    /// Every token of every round.
    pub samples_microseconds: Vec<u64>,
}

/// The time of one pass over a few tokens.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Pass {
    /// Seconds a pass; each round's sample is the median of its passes.
    pub seconds: Summary,
    /// T(n): the time relative to that of a pass of one token in the same rounds; `None` if that was not measured.
    pub relative_time: Option<Ratio>,
}

/// Energy drawn while tokens were computed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Energy {
    /// The source of the readings: `RAPL package` or `Raspberry Pi PMIC`.
    pub source: String,
    /// Joules a token, for the whole package or board, including idle power.
    pub joules_per_token: Summary,
}

/// The machine's heat around the rounds of a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Heat {
    /// The hottest sensor before the first round.
    pub before_celsius: Option<f64>,
    /// The hottest sensor after the last round.
    pub after_celsius: Option<f64>,
    /// The mean clock of the CPUs before the first round.
    pub before_hertz: Option<f64>,
    /// The mean clock of the CPUs after the last round.
    pub after_hertz: Option<f64>,
    /// Whether the clock was limited in between; `None` if the system does not report it.
    pub throttled: Option<bool>,
}

/// How long a model takes to be ready, each time in a fresh process.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Load {
    /// The model that was loaded.
    pub model: Model,
    /// The settings in force.
    pub settings: Vec<Setting>,
    /// Whether the file's pages were dropped from the page cache beforehand.
    pub cold: bool,
    /// Bytes fetched from storage in the median round; `None` if the system does not report them.
    pub storage_read_bytes: Option<u64>,
    /// Seconds until the model is loaded.
    pub load_seconds: Summary,
    /// Seconds until a first token was computed in a fresh context, loading included.
    pub first_token_seconds: Summary,
}

/// When, where and by what something was measured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provenance {
    /// The time at which the benchmark began, RFC 3339.
    pub date_utc: String,
    /// Version of siskin.
    pub siskin_version: String,
    /// Version of the llama.cpp built into siskin.
    pub llama_cpp_version: String,
    /// The machine it ran on.
    pub machine: Machine,
}

/// One test of one model with one set of settings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// The program that ran it.
    pub tool: Tool,
    /// The file that the run was imported from; `None` if it was measured with the others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub imported_from: Option<String>,
    /// When, where and by what an imported run was measured; `None` if it was measured with the others, or if its file
    /// does not state it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub measured: Option<Provenance>,
    /// The model that was run.
    pub model: Model,
    /// The settings in force and the source of each.
    pub settings: Vec<Setting>,
    /// The number of threads that computed this test.
    pub threads: usize,
    /// Whose kernels decoded: `ggml` or `siskin`; `None` if the tool has only one kind.
    pub kernels: Option<String>,
    /// Context in tokens, of each sequence, if the tool reports it.
    pub context_tokens: Option<u32>,
    /// Sequences that the context has room for; `None` for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sequences: Option<u32>,
    /// The test that was run.
    pub test: Test,
    /// Tokens a second, one sample per round.
    pub tokens_per_second: Summary,
    /// Time for the prefill of this prompt and the choice of a first token.
    pub time_to_first_token_seconds: Option<Summary>,
    /// Times of single tokens, in decoding.
    pub token_latency: Option<Latency>,
    /// The time of a pass, if the test is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pass: Option<Pass>,
    /// Resident memory.
    pub memory: Option<MemoryUse>,
    /// The size of the KV cache for the whole context, computed from the file's header.
    pub kv_bytes: Option<u64>,
    /// Bytes that decoding reads per token: weights and cache, computed from the file's header.
    pub bytes_read_per_token: Option<u64>,
    /// Those bytes times the speed, divided by the bandwidth that the same threads measured in this run.
    pub read_bandwidth_share: Option<f64>,
    /// Energy, if it can be read.
    pub energy: Option<Energy>,
    /// Heat, if it can be read.
    pub heat: Option<Heat>,
}

/// These results compared with others.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// What they are compared with: a file, or a program run in the same rounds.
    pub with: String,
    /// One row per test that both ran.
    pub rows: Vec<Compared>,
}

/// One test that both ran.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Compared {
    /// The model's name and type.
    pub model: String,
    /// The test that both ran.
    pub test: Test,
    /// The number of threads here.
    pub threads: usize,
    /// Tokens a second here.
    pub tokens_per_second: f64,
    /// Tokens a second in the other results.
    pub other_tokens_per_second: f64,
    /// Speed here divided by speed there: above 1 is faster.
    pub speed: Ratio,
    /// Peak RSS here divided by peak RSS there: below 1 is leaner.
    pub peak_rss: Option<f64>,
}

impl Results {
    /// When, where and by what these results were measured.
    pub(crate) fn provenance(&self) -> Provenance {
        Provenance {
            date_utc: self.date_utc.clone(),
            siskin_version: self.siskin_version.clone(),
            llama_cpp_version: self.llama_cpp_version.clone(),
            machine: self.machine.clone(),
        }
    }

    /// The same for one of the runs; `None` if it was imported from a file that does not state it.
    pub(crate) fn provenance_of(&self, run: &Run) -> Option<Provenance> {
        match run.imported_from {
            Some(_) => run.measured.clone(),
            None => Some(self.provenance()),
        }
    }

    /// Whether the speed of any run is noisy.
    pub fn noisy(&self) -> bool {
        self.runs
            .iter()
            .any(|run| run.tokens_per_second.spread == Spread::Noisy)
    }
}

impl Run {
    /// The model's name and type; also whose kernels decoded, if that differs `among` the runs.
    pub fn title(&self, among: &[Run]) -> String {
        let title = self.model.title();
        let differs = |other: &Run| other.kernels.is_some() && other.kernels != self.kernels;
        match &self.kernels {
            Some(kernels) if among.iter().any(differs) => format!("{title}, {kernels}"),
            _ => title,
        }
    }

    /// A run of which only the speed will be known.
    pub(crate) fn bare(tool: Tool, model: Model, threads: usize, test: Test) -> Self {
        let nothing = Summary {
            median: 0.0,
            mad: 0.0,
            min: 0.0,
            max: 0.0,
            spread: Spread::Unknown,
            outliers: vec![],
            samples: vec![],
        };
        Run {
            tool,
            imported_from: None,
            measured: None,
            model,
            settings: vec![],
            threads,
            kernels: None,
            context_tokens: None,
            sequences: None,
            test,
            tokens_per_second: nothing,
            time_to_first_token_seconds: None,
            token_latency: None,
            pass: None,
            memory: None,
            kv_bytes: None,
            bytes_read_per_token: None,
            read_bandwidth_share: None,
            energy: None,
            heat: None,
        }
    }
}
