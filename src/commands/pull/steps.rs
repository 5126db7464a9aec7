//! The checkpoints of a training run: Pythia's repositories have a branch for each.

use siskin_hub::name::HubName;

use crate::exit::usage_error;

/// The last step; it is what `main` has.
const LAST: u32 = 143_000;

/// Whether Pythia has a branch of this step: 0, the powers of two up to 512, and every thousandth.
fn is_step(step: u32) -> bool {
    step == 0 || (step <= 512 && step.is_power_of_two()) || (step <= LAST && step.is_multiple_of(1000))
}

/// The names of a repository's steps.
///
/// # Errors
/// There is no such step, or the name has a revision already.
pub(super) fn names(repository: &HubName, steps: &[u32]) -> anyhow::Result<Vec<HubName>> {
    if repository.revision.is_some() {
        return Err(usage_error(
            "--steps: the name has a revision already; leave one of them out",
        ));
    }
    if let Some(step) = steps.iter().find(|step| !is_step(**step)) {
        return Err(usage_error(format!(
            "--steps {step}: there are 0, 1, 2, 4 … 512, and every thousandth from 1000 to {LAST}"
        )));
    }
    let name = |step: &u32| HubName {
        revision: Some(format!("step{step}")),
        ..repository.clone()
    };
    Ok(steps.iter().map(name).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use siskin_hub::name::Name;

    #[test]
    fn there_are_154_steps() {
        assert_eq!((0..=LAST).filter(|step| is_step(*step)).count(), 154);
        assert!(!is_step(3) && !is_step(1500) && !is_step(144_000) && !is_step(1024));
    }

    #[test]
    fn each_step_is_a_branch() {
        let Ok(Name::Hub(pythia)) = "EleutherAI/pythia-1b".parse() else {
            panic!("a repository");
        };
        let names = names(&pythia, &[0, 64_000]).expect("steps");
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        assert_eq!(
            names,
            [
                "hf:EleutherAI/pythia-1b@step0",
                "hf:EleutherAI/pythia-1b@step64000"
            ]
        );
        assert!(super::names(&pythia, &[5]).is_err());
    }
}
