//! Through a proxy, and around it.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use siskin_hub::environment::Environment;
use siskin_hub::net::{Client, Repo};
use siskin_testing::hub::{File, Hub};

use crate::common::{hub_name, settings, weights};

/// A proxy for CONNECT. Returns its address and the number of connections that it has made.
fn proxy() -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = format!("http://{}", listener.local_addr().expect("an address"));
    let made = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&made);
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            counter.fetch_add(1, Ordering::Relaxed);
            std::thread::spawn(move || tunnel(client));
        }
    });
    (address, made)
}

fn tunnel(mut client: TcpStream) -> std::io::Result<()> {
    let mut head = BufReader::new(client.try_clone()?);
    let mut line = String::new();
    head.read_line(&mut line)?;
    let target = line.split(' ').nth(1).unwrap_or_default().to_owned();
    while line.trim() != "" {
        line.clear();
        head.read_line(&mut line)?;
        assert!(
            !line.to_ascii_lowercase().starts_with("authorization"),
            "the proxy gets no token"
        );
    }
    let mut server = TcpStream::connect(target)?;
    client.write_all(b"HTTP/1.1 200 Connected\r\n\r\n")?;
    let (mut answers, mut back) = (server.try_clone()?, client.try_clone()?);
    std::thread::spawn(move || std::io::copy(&mut answers, &mut back));
    std::io::copy(&mut head, &mut server)?;
    Ok(())
}

#[test]
fn requests_go_through_the_proxy_unless_the_host_is_listed() {
    let hub = Hub::start();
    hub.repo("a/b", [("m.gguf", File::large(weights()))]);
    for (no_proxy, goes_through) in [("", true), ("example.org,127.0.0.1", false)] {
        let (address, made) = proxy();
        let environment = Environment::read(|name| match name {
            "HF_ENDPOINT" => Some(hub.url().into()),
            "HF_TOKEN" => Some("hf_secret".into()),
            "http_proxy" => Some(address.clone().into()),
            "NO_PROXY" => Some(no_proxy.into()),
            _ => None,
        });
        let client =
            Client::new(&environment.expect("good"), settings(), Arc::default(), |_| {}).expect("a client");
        let repo = Repo::open(&client, &hub_name("a/b")).expect("opened");
        assert!(repo.small("m.gguf", 1 << 20).expect("read") == weights());
        assert_eq!(made.load(Ordering::Relaxed) > 0, goes_through, "{no_proxy}");
    }
}

#[test]
fn a_proxy_that_is_not_there_is_said() {
    let environment = Environment::read(|name| match name {
        "HF_ENDPOINT" => Some("http://hub.example".into()),
        "http_proxy" => Some("http://127.0.0.1:1".into()),
        _ => None,
    });
    let client =
        Client::new(&environment.expect("good"), settings(), Arc::default(), |_| {}).expect("a client");
    let error = Repo::open(&client, &hub_name("a/b"))
        .expect_err("no proxy")
        .to_string();
    assert!(
        error.contains("Connection refused, through the proxy that the environment names (4 attempts)"),
        "{error}"
    );
}
