//! What a run of the harness found, as plain data; every unit is in its field's name.

use serde::{Deserialize, Serialize};

use super::stats::{Ratio, Spread, Summary};

/// Version of the shape of [`Results`]; raised whenever a field changes its name or meaning.
pub const SCHEMA_VERSION: u32 = 1;

/// Everything a run found, and what is needed to judge and repeat it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Results {
    /// [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// What was typed.
    pub command: String,
    /// When the run began, RFC 3339.
    pub date_utc: String,
    /// Version of siskin.
    pub siskin_version: String,
    /// Version of the llama.cpp that siskin holds.
    pub llama_cpp_version: String,
    /// Where it ran.
    pub machine: Machine,
    /// Repetitions asked for.
    pub rounds: usize,
    /// Read bandwidth, an entry a thread count.
    pub read_bandwidths: Vec<Bandwidth>,
    /// Times to load.
    pub loads: Vec<Load>,
    /// Speeds.
    pub runs: Vec<Run>,
    /// Ratios, where something was compared.
    pub comparisons: Vec<Comparison>,
    /// What a reader must know: noise, throttling, what could not be measured and why.
    pub notes: Vec<String>,
}

/// A machine.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// Board or product, where the system tells.
    pub board: Option<String>,
    /// Processor.
    pub cpu: String,
    /// `x86_64`, `aarch64`, `arm`.
    pub architecture: String,
    /// Instruction sets that the program was built for and uses, as llama.cpp names them.
    pub isa: Vec<String>,
    /// CPUs this process may use.
    pub cpus: usize,
    /// Memory of the machine, or the least limit of a control group around this process.
    pub ram_bytes: u64,
    /// Operating system and its kernel's version.
    pub kernel: String,
}

impl Machine {
    /// What makes two machines the same for comparisons: a kernel may be newer, the hardware may not differ.
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
    /// Threads that read.
    pub threads: usize,
    /// Bytes read a second, best pass of each round.
    pub bytes_per_second: Summary,
}

/// A model file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Model {
    /// The file's name without folder and extension.
    pub name: String,
    /// `general.architecture`.
    pub architecture: String,
    /// The file's type, e.g. `q4_k_m`.
    pub file_type: String,
    /// SHA-256 of the whole file, where the tool tells.
    pub sha256: Option<String>,
    /// Bytes of the file.
    pub file_bytes: u64,
    /// Weights.
    pub parameters: u64,
    /// Bits of the file for each weight.
    pub bits_per_weight: f64,
    /// Training context in tokens, where the tool tells.
    pub training_context_tokens: Option<u64>,
}

impl Model {
    /// Its name with its type, which many names hold already.
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
    /// Its name, as the flag that sets it.
    pub name: String,
    /// Its value.
    pub value: String,
    /// Where it came from: flag, tuned, profile, default.
    pub origin: String,
}

/// Which program measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tool {
    /// This one.
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

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Many tokens at a time.
    Prefill,
    /// A token at a time.
    Decode,
}

/// One test.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Test {
    /// Prefill or decode.
    pub kind: Kind,
    /// Tokens computed.
    pub tokens: u32,
    /// Tokens in the context before.
    pub depth_tokens: u32,
}

impl Test {
    /// The name llama-bench gives it: `pp128`, `tg32 @ d512`.
    pub fn name(&self) -> String {
        let kind = match self.kind {
            Kind::Prefill => "pp",
            Kind::Decode => "tg",
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
    /// The most that was ever resident, mapped file pages included.
    pub peak_rss_bytes: u64,
    /// Anonymous part when the tests had run: cache, buffers, repacked weights.
    pub anonymous_bytes: Option<u64>,
    /// Part mapped from files when the tests had run: weights, program.
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

/// Energy drawn while tokens were computed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Energy {
    /// What was read: `RAPL package`, `PMIC`.
    pub source: String,
    /// Joules a token, the whole package or board: idle power is in it.
    pub joules_per_token: Summary,
}

/// The machine's heat around the rounds of a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Heat {
    /// Hottest sensor before the first round.
    pub before_celsius: Option<f64>,
    /// Hottest sensor after the last round.
    pub after_celsius: Option<f64>,
    /// Mean clock of the CPUs before the first round.
    pub before_hertz: Option<f64>,
    /// Mean clock after the last round.
    pub after_hertz: Option<f64>,
    /// Whether the clock was held down in between; `None` where the system does not tell.
    pub throttled: Option<bool>,
}

/// How long a model takes to be ready, each time in a fresh process.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Load {
    /// The model.
    pub model: Model,
    /// Settings in force.
    pub settings: Vec<Setting>,
    /// True where the file's pages were dropped from the page cache before.
    pub cold: bool,
    /// Bytes fetched from storage in the median round; `None` where the system does not tell.
    pub storage_read_bytes: Option<u64>,
    /// Until the model is loaded.
    pub load_seconds: Summary,
    /// Until a first token was computed in a fresh context, loading included.
    pub first_token_seconds: Summary,
}

