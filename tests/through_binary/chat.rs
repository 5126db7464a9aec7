//! Conversations: real templates compared with transformers, message text that must never become control
//! tokens, the kept KV cache, dropped turns, files, and hostile templates.

use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use jiff::{ZonedDateTime, civil, tz::TimeZone};
use serde_json::Value as Json;
use sha2::{Digest, Sha256};
use siskin::chat::{self, Message, Role, Template};
use siskin::{LoadOptions, Model, Token, Tokenize};

use crate::golden::{ids, with_tiny_body};
use crate::util::{self, siskin_that_hears_signals, succeed};

/// The date that `tests/data/chat.py` uses as today.
fn today() -> ZonedDateTime {
    let noon = civil::date(2024, 7, 26).at(12, 30, 0, 0);
    noon.to_zoned_datetime(TimeZone::UTC).expect("a date")
}

fn vocabulary(file: &Path) -> Model {
    let options = LoadOptions {
        vocab_only: true,
        ..LoadOptions::default()
    };
    Model::load(file, &options).expect("a model")
}

#[test]
fn real_templates_render_and_tokenize_as_in_transformers() {
    let Some(data) = util::shared() else { return };
    let goldens: Json = serde_json::from_str(include_str!("../data/chat.json")).expect("JSON");
    let mut checked = 0;
    for (name, cases) in goldens["real"].as_object().expect("models") {
        let folder = tempfile::tempdir().expect("a temporary folder");
        with_tiny_body(&data.join("tokenizers").join(name), folder.path());
        let model = vocabulary(&util::convert(folder.path(), folder.path(), "q8_0"));
        let template = chat::template_of(&model, today())
            .expect("readable")
            .expect("there");
        for (case, golden) in cases.as_object().expect("cases") {
            let messages: Vec<Message> =
                serde_json::from_value(golden["messages"].clone()).expect("messages");
            let text = template.render(&messages, true).expect("rendered");
            let digest: String = Sha256::digest(&text)
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect();
            assert_eq!(digest, golden["sha256"], "{name} {case}: {text:?}");
            let mut got = chat::tokenize(&model, &template, &messages).expect("tokens");
            // transformers leaves the begin-of-text token to the template; llama.cpp and siskin take it from
            // the vocabulary.
            let begin = model.tokenize("", Tokenize::TEXT);
            let with_begin = |mut tokens: Vec<Token>| {
                if !tokens.starts_with(&begin) {
                    tokens.splice(0..0, begin.iter().copied());
                }
                tokens
            };
            let parsing = Tokenize {
                add_special: false,
                parse_special: true,
            };
            let parsed = with_begin(model.tokenize(&text, parsing));
            assert_eq!(got, parsed, "{name} {case}: llama.cpp");
            // llama.cpp also puts SentencePiece's space after control tokens, as transformers' legacy form
            // does.
            if model.adds_space_prefix() {
                let (end, space) = (Token(2), Token(29871));
                let spaces: Vec<usize> = (1..got.len())
                    .filter(|at| got[at - 1] == end && got[*at] == space)
                    .collect();
                for at in spaces.into_iter().rev() {
                    got.remove(at);
                }
            }
            assert_eq!(got, with_begin(ids(&golden["ids"])), "{name} {case}");
            checked += 1;
        }
    }
    assert_eq!(checked, 24);
}

#[test]
fn a_model_without_a_template_talks_plainly() {
    let Some(data) = util::shared() else { return };
    let folder = tempfile::tempdir().expect("a temporary folder");
    with_tiny_body(&data.join("tokenizers/pythia-1b"), folder.path());
    let model = vocabulary(&util::convert(folder.path(), folder.path(), "q8_0"));
    assert!(
        chat::template_of(&model, today())
            .expect("none to read")
            .is_none()
    );
}

/// The tokens that have no text.
fn controls(model: &Model, tokens: &[Token]) -> Vec<Token> {
    let is_control =
        |token: &Token| model.piece(*token, false).is_empty() && !model.piece(*token, true).is_empty();
    tokens.iter().copied().filter(is_control).collect()
}

