//! OpenTelemetry: logs and metrics over OTLP/HTTP, as protobuf or JSON.
//!
//! A body is of one origin: who wrote is said once, as its resource, with the
//! attributes of the semantic conventions. Lambda's own measures have the names
//! of these conventions, in seconds and bytes; what they don't name is under
//! `aws.lambda.`. Counts are sums, histograms are histograms, gauges and checks
//! are gauges.
//!
//! ```text
//! {"resourceLogs":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"checkout"}},…]},
//!   "scopeLogs":[{"scope":{"name":"logferry","version":"…"},"logRecords":[
//!     {"timeUnixNano":"1795170600123000000","observedTimeUnixNano":"…","severityNumber":9,"severityText":"INFO",
//!      "body":{"stringValue":"…"},"attributes":[{"key":"log.record.uid","value":{"stringValue":"3719…"}}]}]}]}]}
//! ```
//!
//! # Many copies at once, and replays
//!
//! Logs carry the event's id as `log.record.uid`; OTLP itself knows no
//! duplicates, so a replayed log is there twice unless its store looks at that.
//! With `delta`, a point is what one batch adds: points of several copies add
//! up, and a replay counts again, with the same times and values. A point covers
//! the times of its events; its start, which isn't part of it, is 1 ms before
//! the first. With `cumulative`, a point is what this process has counted:
//! `service.instance.id` tells one from another, what a failed send would have
//! told is told by the next, and an event that this process has counted isn't
//! counted again; one that another process has counted is. The points then say
//! themselves which function they are about, and nothing tells log streams
//! apart, so that a receiver which makes labels of no more than service and
//! instance never sees two writers of one series.
//!
//! Sources: <https://opentelemetry.io/docs/specs/otlp/>,
//! <https://github.com/open-telemetry/opentelemetry-proto>,
//! <https://opentelemetry.io/docs/specs/otel/metrics/data-model/>.

mod histogram;
mod judge;
mod logs;
mod metrics;
mod resource;
mod series;
mod settings;
mod words;
mod writer;

use super::body::{Body, Limits, Template};
use super::{Context, Encode, Encoded, Signals};
use crate::env::{Env, Row, Setting};
use crate::model::{Log, Measure, Metric, Origin, Sink, Timestamp};
use crate::request::{Certificates, Destination, Frame, Request, Weight};

/// Servers should take 64 MiB and mostly take 20: what every one takes compresses as well. Protobuf is held until it
/// is whole, so that less of it is taken at once; a log of 1 MiB, more than `CloudWatch` has, may be six times as long in JSON.
/// Loki writes what all records share to each of them, and then takes no more than 4 MiB.
const fn limits(format: writer::Format) -> Limits {
    let (bytes, item_bytes) = match format {
        writer::Format::Json => (4 << 20, 3 << 20),
        writer::Format::Protobuf => (2 << 20, 3 << 19),
    };
    Limits { bytes, compressed: usize::MAX, items: 2_000, item_bytes }
}

/// Ships over OTLP/HTTP.
#[derive(Clone, Debug)]
pub struct Otlp {
    logs: settings::Target,
    metrics: settings::Target,
    shared: resource::Shared,
    manner: metrics::Manner,
    retry_more: bool,
    /// What outlives a batch, if counts are cumulative.
    table: series::Table,
}

/// One batch on its way to a collector.
pub struct Encoder<'b> {
    logs: logs::Logs<'b>,
    metrics: metrics::Metrics<'b>,
    /// Logs that no request can hold.
    oversize: Weight,
}

/// The two intakes.
const LOGS: &str = "logs";
const METRICS: &str = "metrics";

impl Otlp {
    /// What is sent.
    pub const SEND: Setting<Signals> =
        Setting::new("LOGFERRY_OTLP_SEND", Signals::parse, "What the collector is sent: logs, metrics, or both.")
            .default(Signals::BOTH);

