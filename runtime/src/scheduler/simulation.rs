//! Days of requests against a context that only counts.

use std::collections::BTreeMap;

use super::*;

/// Random numbers that are the same everywhere (xorshift64*, Vigna 2016).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 32) % limit.max(1)
    }
}

/// A context as llama.cpp has it: tokens of each sequence; cells are shared after copies.
struct Model {
    sequences: Vec<Vec<(Token, u64)>>,
    next: u64,
    limits: Limits,
}

impl Model {
    fn new(limits: Limits) -> Self {
        Model {
            sequences: vec![Vec::new(); limits.sequences],
            next: 0,
            limits,
        }
    }

    fn carry_out(&mut self, pass: &Pass) {
        for step in &pass.moves {
            match *step {
                Move::Truncate { sequence, tokens } => {
                    assert!(self.sequences[sequence].len() >= tokens as usize);
                    self.sequences[sequence].truncate(tokens as usize);
                }
                Move::Copy { from, to, tokens } => {
                    assert!(self.limits.shared && from != to && self.sequences[to].is_empty());
                    self.sequences[to] = self.sequences[from][..tokens as usize].to_vec();
                }
            }
        }
        let tokens: usize = pass.parts.iter().map(|part| part.tokens.len()).sum();
        assert!(tokens <= self.limits.pass_tokens as usize);
        for part in &pass.parts {
            let sequence = &mut self.sequences[part.sequence];
            assert_eq!(sequence.len(), part.position, "tokens are computed in order");
            for &token in &part.tokens {
                sequence.push((token, self.next));
                self.next += 1;
            }
        }
        let mut cells: Vec<u64> = self.sequences.iter().flatten().map(|(_, cell)| *cell).collect();
        cells.sort_unstable();
        cells.dedup();
        let room = match self.limits.shared {
            true => self.limits.cells as usize,
            false => self.limits.cells as usize * self.limits.sequences,
        };
        assert!(cells.len() <= room, "{} cells of {room}", cells.len());
    }
}

struct Client {
    prompt: Arc<[Token]>,
    length: u32,
    drawn: u32,
    admitted: Duration,
    started: Option<Duration>,
    ends: u32,
    leaves: bool,
    last: Duration,
}

/// What came of a simulation.
#[derive(Default)]
struct Outcome {
    ended: usize,
    refused: usize,
    longest_wait: Duration,
    longest_gap: Duration,
}

/// Real costs of the simulated machine: 50 ms to read the weights, 10 ms a stream, 100 tokens of prompt a second.
fn real(pass: &Pass) -> Duration {
    let streams = pass.streams as f64;
    Duration::from_secs_f64(0.04 + 0.01 * streams + f64::from(pass.prompt_tokens) / 100.0)
}

fn simulate(seed: u64, limits: Limits, requests: usize, mean_gap_ms: u64) -> Outcome {
    let mut random = Random(seed * 2 + 1);
    let mut scheduler = Scheduler::new(limits, Costs::default());
    let mut model = Model::new(limits);
    let mut clients: BTreeMap<RequestId, Client> = BTreeMap::new();
    let mut outcome = Outcome::default();
    let (mut now, mut arrival) = (Duration::ZERO, Duration::ZERO);
    let mut arrived = 0;
    while arrived < requests || !scheduler.is_idle() {
        while arrived < requests && arrival <= now {
            arrived += 1;
            arrival += Duration::from_millis(random.below(2 * mean_gap_ms));
            let family = random.below(4) as i32;
            let common = random.below(60) as i32;
            let longest = if random.below(10) == 0 { 600 } else { 60 };
            let own = 1 + random.below(longest) as i32;
            let start = random.below(10_000) as i32 + 10_000;
            let prompt = (0..common).map(|at| family * 1000 + at).chain(start..start + own);
            let length = 1 + random.below(80) as u32;
            let max_tokens = length + random.below(3) as u32 * 20;
            let ask = Ask {
                prompt: prompt.map(Token).collect(),
                max_tokens,
                class: if random.below(5) == 0 {
                    Class::Background
                } else {
                    Class::Chat
                },
                namespace: random.below(2),
                conversation: (random.below(2) == 0).then(|| random.below(5)),
                rows_from: (random.below(8) == 0).then(|| random.below(100) as usize),
                follows: None,
                joined: false,
            };
            let prompt = ask.prompt.clone();
            match scheduler.admit(ask, now) {
                Ok(Admitted { id, .. }) => {
                    let client = Client {
                        prompt,
                        length: length.min(max_tokens),
                        drawn: 0,
                        admitted: now,
                        started: None,
                        ends: 0,
                        leaves: random.below(6) == 0,
                        last: now,
                    };
                    assert!(clients.insert(id, client).is_none());
                }
                Err(_) => outcome.refused += 1,
            }
        }
        let Some(pass) = scheduler.next(now) else {
            assert!(scheduler.is_idle(), "work is left, and nothing is computed");
            now = arrival;
            continue;
        };
        for id in &pass.started {
            let client = clients.get_mut(id).expect("admitted");
            assert!(client.started.replace(now).is_none(), "it starts once");
            let wait = now - client.admitted;
            outcome.longest_wait = outcome.longest_wait.max(wait);
        }
        // A client leaves while its request waits or is computed.
        let leaves = random.below(7) == 0;
        let gone = clients
            .iter()
            .find(|(_, client)| leaves && client.leaves && client.ends == 0);
        let gone = gone.map(|(id, _)| *id);
        model.carry_out(&pass);
        let took = real(&pass);
        now += took;
        if let Some(id) = gone {
            assert!(scheduler.end(id, now).is_some());
            clients.get_mut(&id).expect("it is there").ends += 1;
        }
        scheduler.computed(&pass, took);
        for part in &pass.parts {
            let client = clients.get_mut(&part.id).expect("admitted");
            if client.ends > 0 {
                continue;
            }
            let computed: Vec<Token> = model.sequences[part.sequence]
                .iter()
                .map(|(token, _)| *token)
                .collect();
            let known = computed.len().min(client.prompt.len());
            assert_eq!(computed[..known], client.prompt[..known], "its own prompt");
            if !part.draws {
                continue;
            }
            if client.drawn > 0 {
                outcome.longest_gap = outcome.longest_gap.max(now - client.last);
            }
            (client.drawn, client.last) = (client.drawn + 1, now);
            let more = scheduler.drew(part.id, Token(-1));
            if !more || client.drawn == client.length {
                assert!(scheduler.end(part.id, now).is_some());
                client.ends += 1;
                outcome.ended += 1;
            }
        }
    }
    assert!(
        clients.values().all(|client| client.ends == 1),
        "every request ends once"
    );
    outcome
}

