mod pair;

use siskin_model::gguf::{Header, Metadata, TensorInfo};
use siskin_model::shape::Shape;
use siskin_model::{CacheType, FileType, TensorType};

use super::*;
use crate::profile::builtin;
use crate::values::{FlashAttention, Overrides, Priority};

/// Llama-3.2-1B's shape in Q4_K_M.
fn shape() -> Shape {
    let mut metadata = Metadata::new();
    metadata.set("general.architecture", "llama");
    for (key, value) in [
        ("block_count", 16u32),
        ("attention.head_count", 32),
        ("attention.head_count_kv", 8),
        ("embedding_length", 2048),
        ("context_length", 131_072),
        ("feed_forward_length", 8192),
    ] {
        metadata.set(format!("llama.{key}"), value);
    }
    let tensor = |name: &str, ty, shape: [u64; 2]| TensorInfo {
        name: name.into(),
        shape: shape.into(),
        ty,
        offset: 0,
    };
    let header = Header {
        version: 3,
        metadata,
        // All blocks as one matrix of as many weights, 6 bits of it for every 8 of 4 as in Q4_K_M.
        tensors: vec![
            tensor("token_embd.weight", TensorType::Q6K, [2048, 128_256]),
            tensor("blk.0.ffn_gate.weight", TensorType::Q4K, [2048, 360_448]),
            tensor("blk.0.ffn_down.weight", TensorType::Q6K, [2048, 114_688]),
        ],
        alignment: 32,
        data_start: 0,
        file_len: 0,
    };
    let by_type = [
        (FileType::F16, 2_471_628_800),
        (FileType::Q8_0, 1_313_052_672),
        (FileType::Q6K, 1_014_000_000),
        (FileType::Q4KM, 799_862_784),
    ];
    Shape {
        vocabulary: 128_256,
        vocabulary_bytes: 11 << 20,
        by_type: by_type.into(),
        ..Shape::from_header(&header).expect("a shape")
    }
}

/// The same with a small vocabulary and narrow in the middle: the profile's batch keeps within its share.
fn light() -> Shape {
    Shape {
        ffn: 4096,
        vocabulary: 1000,
        vocabulary_bytes: 0,
        ..shape()
    }
}

fn usual() -> Values {
    Values {
        repack: true,
        mmap: true,
        ..Values::default()
    }
}

fn limit(mib: u64) -> MemoryLimit {
    MemoryLimit {
        reserve_bytes: 64 << 20,
        ..MemoryLimit::new(mib << 20, 0)
    }
}

/// A plan for these settings, in `mib` MiB; `fixed` was asked for.
fn planned(shape: &Shape, values: &Values, mib: u64, fixed: &Overrides) -> Result<Plan, BudgetError> {
    // Settings that were asked for are in force already.
    let values = Values {
        cache_type: fixed.cache_type.unwrap_or(values.cache_type),
        ubatch: fixed.ubatch.unwrap_or(values.ubatch),
        repack: fixed.repack.unwrap_or(values.repack),
        mmap: fixed.mmap.unwrap_or(values.mmap),
        ..*values
    };
    let constraints = Constraints {
        fixed,
        priority: Priority::Balanced,
        force: false,
        may_map: false,
    };
    plan(shape, &values, &limit(mib), &constraints)
}

fn total(shape: &Shape, values: &Values) -> u64 {
    let items = items(shape, values);
    items.iter().map(|item| item.bytes).sum()
}

fn nothing() -> Overrides {
    Overrides::default()
}

#[test]
fn keys_and_values_of_known_models() {
    let shape = shape();
    // 32 KiB a token in f16: 4 GiB for the training length.
    assert_eq!(shape.kv_bytes(CacheType::F16, 131_072), 4 << 30);
    assert_eq!(
        shape.kv_bytes(CacheType::F16, 1),
        256 * 32 * 1024,
        "rounded up to 256 cells"
    );
    assert_eq!(shape.kv_bytes(CacheType::Q8_0, 256), 256 * 16 * 2 * 512 / 32 * 34);
    assert_eq!(shape.kv_bytes(CacheType::Q4_0, 256), 256 * 16 * 2 * 512 / 32 * 18);
    assert_eq!(shape.kv_bytes(CacheType::F32, 256), 256 * 64 * 1024);
}

