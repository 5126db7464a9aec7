//! The front door: sockets, connections, and what one client may take from the others.
//!
//! Everything runs on the one thread of the caller's tokio runtime. The API behind it is an [`axum::Router`], which sees
//! complete heads only, bodies that are bounded in size and time, and the client's [`Peer`] among a request's extensions.
//! A handler's future, and a body that is being streamed, are dropped when the client leaves.

mod accept;
mod answer;
mod body;
mod connection;
mod limits;
mod progress;
mod slots;
mod sockets;
mod stream;

use axum::Router;
use tokio::sync::watch;
use tokio::time::Instant;

pub use limits::{LimitRow, Limits};
pub use slots::Peer;
pub use sockets::{ListenError, Listeners};

/// What the service is told to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// To answer.
    Serving,
    /// To accept no more connections, and to end when all requests are answered, at this time at the latest.
    Draining(Instant),
    /// To end now.
    Stopped,
}

/// How the door was closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Closed {
    /// Connections that were cut in the middle of an answer.
    pub cut: usize,
}

/// What happens at the door; the service counts it. Every method does nothing by default.
pub trait Doorman: Send + Sync {
    /// There are now so many connections.
    fn connections(&self, _open: usize) {}
    /// A connection was refused because there are too many of its address, or at all.
    fn refused(&self, _peer: Peer) {}
    /// An unused connection was closed, so that another one can be served.
    fn evicted(&self, _peer: Peer) {}
    /// Connections cannot be accepted at the moment.
    fn troubled(&self, _error: &std::io::Error) {}
}

/// Nobody counts.
impl Doorman for () {}

/// Answers clients until `phase` says otherwise; if its sender is dropped, it ends at once.
///
/// # Errors
/// A socket cannot be watched.
pub async fn serve(
    listeners: Listeners,
    router: Router,
    limits: Limits,
    phase: watch::Receiver<Phase>,
    doorman: &dyn Doorman,
) -> std::io::Result<Closed> {
    accept::Door::new(listeners, router, limits, phase, doorman)?
        .open()
        .await
}

#[cfg(test)]
mod tests;
