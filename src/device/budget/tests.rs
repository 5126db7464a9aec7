use super::*;
use crate::device::profile::{Count, KvType, Run, builtin};
use siskin_model::FileType;
use siskin_model::config::Config;

/// Llama-3.2-1B's shape.
const LLAMA: &str = r#"{"architectures":["LlamaForCausalLM"],"hidden_size":2048,"intermediate_size":8192,
    "num_hidden_layers":16,"num_attention_heads":32,"num_key_value_heads":8,"head_dim":64,"vocab_size":128256,
    "max_position_embeddings":131072,"tie_word_embeddings":true}"#;

fn facts() -> ModelFacts {
    let config: Config = serde_json::from_str(LLAMA).expect("a config");
    ModelFacts::of_config(&config, FileType::Q4KM).expect("facts")
}

/// The same with a small vocabulary and narrow in the middle: the profile's batch keeps within its share.
fn light() -> ModelFacts {
    ModelFacts {
        ffn: 4096,
        vocabulary: 1000,
        vocabulary_bytes: 0,
        ..facts()
    }
}

fn run() -> Run {
    Run {
        repack: true,
        mmap: true,
        ..Run::default()
    }
}

fn room(mib: u64) -> Room {
    Room {
        usable_bytes: mib << 20,
        reserve_bytes: 64 << 20,
    }
}

fn wishes() -> Wishes {
    Wishes::default()
}

#[test]
fn keys_and_values_of_known_models() {
    let facts = facts();
    // 32 KiB a token in f16: 4 GiB for the training length.
    assert_eq!(kv_bytes(&facts, KvType::F16, 131_072), 4 << 30);
    assert_eq!(
        kv_bytes(&facts, KvType::F16, 1),
        256 * 32 * 1024,
        "rounded up to 256 cells"
    );
    assert_eq!(kv_bytes(&facts, KvType::Q8_0, 256), 256 * 16 * 2 * 512 / 32 * 34);
    assert_eq!(kv_bytes(&facts, KvType::Q4_0, 256), 256 * 16 * 2 * 512 / 32 * 18);
    assert_eq!(kv_bytes(&facts, KvType::F32, 256), 256 * 64 * 1024);
}

#[test]
fn each_step_down_is_taken_only_where_the_one_before_does_not_fit() {
    let facts = light();
    let mut last = u64::MAX;
    let mut seen = Vec::new();
    for mib in (300..2400).rev().step_by(4) {
        let Ok(plan) = plan(&facts, &run(), &room(mib), &wishes()) else {
            break;
        };
        assert!(
            plan.fits && plan.total_bytes <= (mib - 64) << 20,
            "{mib}: {plan:?}"
        );
        assert_eq!(
            plan.total_bytes,
            plan.items.iter().map(|item| item.bytes).sum::<u64>()
        );
        assert!(plan.total_bytes <= last, "less room never takes more");
        last = plan.total_bytes;
        if seen.last() != Some(&plan.settings) {
            seen.push(plan.settings);
        }
    }
    let first = seen[0];
    assert_eq!(
        (first.context, first.kv_type, first.repack),
        (4096, KvType::F16, true)
    );
    let steps: Vec<_> = seen
        .iter()
        .map(|s| (s.repack, s.ubatch, s.kv_type, s.context))
        .collect();
    let want = [
        (true, 256, KvType::F16, 4096),
        (false, 256, KvType::F16, 4096),
        (false, 128, KvType::F16, 4096),
        (false, 128, KvType::Q8_0, 4096),
        (false, 128, KvType::Q8_0, 2048),
        (false, 128, KvType::Q8_0, 1024),
        (false, 128, KvType::Q8_0, 512),
        (false, 128, KvType::Q4_0, 512),
    ];
    assert_eq!(steps, want);
}

#[test]
fn every_step_is_explained() {
    let plan = plan(&light(), &run(), &room(972), &wishes()).expect("fits");
    let reasons: Vec<&str> = plan
        .reasons
        .iter()
        .filter(|r| r.reason.starts_with("smaller"))
        .map(|r| r.setting)
        .collect();
    assert!(
        reasons.starts_with(&["repack", "ubatch-size"]),
        "{:?}",
        plan.reasons
    );
    for setting in ["ctx-size", "cache-type", "ubatch-size", "repack", "mmap"] {
        assert!(
            plan.reasons.iter().any(|reason| reason.setting == setting),
            "{setting}"
        );
    }
}

#[test]
fn what_was_asked_for_is_kept_or_refused_with_what_would_fit() {
    let asked = Wishes {
        context: Some(131_072),
        kv_type: Some(KvType::F16),
        ..wishes()
    };
    let error = plan(&facts(), &run(), &room(2048), &asked).expect_err("4 GiB of cache");
    let largest = error.largest_context.expect("a smaller context fits");
    assert!((20_000..40_000).contains(&largest), "{error}");
    let fits = Wishes {
        context: Some(largest),
        ..asked
    };
    assert!(plan(&facts(), &run(), &room(2048), &fits).is_ok(), "{error}");
    let more = Wishes {
        context: Some(largest + 256),
        ..asked
    };
    assert!(plan(&facts(), &run(), &room(2048), &more).is_err(), "{error}");
    let text = error.to_string();
    assert!(
        text.contains(&format!("-c {largest} would fit")) && text.contains("--force"),
        "{text}"
    );
}

