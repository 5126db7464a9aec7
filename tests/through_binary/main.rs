//! Tests through the real binary and the engine, in one program so that llama.cpp is linked once.

mod bad_input;
mod bench;
mod chat;
mod commands;
mod cross;
mod device;
mod files;
mod golden;
mod hostile_json;
mod imatrix;
mod inspect;
mod interruption;
mod limits;
mod memory;
mod models;
mod mutations;
mod odd_shapes;
mod passes;
mod promises;
mod quantize;
mod report;
mod sampling;
mod signals;
mod terminal;
mod util;
mod vocabulary;
