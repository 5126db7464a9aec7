//! HTTP/1.1 as far as a client of a hub needs it.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::ops::Range;
use std::sync::Arc;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::script::Fault;
use super::{Content, Request, Site, State, routes};

/// An answer before faults.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Content,
    /// Whether ranges of the body may be asked for.
    pub(crate) has_ranges: bool,
}

impl Answer {
    pub(crate) fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Answer {
            status,
            headers: Vec::new(),
            body: Content::from(body.into()),
            has_ranges: false,
        }
    }

    pub(crate) fn file(content: Content) -> Self {
        Answer {
            status: 200,
            headers: vec![("Content-Type", "application/octet-stream".into())],
            body: content,
            has_ranges: true,
        }
    }

    pub(crate) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

/// What is asked.
#[derive(Debug, Default)]
pub(crate) struct Asked {
    pub(crate) method: String,
    pub(crate) path: String,
    range: Option<String>,
    pub(crate) authorization: Option<String>,
}

pub(crate) fn listen(listener: &TcpListener, site: Site, state: &Arc<State>) {
    for stream in listener.incoming() {
        if state.ended.load(Ordering::Relaxed) {
            return;
        }
        let Ok(stream) = stream else { continue };
        let state = Arc::clone(state);
        std::thread::spawn(move || {
            // A client that goes away is no fault of the server's.
            let _ = serve(&stream, site, &state);
        });
    }
}

fn serve(stream: &TcpStream, site: Site, state: &State) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut input = BufReader::new(stream);
    while let Some(asked) = read_head(&mut input)? {
        if !answer(stream, &asked, site, state)? {
            break;
        }
    }
    stream.shutdown(std::net::Shutdown::Both)
}

fn read_head(input: &mut impl BufRead) -> io::Result<Option<Asked>> {
    let mut asked = Asked::default();
    let mut line = String::new();
    if input.take(1 << 14).read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut words = line.split_ascii_whitespace();
    asked.method = words.next().unwrap_or_default().to_owned();
    asked.path = words.next().unwrap_or_default().to_owned();
    loop {
        line.clear();
        if input.take(1 << 14).read_line(&mut line)? == 0 {
            return Ok(None);
        }
        let Some((name, value)) = line.trim_end().split_once(':') else {
            return Ok(Some(asked));
        };
        let value = Some(value.trim().to_owned());
        match name.to_ascii_lowercase().as_str() {
            "range" => asked.range = value,
            "authorization" => asked.authorization = value,
            _ => {}
        }
    }
}

/// Answers one request; false if the connection ends with it.
fn answer(stream: &TcpStream, asked: &Asked, site: Site, state: &State) -> io::Result<bool> {
    let fault = state.world().script.take(&asked.path);
    if let Some(Fault::Move(repo, branch, commit)) = &fault
        && let Some(repo) = state.world().repos.get_mut(repo)
    {
        repo.revisions.insert(branch.clone(), commit.clone());
    }
    let plain = match &fault {
        Some(Fault::Status(status, name, value)) => Answer::new(*status, "").with(name, value.clone()),
        Some(Fault::Redirect(to)) => Answer::new(302, "").with("Location", to.clone()),
        Some(Fault::Html) => {
            Answer::new(200, "<!DOCTYPE html><title>Log in</title>").with("Content-Type", "text/html")
        }
        _ => routes::answer(asked, site, state),
    };
    let mut reply = Reply::new(plain, asked, fault);
    if asked.method == "HEAD" {
        reply.range.end = reply.range.start;
    }
    let sent = reply.send(stream, state);
    state.world().log.push(Request {
        site,
        path: asked.path.clone(),
        range: asked.range.clone(),
        authorization: asked.authorization.clone(),
        status: reply.plain.status,
        sent: *sent.as_ref().unwrap_or(&0),
    });
    sent?;
    Ok(reply.keeps_alive)
}

struct Reply {
    plain: Answer,
    fault: Option<Fault>,
    /// The part of the body that is sent.
    range: Range<u64>,
    keeps_alive: bool,
}

