//! The one way to load a model: probe, profile, tuned settings, memory plan, affinity, kernels, load.

mod placement;
mod preflight;

use std::path::{Path, PathBuf};

use siskin_device::isa::{CpuArch, Fit, Isa};
use siskin_device::pages;
use siskin_device::probe::{Machine, Root};
use siskin_device::profile::{self, Profile, Traits};
use siskin_device::settings::{
    self, Affinity, CacheType, Kernels, Origin, Overrides, Priority, Resolved, Sources,
};
use siskin_device::tuned::{self, Tuned};
use siskin_model::gguf::{Header, ModelFile};
use siskin_model::shape::Shape;

use crate::engine::{LoadOptions, Model, STORYTELLER, compiled_features};
use crate::speculate::PassTimes;
use crate::{Error, ggml_hook};

/// A machine with its profile, as everything that loads a model sees it.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Device {
    /// What the machine has.
    pub machine: Machine,
    /// `None` if no profile fits.
    pub profile: Option<Profile>,
    /// What this program's ggml kernels were compiled with.
    pub compiled: Vec<Isa>,
    /// What of the CPU they leave unused, and what they use that it lacks.
    pub isa: Fit,
}

impl Device {
    /// Probes this machine and chooses its profile. Profiles of the user's that cannot be used are named in the machine's
    /// notes.
    pub fn probe() -> Self {
        Device::probe_under(&Root::system())
    }

    /// The same for the machine whose `/proc` and `/sys` are under `root`.
    pub fn probe_under(root: &Root) -> Self {
        let mut machine = Machine::probe(root);
        let (profiles, problems) = profile::with_user(profile::user_folder().as_deref());
        let passed_over = problems
            .iter()
            .map(|problem| format!("{problem}; this profile is not used"));
        machine.notes.extend(passed_over);
        let profile = profile::choose(&profiles, &Traits::from_machine(&machine)).cloned();
        let compiled = Isa::from_ggml(compiled_features().iter().map(String::as_str));
        // A fixture of another architecture does not describe this program.
        let isa = match CpuArch::current() {
            Some(arch) if arch == machine.cpus.arch => Fit::new(&compiled, &machine.cpus.isa),
            _ => Fit::default(),
        };
        Device {
            machine,
            profile,
            compiled,
            isa,
        }
    }

    /// The profile's name.
    pub fn profile_name(&self) -> &str {
        self.profile.as_ref().map_or("native", |profile| &profile.name)
    }

    /// What reading memory in small and in huge pages was measured at here, with the name of the file system.
    pub fn pages(&self) -> Vec<(String, pages::Measured)> {
        placement::known(self)
    }

    /// True if llama.cpp would take its AMX kernels for repacked weights. GCC 12 drops half of the stores to the tile
    /// configuration that they load, so that loading it faults; which compiler built them is unknown.
    fn repack_faults(&self) -> bool {
        [&self.compiled, &self.machine.cpus.isa]
            .iter()
            .all(|list| list.contains(&Isa::AmxInt8))
    }

    /// Binds this thread, and those that it will start, to the CPUs that `affinity` names.
    ///
    /// # Errors
    /// The system refuses; the threads then run on every CPU.
    pub fn bind(&self, affinity: Affinity) -> std::io::Result<()> {
        let cpus = &self.machine.cpus.details;
        if affinity == Affinity::None || cpus.iter().all(|cpu| cpu.big) {
            return Ok(());
        }
        let mut set = rustix::thread::CpuSet::new();
        let usable = cpus.iter().filter(|cpu| cpu.big && cpu.allowed);
        usable
            .filter(|cpu| cpu.id < rustix::thread::CpuSet::MAX_CPU)
            .for_each(|cpu| set.set(cpu.id));
        Ok(rustix::thread::sched_setaffinity(None, &set)?)
    }
}

