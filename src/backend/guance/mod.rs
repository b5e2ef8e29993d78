//! Guance and `TrueWatch`: line protocol to a Dataway, or to a `DataKit`.
//!
//! ```text
//! POST /v1/write/metric
//! awslambda-metric,aws_account_id=123456789012,aws_lambda_function_memory_size=512,aws_lambda_function_name=checkout,aws_region=eu-west-1 invocations=1i,duration_ms=187i,estimated_cost_usd=0.00000525 1764000000123437121
//! lambda_custom,function_name=checkout,shop=berlin orders.placed=3 1764000000000108773
//!
//! POST /v1/write/logging
//! awslambda-logging,aws_lambda_function_name=checkout,service=checkout,aws_log_from=function,status=error message="…",event_id="3719…",request_id="1ab9…" 1764000000123000000
//! ```
//!
//! Lambda's own measures are one point for each event that tells any, under the
//! names that the vendor's Lambda extension documents; its fourteen fields are
//! whole numbers as it says, beside them are ours. Custom metrics have a
//! measurement of their own, always as floats, as the type of a field is that of
//! its first value. Times are in ns.
//!
//! # Many copies at once, and replays
//!
//! A point with the measurement, tags and time of another takes its place. Times
//! of events are in ms, so each point is moved by less than a millisecond, by a
//! hash of its event's id: points of the same millisecond stay apart, whichever
//! copy of the forwarder sends them, and a replay writes the same points again.
//! Custom metrics of a whole second, as most are, are moved by less than a second;
//! one whose time is taken within its batch is moved on by a nanosecond.
//! Logs of the same millisecond are a nanosecond apart and so keep their order;
//! a replayed log is there twice.
//!
//! Sources: <https://docs.guance.com/en/integrations/awslambda/>,
//! <https://docs.guance.com/en/datakit/apis/>, and what `DataKit` and its Lambda
//! extension do.

mod logs;
mod metrics;
#[cfg(test)]
mod tests;

use super::body::{Body, Limits, Template};
use super::{Encode, Encoded, Signals};
use crate::env::{Address, Env, Row, Secret, Setting, read};
use crate::model::{Log, Measure, Metric, Origin, Sink};
use crate::request::{Compression, Destination, Endpoint, Frame, Header, Request, Response, Verdict, Weight};

/// A body has at most 1 MiB before it is compressed; with fewer points a bad one is soon found.
const LIMITS: Limits = Limits { bytes: 1 << 20, compressed: usize::MAX, items: 2000, item_bytes: 1 << 20 };

/// Tags that are ours to set.
const OWN_TAGS: [&str; 9] = [
    "aws_account_id",
    "aws_lambda_function_memory_size",
    "aws_lambda_function_name",
    "aws_lambda_function_version",
    "aws_lambda_initialization_type",
    "aws_log_from",
    "aws_region",
    "log_group",
    "status",
];

/// Prefixes and lengths of tokens.
const TOKENS: [(&str, usize); 3] = [("token", 32), ("tkn", 32), ("tokn", 24)];

/// Ships to Guance.
#[derive(Clone, Debug, PartialEq)]
pub struct Guance {
    /// Scheme, host and port; behind the `?` is the token.
    dataway: Address,
    vocabulary: Vocabulary,
}

/// Whose names and types hold.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Vocabulary {
    /// Those that the vendor's extension documents.
    Documented,
    /// Those that it sends.
    Sent,
}

/// What a measure's values are written as.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Number {
    Float,
    Whole,
}

/// Dataway's intakes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Route {
    Logs,
    Metrics,
}

/// One batch on its way to Guance.
pub struct Encoder {
    logs: logs::Logs,
    metrics: metrics::Metrics,
    oversize: Weight,
}

impl Guance {
    const DATAWAY: Setting<Address> = Setting::new(
        "ENV_DATAWAY",
        dataway,
        "Address of the Dataway with its token, as https://openway.guance.com?token=tkn_…, or of a DataKit, as http://host:9529; of several, set apart by commas, the first. A precision in it is left out, as times are sent in ns.",
    )
    .secret();
    const DATAWAY_URL: Setting<Address> = Setting::new(
        "DATAWAY_URL",
        dataway_without_token,
        "Address of the Dataway without a token, where ENV_DATAWAY is not set.",
    )
    .secret();
    const TOKEN: Setting<Secret> =
        Setting::new("WORKSPACE_TOKEN", token, "Token that belongs to DATAWAY_URL.").secret();
    const MEASUREMENT: Setting<Vocabulary> = Setting::new(
        "LOGFERRY_GUANCE_MEASUREMENT",
        vocabulary,
        "Names of measurements: awslambda-metric, and awslambda-logging for logs, as documented; or awslambda for both, with durations as floats, as the vendor's extension sends them.",
    )
    .default("awslambda-metric");

