//! `siskin pull` and what goes with it, against a hub on this machine that breaks on purpose.

mod checkpoints;
mod faults;
mod kills;
mod names;
mod ready;
mod refusals;
mod torch;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use siskin_testing::hub::{File, Hub};
use tempfile::TempDir;

use crate::util::{self, siskin, siskin_that_hears_signals};

/// The token of these tests.
const TOKEN: &str = "hf_secret";

/// Variables of the person who runs the tests that would change what is tested.
const FOREIGN: [&str; 20] = [
    "HF_TOKEN",
    "HUGGING_FACE_HUB_TOKEN",
    "HF_TOKEN_PATH",
    "HF_HUB_CACHE",
    "HUGGINGFACE_HUB_CACHE",
    "HF_HUB_OFFLINE",
    "TRANSFORMERS_OFFLINE",
    "HF_HUB_DISABLE_SYMLINKS",
    "HF_HUB_DISABLE_IMPLICIT_TOKEN",
    "HTTPS_PROXY",
    "https_proxy",
    "HTTP_PROXY",
    "http_proxy",
    "ALL_PROXY",
    "all_proxy",
    "NO_PROXY",
    "no_proxy",
    "OLLAMA_MODELS",
    "XDG_CACHE_HOME",
    "XDG_DATA_HOME",
];

/// A hub, and a user with a home and a folder of models.
struct Site {
    hub: Hub,
    folder: TempDir,
}

impl Site {
    fn new() -> Self {
        Site {
            hub: Hub::start(),
            folder: tempfile::tempdir().expect("a temporary folder"),
        }
    }

    /// A path of the user's.
    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The file of a model of the store.
    fn model(&self, name: &str) -> PathBuf {
        self.path("models").join(format!("{name}.gguf"))
    }

    /// The program as this user runs it.
    fn siskin<S: AsRef<std::ffi::OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Command {
        self.dressed(siskin(args))
    }

    /// `siskin LINE`.
    fn line(&self, line: &str) -> Command {
        self.siskin(line.split(' '))
    }

    /// `siskin pull --quiet LINE`.
    fn pull(&self, line: &str) -> Command {
        self.siskin(["pull", "--quiet"].into_iter().chain(line.split(' ')))
    }

    /// The same, and Ctrl-C reaches it.
    fn pull_that_hears(&self, line: &str) -> Command {
        self.dressed(siskin_that_hears_signals(
            ["pull"].into_iter().chain(line.split(' ')),
        ))
    }

    fn dressed(&self, mut command: Command) -> Command {
        for name in FOREIGN {
            command.env_remove(name);
        }
        command
            .env("HOME", self.folder.path())
            .env("HF_HOME", self.path("hf"))
            .env("HF_ENDPOINT", self.hub.url())
            .env("SISKIN_MODELS", self.path("models"))
            .env("HF_HUB_DOWNLOAD_TIMEOUT", "1");
        command
    }

    /// Names of the folder of models, but for what an interrupted pull goes on with and what is known of models.
    fn shown(&self) -> Vec<String> {
        let mut names = names(&self.path("models"));
        names.retain(|name| !name.starts_with('.'));
        names
    }

    /// Names in the folder of models that are of unfinished pulls.
    fn unfinished(&self) -> Vec<String> {
        let mut names = names(&self.path("models"));
        names.retain(|name| name.starts_with('.') && name != ".siskin");
        names
    }

    /// The address of every request since the last call.
    fn asked(&self) -> Vec<String> {
        self.hub
            .take_log()
            .into_iter()
            .map(|request| request.path)
            .collect()
    }
}

/// The names in a folder, sorted; none if it is not there.
fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten();
    let mut names: Vec<String> = entries
        .map(|entry| {
            entry
                .expect("an entry")
                .file_name()
                .to_string_lossy()
                .into_owned()
        })
        .collect();
    names.sort();
    names
}

fn read(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The files of a checkpoint, as a repository has them: weights are large files.
fn files_of(dir: &Path) -> Vec<(String, File)> {
    let files = names(dir).into_iter().filter(|name| dir.join(name).is_file());
    files
        .map(|name| {
            let bytes = read(&dir.join(&name));
            let is_large = name.ends_with(".safetensors") || name.ends_with(".bin");
            let file = if is_large {
                File::large(bytes)
            } else {
                File::small(bytes)
            };
            (name, file)
        })
        .collect()
}

/// Puts files on a branch.
fn put(hub: &Hub, repo: &str, branch: &str, files: &[(String, File)]) -> String {
    let files = files.iter().map(|(name, file)| (name.as_str(), file.clone()));
    hub.branch(repo, branch, files)
}

/// Puts a fixture on `main`.
fn upload(hub: &Hub, repo: &str, fixture: &str) -> String {
    put(hub, repo, "main", &files_of(&util::checkpoint(fixture)))
}

/// What `siskin convert` makes of a fixture. The repository of the same name must give the same.
fn converted(fixture: &str, file_type: &str) -> Vec<u8> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    read(&util::convert(
        &util::checkpoint(fixture),
        folder.path(),
        file_type,
    ))
}

/// Does something for each case, several at a time: most of them wait for the network.
fn side_by_side<T: Sync>(cases: &[T], work: impl Fn(&T) + Sync) {
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..cases.len().min(40) {
            scope.spawn(|| {
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    work(case);
                }
            });
        }
    });
}

/// Runs a command, which succeeds and says nothing.
fn silent(command: &mut Command) {
    let output = util::succeed(command);
    let said = [output.stdout, output.stderr].concat();
    assert!(said.is_empty(), "{command:?}: {}", String::from_utf8_lossy(&said));
}

/// Runs a command, which succeeds; gives what it prints on stdout.
fn printed(command: &mut Command) -> String {
    String::from_utf8(util::succeed(command).stdout).expect("text")
}

/// Runs a command, which succeeds; gives what it says on stderr.
fn said(command: &mut Command) -> String {
    String::from_utf8(util::succeed(command).stderr).expect("text")
}

fn json(command: &mut Command) -> serde_json::Value {
    serde_json::from_str(&printed(command)).expect("JSON")
}
