//! The bytes of tokens become text that may be shown.

use super::{Cut, StopStrings, Utf8Stream};

/// Decodes one text: holds back characters that are not whole and what may be the beginning of a stop string.
#[derive(Debug)]
pub struct TextDecoder {
    utf8: Utf8Stream,
    stops: StopStrings,
    strip_space: bool,
}

impl TextDecoder {
    /// Nothing yet; the text ends before any of `stops`.
    pub fn new(stops: impl IntoIterator<Item = String>) -> Self {
        TextDecoder {
            utf8: Utf8Stream::new(),
            stops: StopStrings::new(stops),
            strip_space: false,
        }
    }

    /// Leaves out the space that SentencePiece writes before a text's first word.
    pub fn strip_leading_space(&mut self) {
        self.strip_space = true;
    }

    /// Takes a token's bytes and returns the text that may be shown.
    pub fn push(&mut self, piece: &[u8]) -> Cut {
        let text = self.utf8.push(piece);
        let mut text = text.as_str();
        if self.strip_space && !text.is_empty() {
            self.strip_space = false;
            text = text.strip_prefix(' ').unwrap_or(text);
        }
        self.stops.push(text)
    }

    /// The stop string that was found.
    pub fn stopped_by(&self) -> Option<&str> {
        self.stops.stopped_by()
    }

    /// What was held back, once the text has ended by itself.
    pub fn finish(&mut self) -> String {
        let rest = self.utf8.finish();
        match self.stops.push(&rest) {
            Cut::More(text) => text + &self.stops.finish(),
            Cut::Stop(text) => text,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_stay_whole_and_the_first_space_goes() {
        let emoji = "👩‍👩‍👧".as_bytes();
        let mut decoder = TextDecoder::new([]);
        decoder.strip_leading_space();
        let mut text = String::new();
        for piece in [b" ".as_slice(), b" a"].into_iter().chain(emoji.chunks(1)) {
            match decoder.push(piece) {
                Cut::More(part) => text += &part,
                Cut::Stop(_) => panic!("no stop string"),
            }
            assert!(!text.contains('\u{fffd}'), "{text:?}");
        }
        text += &decoder.finish();
        assert_eq!(text, " a👩‍👩‍👧");
    }

    #[test]
    fn what_was_held_back_for_a_stop_string_comes_at_the_end() {
        let mut decoder = TextDecoder::new(["END".to_owned()]);
        assert_eq!(decoder.push(b"x E"), Cut::More("x ".into()));
        assert_eq!(decoder.finish(), "E");
        let mut decoder = TextDecoder::new(["END".to_owned()]);
        assert_eq!(decoder.push(b"x END y"), Cut::Stop("x ".into()));
    }
}
