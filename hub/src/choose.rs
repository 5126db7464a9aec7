//! What of a repository is needed: the files of a checkpoint, or one of its GGUF models. Pure.

use std::collections::BTreeMap;

use siskin_model::{ErrorKind, FileType, gguf};

/// A file of a repository, as its listing has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its path in the repository.
    pub path: String,
    /// Its size in bytes.
    pub bytes: u64,
}

/// What a repository has that siskin can use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Contents {
    /// A checkpoint of transformers, which is converted.
    Checkpoint {
        /// Configuration, tokenizer and templates: a few megabytes, by their paths in the repository.
        small: Vec<Listed>,
        /// The weights, in the order of their names.
        shards: Vec<Listed>,
        /// How the weights are stored.
        form: Weights,
    },
    /// Models in GGUF, of several types.
    Gguf(Vec<GgufModel>),
}

/// How a checkpoint stores its weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weights {
    /// safetensors.
    Safetensors,
    /// PyTorch's pickled files.
    Pickle,
}

/// A model in GGUF: a file, or the parts of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GgufModel {
    /// The name of the first file without folder, part and ending.
    pub name: String,
    /// Its type as its name says it, in lower case; `None` if it says none.
    pub file_type: Option<String>,
    /// Its files, in order.
    pub files: Vec<Listed>,
    /// The first part that is missing, and how many there must be.
    missing: Option<(u32, u32)>,
}

impl GgufModel {
    /// The model, if it is whole.
    fn whole(&self) -> Result<Self, ChooseError> {
        match self.missing {
            None => Ok(self.clone()),
            Some((number, count)) => Err(ChooseError::NoPart {
                name: self.name.clone(),
                number,
                count,
            }),
        }
    }

    /// The size of all files in bytes.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }
}

/// A repository has nothing that siskin can use, or not what was asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ChooseError {
    /// It has no weights.
    #[error("no weights in this repository: {0}")]
    NoWeights(&'static str),
    /// The index of its shards is there, and a shard is not.
    #[error("the repository lacks {0}; it may be uploaded only in part: take another revision")]
    Lacks(String),
    /// No GGUF model of it has the type.
    #[error("no {wanted} in this repository; it has {}", .there.join(", "))]
    NoType {
        /// What was asked for.
        wanted: String,
        /// The types that it has.
        there: Vec<String>,
    },
    /// A part of a GGUF model is missing.
    #[error("part {number} of {count} of {name} is missing in the repository")]
    NoPart {
        /// The model.
        name: String,
        /// The part, from 1.
        number: u32,
        /// Parts in all.
        count: u32,
    },
    /// A file that was named is not a GGUF model.
    #[error("{path}: the repository has no such GGUF file")]
    NoFile {
        /// What was named.
        path: String,
    },
    /// Several GGUF models have the type.
    #[error("several models have the type {wanted}: {}; name one of these files", .there.join(", "))]
    Several {
        /// What was asked for.
        wanted: String,
        /// The files.
        there: Vec<String>,
    },
}

impl ChooseError {
    /// What kind of failure this is.
    pub fn kind(&self) -> ErrorKind {
        match self {
            ChooseError::NoWeights(_)
            | ChooseError::Lacks(_)
            | ChooseError::NoPart { .. }
            | ChooseError::NoFile { .. } => ErrorKind::Missing,
            ChooseError::NoType { .. } | ChooseError::Several { .. } => ErrorKind::Path,
        }
    }
}

/// Files of a checkpoint that a conversion may read, by their endings; the weights are others.
const SMALL: [&str; 5] = [".json", ".jinja", ".model", ".tiktoken", ".txt"];
/// The folder of further chat templates.
const TEMPLATES: &str = "additional_chat_templates/";

/// What a repository without weights is.
const INSTEAD: [(&str, &str); 7] = [
    (
        "adapter_model.safetensors",
        "it is an adapter; take its base model, or merge the two",
    ),
    (
        "adapter_model.bin",
        "it is an adapter; take its base model, or merge the two",
    ),
    (
        "consolidated.safetensors",
        "its weights are in the format of the model's authors; take the version for transformers",
    ),
    (
        "consolidated.00.pth",
        "its weights are in the format of the model's authors; take the version for transformers",
    ),
    ("tf_model.h5", "it has only weights for TensorFlow"),
    ("flax_model.msgpack", "it has only weights for Flax"),
    ("model.onnx", "it has only weights for ONNX"),
];

