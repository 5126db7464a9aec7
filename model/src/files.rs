//! Open input files, read in pieces into the caller's buffers.
//!
//! Nothing is mapped: only the requested bytes count towards the resident set, and if another process
//! truncates a file meanwhile, the result is an error and not a signal.
//!
//! [`open()`] is the one way to open an input, in every crate: it looks at a path before it opens it, so that a FIFO or
//! a device cannot make the program wait.

mod error;
mod found;
mod open;

use std::fs::File;
use std::io::{self, Seek};
use std::num::NonZeroU64;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Advice, fadvise};

pub use error::FileError;
pub use found::Found;
pub use open::{FileId, PathKind, open, open_text, read, read_text};

/// A set of open files, addressed by index.
#[derive(Debug, Default)]
pub struct Files(Vec<Opened>);

#[derive(Debug)]
struct Opened {
    path: PathBuf,
    file: File,
    len: u64,
}

impl Files {
    /// Creates an empty set.
    pub fn new() -> Self {
        Self::default()
    }

    /// Opens a regular file and returns its index.
    ///
    /// # Errors
    /// Fails if [`open()`] does, or if the file begins as something else than a model's file does, e.g. as a Git LFS
    /// pointer or an HTML page: every reader would report it as damaged, without the reason.
    pub fn open(&mut self, path: &Path) -> Result<usize, FileError> {
        self.open_unless(path, Found::is_never_part_of_a_model)
    }

    /// The same for a file that is a ZIP archive: PyTorch's weights.
    ///
    /// # Errors
    /// As [`Self::open`]'s.
    pub fn open_archive(&mut self, path: &Path) -> Result<usize, FileError> {
        self.open_unless(path, |found| {
            found != Found::Zip && found.is_never_part_of_a_model()
        })
    }

    fn open_unless(&mut self, path: &Path, is_strange: impl Fn(Found) -> bool) -> Result<usize, FileError> {
        let file = open(path)?;
        let io = |source| FileError::io(path, source);
        match Found::in_file(&file).map_err(io)? {
            Some(Found::LfsPointer) => {
                return Err(FileError::LfsPointer {
                    path: path.to_owned(),
                });
            }
            Some(found) if is_strange(found) => {
                return Err(FileError::Strange {
                    path: path.to_owned(),
                    found,
                });
            }
            _ => {}
        }
        let len = file.metadata().map_err(io)?.len();
        self.0.push(Opened {
            path: path.to_owned(),
            file,
            len,
        });
        Ok(self.0.len() - 1)
    }

    /// Number of open files.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// Size of file `index` in bytes at the time it was opened.
    pub fn len(&self, index: usize) -> u64 {
        self.0[index].len
    }

    /// The file and the position in it, of a position in the bytes of all files one after the other.
    pub fn locate(&self, position: u64) -> (usize, u64) {
        let (mut file, mut rest) = (0, position);
        while file + 1 < self.0.len() && rest >= self.0[file].len {
            rest -= self.0[file].len;
            file += 1;
        }
        (file, rest)
    }

    /// True if no file has been opened.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The open file `index`.
    pub fn file(&self, index: usize) -> &File {
        &self.0[index].file
    }

    /// Path of file `index`.
    pub fn path(&self, index: usize) -> &Path {
        &self.0[index].path
    }

    /// True if `path` refers to one of these files, even under another name or through links.
    pub fn hold(&self, path: &Path) -> bool {
        FileId::of_path(path)
            .is_some_and(|id| self.0.iter().any(|opened| FileId::of(&opened.file) == Some(id)))
    }

    /// Returns a buffered reader that starts at the first byte of file `index`. Use only one reader per file
    /// at a time.
    ///
    /// # Errors
    /// Fails if the file cannot seek to its first byte.
    pub fn reader(&self, index: usize) -> Result<impl io::BufRead, FileError> {
        let Opened { path, file, .. } = &self.0[index];
        let mut input = file;
        input.rewind().map_err(|source| FileError::Io {
            path: path.clone(),
            source,
        })?;
        Ok(io::BufReader::with_capacity(1 << 16, input))
    }

