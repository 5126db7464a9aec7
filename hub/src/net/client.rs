//! The one client: settings, proxies, cancellation, counters.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ureq::tls::{RootCerts, TlsConfig, TlsProvider};
use ureq::unversioned::resolver::DefaultResolver;
use ureq::unversioned::transport::{
    ConnectProxyConnector, Connector, RustlsConnector, SocksConnector, TcpConnector,
};
use ureq::{Agent, Proxy};

use super::retry::{Failure, Limits, Next, Patience};
use super::url::Url;
use super::watch::Watch;
use crate::HubError;
use crate::environment::{Environment, Token};

/// Times and numbers of attempts. The defaults are for people; tests have shorter ones.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How long it may take to connect, TLS included.
    pub connect: Duration,
    /// How long may pass without a byte before the connection is given up.
    pub stall: Duration,
    /// Attempts in a row that bring no byte.
    pub attempts: u32,
    /// The first wait between attempts; each one after it is twice as long, up to 15 s.
    pub backoff: Duration,
    /// The longest time that a server may ask to wait.
    pub longest_wait: Duration,
    /// Tell the head of every answer: [`Notice::Head`].
    pub heads: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            connect: Duration::from_secs(15),
            stall: Duration::from_secs(20),
            attempts: 6,
            backoff: Duration::from_millis(500),
            // The hub counts requests in windows of five minutes.
            longest_wait: Duration::from_secs(310),
            heads: false,
        }
    }
}

impl Settings {
    /// The defaults, with the times that variables set.
    pub fn of(environment: &Environment) -> Self {
        let plain = Settings::default();
        Settings {
            connect: environment.head_timeout.unwrap_or(plain.connect),
            stall: environment.body_timeout.unwrap_or(plain.stall),
            ..plain
        }
    }
}

/// What people may want to know while they wait.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Notice {
    /// The server asked to wait.
    Waiting {
        /// The server.
        host: String,
        /// How long, in seconds.
        seconds: u64,
    },
    /// Something failed; it is tried again.
    Retrying {
        /// The server.
        host: String,
        /// What failed.
        problem: String,
        /// How long is waited before.
        after: Duration,
    },
    /// The head of an answer, if it was asked for. Addresses in it may be signed: who has them can read the file.
    Head {
        /// What was asked for.
        url: String,
        /// The status.
        status: u16,
        /// The headers, in the server's order.
        headers: Vec<(String, String)>,
    },
    /// The server sends the whole file instead of the rest: the first bytes are read again and dropped.
    Skipping {
        /// The server.
        host: String,
        /// How many bytes are dropped.
        bytes: u64,
    },
}

/// A secret, and the only site that it may be sent to.
#[derive(Debug, Clone)]
pub(crate) struct Credential {
    pub(crate) site: Url,
    pub(crate) token: Token,
}

/// A client. Copies of it share connections, counters and the wish to stop.
#[derive(Clone)]
pub struct Client(pub(super) Arc<Inner>);

pub(super) struct Inner {
    pub(super) environment: Environment,
    pub(super) credential: Option<Credential>,
    settings: Settings,
    cancel: Arc<AtomicBool>,
    notice: Box<dyn Fn(&Notice) + Send + Sync>,
    /// One for each proxy, and one without; the lock is held to look one up.
    agents: Mutex<Vec<(Option<String>, Agent)>>,
    pub(super) requests: AtomicU64,
    pub(super) bytes: AtomicU64,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("endpoint", &self.0.environment.endpoint)
            .finish_non_exhaustive()
    }
}

impl Client {
    /// A client for the hub and the proxies that `environment` names. If `cancel` becomes true, whatever it does ends
    /// with [`HubError::Interrupted`] within a second. `notice` is called from the threads that wait.
    ///
    /// # Errors
    /// The token's file cannot be read, or the hub's address is not one.
    pub fn new(
        environment: &Environment,
        settings: Settings,
        cancel: Arc<AtomicBool>,
        notice: impl Fn(&Notice) + Send + Sync + 'static,
    ) -> Result<Self, HubError> {
        let endpoint = &environment.endpoint;
        let site = Url::parse(endpoint).ok_or_else(|| HubError::Environment {
            variable: "HF_ENDPOINT",
            problem: "the value is not an address".to_owned(),
        })?;
        // A mirror of plain HTTP gets no token: everybody on the way could read it.
        let token = environment.token()?.filter(|_| site.keeps_secrets());
        Ok(Client(Arc::new(Inner {
            environment: environment.clone(),
            credential: token.map(|token| Credential { site, token }),
            settings,
            cancel,
            notice: Box::new(notice),
            agents: Mutex::default(),
            requests: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
        })))
    }

    /// The hub's address, without a slash at the end.
    pub fn endpoint(&self) -> &str {
        &self.0.environment.endpoint
    }

    /// True if there is a token that the hub would get.
    pub fn has_token(&self) -> bool {
        self.0.credential.is_some()
    }

    /// What the variables say.
    pub fn environment(&self) -> &Environment {
        &self.0.environment
    }

