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
    Quit,
}

/// Name, argument, what it does.
pub(crate) const COMMANDS: [(&str, &str, &str); 8] = [
    ("/help", "", "lists the commands"),
    ("/load", "FILE", "continues a saved conversation"),
    ("/quit", "", "quits; so does Ctrl-D"),
    ("/reset", "", "starts a new conversation; keeps the system prompt"),
    ("/save", "FILE", "writes the conversation as JSON"),
    ("/save!", "FILE", "the same; overwrites the file if it exists"),
    (
        "/stats",
        "",
        "shows how full the context is, and the last answer's speed",
    ),
    (
        "/system",
        "[TEXT]",
        "shows or sets the system prompt; - removes it",
    ),
];

/// Parses a command. Returns `None` for a message, which is any line that does not begin with a slash.
pub(crate) fn parse(line: &str) -> Option<Result<Command<'_>, String>> {
    let line = line.strip_prefix('/').map(|_| line.trim_end())?;
    let (name, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let (rest, given) = (rest.trim(), !rest.trim().is_empty());
    let command = match name {
        "/help" | "/?" => Command::Help,
        "/reset" => Command::Reset,
        "/stats" => Command::Stats,
        "/quit" | "/exit" => Command::Quit,
        "/system" => return Some(Ok(Command::System(given.then_some(rest)))),
        "/save" if given => return Some(Ok(Command::Save(rest, false))),
        "/save!" if given => return Some(Ok(Command::Save(rest, true))),
        "/load" if given => return Some(Ok(Command::Load(rest))),
        "/save" | "/save!" | "/load" => return Some(Err(format!("{name} needs a file name"))),
        _ => {
            return Some(Err(format!(
                "no command {name}; /help lists them; to send a message that begins with /, type a space first"
            )));
        }
    };
    Some(if given {
        Err(format!("{name} takes no argument"))
    } else {
        Ok(command)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_what_they_ask_for() {
        let cases = [
            ("hello", None),
            (" /help me", None),
            ("/help", Some(Ok(Command::Help))),
            ("/quit ", Some(Ok(Command::Quit))),
            ("/system", Some(Ok(Command::System(None)))),
            (
                "/system  Be  kind. ",
                Some(Ok(Command::System(Some("Be  kind.")))),
            ),
            ("/save a b.json", Some(Ok(Command::Save("a b.json", false)))),
            ("/save! x", Some(Ok(Command::Save("x", true)))),
            ("/load x", Some(Ok(Command::Load("x")))),
        ];
        for (line, want) in cases {
            assert_eq!(parse(line), want, "{line:?}");
        }
        let errors = [
            ("/save", "needs a file name"),
            ("/load ", "needs a file name"),
            ("/reset now", "takes no argument"),
            ("/fly", "no command /fly"),
            ("/", "no command /;"),
        ];
        for (line, want) in errors {
            let error = parse(line).expect("a command").expect_err(want);
            assert!(error.contains(want), "{line:?}: {error}");
        }
    }

    #[test]
    fn the_table_is_sorted_and_every_row_is_a_command() {
        assert!(COMMANDS.is_sorted());
        for (name, argument, _) in COMMANDS {
            assert!(
                parse(&format!("{name} {argument}")).expect("a command").is_ok(),
                "{name}"
            );
        }
    }
}
