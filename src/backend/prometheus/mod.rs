//! Prometheus: metrics as series, to whatever takes its text or its remote write.
//!
//! `text` and `remote_write` write the same series: names, labels and values
//! are made here, once for both.
//!
//! ```text
//! aws_lambda_invocations_total{account_id="123456789012",function_name="checkout",job="checkout",namespace="AWS/Lambda",region="eu-west-1",version="7",instance="5ac10d1a98ac"} 6
//! orders_placed_total{account_id="123456789012",function_name="checkout",job="checkout",original_name="orders.placed",region="eu-west-1",shop="berlin",version="7",instance="5ac10d1a98ac"} 2
//! ```
//!
//! Lambda's own measures are in base units, seconds and bytes, with the labels
//! of the Asserts layer; the tags of one invocation (memory size, cold start) are
//! metrics of their own and no labels. Of the layer's labels, `runtime` and
//! `layer_version` aren't there: a batch knows its runtime only if a cold start
//! is in it, and a label that comes and goes would split series. Of its process
//! metrics, `process_resident_memory_bytes` is the memory that Lambda reports,
//! and the others can't be told from logs. Both it and `aws_lambda_cold_start`,
//! which is 1 while the last invocation was a cold start, are sent when there are
//! settings of Asserts.
//!
//! Custom metrics keep their author's name and unit, made legal: a count is
//! `…_total`, a check `…_status`, from 0 (ok) to 3 (unknown). What is taken from a count is
//! `…_negative_total`, as counters never fall. How names are made legal without
//! one becoming another's is told in `names`.
//!
//! # Many copies at once, and replays
//!
//! **cumulative** (the default): counters and histograms are totals since this
//! process has begun, gauges the latest value. The label `instance` tells one
//! copy of the forwarder from another, so that none overwrites what another
//! counts, and `sum by (function_name) (rate(aws_lambda_invocations_total[5m]))` is right.
//! Series have the time of the batch, and each of them a later one than before.
//! A total that is new is sent twice: 0, a millisecond before, and what it has come to,
//! as receivers can't see a rise in a single sample. Lambda's counts begin so when a
//! function is first seen, all of them. A batch that this
//! process has seen is not counted again, but its series are sent again: so a
//! failed attempt is made good by the next. A batch whose first attempt another
//! copy has counted is counted by both, if the other ever sends again. What was read of a batch before the time was
//! over is left out: the batch comes again.
//! `VictoriaMetrics` counts exactly so (unless it drops samples that are close to each other, by
//! `-dedup.minScrapeInterval`). Prometheus itself extrapolates from the samples of a range: where copies
//! live for minutes `increase` is some 20 % too high. Without the 0 it was some 15 % too low, and a count
//! that a copy sends once would never be seen.
//! Of more than 10,000 series the ones not touched for the longest are given up;
//! one that returns begins at 0 under another `instance`.
//!
//! **delta**: names end in `_delta`, each sample holds what one millisecond of one log
//! stream adds, and `instance` is the stream. A sample depends on the batch only, so that
//! nothing has to be remembered and copies can't disturb each other.
//! The sum over time is exact everywhere:
//!
//! ```text
//! sum by (function_name) (sum_over_time(aws_lambda_invocations_total_delta[5m]))
//! histogram_quantile(0.99, sum by (le, function_name) (sum_over_time(aws_lambda_duration_seconds_bucket_delta[5m])))
//! ```
//!
//! Times are those of the events. Custom metrics that have whole seconds are at one millisecond of
//! their second, by a hash of the batch's first event that measures anything: so a second that is split over
//! two deliveries is two samples, but for one in a thousand. A replay writes the same samples again: Prometheus and its kin
//! keep one (and refuse those that are older than the newest of their series unless
//! `out_of_order_time_window` is set), `VictoriaMetrics` adds them up unless it runs with
//! `-dedup.minScrapeInterval=1ms`. vmagent turns deltas into counters:
//!
//! ```yaml
//! # vmagent -streamAggr.config=lambda.yaml
//! - match: '{__name__=~".+_delta"}'
//!   interval: 60s
//!   without: [instance]
//!   outputs: [sum_samples]
//! ```
//!
//! Sources: <https://prometheus.io/docs/concepts/data_model/>,
//! <https://prometheus.io/docs/practices/naming/>,
//! <https://docs.victoriametrics.com/victoriametrics/stream-aggregation/>,
//! <https://github.com/asserts/asserts-aws-lambda-layer-python>.

