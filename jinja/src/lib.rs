//! Chat templates: Jinja as Hugging Face's transformers renders it.
//!
//! Templates come with models from strangers, so each step of a rendering costs fuel, nesting is limited, and a value
//! cannot hold itself: a template neither runs without end, nor takes much memory, nor overflows the stack. What a
//! template makes of the messages keeps its origin: [`Rendered::said`] has the parts of the text that were said, down
//! to the character, through every filter and method.
//!
//! ```
//! use siskin_jinja::{Input, Template};
//!
//! let template = Template::parse("{% for m in messages %}<{{ m.role }}>{{ m.content | trim }}{% endfor %}")?;
//! let message = Input::Map(vec![
//!     ("role".into(), Input::Text("user".into())),
//!     ("content".into(), Input::Said(" Hi! ".into())),
//! ]);
//! let variables = [("messages", Input::List(vec![message]))];
//! let rendered = template.render(&variables, &|_| Err("no clock".into()), 10_000)?;
//! assert_eq!(rendered.text, "<user>Hi!");
//! assert_eq!(rendered.said, [6..9]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

mod arguments;
mod ast;
mod attributes;
mod audit;
mod filters;
mod format;
mod json;
mod lex;
mod methods;
mod number;
mod parse;
mod repr;
mod run;
mod tests;
mod text;
mod value;
mod words;

pub use audit::Condition;
use std::cell::Cell;
use std::ops::Range;

/// A template that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message} (line {line})")]
pub struct SyntaxError {
    /// The line, from 1.
    pub line: u32,
    /// What is wrong.
    pub message: String,
}

impl SyntaxError {
    fn new(line: u32, message: impl Into<String>) -> Self {
        let message = message.into();
        SyntaxError { line, message }
    }
}

/// Why a rendering ended early.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RenderError {
    /// The template raised its own error, in these words.
    #[error("{0}")]
    Raised(String),
    /// An operation failed.
    #[error("{message} (line {line})")]
    Failed {
        /// The line, from 1.
        line: u32,
        /// What failed.
        message: String,
    },
    /// The fuel is used up, or something is nested or repeated beyond every limit.
    #[error("too much work")]
    TooMuch,
}

/// Inside: an error without its line.
#[derive(Debug)]
enum Fault {
    Raised(String),
    Failed(String),
    TooMuch,
}

type Res<T> = Result<T, Fault>;

fn fail<T>(message: impl Into<String>) -> Res<T> {
    Err(Fault::Failed(message.into()))
}

/// The fuel that is left: a step costs one, and so do 64 bytes made or read.
#[derive(Debug)]
struct Meter(Cell<u64>);

impl Meter {
    fn spend(&self, work: usize) -> Res<()> {
        let left = self.0.get().checked_sub(work as u64).ok_or(Fault::TooMuch)?;
        self.0.set(left);
        Ok(())
    }

    /// Pays for a text of so many bytes before it is made.
    fn spend_bytes(&self, bytes: usize) -> Res<()> {
        self.spend(bytes / 64 + 1)
    }
}

/// A value that a template is given.
#[derive(Debug, Clone)]
pub enum Input {
    /// Python's `None`.
    None,
    /// A Boolean.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Another number.
    Float(f64),
    /// Text of the program's own.
    Text(String),
    /// Text from a message.
    Said(String),
    /// A list.
    List(Vec<Input>),
    /// A map with its order.
    Map(Vec<(String, Input)>),
}

/// What a template made of a conversation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rendered {
    /// The text.
    pub text: String,
    /// The parts of it, in bytes, that come from [`Input::Said`]: in order, not empty, not touching.
    pub said: Vec<Range<usize>>,
}

/// A parsed template.
#[derive(Debug)]
pub struct Template {
    body: ast::Body,
}

/// Formats the current time, as Python's `strftime`; the error is shown.
pub type Clock<'c> = dyn Fn(&str) -> Result<String, String> + 'c;

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// It is not valid Jinja, uses an extension that transformers does not have, or nests too deeply.
    pub fn parse(source: &str) -> Result<Self, SyntaxError> {
        let body = parse::parse(source)?;
        Ok(Template { body })
    }

    /// Renders the template with `variables`. A step costs one of `fuel`, as do 64 bytes made or read.
    ///
    /// # Errors
    /// The template raises an error, an operation fails, or the fuel does not suffice.
    pub fn render(
        &self,
        variables: &[(&str, Input)],
        clock: &Clock<'_>,
        fuel: u64,
    ) -> Result<Rendered, RenderError> {
        run::render(&self.body, variables, clock, Meter(Cell::new(fuel)))
    }
}
