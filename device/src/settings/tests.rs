use siskin_model::gguf::{Header, Metadata, TensorInfo};
use siskin_model::shape::Shape;
use siskin_model::{FileType, TensorType};

use super::*;
use crate::pages::{Choice, Placement};
use crate::probe::{Machine, Root};
use crate::profile::{Profile, Traits, builtin, choose};
use crate::tuned::Tuned;

fn machine(name: &str) -> Machine {
    let root: std::path::PathBuf = [env!("CARGO_MANIFEST_DIR"), "../tests/data/devices", name]
        .iter()
        .collect();
    Machine::probe(&Root::at(root))
}

/// TinyLlama's shape in Q4_K_M.
fn shape() -> Shape {
    let mut metadata = Metadata::new();
    metadata.set("general.architecture", "llama");
    metadata.set("general.file_type", FileType::Q4KM.id());
    for (key, value) in [
        ("block_count", 22u32),
        ("attention.head_count", 32),
        ("attention.head_count_kv", 4),
        ("embedding_length", 2048),
        ("context_length", 2048),
        ("feed_forward_length", 5632),
    ] {
        metadata.set(format!("llama.{key}"), value);
    }
    let tensor = |name: &str, rows| TensorInfo {
        name: name.into(),
        shape: vec![2048, rows],
        ty: TensorType::Q4K,
        offset: 0,
    };
    let header = Header {
        version: 3,
        metadata,
        tensors: vec![
            tensor("token_embd.weight", 32_000),
            tensor("output.weight", 32_000),
            tensor("blk.0.ffn_gate.weight", 510_000),
        ],
        alignment: 32,
        data_start: 0,
        file_len: 0,
    };
    Shape {
        vocabulary: 32_000,
        ..Shape::from_header(&header).expect("a shape")
    }
}

fn tuned() -> Tuned {
    let settings = Overrides {
        threads: Some(3),
        threads_batch: Some(64),
        ubatch: Some(64),
        wait_policy: Some(WaitPolicy::Passive),
        ..Overrides::default()
    };
    Tuned {
        settings,
        prefill_tokens_per_second: 1.0,
        decode_tokens_per_second: 1.0,
        measured_at: 0,
        pass_costs: vec![],
    }
}

/// What a table of cases changes.
struct Case<'a> {
    device: &'a str,
    typed: Overrides,
    environment: Overrides,
    priority: Priority,
    force: bool,
    tuned: Option<Tuned>,
    pages: Option<Placement>,
    profiled: bool,
    usable_mib: Option<u64>,
    shape: Option<Shape>,
    repack_faults: bool,
}

impl Case<'_> {
    fn on(device: &str) -> Case<'_> {
        Case {
            device,
            typed: Overrides::default(),
            environment: Overrides::default(),
            priority: Priority::Balanced,
            force: false,
            tuned: None,
            pages: None,
            profiled: true,
            usable_mib: None,
            shape: Some(shape()),
            repack_faults: false,
        }
    }

    fn resolve(&self) -> Result<Resolved, SettingsError> {
        let (mut machine, profiles) = (machine(self.device), builtin());
        if let Some(mib) = self.usable_mib {
            machine.ram.usable_bytes = mib << 20;
        }
        let profile: Option<&Profile> =
            choose(&profiles, &Traits::from_machine(&machine)).filter(|_| self.profiled);
        let choice = self.pages.map(|placement| Choice {
            placement,
            reason: "measured".into(),
        });
        resolve(&Sources {
            pages: choice.as_ref(),
            typed: &self.typed,
            environment: &self.environment,
            priority: self.priority,
            force: self.force,
            tuned: self.tuned.as_ref(),
            profile,
            machine: &machine,
            shape: self.shape.as_ref(),
            repack_faults: self.repack_faults,
        })
    }

    fn resolved(&self) -> Resolved {
        self.resolve().expect("it fits")
    }
}

