//! The dialects: each file reads one wire format into an [`Ask`](crate::answer::Ask) and writes parts of an answer.

pub(crate) mod llama_cpp;
pub(crate) mod openai;
pub(crate) mod operations;
