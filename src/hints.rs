//! From an error to what a user of this program can do: errors of the libraries carry data and name no flags, so that
//! a service or an embedding program can offer something else.

use std::io;

use siskin::chat::ChatError;
use siskin::device::budget::BudgetError;
use siskin::device::settings::{CacheType, SettingsError};
use siskin::{Error, ErrorKind};
use siskin_harness::compare::CompareError;
use siskin_harness::{BenchError, ContextLimit, ErrorKind as MeasureKind, PlanError};
use siskin_model::ErrorKind as FileKind;
use siskin_model::atomic_file::AtomicFileError;
use siskin_model::files::{FileError, Found, PathKind};
use siskin_model::gguf::{GgufError, HeaderError, NotGguf, Problem};
use siskin_quant::convert::ConvertError;
use siskin_quant::imatrix::ImatrixError;
use siskin_serve::ServeError;
use siskin_serve::listen::ListenError;

use crate::habits::DOWNLOAD;

/// The hint for an architecture that siskin cannot check.
const UNCHECKED: &str = "--any-arch runs it unchecked, at your own risk";

/// The long names of the flags that the command has.
#[derive(Debug, Default)]
pub(crate) struct Flags(Vec<String>);

impl Flags {
    /// Those of a command.
    pub(crate) fn from_command(command: &clap::Command) -> Self {
        let long = command.get_arguments().filter_map(clap::Arg::get_long);
        Flags(long.map(str::to_owned).collect())
    }

    fn has(&self, flag: &str) -> bool {
        self.0.iter().any(|name| name == flag)
    }

    /// `hint`, if the command has the flag that it names.
    fn with<'h>(&self, flag: &str, hint: &'h str) -> Option<&'h str> {
        self.has(flag).then_some(hint)
    }
}

/// What to do about an error, if its text does not contain it already.
pub(crate) fn hint(error: &anyhow::Error, flags: &Flags) -> Option<String> {
    error.chain().find_map(|cause| {
        if let Some(error) = cause.downcast_ref::<BudgetError>() {
            return Some(smaller(error, flags));
        }
        if let Some(error) = cause.downcast_ref::<Error>() {
            return runtime(error, flags);
        }
        if let Some(error) = cause.downcast_ref::<ChatError>() {
            return match error {
                ChatError::TooLong { .. } => {
                    let longer = flags.with("ctx-size", ", or use a larger context with -c");
                    Some(format!("shorten it{}", longer.unwrap_or_default()))
                }
                ChatError::Engine(error) => runtime(error, flags),
                _ => None,
            };
        }
        if let Some(error) = cause.downcast_ref::<ServeError>() {
            return serving(error, flags);
        }
        measuring(cause, flags).or_else(|| file(cause, flags))
    })
}

/// What the service reports before it serves.
fn serving(error: &ServeError, flags: &Flags) -> Option<String> {
    let hint = match error {
        ServeError::Model(error) => return runtime(error, flags),
        ServeError::Exposed(_) => {
            "--api-key-file FILE has the keys (siskin serve --new-key NAME makes one), --no-auth lets everyone ask, and \
             --host 127.0.0.1 listens on this machine only"
        }
        ServeError::Listen(ListenError::Taken { address }) if address.tcp().is_some() => {
            "--port N chooses another port, and --port 0 a free one"
        }
        _ => return None,
    };
    Some(hint.to_owned())
}

