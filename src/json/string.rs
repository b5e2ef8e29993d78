use std::borrow::Cow;

use memchr::memchr;

use super::scan;

/// The inside of a JSON string, still escaped, without its quotes.
///
/// A log message arrives inside JSON and mostly leaves inside JSON, so it is
/// copied as it stands; [`unescape`](Self::unescape) is for whoever needs the
/// text. It is always valid UTF-8, holds no bare control character, no bare
/// quote, only the escapes of RFC 8259, and no lone surrogate: the event layer
/// sees to that.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct JsonStr<'a>(&'a str);

impl<'a> JsonStr<'a> {
    /// Takes the inside of a string that a scanner has checked.
    pub const fn from_escaped(escaped: &'a str) -> Self {
        Self(escaped)
    }

    /// Escapes `text` into `buffer` and borrows it from there.
    pub fn escape(text: &str, buffer: &'a mut Vec<u8>) -> Self {
        buffer.clear();
        write_escaped(text, buffer);
        Self(std::str::from_utf8(buffer).unwrap_or_default())
    }

    /// As it stands in JSON.
    pub const fn escaped(self) -> &'a str {
        self.0
    }

    /// The text that the string stands for.
    pub fn unescape(self) -> Cow<'a, str> {
        if memchr(b'\\', self.0.as_bytes()).is_none() {
            return Cow::Borrowed(self.0);
        }
        let mut text = String::new();
        self.unescape_into(&mut text);
        Cow::Owned(text)
    }

    /// Appends the text that the string stands for.
    pub fn unescape_into(self, text: &mut String) {
        let mut bytes = std::mem::take(text).into_bytes();
        bytes.reserve(self.0.len() + NEAR);
        let mut rest = self.0.as_bytes();
        while let Some((plain, escape)) = scan::backslash(rest).and_then(|at| rest.split_at_checked(at)) {
            let end = bytes.len() + plain.len();
            match rest.first_chunk::<NEAR>() {
                // More than is wanted, but without a call.
                Some(near) if plain.len() < NEAR => bytes.extend_from_slice(near),
                _ => bytes.extend_from_slice(plain),
            }
            bytes.truncate(end);
            rest = unescape_one(escape, &mut bytes);
        }
        bytes.extend_from_slice(rest);
        *text = String::from_utf8(bytes).unwrap_or_default();
    }
}

/// In JSON inside of JSON the next escape is mostly among so many bytes.
const NEAR: usize = 16;

/// Takes one escape off the front of `rest`; what can't be an escape becomes U+FFFD.
fn unescape_one<'a>(rest: &'a [u8], text: &mut Vec<u8>) -> &'a [u8] {
    let byte = match rest.get(1) {
        Some(&byte @ (b'"' | b'\\' | b'/')) => byte,
        Some(b'n') => b'\n',
        Some(b't') => b'\t',
        Some(b'r') => b'\r',
        Some(b'b') => 0x8,
        Some(b'f') => 0xc,
        other => {
            let (c, len) = match other {
                Some(b'u') => unescape_unicode(rest),
                Some(next) if next.is_ascii() => (char::REPLACEMENT_CHARACTER, 2),
                _ => (char::REPLACEMENT_CHARACTER, 1),
            };
            text.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            return rest.get(len..).unwrap_or_default();
        }
    };
    text.push(byte);
    rest.get(2..).unwrap_or_default()
}

/// The character of a `\uXXXX`, perhaps of two, and how long that is.
fn unescape_unicode(bytes: &[u8]) -> (char, usize) {
    let Some(first) = code_unit(bytes) else { return (char::REPLACEMENT_CHARACTER, 2) };
    if let Some(c) = char::from_u32(u32::from(first)) {
        return (c, 6);
    }
    let second = bytes.get(6..).and_then(code_unit);
    match second.map(|second| char::decode_utf16([first, second]).next()) {
        Some(Some(Ok(c))) => (c, 12),
        _ => (char::REPLACEMENT_CHARACTER, 6),
    }
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
            assert_eq!(JsonStr::from_escaped(escaped).unescape(), expected, "{escaped}");
        }
    }

    proptest! {
        #[test]
        fn escaping_is_what_serde_json_does_and_reverses(text in any::<String>()) {
            let mut buffer = Vec::new();
            let escaped = JsonStr::escape(&text, &mut buffer);
            let quoted = serde_json::to_string(&text).unwrap();
            prop_assert_eq!(escaped.escaped(), &quoted[1..quoted.len() - 1]);
            prop_assert_eq!(escaped.unescape(), text);
        }

        #[test]
        fn escapes_are_found_wherever_they_are(
            before in "[aé]{0,3}",
            pieces in proptest::collection::vec(("[ -~é😀]{0,40}", prop_oneof!["[\"\\\\\n\t\r]{1,3}", "[\u{0}-\u{1f}]"]), 0..9),
        ) {
            let text: String = pieces.into_iter().flat_map(|(plain, special)| [plain, special]).collect();
            let mut buffer = Vec::new();
            let mut unescaped = before.clone();
            JsonStr::escape(&text, &mut buffer).unescape_into(&mut unescaped);
            prop_assert_eq!(unescaped, before + &text);
        }
    }
}
