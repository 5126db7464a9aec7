//! One request's line in the log, which is written when its answer has ended, however it ends.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes, HttpBody};
use axum::http::Method;
use hyper::body::{Frame, SizeHint};

use super::need::is_probe;
use crate::journal::{Exchange, Journal, Level};

/// What a handler knows about a request's work.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Work {
    /// The model's name.
    pub(crate) model: Option<String>,
    /// Tokens of the prompt, and how many of them were known already.
    pub(crate) prompt: Option<(usize, usize)>,
    /// Tokens of the answer.
    pub(crate) answer: Option<usize>,
    /// How long it waited for its turn.
    pub(crate) queued: Option<Duration>,
    /// From its arrival to the first byte of the answer's text.
    pub(crate) first: Option<Duration>,
    /// Why it ended.
    pub(crate) end: Option<&'static str>,
}

/// Where a handler leaves what it knows, until the answer has ended.
#[derive(Debug, Default)]
pub(crate) struct Tally(Mutex<Work>);

impl Tally {
    /// Adds to what is known.
    pub(crate) fn note(&self, add: impl FnOnce(&mut Work)) {
        add(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// What is known now.
    pub(crate) fn get(&self) -> Work {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The status of a client that left before its answer began, as nginx logs it.
const LEFT: u16 = 499;

/// A line that is written when this is dropped.
pub(super) struct Entry {
    journal: Arc<Journal>,
    id: String,
    method: Method,
    route: Option<String>,
    started: Instant,
    /// The key's name; empty if keys are not asked for.
    pub(super) key: String,
    pub(super) status: u16,
    pub(super) tally: Arc<Tally>,
}

impl Entry {
    pub(super) fn new(journal: &Arc<Journal>, id: &str, method: &Method, route: Option<String>) -> Self {
        Entry {
            journal: Arc::clone(journal),
            id: id.to_owned(),
            method: method.clone(),
            route,
            started: Instant::now(),
            key: String::new(),
            status: LEFT,
            tally: Arc::default(),
        }
    }

    fn level(&self) -> Level {
        match self.status {
            // 503 is an answer to be expected.
            500..=502 | 504.. => Level::Warning,
            _ if self.route.as_deref().is_some_and(is_probe) => Level::Debug,
            _ => Level::Info,
        }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let level = self.level();
        if !self.journal.wants(level) {
            return;
        }
        let work = self.tally.get();
        let exchange = Exchange {
            id: &self.id,
            method: self.method.as_str(),
            // What a client wrote is not repeated: it may be anything.
            route: self.route.as_deref().unwrap_or("(no such path)"),
            status: self.status,
            key: (!self.key.is_empty()).then_some(self.key.as_str()),
            model: work.model.as_deref(),
            prompt: work.prompt,
            answer: work.answer,
            queued: work.queued,
            first: work.first,
            total: self.started.elapsed(),
            end: work.end,
        };
        self.journal.log(level, exchange);
    }
}

/// An answer's body, with its line.
pub(super) struct Logged {
    body: Body,
    entry: Entry,
    ended: bool,
}

impl Logged {
    pub(super) fn new(body: Body, entry: Entry) -> Self {
        Logged {
            body,
            entry,
            ended: false,
        }
    }
}

impl Drop for Logged {
    fn drop(&mut self) {
        // hyper does not ask for the end of a body whose length it knows.
        if !self.ended && !self.body.is_end_stream() {
            self.entry.tally.note(|work| {
                work.end.get_or_insert("cut");
            });
        }
    }
}

impl HttpBody for Logged {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        if let Poll::Ready(None) = frame {
            self.ended = true;
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
