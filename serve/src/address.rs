//! Addresses to listen on, and whether the service may be reachable there.

use std::fmt;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::path::PathBuf;

/// A place where clients connect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// A TCP port on one address of this machine, or on all of them.
    Tcp(SocketAddr),
    /// A UNIX socket.
    Unix(PathBuf),
}

impl Address {
    /// The addresses of a host's name or IP literal (`127.0.0.1`, `::1`, `[::1]`, `localhost`). A name is looked up.
    ///
    /// # Errors
    /// The name has no address, or the lookup fails.
    pub fn resolve(host: &str, port: u16) -> Result<Vec<Address>, AddressError> {
        let fail = |reason: String| AddressError {
            host: host.to_owned(),
            reason,
        };
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let bare = bare.unwrap_or(host);
        if let Ok(ip) = bare.parse::<IpAddr>() {
            return Ok(vec![Address::Tcp(SocketAddr::new(ip, port))]);
        }
        let found = (bare, port)
            .to_socket_addrs()
            .map_err(|error| fail(error.to_string()))?;
        let mut addresses: Vec<Address> = Vec::new();
        for address in found.map(Address::Tcp) {
            if !addresses.contains(&address) {
                addresses.push(address);
            }
        }
        if addresses.is_empty() {
            return Err(fail("the name has no address".to_owned()));
        }
        Ok(addresses)
    }

    /// The TCP address; `None` for a UNIX socket.
    pub fn tcp(&self) -> Option<SocketAddr> {
        match self {
            Address::Tcp(address) => Some(*address),
            Address::Unix(_) => None,
        }
    }

    /// Whether other machines may reach this address.
    pub fn is_exposed(&self) -> bool {
        self.tcp().is_some_and(|address| !is_loopback(address.ip()))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Tcp(address) => write!(f, "http://{address}"),
            Address::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// A host cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("{host}: not an address of this machine: {reason}; name an IP address or localhost")]
pub struct AddressError {
    host: String,
    reason: String,
}

/// Whether an address is of this machine's loopback, also when it is an IPv4 address in IPv6's form.
pub fn is_loopback(ip: IpAddr) -> bool {
    ip.to_canonical().is_loopback()
}

/// A way to make an exposed service permissible.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remedy {
    /// Give a file of API keys.
    Keys,
    /// Insist on answering everyone.
    NoAuth,
    /// Listen on this machine only.
    Loopback,
}

/// The service would answer other machines without asking for a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{address}: other machines can connect, and no API keys are configured; give keys, or allow access without keys"
)]
pub struct Exposed {
    /// The first address that other machines reach.
    pub address: SocketAddr,
    /// What helps, the best first.
    pub remedies: [Remedy; 3],
}

/// Refuses to answer other machines without keys, unless `no_auth` insists on it.
///
/// # Errors
/// An address is not of the loopback, there are no keys, and `no_auth` is not set.
pub fn permit(addresses: &[Address], has_keys: bool, no_auth: bool) -> Result<(), Exposed> {
    let exposed = addresses.iter().find(|address| address.is_exposed());
    match exposed.and_then(Address::tcp) {
        Some(address) if !has_keys && !no_auth => Err(Exposed {
            address,
            remedies: [Remedy::Keys, Remedy::NoAuth, Remedy::Loopback],
        }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tcp(text: &str) -> Address {
        Address::Tcp(text.parse().expect("an address"))
    }

    #[test]
    fn only_the_loopback_is_open_without_keys() {
        let unix = Address::Unix("/run/siskin/siskin.sock".into());
        let cases = [
            (vec![tcp("127.0.0.1:8080")], true),
            (vec![tcp("127.9.9.9:8080")], true),
            (vec![tcp("[::1]:8080")], true),
            (vec![tcp("[::ffff:127.0.0.1]:8080")], true),
            (vec![unix.clone()], true),
            (vec![tcp("0.0.0.0:8080")], false),
            (vec![tcp("[::]:8080")], false),
            (vec![tcp("192.168.1.7:8080")], false),
            (vec![tcp("[fe80::1]:8080")], false),
            (vec![tcp("[::ffff:10.0.0.1]:8080")], false),
            (vec![unix, tcp("127.0.0.1:1"), tcp("10.0.0.1:1")], false),
            (vec![], true),
        ];
        for (addresses, open) in cases {
            assert_eq!(permit(&addresses, false, false).is_ok(), open, "{addresses:?}");
            assert_eq!(permit(&addresses, true, false), Ok(()), "{addresses:?}");
            assert_eq!(permit(&addresses, false, true), Ok(()), "{addresses:?}");
        }
    }

    #[test]
    fn the_refusal_names_the_address_and_no_flag() {
        let refusal = permit(&[tcp("127.0.0.1:1"), tcp("0.0.0.0:8080")], false, false);
        let refusal = refusal.expect_err("exposed");
        assert_eq!(refusal.address, "0.0.0.0:8080".parse().expect("an address"));
        assert_eq!(refusal.remedies[0], Remedy::Keys);
        let text = refusal.to_string();
        assert!(
            text.starts_with("0.0.0.0:8080: ") && !text.contains("--"),
            "{text}"
        );
    }

    #[test]
    fn hosts_are_literals_or_names() {
        let literal = |host: &str| Address::resolve(host, 80).expect("a literal");
        assert_eq!(literal("127.0.0.1"), [tcp("127.0.0.1:80")]);
        assert_eq!(literal("::"), [tcp("[::]:80")]);
        assert_eq!(literal("[::1]"), [tcp("[::1]:80")]);
        let local = Address::resolve("localhost", 80).expect("every machine has it");
        assert!(!local.is_empty() && local.iter().all(|address| !address.is_exposed()));
        let error = Address::resolve("not a name", 80)
            .expect_err("spaces")
            .to_string();
        assert!(error.starts_with("not a name: not an address"), "{error}");
    }

    #[test]
    fn addresses_print_as_what_clients_type() {
        assert_eq!(tcp("[::1]:8080").to_string(), "http://[::1]:8080");
        assert_eq!(Address::Unix("/run/s".into()).to_string(), "unix:/run/s");
    }
}
