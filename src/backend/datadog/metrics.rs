use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use super::super::body::Body;
use super::super::write::{number, text};
use super::Datadog;
use crate::model::{CheckStatus, Kind, Measure, Metric, Name, Origin, Tag, Timestamp};
use crate::parse::metric_name;
use crate::request::{Request, Weight};

/// Points that are held before they are written: some 2 MB.
const MAX_HELD: usize = 100_000;

/// Points of one series in one item, so that a request can still be cut.
const MAX_POINTS: usize = 5_000;

/// "Service checks: timestamps up to 10 minutes in the past": a minute less.
const OLDEST_CHECK: i64 = 9 * 60;

/// Sets that are looked through before the hash: the measures of an invocation,
/// its cost, which has tags of its own, and some of custom metrics.
const MAX_LAST: usize = 8;

/// Metrics on their way to Datadog: held until the batch ends, as a series says its name and tags once.
pub(super) struct Metrics {
    mode: super::Metrics,
    tags: Vec<(String, String)>,
    now: Timestamp,
    distributions: Body,
    series: Body,
    checks: Body,
    sets: Vec<Set>,
    /// Place in `sets` of each set of tags.
    by_tags: HashMap<Vec<u8>, usize>,
    /// Sets that were used lately, the last one first: to look through them takes less than a hash.
    last: Vec<usize>,
    held: usize,
    oversize: Weight,
}

/// Metrics that share an origin and tags.
struct Set {
    generation: u32,
    tags: Vec<(String, String)>,
    /// `["a:b","c:d"]`, of measures and of custom metrics.
    measure_tags: Vec<u8>,
    custom_tags: Vec<u8>,
    host: String,
    stream: String,
    measures: [Vec<Point>; Measure::ALL.len()],
    custom: BTreeMap<String, BTreeMap<Nature, Vec<Point>>>,
}

/// Second and value.
type Point = (i64, f64);

/// What becomes of a custom metric.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Nature {
    Check,
    Count,
    Distribution,
    Gauge,
    Histogram,
}

impl Metrics {
    pub(super) fn new(
        mode: super::Metrics,
        tags: Vec<(String, String)>,
        now: Timestamp,
        distributions: Body,
        series: Body,
        checks: Body,
    ) -> Self {
        Self {
            mode,
            tags,
            now,
            distributions,
            series,
            checks,
            sets: Vec::new(),
            by_tags: HashMap::new(),
            last: Vec::new(),
            held: 0,
            oversize: Weight::default(),
        }
    }

