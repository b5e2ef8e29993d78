use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::sync::LazyLock;

use memchr::memmem::Finder;

use super::fields::fill;
use super::lenient::{Object, elements, measure, members, number, string};
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
/// number, a dimension that isn't a string and what has no name are left out. So is what exceeds
/// the bounds below, or a small line could stand for millions of values: the
/// first definitions, dimensions and values hold.
///
/// The specification has a number or a list of numbers as a value. AWS's distribution of OpenTelemetry writes a
/// histogram as an object there: `{"Values":[10.5,21],"Counts":[3,1],…}`, each value so many times, or no more than
/// `{"Count":4,"Sum":53.1,"Min":10.1,"Max":21.4}`, of which samples are made that have this count, sum, minimum and
/// maximum: these two, and for all others their mean.
///
/// Sources: <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>,
/// <https://github.com/aws-observability/aws-otel-python-instrumentation> (`base_emf_exporter.py`)
#[derive(Clone, Debug, PartialEq)]
pub struct Emf<'a> {
    /// When: the log event's time where the document has none, or one that can't be.
    pub time: Timestamp,
    /// Invocation, where the line says it.
    pub request_id: Option<Cow<'a, str>>,
    /// Keys and values of the dimensions that directives name, each key once.
    pub dimensions: Vec<(Cow<'a, str>, Cow<'a, str>)>,
    /// Directives that have metrics: at least one.
    pub directives: Vec<EmfDirective<'a>>,
}

/// A directive of a document.
#[derive(Clone, Debug, PartialEq)]
pub struct EmfDirective<'a> {
    /// Namespace.
    pub namespace: Cow<'a, str>,
    /// Places of its dimensions, of all its sets, among those of the document.
    dimensions: Vec<usize>,
    /// Metrics: at least one.
    pub metrics: Vec<EmfMetric<'a>>,
}

/// A metric of a directive.
#[derive(Clone, Debug, PartialEq)]
pub struct EmfMetric<'a> {
    /// Name.
    pub name: Cow<'a, str>,
    /// As `Milliseconds`, `None`.
    pub unit: Option<Cow<'a, str>>,
    /// One value or several.
    pub values: Vec<f64>,
}

/// Bounds, the first three of the specification.
impl Emf<'_> {
    /// Metrics that a directive defines.
    pub const MAX_METRICS: usize = 100;
    /// Dimensions of all sets of a directive.
    pub const MAX_DIMENSIONS: usize = 30;
    /// Values of a metric.
    pub const MAX_VALUES: usize = 100;
    /// Values of all metrics: as many as one directive may have.
    pub const MAX_DOCUMENT_VALUES: usize = Self::MAX_METRICS * Self::MAX_VALUES;
    /// Bytes of namespace, dimensions, name and unit, which are said with each of these values.
    pub const MAX_DOCUMENT_TEXT: usize = 4 << 20;
}

/// Stamps are in ms: what is before 1973 is in another unit, what is more than a day behind its log event is of a
/// broken clock, and intakes drop both without a word.
const EARLIEST: f64 = 1e11;
const MAX_AHEAD: i64 = 86_400_000;

impl<'a> Emf<'a> {
    /// Reads a text that is a JSON object with `_aws`; `written` is the time of its log event.
    pub fn parse(text: &'a str, written: Option<Timestamp>) -> Option<Self> {
        MARK.find(text.as_bytes())?;
        Self::of(Object::parse(text)?, written)
    }

