//! The one way to open an input.

use std::fmt;
use std::fs::{File, FileType, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;

use super::FileError;

/// How long a FIFO may be without a program that writes to it.
const WRITER_TIMEOUT: Duration = Duration::from_secs(2);

/// What a path names, if it is not a regular file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum PathKind {
    /// A folder.
    Folder,
    /// A folder that contains `config.json`: a checkpoint.
    Checkpoint,
    /// A FIFO, also called a named pipe.
    Fifo,
    /// A socket.
    Socket,
    /// A character or block device.
    Device,
}

impl PathKind {
    /// The kind of `path`, whose type is `ty`; `None` for a regular file.
    pub(crate) fn new(path: &Path, ty: FileType) -> Option<Self> {
        Some(match ty {
            _ if ty.is_file() => return None,
            _ if ty.is_dir() && path.join("config.json").is_file() => PathKind::Checkpoint,
            _ if ty.is_dir() => PathKind::Folder,
            _ if ty.is_fifo() => PathKind::Fifo,
            _ if ty.is_socket() => PathKind::Socket,
            _ => PathKind::Device,
        })
    }
}

impl fmt::Display for PathKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            PathKind::Folder => "a folder",
            PathKind::Checkpoint => "a checkpoint's folder",
            PathKind::Fifo => "a FIFO",
            PathKind::Socket => "a socket",
            PathKind::Device => "a device",
        })
    }
}

/// Which file something is, whatever its name: two paths with the same identity are one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileId {
    device: u64,
    inode: u64,
}

impl FileId {
    fn new(meta: &Metadata) -> Self {
        FileId {
            device: meta.dev(),
            inode: meta.ino(),
        }
    }

    /// The identity of an open file; `None` if the system does not tell it.
    pub fn of(file: &File) -> Option<Self> {
        file.metadata().ok().as_ref().map(Self::new)
    }

    /// The identity of what `path` itself names, which may be a link; `None` if there is nothing.
    pub(crate) fn of_entry(path: &Path) -> Option<Self> {
        std::fs::symlink_metadata(path).ok().as_ref().map(Self::new)
    }

    /// The identity of what `path` leads to, through links; `None` if there is nothing.
    pub fn of_path(path: &Path) -> Option<Self> {
        std::fs::metadata(path).ok().as_ref().map(Self::new)
    }
}

/// Opens a regular file for reading. It never waits: other kinds of files are refused before they are opened.
///
/// # Errors
/// The path cannot be opened, or it is not a regular file.
pub fn open(path: &Path) -> Result<File, FileError> {
    let io = |source| FileError::io(path, source);
    let refuse = |meta: &Metadata| match PathKind::new(path, meta.file_type()) {
        None => Ok(()),
        Some(kind) => Err(FileError::NotAFile {
            path: path.to_owned(),
            kind,
        }),
    };
    // To open a device can change it (a tape, a watchdog), so the path is looked at first.
    refuse(&std::fs::metadata(path).map_err(io)?)?;
    let file = open_at_once(path).map_err(io)?;
    // Another file may have taken its place meanwhile; if it is a FIFO, it was opened without waiting.
    refuse(&file.metadata().map_err(io)?)?;
    Ok(file)
}

/// Opens whatever `path` names, without waiting for a writer and without making a terminal the controlling one.
fn open_at_once(path: &Path) -> io::Result<File> {
    let flags = (OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC).bits();
    let flags = i32::try_from(flags).map_err(io::Error::other)?;
    File::options().read(true).custom_flags(flags).open(path)
}

/// Reads a whole regular file of at most `limit` bytes.
///
/// # Errors
/// [`open`] fails, the file is larger than `limit`, or it cannot be read.
pub fn read(path: &Path, limit: u64) -> Result<Vec<u8>, FileError> {
    within(path, open(path)?, limit)
}

/// Reads a whole text file of at most `limit` bytes.
///
/// # Errors
/// As [`read`]'s; or the file is not UTF-8.
pub fn read_text(path: &Path, limit: u64) -> Result<String, FileError> {
    String::from_utf8(read(path, limit)?).map_err(|_| FileError::NotText {
        path: path.to_owned(),
    })
}

/// Reads up to the end, whatever size the system reports: files in `/proc` have size 0, and others grow.
fn within(path: &Path, input: impl Read, limit: u64) -> Result<Vec<u8>, FileError> {
    let mut bytes = Vec::new();
    let mut input = input.take(limit.saturating_add(1));
    input
        .read_to_end(&mut bytes)
        .map_err(|source| FileError::io(path, source))?;
    if bytes.len() as u64 > limit {
        return Err(FileError::TooLarge {
            path: path.to_owned(),
            limit,
        });
    }
    Ok(bytes)
}

/// Opens a text that a user names: a regular file, or a pipe as in `-f <(command)` and `-f /dev/stdin`. Reading a pipe
/// waits for its writer; opening one that has no writer does not.
///
/// # Errors
/// The path cannot be opened, names a folder, socket or device, or a FIFO that no program writes to.
pub fn open_text(path: &Path) -> Result<Box<dyn Read>, FileError> {
    let meta = std::fs::metadata(path).map_err(|source| FileError::io(path, source))?;
    let ty = meta.file_type();
    if !ty.is_fifo() && !is_harmless_device(path, &meta) {
        return Ok(Box::new(open(path)?));
    }
    let file = open_at_once(path).map_err(|source| FileError::io(path, source))?;
    let mut pipe = Pipe { file, first: None };
    if ty.is_fifo() && !pipe.find_writer().map_err(|source| FileError::io(path, source))? {
        return Err(FileError::NoWriter(path.to_owned()));
    }
    Ok(Box::new(pipe))
}

