//! Unit files for systemd, as text: a service that may do nothing but serve, and its socket. Pure.

mod quote;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::address::Address;
use quote::{path, words};

/// The folder for UNIX sockets that systemd makes for the service.
const RUNTIME: &str = "/run/siskin";

/// How much longer than the service's own deadline systemd waits before it kills it.
const GRACE: Duration = Duration::from_secs(15);

/// What the units are made for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unit {
    /// The program's absolute path.
    pub program: PathBuf,
    /// Its arguments: what the service is started with, beginning with the command's name.
    pub arguments: Vec<String>,
    /// Where the service listens.
    pub addresses: Vec<Address>,
    /// The files of models, which the service must be able to read.
    pub models: Vec<PathBuf>,
    /// What the service is predicted to use, in bytes. Without it the units set no limit.
    pub memory: Option<u64>,
    /// The file of API keys, which only root need be able to read: systemd passes it on.
    pub keys: Option<PathBuf>,
    /// How long running answers may take when the service ends.
    pub drain: Duration,
    /// A file with more arguments, in the variable `SISKIN_ARGUMENTS`, if units are made for many machines.
    pub environment: Option<PathBuf>,
}

/// The units' file names and texts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Units {
    /// `siskin.service`.
    pub service: String,
    /// `siskin.socket`.
    pub socket: String,
}

/// What is always the same: nothing of this is needed to compute and to answer. systemd.exec(5) explains each.
const HARDENING: &str = "\
# What the service may do: read its models, write its own folder, answer.
DynamicUser=yes
User=siskin
StateDirectory=siskin
StateDirectoryMode=0700
UMask=0077
NoNewPrivileges=yes
CapabilityBoundingSet=
AmbientCapabilities=
ProtectSystem=strict
PrivateTmp=yes
PrivateDevices=yes
PrivateUsers=yes
PrivateIPC=yes
PrivateMounts=yes
ProtectProc=invisible
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
LockPersonality=yes
MemoryDenyWriteExecute=yes
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
RemoveIPC=yes
KeyringMode=private
SystemCallArchitectures=native
SystemCallErrorNumber=EPERM
SystemCallFilter=@system-service
SystemCallFilter=~@privileged
# To take the sockets that systemd passes.
SystemCallFilter=pidfd_getfd
# A core would have what people asked.
LimitCORE=0
";

impl Unit {
    /// The units that packages bring: they listen on the loopback, and arguments are added in `/etc/default/siskin`.
    pub fn packaged() -> Self {
        Unit {
            program: "/usr/bin/siskin".into(),
            arguments: vec!["serve".to_owned()],
            addresses: vec![Address::Tcp(([127, 0, 0, 1], 8080).into())],
            models: Vec::new(),
            memory: None,
            keys: None,
            drain: Duration::from_secs(30),
            environment: Some("/etc/default/siskin".into()),
        }
    }

    /// Both units.
    pub fn render(&self) -> Units {
        Units {
            service: self.service(),
            socket: self.socket(),
        }
    }

    fn service(&self) -> String {
        let network = match self.addresses.iter().any(is_of_an_interface) {
            // Its address is there when the network is up.
            true => "Wants=network-online.target\nAfter=network-online.target",
            false => "After=network.target",
        };
        let mut text = format!(
            "[Unit]\n\
             Description=siskin: small language models over HTTP\n\
             {network}\n\
             StartLimitIntervalSec=300\n\
             StartLimitBurst=5\n\
             \n\
             [Service]\n\
             Type=notify\n\
             NotifyAccess=main\n"
        );
        let command =
            std::iter::once(self.program.to_string_lossy().into_owned()).chain(self.arguments.clone());
        let more = if self.environment.is_some() {
            " $SISKIN_ARGUMENTS"
        } else {
            ""
        };
        let stop = (self.drain + GRACE).as_secs();
        // Writing to a String does not fail.
        let _ = write!(
            text,
            "ExecStart={}{more}\n\
             ExecReload=/bin/kill -HUP $MAINPID\n\
             Environment=XDG_STATE_HOME=%S XDG_CONFIG_HOME=%E\n",
            words(command)
        );
        if let Some(file) = &self.environment {
            let _ = writeln!(text, "EnvironmentFile=-{}", path(file));
        }
        if let Some(file) = &self.keys {
            let _ = writeln!(text, "LoadCredential={}:{}", crate::keys::CREDENTIAL, path(file));
        }
        let _ = write!(
            text,
            "Restart=on-failure\n\
             RestartSec=2\n\
             TimeoutStartSec=300\n\
             TimeoutStopSec={stop}\n\
             WatchdogSec=60\n\
             \n\
             # If memory runs out, this service goes first, and not the rest of the machine.\n\
             OOMScoreAdjust=500\n"
        );
        if let Some(bytes) = self.memory {
            let (high, max) = memory_limits(bytes);
            let _ = write!(text, "MemoryHigh={high}M\nMemoryMax={max}M\nMemorySwapMax=0\n");
        }
        let _ = write!(
            text,
            "\n{HARDENING}{}{}{}",
            self.homes(),
            self.sockets(),
            self.network()
        );
        text.push_str("\n[Install]\nWantedBy=multi-user.target\n");
        text
    }

