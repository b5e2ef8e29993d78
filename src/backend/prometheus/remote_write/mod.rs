//! Prometheus' remote write: Prometheus, Mimir, Cortex, Thanos, `VictoriaMetrics`,
//! Grafana Cloud, Amazon Managed Service for Prometheus.
//!
//! Protobuf in Snappy's block format. Version 1.0, which all of them take:
//!
//! ```text
//! 1: {                      a series
//!   1: {1: "__name__"  2: "aws_lambda_invocations_total"}
//!   1: {1: "account_id"  2: "123456789012"}      labels, sorted by name
//!   2: {1: 6.0  2: 1795170600000}                samples, in order of time
//! }
//! ```
//!
//! Version 2.0, by a setting, says each text once and adds what a metric is:
//!
//! ```text
//! 4: ""  4: "__name__"  4: "aws_lambda_invocations_total"  …
//! 5: {                      a series
//!   1: [1 2 3 4 …]                               places of names and values in the texts
//!   2: {1: 6.0  2: 1795170600000}
//!   5: {1: 1  3: 9}                              a counter, and the place of its help
//! }
//! ```
//!
//! A receiver that knows only 1.0 answers 2.0 by success and stores nothing; one
//! that knows it says in headers what it has written. So a success without these
//! headers, and a 415, mean that the request is sent once more as 1.0, and that
//! all that follow are 1.0.
//!
//! # Many copies at once, and replays
//!
//! See [the module above](super). All samples of a series are in one request, so
//! that requests which overtake each other never disorder a series.
//! Receivers don't take a sample that is older than the newest of its series, or
//! has its time and another value (400; Thanos 409). Some then take nothing of the request, so it
//! is cut in two until the one series is found. In cumulative mode that series is settled: what is there is as new as
//! ours. In delta mode it is given up and counted as refused,
//! as the answer doesn't tell a replay from samples that come too late:
//! set the receiver's `out_of_order_time_window`, and a replay is taken and changes nothing.
//!
//! Sources: <https://prometheus.io/docs/specs/prw/remote_write_spec/>,
//! <https://prometheus.io/docs/specs/prw/remote_write_spec_2_0/>,
//! <https://docs.aws.amazon.com/prometheus/latest/userguide/AMP-APIReference-RemoteWrite.html>

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::buckets::Buckets;
use super::series::{Series, in_version_1};
use super::{Encoder, Options, State, Temporality};
use crate::backend::body::{Limits, Template};
use crate::backend::{Context, auth};
use crate::env::{Address, Env, Row, Secret, Setting, read};
use crate::request::{
    Compression, Destination, Endpoint, Fallback, Frame, Header, Request, Response, Signing, Verdict,
};

/// `VictoriaMetrics` takes 32 MiB, others name no limit; senders keep to some 2,000 samples.
pub(super) const LIMITS: Limits =
    Limits { bytes: 1 << 20, compressed: usize::MAX, items: MAX_SAMPLES, item_bytes: 1 << 20 };

/// Samples of one request, unless a series has more.
pub(super) const MAX_SAMPLES: usize = 2000;

const CONTENT_TYPE: &str = "Content-Type";
const VERSION: &str = "X-Prometheus-Remote-Write-Version";

/// Ships to what takes Prometheus' remote write.
#[derive(Clone, Debug)]
pub struct RemoteWrite {
    endpoint: Endpoint,
    /// Whether requests are signed with AWS credentials.
    signed: bool,
    /// For which region, where the settings tell.
    region: Option<String>,
    version: Version,
    /// Whether the receiver turned out to know only version 1.0.
    only_version_1: Arc<AtomicBool>,
    options: Options,
    state: State,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Version {
    One,
    Two,
}

impl Version {
    pub(super) const fn route(self) -> &'static str {
        match self {
            Self::One => "write-1",
            Self::Two => "write-2",
        }
    }
}

/// Whether requests are signed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Sign {
    /// If the address is Amazon's.
    Auto,
    Always,
    Never,
}

