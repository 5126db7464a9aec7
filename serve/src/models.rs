//! The models that are served: loaded when they are asked for, within one memory budget, and unloaded when nobody asks.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use siskin_runtime::scheduler::{Costs, Limits};
use siskin_runtime::{Builder, Error, LoadPlan};

use crate::engine::{self, Engine, Guessing, StateKey};
use crate::error::{ApiError, Kind};
use crate::facts::Facts;
use crate::live::Live;

/// A model to serve.
#[derive(Debug, Clone)]
pub struct ModelConfig {
    /// The name that clients use.
    pub name: String,
    /// Its file; `None` for the embedded storyteller.
    pub path: Option<PathBuf>,
    /// How it is loaded.
    pub builder: Builder,
    /// How the smaller model is loaded that guesses for it; `None` if none does.
    pub draft: Option<Builder>,
}

/// One of the models.
#[derive(Debug)]
pub(crate) struct Entry {
    /// The name that clients use.
    pub(crate) name: String,
    /// What its header says.
    pub(crate) facts: Facts,
    path: Option<PathBuf>,
    builder: Builder,
    /// How the smaller model is loaded that guesses for it.
    draft: Option<Builder>,
    state: Mutex<Loaded>,
    /// Handlers that use it.
    users: AtomicU32,
    /// When it was used last, in milliseconds of the engine's time.
    used: AtomicU64,
    /// A time that a client wants it kept, in milliseconds of the engine's time.
    keep: AtomicU64,
}

#[derive(Debug, Default)]
struct Loaded {
    live: Option<Arc<Live>>,
    /// The plan's figure for everything that it takes, in bytes; 0 until it was planned.
    planned: u64,
    /// Costs that were measured before it was unloaded.
    costs: Option<Costs>,
}

impl Entry {
    /// The loaded model, if it is.
    pub(crate) fn live(&self) -> Option<Arc<Live>> {
        self.state().live.clone()
    }

    /// Bytes that it takes when it is loaded, as planned; 0 if it was never planned.
    pub(crate) fn planned_bytes(&self) -> u64 {
        self.state().planned
    }

    /// Until when a client wants it kept, as the engine's time.
    pub(crate) fn kept_until(&self) -> Duration {
        Duration::from_millis(self.keep.load(Ordering::Relaxed))
    }

    fn state(&self) -> std::sync::MutexGuard<'_, Loaded> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Somebody who uses a model, or waits for it: it is not unloaded before this is dropped.
#[derive(Debug)]
struct User {
    entry: Arc<Entry>,
    engine: Engine,
}

impl User {
    fn new(entry: &Arc<Entry>, engine: &Engine) -> Self {
        entry.users.fetch_add(1, Ordering::Relaxed);
        User {
            entry: entry.clone(),
            engine: engine.clone(),
        }
    }
}

impl Drop for User {
    fn drop(&mut self) {
        let now = self.engine.now().as_millis() as u64;
        self.entry.used.store(now, Ordering::Relaxed);
        self.entry.users.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A model in use.
#[derive(Debug)]
pub(crate) struct Lease {
    /// The model.
    pub(crate) live: Arc<Live>,
    user: User,
}

impl Lease {
    /// Has the model kept for so long after this.
    pub(crate) fn keep_for(&self, time: Duration) {
        let until = (self.user.engine.now() + time).as_millis() as u64;
        self.user.entry.keep.store(until, Ordering::Relaxed);
    }
}

/// How contexts are shared.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sharing {
    /// Requests computed at the same time.
    pub(crate) parallel: usize,
    /// Whether bits depend on nothing but the request.
    pub(crate) deterministic: bool,
    /// Requests that would wait longer are refused.
    pub(crate) max_wait: Duration,
    /// Whether prefixes are stored.
    pub(crate) stores: bool,
    /// Whether tokens are guessed.
    pub(crate) speculates: bool,
    /// Whether models of which none can be guessed are refused.
    pub(crate) must_speculate: bool,
}

/// Every model.
#[derive(Debug)]
pub(crate) struct Models {
    entries: Vec<Arc<Entry>>,
    engine: Engine,
    /// Bytes for all of them; `None` for what the first plan may use.
    memory: Option<u64>,
    sharing: Sharing,
    /// One model is loaded, the others wait.
    loading: tokio::sync::Mutex<()>,
    /// Loads so far, and unloads.
    pub(crate) loads: AtomicU64,
    /// Unloads so far.
    pub(crate) unloads: AtomicU64,
}

impl Models {
    /// Reads every header; loads nothing.
    ///
    /// # Errors
    /// A file is not a model.
    pub(crate) fn new(
        configs: Vec<ModelConfig>,
        engine: Engine,
        memory: Option<u64>,
        sharing: Sharing,
    ) -> Result<Self, Error> {
        let entries = configs.into_iter().map(|config| {
            Ok(Arc::new(Entry {
                facts: Facts::read(config.path.as_deref())?,
                name: config.name,
                path: config.path,
                builder: config.builder,
                draft: config.draft,
                state: Mutex::default(),
                users: AtomicU32::new(0),
                used: AtomicU64::new(0),
                keep: AtomicU64::new(0),
            }))
        });
        Ok(Models {
            entries: entries.collect::<Result<_, Error>>()?,
            engine,
            memory,
            sharing,
            loading: tokio::sync::Mutex::default(),
            loads: AtomicU64::new(0),
            unloads: AtomicU64::new(0),
        })
    }

