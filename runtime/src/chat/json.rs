//! The `tojson` filter as transformers defines it: Python's `json.dumps`, not Jinja's escaped form.

use std::io::{self, Write};

use minijinja::value::{Kwargs, Value};
use minijinja::{Error, ErrorKind};
use serde::Serialize;
use serde_json::ser::{CharEscape, Formatter, PrettyFormatter, Serializer};

use super::bounded::Bounded;

/// `value | tojson(indent, ensure_ascii, separators, sort_keys)`.
pub(super) fn tojson(value: &Value, options: Kwargs) -> Result<String, Error> {
    let indent: Option<usize> = options.get("indent")?;
    let separators: Option<Vec<String>> = options.get("separators")?;
    let ascii: Option<bool> = options.get("ensure_ascii")?;
    let sorted: Option<bool> = options.get("sort_keys")?;
    options.assert_all_used()?;
    let invalid = |text: &str| Error::new(ErrorKind::InvalidOperation, text.to_owned());
    let (item, key) = match (separators.as_deref(), indent) {
        (None, None) => (", ".to_owned(), ": ".to_owned()),
        (None, Some(_)) => (",".to_owned(), ": ".to_owned()),
        (Some([item, key]), _) => (item.clone(), key.clone()),
        (Some(_), _) => return Err(invalid("tojson: separators are two texts")),
    };
    let blanks = [b' '; 16];
    let blanks = blanks
        .get(..indent.unwrap_or(0))
        .ok_or_else(|| invalid("tojson: indent is more than 16"))?;
    let style = Python {
        pretty: indent.map(|_| PrettyFormatter::with_indent(blanks)),
        item: &item,
        key: &key,
        ascii: ascii.unwrap_or(false),
    };
    let bad = |error: serde_json::Error| Error::new(ErrorKind::BadSerialization, "tojson").with_source(error);
    let mut text = Bounded::default();
    if sorted.unwrap_or(false) {
        // Goes through text because the text's length is bounded; a value's may not be.
        let mut plain = Bounded::default();
        serde_json::to_writer(&mut plain, value).map_err(bad)?;
        let mut sorted: serde_json::Value = serde_json::from_slice(plain.bytes()).map_err(bad)?;
        sorted.sort_all_objects();
        write(&sorted, &mut text, style).map_err(bad)?;
    } else {
        write(value, &mut text, style).map_err(bad)?;
    }
    text.into_text()
        .map_err(|error| Error::new(ErrorKind::BadSerialization, "tojson").with_source(error))
}

fn write(value: impl Serialize, text: &mut Bounded, style: Python<'_>) -> serde_json::Result<()> {
    value.serialize(&mut Serializer::with_formatter(text, style))
}

/// Python's separators, with line breaks if an indent is given.
struct Python<'a> {
    pretty: Option<PrettyFormatter<'a>>,
    item: &'a str,
    key: &'a str,
    ascii: bool,
}

macro_rules! lines {
    ($($name:ident: $plain:expr;)*) => {$(
        fn $name<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
            match &mut self.pretty {
                Some(pretty) => pretty.$name(writer),
                None => writer.write_all($plain),
            }
        }
    )*};
}

impl Formatter for Python<'_> {
    lines! {
        begin_array: b"[";
        end_array: b"]";
        end_array_value: b"";
        begin_object: b"{";
        end_object: b"}";
        end_object_value: b"";
    }

    fn begin_array_value<W: ?Sized + Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        self.separate(writer, first)
    }

    fn begin_object_key<W: ?Sized + Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        self.separate(writer, first)
    }

    fn begin_object_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        writer.write_all(self.key.as_bytes())
    }

    fn write_string_fragment<W: ?Sized + Write>(&mut self, writer: &mut W, text: &str) -> io::Result<()> {
        if !self.ascii {
            return writer.write_all(text.as_bytes());
        }
        for c in text.chars() {
            match c {
                ' '..='~' => writer.write_all(&[c as u8])?,
                _ => {
                    for unit in c.encode_utf16(&mut [0; 2]) {
                        write!(writer, "\\u{unit:04x}")?;
                    }
                }
            }
        }
        Ok(())
    }

    fn write_char_escape<W: ?Sized + Write>(&mut self, writer: &mut W, escape: CharEscape) -> io::Result<()> {
        serde_json::ser::CompactFormatter.write_char_escape(writer, escape)
    }
}

impl Python<'_> {
    /// Writes what precedes an item. The pretty formatter supplies the line break and the indent; it writes
    /// its own `,` unless it believes the item to be the first.
    fn separate<W: ?Sized + Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        if !first {
            writer.write_all(self.item.as_bytes())?;
        }
        match &mut self.pretty {
            Some(pretty) => pretty.begin_array_value(writer, true),
            None => Ok(()),
        }
    }
}
