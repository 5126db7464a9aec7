//! Which file is written, and of which type: the flags and words that convert and quantize share.

use std::path::{Path, PathBuf};

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use siskin_model::FileType;

use crate::exit::usage_error;

/// What was typed.
#[derive(Debug, clap::Args)]
pub(crate) struct TargetArgs {
    /// GGUF file to write, also after -o [default: a name made of the input's and the type]
    #[arg(index = 2, value_name = "OUT.gguf")]
    out: Option<PathBuf>,
    /// Type of the file, also after --type
    #[arg(index = 3, value_name = "TYPE", value_parser = types(), ignore_case = true, hide_possible_values = true)]
    kind: Option<TypeArg>,
    /// GGUF file to write
    #[arg(short, long, value_name = "OUT.gguf", conflicts_with = "out")]
    output: Option<PathBuf>,
    /// File type; auto is the type in which the input is stored [default: the one in the name of OUT.gguf]
    #[arg(long = "type", value_name = "TYPE", value_parser = types(), ignore_case = true, conflicts_with = "kind")]
    file_type: Option<TypeArg>,
}

/// A file type; `None` for the type in which the input is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TypeArg(pub(crate) Option<FileType>);

/// The file to write, and its type.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Target {
    /// `None` if a name is to be made.
    pub(crate) output: Option<PathBuf>,
    /// `None` if nothing names a type.
    pub(crate) file_type: Option<TypeArg>,
    /// The type is the one in the output's name.
    pub(crate) by_name: bool,
}

/// Names of file types, in upper or lower case, and llama-quantize's other spellings: numbers, `q4_k`.
pub(crate) fn file_types() -> impl TypedValueParser<Value = FileType> {
    PossibleValuesParser::new(FileType::all().map(possible)).map(|text| named(&text).unwrap_or(FileType::F16))
}

/// The name of a type in lower case; also types that siskin does not write, which ready-made files may have.
#[cfg(feature = "pull")]
pub(crate) fn file_type_name(text: &str) -> Result<String, String> {
    let known = named(text).map(|ty| ty.name().to_owned());
    let word = text.to_lowercase();
    let is_word = (2..=24).contains(&word.len())
        && word
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-');
    known
        .or_else(|| (is_word && word.bytes().any(|byte| byte.is_ascii_digit())).then_some(word))
        .ok_or_else(|| "it is a type such as q4_k_m or q8_0".to_owned())
}

/// The same and `auto`.
fn types() -> impl TypedValueParser<Value = TypeArg> {
    let all = FileType::all().map(possible).chain([PossibleValue::new("auto")]);
    PossibleValuesParser::new(all).map(|text| TypeArg(named(&text)))
}

fn possible(ty: FileType) -> PossibleValue {
    let short = match ty {
        FileType::Q4KM => Some("q4_k"),
        FileType::Q5KM => Some("q5_k"),
        _ => None,
    };
    PossibleValue::new(ty.name()).aliases(short).alias(number(ty))
}

/// llama-quantize's number of a type.
fn number(ty: FileType) -> &'static str {
    match ty {
        FileType::F32 => "0",
        FileType::F16 => "1",
        FileType::Q4_0 => "2",
        FileType::Q8_0 => "7",
        FileType::Q4KS => "14",
        FileType::Q4KM => "15",
        FileType::Q5KS => "16",
        FileType::Q5KM => "17",
        FileType::Q6K => "18",
        FileType::Bf16 => "32",
    }
}

/// The type that a text names.
fn named(text: &str) -> Option<FileType> {
    FileType::all().find(|ty| possible(*ty).matches(text, true))
}

impl TargetArgs {
    /// What is meant. One word that names a type is the type, as in `quantize IN q4_k_m`.
    ///
    /// # Errors
    /// The output is standard output, which cannot be written in pieces.
    pub(crate) fn target(&self) -> anyhow::Result<Target> {
        let mut output = self.output.as_ref().or(self.out.as_ref());
        let mut typed = self.file_type.or(self.kind);
        if let (Some(word), None) = (&self.out, typed) {
            let text = word.to_string_lossy();
            let only = named(&text).map(|ty| TypeArg(Some(ty)));
            let only = only.or_else(|| text.eq_ignore_ascii_case("auto").then_some(TypeArg(None)));
            if only.is_some() {
                (typed, output) = (only, None);
            }
        }
        if output.is_some_and(|path| path == Path::new("-")) {
            return Err(usage_error(
                "-o -: siskin writes no model to standard output; name a file",
            ));
        }
        let in_name = output.and_then(|path| type_in_name(path));
        Ok(Target {
            output: output.cloned(),
            file_type: typed.or(in_name.map(|ty| TypeArg(Some(ty)))),
            by_name: typed.is_none() && in_name.is_some(),
        })
    }
}

