//! Open input files, read through short-lived memory maps.
//!
//! A [`Window`] maps just the bytes asked for and gives them back when dropped, so the mapped pages that
//! count towards the resident set are those of the windows alive, whatever the size of the files.

use std::fs::File;
use std::io::{self, Seek};
use std::ops::{Deref, Range};
use std::path::{Path, PathBuf};

use memmap2::{Advice, Mmap, MmapOptions};

/// A set of open files, named by index.
#[derive(Debug, Default)]
pub struct Files(Vec<Opened>);

#[derive(Debug)]
struct Opened {
    path: PathBuf,
    file: File,
    len: u64,
}

/// Bytes of a file, mapped until dropped.
#[derive(Debug)]
pub struct Window(Option<Mmap>);

/// A file could not be opened or read.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The system refused.
    #[error("{}: {source}", path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A directory, socket or device stands where a file is meant.
    #[error("{}: not a regular file; name a file", path.display())]
    NotAFile {
        /// Which path.
        path: PathBuf,
    },
    /// The range asked for does not lie within the file.
    #[error("{}: bytes {start} to {end} lie past the end of the file ({len} bytes); it is truncated, get it again", path.display())]
    PastEnd {
        /// Which file.
        path: PathBuf,
        /// First byte asked for.
        start: u64,
        /// One past the last byte asked for.
        end: u64,
        /// Bytes the file has now.
        len: u64,
    },
}

impl Files {
    /// No files.
    pub fn new() -> Self {
        Self::default()
    }

    /// Opens a regular file and returns its index.
    pub fn open(&mut self, path: &Path) -> Result<usize, FileError> {
        let io = |source| FileError::Io {
            path: path.to_owned(),
            source,
        };
        let file = File::open(path).map_err(io)?;
        let meta = file.metadata().map_err(io)?;
        if !meta.is_file() {
            return Err(FileError::NotAFile {
                path: path.to_owned(),
            });
        }
        self.0.push(Opened {
            path: path.to_owned(),
            file,
            len: meta.len(),
        });
        Ok(self.0.len() - 1)
    }

    /// Bytes of file `index` when it was opened.
    pub fn len(&self, index: usize) -> u64 {
        self.0[index].len
    }

    /// True where no file was opened.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Where file `index` lies.
    pub fn path(&self, index: usize) -> &Path {
        &self.0[index].path
    }

    /// True where `path` names one of these files, be it by another name or through links.
    pub fn hold(&self, path: &Path) -> bool {
        use std::os::unix::fs::MetadataExt;
        let same = |a: &std::fs::Metadata, b: &std::fs::Metadata| (a.dev(), a.ino()) == (b.dev(), b.ino());
        let Ok(meta) = std::fs::metadata(path) else {
            return false;
        };
        self.0
            .iter()
            .any(|opened| opened.file.metadata().is_ok_and(|m| same(&m, &meta)))
    }

    /// Reads file `index` from its first byte on, buffered; one reader of a file at a time.
    pub fn reader(&self, index: usize) -> Result<impl io::BufRead, FileError> {
        let Opened { path, file, .. } = &self.0[index];
        let mut input = file;
        input.rewind().map_err(|source| FileError::Io {
            path: path.clone(),
            source,
        })?;
        Ok(io::BufReader::with_capacity(1 << 16, input))
    }

    /// Maps `range` of file `index`; refuses a range that the file, as it is now, does not hold.
    pub fn window(&self, index: usize, range: Range<u64>) -> Result<Window, FileError> {
        let Opened { path, file, .. } = &self.0[index];
        let io = |source| FileError::Io {
            path: path.clone(),
            source,
        };
        // Asked anew each time: a map past the end of a file that shrank meanwhile would be a SIGBUS.
        let len = file.metadata().map_err(io)?.len();
        if range.start > range.end || range.end > len {
            return Err(FileError::PastEnd {
                path: path.clone(),
                start: range.start,
                end: range.end,
                len,
            });
        }
        let bytes = usize::try_from(range.end - range.start)
            .map_err(|_| io(io::Error::from(io::ErrorKind::OutOfMemory)))?;
        if bytes == 0 {
            return Ok(Window(None));
        }
        // SAFETY: the map is read-only, private to this process and lives in the returned window. What Rust
        // cannot rule out is another process truncating the file while a window is alive; the check above
        // keeps that to the milliseconds a window lives, and the documentation asks users not to.
        let map = unsafe { MmapOptions::new().offset(range.start).len(bytes).map(file) }.map_err(io)?;
        // Only a hint for read-ahead: refusal changes nothing.
        let _ = map.advise(Advice::WillNeed);
        Ok(Window(Some(map)))
    }
}

impl Deref for Window {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.0.as_deref().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_read_what_the_file_holds_and_refuse_the_rest() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let path = dir.path().join("bytes");
        let bytes: Vec<u8> = (0..10_000u32).map(|n| n as u8).collect();
        std::fs::write(&path, &bytes).expect("written");
        let mut files = Files::new();
        let index = files.open(&path).expect("opened");
        assert_eq!(files.len(index), 10_000);
        for range in [0..10_000, 4097..4099, 9_999..10_000, 10_000..10_000, 5..5] {
            let window = files.window(index, range.clone()).expect("in the file");
            assert_eq!(&*window, &bytes[range.start as usize..range.end as usize]);
        }
        for range in [0..10_001, 10_001..10_001, u64::MAX - 1..u64::MAX] {
            assert!(matches!(
                files.window(index, range),
                Err(FileError::PastEnd { len: 10_000, .. })
            ));
        }
        std::fs::write(&path, b"short").expect("written");
        assert!(matches!(
            files.window(index, 0..100),
            Err(FileError::PastEnd { len: 5, .. })
        ));
    }

    #[test]
    fn a_folder_and_a_missing_file_are_refused() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        assert!(matches!(
            Files::new().open(dir.path()),
            Err(FileError::NotAFile { .. })
        ));
        assert!(matches!(
            Files::new().open(&dir.path().join("no")),
            Err(FileError::Io { .. })
        ));
    }
}
