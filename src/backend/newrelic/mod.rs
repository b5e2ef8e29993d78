//! New Relic: its log and metric APIs.
//!
//! ```text
//! POST /log/v1
//! [{"common":{"attributes":{"plugin.type":"logferry","aws.logGroup":"/aws/lambda/checkout","aws.logStream":"…","faas.name":"checkout",…}},
//!   "logs":[{"timestamp":1764000000123,"message":"…","attributes":{"level":"error","aws.requestId":"1ab9…","aws.lambda_request_id":"1ab9…","aws.logEventId":"3719…"}}]}]
//!
//! POST /metric/v1
//! [{"common":{"attributes":{"faas.name":"checkout","aws.region":"eu-west-1",…}},
//!   "metrics":[{"name":"aws.lambda.invocations","type":"count","value":3,"timestamp":1764000000000,"interval.ms":1000,"attributes":{"cold_start":"false"}},
//!              {"name":"aws.lambda.duration","type":"summary","value":{"count":3,"sum":61,"min":5,"max":40},"timestamp":1764000000000,"interval.ms":1000,"attributes":{…}}]}]
//! ```
//!
//! What a second's values come to is one item: the sum of a count, a summary of a
//! histogram, the last value of a gauge. Checks are gauges of 0 to 3. A summary
//! has no percentiles, as the API has no type that does. A count that sums up to
//! less than nothing is a summary, too.
//!
//! # Many copies at once, and replays
//!
//! Counts and summaries are deltas that add up, whoever sends them and however a
//! second is spread over batches; points never take each other's place. A replay
//! counts twice, and a replayed log is there twice: both have the same
//! `aws.logEventId`.
//!
//! Sources: <https://docs.newrelic.com/docs/logs/log-api/introduction-log-api/>,
//! <https://docs.newrelic.com/docs/data-apis/ingest-apis/metric-api/report-metrics-metric-api/>,
//! and what New Relic's own ingestion Lambda calls things.

mod attributes;
mod logs;
mod metrics;
#[cfg(test)]
mod tests;

use std::time::Duration;

use super::body::{Body, Limits, Template};
use super::{Encode, Encoded, Signals};
use crate::env::{Address, Env, Row, Secret, Setting, read};
use crate::model::{Log, Measure, Metric, Origin, Sink};
use crate::request::{Compression, Destination, Endpoint, Frame, Header, Request, Response, Verdict, Weight};

/// "Maximum total size: 1MB (10^6 bytes) maximum per POST", which is measured
/// compressed; some is left, and what has to be inflated is bounded, too.
const LIMITS: Limits = Limits { bytes: 4_000_000, compressed: 900_000, items: 10_000, item_bytes: 1_000_000 };

/// "Log […] timestamps older than 48 hours may be dropped", and so with metrics.
const MAX_AGE: Duration = Duration::from_hours(48);

/// Ships to New Relic.
#[derive(Clone, Debug, PartialEq)]
pub struct NewRelic {
    license_key: Secret,
    logs: Address,
    metrics: Address,
    tags: Vec<(String, String)>,
}

/// Where an account is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Region {
    Eu,
    Gov,
    Jp,
    Us,
}

/// New Relic's intakes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Route {
    Logs,
    Metrics,
}

/// One batch on its way to New Relic.
pub struct Encoder<'b> {
    logs: logs::Logs<'b>,
    metrics: metrics::Metrics<'b>,
    oversize: Weight,
}

impl NewRelic {
    const KEY: Setting<Secret> =
        Setting::new("NEW_RELIC_LICENSE_KEY", license_key, "New Relic licence key, of the type that ingests.").secret();
    const LAMBDA_KEY: Setting<Secret> = Setting::new(
        "LICENSE_KEY",
        license_key,
        "The same as NEW_RELIC_LICENSE_KEY, under the name that New Relic's ingestion Lambda has for it.",
    )
    .secret();
    const REGION: Setting<Region> = Setting::new(
        "NEW_RELIC_REGION",
        region,
        "Region of the account: us, eu, jp or gov; the one that the key begins with, else us, when empty. Of a named backend's own key that one comes before a shared region.",
    );
    const LOGS_URL: Setting<Address> =
        Setting::new("NR_LOGGING_ENDPOINT", read::url, "Address that takes logs; that of the region when empty.")
            .address();
    const METRICS_URL: Setting<Address> = Setting::new(
        "LOGFERRY_NEWRELIC_METRICS_URL",
        read::url,
        "Address that takes metrics; that of the region when empty.",
    )
    .address();
    const TAGS: Setting<Vec<(String, String)>> = Setting::new(
        "NR_TAGS",
        tags,
        "Attributes added to what is sent to New Relic, as `key:value` pairs set apart by semicolons.",
    );

