//! The sockets on which clients connect: made here, or inherited from systemd.

use std::io::{self, ErrorKind};
use std::net::TcpListener;
use std::os::fd::{OwnedFd, RawFd};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, fchmod};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, sockopt};
use rustix::process::{PidfdFlags, PidfdGetfdFlags};
use siskin_model::files::FileId;

use crate::address::Address;

/// Who may connect to a UNIX socket: the service's user and group.
const UNIX_MODE: u32 = 0o660;

/// Connections that wait to be accepted; more are not answered by the system.
const BACKLOG: i32 = 128;

/// A socket cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ListenError {
    /// The system reported an error.
    #[error("{address}: cannot listen: {source}")]
    Bind {
        /// Where.
        address: Address,
        /// Error reported by the system.
        source: io::Error,
    },
    /// Another program answers there.
    #[error("{address}: another program listens there; stop it or choose another address")]
    Taken {
        /// Where.
        address: Address,
    },
    /// The path of a UNIX socket is something else's.
    #[error("{}: exists and is not a socket; remove it or choose another path", .0.display())]
    NotASocket(PathBuf),
    /// What systemd passed is not a socket for streams that listens.
    #[error("file descriptor {number}: systemd passed {problem}")]
    Inherited {
        /// The file descriptor's number.
        number: RawFd,
        /// What is wrong with it.
        problem: String,
    },
    /// systemd's variables make no sense.
    #[error("LISTEN_FDS or LISTEN_PID: {0}")]
    Variables(io::Error),
}

/// Sockets on which clients connect.
#[derive(Debug, Default)]
pub struct Listeners {
    pub(super) sockets: Vec<Socket>,
    inherited: bool,
}

#[derive(Debug)]
pub(super) enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener, Option<Made>),
}

/// The file of a UNIX socket that was made here; it is removed with this.
#[derive(Debug)]
pub(super) struct Made {
    path: PathBuf,
    id: Option<FileId>,
}

