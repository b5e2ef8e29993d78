//! Datadog: logs, distributions, series and service checks.
//!
//! Logs have the attributes that the Datadog Forwarder gives them, with names in
//! their own case and the account and region of the log, not of the forwarder.
//! Lambda's own measures are distributions under `aws.lambda.enhanced.`, with
//! durations in seconds.
//!
//! # Many copies at once, and replays
//!
//! Distributions are merged by the intake, whoever sends them and however a
//! second is spread over batches: copies of the forwarder never overwrite each
//! other, and a replay counts twice. Gauges keep the last value of a second,
//! and a replay changes nothing. With `aggregates`, counts and histograms are
//! series of a second: their host is the log stream, so that copies don't
//! overwrite each other, a replay overwrites itself, and a second that is split
//! over two deliveries of one stream is undercounted. A replayed log is there
//! twice.
//!
//! Sources: <https://docs.datadoghq.com/api/latest/logs/>,
//! <https://docs.datadoghq.com/api/latest/metrics/>,
//! <https://docs.datadoghq.com/api/latest/service-checks/>, and what the
//! Datadog Forwarder 5.4 does.

mod aggregate;
mod forms;
mod logs;
mod metrics;
mod tags;

use std::time::Duration;

use super::body::{Body, Limits, Template};
use super::{Context, Encode, Signals};
use crate::env::{Address, Env, Row, Secret, Setting, is_host_name, read};
use crate::model::{Log, Measure, Metric, Origin, Sink, Timestamp};
use crate::request::{Compression, Destination, Endpoint, Frame, Header, Request, Response, Verdict, Weight};

/// "Maximum content size per payload (uncompressed): 5MB", "Maximum size for a
/// single log: 1MB", "Maximum array size […]: 1000 entries".
const LOGS: Limits = Limits { bytes: 5_000_000, compressed: usize::MAX, items: 1000, item_bytes: 1_000_000 };

/// No limit is documented: a payload of the older series API may have 3.2 MB.
const DISTRIBUTIONS: Limits = Limits { bytes: 3_000_000, compressed: usize::MAX, items: 10_000, item_bytes: 1_000_000 };

/// 512,000 bytes compressed, which an uncompressed body of less never exceeds.
const SERIES: Limits = Limits { bytes: 500_000, compressed: usize::MAX, items: 10_000, item_bytes: 100_000 };

const ARRAY: Frame = Frame::text(b"[", b",", b"]");
const SERIES_FRAME: Frame = Frame::text(b"{\"series\":[", b",", b"]}");

/// Ships to Datadog.
#[derive(Clone, Debug, PartialEq)]
pub struct Datadog {
    api_key: Secret,
    /// Where logs go.
    logs: Address,
    /// What is before the paths of metrics.
    api: Address,
    tags: Vec<(String, String)>,
    source: Option<String>,
    forward_logs: bool,
    /// Whether the intake adds tags of AWS to logs.
    enrich: bool,
    logs_compression: Compression,
    metrics_compression: Compression,
    custom: CustomAs,
}

/// How custom counts and histograms are sent.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum CustomAs {
    /// As series that are aggregated here, per second.
    Aggregates,
    /// As distributions, which the intake aggregates.
    Distributions,
}

/// Datadog's intakes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Route {
    Checks,
    Distributions,
    Logs,
    Series,
}

impl Route {
    const fn name(self) -> &'static str {
        match self {
            Self::Checks => "checks",
            Self::Distributions => "distributions",
            Self::Logs => "logs",
            Self::Series => "series",
        }
    }
}

/// How bodies are compressed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Codec {
    Deflate,
    Gzip,
    None,
    Zstd,
}

/// One batch on its way to Datadog.
pub struct Encoder<'b> {
    logs: logs::Logs<'b>,
    metrics: metrics::Metrics,
    forward_logs: bool,
    /// Logs and metrics that no request can hold.
    oversize: Weight,
    filtered: Weight,
}

