//! Every path of the real router, with the embedded storyteller and without a socket.

mod anthropic;
mod calls;
mod chat;
mod completions;
mod harness;
mod leaving;
mod llama_cpp;
mod ollama;
mod openapi;
mod refusals;
mod responses;
pub(crate) mod routes;
mod stopping;