/// Something that a user should know, although the model can be loaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Notice {
    /// The file of tuned settings cannot be read.
    #[error(transparent)]
    TunedStore(#[from] tuned::DamagedStore),
    /// Something of the machine cannot be read, and what was taken instead.
    #[error("{0}")]
    Machine(String),
    /// This program does not fit the CPU.
    #[error("{0}")]
    Instructions(String),
    /// siskin's kernels were asked for and cannot be used.
    #[error("siskin's kernels cannot be used, so ggml's are: {0}")]
    Kernels(String),
    /// The threads could not be bound.
    #[error("the threads could not be bound to the fast CPUs: {0}")]
    Affinity(std::io::Error),
    /// The file has no `tokenizer.ggml.pre`.
    #[error(
        "the model file does not say how its texts are split into words (tokenizer.ggml.pre is missing), so llama.cpp's \
         default is used and answers may be worse; a newer GGUF of the model says it"
    )]
    NoPreTokenizer,
    /// The system starts no more threads.
    #[error("the system starts only {given} of {asked} threads")]
    Threads {
        /// Threads asked for.
        asked: usize,
        /// Threads that are used.
        given: usize,
    },
    /// The system does not let this process lock the weights.
    #[error("the weights cannot be locked in memory and may be swapped out: {0}")]
    Lock(std::io::Error),
    /// The KV cache is of a smaller type than usual, so that it fits.
    #[error(
        "memory is short: the KV cache of {context} tokens is {now} instead of f16, which makes the text a little worse"
    )]
    SmallerCache {
        /// The type in use.
        now: CacheType,
        /// The context in tokens.
        context: u32,
    },
    /// The context is longer than those that the model was trained with.
    #[error(
        "a context of {asked} tokens is more than the {trained} of the model's training: beyond them its text gets worse"
    )]
    BeyondTraining {
        /// The context in tokens.
        asked: u32,
        /// The context in training.
        trained: u32,
    },
}

/// Where a model is.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Source {
    File(PathBuf),
    Embedded,
}

/// How a model is to be loaded; see [`Model::builder`].
#[derive(Debug, Clone)]
pub struct Builder {
    source: Source,
    typed: Overrides,
    environment: Overrides,
    priority: Priority,
    force: bool,
    use_tuned: bool,
    measure_again: bool,
    any_architecture: bool,
    vocab_only: bool,
    device: Option<Device>,
}

impl Model {
    /// The way to load the GGUF file at `path`: it probes the machine, takes what was tuned for it or its profile's
    /// settings, plans the memory, refuses what does not fit, binds threads and switches siskin's kernels on.
    ///
    /// ```no_run
    /// # fn main() -> Result<(), siskin_runtime::Error> {
    /// let model = siskin_runtime::Model::builder("llama-q4_k_m.gguf").context(4096).load()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn builder(path: impl Into<PathBuf>) -> Builder {
        Builder::new(Source::File(path.into()))
    }

    /// The same for the embedded storyteller of 3.7 million parameters.
    pub fn embedded() -> Builder {
        Builder::new(Source::Embedded)
    }
}

impl Builder {
    fn new(source: Source) -> Self {
        Builder {
            source,
            typed: Overrides::default(),
            environment: Overrides::default(),
            priority: Priority::Balanced,
            force: false,
            use_tuned: true,
            measure_again: false,
            any_architecture: false,
            vocab_only: false,
            device: None,
        }
    }

    /// Context in tokens; 0 for as many as fit, up to the training length.
    pub fn context(mut self, tokens: u32) -> Self {
        self.typed.context = Some(tokens);
        self
    }

    /// Threads for decoding, and for the prompt if nothing else is set for it.
    pub fn threads(mut self, count: usize) -> Self {
        self.typed.threads = Some(count);
        self
    }

    /// Settings that were asked for by name; they replace those asked for before.
    pub fn overrides(mut self, typed: Overrides) -> Self {
        self.typed = typed;
        self
    }

    /// Settings that the environment names; weaker than those asked for.
    pub fn environment(mut self, environment: Overrides) -> Self {
        self.environment = environment;
        self
    }

    /// What matters most.
    pub fn priority(mut self, priority: Priority) -> Self {
        self.priority = priority;
        self
    }

    /// Load even what does not fit into memory.
    pub fn force(mut self, force: bool) -> Self {
        self.force = force;
        self
    }