#[test]
fn each_step_down_is_taken_only_where_the_one_before_does_not_fit() {
    let shape = light();
    let mut last = u64::MAX;
    let mut seen = Vec::new();
    for mib in (300..2400).rev().step_by(4) {
        let Ok(plan) = planned(&shape, &usual(), mib, &nothing()) else {
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
        (first.context, first.cache_type, first.repack),
        (4096, CacheType::F16, true)
    );
    let steps: Vec<_> = seen
        .iter()
        .map(|s| (s.repack, s.ubatch, s.cache_type, s.context))
        .collect();
    let want = [
        (true, 256, CacheType::F16, 4096),
        (false, 256, CacheType::F16, 4096),
        (false, 128, CacheType::F16, 4096),
        (false, 128, CacheType::Q8_0, 4096),
        (false, 128, CacheType::Q8_0, 2048),
        (false, 128, CacheType::Q8_0, 1024),
        (false, 128, CacheType::Q8_0, 512),
        (false, 128, CacheType::Q4_0, 512),
    ];
    assert_eq!(steps, want);
}

#[test]
fn every_step_is_explained() {
    let plans = (300..2400)
        .rev()
        .map(|mib| planned(&light(), &usual(), mib, &nothing()).expect("fits"));
    let small = |plan: &Plan| plan.settings.ubatch < usual().ubatch;
    let plan = plans.into_iter().find(small).expect("a smaller batch");
    let reasons: Vec<&str> = plan
        .reasons
        .iter()
        .filter(|r| r.reason.starts_with("reduced"))
        .map(|r| r.setting)
        .collect();
    assert!(reasons == ["ubatch-size", "repack"], "{:?}", plan.reasons);
    for setting in ["ctx-size", "cache-type", "ubatch-size", "repack", "mmap"] {
        assert!(
            plan.reasons.iter().any(|reason| reason.setting == setting),
            "{setting}"
        );
    }
}

#[test]
fn what_was_asked_for_is_kept_or_refused_with_what_would_fit() {
    let with = |context| Overrides {
        context: Some(context),
        cache_type: Some(CacheType::F16),
        ..nothing()
    };
    let error = planned(&shape(), &usual(), 2048, &with(131_072)).expect_err("4 GiB of cache");
    let largest = error.largest_context.expect("a smaller cache fits");
    assert!((20_000..40_000).contains(&largest), "{error}");
    assert!(
        planned(&shape(), &usual(), 2048, &with(largest)).is_ok(),
        "{error}"
    );
    let more = planned(&shape(), &usual(), 2048, &with(largest + 256));
    assert!(more.is_err(), "{error}");
    let text = error.to_string();
    assert!(
        text.contains("only 1984 MiB may be used (2048 MiB usable, less 64 MiB kept free)"),
        "{text}"
    );
}

#[test]
fn a_smaller_type_is_named() {
    let mut shape = shape();
    (shape.weight_bytes, shape.repackable_bytes) = (2_471_628_800, 2_000_000_000);
    let error = planned(&shape, &usual(), 1200, &nothing()).expect_err("2.3 GiB of weights");
    assert_eq!(error.smaller_type, Some(FileType::Q6K), "{error}");
    assert_eq!(error.overcommit, Overcommit::RereadsWeights);
    let error = planned(&shape, &usual(), 200, &nothing()).expect_err("nothing");
    assert_eq!((error.smaller_type, error.largest_context), (None, None));
}

#[test]
fn force_plans_what_does_not_fit() {
    let fixed = Overrides {
        context: Some(8192),
        ..nothing()
    };
    let constraints = Constraints {
        fixed: &fixed,
        priority: Priority::Balanced,
        force: true,
        may_map: false,
    };
    let plan = plan(&shape(), &usual(), &limit(500), &constraints).expect("forced");
    assert!(!plan.fits && plan.settings.context == 8192);
}

#[test]
fn zero_is_the_largest_context_that_fits_up_to_the_training_length() {
    let all = Overrides {
        context: Some(0),
        ..nothing()
    };
    let context = |mib| {
        let plan = planned(&shape(), &usual(), mib, &all).expect("fits");
        plan.settings.context
    };
    assert_eq!(context(16_384), 131_072);
    let some = context(2500);
    assert!(
        (8192..65_536).contains(&some) && some.is_multiple_of(256),
        "{some}"
    );
}

#[test]
fn repacked_weights_are_in_memory_twice_only_if_the_file_stays_mapped() {
    let total = |repack, mmap| {
        let fixed = Overrides {
            repack: Some(repack),
            mmap: Some(mmap),
            ..nothing()
        };
        let plan = planned(&shape(), &usual(), 8192, &fixed).expect("fits");
        plan.total_bytes
    };
    assert!(total(true, true) > total(false, true) + (400 << 20));
    assert_eq!(total(true, false), total(false, false));
}

#[test]
fn a_one_billion_model_fits_every_profiles_board() {
    for profile in builtin() {
        let usable = profile.hardware.ram_mib - profile.hardware.system_mib;
        let limit = MemoryLimit::new(usable << 20, profile.run.reserve_mib << 20);
        let values = Values {
            ubatch: profile.run.ubatch.0,
            repack: profile.run.repack,
            mmap: profile.run.mmap,
            ..Values::default()
        };
        let constraints = Constraints {
            fixed: &nothing(),
            priority: Priority::Balanced,
            force: false,
            may_map: false,
        };
        let fits = plan(&shape(), &values, &limit, &constraints);
        assert_eq!(
            fits.is_ok(),
            profile.name != "armv7" || usable > 850,
            "{}: {fits:?}",
            profile.name
        );
    }
}

#[test]
fn the_batch_is_smaller_if_buffers_would_take_more_than_their_share() {
    let with = |ubatch| Values {
        ubatch,
        ..Values::default()
    };
    let asked = Overrides {
        ubatch: Some(512),
        ..nothing()
    };
    let cases = [
        (light(), with(256), nothing(), 256),
        // Llama-3.2-1B's vocabulary leaves no more of 40 MB.
        (shape(), with(256), nothing(), 128),
        (light(), with(1024), nothing(), 256),
        (shape(), with(256), asked, 512),
    ];
    for (shape, values, fixed, want) in cases {
        let plan = planned(&shape, &values, 8192, &fixed).expect("room");
        assert_eq!(plan.settings.ubatch, want, "{plan:?}");
        let reason = plan.reasons.iter().find(|reason| reason.setting == "ubatch-size");
        let explained = reason.is_some_and(|reason| reason.reason.contains("to save memory"));
        assert_eq!(explained, want < values.ubatch, "{plan:?}");
    }
}

/// A model that llama.cpp was run with on 2 threads, in contexts of 512: (heads, kv heads, head size, width, middle,
/// blocks, tokens) and MiB of peak memory beside weights and cache. Prompts filled a batch.
#[test]
fn unusual_shapes_are_planned_as_they_were_measured() {
    let with = |heads: u64, kv: u64, head: u64, width: u64, ffn: u64, layers: u64| Shape {
        layers,
        width,
        ffn,
        heads,
        key_width: kv * head,
        value_width: kv * head,
        head_dim: head,
        vocabulary: 512,
        vocabulary_bytes: 32 << 10,
        weight_bytes: 0,
        embedding_bytes: 0,
        repackable_bytes: 0,
        training_context: 512,
        ..light()
    };
    let values = |ubatch, threads, flash_attention| Values {
        context: 512,
        ubatch,
        threads,
        threads_batch: threads,
        flash_attention,
        ..Values::default()
    };
    let (auto, off) = (FlashAttention::Auto, FlashAttention::Off);
    let cases = [
        (with(1024, 1, 1024, 32, 64, 1), values(128, 2, auto), 1175.0),
        (with(1024, 1, 1024, 32, 64, 1), values(128, 2, off), 1552.0),
        (with(1, 1, 8192, 64, 64, 1), values(128, 2, auto), 47.0),
        (with(2, 2, 16, 32, 64, 512), values(128, 2, auto), 71.5),
        (with(64, 8, 256, 512, 64, 4), values(256, 2, auto), 49.5),
        (with(2, 2, 32, 64, 64, 1), values(256, 64, auto), 23.5),
        (with(2, 2, 32, 64, 64, 1), values(1, 2, auto), 14.4),
    ];
    for (shape, values, measured) in cases {
        let cache = shape.kv_bytes(values.cache_type, 512);
        let planned = (total(&shape, &values) - cache) as f64 / f64::from(1 << 20);
        let ratio = planned / measured;
        assert!((0.9..1.15).contains(&ratio), "{planned} {measured} {values:?}");
    }
}

#[test]
fn what_is_not_weights_is_read_or_counted() {
    let gap = Shape {
        waste_bytes: 2 << 30,
        ..shape()
    };
    let plan = planned(&gap, &usual(), 8192, &nothing()).expect("fits");
    assert!(!plan.settings.mmap && plan.total_bytes < 2 << 30, "{plan:?}");
    let mapped = Overrides {
        mmap: Some(true),
        ..nothing()
    };
    let plan = planned(&gap, &usual(), 8192, &mapped).expect("fits");
    assert!(plan.settings.mmap && plan.total_bytes > 2 << 30, "{plan:?}");
    // Padding between tensors is no reason.
    let padded = Shape {
        waste_bytes: 8192,
        ..shape()
    };
    assert!(
        planned(&padded, &usual(), 8192, &nothing())
            .expect("fits")
            .settings
            .mmap
    );
}

#[test]
fn a_small_group_keeps_an_eighth_free_at_most() {
    let reserve = |mib: u64, reserve: u64| MemoryLimit::new(mib << 20, reserve << 20).reserve_bytes >> 20;
    assert_eq!(
        [(256, 256), (47, 256), (4096, 256), (1748, 96), (0, 96)].map(|(usable, kept)| reserve(usable, kept)),
        [32, 5, 256, 96, 0]
    );
}

#[test]
fn limits_of_the_process_are_limits_of_the_plan() {
    let within = |address_bytes, promise_bytes| MemoryLimit {
        address_bytes,
        promise_bytes,
        ..limit(8192)
    };
    let with = |limit: MemoryLimit, fixed: &Overrides| {
        let constraints = Constraints {
            fixed,
            priority: Priority::Balanced,
            force: false,
            may_map: false,
        };
        let values = Values {
            threads: 2,
            threads_batch: 2,
            ..usual()
        };
        plan(&shape(), &values, &limit, &constraints)
    };
    let free = with(within(None, None), &nothing()).expect("fits");
    let tight = with(within(Some(1000 << 20), None), &nothing()).expect("a smaller cache fits");
    assert_ne!(tight.settings.cache_type, free.settings.cache_type, "{tight:?}");
    let cases = [
        (within(Some(300 << 20), None), Resource::AddressSpace, "300 MiB"),
        (within(None, Some(20 << 20)), Resource::Promises, "20 MiB more"),
    ];
    for (limit, resource, text) in cases {
        let error = with(limit, &nothing()).expect_err("too little");
        assert_eq!(error.resource, resource);
        assert!(error.to_string().contains(text), "{error}");
        assert!(!error.plan.fits && !error.plan.items.is_empty());
    }
}
