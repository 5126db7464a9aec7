//! Calls in the text of an answer, while it is written.

use super::head::{Head, head};
use super::style::{CallStyle, Syntax};

/// What a piece of text has brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallEvent {
    /// Text that is not part of a call.
    Text(String),
    /// A call begins. Calls are numbered from 0.
    Begin {
        /// Which call.
        index: usize,
        /// The tool's name.
        name: String,
    },
    /// The next piece of a call's arguments: all pieces together are one JSON object.
    Arguments {
        /// Which call.
        index: usize,
        /// A part of the JSON text, never empty.
        piece: String,
    },
    /// The arguments are complete.
    End {
        /// Which call.
        index: usize,
    },
}

/// Where in the answer the reader is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Nothing but white space so far.
    Start,
    Text,
    /// After the marker, or at the first brace, before the arguments.
    Head,
    Arguments(Nesting),
    /// After the arguments, before the end of the call.
    Tail,
    /// After a call.
    Between,
}

/// How deep in brackets the reader is, and whether in a string.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Nesting {
    depth: usize,
    string: bool,
    escaped: bool,
}

/// Reads calls from an answer that has the form of a [`crate::ToolSet`]. The pieces may be split anywhere: what all events
/// together say depends on the whole text only. Unfinished arguments have no end. The unfinished beginning of a call is
/// text if the answer ended there ([`CallParser::finish`]), and nothing if it was cut ([`CallParser::cut`]).
#[derive(Debug, Clone)]
pub struct CallParser {
    syntax: &'static Syntax,
    state: State,
    /// Text whose meaning is not known yet.
    held: String,
    calls: usize,
}

impl CallParser {
    /// A reader at the beginning of an answer.
    pub fn new(style: CallStyle) -> CallParser {
        CallParser {
            syntax: style.syntax(),
            state: State::Start,
            held: String::new(),
            calls: 0,
        }
    }

    /// How many calls have begun.
    pub fn calls(&self) -> usize {
        self.calls
    }

    /// The next piece of the text.
    pub fn push(&mut self, piece: &str) -> Vec<CallEvent> {
        let mut events = Vec::new();
        self.held.push_str(piece);
        while self.step(&mut events) {}
        events
    }

    /// The text has ended.
    pub fn finish(&mut self) -> Vec<CallEvent> {
        let mut events = Vec::new();
        let held = std::mem::take(&mut self.held);
        match self.state {
            State::Start | State::Text => text(&mut events, held),
            State::Head => text(&mut events, format!("{}{held}", self.syntax.open)),
            State::Between if !held.trim_start_matches(|c| self.is_between(c)).is_empty() => {
                text(&mut events, held)
            }
            // The rest of a call that is already complete, or blanks after it.
            State::Between | State::Arguments(_) | State::Tail => {}
        }
        self.state = State::Between;
        events
    }

    /// The text was cut, because it is as long as it may be: what may be the beginning of a call is not text.
    pub fn cut(&mut self) -> Vec<CallEvent> {
        // At the start only blanks are held.
        if self.state != State::Start {
            self.held.clear();
            self.state = State::Between;
        }
        self.finish()
    }

    /// Goes on by one state; false if more text is needed.
    fn step(&mut self, events: &mut Vec<CallEvent>) -> bool {
        match self.state {
            State::Start | State::Between => self.choose(),
            State::Text => self.text(events),
            State::Head => self.head(events),
            State::Arguments(nesting) => self.arguments(nesting, events),
            State::Tail => self.tail(),
        }
    }

    /// What may be between two calls and is no text.
    fn is_between(&self, c: char) -> bool {
        c.is_whitespace() || (self.syntax.open.is_empty() && c == ';')
    }

