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
//! is cut in two until the one series is found. In cumulative mode that series is settled, and so is the rest when
//! it was cut often enough: what is there is as new as ours, or the next batch will be. In delta mode it is given up and counted as refused,
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
        read::text,
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

    /// Begins a batch.
    pub(in crate::backend) fn encoder<'b>(&'b mut self, context: &Context<'b>) -> Encoder<'b, Series> {
        let known = self.only_version_1.load(Ordering::Relaxed);
        let version = if known { Version::One } else { self.version };
        let template = self.template(version, context.forwarder.region.as_ref());
        let fallback = Fallback { encode: in_version_1, needed: Arc::clone(&self.only_version_1) };
        let series = Series::new(template, (version == Version::Two).then_some(fallback));
        Encoder::new(&self.options, &mut self.state, context, series)
    }

    /// What requests of a route are like; `region` is the forwarder's.
    pub(in crate::backend) fn template_of(&self, route: &str, region: Option<&String>) -> Option<Template> {
        let known = [Version::One, Version::Two].into_iter().find(|version| version.route() == route);
        known.map(|version| self.template(version, region))
    }

    /// A stored request is sent as version 1, which all receivers take.
    pub(in crate::backend) fn revived(request: Request) -> Option<Request> {
        if request.route == Version::One.route() { Some(request) } else { in_version_1(&request) }
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
        let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
        let legal = name.bytes().all(token) && !value.is_empty() && value.bytes().all(|b| (b' '..0x7f).contains(&b));
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
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::backend::Encode;
    use crate::backend::body::decompress;
    use crate::backend::prometheus::tests::{made, measure, metric, one_request, origin, push};
    use crate::backend::protobuf::{self, Field};
    use crate::env::Mistake;
    use crate::model::{Forwarder, Measure, Name, Sink, Timestamp, Value};

    const URL: (&str, &str) = ("PROMETHEUS_REMOTE_WRITE_URL", "https://mimir.example.com/api/v1/push");
    const DELTA: (&str, &str) = ("LOGFERRY_REMOTE_WRITE_TEMPORALITY", "delta");
    const TWO: (&str, &str) = ("LOGFERRY_REMOTE_WRITE_VERSION", "2");

    fn read(pairs: &[(&str, &str)]) -> Result<RemoteWrite, Vec<Mistake>> {
        let lookup = |name: &str| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        let mut env = Env::new(&lookup);
        let read = RemoteWrite::from_env(&mut env);
        let mistakes = env.into_mistakes();
        read.filter(|_| mistakes.is_empty()).ok_or(mistakes)
    }

    fn with_context<T>(use_it: impl FnOnce(&Context<'_>) -> T) -> T {
        let forwarder = Forwarder { instance: "a".into(), region: Some("eu-south-1".into()), ..Forwarder::default() };
        use_it(&Context { forwarder: &forwarder, now: Timestamp::from_millis(1_795_170_600_000) })
    }

    /// Labels, and samples: time and value.
    type OneSeries = (Vec<(String, String)>, Vec<(i64, f64)>);

    /// A request of version 1.0, as a strict receiver reads it.
    fn series(request: &Request) -> Option<Vec<OneSeries>> {
        let body = decompress(request.compression, &request.body)?;
        let all = protobuf::fields(&body)?.into_iter().map(|(number, field)| match (number, field) {
            (1, Field::Bytes(series)) => one_series(series),
            _ => None,
        });
        all.collect()
    }

    fn one_series(series: &[u8]) -> Option<OneSeries> {
        let (mut labels, mut samples) = (Vec::new(), Vec::new());
        for (number, field) in protobuf::fields(series)? {
            let Field::Bytes(inside) = field else { return None };
            match (number, protobuf::fields(inside)?.as_slice()) {
                (1, [(1, Field::Bytes(name)), (2, Field::Bytes(value))]) if samples.is_empty() && !value.is_empty() => {
                    labels.push((String::from_utf8(name.to_vec()).ok()?, String::from_utf8(value.to_vec()).ok()?));
                }
                (2, [(1, Field::Fixed64(value)), (2, Field::Varint(time))]) => {
                    samples.push((time.cast_signed(), f64::from_bits(*value)));
                }
                _ => return None,
            }
        }
        let sorted = labels.is_sorted_by(|a, b| a.0 < b.0) && samples.is_sorted_by(|a, b| a.0 < b.0);
        (sorted && labels.iter().any(|(name, _)| name == "__name__")).then_some((labels, samples))
    }

    #[test]
    fn takes_the_addresses_that_its_users_have() {
        let amazon = "https://aps-workspaces.eu-west-1.amazonaws.com/workspaces/ws-1";
        for (given, url, region) in [
            ("http://prometheus:9090", "http://prometheus:9090/api/v1/write", None),
            ("http://vm:8428/?extra_label=a=b", "http://vm:8428/api/v1/write", None),
            ("https://mimir/api/v1/push", "https://mimir/api/v1/push", None),
            (
                amazon,
                "https://aps-workspaces.eu-west-1.amazonaws.com/workspaces/ws-1/api/v1/remote_write",
                Some("eu-west-1"),
            ),
            (
                "https://aps-workspaces.us-gov-west-1.amazonaws.com/workspaces/ws-1/api/v1/remote_write",
                "https://aps-workspaces.us-gov-west-1.amazonaws.com/workspaces/ws-1/api/v1/remote_write",
                Some("us-gov-west-1"),
            ),
            (
                "https://vpce-1.aps-workspaces.eu-west-3.vpce.amazonaws.com/workspaces/w/api/v1/remote_write",
                "https://vpce-1.aps-workspaces.eu-west-3.vpce.amazonaws.com/workspaces/w/api/v1/remote_write",
                Some("eu-west-3"),
            ),
            ("https://aps-workspaces.eu-west-1.example.com/x", "https://aps-workspaces.eu-west-1.example.com/x", None),
        ] {
            let remote_write = read(&[("PROMETHEUS_REMOTE_WRITE_URL", given)]).unwrap();
            assert_eq!(remote_write.endpoint.url, url);
            assert_eq!((remote_write.signed, remote_write.region.as_deref()), (region.is_some(), region), "{given}");
        }
    }

    #[test]
    fn says_who_sends_in_one_way() {
        let user = [("PROMETHEUS_REMOTE_WRITE_USERNAME", "u"), ("PROMETHEUS_REMOTE_WRITE_PASSWORD", "open sesame")];
        let token = ("PROMETHEUS_REMOTE_WRITE_BEARER_TOKEN", "sesame");
        let more = ("PROMETHEUS_REMOTE_WRITE_HEADERS", "X-Scope-OrgID: shop, THANOS-TENANT:sesame");
        let sign = ("LOGFERRY_REMOTE_WRITE_SIGN", "true");
        let sent = |pairs: &[(&str, &str)]| {
            let mut remote_write = read(pairs).unwrap();
            assert!(!format!("{remote_write:?}").contains("sesame"));
            let request = with_context(|context| one_request(remote_write.encoder(context)));
            let Destination::Http(endpoint) = request.destination else { panic!() };
            let headers = endpoint.headers.iter().skip(3).map(|(name, header)| match header {
                Header::Secret(secret) => format!("{name}: {}", secret.expose()),
                Header::Public(_) => panic!("{name}"),
            });
            (headers.collect::<Vec<_>>().join("; "), endpoint.signing.map(|signing| signing.region))
        };
        assert_eq!(sent(&[URL]), (String::new(), None));
        assert_eq!(sent(&[URL, user[0], user[1]]).0, "Authorization: Basic dTpvcGVuIHNlc2FtZQ==");
        assert_eq!(sent(&[URL, token]).0, "Authorization: Bearer sesame");
        assert_eq!(sent(&[URL, more]).0, "X-Scope-OrgID: shop; THANOS-TENANT: sesame");
        assert_eq!(sent(&[URL, sign]).1.as_deref(), Some("eu-south-1"));
        assert_eq!(sent(&[URL, sign, ("LOGFERRY_REMOTE_WRITE_REGION", "eu-north-1")]).1.as_deref(), Some("eu-north-1"));
        for wrong in [
            &[URL, token, sign][..],
            &[URL, user[0], user[1], token],
            &[("LOGFERRY_REMOTE_WRITE_VERSION", "3")],
            &[URL, ("LOGFERRY_REMOTE_WRITE_SIGN", "maybe")],
            &[URL, ("PROMETHEUS_REMOTE_WRITE_HEADERS", "sesame")],
            &[URL, ("PROMETHEUS_REMOTE_WRITE_HEADERS", ":sesame")],
            &[URL, ("PROMETHEUS_REMOTE_WRITE_HEADERS", "content-type:sesame")],
        ] {
            let mistakes = read(wrong).unwrap_err();
            assert!(!mistakes.is_empty() && !format!("{mistakes:?}").contains("sesame"), "{wrong:?}: {mistakes:?}");
        }
    }

    #[test]
    fn writes_both_versions_as_they_are_specified() {
        let described = |pairs: &[(&str, &str)]| {
            let mut remote_write = read(pairs).unwrap();
            with_context(|context| {
                let mut encoder = remote_write.encoder(context);
                let queue = metric(Name::Custom("queue"), Value::Gauge(2.5), 0, &[], "e");
                encoder.metrics(&origin("s"), &[queue]);
                let request = encoder.finish().requests.pop().unwrap();
                let headers = match &request.destination {
                    Destination::Http(endpoint) => {
                        endpoint.headers.iter().map(|(name, value)| format!("{name}: {value}")).collect()
                    }
                    Destination::Stdout => Vec::new(),
                };
                (headers, protobuf::describe(&decompress(request.compression, &request.body).unwrap()))
            })
        };
        let (headers, body) = described(&[URL]);
        assert_eq!(
            headers,
            [
                "Content-Type: application/x-protobuf",
                "Content-Encoding: snappy",
                "X-Prometheus-Remote-Write-Version: 0.1.0"
            ]
        );
        let texts = [
            "__name__",
            "queue",
            "account_id",
            "123456789012",
            "function_name",
            "checkout",
            "instance",
            "af63dc4c8601",
            "job",
            "checkout",
            "region",
            "eu-west-1",
        ];
        let labels: Vec<_> = texts
            .chunks(2)
            .map(|pair| format!("  1: {{\n    1: {:?}\n    2: {:?}\n  }}\n", pair[0], pair[1]))
            .collect();
        let labels = labels.concat();
        assert_eq!(body, format!("1: {{\n{labels}  2: {{\n    1: 2.5\n    2: 1795170600000\n  }}\n}}\n"));
        let (headers, body) = described(&[URL, TWO]);
        assert_eq!(headers[0], "Content-Type: application/x-protobuf;proto=io.prometheus.write.v2.Request");
        assert_eq!(headers[2], "X-Prometheus-Remote-Write-Version: 2.0.0");
        let mut once = vec![""];
        for text in texts {
            if !once.contains(&text) {
                once.push(text);
            }
        }
        once.push("Custom gauge.");
        let symbols: Vec<_> = once.iter().map(|text| format!("4: {text:?}\n")).collect();
        assert!(body.starts_with(&symbols.concat()), "{body}");
        assert!(
            body.ends_with("  2: {\n    1: 2.5\n    2: 1795170600000\n  }\n  5: {\n    1: 2\n    3: 12\n  }\n}\n"),
            "{body}"
        );
    }

    #[test]
    fn judges_answers() {
        use Verdict::{Accepted, Busy, Malformed, NotFound, Outdated, Refused, TooLarge, Unauthorized, Unsupported};

        let requests = |pairs: &[(&str, &str)]| {
            let mut remote_write = read(pairs).unwrap();
            let many = with_context(|context| one_request(remote_write.encoder(context)));
            let one = (many.select)(&many, &[0]).unwrap();
            let mut delta = read(&[pairs, &[DELTA]].concat()).unwrap();
            let delta = with_context(|context| one_request(delta.encoder(context)));
            [many, one, delta]
        };
        let version_1 = requests(&[URL]);
        let version_2 = requests(&[URL, TWO]);
        assert!(version_1[0].items.len() > 1 && version_2[0].items.len() > 1);
        let disorder = "out of order sample";
        let twice = "duplicate sample for timestamp";
        for (status, body, expected) in [
            (200, "", [Accepted, Accepted, Accepted]),
            (204, "", [Accepted, Accepted, Accepted]),
            (400, disorder, [Outdated, Outdated, Malformed]),
            (400, twice, [Outdated, Outdated, Malformed]),
            (400, "send data to ingesters: … (err-mimir-sample-out-of-order)", [Outdated, Outdated, Malformed]),
            (409, "store locally for endpoint: conflict", [Outdated, Outdated, Malformed]),
            (400, "label name \"x\" is not unique", [Malformed, Malformed, Malformed]),
            (400, "too big data size exceeding 33554432 bytes", [TooLarge, TooLarge, TooLarge]),
            (413, "", [TooLarge, TooLarge, TooLarge]),
            (500, "too old sample", [Malformed, Malformed, Malformed]),
            (500, "", [Busy, Busy, Busy]),
            (429, "", [Busy, Busy, Busy]),
            (401, "no org id", [Unauthorized, Unauthorized, Unauthorized]),
            (404, "", [NotFound, NotFound, NotFound]),
            (415, "", [Refused, Refused, Refused]),
        ] {
            let response = Response { status, body: body.as_bytes().to_vec(), ..Response::default() };
            let found = [0, 1, 2].map(|place: usize| (version_1[place].judge)(&version_1[place], &response));
            assert_eq!(found, expected, "{status} {body}");
            let found = (version_2[0].judge)(&version_2[0], &response);
            let expected = if matches!(status, 200 | 204 | 415) { &Unsupported } else { &expected[0] };
            assert_eq!(&found, expected, "{status} {body}");
        }
        let telling = vec!["x-prometheus-remote-write-samples-written".to_owned()];
        let response = Response { status: 204, telling, ..Response::default() };
        assert_eq!((version_2[0].judge)(&version_2[0], &response), Accepted);
    }

    #[test]
    fn what_a_receiver_does_not_know_is_said_in_version_1_from_then_on() {
        let mut two = read(&[URL, TWO]).unwrap();
        let mut one = read(&[URL]).unwrap();
        let (first, expected) =
            with_context(|context| (one_request(two.encoder(context)), one_request(one.encoder(context))));
        let again = first.fall_back().unwrap();
        assert_eq!((&again.body, &again.items, &again.frame), (&expected.body, &expected.items, &expected.frame));
        assert!(again.destination == expected.destination && again.fallback.is_none());
        let later = with_context(|context| one_request(two.encoder(context)));
        assert!(later.fallback.is_none() && later.destination == expected.destination);
    }

    #[test]
    fn a_request_has_not_too_many_samples() {
        for pairs in [&[URL][..], &[URL, TWO], &[URL, DELTA], &[URL, DELTA, TWO]] {
            let mut remote_write = read(pairs).unwrap();
            let requests = with_context(|context| {
                let mut encoder = remote_write.encoder(context);
                for time in 0..700 {
                    let id = time.to_string();
                    encoder.metrics(&origin("s"), &[measure(Measure::Duration, 20.0, time, &id)]);
                }
                let names: Vec<_> = (0..3000).map(|number| format!("n_{number}")).collect();
                for name in &names {
                    encoder.metrics(&origin("s"), &[metric(Name::Custom(name), Value::Gauge(1.0), 0, &[], "e")]);
                }
                encoder.finish().requests
            });
            assert!(requests.len() > 1);
            let mut metrics = 0;
            for request in requests {
                let request = request.fall_back().unwrap_or(request);
                let samples: usize = series(&request).unwrap().iter().map(|(_, samples)| samples.len()).sum();
                assert!(samples <= MAX_SAMPLES, "{samples}");
                metrics += request.weight().metrics;
            }
            assert_eq!(metrics, 3700);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(12))]

        #[test]
        fn both_versions_say_the_same_and_lose_nothing(
            metrics in proptest::collection::vec(made(), 1..60),
            delta in any::<bool>(),
        ) {
            let mut said = Vec::new();
            for version in ["1", "2"] {
                let temporality = ("LOGFERRY_REMOTE_WRITE_TEMPORALITY", if delta { "delta" } else { "cumulative" });
                let mut remote_write = read(&[URL, temporality, ("LOGFERRY_REMOTE_WRITE_VERSION", version)]).unwrap();
                let encoded = with_context(|context| {
                    let mut encoder = remote_write.encoder(context);
                    push(&mut encoder, &metrics);
                    encoder.finish()
                });
                let mut seen = BTreeMap::new();
                let mut weight = encoded.oversize;
                for request in &encoded.requests {
                    weight += request.weight();
                    let plain = decompress(request.compression, &request.body).unwrap();
                    prop_assert!(plain.len() <= LIMITS.bytes && request.items.len() <= MAX_SAMPLES);
                    // Half of a request is one, too.
                    let half: Vec<_> = (0..request.items.len()).step_by(2).collect();
                    let half = (request.select)(request, &half).unwrap();
                    let [request, half] = [request, &half].map(|request| request.fall_back().unwrap_or_else(|| request.clone()));
                    let all = series(&request).ok_or_else(|| TestCaseError::fail("not legal"))?;
                    let some: Vec<_> = all.iter().step_by(2).cloned().collect();
                    prop_assert_eq!(some, series(&half).unwrap());
                    for (labels, samples) in all {
                        let values: Vec<_> = samples.iter().map(|(time, value)| (*time, value.to_bits())).collect();
                        prop_assert!(seen.insert(labels, values).is_none(), "a series is in one request");
                    }
                }
                prop_assert_eq!(weight.metrics, metrics.len() as u64);
                said.push(seen);
            }
            prop_assert_eq!(&said[0], &said[1]);
        }
    }
}
