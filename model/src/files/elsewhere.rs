//! Files that are not on this machine, and reading any file from its first byte on.

use std::io::{self, Read};
use std::os::unix::fs::FileExt;

use super::{Content, Opened};

/// The bytes of a file that is not on this machine: on a server, or in memory.
pub trait ReadAt: Send + Sync + std::fmt::Debug {
    /// Fills `bytes` with the file's bytes from position `start` on.
    ///
    /// # Errors
    /// Fails if not all of them can be had.
    fn read_at(&self, start: u64, bytes: &mut [u8]) -> io::Result<()>;
}

impl ReadAt for Vec<u8> {
    fn read_at(&self, start: u64, bytes: &mut [u8]) -> io::Result<()> {
        let start = usize::try_from(start).map_err(|_| io::ErrorKind::UnexpectedEof)?;
        let end = start.checked_add(bytes.len());
        let from = end.and_then(|end| self.get(start..end));
        bytes.copy_from_slice(from.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }
}

impl Content {
    /// Bytes that a buffered reader asks for at a time: a request to a server costs more than one to a disk.
    pub(super) fn step(&self) -> usize {
        match self {
            Content::Disk(_) => 1 << 16,
            Content::Elsewhere(_) => 1 << 20,
        }
    }
}

/// Reads a file from its first byte on.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    opened: &'a Opened,
    position: u64,
}

impl<'a> Reader<'a> {
    pub(super) fn new(opened: &'a Opened) -> Self {
        Reader { opened, position: 0 }
    }
}

impl Read for Reader<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let read = match &self.opened.content {
            Content::Disk(file) => file.read_at(bytes, self.position)?,
            Content::Elsewhere(content) => {
                let left = self.opened.len.saturating_sub(self.position);
                let len = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
                content.read_at(self.position, &mut bytes[..len])?;
                len
            }
        };
        self.position += read as u64;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use super::*;
    use crate::files::{FileError, Files};

    #[test]
    fn a_file_elsewhere_reads_as_one_on_the_disk() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("disk");
        let bytes: Vec<u8> = (0..3_000_000_u32).map(|n| (n / 3) as u8).collect();
        std::fs::write(&path, &bytes).expect("written");
        let mut files = Files::new();
        files.open(&path).expect("opened");
        files.add(Path::new("there"), bytes.len() as u64, Arc::new(bytes.clone()));
        for index in 0..2 {
            let mut read = Vec::new();
            let mut reader = files.reader(index).expect("a reader");
            reader.read_to_end(&mut read).expect("read");
            assert!(read == bytes, "{index}");
            for range in [0..10, 2_999_990..3_000_000, 5..5, 0..3_000_000] {
                files.prefetch(index, range.clone());
                let read = files.read(index, range.clone()).expect("in the file");
                assert!(read == bytes[range.start as usize..range.end as usize]);
            }
            let past = files.read(index, 2_999_999..3_000_001);
            assert!(matches!(past, Err(FileError::PastEnd { len: 3_000_000, .. })));
        }
        assert!(files.file(0).is_some() && files.file(1).is_none());
        assert!(files.hold(&path) && !files.hold(Path::new("there")));
        assert_eq!(files.locate(3_000_001), (1, 1));
    }

    #[test]
    fn what_is_never_a_model_is_refused_elsewhere_too() {
        let pointer = b"version https://git-lfs.github.com/spec/v1\n".to_vec();
        let cases: [(Vec<u8>, bool); 3] = [
            (pointer, true),
            (b"<html>".to_vec(), true),
            (b"GGUF".to_vec(), false),
        ];
        for (bytes, refused) in cases {
            let mut files = Files::new();
            let index = files.add(Path::new("x"), bytes.len() as u64, Arc::new(bytes.clone()));
            assert_eq!(files.check_start(index).is_err(), refused);
            assert_eq!(
                crate::files::check_start(Path::new("x"), &bytes).is_err(),
                refused
            );
        }
        // The length is a promise that the content does not keep.
        let mut files = Files::new();
        let index = files.add(Path::new("x"), 10, Arc::new(vec![0; 5]));
        assert!(matches!(files.read(index, 0..10), Err(FileError::Io { .. })));
    }
}
