//! Takes connections, and closes the door.

use std::collections::HashMap;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::watch;
use tokio::task::{AbortHandle, Id, JoinSet};
use tokio::time::{Sleep, sleep, sleep_until};

use super::connection::{self, Shared};
use super::progress::Progress;
use super::slots::{Peer, Slots, Verdict};
use super::sockets::{Made, Socket};
use super::stream::Stream;
use super::{Closed, Doorman, Limits, Listeners, Phase, answer};

/// How long nothing is accepted after an error: it is mostly a lack of file descriptors.
const PAUSE: Duration = Duration::from_millis(100);

/// The most connections that are told at a time that they are too many; others are closed without a word.
const REFUSALS: usize = 32;

/// The most connections that are accepted before others get their turn.
const BURST: usize = 16;

enum Watched {
    Tcp(TcpListener),
    Unix(
        UnixListener,
        #[allow(dead_code, reason = "removes the socket's file when dropped")] Option<Made>,
    ),
}

impl Watched {
    fn new(socket: Socket) -> io::Result<Self> {
        Ok(match socket {
            Socket::Tcp(listener) => {
                listener.set_nonblocking(true)?;
                Watched::Tcp(TcpListener::from_std(listener)?)
            }
            Socket::Unix(listener, made) => {
                listener.set_nonblocking(true)?;
                Watched::Unix(UnixListener::from_std(listener)?, made)
            }
        })
    }

    fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(Stream, Peer)>> {
        match self {
            Watched::Tcp(listener) => {
                let accepted = listener.poll_accept(cx);
                accepted.map_ok(|(stream, address)| (Stream::Tcp(stream), Peer::Tcp(address)))
            }
            Watched::Unix(listener, _) => {
                let accepted = listener.poll_accept(cx);
                accepted.map_ok(|(stream, _)| (Stream::Unix(stream), Peer::Unix))
            }
        }
    }
}

/// A connection that is served.
struct Guest {
    peer: Peer,
    progress: Arc<Progress>,
    task: AbortHandle,
}

/// The door.
pub(super) struct Door<'a> {
    watched: Vec<Watched>,
    shared: Shared,
    slots: Slots,
    guests: HashMap<Id, Guest>,
    tasks: JoinSet<()>,
    refusals: JoinSet<()>,
    doorman: &'a dyn Doorman,
    pause: Option<Pin<Box<Sleep>>>,
}

impl<'a> Door<'a> {
    pub(super) fn new(
        listeners: Listeners,
        router: Router,
        limits: Limits,
        phase: watch::Receiver<Phase>,
        doorman: &'a dyn Doorman,
    ) -> io::Result<Self> {
        let watched = listeners.sockets.into_iter().map(Watched::new);
        Ok(Door {
            watched: watched.collect::<io::Result<_>>()?,
            shared: Shared {
                router,
                limits,
                phase,
            },
            slots: Slots::new(limits.connections, limits.per_peer),
            guests: HashMap::new(),
            tasks: JoinSet::new(),
            refusals: JoinSet::new(),
            doorman,
            pause: None,
        })
    }

    /// Serves until it is told to end.
    pub(super) async fn open(mut self) -> io::Result<Closed> {
        let mut phase = self.shared.phase.clone();
        {
            let mut ending = pin!(phase.wait_for(|phase| *phase != Phase::Serving));
            poll_fn(|cx| {
                if ending.as_mut().poll(cx).is_ready() {
                    return Poll::Ready(());
                }
                self.poll(cx);
                Poll::Pending
            })
            .await;
        }
        // Clients that connect from now on are refused by the system, or wait for the next service.
        self.watched.clear();
        self.refusals.abort_all();
        self.drain(phase).await;
        let busy = self
            .guests
            .values()
            .filter(|guest| guest.progress.unused_since().is_none());
        Ok(Closed { cut: busy.count() })
    }