    /// Reads a line that has `_aws`; `written` is the time of its log event.
    pub fn of(line: Object<'a>, written: Option<Timestamp>) -> Option<Self> {
        MARK.find(line.json().as_bytes())?;
        let mut reader = Reader::default();
        let mut metadata = None;
        for (key, json) in line.members() {
            if key == "_aws" {
                fill(&mut metadata, members(json));
            } else {
                reader.root.entry(key).or_insert_with(|| Member::read(json));
            }
        }
        let (mut time, mut list) = (None, None);
        for (key, json) in metadata? {
            match key.as_ref() {
                "Timestamp" => fill(&mut time, measure(json)),
                "CloudWatchMetrics" => fill(&mut list, elements(json)),
                _ => false,
            };
        }
        let directives: Vec<_> = list?.filter_map(|json| reader.directive(json)).collect();
        #[expect(clippy::cast_possible_truncation, reason = "saturates")]
        let own = time.filter(|millis| *millis >= EARLIEST).map(|millis| Timestamp::from_millis(millis as i64));
        let latest = written.map_or(i64::MAX, |written| written.millis().saturating_add(MAX_AHEAD));
        let own = own.filter(|own| own.millis() <= latest);
        (!directives.is_empty()).then(|| Self {
            time: own.or(written).unwrap_or_default(),
            request_id: None,
            dimensions: reader.dimensions,
            directives,
        })
    }

    /// Metrics of all directives: at least one.
    pub fn metrics(&self) -> impl Iterator<Item = &EmfMetric<'a>> {
        self.directives.iter().flat_map(|directive| &directive.metrics)
    }

    /// Metrics, and the directives that define them. One that several of a namespace define, each with dimensions of its
    /// own, is as many series in `CloudWatch`; where dimensions are tags these would add up, so it is one, of all of them.
    pub fn defined(&self) -> Vec<(Vec<&EmfDirective<'a>>, Vec<&EmfMetric<'a>>)> {
        if let [only] = self.directives.as_slice()
            && are_unlike(&only.metrics)
        {
            return vec![(vec![only], only.metrics.iter().collect())];
        }
        let mut series = BTreeMap::<_, (Vec<usize>, _)>::new();
        for (place, directive) in self.directives.iter().enumerate() {
            for metric in &directive.metrics {
                let (places, _) = series.entry((&directive.namespace, &metric.name)).or_insert((Vec::new(), metric));
                // A directive may define it twice.
                if places.last() != Some(&place) {
                    places.push(place);
                }
            }
        }
        let mut defined = BTreeMap::<_, Vec<_>>::new();
        for (places, metric) in series.into_values() {
            defined.entry(places).or_default().push(metric);
        }
        let directives =
            |places: Vec<usize>| places.into_iter().filter_map(|place| self.directives.get(place)).collect();
        defined.into_iter().map(|(places, metrics)| (directives(places), metrics)).collect()
    }

    /// Keys and values of a directive's dimensions, each key once.
    pub fn dimensions_of(&self, directive: &EmfDirective<'_>) -> impl Iterator<Item = (&str, &str)> {
        let found = directive.dimensions.iter().filter_map(|place| self.dimensions.get(*place));
        found.map(|(key, value)| (key.as_ref(), value.as_ref()))
    }

    /// The same, borrowing nothing.
    pub fn into_owned(self) -> Emf<'static> {
        Emf {
            time: self.time,
            request_id: self.request_id.map(owned),
            dimensions: self.dimensions.into_iter().map(|(key, value)| (owned(key), owned(value))).collect(),
            directives: self.directives.into_iter().map(EmfDirective::into_owned).collect(),
        }
    }
}

/// Whether no two have one name; there are few.
fn are_unlike(metrics: &[EmfMetric<'_>]) -> bool {
    let mut before = metrics.iter().enumerate();
    before.all(|(place, metric)| metrics.iter().take(place).all(|other| other.name != metric.name))
}

impl EmfDirective<'_> {
    fn into_owned(self) -> EmfDirective<'static> {
        let metrics = self.metrics.into_iter().map(|EmfMetric { name, unit, values }| EmfMetric {
            name: owned(name),
            unit: unit.map(owned),
            values,
        });
        EmfDirective { namespace: owned(self.namespace), metrics: metrics.collect(), dimensions: self.dimensions }
    }
}

