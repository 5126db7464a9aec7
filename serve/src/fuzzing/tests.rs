use super::*;
use crate::api::tests::routes::ROUTES;

/// The seeds of the fuzz target, by kind, each with its status.
fn seeds() -> Vec<(u8, u16, Vec<u8>)> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/fuzz_seeds.json");
    let text = std::fs::read_to_string(path).expect("the seeds");
    let seeds: Json = serde_json::from_str(&text).expect("JSON");
    let kinds = seeds.as_object().expect("an object");
    let mut names: Vec<&str> = kinds.keys().map(String::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, KINDS, "the seeds have every kind");
    let of_kind = |(first, name): (u8, &str)| -> Vec<(u8, u16, Vec<u8>)> {
        let list = kinds[name].as_array().expect("a list");
        let one = |seed: &Json| {
            let status = seed[0].as_u64().and_then(|status| u16::try_from(status).ok());
            let text = seed[1]
                .as_str()
                .map_or_else(|| seed[1].to_string(), str::to_owned);
            (first, status.expect("a status"), text.into_bytes())
        };
        list.iter().map(one).collect()
    };
    (b'a'..).zip(KINDS).flat_map(of_kind).collect()
}

#[test]
fn every_seed_has_its_status() {
    let seeds = seeds();
    let mut wrong = Vec::new();
    for (first, status, rest) in &seeds {
        let input = [&[*first], rest.as_slice()].concat();
        let answered = take(&input);
        if answered != *status {
            wrong.push(format!("{answered}, not {status}: {}", text(&input)));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    for kind in (b'a'..).take(KINDS.len()) {
        let mut statuses = seeds.iter().filter(|seed| seed.0 == kind).map(|seed| seed.1);
        assert!(
            statuses.any(|status| status == 200),
            "{} has no good seed",
            char::from(kind)
        );
    }
}

#[test]
fn every_path_that_takes_a_body_is_a_kind() {
    let routes = ROUTES.iter().filter(|route| route.request.is_some());
    let mut paths: Vec<&str> = routes.map(|route| route.path).collect();
    // The same handler as with /v1.
    paths.retain(|path| *path != "/chat/completions");
    paths.extend(["headers", "keys", "manifest"]);
    paths.sort_unstable();
    assert_eq!(paths, KINDS);
}

/// Seeds with a byte less, one more and another: as the fuzzer begins.
#[test]
fn changed_seeds_are_answered() {
    let mut random = fastrand::Rng::with_seed(7);
    for (first, _, rest) in seeds() {
        for _ in 0..4 {
            let mut input = [&[first], rest.as_slice()].concat();
            let at = random.usize(0..input.len());
            match random.u8(0..3) {
                0 => drop(input.remove(at)),
                1 => input.insert(at, random.u8(..)),
                _ => input[at] = b"\"{}[],:0-\\\xffe"[random.usize(0..12)],
            }
            take(&input);
        }
    }
}
