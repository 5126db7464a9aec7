//! Speculative decoding: several tokens are guessed, computed together, and kept as far as the model draws the same.
//!
//! A pass over a few tokens takes hardly longer than a pass over one, because the weights are read once. So guesses that
//! cost nothing, such as what followed the same words before, make text faster, and never another text: a guess is kept
//! only if the sampler, given the model's own logits, draws that very token.
//!
//! Pure: plain data goes in, [`Draft`]s come out. What uses them computes `[last token, guess, guess, …]` with a row of
//! logits after each, draws from one row after the other, and stops at the first token that was guessed wrong.

mod acceptance;
mod account;
mod automaton;
mod choose;
mod counts;
mod draft;
mod history;
mod judge;
mod model;
pub mod pair;
mod recycled;
mod remembered;
mod speculator;
mod tail;
mod times;

pub use acceptance::Acceptance;
pub use counts::{SourceCounts, Speculation};
pub use draft::{BUCKETS, Bucket, Draft, Drafter, GoesOn, Source};
pub use history::History;
pub use judge::{Judge, Offer};
pub use model::DraftModel;
pub use recycled::Recycled;
pub use remembered::{
    LoadRememberedError, MAX_EXTRA, Remembered, RememberedKey, SaveRememberedError, SharedRemembered,
};
pub use speculator::{Drafters, Outcome, Speculator};
pub use times::{MOST_TOKENS, PassTimes};

/// New drafters that look up what they know of a text and of the model's logits. They cost next to nothing.
pub fn lookup() -> Vec<Box<dyn Drafter>> {
    vec![Box::new(History::new()), Box::new(Recycled::new())]
}