fn owned(text: Cow<'_, str>) -> Cow<'static, str> {
    Cow::Owned(text.into_owned())
}

/// A member of the root, read once, however often directives name it.
enum Member<'a> {
    /// A text, which may become a dimension.
    Text(Cow<'a, str>),
    /// The place that it has among the document's dimensions.
    Dimension(usize),
    /// Values of a metric: a number, or the numbers of a list.
    Values(Vec<f64>),
    /// Values of a histogram, and how often each was measured.
    Histogram(Vec<(f64, usize)>),
    /// Something else.
    Other,
}

impl<'a> Member<'a> {
    fn read(json: &'a str) -> Self {
        if let Some(text) = string(json) {
            return Self::Text(text);
        }
        let values: Vec<f64> = match elements(json) {
            Some(list) => list.take(Emf::MAX_VALUES).filter_map(number).collect(),
            None => number(json).into_iter().collect(),
        };
        if values.is_empty() { histogram(json).map_or(Self::Other, Self::Histogram) } else { Self::Values(values) }
    }
}

/// What a histogram measured; nothing of one that counts more than a document may hold, as a part of it would be wrong.
fn histogram(json: &str) -> Option<Vec<(f64, usize)>> {
    let (mut values, mut counts, mut of_all) = (None, None, [None; 4]);
    for (key, json) in members(json)? {
        let [count, sum, min, max] = &mut of_all;
        match key.as_ref() {
            "Values" => fill(&mut values, elements(json)),
            "Counts" => fill(&mut counts, elements(json)),
            "Count" => fill(count, number(json)),
            "Sum" => fill(sum, number(json)),
            "Min" => fill(min, number(json)),
            "Max" => fill(max, number(json)),
            _ => false,
        };
    }
    let samples = if let Some((values, counts)) = values.zip(counts) {
        // No more have a place in a document, whatever they count.
        let values: Vec<_> = values.take(Emf::MAX_DOCUMENT_VALUES).map(number).collect::<Option<_>>()?;
        let counts = counts.take(Emf::MAX_DOCUMENT_VALUES).map(|count| times(number(count)?));
        let counts: Vec<_> = counts.collect::<Option<_>>()?;
        if values.len() != counts.len() {
            return None;
        }
        values.into_iter().zip(counts).collect()
    } else {
        let [Some(count), Some(sum), Some(min), Some(max)] = of_all else { return None };
        spread(times(count)?, sum, min, max)?
    };
    let total = samples.iter().map(|(_, count)| count).sum::<usize>();
    (1..=Emf::MAX_DOCUMENT_VALUES).contains(&total).then_some(samples)
}

/// Samples with this count, sum, minimum and maximum; `None` where there can't be such.
fn spread(count: usize, sum: f64, min: f64, max: f64) -> Option<Vec<(f64, usize)>> {
    // Sums are of numbers that were rounded.
    let about = |one: f64, other: f64| (one - other).abs() <= 1e-6 * one.abs().max(other.abs());
    let within = |value: f64| (min..=max).contains(&value) || about(value, min) || about(value, max);
    match count {
        1 => within(sum).then(|| vec![(sum, 1)]),
        2 => (min <= max && about(sum, min + max)).then(|| vec![(min, 1), (max, 1)]),
        _ => {
            let others = count.checked_sub(2)?;
            #[expect(clippy::cast_precision_loss, reason = "a count is small")]
            let mean = (sum - min - max) / others as f64;
            (min <= max && within(mean)).then(|| vec![(min, 1), (mean, others), (max, 1)])
        }
    }
}

/// A count that can be: whole, and no more than fits.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "whole, and within bounds")]
fn times(count: f64) -> Option<usize> {
    (count.fract() == 0.0 && (0.0..=1e9).contains(&count)).then_some(count as usize)
}

/// What is known of a document while its directives are read.
#[derive(Default)]
struct Reader<'a> {
    root: HashMap<Cow<'a, str>, Member<'a>>,
    dimensions: Vec<(Cow<'a, str>, Cow<'a, str>)>,
    /// How many values were read.
    values: usize,
    /// Bytes of the text that is said with them.
    text: usize,
}

