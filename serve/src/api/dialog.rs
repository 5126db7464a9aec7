//! A conversation with tools and a form, as every dialect of chats has it, made into an ask.

use serde_json::Value as Json;
use siskin_grammar::Form;
use siskin_runtime::SamplerConfig;

use super::openai::messages::{self, Message};
use crate::answer::Ask;
use crate::error::ApiError;
use crate::live::Live;

/// The turn of another speaker ends an answer on the plain template.
pub(crate) const NEXT_SPEAKER: &str = "\nUser:";

/// Characters of the person's last message that tell what kind of request it is.
const SAID: usize = 256;

/// A conversation.
#[derive(Debug, Default)]
pub(crate) struct Dialog {
    /// What was said.
    pub(crate) messages: Vec<Message>,
    /// Functions that may be called, as OpenAI writes them.
    pub(crate) tools: Option<Vec<Json>>,
    /// Which of them must be, as OpenAI writes it.
    pub(crate) choice: Option<Json>,
    /// Whether there may be only one call.
    pub(crate) single_call: bool,
    /// The form of the answer.
    pub(crate) form: Option<Form>,
}

impl Dialog {
    /// The ask, with the prompt, the tools, the form, and what the template needs.
    ///
    /// # Errors
    /// Messages, tools or their combination are refused, or it is too long.
    pub(crate) fn ask(self, live: &Live, sampler: SamplerConfig) -> Result<Ask, ApiError> {
        let parallel = !self.single_call;
        let tools = messages::tools(live, self.tools.as_deref(), self.choice.as_ref(), parallel)?;
        if self.form.is_some() && tools.as_ref().is_some_and(|tools| tools.form().is_some()) {
            return Err(ApiError::field(
                "tools",
                "an answer cannot have a form and call tools: leave one out, or let tool_choice be none",
            ));
        }
        let mut prompt = messages::prompt(self.messages)?;
        let said = prompt.iter().rev().find(|message| message.role == "user");
        let said = said.map(|message| message.content.chars().take(SAID).collect());
        let known = tools
            .as_ref()
            .and_then(|tools| messages::with_tools(&mut prompt, tools));
        Ok(Ask {
            said,
            stop: Vec::from_iter(live.is_plain().then(|| NEXT_SPEAKER.to_owned())),
            strip_space: live.is_plain(),
            form: self.form,
            tools,
            ..Ask::new(live.chat_tokens(&prompt, known.as_ref())?, sampler)
        })
    }

    /// The text of the prompt.
    ///
    /// # Errors
    /// As [`Dialog::ask`]'s.
    pub(crate) fn text(self, live: &Live) -> Result<String, ApiError> {
        let tools = messages::tools(
            live,
            self.tools.as_deref(),
            self.choice.as_ref(),
            !self.single_call,
        )?;
        let mut prompt = messages::prompt(self.messages)?;
        let known = tools
            .as_ref()
            .and_then(|tools| messages::with_tools(&mut prompt, tools));
        live.chat_text(&prompt, known.as_ref())
    }
}
