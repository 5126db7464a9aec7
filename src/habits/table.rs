//! What people type, and what happens here.
//!
//! Sources: the help texts of llama-cli, llama-server, llama-bench, llama-quantize, llama-tokenize, llama-imatrix and
//! convert_hf_to_gguf.py of llama.cpp, and of ollama.

/// What a flag of another program means here.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Here {
    /// The flag that siskin has; a value stays.
    As(&'static str),
    /// siskin does so anyway; so many values follow and are dropped.
    Always(usize),
    /// What to type instead.
    Say(&'static str),
}

/// A flag under its names. The first row that fits the command counts.
pub(super) struct Row {
    pub(super) names: &'static [&'static str],
    pub(super) here: Here,
    /// The commands that it is for; empty for all.
    pub(super) only: &'static [&'static str],
}

const fn row(names: &'static [&'static str], here: Here) -> Row {
    Row {
        names,
        here,
        only: &[],
    }
}

const fn only(only: &'static [&'static str], names: &'static [&'static str], here: Here) -> Row {
    Row { names, here, only }
}

/// How to get a model.
pub(crate) const DOWNLOAD: &str = "siskin pull NAME gets a model: OWNER/REPO of Hugging Face, OWNER/REPO:TYPE of GGUF files, ollama:NAME:TAG; siskin list shows what is here";

const CPU: &str = "siskin computes on the CPU; leave it out";
const FROM_FILE: &str = "siskin takes it from the model's file; leave it out";
const NO_SAMPLER: &str =
    "siskin does not have this sampler; it has --temp, --top-k, --top-p, --min-p and --repeat-penalty";
const NO_GRAMMAR: &str =
    "siskin has no grammars and no JSON schemas yet; --json prints the answer inside a JSON object";
const NO_DRAFT: &str = "siskin has no draft models yet; leave it out";
const NO_ADAPTER: &str = "siskin has no adapters yet; merge it into the checkpoint before siskin convert";
const TEXT_ONLY: &str = "siskin reads text only";
const PLACED: &str = "siskin places its threads by itself; start it under taskset to choose the CPUs";
const MIXES: &str = "siskin writes llama-quantize's mixes; the type of a single tensor cannot be chosen";
const ONE_FILE: &str = "siskin writes one file";
const SURROUNDED: &str =
    "the chat template has what surrounds a message; --chat-template-file FILE gives another";
const NO_PROMPT_CACHE: &str = "siskin chat keeps its context from turn to turn; siskin serve MODEL --prefix-store DIR saves computed prompts";
const SERVED: &str = "siskin serve MODEL serves a model over HTTP; its --help lists its flags";
const IN_REQUEST: &str = "each request says it; leave it out";
const SAVES: &str = "known beginnings of prompts stay in the context by themselves; --prefix-store DIR keeps them over restarts";
const WAITS: &str = "connections that do not move are closed by themselves, and --max-wait TIME limits how long requests wait";

use Here::{Always, As, Say};

