//! Choosing what fits: the profile's settings where there is room, else one step down after the other.

use serde::Serialize;
use siskin_model::FileType;

use super::cost::{Extras, Settings, beyond_file_and_cache, items, kv_bytes, kv_name};
use super::{ModelFacts, Plan, Reason, mib};
use crate::device::profile::{KvType, Run};

/// The context taken where none is asked for and the model was trained with more: what chats and stories need. The
/// training length of Llama 3.2 would be 4 GiB of keys and values.
pub const DEFAULT_CONTEXT: u32 = 4096;
/// The smallest context that siskin chooses by itself.
const LEAST_CONTEXT: u32 = 512;
/// The smallest batch that it chooses by itself: smaller ones slow the prompt down and save little.
const LEAST_UBATCH: u32 = 128;
/// What a model may take beyond its file and its keys and values before the batch is made smaller: half the batch is
/// up to 20 MB less, for a prompt that takes up to a tenth longer.
const WORKING_BYTES: u64 = 40_000_000;

/// What the user asked for; `None` leaves the choice to the plan.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Wishes {
    /// Context; 0 is the largest that fits, up to the training length.
    pub context: Option<u32>,
    /// Type of keys and values.
    pub kv_type: Option<KvType>,
    /// Tokens computed together.
    pub ubatch: Option<u32>,
    /// Repacked weights.
    pub repack: Option<bool>,
    /// Mapped weights.
    pub mmap: Option<bool>,
    /// What matters most.
    pub favor: Favor,
    /// What else is to stand in memory.
    pub extras: Extras,
    /// Plan even what does not fit.
    pub force: bool,
}

/// What matters most where memory, prompt and decoding want different settings.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Favor {
    /// The profile's choice.
    #[default]
    Balanced,
    /// Tokens a second while decoding.
    Decode,
    /// Little memory.
    Memory,
}

/// Memory a plan may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Room {
    /// What this process may take.
    pub usable_bytes: u64,
    /// What is to be left free.
    pub reserve_bytes: u64,
}

/// Nothing that was asked for fits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "this needs {need} and {room} are usable ({reserve} kept free); {remedy}",
    need = mib(*need_bytes), room = mib(*usable_bytes), reserve = mib(*reserve_bytes)
)]
pub struct BudgetError {
    /// What the smallest plan takes.
    pub need_bytes: u64,
    /// What there is.
    pub usable_bytes: u64,
    /// What is kept free of it.
    pub reserve_bytes: u64,
    /// The largest context that would fit with everything else as asked, where one does.
    pub largest_context: Option<u32>,
    /// The largest file type of this model that would fit, where one does.
    pub smaller_type: Option<FileType>,
    /// What to do about it, and what happens with `--force`.
    pub remedy: String,
}

/// Plans: the first of the candidates that fits.
pub fn plan(facts: &ModelFacts, run: &Run, room: &Room, wishes: &Wishes) -> Result<Plan, BudgetError> {
    let candidates = candidates(facts, run, wishes);
    let limit = room.usable_bytes.saturating_sub(room.reserve_bytes);
    let total = |settings: &Settings| -> u64 {
        items(facts, settings, &wishes.extras)
            .iter()
            .map(|i| i.bytes)
            .sum()
    };
    let fitting = candidates.iter().find(|(settings, _)| total(settings) <= limit);
    let (settings, steps) = match fitting {
        Some(found) => found,
        None if wishes.force => &candidates[0],
        None => return Err(refusal(facts, room, wishes, &candidates, limit)),
    };
    let settings = if wishes.context == Some(0) {
        widest(facts, settings, limit, &total)
    } else {
        *settings
    };
    let total_bytes = total(&settings);
    let first = &candidates[0].0;
    let missing = total(first).saturating_sub(limit);
    let mut reasons = first_reasons(facts, run, wishes, &settings, first);
    reasons.extend(steps.iter().map(|&setting| Reason {
        setting,
        reason: format!(
            "smaller than usual: the usual settings need {} more than there is",
            mib(missing)
        ),
    }));
    Ok(Plan {
        items: items(facts, &settings, &wishes.extras),
        settings,
        total_bytes,
        usable_bytes: room.usable_bytes,
        reserve_bytes: room.reserve_bytes,
        fits: total_bytes <= limit,
        reasons,
    })
}

