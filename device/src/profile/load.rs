//! Reads profiles: those compiled in, and the user's own, which override them.

use std::io::Read;
use std::path::{Path, PathBuf};

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
    /// The file or folder cannot be read.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
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
/// # Errors
/// If the folder or a `.toml` file in it cannot be read, or one is not a valid profile.
pub fn with_user(folder: Option<&Path>) -> Result<Vec<Profile>, ProfileError> {
    let mut profiles = builtin();
    for path in folder.map_or(Ok(vec![]), toml_files)? {
        let profile = Profile {
            user: true,
            ..parse(&path, &read(&path)?)?
        };
        profiles.retain(|other| other.name != profile.name);
        profiles.push(profile);
    }
    profiles.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(profiles)
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
    let mut text = String::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(MAX_PROFILE).read_to_string(&mut text))
        .map_err(|source| ProfileError::Io {
            path: path.to_owned(),
            source,
        })?;
    Ok(text)
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
        let profiles = with_user(Some(folder.path())).expect("profiles");
        assert_eq!(profiles.len(), BUILTIN.len());
        let own = profiles
            .iter()
            .find(|p| p.name == "raspberry-pi-5")
            .expect("there");
        assert!(own.user && own.run.threads == Threads::Fixed(3));
        assert_eq!(own.hardware.cpus, Count(4));
        assert_eq!(
            with_user(Some(Path::new("/nonexistent"))).expect("none"),
            builtin()
        );
    }
}
