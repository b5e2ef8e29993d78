//! Small pieces of JSON.

use crate::json::write_escaped;

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

#[cfg(test)]
mod tests {
    use super::*;

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
