use std::borrow::Cow;

use memchr::memchr;

/// The inside of a JSON string, still escaped, without its quotes.
///
/// A log message arrives inside JSON and mostly leaves inside JSON, so it is
/// copied as it stands; [`unescape`](Self::unescape) is for whoever needs the
/// text. It is always valid UTF-8, holds no bare control character, no bare
/// quote, only the escapes of RFC 8259, and no lone surrogate: the event layer
/// sees to that.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct JsonStr<'a>(&'a [u8]);

impl<'a> JsonStr<'a> {
    /// Takes the inside of a string that a scanner has checked.
    pub const fn from_escaped(escaped: &'a [u8]) -> Self {
        Self(escaped)
    }

    /// Escapes `text` into `buffer` and borrows it from there.
    pub fn escape(text: &str, buffer: &'a mut Vec<u8>) -> Self {
        buffer.clear();
        write_escaped(text, buffer);
        Self(buffer)
    }

    /// The bytes as they stand in JSON.
    pub const fn escaped(self) -> &'a [u8] {
        self.0
    }

    /// The text that the string stands for.
    pub fn unescape(self) -> Cow<'a, str> {
        if memchr(b'\\', self.0).is_none() {
            return String::from_utf8_lossy(self.0);
        }
        let mut text = String::with_capacity(self.0.len());
        self.unescape_into(&mut text);
        Cow::Owned(text)
    }

    /// Appends the text that the string stands for.
    pub fn unescape_into(self, text: &mut String) {
        let mut bytes = std::mem::take(text).into_bytes();
        let mut rest = self.0;
        while let Some(at) = memchr(b'\\', rest) {
            let (plain, escape) = rest.split_at(at);
            bytes.extend_from_slice(plain);
            rest = unescape_one(escape, &mut bytes);
        }
        bytes.extend_from_slice(rest);
        *text = String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned());
    }
}

/// Appends a character.
fn push(c: char, text: &mut Vec<u8>) {
    text.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
}

/// Takes one escape off the front of `bytes`; what can't be an escape becomes U+FFFD.
fn unescape_one<'a>(bytes: &'a [u8], text: &mut Vec<u8>) -> &'a [u8] {
    let simple = match bytes.get(1) {
        Some(b'n') => '\n',
        Some(b't') => '\t',
        Some(b'r') => '\r',
        Some(b'b') => '\u{8}',
        Some(b'f') => '\u{c}',
        Some(&b @ (b'"' | b'\\' | b'/')) => char::from(b),
        Some(b'u') => return unescape_unicode(bytes, text),
        _ => char::REPLACEMENT_CHARACTER,
    };
    push(simple, text);
    bytes.get(2..).unwrap_or_default()
}

fn unescape_unicode<'a>(bytes: &'a [u8], text: &mut Vec<u8>) -> &'a [u8] {
    let Some(first) = code_unit(bytes) else {
        push(char::REPLACEMENT_CHARACTER, text);
        return bytes.get(2..).unwrap_or_default();
    };
    let rest = bytes.get(6..).unwrap_or_default();
    if let Some(c) = char::from_u32(u32::from(first)) {
        push(c, text);
        return rest;
    }
    let pair = code_unit(rest).map(|second| char::decode_utf16([first, second]).next());
    if let Some(Some(Ok(c))) = pair {
        push(c, text);
        return rest.get(6..).unwrap_or_default();
    }
    push(char::REPLACEMENT_CHARACTER, text);
    rest
}

/// The code unit of a `\uXXXX` at the front of `bytes`.
pub(super) fn code_unit(bytes: &[u8]) -> Option<u16> {
    let digits = bytes.strip_prefix(b"\\u")?.get(..4)?;
    digits.iter().try_fold(0, |unit: u16, &digit| {
        let value = char::from(digit).to_digit(16)?;
        Some(unit << 4 | u16::try_from(value).ok()?)
    })
}

/// Appends `text` as the inside of a JSON string.
pub fn write_escaped(text: &str, out: &mut Vec<u8>) {
    let special = |b: u8| b < 0x20 || b == b'"' || b == b'\\';
    let mut rest = text.as_bytes();
    // Mostly there is nothing to escape: a look at all bytes at once is done by vectors.
    if !rest.iter().fold(false, |found, &b| found | special(b)) {
        out.extend_from_slice(rest);
        return;
    }
    while let Some(at) = rest.iter().position(|&b| special(b)) {
        let (plain, special) = rest.split_at(at);
        out.extend_from_slice(plain);
        if let Some((&byte, after)) = special.split_first() {
            escape_byte(byte, out);
            rest = after;
        }
    }
    out.extend_from_slice(rest);
}

/// Appends the escape of a quote, a backslash or a control character.
pub(super) fn escape_byte(byte: u8, out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let short = match byte {
        b'\n' => b'n',
        b'\t' => b't',
        b'\r' => b'r',
        0x8 => b'b',
        0xc => b'f',
        b'"' | b'\\' => byte,
        _ => {
            let digit = |nibble: u8| HEX.get(usize::from(nibble & 15)).copied().unwrap_or(b'0');
            out.extend_from_slice(&[b'\\', b'u', b'0', b'0', digit(byte >> 4), digit(byte)]);
            return;
        }
    };
    out.extend_from_slice(&[b'\\', short]);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn unescapes_as_json_says() {
        for (escaped, expected) in [
            ("plain", "plain"),
            (r#"a\"b\\c\/d\n\t\r\b\f"#, "a\"b\\c/d\n\t\r\u{8}\u{c}"),
            (r"\u00e9\u20AC", "é€"),
            (r"\ud83d\ude00", "😀"),
            (r"\ud83dx", "\u{fffd}x"),
            (r"\ude00", "\u{fffd}"),
            (r"\ud83d\u0041", "\u{fffd}A"),
            (r"\u12", "\u{fffd}12"),
            (r"\q", "\u{fffd}"),
            (r"\", "\u{fffd}"),
        ] {
            assert_eq!(JsonStr::from_escaped(escaped.as_bytes()).unescape(), expected, "{escaped}");
        }
    }

    proptest! {
        #[test]
        fn escaping_is_what_serde_json_does_and_reverses(text in any::<String>()) {
            let mut buffer = Vec::new();
            let escaped = JsonStr::escape(&text, &mut buffer);
            let quoted = serde_json::to_string(&text).unwrap();
            prop_assert_eq!(std::str::from_utf8(escaped.escaped()).unwrap(), &quoted[1..quoted.len() - 1]);
            prop_assert_eq!(escaped.unescape(), text);
        }
    }
}
