//! Custom metrics that a function prints as lines.
//!
//! ```text
//! MONITORING|1700000000|42|count|my.metric.name|#tag1:value,tag2
//! ```
//!
//! Sections are: time stamp, value, type (`count`, `gauge`, `histogram`,
//! `check`), name, and tags, which may be missing. What emitters in use make of
//! it is read too: stamps with decimals, in milliseconds, microseconds or
//! nanoseconds; tags without `#`, with blanks, with `=`; an empty tag section;
//! several records in one event without a newline between them.
//!
//! Source: Datadog's integration "AWS Lambda", section on custom metrics
//! printed to CloudWatch Logs.

use std::borrow::Cow;

use memchr::memchr_iter;

use super::fields::{Pieces, number, trimmed};
use crate::json::digits;
use crate::json::pairs::Pairs;
use crate::model::{CheckStatus, Timestamp, Value};

const MARKER: &str = "MONITORING|";

/// Longest name of a metric, in bytes.
const MAX_NAME: usize = 200;

/// How far a stamp may be from its log event before the event's time holds, in milliseconds: a day.
const MAX_DISTANCE: u64 = 86_400_000;

/// One metric, as a line has it.
#[derive(Clone, Debug, PartialEq)]
pub struct Monitoring<'a> {
    /// Name by Datadog's rules: from the first letter on, other characters than
    /// letters, digits, `_` and `.` replaced by `_`.
    pub name: Cow<'a, str>,
    /// How much.
    pub value: Value,
    /// When.
    pub time: Timestamp,
    /// Whether `time` is the line's own: otherwise it is the log event's.
    pub own_time: bool,
    /// The tag section, without `#` at its start.
    tags: Cow<'a, str>,
}

/// Custom metrics, and who wrote them.
#[derive(Clone, Debug, PartialEq)]
pub struct MonitoringLine<'a> {
    /// Invocation, where the runtime says it before the metric.
    pub request_id: Option<Cow<'a, str>>,
    /// The first metric, which mostly is the only one.
    pub first: Monitoring<'a>,
    /// Metrics that follow it without a newline.
    pub more: Vec<Monitoring<'a>>,
}

impl<'a> MonitoringLine<'a> {
    /// Reads the records of a line that begins with `MONITORING|`.
    ///
    /// Returns nothing when it isn't one, or when a record can't be read: the
    /// line then stays a log. `written` is the time of the log event, if it is known.
    #[inline]
    pub fn parse(line: &'a str, written: Option<Timestamp>) -> Option<Self> {
        if !line.starts_with(MARKER) {
            return None;
        }
        let rest = trimmed(line);
        // Mostly there is one record, and nothing to look for behind it.
        if !may_hold_marker(rest.get(MARKER.len()..)?) {
            return Some(Self { request_id: None, first: Monitoring::one(rest, written)?, more: Vec::new() });
        }
        let mut records = Records { rest, bars: bars(rest), written };
        let first = records.next()??;
        let more = records.collect::<Option<_>>()?;
        Some(Self { request_id: None, first, more })
    }

    /// The metrics: at least one.
    pub fn metrics(&self) -> impl Iterator<Item = &Monitoring<'a>> {
        std::iter::once(&self.first).chain(&self.more)
    }

    /// The same, borrowing nothing.
    pub fn into_owned(self) -> MonitoringLine<'static> {
        MonitoringLine {
            request_id: self.request_id.map(|id| Cow::Owned(id.into_owned())),
            first: self.first.into_owned(),
            more: self.more.into_iter().map(Monitoring::into_owned).collect(),
        }
    }
}

impl<'a> Monitoring<'a> {
    /// The tags, as the line has them.
    pub fn tags(&self) -> impl Iterator<Item = &str> {
        let mut pieces = Some(Pieces::new(&self.tags, b','));
        let tags =
            std::iter::from_fn(move || pieces.as_mut()?.next().or_else(|| pieces.take().map(|pieces| pieces.rest())));
        tags.map(bare).filter(|tag| !tag.is_empty())
    }

    fn into_owned(self) -> Monitoring<'static> {
        Monitoring {
            name: Cow::Owned(self.name.into_owned()),
            tags: Cow::Owned(self.tags.into_owned()),
            value: self.value,
            time: self.time,
            own_time: self.own_time,
        }
    }

    #[inline]
    fn one(record: &'a str, written: Option<Timestamp>) -> Option<Self> {
        if record.bytes().fold(false, |found, b| found | b.is_ascii_control()) {
            return None;
        }
        let record = record.strip_prefix(MARKER)?;
        let mut sections = Pieces::new(record, b'|');
        let stamp = stamp(record, sections.next()?);
        let number = decimal(trimmed(sections.next()?))?;
        let kind = sections.next()?;
        let (name, tags) = sections.next().map_or_else(|| (sections.rest(), ""), |name| (name, sections.rest()));
        let value = match trimmed(kind) {
            "count" => Value::Count(number),
            "gauge" => Value::Gauge(number),
            "histogram" => Value::Histogram(number),
            "check" => Value::Check(CheckStatus::from_number(number)?),
            _ => return None,
        };
        let name = metric_name(name)?;
        let own = stamp.filter(|time| is_near(*time, written));
        Some(Self {
            name,
            value,
            time: own.or(written).unwrap_or_default(),
            own_time: own.is_some(),
            tags: Cow::Borrowed(tags),
        })
    }
}

