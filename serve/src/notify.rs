//! What systemd is told (sd_notify(3)): that the service is ready, what it does, and that it is alive.
//!
//! Without `$NOTIFY_SOCKET` nothing happens. The watchdog is not fed by a timer: it is fed if the engine's counter has
//! moved, or if the engine has nothing to do and says so. A thread that hangs is then restarted.

use std::convert::Infallible;
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// How long a message may wait for systemd to read others.
const PATIENCE: Duration = Duration::from_secs(1);

/// The longest status in bytes that is sent.
const MAX_STATUS: usize = 500;

/// How often the watchdog is looked at within its interval.
const LOOKS: u32 = 4;

/// Tells systemd.
#[derive(Debug, Default)]
pub struct Notifier(Option<UnixDatagram>);

impl Notifier {
    /// A notifier that tells nobody.
    pub fn none() -> Self {
        Notifier(None)
    }

    /// A notifier to `$NOTIFY_SOCKET`: a path, or an abstract name after `@`.
    ///
    /// # Errors
    /// Nobody listens there. The service can run with [`Notifier::none`], but systemd will not know that it is ready.
    pub fn to(address: Option<&OsStr>) -> io::Result<Self> {
        let Some(address) = address else {
            return Ok(Self::none());
        };
        let socket = UnixDatagram::unbound()?;
        let address = match address.as_bytes() {
            [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
            [b'/', ..] => SocketAddr::from_pathname(address)?,
            _ => return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a UNIX socket")),
        };
        socket.connect_addr(&address)?;
        socket.set_write_timeout(Some(PATIENCE))?;
        Ok(Notifier(Some(socket)))
    }

    /// Whether somebody is told.
    pub fn is_connected(&self) -> bool {
        self.0.is_some()
    }

    /// The service answers.
    pub fn ready(&self, status: &str) {
        self.send("READY=1\n", Some(status));
    }

    /// What the service does, in a line that `systemctl status` shows.
    pub fn status(&self, status: &str) {
        self.send("", Some(status));
    }

    /// The service ends.
    pub fn stopping(&self, status: &str) {
        self.send("STOPPING=1\n", Some(status));
    }

    /// The service reads its keys again; [`Notifier::ready`] says when it has.
    pub fn reloading(&self) {
        // Needed by units of Type=notify-reload, from systemd 253 on.
        let now = clock_gettime(ClockId::Monotonic);
        let micros = i128::from(now.tv_sec) * 1_000_000 + i128::from(now.tv_nsec) / 1000;
        self.send(&format!("RELOADING=1\nMONOTONIC_USEC={micros}\n"), None);
    }

    /// The start, or the end, takes this much longer.
    pub fn extend(&self, time: Duration) {
        self.send(&format!("EXTEND_TIMEOUT_USEC={}\n", time.as_micros()), None);
    }

    /// The service is alive.
    pub fn watchdog(&self) {
        self.send("WATCHDOG=1\n", None);
    }

    /// A failure is ignored: who is to be told is not there.
    fn send(&self, fields: &str, status: Option<&str>) {
        let Some(socket) = &self.0 else { return };
        let mut message = fields.to_owned();
        if let Some(status) = status {
            // Writing to a String does not fail.
            let _ = writeln!(message, "STATUS={}", one_line(status));
        }
        let _ = socket.send(message.as_bytes());
    }
}

/// A text that cannot become another field of the message.
fn one_line(text: &str) -> String {
    let mut line = String::new();
    for character in text.chars() {
        if line.len() + character.len_utf8() > MAX_STATUS {
            break;
        }
        line.push(if character.is_control() { ' ' } else { character });
    }
    line
}

/// How often systemd wants to hear that this process is alive: from `$WATCHDOG_USEC` and `$WATCHDOG_PID`. `None` if it
/// does not.
pub fn watchdog_interval(usec: Option<&str>, pid: Option<&str>, me: u32) -> Option<Duration> {
    let meant = pid.is_none_or(|pid| pid.parse() == Ok(me));
    let micros: u64 = usec.filter(|_| meant)?.parse().ok()?;
    (micros > 0).then(|| Duration::from_micros(micros))
}

/// What the engine shows of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pulse {
    /// A counter that moves with every step of the engine.
    pub beats: u64,
    /// The engine has nothing to do and has said so after its last step.
    pub idle: bool,
}

/// Decides whether the engine is alive. Pure.
#[derive(Debug)]
pub struct Watchdog {
    last: u64,
}

impl Watchdog {
    /// Begins to watch.
    pub fn new(pulse: Pulse) -> Self {
        Watchdog { last: pulse.beats }
    }

    /// Whether the engine has moved since the last time, or rests.
    pub fn is_alive(&mut self, pulse: Pulse) -> bool {
        let moved = pulse.beats != self.last;
        self.last = pulse.beats;
        moved || pulse.idle
    }
}

