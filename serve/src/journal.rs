//! Log lines on standard error: with priorities if the journal reads them (sd-daemon(3)), plain otherwise.
//!
//! Nothing here writes a prompt or an answer. A client chooses some of what is logged (paths, names of models), so
//! control characters are escaped: a line stays one line and steers no terminal.

use std::fmt::{self, Write as _};
use std::io::{self, Write};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// How important a line is, as syslog(3) counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Something failed.
    Error = 3,
    /// Something is not as it should be.
    Warning = 4,
    /// Something that happens seldom: a start, an end, a model loaded.
    Notice = 5,
    /// A request.
    Info = 6,
    /// What only somebody who looks for a fault wants.
    Debug = 7,
}

/// The longest line in bytes; the rest is cut.
const MAX_LINE: usize = 8 << 10;

/// Where lines go.
pub struct Journal {
    prefixed: bool,
    most: Level,
    sink: Mutex<Box<dyn Write + Send>>,
}

impl Journal {
    /// Lines to standard error, up to level `most`. `stream` is `$JOURNAL_STREAM`: if it names standard error, the
    /// journal reads it.
    pub fn stderr(most: Level, stream: Option<&str>) -> Self {
        let stat = rustix::fs::fstat(io::stderr()).ok();
        let here = stat.map(|stat| (stat.st_dev, stat.st_ino));
        let prefixed = stream.is_some_and(|stream| here.is_some_and(|here| names(stream, here)));
        Self::to(Box::new(io::stderr()), most, prefixed)
    }

    /// Lines to a writer, up to level `most`, with priorities if `prefixed`.
    pub fn to(sink: Box<dyn Write + Send>, most: Level, prefixed: bool) -> Self {
        Journal {
            prefixed,
            most,
            sink: Mutex::new(sink),
        }
    }

    /// Whether lines of this level are written.
    pub fn wants(&self, level: Level) -> bool {
        level <= self.most
    }

    /// Writes one line. A failure is ignored: nobody is left to tell.
    pub fn log(&self, level: Level, message: impl fmt::Display) {
        if !self.wants(level) {
            return;
        }
        let line = line(level, self.prefixed, &message.to_string());
        let mut sink = self.sink.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = sink.write_all(line.as_bytes()).and_then(|()| sink.flush());
    }
}

impl fmt::Debug for Journal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Journal({:?})", self.most)
    }
}

/// Whether `$JOURNAL_STREAM`, `DEVICE:INODE`, names this file (systemd.exec(5)).
fn names(stream: &str, (device, inode): (u64, u64)) -> bool {
    let numbers = stream.split_once(':');
    numbers.is_some_and(|(first, second)| first.parse() == Ok(device) && second.parse() == Ok(inode))
}

/// A line as it is written.
fn line(level: Level, prefixed: bool, message: &str) -> String {
    let mut line = String::with_capacity(message.len() + 5);
    if prefixed {
        line.push_str(&format!("<{}>", level as u8));
    } else if level < Level::Notice {
        line.push_str(if level == Level::Error {
            "error: "
        } else {
            "warning: "
        });
    }
    for (at, character) in message.char_indices() {
        if at > MAX_LINE {
            line.push('…');
            break;
        }
        if is_plain(character) {
            line.push(character);
        } else {
            // `{7f}` in hexadecimal, as Rust escapes.
            let _ = write!(line, "{}", character.escape_unicode());
        }
    }
    line.push('\n');
    line
}

