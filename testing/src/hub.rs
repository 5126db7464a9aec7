//! A hub that breaks on purpose: repositories, large files on a second server, a registry, and a script of faults.
//!
//! Plain HTTP/1.1 over two listeners on loopback, a thread a connection. Nothing in it waits for a clock, except to be
//! slow when a test asks for it.

mod content;
mod http;
mod registry;
mod routes;
mod script;

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

pub use content::{Content, File};
pub use registry::Layer;
pub use script::Fault;

/// Which of the two servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Site {
    /// The hub itself.
    Hub,
    /// The other host, which has the large files.
    Cdn,
}

/// A request that was answered.
#[derive(Debug, Clone)]
pub struct Request {
    /// The server that was asked.
    pub site: Site,
    /// Path and query.
    pub path: String,
    /// The header `Range`.
    pub range: Option<String>,
    /// The header `Authorization`.
    pub authorization: Option<String>,
    /// The status of the answer.
    pub status: u16,
    /// Bytes of the body that were sent.
    pub sent: u64,
}

/// Who may read a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Gate {
    /// Everybody.
    Open,
    /// Those who send this token. Others get 401, or 403 with another token.
    Token(String),
}

pub(crate) struct Repository {
    /// Branches and tags, and the commit each is at.
    pub(crate) revisions: BTreeMap<String, String>,
    pub(crate) commits: BTreeMap<String, BTreeMap<String, File>>,
    pub(crate) gate: Gate,
}

/// A mock hub. It ends when it is dropped.
pub struct Hub {
    state: Arc<State>,
}

pub(crate) struct State {
    pub(crate) hub: SocketAddr,
    pub(crate) cdn: SocketAddr,
    pub(crate) ended: AtomicBool,
    pub(crate) world: Mutex<World>,
    /// Bytes a second of all connections together; 0 is without limit.
    pub(crate) rate: AtomicU64,
    /// When the next byte may be sent.
    pub(crate) next_byte: Mutex<Instant>,
}

/// Everything that tests change.
#[derive(Default)]
pub(crate) struct World {
    pub(crate) repos: BTreeMap<String, Repository>,
    pub(crate) renamed: BTreeMap<String, String>,
    pub(crate) artifacts: registry::Artifacts,
    pub(crate) blobs: BTreeMap<String, Content>,
    pub(crate) script: script::Script,
    pub(crate) log: Vec<Request>,
    /// Signed addresses carry the number at which they were made, and are good for that number only.
    pub(crate) signature: u64,
    /// Files on a page of a tree.
    pub(crate) page: usize,
}

impl Hub {
    /// Starts the two servers on free ports of this machine.
    pub fn start() -> Self {
        Self::start_at(0)
    }

    /// Starts with the hub itself on `port`.
    pub fn start_at(port: u16) -> Self {
        let hub = TcpListener::bind(("127.0.0.1", port)).expect("a port for the hub");
        let cdn = TcpListener::bind("127.0.0.1:0").expect("a port for the large files");
        let world = World {
            page: 50,
            ..World::default()
        };
        let state = Arc::new(State {
            hub: hub.local_addr().expect("an address"),
            cdn: cdn.local_addr().expect("an address"),
            ended: AtomicBool::new(false),
            world: Mutex::new(world),
            rate: AtomicU64::new(0),
            next_byte: Mutex::new(Instant::now()),
        });
        for (listener, site) in [(hub, Site::Hub), (cdn, Site::Cdn)] {
            let state = Arc::clone(&state);
            std::thread::spawn(move || http::listen(&listener, site, &state));
        }
        Hub { state }
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.state.world()
    }

    /// The hub's address, for `HF_ENDPOINT`.
    pub fn url(&self) -> String {
        format!("http://{}", self.state.hub)
    }

    /// Host and port of the hub, for `oci:`.
    pub fn host(&self) -> String {
        self.state.hub.to_string()
    }

    /// The address of the server with the large files.
    pub fn cdn_url(&self) -> String {
        format!("http://{}", self.state.cdn)
    }

    /// Puts files on `main` of a repository, which is made if it is not there. Returns the commit.
    pub fn repo<'a>(&self, name: &str, files: impl IntoIterator<Item = (&'a str, File)>) -> String {
        self.branch(name, "main", files)
    }

    /// Puts files on a branch: a new commit. Returns it.
    pub fn branch<'a>(
        &self,
        name: &str,
        branch: &str,
        files: impl IntoIterator<Item = (&'a str, File)>,
    ) -> String {
        let files: BTreeMap<String, File> = files
            .into_iter()
            .map(|(path, file)| (path.to_owned(), file))
            .collect();
        let mut world = self.world();
        let repo = world.repos.entry(name.to_owned()).or_insert_with(|| Repository {
            revisions: BTreeMap::new(),
            commits: BTreeMap::new(),
            gate: Gate::Open,
        });
        let names: Vec<u8> = files
            .iter()
            .flat_map(|(path, file)| format!("{path} {}\n", file.sha256()).into_bytes())
            .collect();
        let commit = content::git_name(&[name.as_bytes(), branch.as_bytes(), &names].concat());
        repo.revisions.insert(branch.to_owned(), commit.clone());
        repo.commits.insert(commit.clone(), files);
        commit
    }

    /// Who may read a repository.
    pub fn gate(&self, name: &str, gate: Gate) {
        if let Some(repo) = self.world().repos.get_mut(name) {
            repo.gate = gate;
        }
    }

    /// Gives a repository a new name; the old one redirects.
    pub fn rename(&self, old: &str, new: &str) {
        let mut world = self.world();
        if let Some(repo) = world.repos.remove(old) {
            world.repos.insert(new.to_owned(), repo);
            world.renamed.insert(old.to_owned(), new.to_owned());
        }
    }

    /// Puts an artifact into the registry. Returns the digest of its manifest, `sha256:…`.
    pub fn artifact(&self, name: &str, tag: &str, layers: &[Layer]) -> String {
        registry::add(&mut self.world(), name, tag, layers)
    }

    /// The registry asks for this bearer token, which its token service gives to everybody.
    pub fn registry_token(&self, token: &str) {
        self.world().artifacts.token = Some(token.to_owned());
    }

    /// From now on, the next `times` answers to requests whose path and query contain `pattern` have this fault.
    /// Faults of the same request happen in the order in which they were added.
    pub fn fault(&self, pattern: &str, fault: Fault, times: usize) {
        self.world().script.add(pattern, fault, times);
    }

    /// Faults that have not happened.
    pub fn faults_left(&self) -> usize {
        self.world().script.left()
    }

    /// Nothing goes wrong any more.
    pub fn clear_faults(&self) {
        self.world().script = script::Script::default();
    }

    /// All signed addresses that were given out are refused from now on.
    pub fn expire_signatures(&self) {
        self.world().signature += 1;
    }

    /// How many files a page of a tree lists.
    pub fn page(&self, files: usize) {
        self.world().page = files.max(1);
    }

    /// Sends at most so many bytes a second, over all connections together; 0 is without limit.
    pub fn rate(&self, bytes_per_second: u64) {
        self.state.rate.store(bytes_per_second, Ordering::Relaxed);
    }

    /// The requests that were answered since the last call, in the order in which their answers ended.
    pub fn take_log(&self) -> Vec<Request> {
        std::mem::take(&mut self.world().log)
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        self.state.ended.store(true, Ordering::Relaxed);
        for address in [self.state.hub, self.state.cdn] {
            // Wakes the listener.
            let _ = std::net::TcpStream::connect(address);
        }
    }
}

impl State {
    pub(crate) fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
