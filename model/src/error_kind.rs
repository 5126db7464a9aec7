//! What kind of failure an error is.

/// What kind of failure an error is: what a caller can do about it.
///
/// The errors of these crates describe what is wrong and where, and carry the data as fields. They name no flag and
/// no command: a program finds its own remedy by the kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The system reported an error: no such file, no permission, a full disk.
    Io,
    /// A path names something else than is needed: a folder, a device, an input as output.
    Path,
    /// The path is a checkpoint's folder, and a model's file is needed; convert it first.
    Checkpoint,
    /// The output exists, and the caller did not ask to replace it.
    Exists,
    /// A file that belongs to the model is missing.
    Missing,
    /// The file is a Git LFS pointer; the content was not downloaded.
    LfsPointer,
    /// The file has another format than is needed.
    Format,
    /// The file is truncated, damaged, or contradicts itself.
    Damaged,
    /// The file is larger than any file of its kind.
    TooLarge,
    /// siskin does not support what the file contains.
    Unsupported,
    /// siskin cannot check this architecture; llama.cpp may be able to run it.
    UnknownArchitecture,
    /// llama.cpp cannot map the file, because its tensors are not aligned. Writing the file again aligns them.
    Alignment,
    /// The file is one part of a model; the parts must be joined first.
    Split,
    /// A tensor is already quantized; quantizing it again loses more.
    AlreadyQuantized,
    /// A weight is NaN or infinite.
    NonFinite,
    /// A weight is larger than the output's type can express.
    OutOfRange,
    /// Two files do not belong together: configuration and weights, or importance matrix and model.
    Mismatch,
    /// The caller stopped the work.
    Interrupted,
    /// The system has no resources left, or siskin has a bug.
    Internal,
}
