//! Files at a place of one's own. What has arrived is in `.NAME.pull` beside it, and stays there if the work ends
//! early: the next call goes on after it.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock, statvfs};
use rustix::io::Errno;
use siskin_model::files::FileId;

use super::body::Body;
use super::repo::hub_error;
use crate::HubError;
use crate::digest::{Digest, Hasher};

/// Bytes that are read at once.
const STEP: usize = 256 << 10;
/// What stays free on a disk, in bytes: folders and journals need some.
const RESERVE: u64 = 16 << 20;

/// A file that is to be downloaded.
#[derive(Debug, Clone)]
pub struct Expected {
    /// What it is, for errors.
    pub what: String,
    /// Size in bytes.
    pub size: u64,
    /// What its bytes must give; `None` if nobody says.
    pub digest: Option<Digest>,
}

/// The file in which a download to `target` is collected.
pub fn partial_of(target: &Path) -> PathBuf {
    let mut name = OsString::from(".");
    name.push(target.file_name().unwrap_or_default());
    name.push(".pull");
    target.with_file_name(name)
}

/// Downloads to `target`, which is replaced in one step when all bytes are there and have the expected digest. `open`
/// gives the bytes from an offset on. `progress` hears how many bytes are there.
///
/// # Errors
/// The disk is full, another program downloads to the same place, the bytes are wrong twice, or the network fails. But
/// for wrong bytes, what has arrived is kept.
pub fn download(
    open: impl Fn(u64) -> Result<Body, HubError>,
    expected: &Expected,
    target: &Path,
    progress: impl FnMut(u64),
) -> Result<(), HubError> {
    collect(open, expected, &partial_of(target), target, progress)
}

/// As [`download`], collecting in `partial`.
pub(super) fn collect(
    open: impl Fn(u64) -> Result<Body, HubError>,
    expected: &Expected,
    partial: &Path,
    target: &Path,
    progress: impl FnMut(u64),
) -> Result<(), HubError> {
    gather(open, expected, partial, target, progress)?.place()
}

/// A file that is whole, has the expected digest and is on the disk, but is not under its name. No other program
/// downloads to it while this lives.
#[derive(Debug)]
pub(super) struct Gathered {
    _lock: File,
    partial: PathBuf,
    pub(super) target: PathBuf,
    /// Bytes that were there before.
    pub(super) resumed: u64,
}

impl Gathered {
    /// Gives it its name, which is replaced in one step.
    pub(super) fn place(self) -> Result<(), HubError> {
        std::fs::rename(&self.partial, &self.target).map_err(|source| HubError::io(&self.target, source))?;
        sync_folder(&self.target);
        Ok(())
    }
}

/// Collects the bytes of `target` in `partial`.
pub(super) fn gather(
    open: impl Fn(u64) -> Result<Body, HubError>,
    expected: &Expected,
    partial: &Path,
    target: &Path,
    mut progress: impl FnMut(u64),
) -> Result<Gathered, HubError> {
    let file = lock(partial)?;
    let io = |source| HubError::io(partial, source);
    let mut have = file.metadata().map_err(io)?.len();
    if have > expected.size {
        file.set_len(0).map_err(io)?;
        have = 0;
    }
    free_space(partial, expected.size - have)?;
    let mut is_last = false;
    loop {
        match fill(&open, expected, &file, partial, &mut progress)? {
            None => {
                file.sync_all().map_err(io)?;
                return Ok(Gathered {
                    _lock: file,
                    partial: partial.to_owned(),
                    target: target.to_owned(),
                    resumed: have,
                });
            }
            // Perhaps a power cut lost what was there, or a server sent wrong bytes: once more, from the start.
            Some(_) if !is_last => {
                file.set_len(0).map_err(io)?;
                (have, is_last) = (0, true);
            }
            Some(error) => {
                let _ = std::fs::remove_file(partial);
                return Err(error);
            }
        }
    }
}

/// Reads what is there and downloads the rest; gives the error if the bytes are wrong.
fn fill(
    open: &impl Fn(u64) -> Result<Body, HubError>,
    expected: &Expected,
    mut file: &File,
    partial: &Path,
    progress: &mut impl FnMut(u64),
) -> Result<Option<HubError>, HubError> {
    let io = |source| HubError::io(partial, source);
    // Without a digest nothing can be compared; the hasher's result is then not used.
    let any = Digest::Sha256([0; 32]);
    let mut hasher = Hasher::new(expected.digest.as_ref().unwrap_or(&any), expected.size);
    let mut buffer = vec![0; STEP];
    let mut have = 0;
    file.seek(SeekFrom::Start(0)).map_err(io)?;
    loop {
        match file.read(&mut buffer).map_err(io)? {
            0 => break,
            read => {
                hasher.update(&buffer[..read]);
                have += read as u64;
                progress(have);
            }
        }
    }
    if have < expected.size {
        let mut body = open(have)?;
        loop {
            let read = match body.read(&mut buffer) {
                Ok(0) => break,
                Ok(read) => read,
                Err(error) => return Err(hub_error(error)),
            };
            file.write_all(&buffer[..read])
                .map_err(|source| full_or(partial, expected.size - have, source))?;
            hasher.update(&buffer[..read]);
            have += read as u64;
            progress(have);
        }
    }
    if have != expected.size {
        return Err(HubError::Answer {
            host: "the server".to_owned(),
            what: expected.what.clone(),
            problem: format!("{have} bytes came, and {} were listed", expected.size),
        });
    }
    let found = hasher.finish();
    Ok(match expected.digest {
        Some(digest) if digest != found => Some(HubError::Digest {
            what: expected.what.clone(),
            expected: digest,
            found,
        }),
        _ => None,
    })
}

/// Opens the file that bytes are collected in, for this program alone.
fn lock(partial: &Path) -> Result<File, HubError> {
    let io = |source| HubError::io(partial, source);
    let locked = || HubError::Locked {
        path: partial.to_owned(),
    };
    if std::fs::symlink_metadata(partial).is_ok_and(|meta| !meta.is_file()) {
        return Err(io(io::Error::new(
            io::ErrorKind::AlreadyExists,
            "this is not a file",
        )));
    }
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(partial)
        .map_err(io)?;
    if flock(&file, FlockOperation::NonBlockingLockExclusive) == Err(Errno::WOULDBLOCK) {
        return Err(locked());
    }
    // Any other error: some network file systems have no locks.
    // If another program finished between the opening and the lock, this is now its result.
    if FileId::of(&file) != FileId::of_path(partial) {
        return Err(locked());
    }
    Ok(file)
}

/// Refuses if the disk has less than `needed` bytes free for this user.
pub(super) fn free_space(path: &Path, needed: u64) -> Result<(), HubError> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let Ok(found) = statvfs(folder) else { return Ok(()) };
    let free = found.f_bavail.saturating_mul(found.f_frsize);
    if needed > 0 && free < needed.saturating_add(RESERVE) {
        return Err(HubError::DiskFull {
            path: folder.to_owned(),
            needed,
            free,
        });
    }
    Ok(())
}

fn full_or(path: &Path, needed: u64, source: io::Error) -> HubError {
    match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => HubError::DiskFull {
            path: path.to_owned(),
            needed,
            free: 0,
        },
        _ => HubError::io(path, source),
    }
}

/// Makes a rename last over a power cut, where the file system can.
pub(super) fn sync_folder(path: &Path) {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    if let Ok(folder) = File::open(folder) {
        let _ = folder.sync_all();
    }
}
