//! GPT-2's byte table: the character that represents each byte in byte-level vocabularies.
//!
//! A printable Latin-1 byte is represented by its own character. The other bytes get, in order, the
//! characters from U+0100: space is `Ġ`, newline is `Ċ`.

/// One past the last character that represents a byte.
const END: usize = 0x144;

const CHARACTERS: [char; 256] = characters();
/// The byte that each character represents, or 256.
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

/// Returns the character that represents `byte`.
pub fn spelling(byte: u8) -> char {
    CHARACTERS[usize::from(byte)]
}

/// Returns the byte that a character represents, or `None` if it represents none.
pub fn from_char(character: char) -> Option<u8> {
    BYTES
        .get(character as usize)
        .and_then(|&byte| u8::try_from(byte).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_there_and_back() {
        for byte in 0..=255 {
            assert_eq!(from_char(spelling(byte)), Some(byte));
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
        for none in [' ', '\u{7f}', '\u{a0}', '\u{ad}', '\u{144}', '\u{4e00}'] {
            assert_eq!(from_char(none), None, "{none:?}");
        }
    }
}
