//! How a call is written in an answer's text.

/// How a model writes a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CallStyle {
    /// `<tool_call>\n{"name": …, "arguments": …}\n</tool_call>`, anywhere in the text: Qwen, Hermes, SmolLM3.
    Tagged,
    /// `{"name": …, "parameters": …}` and nothing before it: Llama 3.
    Bare,
    /// As [`CallStyle::Tagged`], for a template that does not know tools, or calls of another form: the model must be
    /// told by [`crate::ToolSet::instructions`].
    Plain,
}

impl CallStyle {
    /// The style of a chat template, from the text of its source.
    pub fn from_template(source: &str) -> CallStyle {
        if !has_word(source, "tools") {
            return CallStyle::Plain;
        }
        // Templates of Qwen 3 Coder have calls in tags with XML in them.
        if source.contains("<tool_call>") && source.contains("arguments") && !source.contains("<function=") {
            return CallStyle::Tagged;
        }
        let named = source.contains("{\"name\":") || source.contains("{\\\"name\\\":");
        let parameters = source.contains("\"parameters\":") || source.contains("\\\"parameters\\\":");
        if named && parameters && !source.contains("[TOOL_CALLS]") && !source.contains("<tool_call") {
            return CallStyle::Bare;
        }
        CallStyle::Plain
    }

    /// Whether the template writes the tools into the prompt itself.
    pub fn is_in_template(self) -> bool {
        self != CallStyle::Plain
    }

    pub(super) fn syntax(self) -> &'static Syntax {
        match self {
            CallStyle::Tagged | CallStyle::Plain => &TAGGED,
            CallStyle::Bare => &BARE,
        }
    }
}

/// The constant parts of a call.
#[derive(Debug)]
pub(super) struct Syntax {
    /// What begins a call anywhere in the text; empty if a call is the whole text.
    pub(super) open: &'static str,
    /// What ends it.
    pub(super) close: &'static str,
    /// The key of the arguments.
    pub(super) arguments: &'static str,
    /// What may be between two calls, as a regular expression.
    pub(super) between: &'static str,
}

const TAGGED: Syntax = Syntax {
    open: "<tool_call>",
    close: "</tool_call>",
    arguments: "arguments",
    between: "\\n?",
};
const BARE: Syntax = Syntax {
    open: "",
    close: "",
    arguments: "parameters",
    between: ";? ?\\n?",
};

fn has_word(source: &str, word: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    source.match_indices(word).any(|(at, _)| {
        let before = source[..at].chars().next_back();
        let after = source[at + word.len()..].chars().next();
        !before.is_some_and(is_part) && !after.is_some_and(is_part)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_style_is_found_in_the_source_of_a_template() {
        let cases = [
            (
                "{% for m in messages %}{{ m.content }}{% endfor %}",
                CallStyle::Plain,
            ),
            ("{# no use_tools_here #}{{ toolset }}", CallStyle::Plain),
            (
                "{% if tools %}<tool_call>\n{\"name\": <n>, \"arguments\": <a>}\n</tool_call>{% endif %}",
                CallStyle::Tagged,
            ),
            (
                r#"{%- if tools %}{{- '<tool_call>\n{\"name\": <n>, \"arguments\": <a>}\n</tool_call>' }}"#,
                CallStyle::Tagged,
            ),
            (
                "{% if tools %}Respond in the format {\"name\": f, \"parameters\": d}.{% endif %}",
                CallStyle::Bare,
            ),
            (
                "{% if tools %}[TOOL_CALLS]{\"name\": f, \"parameters\": d}{% endif %}",
                CallStyle::Plain,
            ),
            (
                "{% if tools %}<tool_call>\n<function=f>\n<parameter=p>\"arguments\"</tool_call>{% endif %}",
                CallStyle::Plain,
            ),
            ("{% if tools %}{{ tools | tojson }}{% endif %}", CallStyle::Plain),
        ];
        for (source, style) in cases {
            assert_eq!(CallStyle::from_template(source), style, "{source}");
        }
    }
}
