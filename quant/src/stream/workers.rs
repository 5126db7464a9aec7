//! Starts worker threads: as many as asked for, or as many as the system gives.

use rayon::{ThreadPool, ThreadPoolBuilder};

use super::StreamError;

/// Stack of a thread, in bytes: workers keep their rows in buffers.
pub(crate) const STACK: usize = 1 << 20;

/// The most threads: more never help, and each owns two buffers.
const MOST: usize = 256;

/// Starts `threads` workers; half as many, and so on, if the system gives no more.
///
/// # Errors
/// Not even one can be started.
pub(crate) fn start(threads: usize) -> Result<ThreadPool, StreamError> {
    let mut count = threads.clamp(1, MOST);
    loop {
        let pool = ThreadPoolBuilder::new()
            .num_threads(count)
            .stack_size(STACK)
            .thread_name(|n| format!("quantize-{n}"))
            .build();
        match pool {
            Ok(pool) => return Ok(pool),
            Err(error) if count == 1 => return Err(refused(count, &error)),
            Err(_) => count /= 2,
        }
    }
}

/// The error for threads that the system refused.
pub(crate) fn refused(threads: usize, error: &dyn std::error::Error) -> StreamError {
    StreamError::Threads {
        threads,
        reason: error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_bounded() {
        for (asked, want) in [(0, 1), (1, 1), (3, 3), (usize::MAX, MOST)] {
            assert_eq!(
                start(asked).expect("threads").current_num_threads(),
                want,
                "{asked}"
            );
        }
    }
}