impl RemoteWrite {
    const URL: Setting<Address> = Setting::new(
        "PROMETHEUS_REMOTE_WRITE_URL",
        read::url,
        "Address that takes Prometheus' remote write, with its path; of a bare host it is /api/v1/write.",
    )
    .address();
    const USERNAME: Setting<String> =
        Setting::new("PROMETHEUS_REMOTE_WRITE_USERNAME", read::text, "User name, as a Grafana Cloud instance id.");
    const PASSWORD: Setting<Secret> =
        Setting::new("PROMETHEUS_REMOTE_WRITE_PASSWORD", read::password, "Password of that user.").secret();
    const TOKEN: Setting<Secret> =
        Setting::new("PROMETHEUS_REMOTE_WRITE_BEARER_TOKEN", read::secret, "Bearer token, instead of a user.").secret();
    const HEADERS: Setting<Vec<(String, Secret)>> = Setting::new(
        "PROMETHEUS_REMOTE_WRITE_HEADERS",
        headers,
        "Further headers as `name:value` pairs set apart by commas, as X-Scope-OrgID:shop.",
    )
    .secret();
    const SIGN: Setting<Sign> = Setting::new(
        "LOGFERRY_REMOTE_WRITE_SIGN",
        sign,
        "Whether requests are signed with the function's AWS credentials (SigV4, service aps): true, false, or auto, which is true for addresses of Amazon Managed Service for Prometheus.",
    )
    .default("auto");
    const REGION: Setting<String> = Setting::new(
        "LOGFERRY_REMOTE_WRITE_REGION",
        read::region,
        "Region that requests are signed for; the one in the address, or the forwarder's, when empty.",
    );
    const VERSION: Setting<Version> = Setting::new(
        "LOGFERRY_REMOTE_WRITE_VERSION",
        version,
        "Version of remote write: 1 or 2; a receiver that knows only 1 is sent 1 all the same.",
    )
    .default("1");
    const TEMPORALITY: Setting<Temporality> = Setting::new(
        "LOGFERRY_REMOTE_WRITE_TEMPORALITY",
        Temporality::parse,
        "What counters and histograms hold: cumulative (all since the forwarder's process began) or delta (what each sample adds).",
    )
    .default("cumulative");
    const DURATIONS: Setting<Buckets> = Setting::new(
        "LOGFERRY_REMOTE_WRITE_DURATION_BUCKETS",
        Buckets::durations,
        "Buckets of durations: python (as Python's client has them), js, lambda (python's with 30, 60, 300 and 900), or a list of seconds.",
    )
    .default("python");
    const BUCKETS: Setting<Buckets> = Setting::new(
        "LOGFERRY_REMOTE_WRITE_BUCKETS",
        Buckets::parse,
        "Buckets of custom histograms, in whatever unit they have.",
    )
    .default(super::CUSTOM_BUCKETS);

    /// The settings, for documents.
    pub const ROWS: [Row; 11] = [
        Self::URL.row(),
        Self::USERNAME.row(),
        Self::PASSWORD.row(),
        Self::TOKEN.row(),
        Self::HEADERS.row(),
        Self::SIGN.row(),
        Self::REGION.row(),
        Self::VERSION.row(),
        Self::TEMPORALITY.row(),
        Self::DURATIONS.row(),
        Self::BUCKETS.row(),
    ];

    /// Reads the settings.
    pub fn from_env(env: &mut Env<'_>) -> Option<Self> {
        let url = env.require(&Self::URL, "the remote_write backend needs an address");
        let either = auth::Either {
            user: &Self::USERNAME,
            password: &Self::PASSWORD,
            scheme: "Bearer",
            tokens: &[&Self::TOKEN],
        };
        let authorization = either.read(env).ok();
        let more = env.read(&Self::HEADERS).unwrap_or_default();
        let own = more.iter().any(|(name, _)| name.eq_ignore_ascii_case("authorization"));
        if own && either.given(env) {
            let what = "holds `Authorization` beside a user or a bearer token: expected one of them";
            env.mistake(&env.name(&Self::HEADERS), what.to_owned());
        }
        let (sign, region) = (env.read(&Self::SIGN), env.read(&Self::REGION));
        let (version, temporality) = (env.read(&Self::VERSION), env.read(&Self::TEMPORALITY));
        let (durations, custom) = (env.read(&Self::DURATIONS), env.read(&Self::BUCKETS));
        let address = with_path(&url?);
        let home = amazon_region(&address.base);
        let signed = match sign? {
            Sign::Always => true,
            Sign::Auto => home.is_some(),
            Sign::Never => false,
        };
        if signed && (own || either.given(env)) {
            let what = "signs requests beside a user, a bearer token or an `Authorization` header: expected one of them, and `false` where it isn't the signature";
            env.mistake(&env.name(&Self::SIGN), what.to_owned());
        }
        Some(Self {
            endpoint: endpoint(address, authorization?, more),
            signed,
            region: region.or(home),
            version: version?,
            only_version_1: Arc::default(),
            options: Options::new(temporality?, durations?, custom?),
            state: State::default(),
        })
    }

