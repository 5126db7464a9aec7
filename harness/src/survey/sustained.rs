//! Decodes without a pause, and looks every few seconds at what heat does to the speed.

use std::time::Duration;

use siskin_device::probe::Root;

use crate::BenchError;
use crate::event::{Event, Harness};
use crate::heat::{self, State};
use crate::plan::{self, Subject, Tests};
use crate::protocol::Ask;
use crate::result::{Moment, Sustained};
use crate::turns::Workers;

/// Moments of the whole time, unless they would be shorter than a second.
const MOMENTS: u32 = 20;
const SHORTEST: Duration = Duration::from_secs(1);
/// Tokens of the text.
const TEXT: u32 = 64;

/// Decodes with the subject's first setup for this long.
pub(super) fn decode(
    subject: &Subject,
    time: Duration,
    harness: &Harness<'_>,
    on_event: &mut dyn FnMut(Event<'_>),
) -> Result<Sustained, BenchError> {
    let tests = Tests {
        decodes: vec![TEXT.min(subject.info.shape.training_context.max(1))],
        depths: vec![0],
        rounds: 1,
        ..Tests::default()
    };
    let cases = plan::cases(std::slice::from_ref(subject), &tests)?;
    let workers = Workers {
        harness,
        subjects: std::slice::from_ref(subject),
    };
    let case = &cases[0];
    let moment = (time / MOMENTS).max(SHORTEST).min(time.max(SHORTEST));
    let count = (time.as_secs_f64() / moment.as_secs_f64()).ceil().max(1.0) as usize;
    let what = format!("decode {} without a pause", subject.info.model.name);
    workers.check_interrupted()?;
    let (mut worker, ready) = workers.start(case, 1)?;
    let root = Root::system();
    let mut before = State::now(&root);
    let mut sustained = Sustained {
        imported_from: None,
        model: subject.info.model.clone(),
        threads: workers.setup(case).threads(case.tests[0]),
        kernels: ready.kernels,
        before_celsius: before.celsius(),
        moments: Vec::with_capacity(count),
    };
    let milliseconds = u64::try_from(moment.as_millis()).unwrap_or(u64::MAX);
    let mut passed = 0.0;
    // A token that takes longer than a moment makes fewer of them.
    while sustained.moments.is_empty() || passed < time.as_secs_f64() {
        on_event(Event::Step {
            done: sustained.moments.len().min(count - 1),
            total: count,
            what: &what,
        });
        workers.check_interrupted()?;
        let (tokens, seconds): (u64, f64) = workers.ask(&mut worker, &Ask::Sustain { milliseconds })?;
        let after = State::now(&root);
        passed += seconds;
        sustained.moments.push(Moment {
            seconds: passed,
            tokens_per_second: tokens as f64 / seconds,
            celsius: after.celsius(),
            hertz: after.hertz(),
            throttled: heat::between(&before, &after).and_then(|heat| heat.throttled),
            conditions: after.conditions(),
        });
        before = after;
    }
    Ok(sustained)
}
