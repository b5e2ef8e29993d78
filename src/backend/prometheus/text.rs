//! Prometheus' text format, pushed: `VictoriaMetrics`, vmagent, Asserts.
//!
//! ```text
//! # HELP aws_lambda_invocations_total Invocations, failed ones too.
//! # TYPE aws_lambda_invocations_total counter
//! aws_lambda_invocations_total{account_id="123456789012",function_name="checkout",…,instance="5ac10d1a98ac"} 6 1795170600000
//! # HELP aws_lambda_duration_seconds How long the handler took, extensions included.
//! # TYPE aws_lambda_duration_seconds histogram
//! aws_lambda_duration_seconds_bucket{…,instance="5ac10d1a98ac",le="0.05"} 2 1795170600000
//! ```
//!
//! Times are in milliseconds. What such a receiver can't read it skips
//! without a word, so everything is made legal here.
//!
//! # Many copies at once, and replays
//!
//! See [the module above](super). `VictoriaMetrics` keeps a sample that is sent
//! twice twice: for totals that changes nothing.
//!
//! Sources: <https://prometheus.io/docs/instrumenting/exposition_formats/>,
//! <https://docs.victoriametrics.com/victoriametrics/single-server-victoriametrics/#how-to-import-data-in-prometheus-exposition-format>

use super::buckets::Buckets;
use super::{Asserts, Encoder, Options, State, Temporality, Write, Written};
use crate::backend::body::{Body, Limits, Oversize, Template};
use crate::backend::write::number;
use crate::backend::{Context, auth};
use crate::env::{Address, Env, Row, Secret, Setting, own_first, read};
use crate::model::Measure;
use crate::request::{Compression, Destination, Endpoint, Frame, Header, Request, Response, Verdict};

/// Receivers read a stream and name no limit: these are ours.
const LIMITS: Limits = Limits { bytes: 1 << 20, compressed: usize::MAX, items: 2000, item_bytes: 256 * 1024 };

const PATH: &str = "/api/v1/import/prometheus";

/// Ships to what takes Prometheus' text format.
#[derive(Clone, Debug)]
pub struct Prometheus {
    endpoint: Endpoint,
    options: Options,
    state: State,
}

impl Prometheus {
    const URL: Setting<Address> = Setting::new(
        "LOGFERRY_PROMETHEUS_URL",
        address,
        "Address or host that takes Prometheus' text format; /api/v1/import/prometheus is added when it is missing.",
    )
    .address();
    const USERNAME: Setting<String> =
        Setting::new("LOGFERRY_PROMETHEUS_USERNAME", read::text, "User name; ASSERTS_TENANT_NAME when empty.");
    const PASSWORD: Setting<Secret> =
        Setting::new("LOGFERRY_PROMETHEUS_PASSWORD", read::password, "Password; ASSERTS_PASSWORD when empty.").secret();
    const TEMPORALITY: Setting<Temporality> = Setting::new(
        "LOGFERRY_PROMETHEUS_TEMPORALITY",
        Temporality::parse,
        "What counters and histograms hold: cumulative (all since the forwarder's process began) or delta (what each sample adds).",
    )
    .default("cumulative");
    const DURATIONS: Setting<Buckets> = Setting::new(
        "LOGFERRY_PROMETHEUS_DURATION_BUCKETS",
        Buckets::durations,
        "Buckets of durations: python (as Python's client has them), js, lambda (python's with 30, 60, 300 and 900), or a list of seconds.",
    )
    .default("python");
    const BUCKETS: Setting<Buckets> = Setting::new(
        "LOGFERRY_PROMETHEUS_BUCKETS",
        Buckets::parse,
        "Buckets of custom histograms, in whatever unit they have.",
    )
    .default(super::CUSTOM_BUCKETS);
    const REMOTE_WRITE_URL: Setting<Address> = Setting::new(
        "ASSERTS_REMOTE_WRITE_URL",
        address,
        "The same as LOGFERRY_PROMETHEUS_URL, under the name of the Asserts layer.",
    )
    .address();
    const METRIC_ENDPOINT: Setting<Address> = Setting::new(
        "ASSERTS_METRIC_ENDPOINT",
        address,
        "The same as LOGFERRY_PROMETHEUS_URL, under a later name of the Asserts layer.",
    )
    .address();
    const METRICSTORE_HOST: Setting<Address> = Setting::new(
        "ASSERTS_METRICSTORE_HOST",
        address,
        "The same as LOGFERRY_PROMETHEUS_URL, under another name of the Asserts layer.",
    )
    .address();
    const METRICSTORE_PORT: Setting<u16> =
        Setting::new("ASSERTS_METRICSTORE_PORT", read::port, "Port of ASSERTS_METRICSTORE_HOST.");
    const CLOUD_HOST: Setting<Address> = Setting::new(
        "ASSERTS_CLOUD_HOST",
        address,
        "The same as LOGFERRY_PROMETHEUS_URL, under the name of Asserts' layer for JavaScript.",
    )
    .address();
    const TENANT: Setting<String> = Setting::new(
        "ASSERTS_TENANT_NAME",
        read::text,
        "Tenant of Asserts: a label, and the user name when there is a password.",
    );
    const ASSERTS_PASSWORD: Setting<Secret> =
        Setting::new("ASSERTS_PASSWORD", read::password, "Password of ASSERTS_TENANT_NAME.").secret();
    const ENVIRONMENT: Setting<String> =
        Setting::new("ASSERTS_ENVIRONMENT", read::text, "Label asserts_env; the account when empty.");
    const SITE: Setting<String> =
        Setting::new("ASSERTS_SITE", read::text, "Label asserts_site; the region when empty.");

