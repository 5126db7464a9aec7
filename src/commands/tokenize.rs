//! `siskin tokenize`: turns text into token ids.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::json;
use siskin::{Model, Token, Tokenize};

use crate::text_input;

/// Shows the tokens of a text
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Example:\n  siskin tokenize model.gguf \"Hello, world\" --ids")]
pub(crate) struct TokenizeArgs {
    /// GGUF file with the tokenizer
    model: PathBuf,
    /// Text [default: standard input]
    #[arg(conflicts_with = "file")]
    text: Option<String>,
    /// Read the text from this file
    #[arg(short, long)]
    file: Option<PathBuf>,
    /// Print the ids on one line instead of one token per line
    #[arg(long)]
    ids: bool,
    /// Do not add BOS and EOS
    #[arg(long)]
    no_bos: bool,
    /// Recognize special tokens such as <s> in the text
    #[arg(long)]
    special: bool,
    /// Print one JSON object
    #[arg(long, conflicts_with = "ids")]
    json: bool,
}

pub(crate) fn main(args: TokenizeArgs) -> anyhow::Result<ExitCode> {
    let text = match (&args.text, &args.file) {
        (Some(text), _) => text.clone(),
        (None, Some(path)) => text_input::file(path)?,
        (None, None) => text_input::stdin()?,
    };
    let model = Model::builder(&args.model).vocab_only().load()?;
    super::notices::print_vocabulary(&model);
    let options = Tokenize {
        add_special: !args.no_bos,
        parse_special: args.special,
    };
    let tokens = model.tokenize(&text, options);
    let mut out = std::io::stdout().lock();
    if args.json {
        let pieces: Vec<String> = tokens.iter().map(|token| shown(&model, *token)).collect();
        writeln!(out, "{}", json!({"text": text, "ids": tokens, "pieces": pieces}))?;
    } else if args.ids {
        let ids: Vec<String> = tokens.iter().map(|token| token.0.to_string()).collect();
        writeln!(out, "{}", ids.join(" "))?;
    } else {
        for token in tokens {
            writeln!(out, "{}\t{}", token.0, shown(&model, token))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// A token's piece on one line, with control characters and broken UTF-8 escaped.
fn shown(model: &Model, token: Token) -> String {
    let bytes = model.piece(token, true);
    let escape = |text: &str| {
        text.chars()
            .map(|c| {
                if c.is_control() || c == '\\' {
                    c.escape_default().to_string()
                } else {
                    c.to_string()
                }
            })
            .collect::<String>()
    };
    bytes
        .utf8_chunks()
        .map(|chunk| {
            escape(chunk.valid())
                + &chunk
                    .invalid()
                    .iter()
                    .map(|b| format!("\\x{b:02x}"))
                    .collect::<String>()
        })
        .collect()
}
