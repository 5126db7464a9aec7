//! `siskin chat`: a conversation with a model, on a terminal or line by line.

mod command;
mod input;
mod store;
mod turn;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use jiff::ZonedDateTime;
use siskin::chat::{self, Chat, ChatError, Template, TemplateError};
use siskin::{Model, Sampling};

use super::sampling_args::SamplingArgs;
use super::session_args::SessionArgs;
use super::stats::Stats;
use crate::hints::Flags;
use crate::render::style;
use crate::{exit, interrupt, text_input};
use command::{COMMANDS, Command};
use input::{Input, Typed};

/// Chats with a model, using its chat template
///
/// On a terminal, /help lists the commands and Ctrl-C stops an answer. A message may have several lines: end each line
/// but the last with \, or put the text in """. If standard input is not a terminal, each of its lines is a message,
/// and the answers go to standard output.
#[derive(Debug, clap::Args)]
#[command(
    after_long_help = "Example:\n  siskin chat tinyllama-q4_k_m.gguf --system \"You are brief.\" --temp 0.2"
)]
pub(crate) struct ChatArgs {
    /// System prompt: instructions for the whole conversation
    #[arg(long, visible_alias = "system-prompt", value_name = "TEXT")]
    system: Option<String>,
    /// Use the Jinja chat template in this file instead of the model's own
    #[arg(long, value_name = "FILE")]
    chat_template_file: Option<PathBuf>,
    #[command(flatten)]
    sampling: SamplingArgs,
    #[command(flatten)]
    session: SessionArgs,
    /// Print one JSON object per turn instead of the answers
    #[arg(long)]
    json: bool,
    /// Print speed and memory to stderr after each answer
    #[arg(long)]
    stats: bool,
}

pub(crate) fn main(args: ChatArgs) -> anyhow::Result<ExitCode> {
    let plan = args.session.plan()?;
    let sampling = args.sampling.sampling()?;
    let given = args
        .chat_template_file
        .as_deref()
        .map(text_input::file)
        .transpose()?;
    interrupt::listen();
    let model = plan.load()?;
    super::notices::print_vocabulary(&model);
    let template = match template(&model, given.as_deref()).with_context(|| hint(&args))? {
        Some(template) => template,
        None => {
            say!("siskin: this model has no chat template; using plain \"User:\"/\"Assistant:\" turns");
            Template::plain()
        }
    };
    let session = model.session()?;
    let context = session.capacity();
    let mut chat_loop = ChatLoop {
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
            "{}, context of {context} tokens. /help lists the commands, Ctrl-D quits.",
            name.display()
        );
        say!("{}", style::dim(&line, style::stderr()));
    }
    chat_loop.run(&mut input)
}

/// The template given, else the model's own.
fn template(model: &Model, given: Option<&str>) -> Result<Option<Template>, TemplateError> {
    let now = ZonedDateTime::now();
    match given {
        Some(source) => chat::template_from(model, source, now).map(Some),
        None => chat::template_of(model, now),
    }
}

/// Which template an error is about, and what to do.
fn hint(args: &ChatArgs) -> String {
    match &args.chat_template_file {
        Some(path) => path.display().to_string(),
        None => "the model's own template cannot be used (--chat-template-file gives another)".into(),
    }
}

/// A conversation in progress.
struct ChatLoop {
    chat: Chat,
    sampling: Sampling,
    json: bool,
    show_stats: bool,
    /// Speed and memory of the last answer.
    last: Option<Stats>,
    /// The file last saved to or loaded from: it may be replaced.
    file: Option<PathBuf>,
    /// An error was printed.
    failed: bool,
}

/// What to do next.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    Listen,
    Leave(u8),
}

impl ChatLoop {
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
                Typed::Interrupt => say!("Press Ctrl-C again, or Ctrl-D, to quit."),
                Typed::End => break self.code(input),
                Typed::Line(line) => match self.take(line, input.is_terminal())? {
                    Next::Leave(code) => break code.max(self.code(input)),
                    Next::Listen => {}
                },
            }
        };
        Ok(ExitCode::from(code))
    }

    /// Success, unless an error was printed while standard input is not a terminal.
    fn code(&self, input: &Input) -> u8 {
        u8::from(self.failed && !input.is_terminal())
    }

    /// Carries out a command or sends a message. Errors that only concern it are printed, and the conversation continues.
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
            say!("siskin: {}", exit::with_hint(&error, &Flags::default()));
            Ok(Next::Listen)
        })
    }

    fn command(&mut self, command: &Command<'_>) -> anyhow::Result<()> {
        let conversation = self.chat.conversation_mut();
        match *command {
            Command::Help => {
                for (name, argument, does) in COMMANDS {
                    say!("{:15} {does}", format!("{name} {argument}"));
                }
                say!("Several lines: end each but the last with \\, or put \"\"\" around the text.");
            }
            Command::Reset => conversation.reset(),
            Command::System(None) => say!("{}", conversation.system().unwrap_or("no system prompt")),
            Command::System(Some("-")) => conversation.set_system(None),
            Command::System(Some(text)) => conversation.set_system(Some(text.to_owned())),
            Command::Stats => self.print_stats(),
            Command::Save(path, replace) => {
                let known = self.file.as_deref() == Some(Path::new(path));
                store::save(conversation, Path::new(path), replace || known)?;
                self.file = Some(path.into());
                say!("saved in {path}: {}", turns(conversation.turns().0));
            }
            Command::Load(path) => {
                *conversation = store::load(Path::new(path))?;
                self.file = Some(path.into());
                say!("loaded from {path}: {}", turns(conversation.turns().0));
            }
            Command::Quit => {}
        }
        Ok(())
    }

    fn print_stats(&self) {
        let (count, unseen) = self.chat.conversation().turns();
        let session = self.chat.session();
        let dropped = match unseen {
            0 => "none dropped".into(),
            count => format!("{count} dropped to make room"),
        };
        say!(
            "context  {} of {} tokens; {}, {dropped}",
            session.len(),
            session.capacity(),
            turns(count)
        );
        if let Some(last) = &self.last {
            last.print();
        }
    }
}

/// A number of turns in words.
fn turns(count: usize) -> String {
    match count {
        1 => "1 turn".into(),
        count => format!("{count} turns"),
    }
}

/// True for errors that end the conversation: a closed pipe, a template that runs away.
fn is_final(error: &anyhow::Error) -> bool {
    !matches!(
        error.downcast_ref::<ChatError>(),
        Some(ChatError::TooLong { .. } | ChatError::NoMarks)
            | Some(ChatError::Template(
                TemplateError::Refused(_) | TemplateError::MessagesTooLong(_)
            ))
    )
}
