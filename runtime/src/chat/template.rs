//! Chat templates, rendered as in transformers by `siskin_jinja`: what a template is given, and what its errors mean.

use jiff::ZonedDateTime;
use siskin_jinja::{Input, RenderError, Rendered};

use super::conversation::{Message, Role};
use super::strftime;

/// The longest template compiled, in bytes; real ones have a few thousand.
const MAX_SOURCE: usize = 1 << 20;
/// The most bytes accepted in all messages together: more than a million tokens.
pub(super) const MAX_MESSAGES: usize = 4 << 20;
/// Steps that a rendering may take, each worth 64 bytes made or read; real templates take some hundred. Each byte of the
/// messages adds a quarter, so that it may be read about sixteen times.
const FUEL: u64 = 400_000;
/// Steps that each message adds.
const FUEL_PER_MESSAGE: u64 = 500;

/// The template of models that have none.
const PLAIN: &str = r"
{%- for message in messages -%}
    {%- set said = message.content | trim -%}
    {%- if message.role == 'system' %}{{ said ~ '\n\n' }}
    {%- elif message.role == 'user' %}{{ 'User: ' ~ said ~ '\n' }}
    {%- else %}{{ 'Assistant: ' ~ said ~ '\n' }}
    {%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt %}Assistant:{% endif -%}
";

/// The texts of the tokens that templates refer to by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TemplateTokens {
    /// The value of `bos_token`.
    pub bos: Option<String>,
    /// The value of `eos_token`.
    pub eos: Option<String>,
    /// The value of `pad_token`.
    pub pad: Option<String>,
}

/// A compiled template.
#[derive(Debug)]
pub struct Template {
    template: siskin_jinja::Template,
    tokens: TemplateTokens,
    now: ZonedDateTime,
    /// What the template may write on its own: its source, and a short conversation rendered.
    own: String,
    /// Whether it takes a message's text in a list of parts only, as templates of models that see images do.
    in_parts: bool,
    /// Whether nothing that is said is in what it renders.
    is_mute: bool,
}

/// Why a template could not be used.
#[derive(Debug, thiserror::Error)]
pub enum TemplateError {
    /// It is not valid Jinja.
    #[error("the chat template cannot be read: {0}")]
    Syntax(String),
    /// It is longer than any real template.
    #[error("the chat template has {0} bytes, more than the limit of {MAX_SOURCE}")]
    TooLong(usize),
    /// The messages are too long.
    #[error("the messages have {0} bytes together, more than the limit of {MAX_MESSAGES}")]
    MessagesTooLong(usize),
    /// It refused the conversation, in its own words.
    #[error("the chat template refuses this conversation: {0}")]
    Refused(String),
    /// It failed while rendering.
    #[error("the chat template failed: {0}")]
    Failed(String),
    /// It computes without end, or produces more than any conversation needs.
    #[error("the chat template does more work than any conversation needs; it is broken or hostile")]
    TooMuch,
}

impl From<RenderError> for TemplateError {
    fn from(error: RenderError) -> Self {
        match error {
            RenderError::Raised(message) => TemplateError::Refused(message),
            RenderError::TooMuch => TemplateError::TooMuch,
            failed => TemplateError::Failed(failed.to_string()),
        }
    }
}

impl Template {
    /// Compiles `source`. The template's current time is `now` for as long as the template lives, so that a
    /// conversation that runs past midnight keeps its beginning.
    ///
    /// # Errors
    /// If the source is too long or not valid Jinja.
    pub fn new(source: &str, tokens: TemplateTokens, now: ZonedDateTime) -> Result<Self, TemplateError> {
        if source.len() > MAX_SOURCE {
            return Err(TemplateError::TooLong(source.len()));
        }
        let template = siskin_jinja::Template::parse(source)
            .map_err(|error| TemplateError::Syntax(error.to_string()))?;
        let mut template = Template {
            template,
            tokens,
            now,
            own: source.to_owned(),
            in_parts: false,
            is_mute: false,
        };
        if let Some(sample) = template.sample() {
            template.is_mute = sample.said.is_empty();
            template.own += &sample.text;
        }
        Ok(template)
    }

