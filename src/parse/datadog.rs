use std::borrow::Cow;
use std::sync::LazyLock;

use memchr::memmem::Finder;
use serde::Deserialize;
use serde_json::value::RawValue;

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

#[derive(Deserialize)]
struct Keys<'a> {
    #[serde(borrow)]
    m: Cow<'a, str>,
    v: f64,
    e: &'a RawValue,
    #[serde(borrow)]
    t: Vec<&'a RawValue>,
}

impl<'a> DatadogMetric<'a> {
    /// Reads a line that is a JSON object with the keys `m`, `v`, `e` and `t`.
    pub fn parse(line: &'a str) -> Option<Self> {
        MARK.find(line.as_bytes())?;
        let keys: Keys<'a> = serde_json::from_str(line).ok()?;
        Some(Self {
            name: match keys.m {
                Cow::Borrowed(name) => super::monitoring::metric_name(name)?,
                Cow::Owned(name) => Cow::Owned(super::monitoring::metric_name(&name)?.into_owned()),
            },
            value: keys.v,
            time: super::monitoring::stamped(keys.e.get())?,
            tags: keys.t.into_iter().filter_map(|tag| serde_json::from_str(tag.get()).ok()).collect(),
        })
    }
}
