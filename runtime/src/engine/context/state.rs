//! A sequence's keys and values go to a file, and come back from one.
//!
//! llama.cpp writes and reads the file, a layer at a time, so that no second copy of the cache is in memory. Its reader
//! takes a file that ends early for a whole one and then aborts the process, so [`outline`] reads the file first: what
//! it lets through ends exactly where llama.cpp stops reading, and llama.cpp itself compares types, sizes and layers
//! with the context's.

mod outline;

use std::ffi::CString;
use std::fs::File;
use std::io::{BufReader, Seek};
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use llama_cpp_sys_2 as sys;

use super::{CacheLayout, Context, Entry, SequenceId};
use crate::Error;
use crate::engine::{Token, ffi, opened};

impl Context {
    /// Writes a sequence's tokens, keys and values into `file`, which is emptied first, and returns the number of bytes.
    /// They can be loaded by a context of the same model, version of llama.cpp, cache type, flash attention and layout
    /// (and, if the layout is separate, number of sequences). Nothing is synced. The sequence stays as it is; rows of
    /// logits of the last computation may be gone.
    ///
    /// # Errors
    /// The sequence is empty, or the file cannot be written: then it has any content.
    pub fn save_sequence(&mut self, sequence: SequenceId, file: &File) -> Result<u64, Error> {
        let failed = |reason: String| Error::SaveState(reason);
        if self.tokens(sequence).is_empty() {
            return Err(failed("it has no tokens".into()));
        }
        let name = name(file).map_err(failed)?;
        self.carry_out_copies(sequence);
        let tokens: Vec<i32> = self.tokens(sequence).iter().map(|token| token.0).collect();
        ffi::forget_error();
        // SAFETY: the context is alive and used by this thread alone (`&mut self`); the name is a C string, and the
        // list holds as many tokens as announced; both outlive the call. The id is below `n_seq_max`. llama.cpp catches
        // its own exceptions and returns 0.
        let written = unsafe {
            sys::llama_state_seq_save_file(
                self.raw.0.as_ptr(),
                name.as_ptr(),
                id(sequence),
                tokens.as_ptr(),
                tokens.len(),
            )
        };
        // llama.cpp does not look at what closing the file returns, which is how a full disk is reported.
        let there = file.metadata().map_err(|error| failed(error.to_string()))?.len();
        match written as u64 {
            0 => Err(failed(ffi::first_error())),
            written if written == there => Ok(written),
            written => Err(failed(format!("{there} of {written} bytes were written"))),
        }
    }

    /// Fills an empty sequence with what [`Context::save_sequence`] wrote; `tokens` are those of the sequence that was
    /// saved. Decoding continues as if they had been computed here. Rows of logits of the last computation may be gone,
    /// and there is no row after the last token: keep a token to compute.
    ///
    /// A file of another kind, of other tokens, or one that is damaged in its structure is refused. Damaged keys and
    /// values are not found: compare a checksum first.
    ///
    /// # Errors
    /// The sequence is not empty or has no room, or the file is refused; then it is empty, and the others are as they
    /// were.
    pub fn load_sequence(
        &mut self,
        sequence: SequenceId,
        file: &File,
        tokens: &[Token],
    ) -> Result<(), Error> {
        let failed = |reason: String| Error::LoadState(reason);
        if !self.tokens(sequence).is_empty() {
            return Err(failed("the sequence is not empty".into()));
        }
        self.check_room(sequence, tokens.len())?;
        let name = name(file).map_err(failed)?;
        let size = self.check(file, tokens).map_err(failed)?;
        self.carry_out_copies(sequence);
        let mut read: Vec<i32> = vec![0; tokens.len()];
        let mut count = 0;
        ffi::forget_error();
        // SAFETY: the context is alive and used by this thread alone (`&mut self`); the name is a C string, and the
        // list has room for as many tokens as announced; all outlive the call. The id is below `n_seq_max`. llama.cpp
        // catches its own exceptions and returns 0. What it asserts was checked: the file ends where it stops reading.
        let loaded = unsafe {
            sys::llama_state_seq_load_file(
                self.raw.0.as_ptr(),
                name.as_ptr(),
                id(sequence),
                read.as_mut_ptr(),
                read.len(),
                &raw mut count,
            )
        };
        let same = count == tokens.len() && read.iter().zip(tokens).all(|(a, b)| *a == b.0);
        if loaded as u64 != size || !same {
            self.clear(sequence);
            return Err(failed(match loaded {
                0 => ffi::first_error(),
                _ => "it was read in another way than it was written".into(),
            }));
        }
        tokens.iter().for_each(|token| self.push(sequence, *token));
        Ok(())
    }

    /// Reads the file's structure and returns its size.
    fn check(&self, mut file: &File, tokens: &[Token]) -> Result<u64, String> {
        let failed = |error: std::io::Error| error.to_string();
        file.rewind().map_err(failed)?;
        let size = file.metadata().map_err(failed)?.len();
        let streams = match self.layout {
            CacheLayout::Separate => self.sequences.len(),
            CacheLayout::Unified => 1,
        };
        let streams = u32::try_from(streams).unwrap_or(u32::MAX);
        let tokens: Vec<i32> = tokens.iter().map(|token| token.0).collect();
        outline::check(&mut BufReader::new(file), size, &tokens, streams).map_err(|flaw| flaw.to_string())?;
        Ok(size)
    }

    /// Has llama.cpp carry out the copies between sequences' own buffers that it has only noted ([`Context::copy`]): it
    /// does that before it computes, and neither saves nor loads know of them. So a computation is begun and stopped.
    fn carry_out_copies(&mut self, sequence: SequenceId) {
        if self.layout == CacheLayout::Unified || self.sequences.len() == 1 {
            return;
        }
        let len = self.tokens(sequence).len();
        let entry = Entry {
            token: Token(0),
            sequence,
            position: u32::try_from(len).unwrap_or(u32::MAX),
            row: false,
        };
        // That it is stopped, or refused because the sequence is full, is what is expected.
        if let Ok(true) = self.compute(&[entry], Some(&AtomicBool::new(true))) {
            let _ = self.truncate(sequence, len);
        }
    }
}

fn id(sequence: SequenceId) -> i32 {
    i32::try_from(sequence.0).unwrap_or(i32::MAX)
}

/// A name by which llama.cpp opens the file that is open here, whatever took its path since.
fn name(file: &File) -> Result<CString, String> {
    let nowhere = Path::new("");
    match opened::name(file, nowhere) {
        path if path == nowhere => Err(format!("/proc/self/fd/{} is not there", file.as_raw_fd())),
        path => CString::new(PathBuf::into_os_string(path).into_vec()).map_err(|error| error.to_string()),
    }
}

#[cfg(test)]
mod tests;