/// Whether a character only shows itself: it is no control, breaks no line and changes no direction.
fn is_plain(character: char) -> bool {
    !character.is_control()
        && !matches!(character, '\u{2028}' | '\u{2029}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// What is logged of a request, after it has ended.
#[derive(Debug, Clone, Default)]
pub struct Exchange<'a> {
    /// The request's number, which the answer's header has too.
    pub id: &'a str,
    /// The method.
    pub method: &'a str,
    /// The route, not what the client wrote.
    pub route: &'a str,
    /// The answer's status; 499 if the client left before the answer began, as nginx has it.
    pub status: u16,
    /// The name of the key.
    pub key: Option<&'a str>,
    /// The model's name.
    pub model: Option<&'a str>,
    /// Tokens of the prompt, and how many of them were known already.
    pub prompt: Option<(usize, usize)>,
    /// Tokens of the answer.
    pub answer: Option<usize>,
    /// How long it waited for its turn.
    pub queued: Option<Duration>,
    /// From the request's arrival to the first byte of the answer's text.
    pub first: Option<Duration>,
    /// From the request's arrival to the answer's end.
    pub total: Duration,
    /// Why it ended, if there is something to say: `stop`, `cancelled`, a refusal's code.
    pub end: Option<&'a str>,
}

impl fmt::Display for Exchange<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.method, self.route, self.status)?;
        let seconds = |duration: Duration| format!("{:.3}s", duration.as_secs_f64());
        let fields = [
            ("id", (!self.id.is_empty()).then(|| self.id.to_owned())),
            ("key", self.key.map(str::to_owned)),
            ("model", self.model.map(str::to_owned)),
            ("prompt", self.prompt.map(|(all, _)| all.to_string())),
            ("cached", self.prompt.map(|(_, cached)| cached.to_string())),
            ("answer", self.answer.map(|count| count.to_string())),
            ("queued", self.queued.map(seconds)),
            ("first", self.first.map(seconds)),
            ("total", Some(seconds(self.total))),
            ("end", self.end.map(str::to_owned)),
        ];
        for (name, value) in fields {
            if let Some(value) = value {
                write!(f, " {name}={value}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("not poisoned").extend(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn the_journal_gets_priorities_and_others_get_words() {
        let cases = [
            (Level::Error, true, "<3>it broke\n"),
            (Level::Info, true, "<6>it broke\n"),
            (Level::Error, false, "error: it broke\n"),
            (Level::Warning, false, "warning: it broke\n"),
            (Level::Notice, false, "it broke\n"),
        ];
        for (level, prefixed, want) in cases {
            assert_eq!(line(level, prefixed, "it broke"), want);
        }
    }

    #[test]
    fn a_line_stays_one_line() {
        let cases = [
            ("a\nb", "a\\u{a}b\n"),
            ("\u{1b}[31mred", "\\u{1b}[31mred\n"),
            ("a\r\0\u{7f}\u{85}", "a\\u{d}\\u{0}\\u{7f}\\u{85}\n"),
            ("\u{202e}evil\u{2028}", "\\u{202e}evil\\u{2028}\n"),
            ("Zoë 日本", "Zoë 日本\n"),
        ];
        for (message, want) in cases {
            assert_eq!(line(Level::Info, false, message), want);
        }
        let long = line(Level::Info, false, &"é".repeat(MAX_LINE));
        assert!(
            long.len() < MAX_LINE + 8 && long.ends_with("…\n"),
            "{}",
            long.len()
        );
    }

    #[test]
    fn levels_above_the_limit_are_not_written() {
        let sink = Sink::default();
        let journal = Journal::to(Box::new(sink.clone()), Level::Notice, true);
        journal.log(Level::Info, "a request");
        journal.log(Level::Notice, format_args!("ready on {}", 8080));
        assert_eq!(
            sink.0.lock().expect("not poisoned").as_slice(),
            b"<5>ready on 8080\n"
        );
    }

    #[test]
    fn the_journal_is_known_by_device_and_inode() {
        let cases = [
            ("8:77", true),
            ("8:78", false),
            ("9:77", false),
            ("8:77:1", false),
            ("8", false),
            ("", false),
            ("-8:77", false),
        ];
        for (stream, want) in cases {
            assert_eq!(names(stream, (8, 77)), want, "{stream}");
        }
    }

    #[test]
    fn a_request_is_one_line_without_its_text() {
        let exchange = Exchange {
            id: "7f",
            method: "POST",
            route: "/v1/chat/completions",
            status: 200,
            key: Some("kitchen"),
            prompt: Some((120, 100)),
            answer: Some(16),
            queued: Some(Duration::from_millis(12)),
            total: Duration::from_millis(1234),
            end: Some("stop"),
            ..Exchange::default()
        };
        assert_eq!(
            exchange.to_string(),
            "POST /v1/chat/completions 200 id=7f key=kitchen prompt=120 cached=100 answer=16 queued=0.012s total=1.234s end=stop"
        );
        let small = Exchange {
            method: "GET",
            route: "/livez",
            status: 200,
            ..Exchange::default()
        };
        assert_eq!(small.to_string(), "GET /livez 200 total=0.000s");
    }
}