/// Feeds systemd's watchdog as long as the engine is alive. It never ends.
pub async fn watch(notifier: &Notifier, interval: Duration, pulse: impl Fn() -> Pulse) -> Infallible {
    let mut watchdog = Watchdog::new(pulse());
    loop {
        tokio::time::sleep(interval / LOOKS).await;
        if watchdog.is_alive(pulse()) {
            notifier.watchdog();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::pin::pin;

    use super::*;

    /// systemd's end.
    fn listener() -> (tempfile::TempDir, UnixDatagram, Notifier) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("notify");
        let socket = UnixDatagram::bind(&path).expect("bound");
        socket
            .set_read_timeout(Some(Duration::from_secs(10)))
            .expect("set");
        let notifier = Notifier::to(Some(path.as_os_str())).expect("connected");
        (folder, socket, notifier)
    }

    fn received(socket: &UnixDatagram) -> String {
        let mut bytes = [0; 2000];
        let count = socket.recv(&mut bytes).expect("a message");
        String::from_utf8_lossy(&bytes[..count]).into_owned()
    }

    #[test]
    fn each_state_is_one_message() {
        let (_folder, socket, notifier) = listener();
        assert!(notifier.is_connected());
        notifier.ready("2 slots");
        notifier.status("answers 1\nMAINPID=1");
        notifier.stopping("waits for 1 answer");
        notifier.watchdog();
        notifier.extend(Duration::from_secs(2));
        let want = [
            "READY=1\nSTATUS=2 slots\n",
            "STATUS=answers 1 MAINPID=1\n",
            "STOPPING=1\nSTATUS=waits for 1 answer\n",
            "WATCHDOG=1\n",
            "EXTEND_TIMEOUT_USEC=2000000\n",
        ];
        for want in want {
            assert_eq!(received(&socket), want);
        }
        notifier.reloading();
        let message = received(&socket);
        let micros = message
            .strip_prefix("RELOADING=1\nMONOTONIC_USEC=")
            .and_then(|rest| rest.trim().parse().ok());
        assert!(micros.is_some_and(|micros: u64| micros > 0), "{message}");
        notifier.status(&"é".repeat(1000));
        assert_eq!(received(&socket), format!("STATUS={}\n", "é".repeat(250)));
    }

    #[test]
    fn abstract_names_are_sockets_too() {
        let name = format!("siskin-test-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).expect("a name");
        let socket = UnixDatagram::bind_addr(&address).expect("bound");
        let notifier = Notifier::to(Some(OsStr::new(&format!("@{name}")))).expect("connected");
        notifier.watchdog();
        assert_eq!(received(&socket), "WATCHDOG=1\n");
    }

    #[test]
    fn without_systemd_nothing_happens() {
        let nobody = Notifier::to(None).expect("nobody");
        assert!(!nobody.is_connected());
        nobody.ready("x");
        for address in ["vsock:2:1234", "", "relative", "/nonexistent/notify"] {
            assert!(Notifier::to(Some(OsStr::new(address))).is_err(), "{address}");
        }
    }

    #[test]
    fn the_watchdog_is_for_this_process() {
        let cases = [
            (Some("60000000"), None, Some(60)),
            (Some("60000000"), Some("7"), Some(60)),
            (Some("60000000"), Some("8"), None),
            (Some("60000000"), Some("x"), None),
            (Some("0"), None, None),
            (Some("-1"), None, None),
            (None, Some("7"), None),
        ];
        for (usec, pid, want) in cases {
            let found = watchdog_interval(usec, pid, 7);
            assert_eq!(found, want.map(Duration::from_secs), "{usec:?} {pid:?}");
        }
    }

    #[test]
    fn an_engine_that_hangs_is_not_alive() {
        let pulse = |beats, idle| Pulse { beats, idle };
        let mut watchdog = Watchdog::new(pulse(5, false));
        let cases = [
            (pulse(6, false), true),
            (pulse(6, false), false),
            (pulse(6, true), true),
            (pulse(6, false), false),
            (pulse(9, false), true),
            (pulse(0, false), true), // the counter went round
        ];
        for (number, (pulse, want)) in cases.into_iter().enumerate() {
            assert_eq!(watchdog.is_alive(pulse), want, "case {number}");
        }
    }

    #[test]
    fn the_watchdog_is_fed_by_beats_and_not_by_time() {
        let (_folder, socket, notifier) = listener();
        socket.set_nonblocking(true).expect("set");
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build();
        let beats = Cell::new(0);
        let looked = Cell::new(0);
        let pulse = || {
            looked.set(looked.get() + 1);
            // The engine hangs after its third beat.
            beats.set((beats.get() + 1).min(3));
            Pulse {
                beats: beats.get(),
                idle: false,
            }
        };
        runtime.expect("a runtime").block_on(async {
            let mut watching = pin!(watch(&notifier, Duration::from_millis(4), pulse));
            std::future::poll_fn(|cx| {
                let _ = watching.as_mut().poll(cx);
                match looked.get() {
                    0..10 => std::task::Poll::Pending,
                    _ => std::task::Poll::Ready(()),
                }
            })
            .await;
        });
        let messages = std::iter::from_fn(|| socket.recv(&mut [0; 100]).ok()).count();
        assert_eq!(messages, 2, "the first look only begins");
    }
}
