use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use super::super::body::Body;
use super::super::hash::fnv_1a;
use super::super::line_protocol::{Field, Tags, field, key, tag, time};
use super::super::per_origin::PerOrigin;
use super::logs::place;
use super::{Guance, Number, OWN_TAGS, Vocabulary};
use crate::model::{Measure, Metric, Name, Origin, Timestamp};
use crate::request::Weight;

/// Where custom metrics go.
const CUSTOM: &str = "lambda_custom";

/// Nanoseconds of a millisecond, and of a second.
const MILLISECOND: u64 = 1_000_000;
const SECOND: u64 = 1_000_000_000;

/// Times that are known to be taken: some 2 MB.
const MAX_TAKEN: usize = 100_000;

/// Metrics on their way to Guance.
pub(super) struct Metrics {
    pub(super) body: Body,
    vocabulary: Vocabulary,
    rendered: PerOrigin<Rendered>,
    /// Measurement, tags and field of the custom metric at hand.
    head: Vec<u8>,
    taken: Taken,
}

/// Times that custom metrics of the batch have: what they hash to with everything else that tells them
/// apart, and the next one that may be free.
#[derive(Default)]
struct Taken(HashMap<u64, i64>);

/// What all measures of an origin share: measurement and tags.
struct Rendered {
    head: Vec<u8>,
    /// Whether the settings' tags tell a tenant.
    has_tenant: bool,
}

/// Measures that make one point: each at most once.
type Point<'m> = Vec<(Measure, &'m Metric<'m>)>;

impl Metrics {
    pub(super) fn new(body: Body, vocabulary: Vocabulary) -> Self {
        Self { body, vocabulary, rendered: PerOrigin::default(), head: Vec::new(), taken: Taken::default() }
    }

