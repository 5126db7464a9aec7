//! Models that are not here: looked at by their headers, to know whether they are worth getting.

use std::path::Path;
use std::time::Instant;

use siskin_hub::net::pull::{self, Look, Options};

use super::pull::{before_storing, client, name};

/// What was seen of a model, and how fast it came.
pub(super) struct Seen {
    pub(super) look: Look,
    pub(super) rate: Rate,
}

/// Looks at the model that a name means; `file_type` chooses among several.
///
/// # Errors
/// There is no such model, or the network fails.
pub(super) fn look(typed: &Path, file_type: Option<&str>) -> anyhow::Result<Seen> {
    let name = name(typed.to_str().unwrap_or_default())?;
    let client = client(false)?;
    let options = Options {
        file_type,
        memory: super::pull::memory(),
        ..Options::default()
    };
    let begun = Instant::now();
    let look = pull::look(&client, &name, &options).map_err(before_storing)?;
    Ok(Seen {
        look,
        rate: Rate {
            bytes: client.bytes(),
            seconds: begun.elapsed().as_secs_f64(),
        },
    })
}

/// How fast headers came. Waiting counts, so a download is rather faster.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rate {
    bytes: u64,
    seconds: f64,
}

impl Rate {
    /// Bytes a second.
    pub(super) fn bytes_per_second(self) -> f64 {
        self.bytes as f64 / self.seconds.max(1e-3)
    }

    /// The time that so many bytes take, in words after a size.
    pub(super) fn time(self, bytes: u64) -> String {
        let seconds = bytes as f64 / self.bytes_per_second().max(1.0);
        let time = match seconds {
            ..1.0 => "less than a second".to_owned(),
            1.0..120.0 => format!("{seconds:.0} s"),
            120.0..7200.0 => format!("{:.0} minutes", seconds / 60.0),
            _ => format!("{:.1} hours", seconds / 3600.0),
        };
        format!(
            ", at most {time} at the rate of its first {} KiB",
            self.bytes.div_ceil(1024)
        )
    }
}
