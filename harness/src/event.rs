//! The machinery around a measurement, and what it reports while it runs.

use std::fmt;
use std::process::Command;
use std::sync::atomic::AtomicBool;

use serde::Serialize;

use crate::cpu_load::CpuLoad;
use crate::tune::about;

/// The machinery around a request.
#[allow(missing_debug_implementations)] // a closure
pub struct Harness<'h> {
    /// A command that starts this program as a worker, which calls [`crate::serve_worker`].
    pub worker: &'h dyn Fn() -> Command,
    /// Set once the user wants to stop.
    pub interrupted: &'h AtomicBool,
}

/// What happens during a measurement.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<'e> {
    /// So many of so many steps are done.
    Step {
        /// Steps done.
        done: usize,
        /// Steps in total.
        total: usize,
        /// What comes next.
        what: &'e str,
    },
    /// Other programs used the CPUs, before the measurement began or during a part of it.
    Busy(&'e CpuLoad),
    /// Tuning will take about as many seconds.
    Estimate {
        /// Seconds in total.
        seconds: f64,
    },
    /// The system does not report whether the clock is held down: rounds in which it is cannot be thrown away.
    ThrottlingUnknown,
    /// A round of tuning is thrown away: the clock was held down meanwhile.
    Throttled {
        /// The setting.
        setting: &'e str,
        /// Its value.
        value: &'e str,
    },
    /// A value is left out of tuning.
    LeftOut {
        /// The setting.
        setting: &'e str,
        /// Its value.
        value: &'e str,
        /// Why.
        reason: &'e LeftOut,
    },
}

impl fmt::Display for Event<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Event::Step { done, total, what } => write!(f, "{done} of {total}: {what}"),
            Event::Busy(load) => write!(f, "{load}; the speeds will be too low"),
            Event::Estimate { seconds } => write!(f, "this takes {}", about(*seconds)),
            Event::ThrottlingUnknown => {
                f.write_str("throttling cannot be detected here, so slow rounds are kept")
            }
            Event::Throttled { setting, value } => {
                write!(
                    f,
                    "{setting} {value}: the machine throttled; this round does not count"
                )
            }
            Event::LeftOut {
                setting,
                value,
                reason,
            } => write!(f, "{setting} {value}: skipped: {reason}"),
        }
    }
}

/// Why a value is left out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LeftOut {
    /// A signal ended the process.
    #[error("llama.cpp ended the process with signal {0}")]
    Signal(i32),
    /// The model cannot be run so.
    #[error("{0}")]
    Refused(String),
}

impl Serialize for LeftOut {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
