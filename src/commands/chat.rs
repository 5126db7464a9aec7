//! `siskin chat`: a conversation with a model, on a terminal or line by line.

mod command;
mod input;
mod store;
mod turn;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use jiff::ZonedDateTime;
use siskin::engine::Model;
use siskin::engine::chat::{self, Chat, ChatError, Template, TemplateError};

use super::sampling_args::{Sampling, SamplingArgs};
use super::session_args::SessionArgs;
use super::stats::{self, Stats};
use super::{exit, interrupt, style, text_input};
use command::{COMMANDS, Command};
use input::{Input, Typed};

/// Talks with a model, on its own chat template
///
/// On a terminal, /help lists the commands, Ctrl-C stops an answer, a line that ends with \ or text in """ goes on
/// over several lines. Elsewhere every line of standard input is a message, and standard output gets the answers.
#[derive(Debug, clap::Args)]
#[command(
    after_long_help = "Example:\n  siskin chat tinyllama-q4_k_m.gguf --system \"You are brief.\" --temp 0.2"
)]
pub(crate) struct ChatArgs {
    /// System prompt: instructions for the whole conversation
    #[arg(long, visible_alias = "system-prompt", value_name = "TEXT")]
    system: Option<String>,
    /// Jinja template instead of the model's own
    #[arg(long, value_name = "FILE")]
    chat_template_file: Option<PathBuf>,
    #[command(flatten)]
    sampling: SamplingArgs,
    #[command(flatten)]
    session: SessionArgs,
    /// Print one JSON object a turn instead of the answers
    #[arg(long)]
    json: bool,
    /// Print speed and memory to stderr after each answer
    #[arg(long)]
    stats: bool,
}

pub(crate) fn main(args: ChatArgs) -> anyhow::Result<ExitCode> {
    let runtime = args.session.resolve()?;
    let mut sampling = args.sampling.resolve()?;
    let given = args
        .chat_template_file
        .as_deref()
        .map(text_input::file)
        .transpose()?;
    interrupt::listen();
    let model = runtime.load()?;
    let template = match template(&model, given.as_deref()).with_context(|| hint(&args))? {
        Some(template) => template,
        None => {
            say!("siskin: this model has no chat template; talking plainly, as User and Assistant");
            sampling.stops.push("\nUser:".into());
            Template::plain()
        }
    };
    let session = runtime.start(&model)?;
    let context = session.capacity();
    let mut talk = Talk {
        chat: Chat::new(session, template, args.system),
        sampling,
        json: args.json,
        show_stats: args.stats,
        last: None,
        file: None,
        failed: false,
    };
    let mut input = Input::new()?;
    if input.is_terminal() {
        let name = args
            .session
            .model
            .as_deref()
            .unwrap_or(Path::new("the embedded storyteller"));
        let line = format!(
            "{}, a context of {context} tokens. /help lists the commands, Ctrl-D leaves.",
            name.display()
        );
        say!("{}", style::dim(&line, style::stderr()));
    }
    talk.run(&mut input)
}

/// The template given, else the model's own.
fn template(model: &Model, given: Option<&str>) -> Result<Option<Template>, TemplateError> {
    let now = ZonedDateTime::now();
    match given {
        Some(source) => chat::template_from(model, source, now).map(Some),
        None => chat::template_of(model, now),
    }
}

/// Where a template came from, and what to do.
fn hint(args: &ChatArgs) -> String {
    match &args.chat_template_file {
        Some(path) => path.display().to_string(),
        None => "give another one with --chat-template-file".into(),
    }
}

/// A conversation going on.
struct Talk<'m> {
    chat: Chat<'m>,
    sampling: Sampling,
    json: bool,
    show_stats: bool,
    /// Figures of the last answer.
    last: Option<Stats>,
    /// The file last saved to or loaded from: it may be replaced.
    file: Option<PathBuf>,
    /// Something could not be done, and was said.
    failed: bool,
}

/// What to do next.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    Listen,
    Leave(u8),
}

impl Talk<'_> {
    fn run(&mut self, input: &mut Input) -> anyhow::Result<ExitCode> {
        let mut interrupts = 0;
        let code = loop {
            let typed = interrupt::waiting(|| input.next())?;
            interrupts = if typed == Typed::Interrupt {
                interrupts + 1
            } else {
                0
            };
            match typed {
                Typed::Interrupt if interrupts == 2 => break interrupt::exit_code(),
                Typed::Interrupt => say!("Ctrl-C again or Ctrl-D leaves."),
                Typed::End => break self.code(input),
                Typed::Line(line) => match self.take(line, input.is_terminal())? {
                    Next::Leave(code) => break code.max(self.code(input)),
                    Next::Listen => {}
                },
            }
        };
        Ok(ExitCode::from(code))
    }

    /// Success, unless something failed that nobody was there to read.
    fn code(&self, input: &Input) -> u8 {
        u8::from(self.failed && !input.is_terminal())
    }

    /// A command or a message. Errors that only concern it are said, and the conversation goes on.
    fn take(&mut self, line: String, terminal: bool) -> anyhow::Result<Next> {
        let done = match command::parse(&line) {
            Some(Ok(Command::Quit)) => return Ok(Next::Leave(0)),
            Some(command) => command
                .map_err(anyhow::Error::msg)
                .and_then(|command| self.command(&command))
                .map(|()| Next::Listen),
            None => match self.turn(line, terminal) {
                Err(error) if is_final(&error) => return Err(error),
                done => done,
            },
        };
        done.or_else(|error| {
            self.failed = true;
            say!("siskin: {}", exit::one_line(&error));
            Ok(Next::Listen)
        })
    }

    fn command(&mut self, command: &Command<'_>) -> anyhow::Result<()> {
        let talk = self.chat.conversation_mut();
        match *command {
            Command::Help => {
                for (name, behind, does) in COMMANDS {
                    say!("{:15} {does}", format!("{name} {behind}"));
                }
                say!("A line that ends with \\, or text in \"\"\", goes on over several lines.");
            }
            Command::Reset => talk.reset(),
            Command::System(None) => say!("{}", talk.system().unwrap_or("no system prompt")),
            Command::System(Some("-")) => talk.set_system(None),
            Command::System(Some(text)) => talk.set_system(Some(text.to_owned())),
            Command::Stats => self.print_stats(),
            Command::Save(path, replace) => {
                let known = self.file.as_deref() == Some(Path::new(path));
                store::save(talk, Path::new(path), replace || known)?;
                self.file = Some(path.into());
                say!("saved in {path}; turns: {}", talk.turns().0);
            }
            Command::Load(path) => {
                *talk = store::load(Path::new(path))?;
                self.file = Some(path.into());
                say!("loaded from {path}; turns: {}", talk.turns().0);
            }
            Command::Quit => {}
        }
        Ok(())
    }

    fn print_stats(&self) {
        let (turns, unseen) = self.chat.conversation().turns();
        let session = self.chat.session();
        say!(
            "context  {} of {} tokens; turns: {turns}, of them out of sight: {unseen}",
            session.position(),
            session.capacity()
        );
        if let Some(last) = &self.last {
            stats::print(last);
        }
    }
}

/// True for errors after which nothing can be said any more: a closed pipe, a template that runs away.
fn is_final(error: &anyhow::Error) -> bool {
    !matches!(
        error.downcast_ref::<ChatError>(),
        Some(ChatError::TooLong { .. } | ChatError::NoMarks)
            | Some(ChatError::Template(
                TemplateError::Refused(_) | TemplateError::TooMuchSaid(_)
            ))
    )
}
