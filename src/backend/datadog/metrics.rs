use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use super::super::body::Body;
use super::super::order::by_time;
use super::super::write::{number, text};
use super::aggregate::{Aggregate, Point};
use super::forms::Forms;
use super::{CustomAs, Datadog, tags};
use crate::model::{CheckStatus, Measure, Metric, Name, Origin, Tag, Timestamp, Value};
use crate::parse::metric_name;
use crate::request::{Request, Weight};

/// Points that are held before they are written: some 2 MB.
const MAX_HELD: usize = 100_000;

/// Values of measures that are put down as they come, before each goes to the others of its series.
const MAX_NEW: usize = 512;

/// Points of one series in one item, so that a request can still be cut.
const MAX_POINTS: usize = 5_000;

/// "Service checks: timestamps up to 10 minutes in the past": a minute less.
const OLDEST_CHECK: i64 = 9 * 60;

/// Metrics on their way to Datadog: held until the batch ends, as a series says its name and tags once.
pub(super) struct Metrics {
    mode: CustomAs,
    tags: Vec<(String, String)>,
    now: Timestamp,
    distributions: Body,
    series: Body,
    checks: Body,
    forms: Forms,
    /// What comes in each form, by its number.
    by_form: Vec<ByForm>,
    /// Measures that aren't in `by_form` yet: to put one behind the other takes no memory but theirs,
    /// while the ends of all series have left the processor's cache when the next invocation comes.
    rows: Vec<Row>,
    /// The values of the rows, one after the other.
    new: Vec<(Measure, f64)>,
    custom: Vec<Custom>,
    /// Place in `custom` of what is written with the same tags.
    by_written: HashMap<Vec<u8>, usize>,
    held: usize,
    oversize: Weight,
}

/// What comes with one origin and the same tags; several forms may be written as the same.
#[derive(Default)]
struct ByForm {
    /// Measures that come so: as distributions, which Datadog itself adds to each other.
    measures: Option<Box<Measures>>,
    /// Place of the custom metrics that come so.
    custom: Option<usize>,
}

/// Measures that came together.
struct Row {
    /// Number of their form.
    form: usize,
    second: i64,
    /// How many values there are.
    len: usize,
}

/// Measures that share tags.
struct Measures {
    /// `["a:b","c:d"]`
    tags: Vec<u8>,
    points: [Vec<Point>; Measure::ALL.len()],
}

/// Custom metrics that are written with the same tags and host, so that a second of theirs is one point:
/// of two Datadog keeps the last.
#[derive(Default)]
struct Custom {
    /// As they came first: `["a:b","c:d"]`.
    tags: Vec<u8>,
    host: String,
    stream: String,
    points: BTreeMap<String, [Vec<Point>; Nature::ALL.len()]>,
}

/// What becomes of a custom metric.
#[derive(Clone, Copy, Debug)]
enum Nature {
    Check,
    Count,
    Distribution,
    Gauge,
    Histogram,
}

