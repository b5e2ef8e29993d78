//! Series that add up: until a batch ends, or for as long as the process lives.

use std::collections::{HashMap, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use super::super::key::part;
use super::super::write::finite;
use super::histogram::{Aggregation, Histogram};
use super::nanos;
use crate::model::{Kind, Metric, Name, Origin, Timestamp};

/// Series that are held: some 10 MB.
const MAX_SERIES: usize = 10_000;

/// Forms that are known to belong to a series: some 4 MB.
const MAX_FORMS: usize = 2 * MAX_SERIES;

/// Events that are known to be counted: some 4 MB.
const MAX_COUNTED: usize = 50_000;

/// Deliveries that are known by the event that was counted first of them: less than 1 MB.
const MAX_DELIVERIES: usize = 10_000;

/// All series, and what they are found by.
#[derive(Clone, Debug, Default)]
pub(super) struct Table {
    series: Vec<Series>,
    /// Place in `series`, by what is written.
    places: HashMap<Vec<u8>, usize>,
    /// The same by what metrics come with: several forms, as orders of tags, are written as one.
    forms: HashMap<Vec<u8>, usize>,
    resources: HashMap<Vec<u8>, Arc<Resource>>,
    /// Resources made so far.
    made: u32,
    counted: Counted,
    /// Number of the batch at hand.
    batch: u64,
    /// No series may begin before: the end of those that had to go.
    floor: u64,
    /// The form at hand.
    form: Vec<u8>,
}

/// Who the series of a body are about.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Resource {
    pub(super) number: u32,
    /// As they stand in a body.
    pub(super) attributes: Vec<u8>,
}

/// What never changes of a series, as it stands in a body.
#[derive(Clone, Debug)]
pub(super) struct Identity {
    /// Name, description and unit.
    pub(super) head: Vec<u8>,
    pub(super) unit: String,
    pub(super) attributes: Vec<u8>,
    /// The attributes sorted: the same for any order of tags.
    pub(super) sorted: Vec<u8>,
    /// Whether its values are never fractions: a receiver may take points of two types for two series, or add nothing
    /// up from one to the other.
    pub(super) whole: bool,
}

/// One metric with one set of attributes.
#[derive(Clone, Debug)]
pub(super) struct Series {
    key: Vec<u8>,
    identity: Identity,
    resource: Arc<Resource>,
    data: Data,
    /// Times of the first and the last event.
    first: Timestamp,
    last: Timestamp,
    /// What it began at, and was last told at: in ns.
    told: Option<(u64, u64)>,
    /// Batch that it was last part of.
    used: u64,
    /// No earlier than this may it begin, in ns.
    floor: u64,
    /// Metrics of the batch at hand that it stands for.
    weight: u64,
}

/// What is known of its values.
#[derive(Clone, Debug)]
pub(super) enum Data {
    Gauge { value: f64, time: Timestamp },
    Histogram(Box<Histogram>),
    Sum { value: f64, monotonic: bool },
}

/// Events that were counted, and in which batch.
#[derive(Clone, Debug, Default)]
struct Counted {
    batches: HashMap<u64, u64>,
    order: VecDeque<u64>,
    /// How many events deliveries have brought, by the first of them: a delivery that comes again brings the same ones
    /// in the same order, and may bring more than are known one by one.
    deliveries: HashMap<u64, u64>,
    delivered: VecDeque<u64>,
    /// The delivery at hand.
    delivery: Option<Delivery>,
}

/// Events of a delivery.
#[derive(Clone, Copy, Debug)]
struct Delivery {
    first: u64,
    taken: u64,
    /// How many it had brought when it came before.
    known: u64,
}

impl Table {
    /// Begins a batch. What an earlier one has left without its end is dropped if `alone`.
    pub(super) fn begin(&mut self, alone: bool) {
        self.batch += 1;
        self.counted.begin();
        if alone {
            self.clear();
        }
        for series in &mut self.series {
            series.weight = 0;
        }
    }

    pub(super) fn clear(&mut self) {
        self.series.clear();
        self.places.clear();
        self.forms.clear();
        self.resources.clear();
    }

