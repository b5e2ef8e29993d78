//! From telemetry to requests: one file for each backend.
//!
//! Encoding never waits and never fails: logs and metrics go in, finished
//! requests come out, and a count of what no request can carry. So every
//! backend is tested by comparing bytes.

mod auth;
mod body;
mod compress;
mod datadog;
mod elasticsearch;
mod guance;
mod hash;
mod key;
mod line_protocol;
mod loki;
mod newrelic;
mod order;
mod otlp;
mod per_origin;
mod prometheus;
pub mod protobuf;
mod record;
mod splunk;
mod stdout;
mod write;

use std::collections::BTreeMap;
use std::time::Duration;

pub use compress::decompress;
pub use datadog::Datadog;
pub use elasticsearch::Elasticsearch;
pub use guance::Guance;
pub use loki::Loki;
pub use newrelic::NewRelic;
pub use otlp::Otlp;
pub use prometheus::{Prometheus, RemoteWrite};
pub use splunk::Splunk;
pub use stdout::Stdout;

use crate::env::{Env, Row, Setting, read};
use crate::model::{Forwarder, Log, Metric, Origin, Sink, Timestamp};
use crate::parcel::{Parcel, ParcelError};
use crate::request::{Certificates, Request, Weight};

/// Where telemetry is sent.
#[derive(Clone, Debug)]
pub struct Backend {
    name: String,
    sends: Signals,
    kind: Kind,
}

/// What a backend is: a closed set, chosen by settings.
#[derive(Clone, Debug)]
enum Kind {
    Datadog(Box<Datadog>),
    Elasticsearch(Box<Elasticsearch>),
    Guance(Box<Guance>),
    Loki(Box<Loki>),
    NewRelic(Box<NewRelic>),
    Otlp(Box<Otlp>),
    Prometheus(Box<Prometheus>),
    RemoteWrite(Box<RemoteWrite>),
    Splunk(Box<Splunk>),
    Stdout(Stdout),
}

/// One batch on its way to a backend.
pub struct Encoder<'b> {
    sends: Signals,
    /// What is not sent to this backend.
    kept_back: Weight,
    kind: KindEncoder<'b>,
}

