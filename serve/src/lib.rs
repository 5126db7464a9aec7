//! The service: language models over HTTP, with the OpenAI API, ollama's and llama.cpp's.

#![forbid(unsafe_code)]