    /// The resource with these attributes.
    pub(super) fn resource(&mut self, attributes: Vec<u8>) -> Arc<Resource> {
        if let Some(known) = self.resources.get(&attributes) {
            return Arc::clone(known);
        }
        self.made = self.made.wrapping_add(1);
        let resource = Arc::new(Resource { number: self.made, attributes: attributes.clone() });
        self.resources.insert(attributes, Arc::clone(&resource));
        resource
    }

    /// Whether an event was counted in an earlier batch: a delivery may come twice.
    pub(super) fn was_counted(&mut self, origin: &Origin, event_id: &str) -> bool {
        if event_id.is_empty() {
            return false;
        }
        let mut hasher = DefaultHasher::new();
        (&origin.account, &origin.log_group, &origin.log_stream, event_id).hash(&mut hasher);
        self.counted.before(hasher.finish(), self.batch)
    }

    /// How many series are held.
    #[cfg(test)]
    pub(super) const fn len(&self) -> usize {
        self.series.len()
    }

    /// How many forms of them are known.
    #[cfg(test)]
    pub(super) fn forms(&self) -> usize {
        self.forms.len()
    }

    pub(super) fn is_full(&self) -> bool {
        self.series.len() >= MAX_SERIES
    }

    /// Forgets the half of the series that was not used for longest: theirs begin anew.
    pub(super) fn make_room(&mut self) {
        let mut used: Vec<_> = self.series.iter().map(|series| series.used).collect();
        used.sort_unstable();
        let middle = used.get(used.len() / 2).copied().unwrap_or_default();
        let end = |series: &Series| series.told.map_or(0, |(_, end)| end);
        self.floor = self.series.iter().map(end).fold(self.floor, u64::max);
        self.series.retain(|series| series.used > middle);
        self.forms.clear();
        self.places = (0..).zip(&self.series).map(|(place, series)| (series.key.clone(), place)).collect();
        self.resources.retain(|_, resource| Arc::strong_count(resource) > 1);
    }

    /// The series that a metric belongs to; `make` makes one that is new.
    pub(super) fn series(
        &mut self,
        resource: &Resource,
        version: &str,
        metric: &Metric<'_>,
        make: impl FnOnce() -> Series,
    ) -> Option<&mut Series> {
        write_form(resource, version, metric, &mut self.form);
        let place = if let Some(place) = self.forms.get(&self.form) {
            *place
        } else {
            let series = make();
            let next = self.series.len();
            let place = *self.places.entry(series.key.clone()).or_insert(next);
            if place == next {
                self.series.push(Series { floor: self.floor, ..series });
            }
            if self.forms.len() >= MAX_FORMS {
                self.forms.clear();
            }
            self.forms.insert(self.form.clone(), place);
            place
        };
        let series = self.series.get_mut(place)?;
        series.used = self.batch;
        Some(series)
    }

    /// Those that hold something of the batch, by their resource.
    pub(super) fn touched(&mut self) -> Vec<&mut Series> {
        let mut touched: Vec<_> = self.series.iter_mut().filter(|series| series.weight > 0).collect();
        touched.sort_by_key(|series| series.resource.number);
        touched
    }
}

impl Series {
    pub(super) fn new(identity: Identity, resource: Arc<Resource>, metric: &Metric<'_>, how: Aggregation) -> Self {
        let time = metric.moment();
        let data = match metric.value.kind() {
            Kind::Check | Kind::Gauge => Data::Gauge { value: 0.0, time },
            Kind::Count => Data::Sum { value: 0.0, monotonic: true },
            Kind::Histogram => Data::Histogram(Box::new(Histogram::new(how, &identity.unit))),
        };
        Self {
            key: written_key(&resource, &identity, &data),
            identity,
            resource,
            data,
            first: time,
            last: time,
            told: None,
            used: 0,
            floor: 0,
            weight: 0,
        }
    }

    pub(super) const fn identity(&self) -> &Identity {
        &self.identity
    }

    pub(super) fn resource(&self) -> &Resource {
        &self.resource
    }

    pub(super) const fn data(&self) -> &Data {
        &self.data
    }