    /// The settings, for documents.
    pub fn rows() -> Vec<Row> {
        std::iter::once(Self::SEND.row()).chain(settings::rows()).collect()
    }

    /// Reads the settings but [`SEND`](Self::SEND), which says which addresses there have to be.
    pub fn from_env(env: &mut Env<'_>, sends: Option<Signals>) -> Option<Self> {
        let settings = settings::Settings::from_env(env, sends)?;
        Some(Self {
            manner: metrics::Manner {
                format: settings.metrics.format,
                temporality: settings.temporality,
                aggregation: settings.aggregation,
            },
            logs: settings.logs,
            metrics: settings.metrics,
            shared: settings.shared,
            retry_more: settings.retry_more,
            table: series::Table::default(),
        })
    }

    /// Certificates of its addresses.
    pub fn certificates(&self) -> impl Iterator<Item = &Certificates> {
        [&self.logs, &self.metrics].into_iter().filter_map(|target| target.endpoint.certificates.as_deref())
    }

    /// Takes over what another one has counted.
    pub(super) fn inherit(&mut self, before: Self) {
        self.table = before.table;
    }

    /// Begins a batch.
    pub fn encoder<'b>(&'b mut self, context: &Context<'b>) -> Encoder<'b> {
        let logs = Body::new(self.template(&self.logs, LOGS));
        let metrics = Body::new(self.template(&self.metrics, METRICS));
        let Self { table, shared, manner, .. } = self;
        Encoder {
            logs: logs::Logs::new(logs, self.logs.format, shared),
            metrics: metrics::Metrics::new(metrics, *manner, table, shared, context.forwarder, context.now),
            oversize: Weight::default(),
        }
    }

    /// What requests of a route are like.
    pub(super) fn template_of(&self, route: &str) -> Option<Template> {
        match route {
            LOGS => Some(self.template(&self.logs, LOGS)),
            METRICS => Some(self.template(&self.metrics, METRICS)),
            _ => None,
        }
    }

    fn template(&self, target: &settings::Target, route: &'static str) -> Template {
        Template {
            destination: Destination::Http(target.endpoint.clone()),
            compression: target.compression,
            // Until there is an origin.
            frame: match target.format {
                writer::Format::Json => Frame::text(b"", b",", b""),
                writer::Format::Protobuf => Frame::Protobuf(Vec::new()),
            },
            limits: limits(target.format),
            route,
            judge: if self.retry_more { judge::judge_patiently } else { judge::judge },
        }
    }

    /// What OpenTelemetry's users call a measure, in which unit, and what its values are divided by.
    pub const fn words(measure: Measure) -> (&'static str, &'static str, f64) {
        words::words(measure)
    }
}

impl Encode for Encoder<'_> {
    fn has_ready(&self) -> bool {
        self.logs.has_ready() || self.metrics.has_ready()
    }

    fn take_ready(&mut self) -> Vec<Request> {
        let mut ready = self.logs.take_ready();
        ready.extend(self.metrics.take_ready());
        ready
    }

    fn finish(self) -> Encoded {
        let mut requests = self.logs.finish();
        let (metrics, mut oversize) = self.metrics.finish();
        requests.extend(metrics);
        oversize += self.oversize;
        Encoded { requests, oversize, ..Encoded::default() }
    }
}

impl Sink for Encoder<'_> {
    fn log(&mut self, origin: &Origin, log: &Log<'_>) {
        if self.logs.push(origin, log).is_err() {
            self.oversize += Weight::LOG;
        }
    }

    fn metrics(&mut self, origin: &Origin, metrics: &[Metric<'_>]) {
        self.metrics.push(origin, metrics);
    }
}

/// Nanoseconds since the epoch; 0, which means unknown, before it.
fn nanos(time: Timestamp) -> u64 {
    u64::try_from(time.millis()).unwrap_or_default().saturating_mul(1_000_000)
}

#[cfg(test)]
mod tests;
