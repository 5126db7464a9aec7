//! Commands of other programs.

use super::table::DOWNLOAD;

/// Commands of other programs, and what to do here.
pub(super) const COMMANDS: &[(&[&str], &str)] = &[
    (&["download", "get"], DOWNLOAD),
    (&["ls"], "type siskin list"),
    (
        &["ps", "stop"],
        "only siskin serve keeps models loaded; GET /api/ps lists them, and SIGTERM ends it",
    ),
    (
        &["cp"],
        "a model is a GGUF file; siskin path NAME prints where it is",
    ),
    (&["remove", "delete"], "type siskin rm NAME"),
    (&["server", "llama-server"], "type siskin serve MODEL"),
    (&["show", "info"], "siskin inspect FILE.gguf shows a model"),
    (
        &["create"],
        "siskin convert DIR makes a model of a checkpoint, siskin quantize a smaller one; siskin chat MODEL --system TEXT gives it \
         instructions",
    ),
    (
        &["push", "signin", "signout", "login"],
        "siskin uploads nothing and has no accounts",
    ),
    (
        &[
            "ask",
            "generate",
            "answer",
            "cli",
            "main",
            "llama-cli",
            "complete",
        ],
        "type siskin run MODEL PROMPT, or siskin chat MODEL",
    ),
    (
        &["perplexity", "llama-perplexity"],
        "siskin does not measure perplexity yet",
    ),
    (&["llama-bench", "benchmark"], "type siskin bench MODEL"),
    (
        &["llama-quantize", "quantise"],
        "type siskin quantize IN.gguf TYPE",
    ),
    (&["llama-tokenize"], "type siskin tokenize MODEL TEXT"),
    (
        &["llama-imatrix"],
        "type siskin imatrix MODEL -f TEXT -o OUT.gguf",
    ),
    (
        &[
            "convert_hf_to_gguf.py",
            "convert-hf-to-gguf",
            "convert_hf_to_gguf",
        ],
        "type siskin convert DIR",
    ),
];
