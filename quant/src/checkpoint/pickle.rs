//! PyTorch's weights, `pytorch_model.bin`, read without Python and without running anything that the file says.
//!
//! Such a file is a ZIP archive (torch 1.6 and later): `NAME/data.pkl` is a pickle that says which tensors there are,
//! `NAME/data/KEY` has the bytes of a storage, `NAME/byteorder` its byte order. A pickle is a program for a stack
//! machine that may call any function of Python. Here it may name a dozen, none of which is called: `machine` knows
//! the instructions that torch writes for a `state_dict` and refuses every other one.
//!
//! Formats: <https://docs.pytorch.org/docs/stable/notes/serialization.html>, Python's `pickletools`, and
//! <https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT> for ZIP.

mod machine;
mod state;
mod zip;

use std::ops::Range;

use siskin_model::ErrorKind;
use siskin_model::files::{FileError, Files, Found};

use super::CheckpointError;
use super::safetensors::Tensors;

/// What is wrong with a file of PyTorch's.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PickleError {
    /// The file could not be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// The file is of another format.
    #[error("not weights of PyTorch but {0}")]
    Other(Found),
    /// The format from before torch 1.6, which is no archive.
    #[error(
        "weights in the format that torch used before 1.6; get the safetensors version of the model, or save it again \
         with a newer torch"
    )]
    Old,
    /// A program and not only weights.
    #[error("a TorchScript program, not weights; save the model's state_dict() instead")]
    TorchScript,
    /// The archive has no pickle, or several.
    #[error(
        "a ZIP archive without the data.pkl of PyTorch's weights; get the safetensors version of the model"
    )]
    NotTorch,
    /// The archive's directory is damaged or contradicts the archive.
    #[error("damaged archive: {0}; get it again")]
    Archive(&'static str),
    /// An entry of the archive is damaged, or stored in a way that torch never does.
    #[error("entry {name:?} of the archive {what}")]
    Entry {
        /// Name of the entry.
        name: String,
        /// What is wrong with it.
        what: &'static str,
    },
    /// The weights are not in little-endian order.
    #[error("weights in another byte order than little-endian; save the model again on a common machine")]
    ByteOrder,
    /// The pickle has an instruction that torch never writes for weights.
    #[error(
        "instruction {opcode:#04x} at byte {at} of data.pkl is none that PyTorch writes for weights; do not trust this file"
    )]
    Instruction {
        /// The instruction's byte.
        opcode: u8,
        /// Its position in the pickle.
        at: usize,
    },
    /// The pickle names something of Python that weights do not need.
    #[error(
        "data.pkl asks for {0:?}, which weights do not need and which could run code; do not trust this file, or get the \
         safetensors version of the model"
    )]
    Global(String),
    /// The pickle is larger, deeper or longer than that of any model.
    #[error("data.pkl has more {0} than that of any model; the file is damaged")]
    Limit(&'static str),
    /// An instruction has not what it needs.
    #[error("damaged data.pkl: {what} at byte {at}; get it again")]
    Damaged {
        /// What is wrong.
        what: &'static str,
        /// Position in the pickle.
        at: usize,
    },
    /// The pickle's value is not a map of tensors.
    #[error("{0}; save the model's state_dict(), or get the safetensors version of the model")]
    State(String),
    /// A tensor cannot be read.
    #[error("tensor {tensor}: {what}")]
    Tensor {
        /// Name of the tensor.
        tensor: String,
        /// What is wrong with it.
        what: String,
    },
    /// Two tensors share some but not all of their bytes; these are their names.
    #[error("tensors {0} and {1} overlap; get the safetensors version of the model")]
    Overlap(String, String),
}

impl PickleError {
    /// What kind of failure this is.
    pub fn kind(&self) -> ErrorKind {
        match self {
            PickleError::File(source) => source.kind(),
            PickleError::Other(_) | PickleError::NotTorch => ErrorKind::Format,
            PickleError::Old
            | PickleError::TorchScript
            | PickleError::ByteOrder
            | PickleError::Instruction { .. }
            | PickleError::Global(_)
            | PickleError::State(_)
            | PickleError::Overlap(..) => ErrorKind::Unsupported,
            PickleError::Limit(_) => ErrorKind::TooLarge,
            PickleError::Archive(_)
            | PickleError::Entry { .. }
            | PickleError::Damaged { .. }
            | PickleError::Tensor { .. } => ErrorKind::Damaged,
        }
    }
}

