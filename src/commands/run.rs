//! `siskin run`: answers a question, or continues a text.

use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use anyhow::bail;
use serde::Serialize;
use siskin::chat::{Chat, ChatEvent};
use siskin::speculate::Speculation;
use siskin::{Model, SamplerConfig, Sampling, Session, StopReason, Token, Tokenize, Usage, ggml_hook};

use super::chat::{self, Talk};
use super::prompt_args::PromptArgs;
use super::sampling_args::SamplingArgs;
use super::session_args::SessionArgs;
use super::spec_args::{Remembering, SpecArgs};
use super::stats::Stats;
use super::template_args::TemplateArgs;
use crate::exit::usage_error;
use crate::interrupt;
use crate::render::progress::PromptLine;
use crate::render::text;

/// Default prompt of the embedded model.
const DEFAULT_PROMPT: &str = "Once upon a time";

/// Answers a prompt with a model, or continues a text
///
/// A model with a chat template answers; --raw, or a model without a template, continues the text. Without a prompt on a
/// terminal, it is a chat. If standard input is not a terminal, it is read to its end and follows the prompt.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Example:
  siskin run model.gguf \"What is a siskin?\"
  siskin run model.gguf \"Summarize this text:\" < notes.txt
  siskin run model.gguf --raw -p \"Once upon a time\" -n 100 --temp 0")]
pub(crate) struct RunArgs {
    #[command(flatten)]
    prompt: PromptArgs,
    /// Continue the text, without a chat template
    #[arg(long, conflicts_with_all = ["system", "system_file", "chat_template_file"])]
    raw: bool,
    #[command(flatten)]
    template: TemplateArgs,
    #[command(flatten)]
    sampling: SamplingArgs,
    #[command(flatten)]
    pub(crate) session: SessionArgs,
    #[command(flatten)]
    spec: SpecArgs,
    /// Do not print the prompt before its continuation
    #[arg(long)]
    no_display_prompt: bool,
    /// Print one JSON object instead of the text
    #[arg(long)]
    json: bool,
    /// Print speed and memory to stderr at the end
    #[arg(long)]
    stats: bool,
}

#[derive(Debug, Serialize)]
struct Settings {
    context: u32,
    threads: usize,
    threads_batch: usize,
    kernels: ggml_hook::Status,
    #[serde(flatten)]
    sampler: SamplerConfig,
}

#[derive(Debug, Serialize)]
struct Report<'a> {
    prompt: &'a str,
    text: &'a str,
    tokens: &'a [Token],
    stop: Option<StopReason>,
    settings: Settings,
    stats: Stats,
}

/// A text that a model has made.
struct Made {
    text: String,
    tokens: Vec<Token>,
    stop: Option<StopReason>,
    usage: Usage,
    speculation: Option<Speculation>,
    context: u32,
}

pub(crate) fn main(args: RunArgs) -> anyhow::Result<ExitCode> {
    let Some(given) = args.given()? else {
        return args.converse();
    };
    let plan = args.session.plan()?;
    let sampling = args.sampling.sampling()?;
    let frame = args.template.read()?;
    let prompt = args.read(given)?;
    let times = plan.pass_times();
    let model = plan.load()?;
    super::notices::print_vocabulary(&model);
    let template = if args.raw { None } else { frame.template(&model)? };
    let mut session = model.session()?;
    let remembering = args
        .spec
        .apply(&mut session, times, |path| args.session.builder(path))?;
    let made = match template {
        Some(template) => {
            let line = PromptLine::new(&mut session);
            let chat = Chat::new(session, template, frame.system);
            args.answer(chat, &line, &prompt, &sampling, &remembering)?
        }
        None if frame.system.is_some() => {
            bail!("this model has no chat template, so it takes no system prompt; write it into the prompt")
        }
        None => args.go_on(session, &prompt, &sampling, &remembering)?,
    };
    args.report(&model, &prompt, made, sampling.config, remembering.off.as_deref())
}

/// Where the prompt comes from, once that is known to be somewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Given {
    /// Flags, words, or a pipe.
    Prompt,
    /// The embedded model's own prompt, unless something is piped in.
    Default,
}

impl RunArgs {
    /// Whether there is a prompt; `None` if this is to be a chat.
    fn given(&self) -> anyhow::Result<Option<Given>> {
        let (stdin, stdout) = (std::io::stdin().is_terminal(), std::io::stdout().is_terminal());
        if self.prompt.is_given() {
            return Ok(Some(Given::Prompt));
        }
        if self.session.model.is_none() {
            return Ok(Some(Given::Default));
        }
        if !stdin {
            return Ok(Some(Given::Prompt));
        }
        if self.raw || self.json || self.no_display_prompt || !stdout {
            return Err(usage_error(
                "there is no prompt; type it after MODEL, give -p or -f, or pipe it in",
            ));
        }
        Ok(None)
    }

