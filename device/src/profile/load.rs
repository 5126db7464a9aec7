//! Reads profiles: those compiled in, and the user's own, which override them.

use std::path::{Path, PathBuf};

use siskin_model::files::{self, FileError};

use super::Profile;

/// The profiles compiled in: file name and text.
const BUILTIN: [(&str, &str); 8] = [
    (
        "targets/aarch64-generic.toml",
        include_str!("../../targets/aarch64-generic.toml"),
    ),
    ("targets/armv7.toml", include_str!("../../targets/armv7.toml")),
    (
        "targets/raspberry-pi-4.toml",
        include_str!("../../targets/raspberry-pi-4.toml"),
    ),
    (
        "targets/raspberry-pi-5.toml",
        include_str!("../../targets/raspberry-pi-5.toml"),
    ),
    ("targets/rk3588.toml", include_str!("../../targets/rk3588.toml")),
    (
        "targets/x86-64-v2.toml",
        include_str!("../../targets/x86-64-v2.toml"),
    ),
    (
        "targets/x86-64-v3.toml",
        include_str!("../../targets/x86-64-v3.toml"),
    ),
    (
        "targets/x86-64-v4.toml",
        include_str!("../../targets/x86-64-v4.toml"),
    ),
];

/// The most bytes read from a profile.
const MAX_PROFILE: u64 = 1 << 20;

/// Why a profile cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProfileError {
    /// The file cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// The folder cannot be read.
    #[error("{}: {source}", path.display())]
    Io {
        /// The folder.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// A field is unknown, missing, or has a value that is not allowed.
    #[error("{}:{line}: {reason}", path.display())]
    Field {
        /// The profile's file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong, with the allowed values.
        reason: String,
    },
}

/// The profiles compiled in, sorted by name.
pub fn builtin() -> Vec<Profile> {
    let read = |(path, text): &(&str, &str)| {
        parse(Path::new(path), text).expect("a test reads every profile compiled in")
    };
    BUILTIN.iter().map(read).collect()
}

/// The names of the profiles compiled in, sorted: those of their files.
pub fn builtin_names() -> impl Iterator<Item = &'static str> {
    BUILTIN
        .iter()
        .filter_map(|row| Path::new(row.0).file_stem()?.to_str())
}

/// Parses the text of the profile file `path`.
///
/// # Errors
/// If the text is not TOML, or a field is unknown, missing or has a value that is not allowed.
pub fn parse(path: &Path, text: &str) -> Result<Profile, ProfileError> {
    let field = |line, reason| ProfileError::Field {
        path: path.to_owned(),
        line,
        reason,
    };
    let profile: Profile = toml::from_str(text).map_err(|error| {
        let start = error.span().map_or(0, |span| span.start);
        field(line_of(text, start), one_line(error.message()))
    })?;
    match problem(path, &profile) {
        Some((key, reason)) => Err(field(line_of_key(text, key), format!("{key}: {reason}"))),
        None => Ok(profile),
    }
}

/// Checks what the types cannot express. Returns the wrong field and the reason.
fn problem(path: &Path, profile: &Profile) -> Option<(&'static str, String)> {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    if profile.name != stem {
        let reason = format!(
            "{:?} is not the file's name; write {stem:?}, or rename the file",
            profile.name
        );
        return Some(("name", reason));
    }
    let (hardware, run) = (&profile.hardware, &profile.run);
    if hardware.system_mib >= hardware.ram_mib {
        let reason = format!(
            "{} leaves nothing of ram_mib = {}",
            hardware.system_mib, hardware.ram_mib
        );
        return Some(("system_mib", reason));
    }
    if hardware.big_cpus.is_some_and(|big| big > hardware.cpus) {
        return Some(("big_cpus", format!("more than cpus = {}", hardware.cpus.0)));
    }
    if run.reserve_mib >= hardware.ram_mib - hardware.system_mib {
        return Some(("reserve_mib", "leaves nothing for a model".into()));
    }
    let unknown = |name: &&String| name.parse::<siskin_model::FileType>().is_err();
    run.file_types.iter().find(unknown).map(|name| {
        let reason = name
            .parse::<siskin_model::FileType>()
            .map_or_else(|error| error.to_string(), |_| String::new());
        ("file_types", reason)
    })
}

