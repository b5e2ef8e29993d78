//! Making the inside of a JSON string whole.

use super::string::{code_unit, escape_byte};

const REPLACEMENT: &[u8] = "\u{fffd}".as_bytes();

/// Writes the inside of a string to `mended` so that it is good JSON: bare control
/// characters escaped; lone surrogates and escapes that JSON doesn't have
/// replaced by U+FFFD. Returns how many were replaced.
///
/// ASCII that is escaped by its number is written as it mostly is, `\u0009` as `\t`
/// and `\u0041` as `A`: so a line need not be unescaped to see how it begins.
pub(crate) fn mend(inside: &str, mended: &mut String) -> u64 {
    let mut out = std::mem::take(mended).into_bytes();
    out.clear();
    let mut replaced = 0;
    let mut rest = inside.as_bytes();
    while let Some(&byte) = rest.first() {
        let taken = match byte {
            b'\\' => escape_len(rest),
            0..0x20 => Ok(1),
            _ => Ok(rest.iter().position(|b| *b == b'\\' || *b < 0x20).unwrap_or(rest.len())),
        };
        let (Ok(len) | Err(len)) = taken;
        match (byte, taken) {
            (_, Err(_)) => {
                replaced += 1;
                out.extend_from_slice(REPLACEMENT);
            }
            (0..0x20, Ok(_)) => escape_byte(byte, &mut out),
            (b'\\', Ok(_)) if let Some(byte) = ascii(rest) => write(byte, &mut out),
            (_, Ok(_)) => out.extend_from_slice(rest.get(..len).unwrap_or_default()),
        }
        rest = rest.get(len..).unwrap_or_default();
    }
    // Cut at ASCII characters only, it is as good as it was.
    *mended = String::from_utf8(out).unwrap_or_default();
    replaced
}

/// A line of JSON, its strings made whole.
pub fn mended(line: &str) -> String {
    let mut made = String::new();
    mend(line, &mut made);
    made
}

/// The character that a `\u00XX` at the front stands for, if it has another spelling.
fn ascii(bytes: &[u8]) -> Option<u8> {
    let byte = u8::try_from(code_unit(bytes)?).ok()?;
    matches!(byte, b'\t' | b'\n' | b'\r' | 0x8 | 0xc | b' '..=b'~').then_some(byte)
}

/// Appends a character of ASCII, escaped where JSON demands it.
fn write(byte: u8, out: &mut Vec<u8>) {
    if matches!(byte, 0..0x20 | b'"' | b'\\') {
        escape_byte(byte, out);
    } else {
        out.push(byte);
    }
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
            (r"\u0009\u000a\u000A\u000d\u0008\u000C", r"\t\n\n\r\b\f", 0),
            (r"\u0022\u005c\u005C\u002f\u0041\u007E\u0020", r#"\"\\\\/A~ "#, 0),
            (r"\u0000\u001f\u007f\u0080", r"\u0000\u001f\u007f\u0080", 0),
            (r"\\u0009", r"\\u0009", 0),
        ] {
            let mut mended = String::new();
            assert_eq!(mend(inside, &mut mended), replaced, "{inside}");
            assert_eq!(mended, expected, "{inside}");
        }
    }
}