    /// What is sent.
    pub const SEND: Setting<Signals> =
        Setting::new("LOGFERRY_GUANCE_SEND", Signals::parse, "What Guance is sent: logs, metrics, or both.")
            .default(Signals::BOTH);

    /// The settings, for documents.
    pub const ROWS: [Row; 5] =
        [Self::SEND.row(), Self::DATAWAY.row(), Self::DATAWAY_URL.row(), Self::TOKEN.row(), Self::MEASUREMENT.row()];

    /// Reads the settings.
    pub fn from_env(env: &mut Env<'_>) -> Option<Self> {
        let (url, token) = (env.read(&Self::DATAWAY_URL), env.read(&Self::TOKEN));
        let vocabulary = env.read(&Self::MEASUREMENT);
        let dataway = if env.given(&Self::DATAWAY_URL) {
            env.read(&Self::DATAWAY)
        } else {
            env.require(&Self::DATAWAY, "the guance backend needs an address, as `https://openway.guance.com?token=…`")
        };
        let own_url = env.is_own(&Self::DATAWAY_URL) && !env.is_own(&Self::DATAWAY);
        let dataway = match (dataway.filter(|_| !own_url), url) {
            (Some(dataway), url) => {
                Self::check_unread(&dataway, url.as_ref(), token.as_ref(), env);
                dataway
            }
            (None, url) => {
                let url = url?;
                let query = token.map(|token| Secret::new(format!("token={}", token.expose()))).or(url.query);
                if query.is_none() && is_openway(&url.base) && !env.given(&Self::TOKEN) {
                    let what = format!("is not set: the Dataway of {} needs a token", env.name(&Self::DATAWAY_URL));
                    env.mistake(&env.name(&Self::TOKEN), what);
                    return None;
                }
                Address { query, ..url }
            }
        };
        Some(Self { dataway, vocabulary: vocabulary? })
    }

    /// Takes it down as a mistake if what isn't read beside `dataway` says something else, unless that is shared and
    /// `dataway` a name's own.
    fn check_unread(dataway: &Address, url: Option<&Address>, token: Option<&Secret>, env: &mut Env<'_>) {
        let holds = env.name(&Self::DATAWAY);
        let holds = |what| format!("is not {what} {holds}, beside which it is not read: leave one of them out");
        let own = env.is_own(&Self::DATAWAY);
        let elsewhere = |url: &Address| url.base != dataway.base || url.query.is_some() && url.query != dataway.query;
        if url.is_some_and(elsewhere) && (env.is_own(&Self::DATAWAY_URL) || !own) {
            env.mistake(&env.name(&Self::DATAWAY_URL), holds("the address of"));
        }
        let query = dataway.query.as_ref().map(Secret::expose).unwrap_or_default();
        let other = |token: &Secret| query.split('&').all(|pair| pair.strip_prefix("token=") != Some(token.expose()));
        if token.is_some_and(other) && (env.is_own(&Self::TOKEN) || !own) {
            env.mistake(&env.name(&Self::TOKEN), holds("the token of"));
        }
    }

    /// Begins a batch.
    pub fn encoder(&self) -> Encoder {
        let body = |route| Body::new(self.template(route));
        Encoder {
            logs: logs::Logs::new(body(Route::Logs), self.vocabulary),
            metrics: metrics::Metrics::new(body(Route::Metrics), self.vocabulary),
            oversize: Weight::default(),
        }
    }

    /// What a tag of the settings is called.
    pub(super) fn tag_name(key: &str, sends: Signals) -> String {
        if sends.logs { logs::key(key) } else { key.to_owned() }
    }

    /// Whether both are sent the same bytes, if to different places.
    pub(super) fn encodes_like(&self, other: &Self) -> bool {
        let here = Self { dataway: other.dataway.clone(), ..self.clone() };
        here == *other
    }

    /// What requests of a route are like.
    pub(super) fn template_of(&self, route: &str) -> Option<Template> {
        [Route::Logs, Route::Metrics].into_iter().find(|known| known.name() == route).map(|route| self.template(route))
    }

    fn template(&self, route: Route) -> Template {
        let path = match route {
            Route::Logs => "logging",
            Route::Metrics => "metric",
        };
        let compression = Compression::Gzip(6);
        let header = |name: &'static str, value: &str| (name.into(), Header::Public(value.to_owned()));
        let endpoint = Endpoint {
            headers: vec![
                header("Content-Type", "application/line-protocol"),
                header("Content-Encoding", compression.content_encoding().unwrap_or_default()),
            ],
            ..Endpoint::from(self.dataway.join(&format!("/v1/write/{path}")))
        };
        Template {
            destination: Destination::Http(endpoint),
            compression,
            frame: Frame::text(b"", b"\n", b"\n"),
            limits: LIMITS,
            route: route.name(),
            judge,
        }
    }

    /// The field that Guance's users find a measure in; in the unit that it has here.
    pub const fn words(measure: Measure) -> &'static str {
        measure.name()
    }
}

