//! A client's connection: reads that must come in time, writes that must make progress.

use std::io::{self, IoSlice};
use std::os::fd::{AsFd, BorrowedFd};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::sockopt;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::{Instant, Sleep, sleep_until};

use super::Limits;
use super::progress::Progress;

/// A connection of either kind.
#[derive(Debug)]
pub(super) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// The same call on either kind.
macro_rules! both {
    ($self:ident, $stream:ident => $call:expr) => {
        match $self {
            Stream::Tcp($stream) => $call,
            Stream::Unix($stream) => $call,
        }
    };
}

impl Stream {
    /// Sets what a connection needs: small frames leave at once, and a client that vanished is noticed. A system that
    /// refuses an option is served without it.
    pub(super) fn prepare(&self, limits: &Limits) {
        let descriptor = self.as_fd();
        let _ = sockopt::set_socket_send_buffer_size(descriptor, limits.send_buffer);
        if let Stream::Tcp(stream) = self {
            let _ = stream.set_nodelay(true);
            let _ = sockopt::set_socket_keepalive(descriptor, true);
            let _ = sockopt::set_tcp_keepidle(descriptor, Duration::from_secs(30));
            let _ = sockopt::set_tcp_keepintvl(descriptor, Duration::from_secs(10));
            let _ = sockopt::set_tcp_keepcnt(descriptor, 3);
            // What was sent and is not acknowledged for so long never will be (tcp(7), TCP_USER_TIMEOUT).
            let millis = u32::try_from(limits.write.as_millis()).unwrap_or(u32::MAX);
            let _ = sockopt::set_tcp_user_timeout(descriptor, millis);
        }
    }

    /// Whether the client has closed its end. What it sent before may still be unread.
    pub(super) fn is_closed(&self) -> bool {
        let descriptor = self.as_fd();
        let mut wanted = [PollFd::new(&descriptor, PollFlags::RDHUP)];
        let now = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        let gone = PollFlags::RDHUP | PollFlags::HUP | PollFlags::ERR;
        poll(&mut wanted, Some(&now)).is_ok() && wanted[0].revents().intersects(gone)
    }

    /// Ends writing, then reads and forgets what the client still sends, for a limited time: if a connection is closed
    /// with bytes unread, the client's system throws the answer away (RFC 9112 section 9.6).
    pub(super) async fn linger(&self, limit: Duration) {
        let _ = rustix::net::shutdown(self.as_fd(), rustix::net::Shutdown::Write);
        let mut buffer = [0; 4096];
        let drain = async {
            loop {
                match self.try_read(&mut buffer) {
                    Ok(0) => return,
                    Ok(_) => tokio::task::yield_now().await,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        let ready = both!(self, stream => stream.ready(Interest::READABLE).await);
                        if ready.is_err() {
                            return;
                        }
                    }
                    Err(_) => return,
                }
            }
        };
        let _ = tokio::time::timeout(limit, drain).await;
    }

    pub(super) fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        both!(self, stream => stream.try_write(bytes))
    }

    fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        both!(self, stream => stream.try_read(buffer))
    }

    fn try_write_vectored(&self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        both!(self, stream => stream.try_write_vectored(pieces))
    }

    fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        both!(self, stream => stream.poll_read_ready(cx))
    }

    fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        both!(self, stream => stream.poll_write_ready(cx))
    }
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        both!(self, stream => stream.as_fd())
    }
}

/// What hyper reads from and writes to.
pub(super) struct Timed {
    stream: Arc<Stream>,
    progress: Arc<Progress>,
    /// Runs out when the client has sent nothing for too long.
    reading: Option<Pin<Box<Sleep>>>,
    /// Runs out when the client has read nothing for too long; `None` while it reads.
    writing: Option<Pin<Box<Sleep>>>,
    patience: Duration,
}

impl Timed {
    pub(super) fn new(stream: Arc<Stream>, progress: Arc<Progress>, patience: Duration) -> Self {
        Timed {
            stream,
            progress,
            reading: None,
            writing: None,
            patience,
        }
    }

    /// Nothing to read: waits for bytes or for the deadline.
    fn wait_to_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(deadline) = self.progress.deadline() else {
            return Poll::Pending;
        };
        let sleep = self
            .reading
            .get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        if sleep.deadline() != deadline {
            sleep.as_mut().reset(deadline);
        }
        ready!(sleep.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }

    /// Writes with `attempt` when the client can take something.
    fn write(
        &mut self,
        cx: &mut Context<'_>,
        attempt: impl Fn(&Stream) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        loop {
            if self.stream.poll_write_ready(cx)?.is_pending() {
                let patience = self.patience;
                let fresh = || Box::pin(sleep_until(Instant::now() + patience));
                ready!(self.writing.get_or_insert_with(fresh).as_mut().poll(cx));
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            match attempt(&self.stream) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => {
                    self.writing = None;
                    return Poll::Ready(result);
                }
            }
        }
    }
}

impl AsyncRead for Timed {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            if self.stream.poll_read_ready(cx)?.is_pending() {
                return self.wait_to_read(cx);
            }
            match self.stream.try_read(buffer.initialize_unfilled()) {
                Ok(count) => {
                    buffer.advance(count);
                    self.progress.bytes_came();
                    return Poll::Ready(Ok(()));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

impl AsyncWrite for Timed {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.write(cx, |stream| stream.try_write(bytes))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.write(cx, |stream| stream.try_write_vectored(pieces))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let ended = rustix::net::shutdown(self.stream.as_fd(), rustix::net::Shutdown::Write);
        Poll::Ready(ended.map_err(io::Error::from))
    }
}
