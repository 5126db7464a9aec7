//! A formatted field: its width, its sign, the digits in it.

use crate::number::exponent_text;
use crate::run::Rendering;
use crate::text::Text;
use crate::{Fault, Res};

/// The longest precision: floats have no more digits than about 1100.
const MAX_PRECISION: usize = 2000;

#[derive(Debug, Clone, Default)]
pub(super) struct Field {
    pub(super) fill: Option<(char, bool)>,
    /// `<`, `>`, `^` or `=`.
    pub(super) align: Option<char>,
    /// `+` or a blank; otherwise only negative numbers have one.
    pub(super) sign: char,
    pub(super) alternate: bool,
    pub(super) zero: bool,
    pub(super) width: usize,
    /// `,` or `_` between groups of digits.
    pub(super) group: Option<char>,
    pub(super) precision: Option<usize>,
}

impl Field {
    /// Appends a text, filled up to the width.
    pub(super) fn write(&self, run: &Rendering<'_>, text: &Text, align: char, out: &mut Text) -> Res<()> {
        let missing = self.width.saturating_sub(text.as_str().chars().count());
        run.meter.spend(missing / 8)?;
        run.meter.spend_bytes(text.len())?;
        let left = match align {
            '<' => 0,
            '^' => missing / 2,
            _ => missing,
        };
        let (fill, said) = self.fill.unwrap_or((' ', false));
        (0..left).for_each(|_| out.push_char(fill, said));
        out.push(text);
        (left..missing).for_each(|_| out.push_char(fill, said));
        Ok(())
    }

    /// Appends a number: sign, prefix, and digits.
    pub(super) fn number(
        &self,
        run: &Rendering<'_>,
        negative: bool,
        prefix: &str,
        digits: &str,
        out: &mut Text,
    ) -> Res<()> {
        let sign = match (negative, self.sign) {
            (true, _) => "-",
            (_, '+') => "+",
            (_, ' ') => " ",
            _ => "",
        };
        let head = format!("{sign}{prefix}");
        let align = self.align.unwrap_or(if self.zero { '=' } else { '>' });
        let finite = digits.starts_with(|c: char| c.is_ascii_hexdigit());
        if align != '=' || self.zero && !finite && self.fill.is_none() {
            let digits = self.grouped(digits, 0);
            let filled_by_zeros = self.zero && self.align.is_some() && self.fill.is_none();
            let field = Field {
                fill: if filled_by_zeros {
                    Some(('0', false))
                } else {
                    self.fill
                },
                ..*self
            };
            let align = if align == '=' { '>' } else { align };
            return field.write(run, &Text::own(head + &digits), align, out);
        }
        let (fill, said) = self.fill.unwrap_or((if self.zero { '0' } else { ' ' }, false));
        let width = self.width.saturating_sub(head.len());
        run.meter.spend(width / 8)?;
        out.push_str(&head, false);
        let digits = self.grouped(digits, if fill == '0' { width } else { 0 });
        let missing = width.saturating_sub(digits.len());
        (0..missing).for_each(|_| out.push_char(fill, said));
        out.push_str(&digits, false);
        Ok(())
    }

    /// Digits with separators; zeros in front up to `width`.
    fn grouped(&self, digits: &str, width: usize) -> String {
        let Some(separator) = self.group else {
            return digits.to_owned();
        };
        let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
        let (whole, rest) = digits.split_at(end);
        let mut reversed = String::new();
        let mut count = 0;
        let mut push = |digit: char, reversed: &mut String| {
            if count > 0 && count % 3 == 0 {
                reversed.push(separator);
            }
            reversed.push(digit);
            count += 1;
        };
        for digit in whole.chars().rev() {
            push(digit, &mut reversed);
        }
        while reversed.len() + rest.len() < width {
            push('0', &mut reversed);
        }
        reversed.chars().rev().collect::<String>() + rest
    }
}

/// The digits of an integer.
pub(super) fn integer_text(value: u128, kind: char) -> String {
    match kind {
        'x' => format!("{value:x}"),
        'X' => format!("{value:X}"),
        'o' => format!("{value:o}"),
        'b' => format!("{value:b}"),
        _ => value.to_string(),
    }
}

/// The digits of a float that is not negative, in the styles `e`, `f`, `g` and `%`.
pub(super) fn float_text(
    run: &Rendering<'_>,
    value: f64,
    kind: char,
    precision: usize,
    alternate: bool,
) -> Res<String> {
    if precision > MAX_PRECISION {
        return Err(Fault::TooMuch);
    }
    run.meter.spend(precision / 8 + 4)?;
    let upper = kind.is_ascii_uppercase();
    let text = match kind.to_ascii_lowercase() {
        _ if value.is_nan() => "nan".to_owned(),
        _ if value.is_infinite() => "inf".to_owned(),
        'e' => scientific(value, precision, alternate),
        'g' => general(value, precision, alternate),
        _ => format!("{value:.precision$}") + if alternate && precision == 0 { "." } else { "" },
    };
    Ok(if upper { text.to_uppercase() } else { text })
}

fn scientific(value: f64, precision: usize, alternate: bool) -> String {
    let text = format!("{value:.precision$e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let point = if alternate && precision == 0 { "." } else { "" };
    format!(
        "{mantissa}{point}e{}",
        exponent_text(exponent.parse().unwrap_or(0))
    )
}

fn general(value: f64, precision: usize, alternate: bool) -> String {
    let precision = precision.max(1);
    let rounded = format!("{value:.*e}", precision - 1);
    let exponent: i32 = rounded
        .split_once('e')
        .and_then(|(_, exponent)| exponent.parse().ok())
        .unwrap_or(0);
    let trimmed = |text: String| match text.contains('.') && !alternate {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    };
    if exponent < -4 || exponent >= precision as i32 {
        let (mantissa, _) = rounded.split_once('e').unwrap_or((&rounded, ""));
        return format!("{}e{}", trimmed(mantissa.to_owned()), exponent_text(exponent));
    }
    let digits = (precision as i32 - 1 - exponent).max(0) as usize;
    trimmed(format!("{value:.digits$}"))
}