impl Reply {
    fn new(mut plain: Answer, asked: &Asked, fault: Option<Fault>) -> Self {
        let len = plain.body.len();
        let mut range = 0..len;
        let wanted = asked
            .range
            .as_deref()
            .filter(|_| plain.has_ranges && plain.status == 200);
        if let Some(wanted) = wanted.filter(|_| fault != Some(Fault::Whole)) {
            let (first, last) = wanted
                .trim_start_matches("bytes=")
                .split_once('-')
                .unwrap_or_default();
            let first: u64 = first.parse().unwrap_or(0);
            let end = last.parse::<u64>().map_or(len, |last| len.min(last + 1));
            if first >= end {
                plain = Answer::new(416, "").with("Content-Range", format!("bytes */{len}"));
                range = 0..0;
            } else {
                range = first..end;
                plain.status = 206;
                let shift = if let Some(Fault::WrongRange(shift)) = fault {
                    shift
                } else {
                    0
                };
                if fault != Some(Fault::NoRange) {
                    let value = format!("bytes {}-{}/{len}", first + shift, end - 1 + shift);
                    plain.headers.push(("Content-Range", value));
                }
            }
        }
        let ends = matches!(
            fault,
            Some(Fault::Cut(_) | Fault::Stall(_) | Fault::Silent | Fault::NoLength | Fault::WrongLength(_))
        );
        Reply {
            plain,
            fault,
            range,
            keeps_alive: !ends,
        }
    }

    fn head(&self) -> String {
        let mut head = format!("HTTP/1.1 {} Said\r\n", self.plain.status);
        for (name, value) in &self.plain.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        let len = self.range.end - self.range.start;
        match self.fault {
            Some(Fault::NoLength) => head.push_str("Connection: close\r\n"),
            Some(Fault::WrongLength(more)) => head.push_str(&format!("Content-Length: {}\r\n", len + more)),
            _ => head.push_str(&format!("Content-Length: {len}\r\n")),
        }
        if self.fault == Some(Fault::Gzip) {
            head.push_str("Content-Encoding: gzip\r\n");
        }
        head + "\r\n"
    }

    /// Sends head and body; gives the number of bytes of the body.
    fn send(&self, mut stream: &TcpStream, state: &State) -> io::Result<u64> {
        if self.fault == Some(Fault::Silent) {
            hang(stream, state);
            return Ok(0);
        }
        stream.write_all(self.head().as_bytes())?;
        let most = match self.fault {
            Some(Fault::Cut(bytes) | Fault::Stall(bytes)) => bytes,
            _ => u64::MAX,
        };
        let mut buffer = vec![0; 1 << 15];
        let mut sent = 0;
        while self.range.start + sent < self.range.end && sent < most {
            let position = self.range.start + sent;
            let left = (self.range.end - position).min(most - sent);
            let step = match self.fault {
                // Ten steps a second.
                Some(Fault::Trickle(rate)) => (rate / 10).max(1),
                _ => buffer.len() as u64,
            };
            let step = step.min(left).min(buffer.len() as u64) as usize;
            let read = self.plain.body.read(position, &mut buffer[..step])?;
            if read == 0 {
                break;
            }
            if let Some(Fault::WrongByte(wrong)) = self.fault
                && (position..position + read as u64).contains(&wrong)
            {
                buffer[(wrong - position) as usize] ^= 1;
            }
            if matches!(self.fault, Some(Fault::Trickle(_))) {
                std::thread::sleep(Duration::from_millis(100));
            }
            pace(read as u64, state);
            stream.write_all(&buffer[..read])?;
            sent += read as u64;
        }
        if matches!(self.fault, Some(Fault::Stall(_))) {
            hang(stream, state);
        }
        Ok(sent)
    }
}

/// Waits until the client goes away or the server ends.
fn hang(mut stream: &TcpStream, state: &State) {
    let _ = stream.set_read_timeout(Some(Duration::from_millis(50)));
    while !state.ended.load(Ordering::Relaxed) {
        match stream.read(&mut [0]) {
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {}
            _ => return,
        }
    }
}

/// Waits until so many bytes may be sent.
fn pace(bytes: u64, state: &State) {
    let rate = state.rate.load(Ordering::Relaxed);
    if rate == 0 {
        return;
    }
    let at = {
        let mut next = state.next_byte.lock().unwrap_or_else(PoisonError::into_inner);
        // A sleep that took too long is made up for, so that the rate is that of the whole.
        let earliest = Instant::now().checked_sub(Duration::from_millis(50));
        let at = earliest.map_or(*next, |earliest| (*next).max(earliest));
        *next = at + Duration::from_nanos(bytes.saturating_mul(1_000_000_000) / rate);
        at
    };
    std::thread::sleep(at.saturating_duration_since(Instant::now()));
}
