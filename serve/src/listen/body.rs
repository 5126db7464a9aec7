//! Bodies: of requests, with a limit and a deadline, and of answers, which end an exchange.

use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};

use axum::body::{Body, Bytes, HttpBody};
use hyper::body::{Frame, Incoming, SizeHint};
use tokio::time::{Instant, Sleep, sleep_until};

use super::Limits;
use super::progress::Running;

/// Why a body was not read to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failure {
    TooLarge,
    TooSlow,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Failure::TooLarge => "the body is too large",
            Failure::TooSlow => "the body came too slowly",
        })
    }
}

impl std::error::Error for Failure {}

/// Where a body leaves what went wrong: handlers see an error, and the answer is given by who reads this.
pub(super) type Verdict = Arc<OnceLock<Failure>>;

/// A request's body.
pub(super) struct Bounded {
    incoming: Incoming,
    left: u64,
    due: Pin<Box<Sleep>>,
    verdict: Verdict,
}

impl Bounded {
    pub(super) fn new(incoming: Incoming, limits: &Limits, verdict: Verdict) -> Self {
        Bounded {
            incoming,
            left: limits.body_bytes,
            due: Box::pin(sleep_until(Instant::now() + limits.body)),
            verdict,
        }
    }

    fn fail(&self, failure: Failure) -> axum::BoxError {
        let _ = self.verdict.set(failure);
        failure.into()
    }
}

impl HttpBody for Bounded {
    type Data = Bytes;
    type Error = axum::BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::BoxError>>> {
        let frame = match Pin::new(&mut self.incoming).poll_frame(cx) {
            Poll::Ready(frame) => frame,
            Poll::Pending => {
                ready!(self.due.as_mut().poll(cx));
                return Poll::Ready(Some(Err(self.fail(Failure::TooSlow))));
            }
        };
        let Some(frame) = frame.transpose()? else {
            return Poll::Ready(None);
        };
        let length = frame.data_ref().map_or(0, Bytes::len);
        let left = u64::try_from(length)
            .ok()
            .and_then(|length| self.left.checked_sub(length));
        Poll::Ready(Some(match left {
            Some(left) => {
                self.left = left;
                Ok(frame)
            }
            None => Err(self.fail(Failure::TooLarge)),
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

/// An answer's body. The exchange runs until it is dropped.
pub(super) struct Tracked {
    body: Body,
    _running: Running,
}

impl Tracked {
    pub(super) fn new(body: Body, running: Running) -> Self {
        Tracked {
            body,
            _running: running,
        }
    }
}

impl HttpBody for Tracked {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
