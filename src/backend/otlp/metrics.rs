use std::sync::Arc;

use super::super::body::Body;
use super::histogram::Aggregation;
use super::resource::{Any, Attribute, Detail, Shared, Signal, attributes, distinct, frame, resource};
use super::series::{Data, Identity, Resource, Series, Table};
use super::words;
use super::writer::{Field, Format, Writer};
use crate::model::{Forwarder, Kind, Metric, Name, Origin, Tag, Timestamp};
use crate::request::{Request, Weight};

/// What the value of a point covers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Temporality {
    /// Everything since its series began, in this process.
    Cumulative,
    /// The batch.
    Delta,
}

const METRICS: Field = (2, "metrics");
const DATA_POINTS: Field = (1, "dataPoints");
const START: Field = (2, "startTimeUnixNano");
const TIME: Field = (3, "timeUnixNano");

/// What the settings say of metrics.
#[derive(Clone, Copy, Debug)]
pub(super) struct Manner {
    pub(super) format: Format,
    pub(super) temporality: Temporality,
    pub(super) aggregation: Aggregation,
}

/// Metrics on their way to a collector: added up until the batch ends.
///
/// ```text
/// {"name":"faas.invocations","description":"…","unit":"{invocation}","sum":{"dataPoints":[{"attributes":[…],
///  "startTimeUnixNano":"…","timeUnixNano":"…","asInt":"3"}],"aggregationTemporality":1,"isMonotonic":true}}
/// ```
///
/// Each item is a metric with one point, so that a body can be cut between any
/// two points, and each is accounted for by itself.
pub(super) struct Metrics<'b> {
    body: Body,
    manner: Manner,
    table: &'b mut Table,
    shared: &'b Shared,
    forwarder: &'b Forwarder,
    now: Timestamp,
    /// Generation of the origin at hand, and its resource.
    current: Option<(u32, Arc<Resource>)>,
    oversize: Weight,
}

impl<'b> Metrics<'b> {
    pub(super) fn new(
        body: Body,
        manner: Manner,
        table: &'b mut Table,
        shared: &'b Shared,
        forwarder: &'b Forwarder,
        now: Timestamp,
    ) -> Self {
        table.begin(manner.temporality == Temporality::Delta);
        Self { body, manner, table, shared, forwarder, now, current: None, oversize: Weight::default() }
    }

    /// Takes what one event measures.
    pub(super) fn push(&mut self, origin: &Origin, metrics: &[Metric<'_>]) {
        let cumulative = self.manner.temporality == Temporality::Cumulative;
        let resource = self.resource(origin);
        let counted = cumulative && metrics.first().is_some_and(|first| self.table.was_counted(origin, first.event_id));
        for metric in metrics {
            let version = origin.function.as_ref().and_then(|function| function.version.as_deref());
            // Without the stream the version isn't told by the resource.
            let version = version.filter(|_| cumulative).unwrap_or_default();
            if self.table.is_full() {
                self.flush();
                self.table.make_room();
            }
            let manner = self.manner;
            let series = self.table.series(&resource, version, metric, || {
                Series::new(identity(origin, metric, manner), Arc::clone(&resource), metric, manner.aggregation)
            });
            if let Some(series) = series {
                series.take(scaled(metric), metric.moment(), counted);
            }
        }
    }

    pub(super) fn has_ready(&self) -> bool {
        self.body.has_ready()
    }

    pub(super) fn take_ready(&mut self) -> Vec<Request> {
        self.body.take_ready()
    }

    pub(super) fn finish(mut self) -> (Vec<Request>, Weight) {
        self.flush();
        (self.body.finish(), self.oversize)
    }

    /// The resource of an origin.
    fn resource(&mut self, origin: &Origin) -> Arc<Resource> {
        if let Some((generation, resource)) = &self.current
            && *generation == origin.generation
        {
            return Arc::clone(resource);
        }
        let Manner { format, temporality, .. } = self.manner;
        let detail = match temporality {
            Temporality::Cumulative => Detail::Writer(self.forwarder),
            Temporality::Delta => Detail::Stream,
        };
        let resource = self.table.resource(resource(format, self.shared, origin, detail));
        self.current = Some((origin.generation, Arc::clone(&resource)));
        resource
    }

    /// Writes all series that hold something of this batch.
    fn flush(&mut self) {
        let Self { body, manner, table, now, oversize, .. } = self;
        let mut resource = None;
        for series in table.touched() {
            let Resource { number, attributes } = series.resource();
            if resource != Some(*number) {
                body.reframe(&frame(manner.format, Signal::Metrics, attributes));
                resource = Some(*number);
            }
            let interval = match manner.temporality {
                Temporality::Cumulative => series.stamp(*now),
                Temporality::Delta => series.interval(),
            };
            let weight = Weight::metrics(series.take_weight());
            let pushed = body.push(weight, |out| {
                manner.format.item(METRICS, out, |writer| write(series, interval, manner.temporality, writer));
            });
            if pushed.is_err() {
                *oversize += weight;
            }
        }
        if manner.temporality == Temporality::Delta {
            table.clear();
        }
    }
}

/// The value in the unit that its name stands for.
fn scaled(metric: &Metric<'_>) -> f64 {
    let divisor = match metric.name {
        Name::Custom(_) => 1.0,
        Name::Measure(measure) => words::words(measure).2,
    };
    metric.value.number() / divisor
}

/// What never changes of a series, as it is written.
fn identity(origin: &Origin, metric: &Metric<'_>, manner: Manner) -> Identity {
    let (name, description, unit) = match metric.name {
        Name::Custom(name) => (words::or_unnamed(name), "", words::unit(metric.unit)),
        Name::Measure(measure) => {
            let (name, unit, _) = words::words(measure);
            (name, words::description(measure), unit)
        }
    };
    let head = manner.format.fields(|writer| {
        writer.text((1, "name"), name);
        if !description.is_empty() {
            writer.text((2, "description"), description);
        }
        if !unit.is_empty() {
            writer.text((3, "unit"), unit);
        }
    });
    let number = match (metric.value.kind(), manner.aggregation) {
        (Kind::Histogram, Aggregation::Explicit) => 9,
        (Kind::Histogram, Aggregation::Exponential) => 1,
        (Kind::Check | Kind::Count | Kind::Gauge, _) => 7,
    };
    let tags = joined(metric.tags);
    let mut point = distinct(point_attributes(origin, metric, &tags, manner.temporality));
    let written = |point: &[_]| manner.format.fields(|writer| attributes((number, "attributes"), point, writer));
    let attributes = written(&point);
    point.sort_unstable_by_key(|(key, _)| *key);
    let whole = matches!(metric.name, Name::Measure(measure) if measure.is_whole());
    Identity { head, unit: unit.to_owned(), attributes, sorted: written(&point), whole }
}

/// Tags, those of the same key joined by commas, and each under a key.
fn joined<'a>(tags: &[Tag<'a>]) -> Vec<(&'a str, String)> {
    let mut joined: Vec<(&str, String)> = Vec::with_capacity(tags.len());
    for tag in tags {
        let own = words::or_unnamed(tag.key);
        match joined.iter_mut().find(|(key, _)| *key == own) {
            None => joined.push((own, tag.value.to_owned())),
            Some((_, value)) => {
                value.push(',');
                value.push_str(tag.value);
            }
        }
    }
    joined
}

