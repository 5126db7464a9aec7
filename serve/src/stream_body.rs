//! Bodies that come piece by piece: server-sent events, and lines of JSON.

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, Response, header};
use hyper::body::Frame;
use serde::Serialize;
use serde_json::Value as Json;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// The form of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// `data: {…}` and an empty line.
    Events,
    /// One JSON value a line.
    Lines,
}

/// Where the pieces of a body go.
#[derive(Debug, Clone)]
pub(crate) struct Sink {
    sender: UnboundedSender<Bytes>,
    format: Format,
}

struct Pieces(UnboundedReceiver<Bytes>);

impl hyper::body::Body for Pieces {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        self.0
            .poll_recv(context)
            .map(|piece| piece.map(|piece| Ok(Frame::data(piece))))
    }
}

impl Sink {
    /// Sends a value; false if the client is gone.
    pub(crate) fn json(&self, value: &impl Serialize) -> bool {
        let Ok(text) = serde_json::to_string(value) else {
            return false;
        };
        self.send(match self.format {
            Format::Events => format!("data: {text}\n\n"),
            Format::Lines => text + "\n",
        })
    }

    /// Sends a value with the name of its event, as Anthropic and OpenAI's responses do.
    pub(crate) fn named(&self, name: &str, value: &Json) -> bool {
        self.send(format!("event: {name}\ndata: {value}\n\n"))
    }

    /// Sends what clients ignore, so that they know that it goes on.
    pub(crate) fn comment(&self, text: &str) -> bool {
        match self.format {
            Format::Events => self.send(format!(": {text}\n\n")),
            Format::Lines => !self.sender.is_closed(),
        }
    }

    /// Sends the end of a stream of OpenAI's.
    pub(crate) fn done(&self) -> bool {
        self.send("data: [DONE]\n\n".into())
    }

    fn send(&self, text: String) -> bool {
        self.sender.send(Bytes::from(text)).is_ok()
    }
}

/// A response whose body `write` sends, until the client is gone.
pub(crate) fn respond<F>(format: Format, write: impl FnOnce(Sink) -> F) -> Response<Body>
where
    F: Future<Output = ()> + Send + 'static,
{
    let (sender, receiver) = unbounded_channel();
    let sink = Sink {
        sender: sender.clone(),
        format,
    };
    let writing = write(sink);
    tokio::spawn(async move {
        tokio::select! {
            () = writing => {}
            // What makes the answer is dropped, so its request ends.
            () = sender.closed() => {}
        }
    });
    let mut response = Response::new(Body::new(Pieces(receiver)));
    let ty = match format {
        Format::Events => "text/event-stream",
        Format::Lines => "application/x-ndjson",
    };
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(ty));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    // nginx would hold pieces back.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}