impl Drop for Made {
    fn drop(&mut self) {
        // Another service may have put its own there.
        if self.id.is_some() && FileId::of_path(&self.path) == self.id {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

impl Listeners {
    /// Listens on all of these addresses. An IPv6 loopback that this machine has not is left out, if another one is
    /// there: `localhost` has it everywhere.
    ///
    /// # Errors
    /// One of them is in use, is not of this machine, or is a path that something else has.
    pub fn bind(addresses: &[Address]) -> Result<Self, ListenError> {
        let mut listeners = Listeners::default();
        let mut missing = None;
        for address in addresses {
            let bound = match address {
                Address::Tcp(socket) => TcpListener::bind(socket).map(Socket::Tcp),
                Address::Unix(path) => Ok(unix(path)?),
            };
            match bound {
                Ok(socket) => listeners.sockets.push(socket),
                Err(error) if is_missing(address, error.kind()) => missing = Some((address, error)),
                Err(error) => return Err(ListenError::bind(address.clone(), error)),
            }
        }
        if let Some((address, error)) = missing.filter(|_| listeners.is_empty()) {
            return Err(ListenError::bind(address.clone(), error));
        }
        Ok(listeners)
    }

    /// The sockets that systemd passed to this process; none if it was not started by a socket.
    ///
    /// # Errors
    /// systemd passed something else than sockets for streams that listen.
    pub fn inherited() -> Result<Self, ListenError> {
        let numbers = sd_notify::listen_fds().map_err(ListenError::Variables)?;
        let sockets = numbers.map(adopt).collect::<Result<Vec<Socket>, ListenError>>()?;
        Ok(Listeners {
            inherited: !sockets.is_empty(),
            sockets,
        })
    }

    /// True if there are no sockets.
    pub fn is_empty(&self) -> bool {
        self.sockets.is_empty()
    }

    /// Whether systemd keeps these sockets open, so that clients wait while no service runs.
    pub fn are_inherited(&self) -> bool {
        self.inherited
    }

    /// Where clients connect, with the ports that the system chose.
    pub fn addresses(&self) -> Vec<Address> {
        let sockets = self.sockets.iter();
        let address = |socket: &Socket| match socket {
            Socket::Tcp(listener) => listener.local_addr().ok().map(Address::Tcp),
            Socket::Unix(listener, _) => {
                let address = listener.local_addr().ok()?;
                address.as_pathname().map(|path| Address::Unix(path.to_owned()))
            }
        };
        sockets.filter_map(address).collect()
    }
}

impl ListenError {
    fn bind(address: Address, source: io::Error) -> Self {
        match source.kind() {
            ErrorKind::AddrInUse => ListenError::Taken { address },
            _ => ListenError::Bind { address, source },
        }
    }
}

/// Whether the error is that this machine has no IPv6.
fn is_missing(address: &Address, error: ErrorKind) -> bool {
    let six = address
        .tcp()
        .is_some_and(|socket| socket.is_ipv6() && !address.is_exposed());
    // EAFNOSUPPORT has no kind of its own.
    six && !matches!(error, ErrorKind::AddrInUse | ErrorKind::PermissionDenied)
}

fn unix(path: &Path) -> Result<Socket, ListenError> {
    let address = || Address::Unix(path.to_owned());
    let fail = |source| ListenError::bind(address(), source);
    clear(path)?;
    let listen = || -> io::Result<UnixListener> {
        let flags = SocketFlags::CLOEXEC;
        let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
        // The file is made with this mode, less the umask: nobody else can connect before the mode is set.
        let _ = fchmod(&socket, Mode::from_raw_mode(UNIX_MODE));
        rustix::net::bind(&socket, &SocketAddrUnix::new(path)?)?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(UNIX_MODE))?;
        rustix::net::listen(&socket, BACKLOG)?;
        Ok(UnixListener::from(socket))
    };
    let listener = listen().map_err(fail)?;
    let made = Made {
        path: path.to_owned(),
        id: FileId::of_path(path),
    };
    Ok(Socket::Unix(listener, Some(made)))
}

/// Removes the socket of a service that ended without removing it: nobody answers there.
fn clear(path: &Path) -> Result<(), ListenError> {
    let address = || Address::Unix(path.to_owned());
    match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(source) => return Err(ListenError::bind(address(), source)),
        Ok(meta) if !meta.file_type().is_socket() => return Err(ListenError::NotASocket(path.to_owned())),
        Ok(_) => {}
    }
    match UnixStream::connect(path) {
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
            std::fs::remove_file(path).map_err(|source| ListenError::bind(address(), source))
        }
        Ok(_) => Err(ListenError::Taken { address: address() }),
        Err(source) => Err(ListenError::bind(address(), source)),
    }
}