    /// Requests of a model that are computed at the same time.
    pub(crate) fn parallel(&self) -> usize {
        self.sharing.parallel
    }

    /// Every model, in the order of the command line.
    pub(crate) fn entries(&self) -> &[Arc<Entry>] {
        &self.entries
    }

    /// The model of a name, also as `NAME:latest`; the first if none is given.
    ///
    /// # Errors
    /// There is none.
    pub(crate) fn find(&self, name: Option<&str>) -> Result<&Arc<Entry>, ApiError> {
        let Some(name) = name.filter(|name| !name.is_empty()) else {
            return self
                .entries
                .first()
                .ok_or_else(|| ApiError::new(Kind::NotFound, "no model is served"));
        };
        let plain = name.strip_suffix(":latest").unwrap_or(name);
        let found = self
            .entries
            .iter()
            .find(|entry| entry.name == name || entry.name == plain);
        found.ok_or_else(|| {
            let names: Vec<&str> = self.entries.iter().map(|entry| entry.name.as_str()).collect();
            let shown: String = name.chars().take(100).collect();
            ApiError {
                param: Some("model".into()),
                ..ApiError::new(
                    Kind::NotFound,
                    format!("there is no model {shown:?} here; there is {}", names.join(", ")),
                )
            }
        })
    }

    /// A model to use; it is loaded if it is not.
    ///
    /// # Errors
    /// There is no such model, it does not fit into memory beside those in use, or its file is damaged by now.
    pub(crate) async fn lease(self: &Arc<Self>, name: Option<&str>) -> Result<Lease, ApiError> {
        let entry = self.find(name)?;
        // Counted before it is looked for, so that it is not unloaded in between.
        let user = User::new(entry, &self.engine);
        if let Some(live) = entry.live() {
            return Ok(Lease { live, user });
        }
        // Loading goes on if the client leaves, so that nothing is half-loaded. One model loads at a time, so that each
        // sees what the others take.
        let (models, wanted) = (self.clone(), entry.clone());
        let loading = tokio::spawn(async move {
            let _one = models.loading.lock().await;
            match wanted.live() {
                Some(live) => Ok(live),
                None => models.load(&wanted).await,
            }
        });
        let loaded = loading.await;
        let live = loaded.map_err(|_| ApiError::new(Kind::Internal, "loading the model failed"))??;
        Ok(Lease { live, user })
    }

    async fn load(&self, entry: &Arc<Entry>) -> Result<Arc<Live>, ApiError> {
        let builder = entry.builder.clone();
        let planned = blocking(move || builder.plan()).await?;
        let plan = planned.map_err(no_memory)?;
        let (bytes, usable) = match &plan.settings.plan {
            Some(plan) => (plan.total_bytes, plan.usable_bytes),
            None => (entry.facts.bytes, u64::MAX),
        };
        let draft = match entry.draft.clone() {
            Some(builder) => Some(blocking(move || builder.plan()).await?.map_err(no_memory)?),
            None => None,
        };
        let of_draft = draft.as_ref().and_then(|plan| plan.settings.plan.as_ref());
        let bytes = bytes + of_draft.map_or(0, |plan| plan.total_bytes);
        entry.state().planned = bytes;
        self.make_room(entry, bytes, self.memory.unwrap_or(usable))?;
        let limits = self.limits(&plan, &entry.facts);
        let costs = entry.state().costs.clone().unwrap_or_else(|| costs(&plan));
        let times = self.sharing.speculates.then(|| plan.pass_times());
        let (is_only, must) = (self.entries.len() == 1, self.sharing.must_speculate);
        let (path, stores) = (entry.path.clone(), self.sharing.stores);
        let loaded = blocking(move || {
            let fingerprint = stores.then(|| engine::fingerprint(path.as_deref())).flatten();
            let key = fingerprint.and_then(|fingerprint| StateKey::new(&plan, fingerprint, &limits));
            let model = plan.load()?;
            if must {
                model.check_speculation()?;
            }
            let guessing = times
                .map(|times| Guessing::new(times, draft, &model, is_only))
                .transpose()?;
            Ok((model, key, guessing))
        });
        let (model, key, guessing) = loaded.await?.map_err(no_memory)?;
        let slot = self
            .engine
            .open(model.clone(), limits, costs, key, guessing)
            .await;
        let slot = slot.map_err(no_memory)?;
        let share = if limits.shared {
            limits.cells / limits.parallel as u32
        } else {
            limits.cells
        };
        let (name, facts, sizes) = (entry.name.clone(), entry.facts.clone(), (limits.cells, share));
        let live = blocking(move || Live::new(name, model, slot, sizes, facts)).await?;
        let live = match live {
            Ok(live) => Arc::new(live),
            Err(error) => {
                self.engine.close(slot);
                return Err(error.into());
            }
        };
        entry.state().live = Some(live.clone());
        entry
            .used
            .store(self.engine.now().as_millis() as u64, Ordering::Relaxed);
        self.loads.fetch_add(1, Ordering::Relaxed);
        Ok(live)
    }