    /// At the beginning and after a call: text or a call.
    fn choose(&mut self) -> bool {
        let open = self.syntax.open;
        let between = self.state == State::Between;
        let rest = self.held.trim_start_matches(|c: char| {
            if between {
                self.is_between(c)
            } else {
                c.is_whitespace()
            }
        });
        let Some(first) = rest.chars().next() else {
            return false;
        };
        if open.is_empty() && first == '{' {
            self.held = rest.to_owned();
            self.state = State::Head;
            return true;
        }
        if between && !open.is_empty() {
            if rest.starts_with(open) {
                // The newline before a further call is not text.
                self.held = rest.to_owned();
            } else if open.starts_with(rest) {
                return false;
            }
        }
        self.state = State::Text;
        true
    }

    /// In text: up to a marker, or up to what may become one.
    fn text(&mut self, events: &mut Vec<CallEvent>) -> bool {
        let open = self.syntax.open;
        if open.is_empty() {
            text(events, std::mem::take(&mut self.held));
            return false;
        }
        if let Some(at) = self.held.find(open) {
            let after = self.held.split_off(at + open.len());
            self.held.truncate(at);
            text(events, std::mem::replace(&mut self.held, after));
            self.state = State::Head;
            return true;
        }
        let kept = (1..open.len())
            .rev()
            .find(|&length| self.held.ends_with(&open[..length]))
            .unwrap_or(0);
        let rest = self.held.split_off(self.held.len() - kept);
        text(events, std::mem::replace(&mut self.held, rest));
        false
    }

    fn head(&mut self, events: &mut Vec<CallEvent>) -> bool {
        match head(&self.held, self.syntax.arguments) {
            Head::Partial => false,
            Head::Whole { name, length } => {
                events.push(CallEvent::Begin {
                    index: self.calls,
                    name: name.to_owned(),
                });
                self.held.drain(..length);
                self.calls += 1;
                self.state = State::Arguments(Nesting::default());
                true
            }
            Head::Other => {
                text(events, self.syntax.open.to_owned());
                self.state = State::Text;
                true
            }
        }
    }

    fn arguments(&mut self, mut nesting: Nesting, events: &mut Vec<CallEvent>) -> bool {
        let index = self.calls - 1;
        let end = self.held.bytes().position(|byte| nesting.closes(byte));
        let rest = end.map_or(String::new(), |end| self.held.split_off(end + 1));
        let piece = std::mem::replace(&mut self.held, rest);
        if !piece.is_empty() {
            events.push(CallEvent::Arguments { index, piece });
        }
        if end.is_some() {
            events.push(CallEvent::End { index });
            self.state = State::Tail;
            return true;
        }
        self.state = State::Arguments(nesting);
        false
    }

    fn tail(&mut self) -> bool {
        let mut rest = self.held.as_str();
        // Blanks after the last part belong to what follows, however the text is split.
        for part in ["}", self.syntax.close]
            .into_iter()
            .filter(|part| !part.is_empty())
        {
            rest = rest.trim_start();
            match rest.strip_prefix(part) {
                Some(after) => rest = after,
                None if part.starts_with(rest) => return false,
                None => {
                    // Not what the form allows. It is text.
                    self.state = State::Text;
                    return true;
                }
            }
        }
        self.held = rest.to_owned();
        self.state = State::Between;
        true
    }
}

impl Nesting {
    /// Takes a byte of JSON; true if it closes the outermost bracket.
    fn closes(&mut self, byte: u8) -> bool {
        if self.string {
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' => self.escaped = true,
                b'"' => self.string = false,
                _ => {}
            }
            return false;
        }
        match byte {
            b'"' => self.string = true,
            b'{' | b'[' => self.depth += 1,
            b'}' | b']' => {
                self.depth = self.depth.saturating_sub(1);
                return self.depth == 0;
            }
            _ => {}
        }
        false
    }
}

fn text(events: &mut Vec<CallEvent>, text: String) {
    if text.is_empty() {
        return;
    }
    match events.last_mut() {
        Some(CallEvent::Text(before)) => before.push_str(&text),
        _ => events.push(CallEvent::Text(text)),
    }
}