/// What a repository has. Weights of a checkpoint come before GGUF files, and safetensors before pickled ones.
///
/// # Errors
/// It has no weights, or a shard is missing.
pub fn contents(files: &[Listed]) -> Result<Contents, ChooseError> {
    let find = |path: &str| files.iter().find(|file| file.path == path);
    let forms = [
        (
            Weights::Safetensors,
            "model.safetensors",
            "model.safetensors.index.json",
            ".safetensors",
        ),
        (
            Weights::Pickle,
            "pytorch_model.bin",
            "pytorch_model.bin.index.json",
            ".bin",
        ),
    ];
    for (form, single, index, ending) in forms {
        let shards = match (find(single), find(index)) {
            (Some(single), _) => vec![single.clone()],
            (None, Some(_)) => {
                let stem = single.trim_end_matches(ending);
                let shards = shards(files, stem, ending);
                complete(&shards)?;
                shards
            }
            (None, None) => continue,
        };
        let small = files.iter().filter(|file| is_small(file)).cloned().collect();
        return Ok(Contents::Checkpoint { small, shards, form });
    }
    let models = gguf_models(files);
    if !models.is_empty() {
        return Ok(Contents::Gguf(models));
    }
    let instead = INSTEAD
        .iter()
        .find(|(name, _)| files.iter().any(|file| file.path.ends_with(name)));
    Err(ChooseError::NoWeights(instead.map_or(
        "neither model.safetensors, pytorch_model.bin nor a GGUF file",
        |(_, what)| what,
    )))
}

/// The shards `STEM-00001-of-00003.ENDING`, in their order.
fn shards(files: &[Listed], stem: &str, ending: &str) -> Vec<Listed> {
    let is_shard = |file: &&Listed| {
        file.path.ends_with(ending) && part_of(&file.path).is_some_and(|(name, ..)| name == stem)
    };
    let mut shards: Vec<Listed> = files.iter().filter(is_shard).cloned().collect();
    shards.sort_by(|a, b| a.path.cmp(&b.path));
    shards
}

/// As many shards as their names say.
fn complete(shards: &[Listed]) -> Result<(), ChooseError> {
    let Some(first) = shards.first() else {
        return Err(ChooseError::Lacks("the shards that its index names".into()));
    };
    fn of(file: &Listed) -> Option<(&str, u32, u32)> {
        part_of(&file.path)
    }
    let count = of(first).map_or(0, |(_, _, count)| count);
    for number in 1..=count {
        if !shards
            .iter()
            .any(|file| of(file).is_some_and(|(_, at, _)| at == number))
        {
            return Err(ChooseError::Lacks(format!("shard {number} of {count}")));
        }
    }
    Ok(())
}

fn is_small(file: &Listed) -> bool {
    let top = !file.path.contains('/') || file.path.starts_with(TEMPLATES);
    top && SMALL.iter().any(|ending| file.path.ends_with(ending))
}

/// The name before the part, the part's number and count, of a path with any ending.
fn part_of(path: &str) -> Option<(&str, u32, u32)> {
    let (stem, _) = path.rsplit_once('.')?;
    gguf::part_of(stem).filter(|(_, number, count)| (1..=*count).contains(number))
}

/// Files that are parts of a model but not a language model.
const NO_MODEL: [&str; 3] = ["mmproj", "imatrix", "-vocab"];

/// Every GGUF model, in the order of their names. Parts of as many belong together.
fn gguf_models(files: &[Listed]) -> Vec<GgufModel> {
    let mut models: BTreeMap<(String, u32), Vec<(u32, Listed)>> = BTreeMap::new();
    let is_gguf = |path: &str| path.to_ascii_lowercase().ends_with(".gguf");
    for file in files.iter().filter(|file| is_gguf(&file.path)) {
        if NO_MODEL.iter().any(|word| file.path.contains(word)) {
            continue;
        }
        let whole = &file.path[..file.path.len() - ".gguf".len()];
        let (name, number, count) = part_of(&file.path).unwrap_or((whole, 1, 1));
        let parts = models.entry((name.to_owned(), count)).or_default();
        parts.push((number, file.clone()));
    }
    let models = models.into_iter().map(|((path, count), mut parts)| {
        parts.sort_by_key(|(number, _)| *number);
        let name = path.rsplit('/').next().unwrap_or(&path).to_owned();
        let missing = (1..=count).find(|wanted| !parts.iter().any(|(number, _)| number == wanted));
        GgufModel {
            file_type: type_in(&name),
            name,
            files: parts.into_iter().map(|(_, file)| file).collect(),
            missing: missing.map(|number| (number, count)),
        }
    });
    models.collect()
}

/// Starts of the types that GGUF files have in their names.
const TYPES: [&str; 10] = [
    "q", "iq", "tq", "f16", "f32", "bf16", "mxfp4", "nvfp4", "fp16", "ud",
];