mod batch;
mod buckets;
mod names;
mod remote_write;
mod series;
mod state;
#[cfg(test)]
mod tests;
mod text;

use std::borrow::Cow;

use batch::Batch;
use buckets::{Buckets, Distribution};
pub use remote_write::RemoteWrite;
pub(super) use series::Series;
use state::State;
pub use text::Prometheus;
pub(super) use text::Text;

use super::body::Oversize;
use super::{Encode, Encoded};
use crate::model::{Log, Measure, Metric, Origin, Sink};
use crate::request::{Request, Weight};

/// Bounds of custom histograms: values may be milliseconds, bytes or anything else.
const CUSTOM_BUCKETS: &str = "0.01,0.1,1,2.5,5,10,25,50,100,250,500,1000,2500,5000,10000,100000,1000000";

/// What a metric is to Prometheus.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
enum Nature {
    Counter,
    Gauge,
    Histogram(Scale),
}

/// Which buckets a histogram has.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
enum Scale {
    /// Whatever functions measure.
    Custom,
    /// Bytes of memory.
    Memory,
    /// Bytes of a response.
    Size,
    /// Seconds.
    Time,
}

/// What tells a series from all others, its instance aside. A histogram is one.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
struct Id {
    /// Without the endings of a histogram's series.
    name: String,
    nature: Nature,
    help: &'static str,
    /// Sorted by name, none without a value.
    labels: Vec<(String, String)>,
}

/// What values stand for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Temporality {
    /// All since the process has begun.
    Cumulative,
    /// What a sample adds.
    Delta,
}

/// How series are made, whatever they are written as.
#[derive(Clone, Debug)]
struct Options {
    temporality: Temporality,
    asserts: Option<Asserts>,
    durations: Buckets,
    custom: Buckets,
    memory: Buckets,
    sizes: Buckets,
}

/// What the users of Asserts set.
#[derive(Clone, Debug, Default)]
struct Asserts {
    tenant: Option<String>,
    environment: Option<String>,
    site: Option<String>,
}

/// Some samples of one series.
pub(super) struct Written<'a> {
    name: Cow<'a, str>,
    family: Family<'a>,
    /// Whether it is the first of its family.
    first: bool,
    labels: &'a [(String, String)],
    instance: &'a str,
    /// Upper bound of a histogram's bucket.
    le: Option<&'a str>,
    /// Milliseconds since the epoch and value, in order of time.
    samples: &'a [(i64, f64)],
    weight: Weight,
}

/// What series have in common.
#[derive(Clone, Copy)]
struct Family<'a> {
    name: &'a str,
    /// `counter`, `gauge`, `histogram`.
    kind: &'static str,
    help: &'static str,
}

/// What is written of a histogram, in this order.
#[derive(Clone, Copy)]
enum Piece {
    Buckets,
    Sum,
    Count,
}

/// What series are written as.
pub(super) trait Write {
    /// Adds samples of a series.
    fn write(&mut self, series: &Written<'_>) -> Result<(), Oversize>;
    /// Whether requests are full.
    fn has_ready(&self) -> bool;
    /// Requests that are full.
    fn take_ready(&mut self) -> Vec<Request>;
    /// All requests that weren't taken.
    fn finish(self) -> Vec<Request>;
}

/// One batch on its way to a receiver of series.
pub(super) struct Encoder<'b, W> {
    batch: Batch<'b>,
    state: &'b mut State,
    out: Output<'b, W>,
}

/// Where series go.
struct Output<'b, W> {
    options: &'b Options,
    writer: W,
    /// The family that was written last.
    family: String,
    oversize: Weight,
}

impl<'b, W: Write> Encoder<'b, W> {
    fn new(options: &'b Options, state: &'b mut State, context: &super::Context<'_>, writer: W) -> Self {
        state.begin(context);
        let out = Output { options, writer, family: String::new(), oversize: Weight::default() };
        Self { batch: Batch::new(options), state, out }
    }