    /// Whether what the size of pages costs is measured again, even if it is known; it is not by default.
    pub fn measure_again(mut self, again: bool) -> Self {
        self.measure_again = again;
        self
    }

    /// Whether settings that were tuned or measured on this machine are used; they are by default.
    pub fn use_tuned(mut self, use_tuned: bool) -> Self {
        self.use_tuned = use_tuned;
        self
    }

    /// Load architectures too whose shapes siskin cannot check: llama.cpp may abort the process on damaged files.
    pub fn any_architecture(mut self, any: bool) -> Self {
        self.any_architecture = any;
        self
    }

    /// Load the tokenizer only: no weights, so nothing to plan.
    pub fn vocab_only(mut self) -> Self {
        self.vocab_only = true;
        self
    }

    /// A device that was probed before.
    pub fn device(mut self, device: Device) -> Self {
        self.device = Some(device);
        self
    }

    /// Decides every setting, and loads nothing yet.
    ///
    /// # Errors
    /// The model does not fit, or a setting cannot be had.
    pub fn plan(self) -> Result<LoadPlan, Error> {
        // A file that cannot be planned is loaded with the defaults: loading it has the better error.
        let shape = if self.vocab_only { None } else { self.shape().ok() };
        self.plan_for(shape)
    }

    /// The same, for a model whose shape is known already.
    ///
    /// # Errors
    /// As [`Builder::plan`]'s.
    pub fn plan_for(self, shape: Option<Shape>) -> Result<LoadPlan, Error> {
        let device = self.device.clone().unwrap_or_else(Device::probe);
        let mut notices: Vec<Notice> = Vec::new();
        let tuned = match self.tuned(&device, shape.as_ref()) {
            Ok(tuned) => tuned,
            Err(damaged) => {
                notices.push(damaged.into());
                None
            }
        };
        notices.extend(device.machine.notes.iter().cloned().map(Notice::Machine));
        let warning = device.isa.warning(device.profile_name());
        notices.extend(warning.map(Notice::Instructions));
        let placed = placement::of(&self, &device, shape.as_ref(), tuned.as_ref());
        let mut settings = settings::resolve(&Sources {
            typed: &self.typed,
            environment: &self.environment,
            priority: self.priority,
            force: self.force,
            tuned: tuned.as_ref(),
            pages: placed.as_ref().map(|placed| &placed.choice),
            profile: device.profile.as_ref(),
            machine: &device.machine,
            shape: shape.as_ref(),
            repack_faults: device.repack_faults(),
        })?;
        if !self.vocab_only {
            notices.extend(preflight::check(&mut settings, shape.as_ref())?);
        }
        Ok(LoadPlan {
            source: self.source,
            any_architecture: self.any_architecture,
            vocab_only: self.vocab_only,
            device,
            shape,
            settings,
            notices,
            mark: placed.and_then(|placed| placed.mark),
            tuned,
        })
    }

    /// Plans and loads.
    ///
    /// # Errors
    /// The model does not fit, the file is damaged, or llama.cpp refuses it.
    pub fn load(self) -> Result<Model, Error> {
        self.plan()?.load()
    }

    fn shape(&self) -> Result<Shape, Box<dyn std::error::Error>> {
        let header = match &self.source {
            Source::File(path) => read_header(path)?,
            Source::Embedded => Header::parse(STORYTELLER, STORYTELLER.len() as u64)?,
        };
        Ok(Shape::from_header(&header)?)
    }

    fn tuned(&self, device: &Device, shape: Option<&Shape>) -> Result<Option<Tuned>, tuned::DamagedStore> {
        let known = shape.zip(tuned::path()).filter(|_| self.use_tuned);
        known.map_or(Ok(None), |(shape, path)| {
            tuned::load(&path, &tuned::key(&device.machine, shape))
        })
    }
}

fn read_header(path: &Path) -> Result<Header, Error> {
    Ok(ModelFile::open(path)?.header)
}

