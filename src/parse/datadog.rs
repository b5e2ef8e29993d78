use std::borrow::Cow;
use std::sync::LazyLock;

use memchr::memmem::Finder;

use super::fields::fill;
use super::lenient::{elements, number, object, string};
use super::monitoring::{metric_name, stamped};
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
    /// When.
    pub time: Timestamp,
    /// Tags, as the line has them.
    pub tags: Vec<Cow<'a, str>>,
}

impl<'a> DatadogMetric<'a> {
    /// Reads a line that is a JSON object with the keys `m`, `v`, `e` and `t`.
    pub fn parse(line: &'a str) -> Option<Self> {
        MARK.find(line.as_bytes())?;
        let (mut name, mut value, mut time, mut tags) = (None, None, None, None);
        for (key, json) in object(line)? {
            match key.as_ref() {
                "m" => fill(&mut name, string(json)),
                "v" => fill(&mut value, number(json)),
                "e" => fill(&mut time, stamped(json)),
                "t" => fill(&mut tags, elements(json).map(|tags| tags.filter_map(string).collect())),
                _ => false,
            };
        }
        let name = match name? {
            Cow::Borrowed(name) => metric_name(name)?,
            Cow::Owned(name) => Cow::Owned(metric_name(&name)?.into_owned()),
        };
        Some(Self { name, value: value?, time: time?, tags: tags? })
    }
}
