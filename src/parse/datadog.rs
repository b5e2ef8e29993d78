use std::borrow::Cow;
use std::sync::LazyLock;

use memchr::memmem::Finder;

use super::fields::fill;
use super::lenient::{Object, elements, number, string};
use super::monitoring::{is_near, metric_name, stamped};
use crate::model::Timestamp;

/// What every such line has.
static MARK: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\"m\""));

/// A custom metric as Datadog's Lambda libraries print it:
///
/// ```text
/// {"m":"coffee.orders","v":12.45,"e":1572273854,"t":["shop:berlin"]}
/// ```
///
/// `e` is in seconds. It is a distribution.
#[derive(Clone, Debug, PartialEq)]
pub struct DatadogMetric<'a> {
    /// Name, made legal by Datadog's rules.
    pub name: Cow<'a, str>,
    /// How much.
    pub value: f64,
    /// When: the log event's time where the line's is more than a day from it.
    pub time: Timestamp,
    /// Tags, as the line has them, but for empty ones.
    pub tags: Vec<Cow<'a, str>>,
}

impl<'a> DatadogMetric<'a> {
    /// Reads a line that has the keys `m`, `v`, `e` and `t`; `written` is the time of its log event.
    pub fn of(line: Object<'a>, written: Option<Timestamp>) -> Option<Self> {
        MARK.find(line.json().as_bytes())?;
        let (mut name, mut value, mut time, mut tags) = (None, None, None, None);
        for (key, json) in line.members() {
            match key.as_ref() {
                "m" => fill(&mut name, string(json)),
                "v" => fill(&mut value, number(json)),
                "e" => fill(&mut time, stamped(json)),
                "t" => fill(
                    &mut tags,
                    elements(json).map(|tags| tags.filter_map(string).filter(|tag| !tag.trim().is_empty()).collect()),
                ),
                _ => false,
            };
        }
        let name = match name? {
            Cow::Borrowed(name) => metric_name(name)?,
            Cow::Owned(name) => Cow::Owned(metric_name(&name)?.into_owned()),
        };
        let time = Some(time?).filter(|own| is_near(*own, written)).or(written)?;
        Some(Self { name, value: value?, time, tags: tags? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_is_near_its_event_and_a_tag_says_something() {
        let written = Timestamp::from_millis(1_700_000_000_123);
        for (stamp, time) in [
            ("1700000000", 1_700_000_000_000),
            ("1700000000.5", 1_700_000_000_500),
            ("1699950000", 1_699_950_000_000),
            ("0", 1_700_000_000_123),
            ("-1e30", 1_700_000_000_123),
            ("1e30", 1_700_000_000_123),
            ("1700100000", 1_700_000_000_123),
        ] {
            let line = format!(r#"{{"m":"a","v":1,"e":{stamp},"t":["a:b",""," ","c"]}}"#);
            let metric = DatadogMetric::of(Object::parse(&line).unwrap(), Some(written)).unwrap();
            assert_eq!(metric.time.millis(), time, "{stamp}");
            assert_eq!(metric.tags, ["a:b", "c"]);
        }
        let unknown = Object::parse(r#"{"m":"a","v":1,"e":1500000000,"t":[]}"#).unwrap();
        let unknown = DatadogMetric::of(unknown, None).unwrap();
        assert_eq!(unknown.time.millis(), 1_500_000_000_000);
    }
}