    /// Takes over what another one has counted, and learnt of the receiver.
    pub(in crate::backend) fn inherit(&mut self, before: Self) {
        (self.state, self.only_version_1) = (before.state, before.only_version_1);
    }

    /// Begins a batch.
    pub(in crate::backend) fn encoder<'b>(&'b mut self, context: &Context<'b>) -> Encoder<'b, Series> {
        let version = self.version();
        let template = self.template(version, context.forwarder.region.as_ref());
        let series = Series::new(template, (version == Version::Two).then(|| self.fallback()));
        Encoder::new(&self.options, &mut self.state, context, series)
    }

    /// The version that the receiver is sent.
    fn version(&self) -> Version {
        if self.only_version_1.load(Ordering::Relaxed) { Version::One } else { self.version }
    }

    /// What becomes of a request of version 2 that the receiver doesn't know.
    fn fallback(&self) -> Fallback {
        Fallback { encode: in_version_1, needed: Arc::clone(&self.only_version_1) }
    }

    /// What requests of a route are like; `region` is the forwarder's.
    pub(in crate::backend) fn template_of(&self, route: &str, region: Option<&String>) -> Option<Template> {
        let known = [Version::One, Version::Two].into_iter().find(|version| version.route() == route);
        known.map(|version| self.template(version, region))
    }

    /// A stored request of version 2 as the receiver is sent now: one of version 1 stays, as all that takes it is new.
    pub(in crate::backend) fn revived(&self, request: Request) -> Option<Request> {
        if request.route == Version::One.route() {
            return Some(request);
        }
        match self.version() {
            Version::One => in_version_1(&request),
            Version::Two => Some(Request { fallback: Some(self.fallback()), ..request }),
        }
    }

    fn template(&self, version: Version, region: Option<&String>) -> Template {
        let mut endpoint = self.endpoint.clone();
        endpoint.signing = self.signed.then(|| {
            let region = self.region.as_ref().or(region);
            Signing { service: "aps", region: region.cloned().unwrap_or_default() }
        });
        set_version(&mut endpoint, version);
        Template {
            destination: Destination::Http(endpoint),
            compression: Compression::Snappy,
            frame: Frame::Protobuf(Vec::new()),
            limits: LIMITS,
            route: version.route(),
            judge: match self.options.temporality {
                Temporality::Cumulative => judge_cumulative,
                Temporality::Delta => judge_delta,
            },
        }
    }
}

fn judge_cumulative(request: &Request, response: &Response) -> Verdict {
    judge(request, response, Temporality::Cumulative)
}

fn judge_delta(request: &Request, response: &Response) -> Verdict {
    judge(request, response, Temporality::Delta)
}

/// Receivers say in words what is wrong, and not all of them by the same status.
fn judge(request: &Request, response: &Response, temporality: Temporality) -> Verdict {
    let text = String::from_utf8_lossy(&response.body).to_ascii_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| text.contains(word));
    let version_2 = request.fallback.is_some();
    // A newer sample of the series is there, or one of the same time.
    let passed = response.status == 409
        || says(&["out of order", "out-of-order", "duplicate sample", "duplicate-timestamp", "duplicate timestamp"]);
    match response.status {
        200..=299 if version_2 && response.telling.is_empty() => Verdict::Unsupported,
        415 if version_2 => Verdict::Unsupported,
        400 if says(&["too big", "too large"]) => Verdict::TooLarge,
        // Prometheus takes nothing of a request that holds one such sample.
        400 | 409 if passed && temporality == Temporality::Cumulative => Verdict::Outdated,
        400 | 409 => Verdict::Malformed,
        // Prometheus 2 calls that an error of its own.
        500 if says(&["too old sample", "out of bounds"]) => Verdict::Malformed,
        _ => Verdict::of(request, response),
    }
}