    /// The settings, for documents.
    pub const ROWS: [Row; 15] = [
        Self::URL.row(),
        Self::USERNAME.row(),
        Self::PASSWORD.row(),
        Self::TEMPORALITY.row(),
        Self::DURATIONS.row(),
        Self::BUCKETS.row(),
        Self::REMOTE_WRITE_URL.row(),
        Self::METRIC_ENDPOINT.row(),
        Self::METRICSTORE_HOST.row(),
        Self::METRICSTORE_PORT.row(),
        Self::CLOUD_HOST.row(),
        Self::TENANT.row(),
        Self::ASSERTS_PASSWORD.row(),
        Self::ENVIRONMENT.row(),
        Self::SITE.row(),
    ];

    /// Reads the settings.
    pub fn from_env(env: &mut Env<'_>) -> Option<Self> {
        let aliases = [&Self::REMOTE_WRITE_URL, &Self::METRIC_ENDPOINT, &Self::METRICSTORE_HOST, &Self::CLOUD_HOST];
        let urls = [&Self::REMOTE_WRITE_URL, &Self::METRIC_ENDPOINT].map(|setting| env.read(setting));
        let host = env.read(&Self::METRICSTORE_HOST);
        let host = env.at_port(host, &Self::METRICSTORE_HOST, &Self::METRICSTORE_PORT);
        let values = urls.into_iter().chain([host, env.read(&Self::CLOUD_HOST)]);
        let mut named: Vec<_> = aliases.into_iter().map(|alias| env.is_own(alias)).zip(values).collect();
        let tenant = env.read(&Self::TENANT);
        let (environment, site) = (env.read(&Self::ENVIRONMENT), env.read(&Self::SITE));
        let asserts = named.iter().any(|(_, address)| address.is_some())
            || tenant.is_some()
            || environment.is_some()
            || site.is_some();
        let [write, metrics, store, cloud] = aliases;
        env.one_holds(&[&Self::URL, write, metrics, store, cloud]);
        let url = if aliases.into_iter().any(|alias| env.given(alias)) {
            named.insert(0, (env.is_own(&Self::URL), env.read(&Self::URL)));
            own_first(named)
        } else {
            env.require(&Self::URL, "the prometheus backend needs an address; ASSERTS_REMOTE_WRITE_URL is taken too")
        };
        let credentials = credentials(env);
        let temporality = env.read(&Self::TEMPORALITY);
        let (durations, custom) = (env.read(&Self::DURATIONS), env.read(&Self::BUCKETS));
        Some(Self {
            endpoint: endpoint(&url?, credentials.as_ref()),
            options: Options {
                asserts: asserts.then_some(Asserts { tenant, environment, site }),
                ..Options::new(temporality?, durations?, custom?)
            },
            state: State::default(),
        })
    }