impl Datadog {
    const API_KEY: Setting<Secret> = Setting::new("DD_API_KEY", read::secret, "Datadog API key.").secret();
    const SITE: Setting<String> = Setting::new("DD_SITE", site, "Datadog site to send to.").default("datadoghq.com");
    const URL: Setting<Address> =
        Setting::new("DD_URL", host, "Host or address that takes logs; `http-intake.logs.` and the site when empty.")
            .address();
    const PORT: Setting<u16> =
        Setting::new("DD_PORT", read::port, "Port that takes logs; 443, or 80 with DD_NO_SSL, when empty.");
    const NO_SSL: Setting<bool> =
        Setting::new("DD_NO_SSL", read::boolean, "Whether logs go over plain http.").default("false");
    const API_URL: Setting<Address> =
        Setting::new("DD_API_URL", read::url, "Address that takes metrics; `https://api.` and the site when empty.")
            .address();
    const TAGS: Setting<Vec<(String, String)>> = Setting::new(
        "DD_TAGS",
        read::tags,
        "Tags added to what is sent to Datadog, as `key:value` pairs set apart by commas.",
    );
    const SOURCE: Setting<String> =
        Setting::new("DD_SOURCE", read::text, "Source of all logs, instead of the one told by their log group.");
    const FORWARD_LOG: Setting<bool> =
        Setting::new("DD_FORWARD_LOG", read::boolean, "Whether logs are sent; metrics always are.").default("true");
    const ENRICH: Setting<bool> = Setting::new(
        "DD_ENRICH_CLOUDWATCH_TAGS",
        read::boolean,
        "Whether Datadog is asked to add the AWS tags of log group and function to logs.",
    )
    .default("true");
    const USE_COMPRESSION: Setting<bool> =
        Setting::new("DD_USE_COMPRESSION", read::boolean, "Whether bodies are compressed.").default("true");
    const COMPRESSION_LEVEL: Setting<u32> =
        Setting::new("DD_COMPRESSION_LEVEL", level, "How hard bodies are compressed, 0 to 9.").default("6");
    const CODEC: Setting<Codec> = Setting::new(
        "LOGFERRY_DATADOG_COMPRESSION",
        codec,
        "How logs are compressed: gzip, deflate, zstd (which Datadog's agents send and its public API does not document) or none.",
    )
    .default("gzip");
    const METRICS: Setting<CustomAs> = Setting::new(
        "LOGFERRY_DATADOG_METRICS",
        metrics_setting,
        "How custom counts and histograms are sent: distributions, or aggregates of each second.",
    )
    .default("distributions");

    /// What is sent.
    pub const SEND: Setting<Signals> =
        Setting::new("LOGFERRY_DATADOG_SEND", Signals::parse, "What Datadog is sent: logs, metrics, or both.")
            .default(Signals::BOTH);

    /// The settings, for documents.
    pub const ROWS: [Row; 15] = [
        Self::SEND.row(),
        Self::API_KEY.row(),
        Self::SITE.row(),
        Self::URL.row(),
        Self::PORT.row(),
        Self::NO_SSL.row(),
        Self::API_URL.row(),
        Self::TAGS.row(),
        Self::SOURCE.row(),
        Self::FORWARD_LOG.row(),
        Self::ENRICH.row(),
        Self::USE_COMPRESSION.row(),
        Self::COMPRESSION_LEVEL.row(),
        Self::CODEC.row(),
        Self::METRICS.row(),
    ];