impl Route {
    const fn name(self) -> &'static str {
        match self {
            Self::Logs => "logs",
            Self::Metrics => "metrics",
        }
    }
}

impl Vocabulary {
    const fn metric(self) -> &'static str {
        match self {
            Self::Documented => "awslambda-metric",
            Self::Sent => "awslambda",
        }
    }

    const fn logging(self) -> &'static str {
        match self {
            Self::Documented => "awslambda-logging",
            Self::Sent => "awslambda",
        }
    }

    /// The version of a function as a tag.
    fn version(self, version: &str) -> Option<&str> {
        match self {
            Self::Sent if version == "$LATEST" => None,
            Self::Documented | Self::Sent => Some(version),
        }
    }

    const fn number(self, measure: Measure) -> Number {
        match measure {
            Measure::RestoreDuration | Measure::BilledRestoreDuration | Measure::EstimatedCost => Number::Float,
            Measure::Duration
            | Measure::InitDuration
            | Measure::RuntimeDuration
            | Measure::PostRuntimeDuration
            | Measure::ResponseLatency
            | Measure::ResponseDuration => match self {
                Self::Documented => Number::Whole,
                Self::Sent => Number::Float,
            },
            Measure::BilledDuration
            | Measure::MemorySize
            | Measure::MaxMemoryUsed
            | Measure::Invocations
            | Measure::Errors
            | Measure::Timeouts
            | Measure::OutOfMemory
            | Measure::ColdStarts
            | Measure::ProducedBytes => Number::Whole,
        }
    }
}

impl Encode for Encoder {
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
        requests.extend(self.metrics.body.finish());
        Encoded { requests, oversize: self.oversize, ..Encoded::default() }
    }
}

impl Sink for Encoder {
    fn log(&mut self, origin: &Origin, log: &Log<'_>) {
        if self.logs.push(origin, log).is_err() {
            self.oversize += Weight::LOG;
        }
    }

    fn metrics(&mut self, origin: &Origin, metrics: &[Metric<'_>]) {
        self.oversize += self.metrics.push(origin, metrics);
    }
}

/// One bad line is a 400 for the whole body. A 403 may be a token that is wrong or
/// a quota that is used up (`beyondDataUsage`): neither is a reason to lose anything.
fn judge(request: &Request, response: &Response) -> Verdict {
    match response.status {
        400 => Verdict::Malformed,
        _ => Verdict::of(request, response),
    }
}

/// Reads `https://host?token=…`; of several, set apart by commas, the first.
///
/// A path is left out, as the vendor's own programs do, and so is a `precision`: times are in ns, which is
/// what holds without it.
fn dataway(value: &str) -> Result<Address, String> {
    let dataway = dataway_without_token(value)?;
    if dataway.query.is_none() && is_openway(&dataway.base) {
        return Err("has no token: expected `https://openway.guance.com?token=…`".to_owned());
    }
    Ok(dataway)
}

fn dataway_without_token(value: &str) -> Result<Address, String> {
    let first = value.split(',').next().unwrap_or_default().trim();
    let Address { base, query } = read::url(first)?;
    let (scheme, rest) = base.split_once("://").unwrap_or(("https", &base));
    let host = rest.split('/').next().unwrap_or_default();
    let query = query.as_ref().map(Secret::expose).unwrap_or_default();
    let pairs: Vec<_> = query.split('&').filter(|pair| !pair.starts_with("precision=")).collect();
    for value in pairs.iter().filter_map(|pair| pair.strip_prefix("token=")) {
        token(value)?;
    }
    let query = Some(pairs.join("&")).filter(|query| !query.is_empty());
    let query = query.map(|query| read::secret(&query)).transpose()?;
    Ok(Address { base: format!("{scheme}://{host}"), query })
}

/// Whether an address is that of the vendor's intake, which takes nothing without a token.
fn is_openway(base: &str) -> bool {
    base.contains("openway.guance.") || base.contains("openway.truewatch.")
}

/// Reads `tkn_` and the like, and letters and digits of the length that belongs to it.
fn token(value: &str) -> Result<Secret, String> {
    let legal = value.split_once('_').is_some_and(|(prefix, rest)| {
        TOKENS.contains(&(prefix, rest.len())) && rest.bytes().all(|b| b.is_ascii_alphanumeric())
    });
    if !legal {
        return Err(
            "has a token that is none: expected `token_` or `tkn_` and 32 characters, or `tokn_` and 24".to_owned()
        );
    }
    Ok(Secret::new(value.to_owned()))
}

fn vocabulary(value: &str) -> Result<Vocabulary, String> {
    match value {
        "awslambda-metric" => Ok(Vocabulary::Documented),
        "awslambda" => Ok(Vocabulary::Sent),
        _ => Err("is neither `awslambda-metric` nor `awslambda`".to_owned()),
    }
}
