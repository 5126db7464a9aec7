//! `siskin chat`: a conversation with a model, on a terminal or line by line.

mod command;
mod input;
mod store;
mod talk;
mod turn;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use siskin::chat::{Chat, ChatError, Template};

use super::prompt_args::PromptArgs;
use super::sampling_args::SamplingArgs;
use super::session_args::SessionArgs;
use super::spec_args::SpecArgs;
use super::template_args::TemplateArgs;
use crate::render::progress::PromptLine;
use crate::render::text;
use input::Input;
use talk::ChatLoop;

/// Chats with a model, using its chat template
///
/// On a terminal, /help lists the commands and Ctrl-C stops an answer. A message may have several lines: end each line
/// but the last with \, or put the text in """. If standard input is not a terminal, each of its lines is a message,
/// whatever it contains, and the answers go to standard output. With a prompt, the model answers once.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Example:
  siskin chat tinyllama-q4_k_m.gguf --system \"You are brief.\" --temp 0.2
  siskin chat tinyllama-q4_k_m.gguf -p - < message.txt")]
pub(crate) struct ChatArgs {
    #[command(flatten)]
    prompt: PromptArgs,
    #[command(flatten)]
    template: TemplateArgs,
    /// Continue the conversation in this file, which /save wrote
    #[arg(long, value_name = "FILE")]
    load: Option<PathBuf>,
    #[command(flatten)]
    sampling: SamplingArgs,
    #[command(flatten)]
    pub(crate) session: SessionArgs,
    #[command(flatten)]
    spec: SpecArgs,
    /// Print one JSON object per turn instead of the answers
    #[arg(long)]
    json: bool,
    /// Print speed and memory to stderr after each answer
    #[arg(long)]
    stats: bool,
}

/// How a conversation goes.
#[derive(Debug, Default)]
pub(crate) struct Talk {
    /// The only message; `None` to listen for messages.
    pub(crate) only: Option<PromptArgs>,
    /// The file of a conversation to continue.
    pub(crate) load: Option<PathBuf>,
    pub(crate) json: bool,
    pub(crate) show_stats: bool,
}

pub(crate) fn main(args: ChatArgs) -> anyhow::Result<ExitCode> {
    let is_given = args.prompt.is_given();
    let talk = Talk {
        only: is_given.then_some(args.prompt),
        load: args.load,
        json: args.json,
        show_stats: args.stats,
    };
    converse(&args.session, &args.sampling, &args.template, &args.spec, talk)
}

/// Loads the model and talks.
pub(crate) fn converse(
    args: &SessionArgs,
    sampling: &SamplingArgs,
    template: &TemplateArgs,
    spec: &SpecArgs,
    talk: Talk,
) -> anyhow::Result<ExitCode> {
    let plan = args.plan()?;
    let sampling = sampling.sampling()?;
    let frame = template.read()?;
    let inputs: Vec<PathBuf> = template.files().cloned().collect();
    let only = talk.only.as_ref().map(PromptArgs::read);
    let only = only.transpose()?.map(Option::unwrap_or_default);
    let loaded = talk.load.as_deref().map(store::load).transpose()?;
    let times = plan.pass_times();
    let model = plan.load()?;
    super::notices::print_vocabulary(&model);
    let template = match frame.template(&model)? {
        Some(template) => template,
        None => {
            let what = match model.chat_template() {
                Some(source) if !source.trim().is_empty() => "this model's chat template shows no messages",
                _ => "this model has no chat template",
            };
            say!("siskin: {what}; using plain \"User:\"/\"Assistant:\" turns");
            Template::plain()
        }
    };
    let mut session = model.session()?;
    let remembering = spec.apply(&mut session, times, |path| args.builder(path))?;
    let line = PromptLine::new(&mut session);
    let context = session.capacity();
    let mut chat = Chat::new(session, template, frame.system.clone());
    if let Some(loaded) = loaded {
        *chat.conversation_mut() = loaded;
        if frame.system.is_some() {
            chat.conversation_mut().set_system(frame.system);
        }
    }
    let mut chat_loop = ChatLoop::new(chat, sampling, line, &talk);
    chat_loop.inputs = args.model.iter().cloned().chain(inputs).collect();
    chat_loop.guesses_nothing = remembering.off.clone();
    if let Some(message) = only {
        let code = chat_loop.once(message);
        remembering.save(chat_loop.chat.session());
        return code;
    }
    let mut input = Input::new()?;
    if input.is_terminal() {
        let name = args
            .model
            .as_deref()
            .unwrap_or(Path::new("the embedded storyteller"));
        let line = format!(
            "{}, context of {context} tokens. /help lists the commands, Ctrl-D quits.",
            name.display()
        );
        text::say_dimmed(&line);
        if let Some(file) = &talk.load {
            chat_loop.say_loaded(file);
        }
    }
    let code = chat_loop.run(&mut input);
    remembering.save(chat_loop.chat.session());
    code
}

/// A number of turns in words.
fn turns(count: usize) -> String {
    match count {
        1 => "1 turn".into(),
        count => format!("{count} turns"),
    }
}

/// True for errors that end the conversation: a closed pipe, a failure of the engine.
fn is_final(error: &anyhow::Error) -> bool {
    !matches!(
        error.downcast_ref::<ChatError>(),
        Some(ChatError::TooLong { .. } | ChatError::Template(_))
    )
}
