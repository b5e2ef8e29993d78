//! Small pieces that several kinds of line are made of.

use std::ops::Range;

use memchr::memchr;
use wide::u8x16;

use crate::json::{digits, scan};
use crate::model::{Level, has_form};

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
    /// When the line was written, as the runtime has it: `2023-11-14T22:13:20.123Z`.
    pub timestamp: &'a str,
    /// The invocation that wrote it.
    pub request_id: Option<&'a str>,
    /// The level, as the runtime spells it; empty before a document that stands behind none.
    pub level: &'a str,
    /// What that level means.
    pub severity: Option<Level>,
    /// How long the prefix is, in bytes.
    pub len: usize,
}

impl<'a> Prefix<'a> {
    /// Reads the prefix of a line.
    pub fn parse(line: &'a str) -> Option<Self> {
        Self::find(line, |text| text.strip_prefix('\t'))
    }

    /// Reads the prefix of a line that is still escaped as the inside of a JSON string.
    #[expect(clippy::inline_always, reason = "as a call it leaves a copy behind, and what reads that waits for it")]
    #[inline(always)]
    pub fn parse_escaped(line: &'a str) -> Option<Self> {
        Self::usual(line).or_else(|| Self::any_escaped(line))
    }

    #[inline(never)]
    fn any_escaped(line: &'a str) -> Option<Self> {
        Self::find(line, |text| text.strip_prefix("\\t"))
    }

    /// The same of Node.js and .NET, where everything in it is as long as it mostly is.
    #[inline(always)]
    fn usual(line: &'a str) -> Option<Self> {
        const FORM: &[u8; 64] = b"0000-00-00T00:00:00.000Z\\t????????????????????????????????????\\t";
        const TIMESTAMP: Range<usize> = 0..24;
        const ID: Range<usize> = 26..62;
        const LEVELS: [(&str, Level); 4] = [
            ("INFO\\t", Level::Info),
            ("ERROR\\t", Level::Error),
            ("WARN\\t", Level::Warn),
            ("DEBUG\\t", Level::Debug),
        ];

        let head = line.as_bytes().first_chunk()?;
        if !digits::fit(head, FORM) || !of_uuid(head.get(ID)?.first_chunk()?) {
            return None;
        }
        let behind = line.get(FORM.len()..)?;
        let (level, severity) = LEVELS.into_iter().find(|(level, _)| behind.starts_with(level))?;
        Some(Self {
            timestamp: line.get(TIMESTAMP)?,
            request_id: line.get(ID),
            level: level.strip_suffix("\\t")?,
            severity: Some(severity),
            len: FORM.len() + level.len(),
        })
    }

    /// Reads a time and a request id before a document in embedded metric format, where
    /// no level need be: `2023-11-14T22:13:20.123Z⇥8edab1f8-…⇥{`, or with blanks for the TABs.
    pub fn before_document(line: &'a str) -> Option<Self> {
        Self::without_level(line, |text| text.strip_prefix(['\t', ' ']))
    }

    /// The same of a line that is still escaped as the inside of a JSON string.
    pub fn before_document_escaped(line: &'a str) -> Option<Self> {
        Self::without_level(line, |text| text.strip_prefix("\\t").or_else(|| text.strip_prefix(' ')))
    }

