//! Variables of OpenTelemetry's exporters.
//!
//! Sources: <https://opentelemetry.io/docs/specs/otel/protocol/exporter/>,
//! <https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/>,
//! <https://opentelemetry.io/docs/specs/otel/metrics/sdk_exporters/otlp/>.

mod values;
mod variables;

use std::sync::Arc;
use std::time::Duration;

pub(super) use variables::rows;
use variables::{ALL, HISTOGRAM, LOGS, METRICS, Names, RESOURCE_ATTRIBUTES, RETRY_MORE, SERVICE_NAME, TEMPORALITY};

use super::super::Signals;
use super::histogram::Aggregation;
use super::metrics::Temporality;
use super::resource::Shared;
use super::writer::Format;
use crate::env::{Address, Env, Secret, Setting};
use crate::request::{Certificates, Compression, Endpoint, Header, PemFile};

/// Where one signal goes, and how.
#[derive(Clone, Debug)]
pub(super) struct Target {
    pub(super) endpoint: Endpoint,
    pub(super) compression: Compression,
    pub(super) format: Format,
}

/// Everything that can be set beside what is sent.
pub(super) struct Settings {
    pub(super) logs: Target,
    pub(super) metrics: Target,
    pub(super) shared: Shared,
    pub(super) temporality: Temporality,
    pub(super) aggregation: Aggregation,
    pub(super) retry_more: bool,
}

/// What is found under the variables of all signals, or of one.
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