    /// Takes over what the batch holds.
    fn flush(&mut self) {
        let part = self.batch.take();
        match self.out.options.temporality {
            Temporality::Cumulative => self.state.add(part, &mut self.out),
            Temporality::Delta => part.write(&mut self.out),
        }
    }

    /// Sends what was flushed.
    fn end(mut self, left: Weight) -> Encoded {
        self.state.write(&mut self.out);
        let Output { writer, oversize, .. } = self.out;
        Encoded { requests: writer.finish(), oversize, left, ..Encoded::default() }
    }
}

impl<W: Write> Encode for Encoder<'_, W> {
    fn has_ready(&self) -> bool {
        self.out.writer.has_ready()
    }

    fn take_ready(&mut self) -> Vec<Request> {
        self.out.writer.take_ready()
    }

    fn finish(mut self) -> Encoded {
        self.flush();
        self.end(Weight::default())
    }

    fn cut_short(mut self) -> Encoded {
        let left = self.batch.take().weight();
        self.end(left)
    }
}

impl<W: Write> Sink for Encoder<'_, W> {
    /// These are metrics only: logs are kept back before they come here.
    fn log(&mut self, _: &Origin, _: &Log<'_>) {}

    fn wants_json_fields(&self) -> bool {
        false
    }

    fn metrics(&mut self, origin: &Origin, metrics: &[Metric<'_>]) {
        for metric in metrics {
            self.batch.push(origin, metric);
        }
        if self.batch.is_full() {
            self.flush();
        }
    }
}

impl<W: Write> Output<'_, W> {
    /// Writes a counter's or a gauge's series.
    fn numbers(&mut self, id: &Id, instance: &str, samples: &[(i64, f64)], mut weight: Weight) {
        self.line(id, "", instance, None, samples, &mut weight);
    }

    /// Writes a piece of a histogram: of deltas each is a family of its own.
    fn histogram(
        &mut self,
        id: &Id,
        instance: &str,
        piece: Piece,
        samples: &[(i64, Distribution)],
        weight: &mut Weight,
    ) {
        let (suffix, value): (_, fn(&Distribution) -> f64) = match piece {
            Piece::Buckets => return self.buckets(id, instance, samples, weight),
            Piece::Sum => ("_sum", Distribution::sum),
            Piece::Count => ("_count", Distribution::count),
        };
        let values: Vec<_> = samples.iter().map(|(time, all)| (*time, value(all))).collect();
        self.line(id, suffix, instance, None, &values, weight);
    }

    fn buckets(&mut self, id: &Id, instance: &str, samples: &[(i64, Distribution)], weight: &mut Weight) {
        let Nature::Histogram(scale) = id.nature else { return };
        for (place, le) in self.options.buckets(scale).names().enumerate() {
            let counts = self.counts(samples, place);
            self.line(id, "_bucket", instance, Some(le), &counts, weight);
        }
    }

    /// What a bucket holds at each time. Of a delta, buckets that hold nothing
    /// are left out but for the largest of them, from which quantiles are interpolated.
    fn counts(&self, samples: &[(i64, Distribution)], place: usize) -> Vec<(i64, f64)> {
        let delta = self.options.temporality == Temporality::Delta;
        let kept = samples.iter().filter(|(_, all)| !delta || all.up_to(place + 1) > 0.0);
        kept.map(|(time, all)| (*time, all.up_to(place))).collect()
    }

    fn line(
        &mut self,
        id: &Id,
        suffix: &str,
        instance: &str,
        le: Option<&str>,
        samples: &[(i64, f64)],
        weight: &mut Weight,
    ) {
        if samples.is_empty() {
            return;
        }
        let delta = self.options.temporality == Temporality::Delta && id.nature != Nature::Gauge;
        let name = match (suffix, delta) {
            ("", false) => Cow::Borrowed(id.name.as_str()),
            (suffix, false) => Cow::Owned(format!("{}{suffix}", id.name)),
            (suffix, true) => Cow::Owned(format!("{}{suffix}_delta", id.name)),
        };
        // What is no counter or histogram to Prometheus is a gauge.
        let family = if delta { name.as_ref() } else { &id.name };
        let kind = if delta { "gauge" } else { id.nature.as_str() };
        let first = self.family != family;
        if first {
            family.clone_into(&mut self.family);
        }
        let family = Family { name: family, kind, help: id.help };
        let weight = std::mem::take(weight);
        let written = Written { family, first, name: name.clone(), labels: &id.labels, instance, le, samples, weight };
        if self.writer.write(&written).is_err() {
            self.oversize += weight;
        }
    }
}

