//! Ready-made GGUF files among the files of a repository: which type each is, and which parts belong together. Pure.

/// A model that is ready to run: one file, or the parts of a split one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ready {
    /// The type that the name says, in capitals, such as `Q4_K_M`; `None` if the name says none.
    pub file_type: Option<String>,
    /// Paths in the repository, in the order of the parts.
    pub paths: Vec<String>,
    /// Size of all parts in bytes.
    pub size: u64,
}

/// Why a type cannot be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoModel {
    /// No file has this type.
    #[error("no GGUF file here has the type {wanted}; there {}", there(known))]
    Type {
        /// The type that was asked for.
        wanted: String,
        /// The types that are there.
        known: Vec<String>,
    },
    /// Several files have this type.
    #[error("several GGUF files here have the type {wanted}: {}; name one", paths.join(", "))]
    Several {
        /// The type that was asked for.
        wanted: String,
        /// Their first parts.
        paths: Vec<String>,
    },
    /// Parts of a split model are missing.
    #[error("{path} is one of {count} parts, and only {found} of them are here")]
    Parts {
        /// The first part that is there.
        path: String,
        /// How many there must be.
        count: u32,
        /// How many there are.
        found: usize,
    },
}

fn there(known: &[String]) -> String {
    match known {
        [] => "are none".to_owned(),
        _ => format!("are {}", known.join(", ")),
    }
}

/// How types begin, in capitals, as people put them into names of files.
const BEGINNINGS: [&str; 5] = ["Q", "IQ", "TQ", "F", "BF"];

/// All models that are ready to run, in the order of the list. Files that only go with a model (vision, importance
/// matrices) are left out.
pub fn models<'a>(files: impl IntoIterator<Item = (&'a str, u64)>) -> Vec<Ready> {
    let mut models: Vec<(String, Ready)> = Vec::new();
    for (path, size) in files {
        let Some(stem) = stem(path) else { continue };
        let name = stem.rsplit('/').next().unwrap_or(stem).to_ascii_lowercase();
        if name.starts_with("mmproj") || name.contains("imatrix") {
            continue;
        }
        let split = part(stem);
        let (key, is_split) = (split.map_or(stem, |(base, _)| base), split.is_some());
        match models.iter_mut().find(|(known, _)| is_split && known == key) {
            Some((_, ready)) => {
                ready.paths.push(path.to_owned());
                ready.paths.sort();
                ready.size = ready.size.saturating_add(size);
            }
            None => models.push((
                key.to_owned(),
                Ready {
                    file_type: file_type(key),
                    paths: vec![path.to_owned()],
                    size,
                },
            )),
        }
    }
    models.into_iter().map(|(_, ready)| ready).collect()
}

/// The one model of a type, whatever the case in which it was typed.
///
/// # Errors
/// No file or several have the type, or parts are missing.
pub fn of_type(models: &[Ready], wanted: &str) -> Result<Ready, NoModel> {
    let wanted = wanted.to_ascii_uppercase();
    let found: Vec<&Ready> = models
        .iter()
        .filter(|ready| ready.file_type.as_ref() == Some(&wanted))
        .collect();
    match found[..] {
        [] => {
            let mut known: Vec<String> = models
                .iter()
                .filter_map(|ready| ready.file_type.clone())
                .collect();
            known.sort();
            known.dedup();
            Err(NoModel::Type { wanted, known })
        }
        [ready] => ready.whole(),
        _ => Err(NoModel::Several {
            wanted,
            paths: found
                .iter()
                .filter_map(|ready| ready.paths.first().cloned())
                .collect(),
        }),
    }
}

impl Ready {
    /// The model, if no part of it is missing.
    ///
    /// # Errors
    /// Parts are missing.
    pub fn whole(&self) -> Result<Ready, NoModel> {
        let first = self.paths.first().cloned().unwrap_or_default();
        let count = stem(&first).and_then(part).map_or(1, |(_, count)| count);
        if self.paths.len() != count as usize {
            return Err(NoModel::Parts {
                path: first,
                count,
                found: self.paths.len(),
            });
        }
        Ok(self.clone())
    }
}

