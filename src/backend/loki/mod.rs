//! Grafana Loki: logs, one stream a body.
//!
//! ```text
//! {"streams":[{"stream":{"service_name":"checkout","function_name":"checkout","cloud_region":"eu-west-1",
//!                        "cloud_account_id":"123456789012","log_group":"/aws/lambda/checkout"},
//!   "values":[["1795165334310000000","INIT_START …",{"event_id":"4003…","log_stream":"2026/11/20/[$LATEST]15…"}],
//!             ["1795165334734000000","…",{"event_id":"4003…","request_id":"1ab9…","level":"info",…}]]}]}
//! ```
//!
//! Labels are few: what tells functions apart, and what the owner of the
//! forwarder adds. All that differs from line to line is structured metadata.
//! With `protobuf` the same is said in the messages of Loki's own clients.
//!
//! # Many copies at once, and replays
//!
//! A function's environments share its stream, whichever copy of the forwarder
//! sends them: Loki orders entries by itself, as long as none is an hour older
//! than the newest. What is, as it was stored or delivered late, is sent once
//! more in a stream of its own, which has the label `late="true"` beside the
//! others; what is older than Loki takes at all (a week) is refused for good.
//! Within a push entries ascend. CloudWatch's milliseconds are
//! made nanoseconds by counting the entries of a millisecond, so that they keep
//! their order; different entries of one nanosecond are all kept. A batch that is
//! delivered again has the same times, lines and metadata: Loki drops the copy.
//! When the stream has gone on for an hour since, Loki doesn't say that it has
//! them, and they are among the late ones, too, once. Only a stream of
//! more than 1.5 MB a second, which Loki cuts into several, may take a copy.
//!
//! Sources: <https://grafana.com/docs/loki/latest/reference/loki-http-api/#ingest-logs>,
//! <https://grafana.com/docs/loki/latest/configure/#limits_config>, and what Loki 3.7 answers.

mod answer;
mod format;
mod late;
mod stream;

pub(super) use answer::is_too_much;
use answer::judge;
use format::Format;
pub(super) use late::with_fallback;
use stream::{MAX_LABELS, MAX_VALUE, OWN_LABELS, Stream, label_name, pair};

use super::body::{Body, Limits, Template};
use super::order::Order;
use super::write::{bounded, start};
use super::{Encode, Encoded, Signals, auth};
use crate::env::{Address, Env, Row, Secret, Setting, read};
use crate::model::{Level, Log, Metric, Origin, Sink, Timestamp};
use crate::request::{Compression, Destination, Endpoint, Header, Request, Weight};

/// A megabyte is far below the burst of 6 MB that a tenant has by default.
const LIMITS: Limits = Limits { bytes: 1_000_000, compressed: usize::MAX, items: usize::MAX, item_bytes: 900_000 };

/// Bytes of a line: Loki's `max_line_size`.
const MAX_LINE: usize = 262_144;

/// Bytes of a line as it stands in JSON, so that a body holds it.
const MAX_ESCAPED: usize = 800_000;

/// Bytes that an entry has at most beside its end: brackets, time, lengths, separator.
const MAX_HEAD: usize = 32;

/// Ships to Loki.
#[derive(Clone, Debug, PartialEq)]
pub struct Loki {
    /// Where pushes go.
    address: Address,
    authorization: Option<Header>,
    tenant: Option<String>,
    labels: Vec<(String, String)>,
    format: Format,
}

/// One batch on its way to Loki.
pub struct Encoder<'b> {
    loki: &'b Loki,
    body: Body,
    stream: Option<Stream>,
    /// Entries of the stream at hand, about a body's worth.
    held: Vec<Entry>,
    /// Their ends, one behind another.
    ends: Vec<u8>,
    order: Order,
    /// What no body can hold, and metrics, of which Loki has none.
    oversize: Weight,
    filtered: Weight,
}

/// An entry that waits for its place.
struct Entry {
    time: Timestamp,
    /// Where its end ends in `ends`.
    to: usize,
    from: usize,
}

/// The one intake there is.
const ROUTE: &str = "push";

