//! `siskin tune`: finds the fastest settings for a model on this machine by measuring, and saves them.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, anyhow};
use indicatif::ProgressBar;
use siskin::device::tuned;
use siskin::{LoadPlan, Model, STORYTELLER, ggml_hook};
use siskin_harness::tune::{self, Effort, Request, TuneReport};
use siskin_harness::{Event, Harness, ModelInfo, report};

use super::{bench, kernels, notices};
use crate::render::{progress, text};
use crate::{environment, interrupt};

/// Finds the fastest settings for a model on this machine and saves them
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Example:
  siskin tune model.gguf --quick

run, chat, imatrix and bench then use the saved settings; --forget removes them. Settings replace others only if they \
are faster by more than noise. siskin estimates how long it takes before it starts. On a board such as the Raspberry \
Pi 5, a model of 1 billion parameters takes roughly 5 minutes with --quick, 15 minutes without, and an hour with \
--full (estimates, not measurements). Let the machine do nothing else meanwhile: siskin does not save what it \
measured while other programs used the CPUs.")]
pub(crate) struct TuneArgs {
    /// GGUF file [default: the embedded storyteller]
    pub(crate) model: Option<PathBuf>,
    /// Fewer rounds and shorter texts: a third of the time
    #[arg(long, conflicts_with = "full")]
    quick: bool,
    /// More rounds and longer texts: four times as long, for figures to publish
    #[arg(long)]
    full: bool,
    /// Remove the saved settings of this model, and measure nothing
    #[arg(long, conflicts_with_all = ["quick", "full", "json"])]
    forget: bool,
    /// Measure even if the model does not fit into memory, and save the result even if other programs
    /// used the CPUs
    #[arg(long)]
    force: bool,
    /// Measure an architecture that siskin cannot check; llama.cpp may abort if such a file is damaged
    #[arg(long)]
    any_arch: bool,
    /// Print one JSON object instead of the table
    #[arg(long)]
    json: bool,
    /// Show llama.cpp's log
    #[arg(short, long)]
    verbose: bool,
}

pub(crate) fn main(args: TuneArgs) -> anyhow::Result<ExitCode> {
    if args.forget {
        return args.forget();
    }
    // Before anything is measured: is there a place to save the result?
    let store = path().and_then(|path| {
        tuned::check(&path)?;
        check_folder(&path)?;
        Ok(path)
    });
    // A folder that was asked for by name is a mistake to correct; a home may just not be there.
    let is_asked_for = std::env::var_os("XDG_STATE_HOME").is_some_and(|folder| !folder.is_empty());
    match &store {
        Err(_) if is_asked_for => return store.map(|_| ExitCode::SUCCESS),
        Err(error) => say!("siskin: warning: {error:#}; the result will be printed but not saved"),
        Ok(_) => {}
    }
    let info = args.info()?;
    let plan = args.plan(&info)?;
    let key = tuned::key(&plan.device.machine, &info.shape);
    notices::print(&plan.notices);
    let report = match args.measure(&info, plan) {
        Ok(report) => report,
        Err(error) => match bench::interruption(&error) {
            Some(code) => {
                say!("siskin: interrupted; nothing was saved");
                return Ok(code);
            }
            None => return Err(error),
        },
    };
    // The table is printed whether or not its result can be saved.
    let saved = if args.force || !report.is_disturbed() {
        store.and_then(|store| {
            tuned::save(&store, &key, &report.tuned)?;
            Ok(store)
        })
    } else {
        Err(anyhow!(
            "other programs used the CPUs, so the result is unreliable; run it again when they are done, or give --force"
        ))
    };
    args.print(&report, &info, saved.as_deref().ok())?;
    saved.context("the result was not saved")?;
    Ok(ExitCode::SUCCESS)
}

/// The file of results.
fn path() -> anyhow::Result<PathBuf> {
    tuned::path()
        .context("neither $XDG_STATE_HOME nor $HOME is set, so there is no folder to save the result in")
}

/// Makes the folder of the results, and a file in it: permissions would not show read-only mounts and full disks.
fn check_folder(results: &Path) -> anyhow::Result<()> {
    let Some(folder) = results.parent() else {
        return Ok(());
    };
    let name = || folder.display().to_string();
    std::fs::create_dir_all(folder).with_context(name)?;
    let probe = folder.join(format!(".tune.{}.partial", std::process::id()));
    std::fs::write(&probe, [0]).with_context(name)?;
    std::fs::remove_file(&probe).with_context(name)
}

