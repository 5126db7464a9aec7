//! Turns bytes into text that is valid UTF-8 at every moment.

/// Holds back the bytes of an incomplete character.
#[derive(Debug, Default)]
pub struct Utf8Stream {
    held: Vec<u8>,
}

impl Utf8Stream {
    /// A stream that holds nothing back yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes bytes and returns the complete text. Bytes that cannot be part of a character become U+FFFD.
    pub fn push(&mut self, bytes: &[u8]) -> String {
        self.held.extend_from_slice(bytes);
        let mut text = String::new();
        loop {
            match std::str::from_utf8(&self.held) {
                Ok(whole) => {
                    text.push_str(whole);
                    self.held.clear();
                    return text;
                }
                Err(error) => {
                    let (whole, rest) = self.held.split_at(error.valid_up_to());
                    text.push_str(std::str::from_utf8(whole).unwrap_or_default());
                    let Some(invalid) = error.error_len() else {
                        self.held = rest.to_vec();
                        return text;
                    };
                    text.push(char::REPLACEMENT_CHARACTER);
                    self.held = rest[invalid..].to_vec();
                }
            }
        }
    }

    /// Returns the rest at the end: an incomplete character becomes one U+FFFD.
    pub fn finish(&mut self) -> String {
        let text = String::from_utf8_lossy(&self.held).into_owned();
        self.held.clear();
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_cut_of_a_text_gives_the_text() {
        let text = "naïve 🦜 日本\n";
        for step in 1..=text.len() {
            let mut stream = Utf8Stream::new();
            let mut got: String = text
                .as_bytes()
                .chunks(step)
                .map(|chunk| stream.push(chunk))
                .collect();
            got += &stream.finish();
            assert_eq!(got, text, "cut every {step} bytes");
        }
    }

    #[test]
    fn bytes_of_no_character_are_replaced() {
        let cases: [(&[u8], &str, &str); 4] = [
            (b"a\xffb", "a\u{fffd}b", ""),
            (b"\xf0\x9f", "", "\u{fffd}"),
            (b"\xf0\x9fA", "\u{fffd}A", ""),
            (b"\x80\x80", "\u{fffd}\u{fffd}", ""),
        ];
        for (bytes, pushed, finished) in cases {
            let mut stream = Utf8Stream::new();
            assert_eq!(stream.push(bytes), pushed, "{bytes:?}");
            assert_eq!(stream.finish(), finished, "{bytes:?}");
        }
    }
}
