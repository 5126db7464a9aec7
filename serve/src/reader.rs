//! What a client sees of an answer that may call tools: its calls, and its text up to a stop string.
//!
//! Stop strings count in the text only. A call is written in letters that a client never sees, so none of them may end it.

use siskin_grammar::{CallEvent, CallParser};
use siskin_runtime::{Cut, StopStrings};

use crate::request::Finish;

/// Reads one answer. The engine has one to know when to stop, the dialects have one to know what to show: both come to
/// the same end, since it depends on the text only.
#[derive(Debug)]
pub(crate) struct Reader {
    calls: CallParser,
    stops: StopStrings,
}

impl Reader {
    /// A reader of calls; the text around them ends before any of `stops`.
    pub(crate) fn new(calls: CallParser, stops: &[String]) -> Self {
        Reader {
            calls,
            stops: StopStrings::new(stops.iter().cloned()),
        }
    }

    /// The stop string that ended the answer.
    pub(crate) fn stopped_by(&self) -> Option<&str> {
        self.stops.stopped_by()
    }

    /// The next piece of the answer, of which nothing comes after a stop string.
    pub(crate) fn push(&mut self, piece: &str) -> Vec<CallEvent> {
        let mut shown = Vec::new();
        if self.stopped_by().is_none() {
            let events = self.calls.push(piece);
            self.show(events, &mut shown);
        }
        shown
    }

    /// The answer has ended.
    pub(crate) fn finish(&mut self, finish: Finish) -> Vec<CallEvent> {
        let mut shown = Vec::new();
        if self.stopped_by().is_none() {
            let events = match finish {
                Finish::Length => self.calls.cut(),
                Finish::Stop | Finish::StopString => self.calls.finish(),
            };
            self.show(events, &mut shown);
            text(&mut shown, self.stops.finish());
        }
        shown
    }

    fn show(&mut self, events: Vec<CallEvent>, shown: &mut Vec<CallEvent>) {
        for event in events {
            match event {
                CallEvent::Text(piece) => match self.stops.push(&piece) {
                    Cut::More(piece) => text(shown, piece),
                    Cut::Stop(piece) => return text(shown, piece),
                },
                call => {
                    // No stop string goes on behind a call.
                    text(shown, self.stops.finish());
                    shown.push(call);
                }
            }
        }
    }
}

fn text(shown: &mut Vec<CallEvent>, piece: String) {
    if !piece.is_empty() {
        shown.push(CallEvent::Text(piece));
    }
}

#[cfg(test)]
mod tests {
    use siskin_grammar::CallStyle;

    use super::*;

    const CALL: &str = "<tool_call>\n{\"name\": \"f\", \"arguments\": {\"a\": \"b\"}}\n</tool_call>";

    /// What is shown of an answer that comes in pieces of so many bytes: text, and calls as `f(…)`.
    fn shown(answer: &str, step: usize, stops: &[&str], finish: Finish) -> (String, Option<String>) {
        let stops: Vec<String> = stops.iter().map(|stop| (*stop).to_owned()).collect();
        let mut reader = Reader::new(CallParser::new(CallStyle::Tagged), &stops);
        let bytes = answer.as_bytes().chunks(step);
        let pieces = bytes.map(|bytes| std::str::from_utf8(bytes).expect("ASCII"));
        let mut events: Vec<CallEvent> = pieces.flat_map(|piece| reader.push(piece)).collect();
        events.extend(reader.finish(finish));
        let written = events.into_iter().map(|event| match event {
            CallEvent::Text(text) => text,
            CallEvent::Begin { name, .. } => name + "(",
            CallEvent::Arguments { piece, .. } => piece,
            CallEvent::End { .. } => ")".into(),
        });
        (written.collect(), reader.stopped_by().map(str::to_owned))
    }

    #[test]
    fn stop_strings_count_in_the_text_only() {
        let called = "f({\"a\": \"b\"})";
        let around = format!("hi {CALL} you");
        // Answer, stop strings, how it ended, what is shown, the stop string that ended it.
        for (answer, stops, finish, want, by) in [
            (
                CALL,
                &["f", "name", "<", "}", "call"][..],
                Finish::Stop,
                called,
                None,
            ),
            ("hi you", &["y"], Finish::Stop, "hi ", Some("y")),
            (
                &around,
                &["you"],
                Finish::Stop,
                &format!("hi {called} "),
                Some("you"),
            ),
            (&around, &["hi"], Finish::Stop, "", Some("hi")),
            (
                &around,
                &["i <", "i y"],
                Finish::Stop,
                &format!("hi {called} you"),
                None,
            ),
            ("a <tool", &["<tool"], Finish::Stop, "a ", Some("<tool")),
            ("a <toolbox", &["<tool"], Finish::Stop, "a ", Some("<tool")),
            ("a <tool", &[], Finish::Stop, "a <tool", None),
            ("a <tool", &[], Finish::Length, "a ", None),
            ("a <tool_call>{\"name", &[], Finish::Length, "a ", None),
            (
                "a <tool_call>{\"name",
                &[],
                Finish::Stop,
                "a <tool_call>{\"name",
                None,
            ),
            (&CALL[..40], &["a"], Finish::Length, "f({", None),
            ("hi yo", &["you"], Finish::Length, "hi yo", None),
            ("hi yo", &["you"], Finish::Stop, "hi yo", None),
        ] {
            for step in [1, 2, 7, 100] {
                let (text, stopped) = shown(answer, step, stops, finish);
                assert_eq!(text, want, "{answer} by {step}, {stops:?}");
                assert_eq!(stopped.as_deref(), by, "{answer} by {step}, {stops:?}");
            }
        }
    }
}
