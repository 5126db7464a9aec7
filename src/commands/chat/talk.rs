//! The conversation in progress: listens, obeys commands on a terminal, sends messages.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use siskin::Sampling;
use siskin::chat::{Chat, Role};

use super::command::{self, COMMANDS, Command, Unknown};
use super::input::{Input, Typed};
use super::{Talk, is_final, store, turns};
use crate::commands::stats::Stats;
use crate::exit::{self, usage_error};
use crate::hints::Flags;
use crate::interrupt;
use crate::render::progress::PromptLine;
use crate::render::text;

/// Columns of a message that is only recalled.
const RECALLED: usize = 70;

/// A conversation in progress.
pub(super) struct ChatLoop {
    pub(super) chat: Chat,
    pub(super) sampling: Sampling,
    pub(super) line: PromptLine,
    pub(super) json: bool,
    pub(super) show_stats: bool,
    /// Why nothing is guessed, though it was left to siskin.
    pub(super) guesses_nothing: Option<String>,
    /// Speed and memory of the last answer.
    pub(super) last: Option<Stats>,
    /// Turns that no file has yet.
    pub(super) unsaved: usize,
    /// Those of them that are kept in case the program ends.
    kept: usize,
    /// The file last saved to or loaded from: it may be replaced.
    file: Option<PathBuf>,
    /// The files that were read: none is overwritten.
    pub(super) inputs: Vec<PathBuf>,
    /// An error was printed.
    failed: bool,
}

/// What to do next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    Listen,
    /// Offers this text for editing, instead of an empty line.
    Offer(String),
    Leave(u8),
}

impl ChatLoop {
    pub(super) fn new(chat: Chat, sampling: Sampling, line: PromptLine, talk: &Talk) -> Self {
        ChatLoop {
            chat,
            sampling,
            line,
            json: talk.json,
            show_stats: talk.show_stats,
            guesses_nothing: None,
            last: None,
            unsaved: 0,
            kept: 0,
            file: talk.load.clone(),
            inputs: Vec::new(),
            failed: false,
        }
    }

    /// Answers one message; its errors end the program.
    pub(super) fn once(&mut self, message: String) -> anyhow::Result<ExitCode> {
        if message.trim().is_empty() {
            return Err(usage_error("the message is empty"));
        }
        let code = match self.turn(message, false)? {
            Next::Leave(code) => code,
            _ => 0,
        };
        Ok(ExitCode::from(code))
    }

    pub(super) fn run(&mut self, input: &mut Input) -> anyhow::Result<ExitCode> {
        let mut interrupts = 0;
        let mut offer = String::new();
        let code = loop {
            let typed = interrupt::waiting(|| input.next(&std::mem::take(&mut offer)))?;
            // A key between two Ctrl-C means that nobody wants to quit.
            let touched = input.was_touched();
            interrupts = match typed {
                Typed::Interrupt if touched => 1,
                Typed::Interrupt => interrupts + 1,
                _ => 0,
            };
            match typed {
                Typed::Interrupt if interrupts > 1 => {
                    self.keep();
                    break interrupt::exit_code();
                }
                Typed::Interrupt => self.say_how_to_quit(),
                Typed::End => {
                    if input.is_terminal() {
                        self.keep();
                    }
                    break self.code(input);
                }
                Typed::Unreadable(reason) => {
                    self.reported(reason);
                }
                Typed::Line(line) => {
                    let next = self.take(line, input.is_terminal())?;
                    if input.is_terminal() {
                        self.keep_for_a_crash(&next);
                    }
                    match next {
                        Next::Leave(code) => break code.max(self.code(input)),
                        Next::Offer(text) => offer = text,
                        Next::Listen => {}
                    }
                }
            }
        };
        Ok(ExitCode::from(code))
    }

    /// Success, unless an error was printed while standard input is not a terminal.
    fn code(&self, input: &Input) -> u8 {
        u8::from(self.failed && !input.is_terminal())
    }

    fn say_how_to_quit(&self) {
        match self.unsaved {
            0 => say!("Press Ctrl-C again, or Ctrl-D, to quit."),
            count => say!(
                "Press Ctrl-C again, or Ctrl-D, to quit; /save FILE saves the conversation ({} unsaved).",
                turns(count)
            ),
        }
    }

    /// Keeps a conversation that is not saved, in case that a signal or a closed window ends the program; forgets it if
    /// it is saved or given up.
    fn keep_for_a_crash(&mut self, next: &Next) {
        let wanted = if *next == Next::Leave(0) { 0 } else { self.unsaved };
        if wanted == self.kept {
            return;
        }
        // If there is no place for it, the conversation continues; the end reports it.
        let done = match wanted {
            0 => store::forget(),
            _ => store::keep(self.chat.conversation()).map(drop),
        };
        if done.is_ok() {
            self.kept = wanted;
        }
    }

