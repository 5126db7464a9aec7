//! Python's `str` and `repr`.

use crate::number;
use crate::run::Rendering;
use crate::text::Text;
use crate::value::Value;
use crate::{Fault, Res};

/// How deep namespaces may hold one another when they are printed.
const MAX_DEPTH: usize = 100;

impl Rendering<'_> {
    /// `str(value)`.
    pub(crate) fn str(&self, value: &Value) -> Res<Text> {
        let mut text = Text::default();
        self.write_str(value, &mut text)?;
        Ok(text)
    }

    /// Appends `str(value)`.
    pub(crate) fn write_str(&self, value: &Value, out: &mut Text) -> Res<()> {
        match value {
            Value::Undefined(_) => Ok(()),
            Value::Text(text) => {
                self.meter.spend_bytes(text.len())?;
                out.push(text);
                Ok(())
            }
            value => self.write_repr(value, out, &mut Vec::new(), 0),
        }
    }

    /// `repr(value)`.
    pub(crate) fn repr(&self, value: &Value) -> Res<Text> {
        let mut text = Text::default();
        self.write_repr(value, &mut text, &mut Vec::new(), 0)?;
        Ok(text)
    }

    fn write_repr(&self, value: &Value, out: &mut Text, open: &mut Vec<usize>, depth: usize) -> Res<()> {
        self.meter.spend(1)?;
        if depth > MAX_DEPTH {
            return Err(Fault::TooMuch);
        }
        let mut own = |text: &str| out.push_str(text, false);
        match value {
            Value::Undefined(_) => own("Undefined"),
            Value::None => own("None"),
            Value::Bool(true) => own("True"),
            Value::Bool(false) => own("False"),
            Value::Int(value) => own(&value.to_string()),
            Value::Float(value) => own(&number::float(*value)),
            Value::Text(text) => {
                self.meter.spend_bytes(text.len())?;
                out.push_str(if text.markup { "Markup(" } else { "" }, false);
                quoted(text, out);
                out.push_str(if text.markup { ")" } else { "" }, false);
            }
            Value::List(list) => {
                own("[");
                self.write_items(&list.items, out, open, depth)?;
                out.push_str("]", false);
            }
            Value::Tuple(list) => {
                own("(");
                self.write_items(&list.items, out, open, depth)?;
                out.push_str(if list.items.len() == 1 { ",)" } else { ")" }, false);
            }
            Value::View(kind, list) => {
                own(kind);
                out.push_str("([", false);
                self.write_items(&list.items, out, open, depth)?;
                out.push_str("])", false);
            }
            Value::Map(map) => self.write_entries(&map.entries, out, open, depth)?,
            Value::Namespace(number) => {
                own("<Namespace ");
                if open.contains(number) {
                    out.push_str("{...}>", false);
                    return Ok(());
                }
                open.push(*number);
                let entries = self.namespace_entries(*number);
                self.write_entries(&entries, out, open, depth)?;
                open.pop();
                out.push_str(">", false);
            }
            Value::Range(range) => own(&match range.step {
                1 => format!("range({}, {})", range.start, range.stop),
                step => format!("range({}, {}, {step})", range.start, range.stop),
            }),
            Value::Macro(number) => own(&format!("<Macro {:?}>", self.macro_name(*number)).replace('"', "'")),
            Value::Loop(number) => own(&self.loop_text(*number)),
            other => own(&format!("<{}>", other.type_name())),
        }
        Ok(())
    }

    fn write_items(&self, items: &[Value], out: &mut Text, open: &mut Vec<usize>, depth: usize) -> Res<()> {
        for (at, item) in items.iter().enumerate() {
            out.push_str(if at > 0 { ", " } else { "" }, false);
            self.write_repr(item, out, open, depth + 1)?;
        }
        Ok(())
    }

    fn write_entries(
        &self,
        entries: &[(Value, Value)],
        out: &mut Text,
        open: &mut Vec<usize>,
        depth: usize,
    ) -> Res<()> {
        out.push_str("{", false);
        for (at, (key, value)) in entries.iter().enumerate() {
            out.push_str(if at > 0 { ", " } else { "" }, false);
            self.write_repr(key, out, open, depth + 1)?;
            out.push_str(": ", false);
            self.write_repr(value, out, open, depth + 1)?;
        }
        out.push_str("}", false);
        Ok(())
    }
}

/// A text between quotes: single ones, unless it has them and no double ones.
fn quoted(text: &Text, out: &mut Text) {
    let double = text.as_str().contains('\'') && !text.as_str().contains('"');
    let quote = if double { '"' } else { '\'' };
    out.push_char(quote, false);
    for (c, said) in text.chars() {
        match c {
            '\\' => out.push_str("\\\\", said),
            '\n' => out.push_str("\\n", said),
            '\r' => out.push_str("\\r", said),
            '\t' => out.push_str("\\t", said),
            c if c == quote => {
                out.push_char('\\', said);
                out.push_char(c, said);
            }
            c if is_printable(c) => out.push_char(c, said),
            c => {
                let code = u32::from(c);
                let escaped = match code {
                    0..=0xff => format!("\\x{code:02x}"),
                    0x100..=0xffff => format!("\\u{code:04x}"),
                    _ => format!("\\U{code:08x}"),
                };
                out.push_str(&escaped, said);
            }
        }
    }
    out.push_char(quote, false);
}

/// Whether Python prints the character as it is. Rust's `escape_debug` keeps nearly the same ones; it also escapes
/// combining marks, which Python prints.
pub(crate) fn is_printable(c: char) -> bool {
    if c == ' ' || matches!(c, '\'' | '"' | '\\') {
        return true;
    }
    if c.is_whitespace()
        || c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{ad}' | '\u{e000}'..='\u{f8ff}')
    {
        return false;
    }
    // After a letter, combining marks are not escaped.
    let mut pair = String::from("a");
    pair.push(c);
    pair.escape_debug().nth(1) == Some(c)
}
