//! Whose kernels decode: from flag and environment to what is asked for, and from settings to the switch.

use siskin::device::settings::{Chosen, Origin, Settings};
use siskin::kernel::{self, Kernels};

/// What the flag asks for, else the environment.
pub(crate) fn asked(flag: Option<Kernels>) -> anyhow::Result<Option<Chosen<Kernels>>> {
    let of = |origin| move |value| Chosen { value, origin };
    if flag.is_some() {
        return Ok(flag.map(of(Origin::Flag)));
    }
    let named = std::env::var(kernel::ENVIRONMENT).ok();
    let named = named.map(|name| name.parse()).transpose();
    let named = named.map_err(|error: String| anyhow::anyhow!("{}: {error}", kernel::ENVIRONMENT))?;
    Ok(named.map(of(Origin::Environment)))
}

/// Switches; says where siskin's kernels were asked for in vain.
pub(crate) fn select(settings: &Settings) {
    let Chosen { value, origin } = settings.kernels;
    let status = kernel::select(&kernel::Settings {
        kernels: value,
        prefetch_bytes: settings.prefetch_bytes.value,
    });
    let asked = matches!(origin, Origin::Flag | Origin::Environment);
    if let (true, Kernels::Siskin, Some(reason)) = (asked, value, status.reason) {
        say!("siskin: no kernels of its own, ggml's are used: {reason}");
    }
}
