//! Small pieces of JSON.

use crate::json::{JsonStr, write_escaped};

/// Writes a string with its quotes.
pub(super) fn text(value: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    write_escaped(value, out);
    out.push(b'"');
}

/// Writes a finite number: whole ones without a fraction, others as short as they can be read back.
pub(super) fn number(value: f64, out: &mut Vec<u8>) {
    #[expect(clippy::cast_possible_truncation, reason = "checked to be whole and in range")]
    if value.fract() == 0.0 && value.abs() < 1e15 {
        out.extend_from_slice(itoa::Buffer::new().format(value as i64).as_bytes());
    } else {
        out.extend_from_slice(zmij::Buffer::new().format(value).as_bytes());
    }
}

/// The start of a message, escaped as it was and about `max` bytes long, and how long it was.
#[cold]
pub(super) fn cut(message: &[u8], max: usize) -> Vec<u8> {
    let text = JsonStr::from_escaped(message).unescape();
    let mut end = max.min(text.len());
    loop {
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        let mut cut = Vec::new();
        let head = text.get(..end).unwrap_or_default();
        JsonStr::escape(&format!("{head}… [cut by logferry: {} bytes in all]", text.len()), &mut cut);
        if cut.len() <= max + 100 || end == 0 {
            return cut;
        }
        end = end.saturating_sub((cut.len() - max) / 6 + 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_message_is_short_enough_whatever_it_holds() {
        const MAX: usize = 900_000;
        for piece in ["a", "é", "\u{1}", "\"", "😀"] {
            let long = piece.repeat(1_200_000 / piece.len());
            let mut buffer = Vec::new();
            let cut = cut(JsonStr::escape(&long, &mut buffer).escaped(), MAX);
            assert!(cut.len() <= MAX + 100 && cut.len() > MAX / 2, "{}", cut.len());
            assert!(JsonStr::from_escaped(&cut).unescape().ends_with(&format!("{} bytes in all]", long.len())));
        }
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
}