impl Loki {
    const URL: Setting<Address> = Setting::new(
        "LOKI_URL",
        read::url,
        "Address of Loki; `/loki/api/v1/push` is appended when it isn't there, before what stands behind a `?`.",
    )
    .address();
    const WRITE_ADDRESS: Setting<Address> =
        Setting::new("WRITE_ADDRESS", read::url, "The same as LOKI_URL, under lambda-promtail's name.").address();
    const USERNAME: Setting<String> =
        Setting::new("LOKI_USERNAME", read::text, "User for basic authentication: on Grafana Cloud a number.");
    const PASSWORD: Setting<Secret> =
        Setting::new("LOKI_PASSWORD", read::password, "Password or token for basic authentication.").secret();
    const BEARER_TOKEN: Setting<Secret> =
        Setting::new("LOKI_BEARER_TOKEN", read::secret, "Bearer token, instead of user and password.").secret();
    const TENANT_ID: Setting<String> =
        Setting::new("LOKI_TENANT_ID", tenant, "Tenant, sent as X-Scope-OrgID: for a Loki with auth_enabled.");
    const EXTRA_LABELS: Setting<Vec<(String, String)>> = Setting::new(
        "LOKI_EXTRA_LABELS",
        labels,
        "Up to 9 labels added to every stream, as `name:value` pairs set apart by commas, or as lambda-promtail has them, `name,value,name,value`.",
    );
    const FORMAT: Setting<Format> =
        Setting::new("LOKI_FORMAT", Format::parse, "How logs are sent: json, gzipped, or protobuf with snappy.")
            .default("json");

    /// Loki takes logs.
    pub const SENDS: Signals = Signals { logs: true, metrics: false };

    /// The settings, for documents.
    pub const ROWS: [Row; 8] = [
        Self::URL.row(),
        Self::WRITE_ADDRESS.row(),
        Self::USERNAME.row(),
        Self::PASSWORD.row(),
        Self::BEARER_TOKEN.row(),
        Self::TENANT_ID.row(),
        Self::EXTRA_LABELS.row(),
        Self::FORMAT.row(),
    ];

    /// Reads the settings.
    pub fn from_env(env: &mut Env<'_>) -> Option<Self> {
        let url = if env.given(&Self::WRITE_ADDRESS) {
            env.first(&[&Self::URL, &Self::WRITE_ADDRESS])
        } else {
            env.require(&Self::URL, "the loki backend needs an address, as `http://loki:3100`")
        };
        let either = auth::Either {
            user: &Self::USERNAME,
            password: &Self::PASSWORD,
            scheme: "Bearer",
            tokens: &[&Self::BEARER_TOKEN],
        };
        let authorization = either.read(env).ok();
        let (tenant, labels) = (env.read(&Self::TENANT_ID), env.read(&Self::EXTRA_LABELS));
        let format = env.read(&Self::FORMAT);
        Some(Self {
            address: push_address(&url?),
            authorization: authorization?,
            tenant,
            labels: labels.unwrap_or_default(),
            format: format?,
        })
    }

    /// Begins a batch.
    pub fn encoder(&self) -> Encoder<'_> {
        Encoder {
            loki: self,
            body: Body::new(self.template()),
            stream: None,
            held: Vec::new(),
            ends: Vec::new(),
            order: Order::default(),
            oversize: Weight::default(),
            filtered: Weight::default(),
        }
    }

    /// What a tag of the settings is called.
    pub(super) fn tag_name(key: &str) -> String {
        label_name(key)
    }

    /// Whether both are sent the same bytes, if to different places.
    pub(super) fn encodes_like(&self, other: &Self) -> bool {
        let here = Self {
            address: other.address.clone(),
            authorization: other.authorization.clone(),
            tenant: other.tenant.clone(),
            ..self.clone()
        };
        here == *other
    }

    /// What requests of a route are like.
    pub(super) fn template_of(&self, route: &str) -> Option<Template> {
        (route == ROUTE).then(|| self.template())
    }

    fn template(&self) -> Template {
        let public = |value: &str| Header::Public(value.to_owned());
        let (content_type, compression) = match self.format {
            Format::Json => ("application/json", Compression::Gzip(6)),
            Format::Protobuf => ("application/x-protobuf", Compression::Snappy),
        };
        let mut headers = vec![("Content-Type".into(), public(content_type))];
        if self.format == Format::Json {
            headers.push(("Content-Encoding".into(), public("gzip")));
        }
        headers.extend(self.authorization.clone().map(|header| ("Authorization".into(), header)));
        headers.extend(self.tenant.as_deref().map(|tenant| ("X-Scope-OrgID".into(), public(tenant))));
        let endpoint = Endpoint { headers, ..Endpoint::from(self.address.clone()) };
        let frame = self.format.frame(&[]);
        Template { destination: Destination::Http(endpoint), compression, frame, limits: LIMITS, route: ROUTE, judge }
    }
}