    /// Reads the settings.
    pub fn from_env(env: &mut Env<'_>) -> Option<Self> {
        let api_key = env.require(&Self::API_KEY, "the datadog backend needs an API key");
        let site = env.read(&Self::SITE);
        let url = env.read_over(&Self::URL, &Self::SITE);
        // What stands beside a shared address says nothing of the host that a site of its own has.
        let alone = env.gives_way(&Self::URL, &Self::SITE);
        let no_ssl = env.read(&Self::NO_SSL).map(|plain| plain && (!alone || env.is_own(&Self::NO_SSL)));
        let api = env.read_over(&Self::API_URL, &Self::SITE);
        let (tags, source) = (env.read(&Self::TAGS), env.read(&Self::SOURCE));
        let (forward_logs, enrich) = (env.read(&Self::FORWARD_LOG), env.read(&Self::ENRICH));
        let compress = env.read(&Self::USE_COMPRESSION);
        let (level, codec, custom) =
            (env.read(&Self::COMPRESSION_LEVEL), env.read(&Self::CODEC), env.read(&Self::METRICS));
        if compress == Some(false) && codec.is_some_and(|codec| codec != Codec::None) {
            Self::check_codec(env);
        }
        let host = url.or_else(|| Some(Address::of(format!("http-intake.logs.{}", site.as_ref()?))));
        let address = host.zip(no_ssl).map(|(host, plain)| with_scheme(host, plain));
        let address = if alone && env.gives_way(&Self::PORT, &Self::SITE) {
            address
        } else {
            env.at_port(address, &Self::URL, &Self::PORT)
        };
        let (site, compress, level) = (site?, compress?, level?);
        let codec = if compress { codec? } else { Codec::None };
        Some(Self {
            api_key: api_key?,
            logs: address?.join("/api/v2/logs"),
            api: api.unwrap_or_else(|| Address::of(format!("https://api.{site}"))),
            tags: tags.unwrap_or_default(),
            source,
            forward_logs: forward_logs?,
            enrich: enrich?,
            logs_compression: codec.at(level),
            metrics_compression: if compress { Compression::Deflate(level) } else { Compression::None },
            custom: custom?,
        })
    }

    /// Takes it down as a mistake if what asks for compression isn't what is turned off: one backend's own setting may
    /// turn off what holds for all.
    fn check_codec(env: &mut Env<'_>) {
        let (off, codec) = (env.name(&Self::USE_COMPRESSION), env.name(&Self::CODEC));
        let meant = off != Self::USE_COMPRESSION.row().name && codec == Self::CODEC.row().name;
        if env.given(&Self::CODEC) && !meant {
            env.mistake(&codec, format!("is set beside {off}, which turns compression off: leave one of them out"));
        }
    }

    /// Takes it down as a mistake if nothing is left to send.
    pub fn check(&self, sends: Signals, env: &mut Env<'_>) {
        if !self.forward_logs && !sends.metrics {
            let what =
                format!("asks for logs alone, and {} for none: nothing would be sent", env.name(&Self::FORWARD_LOG));
            env.mistake(&env.name(&Self::SEND), what);
        }
    }

    /// Begins a batch.
    pub fn encoder<'b>(&'b self, context: &Context<'b>) -> Encoder<'b> {
        let body = |route| Body::new(self.template(route));
        Encoder {
            logs: logs::Logs::new(body(Route::Logs), self, context),
            metrics: metrics::Metrics::new(
                self.custom,
                self.tags.clone(),
                context.now,
                body(Route::Distributions),
                body(Route::Series),
                body(Route::Checks),
            ),
            forward_logs: self.forward_logs,
            oversize: Weight::default(),
            filtered: Weight::default(),
        }
    }

    /// A stored request as it is sent now.
    pub(super) fn revived(request: Request, now: Timestamp) -> Option<Request> {
        if request.route == Route::Logs.name() { logs::revived(request, now) } else { Some(request) }
    }

    /// How old a route's data may be: metrics "no more than one hour", checks ten minutes. Older data is acknowledged
    /// and lost; logs that are too old are dated anew.
    pub(super) fn max_age(route: &str) -> Option<Duration> {
        match route {
            "distributions" | "series" => Some(Duration::from_hours(1)),
            "checks" => Some(Duration::from_mins(10)),
            _ => None,
        }
    }

    /// Whether both are sent the same bytes, if to different places.
    pub(super) fn encodes_like(&self, other: &Self) -> bool {
        let here =
            Self { api_key: other.api_key.clone(), logs: other.logs.clone(), api: other.api.clone(), ..self.clone() };
        here == *other
    }

    /// What requests of a route are like.
    pub(super) fn template_of(&self, route: &str) -> Option<Template> {
        let routes = [Route::Logs, Route::Distributions, Route::Series, Route::Checks];
        routes.into_iter().find(|known| known.name() == route).map(|route| self.template(route))
    }

