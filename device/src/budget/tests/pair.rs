//! A model and another that guesses for it.

use super::*;

/// A model that guesses: a quarter of the blocks, trained on shorter texts.
fn draft() -> Shape {
    Shape {
        layers: 4,
        training_context: 2048,
        weight_bytes: 200 << 20,
        repackable_bytes: 150 << 20,
        ..shape()
    }
}

fn both(draft: &Shape, mib: u64, fixed: &Overrides) -> Result<Plan, BudgetError> {
    let values = Values {
        mmap: true,
        ..Values::default()
    };
    let constraints = Constraints {
        fixed,
        priority: Priority::Balanced,
        force: false,
        may_map: false,
    };
    plan_pair(&shape(), draft, &values, &limit(mib), &constraints)
}

#[test]
fn both_are_in_the_plan_and_what_they_share_is_counted_once() {
    let plan = both(&draft(), 8192, &nothing()).expect("fits");
    let bytes = |what: &str| {
        let found: Vec<u64> = plan
            .items
            .iter()
            .filter(|item| item.what == what)
            .map(|item| item.bytes)
            .collect();
        assert!(found.len() < 2, "{what}: {found:?}");
        found.first().copied()
    };
    let sum: u64 = plan.items.iter().map(|item| item.bytes).sum();
    assert_eq!(plan.total_bytes, sum);
    assert_eq!(plan.settings.context, 4096);
    // Past what the draft was trained on it has no cache.
    assert_eq!(
        bytes("draft KV cache"),
        Some(draft().kv_bytes(CacheType::F16, 2048))
    );
    assert_eq!(bytes("KV cache"), Some(shape().kv_bytes(CacheType::F16, 4096)));
    assert!(bytes("draft weights") > Some(100 << 20) && bytes("weights") > Some(600 << 20));
    assert!(bytes("program").is_some() && bytes("draft program").is_none());
    assert_eq!(plan.items.last().map(|item| item.what), Some("program"));
    let (one, other) = (
        total(&shape(), &plan.settings),
        total(&draft(), &draft_values(&draft(), &plan.settings)),
    );
    assert!(sum < one + other && sum > one + other - (20 << 20));
}

#[test]
fn the_context_shrinks_until_both_fit() {
    let mut last = u64::MAX;
    let mut contexts = Vec::new();
    for mib in (700..4000).rev().step_by(20) {
        let Ok(plan) = both(&draft(), mib, &nothing()) else {
            break;
        };
        assert!(plan.fits && plan.total_bytes <= (mib - 64) << 20 && plan.total_bytes <= last);
        last = plan.total_bytes;
        contexts.push(plan.settings.context);
    }
    contexts.dedup();
    assert_eq!(contexts.first(), Some(&4096));
    assert_eq!(contexts.last(), Some(&512));
    let widest = Overrides {
        context: Some(0),
        ..nothing()
    };
    let alone = planned(&shape(), &Values::default(), 3000, &widest).expect("fits");
    let pair = both(&draft(), 3000, &widest).expect("fits");
    assert!(pair.settings.context < alone.settings.context);
    assert!(pair.total_bytes > (2900 - 64) << 20, "it uses what there is");
}

#[test]
fn a_draft_that_does_not_fit_is_refused_with_what_both_need() {
    let large = Shape {
        weight_bytes: 4 << 30,
        ..draft()
    };
    let refused = both(&large, 3000, &nothing()).expect_err("too large");
    assert!(refused.need_bytes > 4 << 30 && refused.resource == Resource::Memory);
    assert_eq!((refused.largest_context, refused.smaller_type), (None, None));
    assert!(planned(&shape(), &usual(), 3000, &nothing()).is_ok());
}

#[test]
fn a_draft_has_its_own_limits() {
    let odd = Shape {
        head_dim: 80,
        ..draft()
    };
    let small = Values {
        context: 4096,
        cache_type: CacheType::Q8_0,
        ..Values::default()
    };
    let cases = [
        (draft(), 2048, CacheType::Q8_0),
        (odd, 2048, CacheType::F16),
        (shape(), 4096, CacheType::Q8_0),
    ];
    for (draft, context, cache_type) in cases {
        let values = draft_values(&draft, &small);
        assert_eq!((values.context, values.cache_type), (context, cache_type));
        assert_eq!(values.ubatch, small.ubatch);
    }
}