/// The path without `.gguf`.
fn stem(path: &str) -> Option<&str> {
    let split = path.len().checked_sub(5)?;
    let (stem, ending) = path.split_at_checked(split)?;
    ending.eq_ignore_ascii_case(".gguf").then_some(stem)
}

/// `BASE-00001-of-00003`, as llama.cpp names the parts of a model: the base and the count.
fn part(stem: &str) -> Option<(&str, u32)> {
    let (before, count) = stem.rsplit_once("-of-")?;
    let (base, number) = before.rsplit_once('-')?;
    let is_number = |text: &str| text.len() == 5 && text.bytes().all(|byte| byte.is_ascii_digit());
    let both = is_number(number) && is_number(count);
    if both {
        Some((base, count.parse().ok()?))
    } else {
        None
    }
}

/// The type at the end of a name, after `-` or `.`: `Q4_K_M` of `model-Q4_K_M` and of `model.q4_k_m`.
fn file_type(stem: &str) -> Option<String> {
    let name = stem.rsplit('/').next()?.to_ascii_uppercase();
    let last = name.rsplit(['-', '.']).next()?;
    let ends_early = name.len() > last.len();
    let is_type = BEGINNINGS.iter().any(|start| {
        let rest = last.strip_prefix(start);
        rest.is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
    });
    let plain = last
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    (is_type && plain && ends_early).then(|| last.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(paths: &[&str]) -> Vec<Ready> {
        models(paths.iter().map(|path| (*path, 10)))
    }

    #[test]
    fn types_are_read_from_names() {
        let cases = [
            ("tinyllama-1.1b-chat-v1.0.Q4_K_M.gguf", Some("Q4_K_M")),
            ("m-q8_0.gguf", Some("Q8_0")),
            ("sub/M-IQ4_XS.GGUF", Some("IQ4_XS")),
            ("m-f16.gguf", Some("F16")),
            ("m.BF16.gguf", Some("BF16")),
            ("Qwen3-0.6B.gguf", None),
            ("m-1.1b.gguf", None),
            ("Q4_0.gguf", None),
            ("m.i1-Q4_K_M.gguf", Some("Q4_K_M")),
        ];
        for (path, expected) in cases {
            assert_eq!(list(&[path])[0].file_type.as_deref(), expected, "{path}");
        }
        assert!(
            list(&[
                "README.md",
                "mmproj-m-f16.gguf",
                "m.imatrix.gguf",
                "gguf",
                "é.gguf.x"
            ])
            .is_empty()
        );
    }

    #[test]
    fn a_type_is_one_model_with_all_its_parts() {
        let found = list(&[
            "m-Q8_0-00002-of-00002.gguf",
            "m-Q8_0-00001-of-00002.gguf",
            "m-Q4_0.gguf",
            "m-Q6_K-00001-of-00003.gguf",
            "a/m-Q5_0.gguf",
            "b/m-Q5_0.gguf",
        ]);
        let split = of_type(&found, "q8_0").expect("two parts");
        assert_eq!(
            split.paths,
            ["m-Q8_0-00001-of-00002.gguf", "m-Q8_0-00002-of-00002.gguf"]
        );
        assert_eq!(split.size, 20);
        let cases = [
            (
                "q6_k",
                "m-Q6_K-00001-of-00003.gguf is one of 3 parts, and only 1 of them are here",
            ),
            (
                "q5_0",
                "several GGUF files here have the type Q5_0: a/m-Q5_0.gguf, b/m-Q5_0.gguf; name one",
            ),
            (
                "q2_k",
                "no GGUF file here has the type Q2_K; there are Q4_0, Q5_0, Q6_K, Q8_0",
            ),
        ];
        for (wanted, text) in cases {
            assert_eq!(of_type(&found, wanted).expect_err(wanted).to_string(), text);
        }
        assert_eq!(
            of_type(&[], "q4_0").expect_err("none").to_string(),
            "no GGUF file here has the type Q4_0; there are none"
        );
    }
}