fn point_attributes<'a>(
    origin: &'a Origin,
    metric: &Metric<'_>,
    tags: &'a [(&'a str, String)],
    temporality: Temporality,
) -> Vec<Attribute<'a>> {
    let is_measure = matches!(metric.name, Name::Measure(_));
    let mut all: Vec<Attribute<'a>> = Vec::with_capacity(tags.len() + 5);
    for (key, value) in tags {
        let memory = || Some(value.parse::<i64>().ok()?.saturating_mul(1 << 20));
        all.push(match (*key, value.as_str()) {
            ("cold_start", "true" | "false") if is_measure => ("faas.coldstart", Any::Boolean(value == "true")),
            ("memory_size_mb", text) if is_measure => {
                ("faas.max_memory", memory().map_or(Any::Text(text), Any::Integer))
            }
            (key, text) => (key, Any::Text(text)),
        });
    }
    let function = origin.function.as_ref();
    let mut add = |key, value: Option<&'a str>| all.extend(value.map(|value| (key, Any::Text(value))));
    let name = function.map(|function| function.name.as_str());
    add("function_name", name.filter(|_| !is_measure));
    if temporality == Temporality::Cumulative {
        // What tells series apart has to stand at the points where a receiver makes labels of these alone.
        add("faas.name", name);
        add("faas.version", function.and_then(|function| function.version.as_deref()));
        add("cloud.region", origin.region.as_deref());
        add("cloud.account.id", origin.account.as_deref());
        if function.is_none() {
            all.push(("aws.log.group.names", Any::List(&origin.log_group)));
        }
    }
    all
}

/// The fields of a metric with one point.
fn write(series: &Series, (start, time): (u64, u64), temporality: Temporality, writer: &mut Writer<'_>) {
    let Identity { head, attributes, whole, .. } = series.identity();
    let temporality = match temporality {
        Temporality::Delta => 1,
        Temporality::Cumulative => 2,
    };
    let times = |writer: &mut Writer<'_>| {
        writer.fields(attributes);
        writer.fixed64(START, start);
        writer.fixed64(TIME, time);
    };
    writer.fields(head);
    match series.data() {
        Data::Gauge { value, .. } => writer.message((5, "gauge"), |writer| {
            writer.list(DATA_POINTS, &[value], |value, writer| {
                writer.fields(attributes);
                writer.fixed64(TIME, time);
                write_number(**value, *whole, writer);
            });
        }),
        Data::Sum { value, monotonic } => writer.message((7, "sum"), |writer| {
            writer.list(DATA_POINTS, &[value], |value, writer| {
                times(writer);
                write_number(**value, *whole, writer);
            });
            writer.choice((2, "aggregationTemporality"), temporality);
            writer.boolean((3, "isMonotonic"), *monotonic);
        }),
        Data::Histogram(histogram) => {
            let field = if histogram.is_exponential() { (10, "exponentialHistogram") } else { (9, "histogram") };
            writer.message(field, |writer| {
                writer.list(DATA_POINTS, &[histogram], |histogram, writer| {
                    times(writer);
                    histogram.write(writer);
                });
                writer.choice((2, "aggregationTemporality"), temporality);
            });
        }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "whole, and a sum beyond the range is the largest")]
fn write_number(value: f64, whole: bool, writer: &mut Writer<'_>) {
    if whole {
        writer.signed_fixed64((6, "asInt"), value as i64);
    } else {
        writer.double((4, "asDouble"), value);
    }
}