/// A model that can be loaded, and how. Between planning and loading, a program may set up what only a process can:
/// its environment, or print something.
#[derive(Debug)]
pub struct LoadPlan {
    source: Source,
    any_architecture: bool,
    vocab_only: bool,
    /// The machine.
    pub device: Device,
    /// The model's shape; `None` if its header does not state it.
    pub shape: Option<Shape>,
    /// The settings in force, where each came from, and what they take.
    pub settings: Resolved,
    /// What a user should know.
    pub notices: Vec<Notice>,
    /// What was measured for such a model on this machine, if it was.
    pub tuned: Option<Tuned>,
    mark: Option<placement::Mark>,
}

/// The depth at which measured passes count for speculation: in the middle of usual texts.
const USUAL_DEPTH: u32 = 512;

impl LoadPlan {
    /// What passes over several tokens take relative to one, as far as it was measured.
    pub fn pass_times(&self) -> PassTimes {
        PassTimes::new(|tokens| self.tuned.as_ref()?.pass_cost(tokens, USUAL_DEPTH))
    }

    /// Binds this thread and switches the kernels. [`LoadPlan::load`] does so too; a program that runs the model in
    /// other processes does it there.
    pub fn apply(&self) -> Vec<Notice> {
        let mut notices = Vec::new();
        let (values, origins) = (&self.settings.values, &self.settings.origins);
        let status = ggml_hook::select(values.kernels, values.prefetch_bytes);
        let asked = matches!(origins.kernels, Origin::Flag | Origin::Environment);
        if let (true, Kernels::Siskin, Some(reason)) = (asked, values.kernels, status.reason) {
            notices.push(Notice::Kernels(reason));
        }
        if let Err(error) = self.device.bind(values.affinity) {
            notices.push(Notice::Affinity(error));
        }
        notices
    }

    /// Binds threads, switches the kernels and loads the model.
    ///
    /// # Errors
    /// The file is damaged, or llama.cpp refuses it.
    pub fn load(mut self) -> Result<Model, Error> {
        // Nothing is computed with a tokenizer alone.
        if !self.vocab_only {
            let notices = self.apply();
            self.notices.extend(notices);
        }
        if self.mark.as_ref().is_some_and(|mark| !mark.keep()) {
            self.settings.values.huge_pages = false;
        }
        let options = LoadOptions {
            values: self.settings.values,
            any_architecture: self.any_architecture,
            vocab_only: self.vocab_only,
            ..LoadOptions::default()
        };
        let path = match &self.source {
            Source::File(path) => Some(path.as_path()),
            Source::Embedded => None,
        };
        Model::open_resolved(path, &options, self.settings)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Sampling;

    #[test]
    fn three_lines_make_a_text() {
        let model = Model::embedded().context(256).load().expect("loads");
        let mut session = model.session().expect("a session");
        assert_eq!(session.capacity(), 256);
        let text: String = session
            .generate("Once upon a time", &Sampling::greedy().max_tokens(8))
            .expect("a text")
            .map(|piece| piece.expect("a piece"))
            .collect();
        assert!(text.len() > 8, "{text:?}");
    }

    #[test]
    fn plans_name_the_source_of_each_setting() {
        let plan = Model::embedded()
            .threads(1)
            .use_tuned(false)
            .plan()
            .expect("fits");
        let (values, origins) = (&plan.settings.values, &plan.settings.origins);
        assert_eq!((values.threads, origins.threads), (1, Origin::Flag));
        assert_eq!((values.threads_batch, origins.threads_batch), (1, Origin::Flag));
        assert!(plan.settings.plan.is_some_and(|plan| plan.fits));
    }

    #[test]
    fn a_tokenizer_alone_needs_no_plan() {
        let plan = Model::embedded().vocab_only().plan().expect("nothing to refuse");
        assert!(plan.shape.is_none() && plan.settings.plan.is_none());
        let model = plan.load().expect("loads");
        assert!(!model.tokenize("Once", crate::Tokenize::PLAIN).is_empty());
    }

    #[test]
    fn a_file_that_is_not_there_is_an_error_of_its_kind() {
        let error = Model::builder("/nonexistent.gguf").load().expect_err("no file");
        assert_eq!(error.kind(), crate::ErrorKind::File);
        assert!(error.to_string().starts_with("/nonexistent.gguf: "), "{error}");
    }
}
