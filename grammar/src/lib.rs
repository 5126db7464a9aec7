//! Text that must have a form: a JSON schema, a GBNF grammar, or the call of a tool becomes a mask over the vocabulary.
//!
//! ```text
//! tokens of a model ─► Vocabulary ┐
//! what a client asks ─► Form ─────┴► Constraint ─► may this token be next?
//! text of the answer ─► CallParser ─► text, calls, their arguments piece by piece
//! ```
//!
//! A [`Vocabulary`] is made once a model, a [`Constraint`] once an answer. A form that cannot be enforced is an error of
//! [`Form::compile`], before the first token; no part of a schema or grammar is dropped. Input is hostile: sizes and
//! depths are checked before anything is built ([`limits`]), and nothing here panics or recurses on the depth of an
//! input.
//!
//! ```
//! use siskin_grammar::{Form, TokenText, Vocabulary};
//!
//! // A vocabulary of bytes, and one token that ends the text.
//! let bytes = (0..=255u8).map(|byte| TokenText::Text(vec![byte]));
//! let vocabulary = Vocabulary::new(bytes.chain([TokenText::Control]), &[256])?;
//! let form = Form::Gbnf(r#"root ::= "yes" | "no""#.to_owned());
//! let mut constraint = form.compile(&vocabulary)?;
//! assert!(constraint.allows(b'y'.into()) && !constraint.allows(b'm'.into()));
//! for byte in *b"no" {
//!     constraint.accept(byte.into())?;
//! }
//! assert!(constraint.must_end());
//! # Ok::<(), siskin_grammar::GrammarError>(())
//! ```

#![forbid(unsafe_code)]

mod constraint;
mod error;
mod form;
mod gbnf;
pub mod limits;
mod schema;
mod tools;
mod vocabulary;

pub use constraint::Constraint;
pub use error::{ErrorKind, GrammarError};
pub use form::Form;
pub use tools::{CallEvent, CallParser, CallStyle, Tool, ToolChoice, ToolSet};
pub use vocabulary::{TokenText, Vocabulary};
