//! Spellings by which special tokens are recognised: llama.cpp's tables (`llama_vocab::impl::load`).
//!
//! They are public so that a test can compare them with llama.cpp's source (`tests/llama_cpp_text.rs`).

/// Tokens that end a text or a turn. They are control tokens even if the file marks them otherwise.
pub const ENDS: [&str; 22] = [
    "<|eot_id|>",
    "<|im_end|>",
    "<|end|>",
    "<|return|>",
    "<|call|>",
    "<|flush|>",
    "<|calls|>",
    "<end_of_turn>",
    "<|endoftext|>",
    "</s>",
    "<|eom_id|>",
    "<EOT>",
    "_<EOT>",
    "[EOT]",
    "[EOS]",
    "<|end_of_text|>",
    "<end_of_utterance>",
    "<eos>",
    "<turn|>",
    "<|tool_response>",
    "<｜end▁of▁sentence｜>",
    "[e~[",
];

/// Tokens that are text even if the file marks them otherwise.
pub const TEXTS: [&str; 4] = ["<|channel|>", "<|message|>", "<|start|>", "<|constrain|>"];

/// A token for filling in the middle of a text. If no key names one, it is found by its spelling and becomes a control
/// token.
#[derive(Debug)]
pub struct Infill {
    /// The keys that name it, without `tokenizer.ggml.`; a later one wins.
    pub keys: &'static [&'static str],
    /// Its usual spellings.
    pub spellings: &'static [&'static str],
    /// Whether it ends a text.
    pub ends: bool,
}

/// Every such token.
pub const INFILL: [Infill; 6] = [
    Infill {
        keys: &["fim_pre_token_id", "prefix_token_id"],
        spellings: &[
            "<|fim_prefix|>",
            "<fim-prefix>",
            "<fim_prefix>",
            "<｜fim▁begin｜>",
            "<PRE>",
            "▁<PRE>",
            "<|code_prefix|>",
            "<|prefix|>",
        ],
        ends: false,
    },
    Infill {
        keys: &["fim_suf_token_id", "suffix_token_id"],
        spellings: &[
            "<|fim_suffix|>",
            "<fim-suffix>",
            "<fim_suffix>",
            "<｜fim▁hole｜>",
            "<SUF>",
            "▁<SUF>",
            "<|code_suffix|>",
            "<|suffix|>",
        ],
        ends: false,
    },
    Infill {
        keys: &["fim_mid_token_id", "middle_token_id"],
        spellings: &[
            "<|fim_middle|>",
            "<fim-middle>",
            "<fim_middle>",
            "<｜fim▁end｜>",
            "<MID>",
            "▁<MID>",
            "<|code_middle|>",
            "<|middle|>",
        ],
        ends: false,
    },
    Infill {
        keys: &["fim_pad_token_id"],
        spellings: &["<|fim_pad|>", "<fim-pad>", "<fim_pad>", "<PAD>", "[PAD]"],
        ends: true,
    },
    Infill {
        keys: &["fim_rep_token_id"],
        spellings: &[
            "<|fim_repo|>",
            "<|repo_name|>",
            "<fim-repo>",
            "<REPO>",
            "<reponame>",
        ],
        ends: true,
    },
    Infill {
        keys: &["fim_sep_token_id"],
        spellings: &["<|file_sep|>"],
        ends: true,
    },
];
