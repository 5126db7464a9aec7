//! What the service refuses: settings before it starts, strangers while it runs.

use std::os::unix::fs::PermissionsExt;

use super::client::Service;
use super::secret;
use crate::util::{self, siskin};

#[test]
fn settings_that_cannot_be_served_are_one_line_with_a_way_out() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("an address").port().to_string();
    let folder = tempfile::tempdir().expect("a folder");
    let keys = folder.path().join("keys");
    secret(&keys, "a-key-of-sixteen-letters\n");
    std::fs::set_permissions(&keys, std::fs::Permissions::from_mode(0o644)).expect("set");
    let keys = keys.to_string_lossy();
    let file = folder.path().join("file");
    std::fs::write(&file, "").expect("written");
    let file = file.to_string_lossy();
    let cases: [(&[&str], i32, &[&str]); 9] = [
        (
            &["--host", "0.0.0.0", "--port", "0"],
            1,
            &[
                "0.0.0.0:0",
                "--api-key-file FILE",
                "--no-auth",
                "--host 127.0.0.1",
            ],
        ),
        (
            &["--port", "0", "--api-key-file", &keys],
            1,
            &["mode 644", "chmod 600"],
        ),
        (
            &["--port", &port],
            1,
            &["another program listens there", "--port N"],
        ),
        (&["--unix", &file], 1, &["is not a socket"]),
        (&["--port", "0", "--memory", "1MiB"], 1, &[" MiB", "1 MiB"]),
        (&["--port", "0", "nothing.gguf"], 1, &["nothing.gguf"]),
        (&["--port", "0", "--parallel", "0"], 2, &["--parallel"]),
        (&["--port", "0", "--drain", "soon"], 2, &["a time such as"]),
        (&["--port", "0", "--allow-origin", "chat"], 1, &["chat"]),
    ];
    for (args, code, parts) in cases {
        let line = util::fail(siskin(["serve"]).args(args), code);
        for part in parts {
            assert!(line.contains(part), "{args:?}: {line}");
        }
    }
}

#[test]
fn other_hosts_and_origins_are_refused() {
    let service = Service::start(&[
        "--allow-origin",
        "https://chat.example.org",
        "--allowed-host",
        "box.lan",
    ]);
    let port = service.address.rsplit(':').next().expect("a port").to_owned();
    let own = format!("Host: 127.0.0.1:{port}\r\n");
    let cases = [
        (own.clone(), 200),
        (format!("Host: localhost:{port}\r\n"), 200),
        (format!("Host: box.lan:{port}\r\n"), 200),
        (format!("Host: evil.example.org:{port}\r\n"), 403),
        (format!("{own}Origin: https://chat.example.org\r\n"), 200),
        (format!("{own}Origin: http://127.0.0.1:{port}\r\n"), 200),
        (format!("{own}Origin: https://evil.example.org\r\n"), 403),
        (format!("{own}Origin: null\r\n"), 403),
        (format!("{own}Sec-Fetch-Site: cross-site\r\n"), 403),
    ];
    for (headers, status) in cases {
        let reply = service.ask("GET", "/v1/models", &headers, "");
        assert_eq!(reply.status, status, "{headers}: {reply:?}");
    }
    service.stop();
}
