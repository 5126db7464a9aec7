//! The converter's journeys from end to end: a checkpoint or a GGUF file, plan, stream, file.

use std::io::Write;
use std::path::Path;

use crate::checkpoint::{Checkpoint, CheckpointError};
use siskin_model::files::Files;
use siskin_model::gguf::{self, DEFAULT_ALIGNMENT, GgufError, Header, TensorInfo};
use crate::imatrix::{Imatrix, ImatrixError};
use crate::plan::Plan;
use crate::planner::{self, PlanError};
use siskin_model::FileType;
use crate::requantize::{self, RequantizeError};
use crate::stream::{self, Progress, StreamError, StreamOptions};
use siskin_model::atomic_file::{self, Overwrite, AtomicFile, AtomicFileError};
use crate::tokenizer::{self, TokenizerError};

/// A conversion failed. The target is as it was.
#[derive(Debug, thiserror::Error)]
pub enum ConvertError {
    /// The checkpoint cannot be read.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// Its tokenizer cannot be converted.
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
    /// Its tensors are not what its configuration says.
    #[error("{dir}: {source}")]
    Plan {
        /// The checkpoint's folder.
        dir: String,
        /// What does not fit.
        source: PlanError,
    },
    /// The GGUF file cannot be read.
    #[error(transparent)]
    Gguf(#[from] GgufError),
    /// The GGUF file cannot be quantized.
    #[error("{file}: {source}")]
    Requantize {
        /// The file.
        file: String,
        /// Why.
        source: RequantizeError,
    },
    /// The output is one of the inputs.
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
}

/// A conversion ready to run.
#[derive(Debug)]
pub struct Conversion {
    /// What will be written.
    pub plan: Plan,
    /// Its type; what `auto` stood for where none was given.
    pub file_type: FileType,
    /// The quantized matrices that the importance matrix has nothing for; none where there is no such matrix.
    pub unweighed: Vec<String>,
    files: Files,
}

impl Conversion {
    /// Reads the headers, configuration and tokenizer in `dir` and plans a file of type `file_type`, or of the
    /// stored type where that is `None`. An importance matrix is checked against the plan and noted in it.
    pub fn of(
        dir: &Path,
        file_type: Option<FileType>,
        imatrix: Option<&Imatrix>,
    ) -> Result<Self, ConvertError> {
        let checkpoint = Checkpoint::open(dir)?;
        let file_type = file_type.unwrap_or_else(|| planner::stored_type(&checkpoint));
        let plan_error = |source| ConvertError::Plan {
            dir: dir.display().to_string(),
            source,
        };
        // The architecture is looked at first: its refusal says more than one of its tokenizer would.
        planner::check(&checkpoint).map_err(plan_error)?;
        let vocabulary = tokenizer::vocabulary(dir, &checkpoint.config)?;
        let plan = planner::plan_checkpoint(&checkpoint, file_type, vocabulary, imatrix.is_some());
        Self::weighed(plan.map_err(plan_error)?, file_type, checkpoint.files, imatrix)
    }

    /// Reads the header of the GGUF file at `path` and plans the same model as a file of type `file_type`. Tensors
    /// that are quantized already are refused, unless `allow_requantize`.
    pub fn of_gguf(
        path: &Path,
        file_type: FileType,
        allow_requantize: bool,
        imatrix: Option<&Imatrix>,
    ) -> Result<Self, ConvertError> {
        let mut files = Files::new();
        let file = files.open(path).map_err(GgufError::from)?;
        let header = Header::read(&files, file)?;
        let plan = requantize::plan_requantize(header, file, file_type, allow_requantize, imatrix.is_some());
        let plan = plan.map_err(|source| ConvertError::Requantize {
            file: path.display().to_string(),
            source,
        })?;
        Self::weighed(plan, file_type, files, imatrix)
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
            files,
        })
    }

    /// Refuses an output that is one of the inputs, or must not or cannot be written: before any work is done.
    pub fn check_target(&self, path: &Path, existing: Overwrite) -> Result<(), ConvertError> {
        if self.files.hold(path) {
            return Err(ConvertError::InPlace(path.display().to_string()));
        }
        Ok(atomic_file::check(path, existing)?)
    }

    /// Writes the file in one step: until it is whole, `path` stays as it was.
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

    /// Bytes the file will have.
    pub fn file_bytes(&self) -> u64 {
        file_bytes(&self.plan)
    }
}

/// Bytes a plan's file will have, header included.
pub fn file_bytes(plan: &Plan) -> u64 {
    gguf::data_start(&plan.metadata, &infos(plan), DEFAULT_ALIGNMENT) + plan.data_bytes()
}

/// Carries a plan out into a file at `path`.
pub fn write_plan(
    plan: &Plan,
    files: &Files,
    path: &Path,
    existing: Overwrite,
    options: StreamOptions<'_>,
    on_progress: &mut (dyn FnMut(Progress<'_>) + Send),
) -> Result<(), StreamError> {
    let target = AtomicFile::create(path, existing)?;
    target.reserve(file_bytes(plan))?;
    let mut out = std::io::BufWriter::new(target.file());
    gguf::write_header(&mut out, &plan.metadata, &infos(plan), DEFAULT_ALIGNMENT)
        .and_then(|_| out.flush())
        .map_err(|source| target.error(source))?;
    drop(out);
    stream::write_data(plan, files, &target, options, on_progress)?;
    Ok(target.commit()?)
}

fn infos(plan: &Plan) -> Vec<TensorInfo> {
    let info = |t: &crate::plan::PlannedTensor| TensorInfo {
        name: t.name.clone(),
        shape: t.shape.clone(),
        ty: t.ty,
        offset: t.offset,
    };
    plan.tensors.iter().map(info).collect()
}