    /// Takes a value; one that was counted before only has to be accounted for.
    pub(super) fn take(&mut self, number: f64, at: Timestamp, counted: bool) {
        self.weight += 1;
        if counted {
            return;
        }
        (self.first, self.last) = (self.first.min(at), self.last.max(at));
        match &mut self.data {
            Data::Gauge { value, time } if *time <= at => (*value, *time) = (number, at),
            Data::Gauge { .. } => {}
            Data::Histogram(histogram) => histogram.record(number),
            Data::Sum { value, monotonic } => {
                *value = finite(*value + number);
                *monotonic &= number >= 0.0;
            }
        }
    }

    /// Metrics that it stands for since this was asked last.
    pub(super) const fn take_weight(&mut self) -> u64 {
        std::mem::replace(&mut self.weight, 0)
    }

    /// Start and end of the events, in ns. The start itself is not part of an interval.
    pub(super) fn interval(&self) -> (u64, u64) {
        (nanos(self.first).saturating_sub(MILLISECOND), nanos(self.last))
    }

    /// When it began, and a time that is later with each batch, in ns.
    ///
    /// A start that is no earlier than the time would mean that nobody knows
    /// what was counted before.
    pub(super) fn stamp(&mut self, now: Timestamp) -> (u64, u64) {
        let (start, before) = self.told.unwrap_or_else(|| {
            let start = self.interval().0.min(nanos(now).saturating_sub(MILLISECOND)).max(self.floor);
            (start, start)
        });
        let told = (start, nanos(now).max(before + MILLISECOND));
        self.told = Some(told);
        told
    }
}

impl Counted {
    /// Begins a delivery, and remembers the one before.
    fn begin(&mut self) {
        let Some(Delivery { first, taken, known }) = self.delivery.take() else { return };
        if known == 0 {
            self.delivered.push_back(first);
        }
        self.deliveries.insert(first, taken.max(known));
        if self.delivered.len() > MAX_DELIVERIES
            && let Some(oldest) = self.delivered.pop_front()
        {
            self.deliveries.remove(&oldest);
        }
    }

    fn before(&mut self, event: u64, batch: u64) -> bool {
        let known = || self.deliveries.get(&event).copied().unwrap_or_default();
        let delivery = self.delivery.get_or_insert_with(|| Delivery { first: event, taken: 0, known: known() });
        delivery.taken += 1;
        if let Some(known) = self.batches.get(&event) {
            return *known != batch;
        }
        // What isn't known one by one any more.
        if delivery.taken <= delivery.known && self.order.len() >= MAX_COUNTED {
            return true;
        }
        if self.order.len() >= MAX_COUNTED
            && let Some(oldest) = self.order.pop_front()
        {
            self.batches.remove(&oldest);
        }
        self.batches.insert(event, batch);
        self.order.push_back(event);
        false
    }
}

const MILLISECOND: u64 = 1_000_000;

/// What tells a series from all others in a body.
fn written_key(resource: &Resource, identity: &Identity, data: &Data) -> Vec<u8> {
    let mut key = resource.number.to_le_bytes().to_vec();
    key.push(match data {
        Data::Gauge { .. } => 0,
        Data::Histogram(_) => 1,
        Data::Sum { .. } => 2,
    });
    key.extend_from_slice(&identity.head.len().to_le_bytes());
    key.extend_from_slice(&identity.head);
    key.extend_from_slice(&identity.sorted);
    key
}

/// What a metric comes with, as it stands.
fn write_form(resource: &Resource, version: &str, metric: &Metric<'_>, key: &mut Vec<u8>) {
    key.clear();
    key.extend_from_slice(&resource.number.to_le_bytes());
    key.push(metric.value.kind() as u8);
    key.push(u8::from(matches!(metric.name, Name::Measure(_))));
    let mut part = |text: &str| part(text, key);
    part(version);
    match metric.name {
        Name::Custom(name) => {
            part(name);
            part(metric.unit.map_or("", |unit| unit.as_str()));
        }
        Name::Measure(measure) => part(measure.name()),
    }
    for tag in metric.tags {
        part(tag.key);
        part(tag.value);
    }
}