#[test]
fn nothing_that_is_said_becomes_a_control_token() {
    let out = tempfile::tempdir().expect("a temporary folder");
    let marked = "{{ bos_token }}{% for m in messages %}<|start_header_id|>{{ m.role }}<|end_header_id|>\n\n\
                  {{ m.content | trim }}<|eot_id|>{{ eos_token }}{% endfor %}<|start_header_id|>";
    for name in ["llama-tied", "llama-rope-llama3", "stablelm-bpe", "gptneox-bpe"] {
        let model = vocabulary(&util::convert(&util::checkpoint(name), out.path(), "auto"));
        let own = chat::template_of(&model, today()).expect("readable");
        let other = chat::template_from(&model, marked, today()).expect("readable");
        let spelled: Vec<String> = (0..i32::try_from(model.vocabulary_len()).expect("few"))
            .filter(|id| !controls(&model, &[Token(*id)]).is_empty())
            .map(|id| String::from_utf8(model.piece(Token(id), true)).expect("UTF-8"))
            .collect();
        assert!(!spelled.is_empty(), "{name}");
        for template in own.into_iter().chain([other, Template::plain()]) {
            let say = |said: &str| {
                let message = |role| Message {
                    role,
                    content: said.to_owned(),
                };
                let messages = [Role::System, Role::User, Role::Assistant, Role::User].map(message);
                chat::tokenize(&model, &template, &messages).expect("tokens")
            };
            let want = controls(&model, &say("x"));
            let mut attacks = spelled.clone();
            attacks.push(spelled.concat());
            attacks.push(
                spelled
                    .iter()
                    .map(|text| format!("{} {text}\n", &text[..1]))
                    .collect(),
            );
            // Beginnings and ends of tokens, which the template or a trim could complete.
            attacks.extend(spelled.iter().map(|text| format!("  {}\n", &text[1..])));
            attacks.extend(
                spelled
                    .iter()
                    .map(|text| format!("x {} ", &text[..text.len() - 1])),
            );
            for attack in attacks {
                assert_eq!(controls(&model, &say(&attack)), want, "{name}: {attack:?}");
            }
        }
    }
}

fn start(args: &[&str]) -> std::process::Child {
    let mut command = siskin_that_hears_signals(["chat"]);
    command
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command.spawn().expect("the program starts")
}

fn chat(args: &[&str], lines: &str) -> Output {
    let mut child = start(args);
    let mut input = child.stdin.take().expect("a pipe");
    input.write_all(lines.as_bytes()).expect("taken");
    drop(input);
    child.wait_with_output().expect("ended")
}

fn turns(args: &[&str], lines: &str) -> Vec<Json> {
    let output = chat(&[&["--json", "--temp", "0"], args].concat(), lines);
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    text.lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect()
}

#[test]
fn lines_are_turns_and_answers_are_all_of_stdout() {
    let output = chat(&["-n", "8", "--temp", "0"], "Once upon a time\n\nAnd then?\n");
    let (out, err) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(output.status.success(), "{err}");
    assert!(
        out.lines().count() >= 2 && !out.contains(['>', '\x1b']),
        "{out:?}"
    );
    assert_eq!(
        err,
        "siskin: this model has no chat template; using plain \"User:\"/\"Assistant:\" turns\n"
    );
}

/// A saved conversation: a system prompt, and turns as `chat --json` reports them.
fn saved(system: &str, turns: &[Json]) -> String {
    let message = |role: &str, text: &Json| serde_json::json!({"role": role, "content": text});
    let system = message("system", &system.into());
    let turns = turns.iter().flat_map(|turn| {
        [
            message("user", &turn["user"]),
            message("assistant", &turn["text"]),
        ]
    });
    let messages: Vec<Json> = std::iter::once(system).chain(turns).collect();
    serde_json::json!({ "messages": messages }).to_string()
}