/// The type at the end of a name, in lower case: `q4_k_m` of `model.Q4_K_M`.
fn type_in(name: &str) -> Option<String> {
    let lower = name.to_lowercase();
    let last = lower.rsplit(['-', '.']).next()?;
    let is_type = |word: &str| {
        let digits = |rest: &str| rest.starts_with(|c: char| c.is_ascii_digit());
        TYPES.iter().any(|start| match *start {
            "q" | "iq" | "tq" => word.strip_prefix(start).is_some_and(digits),
            "ud" => false,
            whole => word == whole,
        })
    };
    is_type(last).then(|| last.to_owned())
}

/// The GGUF model that a file of a repository belongs to.
///
/// # Errors
/// There is no such file, it is not a GGUF file, or a part is missing.
pub fn gguf_file(files: &[Listed], path: &str) -> Result<GgufModel, ChooseError> {
    let belongs = |model: &GgufModel| model.files.iter().any(|file| file.path == path);
    let found = gguf_models(files).into_iter().find(belongs);
    let found = found.ok_or_else(|| ChooseError::NoFile {
        path: path.to_owned(),
    });
    found?.whole()
}

/// A choice among GGUF models, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chosen {
    /// The model.
    pub model: GgufModel,
    /// Why this one, for people; `None` if it was asked for or is the only one.
    pub reason: Option<String>,
}

/// Types that are taken if none is asked for, the best first: from four bits on a model of a billion parameters loses little.
const PREFERRED: [&str; 9] = [
    "q4_k_m", "q4_k_s", "q4_k", "iq4_xs", "q4_1", "q4_0", "q5_k_m", "q8_0", "q3_k_m",
];

/// The part of the memory that a file may take: the KV cache and buffers need the rest.
const SHARE: f64 = 0.8;

/// The model of the type that is wanted, else the one that fits best into `memory` bytes.
///
/// # Errors
/// None or several have the type.
pub fn gguf(models: &[GgufModel], wanted: Option<&str>, memory: u64) -> Result<Chosen, ChooseError> {
    let named = |wanted: &str| -> Vec<&GgufModel> {
        let wanted = wanted.to_lowercase();
        let short = |ty: &str| ty == wanted || ty.strip_suffix("_m") == Some(&wanted);
        let exact: Vec<_> = models
            .iter()
            .filter(|model| model.file_type.as_deref() == Some(&wanted))
            .collect();
        match exact.is_empty() {
            true => models
                .iter()
                .filter(|model| model.file_type.as_deref().is_some_and(short))
                .collect(),
            false => exact,
        }
    };
    let there = || -> Vec<String> {
        models
            .iter()
            .map(|model| model.file_type.clone().unwrap_or_else(|| model.name.clone()))
            .collect()
    };
    if let Some(wanted) = wanted {
        return match named(wanted)[..] {
            [model] => Ok(Chosen {
                model: model.whole()?,
                reason: None,
            }),
            [] => Err(ChooseError::NoType {
                wanted: wanted.to_owned(),
                there: there(),
            }),
            ref several => Err(ChooseError::Several {
                wanted: wanted.to_owned(),
                there: several
                    .iter()
                    .filter_map(|model| Some(model.files.first()?.path.clone()))
                    .collect(),
            }),
        };
    }
    if let [model] = models {
        return Ok(Chosen {
            model: model.whole()?,
            reason: None,
        });
    }
    let most = (memory as f64 * SHARE) as u64;
    let fits = |model: &&GgufModel| model.bytes() <= most && model.missing.is_none();
    let preferred = PREFERRED
        .iter()
        .filter_map(|ty| match named(ty)[..] {
            [model] => Some(model),
            _ => None,
        })
        .find(fits);
    if let Some(model) = preferred {
        let reason = format!(
            "{} is the type that loses little and fits into {} MiB",
            model.file_type.as_deref().unwrap_or("it"),
            memory >> 20
        );
        return Ok(Chosen {
            model: model.clone(),
            reason: Some(reason),
        });
    }
    // Several of one type differ in something that their names do not say.
    if let Some(ty) = PREFERRED.iter().find(|ty| named(ty).len() > 1) {
        return gguf(models, Some(ty), memory);
    }
    let whole = models.iter().filter(|model| model.missing.is_none());
    let smallest = whole.min_by_key(|model| model.bytes());
    match smallest {
        Some(model) => Ok(Chosen {
            model: model.clone(),
            reason: Some(format!(
                "it is the smallest; with {} MiB of memory nothing larger fits",
                memory >> 20
            )),
        }),
        None => Err(ChooseError::NoWeights("no GGUF file")),
    }
}

/// The type that a checkpoint is converted to if none is asked for.
pub const DEFAULT_TYPE: FileType = FileType::Q4KM;

#[cfg(test)]
mod tests;
