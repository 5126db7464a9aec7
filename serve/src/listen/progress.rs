//! What a connection is doing, shared by its stream, its service and its bodies.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::time::Instant;

use super::Limits;

/// What a connection is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// It waits for the first byte of a request.
    Idle,
    /// It reads a request's head, or is new.
    Head,
    /// A request is answered.
    Exchange,
}

/// The stage of one connection, and since when.
#[derive(Debug)]
pub(super) struct Progress {
    stage: Mutex<(Stage, Instant)>,
    limits: Limits,
}

impl Progress {
    /// A new connection. Its first head is due at once, whether a byte came or not.
    pub(super) fn new(limits: Limits) -> Arc<Self> {
        Arc::new(Progress {
            stage: Mutex::new((Stage::Head, Instant::now())),
            limits,
        })
    }

    fn get(&self) -> (Stage, Instant) {
        *self.stage.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, stage: Stage) {
        *self.stage.lock().unwrap_or_else(PoisonError::into_inner) = (stage, Instant::now());
    }

    /// The client sent something.
    pub(super) fn bytes_came(&self) {
        if self.get().0 == Stage::Idle {
            self.set(Stage::Head);
        }
    }

    /// A head is complete. The exchange ends when what is returned is dropped.
    pub(super) fn begin(self: &Arc<Self>) -> Running {
        self.set(Stage::Exchange);
        Running(Arc::clone(self))
    }

    /// When the client must have sent something; `None` while it need not send anything, or its body has a deadline of
    /// its own.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let (stage, since) = self.get();
        match stage {
            Stage::Idle => Some(since + self.limits.idle),
            Stage::Head => Some(since + self.limits.head),
            Stage::Exchange => None,
        }
    }

    /// Since when the connection is of no use to anybody; `None` while a request is answered.
    pub(super) fn unused_since(&self) -> Option<Instant> {
        let (stage, since) = self.get();
        (stage != Stage::Exchange).then_some(since)
    }
}

/// An exchange that is not over.
#[derive(Debug)]
pub(super) struct Running(Arc<Progress>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.set(Stage::Idle);
    }
}
