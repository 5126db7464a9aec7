//! Why a form is refused, or why an answer cannot go on.

/// What is wrong with a form, or with a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// Longer, deeper or more numerous than [`crate::limits`] allow.
    Limit,
    /// Not a grammar, schema or tool by its own rules.
    Syntax,
    /// Well formed, but not enforceable here.
    Unsupported,
    /// No text has this form.
    Unsatisfiable,
    /// Well formed and enforceable, but too much work for this library.
    TooComplex,
    /// This token may not be next.
    Token,
    /// The vocabulary cannot be used.
    Vocabulary,
    /// A defect of this crate or of llguidance.
    Internal,
}

/// A refusal: what, where, why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{message}", if at.is_empty() { String::new() } else { format!("{at}: ") })]
pub struct GrammarError {
    kind: ErrorKind,
    at: String,
    message: String,
}

impl GrammarError {
    pub(crate) fn new(kind: ErrorKind, at: impl Into<String>, message: impl Into<String>) -> GrammarError {
        GrammarError {
            kind,
            at: at.into(),
            message: message.into(),
        }
    }

    /// What is wrong.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Where it is: a JSON pointer into the schema, a line and column of the grammar, the name of a tool, or empty.
    pub fn at(&self) -> &str {
        &self.at
    }

    /// One line that says what is wrong, without where.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The same error, found below `parent`.
    pub(crate) fn within(mut self, parent: &str) -> GrammarError {
        self.at = if self.at.is_empty() {
            parent.to_owned()
        } else {
            format!("{parent}: {}", self.at)
        };
        self
    }
}

/// At most this many characters of another library's message are passed on.
const LONGEST_MESSAGE: usize = 300;

/// Words in llguidance's messages, and the kind that each of them means.
const KINDS: [(&str, ErrorKind); 12] = [
    ("panic:", ErrorKind::Internal),
    ("Unsatisfiable schema", ErrorKind::Unsatisfiable),
    ("unsatisfiable", ErrorKind::Unsatisfiable),
    ("too big", ErrorKind::TooComplex),
    ("too large", ErrorKind::TooComplex),
    ("too complex", ErrorKind::TooComplex),
    ("TooComplex", ErrorKind::TooComplex),
    ("limit", ErrorKind::TooComplex),
    ("Too many", ErrorKind::TooComplex),
    ("too many", ErrorKind::TooComplex),
    ("fuel", ErrorKind::TooComplex),
    ("Unable to determine if regex is empty", ErrorKind::TooComplex),
];

/// llguidance's error in one line, with the kind that its text means. `otherwise` is the kind of all other texts.
pub(crate) fn from_llguidance(text: &str, otherwise: ErrorKind) -> GrammarError {
    let kind = KINDS
        .iter()
        .find(|(word, _)| text.contains(word))
        .map_or(otherwise, |(_, kind)| *kind);
    let line = text
        .lines()
        .map(str::trim)
        .find(|line| !line.is_empty())
        .unwrap_or("unknown error");
    let mut message: String = line.chars().take(LONGEST_MESSAGE).collect();
    if message.len() < line.len() {
        message.push('…');
    }
    GrammarError::new(kind, "", message)
}
