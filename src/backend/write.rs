//! Small pieces of JSON, and text of at most so many bytes.

use std::borrow::Cow;

use crate::json::{JsonStr, write_escaped};

/// Writes a string with its quotes.
pub(super) fn text(value: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    write_escaped(value, out);
    out.push(b'"');
}

/// Writes the members of an object: names and texts.
pub(super) fn members<'m>(members: impl IntoIterator<Item = (&'m str, &'m str)>, out: &mut Vec<u8>) {
    for (place, (name, value)) in members.into_iter().enumerate() {
        if place > 0 {
            out.push(b',');
        }
        text(name, out);
        out.push(b':');
        text(value, out);
    }
}

/// Writes a finite number: whole ones without a fraction, others as short as they can be read back.
pub(super) fn number(value: f64, out: &mut Vec<u8>) {
    #[expect(clippy::cast_possible_truncation, reason = "what it changes isn't whole")]
    let whole = value as i64;
    #[expect(clippy::cast_precision_loss, clippy::float_cmp, reason = "whole numbers in range are the same as a float")]
    if whole as f64 == value && value.abs() < 1e15 {
        out.extend_from_slice(itoa::Buffer::new().format(whole).as_bytes());
    } else {
        out.extend_from_slice(zmij::Buffer::new().format(value).as_bytes());
    }
}

/// A sum that can be written: JSON has no infinity, so the largest number stands for what is beyond it.
pub(super) const fn finite(sum: f64) -> f64 {
    sum.clamp(f64::MIN, f64::MAX)
}

/// A message, still escaped, of at most `bytes` as text and `escaped` as it stands in JSON: a longer one
/// is cut behind a character, and says how long it was.
pub(super) fn bounded(message: JsonStr<'_>, bytes: usize, escaped: usize) -> Cow<'_, str> {
    let whole = message.escaped();
    // Escaped it is at least as long.
    if whole.len() <= bytes.min(escaped) {
        return Cow::Borrowed(whole);
    }
    let text = message.unescape();
    if text.len() <= bytes && whole.len() <= escaped {
        return Cow::Borrowed(whole);
    }
    Cow::Owned(JsonStr::escape(&cut(&text, bytes, escaped), &mut Vec::new()).escaped().to_owned())
}

/// As much of a text as fits, and how long it was.
#[cold]
fn cut(text: &str, bytes: usize, escaped: usize) -> String {
    let (mark, mut taken, mut in_json) = (mark(text), 0, 0_usize);
    let room = |limit: usize| limit.saturating_sub(mark.len());
    let (bytes, escaped) = (room(bytes), room(escaped));
    beginning(text, &mark, |c| {
        taken += c.len_utf8();
        in_json += match c {
            '"' | '\\' | '\n' | '\t' | '\r' | '\u{8}' | '\u{c}' => 2,
            '\0'..='\u{1f}' => 6,
            _ => c.len_utf8(),
        };
        taken <= bytes && in_json <= escaped
    })
}

/// The beginning of a text, of at most so many bytes.
pub(super) fn start(text: &str, bytes: usize) -> &str {
    text.get(..text.floor_char_boundary(bytes)).unwrap_or(text)
}

/// What stands behind a text that is cut.
fn mark(text: &str) -> String {
    format!("… [cut by logferry: {} bytes in all]", text.len())
}

/// The characters of a text that fit, and a mark behind them.
fn beginning(text: &str, mark: &str, mut fits: impl FnMut(char) -> bool) -> String {
    let end = text.char_indices().find(|(_, c)| !fits(*c)).map_or(text.len(), |(at, _)| at);
    text.get(..end).unwrap_or_default().to_owned() + mark
}

/// A text that is written in at most `max` bytes: of a longer one the beginning,
/// and how long it was. `width` tells what a character is written in, at most
/// twice what it has.
pub(super) fn shortened(text: &str, max: usize, width: fn(char) -> usize) -> Cow<'_, str> {
    if text.len() <= max / 2 || text.chars().map(width).sum::<usize>() <= max {
        return Cow::Borrowed(text);
    }
    let mark = mark(text);
    let mut room = max.saturating_sub(mark.len());
    Cow::Owned(beginning(text, &mark, |c| match room.checked_sub(width(c)) {
        Some(left) => {
            room = left;
            true
        }
        None => false,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_cut_and_says_so() {
        for piece in ["a", "é", "\"", "😀"] {
            for width in [char::len_utf8 as fn(char) -> usize, |c| if c == '"' { 2 } else { c.len_utf8() }] {
                let long = piece.repeat(2000 / piece.len());
                let short = shortened(&long, 500, width);
                let written: usize = short.chars().map(width).sum();
                assert!(written <= 500 && written > 490, "{written}");
                assert!(short.starts_with(piece) && short.ends_with(&format!("{} bytes in all]", long.len())));
            }
        }
        assert_eq!(shortened("abc", 3, char::len_utf8), "abc");
    }

    #[test]
    fn numbers_are_json_and_read_back() {
        for (value, expected) in [
            (1.0, "1"),
            (-0.0, "0"),
            (46.84, "46.84"),
            (1e300, "1e+300"),
            (1e-7, "1e-7"),
            (9_007_199_254_740_993.0, "9007199254740992.0"),
        ] {
            let mut out = Vec::new();
            number(value, &mut out);
            assert_eq!(String::from_utf8(out.clone()).unwrap(), expected);
            assert_eq!(serde_json::from_slice::<f64>(&out).unwrap().to_bits(), (value + 0.0).to_bits());
        }
    }

    #[test]
    fn a_long_message_is_cut_to_its_bounds() {
        for piece in ["a", "é", "\u{1}", "\"", "\n", "😀"] {
            for (bytes, escaped) in [(500, 10_000), (10_000, 600), (500, 600)] {
                let long = piece.repeat(20_000 / piece.len());
                let mut buffer = Vec::new();
                let cut = bounded(JsonStr::escape(&long, &mut buffer), bytes, escaped).into_owned();
                let text = JsonStr::from_escaped(&cut).unescape();
                assert!(cut.len() <= escaped && text.len() <= bytes, "{} {}", cut.len(), text.len());
                assert!(cut.len() > escaped - 10 || text.len() > bytes - 10, "{} {}", cut.len(), text.len());
                assert!(text.ends_with(&format!("{} bytes in all]", long.len())) && text.starts_with(piece));
            }
        }
        let mut buffer = Vec::new();
        let short = JsonStr::escape("a\n", &mut buffer);
        assert_eq!(bounded(short, 2, 3), Cow::Borrowed("a\\n"));
    }
}
