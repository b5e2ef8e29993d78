//! What one batch holds, by series.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use super::buckets::{Buckets, Distribution};
use super::{Asserts, Id, Nature, Options, Output, Piece, Scale, Temporality, Write, names, words};
use crate::backend::key::part;
use crate::backend::order::by_time;
use crate::backend::write::finite;
use crate::model::{Kind, Measure, Metric, Name, Origin, Tag, Value};
use crate::request::Weight;

/// So many values are held at once: as samples of one series they fit into one request, whichever way it is written.
const MAX_HELD: usize = 45_000;

/// So many series are held at once.
const MAX_SERIES: usize = 5_000;

/// Lambda's counts that begin at 0 as soon as one of them is counted: what isn't there can't be seen to rise.
const FROM_ZERO: [Measure; 5] =
    [Measure::Invocations, Measure::Errors, Measure::Timeouts, Measure::OutOfMemory, Measure::ColdStarts];

/// Values that wait for the end of their batch.
pub(super) struct Batch<'b> {
    options: &'b Options,
    held: Part,
    /// Places in `held` by what a metric is told by before its labels are made.
    known: HashMap<Vec<u8>, Places>,
    places: HashMap<Arc<Id>, usize>,
    key: Vec<u8>,
    fingerprint: DefaultHasher,
    parts: u32,
}

/// Places of a metric's series: its own, and one that goes with it.
type Places = (usize, Option<usize>);

/// What a batch, or a part of a large one, holds.
#[derive(Default)]
pub(super) struct Part {
    pub(super) series: Vec<Held>,
    /// The same for the same metrics.
    pub(super) fingerprint: u64,
    /// The log stream, and which part of the batch it is.
    instance: String,
    /// Where in their second the values are that have whole seconds.
    millisecond: i64,
    values: usize,
}

/// Values of one series.
pub(super) struct Held {
    pub(super) id: Arc<Id>,
    /// Milliseconds since the epoch, and value.
    pub(super) points: Vec<(i64, f64)>,
    /// Metrics that they stand for.
    pub(super) metrics: u64,
}

impl<'b> Batch<'b> {
    pub(super) fn new(options: &'b Options) -> Self {
        Self {
            options,
            held: Part::default(),
            known: HashMap::new(),
            places: HashMap::new(),
            key: Vec::new(),
            fingerprint: DefaultHasher::new(),
            parts: 0,
        }
    }

    pub(super) fn push(&mut self, origin: &Origin, metric: &Metric<'_>) {
        self.open(origin, metric.event_id);
        let value = metric.value.number();
        (metric.event_id, metric.time, metric.name, value.to_bits()).hash(&mut self.fingerprint);
        let (own, beside) = self.find(origin, metric);
        let divisor = if let Name::Measure(measure) = metric.name { words(measure).1 } else { 1.0 };
        let value = match metric.value {
            // What is taken away has a counter of its own.
            Value::Count(value) if self.options.temporality == Temporality::Cumulative => value.abs(),
            _ => value / divisor,
        };
        let time = self.time(metric);
        if let Some(held) = self.held.series.get_mut(own) {
            held.points.push((time, value));
            held.metrics += 1;
        }
        if let Some(held) = beside.and_then(|place| self.held.series.get_mut(place)) {
            let cold = metric.tags.iter().any(|tag| (tag.key, tag.value) == ("cold_start", "true"));
            let counts = metric.name == Name::Measure(Measure::Invocations);
            held.points.push((time, if counts { f64::from(u8::from(cold)) } else { value }));
        }
        self.held.values += 1;
    }

    pub(super) const fn is_full(&self) -> bool {
        self.held.values >= MAX_HELD || self.held.series.len() >= MAX_SERIES
    }

    /// All that is held, sorted.
    pub(super) fn take(&mut self) -> Part {
        self.known.clear();
        self.places.clear();
        self.parts += 1;
        let fingerprint = std::mem::take(&mut self.fingerprint).finish();
        let mut part = Part { fingerprint, ..std::mem::take(&mut self.held) };
        part.series.sort_unstable_by(|a, b| a.id.cmp(&b.id));
        part
    }

    /// Takes down where the values come from, and the first event that has one.
    fn open(&mut self, origin: &Origin, event_id: &str) {
        if self.held.instance.is_empty() {
            let stream = (&origin.log_group, &origin.log_stream);
            stream.hash(&mut self.fingerprint);
            let name = names::hash(&format!("{}\n{}", stream.0, stream.1)) >> 16;
            let part = if self.parts > 0 { format!("-{}", self.parts) } else { String::new() };
            self.held.instance = format!("{name:012x}{part}");
            self.held.millisecond = i64::try_from(names::hash(event_id) % 1000).unwrap_or_default();
        }
    }