/// Size limit of `data.pkl` in bytes: the same as for a safetensors header.
const MAX_PICKLE: u64 = 16 << 20;

/// Where the bytes of a file come from.
trait Bytes {
    fn len(&self) -> u64;
    fn read(&self, range: Range<u64>) -> Result<Vec<u8>, PickleError>;
}

/// A file of a checkpoint.
struct OfFile<'a>(&'a Files, usize);

impl Bytes for OfFile<'_> {
    fn len(&self) -> u64 {
        self.0.len(self.1)
    }

    fn read(&self, range: Range<u64>) -> Result<Vec<u8>, PickleError> {
        Ok(self.0.read(self.1, range)?)
    }
}

impl Bytes for &[u8] {
    fn len(&self) -> u64 {
        <[u8]>::len(self) as u64
    }

    fn read(&self, range: Range<u64>) -> Result<Vec<u8>, PickleError> {
        let place = |at| usize::try_from(at).ok();
        let bytes = place(range.start)
            .zip(place(range.end))
            .and_then(|(start, end)| self.get(start..end));
        bytes
            .map(<[u8]>::to_vec)
            .ok_or(PickleError::Archive("it ends early"))
    }
}

/// Reads and checks what file `file` says: tensors with the bytes they take in the file.
pub(super) fn read_header(files: &Files, file: usize) -> Result<Tensors, CheckpointError> {
    read(&OfFile(files, file), file).map_err(|error| match error {
        PickleError::File(error) => error.into(),
        source => CheckpointError::Pickle {
            path: files.path(file).to_owned(),
            source,
        },
    })
}

/// The same of a file's bytes; the tensors are those of file `file`.
///
/// # Errors
/// Fails if the bytes are not weights as torch saves them.
pub fn parse(bytes: &[u8], file: usize) -> Result<Tensors, PickleError> {
    read(&bytes, file)
}

fn read(bytes: &dyn Bytes, file: usize) -> Result<Tensors, PickleError> {
    let start = bytes.read(0..bytes.len().min(512))?;
    match Found::from_start(&start) {
        Some(Found::Zip) => {}
        Some(Found::Pickle) => return Err(PickleError::Old),
        Some(found) => return Err(PickleError::Other(found)),
        None => return Err(PickleError::NotTorch),
    }
    let archive = zip::Archive::open(bytes)?;
    let folder = folder(&archive)?;
    let small = |name: &str, most| {
        let name = format!("{folder}{name}");
        let entry = archive.get(&name)?;
        Some(match entry.len > most {
            true => Err(PickleError::Limit("bytes")),
            false => archive.data(bytes, entry).and_then(|range| bytes.read(range)),
        })
    };
    // Older versions of torch do not write it: then it was the order of the machine, and those are little-endian.
    match small("byteorder", 16).transpose()? {
        None => {}
        Some(order) if order == b"little" => {}
        Some(_) => return Err(PickleError::ByteOrder),
    }
    let pickle = small("data.pkl", MAX_PICKLE).ok_or(PickleError::NotTorch)??;
    let machine = machine::run(&pickle)?;
    state::tensors(&machine, &archive, bytes, &folder, file)
}

/// The folder of the archive that all entries are in, with its slash.
fn folder(archive: &zip::Archive) -> Result<String, PickleError> {
    let folder_of = |name: &str| {
        let folder = name.strip_suffix("data.pkl")?;
        let is_one = folder.ends_with('/') && folder.matches('/').count() == 1;
        is_one.then(|| folder.to_owned())
    };
    let mut folders = archive.names().filter_map(folder_of);
    let (Some(folder), None) = (folders.next(), folders.next()) else {
        return Err(PickleError::NotTorch);
    };
    // A program has its code and constants beside the weights.
    let is_program = |name: &str| {
        let rest = name.strip_prefix(folder.as_str());
        rest.is_some_and(|rest| rest.starts_with("code/") || rest == "constants.pkl")
    };
    match archive.names().any(is_program) {
        true => Err(PickleError::TorchScript),
        false => Ok(folder),
    }
}

#[cfg(test)]
mod tests;
