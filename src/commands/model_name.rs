//! MODEL on the command line: a path, or the name of a model of the store, or of one that is pulled first.

use std::path::{Path, PathBuf};

use siskin_harness::catalog;
use siskin_hub::store::{Store, Stored};

/// The user's store.
///
/// # Errors
/// The user has no home.
pub(crate) fn store() -> anyhow::Result<Store> {
    Ok(Store::of_user(|name| std::env::var_os(name))?)
}

/// The model of the store that a name means; also a short name of the catalogue.
///
/// # Errors
/// There is none, or there are several.
pub(crate) fn find(store: &Store, name: &str) -> anyhow::Result<Stored> {
    Ok(store.get(name, base(name))?)
}

/// The name of the repository that a short name of the catalogue means.
fn base(name: &str) -> Option<&'static str> {
    let entry = catalog::find(name)?;
    entry.repository.rsplit('/').next()
}

/// The file that MODEL means. A path that is there is itself. A model that is used is noted in the store.
///
/// # Errors
/// A name means several models, or what has to be pulled cannot be.
pub(crate) fn file(typed: &Path) -> anyhow::Result<PathBuf> {
    let Ok(store) = store() else {
        return Ok(typed.to_owned());
    };
    let found = resolve(&store, typed)?;
    store.touch(&found);
    Ok(found)
}

fn resolve(store: &Store, typed: &Path) -> anyhow::Result<PathBuf> {
    if std::fs::symlink_metadata(typed).is_ok() {
        return Ok(typed.to_owned());
    }
    let Some(text) = typed.to_str() else {
        return Ok(typed.to_owned());
    };
    if !text.contains('/') && !is_elsewhere(typed) {
        let found = store.find(text, base(text))?;
        // Who loads the file says that it is not there.
        return Ok(found.map_or_else(|| typed.to_owned(), |model| model.path().to_owned()));
    }
    pulled(store, text).unwrap_or_else(|| Ok(typed.to_owned()))
}

/// Names of other places begin with one of these: a path with a slash alone may be a slip.
const PLACES: [&str; 4] = ["hf:", "ollama:", "oci:", "https://"];

/// Whether a text is a name of a model elsewhere.
pub(crate) fn is_elsewhere(typed: &Path) -> bool {
    let text = typed.to_str().unwrap_or_default();
    PLACES.iter().any(|place| text.starts_with(place)) && std::fs::symlink_metadata(typed).is_err()
}

/// The file of a model elsewhere, which is pulled if it was not before; `None` if it is no such name.
#[cfg(feature = "pull")]
fn pulled(store: &Store, text: &str) -> Option<anyhow::Result<PathBuf>> {
    is_elsewhere(Path::new(text)).then_some(())?;
    Some(super::pull::name(text).and_then(|name| super::pull::ensure(store, &name)))
}

#[cfg(not(feature = "pull"))]
fn pulled(_: &Store, text: &str) -> Option<anyhow::Result<PathBuf>> {
    is_elsewhere(Path::new(text)).then_some(())?;
    Some(Err(anyhow::anyhow!(
        "{text}: this build of siskin gets no models; it was made without the feature pull"
    )))
}
