//! Small pieces that several kinds of line are made of.

use memchr::memchr;

use crate::model::Level;

/// What a runtime writes before a line that goes through its logger.
///
/// ```text
/// 2023-11-14T22:13:20.123Z⇥8edab1f8-…⇥INFO⇥message      Node.js, .NET
/// [INFO]⇥2023-11-14T22:13:20.123Z⇥8edab1f8-…⇥message    Python
/// ```
///
/// The id is `undefined` (Node.js) or empty (Python) outside of an invocation.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Prefix<'a> {
    /// When the line was written: `2023-11-14T22:13:20.123Z`.
    pub timestamp: &'a str,
    /// The invocation that wrote it.
    pub request_id: Option<&'a str>,
    /// The level, as the runtime spells it.
    pub level: &'a str,
    /// How long the prefix is, in bytes.
    pub len: usize,
}

impl<'a> Prefix<'a> {
    /// Reads the prefix of a line.
    pub fn parse(line: &'a str) -> Option<Self> {
        Self::find(line.as_bytes(), b"\t")
    }

    /// Reads the prefix of a line that is still escaped as the inside of a JSON string.
    pub fn parse_escaped(line: &'a [u8]) -> Option<Self> {
        Self::find(line, b"\\t")
    }

    fn find(line: &'a [u8], tab: &[u8]) -> Option<Self> {
        match line.first()? {
            b'0'..=b'9' => Self::time_first(line, tab),
            b'[' => Self::level_first(line, tab),
            _ => None,
        }
    }

    fn time_first(line: &'a [u8], tab: &[u8]) -> Option<Self> {
        let (timestamp, rest) = timestamp(line)?;
        let (id, rest) = until(rest.strip_prefix(tab)?, tab, 64)?;
        let (level, rest) = until(rest, tab, 11)?;
        Self::new(timestamp, id, level, line.len() - rest.len())
    }

    fn level_first(line: &'a [u8], tab: &[u8]) -> Option<Self> {
        let (level, rest) = until(line.get(1..)?, b"]", 11)?;
        let (timestamp, rest) = timestamp(rest.strip_prefix(tab)?)?;
        let (id, rest) = until(rest.strip_prefix(tab)?, tab, 64)?;
        Self::new(timestamp, id, level, line.len() - rest.len())
    }

    fn new(timestamp: &'a str, id: &'a [u8], level: &'a [u8], len: usize) -> Option<Self> {
        let level = std::str::from_utf8(level).ok()?;
        Level::parse(level)?;
        let request_id = match id {
            b"" | b"undefined" => None,
            id => Some(request_id(id)?),
        };
        Some(Self { timestamp, request_id, level, len })
    }
}

/// What is before `end`, at most `max` bytes, and what is behind it.
fn until<'a>(bytes: &'a [u8], end: &[u8], max: usize) -> Option<(&'a [u8], &'a [u8])> {
    let len = memchr(*end.first()?, bytes.get(..max + 1).unwrap_or(bytes))?;
    Some((bytes.get(..len)?, bytes.get(len..)?.strip_prefix(end)?))
}

/// Takes `2023-11-14T22:13:20.123Z` off the front.
fn timestamp(bytes: &[u8]) -> Option<(&str, &[u8])> {
    const FORM: &[u8; 24] = b"0000-00-00T00:00:00.000Z";
    let (stamp, rest) = bytes.split_first_chunk::<24>()?;
    let separators = |at: usize| stamp.get(at) == FORM.get(at);
    let digits = stamp.iter().map(|b| u32::from(b.is_ascii_digit())).sum::<u32>();
    let fits = digits == 17 && [4, 7, 10, 13, 16, 19, 23].into_iter().all(separators);
    if fits { Some((std::str::from_utf8(stamp).ok()?, rest)) } else { None }
}

/// A request id: a UUID, or another short word (Web Functions use base32).
pub(super) fn request_id(bytes: &[u8]) -> Option<&str> {
    let legal = bytes.iter().fold(true, |legal, b| legal & (b.is_ascii_alphanumeric() || *b == b'-'));
    let fits = legal && (1..=64).contains(&bytes.len());
    if fits { std::str::from_utf8(bytes).ok() } else { None }
}

/// Takes a word off the front: what precedes the next blank, TAB or newline.
pub(super) fn word(text: &str) -> (&str, &str) {
    let end = text.bytes().position(|b| b.is_ascii_whitespace()).unwrap_or(text.len());
    text.split_at(end)
}

/// A number as Lambda writes it: digits, perhaps a point and more digits.
///
/// Not `f64::from_str`, which takes signs, exponents and `inf`. No duration in
/// ms and no memory in MB is as large as 10¹⁵.
pub(super) fn number(text: &str) -> Option<f64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    let value: f64 = if digits(whole) && digits(fraction) { text.parse().ok()? } else { return None };
    (value < 1e15).then_some(value)
}

/// An error type: words joined by points, as `Runtime.OutOfMemory`.
pub(super) fn error_type(text: &str) -> Option<&str> {
    let fits = text.split('.').all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphabetic()));
    fits.then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_prefixes_of_the_runtimes() {
        let stamp = "2023-11-14T22:13:20.123Z";
        for (line, expected) in [
            ("2023-11-14T22:13:20.123Z\tabc-1\tINFO\thi", Some((Some("abc-1"), "INFO", "hi"))),
            ("2023-11-14T22:13:20.123Z\tundefined\tERROR\thi", Some((None, "ERROR", "hi"))),
            ("2023-11-14T22:13:20.123Z\tabc-1\tfail\t", Some((Some("abc-1"), "fail", ""))),
            ("[WARNING]\t2023-11-14T22:13:20.123Z\t\thi", Some((None, "WARNING", "hi"))),
            ("[DEBUG]\t2023-11-14T22:13:20.123Z\tabc-1\ta\tb", Some((Some("abc-1"), "DEBUG", "a\tb"))),
            ("2023-11-14T22:13:20.123Z\tabc-1\tLOUD\thi", None),
            ("2023-11-14T22:13:20.123Z\ta b\tINFO\thi", None),
            ("2023-11-14 22:13:20.123Z\tabc-1\tINFO\thi", None),
            ("2023-11-14T22:13:20.123Z abc-1 INFO hi", None),
            ("[ERROR] KeyError: 'x'", None),
            ("", None),
        ] {
            let found = Prefix::parse(line);
            let shape = found.map(|prefix| (prefix.request_id, prefix.level, &line[prefix.len..]));
            assert_eq!(shape, expected, "{line}");
            assert!(found.is_none_or(|prefix| prefix.timestamp == stamp));
            let escaped = line.replace('\t', "\\t");
            let len = Prefix::parse_escaped(escaped.as_bytes()).map(|prefix| &escaped[prefix.len..]);
            assert_eq!(len, expected.map(|(_, _, rest)| rest.replace('\t', "\\t")).as_deref(), "{escaped}");
        }
    }

    #[test]
    fn numbers_are_plain() {
        for (text, expected) in [
            ("46.84", Some(46.84)),
            ("0", Some(0.0)),
            ("1.", None),
            (".5", None),
            ("-1", None),
            ("1e3", None),
            ("NaN", None),
            ("inf", None),
            ("", None),
            ("١٢", None),
            ("1.2.3", None),
        ] {
            assert_eq!(number(text), expected, "{text}");
        }
        assert_eq!(number(&"9".repeat(400)), None);
    }
}
