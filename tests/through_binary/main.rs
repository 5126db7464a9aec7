//! Tests through the real binary and the engine, in one program so that llama.cpp is linked once.

mod commands;
mod cross;
mod golden;
mod quantize;
mod util;
