//! Text that comes from a file: it must not write to the terminal what only a program may.

/// `text` on one line, control characters (terminal escapes among them) and invisible directions spelled out.
pub(crate) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if hidden(c) {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    out
}

/// Characters that move the cursor, change colours, or turn the direction of what follows.
fn hidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    #[test]
    fn nothing_reaches_the_terminal_that_is_not_text() {
        let cases = [
            ("a b\u{e9}\u{2581}", "a b\u{e9}\u{2581}"),
            ("\x1b[31m\n\t\\", "\\u{1b}[31m\\n\\t\\"),
            ("\u{9b}2J\u{202e}", "\\u{9b}2J\\u{202e}"),
        ];
        for (text, want) in cases {
            assert_eq!(super::escaped(text), want);
        }
    }
}