    /// `gap` takes what stands between them off the front.
    fn without_level(line: &'a str, gap: impl Fn(&'a str) -> Option<&'a str>) -> Option<Self> {
        let (timestamp, rest) = timestamp(line)?;
        let (id, rest) = until(gap(rest)?, 64, &gap)?;
        let len = line.len() - rest.len();
        rest.starts_with('{').then_some(Self { timestamp, request_id: invocation(id)?, level: "", severity: None, len })
    }

    /// `tab` takes a TAB off the front.
    #[inline]
    fn find(line: &'a str, tab: impl Fn(&'a str) -> Option<&'a str>) -> Option<Self> {
        let (timestamp, id, level, rest) = match line.as_bytes().first()? {
            b'0'..=b'9' => {
                let (timestamp, rest) = timestamp(line)?;
                let (id, rest) = until(tab(rest)?, 64, &tab)?;
                let (level, rest) = until(rest, 11, &tab)?;
                (timestamp, id, level, rest)
            }
            b'[' => {
                let (level, rest) = split(line.get(1..)?, b']').filter(|(level, _)| level.len() <= 11)?;
                let (timestamp, rest) = timestamp(tab(rest)?)?;
                let (id, rest) = until(tab(rest)?, 64, &tab)?;
                (timestamp, id, level, rest)
            }
            _ => return None,
        };
        Self::new(timestamp, id, level, line.len() - rest.len())
    }

    #[inline]
    fn new(timestamp: &'a str, id: &'a str, level: &'a str, len: usize) -> Option<Self> {
        let severity = Some(Level::parse(level)?);
        Some(Self { timestamp, request_id: invocation(id)?, level, severity, len })
    }
}

/// What stands where the request id does: `Some(None)` outside of an invocation.
#[expect(clippy::option_option, reason = "no id isn't a bad one")]
#[inline]
fn invocation(id: &str) -> Option<Option<&str>> {
    if matches!(id, "" | "undefined") { Some(None) } else { request_id(id).map(Some) }
}

/// What is before a TAB, or another gap, at most `max` bytes, and what is behind it.
#[inline]
fn until<'a>(text: &'a str, max: usize, tab: impl Fn(&'a str) -> Option<&'a str>) -> Option<(&'a str, &'a str)> {
    // Mostly it is a UUID: then there is nothing to look for.
    if let Some((id, rest)) = text.split_at_checked(36)
        && max >= 36
        && let (Some(rest), Some(id)) = (tab(rest), request_id(id))
    {
        return Some((id, rest));
    }
    let len = text.bytes().take(max + 1).position(|byte| matches!(byte, b'\t' | b'\\' | b' '))?;
    let (before, rest) = text.split_at_checked(len)?;
    Some((before, tab(rest)?))
}

/// What is before the first such byte, which is ASCII, and what is behind it. In a
/// short text a plain look takes less than the search of `str::split_once`.
fn split(text: &str, at: u8) -> Option<(&str, &str)> {
    let place = text.bytes().position(|byte| byte == at)?;
    Some((text.get(..place)?, text.get(place + 1..)?))
}

/// Pieces of a text between bytes of one kind, which are ASCII. Where the first of these are is found at once.
pub(super) struct Pieces<'a> {
    text: &'a str,
    separator: u8,
    /// Those among the first sixty-four bytes that are still to come.
    places: u64,
    /// Where the next piece begins.
    at: usize,
}

impl<'a> Pieces<'a> {
    #[inline]
    pub(super) fn new(text: &'a str, separator: u8) -> Self {
        Self { text, separator, places: scan::places(text.as_bytes(), separator), at: 0 }
    }

    /// The piece before the next separator, if there is one.
    #[inline]
    pub(super) fn next(&mut self) -> Option<&'a str> {
        let end = if self.places == 0 {
            let from = self.at.max(scan::PLACES);
            memchr(self.separator, self.text.as_bytes().get(from..)?)? + from
        } else {
            self.places.trailing_zeros() as usize
        };
        self.places &= self.places.wrapping_sub(1);
        let piece = self.text.get(self.at..end);
        self.at = end + 1;
        piece
    }

    /// What is behind the pieces that were taken.
    #[inline]
    pub(super) fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }
}

