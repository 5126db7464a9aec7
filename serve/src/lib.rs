//! The service: language models over HTTP, with the OpenAI API, ollama's and llama.cpp's.

#![forbid(unsafe_code)]

#[cfg_attr(not(test), expect(dead_code, reason = "the router calls it"))]
mod page;
