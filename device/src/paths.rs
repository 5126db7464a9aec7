//! The user's folders, by the XDG base directory specification.

use std::path::PathBuf;

use etcetera::BaseStrategy;
use etcetera::base_strategy::Xdg;

/// Files that programs write for themselves: `$XDG_STATE_HOME/siskin`, by default `~/.local/state/siskin`. `None` if
/// the user has no home.
pub fn state() -> Option<PathBuf> {
    folder(|xdg| xdg.state_dir())
}

/// Files that the user writes: `$XDG_CONFIG_HOME/siskin`, by default `~/.config/siskin`. `None` if the user has no
/// home.
pub fn config() -> Option<PathBuf> {
    folder(|xdg| Some(xdg.config_dir()))
}

fn folder(of: impl Fn(&Xdg) -> Option<PathBuf>) -> Option<PathBuf> {
    let base = Xdg::new().ok().and_then(|xdg| of(&xdg))?;
    base.is_absolute().then(|| base.join("siskin"))
}
