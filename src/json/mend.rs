//! Making the inside of a JSON string whole.

use super::string::{code_unit, escape_byte};

const REPLACEMENT: &[u8] = "\u{fffd}".as_bytes();

/// Writes the inside of a string to `mended` so that it is good JSON: bare control
/// characters escaped; lone surrogates and escapes that JSON doesn't have
/// replaced by U+FFFD. Returns how many were replaced.
pub(crate) fn mend(inside: &str, mended: &mut String) -> u64 {
    let mut out = std::mem::take(mended).into_bytes();
    out.clear();
    let mut replaced = 0;
    let mut rest = inside.as_bytes();
    while let Some(&byte) = rest.first() {
        let taken = match byte {
            b'\\' => escape_len(rest),
            0..0x20 => {
                escape_byte(byte, &mut out);
                rest = rest.get(1..).unwrap_or_default();
                continue;
            }
            _ => Ok(rest.iter().position(|b| *b == b'\\' || *b < 0x20).unwrap_or(rest.len())),
        };
        let (len, text) = match taken {
            Ok(len) => (len, rest.get(..len).unwrap_or_default()),
            Err(len) => {
                replaced += 1;
                (len, REPLACEMENT)
            }
        };
        out.extend_from_slice(text);
        rest = rest.get(len..).unwrap_or_default();
    }
    // Cut at ASCII characters only, it is as good as it was.
    *mended = String::from_utf8(out).unwrap_or_default();
    replaced
}

/// How long the escape at the front is: `Err` with what to skip when it is none.
fn escape_len(bytes: &[u8]) -> Result<usize, usize> {
    match bytes.get(1) {
        Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => Ok(2),
        Some(b'u') => {
            let first = code_unit(bytes).ok_or(2_usize)?;
            match first {
                0xd800..=0xdbff => {
                    let second = bytes.get(6..).and_then(code_unit);
                    if second.is_some_and(|unit| (0xdc00..=0xdfff).contains(&unit)) { Ok(12) } else { Err(6) }
                }
                0xdc00..=0xdfff => Err(6),
                _ => Ok(6),
            }
        }
        // The byte after an escape that isn't one stays as it is.
        _ => Err(1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_what_is_good_and_replaces_the_rest() {
        for (inside, expected, replaced) in [
            (r#"a\"\\\/\b\f\n\r\t"#, r#"a\"\\\/\b\f\n\r\t"#, 0),
            (r"\u00e9 \ud83d\ude00", r"\u00e9 \ud83d\ude00", 0),
            (r"\ud83d.", "\u{fffd}.", 1),
            (r"\ude00\ud83d\ud83d\ude00", "\u{fffd}\u{fffd}\\ud83d\\ude00", 2),
            (r"\u12g4", "\u{fffd}12g4", 1),
            (r"\q", "\u{fffd}q", 1),
            ("a\u{1}\n", r"a\u0001\n", 0),
        ] {
            let mut mended = String::new();
            assert_eq!(mend(inside, &mut mended), replaced, "{inside}");
            assert_eq!(mended, expected, "{inside}");
        }
    }
}