#[test]
fn a_smaller_type_is_named() {
    let config: Config = serde_json::from_str(LLAMA).expect("a config");
    let facts = ModelFacts::of_config(&config, FileType::F16).expect("facts");
    let error = plan(&facts, &run(), &room(1100), &wishes()).expect_err("2.3 GiB of weights");
    assert_eq!(error.smaller_type, Some(FileType::Q6K), "{error}");
    assert!(
        error.to_string().contains("read from disk again for every token"),
        "{error}"
    );
    let error = plan(&facts, &run(), &room(200), &wishes()).expect_err("nothing");
    assert_eq!((error.smaller_type, error.largest_context), (None, None));
    assert!(
        error
            .to_string()
            .contains("neither a smaller context nor a smaller type"),
        "{error}"
    );
}

#[test]
fn force_plans_all_the_same() {
    let forced = Wishes {
        force: true,
        context: Some(8192),
        ..wishes()
    };
    let plan = plan(&facts(), &run(), &room(500), &forced).expect("forced");
    assert!(!plan.fits && plan.settings.context == 8192);
}

#[test]
fn zero_is_the_largest_context_that_fits_up_to_the_training_length() {
    let all = Wishes {
        context: Some(0),
        ..wishes()
    };
    let plan_in = |mib| {
        plan(&facts(), &run(), &room(mib), &all)
            .expect("fits")
            .settings
            .context
    };
    assert_eq!(plan_in(16_384), 131_072);
    let some = plan_in(2500);
    assert!(
        (8192..65_536).contains(&some) && some.is_multiple_of(256),
        "{some}"
    );
}

#[test]
fn repacked_weights_are_held_twice_only_beside_mapped_ones() {
    let with = |repack, mmap| Wishes {
        repack: Some(repack),
        mmap: Some(mmap),
        ..wishes()
    };
    let total = |wishes| {
        plan(&facts(), &run(), &room(8192), &wishes)
            .expect("fits")
            .total_bytes
    };
    assert!(total(with(true, true)) > total(with(false, true)) + (400 << 20));
    assert_eq!(total(with(true, false)), total(with(false, false)));
}

#[test]
fn favour_of_memory_takes_less() {
    let little = Wishes {
        favor: Favor::Memory,
        ..wishes()
    };
    let plan_of = |wishes| plan(&facts(), &run(), &room(8192), &wishes).expect("fits");
    let (little, usual) = (plan_of(little), plan_of(wishes()));
    assert!(little.total_bytes < usual.total_bytes && !little.settings.repack && little.settings.mmap);
}

#[test]
fn extras_count() {
    let extras = Extras {
        adapter_bytes: 100 << 20,
        cache_bytes: 50 << 20,
    };
    let with = Wishes { extras, ..wishes() };
    let total = |wishes| {
        plan(&facts(), &run(), &room(8192), &wishes)
            .expect("fits")
            .total_bytes
    };
    assert_eq!(total(with), total(wishes()) + (150 << 20));
}

#[test]
fn a_one_billion_model_fits_every_profiles_board() {
    for profile in builtin() {
        let usable = profile.hardware.ram_mib - profile.hardware.system_mib;
        let room = Room {
            usable_bytes: usable << 20,
            reserve_bytes: profile.run.reserve_mib << 20,
        };
        let fits = plan(&facts(), &profile.run, &room, &wishes());
        assert_eq!(
            fits.is_ok(),
            profile.name != "armv7" || usable > 850,
            "{}: {fits:?}",
            profile.name
        );
    }
}

#[test]
fn the_batch_is_smaller_where_buffers_would_take_more_than_their_share() {
    let plan = |facts: &ModelFacts, run: &Run, wishes: Wishes| {
        let run = Run {
            repack: false,
            ..run.clone()
        };
        plan(facts, &run, &room(8192), &wishes).expect("room")
    };
    let (usual, large) = (
        run(),
        Run {
            ubatch: Count(1024),
            ..run()
        },
    );
    let asked = Wishes {
        ubatch: Some(512),
        ..wishes()
    };
    let cases = [
        (light(), &usual, wishes(), 256),
        // Llama-3.2-1B's vocabulary leaves 40 MB no room for more.
        (facts(), &usual, wishes(), 128),
        (light(), &large, wishes(), 256),
        (facts(), &usual, asked, 512),
    ];
    for (facts, run, wishes, want) in cases {
        let plan = plan(&facts, run, wishes);
        assert_eq!(plan.settings.ubatch, want, "{plan:?}");
        let reason = plan.reasons.iter().find(|reason| reason.setting == "ubatch-size");
        let told = reason.is_some_and(|reason| reason.reason.contains("neither file nor cache"));
        assert_eq!(told, want < run.ubatch.0, "{plan:?}");
    }
}