fn limits(shared: bool, parallel: usize) -> Limits {
    Limits {
        parallel,
        sequences: if shared { parallel * 2 + 2 } else { parallel },
        cells: 900,
        shared,
        pass_tokens: 128,
        pass_rows: 16,
        ..Limits::default()
    }
}

#[test]
fn cells_are_never_overbooked_and_every_request_ends_once() {
    for seed in 0..60 {
        let outcome = simulate(seed, limits(seed % 3 != 0, 1 + (seed % 5) as usize), 200, 1500);
        assert!(outcome.ended > 20, "{}", outcome.ended);
    }
}

#[test]
fn nobody_starves() {
    for seed in 100..130 {
        // More work than the machine can do: what is refused is refused at once, and what is taken starts.
        let outcome = simulate(seed, limits(true, 2), 300, 300);
        assert!(outcome.refused > 0);
        assert!(
            outcome.longest_wait < Duration::from_secs(150),
            "{:?}",
            outcome.longest_wait
        );
    }
}

#[test]
fn nobodys_tokens_wait_long_for_a_prompt() {
    for seed in 200..220 {
        let outcome = simulate(seed, limits(true, 3), 200, 1500);
        // The bound, a step, and what is learnt at the beginning.
        assert!(
            outcome.longest_gap < Duration::from_millis(450),
            "{:?}",
            outcome.longest_gap
        );
    }
}

/// Fifty clients come at once; those that are refused come again when they were told to.
#[test]
fn waits_are_predicted_and_retries_are_taken() {
    let limits = Limits {
        cells: 4096,
        ..limits(true, 2)
    };
    let (mut taken, mut refused_again, mut errors) = (0, 0, Vec::new());
    for seed in 300..320 {
        let mut random = Random(seed);
        // It has measured a few answers.
        let mut costs = Costs::new(0.05, 100.0);
        (0..30).for_each(|_| costs.ended(60 + random.below(40) as u32));
        let mut scheduler = Scheduler::new(limits, costs);
        let mut model = Model::new(limits);
        // When they come, for how many tokens, and how often they were refused.
        let lengths = |random: &mut Random| 60 + random.below(40) as u32;
        let mut coming: Vec<(Duration, u32, u32)> = (0..50)
            .map(|_| (Duration::ZERO, lengths(&mut random), 0))
            .collect();
        let mut open: BTreeMap<RequestId, (Duration, Duration, u32, u32)> = BTreeMap::new();
        let mut now = Duration::ZERO;
        while !coming.is_empty() || !scheduler.is_idle() {
            coming.sort();
            while coming.first().is_some_and(|(at, ..)| *at <= now) {
                let (_, length, refused) = coming.remove(0);
                let start = random.below(1 << 20) as i32;
                let ask = Ask {
                    prompt: (start..start + 40 + random.below(30) as i32).map(Token).collect(),
                    max_tokens: 120,
                    class: Class::Chat,
                    namespace: 0,
                    conversation: None,
                    rows_from: None,
                    follows: None,
                    joined: false,
                };
                match scheduler.admit(ask, now) {
                    Ok(Admitted { id, wait }) => {
                        taken += usize::from(refused > 0);
                        open.insert(id, (now, wait, length, 0));
                    }
                    Err(Refusal::Busy { wait }) => {
                        refused_again += usize::from(refused > 0);
                        coming.push((now + Duration::from_secs(wait.as_secs() + 1), length, refused + 1));
                    }
                    Err(other) => panic!("{other}"),
                }
            }
            coming.sort();
            let Some(pass) = scheduler.next(now) else {
                now = coming.first().map_or(now, |(at, ..)| now.max(*at));
                continue;
            };
            for id in &pass.started {
                let (since, predicted, ..) = open[id];
                let real = (now - since).as_secs_f64();
                if real > 5.0 {
                    errors.push((predicted.as_secs_f64() - real).abs() / real);
                }
            }
            model.carry_out(&pass);
            now += real(&pass);
            scheduler.computed(&pass, real(&pass));
            for part in pass.parts.iter().filter(|part| part.draws) {
                let (.., length, drawn) = open.get_mut(&part.id).expect("admitted");
                *drawn += 1;
                if !scheduler.drew(part.id, Token(-1)) || drawn == length {
                    scheduler.end(part.id, now);
                }
            }
        }
    }
    errors.sort_by(f64::total_cmp);
    let median = errors[errors.len() / 2];
    assert!(
        errors.len() > 100 && median <= 0.3,
        "{} waits, median error {median:.2}",
        errors.len()
    );
    assert!(
        refused_again * 20 <= taken,
        "{refused_again} of {taken} were refused again"
    );
}
