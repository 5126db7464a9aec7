//! A service that runs, and a client that speaks just enough HTTP/1.1 to ask it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};
use serde_json::{Value as Json, json};

use crate::util::siskin_that_hears_signals;

/// The longest time that anything here may take, on a busy machine.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until `done` gives something.
pub(super) fn until<T>(what: &str, mut done: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = done() {
            return found;
        }
        assert!(start.elapsed() < PATIENCE, "{what}: not in {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A service; it is killed with this.
pub(super) struct Service {
    child: Child,
    lines: Receiver<String>,
    /// What it has said so far.
    pub(super) said: Vec<String>,
    /// The first address, without `http://`.
    pub(super) address: String,
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Service {
    /// Starts `siskin serve` on a free port, and waits until it serves.
    pub(super) fn start(args: &[&str]) -> Self {
        Self::start_with(args, |_| {})
    }

    /// The same with a command that `prepare` changes.
    pub(super) fn start_with(args: &[&str], prepare: impl FnOnce(&mut Command)) -> Self {
        let mut command = siskin_that_hears_signals(["serve", "--port", "0"].iter().chain(args));
        prepare(&mut command);
        Self::spawn(command)
    }

    /// Starts a command that becomes a service, and waits until it serves.
    pub(super) fn spawn(mut command: Command) -> Self {
        let pipes = command.stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = pipes.spawn().expect("the program starts");
        let stderr = BufReader::new(child.stderr.take().expect("a pipe"));
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            let lines = stderr.lines().map_while(Result::ok);
            lines.take_while(|line| sender.send(line.clone()).is_ok()).count()
        });
        let mut service = Service {
            child,
            lines,
            said: Vec::new(),
            address: String::new(),
        };
        let line = service.line("siskin: serving at ");
        let address = line.trim_start_matches("siskin: serving at ");
        service.address = address.trim_start_matches("http://").to_owned();
        service
    }

    /// Waits for a line that contains `text`.
    pub(super) fn line(&mut self, text: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let line = self.lines.recv_timeout(left);
            let line = line.unwrap_or_else(|_| panic!("no line with {text:?} in {:?}", self.said));
            self.said.push(line.clone());
            if line.contains(text) {
                return line;
            }
        }
    }

    pub(super) fn send(&self, signal: Signal) {
        // A child that was not waited for still has its id, so the signal cannot reach another process.
        rustix::process::kill_process(Pid::from_child(&self.child), signal).expect("sent");
    }

    /// Waits for the end.
    pub(super) fn end(&mut self) -> ExitStatus {
        until("the end", || self.child.try_wait().expect("a child"))
    }

    /// Ends it, and expects that it ends well.
    pub(super) fn stop(mut self) {
        self.send(Signal::TERM);
        let status = self.end();
        assert_eq!(status.code(), Some(0), "{:?}", self.said);
    }

    /// Asks with headers beside the host, and waits for the whole answer.
    pub(super) fn ask(&self, method: &str, path: &str, headers: &str, body: &str) -> Reply {
        let mut stream = self.connect();
        let headers = match headers.contains("Host:") {
            true => headers.to_owned(),
            false => format!("Host: {}\r\n{headers}", self.address),
        };
        write(&mut stream, method, path, &headers, body);
        Reply::read(stream)
    }

    pub(super) fn get(&self, path: &str) -> Reply {
        self.ask("GET", path, "", "")
    }

    pub(super) fn post(&self, path: &str, body: &Json) -> Reply {
        self.ask(
            "POST",
            path,
            "Content-Type: application/json\r\n",
            &body.to_string(),
        )
    }

    pub(super) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.address).expect("connected");
        stream.set_read_timeout(Some(PATIENCE)).expect("a deadline");
        stream
    }

    /// Asks for a stream, and waits until its first piece has come.
    pub(super) fn begin_stream(&self, tokens: u32) -> BufReader<TcpStream> {
        let mut stream = self.connect();
        let body = greedy("Once upon a time", tokens, true).to_string();
        let headers = format!("Host: {}\r\nContent-Type: application/json\r\n", self.address);
        write(&mut stream, "POST", "/v1/completions", &headers, &body);
        let mut reader = BufReader::new(stream);
        let mut line = String::new();
        while !line.starts_with("data: ") {
            line.clear();
            assert!(reader.read_line(&mut line).expect("a stream") > 0, "it ended");
        }
        reader
    }

    /// The value of a metric without labels.
    pub(super) fn metric(&self, name: &str) -> f64 {
        let text = self.get("/metrics").text;
        let value = text.lines().find_map(|line| {
            let (found, value) = line.split_once(' ')?;
            (found == name).then(|| value.parse().expect("a number"))
        });
        value.unwrap_or_else(|| panic!("no {name} in {text}"))
    }
}

/// A request without randomness.
pub(super) fn greedy(prompt: &str, tokens: u32, stream: bool) -> Json {
    json!({ "prompt": prompt, "max_tokens": tokens, "temperature": 0, "stream": stream })
}

/// Writes a request after which the connection is closed.
pub(super) fn write(stream: &mut impl Write, method: &str, path: &str, headers: &str, body: &str) {
    let length = body.len();
    let head =
        format!("{method} {path} HTTP/1.1\r\n{headers}Connection: close\r\nContent-Length: {length}\r\n\r\n");
    stream.write_all((head + body).as_bytes()).expect("written");
}

/// An answer.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) text: String,
}

impl Reply {
    /// Reads to the end of the connection.
    pub(super) fn read(mut stream: impl Read) -> Self {
        let mut all = String::new();
        stream.read_to_string(&mut all).expect("an answer in UTF-8");
        let (head, body) = all.split_once("\r\n\r\n").expect("a head");
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        let text = match head.to_ascii_lowercase().contains("transfer-encoding: chunked") {
            true => dechunked(body),
            false => body.to_owned(),
        };
        Reply {
            status: status.expect("a status"),
            text,
        }
    }

    pub(super) fn json(&self) -> Json {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    /// The text of a completion.
    pub(super) fn completion(&self) -> String {
        assert_eq!(self.status, 200, "{self:?}");
        self.json()["choices"][0]["text"]
            .as_str()
            .expect("a text")
            .to_owned()
    }

    /// The pieces of a stream of completions, put together.
    pub(super) fn streamed(&self) -> String {
        assert_eq!(self.status, 200, "{self:?}");
        pieces(&self.text)
    }
}

/// The text of a stream's events; they end with `[DONE]`.
pub(super) fn pieces(events: &str) -> String {
    let data: Vec<&str> = events
        .lines()
        .filter_map(|line| line.strip_prefix("data: "))
        .collect();
    let (last, pieces) = data.split_last().expect("events");
    assert_eq!(*last, "[DONE]", "{events}");
    let texts = pieces.iter().map(|piece| {
        let piece: Json = serde_json::from_str(piece).expect("JSON");
        piece["choices"][0]["text"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    });
    texts.collect()
}

fn dechunked(body: &str) -> String {
    let (mut rest, mut text) = (body, String::new());
    while let Some((length, after)) = rest.split_once("\r\n") {
        let length = usize::from_str_radix(length, 16).expect("a chunk's length");
        text += &after[..length];
        rest = after[length..].strip_prefix("\r\n").expect("a chunk's end");
    }
    text
}
