//! Text that knows which of its characters were said.

use std::ops::Range;

/// A text, and the parts of it that come from messages.
#[derive(Debug, Clone, Default)]
pub(crate) struct Text {
    text: String,
    /// Ordered, not empty, not touching.
    said: Vec<Range<usize>>,
    /// Whether it is escaped HTML already: `e` does not escape it again.
    pub(crate) markup: bool,
}

impl Text {
    /// A text of the template's own.
    pub(crate) fn own(text: impl Into<String>) -> Self {
        Text {
            text: text.into(),
            ..Text::default()
        }
    }

    /// A text from a message.
    pub(crate) fn said(text: impl Into<String>) -> Self {
        let mut said = Text::default();
        said.push_str(&text.into(), true);
        said
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    pub(crate) fn len(&self) -> usize {
        self.text.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    pub(crate) fn into_parts(self) -> (String, Vec<Range<usize>>) {
        (self.text, self.said)
    }

    /// Appends characters of one origin.
    pub(crate) fn push_str(&mut self, text: &str, said: bool) {
        let start = self.text.len();
        self.text.push_str(text);
        if said && !text.is_empty() {
            self.mark(start..self.text.len());
        }
    }

    pub(crate) fn push_char(&mut self, c: char, said: bool) {
        self.push_str(c.encode_utf8(&mut [0; 4]), said);
    }

    fn mark(&mut self, range: Range<usize>) {
        match self.said.last_mut() {
            Some(last) if last.end == range.start => last.end = range.end,
            _ => self.said.push(range),
        }
    }

    pub(crate) fn push(&mut self, other: &Text) {
        self.push_slice(other, 0..other.len());
    }

    /// Appends a part of another text.
    pub(crate) fn push_slice(&mut self, other: &Text, range: Range<usize>) {
        let start = self.text.len();
        self.text.push_str(&other.text[range.clone()]);
        let first = other.said.partition_point(|said| said.end <= range.start);
        for said in other.said[first..]
            .iter()
            .take_while(|said| said.start < range.end)
        {
            let from = said.start.max(range.start) - range.start;
            let to = said.end.min(range.end) - range.start;
            self.mark(start + from..start + to);
        }
    }

    pub(crate) fn slice(&self, range: Range<usize>) -> Text {
        let mut part = Text::default();
        part.push_slice(self, range);
        part
    }

    /// Part of the text that `part`, a slice of [`Text::as_str`], is.
    pub(crate) fn part(&self, part: &str) -> Text {
        let start = part.as_ptr() as usize - self.text.as_ptr() as usize;
        self.slice(start..start + part.len())
    }

    /// The characters and whether each was said.
    pub(crate) fn chars(&self) -> impl Iterator<Item = (char, bool)> + '_ {
        let mut said = self.said.iter().peekable();
        self.text.char_indices().map(move |(at, c)| {
            while said.next_if(|range| range.end <= at).is_some() {}
            (c, said.peek().is_some_and(|range| range.start <= at))
        })
    }

    /// The longest parts of one origin.
    pub(crate) fn runs(&self) -> Vec<(&str, bool)> {
        let mut runs = Vec::with_capacity(2 * self.said.len() + 1);
        let mut done = 0;
        for said in &self.said {
            runs.push((&self.text[done..said.start], false));
            runs.push((&self.text[said.clone()], true));
            done = said.end;
        }
        runs.push((&self.text[done..], false));
        runs.retain(|(text, _)| !text.is_empty());
        runs
    }

    /// Each run changed on its own.
    pub(crate) fn map_runs(&self, change: impl Fn(&str) -> String) -> Text {
        let mut text = Text::default();
        for (run, said) in self.runs() {
            text.push_str(&change(run), said);
        }
        text
    }

    /// Each character replaced by what `change` appends.
    pub(crate) fn map_chars(&self, mut change: impl FnMut(char, &mut String)) -> Text {
        let mut text = Text::default();
        let mut piece = String::new();
        for (c, said) in self.chars() {
            piece.clear();
            change(c, &mut piece);
            text.push_str(&piece, said);
        }
        text
    }

    /// Whether any character was said.
    pub(crate) fn has_said(&self) -> bool {
        !self.said.is_empty()
    }
}

impl FromIterator<(char, bool)> for Text {
    fn from_iter<I: IntoIterator<Item = (char, bool)>>(chars: I) -> Self {
        let mut text = Text::default();
        for (c, said) in chars {
            text.push_char(c, said);
        }
        text
    }
}
