//! Every path of the real router, with the embedded storyteller and without a socket.

mod chat;
mod completions;
mod harness;
