//! The labels' values.

use super::series::Label;

/// Why a request was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// Its form: JSON, ranges, a schema that cannot be kept.
    Invalid,
    /// It does not fit into the context.
    Context,
    /// It has no key, or a wrong one.
    Key,
    /// Its key has not the role, or has had its share.
    Share,
    /// Its host, its origin, or its content type.
    Guard,
    /// Its body was too large or too slow.
    Body,
    /// It would wait too long.
    QueueFull,
    /// A model is being loaded.
    Loading,
    /// The service ends.
    Draining,
    /// A model does not fit into memory.
    Memory,
}

impl Label for Reason {
    const NAME: &'static str = "reason";
    const VALUES: &'static [&'static str] = &[
        "invalid",
        "context",
        "key",
        "share",
        "guard",
        "body",
        "queue_full",
        "loading",
        "draining",
        "insufficient_memory",
    ];

    fn index(self) -> usize {
        self as usize
    }
}

/// The first digit of a status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StatusClass(u8);

impl StatusClass {
    /// The class of a status; `None` if it is none of HTTP's.
    pub fn of(status: u16) -> Option<Self> {
        let class = u8::try_from(status / 100).ok()?;
        (1..=5).contains(&class).then_some(StatusClass(class))
    }
}

impl Label for StatusClass {
    const NAME: &'static str = "class";
    const VALUES: &'static [&'static str] = &["1xx", "2xx", "3xx", "4xx", "5xx"];

    fn index(self) -> usize {
        usize::from(self.0) - 1
    }
}
