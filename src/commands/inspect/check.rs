//! `siskin inspect --check`: what is odd about a file's metadata and its chat templates.

use std::io::{self, Write};

use serde_json::{Value as Json, json};
use siskin_jinja::Template;
use siskin_model::gguf::Header;
use siskin_quant::audit::{self, Finding, Severity};

use crate::render::text;

/// The most conditions of a template that are listed.
const MOST: usize = 16;

/// All findings: warnings first, each in the file's order.
pub(super) fn findings(header: &Header) -> Vec<Finding> {
    let mut findings = audit::audit(header);
    for (key, template) in audit::templates(header) {
        findings.extend(of_template(key, template));
    }
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    findings
}

/// The conditions of a template on what messages say. Those of known templates are what their authors meant.
fn of_template(key: &str, template: &str) -> Vec<Finding> {
    let warning = |what| Finding {
        severity: Severity::Warning,
        place: key.to_owned(),
        what,
    };
    if audit::repositories(template).is_some() {
        return Vec::new();
    }
    match Template::parse(template) {
        Err(error) => vec![warning(format!("cannot be read as a template: {error}"))],
        Ok(template) => {
            let conditions = template.conditions_on_content().into_iter().take(MOST);
            let line = |condition: siskin_jinja::Condition| {
                format!(
                    "line {} depends on whether a message has {:?}; read what it does then",
                    condition.line,
                    text::bounded(&condition.what)
                )
            };
            conditions.map(|condition| warning(line(condition))).collect()
        }
    }
}

/// Prints a line for each finding, or that there is none.
pub(super) fn print(out: &mut impl Write, findings: &[Finding]) -> io::Result<()> {
    writeln!(out, "\ncheck")?;
    if findings.is_empty() {
        return writeln!(out, "nothing odd in the metadata; the weights are not checked");
    }
    for finding in findings {
        let (severity, place) = (finding.severity.name(), text::bounded(&finding.place));
        writeln!(out, "{severity:8} {place}: {}", text::escaped(&finding.what))?;
    }
    Ok(())
}

/// The same as JSON.
pub(super) fn json(findings: &[Finding]) -> Json {
    let one = |finding: &Finding| json!({"severity": finding.severity.name(), "place": finding.place, "what": finding.what});
    findings.iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_that_look_for_words_are_warned_of() {
        let cases = [
            ("{{ messages[0].content }}", None),
            (
                "{% if 'bank' in messages[0].content %}x{% endif %}",
                Some("line 1 depends"),
            ),
            ("{% if %}", Some("cannot be read as a template")),
        ];
        for (template, want) in cases {
            let found = of_template(audit::TEMPLATE, template);
            assert_eq!(found.len(), usize::from(want.is_some()), "{template}");
            let fits = |finding: &Finding| finding.what.contains(want.unwrap_or_default());
            assert!(found.iter().all(fits), "{found:?}");
        }
    }
}
