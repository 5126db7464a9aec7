//! `siskin tokenize`: turns text into token ids.

use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use siskin::{Model, Token, Tokenize};

use crate::render::text;
use crate::text_input;

/// Shows the tokens of a text
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Example:\n  siskin tokenize model.gguf \"Hello, world\" --ids")]
pub(crate) struct TokenizeArgs {
    /// GGUF file with the tokenizer, also after -m
    pub(crate) model: PathBuf,
    /// Text, also after -p; - for standard input [default: standard input]
    #[arg(conflicts_with = "file")]
    text: Option<String>,
    /// Text
    #[arg(short, long, value_name = "TEXT", allow_hyphen_values = true, conflicts_with_all = ["text", "file"])]
    prompt: Option<String>,
    /// Read the text from this file; - for standard input
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
    let text = match (args.text.as_deref().or(args.prompt.as_deref()), &args.file) {
        (Some("-"), _) => text_input::stdin()?,
        (Some(text), _) => text.to_owned(),
        (None, Some(path)) if path == Path::new("-") => text_input::stdin()?,
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
    // A long text has millions of tokens: each is written before the next is looked at.
    let mut out = BufWriter::new(text::stdout());
    if args.json {
        write!(out, "{{\"text\":{},\"ids\":", text::json(&text)?)?;
        list(&mut out, &tokens, |token| Ok(token.0.to_string()))?;
        write!(out, ",\"pieces\":")?;
        list(&mut out, &tokens, |token| text::json(&shown(&model, token)))?;
        writeln!(out, "}}")?;
    } else if args.ids {
        for (at, token) in tokens.iter().enumerate() {
            write!(out, "{}{}", if at == 0 { "" } else { " " }, token.0)?;
        }
        writeln!(out)?;
    } else {
        for token in tokens {
            writeln!(out, "{}\t{}", token.0, shown(&model, token))?;
        }
    }
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

/// Writes a list as JSON.
fn list(
    out: &mut impl Write,
    tokens: &[Token],
    json: impl Fn(Token) -> serde_json::Result<String>,
) -> anyhow::Result<()> {
    for (at, token) in tokens.iter().enumerate() {
        write!(out, "{}{}", if at == 0 { '[' } else { ',' }, json(*token)?)?;
    }
    Ok(write!(out, "{}]", if tokens.is_empty() { "[" } else { "" })?)
}

/// A token's piece on one line, with what steers a terminal and broken UTF-8 escaped.
fn shown(model: &Model, token: Token) -> String {
    let bytes = model.piece(token, true);
    let mut line = String::new();
    for chunk in bytes.utf8_chunks() {
        line += &text::escaped(&chunk.valid().replace('\\', "\\\\"));
        for byte in chunk.invalid() {
            line += &format!("\\x{byte:02x}");
        }
    }
    line
}
