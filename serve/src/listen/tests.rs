//! Over real sockets. Only clients that are slow by nature sleep, and only to be slow.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{Extension, State};
use axum::routing::{get, post};
use hyper::body::Frame;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::*;
use crate::address::Address;

/// What handlers report.
type Events = UnboundedSender<&'static str>;

/// Reports that it was dropped.
struct Report(Events);

impl Drop for Report {
    fn drop(&mut self) {
        let _ = self.0.send("dropped");
    }
}

/// A body of so many pieces, then of nothing for ever.
struct Pieces {
    left: usize,
    _report: Report,
}

impl HttpBody for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.left == 0 {
            return Poll::Pending;
        }
        self.left -= 1;
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&[b'x'; 4096])))))
    }
}

async fn never(State(events): State<Events>) -> &'static str {
    let _report = Report(events.clone());
    let _ = events.send("called");
    std::future::pending().await
}

async fn pieces(State(events): State<Events>, axum::extract::Path(left): axum::extract::Path<usize>) -> Body {
    let _ = events.send("called");
    Body::new(Pieces {
        left,
        _report: Report(events),
    })
}

async fn soon(State(events): State<Events>) -> &'static str {
    let _ = events.send("called");
    sleep(Duration::from_millis(200)).await;
    "soon"
}

async fn peer(Extension(peer): Extension<Peer>) -> String {
    format!("{}", peer == Peer::Unix)
}

/// A service that runs in the test's own runtime.
struct Service {
    at: std::net::SocketAddr,
    phase: watch::Sender<Phase>,
    events: UnboundedReceiver<&'static str>,
    ended: JoinHandle<std::io::Result<Closed>>,
}

/// Limits that a test can wait for.
fn quick() -> Limits {
    Limits {
        head: Duration::from_millis(200),
        body: Duration::from_millis(200),
        idle: Duration::from_millis(600),
        write: Duration::from_millis(300),
        linger: Duration::from_millis(300),
        body_bytes: 10_000,
        send_buffer: 4096,
        ..Limits::default()
    }
}

fn start_at(addresses: &[Address], limits: Limits) -> Service {
    let listeners = Listeners::bind(addresses).expect("bound");
    let at = listeners.addresses().iter().find_map(Address::tcp);
    let (phase, told) = watch::channel(Phase::Serving);
    let (sender, events) = unbounded_channel();
    let router = Router::new()
        .route("/hello", get(|| async { "hello" }))
        .route("/echo", post(|body: Bytes| async move { body }))
        .route("/api/echo", post(|body: Bytes| async move { body }))
        .route("/never", get(never))
        .route("/soon", get(soon))
        .route("/pieces/{left}", get(pieces))
        .route("/peer", get(peer))
        .with_state(sender);
    Service {
        at: at.unwrap_or(([127, 0, 0, 1], 0).into()),
        phase,
        events,
        ended: tokio::spawn(serve(listeners, router, limits, told, &())),
    }
}

fn start(limits: Limits) -> Service {
    start_at(&[Address::Tcp(([127, 0, 0, 1], 0).into())], limits)
}

/// Runs a test on one thread, as the service does; a test that hangs fails.
fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let limit = Duration::from_secs(20);
    let ended = runtime
        .expect("a runtime")
        .block_on(async { timeout(limit, test).await });
    ended.expect("the test ends");
}

impl Service {
    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.at).await.expect("connected")
    }

    /// A connection on which this has been sent.
    async fn send(&self, text: &str) -> TcpStream {
        let mut stream = self.connect().await;
        stream.write_all(text.as_bytes()).await.expect("sent");
        stream
    }

    async fn event(&mut self, want: &str) {
        assert_eq!(self.events.recv().await, Some(want));
    }
}

/// Everything up to the end of the connection; a reset is an end.
async fn rest(mut stream: TcpStream) -> String {
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes).await;
    String::from_utf8(bytes).expect("ASCII")
}

/// Everything up to and with `end`.
async fn until(stream: &mut TcpStream, end: &str) -> String {
    let mut text = String::new();
    while !text.ends_with(end) {
        let byte = stream
            .read_u8()
            .await
            .unwrap_or_else(|error| panic!("{error} after {text:?}"));
        text.push(char::from(byte));
    }
    text
}

