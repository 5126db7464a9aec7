use super::*;
use crate::device::probe::Root;
use crate::device::profile::builtin;
use crate::device::tuned::Tunable;
use siskin_model::FileType;

fn machine(name: &str) -> Machine {
    let root: std::path::PathBuf = [env!("CARGO_MANIFEST_DIR"), "tests/data/devices", name]
        .iter()
        .collect();
    Machine::probe(&Root::at(root))
}

fn facts() -> ModelFacts {
    let text = r#"{"architectures":["LlamaForCausalLM"],"hidden_size":2048,"intermediate_size":5632,
        "num_hidden_layers":22,"num_attention_heads":32,"num_key_value_heads":4,"vocab_size":32000,
        "max_position_embeddings":2048,"tie_word_embeddings":false}"#;
    let config = serde_json::from_str(text).expect("a config");
    ModelFacts::of_config(&config, FileType::Q4KM).expect("facts")
}

fn tuned() -> Tuned {
    Tuned {
        settings: Tunable {
            threads: 3,
            threads_batch: 64,
            repack: false,
            mmap: true,
            ubatch: 64,
            flash_attention: Switch::Off,
            kv_type: KvType::F16,
            wait_policy: WaitPolicy::Passive,
            kernels: Kernels::Ggml,
            prefetch_bytes: 2048,
        },
        prefill_tokens_per_second: 1.0,
        decode_tokens_per_second: 1.0,
        measured_at: 0,
    }
}

/// Settings on a fixture with its profile.
fn on(name: &str, flags: &Flags, tuned: Option<&Tuned>) -> Settings {
    let (machine, profiles, facts) = (machine(name), builtin(), facts());
    let profile = crate::device::profile::choose(&profiles, &crate::device::profile::Traits::of(&machine));
    let facts = Some(&facts);
    resolve(&Sources {
        flags,
        tuned,
        profile,
        machine: &machine,
        facts,
    })
    .expect("fits")
}

#[test]
fn flag_then_tuned_then_profile_then_default() {
    let flags = Flags {
        threads: Some(1),
        repack: Some(true),
        ..Flags::default()
    };
    let plain = on("raspberry-pi-5", &Flags::default(), None);
    let of = |value, origin| Chosen { value, origin };
    assert_eq!(
        (plain.threads, plain.threads_batch),
        (of(2, Origin::Profile), of(4, Origin::Profile))
    );
    assert_eq!(
        plain.context,
        Some(Chosen {
            value: 2048,
            origin: Origin::Default
        })
    );
    let measured = on("raspberry-pi-5", &Flags::default(), Some(&tuned()));
    // Never more threads than there are CPUs, whatever an old measurement says.
    assert_eq!(
        (measured.threads, measured.threads_batch),
        (of(3, Origin::Tuned), of(4, Origin::Tuned))
    );
    assert_eq!(
        measured.wait_policy,
        Chosen {
            value: WaitPolicy::Passive,
            origin: Origin::Tuned
        }
    );
    assert_eq!(
        measured.ubatch,
        Chosen {
            value: 64,
            origin: Origin::Tuned
        }
    );
    let typed = on("raspberry-pi-5", &flags, Some(&tuned()));
    assert_eq!(
        (typed.threads, typed.threads_batch),
        (of(1, Origin::Flag), of(1, Origin::Flag))
    );
    assert_eq!(
        typed.repack,
        Chosen {
            value: true,
            origin: Origin::Flag
        }
    );
    let (machine, facts) = (machine("x86-laptop"), facts());
    let sources = Sources {
        flags: &Flags::default(),
        tuned: None,
        profile: None,
        machine: &machine,
        facts: Some(&facts),
    };
    let bare = resolve(&sources).expect("fits");
    assert_eq!(bare.threads, of(4, Origin::Default));
    let unknown = resolve(&Sources {
        facts: None,
        ..sources
    })
    .expect("nothing to refuse");
    assert!(unknown.plan.is_none() && unknown.context.is_none());
}

#[test]
fn threads_heed_big_cores_and_quotas() {
    let rk3588 = on("rk3588", &Flags::default(), None);
    assert_eq!((rk3588.threads.value, rk3588.affinity.value), (4, Affinity::Big));
    let laptop = on("x86-laptop", &Flags::default(), None);
    assert_eq!(laptop.threads.value, 4, "8 CPUs on 4 cores");
}

#[test]
fn what_the_budget_made_smaller_says_so() {
    let (mut machine, profiles, facts) = (machine("raspberry-pi-5"), builtin(), facts());
    machine.ram.usable_bytes = 780 << 20;
    let profile = crate::device::profile::choose(&profiles, &crate::device::profile::Traits::of(&machine));
    let flags = Flags::default();
    let sources = Sources {
        flags: &flags,
        tuned: None,
        profile,
        machine: &machine,
        facts: Some(&facts),
    };
    let small = resolve(&sources).expect("something fits");
    assert_eq!((small.ubatch.value, small.ubatch.origin), (128, Origin::Budget));
    let mut tiny = machine.clone();
    tiny.ram.usable_bytes = 300 << 20;
    let sources = Sources {
        machine: &tiny,
        ..sources
    };
    assert!(resolve(&sources).is_err());
    let flags = Flags { force: true, ..flags };
    let forced = resolve(&Sources {
        flags: &flags,
        ..sources
    })
    .expect("forced");
    assert!(forced.plan.is_some_and(|plan| !plan.fits));
}

#[test]
fn favours() {
    let with = |favor| {
        on(
            "x86-laptop",
            &Flags {
                favor,
                ..Flags::default()
            },
            None,
        )
    };
    let (balanced, decode, memory) = (with(Favor::Balanced), with(Favor::Decode), with(Favor::Memory));
    assert!(balanced.mmap.value && !decode.mmap.value && memory.mmap.value);
    assert_eq!(decode.mmap.origin, Origin::Flag);
    let bytes = |settings: &Settings| settings.plan.as_ref().map(|plan| plan.total_bytes);
    assert!(bytes(&memory) < bytes(&balanced) && !memory.repack.value);
}
