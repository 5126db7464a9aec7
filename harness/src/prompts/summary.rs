//! From pairs to groups.

use super::FEWEST_TOKENS;
use super::outcome::{Extreme, Group, Pair, PromptResults};
use crate::stats::paired_ratio;

/// The pairs of each kind, in the order in which the kinds appear, and all of them.
pub(super) fn groups(pairs: &[Pair]) -> (Vec<Group>, Group) {
    let mut kinds: Vec<&str> = Vec::new();
    for pair in pairs {
        if !kinds.contains(&pair.kind.as_str()) {
            kinds.push(&pair.kind);
        }
    }
    let of_kind = |kind: &str| {
        let pairs: Vec<&Pair> = pairs.iter().filter(|pair| pair.kind == kind).collect();
        group(Some(kind), &pairs)
    };
    let by_kind = kinds.into_iter().map(of_kind).collect();
    (by_kind, group(None, &pairs.iter().collect::<Vec<_>>()))
}

fn group(kind: Option<&str>, pairs: &[&Pair]) -> Group {
    let counted: Vec<&Pair> = pairs
        .iter()
        .copied()
        .filter(|pair| pair.speed_up.is_some())
        .collect();
    let seconds = |of: fn(&Pair) -> f64| -> Vec<f64> { counted.iter().map(|pair| of(pair)).collect() };
    let (off, on) = (seconds(|pair| pair.off_seconds), seconds(|pair| pair.on_seconds));
    let computed: usize = counted.iter().map(|pair| pair.computed_tokens).sum();
    let rate = |seconds: f64| positive(computed as f64 / seconds);
    let guessed = || counted.iter().filter_map(|pair| pair.speculation.as_ref());
    let passes = guessed().map(|counts| counts.passes).sum();
    let accepted = guessed().map(|counts| counts.accepted).sum();
    let without = rate(off.iter().sum());
    let estimated = estimated(&counted);
    Group {
        kind: kind.map(str::to_owned),
        prompts: pairs.len(),
        short: pairs.iter().filter(|pair| pair.tokens < FEWEST_TOKENS).count(),
        same_text: pairs.iter().filter(|pair| pair.same_text).count(),
        speed_up: paired_ratio(&off, &on),
        worst: extreme(&counted, |a, b| a < b),
        best: extreme(&counted, |a, b| a > b),
        passes,
        drafted: guessed().map(|counts| counts.drafted).sum(),
        accepted,
        mean_accepted_length: positive((passes + accepted) as f64 / passes as f64),
        tokens_per_second_without: without,
        tokens_per_second_with: rate(on.iter().sum()),
        estimated_tokens_per_second_without: estimated,
        estimate_ratio: estimated.zip(without).and_then(|(a, b)| positive(a / b)),
        drafter_seconds_per_token: drafter(&counted),
    }
}

/// The speed without guesses as the sides with guesses estimate it: their tokens by the time that each says they take.
fn estimated(pairs: &[&Pair]) -> Option<f64> {
    let times = pairs.iter().filter_map(|pair| {
        let counts = pair.speculation.as_ref()?;
        let tokens = (counts.passes + counts.accepted) as f64;
        Some((tokens, tokens / counts.tokens_per_second_without?))
    });
    let (tokens, seconds) = times.fold((0.0, 0.0), |sum, (tokens, seconds)| {
        (sum.0 + tokens, sum.1 + seconds)
    });
    positive(tokens / seconds)
}

fn drafter(pairs: &[&Pair]) -> Option<f64> {
    let guessed = || pairs.iter().filter(|pair| pair.speculation.is_some());
    let tokens: usize = guessed().map(|pair| pair.computed_tokens).sum();
    (tokens > 0).then(|| guessed().map(|pair| pair.drafter_seconds).sum::<f64>() / tokens as f64)
}

fn extreme(pairs: &[&Pair], is_more: fn(f64, f64) -> bool) -> Option<Extreme> {
    let mut found: Option<(&Pair, f64)> = None;
    for pair in pairs {
        let Some(speed_up) = pair.speed_up else { continue };
        if found.is_none_or(|(_, so_far)| is_more(speed_up, so_far)) {
            found = Some((pair, speed_up));
        }
    }
    found.map(|(pair, speed_up)| Extreme {
        kind: pair.kind.clone(),
        id: pair.id.clone(),
        speed_up,
    })
}

fn positive(value: f64) -> Option<f64> {
    (value.is_finite() && value > 0.0).then_some(value)
}

/// What a reader must know.
pub(super) fn notes(results: &PromptResults) -> Vec<String> {
    let mut notes = Vec::new();
    let measured = results.pairs.len();
    if results.interrupted {
        notes.push(format!(
            "interrupted after {measured} of {} prompts; this is what was measured",
            results.prompts
        ));
    }
    if let Some(line) = results.first_difference() {
        notes.push(format!("{line}; left out of the speeds"));
    }
    if results.all.short > 0 {
        let texts = count(results.all.short, "text");
        notes.push(format!(
            "too short: {texts} with fewer than {FEWEST_TOKENS} tokens, left out of the speeds"
        ));
    }
    if let Some(first) = results.too_long.first() {
        let prompts = count(results.too_long.len(), "prompt");
        let context = results.settings.context_tokens;
        notes.push(format!(
            "too long: {prompts} that do not fit into the context of {context} tokens with their text, left out; the first is {first}"
        ));
    }
    if results.duplicates > 0 {
        notes.push(format!(
            "repeated: {}, left out",
            count(results.duplicates, "prompt")
        ));
    }
    for group in &results.kinds {
        let slower = group.speed_up.filter(|speed_up| speed_up.ratio < 1.0);
        if let (Some(kind), Some(speed_up)) = (&group.kind, slower) {
            notes.push(format!("{kind} is slower with guesses: {:.3}", speed_up.ratio));
        }
    }
    notes
}

fn count(number: usize, what: &str) -> String {
    match number {
        1 => format!("1 {what}"),
        _ => format!("{number} {what}s"),
    }
}