    /// Takes what one event measures; returns what can't be written.
    pub(super) fn push(&mut self, origin: &Origin, metrics: &[Metric<'_>]) -> Weight {
        let mut lost = Weight::default();
        let mut points: Vec<Point<'_>> = Vec::new();
        let spread = metrics.first().map_or(0, spread);
        for (place, metric) in metrics.iter().enumerate() {
            match metric.name {
                _ if !metric.value.number().is_finite() => lost += Weight::METRIC,
                Name::Custom(name) => lost += self.custom(origin, metric, name, (spread, place)),
                Name::Measure(measure) => {
                    match points.iter_mut().find(|point| point.iter().all(|(known, _)| *known != measure)) {
                        Some(point) => point.push((measure, metric)),
                        None => points.push(vec![(measure, metric)]),
                    }
                }
            }
        }
        for (place, point) in points.iter().enumerate() {
            lost += self.measures(origin, point, moved((spread, place), MILLISECOND));
        }
        lost
    }

    fn measures(&mut self, origin: &Origin, point: &Point<'_>, nanos: i64) -> Weight {
        let Self { body, vocabulary, rendered, .. } = self;
        let Rendered { head, has_tenant } = rendered.get(origin, || Rendered::new(origin, *vocabulary));
        let weight = Weight::metrics(point.len() as u64);
        let pushed = body.push(weight, |out| {
            out.extend_from_slice(head);
            memory_size(origin, point, out);
            tag("aws_lambda_initialization_type", initialization_type(origin, point), out);
            tag("tenant_id", told("tenant_id", point).filter(|_| !*has_tenant).unwrap_or_default(), out);
            let mut separator = b' ';
            for (measure, metric) in point {
                let value = metric.value.number();
                let value = match vocabulary.number(*measure) {
                    Number::Float => Field::Float(value),
                    Number::Whole => Field::Integer(value),
                };
                field(std::mem::replace(&mut separator, b','), Guance::words(*measure), value, out);
            }
            time(point.first().map_or(0, |(_, metric)| metric.time.millis()), nanos, out);
        });
        if pushed.is_ok() { Weight::default() } else { weight }
    }

    fn custom(&mut self, origin: &Origin, metric: &Metric<'_>, name: &str, place: (u64, usize)) -> Weight {
        let name = key(name);
        let mut tags = Tags::default();
        for tag in metric.tags {
            tags.join(tag.key, tag.value, |key| key == name);
        }
        if let Some(function) = &origin.function {
            tags.add_free("function_name", &function.name, |key| key == name);
        }
        for (key, value) in &origin.tags {
            tags.add_free(key, value, |key| key == name);
        }
        let Self { body, head, taken, .. } = self;
        head.clear();
        head.extend_from_slice(CUSTOM.as_bytes());
        tags.write(head);
        // Many are told by the second, and a second may have thousands.
        let room = if metric.time.millis() % 1000 == 0 { SECOND } else { MILLISECOND };
        let nanos = taken.free(head, &name, metric.time, moved(place, room));
        let pushed = body.push(Weight::METRIC, |out| {
            out.extend_from_slice(head);
            field(b' ', &name, Field::Float(metric.value.number()), out);
            time(metric.time.millis(), nanos, out);
        });
        if pushed.is_ok() { Weight::default() } else { Weight::METRIC }
    }
}

impl Taken {
    /// By how many ns a point is moved: by so many, or more if there is one already.
    ///
    /// The same in each replay of a batch, as nothing of the process goes into the hash.
    fn free(&mut self, head: &[u8], name: &str, time: Timestamp, nanos: i64) -> i64 {
        if self.0.len() >= MAX_TAKEN {
            self.0.clear();
        }
        let hash = |nanos: i64| {
            let mut hasher = DefaultHasher::new();
            (head, name, time.millis(), nanos).hash(&mut hasher);
            hasher.finish()
        };
        let mut free = nanos;
        while let Some(next) = self.0.get(&hash(free)) {
            free = *next;
        }
        self.0.insert(hash(free), free + 1);
        // Who begins here again need not go through all of them.
        self.0.insert(hash(nanos), free + 1);
        free
    }
}

impl Rendered {
    fn new(origin: &Origin, vocabulary: Vocabulary) -> Self {
        let taken = |key: &str| OWN_TAGS.contains(&key) || Measure::ALL.iter().any(|measure| measure.name() == key);
        let mut tags = place(origin, vocabulary);
        for (key, value) in &origin.tags {
            tags.add_free(key, value, taken);
        }
        let mut head = vocabulary.metric().as_bytes().to_vec();
        let has_tenant = tags.has("tenant_id");
        tags.write(&mut head);
        Self { head, has_tenant }
    }
}

/// What the event's metrics are tagged with under a key.
fn told<'m>(key: &str, point: &Point<'m>) -> Option<&'m str> {
    point.iter().flat_map(|(_, metric)| metric.tags).find(|tag| tag.key == key).map(|tag| tag.value)
}

/// The memory that the event tells, or else the function has.
fn memory_size(origin: &Origin, point: &Point<'_>, out: &mut Vec<u8>) {
    const KEY: &str = "aws_lambda_function_memory_size";
    let known = origin.function.as_ref().and_then(|function| function.memory_size_mb);
    match (told("memory_size_mb", point), known) {
        (Some(told), _) => tag(KEY, told, out),
        (None, Some(known)) => tag(KEY, itoa::Buffer::new().format(known), out),
        (None, None) => {}
    }
}

/// How the function was started: as its lines say, or as what they measure tells.
fn initialization_type<'o>(origin: &'o Origin, point: &Point<'_>) -> &'o str {
    let measures = |wanted| point.iter().any(|(measure, _)| *measure == wanted);
    let known = origin.function.as_ref().and_then(|function| function.initialization_type.as_deref());
    match known {
        Some(known) => known,
        None if measures(Measure::RestoreDuration) => "snap-start",
        None if measures(Measure::InitDuration) && measures(Measure::Invocations) => "on-demand",
        None => "",
    }
}

/// What an event's points are moved by: a hash of its id.
///
/// One event may be told in parts, which must not take each other's place.
fn spread(first: &Metric<'_>) -> u64 {
    let parts = [first.event_id, first.request_id.unwrap_or_default(), first.name.as_str()];
    let hash = fnv_1a(parts.iter().flat_map(|part| part.bytes()));
    // The low bits alone are the weak ones.
    hash ^ hash >> 32
}

/// The same for one of several points of an event, within so many ns.
fn moved((spread, place): (u64, usize), room: u64) -> i64 {
    i64::try_from((spread % room + place as u64) % room).unwrap_or_default()
}
