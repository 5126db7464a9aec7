//! A connection that notices when nothing comes, and when the caller wants to stop.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ureq::Error;
use ureq::unversioned::transport::{Buffers, ConnectionDetails, Connector, NextTimeout, Transport};

use crate::HubError;

/// How long is waited before the caller's wish to stop is looked at.
const STEP: Duration = Duration::from_millis(200);

/// Wraps each connection below TLS.
#[derive(Debug)]
pub(super) struct Watch {
    pub(super) cancel: Arc<AtomicBool>,
    /// How long may pass without a byte.
    pub(super) stall: Duration,
}

impl<In: Transport> Connector<In> for Watch {
    type Out = Watched<In>;

    fn connect(&self, _: &ConnectionDetails<'_>, chained: Option<In>) -> Result<Option<Self::Out>, Error> {
        Ok(chained.map(|inner| Watched {
            inner,
            cancel: Arc::clone(&self.cancel),
            stall: self.stall,
        }))
    }
}

#[derive(Debug)]
pub(super) struct Watched<T> {
    inner: T,
    cancel: Arc<AtomicBool>,
    stall: Duration,
}

impl<T: Transport> Transport for Watched<T> {
    fn buffers(&mut self) -> &mut dyn Buffers {
        self.inner.buffers()
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        self.inner.transmit_output(amount, timeout)
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        let limit = match timeout.not_zero() {
            Some(limit) => self.stall.min(*limit),
            None => self.stall,
        };
        let mut waited = Duration::ZERO;
        loop {
            if self.cancel.load(Ordering::Relaxed) {
                return Err(Error::Io(std::io::Error::other(HubError::Interrupted)));
            }
            let step = STEP.min(limit.saturating_sub(waited));
            let next = NextTimeout {
                after: step.into(),
                ..timeout
            };
            match self.inner.await_input(next) {
                Err(Error::Timeout(_)) if waited + step < limit => waited += step,
                done => return done,
            }
        }
    }

    fn is_open(&mut self) -> bool {
        self.inner.is_open()
    }

    fn is_tls(&self) -> bool {
        self.inner.is_tls()
    }
}
