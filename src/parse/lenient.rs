//! Reading JSON whose values may be of any type: what doesn't fit is absent.
//!
//! A line is seen to be JSON once. Then each value is read by itself, so that one
//! which can't be (`1e999`, half a surrogate pair) drops its field alone; and of a
//! key that repeats the first value that can be read holds, as in text.

use std::borrow::Cow;
use std::ops::Range;

use memchr::memchr;
use serde_json::value::RawValue;

use super::fields;
use crate::json::scan;

/// A line that is a JSON object: seen to be one, once for all who read it.
#[derive(Clone, Copy, Debug)]
pub struct Object<'a>(&'a str);

impl<'a> Object<'a> {
    /// Takes a line that is a JSON object; blanks may be behind it.
    pub fn parse(line: &'a str) -> Option<Self> {
        if !line.starts_with('{') {
            return None;
        }
        let json: &RawValue = serde_json::from_str(line).ok()?;
        Some(Self(json.get()))
    }

    /// Its JSON.
    pub(super) const fn json(self) -> &'a str {
        self.0
    }

    /// Its members: keys, and the JSON of their values.
    pub(super) fn members(self) -> impl Iterator<Item = (Cow<'a, str>, &'a str)> {
        members(self.0).into_iter().flatten()
    }
}

/// The members of a value of such a line that is an object.
pub(super) fn members(json: &str) -> Option<impl Iterator<Item = (Cow<'_, str>, &str)>> {
    let member = |(key, value): (Range<usize>, Range<usize>)| {
        let quoted = json.get(key.start - 1..key.end + 1)?;
        Some((string(quoted)?, json.get(value)?))
    };
    json.starts_with('{').then(|| scan::members(json.as_bytes()).filter_map(member))
}

/// The elements of a value of such a line that is a list.
pub(super) fn elements(json: &str) -> Option<impl Iterator<Item = &str>> {
    json.starts_with('[').then(|| scan::elements(json.as_bytes()).filter_map(|element| json.get(element)))
}

/// A string, borrowed when it has no escapes.
pub(super) fn string(json: &str) -> Option<Cow<'_, str>> {
    let inside = json.strip_prefix('"')?.strip_suffix('"')?;
    if memchr(b'\\', inside.as_bytes()).is_none() {
        return Some(Cow::Borrowed(inside));
    }
    serde_json::from_str(json).ok().map(Cow::Owned)
}

/// A number that is finite.
pub(super) fn number(json: &str) -> Option<f64> {
    fields::number(json).or_else(|| json.parse().ok()).filter(|number| number.is_finite())
}

/// A number that something measured can be: not negative, and less than 10¹⁵.
pub(super) fn measure(json: &str) -> Option<f64> {
    number(json).filter(|number| (0.0..1e15).contains(number))
}
