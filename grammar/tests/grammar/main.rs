//! Forms over a vocabulary of bytes: what is accepted, refused, and written under the mask.

mod bytes;
mod gbnf;
mod refused;
mod schemas;
mod tools;
mod vocabularies;
mod walks;