impl Options {
    fn new(temporality: Temporality, durations: Buckets, custom: Buckets) -> Self {
        Self { temporality, asserts: None, durations, custom, memory: Buckets::memory(), sizes: Buckets::sizes() }
    }

    fn buckets(&self, scale: Scale) -> &Buckets {
        match scale {
            Scale::Custom => &self.custom,
            Scale::Memory => &self.memory,
            Scale::Size => &self.sizes,
            Scale::Time => &self.durations,
        }
    }
}

impl Piece {
    const ALL: [Self; 3] = [Self::Buckets, Self::Sum, Self::Count];
}

impl Nature {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram(_) => "histogram",
        }
    }

    const fn of(measure: Measure) -> Self {
        match measure {
            Measure::Duration
            | Measure::BilledDuration
            | Measure::InitDuration
            | Measure::RestoreDuration
            | Measure::BilledRestoreDuration
            | Measure::RuntimeDuration
            | Measure::PostRuntimeDuration
            | Measure::ResponseLatency
            | Measure::ResponseDuration => Self::Histogram(Scale::Time),
            Measure::MaxMemoryUsed => Self::Histogram(Scale::Memory),
            Measure::ProducedBytes => Self::Histogram(Scale::Size),
            Measure::MemorySize => Self::Gauge,
            Measure::Invocations
            | Measure::Errors
            | Measure::Timeouts
            | Measure::OutOfMemory
            | Measure::ColdStarts
            | Measure::EstimatedCost => Self::Counter,
        }
    }
}

impl Temporality {
    fn parse(value: &str) -> Result<Self, String> {
        match value {
            "cumulative" => Ok(Self::Cumulative),
            "delta" => Ok(Self::Delta),
            _ => Err("is neither `cumulative` nor `delta`".to_owned()),
        }
    }
}

/// What Prometheus' users call a measure, and what its values are divided by.
const fn words(measure: Measure) -> (&'static str, f64) {
    const MEGABYTE: f64 = 1.0 / 1_048_576.0;
    match measure {
        Measure::Duration => ("aws_lambda_duration_seconds", 1e3),
        Measure::BilledDuration => ("aws_lambda_billed_duration_seconds", 1e3),
        Measure::InitDuration => ("aws_lambda_init_duration_seconds", 1e3),
        Measure::RestoreDuration => ("aws_lambda_restore_duration_seconds", 1e3),
        Measure::BilledRestoreDuration => ("aws_lambda_billed_restore_duration_seconds", 1e3),
        Measure::MemorySize => ("aws_lambda_memory_size_bytes", MEGABYTE),
        Measure::MaxMemoryUsed => ("aws_lambda_max_memory_used_bytes", MEGABYTE),
        Measure::Invocations => ("aws_lambda_invocations_total", 1.0),
        Measure::Errors => ("aws_lambda_errors_total", 1.0),
        Measure::Timeouts => ("aws_lambda_timeouts_total", 1.0),
        Measure::OutOfMemory => ("aws_lambda_out_of_memory_total", 1.0),
        Measure::ColdStarts => ("aws_lambda_cold_starts_total", 1.0),
        Measure::RuntimeDuration => ("aws_lambda_runtime_duration_seconds", 1e3),
        Measure::PostRuntimeDuration => ("aws_lambda_post_runtime_duration_seconds", 1e3),
        Measure::ResponseLatency => ("aws_lambda_response_latency_seconds", 1e3),
        Measure::ResponseDuration => ("aws_lambda_response_duration_seconds", 1e3),
        Measure::ProducedBytes => ("aws_lambda_produced_bytes", 1.0),
        Measure::EstimatedCost => ("aws_lambda_estimated_cost_usd_total", 1.0),
    }
}
