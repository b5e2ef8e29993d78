//! Variables of OpenTelemetry's exporters.
//!
//! Sources: <https://opentelemetry.io/docs/specs/otel/protocol/exporter/>,
//! <https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/>,
//! <https://opentelemetry.io/docs/specs/otel/metrics/sdk_exporters/otlp/>.

use std::sync::Arc;
use std::time::Duration;

use super::super::Signals;
use super::histogram::Aggregation;
use super::metrics::Temporality;
use super::resource::Shared;
use super::writer::Format;
use crate::env::{Address, Env, Row, Secret, Setting, read};
use crate::request::{Certificates, Compression, Endpoint, Header, PemFile};

/// Headers that say what the body is.
const OURS: [&str; 5] = ["content-encoding", "content-length", "content-type", "host", "transfer-encoding"];

/// Variables that there are once for all signals, and once for each.
struct Names {
    endpoint: Setting<Address>,
    headers: Setting<Vec<(String, Secret)>>,
    compression: Setting<Compression>,
    timeout: Setting<Duration>,
    protocol: Setting<Format>,
    certificate: Setting<String>,
    client_key: Setting<String>,
    client_certificate: Setting<String>,
}

/// What was found under them.
struct Found {
    endpoint: Option<Address>,
    headers: Option<Vec<(String, Secret)>>,
    compression: Option<Compression>,
    timeout: Option<Duration>,
    protocol: Option<Format>,
    certificate: Option<PemFile>,
    client_key: Option<PemFile>,
    client_certificate: Option<PemFile>,
}

/// Where one signal goes, and how.
#[derive(Clone, Debug)]
pub(super) struct Target {
    pub(super) endpoint: Endpoint,
    pub(super) compression: Compression,
    pub(super) format: Format,
}

const ALL: Names = Names {
    endpoint: Setting::new(
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        base,
        "Address of the collector, as `https://collector.example.com:4318`: `/v1/logs` and `/v1/metrics` are put behind it.",
    )
    .address(),
    headers: Setting::new(
        "OTEL_EXPORTER_OTLP_HEADERS",
        headers,
        "Headers sent along, as `name=value` pairs set apart by commas, values percent-encoded.",
    )
    .secret(),
    compression: Setting::new(
        "OTEL_EXPORTER_OTLP_COMPRESSION",
        compression,
        "How bodies are compressed: gzip or none. Exporters of OpenTelemetry do not compress unless told; here gzip is the default.",
    )
    .default("gzip"),
    timeout: Setting::new(
        "OTEL_EXPORTER_OTLP_TIMEOUT",
        millis,
        "How long one attempt to send may take, in milliseconds; LOGFERRY_SEND_TIMEOUT when empty.",
    ),
    protocol: Setting::new("OTEL_EXPORTER_OTLP_PROTOCOL", protocol, "How bodies are encoded: http/protobuf or http/json.")
        .default("http/protobuf"),
    certificate: Setting::new(
        "OTEL_EXPORTER_OTLP_CERTIFICATE",
        read::text,
        "PEM file of certificate authorities to trust at the collector, beside the built-in ones.",
    ),
    client_key: Setting::new(
        "OTEL_EXPORTER_OTLP_CLIENT_KEY",
        read::text,
        "PEM file of the private key that the client shows itself with.",
    ),
    client_certificate: Setting::new(
        "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE",
        read::text,
        "PEM file of the certificates that the client shows itself with, its own first.",
    ),
};

