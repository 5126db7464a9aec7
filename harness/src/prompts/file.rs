//! A file of prompts: one JSON object a line.

use std::collections::{HashSet, VecDeque};

use serde::Deserialize;
use serde_json::Value;

/// The most prompts of a file.
const MOST_PROMPTS: usize = 100_000;
/// The longest prompt in bytes.
const LONGEST_PROMPT: usize = 1 << 20;
/// The most kinds, and the longest name of one in characters.
const MOST_KINDS: usize = 100;
const LONGEST_KIND: usize = 40;
/// The longest id in bytes of JSON.
const LONGEST_ID: usize = 200;

/// The kind of a prompt that names none.
const NO_KIND: &str = "any";

/// One prompt.
#[derive(Debug, Clone, PartialEq)]
pub struct Prompt {
    /// What is asked for, as the file names it.
    pub kind: String,
    /// What the file calls it, else `line` and the line's number.
    pub id: Value,
    /// The text.
    pub text: String,
    /// The line in the file, from 1.
    pub line: usize,
}

impl Prompt {
    /// Its kind and id, for people: one line.
    pub fn name(&self) -> String {
        format!("{} {}", self.kind, shown(&self.id))
    }
}

/// An id for people: one line.
pub(super) fn shown(id: &Value) -> String {
    let text = match id {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    text.replace(char::is_control, "?")
}

/// The prompts of a file.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Prompts {
    /// Different prompts, one of each kind in turn: if the measurement ends early, it has some of each.
    pub list: Vec<Prompt>,
    /// Prompts that were left out because the same text came before.
    pub duplicates: usize,
}

/// A file is not one of prompts. The text names the line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FileProblem {
    /// A line is something else.
    #[error("line {0} is not a JSON object such as {{\"kind\": \"qa\", \"id\": 1, \"prompt\": \"...\"}}")]
    NoObject(usize),
    /// An object has not what a prompt needs.
    #[error("line {line}: {problem}")]
    Object {
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        problem: String,
    },
    /// There is no prompt.
    #[error("has no prompts")]
    Empty,
    /// There are more prompts than are read.
    #[error("has more than {MOST_PROMPTS} prompts")]
    TooMany,
    /// There are more kinds than a table has room for.
    #[error("line {0}: has more than {MOST_KINDS} kinds")]
    TooManyKinds(usize),
}

/// A line as it is written; other fields are ignored.
#[derive(Debug, Deserialize)]
struct Line {
    kind: Option<String>,
    id: Option<Value>,
    prompt: String,
}

/// Reads the text of a file of prompts: one JSON object a line, `{"kind": "...", "id": any, "prompt": "..."}`, of which only
/// `prompt` must be there. Empty lines are skipped. Of `limit` prompts, each kind gets its share.
///
/// # Errors
/// A line is something else, is over a limit, or there is no prompt.
pub fn parse(text: &str, limit: Option<usize>) -> Result<Prompts, FileProblem> {
    let mut seen = HashSet::new();
    let mut kinds: Vec<(String, VecDeque<Prompt>)> = Vec::new();
    let mut duplicates = 0;
    for (index, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
        if line.trim().is_empty() {
            continue;
        }
        let prompt = prompt(index + 1, line)?;
        if !seen.insert(prompt.text.clone()) {
            duplicates += 1;
            continue;
        }
        if seen.len() > MOST_PROMPTS {
            return Err(FileProblem::TooMany);
        }
        let known = kinds.iter().position(|(kind, _)| *kind == prompt.kind);
        match known {
            Some(at) => kinds[at].1.push_back(prompt),
            None if kinds.len() == MOST_KINDS => return Err(FileProblem::TooManyKinds(prompt.line)),
            None => kinds.push((prompt.kind.clone(), VecDeque::from([prompt]))),
        }
    }
    if kinds.is_empty() {
        return Err(FileProblem::Empty);
    }
    let most = seen.len().min(limit.unwrap_or(usize::MAX));
    let mut list = Vec::with_capacity(most);
    while list.len() < most {
        let next = kinds.iter_mut().filter_map(|(_, prompts)| prompts.pop_front());
        list.extend(next);
    }
    list.truncate(most);
    Ok(Prompts { list, duplicates })
}