/// The folder of the user's own profiles: `$XDG_CONFIG_HOME/siskin/targets`, by default under `~/.config`.
pub fn user_folder() -> Option<PathBuf> {
    Some(crate::paths::config()?.join("targets"))
}

/// The profiles compiled in and those in `folder`, which replace profiles of the same name. A missing folder
/// counts as empty.
///
/// Also returns why the folder, or files in it, were passed over: a mistake in one profile must not keep a model from
/// running.
pub fn with_user(folder: Option<&Path>) -> (Vec<Profile>, Vec<ProfileError>) {
    let (mut profiles, mut problems) = (builtin(), Vec::new());
    let paths = folder.map_or(Ok(vec![]), toml_files);
    for path in paths.unwrap_or_else(|error| {
        problems.push(error);
        vec![]
    }) {
        match read(&path).and_then(|text| parse(&path, &text)) {
            Ok(profile) => {
                profiles.retain(|other| other.name != profile.name);
                profiles.push(Profile {
                    user: true,
                    ..profile
                });
            }
            Err(error) => problems.push(error),
        }
    }
    profiles.sort_by(|a, b| a.name.cmp(&b.name));
    (profiles, problems)
}

fn toml_files(folder: &Path) -> Result<Vec<PathBuf>, ProfileError> {
    let io = |source| ProfileError::Io {
        path: folder.to_owned(),
        source,
    };
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(vec![]),
        Err(error) => return Err(io(error)),
    };
    let paths = entries.map(|entry| entry.map(|entry| entry.path()).map_err(io));
    let mut paths: Vec<PathBuf> = paths.collect::<Result<_, _>>()?;
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
    paths.sort();
    Ok(paths)
}

fn read(path: &Path) -> Result<String, ProfileError> {
    Ok(files::read_text(path, MAX_PROFILE)?)
}

fn line_of(text: &str, byte: usize) -> usize {
    let before = text.as_bytes().iter().take(byte);
    1 + before.filter(|byte| **byte == b'\n').count()
}

fn line_of_key(text: &str, key: &str) -> usize {
    let is_key = |line: &str| line.split('=').next().is_some_and(|name| name.trim() == key);
    1 + text.lines().position(is_key).unwrap_or(0)
}