const LOGS: Names = Names {
    endpoint: Setting::new(
        "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT",
        whole,
        "Address that takes logs, as it is; OTEL_EXPORTER_OTLP_ENDPOINT with `/v1/logs` when empty.",
    )
    .address(),
    headers: Setting::new(
        "OTEL_EXPORTER_OTLP_LOGS_HEADERS",
        headers,
        "Headers of logs, instead of OTEL_EXPORTER_OTLP_HEADERS.",
    )
    .secret(),
    compression: Setting::new(
        "OTEL_EXPORTER_OTLP_LOGS_COMPRESSION",
        compression,
        "How logs are compressed, instead of OTEL_EXPORTER_OTLP_COMPRESSION.",
    ),
    timeout: Setting::new(
        "OTEL_EXPORTER_OTLP_LOGS_TIMEOUT",
        millis,
        "How long one attempt to send logs may take, instead of OTEL_EXPORTER_OTLP_TIMEOUT.",
    ),
    protocol: Setting::new(
        "OTEL_EXPORTER_OTLP_LOGS_PROTOCOL",
        protocol,
        "How logs are encoded, instead of OTEL_EXPORTER_OTLP_PROTOCOL.",
    ),
    certificate: Setting::new(
        "OTEL_EXPORTER_OTLP_LOGS_CERTIFICATE",
        read::text,
        "Certificate authorities for logs, instead of OTEL_EXPORTER_OTLP_CERTIFICATE.",
    ),
    client_key: Setting::new(
        "OTEL_EXPORTER_OTLP_LOGS_CLIENT_KEY",
        read::text,
        "Private key for logs, instead of OTEL_EXPORTER_OTLP_CLIENT_KEY.",
    ),
    client_certificate: Setting::new(
        "OTEL_EXPORTER_OTLP_LOGS_CLIENT_CERTIFICATE",
        read::text,
        "Certificates of the client for logs, instead of OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE.",
    ),
};

const METRICS: Names = Names {
    endpoint: Setting::new(
        "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
        whole,
        "Address that takes metrics, as it is; OTEL_EXPORTER_OTLP_ENDPOINT with `/v1/metrics` when empty.",
    )
    .address(),
    headers: Setting::new(
        "OTEL_EXPORTER_OTLP_METRICS_HEADERS",
        headers,
        "Headers of metrics, instead of OTEL_EXPORTER_OTLP_HEADERS.",
    )
    .secret(),
    compression: Setting::new(
        "OTEL_EXPORTER_OTLP_METRICS_COMPRESSION",
        compression,
        "How metrics are compressed, instead of OTEL_EXPORTER_OTLP_COMPRESSION.",
    ),
    timeout: Setting::new(
        "OTEL_EXPORTER_OTLP_METRICS_TIMEOUT",
        millis,
        "How long one attempt to send metrics may take, instead of OTEL_EXPORTER_OTLP_TIMEOUT.",
    ),
    protocol: Setting::new(
        "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL",
        protocol,
        "How metrics are encoded, instead of OTEL_EXPORTER_OTLP_PROTOCOL.",
    ),
    certificate: Setting::new(
        "OTEL_EXPORTER_OTLP_METRICS_CERTIFICATE",
        read::text,
        "Certificate authorities for metrics, instead of OTEL_EXPORTER_OTLP_CERTIFICATE.",
    ),
    client_key: Setting::new(
        "OTEL_EXPORTER_OTLP_METRICS_CLIENT_KEY",
        read::text,
        "Private key for metrics, instead of OTEL_EXPORTER_OTLP_CLIENT_KEY.",
    ),
    client_certificate: Setting::new(
        "OTEL_EXPORTER_OTLP_METRICS_CLIENT_CERTIFICATE",
        read::text,
        "Certificates of the client for metrics, instead of OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE.",
    ),
};

const RESOURCE_ATTRIBUTES: Setting<Vec<(String, String)>> = Setting::new(
    "OTEL_RESOURCE_ATTRIBUTES",
    pairs,
    "Attributes of every resource, as `key=value` pairs set apart by commas, values percent-encoded.",
);
const SERVICE_NAME: Setting<String> = Setting::new(
    "OTEL_SERVICE_NAME",
    read::text,
    "Name of the service, instead of the name of each function or log group.",
);
const TEMPORALITY: Setting<Temporality> = Setting::new(
    "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE",
    temporality,
    "Whether counts and histograms are of each batch (delta; lowmemory means the same) or add up since the forwarder started (cumulative), which Prometheus and Mimir need. Exporters of OpenTelemetry default to cumulative.",
)
.default("delta");
const HISTOGRAM: Setting<Aggregation> = Setting::new(
    "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION",
    aggregation,
    "How histograms are sent: explicit_bucket_histogram or base2_exponential_bucket_histogram.",
)
.default("explicit_bucket_histogram");
const RETRY_MORE: Setting<bool> = Setting::new(
    "LOGFERRY_OTLP_RETRY_MORE",
    read::boolean,
    "Whether 408 and 500 are tried again too, which gateways answer when they are busy; OTLP says 429, 502, 503 and 504.",
)
.default("false");