impl TuneArgs {
    fn info(&self) -> anyhow::Result<ModelInfo> {
        Ok(match &self.model {
            Some(path) => ModelInfo::open(path)?,
            None => ModelInfo::from_bytes(STORYTELLER, "storyteller")?,
        })
    }

    /// Removes what is saved of the model.
    fn forget(&self) -> anyhow::Result<ExitCode> {
        let store = path()?;
        let info = self.info()?;
        let key = tuned::key(&self.plan(&info)?.device.machine, &info.shape);
        let what = if tuned::forget(&store, &key)? {
            "removed the settings of this model"
        } else {
            "no settings of this model were saved"
        };
        writeln!(text::stdout(), "{what} in {}", store.display())?;
        Ok(ExitCode::SUCCESS)
    }

    /// The plan without tuned settings.
    fn plan(&self, info: &ModelInfo) -> anyhow::Result<LoadPlan> {
        let builder = self.model.as_ref().map_or_else(Model::embedded, Model::builder);
        let plan = builder
            .environment(kernels::environment()?)
            .use_tuned(false)
            .measure_again(!self.forget)
            .force(self.force || self.forget)
            .plan_for(Some(info.shape.clone()));
        Ok(plan?)
    }

    fn measure(&self, info: &ModelInfo, plan: LoadPlan) -> anyhow::Result<TuneReport> {
        notices::print(&plan.apply());
        let mut start = plan.settings;
        // Which kernels can be used is known after they were selected.
        start.values.kernels = ggml_hook::status().kernels;
        let request = Request {
            model: self.model.clone(),
            info: info.clone(),
            any_architecture: self.any_arch,
            start,
            cpus: plan.device.machine.cpus.available,
            effort: match (self.quick, self.full) {
                (true, _) => Effort::QUICK,
                (_, true) => Effort::FULL,
                _ => Effort::USUAL,
            },
            environment: &|settings| environment::wanted(settings, info.shape.weight_bytes),
            measured_at: SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0, |since| since.as_secs()),
        };
        let program = std::env::current_exe().context("this program, to start it as a worker")?;
        let harness = Harness {
            worker: &|| bench::worker_command(&program, self.verbose),
            interrupted: interrupt::listen(),
        };
        let bar = progress::steps();
        let report = tune::run(&request, &harness, |event| self.show(&bar, &event));
        bar.finish_and_clear();
        Ok(report?)
    }

    fn show(&self, bar: &ProgressBar, event: &Event<'_>) {
        match event {
            Event::Step { done, total, what } => progress::show_step(bar, *done, *total, what),
            Event::Busy(load) if !self.force => bar.suspend(|| {
                say!("siskin: warning: {load}, so the result will not be saved; run it again when they are done, or give --force");
            }),
            event => bar.suspend(|| say!("siskin: {event}")),
        }
    }

    /// `saved` is the file that has the result now.
    fn print(&self, report: &TuneReport, info: &ModelInfo, saved: Option<&Path>) -> anyhow::Result<()> {
        let mut out = text::stdout();
        if self.json {
            let mut json = serde_json::to_value(report)?;
            // The settings are fields of the result, next to its speeds.
            if let Some(tuned) = json["tuned"].as_object_mut()
                && let Some(serde_json::Value::Object(settings)) = tuned.remove("settings")
            {
                tuned.extend(settings);
            }
            json["file"] = saved.map(|file| file.display().to_string()).into();
            json["kept"] = saved.is_some().into();
            return Ok(writeln!(out, "{}", text::json(&json)?)?);
        }
        let width = bench::width();
        let mut lines = vec![
            "*: chosen. cache-type is only shown, never chosen, because it changes what the model writes. flash-attn and \
             cache-type are measured in a context 8 times as long, because attention matters more there."
                .to_owned(),
            report.won(),
        ];
        lines.extend(report.passes());
        lines.extend(report.notes());
        if let Some(file) = saved {
            let model = self.model.as_ref();
            let model = model.map_or(String::new(), |path| format!(" {}", path.display()));
            lines.push(format!(
                "saved in {}; to undo: siskin tune{model} --forget",
                file.display()
            ));
        }
        write!(out, "{}", report::text_table(&tune::table(report, info), width))?;
        for line in lines {
            write!(out, "{}", report::wrap(&line, "", width))?;
        }
        Ok(())
    }
}