/// Takes `2023-11-14T22:13:20.123Z` off the front. Python leaves zeros out that stand before
/// the milliseconds: of 45 ms it makes `2023-11-14T22:13:20.45Z`.
#[inline]
fn timestamp(text: &str) -> Option<(&str, &str)> {
    const FORM: [[u8; 8]; 3] = [*b"0000-00-", *b"00T00:00", *b":00.000Z"];
    let whole = text.split_at_checked(24).filter(|(stamp, _)| {
        let (eights, _) = stamp.as_bytes().as_chunks();
        eights.iter().zip(FORM).fold(0, |others, (eight, form)| others | unlike(*eight, form)) == 0
    });
    whole
        .or_else(|| shorter_stamp(text, b"0000-00-00T00:00:00.00Z"))
        .or_else(|| shorter_stamp(text, b"0000-00-00T00:00:00.0Z"))
}

#[cold]
fn shorter_stamp<'a>(text: &'a str, form: &[u8]) -> Option<(&'a str, &'a str)> {
    text.split_at_checked(form.len()).filter(|(stamp, _)| has_form(stamp.as_bytes(), form))
}

/// Which bytes aren't those of a form, where `0` stands for any digit: their top bits.
#[inline]
fn unlike(bytes: [u8; 8], form: [u8; 8]) -> u64 {
    const EACH: u64 = 0x0101_0101_0101_0101;
    // Of a byte that fits is left 0, or where the form has a digit 0 to 9.
    let left = u64::from_le_bytes(bytes) ^ u64::from_le_bytes(form);
    let to_top = u64::from_le_bytes(form.map(|form| if form == b'0' { 0x7f - 9 } else { 0x7f }));
    (((left & (0x7f * EACH)) + to_top) | left) & (0x80 * EACH)
}

/// A request id: a UUID, or another short word (Web Functions use base32).
#[inline]
pub(super) fn request_id(text: &str) -> Option<&str> {
    let legal = match text.as_bytes().as_array() {
        Some(uuid) => of_uuid(uuid),
        None => of_id(text),
    };
    legal.then_some(text)
}

/// Whether so many bytes as a UUID has may stand in one: sixteen at a time, the last of them for the second time.
#[inline]
fn of_uuid(bytes: &[u8; 36]) -> bool {
    let (first, second, last) =
        (bytes.first_chunk(), bytes.get(16..).and_then(<[u8]>::first_chunk), bytes.last_chunk());
    let legal = |bytes: Option<&[u8; 16]>| {
        let byte = u8x16::new(*bytes.unwrap_or(&[0; 16]));
        let (letter, digit) = ((byte | u8x16::splat(0x20)) - u8x16::splat(b'a'), byte - u8x16::splat(b'0'));
        letter.min(u8x16::splat(25)).simd_eq(letter)
            | digit.min(u8x16::splat(9)).simd_eq(digit)
            | byte.simd_eq(u8x16::splat(b'-'))
    };
    (legal(first) & legal(second) & legal(last)).all()
}

/// Whether a text may be an id that is no UUID.
#[inline(never)]
fn of_id(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

/// Takes a request id off the front of a line, up to the next blank, TAB or newline.
pub(super) fn request_word(text: &str) -> Option<(&str, &str)> {
    if let Some((id, rest)) = text.split_at_checked(36)
        && rest.as_bytes().first().is_none_or(u8::is_ascii_whitespace)
        && let Some(id) = request_id(id)
    {
        return Some((id, rest));
    }
    let (id, rest) = word(text);
    Some((request_id(id)?, rest))
}

/// Takes a word off the front: what precedes the next blank, TAB or newline.
pub(super) fn word(text: &str) -> (&str, &str) {
    let end = text.bytes().position(|b| b.is_ascii_whitespace()).unwrap_or(text.len());
    text.split_at(end)
}

/// A text without the white space around it. Mostly there is none, which its ends tell.
pub(super) fn trimmed(text: &str) -> &str {
    let graphic = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_graphic);
    if graphic(text.as_bytes().first()) && graphic(text.as_bytes().last()) { text } else { text.trim() }
}