/// Waits until one of both has ended.
async fn first_of(one: impl Future, other: impl Future) {
    let (mut one, mut other) = (std::pin::pin!(one), std::pin::pin!(other));
    std::future::poll_fn(|cx| {
        let ended = one.as_mut().poll(cx).is_ready() || other.as_mut().poll(cx).is_ready();
        if ended { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

const HELLO: &str = "GET /hello HTTP/1.1\r\nhost: localhost\r\n\r\n";

fn get_request(path: &str) -> String {
    HELLO.replace("/hello", path)
}

#[test]
fn a_connection_is_used_again_and_requests_may_come_together() {
    run(async {
        let service = start(quick());
        let mut stream = service.send(&HELLO.repeat(3)).await;
        for _ in 0..3 {
            let answer = until(&mut stream, "\r\n\r\nhello").await;
            assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        }
        for number in 0..20 {
            let body = "x".repeat(number * 100);
            let request = format!(
                "POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            );
            stream.write_all(request.as_bytes()).await.expect("sent");
            until(&mut stream, &format!("\r\n\r\n{body}")).await;
        }
    });
}

#[test]
fn a_head_that_comes_byte_by_byte_is_cut() {
    run(async {
        let service = start(quick());
        // Also on a connection that has had an answer.
        for first in ["", HELLO] {
            let mut stream = service.send(first).await;
            if !first.is_empty() {
                until(&mut stream, "hello").await;
            }
            let (mut reader, mut writer) = stream.split();
            let dribble = async {
                while writer.write_all(b"x").await.is_ok() {
                    sleep(Duration::from_millis(20)).await;
                }
            };
            let mut byte = [0];
            let ended = async { reader.read(&mut byte).await.unwrap_or(0) };
            first_of(dribble, ended).await;
        }
    });
}

#[test]
fn a_slow_or_silent_body_is_answered_with_408() {
    run(async {
        let service = start(quick());
        for path in ["/echo", "/api/echo"] {
            let head = format!("POST {path} HTTP/1.1\r\nhost: a\r\ncontent-length: 5000\r\n\r\nbegin");
            let answer = rest(service.send(&head).await).await;
            assert!(
                answer.starts_with("HTTP/1.1 408") && answer.contains("connection: close"),
                "{answer}"
            );
            assert_eq!(
                answer.contains("\"error\":\"the body"),
                path == "/api/echo",
                "{answer}"
            );
        }
    });
}

#[test]
fn a_large_body_is_answered_with_413_before_it_is_read() {
    run(async {
        let service = start(quick());
        // The client waits for an answer before it sends the body.
        let head = "POST /echo HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 10001\r\n\r\n";
        let answer = rest(service.send(head).await).await;
        assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
        // The client sends it all, without telling its length first, and still gets to read the answer.
        let chunk = format!("1000\r\n{}\r\n", "x".repeat(4096));
        let request = format!(
            "POST /echo HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n{}0\r\n\r\n",
            chunk.repeat(64)
        );
        let answer = rest(service.send(&request).await).await;
        assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
        let largest = format!(
            "POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: 10000\r\n\r\n{}",
            "x".repeat(10_000)
        );
        until(&mut service.send(&largest).await, &"x".repeat(10_000)).await;
    });
}

#[test]
fn a_large_head_is_answered_with_431() {
    run(async {
        let service = start(quick());
        for fields in ["x".repeat(20 << 10), "y\r\na: ".repeat(200)] {
            let request = HELLO.replace("localhost", &format!("localhost\r\na: {fields}"));
            let answer = rest(service.send(&request).await).await;
            assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
        }
    });
}

#[test]
fn connections_that_nobody_uses_do_not_keep_others_out() {
    run(async {
        let service = start(Limits {
            connections: 64,
            ..Limits::default()
        });
        let mut unused = Vec::new();
        for number in 0..64 {
            // Some are new, some begin a head, some have had an answer.
            let mut stream = service.send(["", "GET /he", HELLO][number % 3]).await;
            if number % 3 == 2 {
                until(&mut stream, "hello").await;
            }
            unused.push(stream);
        }
        for _ in 0..100 {
            until(&mut service.send(HELLO).await, "hello").await;
        }
        // The oldest had to go.
        assert_eq!(rest(unused.remove(0)).await, "");
    });
}

#[test]
fn a_connection_too_many_is_told_to_come_back() {
    run(async {
        let mut service = start(Limits {
            connections: 3,
            ..Limits::default()
        });
        let mut busy = Vec::new();
        for _ in 0..3 {
            busy.push(service.send(&get_request("/never")).await);
            service.event("called").await;
        }
        for _ in 0..3 {
            let answer = rest(service.send(HELLO).await).await;
            assert!(
                answer.starts_with("HTTP/1.1 503") && answer.contains("retry-after: 1\r\n"),
                "{answer}"
            );
        }
        drop(busy.pop());
        service.event("dropped").await;
        // The place is free when the connection's task has ended.
        while !rest(
            service
                .send(&HELLO.replace("\r\n\r\n", "\r\nconnection: close\r\n\r\n"))
                .await,
        )
        .await
        .ends_with("hello")
        {}
    });
}

#[test]
fn a_client_that_does_not_read_is_cut() {
    run(async {
        let mut service = start(quick());
        let _stream = service.send(&get_request("/pieces/1000000")).await;
        service.event("called").await;
        service.event("dropped").await;
    });
}

#[test]
fn what_runs_for_a_client_that_left_is_dropped() {
    run(async {
        let mut service = start(Limits::default());
        // Before the answer begins; before and after the first byte of a stream; and with another request in the pipe,
        // in one packet and in its own.
        for (path, more) in [
            ("/never", ""),
            ("/pieces/0", ""),
            ("/pieces/3", ""),
            ("/never", HELLO),
        ] {
            let stream = service.send(&(get_request(path) + more)).await;
            service.event("called").await;
            drop(stream);
            service.event("dropped").await;
        }
        let mut stream = service.send(&get_request("/pieces/2")).await;
        service.event("called").await;
        until(&mut stream, &"x".repeat(4096)).await;
        drop(stream);
        service.event("dropped").await;
    });
}

#[test]
fn an_idle_connection_is_closed() {
    run(async {
        let service = start(quick());
        let mut stream = service.send(HELLO).await;
        until(&mut stream, "hello").await;
        // Longer than a head may take, shorter than a connection may be idle.
        sleep(Duration::from_millis(300)).await;
        stream.write_all(HELLO.as_bytes()).await.expect("sent");
        until(&mut stream, "hello").await;
        assert_eq!(rest(stream).await, "");
    });
}

#[test]
fn draining_ends_requests_and_closes_what_is_idle() {
    run(async {
        let mut service = start(Limits::default());
        let mut idle = service.send(HELLO).await;
        until(&mut idle, "hello").await;
        let new = service.connect().await;
        let soon = service.send(&get_request("/soon")).await;
        service.event("called").await;
        let until = Instant::now() + Duration::from_secs(15);
        service.phase.send(Phase::Draining(until)).expect("it runs");
        let answer = rest(soon).await;
        assert!(answer.ends_with("soon"), "{answer}");
        assert_eq!(rest(idle).await + &rest(new).await, "");
        let closed = service.ended.await.expect("no panic").expect("no error");
        assert_eq!(closed, Closed { cut: 0 });
        assert!(Instant::now() < until);
        assert!(TcpStream::connect(service.at).await.is_err());
    });
}

#[test]
fn what_is_late_or_stopped_is_cut() {
    run(async {
        let late = Phase::Draining(Instant::now() + Duration::from_millis(50));
        let far = Phase::Draining(Instant::now() + Duration::from_secs(60));
        for phases in [vec![late], vec![Phase::Stopped], vec![far, Phase::Stopped]] {
            let mut service = start(Limits::default());
            let stream = service.send(&get_request("/never")).await;
            service.event("called").await;
            for phase in phases {
                service.phase.send(phase).expect("it runs");
                tokio::task::yield_now().await;
            }
            let closed = service.ended.await.expect("no panic").expect("no error");
            assert_eq!(closed, Closed { cut: 1 });
            assert_eq!(service.events.recv().await, Some("dropped"));
            assert_eq!(rest(stream).await, "");
        }
    });
}

#[test]
fn a_unix_socket_is_served_beside_a_port() {
    run(async {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("siskin.sock");
        let addresses = [
            Address::Unix(path.clone()),
            Address::Tcp(([127, 0, 0, 1], 0).into()),
        ];
        let service = start_at(&addresses, quick());
        let close = "GET /peer HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
        let mut stream = UnixStream::connect(&path).await.expect("connected");
        stream.write_all(close.as_bytes()).await.expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("read");
        assert!(answer.ends_with("true"), "{answer}");
        let answer = rest(service.send(close).await).await;
        assert!(answer.ends_with("false"), "{answer}");
        service.phase.send(Phase::Stopped).expect("it runs");
        service.ended.await.expect("no panic").expect("no error");
        assert!(!path.exists());
    });
}

#[test]
fn the_limits_are_shown_with_their_reasons() {
    let rows = Limits::default().rows();
    assert_eq!(rows.len(), 10);
    assert_eq!((rows[0].name, rows[0].value.as_str()), ("head", "10 s"));
    assert_eq!((rows[3].name, rows[3].value.as_str()), ("body size", "1024 KiB"));
    assert!(rows.iter().all(|row| !row.against.is_empty()));
}