fn endpoint(address: Address, authorization: Option<Header>, more: Vec<(String, Secret)>) -> Endpoint {
    let mut headers = vec![
        (CONTENT_TYPE.into(), Header::Public(String::new())),
        ("Content-Encoding".into(), Header::Public("snappy".to_owned())),
        (VERSION.into(), Header::Public(String::new())),
    ];
    headers.extend(authorization.map(|header| ("Authorization".into(), header)));
    headers.extend(more.into_iter().map(|(name, value)| (name.into(), Header::Secret(value))));
    Endpoint { headers, ..Endpoint::from(address) }
}

pub(super) fn set_version(endpoint: &mut Endpoint, version: Version) {
    let (content_type, number) = match version {
        Version::One => ("application/x-protobuf", "0.1.0"),
        Version::Two => ("application/x-protobuf;proto=io.prometheus.write.v2.Request", "2.0.0"),
    };
    for (name, value) in &mut endpoint.headers {
        match name.as_ref() {
            CONTENT_TYPE => *value = Header::Public(content_type.to_owned()),
            VERSION => *value = Header::Public(number.to_owned()),
            _ => {}
        }
    }
}

/// With the path that the receiver has, where there is none.
fn with_path(address: &Address) -> Address {
    let base = &address.base;
    let path = base.split_once("://").and_then(|(_, rest)| rest.split_once('/')).map_or("", |(_, path)| path);
    let missing = match path {
        "" => "/api/v1/write",
        // Amazon shows a workspace's address without it.
        path if amazon_region(base).is_some() && !path.contains("/api/v1/") => "/api/v1/remote_write",
        _ => "",
    };
    address.join(missing)
}

/// The region of a workspace of Amazon Managed Service for Prometheus: `https://aps-workspaces.eu-west-1.amazonaws.com/…`
fn amazon_region(url: &str) -> Option<String> {
    let host = url.split("://").nth(1)?.split(['/', ':']).next()?;
    let amazon = host.ends_with(".amazonaws.com") || host.ends_with(".amazonaws.com.cn") || host.ends_with(".api.aws");
    let mut labels = host.split('.').skip_while(|label| !label.starts_with("aps-workspaces"));
    labels.next().filter(|_| amazon)?;
    labels.next().map(str::to_owned)
}

fn version(value: &str) -> Result<Version, String> {
    match value {
        "1" | "1.0" => Ok(Version::One),
        "2" | "2.0" => Ok(Version::Two),
        _ => Err("is neither `1` nor `2`".to_owned()),
    }
}

fn sign(value: &str) -> Result<Sign, String> {
    match (value, read::boolean(value)) {
        ("auto", _) => Ok(Sign::Auto),
        (_, Ok(true)) => Ok(Sign::Always),
        (_, Ok(false)) => Ok(Sign::Never),
        _ => Err("is none of `auto`, `true`, `false`".to_owned()),
    }
}

/// Headers beside our own.
fn headers(value: &str) -> Result<Vec<(String, Secret)>, String> {
    const OURS: [&str; 4] = ["content-type", "content-encoding", "content-length", "x-prometheus-remote-write-version"];
    let header = |(name, value): (String, String)| {
        let legal =
            auth::is_header_name(&name) && !value.is_empty() && value.bytes().all(|b| (b' '..0x7f).contains(&b));
        if !legal {
            return Err("holds something that is no header: expected `name:value,name:value`".to_owned());
        }
        if OURS.contains(&name.to_ascii_lowercase().as_str()) {
            return Err(format!("sets {name}, which says what the body is and can't be set"));
        }
        Ok((name, Secret::new(value)))
    };
    // Its own words would show a part of the value, which may be a secret.
    let pairs =
        read::tags(value).map_err(|_| "has a header without a name: expected `name:value,name:value`".to_owned())?;
    pairs.into_iter().map(header).collect()
}

#[cfg(test)]
mod tests;
