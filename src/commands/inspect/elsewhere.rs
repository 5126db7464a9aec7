//! A model that is not here: what its repository and its headers tell.

use std::process::ExitCode;

use super::InspectArgs;

/// Prints what is known of a model elsewhere.
///
/// # Errors
/// There is no such model, or the network fails.
#[cfg(feature = "pull")]
pub(super) fn inspect(args: &InspectArgs) -> anyhow::Result<ExitCode> {
    use std::io::Write;

    use siskin_hub::net::pull::Look;
    use siskin_model::FileType;
    use siskin_model::config::Config;
    use siskin_model::gguf::ModelFile;
    use siskin_quant::outline;

    use crate::commands::elsewhere::{Seen, look};
    use crate::render::{size, text};

    let Seen { look, rate, .. } = look(&args.file, None)?;
    let (repo, config, bytes) = match look {
        Look::Ready(files) => {
            let bytes = files.bytes();
            let code = args.print(&ModelFile::of(files.remote()?)?)?;
            if !args.json {
                say!("siskin: {} to download{}", size::bytes(bytes), rate.time(bytes));
            }
            return Ok(code);
        }
        Look::Checkpoint {
            repo, config, bytes, ..
        } => (repo, Config::from_json(&config)?, bytes),
    };
    let mut sizes = Vec::new();
    for ty in [FileType::Q4KM, FileType::Q8_0, FileType::F16] {
        let shape = outline::shape(&config, ty)?;
        sizes.push((ty, shape.header_bytes + shape.weight_bytes, shape));
    }
    let Some((_, _, shape)) = sizes.first() else {
        return Ok(ExitCode::SUCCESS);
    };
    let mut out = text::stdout();
    if args.json {
        let report = serde_json::json!({
            "repository": repo.id,
            "commit": repo.commit,
            "architecture": shape.arch,
            "parameters": shape.parameters,
            "layers": shape.layers,
            "context": shape.training_context,
            "source_bytes": bytes,
            "files": sizes.iter().map(|(ty, bytes, _)| (ty.name().to_owned(), *bytes)).collect::<std::collections::BTreeMap<_, _>>(),
            "bytes_per_second": rate.bytes_per_second(),
        });
        writeln!(out, "{}", text::json(&report)?)?;
        return Ok(ExitCode::SUCCESS);
    }
    writeln!(
        out,
        "{}: a checkpoint at {}",
        text::escaped(&repo.id),
        repo.commit
    )?;
    writeln!(
        out,
        "  {}, {} parameters, {} blocks, trained on {} tokens of context",
        text::escaped(&shape.arch),
        siskin_harness::report::number::parameters(shape.parameters),
        shape.layers,
        shape.training_context
    )?;
    writeln!(out, "  {} to read{}", size::bytes(bytes), rate.time(bytes))?;
    for (ty, bytes, _) in &sizes {
        writeln!(out, "  about {} as {ty}", size::bytes(*bytes))?;
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(not(feature = "pull"))]
pub(super) fn inspect(args: &InspectArgs) -> anyhow::Result<ExitCode> {
    anyhow::bail!(
        "{}: this build of siskin looks at no other machine",
        args.file.display()
    )
}