    /// What is sent.
    pub const SEND: Setting<Signals> =
        Setting::new("LOGFERRY_NEWRELIC_SEND", Signals::parse, "What New Relic is sent: logs, metrics, or both.")
            .default(Signals::BOTH);

    /// The settings, for documents.
    pub const ROWS: [Row; 7] = [
        Self::SEND.row(),
        Self::KEY.row(),
        Self::LAMBDA_KEY.row(),
        Self::REGION.row(),
        Self::LOGS_URL.row(),
        Self::METRICS_URL.row(),
        Self::TAGS.row(),
    ];

    /// Reads the settings.
    pub fn from_env(env: &mut Env<'_>) -> Option<Self> {
        let key = if env.given(&Self::LAMBDA_KEY) {
            env.first(&[&Self::KEY, &Self::LAMBDA_KEY])
        } else {
            env.require(&Self::KEY, "the newrelic backend needs a licence key")
        };
        let region = env.read(&Self::REGION);
        let logs = env.read_over(&Self::LOGS_URL, &Self::REGION);
        let metrics = env.read_over(&Self::METRICS_URL, &Self::REGION);
        let tags = env.read(&Self::TAGS).unwrap_or_default();
        let license_key = key?;
        let own_key = env.is_own(&Self::KEY) || env.is_own(&Self::LAMBDA_KEY);
        let of_key = Region::of(&license_key);
        // A shared region isn't that of a key of its own which says another.
        let region = if own_key && !env.is_own(&Self::REGION) { of_key.or(region) } else { region.or(of_key) };
        let region = region.unwrap_or(Region::Us);
        Some(Self {
            logs: logs.unwrap_or_else(|| Address::of(format!("https://{}/log/v1", region.hosts().0))),
            metrics: metrics.unwrap_or_else(|| Address::of(format!("https://{}/metric/v1", region.hosts().1))),
            license_key,
            tags,
        })
    }

    /// Begins a batch.
    pub fn encoder(&self) -> Encoder<'_> {
        let body = |route| Body::new(self.template(route));
        Encoder {
            logs: logs::Logs::new(body(Route::Logs), &self.tags),
            metrics: metrics::Metrics::new(body(Route::Metrics), &self.tags),
            oversize: Weight::default(),
        }
    }

    /// How old a route's data may be: older data is acknowledged and lost.
    pub(super) fn max_age(route: &str) -> Option<Duration> {
        Route::named(route).map(|_| MAX_AGE)
    }

    /// What a tag of the settings is called.
    pub(super) fn tag_name(key: &str) -> String {
        attributes::key(key)
    }

    /// Whether both are sent the same bytes, if to different places.
    pub(super) fn encodes_like(&self, other: &Self) -> bool {
        let here = Self {
            license_key: other.license_key.clone(),
            logs: other.logs.clone(),
            metrics: other.metrics.clone(),
            ..self.clone()
        };
        here == *other
    }

    /// What requests of a route are like.
    pub(super) fn template_of(&self, route: &str) -> Option<Template> {
        Route::named(route).map(|route| self.template(route))
    }

    fn template(&self, route: Route) -> Template {
        let compression = Compression::Gzip(6);
        let public = |value: &str| Header::Public(value.to_owned());
        let address = match route {
            Route::Logs => &self.logs,
            Route::Metrics => &self.metrics,
        };
        let endpoint = Endpoint {
            headers: vec![
                ("Content-Type".into(), public("application/json")),
                ("Content-Encoding".into(), public(compression.content_encoding().unwrap_or_default())),
                ("Api-Key".into(), Header::Secret(self.license_key.clone())),
            ],
            ..Endpoint::from(address.clone())
        };
        Template {
            destination: Destination::Http(endpoint),
            compression,
            frame: route.frame(b""),
            limits: LIMITS,
            route: route.name(),
            judge,
        }
    }

    /// What a measure is called here; in the unit that it has here.
    pub const fn words(measure: Measure) -> &'static str {
        match measure {
            Measure::Duration => "aws.lambda.duration",
            Measure::BilledDuration => "aws.lambda.billed_duration",
            Measure::InitDuration => "aws.lambda.init_duration",
            Measure::RestoreDuration => "aws.lambda.restore_duration",
            Measure::BilledRestoreDuration => "aws.lambda.billed_restore_duration",
            Measure::MemorySize => "aws.lambda.memory_size",
            Measure::MaxMemoryUsed => "aws.lambda.max_memory_used",
            Measure::Invocations => "aws.lambda.invocations",
            Measure::Errors => "aws.lambda.errors",
            Measure::Timeouts => "aws.lambda.timeouts",
            Measure::OutOfMemory => "aws.lambda.out_of_memory",
            Measure::ColdStarts => "aws.lambda.cold_starts",
            Measure::RuntimeDuration => "aws.lambda.runtime_duration",
            Measure::PostRuntimeDuration => "aws.lambda.post_runtime_duration",
            Measure::ResponseLatency => "aws.lambda.response_latency",
            Measure::ResponseDuration => "aws.lambda.response_duration",
            Measure::ProducedBytes => "aws.lambda.produced_bytes",
            Measure::EstimatedCost => "aws.lambda.estimated_cost",
        }
    }
}

