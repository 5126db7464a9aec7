//! The models of a plan: files, checkpoints, or what is elsewhere, by their headers.

use std::path::Path;

use anyhow::{Context, bail};
use siskin_model::config::Config;
use siskin_model::gguf::{Header, ModelFile};
use siskin_model::shape::Shape;
use siskin_model::tokenizer::agreement::Listed;
use siskin_model::{ErrorKind, FileType, summary, validate};
use siskin_quant::checkpoint::{self, Folder};
use siskin_quant::{outline, tokenizer};

use super::super::model_name;
use super::{FitArgs, PlanTarget};
use crate::text_input;

/// A model whose memory is planned.
pub(super) struct Subject {
    pub(super) shape: Shape,
    /// The name of the file's type.
    pub(super) file_type: String,
    /// Why `siskin run` would refuse the model even if it fits.
    pub(super) run_refuses: Option<String>,
    /// Its tokens, if they are asked for and known.
    pub(super) vocabulary: Option<Listed>,
}

/// A GGUF file, a `config.json`, or a checkpoint's folder; the latter two in files of the type that was asked for, or of
/// the device's first.
pub(super) fn look(path: &Path, args: &FitArgs, target: &PlanTarget) -> anyhow::Result<Subject> {
    if model_name::is_elsewhere(path) {
        return elsewhere(path, args, target);
    }
    let config = if path.is_dir() {
        checkpoint::snapshot(path)?.join("config.json")
    } else {
        path.to_owned()
    };
    let name = || config.display().to_string();
    if config.extension().is_some_and(|extension| extension == "json") {
        let first = target.run.file_types.first().and_then(|name| name.parse().ok());
        let file_type = args.file_type.or(first).unwrap_or(FileType::Q4KM);
        let parsed = Config::from_json(text_input::file(&config)?.as_bytes()).with_context(name)?;
        let folder = config.parent().filter(|_| args.draft.is_some());
        return Ok(Subject {
            vocabulary: folder.and_then(|folder| of_folder(folder, &parsed)),
            ..of_config(&parsed, file_type).with_context(name)?
        });
    }
    if std::fs::symlink_metadata(path).is_err() {
        bail!(
            "{}: no such file; give a GGUF file, a config.json or a checkpoint's folder",
            path.display()
        );
    }
    of_header(&ModelFile::open(path)?.header, args.file_type, args).with_context(name)
}

fn of_config(config: &Config, file_type: FileType) -> anyhow::Result<Subject> {
    Ok(Subject {
        shape: outline::shape(config, file_type)?,
        file_type: file_type.name().to_owned(),
        run_refuses: None,
        vocabulary: None,
    })
}

/// The tokens of a checkpoint; `None` if its tokenizer is not there, or siskin cannot convert it.
fn of_folder(folder: &Path, config: &Config) -> Option<Listed> {
    let keys = tokenizer::vocabulary(&Folder::Disk(folder.to_owned()), config).ok()?;
    Listed::from_metadata(&keys)
}

/// A GGUF file by its header, in its own type or another.
fn of_header(header: &Header, asked: Option<FileType>, args: &FitArgs) -> anyhow::Result<Subject> {
    let stored = summary::file_type(header);
    let file_type = asked.map_or(stored, |ty| ty.name().to_owned());
    let refuses = validate::check_model(header, false).err();
    let run_refuses = refuses.map(|error| match error.kind() {
        ErrorKind::UnknownArchitecture => format!("{error}; --any-arch runs it unchecked"),
        _ => error.to_string(),
    });
    let listed = || Listed::from_metadata(&header.metadata);
    Ok(Subject {
        shape: outline::requantized(header, asked)?,
        file_type,
        run_refuses,
        vocabulary: args.draft.as_ref().and_then(|_| listed()),
    })
}

/// A model that is not here, by its headers.
#[cfg(feature = "pull")]
fn elsewhere(path: &Path, args: &FitArgs, target: &PlanTarget) -> anyhow::Result<Subject> {
    use siskin_hub::net::pull::Look;

    use crate::render::size;

    let first = target.run.file_types.first().map(String::as_str);
    let wanted = args.file_type.map(FileType::name).or(first);
    let seen = super::super::elsewhere::look(path, wanted)?;
    let name = || path.display().to_string();
    let (subject, bytes) = match seen.look {
        Look::Ready(files) => {
            let model = ModelFile::of(files.remote()?)?;
            (
                of_header(&model.header, None, args).with_context(name)?,
                files.bytes(),
            )
        }
        Look::Checkpoint {
            config,
            bytes,
            file_type,
            ..
        } => {
            let parsed = Config::from_json(&config).with_context(name)?;
            (of_config(&parsed, file_type).with_context(name)?, bytes)
        }
    };
    if !args.json {
        say!(
            "siskin: {} to download{}",
            size::bytes(bytes),
            seen.rate.time(bytes)
        );
    }
    Ok(subject)
}

#[cfg(not(feature = "pull"))]
fn elsewhere(path: &Path, _: &FitArgs, _: &PlanTarget) -> anyhow::Result<Subject> {
    bail!(
        "{}: this build of siskin looks at no other machine",
        path.display()
    )
}