/// The flags.
pub(super) const FLAGS: &[Row] = &[
    // Other names.
    row(&["--ctx", "--num-ctx"], As("--ctx-size")),
    row(&["--predict", "--num-predict", "--max-tokens"], As("--n-predict")),
    row(&["-no-cnv", "--no-conversation"], As("--raw")),
    row(&["-r", "--reverse-prompt"], As("--stop")),
    row(&["-sys"], As("--system")),
    row(&["-sysf", "--system-prompt-file"], As("--system-file")),
    row(&["-tb"], As("--threads-batch")),
    row(&["-ub"], As("--ubatch-size")),
    row(&["--nthreads"], As("--threads")),
    row(&["-npl"], As("--n-parallel")),
    row(&["-npp"], As("--n-prompt")),
    row(&["-ntg"], As("--n-gen")),
    row(&["--outfile"], As("--output")),
    row(&["--outtype"], As("--type")),
    row(&["--repetition-penalty"], As("--repeat-penalty")),
    row(&["--temperature"], As("--temp")),
    row(&["-np"], As("--parallel")),
    row(&["--sleep-idle-seconds"], As("--idle-unload")),
    // What siskin does anyway.
    only(
        &["chat"],
        &[
            "-cnv",
            "--conversation",
            "-i",
            "--interactive",
            "-if",
            "--interactive-first",
        ],
        Always(0),
    ),
    only(&["run"], &["-st", "--single-turn"], Always(0)),
    only(
        &["run", "chat", "serve"],
        &["--jinja", "--no-escape", "--simple-io", "--nowordwrap"],
        Always(0),
    ),
    only(
        &["serve"],
        &[
            "-cb",
            "--cont-batching",
            "-kvu",
            "--kv-unified",
            "--metrics",
            "--slots",
            "--cache-prompt",
            "--embedding",
            "--embeddings",
        ],
        Always(0),
    ),
    only(
        &["run", "chat", "bench", "serve"],
        &[
            "--no-warmup",
            "--warmup",
            "-nkvo",
            "--no-kv-offload",
            "--check-tensors",
        ],
        Always(0),
    ),
    row(
        &[
            "--log-disable",
            "--offline",
            "--no-perf",
            "--perf",
            "--no-ppl",
            "--no-lazy",
            "--use-temp-file",
        ],
        Always(0),
    ),
    only(&["run", "chat"], &["--keepalive"], Always(1)),
    only(&["tokenize"], &["--stdin"], Always(0)),
    // Where the model is computed.
    row(
        &[
            "-ngl",
            "--n-gpu-layers",
            "--gpu-layers",
            "--num-gpu",
            "-mg",
            "--main-gpu",
            "-sm",
            "--split-mode",
            "-ts",
            "--tensor-split",
            "-dev",
            "--device",
            "--list-devices",
            "-ot",
            "--override-tensor",
            "-cmoe",
            "--cpu-moe",
            "-ncmoe",
            "--n-cpu-moe",
            "-ngld",
            "--gpu-layers-draft",
            "-devd",
            "--rpc",
            "-oe",
        ],
        Say(CPU),
    ),
    row(
        &[
            "-C",
            "--cpu-mask",
            "-Cr",
            "--cpu-range",
            "--cpu-strict",
            "--prio",
            "--poll",
            "--numa",
            "-Cb",
            "--cpu-mask-batch",
        ],
        Say(PLACED),
    ),
    row(
        &["-b", "--batch-size"],
        Say("siskin has one size of batches: --ubatch-size N"),
    ),
    row(
        &["-ctk", "--cache-type-k", "-ctv", "--cache-type-v"],
        Say("keys and values have one type: --cache-type TYPE"),
    ),
    row(&["-mmp"], Say("type --mmap or --no-mmap")),
    only(
        &["run", "chat", "bench", "tune", "imatrix", "tokenize"],
        &["-np", "--parallel", "-cb", "--cont-batching"],
        Say("this command computes one sequence at a time; siskin serve computes several"),
    ),
    row(
        &[
            "--rope-scaling",
            "--rope-scale",
            "--rope-freq-base",
            "--rope-freq-scale",
            "--yarn-orig-ctx",
            "--yarn-ext-factor",
            "--yarn-attn-factor",
            "--yarn-beta-slow",
            "--yarn-beta-fast",
            "--override-kv",
        ],
        Say(FROM_FILE),
    ),
    // Conversations.
    only(
        &["run"],
        &[
            "-cnv",
            "--conversation",
            "-i",
            "--interactive",
            "-if",
            "--interactive-first",
            "-ins",
            "--instruct",
            "-cml",
            "--chatml",
        ],
        Say("for a conversation type siskin chat MODEL; siskin run answers one prompt"),
    ),
    only(
        &["chat"],
        &["-no-cnv", "--no-conversation", "--raw"],
        Say("siskin run MODEL --raw continues a text"),
    ),
    only(
        &["chat"],
        &["-st", "--single-turn"],
        Say("siskin run MODEL PROMPT answers once"),
    ),
    row(
        &["--color", "-co", "--colors"],
        Say("siskin colours what is on a terminal by itself; NO_COLOR=1 turns that off"),
    ),
    row(
        &["--chat-template"],
        Say("siskin takes the model's own template; --chat-template-file FILE gives another"),
    ),
    row(
        &["--no-jinja"],
        Say("siskin always renders the model's Jinja template; leave it out"),
    ),
    row(
        &["--in-prefix", "--in-suffix", "--in-prefix-bos"],
        Say(SURROUNDED),
    ),
    row(
        &["--prompt-cache", "--prompt-cache-all", "--prompt-cache-ro"],
        Say(NO_PROMPT_CACHE),
    ),
    row(
        &[
            "--think",
            "--hidethinking",
            "--reasoning-budget",
            "--reasoning-format",
            "-rea",
            "--reasoning",
        ],
        Say("siskin shows all that the model writes; leave it out"),
    ),
    only(
        &["run", "chat"],
        &["-mli", "--multiline-input"],
        Say("end each line but the last with \\; leave it out"),
    ),
    // Sampling.
    row(
        &[
            "--top-nsigma",
            "--top-n-sigma",
            "--typical",
            "--typical-p",
            "--tfs",
            "--xtc-probability",
            "--xtc-threshold",
            "--dry-multiplier",
            "--dry-base",
            "--dry-allowed-length",
            "--dry-penalty-last-n",
            "--dry-sequence-breaker",
            "--mirostat",
            "--mirostat-lr",
            "--mirostat-ent",
            "--dynatemp-range",
            "--dynatemp-exp",
            "--samplers",
            "--sampling-seq",
            "--sampler-seq",
            "-l",
            "--logit-bias",
            "--ignore-eos",
        ],
        Say(NO_SAMPLER),
    ),
    row(
        &[
            "--grammar",
            "--grammar-file",
            "-j",
            "--json-schema",
            "-jf",
            "--json-schema-file",
            "--format",
        ],
        Say(NO_GRAMMAR),
    ),
    // More models, and none.
    row(
        &[
            "-hf",
            "-hfr",
            "--hf-repo",
            "-hff",
            "--hf-file",
            "-hft",
            "--hf-token",
            "-mu",
            "--model-url",
            "-dr",
            "--docker-repo",
            "--remote",
        ],
        Say(DOWNLOAD),
    ),
    row(
        &[
            "-md",
            "--model-draft",
            "--draft",
            "--draft-max",
            "--draft-min",
            "--draft-n",
            "-hfd",
            "--spec-type",
        ],
        Say(NO_DRAFT),
    ),
    row(&["--lora", "--lora-scaled", "--control-vector"], Say(NO_ADAPTER)),
    row(&["-mm", "--mmproj", "--image", "--audio"], Say(TEXT_ONLY)),
    row(&["--host", "--port"], Say(SERVED)),
    // Services.
    only(
        &["serve"],
        &["--api-key"],
        Say(
            "everyone on this machine can see a command line; put the key into a file that only you can read: --api-key-file FILE",
        ),
    ),
    only(
        &["serve"],
        &[
            "--cache-ram",
            "-cram",
            "--slot-save-path",
            "--cache-reuse",
            "-sps",
            "--slot-prompt-similarity",
            "--ctx-checkpoints",
        ],
        Say(SAVES),
    ),
    only(&["serve"], &["-to", "--timeout"], Say(WAITS)),
    only(
        &["serve"],
        &["--ssl-key-file", "--ssl-cert-file"],
        Say("siskin serves plain HTTP; a proxy before it, such as Caddy or nginx, adds TLS"),
    ),
    only(
        &["serve"],
        &[
            "--no-webui",
            "--webui",
            "--webui-config",
            "--path",
            "--api-prefix",
        ],
        Say("the page is small, loads nothing from elsewhere and is always at /; leave it out"),
    ),
    only(
        &["serve"],
        &["--threads-http"],
        Say("one thread is enough to serve HTTP; leave it out"),
    ),
    only(
        &["serve"],
        &[
            "--no-slots",
            "--props",
            "--no-cont-batching",
            "-nocb",
            "--no-cache-prompt",
        ],
        Say("siskin serve always works the same way here; leave it out"),
    ),
    only(
        &["serve"],
        &[
            "--models-dir",
            "--models-max",
            "--models-preset",
            "--models-autoload",
        ],
        Say("name the files, as siskin serve A.gguf B.gguf; --memory SIZE limits how many are loaded"),
    ),
    only(
        &["serve"],
        &["--rerank", "--reranking", "--pooling"],
        Say("siskin does not rank texts, and takes the pooling from the model's file"),
    ),
    only(
        &["serve"],
        &[
            "-n",
            "--n-predict",
            "--stop",
            "-p",
            "--prompt",
            "-sys",
            "--grammar",
            "--grammar-file",
            "-j",
            "--json-schema",
            "-jf",
            "--json-schema-file",
        ],
        Say(IN_REQUEST),
    ),
    // Logs.
    row(
        &["-lv", "--verbosity", "--log-verbosity", "--log-verbose"],
        Say("--verbose shows llama.cpp's log"),
    ),
    row(
        &["--log-file"],
        Say("what siskin reports goes to stderr: 2> FILE"),
    ),
    row(
        &["--verbose-prompt"],
        Say("siskin tokenize MODEL TEXT shows the tokens of a text"),
    ),
    // Files.
    row(
        &[
            "--pure",
            "--leave-output-tensor",
            "--output-tensor-type",
            "--token-embedding-type",
            "--tensor-type",
            "--tensor-type-file",
            "--include-weights",
            "--exclude-weights",
            "--prune-layers",
        ],
        Say(MIXES),
    ),
    row(
        &["--keep-split", "--split-max-size", "--split-max-tensors"],
        Say(ONE_FILE),
    ),
    row(
        &["--vocab-only", "--bigendian"],
        Say("siskin writes whole models, little-endian"),
    ),
    row(
        &["--model-name", "--metadata"],
        Say("siskin takes names from the checkpoint"),
    ),
    only(
        &["bench"],
        &["-pg"],
        Say("give -p and -n; each is measured by itself"),
    ),
    only(
        &["imatrix"],
        &["-ofreq", "--output-frequency", "--save-frequency"],
        Say("siskin writes the file once, at the end"),
    ),
];