impl Region {
    /// The one that a licence key begins with; most of the US begin with none.
    fn of(license_key: &Secret) -> Option<Self> {
        match license_key.expose().get(..2) {
            Some("eu") => Some(Self::Eu),
            Some("jp") => Some(Self::Jp),
            _ => None,
        }
    }

    /// Hosts that take logs and metrics.
    const fn hosts(self) -> (&'static str, &'static str) {
        match self {
            Self::Eu => ("log-api.eu.newrelic.com", "metric-api.eu.newrelic.com"),
            Self::Gov => ("gov-log-api.newrelic.com", "gov-metric-api.newrelic.com"),
            Self::Jp => ("log-api.jp.nr-data.net", "metric-api.jp.nr-data.net"),
            Self::Us => ("log-api.newrelic.com", "metric-api.newrelic.com"),
        }
    }
}

impl Route {
    const fn name(self) -> &'static str {
        match self {
            Self::Logs => "logs",
            Self::Metrics => "metrics",
        }
    }

    fn named(name: &str) -> Option<Self> {
        [Self::Logs, Self::Metrics].into_iter().find(|route| route.name() == name)
    }

    /// What stands around items that share attributes, given as the members of an object.
    fn frame(self, attributes: &[u8]) -> Frame {
        let mut open = br#"[{"common":{"attributes":{"#.to_vec();
        open.extend_from_slice(attributes);
        open.extend_from_slice(br#"}},""#);
        open.extend_from_slice(self.name().as_bytes());
        open.extend_from_slice(br#"":["#);
        Frame::Text { open: open.into(), separator: b","[..].into(), close: b"]}]"[..].into() }
    }
}

impl Encode for Encoder<'_> {
    fn has_ready(&self) -> bool {
        self.logs.body.has_ready() || self.metrics.body.has_ready()
    }

    fn take_ready(&mut self) -> Vec<Request> {
        let mut ready = self.logs.body.take_ready();
        ready.extend(self.metrics.body.take_ready());
        ready
    }

    fn finish(self) -> Encoded {
        let mut requests = self.logs.body.finish();
        let (metrics, lost) = self.metrics.finish();
        requests.extend(metrics);
        let oversize = [self.oversize, lost].into_iter().sum();
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

/// A body that isn't as it should be is refused as a whole.
fn judge(request: &Request, response: &Response) -> Verdict {
    match response.status {
        400 => Verdict::Malformed,
        _ => Verdict::of(request, response),
    }
}

/// A key that may ingest: a user key may not.
///
/// Source: <https://docs.newrelic.com/docs/apis/intro-apis/new-relic-api-keys/>
fn license_key(value: &str) -> Result<Secret, String> {
    if value.starts_with("NRAK-") {
        return Err(
            "is a user key, which begins with `NRAK-`: expected a licence key, of the type that ingests".to_owned()
        );
    }
    read::secret(value)
}

fn region(value: &str) -> Result<Region, String> {
    match value.to_ascii_lowercase().as_str() {
        "eu" => Ok(Region::Eu),
        "gov" => Ok(Region::Gov),
        "jp" => Ok(Region::Jp),
        "us" => Ok(Region::Us),
        _ => Err("is none of `us`, `eu`, `jp`, `gov`".to_owned()),
    }
}

/// Reads `key:value;key:value`.
fn tags(value: &str) -> Result<Vec<(String, String)>, String> {
    let pairs = value.split(';').map(str::trim).filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| match pair.split_once(':') {
            Some((key, value)) if !key.trim().is_empty() => Ok((key.trim().to_owned(), value.trim().to_owned())),
            _ => Err("has something that is no pair: expected `key:value;key:value`".to_owned()),
        })
        .collect()
}