impl<'a> Reader<'a> {
    fn directive(&mut self, json: &'a str) -> Option<EmfDirective<'a>> {
        let (mut namespace, mut sets, mut definitions) = (None, None, None);
        for (key, json) in members(json)? {
            match key.as_ref() {
                "Namespace" => fill(&mut namespace, string(json)),
                "Dimensions" => fill(&mut sets, elements(json)),
                "Metrics" => fill(&mut definitions, elements(json)),
                _ => false,
            };
        }
        let namespace = namespace.filter(|name| !name.is_empty())?;
        let mut dimensions = Vec::new();
        for key in sets.into_iter().flatten().filter_map(elements).flatten().filter_map(string) {
            if dimensions.len() == Emf::MAX_DIMENSIONS {
                break;
            }
            dimensions.extend(self.dimension(key).filter(|place| !dimensions.contains(place)));
        }
        let said = dimensions.iter().filter_map(|place| self.dimensions.get(*place));
        let said = said.map(|(key, value)| key.len() + value.len()).sum::<usize>() + namespace.len();
        let definitions = definitions?.take(Emf::MAX_METRICS);
        let metrics: Vec<_> = definitions.filter_map(|json| self.metric(json, said)).collect();
        (!metrics.is_empty()).then_some(EmfDirective { namespace, dimensions, metrics })
    }

    /// A metric whose values are said with so many bytes of their directive.
    fn metric(&mut self, json: &'a str, said: usize) -> Option<EmfMetric<'a>> {
        let (mut name, mut unit) = (None, None);
        for (key, json) in members(json)? {
            match key.as_ref() {
                "Name" => fill(&mut name, string(json)),
                "Unit" => fill(&mut unit, string(json)),
                _ => false,
            };
        }
        let name = name.filter(|name| !name.is_empty())?;
        let unit = unit.filter(|unit| !unit.is_empty());
        let member = self.root.get(&name)?;
        let said = said + name.len() + unit.as_ref().map_or(0, |unit| unit.len());
        let fitting = (Emf::MAX_DOCUMENT_TEXT - self.text).checked_div(said).unwrap_or(Emf::MAX_VALUES);
        let fitting = fitting.min(Emf::MAX_DOCUMENT_VALUES - self.values);
        let values: Vec<f64> = match member {
            Member::Values(values) => values.iter().take(fitting).copied().collect(),
            // A part of one would be wrong.
            Member::Histogram(samples) if samples.iter().map(|(_, count)| count).sum::<usize>() <= fitting => {
                samples.iter().flat_map(|(value, count)| std::iter::repeat_n(*value, *count)).collect()
            }
            Member::Dimension(_) | Member::Histogram(_) | Member::Other | Member::Text(_) => return None,
        };
        self.values += values.len();
        self.text += values.len() * said;
        (!values.is_empty()).then_some(EmfMetric { name, unit, values })
    }

    /// The place of a dimension, if the root holds a text for it.
    fn dimension(&mut self, key: Cow<'a, str>) -> Option<usize> {
        let member = self.root.get_mut(&key).filter(|_| !key.is_empty())?;
        if let Member::Text(text) = member {
            self.dimensions.push((key, std::mem::take(text)));
            *member = Member::Dimension(self.dimensions.len() - 1);
        }
        if let Member::Dimension(place) = member { Some(*place) } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(len: usize, item: impl Fn(usize) -> String) -> String {
        (0..len).map(item).collect::<Vec<_>>().join(",")
    }

    fn document(directives: usize, metrics: usize, dimensions: usize, values: usize) -> String {
        let keys = list(dimensions, |n| format!(r#"["k{n}"],["k{n}"]"#));
        let metrics = list(metrics, |n| format!(r#"{{"Name":"m{}"}}"#, n % 2));
        let directive = format!(r#"{{"Namespace":"N","Dimensions":[{keys}],"Metrics":[{metrics}]}}"#);
        let directives = list(directives, |_| directive.clone());
        let texts = list(dimensions + 1, |n| format!(r#""k{n}":"v{n}""#));
        let values = list(values, |n| n.to_string());
        format!(r#"{{"_aws":{{"CloudWatchMetrics":[{directives}]}},{texts},"m0":[{values}],"m1":[{values}]}}"#)
    }

    #[test]
    fn keeps_what_the_specification_allows_and_no_more() {
        for (document, directives, metrics, dimensions, values) in [
            (document(1, 1, 0, 1), 1, 1, 0, 1),
            (document(3, 100, 30, 33), 3, 300, 30, 9_900),
            (document(1, 100, 30, 100), 1, 100, 30, 10_000),
            (document(1, 101, 31, 1), 1, 100, 30, 100),
            (document(1, 1, 1, 101), 1, 1, 1, 100),
            (document(300, 100, 40, 120), 1, 100, 30, 10_000),
            (document(4, 50, 2, 99), 3, 102, 2, 10_000),
            (document(1, 2, 0, 1).replace("[0]", r#"{"Values":[1],"Counts":[6000]}"#), 1, 1, 0, 6_000),
        ] {
            let emf = Emf::parse(&document, None).unwrap();
            let found: usize = emf.metrics().map(|metric| metric.values.len()).sum();
            assert_eq!((emf.directives.len(), emf.metrics().count(), found), (directives, metrics, values));
            for directive in &emf.directives {
                let found: Vec<_> = emf.dimensions_of(directive).map(|(key, value)| format!("{key}{value}")).collect();
                assert_eq!(found, (0..dimensions).map(|n| format!("k{n}v{n}")).collect::<Vec<_>>());
            }
            assert_eq!(emf.clone().into_owned(), emf);
        }
    }

    #[test]
    fn reads_histograms_as_their_samples() {
        let of = |histogram: &str| {
            let metrics = r#"[{"Namespace":"N","Metrics":[{"Name":"m","Unit":"Milliseconds"}]}]"#;
            let line = format!(r#"{{"_aws":{{"CloudWatchMetrics":{metrics}}},"m":{histogram}}}"#);
            Emf::parse(&line, None).map(|emf| emf.directives[0].metrics[0].values.clone())
        };
        for (histogram, expected) in [
            (
                r#"{"Values":[10.5,21.0],"Counts":[3.0,1.0],"Count":4,"Sum":53.1,"Max":21.4,"Min":10.1}"#,
                Some(vec![10.5, 10.5, 10.5, 21.0]),
            ),
            (r#"{"Count":4,"Sum":20,"Min":2,"Max":8}"#, Some(vec![2.0, 5.0, 5.0, 8.0])),
            (r#"{"Count":2,"Sum":8.4,"Min":3.6,"Max":4.8}"#, Some(vec![3.6, 4.8])),
            (r#"{"Count":1,"Sum":3,"Min":3,"Max":3}"#, Some(vec![3.0])),
            (r#"{"Values":[1,2],"Counts":[0,1]}"#, Some(vec![2.0])),
            (r#"{"Values":[1,2,3],"Counts":[1,1]}"#, None),
            (r#"{"Values":[1,2],"Counts":[1,1,1]}"#, None),
            (r#"{"Count":0,"Sum":0,"Min":0,"Max":0}"#, None),
            (r#"{"Count":3,"Sum":0,"Min":2,"Max":1}"#, None),
            (r#"{"Count":3,"Sum":100,"Min":1,"Max":2}"#, None),
            (r#"{"Count":2,"Sum":5,"Min":1,"Max":2}"#, None),
            (r#"{"Count":1,"Sum":5,"Min":1,"Max":2}"#, None),
            (r#"{"Count":1.5,"Sum":3,"Min":3,"Max":3}"#, None),
            (r#"{"Count":-3,"Sum":3,"Min":3,"Max":3}"#, None),
            (r#"{"Values":[1,2],"Counts":[1,-1]}"#, None),
            (r#"{"Values":[1],"Counts":[10001]}"#, None),
            (r#"{"Values":[1,"x"],"Counts":[1,1]}"#, None),
            (r#"{"Values":[],"Counts":[]}"#, None),
            (r#"{"Sum":3}"#, None),
            ("{}", None),
        ] {
            assert_eq!(of(histogram), expected, "{histogram}");
        }
        let many =
            format!(r#"{{"Values":[{}],"Counts":[{}]}}"#, list(160, |n| n.to_string()), list(160, |_| "1".into()));
        assert_eq!(of(&many).map(|values| values.iter().sum()), Some(12_720.0));
        assert_eq!(of(r#"{"Values":[1],"Counts":[10000]}"#).map(|values| values.len()), Some(10_000));
    }

    #[test]
    fn counts_the_text_that_is_said_with_each_value() {
        let long = "x".repeat(100_000);
        let directive = r#"{"Namespace":"N","Dimensions":[["d"]],"Metrics":[{"Name":"m","Unit":"u"}]}"#;
        let of = |directive: &str| list(100, |_| directive.to_owned());
        for (directives, m, d) in [
            (of(directive), "m", long.as_str()),
            (of(&directive.replace("\"m\"", &format!("\"{long}\""))), &long, "d"),
            (of(&directive.replace("\"N\"", &format!("\"{long}\""))), "m", "d"),
            (of(&directive.replace("\"u\"", &format!("\"{long}\""))), "m", "d"),
        ] {
            let line = format!(r#"{{"_aws":{{"CloudWatchMetrics":[{directives}]}},"d":"{d}","{m}":1}}"#);
            assert_eq!(Emf::parse(&line, None).map(|emf| emf.metrics().count()), Some(41));
        }
    }

    #[test]
    fn a_stamp_that_cannot_be_is_none() {
        let written = Timestamp::from_millis(1_700_000_000_123);
        for (stamp, time) in [
            ("1574109732004", 1_574_109_732_004),
            ("1700000000", 1_700_000_000_123),
            ("1700000000000000", 1_700_000_000_123),
            ("1700000000000000000", 1_700_000_000_123),
            ("1700086400000", 1_700_086_400_000),
            ("1700086500000", 1_700_000_000_123),
            ("99999999999999", 1_700_000_000_123),
            ("0", 1_700_000_000_123),
            ("\"x\"", 1_700_000_000_123),
        ] {
            let metrics = r#"[{"Namespace":"N","Metrics":[{"Name":"m"}]}]"#;
            let line = format!(r#"{{"_aws":{{"Timestamp":{stamp},"CloudWatchMetrics":{metrics}}},"m":1}}"#);
            assert_eq!(Emf::parse(&line, Some(written)).unwrap().time.millis(), time, "{stamp}");
        }
    }

    #[test]
    fn leaves_out_what_is_no_metric() {
        let aws = |rest: &str| format!(r#"{{"_aws":{{"CloudWatchMetrics":{rest}}},"m":1,"s":"x"}}"#);
        for line in [
            aws("[]"),
            aws("{}"),
            aws(r#"[{"Metrics":[{"Name":"m"}]}]"#),
            aws(r#"[{"Namespace":"","Metrics":[{"Name":"m"}]}]"#),
            r#"{"_aws":{"CloudWatchMetrics":[{"Namespace":"N","Metrics":[{"Name":""}]}]},"":1}"#.to_owned(),
            aws(r#"[{"Namespace":"N"}]"#),
            aws(r#"[{"Namespace":"N","Metrics":{"Name":"m"}}]"#),
            aws(r#"[{"Namespace":"N","Metrics":[{"Name":"s"},{"Name":"x"},{"Name":5},["m"]]}]"#),
            r#"{"_aws":5,"m":1}"#.to_owned(),
            r#"{"_aws":{"CloudWatchMetrics":[{"Namespace":"N","Metrics":[{"Name":"m"}]}]},"m":[]}"#.to_owned(),
            r#"{"_aws":{"CloudWatchMetrics":[{"Namespace":"N","Metrics":[{"Name":"m"}]}]},"m":1"#.to_owned(),
        ] {
            assert_eq!(Emf::parse(&line, None), None, "{line}");
        }
        let line = aws(r#"[5,{"Namespace":"N","Dimensions":5,"Metrics":[5,{"Name":"m"}]}]"#);
        assert_eq!(Emf::parse(&line, None).unwrap().metrics().count(), 1);
        let directive = r#"[{"Namespace":"N","Dimensions":[["","s"]],"Metrics":[{"Name":"m","Unit":""}]}]"#;
        let line = aws(directive).replace(r#","m":1"#, r#","m":1,"":"y""#);
        let emf = Emf::parse(&line, None).unwrap();
        assert_eq!((emf.dimensions, &emf.directives[0].metrics[0].unit), (vec![("s".into(), "x".into())], &None));
    }
}
