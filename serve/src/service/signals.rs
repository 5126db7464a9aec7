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

/// Waits for the signal that ends the service.
pub(super) async fn until_end(keys: &Keys, notifier: &Notifier, journal: &Journal) {
    let [mut terminate, mut interrupt, mut hangup] = [
        SignalKind::terminate(),
        SignalKind::interrupt(),
        SignalKind::hangup(),
    ]
    .map(|kind| signal(kind).ok());
    loop {
        tokio::select! {
            () = next(&mut terminate) => return,
            () = next(&mut interrupt) => return,
            () = next(&mut hangup) => {
                notifier.reloading();
                match keys.reload() {
                    Ok(count) => journal.log(Level::Info, format_args!("{count} keys were read again")),
                    Err(error) => journal.log(Level::Error, format_args!("the keys stay as they were: {error}")),
                }
                notifier.ready("ready");
            }
        }
    }
}

/// Waits for a further signal, or for so long.
pub(super) async fn until_second(most: Duration) {
    let [mut terminate, mut interrupt] =
        [SignalKind::terminate(), SignalKind::interrupt()].map(|kind| signal(kind).ok());
    tokio::select! {
        () = next(&mut terminate) => {}
        () = next(&mut interrupt) => {}
        () = tokio::time::sleep(most) => {}
    }
}