    /// When a sample is said to be. Custom metrics often have whole seconds: a hash of the batch's first
    /// id says which millisecond, so that what two batches have of one second is added up. One for each event
    /// would be the other batch's again and again.
    fn time(&self, metric: &Metric<'_>) -> i64 {
        let time = metric.time.millis();
        let adds = matches!(metric.value.kind(), Kind::Count | Kind::Histogram);
        let custom = matches!(metric.name, Name::Custom(_));
        let spread = self.options.temporality == Temporality::Delta && custom && adds && time % 1000 == 0;
        if spread { time + self.held.millisecond } else { time }
    }

    fn find(&mut self, origin: &Origin, metric: &Metric<'_>) -> Places {
        let mut key = std::mem::take(&mut self.key);
        write_key(&mut key, origin, metric);
        let places = self.known.get(&key).copied().unwrap_or_else(|| {
            let places = match metric.name {
                Name::Measure(measure) => self.measure(origin, metric.tags, measure),
                Name::Custom(name) => (self.place(self.custom(origin, name, metric)), None),
            };
            self.known.insert(key.clone(), places);
            places
        });
        self.key = key;
        places
    }

    fn place(&mut self, id: Id) -> usize {
        let next = self.held.series.len();
        let id = Arc::new(id);
        let place = *self.places.entry(Arc::clone(&id)).or_insert(next);
        if place == next {
            self.held.series.push(Held { id, points: Vec::new(), metrics: 0 });
        }
        place
    }

    fn measure(&mut self, origin: &Origin, tags: &[Tag<'_>], measure: Measure) -> Places {
        let id = |measure: Measure, labels| {
            let (name, help) = (words(measure).0.to_owned(), measure.describe());
            Id { name, nature: Nature::of(measure), help, labels }
        };
        let labels = tags.iter().filter(|tag| is_label(Name::Measure(measure), tag)).copied();
        let labels = self.labels(origin, Some("AWS/Lambda"), None, labels);
        if FROM_ZERO.contains(&measure) && self.options.temporality == Temporality::Cumulative {
            for measure in FROM_ZERO {
                self.place(id(measure, labels.clone()));
            }
        }
        let extra = match measure {
            Measure::Invocations => Some(("aws_lambda_cold_start", "Whether the last invocation was a cold start.")),
            Measure::MaxMemoryUsed => {
                Some(("process_resident_memory_bytes", "Memory that the function has used at most."))
            }
            _ => None,
        };
        let beside = extra.filter(|_| self.options.asserts.is_some()).map(|(name, help)| {
            let (name, labels) = (name.to_owned(), labels.clone());
            self.place(Id { name, nature: Nature::Gauge, help, labels })
        });
        (self.place(id(measure, labels)), beside)
    }

    fn custom(&self, origin: &Origin, name: &str, metric: &Metric<'_>) -> Id {
        let falls = matches!(metric.value, Value::Count(value) if value < 0.0);
        let (nature, help) = match metric.value.kind() {
            Kind::Check => (Nature::Gauge, "Custom check: 0 ok, 1 warning, 2 critical, 3 unknown."),
            Kind::Count => (Nature::Counter, "Custom count."),
            Kind::Gauge => (Nature::Gauge, "Custom gauge."),
            Kind::Histogram => (Nature::Histogram(Scale::Custom), "Custom histogram."),
        };
        let named = if falls && self.options.temporality == Temporality::Cumulative {
            names::taken_away(name)
        } else {
            names::metric(name, metric.value.kind())
        };
        let original = (!named.unique).then_some(name);
        let labels = self.labels(origin, None, original, metric.tags.iter().copied());
        Id { name: named.name, nature, help, labels }
    }

    fn labels<'t>(
        &'t self,
        origin: &'t Origin,
        namespace: Option<&'t str>,
        original: Option<&str>,
        tags: impl Iterator<Item = Tag<'t>>,
    ) -> Vec<(String, String)> {
        let function = origin.function.as_ref();
        let name = function.map_or("", |function| function.name.as_str());
        let (account, region) = (origin.account.as_deref().unwrap_or(""), origin.region.as_deref().unwrap_or(""));
        let mut ours = vec![
            ("account_id", account),
            ("region", region),
            ("function_name", name),
            ("job", if name.is_empty() { &origin.log_group } else { name }),
            ("version", function.and_then(|function| function.version.as_deref()).unwrap_or("")),
        ];
        ours.extend(namespace.map(|namespace| ("namespace", namespace)));
        if let Some(Asserts { tenant, environment, site }) = &self.options.asserts {
            let tenant = tenant.as_deref().unwrap_or("");
            ours.extend([("asserts_source", "prom-client"), ("asserts_tenant", tenant), ("tenant", tenant)]);
            ours.push(("asserts_env", environment.as_deref().unwrap_or(account)));
            ours.push(("asserts_site", site.as_deref().unwrap_or(region)));
        }
        let shared = origin.tags.iter().map(|(key, value)| Tag { key, value });
        names::labels(&ours, original, tags.chain(shared))
    }
}