    /// Takes over what another one has counted.
    pub(in crate::backend) fn inherit(&mut self, before: Self) {
        self.state = before.state;
    }

    /// Begins a batch.
    pub(in crate::backend) fn encoder<'b>(&'b mut self, context: &Context<'b>) -> Encoder<'b, Text> {
        let body = Body::new(self.template());
        Encoder::new(&self.options, &mut self.state, context, Text { body })
    }

    /// What requests of a route are like.
    pub(in crate::backend) fn template_of(&self, route: &str) -> Option<Template> {
        (route == ROUTE).then(|| self.template())
    }

    fn template(&self) -> Template {
        Template {
            destination: Destination::Http(self.endpoint.clone()),
            compression: Compression::Gzip(6),
            frame: Frame::text(b"", b"\n", b"\n"),
            limits: LIMITS,
            route: ROUTE,
            judge,
        }
    }

    /// What Prometheus' users call a measure, and what its values are divided by.
    pub const fn words(measure: Measure) -> (&'static str, f64) {
        super::words(measure)
    }
}

/// The one intake there is.
const ROUTE: &str = "import";

/// Writes a sample a line.
pub(in crate::backend) struct Text {
    body: Body,
}

impl Write for Text {
    fn write(&mut self, series: &Written<'_>) -> Result<(), Oversize> {
        let mut weight = series.weight;
        for (index, (time, value)) in series.samples.iter().enumerate() {
            self.body.push(std::mem::take(&mut weight), |out| {
                if series.first && index == 0 {
                    head(series, out);
                }
                out.extend_from_slice(series.name.as_bytes());
                labels(series, out);
                out.push(b' ');
                float(*value, out);
                out.push(b' ');
                out.extend_from_slice(itoa::Buffer::new().format(*time).as_bytes());
            })?;
        }
        Ok(())
    }

    fn has_ready(&self) -> bool {
        self.body.has_ready()
    }

    fn take_ready(&mut self) -> Vec<Request> {
        self.body.take_ready()
    }

    fn finish(self) -> Vec<Request> {
        self.body.finish()
    }
}

/// `# HELP name …` and `# TYPE name …`
fn head(series: &Written<'_>, out: &mut Vec<u8>) {
    let family = &series.family;
    for text in ["# HELP ", family.name, " ", family.help, "\n# TYPE ", family.name, " ", family.kind, "\n"] {
        out.extend_from_slice(text.as_bytes());
    }
}

/// `{name="value",…}`
fn labels(series: &Written<'_>, out: &mut Vec<u8>) {
    let own = series.labels.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let last = [("instance", series.instance)].into_iter().chain(series.le.map(|le| ("le", le)));
    let mut before = b'{';
    for (name, value) in own.chain(last) {
        out.push(before);
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b"=\"");
        for byte in value.bytes() {
            match byte {
                b'\\' => out.extend_from_slice(b"\\\\"),
                b'"' => out.extend_from_slice(b"\\\""),
                b'\n' => out.extend_from_slice(b"\\n"),
                byte => out.push(byte),
            }
        }
        out.push(b'"');
        before = b',';
    }
    out.push(b'}');
}

/// A number, as Go reads it.
fn float(value: f64, out: &mut Vec<u8>) {
    if value.is_finite() {
        number(value, out);
    } else {
        let name: &[u8] = if value.is_nan() {
            b"NaN"
        } else if value > 0.0 {
            b"+Inf"
        } else {
            b"-Inf"
        };
        out.extend_from_slice(name);
    }
}

/// Receivers answer 200 or 204, and gateways before them 202. `VictoriaMetrics` says with a 400 that a request is too large.
fn judge(request: &Request, response: &Response) -> Verdict {
    let says = |text: &[u8]| memchr::memmem::find(&response.body, text).is_some();
    match response.status {
        400 if says(b"too big") => Verdict::TooLarge,
        _ => Verdict::of(request, response),
    }
}

