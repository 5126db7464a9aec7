//! What the system refuses is found before anything is loaded: llama.cpp and libgomp end the process, or say nothing.

use std::sync::{Condvar, Mutex};
use std::thread;

use siskin_device::settings::{CacheType, FlashAttention, Origin, Resolved};
use siskin_model::shape::Shape;

use super::Notice;
use crate::Error;
use crate::engine::can_lock;

/// Stack of the threads that only show that they can be started, in bytes.
const STACK: usize = 1 << 20;

/// Lowers settings to what the system gives, with a notice for each.
///
/// # Errors
/// The cache type cannot be had with this model or with the other settings.
pub(super) fn check(settings: &mut Resolved, shape: Option<&Shape>) -> Result<Vec<Notice>, Error> {
    let mut notices = Vec::new();
    if let Some(shape) = shape {
        cache(settings, shape)?;
        notices.extend(context(settings, shape));
        notices.extend(lowered(settings));
        notices.extend(lock(settings, shape));
    }
    notices.extend(threads(settings));
    Ok(notices)
}

/// Threads are started and ended again. libgomp ends the process if it cannot start one.
fn threads(settings: &mut Resolved) -> Option<Notice> {
    let values = &mut settings.values;
    let asked = values.threads.max(values.threads_batch);
    // The process's own thread is one of them; another is started while the model is loaded.
    let given = startable(asked);
    if given >= asked {
        return None;
    }
    values.threads = values.threads.min(given.max(1));
    values.threads_batch = values.threads_batch.min(given.max(1));
    settings.origins.threads = Origin::Budget;
    settings.origins.threads_batch = Origin::Budget;
    Some(Notice::Threads {
        asked,
        given: given.max(1),
    })
}

/// How many threads of `count` can be there at the same time. A single one needs none beside this.
fn startable(count: usize) -> usize {
    if count < 2 {
        return count;
    }
    let (ended, wake) = (Mutex::new(false), Condvar::new());
    let wait = || {
        let Ok(mut ended_now) = ended.lock() else { return };
        while !*ended_now {
            let Ok(next) = wake.wait(ended_now) else { return };
            ended_now = next;
        }
    };
    thread::scope(|scope| {
        let start = || thread::Builder::new().stack_size(STACK).spawn_scoped(scope, wait);
        let started = (0..count).map_while(|_| start().ok()).count();
        if let Ok(mut ended) = ended.lock() {
            *ended = true;
        }
        wake.notify_all();
        started
    })
}

/// What llama.cpp would refuse without a reason, after it has loaded the model.
fn cache(settings: &Resolved, shape: &Shape) -> Result<(), Error> {
    let values = &settings.values;
    let cache_type = values.cache_type;
    match (cache_type.is_quantized(), values.flash_attention) {
        (true, FlashAttention::Off) => Err(Error::CacheNeedsFlashAttention(cache_type)),
        (true, _) if !shape.head_dim.is_multiple_of(32) => Err(Error::CacheCrossesHeads {
            cache_type,
            head_dim: shape.head_dim,
        }),
        _ => Ok(()),
    }
}

/// A context that the model has not learned to use.
fn context(settings: &Resolved, shape: &Shape) -> Option<Notice> {
    let (asked, trained) = (settings.context()?, shape.training_context);
    (asked > trained).then_some(Notice::BeyondTraining { asked, trained })
}

/// A KV cache of a smaller type than usual, which changes what the model writes.
fn lowered(settings: &Resolved) -> Option<Notice> {
    let (now, context) = (settings.values.cache_type, settings.values.context);
    let is_lowered = settings.origins.cache_type == Origin::Budget && now != CacheType::F16;
    is_lowered.then_some(Notice::SmallerCache { now, context })
}

/// Memory that cannot be locked: llama.cpp goes on without a word.
fn lock(settings: &mut Resolved, shape: &Shape) -> Option<Notice> {
    if !settings.values.mlock {
        return None;
    }
    let refused = can_lock(shape.weight_bytes).err()?;
    settings.values.mlock = false;
    settings.origins.mlock = Origin::Budget;
    if let Some(plan) = &mut settings.plan {
        plan.settings.mlock = false;
    }
    Some(Notice::Lock(refused))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_can_be_started() {
        for count in [0, 1, 2, 5] {
            assert_eq!(startable(count), count);
        }
    }
}