    /// Reads the bytes `range` of file `index`.
    ///
    /// # Errors
    /// Fails if the file, at its current size, does not contain `range`, or if it cannot be read.
    pub fn read(&self, index: usize, range: Range<u64>) -> Result<Vec<u8>, FileError> {
        let mut bytes = Vec::new();
        self.read_into(index, range, &mut bytes)?;
        Ok(bytes)
    }

    /// Like [`Self::read`], but into `bytes`, replacing its content.
    ///
    /// # Errors
    /// The same as for [`Self::read`].
    pub fn read_into(&self, index: usize, range: Range<u64>, bytes: &mut Vec<u8>) -> Result<(), FileError> {
        let Opened { path, file, .. } = &self.0[index];
        let io = |source| FileError::Io {
            path: path.clone(),
            source,
        };
        let past_end = |len| FileError::PastEnd {
            path: path.clone(),
            start: range.start,
            end: range.end,
            len,
        };
        // Check the length before allocating: a damaged header may ask for any size.
        let len = file.metadata().map_err(io)?.len();
        if range.start > range.end || range.end > len {
            return Err(past_end(len));
        }
        let wanted = usize::try_from(range.end - range.start)
            .map_err(|_| io(io::Error::from(io::ErrorKind::OutOfMemory)))?;
        bytes
            .try_reserve(wanted.saturating_sub(bytes.len()))
            .map_err(|_| io(io::Error::from(io::ErrorKind::OutOfMemory)))?;
        bytes.resize(wanted, 0); // clears only the part that the buffer grows by
        match file.read_exact_at(bytes, range.start) {
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => Err(past_end(range.start)),
            read => read.map_err(io),
        }
    }

    /// Asks the system to fetch the bytes `range` of file `index` from the disk, before [`Self::read_into`]
    /// needs them. This is a hint: errors are ignored.
    pub fn prefetch(&self, index: usize, range: Range<u64>) {
        let len = NonZeroU64::new(range.end.saturating_sub(range.start));
        let _ = fadvise(&self.0[index].file, range.start, len, Advice::WillNeed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_file_holds_is_read_and_the_rest_refused() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let path = dir.path().join("bytes");
        let bytes: Vec<u8> = (0..10_000u32).map(|n| n as u8).collect();
        std::fs::write(&path, &bytes).expect("written");
        let mut files = Files::new();
        let index = files.open(&path).expect("opened");
        assert_eq!(files.len(index), 10_000);
        for range in [0..10_000, 4097..4099, 9_999..10_000, 10_000..10_000, 5..5] {
            files.prefetch(index, range.clone());
            let read = files.read(index, range.clone()).expect("in the file");
            assert_eq!(read, &bytes[range.start as usize..range.end as usize]);
        }
        for range in [0..10_001, 10_001..10_001, u64::MAX - 1..u64::MAX] {
            assert!(matches!(
                files.read(index, range),
                Err(FileError::PastEnd { len: 10_000, .. })
            ));
        }
        std::fs::write(&path, b"short").expect("written");
        assert!(matches!(
            files.read(index, 0..100),
            Err(FileError::PastEnd { len: 5, .. })
        ));
    }

    #[test]
    fn pointers_of_git_lfs_are_refused() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let path = dir.path().join("model.safetensors");
        let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n";
        let cases = [
            ("", false),
            ("version", false),
            ("version https://git-lfs.github.com/spec", false),
            (" version https://git-lfs.github.com/spec/v1\n", false),
            ("version https://git-lfs.github.com/spec/", true),
            (pointer, true),
        ];
        for (text, refused) in cases {
            std::fs::write(&path, text).expect("written");
            let opened = Files::new().open(&path);
            let is_pointer = matches!(opened, Err(FileError::LfsPointer { .. }));
            assert_eq!((is_pointer, opened.is_err()), (refused, refused), "{text:?}");
        }
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