/// The records of a line, each `None` if it can't be read.
#[derive(Clone, Debug)]
struct Records<'a> {
    rest: &'a str,
    /// How many bars the rest has.
    bars: usize,
    written: Option<Timestamp>,
}

/// Bars of two records without tags: in a line with fewer there is but one record.
const BARS_OF_TWO: usize = 8;

impl<'a> Iterator for Records<'a> {
    type Item = Option<Monitoring<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let Some((record, len)) = self.followed() else {
            return Some(Monitoring::one(std::mem::take(&mut self.rest), self.written));
        };
        let (read, rest) = self.rest.split_at(len);
        self.bars -= bars(read);
        self.rest = rest;
        Some(Some(record))
    }
}

impl<'a> Records<'a> {
    /// The first record, if another follows it, and where that begins.
    ///
    /// Every byte is looked at a few times, whatever is written: a marker before which
    /// no record can be read mostly means that there is none before a later one either.
    /// But for the marker that stands where the name should be: that may be the name.
    fn followed(&self) -> Option<(Monitoring<'a>, usize)> {
        if self.bars < BARS_OF_TWO {
            return None;
        }
        let markers = self.rest.match_indices(MARKER).skip(1).map(|(at, _)| self.rest.split_at(at));
        let records = markers.filter(|(_, tail)| Monitoring::one(first_of(tail), self.written).is_some());
        let mut first = records.take(2);
        first.find_map(|(record, _)| Some((Monitoring::one(record.trim_end(), self.written)?, record.len())))
    }
}

/// A tag without what some write before it, as if the section began again.
fn bare(tag: &str) -> &str {
    let tag = trimmed(tag);
    if tag.starts_with('#') { trimmed(tag.trim_start_matches('#')) } else { tag }
}

/// The last two letters of a marker, which mostly tell.
static ENDING: Pairs = Pairs::new(&[(b"G", b"|")]);

/// Whether a marker may stand in a text.
fn may_hold_marker(text: &str) -> bool {
    ENDING.among(text.as_bytes()) != 0
}

fn bars(text: &str) -> usize {
    memchr_iter(b'|', text.as_bytes()).count()
}

/// What precedes the next marker.
fn first_of(records: &str) -> &str {
    let behind = records.get(MARKER.len()..).unwrap_or_default();
    let end = behind.find(MARKER).map_or(records.len(), |at| at + MARKER.len());
    records.get(..end).unwrap_or(records).trim_end()
}

/// Reads a finite number in decimal or with an exponent.
pub(super) fn decimal(text: &str) -> Option<f64> {
    if let Some(number) = number(text) {
        return Some(number);
    }
    let plain = text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'+' | b'-' | b'.' | b'e' | b'E'));
    let value: f64 = if plain { text.parse().ok()? } else { return None };
    value.is_finite().then_some(value)
}

/// The stamp at the front of a record, if it can be read.
fn stamp(record: &str, stamp: &str) -> Option<Timestamp> {
    // Mostly it is a whole number, which is read where it stands.
    match digits::number(record.as_bytes()) {
        Some((whole, len)) if len == stamp.len() => whole_stamp(whole),
        _ => stamped(trimmed(stamp)),
    }
}

/// Whether a stamp is near enough to the time of its log event to be believed.
pub(super) fn is_near(stamp: Timestamp, written: Option<Timestamp>) -> bool {
    written.is_none_or(|written| stamp.distance(written) <= MAX_DISTANCE)
}

/// Reads a stamp in the unit that its size tells.
pub(super) fn stamped(text: &str) -> Option<Timestamp> {
    if let Ok(whole) = text.parse() {
        return whole_stamp(whole);
    }
    let number = decimal(text)?;
    let scale = [(1e17, 1e6), (1e14, 1e3), (1e11, 1.0)];
    let divisor = scale.into_iter().find(|(from, _)| number >= *from).map_or(1e-3, |(_, divisor)| divisor);
    #[expect(clippy::cast_possible_truncation, reason = "saturates, and is then too far from any event")]
    let millis = (number / divisor).round() as i64;
    Some(Timestamp::from_millis(millis))
}

/// A stamp of seconds, milliseconds, microseconds or nanoseconds.
fn whole_stamp(stamp: i64) -> Option<Timestamp> {
    let millis = match stamp {
        100_000_000_000_000_000.. => stamp / 1_000_000,
        100_000_000_000_000.. => stamp / 1_000,
        100_000_000_000.. => stamp,
        _ => stamp.checked_mul(1000)?,
    };
    Some(Timestamp::from_millis(millis))
}