/// Everything that can be set beside what is sent.
pub(super) struct Settings {
    pub(super) logs: Target,
    pub(super) metrics: Target,
    pub(super) shared: Shared,
    pub(super) temporality: Temporality,
    pub(super) aggregation: Aggregation,
    pub(super) retry_more: bool,
}

/// For documents.
pub(super) const ROWS: [Row; 29] = {
    let ([a, b, c, d, e, f, g, h], [i, j, k, l, m, n, o, p], [q, r, s, t, u, v, w, x]) =
        (ALL.rows(), LOGS.rows(), METRICS.rows());
    let [first, second, third, fourth, last] =
        [RESOURCE_ATTRIBUTES.row(), SERVICE_NAME.row(), TEMPORALITY.row(), HISTOGRAM.row(), RETRY_MORE.row()];
    [a, b, c, d, e, f, g, h, first, second, third, fourth, i, j, k, l, m, n, o, p, q, r, s, t, u, v, w, x, last]
};

impl Settings {
    /// Reads all; `sends` says which addresses there have to be.
    pub(super) fn from_env(env: &mut Env<'_>, sends: Option<Signals>) -> Option<Self> {
        let (logs, metrics) = (LOGS.of_signal(env), METRICS.of_signal(env));
        let sends = sends.unwrap_or(Signals { logs: false, metrics: false });
        let needed = sends.logs && !env.given(&LOGS.endpoint) || sends.metrics && !env.given(&METRICS.endpoint);
        let all = Found { endpoint: base_address(needed, env), ..ALL.read(env) };
        let client = pair(all.client_certificate.clone(), all.client_key.clone(), &ALL, env);
        let (pairs, service_name) = (env.read(&RESOURCE_ATTRIBUTES), env.read(&SERVICE_NAME));
        let (temporality, aggregation) = (env.read(&TEMPORALITY), env.read(&HISTOGRAM));
        let retry_more = env.read(&RETRY_MORE);
        let logs = logs.target(&all, &LOGS, "/v1/logs", client.as_ref(), env);
        let metrics = metrics.target(&all, &METRICS, "/v1/metrics", client.as_ref(), env);
        Some(Self {
            logs: logs?,
            metrics: metrics?,
            shared: Shared { service_name, attributes: pairs.unwrap_or_default() },
            temporality: temporality?,
            aggregation: aggregation?,
            retry_more: retry_more?,
        })
    }
}

impl Names {
    const fn rows(&self) -> [Row; 8] {
        [
            self.endpoint.row(),
            self.headers.row(),
            self.compression.row(),
            self.timeout.row(),
            self.protocol.row(),
            self.certificate.row(),
            self.client_key.row(),
            self.client_certificate.row(),
        ]
    }

    /// Reads what is set for one signal: under a name, what it has of its own for all signals comes before
    /// what is shared.
    fn of_signal(&self, env: &mut Env<'_>) -> Found {
        fn unless<S, T>(one: &Setting<S>, all: &Setting<S>, value: Option<T>, env: &Env<'_>) -> Option<T> {
            value.filter(|_| env.is_own(one) || !env.is_own(all))
        }
        let found = Found { endpoint: env.read(&self.endpoint), ..self.read(env) };
        Found {
            endpoint: unless(&self.endpoint, &ALL.endpoint, found.endpoint, env),
            headers: unless(&self.headers, &ALL.headers, found.headers, env),
            compression: unless(&self.compression, &ALL.compression, found.compression, env),
            timeout: unless(&self.timeout, &ALL.timeout, found.timeout, env),
            protocol: unless(&self.protocol, &ALL.protocol, found.protocol, env),
            certificate: unless(&self.certificate, &ALL.certificate, found.certificate, env),
            client_key: unless(&self.client_key, &ALL.client_key, found.client_key, env),
            client_certificate: unless(
                &self.client_certificate,
                &ALL.client_certificate,
                found.client_certificate,
                env,
            ),
        }
    }

