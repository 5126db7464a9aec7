//! Chat templates in Jinja, rendered as in transformers, with limits: templates come with models from
//! strangers.

use std::io;

use jiff::ZonedDateTime;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Serde, Value, ValueKind};
use minijinja::{Environment, Error, ErrorKind, Output, State, context, escape_formatter};

use super::bounded::Bounded;
use super::conversation::{Message, Role};
use super::{json, watchdog};

/// The longest template compiled, in bytes; real ones have a few thousand.
const MAX_SOURCE: usize = 1 << 20;
/// The most bytes accepted in all messages together: more than a million tokens.
const MAX_MESSAGES: usize = 4 << 20;
/// Work that a rendering may do: an instruction costs one, and so do 64 bytes made or read. Each byte of the
/// messages adds a quarter, so that it may be read about sixteen times.
const FUEL: u64 = 200_000;
/// The template name that errors are raised under.
const NAME: &str = "chat_template";

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
    environment: Environment<'static>,
    tokens: TemplateTokens,
    /// What the template may write on its own: its source, and a short conversation rendered.
    own: String,
}

/// Why a template could not be used.
#[derive(Debug, thiserror::Error)]
pub enum TemplateError {
    /// minijinja cannot parse it.
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
    /// It has taken seconds or hundreds of megabytes and is still running: the process should end.
    #[error(
        "the chat template takes more time or memory than any conversation needs; it is broken or hostile"
    )]
    Runaway,
}

impl Template {
    /// Compiles `source`. The template's current time is `now` for as long as the template lives, so that a
    /// conversation that runs past midnight keeps its beginning.
    ///
    /// # Errors
    /// If the source is too long or not valid Jinja, or if rendering a short conversation takes too much time
    /// or memory.
    pub fn new(source: &str, tokens: TemplateTokens, now: ZonedDateTime) -> Result<Self, TemplateError> {
        if source.len() > MAX_SOURCE {
            return Err(TemplateError::TooLong(source.len()));
        }
        let mut environment = environment(now);
        environment
            .add_template_owned(NAME, without_generation_blocks(source))
            .map_err(|error| TemplateError::Syntax(described(&error)))?;
        let mut template = Template {
            environment,
            tokens,
            own: source.to_owned(),
        };
        template.own += &template.sample()?;
        Ok(template)
    }

    /// A short conversation, with a system prompt if the template accepts one; empty if the template rejects
    /// both forms.
    fn sample(&self) -> Result<String, TemplateError> {
        let message = |role| Message {
            role,
            content: "x".into(),
        };
        let messages = [Role::System, Role::User, Role::Assistant, Role::User].map(message);
        for messages in [&messages, &messages[1..]] {
            match self.render(messages, true) {
                Err(TemplateError::Runaway) => return Err(TemplateError::Runaway),
                Err(_) => {}
                text => return text,
            }
        }
        Ok(String::new())
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

    /// Whether the template may write `text` on its own.
    pub(super) fn mentions(&self, text: &str) -> bool {
        self.own.contains(text)
    }

    /// Renders the text of a conversation; with `add_generation_prompt`, up to the point at which the
    /// assistant answers.
    ///
    /// # Errors
    /// If the messages are too long, or the template refuses them, fails, or does too much work.
    pub fn render(&self, messages: &[Message], add_generation_prompt: bool) -> Result<String, TemplateError> {
        let bytes: usize = messages.iter().map(|message| message.content.len()).sum();
        if bytes > MAX_MESSAGES {
            return Err(TemplateError::MessagesTooLong(bytes));
        }
        let mut environment = self.environment.clone();
        environment.set_fuel(Some(FUEL + bytes as u64 / 4));
        let token = |text: &Option<String>| text.as_ref().map_or(Value::UNDEFINED, Value::from);
        let context = context! {
            messages => Value::from(Serde(messages)),
            add_generation_prompt,
            bos_token => token(&self.tokens.bos),
            eos_token => token(&self.tokens.eos),
            pad_token => token(&self.tokens.pad),
            tools => Value::from(()),
            documents => Value::from(()),
        };
        // Fuel covers all that a template does, except turning a list into text, whose length may be
        // exponential in the work that made it. That is watched from outside.
        watchdog::watched(move || render(&environment, context)).ok_or(TemplateError::Runaway)?
    }
}

fn render(environment: &Environment<'_>, context: Value) -> Result<String, TemplateError> {
    let mut text = Bounded::default();
    let template = environment.get_template(NAME).map_err(failed)?;
    template.render_captured_to(context, &mut text).map_err(failed)?;
    text.into_text()
        .map_err(|error| TemplateError::Failed(error.to_string()))
}

/// Jinja as transformers sets it up: trimmed blocks, loop controls, Python's methods and spellings.
fn environment(now: ZonedDateTime) -> Environment<'static> {
    let mut environment = Environment::new();
    let syntax = SyntaxConfig::builder()
        .trim_blocks(true)
        .lstrip_blocks(true)
        .build();
    environment.set_syntax(syntax.expect("the delimiters are Jinja's own"));
    environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
    environment.set_unknown_method_callback(python_method);
    environment.set_formatter(python_spelling);
    // Their work grows with the square of a value's depth, and costs no fuel.
    environment.remove_filter("pprint");
    environment.remove_global("debug");
    environment.add_filter("tojson", json::tojson);
    environment.add_function("raise_exception", |message: String| -> Result<Value, Error> {
        Err(Error::new(ErrorKind::InvalidOperation, "").with_source(Raised(message)))
    });
    environment.add_function("strftime_now", move |format: String| -> Result<String, Error> {
        jiff::fmt::strtime::format(&format, &now)
            .map_err(|error| Error::new(ErrorKind::InvalidOperation, format!("strftime_now: {error}")))
    });
    environment
}

