//! Chat: a conversation on the model's own template, kept in the session's cache from turn to turn.
//!
//! Each turn the whole conversation is rendered and tokenized again, and only what differs from the cache is
//! computed, so the conversation and what the model saw cannot drift apart. If the context is full, the oldest turns
//! are dropped.
//!
//! ```no_run
//! use siskin_runtime::{Model, Sampling};
//! use siskin_runtime::chat::{Chat, ChatEvent};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let model = Model::builder("model.gguf").load()?;
//! let mut chat = Chat::open(&model, Some("You are brief.".into()))?;
//! for event in chat.reply("Who was Marie Curie?", &Sampling::default(), None)? {
//!     if let ChatEvent::Text(piece) = event? {
//!         print!("{piece}");
//!     }
//! }
//! # Ok(())
//! # }
//! ```

mod clock;
mod control;
mod conversation;
mod prepare;
mod prompt;
mod reply;
mod strftime;
mod template;
#[cfg(test)]
mod tests;

use jiff::ZonedDateTime;

pub use clock::now;
pub use conversation::{Conversation, ConversationError, Message, Role};
pub use prompt::{PromptMessage, Prompter};
pub use template::{Template, TemplateError, TemplateTokens};

pub use reply::{ChatEvent, Reply};

use crate::Error;
use crate::engine::{Model, Session, SpecialToken, Token};
use control::ControlTokens;

/// A conversation and the session it runs in.
#[derive(Debug)]
pub struct Chat {
    session: Session,
    template: Template,
    control: ControlTokens,
    conversation: Conversation,
}

/// What it took to get ready for an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Prepared {
    /// Tokens of the conversation.
    pub tokens: usize,
    /// Tokens of them that were in the cache already.
    pub reused: usize,
    /// Turns that were dropped to make room.
    pub dropped: usize,
    /// False if it was interrupted before the end.
    pub complete: bool,
}

/// A turn could not be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ChatError {
    /// The template failed.
    #[error(transparent)]
    Template(#[from] TemplateError),
    /// The engine failed.
    #[error(transparent)]
    Engine(#[from] Error),
    /// The system prompt and the last message alone are longer than the context.
    #[error("{tokens} tokens do not fit into a context of {context}, even without earlier turns")]
    TooLong {
        /// Tokens of the system prompt, the last message and the template around them.
        tokens: usize,
        /// The context's size.
        context: u32,
    },
}

/// The template that came with the model; `None` if it has none, or one that shows the model nothing of what is said. See
/// [`Template::new`] for `now`.
///
/// # Errors
/// The template cannot be compiled.
pub fn template_of(model: &Model, now: ZonedDateTime) -> Result<Option<Template>, TemplateError> {
    let template = model
        .chat_template()
        .filter(|source| !source.trim().is_empty())
        .map(|source| template_from(model, &source, now))
        .transpose()?;
    Ok(template.filter(|template| !template.is_mute()))
}

/// A template from elsewhere, with the model's special tokens; the plain one if it is empty.
///
/// # Errors
/// The template cannot be compiled.
pub fn template_from(model: &Model, source: &str, now: ZonedDateTime) -> Result<Template, TemplateError> {
    if source.trim().is_empty() {
        return Ok(Template::plain());
    }
    Template::new(source, special_texts(model), now)
}

/// The texts of a model's tokens that templates refer to by name.
pub fn special_texts(model: &Model) -> TemplateTokens {
    TemplateTokens {
        bos: model.special_token(SpecialToken::Bos),
        eos: model.special_token(SpecialToken::Eos),
        pad: model.special_token(SpecialToken::Pad),
    }
}

/// The tokens of `messages`, ready for the assistant to answer. Nothing that a message contains becomes a control token.
///
/// # Errors
/// The template refuses the messages or fails.
pub fn tokenize(model: &Model, template: &Template, messages: &[Message]) -> Result<Vec<Token>, ChatError> {
    let control = ControlTokens::new(model, template);
    let rendered = template.rendered(messages, true)?;
    Ok(control.tokenize(model, &rendered, None).unwrap_or_default())
}

impl Chat {
    /// An empty conversation on the model's own template, with the settings that the model was loaded with; on the plain
    /// template if the model has none.
    ///
    /// # Errors
    /// llama.cpp cannot make a context, or the model's template is broken.
    pub fn open(model: &Model, system: Option<String>) -> Result<Self, ChatError> {
        let template = template_of(model, clock::now())?.unwrap_or_else(Template::plain);
        Ok(Chat::new(model.session()?, template, system))
    }

    /// An empty conversation.
    pub fn new(session: Session, template: Template, system: Option<String>) -> Self {
        let control = ControlTokens::new(session.model(), &template);
        Chat {
            session,
            template,
            control,
            conversation: Conversation::new(system),
        }
    }

    /// The conversation.
    pub fn conversation(&self) -> &Conversation {
        &self.conversation
    }

    /// The conversation, to change it; the next reply computes what the change requires.
    pub fn conversation_mut(&mut self) -> &mut Conversation {
        &mut self.conversation
    }

    /// True if the plain template is used, because the model has none.
    pub fn is_plain(&self) -> bool {
        self.template.is_plain()
    }

    /// The session.
    pub fn session(&self) -> &Session {
        &self.session
    }
}