    /// A short conversation, with a system prompt if the template accepts one. If what is said reaches the model only in
    /// parts, it stays so.
    fn sample(&mut self) -> Option<Rendered> {
        let message = |role| Message {
            role,
            content: "x".into(),
        };
        let messages = [Role::System, Role::User, Role::Assistant, Role::User].map(message);
        let mut mute = None;
        for in_parts in [false, true] {
            self.in_parts = in_parts;
            for messages in [&messages, &messages[1..], &messages[1..2]] {
                match self.rendered(messages, true) {
                    Ok(rendered) if !rendered.said.is_empty() => return Some(rendered),
                    Ok(rendered) => mute = mute.or(Some(rendered)),
                    Err(_) => {}
                }
            }
        }
        self.in_parts = false;
        mute
    }

    /// The template of models that have none: one line each of `User: …` and `Assistant: …`.
    pub fn plain() -> Self {
        Template::new(PLAIN, TemplateTokens::default(), super::clock::now())
            .expect("a template that a test renders")
    }

    /// Whether this is [`Template::plain`].
    pub fn is_plain(&self) -> bool {
        self.own.starts_with(PLAIN)
    }

    /// Whether a rendered conversation has nothing of what was said.
    pub(super) fn is_mute(&self) -> bool {
        self.is_mute
    }

    /// What the template may write on its own, and more.
    pub(super) fn own(&self) -> &str {
        &self.own
    }

    /// Renders the text of a conversation; with `add_generation_prompt`, up to the point at which the
    /// assistant answers.
    ///
    /// # Errors
    /// If the messages are too long, or the template refuses them, fails, or does too much work.
    pub fn render(&self, messages: &[Message], add_generation_prompt: bool) -> Result<String, TemplateError> {
        Ok(self.rendered(messages, add_generation_prompt)?.text)
    }

    /// As [`Template::render`], with the parts of the text that were said.
    pub(super) fn rendered(
        &self,
        messages: &[Message],
        add_generation_prompt: bool,
    ) -> Result<Rendered, TemplateError> {
        let bytes: usize = messages.iter().map(|message| message.content.len()).sum();
        if bytes > MAX_MESSAGES {
            return Err(TemplateError::MessagesTooLong(bytes));
        }
        let inputs = messages.iter().map(|message| self.input(message)).collect();
        self.render_inputs(inputs, Input::None, add_generation_prompt, bytes, messages.len())
    }

    /// Renders messages of so many bytes, and tools.
    pub(super) fn render_inputs(
        &self,
        messages: Vec<Input>,
        tools: Input,
        add_generation_prompt: bool,
        bytes: usize,
        count: usize,
    ) -> Result<Rendered, TemplateError> {
        let fuel = FUEL + bytes as u64 / 4 + FUEL_PER_MESSAGE * count as u64;
        let mut variables = vec![
            ("messages", Input::List(messages)),
            ("add_generation_prompt", Input::Bool(add_generation_prompt)),
            ("tools", tools),
            ("documents", Input::None),
        ];
        let TemplateTokens { bos, eos, pad } = &self.tokens;
        for (name, token) in [("bos_token", bos), ("eos_token", eos), ("pad_token", pad)] {
            variables.extend(token.clone().map(|token| (name, Input::Text(token))));
        }
        let clock = |format: &str| strftime::format(format, &self.now);
        Ok(self.template.render(&variables, &clock, fuel)?)
    }

    fn input(&self, message: &Message) -> Input {
        Input::Map(vec![
            ("role".into(), Input::Text(message.role.to_string())),
            ("content".into(), self.content(&message.content)),
        ])
    }

    /// The text of a message, in the form that the template takes.
    pub(super) fn content(&self, text: &str) -> Input {
        let said = Input::Said(text.to_owned());
        match self.in_parts {
            false => said,
            true => Input::List(vec![Input::Map(vec![
                ("type".into(), Input::Text("text".into())),
                ("text".into(), said),
            ])]),
        }
    }

    /// The template's source, and what it writes in a short conversation.
    pub fn source(&self) -> &str {
        &self.own
    }
}
