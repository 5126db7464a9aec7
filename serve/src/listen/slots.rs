//! How many connections there are, and whose. Pure.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use crate::address::is_loopback;

/// Who is at the other end of a connection. Handlers find it among a request's extensions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    /// A program on this machine, through a UNIX socket.
    Unix,
    /// An address.
    Tcp(SocketAddr),
}

impl Peer {
    /// Whom a connection is counted for; `None` if it is not.
    fn counted(self) -> Option<IpAddr> {
        match self {
            Peer::Tcp(address) if !is_loopback(address.ip()) => Some(match address.ip().to_canonical() {
                // A household or a server has at least one whole /64.
                IpAddr::V6(ip) => IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() >> 64 << 64)),
                ip => ip,
            }),
            _ => None,
        }
    }
}

/// What happens to a new connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is served.
    Enter,
    /// There are too many connections.
    Full,
    /// There are too many of its address.
    PeerFull,
}

/// The connections that are counted.
#[derive(Debug)]
pub(super) struct Slots {
    connections: usize,
    per_peer: usize,
    open: usize,
    peers: HashMap<IpAddr, usize>,
}

impl Slots {
    pub(super) fn new(connections: usize, per_peer: usize) -> Self {
        Slots {
            connections,
            per_peer,
            open: 0,
            peers: HashMap::new(),
        }
    }

    /// Decides about a new connection, and counts it if it is served.
    pub(super) fn enter(&mut self, peer: Peer) -> Verdict {
        let counted = peer.counted();
        let count = counted.and_then(|ip| self.peers.get(&ip)).copied().unwrap_or(0);
        if count >= self.per_peer {
            return Verdict::PeerFull;
        }
        if self.open >= self.connections {
            return Verdict::Full;
        }
        self.open += 1;
        if let Some(ip) = counted {
            self.peers.insert(ip, count + 1);
        }
        Verdict::Enter
    }

    /// A connection that had entered ends.
    pub(super) fn leave(&mut self, peer: Peer) {
        self.open = self.open.saturating_sub(1);
        let Some(ip) = peer.counted() else { return };
        if let Some(count) = self.peers.get_mut(&ip) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.peers.remove(&ip);
            }
        }
    }

    /// How many connections are counted.
    pub(super) fn open(&self) -> usize {
        self.open
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(text: &str) -> Peer {
        Peer::Tcp(text.parse().expect("an address"))
    }

    #[test]
    fn one_address_cannot_take_all_connections() {
        let cases = [
            ("10.0.0.1:5000", "10.0.0.1:6000", true),
            ("10.0.0.1:5000", "10.0.0.2:5000", false),
            ("[2001:db8::1]:1", "[2001:db8::ffff:1]:2", true),
            ("[2001:db8::1]:1", "[2001:db8:0:1::1]:1", false),
            ("[::ffff:10.0.0.1]:1", "10.0.0.1:2", true),
            ("127.0.0.1:1", "127.0.0.1:2", false),
            ("[::1]:1", "[::1]:2", false),
            ("[::ffff:127.0.0.1]:1", "127.0.0.1:2", false),
        ];
        for (first, second, same) in cases {
            let mut slots = Slots::new(8, 1);
            assert_eq!(slots.enter(peer(first)), Verdict::Enter);
            let want = if same { Verdict::PeerFull } else { Verdict::Enter };
            assert_eq!(slots.enter(peer(second)), want, "{first} {second}");
        }
    }

    #[test]
    fn who_leaves_makes_room() {
        let mut slots = Slots::new(2, 1);
        let (first, second, third) = (peer("10.0.0.1:1"), peer("10.0.0.2:1"), peer("10.0.0.3:1"));
        assert_eq!([first, second].map(|peer| slots.enter(peer)), [Verdict::Enter; 2]);
        assert_eq!(
            [third, Peer::Unix].map(|peer| slots.enter(peer)),
            [Verdict::Full; 2]
        );
        slots.leave(first);
        assert_eq!(slots.enter(third), Verdict::Enter);
        assert_eq!(slots.enter(first), Verdict::Full);
        for peer in [second, third] {
            slots.leave(peer);
        }
        assert_eq!((slots.open(), slots.peers.len()), (0, 0));
        assert_eq!(
            [Peer::Unix, Peer::Unix].map(|peer| slots.enter(peer)),
            [Verdict::Enter; 2]
        );
    }
}
