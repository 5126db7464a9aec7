//! The service under systemd: readiness, sockets that it gets, units that it prints.

use std::os::unix::net::UnixDatagram;
use std::process::Command;

use super::client::{PATIENCE, Service};
use crate::util::{self, siskin};

/// Whether a program is installed.
fn is_installed(name: &str) -> bool {
    Command::new(name)
        .arg("--version")
        .output()
        .is_ok_and(|output| output.status.success())
}

/// Waits for a datagram with a line.
fn told(socket: &UnixDatagram, line: &str) {
    let mut all = Vec::new();
    let mut bytes = [0; 4096];
    loop {
        let length = socket
            .recv(&mut bytes)
            .unwrap_or_else(|error| panic!("no {line}: {error}: {all:?}"));
        let text = String::from_utf8_lossy(&bytes[..length]).into_owned();
        if text.lines().any(|one| one == line) {
            return;
        }
        all.push(text);
    }
}

#[test]
fn systemd_is_told_when_it_is_ready_and_when_it_ends() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("notify");
    let socket = UnixDatagram::bind(&path).expect("a socket");
    socket.set_read_timeout(Some(PATIENCE)).expect("a deadline");
    let service = Service::start_with(&[], |command| {
        command.env("NOTIFY_SOCKET", &path);
    });
    told(&socket, "READY=1");
    service.stop();
    told(&socket, "STOPPING=1");
}

#[test]
fn a_socket_from_systemd_is_served() {
    if !is_installed("systemd-socket-activate") {
        return siskin_testing::skip("systemd-socket-activate is not installed");
    }
    // A port that was free a moment ago: the program takes no 0.
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = free.local_addr().expect("an address").to_string();
    drop(free);
    let plain = siskin(["serve", "--port", "1"]);
    let mut command = Command::new("systemd-socket-activate");
    command
        .args(["--listen", &address])
        .arg(plain.get_program())
        .args(plain.get_args());
    // The first connection starts the service.
    let knock = address.clone();
    let knocking =
        std::thread::spawn(move || super::until("a listener", || std::net::TcpStream::connect(&knock).ok()));
    let service = Service::spawn(command);
    assert_eq!(service.address, address);
    assert_eq!(service.get("/readyz").status, 200);
    drop(knocking.join());
    service.stop();
}

#[test]
fn the_printed_units_are_units() {
    let output = util::succeed(&mut siskin(["serve", "--unit", "--port", "8080"]));
    let text = String::from_utf8(output.stdout).expect("text");
    let (service, socket) = text
        .split_once("# /etc/systemd/system/siskin.socket")
        .expect("two units");
    assert!(
        service.contains("ExecStart=") && socket.contains("ListenStream="),
        "{text}"
    );
    if !is_installed("systemd-analyze") {
        return siskin_testing::skip("systemd-analyze is not installed");
    }
    let folder = tempfile::tempdir().expect("a folder");
    let files = [("siskin.service", service), ("siskin.socket", socket)].map(|(name, text)| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).expect("written");
        path
    });
    let output = Command::new("systemd-analyze")
        .arg("verify")
        .args(&files)
        .output()
        .expect("it starts");
    let said = String::from_utf8_lossy(&output.stderr);
    let faults: Vec<&str> = said.lines().filter(|line| line.contains("siskin.s")).collect();
    assert!(output.status.success() && faults.is_empty(), "{said}");
}
