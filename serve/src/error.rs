//! What is refused, as data: each dialect writes it in its own form.

use std::time::Duration;

use siskin_runtime::chat::TemplateError;
use siskin_runtime::scheduler::Refusal;

/// The kind of a refusal: its status and the names that clients know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    /// The request is wrong.
    Invalid,
    /// Prompt and answer do not fit into the context.
    ContextExceeded,
    /// There is no key, or an unknown one.
    Unauthorized,
    /// The key may not do this, or Host or Origin are refused.
    Forbidden,
    /// There is no such model or path.
    NotFound,
    /// The path does not know this method.
    Method,
    /// The body came too slowly.
    SlowBody,
    /// The body is too large.
    TooLarge,
    /// The body is not JSON.
    MediaType,
    /// This key has too many requests.
    TooMany,
    /// Too much work comes before it.
    QueueFull,
    /// The model is being loaded.
    Loading,
    /// The service ends.
    Draining,
    /// The model does not fit into memory beside the others.
    NoMemory,
    /// The service does not do this.
    NotSupported,
    /// A fault of the service.
    Internal,
}

impl Kind {
    /// Status, OpenAI's type, code.
    fn names(self) -> (u16, &'static str, Option<&'static str>) {
        match self {
            Kind::Invalid => (400, "invalid_request_error", None),
            Kind::ContextExceeded => (400, "exceed_context_size_error", Some("context_length_exceeded")),
            Kind::Unauthorized => (401, "authentication_error", Some("invalid_api_key")),
            Kind::Forbidden => (403, "permission_error", None),
            Kind::NotFound => (404, "not_found_error", None),
            Kind::Method => (405, "invalid_request_error", Some("method_not_allowed")),
            Kind::SlowBody => (408, "invalid_request_error", Some("body_timeout")),
            Kind::TooLarge => (413, "invalid_request_error", Some("body_too_large")),
            Kind::MediaType => (415, "invalid_request_error", Some("unsupported_media_type")),
            Kind::TooMany => (429, "rate_limit_error", Some("rate_limit_exceeded")),
            Kind::QueueFull => (503, "unavailable_error", Some("queue_full")),
            Kind::Loading => (503, "unavailable_error", Some("loading")),
            Kind::Draining => (503, "unavailable_error", Some("draining")),
            Kind::NoMemory => (503, "unavailable_error", Some("insufficient_memory")),
            Kind::NotSupported => (501, "not_supported_error", None),
            Kind::Internal => (500, "server_error", None),
        }
    }

    /// The HTTP status.
    pub(crate) fn status(self) -> u16 {
        self.names().0
    }

    /// OpenAI's `type`.
    pub(crate) fn type_name(self) -> &'static str {
        self.names().1
    }

    /// OpenAI's `code`.
    pub(crate) fn code(self) -> Option<&'static str> {
        self.names().2
    }
}

/// A refusal.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ApiError {
    /// Its kind.
    pub(crate) kind: Kind,
    /// One line: what, where, what to do.
    pub(crate) message: String,
    /// The field that is wrong.
    pub(crate) param: Option<String>,
    /// When to try again.
    pub(crate) retry_after: Option<Duration>,
    /// Numbers that programs can read.
    pub(crate) numbers: Vec<(&'static str, u64)>,
}

impl ApiError {
    /// A refusal of a kind.
    pub(crate) fn new(kind: Kind, message: impl Into<String>) -> Self {
        ApiError {
            kind,
            message: message.into(),
            param: None,
            retry_after: None,
            numbers: Vec::new(),
        }
    }

    /// A field is wrong.
    pub(crate) fn field(param: impl Into<String>, message: impl Into<String>) -> Self {
        ApiError {
            param: Some(param.into()),
            ..ApiError::new(Kind::Invalid, message)
        }
    }

    /// The service ends.
    pub(crate) fn draining() -> Self {
        ApiError::new(Kind::Draining, "the service is shutting down")
    }

    /// The same, to be tried again after a time.
    pub(crate) fn retry_after(self, time: Duration) -> Self {
        ApiError {
            retry_after: Some(time),
            ..self
        }
    }

    /// What the scheduler says.
    pub(crate) fn refusal(refusal: &Refusal) -> Self {
        match *refusal {
            Refusal::TooLong {
                prompt,
                max_tokens,
                cells,
            } => ApiError {
                numbers: vec![
                    ("n_prompt_tokens", prompt.into()),
                    ("n_ctx", cells.into()),
                    ("max_tokens", max_tokens.into()),
                    ("max_tokens_that_fit", (cells + 1).saturating_sub(prompt).into()),
                ],
                ..ApiError::new(
                    Kind::ContextExceeded,
                    format!(
                        "the prompt has {prompt} tokens, and {max_tokens} more are asked for; the context has {cells}: \
                         shorten the prompt or ask for fewer"
                    ),
                )
            },
            Refusal::Share { waiting, wait } => ApiError::new(
                Kind::TooMany,
                format!("{waiting} requests with this key wait already; try again when one has ended"),
            )
            .retry_after(Duration::from_secs(wait.as_secs() + 1)),
            Refusal::Busy { wait } => {
                let seconds = wait.as_secs() + 1;
                ApiError::new(
                    Kind::QueueFull,
                    format!("about {seconds} s of work come before this request; try again then"),
                )
                .retry_after(Duration::from_secs(seconds))
            }
        }
    }
}

impl From<TemplateError> for ApiError {
    fn from(error: TemplateError) -> Self {
        ApiError::field("messages", error.to_string())
    }
}

impl From<siskin_grammar::GrammarError> for ApiError {
    fn from(error: siskin_grammar::GrammarError) -> Self {
        ApiError::new(Kind::Invalid, error.to_string())
    }
}