/// Python's methods. `str.format` accepts any width and costs no fuel for it, so wide fields are rejected.
fn python_method(state: &mut State, value: &Value, method: &str, args: &[Value]) -> Result<Value, Error> {
    if method == "format" && value.as_str().is_some_and(is_wide) {
        return Err(ErrorKind::OutOfFuel.into());
    }
    minijinja_contrib::pycompat::unknown_method_callback(state, value, method, args)
}

/// Whether a format has a field of 10,000 or more, or one whose width is an argument.
fn is_wide(format: &str) -> bool {
    let wide = format
        .split(|c: char| !c.is_ascii_digit())
        .any(|digits| digits.len() > 4);
    let nested = format
        .split('{')
        .skip(1)
        .any(|field| !field.is_empty() && !field.contains('}'));
    wide || nested
}

/// Writes `None`, `True` and `False` as Python does.
fn python_spelling(out: &mut Output, state: &mut State, value: &Value) -> Result<(), Error> {
    let spelled = match value.kind() {
        ValueKind::None => Value::from("None"),
        ValueKind::Bool if value.is_true() => Value::from("True"),
        ValueKind::Bool => Value::from("False"),
        _ => return escape_formatter(out, state, value),
    };
    escape_formatter(out, state, &spelled)
}

/// Replaces the `{% generation %}` blocks with which transformers marks the assistant's text for training;
/// the text stays.
fn without_generation_blocks(source: &str) -> String {
    let mut text = String::with_capacity(source.len());
    let mut rest = source;
    while let Some((before, tag)) = rest.split_once("{%") {
        text.push_str(before);
        text.push_str("{%");
        let Some((inside, after)) = tag.split_once("%}") else {
            rest = tag;
            continue;
        };
        match inside.trim_matches(['-', '+', ' ', '\t', '\n']) {
            "generation" => text.push_str(&inside.replace("generation", "if true")),
            "endgeneration" => text.push_str(&inside.replace("endgeneration", "endif")),
            _ => text.push_str(inside),
        }
        text.push_str("%}");
        rest = after;
    }
    text + rest
}

/// The message that a template raised itself.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Raised(String);

fn failed(error: Error) -> TemplateError {
    let mut cause: Option<&dyn std::error::Error> = Some(&error);
    while let Some(inner) = cause {
        if let Some(Raised(message)) = inner.downcast_ref() {
            return TemplateError::Refused(message.clone());
        }
        let full =
            inner.downcast_ref::<io::Error>().map(io::Error::kind) == Some(io::ErrorKind::FileTooLarge);
        let spent = inner.downcast_ref::<Error>().map(Error::kind) == Some(ErrorKind::OutOfFuel);
        if full || spent {
            return TemplateError::TooMuch;
        }
        cause = inner.source();
    }
    TemplateError::Failed(described(&error))
}

/// The error's kind, detail and line.
fn described(error: &Error) -> String {
    let detail = error
        .detail()
        .map_or(String::new(), |detail| format!(": {detail}"));
    let line = error
        .line()
        .map_or(String::new(), |line| format!(" (line {line})"));
    format!("{}{detail}{line}", error.kind())
}