    /// Waits until all requests are answered, the time is over, or the service is told to end now.
    async fn drain(&mut self, mut phase: watch::Receiver<Phase>) {
        let until = match *phase.borrow() {
            Phase::Draining(until) if self.shared.phase.has_changed().is_ok() => until,
            _ => return,
        };
        let mut late = pin!(sleep_until(until));
        let mut stopped = pin!(phase.wait_for(|phase| *phase == Phase::Stopped));
        poll_fn(|cx| {
            self.reap(cx);
            let over = self.guests.is_empty() || late.as_mut().poll(cx).is_ready();
            if over || stopped.as_mut().poll(cx).is_ready() {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
    }

    fn poll(&mut self, cx: &mut Context<'_>) {
        if let Some(pause) = &mut self.pause
            && pause.as_mut().poll(cx).is_ready()
        {
            self.pause = None;
        }
        if self.pause.is_none() {
            self.accept(cx);
        }
        // Last: a set that was empty before would not tell of tasks that are in it now.
        self.reap(cx);
        while let Poll::Ready(Some(_)) = self.refusals.poll_join_next(cx) {}
    }

    /// Takes the connections that wait, up to a number.
    fn accept(&mut self, cx: &mut Context<'_>) {
        for _ in 0..BURST {
            match self.poll_accept(cx) {
                Poll::Ready(Ok((stream, peer))) => self.welcome(stream, peer),
                // The client has left already.
                Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Poll::Ready(Err(error)) => {
                    self.doorman.troubled(&error);
                    self.pause = Some(Box::pin(sleep(PAUSE)));
                    break;
                }
                Poll::Pending => return,
            }
        }
        cx.waker().wake_by_ref();
    }

    /// The next connection, from the listener whose turn it is.
    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<(Stream, Peer)>> {
        for number in 0..self.watched.len() {
            if let Poll::Ready(accepted) = self.watched[number].poll_accept(cx) {
                self.watched.rotate_left(number + 1);
                return Poll::Ready(accepted);
            }
        }
        Poll::Pending
    }

    /// Takes the connections that have ended out of the count.
    fn reap(&mut self, cx: &mut Context<'_>) {
        while let Poll::Ready(Some(ended)) = self.tasks.poll_join_next_with_id(cx) {
            let id = ended.map_or_else(|error| error.id(), |(id, ())| id);
            self.forget(id);
        }
    }

    fn forget(&mut self, id: Id) {
        if let Some(guest) = self.guests.remove(&id) {
            self.slots.leave(guest.peer);
            self.doorman.connections(self.slots.open());
        }
    }

    fn welcome(&mut self, stream: Stream, peer: Peer) {
        let mut verdict = self.slots.enter(peer);
        if verdict == Verdict::Full && self.evict() {
            verdict = self.slots.enter(peer);
        }
        if verdict != Verdict::Enter {
            self.doorman.refused(peer);
            self.refuse(stream);
            return;
        }
        let progress = Progress::new(self.shared.limits);
        let served = connection::run(stream, peer, Arc::clone(&progress), self.shared.clone());
        let task = self.tasks.spawn(served);
        self.guests.insert(task.id(), Guest { peer, progress, task });
        self.doorman.connections(self.slots.open());
    }

    /// Closes the connection that has been unused for the longest time. Whoever comes with a request is served while
    /// others only hold connections open.
    fn evict(&mut self) -> bool {
        let unused = self.guests.iter();
        let unused = unused.filter_map(|(id, guest)| Some((guest.progress.unused_since()?, *id)));
        let Some((_, id)) = unused.min_by_key(|(since, _)| *since) else {
            return false;
        };
        if let Some(guest) = self.guests.get(&id) {
            guest.task.abort();
            self.doorman.evicted(guest.peer);
        }
        self.forget(id);
        true
    }

    fn refuse(&mut self, stream: Stream) {
        if self.refusals.len() >= REFUSALS {
            return;
        }
        let linger = self.shared.limits.linger;
        self.refusals.spawn(async move {
            // A new connection has room for this much.
            let _ = stream.try_write(answer::FULL);
            stream.linger(linger).await;
        });
    }
}
