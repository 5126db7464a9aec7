//! How a call is written in an answer's text.

/// How a model writes a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CallStyle {
    /// `<tool_call>\n{"name": …, "arguments": …}\n</tool_call>`, anywhere in the text: Qwen, Hermes, SmolLM3.
    Tagged,
    /// `{"name": …, "parameters": …}` and nothing before it: Llama 3. An answer has one call: the templates refuse a
    /// conversation in which one has two.
    Bare,
    /// As [`CallStyle::Tagged`], for a template that does not know tools, or calls of another form: the model must be
    /// told by [`crate::ToolSet::instructions`].
    Plain,
}

impl CallStyle {
    /// The style of a chat template, from the text of its source. What it does not show plainly is [`CallStyle::Plain`]:
    /// other tags, XML or Python as arguments, special tokens.
    pub fn from_template(source: &str) -> CallStyle {
        // In a template, quotes may be within quotes.
        let plain = source.replace('\\', "");
        if !has_word(&plain, "tools") || !plain.contains("{\"name\":") {
            return CallStyle::Plain;
        }
        let has = |text| plain.contains(text);
        if has("<tool_call>") && has("\"arguments\":") && !has("<function=") && !has("<arg_key>") {
            return CallStyle::Tagged;
        }
        let other = has("\"arguments\":") || has("<tool_call") || has("[TOOL_CALLS]");
        if has("\"parameters\":") && !other {
            CallStyle::Bare
        } else {
            CallStyle::Plain
        }
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
}

const TAGGED: Syntax = Syntax {
    open: "<tool_call>",
    close: "</tool_call>",
    arguments: "arguments",
};
const BARE: Syntax = Syntax {
    open: "",
    close: "",
    arguments: "parameters",
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
            (
                "{% if tools %}<tool_call>{name}\n<arg_key>k</arg_key>{{ arguments }}{% endif %}",
                CallStyle::Plain,
            ),
            (
                "{% if tools %}<TOOLCALL>[{\"name\": f, \"arguments\": a}] \"parameters\": {% endif %}",
                CallStyle::Plain,
            ),
            ("{% if tools %}{{ tools | tojson }}{% endif %}", CallStyle::Plain),
        ];
        for (source, style) in cases {
            assert_eq!(CallStyle::from_template(source), style, "{source}");
        }
    }
}