/// What the harness reports.
fn measuring(cause: &(dyn std::error::Error + 'static), flags: &Flags) -> Option<String> {
    let compared = cause.downcast_ref::<CompareError>();
    let hint = match (cause.downcast_ref::<BenchError>(), compared) {
        (Some(BenchError::Results(error)), _) | (_, Some(error)) => match error {
            CompareError::Machine { .. } if flags.has("any-machine") => {
                "measure a baseline here, or add --any-machine"
            }
            CompareError::Machine { .. } => "measure here with siskin bench -o json",
            CompareError::NoResults { .. } | CompareError::NoVersion { .. } => {
                "give a file that `siskin bench -o json` wrote"
            }
            _ => return None,
        },
        (Some(BenchError::File(error) | BenchError::Header(GgufError::File(error))), _) => {
            return no_model(error, flags);
        }
        (Some(BenchError::Plan(error)), _) => match error {
            PlanError::NoRounds => "-r must be at least 1",
            PlanError::NoTests => "give a prompt length with -p or a number of tokens with -n",
            PlanError::NoThreads(_) => "-t and --threads-batch must be at least 1",
            PlanError::TooDeep { limited_by, .. } => match limited_by {
                ContextLimit::Training => "lower -d, -p or -n",
                ContextLimit::Asked => "raise -c, or lower -d, -p or -n",
            },
            _ => return None,
        },
        (Some(error), _) if error.kind() == MeasureKind::UnknownArchitecture => {
            flags.with("any-arch", UNCHECKED)?
        }
        (Some(BenchError::Worker(_) | BenchError::NothingMeasured), _) => flags.with(
            "verbose",
            "-v shows llama.cpp's log; `siskin run` on the same model may show why",
        )?,
        _ => return None,
    };
    Some(hint.to_owned())
}

/// What the crates below the runtime report of files.
fn file(cause: &(dyn std::error::Error + 'static), flags: &Flags) -> Option<String> {
    if let Some(GgufError::File(error)) = cause.downcast_ref() {
        return no_model(error, flags);
    }
    let kind = cause
        .downcast_ref::<AtomicFileError>()
        .map(AtomicFileError::kind)
        .or_else(|| cause.downcast_ref::<ConvertError>().map(ConvertError::kind))
        .or_else(|| cause.downcast_ref::<ImatrixError>().map(ImatrixError::kind))
        .or_else(|| cause.downcast_ref::<GgufError>().map(GgufError::kind))?;
    let hint = match kind {
        FileKind::Exists => flags.with("force", "--force overwrites it")?,
        FileKind::NonFinite => flags.with("allow-nonfinite", "--allow-nonfinite accepts them")?,
        FileKind::AlreadyQuantized => {
            flags.with("allow-requantize", "--allow-requantize accepts the loss")?
        }
        FileKind::Checkpoint => "to make a GGUF file from a checkpoint: siskin convert DIR",
        FileKind::Split => "llama-gguf-split --merge joins the parts",
        FileKind::Format => return format(cause).map(str::to_owned),
        _ => return None,
    };
    Some(hint.to_owned())
}

/// Files of another format than was expected: how one gets the right one.
fn format(cause: &(dyn std::error::Error + 'static)) -> Option<&'static str> {
    let mut cause = Some(cause);
    while let Some(error) = cause {
        if let Some(HeaderError {
            problem: Problem::Magic(_),
            ..
        }) = error.downcast_ref()
        {
            return Some("to make one from a checkpoint: siskin convert DIR -o FILE.gguf");
        }
        if let Some(NotGguf(Found::Safetensors | Found::Zip | Found::Pickle)) = error.downcast_ref() {
            return Some("to make one from a checkpoint: siskin convert DIR -o FILE.gguf");
        }
        if let Some(ImatrixError::Empty(_)) = error.downcast_ref() {
            return Some("siskin imatrix makes one");
        }
        cause = error.source();
    }
    None
}

/// The hint for what was given as a model and is none: a name of ollama or Hugging Face, a prompt, a folder.
fn no_model(error: &FileError, flags: &Flags) -> Option<String> {
    let path = match error {
        FileError::Io { path, source } if source.kind() == io::ErrorKind::NotFound => path,
        FileError::NotAFile {
            kind: PathKind::Checkpoint,
            ..
        } => {
            return Some("to make a GGUF file from a checkpoint: siskin convert DIR".into());
        }
        _ => return None,
    };
    let name = path.to_string_lossy();
    if name.ends_with(".gguf") && !name.contains("://") {
        return None;
    }
    if name.contains(char::is_whitespace) {
        return flags
            .with(
                "prompt",
                "the first word after the command is the model's file: siskin run MODEL PROMPT",
            )
            .map(str::to_owned);
    }
    Some(
        if is_name_elsewhere(&name) {
            DOWNLOAD
        } else {
            NOT_A_PATH
        }
        .into(),
    )
}

/// The hint for a path that does not exist.
const NOT_A_PATH: &str = "give the path of a GGUF file";

/// Whether a name is one of ollama (`llama3.2:1b`), of Hugging Face (`org/name`), or an address.
fn is_name_elsewhere(name: &str) -> bool {
    let is_path = name.starts_with(['/', '.', '~']);
    !is_path && (name.contains(':') || name.matches('/').count() == 1)
}

fn runtime(error: &Error, flags: &Flags) -> Option<String> {
    match error {
        Error::Header(GgufError::File(error)) | Error::File(error) => return no_model(error, flags),
        Error::Header(header) => return file(header, flags),
        _ => {}
    }
    if let Error::Invalid { source, .. } = error {
        match source.kind() {
            FileKind::Alignment => return Some("siskin quantize writes an aligned copy".into()),
            FileKind::Split => return Some("llama-gguf-split --merge joins the parts".into()),
            _ => {}
        }
    }
    if let Error::Settings(settings) = error {
        return match settings {
            SettingsError::Budget(error) => Some(smaller(error, flags)),
            SettingsError::RepackFaults => flags
                .with("repack", "leave out --repack, or use --force to repack anyway")
                .map(str::to_owned),
            _ => None,
        };
    }
    if let Error::CacheNeedsFlashAttention(_) = error {
        return flags
            .with("flash-attn", "leave out --flash-attn, or use --cache-type f16")
            .map(str::to_owned);
    }
    if let Error::CacheCrossesHeads { .. } = error {
        return flags
            .with("cache-type", "use --cache-type f16")
            .map(str::to_owned);
    }
    let hint = match error.kind() {
        ErrorKind::ContextFull => {
            flags.with("ctx-size", "shorten the prompt, or use a larger context with -c")
        }
        ErrorKind::UnknownArchitecture => flags.with("any-arch", UNCHECKED),
        ErrorKind::Engine => flags.with("verbose", "-v shows llama.cpp's log"),
        _ => None,
    };
    hint.map(str::to_owned)
}

/// What would fit instead, and what happens with `--force`.
pub(crate) fn smaller(error: &BudgetError, flags: &Flags) -> String {
    let mut ways = Vec::new();
    if let Some(context) = error.largest_context {
        let cache = match error.plan.settings.cache_type {
            CacheType::F16 | CacheType::F32 => String::new(),
            smaller => format!(" with a KV cache of {smaller}"),
        };
        ways.push(format!("-c {context} would fit{cache}"));
    }
    if let Some(ty) = error.smaller_type {
        ways.push(format!("type {ty} would fit"));
    }
    if ways.is_empty() {
        ways.push("no smaller context or type of this model would fit".into());
    }
    // With --output, --force overwrites a file.
    if flags.has("force") && !flags.has("output") {
        ways.push(format!("with --force {}", error.overcommit));
    }
    ways.join("; ")
}

#[cfg(test)]
mod tests {
    use siskin::device::budget::{Overcommit, Plan, Resource};
    use siskin::device::settings::Values;

    use super::*;

    fn flags(names: &[&str]) -> Flags {
        Flags(names.iter().map(|name| (*name).to_owned()).collect())
    }

    #[test]
    fn a_hint_names_only_flags_that_the_command_has() {
        let full = || Error::ContextFull {
            tokens: 9,
            room: 1,
            context: 8,
        };
        let budget = || BudgetError {
            resource: Resource::Memory,
            need_bytes: 9 << 20,
            usable_bytes: 8 << 20,
            reserve_bytes: 0,
            largest_context: Some(512),
            smaller_type: None,
            overcommit: Overcommit::Swaps,
            plan: Box::new(Plan {
                settings: Values::default(),
                items: vec![],
                total_bytes: 9 << 20,
                usable_bytes: 8 << 20,
                reserve_bytes: 0,
                fits: false,
                reasons: vec![],
            }),
        };
        let cases: [(anyhow::Error, &[&str], Option<&str>); 6] = [
            (full().into(), &["ctx-size"], Some("larger context with -c")),
            (full().into(), &[], None),
            (
                Error::Settings(budget().into()).into(),
                &["force"],
                Some("-c 512 would fit; with --force the system swaps"),
            ),
            (anyhow::Error::from(budget()), &[], Some("-c 512 would fit")),
            (
                anyhow::Error::from(AtomicFileError::Exists("x".into())).context("writing"),
                &["force"],
                Some("--force overwrites it"),
            ),
            (anyhow::anyhow!("anything"), &["force"], None),
        ];
        for (error, names, want) in cases {
            let found = hint(&error, &flags(names));
            match want {
                Some(want) => assert!(
                    found.as_ref().is_some_and(|hint| hint.contains(want)),
                    "{found:?}"
                ),
                None => assert_eq!(found, None, "{error}"),
            }
            let force = found.is_some_and(|hint| hint.contains("--force"));
            assert!(!force || names.contains(&"force"));
        }
    }
}