    fn template(&self, route: Route) -> Template {
        let (compression, frame, limits) = match route {
            Route::Logs => (self.logs_compression, ARRAY, LOGS),
            Route::Distributions => (self.metrics_compression, SERIES_FRAME, DISTRIBUTIONS),
            Route::Series => (self.metrics_compression, SERIES_FRAME, SERIES),
            Route::Checks => (self.metrics_compression, ARRAY, SERIES),
        };
        let address = match route {
            Route::Logs => self.logs.clone(),
            Route::Distributions => self.api.join("/api/v1/distribution_points"),
            Route::Series => self.api.join("/api/v2/series"),
            Route::Checks => self.api.join("/api/v1/check_run"),
        };
        let public = |value: &str| Header::Public(value.to_owned());
        let mut headers = vec![
            ("Content-Type".into(), public("application/json")),
            ("DD-API-KEY".into(), Header::Secret(self.api_key.clone())),
            ("DD-EVP-ORIGIN".into(), public("logferry")),
            ("DD-EVP-ORIGIN-VERSION".into(), public(env!("CARGO_PKG_VERSION"))),
        ];
        if route == Route::Logs && self.enrich {
            headers.push(("DD-STORAGE-TAG".into(), public("cloudwatch")));
        }
        if let Some(encoding) = compression.content_encoding() {
            headers.push(("Content-Encoding".into(), public(encoding)));
        }
        let endpoint = Endpoint { headers, ..Endpoint::from(address) };
        let route = route.name();
        Template { destination: Destination::Http(endpoint), compression, frame, limits, route, judge }
    }

    /// What Datadog's users call a measure, and what its values are divided by.
    pub const fn words(measure: Measure) -> (&'static str, f64) {
        match measure {
            Measure::Duration => ("aws.lambda.enhanced.duration", 1e3),
            Measure::BilledDuration => ("aws.lambda.enhanced.billed_duration", 1e3),
            Measure::InitDuration => ("aws.lambda.enhanced.init_duration", 1e3),
            Measure::RestoreDuration => ("aws.lambda.enhanced.restore_duration", 1e3),
            Measure::BilledRestoreDuration => ("aws.lambda.enhanced.billed_restore_duration", 1e3),
            Measure::MemorySize => ("aws.lambda.enhanced.memorysize", 1.0),
            Measure::MaxMemoryUsed => ("aws.lambda.enhanced.max_memory_used", 1.0),
            Measure::Invocations => ("aws.lambda.enhanced.invocations", 1.0),
            Measure::Errors => ("aws.lambda.enhanced.errors", 1.0),
            Measure::Timeouts => ("aws.lambda.enhanced.timeouts", 1.0),
            Measure::OutOfMemory => ("aws.lambda.enhanced.out_of_memory", 1.0),
            Measure::ColdStarts => ("aws.lambda.enhanced.cold_starts", 1.0),
            Measure::RuntimeDuration => ("aws.lambda.enhanced.runtime_duration", 1.0),
            Measure::PostRuntimeDuration => ("aws.lambda.enhanced.post_runtime_duration", 1.0),
            Measure::ResponseLatency => ("aws.lambda.enhanced.response_latency", 1.0),
            Measure::ResponseDuration => ("aws.lambda.enhanced.response_duration", 1.0),
            Measure::ProducedBytes => ("aws.lambda.enhanced.produced_bytes", 1.0),
            Measure::EstimatedCost => ("aws.lambda.enhanced.estimated_cost", 1.0),
        }
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

    fn finish(self) -> super::Encoded {
        let mut requests = self.logs.finish();
        let (metrics, oversize) = self.metrics.finish();
        requests.extend(metrics);
        let mut lost = self.oversize;
        lost += oversize;
        super::Encoded { requests, oversize: lost, filtered: self.filtered, ..super::Encoded::default() }
    }
}

impl Sink for Encoder<'_> {
    fn log(&mut self, origin: &Origin, log: &Log<'_>) {
        // Others may want to know what JSON says, mostly nobody does: then nothing is copied.
        let without;
        let log = if log.of_json {
            without = log.without_json();
            &without
        } else {
            log
        };
        if !self.forward_logs {
            self.filtered += Weight::LOG;
        } else if self.logs.push(origin, log).is_err() {
            self.oversize += Weight::LOG;
        }
    }