impl Part {
    /// Metrics that it holds.
    pub(super) fn weight(&self) -> Weight {
        Weight::metrics(self.series.iter().map(|held| held.metrics).sum())
    }

    /// Writes what each millisecond adds.
    pub(super) fn write<W: Write>(mut self, out: &mut Output<'_, W>) {
        for held in &mut self.series {
            by_time(&mut held.points);
        }
        for of_a_name in self.series.chunk_by(|a, b| a.id.name == b.id.name && a.id.nature == b.id.nature) {
            match of_a_name.first().map(|held| held.id.nature) {
                Some(Nature::Histogram(scale)) => {
                    write_histograms(of_a_name, out.options.buckets(scale), &self.instance, out);
                }
                Some(Nature::Counter | Nature::Gauge) => write_numbers(of_a_name, &self.instance, out),
                None => {}
            }
        }
    }
}

impl Held {
    /// The points of each time.
    fn each(&self) -> impl Iterator<Item = &[(i64, f64)]> {
        self.points.chunk_by(|a, b| a.0 == b.0)
    }
}

fn write_numbers<W: Write>(series: &[Held], instance: &str, out: &mut Output<'_, W>) {
    for held in series {
        let sum = |points: &[(i64, f64)]| finite(points.iter().map(|(_, value)| value).sum());
        let samples: Vec<_> = match held.id.nature {
            Nature::Counter => held.each().map(|points| (time_of(points), sum(points))).collect(),
            Nature::Gauge | Nature::Histogram(_) => held.each().filter_map(|points| points.last().copied()).collect(),
        };
        out.numbers(&held.id, instance, &samples, Weight::metrics(held.metrics));
    }
}

/// What is of a family stands together, so the pieces of all are written one after the other. They are made
/// anew for each: buckets of all at once would take the memory of the batch several times.
fn write_histograms<W: Write>(series: &[Held], buckets: &Buckets, instance: &str, out: &mut Output<'_, W>) {
    let mut weights: Vec<_> = series.iter().map(|held| Weight::metrics(held.metrics)).collect();
    for piece in Piece::ALL {
        for (held, weight) in series.iter().zip(&mut weights) {
            let samples: Vec<_> = held.each().map(|points| (time_of(points), distribution(points, buckets))).collect();
            out.histogram(&held.id, instance, piece, &samples, weight);
        }
    }
}

fn distribution(points: &[(i64, f64)], buckets: &Buckets) -> Distribution {
    let mut all = Distribution::default();
    for (_, value) in points {
        all.observe(buckets, *value);
    }
    all
}

fn time_of(points: &[(i64, f64)]) -> i64 {
    points.first().map_or(0, |(time, _)| *time)
}

/// Whether a tag is a label: of a measure its tenant, and of a cost what it depends on; all else is a measure itself.
fn is_label(name: Name<'_>, tag: &Tag<'_>) -> bool {
    match (name, tag.key) {
        (Name::Custom(_), _) | (_, "tenant_id") => true,
        (Name::Measure(measure), "architecture" | "price_basis") => measure == Measure::EstimatedCost,
        (Name::Measure(_), _) => false,
    }
}

/// What a metric's series are told by, within a batch.
fn write_key(key: &mut Vec<u8>, origin: &Origin, metric: &Metric<'_>) {
    key.clear();
    key.extend_from_slice(&origin.generation.to_le_bytes());
    let nature = match metric.value {
        Value::Check(_) => 0,
        Value::Count(value) if value < 0.0 => 1,
        Value::Count(_) => 2,
        Value::Gauge(_) => 3,
        Value::Distribution(_) | Value::Histogram(_) => 4,
    };
    key.push(nature);
    match metric.name {
        Name::Measure(measure) => key.push(u8::try_from(measure.index()).unwrap_or_default()),
        Name::Custom(name) => part(name, key),
    }
    for tag in metric.tags.iter().filter(|tag| is_label(metric.name, tag)) {
        part(tag.key, key);
        part(tag.value, key);
    }
}
