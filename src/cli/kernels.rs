//! Whose kernels decode: from flag and environment to the switch.

use siskin::kernel::{self, Kernels, Settings};

/// Switches to the kernels of the flag, else of the environment; says where siskin's were asked for in vain.
pub(crate) fn select(flag: Option<Kernels>) -> anyhow::Result<()> {
    let named = std::env::var(kernel::ENVIRONMENT).ok();
    let named = named.map(|name| name.parse()).transpose();
    let asked = match flag {
        Some(kernels) => Some(kernels),
        None => named.map_err(|error: String| anyhow::anyhow!("{}: {error}", kernel::ENVIRONMENT))?,
    };
    let default = Settings::default();
    let status = kernel::select(&Settings {
        kernels: asked.unwrap_or(default.kernels),
        ..default
    });
    if let (Some(Kernels::Siskin), Some(reason)) = (asked, status.reason) {
        eprintln!("siskin: no kernels of its own, ggml's are used: {reason}");
    }
    Ok(())
}