/// A number as Lambda writes it: digits, perhaps a point and more digits.
///
/// Not `f64::from_str`, which takes signs, exponents and `inf`. No duration in
/// ms and no memory in MB is as large as 10¹⁵.
pub(super) fn number(text: &str) -> Option<f64> {
    let short = short_number(text).filter(|(_, rest)| rest.is_empty());
    short.map(|(value, _)| value).or_else(|| long_number(text))
}

/// Takes a number of at most seven digits, and seven behind the point, off the front: both they and the power of ten
/// that divides them are exact in an `f64`, so the quotient is the nearest one there is.
#[inline]
pub(super) fn short_number(text: &str) -> Option<(f64, &str)> {
    const POWERS: [f64; 8] = [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7];
    let (whole, len) = digits::up_to_eight(text.as_bytes());
    let (fraction, decimals) = match text.as_bytes().get(len..)? {
        [b'.', behind @ ..] => digits::up_to_eight(behind),
        _ => (0, 0),
    };
    let end = if decimals > 0 { len + 1 + decimals } else { len };
    if len == 0 || len == 8 || text.as_bytes().get(end) == Some(&b'.') {
        return None;
    }
    let power = POWERS.get(decimals)?;
    #[expect(clippy::cast_precision_loss, reason = "below 10¹⁴")]
    let value = (whole as f64 * power + fraction as f64) / power;
    Some((value, text.get(end..)?))
}

fn long_number(text: &str) -> Option<f64> {
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

/// Puts a value where none is yet. Returns whether there was one to put.
pub(super) fn fill<T>(slot: &mut Option<T>, value: Option<T>) -> bool {
    let read = value.is_some();
    if slot.is_none() {
        *slot = value;
    }
    read
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_id_is_letters_digits_and_dashes() {
        for len in 0..70 {
            let id = "8edab1f8-7f00-4d1c-9ec9-2a0e0c5b8a11-ABYZaz09".repeat(2);
            let id = &id[..len];
            assert_eq!(request_id(id), (1..=64).contains(&len).then_some(id));
            for at in 0..len {
                for byte in 0..=0x7f_u8 {
                    let changed = format!("{}{}{}", &id[..at], char::from(byte), &id[at + 1..]);
                    let legal = len <= 64 && (byte.is_ascii_alphanumeric() || byte == b'-');
                    assert_eq!(request_id(&changed).is_some(), legal, "{changed:?}");
                }
            }
        }
        assert_eq!(request_id("8edab1f8-7f00-4d1c-9ec9-2a0e0c5b8aé"), None);
    }

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
            let len = Prefix::parse_escaped(&escaped).map(|prefix| &escaped[prefix.len..]);
            assert_eq!(len, expected.map(|(_, _, rest)| rest.replace('\t', "\\t")).as_deref(), "{escaped}");
        }
    }

    #[test]
    fn python_leaves_zeros_before_milliseconds_out() {
        for (stamp, read) in [
            ("2023-11-14T22:13:20.7Z", true),
            ("2023-11-14T22:13:20.45Z", true),
            ("2023-11-14T22:13:20.Z", false),
            ("2023-11-14T22:13:20Z", false),
            ("2023-11-14T22:13:20.1234Z", false),
            ("2023-11-14T22:13:2.45Z", false),
        ] {
            let line = format!("[INFO]\t{stamp}\tabc-1\thi");
            let found = Prefix::parse(&line).map(|prefix| (prefix.timestamp, prefix.request_id, &line[prefix.len..]));
            assert_eq!(found, read.then_some((stamp, Some("abc-1"), "hi")), "{line}");
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
        // The second comes to more than an integer holds with its last digit only.
        for long in ["9".repeat(400), "18446744073709551619".to_owned()] {
            assert_eq!(number(&long), None, "{long}");
        }
        for text in [
            "0.1",
            "46.84",
            "1233.963",
            "999999999999999",
            "0.00000000000001",
            "12345678901234.5",
            "1.0000000000000000001",
        ] {
            assert_eq!(number(text), text.parse().ok(), "{text}");
        }
    }
}