    /// A key has ended the conversation: what is not saved is kept for the next time.
    fn keep(&self) {
        if self.unsaved == 0 {
            return;
        }
        let what = turns(self.unsaved);
        match store::keep(self.chat.conversation()) {
            Ok(path) => say!(
                "siskin: {what} not saved; the conversation is kept in {0}: siskin chat MODEL --load {0}",
                path.display()
            ),
            Err(error) => say!("siskin: {what} not saved: {}", exit::one_line(&error)),
        }
    }

    /// Sends a message or, on a terminal, carries out a command. Errors that only concern it are printed, and the
    /// conversation continues. Elsewhere every line is a message: it may be from strangers.
    fn take(&mut self, line: String, terminal: bool) -> anyhow::Result<Next> {
        let command = if terminal { command::parse(&line) } else { None };
        match command {
            None => self.send(line, terminal),
            Some(Ok(Command::Quit)) => Ok(Next::Leave(0)),
            Some(Ok(Command::Retry)) => match self.chat.conversation_mut().undo() {
                Some(question) => self.send(question, terminal),
                None => Ok(self.reported("there is no answer to repeat")),
            },
            Some(Ok(command)) => Ok(match self.command(&command) {
                Ok(()) => Next::Listen,
                Err(error) => self.reported(&exit::one_line(&error)),
            }),
            Some(Err(Unknown { text, message })) => {
                let next = self.reported(&text::escaped(&text));
                // What looks like a command may be a message: it is not lost, and Enter sends it.
                Ok(if message {
                    Next::Offer(format!(" {line}"))
                } else {
                    next
                })
            }
        }
    }

    /// Prints an error after which the conversation continues.
    fn reported(&mut self, error: &str) -> Next {
        self.failed = true;
        say!("siskin: {error}");
        Next::Listen
    }

    fn send(&mut self, message: String, terminal: bool) -> anyhow::Result<Next> {
        match self.turn(message, terminal) {
            Err(error) if !is_final(&error) => Ok(self.reported(&exit::with_hint(&error, &Flags::default()))),
            done => done,
        }
    }

    fn command(&mut self, command: &Command<'_>) -> anyhow::Result<()> {
        let conversation = self.chat.conversation_mut();
        match *command {
            Command::Help => help(),
            Command::Reset => {
                conversation.reset();
                self.unsaved = 0;
                let kept = conversation.system().map_or("", |_| "; the system prompt stays");
                say!("new conversation{kept}");
            }
            Command::System(None) => {
                let system = conversation.system().map(text::escaped);
                say!("{}", system.as_deref().unwrap_or("no system prompt"));
            }
            Command::System(Some("-")) => {
                conversation.set_system(None);
                say!("system prompt removed");
            }
            Command::System(Some(text)) => {
                conversation.set_system(Some(text.to_owned()));
                say!("system prompt set, from the next message on");
            }
            Command::Stats => self.print_stats(),
            Command::Save(path, replace) => {
                let known = self.file.as_deref() == Some(Path::new(path));
                store::save(conversation, Path::new(path), replace || known, &self.inputs)?;
                self.file = Some(path.into());
                self.unsaved = 0;
                say!("saved in {path}: {}", turns(conversation.turns().0));
            }
            Command::Load(path) => {
                *conversation = store::load(Path::new(path))?;
                self.file = Some(path.into());
                self.unsaved = 0;
                self.say_loaded(Path::new(path));
            }
            Command::Undo => match conversation.undo() {
                Some(question) => {
                    self.unsaved = self.unsaved.saturating_sub(1);
                    say!("taken back: {}", recalled(&question));
                }
                None => anyhow::bail!("there is nothing to take back"),
            },
            Command::Quit | Command::Retry => {}
        }
        Ok(())
    }

    /// Prints what was loaded: how many turns, and the last of them.
    pub(super) fn say_loaded(&self, file: &Path) {
        let conversation = self.chat.conversation();
        say!(
            "loaded from {}: {}",
            file.display(),
            turns(conversation.turns().0)
        );
        let seen = conversation.seen();
        let last_two = &seen[seen.len().saturating_sub(2)..];
        for message in last_two.iter().filter(|message| message.role != Role::System) {
            say!("{}: {}", message.role, recalled(&message.content));
        }
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

fn help() {
    for (names, argument, does) in COMMANDS {
        say!("{:22} {does}", format!("{} {argument}", names.join(", ")));
    }
    say!("Several lines: end each but the last with \\, or put \"\"\" around the text.");
    say!("A message that begins with /: type a space first.");
}

/// The beginning of a message, on one line.
fn recalled(text: &str) -> String {
    text::shortened(&text::escaped(text.trim()), RECALLED)
}