/// The type that a file's name ends with, as in `tinyllama-q4_k_m.gguf` or `model.Q8_0.gguf`.
pub(crate) fn type_in_name(path: &Path) -> Option<FileType> {
    let stem = path.file_stem()?.to_str()?;
    FileType::at_end_of(stem).map(|(_, ty)| ty)
}

/// A name for a file of type `ty` made from the file `input`, next to it.
pub(crate) fn next_to(input: &Path, ty: FileType) -> PathBuf {
    let stem = input.file_stem().unwrap_or_default().to_string_lossy();
    let bare = FileType::at_end_of(&stem).map(|(bare, _)| bare);
    input.with_file_name(format!("{}-{ty}.gguf", bare.unwrap_or(&stem)))
}

/// A name for a file of type `ty` made from a checkpoint's folder, in the current folder. A snapshot in Hugging Face's
/// cache has the repository's name: `models--ORG--NAME/snapshots/HASH`.
pub(crate) fn named_after(folder: &Path, ty: FileType) -> PathBuf {
    let folder = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
    let parts: Vec<_> = folder
        .components()
        .filter(|part| !matches!(part, std::path::Component::ParentDir))
        .map(|part| part.as_os_str().to_string_lossy())
        .collect();
    let repository = parts
        .iter()
        .rev()
        .find_map(|part| part.strip_prefix("models--")?.rsplit("--").next());
    let last = parts.last().map_or("model", AsRef::as_ref);
    let name = match repository.unwrap_or(last) {
        "/" | "" => "model",
        name => name,
    };
    format!("{name}-{ty}.gguf").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(out: Option<&str>, kind: Option<&str>, output: Option<&str>, flag: Option<&str>) -> Target {
        let ty = |text: &str| TypeArg(named(text));
        let args = TargetArgs {
            out: out.map(PathBuf::from),
            kind: kind.map(ty),
            output: output.map(PathBuf::from),
            file_type: flag.map(ty),
        };
        args.target().expect("a target")
    }

    #[test]
    fn words_and_flags_mean_the_same() {
        let q4 = Some(TypeArg(Some(FileType::Q4KM)));
        let cases = [
            (
                target(Some("o"), Some("q4_k_m"), None, None),
                Some("o"),
                q4,
                false,
            ),
            (
                target(None, None, Some("o"), Some("Q4_K_M")),
                Some("o"),
                q4,
                false,
            ),
            (target(Some("o"), None, None, Some("15")), Some("o"), q4, false),
            (target(Some("Q4_K_M"), None, None, None), None, q4, false),
            (
                target(Some("auto"), None, None, None),
                None,
                Some(TypeArg(None)),
                false,
            ),
            (
                target(None, None, Some("a-q4_k_m.gguf"), None),
                Some("a-q4_k_m.gguf"),
                q4,
                true,
            ),
            (
                target(Some("a.Q4_K_M.gguf"), None, None, None),
                Some("a.Q4_K_M.gguf"),
                q4,
                true,
            ),
            (
                target(None, None, Some("a-q8_0.gguf"), Some("q4_k")),
                Some("a-q8_0.gguf"),
                q4,
                false,
            ),
            (
                target(Some("o.gguf"), None, None, None),
                Some("o.gguf"),
                None,
                false,
            ),
            (target(None, None, None, None), None, None, false),
        ];
        for (found, output, file_type, by_name) in cases {
            let output = output.map(PathBuf::from);
            assert_eq!(
                found,
                Target {
                    output,
                    file_type,
                    by_name
                }
            );
        }
    }

    #[test]
    fn names_are_made_of_the_input_and_the_type() {
        for ty in FileType::all() {
            assert_eq!(named(&ty.id().to_string()), Some(ty), "llama.cpp's number");
            let name = format!("a-b.{}.gguf", ty.name().to_uppercase());
            assert_eq!(type_in_name(Path::new(&name)), Some(ty));
            assert_eq!(
                next_to(Path::new(&format!("d/{name}")), FileType::Q8_0),
                Path::new("d/a-b-q8_0.gguf")
            );
        }
        for none in [
            "a.gguf",
            "q4_k_m.gguf",
            "aq4_k_m.gguf",
            "-q8_0.gguf",
            "é0.gguf",
            "",
        ] {
            assert_eq!(type_in_name(Path::new(none)), None, "{none}");
        }
        let cases = [
            ("/m/TinyLlama/", "TinyLlama-f16.gguf"),
            ("/c/models--org--Name-1B/snapshots/0123", "Name-1B-f16.gguf"),
            ("/", "model-f16.gguf"),
        ];
        for (folder, want) in cases {
            assert_eq!(named_after(Path::new(folder), FileType::F16), Path::new(want));
        }
    }
}