    fn socket(&self) -> String {
        let mut text = String::from(
            "[Unit]\nDescription=siskin's socket: the first request starts the service\n\n[Socket]\n",
        );
        for address in &self.addresses {
            let _ = match address {
                Address::Tcp(address) => writeln!(text, "ListenStream={address}"),
                Address::Unix(file) => writeln!(text, "ListenStream={}", path(file)),
            };
        }
        if self.addresses.iter().any(|address| address.tcp().is_none()) {
            text.push_str("SocketMode=0660\nRemoveOnStop=yes\n");
        }
        if self.addresses.iter().any(|address| address.tcp().is_some()) {
            text.push_str("NoDelay=yes\n");
        }
        text.push_str("Backlog=128\n\n[Install]\nWantedBy=sockets.target\n");
        text
    }

    /// People's folders are hidden, except models in them.
    fn homes(&self) -> String {
        let hidden = ["/home", "/root", "/run/user"];
        let mut inside = self.models.iter();
        let mut inside: Vec<&Path> = inside
            .by_ref()
            .map(PathBuf::as_path)
            .filter(|file| hidden.iter().any(|home| file.starts_with(home)))
            .collect();
        inside.sort_unstable();
        inside.dedup();
        if inside.is_empty() {
            return "ProtectHome=yes\n".to_owned();
        }
        let binds = inside.into_iter();
        let binds: String = binds
            .map(|file| format!("BindReadOnlyPaths={}\n", path(file)))
            .collect();
        format!("ProtectHome=tmpfs\n{binds}")
    }

    /// The folder of a UNIX socket. It stays when the service ends: systemd may listen there.
    fn sockets(&self) -> &'static str {
        let inside = |address: &Address| matches!(address, Address::Unix(file) if file.starts_with(RUNTIME));
        match self.addresses.iter().any(inside) {
            true => "RuntimeDirectory=siskin\nRuntimeDirectoryMode=0755\nRuntimeDirectoryPreserve=yes\n",
            false => "",
        }
    }

    /// The service never connects to anything; who may connect to it depends on its addresses.
    fn network(&self) -> String {
        let tcp = self.addresses.iter().any(|address| address.tcp().is_some());
        let families = if tcp {
            "AF_UNIX AF_INET AF_INET6"
        } else {
            "AF_UNIX"
        };
        let mut text = format!("RestrictAddressFamilies={families}\n");
        // More arguments may bring more addresses.
        if self.environment.is_none() && !self.addresses.iter().any(Address::is_exposed) {
            text.push_str("IPAddressDeny=any\n");
            if tcp {
                text.push_str("IPAddressAllow=localhost\n");
            }
        }
        text
    }
}

/// Whether an address is one of a network interface, and not all or the loopback.
fn is_of_an_interface(address: &Address) -> bool {
    let ip = address.tcp().map(|address| address.ip());
    address.is_exposed() && ip.is_some_and(|ip| !ip.is_unspecified())
}

/// The memory, in MiB, from which the service is slowed down, and from which it is ended: 5 and 15 % above the
/// prediction, and at least 16 and 48 MiB, since what the prediction does not know (the C library, the page cache of
/// other files) does not shrink with the model.
fn memory_limits(bytes: u64) -> (u64, u64) {
    const MIB: u64 = 1 << 20;
    let above = |percent: u64, least: u64| {
        let more = (bytes / 100).saturating_mul(percent).max(least * MIB);
        bytes.saturating_add(more).div_ceil(MIB)
    };
    (above(5, 16), above(15, 48))
}

#[cfg(test)]
mod tests;
