//! Open input files, read in pieces into the caller's buffers.
//!
//! Nothing is mapped: only the requested bytes count towards the resident set, and if another process
//! truncates a file meanwhile, the result is an error and not a signal.
//!
//! [`open()`] is the one way to open an input, in every crate: it looks at a path before it opens it, so that a FIFO or
//! a device cannot make the program wait.
//!
//! A file need not be on this machine: [`Files::add`] takes anything that reads a range of bytes.

mod elsewhere;
mod error;
mod found;
mod open;

use std::fs::File;
use std::io;
use std::num::NonZeroU64;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{Advice, fadvise};

pub use elsewhere::ReadAt;
use elsewhere::Reader;
pub use error::FileError;
pub use found::Found;
pub use open::{FileId, PathKind, open, open_text, read, read_text};

/// A set of open files, addressed by index.
#[derive(Debug, Default)]
pub struct Files(Vec<Opened>);

#[derive(Debug)]
struct Opened {
    path: PathBuf,
    content: Content,
    len: u64,
}

/// Where the bytes of a file are.
#[derive(Debug)]
enum Content {
    /// In a file of this machine.
    Disk(File),
    /// Elsewhere, e.g. on a server.
    Elsewhere(Arc<dyn ReadAt>),
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
        self.open_unless(path, no_archive)
    }

    fn open_unless(&mut self, path: &Path, is_strange: impl Fn(Found) -> bool) -> Result<usize, FileError> {
        let file = open(path)?;
        let io = |source| FileError::io(path, source);
        refuse(path, Found::in_file(&file).map_err(io)?, is_strange)?;
        let len = file.metadata().map_err(io)?.len();
        Ok(self.push(path, Content::Disk(file), len))
    }

    /// Adds a file of `len` bytes that is not on this machine and returns its index. Errors name it as `path`. Nothing
    /// is read yet; [`Self::check_start`] makes the checks of [`Self::open`].
    pub fn add(&mut self, path: &Path, len: u64, content: Arc<dyn ReadAt>) -> usize {
        self.push(path, Content::Elsewhere(content), len)
    }

    fn push(&mut self, path: &Path, content: Content, len: u64) -> usize {
        self.0.push(Opened {
            path: path.to_owned(),
            content,
            len,
        });
        self.0.len() - 1
    }

    /// What file `index` is, by its first bytes, if it is one of the known kinds.
    ///
    /// # Errors
    /// Fails if the first bytes cannot be read.
    pub fn found(&self, index: usize) -> Result<Option<Found>, FileError> {
        let Opened { path, content, len } = &self.0[index];
        match content {
            Content::Disk(file) => Found::in_file(file).map_err(|source| FileError::io(path, source)),
            Content::Elsewhere(_) => {
                let start = self.read(index, 0..(*len).min(found::ENOUGH as u64))?;
                Ok(Found::from_start(&start))
            }
        }
    }

    /// Checks that file `index` does not begin as something that is never a part of a model, as [`Self::open`] does.
    ///
    /// # Errors
    /// Fails if it does, or if the first bytes cannot be read.
    pub fn check_start(&self, index: usize) -> Result<(), FileError> {
        refuse(
            &self.0[index].path,
            self.found(index)?,
            Found::is_never_part_of_a_model,
        )
    }

    /// The same for a file that is a ZIP archive, as [`Self::open_archive`] does.
    ///
    /// # Errors
    /// As [`Self::check_start`]'s.
    pub fn check_archive(&self, index: usize) -> Result<(), FileError> {
        refuse(&self.0[index].path, self.found(index)?, no_archive)
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

    /// The open file `index`, if it is on this machine.
    pub fn file(&self, index: usize) -> Option<&File> {
        match &self.0[index].content {
            Content::Disk(file) => Some(file),
            Content::Elsewhere(_) => None,
        }
    }

    /// Path of file `index`.
    pub fn path(&self, index: usize) -> &Path {
        &self.0[index].path
    }

    /// True if `path` refers to one of these files, even under another name or through links.
    pub fn hold(&self, path: &Path) -> bool {
        let mut open = (0..self.count()).filter_map(|index| self.file(index));
        FileId::of_path(path).is_some_and(|id| open.any(|file| FileId::of(file) == Some(id)))
    }

    /// Returns a buffered reader that starts at the first byte of file `index`.
    ///
    /// # Errors
    /// None so far.
    pub fn reader(&self, index: usize) -> Result<impl io::BufRead, FileError> {
        let opened = &self.0[index];
        let step = opened.content.step();
        Ok(io::BufReader::with_capacity(step, Reader::new(opened)))
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
        let Opened { path, content, len } = &self.0[index];
        let io = |source| FileError::io(path, source);
        let past_end = |len| FileError::PastEnd {
            path: path.clone(),
            start: range.start,
            end: range.end,
            len,
        };
        // Check the length before allocating: a damaged header may ask for any size.
        let len = match content {
            Content::Disk(file) => file.metadata().map_err(io)?.len(),
            Content::Elsewhere(_) => *len,
        };
        if range.start > range.end || range.end > len {
            return Err(past_end(len));
        }
        let wanted = usize::try_from(range.end - range.start)
            .map_err(|_| io(io::Error::from(io::ErrorKind::OutOfMemory)))?;
        bytes
            .try_reserve(wanted.saturating_sub(bytes.len()))
            .map_err(|_| io(io::Error::from(io::ErrorKind::OutOfMemory)))?;
        bytes.resize(wanted, 0); // clears only the part that the buffer grows by
        match content {
            Content::Disk(file) => match file.read_exact_at(bytes, range.start) {
                Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => Err(past_end(range.start)),
                read => read.map_err(io),
            },
            Content::Elsewhere(content) => content.read_at(range.start, bytes).map_err(io),
        }
    }

    /// Asks the system to fetch the bytes `range` of file `index` from the disk, before [`Self::read_into`]
    /// needs them. This is a hint: errors are ignored. It does nothing for a file that is not on this machine.
    pub fn prefetch(&self, index: usize, range: Range<u64>) {
        let len = NonZeroU64::new(range.end.saturating_sub(range.start));
        if let Some(file) = self.file(index) {
            let _ = fadvise(file, range.start, len, Advice::WillNeed);
        }
    }
}

/// What is no archive and never a part of a model.
fn no_archive(found: Found) -> bool {
    found != Found::Zip && found.is_never_part_of_a_model()
}

/// Refuses what is never a part of a model: every reader would report it as damaged, without the reason.
fn refuse(path: &Path, found: Option<Found>, is_strange: impl Fn(Found) -> bool) -> Result<(), FileError> {
    let path = || path.to_owned();
    match found {
        Some(Found::LfsPointer) => Err(FileError::LfsPointer { path: path() }),
        Some(found) if is_strange(found) => Err(FileError::Strange { path: path(), found }),
        _ => Ok(()),
    }
}

/// Makes the checks of [`Files::open`] for a file of which `start` are the first bytes, or all bytes.
///
/// # Errors
/// Fails if it begins as something that is never a part of a model.
pub fn check_start(path: &Path, start: &[u8]) -> Result<(), FileError> {
    refuse(
        path,
        Found::from_start(&start[..start.len().min(found::ENOUGH)]),
        Found::is_never_part_of_a_model,
    )
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