/// The prompt of one line.
fn prompt(line: usize, text: &str) -> Result<Prompt, FileProblem> {
    // A list of the fields' values would be read too.
    if !text.trim_start().starts_with('{') {
        return Err(FileProblem::NoObject(line));
    }
    let refuse = |problem: String| Err(FileProblem::Object { line, problem });
    let read: Line = match serde_json::from_str(text) {
        Ok(read) => read,
        Err(error) => {
            // It counts lines of its own.
            let problem = error.to_string();
            let problem = problem.split(" at line 1 column").next().unwrap_or_default();
            return refuse(format!("{problem} (column {})", error.column()));
        }
    };
    let kind = read.kind.unwrap_or_else(|| NO_KIND.into());
    let id = read.id.unwrap_or_else(|| format!("line {line}").into());
    if read.prompt.trim().is_empty() {
        return refuse("the prompt is empty".into());
    }
    if read.prompt.len() > LONGEST_PROMPT {
        return refuse(format!("the prompt has more than {LONGEST_PROMPT} bytes"));
    }
    let is_name = |kind: &str| kind.chars().count() <= LONGEST_KIND && !kind.contains(char::is_control);
    if kind.trim().is_empty() || !is_name(&kind) {
        return refuse(format!(
            "the kind must be a word or a few, of at most {LONGEST_KIND} characters"
        ));
    }
    if id.to_string().len() > LONGEST_ID {
        return refuse(format!("the id has more than {LONGEST_ID} bytes"));
    }
    Ok(Prompt {
        kind,
        id,
        text: read.prompt,
        line,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(prompts: &Prompts) -> Vec<String> {
        prompts.list.iter().map(Prompt::name).collect()
    }

    const FILE: &str = "\u{feff}{\"kind\":\"qa\",\"id\":1,\"prompt\":\"a\"}\n\n\
        {\"kind\":\"qa\",\"id\":\"two\",\"prompt\":\"b\",\"more\":[1]}\r\n\
        {\"kind\":\"qa\",\"id\":3,\"prompt\":\"a\"}\n\
        {\"prompt\":\"c\"}\n\
        {\"kind\":\"qa\",\"id\":{\"n\":[4]},\"prompt\":\"d\"}\n";

    #[test]
    fn kinds_take_turns_and_no_prompt_comes_twice() {
        let whole = parse(FILE, None).expect("prompts");
        assert_eq!(names(&whole), ["qa 1", "any line 5", "qa two", "qa {\"n\":[4]}"]);
        assert_eq!((whole.duplicates, whole.list[1].line), (1, 5));
        let cases: [(usize, &[&str]); 4] = [
            (0, &[]),
            (1, &["qa 1"]),
            (2, &["qa 1", "any line 5"]),
            (3, &["qa 1", "any line 5", "qa two"]),
        ];
        for (limit, want) in cases {
            assert_eq!(
                names(&parse(FILE, Some(limit)).expect("prompts")),
                want,
                "{limit}"
            );
        }
        assert_eq!(parse(FILE, Some(9)), Ok(whole));
    }

    #[test]
    fn what_is_no_prompt_is_refused_with_its_line() {
        let long =
            |field: &str, len: usize| format!("{{\"prompt\":\"p\",\"{field}\":\"{}\"}}", "x".repeat(len));
        let deep = format!("{{\"prompt\":\"p\",\"id\":{}", "[".repeat(100_000));
        let prompt = format!("{{\"prompt\":\"{}\"}}", "x".repeat(LONGEST_PROMPT + 1));
        let (kind, id) = (long("kind", 41), long("id", 201));
        let cases: [(&str, &str); 15] = [
            ("", "has no prompts"),
            ("\n \r\n", "has no prompts"),
            (
                "Once upon a time",
                "line 1 is not a JSON object such as {\"kind\"",
            ),
            ("{\"prompt\":\"a\"}\nprose", "line 2 is not a JSON object"),
            ("[\"qa\",1,\"text\"]", "line 1 is not a JSON object"),
            (
                "{\"prompt\":\"a\"",
                "line 1: EOF while parsing an object (column ",
            ),
            ("{\"text\":\"a\"}", "line 1: missing field `prompt` (column "),
            (
                "{\"prompt\":1}",
                "line 1: invalid type: integer `1`, expected a string (column ",
            ),
            (
                "{\"prompt\":\"\\ud800\"}",
                "line 1: unexpected end of hex escape (column ",
            ),
            ("{\"prompt\":\" \"}", "line 1: the prompt is empty"),
            (
                "{\"prompt\":\"a\",\"kind\":\"a\\u001b[2J\"}",
                "line 1: the kind must be",
            ),
            (&kind, "line 1: the kind must be"),
            (&id, "line 1: the id has more than 200 bytes"),
            (&prompt, "line 1: the prompt has more than 1048576 bytes"),
            (&deep, "line 1: recursion limit exceeded"),
        ];
        for (text, want) in cases {
            let problem = parse(text, None).expect_err(want).to_string();
            assert!(problem.starts_with(want), "{problem}");
        }
        let kinds: String = (0..=MOST_KINDS)
            .map(|kind| format!("{{\"kind\":\"{kind}\",\"prompt\":\"{kind}\"}}\n"))
            .collect();
        assert_eq!(parse(&kinds, None), Err(FileProblem::TooManyKinds(101)));
    }

    #[test]
    fn an_id_sends_nothing_to_a_terminal() {
        let text = "{\"prompt\":\"a\",\"id\":\"\\u001b[2J\\n\"}";
        assert_eq!(names(&parse(text, None).expect("a prompt")), ["any ?[2J?"]);
    }
}