/// One test of one model with one set of settings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// Which program ran it.
    pub tool: Tool,
    /// The model.
    pub model: Model,
    /// Settings in force and where each came from.
    pub settings: Vec<Setting>,
    /// Threads that computed this test.
    pub threads: usize,
    /// Whose kernels decoded: `ggml` or `siskin`; `None` where the tool knows no others than its own.
    pub kernels: Option<String>,
    /// Context in tokens, where the tool tells.
    pub context_tokens: Option<u32>,
    /// What was measured.
    pub test: Test,
    /// Tokens a second, a sample a round.
    pub tokens_per_second: Summary,
    /// Prefill of this prompt and choice of a first token.
    pub time_to_first_token_seconds: Option<Summary>,
    /// Times of single tokens, in decoding.
    pub token_latency: Option<Latency>,
    /// Resident memory.
    pub memory: Option<MemoryUse>,
    /// The cache for the whole context, computed from the file's header.
    pub kv_bytes: Option<u64>,
    /// Bytes that decoding reads a token: weights and cache, computed from the file's header.
    pub bytes_read_per_token: Option<u64>,
    /// Those bytes times the speed, over the bandwidth that the same threads measured in this run.
    pub read_bandwidth_share: Option<f64>,
    /// Energy, where it can be read.
    pub energy: Option<Energy>,
    /// Heat, where it can be read.
    pub heat: Option<Heat>,
}

/// This run against another.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// What it is compared with: a file, or a program run in the same rounds.
    pub with: String,
    /// A row a test that both ran.
    pub rows: Vec<Compared>,
}

/// One test that both ran.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Compared {
    /// The model's name and type.
    pub model: String,
    /// The test.
    pub test: Test,
    /// Threads here.
    pub threads: usize,
    /// Tokens a second here.
    pub tokens_per_second: f64,
    /// Tokens a second there.
    pub other_tokens_per_second: f64,
    /// Here / there: above 1 is faster.
    pub speed: Ratio,
    /// Peak RSS here / there: below 1 is leaner.
    pub peak_rss: Option<f64>,
}

impl Results {
    /// True where some run's speed is noisy.
    pub fn noisy(&self) -> bool {
        self.runs
            .iter()
            .any(|run| run.tokens_per_second.spread == Spread::Noisy)
    }
}

impl Run {
    /// The model's name and type, and whose kernels decoded where that differs `among` the runs.
    pub fn title(&self, among: &[Run]) -> String {
        let title = self.model.title();
        let differs = |other: &Run| other.kernels.is_some() && other.kernels != self.kernels;
        match &self.kernels {
            Some(kernels) if among.iter().any(differs) => format!("{title}, {kernels}"),
            _ => title,
        }
    }

    /// A run of which only speed will be known.
    pub(super) fn bare(tool: Tool, model: Model, threads: usize, test: Test) -> Self {
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
            model,
            settings: vec![],
            threads,
            kernels: None,
            context_tokens: None,
            test,
            tokens_per_second: nothing,
            time_to_first_token_seconds: None,
            token_latency: None,
            memory: None,
            kv_bytes: None,
            bytes_read_per_token: None,
            read_bandwidth_share: None,
            energy: None,
            heat: None,
        }
    }
}
