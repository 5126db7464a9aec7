//! What one client may take from the others.

use std::time::Duration;

/// The limits of connections and of bodies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The time for a request's head, from its first byte; on a new connection, from its start.
    pub head: Duration,
    /// The largest head in bytes.
    pub head_bytes: usize,
    /// The time for a request's body, from the end of its head.
    pub body: Duration,
    /// The largest body in bytes.
    pub body_bytes: u64,
    /// How long a connection may be without a request.
    pub idle: Duration,
    /// How long a client may read nothing of its answer.
    pub write: Duration,
    /// The most connections at a time.
    pub connections: usize,
    /// The most connections of one address (of one /64 network for IPv6). UNIX sockets and the loopback, where a proxy
    /// may ask for everybody, are not counted.
    pub per_peer: usize,
    /// What the system keeps of an answer that a client does not read, in bytes.
    pub send_buffer: usize,
    /// How long a client that was refused may still send, so that it gets to read the reason.
    pub linger: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            head: Duration::from_secs(10),
            head_bytes: 16 << 10,
            body: Duration::from_secs(30),
            body_bytes: 1 << 20,
            idle: Duration::from_secs(60),
            write: Duration::from_secs(60),
            connections: 64,
            per_peer: 16,
            send_buffer: 64 << 10,
            linger: Duration::from_secs(2),
        }
    }
}

/// A limit as it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LimitRow {
    /// Its name.
    pub name: &'static str,
    /// Its value with its unit.
    pub value: String,
    /// What it protects from.
    pub against: &'static str,
}

impl Limits {
    /// All limits, for a table.
    pub fn rows(&self) -> Vec<LimitRow> {
        let seconds = |time: Duration| format!("{} s", time.as_secs_f64());
        let kib = |bytes: u64| format!("{} KiB", bytes >> 10);
        let head_bytes = u64::try_from(self.head_bytes).unwrap_or(u64::MAX);
        let send_buffer = u64::try_from(self.send_buffer).unwrap_or(u64::MAX);
        let rows = [
            (
                "head",
                seconds(self.head),
                "clients that send a request's head byte by byte",
            ),
            ("head size", kib(head_bytes), "heads that fill the memory"),
            (
                "body",
                seconds(self.body),
                "clients that send a body byte by byte",
            ),
            ("body size", kib(self.body_bytes), "bodies that fill the memory"),
            (
                "idle connection",
                seconds(self.idle),
                "connections that nobody uses",
            ),
            (
                "stalled reader",
                seconds(self.write),
                "clients that do not read their answer",
            ),
            (
                "connections",
                self.connections.to_string(),
                "more clients than there is memory for",
            ),
            (
                "connections of one address",
                self.per_peer.to_string(),
                "one client that takes all connections",
            ),
            (
                "unread answer",
                kib(send_buffer),
                "answers that pile up in the system",
            ),
            (
                "refused client",
                seconds(self.linger),
                "refused clients that keep on sending",
            ),
        ];
        let row = |(name, value, against)| LimitRow { name, value, against };
        rows.map(row).into()
    }
}
