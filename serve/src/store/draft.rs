//! A state on its way to the disk.

use std::fs::File;
use std::io;
use std::sync::Arc;

use super::folder::{self, Folder};
use super::manifest::Manifest;
use super::policy::Worth;

/// A file for a state. If it is dropped, nothing is left of it.
#[derive(Debug)]
pub struct Draft {
    folder: Arc<Folder>,
    file: File,
    manifest: Manifest,
    worth: Worth,
    sealed: bool,
}

/// An entry that is complete on disk, and not yet one of the store's: [`super::Store::commit`] makes it one. If it is
/// dropped, the store has it when it is opened the next time.
#[derive(Debug)]
pub struct Sealed {
    pub(super) manifest: Manifest,
    /// With the bytes that were counted.
    pub(super) worth: Worth,
    /// Bytes read back in a second.
    pub(super) rate: f64,
}

impl Draft {
    pub(super) fn new(folder: Arc<Folder>, manifest: Manifest, worth: Worth) -> io::Result<Self> {
        let file = folder.create(&folder::partial(&folder::state(manifest.id())))?;
        Ok(Draft {
            folder,
            file,
            manifest,
            worth,
            sealed: false,
        })
    }

    /// The file that the state is written into.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Has the disk keep the `written` bytes of the state, reads them back for their checksum, and gives the entry its
    /// name. It takes as long as the disk does, and may run on any thread.
    ///
    /// # Errors
    /// The file has another length, or the system cannot write or read it.
    pub fn seal(mut self, written: u64) -> io::Result<Sealed> {
        let there = self.file.metadata()?.len();
        if there != written || written == 0 {
            return Err(io::Error::other(format!(
                "{there} of {written} bytes were written"
            )));
        }
        self.file.sync_all()?;
        // What is compared later is what the disk has, so that is what the checksum is of.
        folder::forget_pages(&self.file);
        let (digest, rate) = folder::digest(&self.file)?;
        self.manifest.bytes = written;
        self.manifest.digest = digest;
        let id = self.manifest.id();
        self.folder.complete(&folder::state(id))?;
        self.folder
            .write(&folder::manifest(id), &self.manifest.encode())?;
        self.sealed = true;
        Ok(Sealed {
            manifest: self.manifest.clone(),
            worth: self.worth,
            rate,
        })
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.sealed {
            let id = self.manifest.id();
            let _ = self.folder.remove(&folder::partial(&folder::state(id)));
            self.folder.remove_entry(id);
        }
    }
}
