//! Commands that can be typed instead of a message.

/// A command and its argument.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Command<'a> {
    Help,
    Reset,
    /// Shows the system prompt, or sets it; `-` removes it.
    System(Option<&'a str>),
    Stats,
    /// Writes the conversation to a file; true to replace an existing file.
    Save(&'a str, bool),
    Load(&'a str),
    /// Takes the last turn back.
    Undo,
    /// Takes the last answer back, and makes another.
    Retry,
    Quit,
}

/// A line that begins with a slash and is no command.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Unknown {
    /// What is wrong, and what is possible.
    pub(crate) text: String,
    /// Whether the line may be meant as a message.
    pub(crate) message: bool,
}

/// Names, argument, what it does.
pub(crate) const COMMANDS: [(&[&str], &str, &str); 10] = [
    (&["/help", "/?"], "", "lists the commands"),
    (&["/load"], "FILE", "continues a saved conversation"),
    (&["/quit", "/exit", "/bye"], "", "quits; so does Ctrl-D"),
    (
        &["/reset", "/clear"],
        "",
        "starts a new conversation; keeps the system prompt",
    ),
    (&["/retry"], "", "answers the last message again"),
    (&["/save"], "FILE", "writes the conversation as JSON"),
    (&["/save!"], "FILE", "the same; overwrites the file if it exists"),
    (
        &["/stats"],
        "",
        "shows how full the context is, and the last answer's speed",
    ),
    (
        &["/system"],
        "[TEXT]",
        "shows or sets the system prompt; - removes it",
    ),
    (&["/undo"], "", "takes back the last message and its answer"),
];

/// Commands of other programs, and what to type here.
const ELSEWHERE: [(&str, &str); 8] = [
    ("/image", "siskin reads text only"),
    ("/model", "quit, and start siskin chat with another model"),
    ("/read", "quit, and start siskin chat MODEL -f FILE"),
    ("/regen", "type /retry"),
    (
        "/set",
        "/system TEXT sets the system prompt; for other settings start again with flags: siskin chat --help",
    ),
    (
        "/show",
        "/system shows the system prompt, /stats the context; siskin inspect MODEL shows the model",
    ),
    ("/show!", "type /stats"),
    ("/temp", "quit, and start siskin chat MODEL --temp T"),
];

/// Parses a command. Returns `None` for a message, which is any line that does not begin with a slash.
pub(crate) fn parse(line: &str) -> Option<Result<Command<'_>, Unknown>> {
    let line = line.strip_prefix('/').map(|_| line.trim_end())?;
    let (name, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let rest = rest.trim();
    let wrong = |text: String, message| Some(Err(Unknown { text, message }));
    if let Some((_, instead)) = ELSEWHERE.iter().find(|(known, _)| *known == name) {
        return wrong(format!("no command {name} here; {instead}"), false);
    }
    let Some((names, argument, _)) = COMMANDS.iter().find(|(names, ..)| names.contains(&name)) else {
        let text =
            format!("no command {name}; /help lists them. To send it as a message, type a space first");
        return wrong(text, true);
    };
    match (*argument, rest.is_empty()) {
        ("", false) => return wrong(format!("{name} takes no argument"), false),
        ("FILE", true) => return wrong(format!("{name} needs a file name"), false),
        _ => {}
    }
    Some(Ok(match names[0] {
        "/help" => Command::Help,
        "/load" => Command::Load(rest),
        "/quit" => Command::Quit,
        "/reset" => Command::Reset,
        "/retry" => Command::Retry,
        "/save" => Command::Save(rest, false),
        "/save!" => Command::Save(rest, true),
        "/stats" => Command::Stats,
        "/undo" => Command::Undo,
        _ => Command::System((!rest.is_empty()).then_some(rest)),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_what_they_ask_for() {
        let cases = [
            ("hello", None),
            (" /help me", None),
            ("/help", Some(Command::Help)),
            ("/?", Some(Command::Help)),
            ("/quit ", Some(Command::Quit)),
            ("/bye", Some(Command::Quit)),
            ("/clear", Some(Command::Reset)),
            ("/retry", Some(Command::Retry)),
            ("/undo", Some(Command::Undo)),
            ("/system", Some(Command::System(None))),
            ("/system  Be  kind. ", Some(Command::System(Some("Be  kind.")))),
            ("/save a b.json", Some(Command::Save("a b.json", false))),
            ("/save! x", Some(Command::Save("x", true))),
            ("/load x", Some(Command::Load("x"))),
        ];
        for (line, want) in cases {
            assert_eq!(parse(line), want.map(Ok), "{line:?}");
        }
        let errors = [
            ("/save", "/save needs a file name", false),
            ("/load ", "needs a file name", false),
            ("/reset now", "takes no argument", false),
            ("/set temperature 1", "flags: siskin chat --help", false),
            ("/show info", "siskin inspect MODEL", false),
            ("/fly", "no command /fly", true),
            ("/etc/fstab explained?", "no command /etc/fstab", true),
            ("/", "no command /;", true),
        ];
        for (line, want, message) in errors {
            let error = parse(line).expect("a command").expect_err(want);
            assert!(error.text.contains(want), "{line:?}: {error:?}");
            assert_eq!(error.message, message, "{line:?}");
        }
    }

    #[test]
    fn the_tables_are_sorted_and_every_row_is_a_command() {
        assert!(COMMANDS.is_sorted() && ELSEWHERE.is_sorted());
        for (names, argument, _) in COMMANDS {
            let lines: Vec<String> = names.iter().map(|name| format!("{name} {argument}")).collect();
            let all: Vec<_> = lines.iter().map(|line| parse(line)).collect();
            assert!(matches!(all[0], Some(Ok(_))), "{names:?}");
            assert!(all.windows(2).all(|pair| pair[0] == pair[1]), "{names:?}");
        }
    }
}
