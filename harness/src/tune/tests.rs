use super::*;

fn sample(prefill: f64, decode: f64) -> Sample {
    Sample {
        prefill,
        decode,
        peak_rss_bytes: 1,
    }
}

#[test]
fn every_stage_starts_with_what_is_and_changes_its_own_setting_only() {
    for stage in STAGES {
        let trials = stage.trials(&Tunable::SAMPLE, 8);
        assert_eq!(trials[0].1, Tunable::SAMPLE, "{}", stage.name);
        assert!(trials.len() > 1, "{}", stage.name);
        assert!(
            trials[1..].iter().all(|(_, other)| *other != Tunable::SAMPLE),
            "{}",
            stage.name
        );
    }
    let ggml = Tunable {
        kernels: Kernels::Ggml,
        ..Tunable::SAMPLE
    };
    for stage in STAGES {
        let trials = stage.trials(&ggml, 8);
        assert!(trials.iter().all(|(_, trial)| trial.kernels == Kernels::Ggml));
    }
    let counts = |cpus| counts(cpus).collect::<Vec<_>>();
    assert_eq!(
        (counts(1), counts(4), counts(7)),
        (vec![1], vec![1, 2, 3, 4], vec![1, 2, 3, 4, 6, 7])
    );
}

#[test]
fn medians() {
    assert_eq!(median(&[]), None);
    let samples = [sample(1.0, 9.0), sample(100.0, 7.0), sample(3.0, 8.0)];
    assert_eq!(median(&samples), Some(sample(3.0, 8.0)));
    assert_eq!(median(&samples[1..]), Some(sample(51.5, 7.5)));
}

#[test]
fn the_first_stays_unless_another_is_faster_by_more_than_noise() {
    let medians = |list: &[(f64, f64)]| list.iter().map(|(p, d)| Some(sample(*p, *d))).collect::<Vec<_>>();
    let close = medians(&[(100.0, 10.0), (101.0, 10.1)]);
    assert_eq!(fastest(Goal::Decode, &close), Some(0));
    let apart = medians(&[(100.0, 10.0), (50.0, 11.0), (120.0, 9.0)]);
    assert_eq!(fastest(Goal::Decode, &apart), Some(1));
    assert_eq!(fastest(Goal::Prefill, &apart), Some(2));
    assert_eq!(fastest(Goal::Both, &apart), Some(0));
    assert_eq!(fastest(Goal::Decode, &[None, Some(sample(1.0, 1.0))]), Some(1));
    assert_eq!(fastest(Goal::Decode, &[None, None]), None);
}
