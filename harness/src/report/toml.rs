//! The figures as `[[measured]]` tables of a device profile; `targets/README.md` explains their fields.

use crate::result::{Kind, Results, Run, Tool};

/// One figure: the model, what was measured, its value and unit.
type Figure = (String, String, f64, &'static str);

/// Every figure that a profile has room for: the memory's speed, siskin's speeds, T(n).
pub(super) fn render(results: &Results) -> String {
    let mut out = String::new();
    let here = results.read_bandwidths.iter().map(|entry| -> Figure {
        let what = format!("memory read by {} threads", entry.threads);
        ("-".into(), what, entry.bytes_per_second.median / 1e9, "GB/s")
    });
    let from = results.provenance();
    let command = &results.command;
    here.for_each(|figure| {
        table(
            &mut out,
            figure,
            &from.date_utc,
            &from.machine.identity(),
            command,
        )
    });
    for run in results.runs.iter().filter(|run| run.tool == Tool::Siskin) {
        let Some(from) = results.provenance_of(run) else {
            continue;
        };
        for figure in figures(run) {
            table(
                &mut out,
                figure,
                &from.date_utc,
                &from.machine.identity(),
                command,
            );
        }
    }
    out
}

fn figures(run: &Run) -> Vec<Figure> {
    let (model, name) = (run.model.title(), run.test.name());
    let speed = match run.test.kind {
        Kind::Prefill | Kind::Decode => Some(run.tokens_per_second.median),
        Kind::Verify | Kind::Parallel => None,
    };
    let ratio = run.pass.as_ref().filter(|_| run.test.tokens > 1);
    let ratio = ratio.and_then(|pass| pass.relative_time);
    let speed = speed.map(|speed| (model.clone(), name.clone(), speed, "tokens/s"));
    let ratio = ratio.map(|ratio| (model, name, ratio.ratio, "times one token"));
    speed.into_iter().chain(ratio).collect()
}

fn table(out: &mut String, (model, what, value, unit): Figure, date: &str, machine: &str, command: &str) {
    // A day is enough.
    let date = date.split('T').next().unwrap_or(date);
    let rounded = format!("{value:.3}");
    *out += &format!(
        "[[measured]]\nmodel = {}\nwhat = {}\nvalue = {rounded}\nunit = {}\ndate = {}\nmachine = {}\ncommand = {}\n\n",
        quoted(&model),
        quoted(&what),
        quoted(unit),
        quoted(date),
        quoted(machine),
        quoted(command),
    );
}

/// A basic string of TOML 1.0, which has the escapes of JSON.
fn quoted(text: &str) -> String {
    let text = text.replace(char::is_control, "?");
    serde_json::Value::String(text).to_string()
}

#[cfg(test)]
mod tests {
    use siskin_device::profile;

    use super::*;
    use crate::report::fixture;

    /// What is printed is what a profile takes, whatever a model is called.
    #[test]
    fn figures_go_into_a_profile() {
        let mut results = fixture();
        results.command = "siskin report \"a b\\c\".gguf\u{7f}".into();
        let text = include_str!("../../../targets/raspberry-pi-5.toml");
        let text = text.replace("measured = []\n", "") + "\n" + &render(&results);
        let parsed = profile::parse(std::path::Path::new("raspberry-pi-5.toml"), &text).expect("a profile");
        let found: Vec<(&str, f64, &str)> = parsed
            .measured
            .iter()
            .map(|one| (one.what.as_str(), one.value, one.unit.as_str()))
            .collect();
        let want = [
            ("memory read by 2 threads", 25.0, "GB/s"),
            ("pp128", 117.0, "tokens/s"),
            ("tg32", 18.15, "tokens/s"),
            ("pp128 @ d512", 100.0, "tokens/s"),
            ("tg32 @ d512", 15.15, "tokens/s"),
            ("verify4", 1.455, "times one token"),
            ("parallel4 @ d512", 1.6, "times one token"),
        ];
        assert_eq!(found, want);
        let first = &parsed.measured[1];
        assert_eq!(
            (first.date.as_str(), first.model.as_str()),
            ("2026-11-24", "tiny|<llama> q4_k_m")
        );
    }
}
