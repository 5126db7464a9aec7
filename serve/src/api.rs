//! The dialects: each file reads one wire format into an [`Ask`](crate::answer::Ask) and writes parts of an answer.

pub(crate) mod anthropic;
pub(crate) mod client;
pub(crate) mod dialog;
pub(crate) mod edge;
pub(crate) mod embed;
pub(crate) mod llama_cpp;
pub(crate) mod ollama;
pub(crate) mod openai;
pub(crate) mod openapi;
pub(crate) mod operations;
pub(crate) mod parts;
pub(crate) mod refused;
pub(crate) mod responses;
#[cfg(test)]
pub(crate) mod tests;
