//! Whole conversions: from a checkpoint or a GGUF file through plan and stream to the output file.

mod parts;

use std::io::Write;
use std::path::Path;

use crate::checkpoint::{Checkpoint, CheckpointError};
use crate::imatrix::{Imatrix, ImatrixError};
use crate::plan::Plan;
use crate::planner::{self, PlanError};
use crate::requantize::{self, RequantizeError};
use crate::split::SplitError;
use crate::stream::{self, Progress, StreamError, StreamOptions};
use crate::tokenizer::{self, TokenizerError};
use siskin_model::arch::Arch;
use siskin_model::atomic_file::{self, AtomicFile, AtomicFileError, Overwrite};
use siskin_model::files::Files;
use siskin_model::gguf::{self, DEFAULT_ALIGNMENT, GgufError, Header, HeaderError, ModelFile, TensorInfo};
use siskin_model::validate::{self, ValidateError};
use siskin_model::{ErrorKind, FileType};

/// A conversion failed. The target is unchanged.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConvertError {
    /// The checkpoint cannot be read.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The checkpoint's tokenizer cannot be converted.
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
    /// The checkpoint's tensors do not match its configuration.
    #[error("{dir}: {source}")]
    Plan {
        /// Path of the checkpoint folder.
        dir: String,
        /// What does not match.
        source: PlanError,
    },
    /// The GGUF file cannot be read.
    #[error(transparent)]
    Gguf(#[from] GgufError),
    /// The GGUF file cannot be quantized.
    #[error("{file}: {source}")]
    Requantize {
        /// Path of the file.
        file: String,
        /// Why it cannot be quantized.
        source: RequantizeError,
    },
    /// The file would be one that siskin itself refuses to run.
    #[error("{path}: the model that this makes could not run: {source}")]
    Unrunnable {
        /// Path of the checkpoint folder or of the file.
        path: String,
        /// Why it could not run.
        source: Verdict,
    },
    /// The output is the same file as an input.
    #[error("{0}: the output is the input itself; name another file")]
    InPlace(String),
    /// The importance matrix cannot be used.
    #[error(transparent)]
    Imatrix(#[from] ImatrixError),
    /// A tensor could not be read, converted or written.
    #[error(transparent)]
    Stream(#[from] StreamError),
    /// The output could not be written.
    #[error(transparent)]
    Target(#[from] AtomicFileError),
    /// The output cannot be split as asked.
    #[error(transparent)]
    Split(#[from] SplitError),
}

impl ConvertError {
    /// What kind of failure this is.
    pub fn kind(&self) -> ErrorKind {
        match self {
            ConvertError::Checkpoint(source) => source.kind(),
            ConvertError::Tokenizer(source) => source.kind(),
            ConvertError::Plan { source, .. } => source.kind(),
            ConvertError::Gguf(source) => source.kind(),
            ConvertError::Requantize { source, .. } => source.kind(),
            ConvertError::Unrunnable { source, .. } => source.kind(),
            ConvertError::InPlace(_) => ErrorKind::Path,
            ConvertError::Imatrix(source) => source.kind(),
            ConvertError::Stream(source) => source.kind(),
            ConvertError::Target(source) => source.kind(),
            ConvertError::Split(source) => source.kind(),
        }
    }
}

/// Why a planned file could not run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Verdict {
    /// Its header would not be read.
    #[error(transparent)]
    Header(#[from] HeaderError),
    /// The checks before a model is loaded would refuse it.
    #[error(transparent)]
    Model(#[from] ValidateError),
}

impl Verdict {
    /// What kind of failure this is.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Verdict::Header(source) => source.kind(),
            Verdict::Model(source) => source.kind(),
        }
    }
}

/// Applies to a plan the checks that a model passes before it is loaded, so that no file is written that does not run.
/// Of an architecture that siskin does not know, only the vocabulary is checked.
///
/// # Errors
/// Fails with the reason for which the file would be refused.
pub fn judge(plan: &Plan) -> Result<(), Verdict> {
    let mut bytes = Vec::new();
    // A Vec takes everything that is written to it.
    let _ = gguf::write_header(&mut bytes, &plan.metadata, &infos(plan), DEFAULT_ALIGNMENT);
    let header = Header::parse(&bytes[..], bytes.len() as u64 + plan.data_bytes())?;
    drop(bytes);
    Ok(validate::check_model(&header, true)?)
}

fn judged(plan: &Plan, input: &Path) -> Result<(), ConvertError> {
    judge(plan).map_err(|source| ConvertError::Unrunnable {
        path: input.display().to_string(),
        source,
    })
}

/// A conversion that is ready to run.
#[derive(Debug)]
pub struct Conversion {
    /// The keys and tensors that will be written.
    pub plan: Plan,
    /// Type of the output file; if the caller gave none, the one that `auto` selected.
    pub file_type: FileType,
    /// Names of the quantized matrices without an entry in the importance matrix; empty if there is no
    /// importance matrix.
    pub unweighed: Vec<String>,
    /// Lines for the user: what was passed over, and settings that siskin does not know.
    pub notices: Vec<String>,
    pub(crate) files: Files,
}

impl Conversion {
    /// Reads the headers, configuration and tokenizer in `dir` and plans a file of type `file_type`; `None`
    /// selects the stored type. The importance matrix, if any, is checked against the plan and recorded in
    /// it.
    ///
    /// # Errors
    /// Fails if the checkpoint or its tokenizer cannot be converted, or if the importance matrix does not
    /// fit.
    pub fn from_checkpoint(
        dir: &Path,
        file_type: Option<FileType>,
        imatrix: Option<&Imatrix>,
    ) -> Result<Self, ConvertError> {
        Self::planned(Checkpoint::open(dir)?, dir, file_type, imatrix)
    }

    /// Plans the conversion of a checkpoint, as [`Self::from_checkpoint`] does. `name` is the model's name in place of
    /// the one that the checkpoint's folder gives it.
    ///
    /// # Errors
    /// Fails if the checkpoint or its tokenizer cannot be converted, or if the importance matrix does not
    /// fit.
    pub fn of(
        mut checkpoint: Checkpoint,
        name: Option<&str>,
        file_type: Option<FileType>,
        imatrix: Option<&Imatrix>,
    ) -> Result<Self, ConvertError> {
        if let Some(name) = name {
            checkpoint.name = Some(name.to_owned());
        }
        let root = checkpoint.folder.root().to_owned();
        Self::planned(checkpoint, &root, file_type, imatrix)
    }

    /// Errors name the checkpoint as `dir`.
    fn planned(
        checkpoint: Checkpoint,
        dir: &Path,
        file_type: Option<FileType>,
        imatrix: Option<&Imatrix>,
    ) -> Result<Self, ConvertError> {
        let file_type = file_type.unwrap_or_else(|| planner::stored_type(&checkpoint));
        let plan_error = |source| ConvertError::Plan {
            dir: dir.display().to_string(),
            source,
        };
        // Check the architecture first: its error message is more useful than one about the tokenizer.
        planner::check(&checkpoint).map_err(plan_error)?;
        let vocabulary = tokenizer::vocabulary(&checkpoint.folder, &checkpoint.config)?;
        let plan = planner::plan_checkpoint(&checkpoint, file_type, vocabulary, imatrix.is_some());
        let plan = plan.map_err(plan_error)?;
        let mut notices = checkpoint.notices;
        let arch = Arch::from_config(&checkpoint.config).map_err(|source| plan_error(source.into()))?;
        notices.extend(arch.notices(&checkpoint.config));
        judged(&plan, dir)?;
        let conversion = Self::weighed(plan, file_type, checkpoint.files, imatrix)?;
        Ok(Conversion {
            notices,
            ..conversion
        })
    }

    /// Reads the header of the GGUF file at `path`, or of all parts of a split model, and plans the same model as a file of type `file_type`.
    /// Tensors that are already quantized are refused, unless `allow_requantize` is true.
    ///
    /// # Errors
    /// Fails if the file cannot be read or quantized, or if the importance matrix does not fit.
    pub fn from_gguf(
        path: &Path,
        file_type: FileType,
        allow_requantize: bool,
        imatrix: Option<&Imatrix>,
    ) -> Result<Self, ConvertError> {
        let ModelFile { files, header } = ModelFile::open(path)?;
        // Files that no language model runs from can be quantized as well: encoders, parts of other programs' models.
        let refused = validate::check_model(&header, true).err();
        let plan = requantize::plan_requantize(header, 0, file_type, allow_requantize, imatrix.is_some());
        let plan = plan.map_err(|source| ConvertError::Requantize {
            file: path.display().to_string(),
            source,
        })?;
        let plan = located(plan, &files);
        if refused.is_none() {
            judged(&plan, path)?;
        }
        let mut conversion = Self::weighed(plan, file_type, files, imatrix)?;
        let notice = |reason| format!("the model cannot be run, before or after: {reason}");
        conversion.notices.extend(refused.map(notice));
        Ok(conversion)
    }

    /// Plans the model of the GGUF file at `path`, or of all parts of a split model, as it is: every tensor and every key
    /// is kept. Written, it joins parts; written in parts, it splits. `file_type` is what the file says, or f32 if that is
    /// a type that siskin does not write.
    ///
    /// # Errors
    /// Fails if the file cannot be read, or contains no tensors.
    pub fn copy_of(path: &Path) -> Result<Self, ConvertError> {
        let ModelFile { files, header } = ModelFile::open(path)?;
        let file_type = match header.metadata.get("general.file_type") {
            Some(gguf::Value::U32(id)) => FileType::from_id(*id),
            _ => None,
        };
        let plan = requantize::plan_copy(header).map_err(|source| ConvertError::Requantize {
            file: path.display().to_string(),
            source,
        })?;
        Self::weighed(
            located(plan, &files),
            file_type.unwrap_or(FileType::F32),
            files,
            None,
        )
    }

    fn weighed(
        mut plan: Plan,
        file_type: FileType,
        files: Files,
        imatrix: Option<&Imatrix>,
    ) -> Result<Self, ConvertError> {
        let unweighed = match imatrix {
            Some(imatrix) => imatrix.apply(&mut plan)?,
            None => Vec::new(),
        };
        Ok(Conversion {
            plan,
            file_type,
            unweighed,
            notices: Vec::new(),
            files,
        })
    }

    /// Checks, before any work is done, that the output is not an input and that it can and may be written.
    ///
    /// # Errors
    /// Fails if one of these conditions is not met.
    pub fn check_target(&self, path: &Path, existing: Overwrite) -> Result<(), ConvertError> {
        if self.files.hold(path) {
            return Err(ConvertError::InPlace(path.display().to_string()));
        }
        Ok(atomic_file::check(path, existing)?)
    }

    /// Writes the file in one step: `path` is unchanged until the new file is complete.
    ///
    /// # Errors
    /// Fails if [`Self::check_target`] refuses `path`, or if an input cannot be read, converted or written.
    pub fn write(
        &self,
        path: &Path,
        existing: Overwrite,
        options: StreamOptions<'_>,
        on_progress: &mut (dyn FnMut(Progress<'_>) + Send),
    ) -> Result<(), ConvertError> {
        self.check_target(path, existing)?;
        Ok(write_plan(
            &self.plan,
            &self.files,
            path,
            existing,
            options,
            on_progress,
        )?)
    }

    /// Size of the output file in bytes.
    pub fn file_bytes(&self) -> u64 {
        file_bytes(&self.plan)
    }
}

/// A plan whose sources have positions in all parts one after the other, with those in each part.
fn located(mut plan: Plan, files: &Files) -> Plan {
    let sources = plan.tensors.iter_mut().flat_map(|tensor| &mut tensor.sources);
    for source in sources {
        (source.view.file, source.view.start) = files.locate(source.view.start);
    }
    plan
}

/// Size of a plan's output file in bytes, including the header.
pub fn file_bytes(plan: &Plan) -> u64 {
    gguf::data_start(&plan.metadata, &infos(plan), DEFAULT_ALIGNMENT) + plan.data_bytes()
}

/// Executes a plan and writes the result to `path`.
///
/// # Errors
/// Fails if the target must not be written, or if an input cannot be read, converted or written.
pub fn write_plan(
    plan: &Plan,
    files: &Files,
    path: &Path,
    existing: Overwrite,
    options: StreamOptions<'_>,
    on_progress: &mut (dyn FnMut(Progress<'_>) + Send),
) -> Result<(), StreamError> {
    let target = reserved(plan, path, existing)?;
    fill(plan, files, &target, options, on_progress)?;
    Ok(target.commit()?)
}

/// The temporary file of a plan's output, with its space on the disk.
fn reserved(plan: &Plan, path: &Path, existing: Overwrite) -> Result<AtomicFile, StreamError> {
    let target = AtomicFile::create(path, existing)?;
    target.reserve(file_bytes(plan))?;
    Ok(target)
}

/// Writes header and data.
fn fill(
    plan: &Plan,
    files: &Files,
    target: &AtomicFile,
    options: StreamOptions<'_>,
    on_progress: &mut (dyn FnMut(Progress<'_>) + Send),
) -> Result<(), StreamError> {
    let mut out = std::io::BufWriter::new(target.file());
    gguf::write_header(&mut out, &plan.metadata, &infos(plan), DEFAULT_ALIGNMENT)
        .and_then(|_| out.flush())
        .map_err(|source| target.error(source))?;
    drop(out);
    stream::write_data(plan, files, target, options, on_progress)
}

pub(crate) fn infos(plan: &Plan) -> Vec<TensorInfo> {
    let info = |t: &crate::plan::PlannedTensor| TensorInfo {
        name: t.name.clone(),
        shape: t.shape.clone(),
        ty: t.ty,
        offset: t.offset,
    };
    plan.tensors.iter().map(info).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    #[test]
    fn kinds_come_from_the_innermost_error() {
        let path = PathBuf::from("x");
        let exists = || AtomicFileError::Exists(path.clone());
        let pointer = || siskin_model::files::FileError::LfsPointer { path: path.clone() };
        let requantize = |source| ConvertError::Requantize {
            file: "x".into(),
            source,
        };
        let quantized = RequantizeError::Quantized {
            tensor: "x".into(),
            ty: siskin_model::TensorType::Q8_0,
        };
        let cases: [(ConvertError, ErrorKind); 6] = [
            (exists().into(), ErrorKind::Exists),
            (StreamError::Write(exists()).into(), ErrorKind::Exists),
            (GgufError::File(pointer()).into(), ErrorKind::LfsPointer),
            (
                TokenizerError::Read(CheckpointError::File(pointer())).into(),
                ErrorKind::LfsPointer,
            ),
            (requantize(quantized), ErrorKind::AlreadyQuantized),
            (requantize(RequantizeError::Split(3)), ErrorKind::Split),
        ];
        for (error, want) in cases {
            assert_eq!(error.kind(), want, "{error}");
        }
    }
    #[test]
    fn a_plan_is_judged_as_a_file_would_be() {
        let tensor = |name: &str| crate::plan::PlannedTensor {
            name: name.into(),
            sources: vec![],
            transform: siskin_model::arch::Transform::Copy,
            role: siskin_model::arch::Role::Other,
            layer: None,
            ty: siskin_model::TensorType::F32,
            shape: vec![8],
            offset: 0,
        };
        let cases: [(&[&str], &str); 3] = [
            (&["a"], "\"general.architecture\" is missing"),
            (&["a", "a"], "tensor"),
            (&[&"n".repeat(64)], "tensor"),
        ];
        for (names, want) in cases {
            let plan = Plan {
                metadata: Default::default(),
                tensors: names.iter().map(|name| tensor(name)).collect(),
            };
            let error = judge(&plan).expect_err(want);
            assert_eq!(
                matches!(error, Verdict::Model(_)),
                names[0] == "a" && names.len() == 1
            );
            assert!(error.to_string().contains(want), "{error}");
        }
    }
}
