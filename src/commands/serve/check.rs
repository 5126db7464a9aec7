//! `siskin serve --check`: the service asks itself, and says what it would be like.

use std::fmt::Write as _;
use std::io::{Read, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};
use siskin_serve::address::{self, Address};
use siskin_serve::journal::Level;
use siskin_serve::keys::{KeySource, Keys};
use siskin_serve::{Config, ServeError};

use crate::interrupt;
use crate::render::size;
use crate::render::text;

/// What is asked: method, path, body (`$MODEL` is the first model's name), and the status that must come.
type Call = (&'static str, &'static str, &'static str, u16);

const CALLS: &[Call] = &[
    ("GET", "/", "", 200),
    ("GET", "/livez", "", 200),
    ("GET", "/readyz", "", 200),
    ("GET", "/health", "", 200),
    ("GET", "/v1/health", "", 200),
    ("GET", "/metrics", "", 200),
    ("GET", "/openapi.json", "", 200),
    ("GET", "/props", "", 200),
    ("GET", "/slots", "", 200),
    ("GET", "/tokenizer_info", "", 200),
    ("POST", "/tokenize", r#"{"content":"Hi"}"#, 200),
    ("POST", "/detokenize", r#"{"tokens":[5]}"#, 200),
    (
        "POST",
        "/apply-template",
        r#"{"messages":[{"role":"user","content":"Hi"}]}"#,
        200,
    ),
    ("GET", "/v1/models", "", 200),
    (
        "POST",
        "/v1/completions",
        r#"{"prompt":"Hi","max_tokens":2}"#,
        200,
    ),
    (
        "POST",
        "/v1/chat/completions",
        r#"{"messages":[{"role":"user","content":"Hi"}],"max_tokens":2}"#,
        200,
    ),
    (
        "POST",
        "/v1/embeddings",
        r#"{"model":"$MODEL","input":"Hi"}"#,
        200,
    ),
    (
        "POST",
        "/v1/responses",
        r#"{"model":"$MODEL","input":"Hi","max_output_tokens":2}"#,
        200,
    ),
    (
        "POST",
        "/v1/messages",
        r#"{"model":"$MODEL","messages":[{"role":"user","content":"Hi"}],"max_tokens":2}"#,
        200,
    ),
    (
        "POST",
        "/v1/messages/count_tokens",
        r#"{"model":"$MODEL","messages":[{"role":"user","content":"Hi"}]}"#,
        200,
    ),
    ("GET", "/api/version", "", 200),
    ("GET", "/api/tags", "", 200),
    ("GET", "/api/ps", "", 200),
    ("POST", "/api/show", r#"{"model":"$MODEL"}"#, 200),
    (
        "POST",
        "/api/chat",
        r#"{"model":"$MODEL","messages":[{"role":"user","content":"Hi"}],"stream":false,"options":{"num_predict":2}}"#,
        200,
    ),
    (
        "POST",
        "/api/generate",
        r#"{"model":"$MODEL","prompt":"Hi","stream":false,"options":{"num_predict":2}}"#,
        200,
    ),
    ("POST", "/api/embed", r#"{"model":"$MODEL","input":"Hi"}"#, 200),
    (
        "POST",
        "/api/embeddings",
        r#"{"model":"$MODEL","prompt":"Hi"}"#,
        200,
    ),
    ("POST", "/api/pull", r#"{"model":"$MODEL"}"#, 501),
    ("GET", "/no/such/path", "", 404),
];

/// The longest that an answer may take.
const PATIENCE: Duration = Duration::from_secs(300);
/// Tokens of the answer whose speed is measured.
const MEASURED: u64 = 64;
const SENTENCE: &str = "The little cat ran home. ";

/// Serves on a free port of this machine alone, asks every path, prints what came and what the configuration exposes.
pub(super) fn main(mut config: Config) -> anyhow::Result<ExitCode> {
    let has_keys = !Keys::load(config.keys.clone())
        .map_err(ServeError::from)?
        .now()
        .is_empty();
    address::permit(&config.addresses, has_keys, config.no_auth).map_err(ServeError::from)?;
    let exposure = exposure(&config, has_keys);
    // Keys are known by their digests only; nothing but this program asks.
    config.keys = KeySource::Nowhere;
    config.addresses = Address::resolve("127.0.0.1", 0)?;
    // A service that runs has the store.
    config.store = None;
    config.level = Level::Error;
    let model = config.models[0].name.clone();
    let start = Instant::now();
    let mut asking = None;
    siskin_serve::run(config, |addresses| {
        // The end of the check is a signal to the service.
        interrupt::listen();
        let ready = start.elapsed();
        let address = addresses.iter().find_map(Address::tcp);
        asking = address.map(|address| {
            std::thread::spawn(move || {
                let _end = End;
                Findings::collect(address, &model, ready)
            })
        });
    })?;
    let findings = asking.and_then(|asking| asking.join().ok());
    let Some(findings) = findings else {
        anyhow::bail!("the service ended before it was asked everything");
    };
    text::put(&(findings.text + &exposure))?;
    Ok(match findings.unexpected {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    })
}

/// Ends the service when this is dropped, as systemd does.
struct End;

impl Drop for End {
    fn drop(&mut self) {
        let own = rustix::process::getpid();
        let _ = rustix::process::kill_process(own, rustix::process::Signal::TERM);
    }
}

struct Findings {
    text: String,
    unexpected: usize,
}

impl Findings {
    fn collect(address: SocketAddr, model: &str, ready: Duration) -> Self {
        let name = json!(model).to_string();
        let mut text = format!("{:<6} {:<30} {:>6} {:>10}\n", "method", "path", "status", "ms");
        let mut unexpected = 0;
        for (method, path, body, wanted) in CALLS {
            let start = Instant::now();
            let reply = ask(address, method, path, &body.replace("\"$MODEL\"", &name));
            let time = start.elapsed().as_secs_f64() * 1e3;
            let (status, fault) = match &reply {
                Ok(reply) if reply.status == *wanted => (reply.status.to_string(), String::new()),
                Ok(reply) => (reply.status.to_string(), format!("  not {wanted}")),
                Err(error) => ("-".to_owned(), format!("  {error}")),
            };
            unexpected += usize::from(!fault.is_empty());
            // Writing to a String does not fail.
            let _ = writeln!(text, "{method:<6} {path:<30} {status:>6} {time:>10.1}{fault}");
        }
        let speeds = ask(address, "POST", "/v1/completions", &long(address)).map(|reply| reply.json());
        let timings = speeds.unwrap_or_default()["timings"].take();
        let speed = |name: &str| {
            timings[name]
                .as_f64()
                .map_or("-".into(), |speed| format!("{speed:.1}"))
        };
        let figures = ask(address, "GET", "/metrics", "").map_or_else(|_| String::new(), |reply| reply.body);
        let memory = |name: &str| {
            let value = figures.lines().find_map(|line| line.strip_prefix(name));
            let bytes = value.and_then(|value| value.trim().parse::<f64>().ok());
            bytes.map_or("-".into(), |bytes| size::bytes(bytes as u64))
        };
        let rows = [
            ("ready after", format!("{:.3} s", ready.as_secs_f64())),
            (
                "decoding",
                format!(
                    "{} tokens/s, {} tokens",
                    speed("predicted_per_second"),
                    timings["predicted_n"]
                ),
            ),
            (
                "prompt",
                format!(
                    "{} tokens/s, {} tokens",
                    speed("prompt_per_second"),
                    timings["prompt_n"]
                ),
            ),
            (
                "memory",
                format!(
                    "{} of {} predicted",
                    memory("process_resident_memory_bytes "),
                    memory("siskin_memory_predicted_bytes ")
                ),
            ),
        ];
        text.push('\n');
        table(&mut text, &rows);
        Findings { text, unexpected }
    }
}

/// A request that fits into the context, whose times are measured.
fn long(address: SocketAddr) -> String {
    let slots = ask(address, "GET", "/slots", "").map(|reply| reply.json());
    let context = slots.unwrap_or_default()[0]["n_ctx"].as_u64().unwrap_or(0);
    // A token is a letter at least.
    let sentences = context.saturating_sub(MEASURED + 8) / SENTENCE.len() as u64;
    let prompt = SENTENCE.repeat(sentences.clamp(1, 40) as usize);
    json!({ "prompt": prompt, "max_tokens": MEASURED, "temperature": 0 }).to_string()
}

fn table(text: &mut String, rows: &[(&str, String)]) {
    for (name, value) in rows {
        let _ = writeln!(text, "{name:<26} {value}");
    }
}

/// Who could reach the service with these settings, and what it would write.
fn exposure(config: &Config, has_keys: bool) -> String {
    let list = |names: &[String], none: &str| match names.is_empty() {
        true => none.to_owned(),
        false => names.join(", "),
    };
    let addresses: Vec<String> = config.addresses.iter().map(Address::to_string).collect();
    let exposed = config.addresses.iter().any(Address::is_exposed);
    let store = config.store.as_ref().map(|store| {
        let (folder, limits) = (store.folder.display(), store.limits);
        format!(
            "{folder}, {}, {} a day",
            size::bytes(limits.folder),
            size::bytes(limits.daily)
        )
    });
    let rows = [
        ("addresses", addresses.join(", ")),
        (
            "who can connect",
            if exposed { "other machines" } else { "this machine" }.into(),
        ),
        (
            "keys",
            if has_keys {
                "asked for"
            } else {
                "none: everyone who connects may ask"
            }
            .into(),
        ),
        ("further hosts", list(&config.allowed_hosts, "none")),
        ("other origins", list(&config.allowed_origins, "none")),
        (
            "stored prefixes",
            store.unwrap_or_else(|| "off: nothing is written".into()),
        ),
    ];
    let mut text = "\n".to_owned();
    table(&mut text, &rows);
    let limits = config.limit_rows();
    let limits = limits.iter().map(|row| (row.name, row.value.clone()));
    table(&mut text, &limits.collect::<Vec<_>>());
    text
}

struct Reply {
    status: u16,
    body: String,
}

impl Reply {
    fn json(&self) -> Json {
        serde_json::from_str(&self.body).unwrap_or_default()
    }
}

/// Asks, and waits for the whole answer.
fn ask(address: SocketAddr, method: &str, path: &str, body: &str) -> std::io::Result<Reply> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Type: application/json\r\n\
         Content-Length: {length}\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    Ok(Reply {
        status: status.ok_or(std::io::ErrorKind::InvalidData)?,
        body: body.to_owned(),
    })
}
