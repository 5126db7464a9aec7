//! SIGTERM and SIGINT end the service, SIGHUP has it read its keys again.

use std::future::pending;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::journal::{Journal, Level};
use crate::keys::Keys;
use crate::notify::Notifier;

/// The next signal of a kind; it never comes if the system does not tell.
async fn next(signal: &mut Option<Signal>) {
    match signal {
        Some(signal) => drop(signal.recv().await),
        None => pending().await,
    }
}

/// The signals, from the time on when this is made: none that comes afterwards is missed.
pub(super) struct Signals {
    terminate: Option<Signal>,
    interrupt: Option<Signal>,
    hangup: Option<Signal>,
}

impl Signals {
    pub(super) fn listen() -> Self {
        Signals {
            terminate: signal(SignalKind::terminate()).ok(),
            interrupt: signal(SignalKind::interrupt()).ok(),
            hangup: signal(SignalKind::hangup()).ok(),
        }
    }

    /// Waits for the signal that ends the service.
    pub(super) async fn until_end(&mut self, keys: &Keys, notifier: &Notifier, journal: &Journal) {
        loop {
            tokio::select! {
                () = next(&mut self.terminate) => return,
                () = next(&mut self.interrupt) => return,
                () = next(&mut self.hangup) => {
                    notifier.reloading();
                    match keys.reload() {
                        Ok(count) => journal.log(Level::Info, format_args!("{count} keys were read again")),
                        Err(error) => {
                            journal.log(Level::Error, format_args!("the keys stay as they were: {error}"));
                        }
                    }
                    notifier.ready("ready");
                }
            }
        }
    }

    /// Waits for a further signal, or for so long.
    pub(super) async fn until_second(&mut self, most: Duration) {
        tokio::select! {
            () = next(&mut self.terminate) => {}
            () = next(&mut self.interrupt) => {}
            () = tokio::time::sleep(most) => {}
        }
    }
}
