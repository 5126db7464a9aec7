//! Long texts take seconds to tokenize: now and then, someone is asked whether that is still wanted.

use std::cell::Cell;

/// Bytes of text between two questions.
const STRETCH: usize = 64 << 10;

/// Asks whether to stop.
pub(super) struct Brake<'s> {
    stop: &'s dyn Fn() -> bool,
    unasked: Cell<usize>,
    stopped: Cell<bool>,
}

impl<'s> Brake<'s> {
    pub(super) fn new(stop: &'s dyn Fn() -> bool) -> Self {
        Brake {
            stop,
            unasked: Cell::new(0),
            stopped: Cell::new(false),
        }
    }

    /// True if the work is to stop; it has treated `bytes` more of the text.
    pub(super) fn is_on(&self, bytes: usize) -> bool {
        let unasked = self.unasked.get() + bytes;
        if unasked < STRETCH {
            self.unasked.set(unasked);
        } else {
            self.unasked.set(0);
            self.stopped.set(self.stopped.get() || (self.stop)());
        }
        self.stopped.get()
    }

    /// True if the work was stopped.
    pub(super) fn was_on(&self) -> bool {
        self.stopped.get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_asks_once_a_stretch_and_stays_on() {
        let asked = Cell::new(0);
        let stop = || {
            asked.set(asked.get() + 1);
            asked.get() == 2
        };
        let brake = Brake::new(&stop);
        let on = [STRETCH / 2, STRETCH / 2, 0, 2 * STRETCH, 1].map(|bytes| brake.is_on(bytes));
        assert_eq!(on, [false, false, false, true, true]);
        assert_eq!(asked.get(), 2);
        assert!(brake.was_on());
    }
}