    fn limits(&self, plan: &LoadPlan, facts: &Facts) -> Limits {
        let values = &plan.settings.values;
        let Sharing {
            parallel,
            deterministic,
            max_wait,
            stores: _,
            speculates: _,
            must_speculate: _,
        } = self.sharing;
        let context = values.context.max(1);
        let limits = Limits {
            parallel,
            max_wait,
            ..Limits::default()
        };
        if !deterministic {
            return Limits {
                sequences: (2 * parallel + 2).min(64).max(parallel),
                cells: context,
                pass_tokens: values.ubatch.max(parallel as u32),
                ..limits
            };
        }
        // A token's bits depend on the order of its sequence's cells, so each sequence has cells of its own, which are in
        // the order of its tokens. Products of f16 weights are ggml's from nine columns on, whose bits depend on them.
        let pass_tokens = match facts.has_float_weights {
            true => 8.max(parallel as u32),
            false => values.ubatch.max(parallel as u32),
        };
        Limits {
            sequences: parallel,
            cells: context / parallel.max(1) as u32,
            shared: false,
            pass_tokens,
            pass_rows: limits.pass_rows.min(pass_tokens),
            ..limits
        }
    }

    /// Unloads idle models, the longest unused first, until `bytes` fit.
    fn make_room(&self, wanted: &Arc<Entry>, bytes: u64, budget: u64) -> Result<(), ApiError> {
        let resident = || -> Vec<&Arc<Entry>> {
            let others = self.entries.iter().filter(|entry| !Arc::ptr_eq(entry, wanted));
            others.filter(|entry| entry.live().is_some()).collect()
        };
        loop {
            let others = resident();
            let used: u64 = others.iter().map(|entry| entry.planned_bytes()).sum();
            if used.saturating_add(bytes) <= budget {
                return Ok(());
            }
            let idle = others
                .iter()
                .filter(|entry| entry.users.load(Ordering::Relaxed) == 0);
            let oldest = idle.min_by_key(|entry| entry.used.load(Ordering::Relaxed));
            let Some(oldest) = oldest.filter(|_| bytes <= budget) else {
                let mib = |bytes: u64| bytes >> 20;
                let message = format!(
                    "{} needs {} MiB; {} of {} MiB are taken by models in use",
                    wanted.name,
                    mib(bytes),
                    mib(used),
                    mib(budget)
                );
                let error = ApiError::new(Kind::NoMemory, message).retry_after(Duration::from_secs(10));
                return Err(ApiError {
                    numbers: vec![
                        ("needed_bytes", bytes),
                        ("used_bytes", used),
                        ("budget_bytes", budget),
                    ],
                    ..error
                });
            };
            self.unload(oldest);
        }
    }

    /// Frees a model that nobody uses; false if somebody does.
    pub(crate) fn unload(&self, entry: &Entry) -> bool {
        let mut state = entry.state();
        if entry.users.load(Ordering::Relaxed) > 0 {
            return false;
        }
        let Some(live) = state.live.take() else {
            return false;
        };
        state.costs = self.engine.costs(live.slot);
        self.engine.close(live.slot);
        self.unloads.fetch_add(1, Ordering::Relaxed);
        true
    }

    /// Unloads what nobody used for so long.
    pub(crate) fn unload_idle(&self, after: Duration) {
        let now = self.engine.now().as_millis() as u64;
        for entry in &self.entries {
            let used = entry.used.load(Ordering::Relaxed);
            let kept = entry.keep.load(Ordering::Relaxed) > now;
            if now.saturating_sub(used) >= after.as_millis() as u64 && !kept {
                self.unload(entry);
            }
        }
    }
}

/// What passes cost, as far as `siskin tune` measured it; it is learnt from the first passes on.
fn costs(plan: &LoadPlan) -> Costs {
    let Some(tuned) = &plan.tuned else {
        return Costs::default();
    };
    Costs::measured(
        1.0 / tuned.decode_tokens_per_second.max(1e-3),
        tuned.prefill_tokens_per_second,
        |streams| tuned.pass_cost(streams, 0),
    )
}

fn no_memory(error: Error) -> ApiError {
    ApiError::new(Kind::NoMemory, error.to_string())
}

/// Does what takes long apart from the thread that serves.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, ApiError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|_| ApiError::new(Kind::Internal, "a computation failed"))
}