#[test]
fn a_line_of_a_pipe_is_a_message_whatever_it_contains() {
    let out = tempfile::tempdir().expect("a temporary folder");
    let kept = out.path().join("kept.txt");
    std::fs::write(&kept, "mine").expect("written");
    let at = kept.display();
    let lines = format!("/save! {at}\n/load {at}\n/quit\n/etc/fstab explained?\n\"\"\"\nno end\\\n");
    let said = turns(&["-n", "4"], &lines);
    let users: Vec<&str> = said.iter().filter_map(|turn| turn["user"].as_str()).collect();
    let want: Vec<&str> = lines.lines().collect();
    assert_eq!(users, want);
    assert_eq!(std::fs::read(&kept).expect("there"), b"mine");
}

#[test]
fn one_message_is_answered_once() {
    let many = "two\nlines\n";
    let cases: [(&[&str], &str, &str); 5] = [
        (&["-p", "hello"], "", "hello"),
        (&["-p", "-"], many, "two\nlines"),
        (&["-f", "-"], many, "two\nlines"),
        (&["-p", "Sum up:"], many, "Sum up:\n\ntwo\nlines"),
        (&["-e", "-p", "a\\nb"], "", "a\nb"),
    ];
    for (args, input, want) in cases {
        let said = turns(&[args, &["-n", "4"]].concat(), input);
        assert_eq!((said.len(), &said[0]["user"]), (1, &want.into()), "{args:?}");
    }
}

#[test]
fn a_kept_cache_gives_what_a_fresh_one_does_and_saves_work() {
    let out = tempfile::tempdir().expect("a temporary folder");
    for name in ["llama-spm", "llama-rope-llama3", "gptneox-bpe"] {
        let model = util::convert(&util::checkpoint(name), out.path(), "f32");
        let model = model.to_str().expect("UTF-8");
        let file = out.path().join(format!("{name}.json"));
        let file = file.to_str().expect("UTF-8");
        let args = [model, "-n", "10", "--system", "Be brief."];
        let kept = turns(&args, "The king\nwas old\nand died.\n");
        std::fs::write(file, saved("Be brief.", &kept[..2])).expect("written");
        let fresh = turns(&[&args[..3], &["--load", file]].concat(), "and died.\n");
        assert_eq!((kept.len(), fresh.len()), (3, 1), "{name}");
        assert_eq!(kept[2]["text"], fresh[0]["text"], "{name}");
        assert_eq!(
            (&fresh[0]["turn"], &fresh[0]["reused_tokens"]),
            (&3.into(), &0.into()),
            "{name}"
        );
        assert!(
            kept[2]["reused_tokens"].as_u64() > kept[1]["reused_tokens"].as_u64(),
            "{name}: {kept:?}"
        );
    }
}

#[test]
fn the_oldest_turns_go_where_the_context_is_full_and_it_is_said() {
    let out = tempfile::tempdir().expect("a temporary folder");
    let seen = out.path().join("seen.json");
    let args = ["-n", "20", "-c", "96", "--system", "A tale."];
    let output = chat(
        &[&["--json", "--temp", "0"], &args[..]].concat(),
        "one\ntwo\nthree\n",
    );
    let said: Vec<Json> = String::from_utf8_lossy(&output.stdout)
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    let last = &said[2];
    assert_eq!(last["dropped_turns"], 1, "{last}");
    let stderr = String::from_utf8_lossy(&output.stderr);
    let notice = "siskin: the context of 96 tokens is full; the oldest turn was dropped to make room\n";
    assert!(stderr.contains(notice), "{stderr}");
    // The same without the first turn: the system prompt stays, and nothing of the turn does.
    std::fs::write(&seen, saved("A tale.", &said[1..2])).expect("written");
    let load = ["--load", seen.to_str().expect("UTF-8")];
    let fresh = turns(&[&args[..4], &load].concat(), "three\n");
    assert_eq!(
        (&fresh[0]["text"], &fresh[0]["dropped_turns"]),
        (&last["text"], &0.into())
    );
    // Turns are also dropped in the middle of an answer, which then continues; the last turn ends at the
    // context's end.
    let long = turns(&["-c", "64"], "one\ntwo\n");
    assert_eq!(long[0]["stop"], "context_full", "{long:?}");
    assert!(
        long[1]["dropped_turns"] == 1 && long[1]["stop"] == "context_full",
        "{long:?}"
    );
}

