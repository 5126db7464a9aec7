//! Tests through the real binary and the engine, in one program so that llama.cpp is linked once.

mod bad_input;
mod commands;
<<<<<<< HEAD
mod cross;
=======
mod device;
>>>>>>> ce81ba7 (Weights in memory: an untied input embedding is not kept, read weights lie in huge pages; budget held to measured peaks; tests through the program)
mod golden;
mod hostile_json;
mod inspect;
mod mutations;
mod quantize;
mod util;
