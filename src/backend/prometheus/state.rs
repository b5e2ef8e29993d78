//! What outlives a batch: totals since the process has begun.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use super::batch::{Held, Part};
use super::buckets::Distribution;
use super::{Id, Nature, Options, Output, Piece, Write, names};
use crate::backend::Context;
use crate::backend::write::finite;
use crate::request::Weight;

/// So many series are remembered. One takes some 500 bytes.
const MAX_SERIES: usize = 10_000;

/// So many batches are known again: more than are repeated at a time.
const MAX_SEEN: usize = 4096;

/// Totals of all series, and which batches are in them.
#[derive(Clone, Debug, Default)]
pub(super) struct State {
    series: HashMap<Arc<Id>, Total>,
    seen: Seen,
    instance: String,
    /// Time of the batch at hand.
    now: i64,
    /// Batches so far.
    batches: u64,
    /// How often series were given up.
    epoch: u32,
}

/// What one series has come to.
#[derive(Clone, Debug, Default)]
struct Total {
    number: f64,
    distribution: Distribution,
    /// Time of a gauge's value.
    at: i64,
    /// Time that it was last sent with; 0 if it never was.
    stamp: i64,
    /// The batch that touched it last.
    used: u64,
    epoch: u32,
    /// Metrics that it stands for when it is sent next.
    waiting: Option<u64>,
}

/// Fingerprints of the last batches.
#[derive(Clone, Debug, Default)]
struct Seen {
    known: HashSet<u64>,
    order: VecDeque<u64>,
}

impl State {
    /// Begins a batch.
    pub(super) fn begin(&mut self, context: &Context<'_>) {
        self.now = context.now.millis();
        self.batches += 1;
        if self.instance.is_empty() {
            let writer = match context.forwarder.instance.as_str() {
                // Nobody says who we are: when we began tells one process from others well enough.
                "" => format!("{:?} {}", context.forwarder.function_arn, self.now),
                instance => instance.to_owned(),
            };
            self.instance = format!("{:012x}", names::hash(&writer) >> 16);
        }
    }

    /// Adds what a batch holds, unless that was done before. All its series will be sent.
    pub(super) fn add<W: Write>(&mut self, part: Part, out: &mut Output<'_, W>) {
        let new = self.seen.insert(part.fingerprint);
        for held in part.series {
            if self.series.len() >= MAX_SERIES && !self.series.contains_key(&held.id) {
                self.write(out);
                self.forget();
            }
            let (epoch, used) = (self.epoch, self.batches);
            let total = self.series.entry(Arc::clone(&held.id)).or_insert_with(|| Total { epoch, ..Total::default() });
            total.used = used;
            *total.waiting.get_or_insert_default() += held.metrics;
            total.add(&held, new, out.options);
        }
    }

    /// Sends what was touched.
    pub(super) fn write<W: Write>(&mut self, out: &mut Output<'_, W>) {
        let mut touched: Vec<_> = self.series.iter_mut().filter(|(_, total)| total.waiting.is_some()).collect();
        touched.sort_unstable_by(|a, b| a.0.cmp(b.0));
        for (id, total) in touched {
            let mut weight = Weight::metrics(total.waiting.take().unwrap_or_default());
            let began = total.stamp == 0;
            // A later time than before, also when two batches come at one.
            total.stamp = self.now.max(total.stamp.saturating_add(1));
            // What a total has come to at once isn't seen to rise unless it was 0 before.
            let zero = (began && id.nature != Nature::Gauge).then_some(total.stamp - 1);
            let instance = match total.epoch {
                0 => self.instance.clone(),
                epoch => format!("{}-{epoch}", self.instance),
            };
            if let Nature::Histogram(_) = id.nature {
                let zero = zero.map(|time| (time, Distribution::default()));
                let samples: Vec<_> = zero.into_iter().chain([(total.stamp, total.distribution.clone())]).collect();
                for piece in Piece::ALL {
                    out.histogram(id, &instance, piece, &samples, &mut weight);
                }
            } else {
                let zero = zero.map(|time| (time, 0.0));
                let samples: Vec<_> = zero.into_iter().chain([(total.stamp, total.number)]).collect();
                out.numbers(id, &instance, &samples, weight);
            }
        }
    }

    /// Gives up a tenth of all series: the ones that weren't touched for the longest.
    fn forget(&mut self) {
        let mut oldest: Vec<_> = self.series.iter().map(|(id, total)| (total.used, Arc::clone(id))).collect();
        oldest.sort_unstable();
        for (_, id) in oldest.iter().take(MAX_SERIES / 10) {
            self.series.remove(id);
        }
        self.epoch += 1;
    }
}

impl Total {
    fn add(&mut self, held: &Held, new: bool, options: &Options) {
        match held.id.nature {
            Nature::Counter if new => {
                self.number = finite(self.number + held.points.iter().map(|(_, value)| value).sum::<f64>());
            }
            Nature::Histogram(scale) if new => {
                let buckets = options.buckets(scale);
                for (_, value) in &held.points {
                    self.distribution.observe(buckets, *value);
                }
            }
            // A gauge has its latest value, in whatever order batches come.
            Nature::Gauge => {
                for (time, value) in &held.points {
                    if *time >= self.at {
                        (self.at, self.number) = (*time, *value);
                    }
                }
            }
            Nature::Counter | Nature::Histogram(_) => {}
        }
    }
}

impl Seen {
    /// Whether it is new.
    fn insert(&mut self, fingerprint: u64) -> bool {
        if !self.known.insert(fingerprint) {
            return false;
        }
        self.order.push_back(fingerprint);
        if self.order.len() > MAX_SEEN
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        true
    }
}