/// Makes a name legal as Datadog's agent does; `None` when nothing is left.
pub fn metric_name(name: &str) -> Option<Cow<'_, str>> {
    let name = trimmed(name);
    let start = name.bytes().position(|b| b.is_ascii_alphabetic())?;
    let name = name.get(start..)?;
    let legal = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'.';
    // Without a stop at the first, vectors do it.
    let (all, any) = name.bytes().fold((true, false), |(all, any), b| (all & legal(b), any | matches!(b, b'_')));
    if all && name.len() <= MAX_NAME && !(any && name.contains("__")) {
        return Some(Cow::Borrowed(name));
    }
    let mut made = String::with_capacity(name.len().min(MAX_NAME));
    for c in name.chars().map(|c| if c.is_ascii() && legal(c as u8) { c } else { '_' }) {
        if made.len() < MAX_NAME && !(c == '_' && made.ends_with('_')) {
            made.push(c);
        }
    }
    Some(Cow::Owned(made))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const GOOD: &str = "MONITORING|1700000000|1|count|a.b";

    /// Names of the records of a line.
    fn names(line: &str) -> Option<Vec<String>> {
        MonitoringLine::parse(line, None).map(|line| line.metrics().map(|metric| metric.name.to_string()).collect())
    }

    #[test]
    fn splits_records_without_a_newline_between_them() {
        for (line, expected) in [
            (format!("{GOOD}{GOOD}"), Some(vec!["a.b", "a.b"])),
            (format!("{GOOD}|#x:y {GOOD}|{GOOD}\n"), Some(vec!["a.b", "a.b", "a.b"])),
            // A marker that isn't the start of a record belongs to the tags or the name before it.
            (format!("{GOOD}|#MONITORING|x,{GOOD}"), Some(vec!["a.b", "a.b"])),
            (format!("{GOOD}|#MONITORING|x|y|z|w|v"), Some(vec!["a.b"])),
            (format!("MONITORING|1|1|count|MONITORING|#{GOOD}"), Some(vec!["MONITORING", "a.b"])),
            (format!("MONITORING|1|1|count|MONITORING|7|2|count|c{GOOD}"), Some(vec!["MONITORING", "a.b"])),
            (format!("MONITORING|MONITORING|1|count|c|#{GOOD}"), Some(vec!["c", "a.b"])),
            (format!("MONITORING|1700000000|x|count|a.b{GOOD}"), None),
            (format!("MONITORING|1700000000|1|sum|a.b{GOOD}{GOOD}"), None),
            (format!("{GOOD}|#\u{1}{GOOD}"), None),
            (format!("{GOOD}MONITORING|1700000000|x|count|a.b"), Some(vec!["a.bMONITORING"])),
        ] {
            assert_eq!(names(&line), expected.map(|all| all.into_iter().map(str::to_owned).collect()), "{line}");
        }
    }

    /// What takes a step for each byte of each record takes minutes here, and otherwise no time.
    #[test]
    fn a_megabyte_of_records_is_split_in_one_go() {
        let many = 1_048_576 / GOOD.len();
        assert_eq!(names(&GOOD.repeat(many)).map(|names| names.len()), Some(many));
        for line in [
            "MONITORING|".repeat(95_000),
            format!("MONITORING|1700000000|x|count|a.b{}", GOOD.repeat(many)),
            format!("MONITORING|1700000000|1|count|1{}", GOOD.repeat(many)),
            format!("{GOOD}|#\u{1}{}", GOOD.repeat(many)),
            format!("MONITORING|1|1|count|{}", "MONITORING|#".repeat(87_000)),
        ] {
            let _ = names(&line);
        }
    }

    /// The same, trying each marker with all that is before it.
    fn plainly(line: &str) -> Option<Vec<Monitoring<'_>>> {
        let mut rest = line;
        let mut found = Vec::new();
        loop {
            let mut splits = rest.match_indices(MARKER).skip(1).filter_map(|(at, _)| {
                let tail = Monitoring::one(first_of(&rest[at..]), None);
                Some((Monitoring::one(rest[..at].trim_end(), None).filter(|_| tail.is_some())?, at))
            });
            let Some((record, at)) = splits.next() else { break };
            found.push(record);
            rest = &rest[at..];
        }
        found.push(Monitoring::one(rest, None)?);
        Some(found)
    }

    proptest! {
        #[test]
        fn splits_as_trying_each_marker_does(
            pieces in proptest::collection::vec(
                prop_oneof![
                    6 => Just(MARKER), 8 => Just("1|2|count|a.b"), 3 => Just("|#t:v"), 2 => Just("1|2|gauge|"), 1 => Just("1|x|count|a"),
                    1 => Just("1|2|sum|a"), 1 => Just("1|2|count|7"), 1 => Just("|"), 1 => Just("1"), 1 => Just("count"),
                    1 => Just("x"), 1 => Just(" "), 1 => Just("\n"), 1 => Just("\u{1}"),
                ],
                0..24,
            ),
        ) {
            let line = format!("{MARKER}{}", pieces.concat());
            let line = line.trim_end();
            let found = MonitoringLine::parse(line, None).map(|line| line.metrics().cloned().collect::<Vec<_>>());
            prop_assert_eq!(found, plainly(line));
        }
    }
}