    fn read(&self, given: Given) -> anyhow::Result<String> {
        let text = self.prompt.read()?.unwrap_or_default();
        Ok(match given {
            Given::Default if text.is_empty() => DEFAULT_PROMPT.into(),
            _ => text,
        })
    }

    /// Without a prompt on a terminal, this is `siskin chat`.
    fn converse(self) -> anyhow::Result<ExitCode> {
        let talk = Talk {
            show_stats: self.stats,
            ..Talk::default()
        };
        chat::converse(&self.session, &self.sampling, &self.template, &self.spec, talk)
    }

    /// Answers on the template.
    fn answer(
        &self,
        mut chat: Chat,
        line: &PromptLine,
        prompt: &str,
        sampling: &Sampling,
        remembering: &Remembering,
    ) -> anyhow::Result<Made> {
        if prompt.trim().is_empty() {
            return Err(usage_error(
                "the prompt is empty; type it after MODEL, give -p or -f, or pipe it in",
            ));
        }
        let context = chat.session().capacity();
        line.begin();
        let reply = chat.reply(prompt, sampling, Some(interrupt::listen()));
        line.end();
        let mut reply = reply?;
        for event in &mut reply {
            if let ChatEvent::Text(part) = event? {
                self.show(&part)?;
            }
        }
        // Unlike a continuation, an answer is a text of its own: its last line ends.
        let ended = reply.text().is_empty() || reply.text().ends_with('\n');
        if !ended {
            self.show("\n")?;
        }
        let made = Made {
            text: reply.text().to_owned(),
            tokens: reply.tokens().to_vec(),
            stop: reply.stop_reason(),
            usage: reply.usage(),
            speculation: reply.speculation().cloned(),
            context,
        };
        drop(reply);
        remembering.save(chat.session());
        std::mem::forget(chat);
        Ok(made)
    }

    /// Continues the prompt.
    fn go_on(
        &self,
        mut session: Session,
        prompt: &str,
        sampling: &Sampling,
        remembering: &Remembering,
    ) -> anyhow::Result<Made> {
        let (context, adds_space) = (session.capacity(), session.model().adds_space_prefix());
        // Until the end of this a signal ends the program at once.
        let tokens = session.tokenize(prompt, Tokenize::PROMPT, None)?;
        let tokens = tokens.unwrap_or_default();
        let line = PromptLine::new(&mut session);
        line.begin();
        let generation = session.generate_from(&tokens, sampling, Some(interrupt::listen()));
        line.end();
        let mut generation = generation?;
        // SentencePiece writes a space before a text's first word; it is not part of the text.
        if prompt.is_empty() && tokens.len() <= 1 && adds_space {
            generation.strip_leading_space();
        }
        if !self.no_display_prompt {
            self.show(prompt)?;
        }
        for piece in &mut generation {
            self.show(&piece?)?;
        }
        // A file or a pipe gets the text and nothing else.
        if std::io::stdout().is_terminal() {
            self.show("\n")?;
        }
        let made = Made {
            text: generation.text().to_owned(),
            tokens: generation.tokens().to_vec(),
            stop: generation.stop_reason(),
            usage: generation.usage(),
            speculation: generation.speculation().cloned(),
            context,
        };
        remembering.save(&session);
        std::mem::forget(session);
        Ok(made)
    }

    fn show(&self, text: &str) -> std::io::Result<()> {
        if self.json { Ok(()) } else { text::put(text) }
    }

    fn report(
        &self,
        model: &Model,
        prompt: &str,
        made: Made,
        sampler: SamplerConfig,
        off: Option<&str>,
    ) -> anyhow::Result<ExitCode> {
        let values = model.settings().values;
        let stats = Stats::new(made.usage, made.speculation, model).without_guesses(off);
        if self.json {
            let report = Report {
                prompt,
                text: &made.text,
                tokens: &made.tokens,
                stop: made.stop,
                settings: Settings {
                    context: made.context,
                    threads: values.threads,
                    threads_batch: values.threads_batch,
                    kernels: ggml_hook::status(),
                    sampler,
                },
                stats,
            };
            writeln!(text::stdout(), "{}", text::json(&report)?)?;
        } else if self.stats {
            stats.print();
            Stats::print_seed(&sampler);
        }
        let code = match made.stop {
            Some(StopReason::Interrupted) => interrupt::exit_code(),
            _ => 0,
        };
        // The process ends here, and the system takes its memory back at once; to free a large vocabulary piece by
        // piece takes as long as a token or two.
        std::mem::forget(model.clone());
        Ok(ExitCode::from(code))
    }
}