    /// Reads all but the address.
    fn read(&self, env: &mut Env<'_>) -> Found {
        Found {
            endpoint: None,
            headers: env.read(&self.headers),
            compression: env.read(&self.compression),
            timeout: env.read(&self.timeout),
            protocol: env.read(&self.protocol),
            certificate: file(&self.certificate, env),
            client_key: file(&self.client_key, env),
            client_certificate: file(&self.client_certificate, env),
        }
    }
}

impl Found {
    /// What holds for a signal: its own, else what is said of all.
    fn target(
        self,
        all: &Self,
        names: &Names,
        path: &str,
        client: Result<&Option<(PemFile, PemFile)>, &()>,
        env: &mut Env<'_>,
    ) -> Option<Target> {
        let own = pair(self.client_certificate, self.client_key, names, env);
        // Where there has to be one, none is a mistake by now.
        let address = self.endpoint.or_else(|| all.endpoint.as_ref().map(|base| base.join(path))).unwrap_or_default();
        let format = self.protocol.or(all.protocol)?;
        let compression = self.compression.or(all.compression)?;
        let public = |value: &str| Header::Public(value.to_owned());
        let mut sent = vec![("Content-Type".into(), public(format.content_type()))];
        sent.extend(compression.content_encoding().map(|encoding| ("Content-Encoding".into(), public(encoding))));
        let headers = self.headers.or_else(|| all.headers.clone()).unwrap_or_default();
        sent.extend(headers.into_iter().map(|(name, value)| (name.into(), Header::Secret(value))));
        let authorities = self.certificate.or_else(|| all.certificate.clone());
        let client = own.ok()?.or(client.ok()?.clone());
        let certificates = Certificates { authorities, client };
        let endpoint = Endpoint {
            headers: sent,
            timeout: self.timeout.or(all.timeout),
            certificates: (certificates != Certificates::default()).then(|| Arc::new(certificates)),
            ..Endpoint::from(address)
        };
        Some(Target { endpoint, compression, format })
    }
}

fn base_address(needed: bool, env: &mut Env<'_>) -> Option<Address> {
    const WHY: &str = "the otlp backend needs the address of a collector, as `https://collector.example.com:4318`";
    if needed { env.require(&ALL.endpoint, WHY) } else { env.read(&ALL.endpoint) }
}

/// Certificate and key of a client: both or none; `Err` when one is missing.
fn pair(
    certificate: Option<PemFile>,
    key: Option<PemFile>,
    names: &Names,
    env: &mut Env<'_>,
) -> Result<Option<(PemFile, PemFile)>, ()> {
    let (missing, other) = match (certificate, key) {
        (Some(certificate), Some(key)) => return Ok(Some((certificate, key))),
        (None, None) => return Ok(None),
        (Some(certificate), None) => (env.name(&names.client_key), certificate.variable),
        (None, Some(key)) => (env.name(&names.client_certificate), key.variable),
    };
    env.mistake(&missing, format!("is not set, but {other} is: a client shows itself with both"));
    Err(())
}

fn file(setting: &Setting<String>, env: &mut Env<'_>) -> Option<PemFile> {
    let path = env.read(setting)?;
    Some(PemFile { variable: env.name(setting), path })
}

/// An address that a path can be put behind.
fn base(value: &str) -> Result<Address, String> {
    let address = read::url(value)?;
    if value.contains(['?', '#']) {
        return Err("holds a `?` or a `#`, and a path is put behind it: OTEL_EXPORTER_OTLP_LOGS_ENDPOINT and OTEL_EXPORTER_OTLP_METRICS_ENDPOINT are taken as they are".to_owned());
    }
    Ok(address)
}