    /// Requests that were sent, redirects included.
    pub fn requests(&self) -> u64 {
        self.0.requests.load(Ordering::Relaxed)
    }

    /// Bytes of bodies that arrived.
    pub fn bytes(&self) -> u64 {
        self.0.bytes.load(Ordering::Relaxed)
    }

    /// Tells the head of an answer, if it is to be told.
    pub(super) fn tell_head(&self, url: &Url, status: u16, headers: impl Iterator<Item = (String, String)>) {
        if self.0.settings.heads {
            self.notice(&Notice::Head {
                url: url.to_string(),
                status,
                headers: headers.collect(),
            });
        }
    }

    /// True if the caller wants to stop.
    pub fn is_cancelled(&self) -> bool {
        self.0.cancel.load(Ordering::Relaxed)
    }

    pub(super) fn stall(&self) -> Duration {
        self.0.settings.stall
    }

    pub(super) fn notice(&self, notice: &Notice) {
        (self.0.notice)(notice);
    }

    /// Refuses if a variable forbids the network.
    pub(super) fn may_ask_for(&self, what: &str) -> Result<(), HubError> {
        match self.0.environment.offline {
            Some(variable) => Err(HubError::Offline {
                what: what.to_owned(),
                variable,
            }),
            None => Ok(()),
        }
    }

    /// Waits, unless the caller wants to stop.
    pub(super) fn wait(&self, time: Duration) -> Result<(), HubError> {
        let end = Instant::now() + time;
        loop {
            if self.is_cancelled() {
                return Err(HubError::Interrupted);
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            std::thread::sleep(left.min(Duration::from_millis(100)));
        }
    }

    /// Decides about a failure, tells it, and waits before the next attempt.
    ///
    /// # Errors
    /// There is no next attempt.
    pub(super) fn after(
        &self,
        failure: Failure,
        patience: &mut Patience,
        host: &str,
        what: &str,
    ) -> Result<(), HubError> {
        let settings = &self.0.settings;
        let limits = Limits {
            attempts: settings.attempts,
            backoff: settings.backoff,
            longest_wait: settings.longest_wait,
        };
        let host_name = || host.to_owned();
        match patience.judge(failure, host, what, &limits) {
            Next::End(error) => Err(error),
            Next::Wait(wait) => {
                self.notice(&Notice::Waiting {
                    host: host_name(),
                    seconds: wait.as_secs(),
                });
                self.wait(wait)
            }
            Next::Retry { after, problem } => {
                self.notice(&Notice::Retrying {
                    host: host_name(),
                    problem,
                    after,
                });
                self.wait(after)
            }
        }
    }

    /// Does something until it succeeds or is not worth another attempt.
    pub(super) fn persist<T>(
        &self,
        host: &str,
        what: &str,
        mut attempt: impl FnMut() -> Result<T, Failure>,
    ) -> Result<T, HubError> {
        let mut patience = Patience::default();
        loop {
            match attempt() {
                Ok(done) => return Ok(done),
                Err(failure) => self.after(failure, &mut patience, host, what)?,
            }
        }
    }

    /// The agent for an address: its proxy's, or the one without a proxy.
    pub(super) fn agent(&self, url: &Url) -> Result<Agent, HubError> {
        let proxy = self.0.environment.proxy_for(url.scheme(), url.host());
        let mut agents = self.0.agents.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, agent)) = agents.iter().find(|(known, _)| known.as_deref() == proxy) {
            return Ok(agent.clone());
        }
        let agent = self.new_agent(proxy)?;
        agents.push((proxy.map(str::to_owned), agent.clone()));
        Ok(agent)
    }

    fn new_agent(&self, proxy: Option<&str>) -> Result<Agent, HubError> {
        let proxy = proxy
            .map(Proxy::new)
            .transpose()
            .map_err(|_| HubError::Environment {
                variable: "HTTPS_PROXY",
                // The value may have a password.
                problem: "the address of a proxy (HTTPS_PROXY, HTTP_PROXY or ALL_PROXY) cannot be used"
                    .to_owned(),
            })?;
        let settings = &self.0.settings;
        let tls = TlsConfig::builder()
            .provider(TlsProvider::Rustls)
            .root_certs(RootCerts::PlatformVerifier)
            .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .build();
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .proxy(proxy)
            .tls_config(tls)
            .user_agent(concat!("siskin/", env!("CARGO_PKG_VERSION")))
            .accept_encoding("identity")
            .timeout_resolve(Some(settings.connect))
            .timeout_connect(Some(settings.connect))
            .timeout_recv_response(Some(settings.stall.saturating_mul(3)))
            .build();
        let watch = Watch {
            cancel: Arc::clone(&self.0.cancel),
            stall: settings.stall,
        };
        let connector =
            ().chain(SocksConnector::default())
                .chain(ConnectProxyConnector::default())
                .chain(TcpConnector::default())
                .chain(watch)
                .chain(RustlsConnector::default());
        Ok(Agent::with_parts(config, connector, DefaultResolver::default()))
    }
}