#[test]
fn typed_then_tuned_then_profile_then_default() {
    let threads = |resolved: &Resolved| {
        let (values, origins) = (&resolved.values, &resolved.origins);
        (
            (values.threads, origins.threads),
            (values.threads_batch, origins.threads_batch),
        )
    };
    let pi = || Case::on("raspberry-pi-5");
    let plain = pi().resolved();
    assert_eq!(threads(&plain), ((2, Origin::Profile), (4, Origin::Profile)));
    assert_eq!(
        (plain.values.context, plain.origins.context),
        (2048, Origin::Default)
    );
    let tuned = Case {
        tuned: Some(tuned()),
        ..pi()
    };
    let measured = tuned.resolved();
    // Never more threads than there are CPUs, whatever an old measurement states.
    assert_eq!(threads(&measured), ((3, Origin::Tuned), (4, Origin::Tuned)));
    assert_eq!(measured.values.wait_policy, WaitPolicy::Passive);
    assert_eq!(
        (measured.values.ubatch, measured.origins.ubatch),
        (64, Origin::Tuned)
    );
    let typed = Overrides {
        threads: Some(1),
        repack: Some(true),
        ..Overrides::default()
    };
    let typed = Case { typed, ..tuned }.resolved();
    assert_eq!(threads(&typed), ((1, Origin::Flag), (1, Origin::Flag)));
    assert_eq!((typed.values.repack, typed.origins.repack), (true, Origin::Flag));
    let bare = Case {
        profiled: false,
        ..Case::on("x86-laptop")
    };
    assert_eq!(threads(&bare.resolved()).0, (4, Origin::Default));
    let unknown = Case { shape: None, ..bare }.resolved();
    assert!(unknown.plan.is_none() && unknown.origins.context == Origin::Default);
}

#[test]
fn the_environment_is_weaker_than_a_flag() {
    let kernels = |kernels| Overrides {
        kernels: Some(kernels),
        ..Overrides::default()
    };
    let named = Case {
        environment: kernels(Kernels::Ggml),
        ..Case::on("raspberry-pi-5")
    };
    let resolved = named.resolved();
    assert_eq!(
        (resolved.values.kernels, resolved.origins.kernels),
        (Kernels::Ggml, Origin::Environment)
    );
    let typed = Case {
        typed: kernels(Kernels::Siskin),
        ..named
    };
    let resolved = typed.resolved();
    assert_eq!(
        (resolved.values.kernels, resolved.origins.kernels),
        (Kernels::Siskin, Origin::Flag)
    );
}

#[test]
fn threads_follow_big_cores_and_quotas() {
    let rk3588 = Case::on("rk3588").resolved().values;
    assert_eq!((rk3588.threads, rk3588.affinity), (4, Affinity::Big));
    let laptop = Case::on("x86-laptop").resolved().values;
    assert_eq!(laptop.threads, 4, "8 CPUs on 4 cores");
}

#[test]
fn what_the_budget_made_smaller_says_so() {
    let small = Case {
        usable_mib: Some(775),
        ..Case::on("raspberry-pi-5")
    };
    let resolved = small.resolved();
    assert_eq!(
        (resolved.values.ubatch, resolved.origins.ubatch),
        (128, Origin::Budget)
    );
    let tiny = Case {
        usable_mib: Some(300),
        ..small
    };
    assert!(matches!(tiny.resolve(), Err(SettingsError::Budget(_))));
    let forced = Case { force: true, ..tiny };
    assert!(forced.resolved().plan.is_some_and(|plan| !plan.fits));
}

#[test]
fn priorities() {
    let with = |priority| {
        let case = Case {
            priority,
            ..Case::on("x86-laptop")
        };
        case.resolved()
    };
    let (balanced, decode, memory) = (
        with(Priority::Balanced),
        with(Priority::Decode),
        with(Priority::Memory),
    );
    assert!(balanced.values.mmap && !decode.values.mmap && memory.values.mmap);
    assert_eq!(decode.origins.mmap, Origin::Flag);
    let bytes = |resolved: &Resolved| resolved.plan.as_ref().map(|plan| plan.total_bytes);
    assert!(bytes(&memory) < bytes(&balanced) && !memory.values.repack);
}