fn one_line(message: &str) -> String {
    message.lines().collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::super::{Count, Threads};
    use super::*;

    fn pi5() -> String {
        BUILTIN
            .iter()
            .find(|row| row.0.contains("pi-5"))
            .expect("there")
            .1
            .to_owned()
    }

    fn error(text: &str) -> String {
        parse(Path::new("x/raspberry-pi-5.toml"), text)
            .expect_err(text)
            .to_string()
    }

    #[test]
    fn every_profile_in_the_folder_is_compiled_in_sorted_and_has_its_cmake_file() {
        let names: Vec<String> = builtin().into_iter().map(|profile| profile.name).collect();
        assert!(builtin_names().eq(names.iter().map(String::as_str)));
        let root = &Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let files = toml_files(&root.join("targets")).expect("the folder");
        let compiled: Vec<PathBuf> = BUILTIN.iter().map(|row| root.join(row.0)).collect();
        assert_eq!(files, compiled);
        for profile in builtin() {
            let include = profile.build.cmake_include.expect("a file");
            assert!(root.join("targets").join(&include).is_file(), "{include}");
            assert!(!profile.user && !profile.run.file_types.is_empty());
        }
    }

    #[test]
    fn every_field_is_documented() {
        let text = include_str!("../../targets/README.md");
        let profile = serde_json::to_value(&builtin()[0]).expect("JSON");
        for section in ["match", "hardware", "build", "run"] {
            for key in profile[section].as_object().expect(section).keys() {
                assert!(text.contains(&format!("`{key}`")), "{section}.{key}");
            }
        }
    }

    #[test]
    fn wrong_fields_and_values_are_refused_with_file_line_and_what_is_allowed() {
        let cases = [
            ("cache_type = \"f16\"", "cache_type = \"f17\"", "f16"),
            ("cache_type = \"f16\"", "cache_typ = \"f16\"", "cache_type"),
            (
                "threads = 2",
                "threads = 0",
                "a number from 1 to 65536 or \"all\" or \"big\" or \"physical\"",
            ),
            ("threads = 2", "threads = \"most\"", "\"physical\""),
            ("arch = \"aarch64\"", "arch = \"mips\"", "x86_64"),
            ("repack = true", "repack = \"yes\"", "a boolean"),
            ("ubatch = 256", "ubatch = -1", "a number from 1 to 65536"),
            ("isa = [\"neon\"", "isa = [\"neom\"", "dotprod"),
            (
                "system_mib = 300",
                "system_mib = 2048",
                "leaves nothing of ram_mib = 2048",
            ),
            ("reserve_mib = 96", "reserve_mib = 4096", "leaves nothing"),
            ("file_types = [\"q4_k_m\"", "file_types = [\"q4_k_x\"", "q4_k_m"),
            ("name = \"raspberry-pi-5\"", "name = \"pi\"", "rename the file"),
            ("threads = 2", "threads = ", ""),
        ];
        for (old, new, allowed) in cases {
            let text = pi5();
            assert!(text.contains(old), "{old}");
            let line = line_of(&text, text.find(old).expect("there"));
            let error = error(&text.replacen(old, new, 1));
            assert!(
                error.starts_with(&format!("x/raspberry-pi-5.toml:{line}: ")),
                "{new}: {error}"
            );
            assert!(
                error.contains(allowed) && error.lines().count() == 1,
                "{new}: {error}"
            );
        }
    }

    #[test]
    fn the_old_name_of_the_cache_type_is_still_read() {
        let old = pi5().replace("cache_type = ", "kv_type = ");
        assert_ne!(old, pi5());
        let profile = parse(Path::new("x/raspberry-pi-5.toml"), &old).expect("read");
        assert_eq!(profile.run.cache_type.name(), "f16");
    }

    #[test]
    fn a_users_profiles_win() {
        let folder = tempfile::tempdir().expect("a folder");
        let text = pi5().replace("threads = 2", "threads = 3");
        std::fs::write(folder.path().join("raspberry-pi-5.toml"), text).expect("written");
        std::fs::write(folder.path().join("notes.txt"), "not a profile").expect("written");
        let (profiles, problems) = with_user(Some(folder.path()));
        assert_eq!((profiles.len(), problems.len()), (BUILTIN.len(), 0));
        let own = profiles
            .iter()
            .find(|p| p.name == "raspberry-pi-5")
            .expect("there");
        assert!(own.user && own.run.threads == Threads::Fixed(3));
        assert_eq!(own.hardware.cpus, Count(4));
        let (profiles, problems) = with_user(Some(Path::new("/nonexistent")));
        assert_eq!(profiles, builtin());
        assert!(problems.is_empty());
    }

    #[test]
    fn what_cannot_be_read_is_named_and_passed_over() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        let own = pi5().replace("threads = 2", "threads = 3");
        std::fs::write(at("raspberry-pi-5.toml"), own).expect("written");
        std::fs::write(at("damaged.toml"), "name =").expect("written");
        std::fs::write(at("bytes.toml"), [0xff]).expect("written");
        std::fs::create_dir(at("folder.toml")).expect("made");
        std::os::unix::fs::symlink("/dev/zero", at("endless.toml")).expect("linked");
        std::os::unix::fs::symlink("none", at("dangling.toml")).expect("linked");
        let (profiles, problems) = with_user(Some(folder.path()));
        assert_eq!(profiles.len(), BUILTIN.len());
        assert!(profiles.iter().any(|profile| profile.user));
        let named: Vec<String> = problems.iter().map(ToString::to_string).collect();
        let wrong = ["bytes", "damaged", "dangling", "endless", "folder"];
        assert_eq!(named.len(), wrong.len(), "{named:?}");
        for (line, name) in named.iter().zip(wrong) {
            assert!(
                line.contains(&format!("{name}.toml: ")) || line.contains(&format!("{name}.toml:1: ")),
                "{line}"
            );
        }
        // A file in the folder's place.
        let (profiles, problems) = with_user(Some(&at("damaged.toml")));
        assert_eq!((profiles, problems.len()), (builtin(), 1));
    }
}