/// User and password: our own settings before those of Asserts. One of ours without the other is a
/// mistake; a tenant is a label, too, and may stand alone.
fn credentials(env: &mut Env<'_>) -> Option<(String, Secret)> {
    const WHAT: &str = "is not set: user and password belong together";
    let (user, password) = (&Prometheus::USERNAME, &Prometheus::PASSWORD);
    let (tenant, other) = (&Prometheus::TENANT, &Prometheus::ASSERTS_PASSWORD);
    if env.given(user) && !env.given(password) && !env.given(other) {
        env.mistake(&env.name(password), WHAT.to_owned());
    } else if env.given(password) && !env.given(user) && !env.given(tenant) {
        env.mistake(&env.name(user), WHAT.to_owned());
    }
    let credentials = env.first(&[user, tenant]).zip(env.first(&[password, other]));
    // As a label the tenant holds beside a user.
    env.one_holds(&[tenant]);
    credentials
}

/// A path is added where it is missing.
fn endpoint(address: &Address, credentials: Option<&(String, Secret)>) -> Endpoint {
    let path = if address.base.contains(PATH) { "" } else { PATH };
    let mut headers = vec![
        ("Content-Type".into(), Header::Public("text/plain; version=0.0.4; charset=utf-8".to_owned())),
        ("Content-Encoding".into(), Header::Public("gzip".to_owned())),
    ];
    if let Some((user, password)) = credentials {
        headers.push(("Authorization".into(), auth::basic(user, password)));
    }
    Endpoint { headers, ..Endpoint::from(address.join(path)) }
}