/// Takes a file descriptor that this process has by number. A number says nothing about who owns the descriptor, so the
/// kernel is asked for a second one (pidfd_getfd(2), Linux 5.6).
fn adopt(number: RawFd) -> Result<Socket, ListenError> {
    let fail = |problem: String| ListenError::Inherited { number, problem };
    let io = |error: rustix::io::Errno| fail(format!("something that cannot be used: {error}"));
    let me = rustix::process::pidfd_open(rustix::process::getpid(), PidfdFlags::empty()).map_err(io)?;
    let owned: OwnedFd = rustix::process::pidfd_getfd(&me, number, PidfdGetfdFlags::empty()).map_err(io)?;
    let not_a_socket = |_| fail("something that is not a socket".to_owned());
    let kind = sockopt::socket_type(&owned).map_err(not_a_socket)?;
    if kind != SocketType::STREAM || !sockopt::socket_acceptconn(&owned).map_err(io)? {
        return Err(fail(
            "a socket that does not listen; the unit needs ListenStream= and Accept=no".to_owned(),
        ));
    }
    match sockopt::socket_domain(&owned).map_err(io)? {
        AddressFamily::INET | AddressFamily::INET6 => Ok(Socket::Tcp(TcpListener::from(owned))),
        AddressFamily::UNIX => Ok(Socket::Unix(UnixListener::from(owned), None)),
        _ => Err(fail("a socket that is neither TCP nor UNIX".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd;

    use super::*;

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).expect("it exists").permissions().mode() & 0o777
    }

    #[test]
    fn a_unix_socket_is_for_user_and_group_and_goes_with_its_owner() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("siskin.sock");
        let address = [Address::Unix(path.clone())];
        let first = Listeners::bind(&address).expect("bound");
        assert_eq!((mode(&path), first.addresses()), (0o660, address.to_vec()));
        assert!(matches!(
            Listeners::bind(&address),
            Err(ListenError::Taken { .. })
        ));
        assert!(UnixStream::connect(&path).is_ok());
        drop(first);
        assert!(!path.exists());
    }

    #[test]
    fn the_socket_of_a_dead_service_is_replaced_and_other_files_are_not() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("siskin.sock");
        let address = [Address::Unix(path.clone())];
        drop(UnixListener::bind(&path).expect("bound"));
        assert!(path.exists());
        let listeners = Listeners::bind(&address).expect("replaced");
        // Another service has put its own there: it is not removed.
        std::fs::remove_file(&path).expect("removed");
        std::fs::write(&path, "precious").expect("written");
        drop(listeners);
        let error = Listeners::bind(&address).expect_err("a file");
        assert!(matches!(error, ListenError::NotASocket(_)), "{error}");
        assert_eq!(std::fs::read_to_string(&path).expect("kept"), "precious");
    }

    #[test]
    fn ports_in_use_are_reported_by_address() {
        let any = Address::Tcp(([127, 0, 0, 1], 0).into());
        let first = Listeners::bind(&[any]).expect("a free port");
        let error = Listeners::bind(&first.addresses())
            .expect_err("taken")
            .to_string();
        assert!(error.contains("another program listens there"), "{error}");
    }

    #[test]
    fn sockets_that_systemd_passes_are_adopted_by_number() {
        let folder = tempfile::tempdir().expect("a folder");
        let tcp = TcpListener::bind("127.0.0.1:0").expect("bound");
        let six = TcpListener::bind("[::1]:0").expect("bound");
        let unix = UnixListener::bind(folder.path().join("s")).expect("bound");
        let mut listeners = Listeners::default();
        for number in [tcp.as_raw_fd(), six.as_raw_fd(), unix.as_raw_fd()] {
            listeners.sockets.push(adopt(number).expect("adopted"));
        }
        let want = [
            Address::Tcp(tcp.local_addr().expect("bound")),
            Address::Tcp(six.local_addr().expect("bound")),
            Address::Unix(folder.path().join("s")),
        ];
        assert_eq!(listeners.addresses(), want);
        drop((tcp, six, unix));
        assert!(
            UnixStream::connect(folder.path().join("s")).is_ok(),
            "it is a descriptor of its own"
        );
    }

    #[test]
    fn a_machine_without_ipv6_has_a_localhost() {
        let address = |text: &str| Address::Tcp(text.parse().expect("an address"));
        let cases = [
            ("[::1]:80", ErrorKind::AddrNotAvailable, true),
            ("[::1]:80", ErrorKind::Unsupported, true),
            ("[::1]:80", ErrorKind::AddrInUse, false),
            ("[::1]:80", ErrorKind::PermissionDenied, false),
            ("127.0.0.1:80", ErrorKind::AddrNotAvailable, false),
            ("[2001:db8::1]:80", ErrorKind::AddrNotAvailable, false),
        ];
        for (text, error, want) in cases {
            assert_eq!(is_missing(&address(text), error), want, "{text} {error}");
        }
        // An address for documentation (RFC 5737), which no machine has.
        let foreign = Listeners::bind(&[address("192.0.2.1:0")]).expect_err("not of this machine");
        assert!(matches!(foreign, ListenError::Bind { .. }), "{foreign}");
    }

    #[test]
    fn without_systemd_nothing_is_inherited() {
        let listeners = Listeners::inherited().expect("no variables, or another process's");
        assert!(listeners.is_empty() && !listeners.are_inherited());
    }

    #[test]
    fn what_does_not_listen_is_not_adopted() {
        let file = tempfile::tempfile().expect("a file");
        let (stream, _other) = UnixStream::pair().expect("a pair");
        let udp = std::net::UdpSocket::bind("127.0.0.1:0").expect("bound");
        for number in [file.as_raw_fd(), stream.as_raw_fd(), udp.as_raw_fd(), 1 << 20] {
            let error = adopt(number).expect_err("not a listener").to_string();
            assert!(error.contains("systemd passed"), "{error}");
        }
    }
}
