//! The flags of a prompt, shared by the commands that answer or continue a text.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use crate::text_input;

/// What was typed.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct PromptArgs {
    /// Prompt, also after MODEL; - for standard input. Text that is piped in follows it
    #[arg(
        short,
        long,
        value_name = "TEXT",
        allow_hyphen_values = true,
        conflicts_with = "file"
    )]
    prompt: Option<String>,
    /// Read the prompt from this file; - for standard input
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Read \n, \t, \", \' and \\ in the prompt as the characters they stand for
    #[arg(short, long)]
    escape: bool,
    /// Prompt, in one or more words
    #[arg(index = 2, value_name = "PROMPT", conflicts_with_all = ["prompt", "file"])]
    words: Vec<String>,
}

/// Where the prompt comes from.
#[derive(Debug, PartialEq, Eq)]
enum Source<'a> {
    Typed(String),
    File(&'a Path),
    Stdin,
    /// Neither flags nor words.
    Nowhere,
}

impl PromptArgs {
    /// Whether a prompt was given, by flags or words.
    pub(crate) fn is_given(&self) -> bool {
        self.source() != Source::Nowhere
    }

    fn source(&self) -> Source<'_> {
        let words = self.words.join(" ");
        match (&self.prompt, &self.file) {
            (Some(text), _) if text == "-" => Source::Stdin,
            (Some(text), _) => Source::Typed(self.unescaped(text)),
            (_, Some(path)) if path == Path::new("-") => Source::Stdin,
            (_, Some(path)) => Source::File(path),
            _ if self.words.is_empty() => Source::Nowhere,
            _ if words == "-" => Source::Stdin,
            _ => Source::Typed(self.unescaped(&words)),
        }
    }

    fn unescaped(&self, text: &str) -> String {
        if self.escape {
            unescaped(text)
        } else {
            text.to_owned()
        }
    }

    /// Reads the prompt: what was typed, or the file, followed by standard input if that is no terminal. `None` if nothing
    /// was given and standard input is a terminal.
    ///
    /// # Errors
    /// The prompt cannot be read.
    pub(crate) fn read(&self) -> anyhow::Result<Option<String>> {
        let piped = || match std::io::stdin().is_terminal() {
            true => Ok(String::new()),
            false => text_input::stdin().map(text_input::without_newline),
        };
        Ok(match self.source() {
            Source::Typed(text) => Some(followed_by(text, &piped()?)),
            Source::File(path) => Some(followed_by(
                text_input::without_newline(text_input::file(path)?),
                &piped()?,
            )),
            Source::Stdin => Some(text_input::without_newline(text_input::stdin()?)),
            Source::Nowhere if std::io::stdin().is_terminal() => None,
            Source::Nowhere => Some(piped()?),
        })
    }
}

/// An instruction and the text that it is about.
fn followed_by(mut prompt: String, piped: &str) -> String {
    if !piped.is_empty() {
        if !prompt.is_empty() {
            prompt.push_str("\n\n");
        }
        prompt.push_str(piped);
    }
    prompt
}

/// `text` with the usual escapes replaced. Others stay as they are.
fn unescaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        let next = if c == '\\' { rest.clone().next() } else { None };
        let meant = match next {
            Some('n') => '\n',
            Some('t') => '\t',
            Some('r') => '\r',
            Some(c @ ('\\' | '"' | '\'')) => c,
            _ => {
                out.push(c);
                continue;
            }
        };
        out.push(meant);
        rest.next();
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(prompt: Option<&str>, file: Option<&str>, words: &[&str]) -> PromptArgs {
        PromptArgs {
            prompt: prompt.map(str::to_owned),
            file: file.map(PathBuf::from),
            escape: false,
            words: words.iter().map(|word| (*word).to_owned()).collect(),
        }
    }

    #[test]
    fn a_prompt_is_words_a_flag_a_file_or_standard_input() {
        let typed = |text: &str| Source::Typed(text.into());
        let cases = [
            (args(None, None, &[]), Source::Nowhere),
            (args(None, None, &["why", "so?"]), typed("why so?")),
            (args(None, None, &["-"]), Source::Stdin),
            (args(Some("why?"), None, &[]), typed("why?")),
            (args(Some(""), None, &[]), typed("")),
            (args(Some("-"), None, &[]), Source::Stdin),
            (args(None, Some("-"), &[]), Source::Stdin),
            (args(None, Some("a"), &[]), Source::File(Path::new("a"))),
        ];
        for (args, want) in cases {
            assert_eq!(args.source(), want, "{args:?}");
        }
    }

    #[test]
    fn texts_are_joined_and_lose_one_line_break() {
        assert_eq!(followed_by("Sum up:".into(), "a\nb"), "Sum up:\n\na\nb");
        assert_eq!(followed_by("Why?".into(), ""), "Why?");
        assert_eq!(followed_by(String::new(), "a"), "a");
        for (text, want) in [
            ("a\n", "a"),
            ("a\r\n", "a"),
            ("a\n\n", "a\n"),
            ("a", "a"),
            ("\r", "\r"),
        ] {
            assert_eq!(text_input::without_newline(text.into()), want);
        }
        assert_eq!(unescaped(r#"a\n\t\"\\n\x\"#), "a\n\t\"\\n\\x\\");
    }
}
