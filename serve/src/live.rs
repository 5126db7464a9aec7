//! A model that is loaded: what handlers need of it. No handler touches its context; the engine does.

use std::sync::OnceLock;

use siskin_grammar::{CallStyle, Constraint, Form, GrammarError, TokenText, Vocabulary};
use siskin_runtime::chat::{self, PromptMessage, Prompter, Template};
use siskin_runtime::{Model, Token, Tokenize};

use crate::engine::SlotId;
use crate::error::{ApiError, Kind};
use crate::facts::Facts;

/// A loaded model.
pub(crate) struct Live {
    /// Its name.
    pub(crate) name: String,
    /// The model.
    pub(crate) model: Model,
    /// Its place in the engine.
    pub(crate) slot: SlotId,
    /// Tokens of its context.
    pub(crate) context: u32,
    /// Tokens of its context for each of the requests that are computed at the same time.
    pub(crate) fair_share: u32,
    /// What its header says.
    pub(crate) facts: Facts,
    prompter: Prompter,
    style: CallStyle,
    vocabulary: OnceLock<Result<Vocabulary, GrammarError>>,
}

impl std::fmt::Debug for Live {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Live")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl Live {
    /// What handlers need of a model in a slot of the engine.
    ///
    /// # Errors
    /// Its chat template is broken.
    pub(crate) fn new(
        name: String,
        model: Model,
        slot: SlotId,
        (context, fair_share): (u32, u32),
        facts: Facts,
    ) -> Result<Self, chat::TemplateError> {
        let template = chat::template_of(&model, chat::now())?.unwrap_or_else(Template::plain);
        let style = CallStyle::from_template(template.source());
        Ok(Live {
            name,
            slot,
            context,
            fair_share,
            facts,
            prompter: Prompter::new(&model, template),
            style,
            vocabulary: OnceLock::new(),
            model,
        })
    }

    /// Whether the template is the plain one, which ends an answer by the next speaker's name.
    pub(crate) fn is_plain(&self) -> bool {
        self.prompter.template().is_plain()
    }

    /// The source of the model's template; `None` if the plain one is used.
    pub(crate) fn template(&self) -> Option<String> {
        self.model.chat_template().filter(|_| !self.is_plain())
    }

    /// The texts of the tokens that templates name.
    pub(crate) fn special_texts(&self) -> chat::TemplateTokens {
        chat::special_texts(&self.model)
    }

    /// How the template has tools called.
    pub(crate) fn call_style(&self) -> CallStyle {
        self.style
    }

    /// The tokens of a conversation.
    ///
    /// # Errors
    /// The template refuses it, or it is too long for the context whatever its tokens are.
    pub(crate) fn chat_tokens(
        &self,
        messages: &[PromptMessage],
        tools: Option<&serde_json::Value>,
    ) -> Result<Vec<Token>, ApiError> {
        self.check_length(messages.iter().map(|message| message.content.len()).sum())?;
        let tokens = self.prompter.tokens(&self.model, messages, tools, None)?;
        Ok(tokens.unwrap_or_default())
    }

    /// The text of a conversation.
    ///
    /// # Errors
    /// The template refuses it.
    pub(crate) fn chat_text(
        &self,
        messages: &[PromptMessage],
        tools: Option<&serde_json::Value>,
    ) -> Result<String, ApiError> {
        Ok(self.prompter.text(messages, tools, true)?)
    }

    /// The tokens of a text.
    ///
    /// # Errors
    /// It is too long for the context whatever its tokens are.
    pub(crate) fn tokens(&self, text: &str, options: Tokenize) -> Result<Vec<Token>, ApiError> {
        self.check_length(text.len())?;
        Ok(self.model.tokenize(text, options))
    }

    /// The text of tokens, with those that only control.
    pub(crate) fn text(&self, tokens: &[Token]) -> String {
        let bytes: Vec<u8> = tokens
            .iter()
            .flat_map(|token| self.model.piece(*token, true))
            .collect();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// The same token, if the vocabulary has it.
    pub(crate) fn token(&self, id: i64) -> Option<Token> {
        let id = i32::try_from(id).ok().filter(|id| *id >= 0)?;
        (usize::try_from(id).ok()? < self.model.vocabulary_len()).then_some(Token(id))
    }

    /// The state of a text that must have a form.
    ///
    /// # Errors
    /// The form cannot be enforced.
    pub(crate) fn constraint(&self, form: &Form) -> Result<Constraint, ApiError> {
        let vocabulary = self.vocabulary.get_or_init(|| vocabulary(&self.model));
        match vocabulary {
            Ok(vocabulary) => Ok(form.compile(vocabulary)?),
            Err(error) => Err(error.clone().into()),
        }
    }

    fn check_length(&self, bytes: usize) -> Result<(), ApiError> {
        let fewest = self.model.fewest_tokens(bytes as u64);
        if fewest <= u64::from(self.context) {
            return Ok(());
        }
        Err(ApiError {
            numbers: vec![("n_prompt_tokens", fewest), ("n_ctx", self.context.into())],
            ..ApiError::new(
                Kind::ContextExceeded,
                format!(
                    "the prompt has {bytes} bytes, which are at least {fewest} tokens; the context has {}: shorten it",
                    self.context
                ),
            )
        })
    }
}

fn vocabulary(model: &Model) -> Result<Vocabulary, GrammarError> {
    let count = i32::try_from(model.vocabulary_len()).unwrap_or(i32::MAX);
    let ends: Vec<u32> = (0..count)
        .filter(|id| model.is_eog(Token(*id)))
        .map(|id| id as u32)
        .collect();
    let tokens = (0..count).map(|id| match model.piece(Token(id), false) {
        text if text.is_empty() => TokenText::Control,
        text => TokenText::Text(text),
    });
    Vocabulary::new(tokens, &ends)
}