impl Metrics {
    pub(super) fn new(
        mode: CustomAs,
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
            forms: Forms::default(),
            by_form: Vec::new(),
            rows: Vec::new(),
            new: Vec::new(),
            custom: Vec::new(),
            by_written: HashMap::new(),
            held: 0,
            oversize: Weight::default(),
        }
    }

    /// Takes metrics of one event.
    pub(super) fn push(&mut self, origin: &Origin, metrics: &[Metric<'_>]) {
        let mode = self.mode;
        let together =
            |one: &Metric<'_>, other: &Metric<'_>| std::ptr::eq(one.tags, other.tags) && one.time == other.time;
        for metrics in metrics.chunk_by(together) {
            let Some(Metric { tags, time, .. }) = metrics.first() else { continue };
            let form = self.forms.number(origin, tags);
            if form == self.by_form.len() {
                self.by_form.push(ByForm::default());
            }
            let known = self.new.len();
            for metric in metrics {
                match metric.name {
                    Name::Measure(measure) => self.new.push((measure, metric.value.number())),
                    Name::Custom(name) => {
                        if let Some(custom) = self.custom(form, origin, tags) {
                            custom.push(mode, name, metric);
                        }
                    }
                }
            }
            let len = self.new.len() - known;
            if len > 0 {
                self.row(Row { form, second: time.seconds(), len }, origin, tags);
            }
            self.held += metrics.len();
        }
        if self.held >= MAX_HELD {
            self.flush();
        } else if self.new.len() >= MAX_NEW {
            self.sort_out();
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

    fn row(&mut self, row: Row, origin: &Origin, tags: &[Tag<'_>]) {
        if let Some(form) = self.by_form.get_mut(row.form).filter(|form| form.measures.is_none()) {
            form.measures = Some(Box::new(Measures::new(origin, tags, &self.tags)));
        }
        self.rows.push(row);
    }

    /// Puts new values of measures behind the others of their series.
    fn sort_out(&mut self) {
        let mut new = self.new.drain(..);
        for Row { form, second, len } in self.rows.drain(..) {
            let mut measures = self.by_form.get_mut(form).and_then(|form| form.measures.as_mut());
            for (measure, value) in new.by_ref().take(len) {
                if let Some(points) = measures.as_mut().and_then(|of| of.points.get_mut(measure.index())) {
                    points.push((second, value));
                }
            }
        }
    }

    /// The custom metrics that are written as this form is.
    fn custom(&mut self, form: usize, origin: &Origin, tags: &[Tag<'_>]) -> Option<&mut Custom> {
        let known = self.by_form.get(form)?.custom;
        let place = known.unwrap_or_else(|| self.new_custom(form, origin, tags));
        self.custom.get_mut(place)
    }

    /// The place of custom metrics that come in a form for the first time.
    #[cold]
    fn new_custom(&mut self, form: usize, origin: &Origin, tags: &[Tag<'_>]) -> usize {
        let written = tags::of_custom(origin, tags, &self.tags);
        let next = self.custom.len();
        let place = *self.by_written.entry(tags::key(origin, &written)).or_insert(next);
        if place == next {
            self.custom.push(Custom::new(origin, &written));
        }
        if let Some(form) = self.by_form.get_mut(form) {
            form.custom = Some(place);
        }
        place
    }

    /// Writes what is held.
    fn flush(&mut self) {
        self.sort_out();
        self.forms.clear();
        self.by_written.clear();
        self.held = 0;
        let mut custom = std::mem::take(&mut self.custom);
        for form in std::mem::take(&mut self.by_form) {
            if let Some(measures) = form.measures {
                for (measure, points) in Measure::ALL.into_iter().zip(measures.points) {
                    let (name, unit) = Datadog::words(measure);
                    self.distribution(name, points, unit, &measures.tags);
                }
            }
            // What several forms share is written with the first.
            if let Some(custom) = form.custom.and_then(|place| custom.get_mut(place)) {
                self.customs(std::mem::take(custom));
            }
        }
    }

    fn customs(&mut self, custom: Custom) {
        let Custom { tags, host, stream, points } = custom;
        let points = points
            .into_iter()
            .flat_map(|(name, points)| Nature::ALL.into_iter().zip(points).map(move |of| (name.clone(), of)));
        for (name, (nature, points)) in points {
            match nature {
                Nature::Check => self.check_runs(&name, &points, &tags, &host),
                Nature::Count => self.aggregated(&name, points, &tags, &stream, &[Aggregate::Sum]),
                Nature::Distribution => self.distribution(&name, points, 1.0, &tags),
                Nature::Gauge => self.aggregated(&name, points, &tags, "", &[Aggregate::Last]),
                Nature::Histogram => self.aggregated(&name, points, &tags, &stream, &Aggregate::HISTOGRAM),
            }
        }
    }

    /// `{"metric":"…","type":"distribution","points":[[1700000000,[0.012,0.02]]],"tags":[…]}`, the values in a `unit`
    fn distribution(&mut self, name: &str, mut points: Vec<Point>, unit: f64, tags: &[u8]) {
        by_time(&mut points);
        for points in points.chunks(MAX_POINTS) {
            let weight = Weight::metrics(points.len() as u64);
            let pushed = self.distributions.push(weight, |out| {
                out.extend_from_slice(b"{\"metric\":");
                text(name, out);
                out.extend_from_slice(b",\"type\":\"distribution\",\"points\":[");
                for (index, of_second) in points.chunk_by(|a, b| a.0 == b.0).enumerate() {
                    if index > 0 {
                        out.push(b',');
                    }
                    out.push(b'[');
                    let second = of_second.first().map_or(0, |point| point.0);
                    out.extend_from_slice(itoa::Buffer::new().format(second).as_bytes());
                    for (index, (_, value)) in of_second.iter().enumerate() {
                        out.push(b',');
                        if index == 0 {
                            out.push(b'[');
                        }
                        number(*value / unit, out);
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
        by_time(&mut points);
        for points in points.chunk_by(|a, b| a.0 == b.0) {
            // What a second holds is told once for all of its series.
            let mut weight = Weight::metrics(points.len() as u64);
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
                    self.oversize += Weight::metrics(points.len() as u64);
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
    /// In the order in which they are written.
    const ALL: [Self; 5] = [Self::Check, Self::Count, Self::Distribution, Self::Gauge, Self::Histogram];

    fn of(metric: &Metric<'_>, mode: CustomAs) -> Self {
        match (metric.value, mode) {
            (Value::Check(_), _) => Self::Check,
            (Value::Gauge(_), _) => Self::Gauge,
            (Value::Distribution(_), _) | (Value::Count(_) | Value::Histogram(_), CustomAs::Distributions) => {
                Self::Distribution
            }
            (Value::Count(_), CustomAs::Aggregates) => Self::Count,
            (Value::Histogram(_), CustomAs::Aggregates) => Self::Histogram,
        }
    }
}

impl Measures {
    #[cold]
    fn new(origin: &Origin, tags: &[Tag<'_>], settings: &[(String, String)]) -> Self {
        Self { tags: tags::list(&tags::of_measure(origin, tags, settings)), points: Default::default() }
    }
}

impl Custom {
    #[cold]
    fn new(origin: &Origin, tags: &[Tag<'_>]) -> Self {
        let host = tags::function(origin).unwrap_or(&origin.log_group).to_owned();
        Self { tags: tags::list(tags), host, stream: origin.log_stream.clone(), points: BTreeMap::new() }
    }

    fn push(&mut self, mode: CustomAs, name: &str, metric: &Metric<'_>) {
        let point = (metric.time.seconds(), metric.value.number());
        let nature = Nature::of(metric, mode);
        // A name that is known is legal.
        let points = match self.points.get_mut(name) {
            Some(points) => points,
            None => self.named(name),
        };
        if let Some(points) = points.get_mut(nature as usize) {
            points.push(point);
        }
    }

    /// The points of a name that comes for the first time.
    #[cold]
    fn named(&mut self, name: &str) -> &mut [Vec<Point>; Nature::ALL.len()] {
        let name = metric_name(name).map_or_else(|| "unnamed".to_owned(), Cow::into_owned);
        self.points.entry(name).or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::{Context, Encode};
    use super::*;
    use crate::env::Env;
    use crate::model::{Forwarder, Function, Sink, Value};

    /// Bodies of what is pushed with `LOGFERRY_DATADOG_METRICS=aggregates`.
    fn bodies(push: impl FnOnce(&mut super::super::Encoder<'_>)) -> Vec<String> {
        let pairs = [("DD_API_KEY", "x"), ("DD_USE_COMPRESSION", "false"), ("LOGFERRY_DATADOG_METRICS", "aggregates")];
        let lookup = |name: &str| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        let datadog = Datadog::from_env(&mut Env::new(&lookup)).unwrap();
        let forwarder = Forwarder::default();
        let now = Timestamp::from_millis(1_764_000_030_000);
        let mut encoder = datadog.encoder(&Context { forwarder: &forwarder, now });
        push(&mut encoder);
        let requests = encoder.finish().requests;
        requests.into_iter().map(|request| String::from_utf8(request.body).unwrap()).collect()
    }

    fn origin(generation: u32, stream: &str) -> Origin {
        let memory_size_mb = (generation > 1).then_some(128);
        let function = Function { name: "checkout".into(), memory_size_mb, ..Function::default() };
        Origin { generation, log_stream: stream.to_owned(), function: Some(function), ..Origin::default() }
    }

    fn push(encoder: &mut super::super::Encoder<'_>, origin: &Origin, value: Value, tags: &str) {
        let tags: Vec<_> = tags.split(',').filter(|tag| !tag.is_empty()).map(Tag::parse).collect();
        let (name, time) = (Name::Custom("orders"), Timestamp::from_millis(1_764_000_000_123));
        let metric =
            Metric { name, time, written: time, value, unit: None, tags: &tags, request_id: None, event_id: "1" };
        encoder.metrics(origin, &[metric]);
    }

    #[test]
    fn a_second_of_a_series_is_one_point_however_its_tags_come() {
        let series = |kind: &str, name: &str, value: &str, tags: &str, host: &str| {
            let host = if host.is_empty() {
                String::new()
            } else {
                format!(r#","resources":[{{"type":"host","name":"{host}"}}]"#)
            };
            format!(
                r#"{{"metric":"{name}","type":{kind},"points":[{{"timestamp":1764000000,"value":{value}}}],"tags":[{tags}]{host}}}"#
            )
        };
        let body = |all: &[String]| vec![format!(r#"{{"series":[{}]}}"#, all.join(","))];
        let (count, rate, both) = (r#"1,"interval":1"#, r#"2,"interval":1"#, r#""a:1","b:2","function_name:checkout""#);
        let values = [(1, "a:1,b:2", 1.0), (1, "b:2,a:1", 10.0), (2, "a:1,b:2,function_name:checkout", 100.0)];
        let pushed = |value: fn(f64) -> Value| {
            bodies(|encoder| {
                for (generation, tags, number) in values.iter().chain(&values) {
                    push(encoder, &origin(*generation, "s"), value(*number), tags);
                }
            })
        };
        assert_eq!(pushed(Value::Count), body(&[series(count, "orders", "222", both, "s")]));
        assert_eq!(pushed(Value::Gauge), body(&[series("3", "orders", "100", both, "")]));
        assert_eq!(
            pushed(Value::Histogram),
            body(&[
                series("3", "orders.avg", "37", both, "s"),
                series(rate, "orders.count", "6", both, "s"),
                series("3", "orders.max", "100", both, "s"),
                series("3", "orders.min", "1", both, "s"),
                series("3", "orders.median", "10", both, "s"),
                series("3", "orders.95percentile", "100", both, "s"),
            ])
        );
        // Whose author wants a distribution has one.
        let point =
            r#"{"series":[{"metric":"orders","type":"distribution","points":[[1764000000,[1,10,100,1,10,100]]],"#;
        assert_eq!(pushed(Value::Distribution), [format!(r#"{point}"tags":[{both}]}}]}}"#)]);
        // What differs in a tag or in the stream is another series.
        let apart = bodies(|encoder| {
            let pushed = [("s", "a:1"), ("s", "a:12"), ("t", "a:1"), ("s", "a"), ("s", "a:1,a:1")];
            for (generation, (stream, tags)) in (1..).zip(pushed) {
                push(encoder, &origin(generation, stream), Value::Count(1.0), tags);
            }
        });
        let named = |tag: &str| format!(r#"{tag},"function_name:checkout""#);
        let expected = [("2", r#""a:1""#, "s"), ("1", r#""a:12""#, "s"), ("1", r#""a:1""#, "t"), ("1", r#""a""#, "s")];
        let expected = expected.map(|(value, tag, host)| series(count, "orders", value, &named(tag), host));
        assert_eq!(apart, body(&expected));
    }

    #[test]
    fn forms_that_look_alike_are_kept_apart() {
        let tags =
            |number: usize| format!("path:/checkout/{}/confirm", char::from(b'a' + u8::try_from(number).unwrap()));
        // More of them than are looked through, in turn and back.
        for forms in [2, 8, 9, 20] {
            let pushed = bodies(|encoder| {
                for number in (0..forms).chain((0..forms).rev()).chain(0..forms) {
                    push(encoder, &origin(1, "s"), Value::Count(1.0), &tags(number));
                    push(encoder, &origin(1, "s"), Value::Count(1.0), &format!("number:{number}"));
                }
            });
            assert_eq!(pushed[0].matches(r#""value":3}"#).count(), 2 * forms);
            assert_eq!(pushed[0].matches(r#""value":"#).count(), 2 * forms);
        }
    }
}
