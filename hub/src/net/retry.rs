//! What follows from a request that failed. Pure.

use std::time::Duration;

use crate::HubError;

/// Why one attempt gave nothing, or no more.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Trying again cannot help.
    Final(HubError),
    /// The connection or the server failed; it may be better the next time.
    Again(String),
    /// The server asks to wait for so many seconds; `None` if it does not say how long.
    Wait(Option<u64>),
    /// Nothing is after the offset; the file has this length, if the server says so.
    Unsatisfiable(Option<u64>),
}

impl From<HubError> for Failure {
    fn from(error: HubError) -> Self {
        Failure::Final(error)
    }
}

/// How often and how long is tried.
#[derive(Debug, Clone)]
pub(crate) struct Limits {
    /// Attempts in a row that bring no byte.
    pub(crate) attempts: u32,
    /// The first wait between attempts; each one after it is twice as long.
    pub(crate) backoff: Duration,
    /// The longest time a server may ask to wait.
    pub(crate) longest_wait: Duration,
}

/// The longest wait between two attempts.
const MAX_BACKOFF: Duration = Duration::from_secs(15);
/// How often in a row a server may ask to wait.
const MAX_WAITS: u32 = 4;

/// What has gone wrong since the last byte.
#[derive(Debug, Clone, Default)]
pub(crate) struct Patience {
    failures: u32,
    waits: u32,
}

/// What to do next.
#[derive(Debug)]
pub(crate) enum Next {
    /// Wait, then try again, because of this.
    Retry { after: Duration, problem: String },
    /// The server asked to wait this long.
    Wait(Duration),
    /// Give up.
    End(HubError),
}

impl Patience {
    /// Bytes arrived: all attempts are there again.
    pub(crate) fn reset(&mut self) {
        *self = Self::default();
    }

    /// Judges a failure of `host`, for `what`.
    pub(crate) fn judge(&mut self, failure: Failure, host: &str, what: &str, limits: &Limits) -> Next {
        match failure {
            Failure::Final(error) => Next::End(error),
            Failure::Again(problem) => {
                self.failures += 1;
                if self.failures >= limits.attempts {
                    return Next::End(HubError::Network {
                        host: host.to_owned(),
                        problem,
                        attempts: self.failures,
                    });
                }
                let doubled = 2u32.saturating_pow(self.failures - 1);
                Next::Retry {
                    after: limits.backoff.saturating_mul(doubled).min(MAX_BACKOFF),
                    problem,
                }
            }
            Failure::Wait(seconds) => {
                self.waits += 1;
                let seconds = seconds.unwrap_or(30).max(1);
                let wait = Duration::from_secs(seconds);
                if self.waits > MAX_WAITS || wait > limits.longest_wait {
                    return Next::End(HubError::Busy {
                        host: host.to_owned(),
                        seconds,
                    });
                }
                Next::Wait(wait)
            }
            Failure::Unsatisfiable(_) => Next::End(HubError::Answer {
                host: host.to_owned(),
                what: what.to_owned(),
                problem: "it says that the file is shorter than its list says".to_owned(),
            }),
        }
    }
}

/// The seconds that the headers of a 429 or 503 ask to wait: `Retry-After`, or the `t` of `RateLimit`
/// (draft-ietf-httpapi-ratelimit-headers), or `RateLimit-Reset` of its earlier drafts.
pub(crate) fn asked_wait(header: impl Fn(&str) -> Option<String>) -> Option<u64> {
    let number = |text: &str| text.trim().parse::<u64>().ok();
    let retry_after = header("retry-after").and_then(|text| number(&text));
    let rate_limit = || {
        let text = header("ratelimit")?;
        let mut parameters = text.split([';', ',']);
        parameters.find_map(|parameter| number(parameter.trim().strip_prefix("t=")?))
    };
    let reset = || header("ratelimit-reset").and_then(|text| number(&text));
    retry_after.or_else(rate_limit).or_else(reset)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits {
        attempts: 4,
        backoff: Duration::from_millis(500),
        longest_wait: Duration::from_secs(60),
    };

    fn judge(patience: &mut Patience, failure: Failure) -> Next {
        patience.judge(failure, "host", "file", &LIMITS)
    }

    #[test]
    fn attempts_double_their_wait_and_end_unless_bytes_arrive() {
        let mut patience = Patience::default();
        let again = || Failure::Again("cut".into());
        for round in 0..3 {
            for expected in [500, 1000, 2000] {
                let next = judge(&mut patience, again());
                assert!(
                    matches!(next, Next::Retry { after, .. } if after.as_millis() == expected),
                    "{next:?}"
                );
            }
            if round < 2 {
                patience.reset();
            }
        }
        let end = judge(&mut patience, again());
        assert!(
            matches!(end, Next::End(HubError::Network { attempts: 4, .. })),
            "{end:?}"
        );
    }

    #[test]
    fn servers_are_waited_for_within_limits() {
        let mut patience = Patience::default();
        assert!(
            matches!(judge(&mut patience, Failure::Wait(Some(7))), Next::Wait(wait) if wait.as_secs() == 7)
        );
        assert!(
            matches!(judge(&mut patience, Failure::Wait(Some(0))), Next::Wait(wait) if wait.as_secs() == 1)
        );
        let long = judge(&mut patience, Failure::Wait(Some(61)));
        assert!(matches!(long, Next::End(HubError::Busy { seconds: 61, .. })));
        assert!(matches!(judge(&mut patience, Failure::Wait(None)), Next::Wait(_)));
        assert!(
            matches!(judge(&mut patience, Failure::Wait(Some(1))), Next::End(_)),
            "too often"
        );
    }

    #[test]
    fn headers_say_how_long() {
        let cases: [(&[(&str, &str)], _); 5] = [
            (
                &[("retry-after", "12"), ("ratelimit", "\"api\";r=0;t=99")],
                Some(12),
            ),
            (&[("ratelimit", "\"api\";r=0;t=99")], Some(99)),
            (
                &[
                    ("retry-after", "Sat, 28 Nov 2026 00:00:00 GMT"),
                    ("ratelimit", "\"a\";r=0; t=5"),
                ],
                Some(5),
            ),
            (&[("ratelimit-reset", "8")], Some(8)),
            (&[("ratelimit", "t=x")], None),
        ];
        for (headers, expected) in cases {
            let found = asked_wait(|name| {
                headers
                    .iter()
                    .find(|(n, _)| *n == name)
                    .map(|(_, v)| (*v).to_owned())
            });
            assert_eq!(found, expected, "{headers:?}");
        }
    }
}
