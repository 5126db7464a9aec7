//! What happens on a terminal: the chat's commands, its keys, and `run` without a prompt.

use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use crate::util;

const CTRL_C: &str = "\x03";
const CTRL_D: &str = "\x04";
/// The chat's prompt.
const PROMPT: &str = "> ";

/// A program on a terminal that `script` makes.
struct Terminal {
    child: Child,
    input: ChildStdin,
    pieces: Receiver<Vec<u8>>,
    /// What was shown and not waited for yet.
    shown: String,
}

impl Terminal {
    /// Starts siskin with these words; `None` if the machine has no `script`. `state` is the folder of its states.
    fn start(words: &str, state: &Path) -> Option<Self> {
        if Command::new("script").arg("--version").output().is_err() {
            siskin_testing::skip("no program `script` to make a terminal");
            return None;
        }
        let line = format!("{} {words}", env!("CARGO_BIN_EXE_siskin"));
        let mut plain = Command::new("script");
        plain.args(["-qec", &line, "/dev/null"]);
        plain.envs([
            ("XDG_CONFIG_HOME", Path::new("/nonexistent")),
            ("XDG_STATE_HOME", state),
        ]);
        // A dumb terminal has no line editor.
        plain.env("TERM", "xterm");
        let mut child = siskin_testing::with_signals(&plain)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("it starts");
        let input = child.stdin.take().expect("a pipe");
        let mut output = child.stdout.take().expect("a pipe");
        let (sender, pieces) = mpsc::channel();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = output.read(&mut buffer) {
                if sender.send(buffer[..count].to_vec()).is_err() {
                    return;
                }
            }
        });
        Some(Terminal {
            child,
            input,
            pieces,
            shown: String::new(),
        })
    }

    /// Waits for a text, and returns what was shown before it.
    fn wait(&mut self, text: &str) -> String {
        loop {
            if let Some((before, after)) = self.shown.split_once(text) {
                let before = before.to_owned();
                self.shown = after.to_owned();
                return before;
            }
            match self.pieces.recv_timeout(Duration::from_secs(60)) {
                Ok(piece) => self.shown.push_str(&String::from_utf8_lossy(&piece)),
                Err(_) => panic!("{text:?} was not shown, but {:?}", self.shown),
            }
        }
    }

    fn keys(&mut self, keys: &str) {
        self.input.write_all(keys.as_bytes()).expect("taken");
    }

    /// Sends a line once there is a prompt, and waits for a text.
    fn line(&mut self, line: &str, text: &str) -> String {
        self.wait(PROMPT);
        self.keys(&format!("{line}\r"));
        self.wait(text)
    }

    /// Waits for the end: the exit code, and what was shown at last.
    fn end(mut self) -> (Option<i32>, String) {
        let status = self.child.wait().expect("ended");
        while let Ok(piece) = self.pieces.recv_timeout(Duration::from_secs(60)) {
            self.shown.push_str(&String::from_utf8_lossy(&piece));
        }
        (status.code(), self.shown)
    }
}

#[test]
fn commands_of_a_chat_say_what_they_did() {
    let out = tempfile::tempdir().expect("a temporary folder");
    let saved = out.path().join("saved.json");
    let file = saved.display().to_string();
    let Some(mut chat) = Terminal::start("chat -n 4 --temp 0", out.path()) else {
        return;
    };
    chat.wait("/help lists the commands");
    let cases = [
        ("/undo", "there is nothing to take back"),
        ("/retry", "there is no answer to repeat"),
        ("/system", "no system prompt"),
        ("/system Be kind.", "system prompt set"),
        ("/set temperature 1", "siskin chat --help"),
        ("hello", "\r\n"),
        (&format!("/save {file}"), "saved in"),
        ("/undo", "taken back: hello"),
        (&format!("/load {file}"), "user: hello"),
        ("/clear", "new conversation; the system prompt stays"),
        ("/help", "/quit, /exit, /bye"),
    ];
    for (line, want) in cases {
        chat.line(line, want);
    }
    // What looks like a command and is none is offered again, as a message.
    chat.line("/etc/fstab explained?", "no command /etc/fstab");
    chat.wait(PROMPT);
    chat.keys("\r");
    chat.line("/save", "/save needs a file name");
    chat.line(&format!("/save {file}"), "1 turn");
    chat.line("/bye", "\n");
    assert_eq!(chat.end().0, Some(0));
    assert!(!out.path().join("siskin/last_chat.json").exists(), "it is saved");
    let text = std::fs::read_to_string(&saved).expect("saved");
    assert!(text.contains("\" /etc/fstab explained?\""), "{text}");
}

#[test]
fn no_key_loses_a_line_or_a_conversation() {
    let out = tempfile::tempdir().expect("a temporary folder");
    let kept = out.path().join("siskin/last_chat.json");
    let Some(mut chat) = Terminal::start("chat -n 4", out.path()) else {
        return;
    };
    chat.line("hello", "\r\n");
    chat.wait(PROMPT);
    assert!(kept.is_file(), "in case that the window is closed");
    chat.keys(CTRL_C);
    chat.wait("/save FILE saves the conversation (1 turn unsaved)");
    // A line that was begun is cleared, and the count of Ctrl-C begins anew.
    chat.wait(PROMPT);
    chat.keys("half a line");
    chat.wait("half a line");
    chat.keys(CTRL_C);
    chat.keys(CTRL_C);
    chat.wait("Press Ctrl-C again");
    chat.line("and on", "\r\n");
    chat.wait(PROMPT);
    chat.keys(CTRL_D);
    chat.wait("2 turns not saved; the conversation is kept in");
    assert_eq!(chat.end().0, Some(0));
    let text = std::fs::read_to_string(&kept).expect("kept");
    assert!(
        text.contains("hello") && text.contains("and on") && !text.contains("half"),
        "{text}"
    );

    let words = format!("chat -n 4 --load {}", kept.display());
    let mut chat = Terminal::start(&words, out.path()).expect("a terminal, as before");
    chat.wait("2 turns");
    chat.wait("user: and on");
    chat.wait(PROMPT);
    chat.keys(CTRL_C);
    chat.wait("Press Ctrl-C again, or Ctrl-D, to quit.");
    chat.keys(CTRL_C);
    let (code, shown) = chat.end();
    assert!(
        code == Some(130) && !shown.contains("not saved"),
        "{code:?} {shown:?}"
    );
}

#[test]
fn run_without_a_prompt_is_a_chat_on_a_terminal() {
    let out = tempfile::tempdir().expect("a temporary folder");
    let model = util::convert(&util::checkpoint("llama-spm"), out.path(), "f32");
    let words = format!("run {} -n 4", model.display());
    let Some(mut chat) = Terminal::start(&words, out.path()) else {
        return;
    };
    chat.wait("/help lists the commands");
    chat.line("/bye", "\n");
    assert_eq!(chat.end().0, Some(0));
    let words = format!("run {} --raw", model.display());
    let run = Terminal::start(&words, out.path()).expect("a terminal, as before");
    let (code, shown) = run.end();
    assert!(
        code == Some(2) && shown.contains("there is no prompt"),
        "{code:?} {shown:?}"
    );
}