/// A host, or a whole address.
fn address(value: &str) -> Result<Address, String> {
    if value.contains("://") {
        return read::url(value);
    }
    read::url(&format!("https://{value}")).map_err(|_| {
        "is neither a host nor an address: expected `https://host`, perhaps with a port and a path".to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::Mistake;

    fn read(pairs: &[(&str, &str)]) -> Result<Prometheus, Vec<Mistake>> {
        let lookup = |name: &str| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        let mut env = Env::new(&lookup);
        let prometheus = Prometheus::from_env(&mut env);
        let mistakes = env.into_mistakes();
        prometheus.filter(|_| mistakes.is_empty()).ok_or(mistakes)
    }

    #[test]
    fn takes_the_addresses_that_its_users_have() {
        for (settings, url) in [
            (&[("LOGFERRY_PROMETHEUS_URL", "vm.example.com")][..], "https://vm.example.com/api/v1/import/prometheus"),
            (
                &[("LOGFERRY_PROMETHEUS_URL", "http://vm:8480/insert/7/prometheus/?extra_label=env=prod")],
                "http://vm:8480/insert/7/prometheus/api/v1/import/prometheus",
            ),
            (
                &[("ASSERTS_REMOTE_WRITE_URL", "https://a.example.com/api/v1/import/prometheus")],
                "https://a.example.com/api/v1/import/prometheus",
            ),
            (
                &[("ASSERTS_METRIC_ENDPOINT", "https://a/api/v1/import/prometheus/metrics/job/j/instance/i")],
                "https://a/api/v1/import/prometheus/metrics/job/j/instance/i",
            ),
            (
                &[("ASSERTS_METRICSTORE_HOST", "store.example.com"), ("ASSERTS_METRICSTORE_PORT", "8443")],
                "https://store.example.com:8443/api/v1/import/prometheus",
            ),
            (
                &[("ASSERTS_METRICSTORE_HOST", "http://store/x"), ("ASSERTS_METRICSTORE_PORT", "8428")],
                "http://store:8428/x/api/v1/import/prometheus",
            ),
            (&[("ASSERTS_CLOUD_HOST", "shop.asserts.ai")], "https://shop.asserts.ai/api/v1/import/prometheus"),
        ] {
            assert_eq!(read(settings).unwrap().endpoint.url, url, "{settings:?}");
        }
        let prometheus = read(&[("LOGFERRY_PROMETHEUS_URL", "vm?token=abc")]).unwrap();
        assert_eq!(prometheus.endpoint.query.map(|query| query.expose().to_owned()), Some("token=abc".to_owned()));
    }

    #[test]
    fn says_who_sends_only_with_a_name_and_a_password() {
        let url = ("ASSERTS_REMOTE_WRITE_URL", "https://a.example.com");
        let (tenant, password) = (("ASSERTS_TENANT_NAME", "shop"), ("ASSERTS_PASSWORD", "open sesame"));
        let own = [("LOGFERRY_PROMETHEUS_USERNAME", "u"), ("LOGFERRY_PROMETHEUS_PASSWORD", "p")];
        for (settings, expected) in [
            (&[url, tenant][..], None),
            (&[url, password], None),
            (&[url, tenant, password], Some("Basic c2hvcDpvcGVuIHNlc2FtZQ==")),
            (&[url, tenant, password, own[0], own[1]], Some("Basic dTpw")),
        ] {
            let prometheus = read(settings).unwrap();
            let sent = prometheus.endpoint.headers.iter().find_map(|(_, header)| match header {
                Header::Secret(secret) => Some(secret.expose()),
                Header::Public(_) => None,
            });
            assert_eq!(sent, expected, "{settings:?}");
            assert!(!format!("{prometheus:?}").contains("sesame"));
        }
    }

    #[test]
    fn tells_all_mistakes_at_once() {
        let mistakes = read(&[
            ("LOGFERRY_PROMETHEUS_TEMPORALITY", "deltas"),
            ("LOGFERRY_PROMETHEUS_BUCKETS", "3,2"),
            ("ASSERTS_METRICSTORE_PORT", "0"),
        ]);
        let mistakes: Vec<_> = mistakes.unwrap_err().iter().map(|mistake| mistake.name.clone()).collect();
        let expected = [
            "ASSERTS_METRICSTORE_PORT",
            "LOGFERRY_PROMETHEUS_URL",
            "LOGFERRY_PROMETHEUS_TEMPORALITY",
            "LOGFERRY_PROMETHEUS_BUCKETS",
        ];
        assert_eq!(mistakes, expected);
    }

    #[test]
    fn judges_answers() {
        use crate::model::{Forwarder, Timestamp};

        let mut prometheus = read(&[("LOGFERRY_PROMETHEUS_URL", "https://vm")]).unwrap();
        let context = Context { forwarder: &Forwarder::default(), now: Timestamp::default() };
        let request = crate::backend::prometheus::tests::one_request(prometheus.encoder(&context));
        for (status, body, expected) in [
            (200, "", Verdict::Accepted),
            (204, "", Verdict::Accepted),
            (202, "", Verdict::Accepted),
            (400, "too big data size; it mustn't exceed 33554432 bytes", Verdict::TooLarge),
            (400, "pushed metrics must not have timestamps", Verdict::Refused),
            (401, "", Verdict::Unauthorized),
            (404, "", Verdict::NotFound),
            (413, "", Verdict::TooLarge),
            (429, "", Verdict::Busy),
            (503, "", Verdict::Busy),
        ] {
            let response = Response { status, body: body.as_bytes().to_vec(), ..Response::default() };
            assert_eq!(judge(&request, &response), expected, "{status} {body}");
        }
    }

    #[test]
    fn writes_what_could_be_mistaken() {
        let family = crate::backend::prometheus::Family { name: "x", kind: "gauge", help: "" };
        let labels = [("a".to_owned(), "q\"b\\n\nü".to_owned())];
        let series = Written {
            name: "x".into(),
            family,
            first: false,
            labels: &labels,
            instance: "i",
            le: Some("+Inf"),
            samples: &[],
            weight: crate::request::Weight::default(),
        };
        let mut out = Vec::new();
        super::labels(&series, &mut out);
        for value in [f64::INFINITY, f64::NEG_INFINITY, f64::NAN, 0.5, -3.0] {
            out.push(b' ');
            float(value, &mut out);
        }
        let expected = r#"{a="q\"b\\n\nü",instance="i",le="+Inf"} +Inf -Inf NaN 0.5 -3"#;
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}
