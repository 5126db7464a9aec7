//! What the tests of the network share: a client with short times.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use siskin_hub::environment::Environment;
use siskin_hub::name::{HubName, Name};
use siskin_hub::net::{Client, Settings};
use siskin_testing::hub::Hub;

pub(crate) fn settings() -> Settings {
    Settings {
        connect: Duration::from_secs(5),
        stall: Duration::from_secs(1),
        attempts: 4,
        backoff: Duration::from_millis(1),
        longest_wait: Duration::from_secs(2),
        heads: false,
    }
}

pub(crate) fn environment(hub: &Hub, token: Option<&str>) -> Environment {
    Environment::read(|name| match name {
        "HF_ENDPOINT" => Some(hub.url().into()),
        "HF_TOKEN" => token.map(Into::into),
        _ => None,
    })
    .expect("an environment")
}

pub(crate) fn client(hub: &Hub, token: Option<&str>) -> Client {
    let cancel = Arc::new(AtomicBool::new(false));
    Client::new(&environment(hub, token), settings(), cancel, |_| {}).expect("a client")
}

pub(crate) fn hub_name(text: &str) -> HubName {
    match Name::parse(text) {
        Ok(Name::Hub(name)) => name,
        other => panic!("{text}: {other:?}"),
    }
}

/// 600 KB that do not repeat.
pub(crate) fn weights() -> Vec<u8> {
    let mut state = 1u32;
    let next = move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    std::iter::repeat_with(next).take(600_000).collect()
}