    /// Datadog's intake reads JSON messages itself: what others want to know of them makes no difference here.
    fn wants_json_fields(&self) -> bool {
        false
    }

    fn metrics(&mut self, origin: &Origin, metrics: &[Metric<'_>]) {
        self.metrics.push(origin, metrics);
    }
}

impl Codec {
    const fn at(self, level: u32) -> Compression {
        match self {
            Self::Deflate => Compression::Deflate(level),
            Self::Gzip => Compression::Gzip(level),
            Self::None => Compression::None,
            // Zstandard's 3 does better than gzip's 6 in a third of the time.
            Self::Zstd => Compression::Zstd(3),
        }
    }
}

/// One bad item is a 400 for the whole payload.
fn judge(request: &Request, response: &Response) -> Verdict {
    match response.status {
        400 => Verdict::Malformed,
        200..=299 => warned(&response.body).map_or(Verdict::Accepted, |why| Verdict::Warned { why }),
        _ => Verdict::of(request, response),
    }
}

/// What the metrics intakes say of what they have taken: `{"errors":["…"]}`, mostly without any.
fn warned(body: &[u8]) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Taken {
        errors: Vec<String>,
    }

    let Taken { errors } = serde_json::from_slice(body).ok()?;
    (!errors.is_empty()).then(|| errors.join("; "))
}

fn site(value: &str) -> Result<String, String> {
    if value.contains('.') && is_host_name(value) {
        Ok(value.to_owned())
    } else {
        Err("is not a Datadog site: expected `datadoghq.com`, `datadoghq.eu`, `us5.datadoghq.com` or the like"
            .to_owned())
    }
}

/// The address of a host; a whole address stays.
fn with_scheme(host: Address, plain: bool) -> Address {
    let scheme = if plain { "http" } else { "https" };
    if host.base.contains("://") { host } else { Address { base: format!("{scheme}://{}", host.base), ..host } }
}

/// A host, or a whole address.
fn host(value: &str) -> Result<Address, String> {
    if value.contains("://") {
        return read::url(value);
    }
    read::url(&format!("https://{value}"))
        .map(|address| Address { base: address.base.trim_start_matches("https://").to_owned(), ..address })
        .map_err(|_| {
            "is neither a host nor an address: expected `http-intake.logs.datadoghq.com` or the like".to_owned()
        })
}

fn level(value: &str) -> Result<u32, String> {
    value.parse().ok().filter(|level| *level <= 9).ok_or_else(|| "is not a level: expected 0 to 9".to_owned())
}

fn codec(value: &str) -> Result<Codec, String> {
    match value {
        "deflate" => Ok(Codec::Deflate),
        "gzip" => Ok(Codec::Gzip),
        "none" => Ok(Codec::None),
        "zstd" => Ok(Codec::Zstd),
        _ => Err("is none of `gzip`, `deflate`, `zstd`, `none`".to_owned()),
    }
}

fn metrics_setting(value: &str) -> Result<CustomAs, String> {
    match value {
        "aggregates" => Ok(CustomAs::Aggregates),
        "distributions" => Ok(CustomAs::Distributions),
        _ => Err("is neither `distributions` nor `aggregates`".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_intake_says_of_what_it_took_is_a_warning() {
        let warned = |why: &str| Verdict::Warned { why: why.to_owned() };
        for (body, verdict) in [
            (r#"{"errors":[]}"#, Verdict::Accepted),
            (r#"{"errors":["one","another"]}"#, warned("one; another")),
            (r#"{"status":"ok"}"#, Verdict::Accepted),
            ("{}", Verdict::Accepted),
            ("", Verdict::Accepted),
            (r#"{"errors":"x"}"#, Verdict::Accepted),
        ] {
            let request = Request::with_items(Vec::new(), judge);
            let response = Response { status: 202, body: body.into(), ..Response::default() };
            assert_eq!(judge(&request, &response), verdict, "{body}");
        }
    }
}
