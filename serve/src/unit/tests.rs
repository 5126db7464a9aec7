use super::*;

fn unit() -> Unit {
    Unit {
        program: "/opt/my apps/siskin".into(),
        arguments: ["serve", "/srv/models/tiny.gguf", "--alias", "50% $mall"]
            .map(str::to_owned)
            .into(),
        addresses: vec![
            Address::Tcp(([192, 168, 1, 5], 8080).into()),
            Address::Unix("/run/siskin/siskin.sock".into()),
        ],
        models: vec!["/srv/models/tiny.gguf".into()],
        memory: Some(1000 << 20),
        keys: Some("/etc/siskin/api-keys".into()),
        drain: Duration::from_secs(30),
        environment: None,
    }
}

/// The values of a setting, in order.
fn values<'a>(text: &'a str, name: &str) -> Vec<&'a str> {
    let lines = text.lines();
    lines
        .filter_map(|line| line.strip_prefix(name)?.strip_prefix('='))
        .collect()
}

/// The files that packages bring are what this module makes; `SISKIN_WRITE_UNITS=1` writes them.
#[test]
fn the_units_of_packages_are_written_by_this_module() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("systemd");
    let units = Unit::packaged().render();
    for (name, text) in [("siskin.service", units.service), ("siskin.socket", units.socket)] {
        let file = folder.join(name);
        if std::env::var_os("SISKIN_WRITE_UNITS").is_some() {
            std::fs::create_dir_all(&folder).expect("made");
            std::fs::write(&file, &text).expect("written");
        }
        let stored = std::fs::read_to_string(&file).expect(name);
        assert_eq!(
            stored, text,
            "{name}: set SISKIN_WRITE_UNITS=1 to write it again, then look at the difference"
        );
    }
}

#[test]
fn the_service_is_started_with_its_arguments_and_limits() {
    let text = unit().render().service;
    let cases = [
        (
            "ExecStart",
            vec!["\"/opt/my apps/siskin\" serve /srv/models/tiny.gguf --alias \"50%% $$mall\""],
        ),
        ("LoadCredential", vec!["api-keys:/etc/siskin/api-keys"]),
        ("MemoryHigh", vec!["1050M"]),
        ("MemoryMax", vec!["1150M"]),
        ("TimeoutStopSec", vec!["45"]),
        ("EnvironmentFile", vec![]),
        ("ProtectHome", vec!["yes"]),
        ("IPAddressDeny", vec![]),
        ("RestrictAddressFamilies", vec!["AF_UNIX AF_INET AF_INET6"]),
        ("RuntimeDirectory", vec!["siskin"]),
        ("After", vec!["network-online.target"]),
    ];
    for (name, want) in cases {
        assert_eq!(values(&text, name), want, "{name}");
    }
}

#[test]
fn the_network_is_closed_as_far_as_addresses_allow() {
    let tcp = |ip: [u8; 4]| Address::Tcp((ip, 80).into());
    let unix = Address::Unix("/run/s".into());
    let cases = [
        (vec![unix.clone()], "AF_UNIX", vec!["any"], vec![]),
        (
            vec![tcp([127, 0, 0, 1])],
            "AF_UNIX AF_INET AF_INET6",
            vec!["any"],
            vec!["localhost"],
        ),
        (
            vec![tcp([0, 0, 0, 0]), unix],
            "AF_UNIX AF_INET AF_INET6",
            vec![],
            vec![],
        ),
    ];
    for (addresses, families, deny, allow) in cases {
        let unit = Unit { addresses, ..unit() };
        let text = unit.render().service;
        assert_eq!(values(&text, "RestrictAddressFamilies"), [families]);
        assert_eq!(values(&text, "IPAddressDeny"), deny, "{families}");
        assert_eq!(values(&text, "IPAddressAllow"), allow, "{families}");
    }
}

#[test]
fn models_in_peoples_folders_are_shown_to_the_service_and_nothing_else_is() {
    let models = [
        "/home/zoë/my models/a.gguf",
        "/root/b.gguf",
        "/srv/c.gguf",
        "/root/b.gguf",
        "/homestead/d",
    ];
    let unit = Unit {
        models: models.map(PathBuf::from).into(),
        ..unit()
    };
    let text = unit.render().service;
    assert_eq!(values(&text, "ProtectHome"), ["tmpfs"]);
    assert_eq!(
        values(&text, "BindReadOnlyPaths"),
        ["\"/home/zoë/my models/a.gguf\"", "/root/b.gguf"]
    );
}

#[test]
fn memory_has_room_above_the_prediction() {
    const MIB: u64 = 1 << 20;
    let cases = [
        (0, (16, 48)),
        (100 * MIB, (116, 148)),
        (1000 * MIB, (1050, 1150)),
        (1000 * MIB + 1, (1051, 1151)),
    ];
    for (bytes, want) in cases {
        assert_eq!(memory_limits(bytes), want, "{bytes}");
    }
    let (high, max) = memory_limits(u64::MAX);
    assert!(high <= max);
}

#[test]
fn the_socket_listens_where_the_service_would() {
    let text = unit().render().socket;
    assert_eq!(
        values(&text, "ListenStream"),
        ["192.168.1.5:8080", "/run/siskin/siskin.sock"]
    );
    assert_eq!(values(&text, "SocketMode"), ["0660"]);
    let six = Unit {
        addresses: vec![Address::Tcp("[::1]:80".parse().expect("an address"))],
        ..unit()
    };
    let text = six.render().socket;
    assert_eq!(values(&text, "ListenStream"), ["[::1]:80"]);
    assert!(values(&text, "SocketMode").is_empty());
}

#[test]
fn no_line_can_be_broken_by_what_is_put_in() {
    let evil = "x\nExecStartPre=/bin/evil";
    let unit = Unit {
        program: evil.into(),
        arguments: vec![evil.to_owned()],
        addresses: vec![Address::Unix(evil.into())],
        models: vec![format!("/home/{evil}").into()],
        keys: Some(evil.into()),
        environment: Some(evil.into()),
        ..unit()
    };
    let units = unit.render();
    for text in [units.service, units.socket] {
        assert!(values(&text, "ExecStartPre").is_empty(), "{text}");
    }
}
