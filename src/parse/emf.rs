use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::LazyLock;

use memchr::memmem::Finder;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::lenient;
use crate::model::Timestamp;

/// What every such line has.
static MARK: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\"_aws\""));

/// A document in CloudWatch's embedded metric format.
///
/// ```text
/// {"_aws":{"Timestamp":1574109732004,"CloudWatchMetrics":[{"Namespace":"shop","Dimensions":[["service"]],
///  "Metrics":[{"Name":"Latency","Unit":"Milliseconds"}]}]},"service":"checkout","Latency":[12.5,13]}
/// ```
///
/// A metric or a dimension that the root doesn't hold, a value that isn't a
/// number and a dimension that isn't a string are left out.
///
/// Source: <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>
#[derive(Clone, Debug, PartialEq)]
pub struct Emf<'a> {
    /// When.
    pub time: Timestamp,
    /// Invocation, where the line says it.
    pub request_id: Option<Cow<'a, str>>,
    /// Metrics: at least one, with the dimensions of all sets of their directive.
    pub metrics: Vec<EmfMetric<'a>>,
}

/// A metric of a document.
#[derive(Clone, Debug, PartialEq)]
pub struct EmfMetric<'a> {
    /// Namespace of its directive.
    pub namespace: Cow<'a, str>,
    /// Name.
    pub name: Cow<'a, str>,
    /// As `Milliseconds`, `None`.
    pub unit: Option<Cow<'a, str>>,
    /// One value or several.
    pub values: Vec<f64>,
    /// Keys and values, each key once.
    pub dimensions: Vec<(Cow<'a, str>, Cow<'a, str>)>,
}

#[derive(Deserialize)]
struct Metadata<'a> {
    #[serde(default, rename = "Timestamp", deserialize_with = "lenient::number")]
    timestamp: Option<f64>,
    #[serde(borrow, rename = "CloudWatchMetrics", deserialize_with = "lenient::list")]
    directives: Vec<Directive<'a>>,
}

#[derive(Deserialize)]
struct Directive<'a> {
    #[serde(borrow, default, rename = "Namespace", deserialize_with = "lenient::string")]
    namespace: Option<Cow<'a, str>>,
    #[serde(borrow, default, rename = "Dimensions")]
    dimensions: Option<&'a RawValue>,
    #[serde(borrow, default, rename = "Metrics", deserialize_with = "lenient::list")]
    metrics: Vec<Definition<'a>>,
}

#[derive(Deserialize)]
struct Definition<'a> {
    #[serde(borrow, default, rename = "Name", deserialize_with = "lenient::string")]
    name: Option<Cow<'a, str>>,
    #[serde(borrow, default, rename = "Unit", deserialize_with = "lenient::string")]
    unit: Option<Cow<'a, str>>,
}

type Root<'a> = HashMap<Cow<'a, str>, &'a RawValue>;

impl<'a> Emf<'a> {
    /// Reads a line that is a JSON object with `_aws`; `written` is the time of its log event.
    pub fn parse(line: &'a str, written: Option<Timestamp>) -> Option<Self> {
        MARK.find(line.as_bytes())?;
        let root: Root<'a> = serde_json::from_str(line).ok()?;
        let metadata: Metadata<'a> = serde_json::from_str(root.get("_aws")?.get()).ok()?;
        #[expect(clippy::cast_possible_truncation, reason = "saturates")]
        let own = metadata.timestamp.map(|millis| Timestamp::from_millis(millis as i64));
        let metrics: Vec<_> = metadata.directives.into_iter().flat_map(|directive| read(directive, &root)).collect();
        let time = own.or(written).unwrap_or_default();
        (!metrics.is_empty()).then_some(Self { time, request_id: None, metrics })
    }

    /// The same, borrowing nothing.
    pub fn into_owned(self) -> Emf<'static> {
        let owned = |text: Cow<'_, str>| Cow::Owned(text.into_owned());
        let metrics = self.metrics.into_iter().map(|metric| EmfMetric {
            namespace: owned(metric.namespace),
            name: owned(metric.name),
            unit: metric.unit.map(owned),
            values: metric.values,
            dimensions: metric.dimensions.into_iter().map(|(key, value)| (owned(key), owned(value))).collect(),
        });
        Emf { time: self.time, request_id: self.request_id.map(owned), metrics: metrics.collect() }
    }
}

fn read<'a>(directive: Directive<'a>, root: &Root<'a>) -> Vec<EmfMetric<'a>> {
    let Some(namespace) = directive.namespace else { return Vec::new() };
    let sets: Vec<Vec<Cow<'a, str>>> =
        directive.dimensions.and_then(|sets| serde_json::from_str(sets.get()).ok()).unwrap_or_default();
    let mut dimensions: Vec<(Cow<'a, str>, Cow<'a, str>)> = Vec::new();
    for key in sets.into_iter().flatten() {
        let value = root.get(&key).and_then(|raw| serde_json::from_str(raw.get()).ok());
        if let (Some(value), false) = (value, dimensions.iter().any(|(known, _)| *known == key)) {
            dimensions.push((key, value));
        }
    }
    let metrics = directive.metrics.into_iter().filter_map(|definition| {
        let name = definition.name?;
        let values = values(root.get(&name)?)?;
        Some(EmfMetric {
            namespace: namespace.clone(),
            name,
            unit: definition.unit,
            values,
            dimensions: dimensions.clone(),
        })
    });
    metrics.collect()
}

/// A number, or a list of at most a hundred; what else a list holds is left out.
fn values(raw: &RawValue) -> Option<Vec<f64>> {
    let json = raw.get();
    let items: Vec<&RawValue> = if json.starts_with('[') { serde_json::from_str(json).ok()? } else { vec![raw] };
    let numbers = items.iter().take(100).filter_map(|item| serde_json::from_str(item.get()).ok());
    let numbers: Vec<f64> = numbers.collect();
    (!numbers.is_empty()).then_some(numbers)
}
