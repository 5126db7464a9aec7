//! Bytes and the characters that stand for them in byte-level vocabularies: GPT-2's table.
//!
//! Bytes that print as a character stand for themselves in Latin-1; the others, in order, for the characters from
//! U+0100 on: the space is `Ġ`, the newline `Ċ`.

/// One past the last character that stands for a byte.
const END: usize = 0x144;

const CHARACTERS: [char; 256] = characters();
/// The byte that each character stands for, or 256.
const BYTES: [u16; END] = bytes();

const fn prints(byte: usize) -> bool {
    matches!(byte, 0x21..=0x7e | 0xa1..=0xac | 0xae..=0xff)
}

const fn characters() -> [char; 256] {
    let mut table = ['\0'; 256];
    let (mut byte, mut next) = (0, 0x100);
    while byte < 256 {
        let character = if prints(byte) { byte as u32 } else { next };
        next += !prints(byte) as u32;
        table[byte] = match char::from_u32(character) {
            Some(c) => c,
            None => panic!("below the surrogates"),
        };
        byte += 1;
    }
    table
}

const fn bytes() -> [u16; END] {
    let mut table = [256; END];
    let mut byte = 0;
    while byte < 256 {
        table[CHARACTERS[byte] as usize] = byte as u16;
        byte += 1;
    }
    table
}

/// The character that stands for `byte`.
pub(super) fn spelling(byte: u8) -> char {
    CHARACTERS[usize::from(byte)]
}

/// The bytes that a token's text stands for. A character that stands for none is told as llama.cpp tells it.
pub(super) fn decode(text: &str) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(text.len());
    for c in text.chars() {
        match BYTES.get(c as usize).and_then(|&byte| u8::try_from(byte).ok()) {
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

/// The byte that a token like `<0x0A>` stands for.
pub(super) fn of_hex(text: &str) -> Option<u8> {
    u8::from_str_radix(text.get(3..5)?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_there_and_back() {
        for byte in 0..=255 {
            assert_eq!(decode(&spelling(byte).to_string()), [byte]);
        }
        let cases = [
            (b' ', 'Ġ'),
            (b'\n', 'Ċ'),
            (b'a', 'a'),
            (0xad, 'Ń'),
            (0, 'Ā'),
            (0xff, 'ÿ'),
        ];
        for (byte, want) in cases {
            assert_eq!(spelling(byte), want);
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
            assert_eq!(of_hex(text), want, "{text}");
        }
    }
}