/// Settings to try, the best first, each with the names of what was made smaller in it.
fn candidates(facts: &ModelFacts, run: &Run, wishes: &Wishes) -> Vec<(Settings, Vec<&'static str>)> {
    let mut now = Settings {
        context: match wishes.context {
            Some(0) => LEAST_CONTEXT.min(facts.training_context),
            Some(context) => context,
            None => DEFAULT_CONTEXT.min(facts.training_context),
        },
        kv_type: wishes.kv_type.unwrap_or(run.kv_type),
        ubatch: wishes.ubatch.unwrap_or(match wishes.favor {
            Favor::Memory => LEAST_UBATCH.min(run.ubatch.0),
            Favor::Balanced | Favor::Decode => run.ubatch.0,
        }),
        repack: wishes
            .repack
            .unwrap_or(run.repack && wishes.favor != Favor::Memory),
        mmap: wishes.mmap.unwrap_or(run.mmap || wishes.favor == Favor::Memory),
    };
    if facts.repackable_bytes == 0 && wishes.repack.is_none() {
        now.repack = false;
    }
    let working = |now: &Settings| beyond_file_and_cache(facts, now);
    while wishes.ubatch.is_none() && now.ubatch > LEAST_UBATCH && working(&now) > WORKING_BYTES {
        now.ubatch = (now.ubatch / 2).max(LEAST_UBATCH);
    }
    let mut list = vec![(now, vec![])];
    let mut steps: Vec<&'static str> = Vec::new();
    let mut step = |list: &mut Vec<(Settings, Vec<&'static str>)>, now: Settings, name: &'static str| {
        if !steps.contains(&name) {
            steps.push(name);
        }
        list.push((now, steps.clone()));
    };
    if now.repack && now.mmap && wishes.repack.is_none() {
        now.repack = false;
        step(&mut list, now, "repack");
    }
    while wishes.ubatch.is_none() && now.ubatch > LEAST_UBATCH {
        now.ubatch = (now.ubatch / 2).max(LEAST_UBATCH);
        step(&mut list, now, "ubatch-size");
    }
    // Blocks of 32 numbers must not cross heads.
    let can_quantize = wishes.kv_type.is_none() && facts.head_dim.is_multiple_of(32);
    if can_quantize && now.kv_type == KvType::F16 {
        now.kv_type = KvType::Q8_0;
        step(&mut list, now, "cache-type");
    }
    while wishes.context.is_none() && now.context > LEAST_CONTEXT {
        now.context = (now.context / 2).max(LEAST_CONTEXT);
        step(&mut list, now, "ctx-size");
    }
    if can_quantize && now.kv_type == KvType::Q8_0 {
        now.kv_type = KvType::Q4_0;
        step(&mut list, now, "cache-type");
    }
    list
}

/// The largest context of `settings` that stays below `limit`, in steps of 256, up to the training length.
fn widest(facts: &ModelFacts, settings: &Settings, limit: u64, total: &dyn Fn(&Settings) -> u64) -> Settings {
    let with = |context| Settings { context, ..*settings };
    let (mut fits, mut too_large) = (settings.context / 256, facts.training_context / 256 + 1);
    while too_large > fits + 1 {
        let middle = fits.midpoint(too_large);
        if total(&with(middle * 256)) <= limit {
            fits = middle
        } else {
            too_large = middle
        }
    }
    with((fits * 256).clamp(
        settings.context.min(facts.training_context),
        facts.training_context,
    ))
}

fn refusal(
    facts: &ModelFacts,
    room: &Room,
    wishes: &Wishes,
    candidates: &[(Settings, Vec<&'static str>)],
    limit: u64,
) -> BudgetError {
    let of = |facts: &ModelFacts, settings: &Settings| -> u64 {
        items(facts, settings, &wishes.extras)
            .iter()
            .map(|item| item.bytes)
            .sum()
    };
    let (smallest, _) = candidates.last().expect("the wishes themselves are a candidate");
    let least = Settings {
        context: 256.min(facts.training_context),
        ..*smallest
    };
    let largest_context = (of(facts, &least) <= limit)
        .then(|| widest(facts, &least, limit, &|settings| of(facts, settings)).context);
    let lighter = facts.by_type.iter().find(|(_, bytes)| {
        let lighter = ModelFacts {
            weight_bytes: *bytes,
            repackable_bytes: *bytes,
            ..facts.clone()
        };
        *bytes < facts.weight_bytes && of(&lighter, smallest) <= limit
    });
    let mut ways = Vec::new();
    if let Some(context) = largest_context {
        ways.push(format!("-c {context} would fit"));
    }
    if let Some((ty, _)) = lighter {
        ways.push(format!("type {ty} would fit"));
    }
    if ways.is_empty() {
        ways.push("neither a smaller context nor a smaller type of this model would fit".into());
    }
    ways.push(consequence(facts, smallest, room));
    BudgetError {
        need_bytes: of(facts, smallest),
        usable_bytes: room.usable_bytes,
        reserve_bytes: room.reserve_bytes,
        largest_context,
        smaller_type: lighter.map(|row| row.0),
        remedy: ways.join("; "),
    }
}

/// What happens to those who go on all the same.
fn consequence(facts: &ModelFacts, settings: &Settings, room: &Room) -> String {
    let what = if settings.mmap && facts.weight_bytes > room.usable_bytes {
        "the weights do not stay in memory and are read from disk again for every token"
    } else if settings.mmap {
        "the system drops weights from memory and reads them again, or swaps"
    } else {
        "the system swaps, or ends the program"
    };
    format!("with --force {what}")
}

/// Why settings are what they are before anything was made smaller.
fn first_reasons(
    facts: &ModelFacts,
    run: &Run,
    wishes: &Wishes,
    settings: &Settings,
    first: &Settings,
) -> Vec<Reason> {
    let mut reasons = Vec::new();
    let mut because = |setting, reason: String| reasons.push(Reason { setting, reason });
    match wishes.context {
        Some(0) => because(
            "ctx-size",
            format!(
                "the largest that fits, training length {}",
                facts.training_context
            ),
        ),
        Some(_) => because("ctx-size", "as asked".into()),
        None if facts.training_context <= DEFAULT_CONTEXT => {
            because("ctx-size", "the training length".into())
        }
        None => {
            let all = kv_bytes(facts, settings.kv_type, facts.training_context);
            let length = facts.training_context;
            because(
                "ctx-size",
                format!(
                    "enough for chats; the training length of {length} would be {} of cache",
                    mib(all)
                ),
            );
        }
    }
    let asked = |wish: bool, profile: &str| {
        if wish {
            "as asked".to_owned()
        } else {
            profile.to_owned()
        }
    };
    because(
        "cache-type",
        asked(
            wishes.kv_type.is_some(),
            &format!("the profile's: {}", kv_name(run.kv_type)),
        ),
    );
    let ubatch = match (wishes.favor, first.ubatch < run.ubatch.0) {
        (Favor::Balanced | Favor::Decode, true) => &format!(
            "keeps what is neither file nor cache near {}; the profile's is {}",
            mib(WORKING_BYTES),
            run.ubatch.0
        ),
        _ => "the profile's",
    };
    because("ubatch-size", asked(wishes.ubatch.is_some(), ubatch));
    let repack = match (settings.repack, settings.mmap) {
        (true, true) => "faster kernels, at the price of a second copy",
        (true, false) => "faster kernels; weights are read, so that they are held once",
        (false, _) => "weights stay as they are in the file: one copy, a fast start",
    };
    because("repack", asked(wishes.repack.is_some(), repack));
    let mmap = match settings.mmap {
        true => "weights stay in the page cache, shared and quickly there",
        false => "weights in memory of their own",
    };
    because("mmap", asked(wishes.mmap.is_some(), mmap));
    reasons
}