impl Encode for Encoder<'_> {
    fn has_ready(&self) -> bool {
        self.body.has_ready()
    }

    fn take_ready(&mut self) -> Vec<Request> {
        self.body.take_ready().into_iter().map(with_fallback).collect()
    }

    fn finish(mut self) -> Encoded {
        self.flush();
        let requests = self.body.finish().into_iter().map(with_fallback).collect();
        Encoded { requests, oversize: self.oversize, filtered: self.filtered, ..Encoded::default() }
    }
}

impl Sink for Encoder<'_> {
    fn log(&mut self, origin: &Origin, log: &Log<'_>) {
        self.turn_to(origin);
        let from = self.ends.len();
        let line = bounded(log.event.message, MAX_LINE, MAX_ESCAPED);
        let own = [
            ("event_id", Some(log.event.id).filter(|id| !id.is_empty())),
            ("request_id", log.request_id),
            ("level", log.level.map(Level::as_str)),
        ];
        let own = own.into_iter().filter_map(|(name, value)| Some((name, start(value?, MAX_VALUE))));
        let shared = self.stream.iter().flat_map(|stream| &stream.metadata);
        let metadata = own.chain(shared.map(pair));
        self.loki.format.end(&line, metadata, &mut self.ends);
        let room = LIMITS.bytes - self.stream.as_ref().map_or(0, |stream| stream.frame.overhead(LIMITS.bytes));
        if self.ends.len() + (self.held.len() + 1) * MAX_HEAD > room {
            let end = self.ends.split_off(from);
            self.flush();
            self.ends = end;
        }
        let from = self.held.last().map_or(0, |entry| entry.to);
        self.held.push(Entry { time: log.event.time, from, to: self.ends.len() });
    }

    fn metrics(&mut self, _: &Origin, metrics: &[Metric<'_>]) {
        self.filtered += Weight::metrics(metrics.len() as u64);
    }
}

impl Encoder<'_> {
    /// Makes the stream of an origin the one at hand.
    fn turn_to(&mut self, origin: &Origin) {
        if self.stream.as_ref().is_some_and(|stream| stream.generation == origin.generation) {
            return;
        }
        let stream = Stream::new(origin, self.loki);
        if self.stream.as_ref().is_some_and(|before| before.frame != stream.frame) {
            self.flush();
        }
        self.body.reframe(&stream.frame);
        self.stream = Some(stream);
    }

    /// Writes what is held, in order, as one body.
    fn flush(&mut self) {
        self.held.sort_by_key(|entry| entry.time);
        for Entry { time, from, to } in std::mem::take(&mut self.held) {
            let nanos = time.millis().saturating_mul(1_000_000).saturating_add(i64::from(self.order.nanos(time)));
            let end = self.ends.get(from..to).unwrap_or_default();
            let format = self.loki.format;
            if self.body.push(Weight::LOG, |out| format.entry(nanos, end, out)).is_err() {
                self.oversize += Weight::LOG;
            }
        }
        self.ends.clear();
        self.body.end();
    }
}

fn tenant(value: &str) -> Result<String, String> {
    let legal = value.bytes().all(|b| b.is_ascii_alphanumeric() || b"!-_.*'()|".contains(&b));
    if legal {
        Ok(value.to_owned())
    } else {
        Err("is not a tenant: expected letters, digits and `!-_.*'()`, and `|` between several".to_owned())
    }
}

/// The address of pushes.
fn push_address(address: &Address) -> Address {
    address.join(if address.base.ends_with("/push") { "" } else { "/loki/api/v1/push" })
}

/// `name:value,name:value`, or `name,value,name,value`.
fn labels(value: &str) -> Result<Vec<(String, String)>, String> {
    let words = read::list(value)?;
    let labels = if words.iter().all(|word| word.contains(':')) {
        read::tags(value)?
    } else if words.len() % 2 == 0 {
        words.chunks_exact(2).filter_map(|pair| Some((pair.first()?.clone(), pair.last()?.clone()))).collect()
    } else {
        return Err("has a label without a value: expected `name:value,name:value`".to_owned());
    };
    if let Some((name, _)) = labels.iter().find(|(name, value)| label_name(name) != *name || value.is_empty()) {
        return Err(format!(
            "has no good label `{name}`: expected names of letters, digits and `_`, and a value for each"
        ));
    }
    if labels.len() > MAX_LABELS - OWN_LABELS {
        return Err(format!("has {} labels: expected at most {}", labels.len(), MAX_LABELS - OWN_LABELS));
    }
    Ok(labels)
}

#[cfg(test)]
mod tests;