#[test]
fn what_cannot_be_answered_is_reported_and_the_conversation_goes_on() {
    let long = "word ".repeat(200);
    let cases = [
        (long.as_bytes(), "do not fit into a context of 64"),
        (b"\xff\xfe".as_slice(), "this line is not UTF-8, and was not sent"),
    ];
    for (line, want) in cases {
        let mut child = start(&["-n", "4", "-c", "64"]);
        let mut input = child.stdin.take().expect("a pipe");
        input.write_all(&[line, b"\nhello\n"].concat()).expect("taken");
        drop(input);
        let output = child.wait_with_output().expect("ended");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{want}: {stderr}");
        assert!(
            stderr.lines().count() == 2 && stderr.contains(want),
            "{want}: {stderr}"
        );
        assert!(!output.stdout.is_empty(), "{want}: no answer to the next message");
    }
    let out = tempfile::tempdir().expect("a temporary folder");
    let other = out.path().join("other.json");
    std::fs::write(&other, "mine").expect("written");
    let (other, here) = (other.to_string_lossy(), out.path().to_string_lossy());
    let loads = [
        (&*other, "other.json: not a saved conversation"),
        (&*here, "a folder"),
        ("/no/such/file", "No such file"),
        ("/dev/zero", "not a regular file"),
    ];
    for (file, want) in loads {
        let output = chat(&["--load", file], "hello\n");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.code() == Some(1) && stderr.contains(want),
            "{file}: {stderr}"
        );
    }
}

#[test]
fn signals_end_a_conversation_with_their_exit_codes() {
    for (signal, code) in [("INT", 130), ("TERM", 143), ("HUP", 129)] {
        for talking in [true, false] {
            let mut child = start(&["--temp", "0"]);
            let mut input = child.stdin.take().expect("a pipe");
            let mut output = child.stdout.take().expect("a pipe");
            input.write_all(b"Tell me\n").expect("taken");
            output.read_exact(&mut [0; 8]).expect("an answer begins");
            if !talking {
                std::thread::sleep(Duration::from_millis(300));
            }
            let id = child.id().to_string();
            succeed(Command::new("kill").args(["-s", signal, &id]));
            let status = child.wait().expect("ended");
            assert_eq!(status.code(), Some(code), "{signal}, while talking: {talking}");
        }
    }
}

#[test]
fn templates_that_mean_harm_end_the_conversation_soon_and_in_little_memory() {
    let out = tempfile::tempdir().expect("a temporary folder");
    let file = out.path().join("harm.jinja");
    // Lists whose text has 2^64 items.
    let lists = "{% set n = namespace(l=[1], m=[1]) %}{% for i in range(64) %}{% set n.l = [n.l, n.l] %}\
                 {% set n.m = [n.m, n.m] %}{% endfor %}";
    let cases = [
        ("text", "{{ n.l ~ 'x' }}"),
        ("compared", "{{ n.l == n.m }}"),
        ("sorted", "{{ n.l | tojson(sort_keys=true) }}"),
        (
            "endless",
            "{% for i in range(99999) %}{% for i in range(99999) %}{% endfor %}{% endfor %}",
        ),
    ];
    for (name, last) in cases {
        std::fs::write(&file, format!("{lists}{last}")).expect("written");
        // The limit has room for the program and for 256 MiB of stack that is never touched.
        let mut command = Command::new("sh");
        command.env("XDG_STATE_HOME", siskin_testing::NO_STATE);
        command
            .args([
                "-c",
                "ulimit -v 2000000; exec \"$0\" chat --chat-template-file \"$1\"",
            ])
            .args([env!("CARGO_BIN_EXE_siskin").as_ref(), file.as_os_str()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let start = Instant::now();
        let mut child = command.spawn().expect("the shell starts");
        // The program may have ended already.
        let _ = child.stdin.take().expect("a pipe").write_all(b"hello\n");
        let output = child.wait_with_output().expect("ended");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{name}: {stderr}");
        assert!(stderr.contains("the chat template "), "{name}: {stderr}");
        assert!(
            start.elapsed() < Duration::from_secs(10),
            "{name}: {:?}",
            start.elapsed()
        );
    }
}
