//! Speculative decoding: several tokens are guessed, computed together, and kept as far as the model draws the same.
//!
//! A pass over a few tokens takes hardly longer than a pass over one, because the weights are read once. So guesses that
//! cost nothing, such as what followed the same words before, make text faster, and never another text: a guess is kept
//! only if the sampler, given the model's own logits, draws that very token.
//!
//! Pure: plain data goes in, [`Draft`]s come out. What uses them computes `[last token, guess, guess, …]` with a row of
//! logits after each, draws from one row after the other, and stops at the first token that was guessed wrong.

mod automaton;
mod draft;
mod history;

pub use draft::{BUCKETS, Bucket, Draft, Drafter, Source};
pub use history::History;
