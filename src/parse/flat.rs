//! JSON objects without nesting, read as they stand inside a JSON string.

use crate::json::scan;

/// A value of such an object.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Scalar<'a> {
    /// The text of a string.
    Text(&'a str),
    /// A number, `true`, `false` or `null`, as it stands there.
    Other(&'a str),
}

/// Gives out the members of the object that a line is, in their order.
///
/// The line is escaped: `{\"level\":\"INFO\",\"took\":12}`. Returns `None` when it
/// is no such object, also when it nests, holds an escape of its own or is
/// written in a way that few would choose, or when `each` doesn't like a member:
/// then nothing is known, and whoever wants to know unescapes the line and parses it.
pub(super) fn members<'a>(line: &'a str, mut each: impl FnMut(&'a str, Scalar<'a>) -> Option<()>) -> Option<()> {
    let mut rest = line.strip_prefix('{')?;
    loop {
        let (key, behind) = string(rest)?;
        let (value, behind) = scalar(blank(blank(behind).strip_prefix(':')?))?;
        each(key, value)?;
        rest = blank(behind);
        if let Some(end) = rest.strip_prefix('}') {
            return (end.is_empty() || end == "\\n").then_some(());
        }
        rest = blank(rest.strip_prefix(',')?);
    }
}

/// A string between its quotes, which are escaped, and what is behind it.
fn string(text: &str) -> Option<(&str, &str)> {
    let inside = text.strip_prefix("\\\"")?;
    let end = scan::backslash(inside.as_bytes())?;
    let (inside, behind) = inside.split_at_checked(end)?;
    Some((inside, behind.strip_prefix("\\\"")?))
}

fn scalar(text: &str) -> Option<(Scalar<'_>, &str)> {
    if text.starts_with('\\') {
        return string(text).map(|(text, behind)| (Scalar::Text(text), behind));
    }
    let end = text.bytes().position(|byte| matches!(byte, b',' | b'}' | b' '))?;
    let (word, behind) = text.split_at_checked(end)?;
    (matches!(word, "true" | "false" | "null") || is_number(word)).then_some((Scalar::Other(word), behind))
}

/// Without the blank that some put behind a colon or a comma.
fn blank(text: &str) -> &str {
    text.strip_prefix(' ').unwrap_or(text)
}

/// Whether it is a number of JSON: short, and without an exponent.
fn is_number(word: &str) -> bool {
    let digits = word.strip_prefix('-').unwrap_or(word);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let all = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    word.len() <= 20 && all(whole) && all(fraction) && (whole == "0" || !whole.starts_with('0'))
}
