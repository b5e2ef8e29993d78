use std::collections::HashMap;

use super::super::body::Body;
use super::super::key::part;
use super::super::write::{finite, number, text};
use super::attributes::{Attributes, MAX_OWN, MAX_SHARED};
use super::logs::place;
use super::{NewRelic, Route};
use crate::model::{Kind, Metric, Name, Origin, Tag, Timestamp};
use crate::request::{Frame, Request, Weight};

/// Items that are held before they are written: some 5 MB.
const MAX_HELD: usize = 10_000;

/// "Metric name: maximum 255 characters".
const MAX_NAME: usize = 255;

/// Metrics on their way to New Relic: held until the batch ends, as what a second's values come to is one item.
pub(super) struct Metrics<'b> {
    pub(super) body: Body,
    tags: &'b [(String, String)],
    /// What the items that are held share.
    shared: Option<(u32, Frame)>,
    held: Vec<Held>,
    /// Place in `held` of each name, nature, set of tags and second.
    places: HashMap<Vec<u8>, usize>,
    lost: Weight,
}

/// What the values of a second come to.
struct Held {
    name: String,
    kind: Kind,
    attributes: Vec<u8>,
    second: i64,
    last: (Timestamp, f64),
    count: u64,
    sum: f64,
    min: f64,
    max: f64,
}

impl<'b> Metrics<'b> {
    pub(super) fn new(body: Body, tags: &'b [(String, String)]) -> Self {
        Self { body, tags, shared: None, held: Vec::new(), places: HashMap::new(), lost: Weight::default() }
    }

    pub(super) fn push(&mut self, origin: &Origin, metrics: &[Metric<'_>]) {
        if self.shared.as_ref().is_none_or(|(generation, _)| *generation != origin.generation) {
            let frame = self.frame(origin);
            if self.shared.as_ref().is_some_and(|(_, before)| *before != frame) {
                self.flush();
            }
            self.body.reframe(&frame);
            self.shared = Some((origin.generation, frame));
        }
        for metric in metrics {
            self.hold(origin, metric);
        }
    }

    pub(super) fn finish(mut self) -> (Vec<Request>, Weight) {
        self.flush();
        (self.body.finish(), self.lost)
    }

    fn frame(&self, origin: &Origin) -> Frame {
        let mut attributes = Attributes::new(MAX_SHARED);
        place(origin, &mut attributes);
        for (key, value) in self.tags.iter().chain(&origin.tags) {
            attributes.add(key, value);
        }
        Route::Metrics.frame(&attributes.to_json())
    }

    fn hold(&mut self, origin: &Origin, metric: &Metric<'_>) {
        let value = metric.value.number();
        if !value.is_finite() {
            self.lost += Weight::METRIC;
            return;
        }
        let next = self.held.len();
        let place = *self.places.entry(key(metric)).or_insert(next);
        if place == next {
            self.held.push(Held::new(origin, metric));
        }
        if let Some(held) = self.held.get_mut(place) {
            held.add(metric.time, value);
        }
        if self.held.len() >= MAX_HELD {
            self.flush();
        }
    }

    /// Writes what is held.
    fn flush(&mut self) {
        self.places.clear();
        for held in self.held.drain(..) {
            let weight = Weight::metrics(held.count);
            if self.body.push(weight, |out| held.write(out)).is_err() {
                self.lost += weight;
            }
        }
    }
}

impl Held {
    fn new(origin: &Origin, metric: &Metric<'_>) -> Self {
        let mut attributes = Attributes::new(MAX_OWN);
        // What every custom metric has comes first: there may be more tags than there is room.
        let function = origin.function.as_ref().filter(|_| matches!(metric.name, Name::Custom(_)));
        if metric.tags.iter().all(|tag| tag.key != "function_name") {
            attributes.add_some("function_name", function.map(|function| function.name.as_str()));
        }
        for Tag { key, value } in metric.tags {
            attributes.join(key, value);
        }
        let name = match metric.name {
            Name::Measure(measure) => NewRelic::words(measure),
            Name::Custom(name) if name.trim().is_empty() => "unnamed",
            Name::Custom(name) => name,
        };
        Self {
            name: name.chars().take(MAX_NAME).collect(),
            kind: metric.value.kind(),
            attributes: attributes.to_json(),
            second: metric.time.seconds(),
            last: (metric.time, 0.0),
            count: 0,
            sum: 0.0,
            min: f64::INFINITY,
            max: f64::NEG_INFINITY,
        }
    }

    fn add(&mut self, time: Timestamp, value: f64) {
        if time >= self.last.0 {
            self.last = (time, value);
        }
        self.count += 1;
        self.sum = finite(self.sum + value);
        (self.min, self.max) = (self.min.min(value), self.max.max(value));
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"name\":");
        text(&self.name, out);
        let (time, interval): (_, &[u8]) = match self.kind {
            Kind::Check | Kind::Gauge => {
                out.extend_from_slice(b",\"type\":\"gauge\",\"value\":");
                number(self.last.1, out);
                (self.last.0.millis(), b"")
            }
            Kind::Count if self.sum >= 0.0 => {
                out.extend_from_slice(b",\"type\":\"count\",\"value\":");
                number(self.sum, out);
                (self.second.saturating_mul(1000), b",\"interval.ms\":1000")
            }
            Kind::Count | Kind::Histogram => {
                out.extend_from_slice(b",\"type\":\"summary\",\"value\":{\"count\":");
                out.extend_from_slice(itoa::Buffer::new().format(self.count).as_bytes());
                for (key, value) in [("sum", self.sum), ("min", self.min), ("max", self.max)] {
                    out.extend_from_slice(b",\"");
                    out.extend_from_slice(key.as_bytes());
                    out.extend_from_slice(b"\":");
                    number(value, out);
                }
                out.push(b'}');
                (self.second.saturating_mul(1000), b",\"interval.ms\":1000")
            }
        };
        out.extend_from_slice(b",\"timestamp\":");
        out.extend_from_slice(itoa::Buffer::new().format(time).as_bytes());
        out.extend_from_slice(interval);
        if !self.attributes.is_empty() {
            out.extend_from_slice(b",\"attributes\":{");
            out.extend_from_slice(&self.attributes);
            out.push(b'}');
        }
        out.push(b'}');
    }
}

/// What values of one item have in common.
fn key(metric: &Metric<'_>) -> Vec<u8> {
    let mut key = Vec::with_capacity(128);
    key.push(metric.value.kind() as u8);
    key.push(u8::from(matches!(metric.name, Name::Custom(_))));
    key.extend_from_slice(&metric.time.seconds().to_le_bytes());
    let tags = metric.tags.iter().flat_map(|tag| [tag.key, tag.value]);
    for text in std::iter::once(metric.name.as_str()).chain(tags) {
        part(text, &mut key);
    }
    key
}
