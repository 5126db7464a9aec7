//! Probabilities of tokens, from a row of logits.

use siskin_runtime::Token;

use crate::request::Scored;

/// The probability of `token` and of the `top` likeliest, as natural logarithms, before any sampling setting.
pub(super) fn score(logits: &[f32], token: Token, top: usize) -> Scored {
    let most = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f64 = logits.iter().map(|logit| f64::from(logit - most).exp()).sum();
    let log_sum = f64::from(most) + sum.ln();
    let logprob = |logit: f32| (f64::from(logit) - log_sum) as f32;
    let mut best: Vec<(Token, f32)> = Vec::with_capacity(top + 1);
    if top > 0 {
        for (id, &logit) in (0..).zip(logits) {
            if best.len() == top && best.last().is_some_and(|(_, least)| logit <= *least) {
                continue;
            }
            // Of equals the first comes first, as a greedy choice takes it.
            let place = best.partition_point(|(_, other)| *other >= logit);
            best.insert(place, (Token(id), logit));
            best.truncate(top);
        }
    }
    let own = usize::try_from(token.0).ok().and_then(|id| logits.get(id));
    Scored {
        token,
        logprob: own.map_or(f32::NEG_INFINITY, |&logit| logprob(logit)),
        top: best
            .into_iter()
            .map(|(token, logit)| (token, logprob(logit)))
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probabilities_add_up_and_the_likeliest_come_first() {
        let logits = [1.0f32, 3.0, 2.0, 3.0, f32::NEG_INFINITY];
        let scored = score(&logits, Token(2), 3);
        let tops: Vec<i32> = scored.top.iter().map(|(token, _)| token.0).collect();
        assert_eq!(tops, [1, 3, 2]);
        let all: f32 = (0..5).map(|id| score(&logits, Token(id), 0).logprob.exp()).sum();
        assert!((all - 1.0).abs() < 1e-6, "{all}");
        assert_eq!(scored.logprob, scored.top[2].1);
        assert_eq!(score(&logits, Token(9), 0).logprob, f32::NEG_INFINITY);
    }
}
