//! Text that must have a form: a JSON schema, a GBNF grammar, or the call of a tool becomes a mask over the vocabulary.

#![forbid(unsafe_code)]
