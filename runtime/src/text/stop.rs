//! Stop strings, which may span tokens.

/// The part of a text that may be shown.
#[derive(Debug, PartialEq, Eq)]
pub enum Cut {
    /// Show this; the rest may be the beginning of a stop string.
    More(String),
    /// Show this and no more: a stop string was found.
    Stop(String),
}

/// Watches a text for the first stop string.
#[derive(Debug, Default)]
pub struct StopStrings {
    stops: Vec<String>,
    held: String,
    stopped_by: Option<usize>,
}

impl StopStrings {
    /// Watches for any of `stops`; empty ones are ignored.
    pub fn new(stops: impl IntoIterator<Item = String>) -> Self {
        StopStrings {
            stops: stops.into_iter().filter(|stop| !stop.is_empty()).collect(),
            held: String::new(),
            stopped_by: None,
        }
    }

    /// Takes more text and returns what may be shown.
    pub fn push(&mut self, text: &str) -> Cut {
        self.held.push_str(text);
        let found = (0..).zip(&self.stops);
        let found = found.filter_map(|(index, stop)| Some((self.held.find(stop)?, index)));
        if let Some((at, index)) = found.min() {
            self.stopped_by = Some(index);
            self.held.truncate(at);
            return Cut::Stop(std::mem::take(&mut self.held));
        }
        let keep = self
            .stops
            .iter()
            .map(|stop| overlap(&self.held, stop))
            .max()
            .unwrap_or(0);
        let rest = self.held.split_off(self.held.len() - keep);
        Cut::More(std::mem::replace(&mut self.held, rest))
    }

    /// The stop string that was found.
    pub fn stopped_by(&self) -> Option<&str> {
        Some(&self.stops[self.stopped_by?])
    }

    /// What was still held back when the text ended without a stop string.
    pub fn finish(&mut self) -> String {
        std::mem::take(&mut self.held)
    }
}

/// The length in bytes of the longest end of `text` that begins `stop` without being all of it.
fn overlap(text: &str, stop: &str) -> usize {
    let starts = stop.char_indices().map(|(at, _)| at).skip(1);
    starts
        .filter(|at| text.ends_with(&stop[..*at]))
        .max()
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_and_what_is_shown() {
        /// Name, stop strings, texts in order, text shown, whether a stop string was found.
        type Case = (
            &'static str,
            &'static [&'static str],
            &'static [&'static str],
            &'static str,
            bool,
        );
        let cases: [Case; 6] = [
            ("none", &[], &["ab", "c"], "abc", false),
            ("whole", &["b"], &["abc"], "a", true),
            ("across", &["user:"], &["hi us", "er", ": x"], "hi ", true),
            ("almost", &["user:"], &["hi us", "ers"], "hi users", false),
            ("first of two", &["c", "b"], &["abc"], "a", true),
            ("many bytes", &["日本"], &["x日", "月"], "x日月", false),
        ];
        for (name, stops, texts, want, stopped) in cases {
            let mut watch = StopStrings::new(stops.iter().map(|s| (*s).to_owned()));
            let (mut shown, mut stop) = (String::new(), false);
            for text in texts {
                match watch.push(text) {
                    Cut::More(text) => shown += &text,
                    Cut::Stop(text) => {
                        shown += &text;
                        stop = true;
                        break;
                    }
                }
            }
            shown += &watch.finish();
            assert_eq!((shown.as_str(), stop), (want, stopped), "{name}");
            assert_eq!(watch.stopped_by().is_some(), stopped, "{name}");
        }
    }
}
