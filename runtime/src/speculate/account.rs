//! The account that bounds the loss, whatever the text and however wrong the expectations.

/// Failed guesses may cost this part of the time of decoding.
const LOSS: f64 = 0.02;
/// And this many passes over one token, so that a short text may try too.
const CREDIT: f64 = 1.5;
/// Tokens without guesses after the account was overdrawn: at first, and at most.
const REST: [u64; 2] = [32, 4096];

/// Seconds saved and spent by guessing.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Account {
    balance: f64,
    /// Seconds of all passes.
    decoding: f64,
    /// Tokens to be drawn before the next guess.
    rest: u64,
    /// The next rest.
    next: u64,
}

impl Default for Account {
    fn default() -> Self {
        Account {
            balance: 0.0,
            decoding: 0.0,
            rest: 0,
            next: REST[0],
        }
    }
}

impl Account {
    /// Whether tokens may be guessed now.
    pub(super) fn is_open(&self) -> bool {
        self.rest == 0
    }

    /// Whether there is enough to find out how good a guess is, rather than to rely on it.
    pub(super) fn may_explore(&self, one: f64) -> bool {
        self.is_open() && self.balance > -0.5 * self.allowance(one)
    }

    /// A pass took `took` seconds of which guesses were `spent`; a pass over one token takes `one`.
    pub(super) fn pass(&mut self, took: f64, spent: f64, one: f64) {
        self.decoding += took;
        self.rest = self.rest.saturating_sub(1);
        // The last gains count, not the first: a text that was easy may have become hard.
        self.balance = (self.balance - spent).min(self.allowance(one));
        if self.balance < -self.allowance(one) && self.is_open() {
            self.rest = self.next;
            self.next = (self.next * 2).min(REST[1]);
        }
    }

    /// Guesses that were right saved so many seconds.
    pub(super) fn saved(&mut self, seconds: f64) {
        self.balance += seconds;
        if self.balance > 0.0 {
            self.next = REST[0];
        }
    }

    fn allowance(&self, one: f64) -> f64 {
        LOSS * self.decoding + CREDIT * one
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Decodes `tokens` with guesses that are right if `right` says so; returns the time relative to none.
    fn play(tokens: usize, cost: f64, mut right: impl FnMut(usize) -> bool) -> f64 {
        let mut account = Account::default();
        let (mut drawn, mut time) = (0, 0.0);
        while drawn < tokens {
            if account.is_open() {
                account.pass(1.0 + cost, cost, 1.0);
                time += 1.0 + cost;
                if right(drawn) {
                    account.saved(1.0);
                    drawn += 1;
                }
            } else {
                account.pass(1.0, 0.0, 1.0);
                time += 1.0;
            }
            drawn += 1;
        }
        time / tokens as f64
    }

    #[test]
    fn no_text_makes_it_lose_much() {
        // Always wrong; always nearly right; right for long, then wrong; by turns.
        for cost in [0.05, 0.3, 1.0] {
            assert!(play(1000, cost, |_| false) < 1.04, "always wrong, cost {cost}");
            let late = play(4000, cost, |at| at < 2000);
            assert!(late < 1.02, "late: {late}");
            let turns = play(4000, cost, |at| at / 100 % 2 == 0 && at < 1000 || at % 50 == 0);
            assert!(turns < 1.04, "by turns: {turns}");
            // Just as seldom right as makes it lose without an account.
            let seldom = (1.0 / cost) as usize * 2 + 2;
            assert!(play(4000, cost, |at| at % seldom == 0) < 1.04);
        }
        assert!(play(1000, 0.1, |_| true) < 0.6, "what pays goes on");
    }

    #[test]
    fn rests_grow_and_end_when_it_pays_again() {
        let mut account = Account::default();
        let mut rests = Vec::new();
        for _ in 0..3 {
            while account.is_open() {
                account.pass(1.5, 0.5, 1.0);
            }
            let mut rest = 0;
            while !account.is_open() {
                account.pass(1.0, 0.0, 1.0);
                rest += 1;
            }
            rests.push(rest);
        }
        assert_eq!(rests, [32, 64, 128]);
        account.saved(1e6);
        assert!(account.may_explore(1.0));
        while account.is_open() {
            account.pass(1.5, 0.5, 1.0);
        }
        assert_eq!(account.rest, 32);
    }
}
