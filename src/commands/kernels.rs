//! The kernels that the environment asks for.

use anyhow::Context;
use siskin::device::settings::Overrides;
use siskin::ggml_hook;

/// What `$SISKIN_KERNELS` names, as settings.
pub(crate) fn environment() -> anyhow::Result<Overrides> {
    Ok(Overrides {
        kernels: ggml_hook::environment().context(ggml_hook::ENVIRONMENT)?,
        ..Overrides::default()
    })
}