    /// Takes metrics of one event.
    pub(super) fn push(&mut self, origin: &Origin, metrics: &[Metric<'_>]) {
        let mode = self.mode;
        for metrics in metrics.chunk_by(|one, other| std::ptr::eq(one.tags, other.tags)) {
            let tags = metrics.first().map_or(&[][..], |metric| metric.tags);
            let Some(set) = self.set(origin, tags) else { return };
            for metric in metrics {
                set.push(mode, metric);
            }
            self.held += metrics.len();
        }
        if self.held >= MAX_HELD {
            self.flush();
        }
    }

    pub(super) fn has_ready(&self) -> bool {
        [&self.distributions, &self.series, &self.checks].into_iter().any(Body::has_ready)
    }

    pub(super) fn take_ready(&mut self) -> Vec<Request> {
        [&mut self.distributions, &mut self.series, &mut self.checks].into_iter().flat_map(Body::take_ready).collect()
    }

    pub(super) fn finish(mut self) -> (Vec<Request>, Weight) {
        self.flush();
        let requests = [self.distributions, self.series, self.checks].into_iter().flat_map(Body::finish);
        (requests.collect(), self.oversize)
    }

    /// The set of these tags.
    fn set(&mut self, origin: &Origin, tags: &[Tag<'_>]) -> Option<&mut Set> {
        let is = |place: &usize| self.sets.get(*place).is_some_and(|set| set.is(origin, tags));
        let at = if let Some(at) = self.last.iter().position(is) {
            at
        } else {
            let next = self.sets.len();
            let place = *self.by_tags.entry(key(origin, tags)).or_insert(next);
            if place == next {
                self.sets.push(Set::new(origin, tags, &self.tags));
            }
            self.last.truncate(MAX_LAST - 1);
            self.last.push(place);
            self.last.len() - 1
        };
        self.last.swap(0, at);
        self.sets.get_mut(*self.last.first()?)
    }

    /// Writes what is held.
    fn flush(&mut self) {
        self.by_tags.clear();
        self.last.clear();
        self.held = 0;
        for set in std::mem::take(&mut self.sets) {
            for (measure, points) in Measure::ALL.into_iter().zip(set.measures) {
                self.distribution(Datadog::words(measure).0, points, &set.measure_tags);
            }
            let custom = set.custom.into_iter().flat_map(|(name, natures)| {
                natures.into_iter().map(move |(nature, points)| (name.clone(), nature, points))
            });
            for (name, nature, points) in custom {
                let (tags, host) = (&set.custom_tags, &set.stream);
                match nature {
                    Nature::Check => self.check_runs(&name, &points, tags, &set.host),
                    Nature::Count => self.aggregated(&name, points, tags, host, &[Aggregate::Sum]),
                    Nature::Distribution => self.distribution(&name, points, tags),
                    Nature::Gauge => self.aggregated(&name, points, tags, "", &[Aggregate::Last]),
                    Nature::Histogram => self.aggregated(&name, points, tags, host, &Aggregate::HISTOGRAM),
                }
            }
        }
    }

    /// `{"metric":"…","type":"distribution","points":[[1700000000,[0.012,0.02]]],"tags":[…]}`
    fn distribution(&mut self, name: &str, mut points: Vec<Point>, tags: &[u8]) {
        points.sort_by_key(|(second, _)| *second);
        for points in points.chunks(MAX_POINTS) {
            let weight = Weight { logs: 0, metrics: points.len() as u64 };
            let pushed = self.distributions.push(weight, |out| {
                out.extend_from_slice(b"{\"metric\":");
                text(name, out);
                out.extend_from_slice(b",\"type\":\"distribution\",\"points\":[");
                for (index, of_second) in points.chunk_by(|a, b| a.0 == b.0).enumerate() {
                    out.extend_from_slice(if index == 0 { b"[" } else { b",[" });
                    let second = of_second.first().map_or(0, |point| point.0);
                    out.extend_from_slice(itoa::Buffer::new().format(second).as_bytes());
                    for (index, (_, value)) in of_second.iter().enumerate() {
                        out.extend_from_slice(if index == 0 { b",[" } else { b"," });
                        number(*value, out);
                    }
                    out.extend_from_slice(b"]]");
                }
                out.extend_from_slice(b"],\"tags\":");
                out.extend_from_slice(tags);
                out.push(b'}');
            });
            if pushed.is_err() {
                self.oversize += weight;
            }
        }
    }

    /// A point for each second: `{"metric":"…","type":1,"interval":1,"points":[{"timestamp":…,"value":…}],"tags":[…],"resources":[…]}`
    fn aggregated(&mut self, name: &str, mut points: Vec<Point>, tags: &[u8], host: &str, aggregates: &[Aggregate]) {
        points.sort_by_key(|(second, _)| *second);
        for points in points.chunk_by(|a, b| a.0 == b.0) {
            // What a second holds is told once for all of its series.
            let mut weight = Weight { logs: 0, metrics: points.len() as u64 };
            for aggregate in aggregates {
                let (suffix, kind, value) = aggregate.of(points);
                let second = points.first().map_or(0, |point| point.0);
                let pushed = self.series.push(std::mem::take(&mut weight), |out| {
                    out.extend_from_slice(b"{\"metric\":");
                    text(&format!("{name}{suffix}"), out);
                    out.extend_from_slice(b",\"type\":");
                    out.extend_from_slice(kind.as_bytes());
                    out.extend_from_slice(b",\"points\":[{\"timestamp\":");
                    out.extend_from_slice(itoa::Buffer::new().format(second).as_bytes());
                    out.extend_from_slice(b",\"value\":");
                    number(value, out);
                    out.extend_from_slice(b"}],\"tags\":");
                    out.extend_from_slice(tags);
                    if !host.is_empty() {
                        out.extend_from_slice(b",\"resources\":[{\"type\":\"host\",\"name\":");
                        text(host, out);
                        out.extend_from_slice(b"}]");
                    }
                    out.push(b'}');
                });
                if pushed.is_err() {
                    self.oversize += Weight { logs: 0, metrics: points.len() as u64 };
                    break;
                }
            }
        }
    }

    /// `{"check":"…","host_name":"…","status":1,"timestamp":1700000000,"tags":[…]}`
    fn check_runs(&mut self, name: &str, points: &[Point], tags: &[u8], host: &str) {
        for (second, value) in points {
            let status = CheckStatus::from_number(*value).map_or(3, CheckStatus::code);
            let second = (*second).max(self.now.seconds() - OLDEST_CHECK);
            let pushed = self.checks.push(Weight::METRIC, |out| {
                out.extend_from_slice(b"{\"check\":");
                text(name, out);
                out.extend_from_slice(b",\"host_name\":");
                text(host, out);
                out.extend_from_slice(b",\"status\":");
                out.extend_from_slice(itoa::Buffer::new().format(status).as_bytes());
                out.extend_from_slice(b",\"timestamp\":");
                out.extend_from_slice(itoa::Buffer::new().format(second).as_bytes());
                out.extend_from_slice(b",\"tags\":");
                out.extend_from_slice(tags);
                out.push(b'}');
            });
            if pushed.is_err() {
                self.oversize += Weight::METRIC;
            }
        }
    }
}

impl Nature {
    fn of(metric: &Metric<'_>, mode: super::Metrics) -> Self {
        match (metric.value.kind(), mode) {
            (Kind::Check, _) => Self::Check,
            (Kind::Gauge, _) => Self::Gauge,
            (Kind::Count | Kind::Histogram, super::Metrics::Distributions) => Self::Distribution,
            (Kind::Count, super::Metrics::Aggregates) => Self::Count,
            (Kind::Histogram, super::Metrics::Aggregates) => Self::Histogram,
        }
    }
}

impl Set {
    fn new(origin: &Origin, tags: &[Tag<'_>], settings: &[(String, String)]) -> Self {
        let function = origin.function.as_ref().map(|function| function.name.as_str());
        let of_function = |key: &'static str| function.map(|value| Tag { key, value });
        let shared = || settings.iter().chain(&origin.tags).map(|(key, value)| Tag { key, value });
        let place = [("region", &origin.region), ("aws_account", &origin.account)];
        let place = place.into_iter().filter_map(|(key, value)| Some(Tag { key, value: value.as_deref()? }));
        let own = tags.iter().map(|tag| match tag.key {
            // As the Datadog Forwarder calls it.
            "memory_size_mb" => Tag { key: "memorysize", value: tag.value },
            _ => *tag,
        });
        let named = of_function("function_name").filter(|named| tags.iter().all(|tag| tag.key != named.key));
        Self {
            generation: origin.generation,
            tags: tags.iter().map(|tag| (tag.key.to_owned(), tag.value.to_owned())).collect(),
            measure_tags: list(own.chain(place).chain(of_function("functionname")).chain(shared())),
            custom_tags: list(tags.iter().copied().chain(named).chain(shared())),
            host: function.unwrap_or(&origin.log_group).to_owned(),
            stream: origin.log_stream.clone(),
            measures: Default::default(),
            custom: BTreeMap::new(),
        }
    }

    fn push(&mut self, mode: super::Metrics, metric: &Metric<'_>) {
        let second = metric.time.seconds();
        match metric.name {
            Name::Measure(measure) => {
                let value = metric.value.number() / Datadog::words(measure).1;
                if let Some(points) = self.measures.get_mut(measure.index()) {
                    points.push((second, value));
                }
            }
            Name::Custom(name) => {
                let point = (second, metric.value.number());
                let nature = Nature::of(metric, mode);
                // A name that is known is legal.
                if let Some(points) = self.custom.get_mut(name).and_then(|natures| natures.get_mut(&nature)) {
                    points.push(point);
                    return;
                }
                let name = metric_name(name).map_or_else(|| "unnamed".to_owned(), Cow::into_owned);
                self.custom.entry(name).or_default().entry(nature).or_default().push(point);
            }
        }
    }

    fn is(&self, origin: &Origin, tags: &[Tag<'_>]) -> bool {
        self.generation == origin.generation
            && self.tags.len() == tags.len()
            && self.tags.iter().zip(tags).all(|((key, value), tag)| value == tag.value && key == tag.key)
    }
}

fn key(origin: &Origin, tags: &[Tag<'_>]) -> Vec<u8> {
    let mut key = Vec::with_capacity(128);
    key.extend_from_slice(&origin.generation.to_le_bytes());
    for tag in tags {
        key.extend_from_slice(&tag.key.len().to_le_bytes());
        key.extend_from_slice(tag.key.as_bytes());
        key.extend_from_slice(&tag.value.len().to_le_bytes());
        key.extend_from_slice(tag.value.as_bytes());
    }
    key
}

/// `["a:b","c"]`
fn list<'a>(tags: impl Iterator<Item = Tag<'a>>) -> Vec<u8> {
    let mut out = b"[".to_vec();
    for tag in tags {
        if out.len() > 1 {
            out.push(b',');
        }
        if tag.value.is_empty() {
            text(tag.key, &mut out);
        } else {
            text(&format!("{}:{}", tag.key, tag.value), &mut out);
        }
    }
    out.push(b']');
    out
}

/// What a second's values come to.
#[derive(Clone, Copy, Debug)]
enum Aggregate {
    Average,
    Count,
    Last,
    Maximum,
    Median,
    Minimum,
    Percentile95,
    Sum,
}

impl Aggregate {
    const HISTOGRAM: [Self; 6] =
        [Self::Average, Self::Count, Self::Maximum, Self::Minimum, Self::Median, Self::Percentile95];

    /// Suffix of the name, type with interval, and value.
    ///
    /// Types: 1 count, 2 rate, 3 gauge. As Datadog's agent does it
    /// (`pkg/metrics/histogram.go`): `.count` is a rate, and a percentile is the
    /// first value that at least so many of the sorted values don't exceed.
    fn of(self, points: &[Point]) -> (&'static str, &'static str, f64) {
        const GAUGE: &str = "3";
        let values = || points.iter().map(|(_, value)| *value);
        #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
        let count = points.len() as f64;
        match self {
            Self::Average => (".avg", GAUGE, values().sum::<f64>() / count),
            Self::Count => (".count", "2,\"interval\":1", count),
            Self::Last => ("", GAUGE, values().next_back().unwrap_or_default()),
            Self::Maximum => (".max", GAUGE, values().fold(f64::NEG_INFINITY, f64::max)),
            Self::Median => (".median", GAUGE, ranked(points, (points.len() - 1) / 2)),
            Self::Minimum => (".min", GAUGE, values().fold(f64::INFINITY, f64::min)),
            Self::Percentile95 => (".95percentile", GAUGE, ranked(points, (95 * points.len() - 1) / 100)),
            Self::Sum => ("", "1,\"interval\":1", values().sum()),
        }
    }
}

/// The value at a place of the sorted values.
fn ranked(points: &[Point], place: usize) -> f64 {
    let mut values: Vec<_> = points.iter().map(|(_, value)| *value).collect();
    values.sort_by(f64::total_cmp);
    values.get(place).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::float_cmp, reason = "these are exact")]
    fn aggregates_as_the_agent_does() {
        let points: Vec<Point> = [1.0, 3.0, 1.0, 2.0, 2.0, 3.0, 1.0, 2.0].map(|value| (7, value)).to_vec();
        let of = |aggregate: Aggregate| aggregate.of(&points).2;
        assert_eq!(Aggregate::HISTOGRAM.map(of), [1.875, 8.0, 3.0, 1.0, 2.0, 3.0]);
        let ten: Vec<Point> = (0..10).map(|value| (7, f64::from(value))).collect();
        assert_eq!(Aggregate::Median.of(&ten).2, 4.0);
        assert_eq!(Aggregate::Percentile95.of(&ten).2, 9.0);
        assert_eq!((Aggregate::Sum.of(&ten).2, Aggregate::Last.of(&ten).2), (45.0, 9.0));
    }
}