enum KindEncoder<'b> {
    Datadog(Box<datadog::Encoder<'b>>),
    Elasticsearch(Box<elasticsearch::Encoder<'b>>),
    Guance(Box<guance::Encoder>),
    Loki(Box<loki::Encoder<'b>>),
    NewRelic(Box<newrelic::Encoder<'b>>),
    Otlp(Box<otlp::Encoder<'b>>),
    Prometheus(Box<prometheus::Encoder<'b, prometheus::Text>>),
    RemoteWrite(Box<prometheus::Encoder<'b, prometheus::Series>>),
    Splunk(Box<splunk::Encoder<'b>>),
    Stdout(Box<stdout::Encoder>),
}

/// Does the same with whatever encoder it is.
macro_rules! each {
    ($kind:expr, $encoder:ident => $what:expr) => {
        match $kind {
            KindEncoder::Datadog($encoder) => $what,
            KindEncoder::Elasticsearch($encoder) => $what,
            KindEncoder::Guance($encoder) => $what,
            KindEncoder::Loki($encoder) => $what,
            KindEncoder::NewRelic($encoder) => $what,
            KindEncoder::Otlp($encoder) => $what,
            KindEncoder::Prometheus($encoder) => $what,
            KindEncoder::RemoteWrite($encoder) => $what,
            KindEncoder::Splunk($encoder) => $what,
            KindEncoder::Stdout($encoder) => $what,
        }
    };
}

/// A tag of the settings: key and value.
type Pair = (String, String);

/// What every encoder does beside taking telemetry.
trait Encode: Sink {
    /// Whether requests are full.
    fn has_ready(&self) -> bool;
    /// Requests that are full.
    fn take_ready(&mut self) -> Vec<Request>;
    /// Ends the batch.
    fn finish(self) -> Encoded;
    /// Ends a part of a batch that comes again as a whole: what would be counted twice for good is left out.
    fn cut_short(self) -> Encoded
    where
        Self: Sized,
    {
        self.finish()
    }
}

/// What an encoder has to know beside telemetry.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// The forwarder itself.
    pub forwarder: &'a Forwarder,
    /// The time.
    pub now: Timestamp,
}

/// What the end of a batch leaves.
#[derive(Clone, Debug, Default)]
pub struct Encoded {
    /// Requests that weren't taken before.
    pub requests: Vec<Request>,
    /// What no request can carry.
    pub oversize: Weight,
    /// What the backend's settings keep back.
    pub filtered: Weight,
    /// What is left out until the batch comes again.
    pub left: Weight,
}

/// Which kinds of telemetry a backend is sent.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Signals {
    /// Logs.
    pub logs: bool,
    /// Metrics.
    pub metrics: bool,
}

impl Signals {
    const BOTH: &'static str = "logs,metrics";
    /// For backends that know nothing else.
    const METRICS: Self = Self { logs: false, metrics: true };

    /// Reads `logs`, `metrics`, or both, set apart by commas.
    fn parse(value: &str) -> Result<Self, String> {
        let mut signals = Self { logs: false, metrics: false };
        for name in value.split(',').map(str::trim) {
            match name {
                "logs" => signals.logs = true,
                "metrics" => signals.metrics = true,
                _ => return Err("is none of `logs`, `metrics`, `logs,metrics`".to_owned()),
            }
        }
        Ok(signals)
    }
}

impl Backend {
    /// The kinds that `LOGFERRY_BACKENDS` takes.
    pub const KINDS: &[&str] = &[
        "datadog",
        "elasticsearch",
        "guance",
        "loki",
        "newrelic",
        "otlp",
        "prometheus",
        "remote_write",
        "splunk",
        "stdout",
    ];

    const BACKENDS: Setting<Vec<String>> = Setting::new(
        "LOGFERRY_BACKENDS",
        names,
        "Where to send: a comma-separated list of backends. One kind can stand there more than once, under names, as `datadog:eu`: that one reads DD_API_KEY_EU before DD_API_KEY.",
    );

    /// The settings of all backends, for documents.
    pub fn rows() -> Vec<(&'static str, Vec<Row>)> {
        vec![
            ("", vec![Self::BACKENDS.row()]),
            ("datadog", Datadog::ROWS.to_vec()),
            ("elasticsearch", Elasticsearch::ROWS.to_vec()),
            ("guance", Guance::ROWS.to_vec()),
            ("loki", Loki::ROWS.to_vec()),
            ("newrelic", NewRelic::ROWS.to_vec()),
            ("otlp", Otlp::rows()),
            ("prometheus", Prometheus::ROWS.to_vec()),
            ("remote_write", RemoteWrite::ROWS.to_vec()),
            ("splunk", Splunk::ROWS.to_vec()),
            ("stdout", vec![Stdout::SEND.row()]),
        ]
    }

    /// Reads which backends there are and their settings; `default` holds when none is named.
    pub fn from_env(env: &mut Env<'_>, default: Option<&str>) -> Vec<Self> {
        let names = match default {
            Some(default) => env.read(&Self::BACKENDS).unwrap_or_else(|| vec![default.to_owned()]),
            None => env.require(&Self::BACKENDS, "name at least one backend, as `datadog`").unwrap_or_default(),
        };
        names.iter().filter_map(|name| Self::named(name, env)).collect()
    }

    /// Reads the settings of one backend: `kind`, or `kind:name` for one with settings of its own.
    pub fn named(name: &str, env: &mut Env<'_>) -> Option<Self> {
        let (kind, suffix) = name.split_once(':').map_or((name, None), |(kind, suffix)| (kind, Some(suffix)));
        if suffix.is_some_and(|suffix| !is_suffix(suffix)) {
            let what = format!("names `{name}`: what is behind the colon may hold letters, digits, `-` and `_`");
            env.mistake(Self::BACKENDS.row().name, what);
            return None;
        }
        let (kind, sends) = env.under(suffix, |env| match kind {
            "datadog" => {
                let (datadog, sends) = (Datadog::from_env(env), env.read(&Datadog::SEND));
                let (datadog, sends) = (datadog?, sends?);
                datadog.check(sends, env);
                Some((Kind::Datadog(Box::new(datadog)), sends))
            }
            "elasticsearch" => read_both(env, Elasticsearch::from_env, &Elasticsearch::SEND, Kind::Elasticsearch),
            "guance" => read_both(env, Guance::from_env, &Guance::SEND, Kind::Guance),
            "loki" => Some((Kind::Loki(Box::new(Loki::from_env(env)?)), Loki::SENDS)),
            "newrelic" => read_both(env, NewRelic::from_env, &NewRelic::SEND, Kind::NewRelic),
            "otlp" => {
                let sends = env.read(&Otlp::SEND);
                let otlp = Otlp::from_env(env, sends);
                Some((Kind::Otlp(Box::new(otlp?)), sends?))
            }
            "prometheus" => Some((Kind::Prometheus(Box::new(Prometheus::from_env(env)?)), Signals::METRICS)),
            "remote_write" => Some((Kind::RemoteWrite(Box::new(RemoteWrite::from_env(env)?)), Signals::METRICS)),
            "splunk" => read_both(env, Splunk::from_env, &Splunk::SEND, Kind::Splunk),
            "stdout" => Some((Kind::Stdout(Stdout), env.read(&Stdout::SEND)?)),
            _ => {
                let known = Self::KINDS.join("`, `");
                let what = format!("names `{name}`, which is no backend: expected `{known}`");
                env.mistake(Self::BACKENDS.row().name, what);
                None
            }
        })?;
        Some(Self { name: name.to_owned(), sends, kind })
    }

    /// Its name, as the settings have it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What a tag of the settings is called where each name is sent once, and the first of a name holds.
    fn tag_name(&self, (key, value): &Pair) -> Option<String> {
        match &self.kind {
            Kind::Guance(_) => Some(Guance::tag_name(key, self.sends)).filter(|_| !value.is_empty()),
            Kind::Loki(_) => Some(Loki::tag_name(key)).filter(|_| !value.is_empty()),
            Kind::NewRelic(_) => Some(NewRelic::tag_name(key)),
            Kind::Otlp(_) => Some(key.clone()),
            Kind::Datadog(_)
            | Kind::Elasticsearch(_)
            | Kind::Prometheus(_)
            | Kind::RemoteWrite(_)
            | Kind::Splunk(_)
            | Kind::Stdout(_) => None,
        }
    }

    /// Two tags with other values that have one name here, so that one of them would not be sent: which, and the name.
    pub fn clash<'t>(&self, tags: &'t [Pair]) -> Option<(&'t Pair, &'t Pair, String)> {
        let mut named: BTreeMap<String, &Pair> = BTreeMap::new();
        tags.iter().find_map(|tag| {
            let name = self.tag_name(tag)?;
            let first = *named.entry(name.clone()).or_insert(tag);
            (first.1 != tag.1).then_some((first, tag, name))
        })
    }

    /// Whether what is sent goes over a network.
    pub const fn is_remote(&self) -> bool {
        !matches!(self.kind, Kind::Stdout(_))
    }

    /// Makes a request of what was stored, as this backend's requests are now and for where they go.
    ///
    /// # Errors
    ///
    /// When what was stored is damaged, or for an intake that this backend doesn't have.
    pub fn revive(&self, parcel: &Parcel, context: &Context<'_>) -> Result<Request, ParcelError> {
        let template = self.template_of(&parcel.route, context.forwarder);
        let request = parcel.unpack(template.ok_or(ParcelError::Damaged)?.request(Vec::new(), Vec::new()))?;
        match &self.kind {
            Kind::Datadog(_) => Datadog::revived(request, context.now).ok_or(ParcelError::Damaged),
            Kind::Loki(_) => Ok(loki::with_fallback(request)),
            Kind::RemoteWrite(remote_write) => remote_write.revived(request).ok_or(ParcelError::Damaged),
            _ => Ok(request),
        }
    }

    /// What requests of a route are like.
    fn template_of(&self, route: &str, forwarder: &Forwarder) -> Option<body::Template> {
        let region = forwarder.region.as_ref();
        match &self.kind {
            Kind::Datadog(datadog) => datadog.template_of(route),
            Kind::Elasticsearch(elasticsearch) => elasticsearch.template_of(route),
            Kind::Guance(guance) => guance.template_of(route),
            Kind::Loki(loki) => loki.template_of(route),
            Kind::NewRelic(newrelic) => newrelic.template_of(route),
            Kind::Otlp(otlp) => otlp.template_of(route),
            Kind::Prometheus(prometheus) => prometheus.template_of(route),
            Kind::RemoteWrite(remote_write) => remote_write.template_of(route, region),
            Kind::Splunk(splunk) => splunk.template_of(route),
            Kind::Stdout(_) => None,
        }
    }

    /// Whether both are sent the same bytes, if to different places: then one encodes for both.
    /// Those with a state of their own never are.
    pub fn encodes_like(&self, other: &Self) -> bool {
        self.sends == other.sends
            && match (&self.kind, &other.kind) {
                (Kind::Datadog(one), Kind::Datadog(other)) => one.encodes_like(other),
                (Kind::Elasticsearch(one), Kind::Elasticsearch(other)) => one.encodes_like(other),
                (Kind::Guance(one), Kind::Guance(other)) => one.encodes_like(other),
                (Kind::Loki(one), Kind::Loki(other)) => one.encodes_like(other),
                (Kind::NewRelic(one), Kind::NewRelic(other)) => one.encodes_like(other),
                (Kind::Splunk(one), Kind::Splunk(other)) => one.encodes_like(other),
                _ => false,
            }
    }

    /// Takes over what another one of the same settings has counted: totals go on from there.
    pub fn inherit(&mut self, before: Self) {
        match (&mut self.kind, before.kind) {
            (Kind::Otlp(own), Kind::Otlp(before)) => own.inherit(*before),
            (Kind::Prometheus(own), Kind::Prometheus(before)) => own.inherit(*before),
            (Kind::RemoteWrite(own), Kind::RemoteWrite(before)) => own.inherit(*before),
            _ => {}
        }
    }

    /// Whether its intakes refuse, or pass over, what is older than what they have of the same stream or series.
    pub const fn wants_order(&self) -> bool {
        matches!(self.kind, Kind::Loki(_) | Kind::Otlp(_) | Kind::RemoteWrite(_))
    }

    /// The same request for where this backend's requests go, from one that encodes like it.
    pub fn readdressed(&self, request: &Request, forwarder: &Forwarder) -> Option<Request> {
        let template = self.template_of(request.route, forwarder)?;
        Some(Request { destination: template.destination, ..request.clone() })
    }

    /// Whether what a stored request holds is too old: an intake takes such data and loses it.
    pub fn is_too_old(&self, parcel: &Parcel, now: Timestamp) -> bool {
        let age = now.millis().saturating_sub(parcel.oldest);
        self.max_age(&parcel.route).is_some_and(|max| i128::from(age) > max.as_millis().cast_signed())
    }

    fn max_age(&self, route: &str) -> Option<Duration> {
        match &self.kind {
            Kind::Datadog(_) => Datadog::max_age(route),
            Kind::NewRelic(_) => NewRelic::max_age(route),
            _ => None,
        }
    }

    /// What TLS needs for its addresses alone.
    pub fn certificates(&self) -> impl Iterator<Item = &Certificates> {
        let otlp = if let Kind::Otlp(otlp) = &self.kind { Some(otlp.certificates()) } else { None };
        otlp.into_iter().flatten()
    }

    /// Begins a batch.
    pub fn encoder<'b>(&'b mut self, context: &Context<'b>) -> Encoder<'b> {
        let kind = match &mut self.kind {
            Kind::Datadog(datadog) => KindEncoder::Datadog(Box::new(datadog.encoder(context))),
            Kind::Elasticsearch(kind) => KindEncoder::Elasticsearch(Box::new(kind.encoder())),
            Kind::Guance(guance) => KindEncoder::Guance(Box::new(guance.encoder())),
            Kind::Loki(loki) => KindEncoder::Loki(Box::new(loki.encoder())),
            Kind::NewRelic(newrelic) => KindEncoder::NewRelic(Box::new(newrelic.encoder())),
            Kind::Otlp(otlp) => KindEncoder::Otlp(Box::new(otlp.encoder(context))),
            Kind::Prometheus(prometheus) => KindEncoder::Prometheus(Box::new(prometheus.encoder(context))),
            Kind::RemoteWrite(remote_write) => KindEncoder::RemoteWrite(Box::new(remote_write.encoder(context))),
            Kind::Splunk(splunk) => KindEncoder::Splunk(Box::new(splunk.encoder())),
            Kind::Stdout(stdout) => KindEncoder::Stdout(Box::new(stdout.encoder())),
        };
        Encoder { sends: self.sends, kept_back: Weight::default(), kind }
    }
}

/// Reads a backend and which signals it is sent: always both, so that all mistakes are told at once.
fn read_both<B>(
    env: &mut Env<'_>,
    backend: fn(&mut Env<'_>) -> Option<B>,
    sends: &Setting<Signals>,
    kind: fn(Box<B>) -> Kind,
) -> Option<(Kind, Signals)> {
    let (backend, sends) = (backend(env), env.read(sends));
    Some((kind(Box::new(backend?)), sends?))
}

impl Encoder<'_> {
    /// Whether requests are full.
    pub fn has_ready(&self) -> bool {
        each!(&self.kind, encoder => encoder.has_ready())
    }

    /// Requests that are full.
    pub fn take_ready(&mut self) -> Vec<Request> {
        each!(&mut self.kind, encoder => encoder.take_ready())
    }

    /// Ends the batch.
    pub fn finish(self) -> Encoded {
        let mut encoded = each!(self.kind, encoder => encoder.finish());
        encoded.filtered += self.kept_back;
        encoded
    }

    /// Ends a part of a batch that comes again as a whole: what would be counted twice for good is left out.
    pub fn cut_short(self) -> Encoded {
        let mut encoded = each!(self.kind, encoder => encoder.cut_short());
        encoded.filtered += self.kept_back;
        encoded
    }
}

impl Sink for Encoder<'_> {
    fn log(&mut self, origin: &Origin, log: &Log<'_>) {
        if self.sends.logs {
            each!(&mut self.kind, encoder => log_to(&mut **encoder, origin, log));
        } else {
            self.kept_back += Weight::LOG;
        }
    }

    fn wants_json_fields(&self) -> bool {
        self.sends.logs && each!(&self.kind, encoder => encoder.wants_json_fields())
    }

    fn metrics(&mut self, origin: &Origin, metrics: &[Metric<'_>]) {
        if self.sends.metrics {
            each!(&mut self.kind, encoder => metrics_to(&mut **encoder, origin, metrics));
        } else {
            self.kept_back += Weight::metrics(metrics.len() as u64);
        }
    }
}

/// A function of its own for each backend: what one of them needs to begin with, another doesn't wait for.
#[inline(never)]
fn log_to(encoder: &mut impl Sink, origin: &Origin, log: &Log<'_>) {
    encoder.log(origin, log);
}

/// The same for metrics.
#[inline(never)]
fn metrics_to(encoder: &mut impl Sink, origin: &Origin, metrics: &[Metric<'_>]) {
    encoder.metrics(origin, metrics);
}

fn is_suffix(suffix: &str) -> bool {
    !suffix.is_empty() && suffix.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
}

/// What tells the variables of one backend from another's: its kind, and what they end in.
fn variables(name: &str) -> (&str, Option<String>) {
    name.split_once(':').map_or((name, None), |(kind, suffix)| (kind, Some(Env::suffix(suffix))))
}

/// Names of backends: at least one, and each once.
fn names(value: &str) -> Result<Vec<String>, String> {
    let names = read::list(value)?;
    let pairs =
        names.iter().enumerate().flat_map(|(place, name)| names.iter().take(place).map(move |before| (before, name)));
    let twice = pairs.into_iter().find(|(before, name)| variables(before) == variables(name));
    match twice {
        Some((before, name)) if before != name => Err(format!(
            "names `{before}` and `{name}`, which read the same variables: give them names that differ in more than case, `-` and `_`"
        )),
        Some((_, name)) => Err(format!(
            "names `{name}` twice: everything would be sent twice; for two places of one kind give them names, as `{name}:eu`"
        )),
        None if names.is_empty() => Err(format!("names no backend: expected `{}`", Backend::KINDS.join("`, `"))),
        None => Ok(names),
    }
}