/// An address as it is: a `/` at the end stays.
fn whole(value: &str) -> Result<Address, String> {
    let base = value.split(['?', '#']).next().unwrap_or_default().to_owned();
    read::url(value).map(|address| Address { base, ..address })
}

fn headers(value: &str) -> Result<Vec<(String, Secret)>, String> {
    let pairs = pairs(value)?;
    pairs.into_iter().map(|(name, value)| header(name, value)).collect()
}

fn header(name: String, value: String) -> Result<(String, Secret), String> {
    let legal = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    if !name.bytes().all(legal) {
        return Err("holds a name that is none of a header: expected `name=value,name=value`".to_owned());
    }
    if OURS.iter().any(|ours| ours.eq_ignore_ascii_case(&name)) {
        return Err(format!("holds `{name}`, which is set by what is sent"));
    }
    if value.is_empty() {
        Err(format!("holds `{name}` without a value"))
    } else if value.bytes().all(|b| b.is_ascii_graphic() || b == b' ') {
        Ok((name, Secret::new(value)))
    } else {
        Err(format!("holds a line break or a character outside of ASCII in the value of `{name}`"))
    }
}

/// `key=value,key=value`, values percent-encoded, as W3C Baggage has them.
fn pairs(value: &str) -> Result<Vec<(String, String)>, String> {
    let pairs = value.split(',').map(str::trim).filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or_default();
            let value = percent_decoded(value.trim());
            match (key.trim(), value) {
                // The pair isn't shown: it may be a secret.
                ("", _) => {
                    Err("has an entry without a name or without a `=`: expected `key=value,key=value`".to_owned())
                }
                (key, None) => Err(format!("has a value for `{key}` that isn't percent-encoded: `%` is written `%25`")),
                (key, Some(value)) => Ok((key.to_owned(), value)),
            }
        })
        .collect()
}

/// Undoes percent-encoding; `None` of what isn't, or isn't UTF-8.
fn percent_decoded(value: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte == b'%' {
            let (digits, after) = rest.split_first_chunk::<2>()?;
            let digit = |place: usize| char::from(*digits.get(place)?).to_digit(16);
            bytes.push(u8::try_from(digit(0)? << 4 | digit(1)?).ok()?);
            rest = after;
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

fn millis(value: &str) -> Result<Duration, String> {
    let millis = value.parse().ok().filter(|millis| *millis > 0);
    millis.map(Duration::from_millis).ok_or_else(|| "is not a number of milliseconds above 0".to_owned())
}

fn compression(value: &str) -> Result<Compression, String> {
    match value {
        "gzip" => Ok(Compression::Gzip(6)),
        "none" => Ok(Compression::None),
        _ => Err("is neither `gzip` nor `none`".to_owned()),
    }
}

fn protocol(value: &str) -> Result<Format, String> {
    match value {
        "http/protobuf" => Ok(Format::Protobuf),
        "http/json" => Ok(Format::Json),
        "grpc" => {
            Err("is not spoken here: expected `http/protobuf` or `http/json`, which collectors take on port 4318"
                .to_owned())
        }
        _ => Err("is neither `http/protobuf` nor `http/json`".to_owned()),
    }
}

fn temporality(value: &str) -> Result<Temporality, String> {
    match value.to_ascii_lowercase().as_str() {
        "cumulative" => Ok(Temporality::Cumulative),
        // Counters and histograms are deltas there too.
        "delta" | "lowmemory" => Ok(Temporality::Delta),
        _ => Err("is none of `delta`, `cumulative`, `lowmemory`".to_owned()),
    }
}

fn aggregation(value: &str) -> Result<Aggregation, String> {
    match value.to_ascii_lowercase().as_str() {
        "explicit_bucket_histogram" => Ok(Aggregation::Explicit),
        "base2_exponential_bucket_histogram" => Ok(Aggregation::Exponential),
        _ => Err("is neither `explicit_bucket_histogram` nor `base2_exponential_bucket_histogram`".to_owned()),
    }
}
