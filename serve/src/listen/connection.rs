//! One connection from its start to its end.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::header::CONNECTION;
use axum::http::{HeaderValue, Request, Response};
use hyper::body::{Body as _, Incoming};
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::sync::watch;

use super::body::{Bounded, Failure, Tracked, Verdict};
use super::progress::Progress;
use super::stream::{Stream, Timed};
use super::{Limits, Peer, Phase, answer};

/// How often a client that waits for its answer is looked at, if hyper does not read from it.
const LOOK: Duration = Duration::from_secs(1);

/// What all connections share.
#[derive(Clone)]
pub(super) struct Shared {
    pub(super) router: Router,
    pub(super) limits: Limits,
    pub(super) phase: watch::Receiver<Phase>,
}

/// The client left while its request was answered.
#[derive(Debug, thiserror::Error)]
#[error("the client has closed the connection")]
struct Gone;

/// One connection.
struct Connection {
    shared: Shared,
    stream: Arc<Stream>,
    progress: Arc<Progress>,
    peer: Peer,
    /// A request was refused before all of it had come.
    refused: AtomicBool,
}

/// Answers requests until the client leaves, a limit is exceeded, or the service ends.
pub(super) async fn run(stream: Stream, peer: Peer, progress: Arc<Progress>, shared: Shared) {
    let (limits, mut phase) = (shared.limits, shared.phase.clone());
    stream.prepare(&limits);
    let stream = Arc::new(stream);
    let connection = Arc::new(Connection {
        shared,
        stream: Arc::clone(&stream),
        progress: Arc::clone(&progress),
        peer,
        refused: AtomicBool::new(false),
    });
    let service = service_fn(|request| Arc::clone(&connection).exchange(request));
    let io = TokioIo::new(Timed::new(Arc::clone(&stream), progress, limits.write));
    let mut served = http1::Builder::new();
    served
        .timer(TokioTimer::new())
        // Its one deadline for idle connections and for heads; `Timed` has one for each.
        .header_read_timeout(limits.idle + limits.head)
        .max_header_size(limits.head_bytes)
        .max_buf_size(limits.head_bytes.max(32 << 10));
    {
        let mut served = pin!(served.serve_connection(io, service));
        let mut ending = pin!(phase.wait_for(|phase| *phase != Phase::Serving));
        let mut told = false;
        poll_fn(|cx| {
            if !told && ending.as_mut().poll(cx).is_ready() {
                told = true;
                served.as_mut().graceful_shutdown();
            }
            // An error is the client's, and nobody is left to hear of it.
            served.as_mut().poll(cx).map(drop)
        })
        .await;
    }
    if connection.refused.load(Ordering::Relaxed) {
        stream.linger(limits.linger).await;
    }
}

impl Connection {
    /// One request and its answer.
    async fn exchange(self: Arc<Self>, request: Request<Incoming>) -> Result<Response<Tracked>, Gone> {
        let running = self.progress.begin();
        let (mut parts, incoming) = request.into_parts();
        parts.extensions.insert(self.peer);
        let path = parts.uri.path().to_owned();
        let limits = &self.shared.limits;
        if incoming.size_hint().lower() > limits.body_bytes {
            let refusal = self.refuse(Failure::TooLarge, &path);
            return Ok(refusal.map(|body| Tracked::new(body, running)));
        }
        let verdict = Verdict::default();
        let body = Body::new(Bounded::new(incoming, limits, Arc::clone(&verdict)));
        let router = TowerToHyperService::new(self.shared.router.clone());
        let answering = router.call(Request::from_parts(parts, body));
        let response = unless_gone(answering, &self.stream).await?;
        let response = match (verdict.get(), response) {
            (Some(failure), _) => self.refuse(*failure, &path),
            (None, Ok(response)) => response,
        };
        Ok(response.map(|body| Tracked::new(body, running)))
    }

    fn refuse(&self, failure: Failure, path: &str) -> Response<Body> {
        self.refused.store(true, Ordering::Relaxed);
        let mut response = answer::failed(failure, path, &self.shared.limits);
        response
            .headers_mut()
            .insert(CONNECTION, HeaderValue::from_static("close"));
        response
    }
}

/// Waits for an answer as long as the client does. hyper notices by itself that a client leaves, except one that has
/// sent its next request already: it does not read then.
async fn unless_gone<F: Future>(answering: F, stream: &Stream) -> Result<F::Output, Gone> {
    let mut answering = pin!(answering);
    let mut next = pin!(tokio::time::sleep(LOOK));
    poll_fn(|cx| {
        if let Poll::Ready(answer) = answering.as_mut().poll(cx) {
            return Poll::Ready(Ok(answer));
        }
        while next.as_mut().poll(cx).is_ready() {
            if stream.is_closed() {
                return Poll::Ready(Err(Gone));
            }
            let then = tokio::time::Instant::now() + LOOK;
            Pin::as_mut(&mut next).reset(then);
        }
        Poll::Pending
    })
    .await
}
