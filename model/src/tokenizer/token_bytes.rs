//! The bytes that tokens represent.

use super::bytes;

/// The bytes that a token's text represents. A character that represents no byte is marked as llama.cpp marks
/// it.
pub(super) fn decode(text: &str) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(text.len());
    for c in text.chars() {
        match bytes::from_char(c) {
            Some(byte) => decoded.push(byte),
            None => {
                let hex: String = c
                    .encode_utf8(&mut [0; 4])
                    .bytes()
                    .map(|byte| format!("{byte:02x}"))
                    .collect();
                decoded.extend_from_slice(format!("[UNK_BYTE_0x{hex}{text}]").as_bytes());
            }
        }
    }
    decoded
}

/// The byte that a token like `<0x0A>` represents.
pub(super) fn from_hex(text: &str) -> Option<u8> {
    u8::from_str_radix(text.get(3..5)?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::super::bytes::spelling;
    use super::*;

    #[test]
    fn every_byte_there_and_back() {
        for byte in 0..=255 {
            assert_eq!(decode(&spelling(byte).to_string()), [byte]);
        }
        assert_eq!(decode("ĠaĊ"), b" a\n");
        assert_eq!(decode("a\u{4e00}"), "a[UNK_BYTE_0xe4b880a\u{4e00}]".as_bytes());
    }

    #[test]
    fn bytes_by_their_number() {
        let cases = [
            ("<0x0A>", Some(10)),
            ("<0xff>", Some(255)),
            ("<0x", None),
            ("\u{4e00}\u{4e00}", None),
            ("<0xGG>", None),
        ];
        for (text, want) in cases {
            assert_eq!(from_hex(text), want, "{text}");
        }
    }
}