#[test]
fn repacking_that_faults_is_refused_if_typed_and_left_out_otherwise() {
    let faults = Case {
        repack_faults: true,
        ..Case::on("raspberry-pi-5")
    };
    assert!(!faults.resolved().values.repack, "the profile asks for it");
    let repack = Overrides {
        repack: Some(true),
        ..Overrides::default()
    };
    let typed = Case {
        typed: repack,
        ..faults
    };
    assert_eq!(typed.resolve(), Err(SettingsError::RepackFaults));
    let forced = Case { force: true, ..typed };
    assert!(forced.resolved().values.repack);
}

#[test]
fn every_setting_has_a_row_by_the_name_of_its_flag() {
    let rows = Case::on("x86-laptop").resolved().rows();
    let row = |name: &str| rows.iter().find(|row| row.name == name).expect(name);
    assert_eq!(row("mmap").value, "on");
    assert_eq!(row("cache-type").value, "f16");
    let json = serde_json::to_value(Values::default()).expect("JSON");
    assert_eq!(json.as_object().map(|fields| fields.len()), Some(rows.len()));
}

#[test]
fn what_pages_cost_is_stronger_than_a_profile_and_weaker_than_what_was_tuned_or_asked_for() {
    let mapped = |mmap| Overrides {
        mmap: Some(mmap),
        ..Overrides::default()
    };
    let (read, huge) = (Some(Placement::Read), Some(Placement::MappedHuge));
    let tuned_mapped = Tuned {
        settings: mapped(true),
        ..tuned()
    };
    let case = || Case::on("x86-laptop");
    // what is the case, mmap and where from, huge pages, the setting that shows the measurement
    let cases = [
        ("nothing", case(), (true, Origin::Profile, false), None),
        (
            "as it is",
            Case {
                pages: Some(Placement::Mapped),
                ..case()
            },
            (true, Origin::Profile, false),
            Some("huge-pages"),
        ),
        (
            "mapped",
            Case {
                pages: huge,
                ..case()
            },
            (true, Origin::Profile, true),
            Some("huge-pages"),
        ),
        (
            "read",
            Case {
                pages: read,
                ..case()
            },
            (false, Origin::Measured, false),
            Some("mmap"),
        ),
        (
            "tuned",
            Case {
                pages: read,
                tuned: Some(tuned_mapped),
                ..case()
            },
            (true, Origin::Tuned, false),
            None,
        ),
        (
            "typed",
            Case {
                pages: read,
                typed: mapped(true),
                ..case()
            },
            (true, Origin::Flag, false),
            None,
        ),
        (
            "typed, huge",
            Case {
                pages: huge,
                typed: mapped(true),
                ..case()
            },
            (true, Origin::Flag, true),
            Some("huge-pages"),
        ),
        (
            "typed, read",
            Case {
                pages: huge,
                typed: mapped(false),
                ..case()
            },
            (false, Origin::Flag, true),
            None,
        ),
        (
            "little memory",
            Case {
                pages: read,
                usable_mib: Some(780),
                ..case()
            },
            (true, Origin::Budget, false),
            None,
        ),
    ];
    for (what, case, want, shown) in cases {
        let resolved = case.resolve().expect(what);
        let (values, origins) = (&resolved.values, &resolved.origins);
        assert_eq!((values.mmap, origins.mmap, values.huge_pages), want, "{what}");
        let plan = resolved.plan.expect("a plan");
        let found = plan.reasons.iter().find(|reason| reason.reason == "measured");
        assert_eq!(found.map(|reason| reason.setting), shown, "{what}");
        assert_eq!(plan.settings.mmap, values.mmap, "{what}");
    }
}

#[test]
fn values_of_results_from_before_huge_pages_are_read() {
    let values = Values::default();
    let mut json = serde_json::to_value(values).expect("JSON");
    json.as_object_mut().expect("an object").remove("huge_pages");
    assert_eq!(serde_json::from_value::<Values>(json).expect("values"), values);
}