/// `/dev/null`, or standard input under its own names: a terminal, for example.
fn is_harmless_device(path: &Path, meta: &Metadata) -> bool {
    const STDIN: [&str; 3] = ["/dev/stdin", "/dev/fd/0", "/proc/self/fd/0"];
    let is_null = || std::fs::metadata("/dev/null").is_ok_and(|null| null.rdev() == meta.rdev());
    meta.file_type().is_char_device() && (STDIN.iter().any(|name| path == Path::new(name)) || is_null())
}

/// A pipe or a terminal that was opened without waiting; reading it waits.
struct Pipe {
    file: File,
    /// What was read to see whether there is a writer.
    first: Option<u8>,
}

impl Pipe {
    /// Waits until there is something to read, or the last writer is gone, or the time is over.
    fn wait(&self, timeout: Option<&Timespec>) -> io::Result<PollFlags> {
        let mut fds = [PollFd::new(&self.file, PollFlags::IN)];
        match poll(&mut fds, timeout) {
            Ok(_) => Ok(fds[0].revents()),
            Err(rustix::io::Errno::INTR) => Ok(PollFlags::empty()),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Whether some program has the FIFO open for writing, or had.
    fn find_writer(&mut self) -> io::Result<bool> {
        let start = Instant::now();
        let moment = Timespec {
            tv_sec: 0,
            tv_nsec: 20_000_000,
        };
        loop {
            let mut byte = [0];
            match self.file.read(&mut byte) {
                // Without a writer, a FIFO is at its end; with a silent one, reading would block.
                Ok(0) if self.wait(Some(&moment))?.contains(PollFlags::HUP) => return Ok(true),
                Ok(0) if start.elapsed() > WRITER_TIMEOUT => return Ok(false),
                Ok(0) => {}
                Ok(_) => {
                    self.first = Some(byte[0]);
                    return Ok(true);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(true),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

impl Read for Pipe {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        if let (Some(first), [byte, ..]) = (self.first, &mut *bytes) {
            *byte = first;
            self.first = None;
            return Ok(1);
        }
        loop {
            match self.file.read(bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.wait(None).map(drop)?,
                read => return read,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fifo(dir: &Path) -> std::path::PathBuf {
        let path = dir.join("fifo");
        let made = std::process::Command::new("mkfifo").arg(&path).status();
        assert!(made.expect("mkfifo runs").success());
        path
    }

    fn kind(path: &Path) -> Option<PathKind> {
        match open(path) {
            Err(FileError::NotAFile { kind, .. }) => Some(kind),
            _ => None,
        }
    }

    #[test]
    fn what_is_not_a_regular_file_is_named_and_never_waited_for() {
        let dir = tempfile::tempdir().expect("a folder");
        let socket = dir.path().join("socket");
        let _listener = std::os::unix::net::UnixListener::bind(&socket).expect("a socket");
        let link = dir.path().join("link");
        let fifo = fifo(dir.path());
        std::os::unix::fs::symlink(&fifo, &link).expect("linked");
        assert_eq!(kind(dir.path()), Some(PathKind::Folder));
        std::fs::write(dir.path().join("config.json"), "{}").expect("written");
        assert_eq!(kind(dir.path()), Some(PathKind::Checkpoint));
        assert_eq!(kind(&fifo), Some(PathKind::Fifo));
        assert_eq!(kind(&link), Some(PathKind::Fifo));
        assert_eq!(kind(&socket), Some(PathKind::Socket));
        assert_eq!(kind(Path::new("/dev/zero")), Some(PathKind::Device));
        assert!(open(&dir.path().join("config.json")).is_ok());
    }

    #[test]
    fn every_file_has_a_limit() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("text");
        std::fs::write(&path, "four").expect("written");
        assert_eq!(read_text(&path, 4).expect("read"), "four");
        assert!(matches!(
            read(&path, 3),
            Err(FileError::TooLarge { limit: 3, .. })
        ));
        std::fs::write(&path, [0xff]).expect("written");
        assert!(matches!(read_text(&path, 4), Err(FileError::NotText { .. })));
        // The size that the system reports is 0.
        assert!(
            !read(Path::new("/proc/self/status"), 1 << 20)
                .expect("read")
                .is_empty()
        );
    }

    #[test]
    fn a_text_may_come_from_a_pipe() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = fifo(dir.path());
        let text = |path: &Path| {
            let mut text = String::new();
            open_text(path).and_then(|mut input| {
                let read = input.read_to_string(&mut text);
                read.map_err(|source| FileError::io(path, source))
            })?;
            Ok(text)
        };
        let none: Result<String, FileError> = text(&path);
        assert!(matches!(none, Err(FileError::NoWriter(_))));
        let writer = path.clone();
        let writer = std::thread::spawn(move || std::fs::write(writer, "from a pipe"));
        assert_eq!(text(&path).expect("read"), "from a pipe");
        writer.join().expect("ended").expect("written");
        assert_eq!(text(Path::new("/dev/null")).expect("read"), "");
        assert!(matches!(
            text(Path::new("/dev/zero")),
            Err(FileError::NotAFile { .. })
        ));
        assert!(matches!(text(dir.path()), Err(FileError::NotAFile { .. })));
    }

    #[test]
    fn a_file_is_the_same_under_any_name() {
        let dir = tempfile::tempdir().expect("a folder");
        let at = |name: &str| dir.path().join(name);
        std::fs::write(at("a"), "").expect("written");
        std::fs::write(at("b"), "").expect("written");
        std::fs::hard_link(at("a"), at("hard")).expect("linked");
        std::os::unix::fs::symlink("a", at("soft")).expect("linked");
        let id = |name: &str| FileId::of_path(&at(name));
        assert!(id("a").is_some() && id("a") == id("hard") && id("a") == id("soft"));
        assert!(id("a") != id("b") && id("none").is_none());
    }
}
