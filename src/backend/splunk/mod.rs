//! Splunk: logs as events, metrics as metric events, by the HTTP Event Collector.
//!
//! ```text
//! {"time":1795165334.734,"host":"checkout","source":"lambda:eu-west-1:checkout","sourcetype":"aws:lambda","index":"main",
//!  "event":"…","fields":{"event_id":"4003…","level":"info","request_id":"1ab9…","aws_region":"eu-west-1",…}}
//! {"time":1795165334.920,"host":"checkout","source":"lambda:eu-west-1:checkout","sourcetype":"aws:lambda:metrics",
//!  "event":"metric","fields":{"metric_name:aws.lambda.duration":187.42,"metric_name:aws.lambda.invocations":1,
//!  "function_name":"checkout","cold_start":"true",…}}
//! ```
//!
//! Events and metrics go in requests of their own, as their indexes are of
//! different kinds, and a wrong index costs the whole request. A metric event holds
//! what one log event says with the same tags. Whether Splunk has indexed what it
//! took (its acknowledgements) is not waited for.
//!
//! # Many copies at once, and replays
//!
//! Splunk adds up what it is sent: copies of the forwarder never overwrite each
//! other, and a replay is there twice. Its logs have the same `event_id`
//! (`| dedup event_id`).
//!
//! Sources: <https://help.splunk.com/en/splunk-enterprise/get-data-in/collect-http-event-data/format-events-for-http-event-collector>,
//! <https://help.splunk.com/en/splunk-enterprise/get-data-in/collect-http-event-data/troubleshoot-http-event-collector>,
//! <https://help.splunk.com/en/splunk-enterprise/get-data-in/metrics/get-metrics-in-from-other-sources>.

mod answer;

use std::borrow::Cow;

use super::body::{Body, Limits, Oversize, Template};
use super::per_origin::PerOrigin;
use super::record::{Record, records};
use super::write::{bounded, number, start, text};
use super::{Encode, Encoded, Signals, auth};
use crate::env::{Address, Env, Row, Secret, Setting, read};
use crate::model::{Level, Log, Measure, Metric, Name, Origin, Sink, Timestamp};
use crate::parse::metric_name;
use crate::request::{Compression, Destination, Endpoint, Frame, Header, Request, Weight};

/// Splunk Cloud advises a megabyte at most.
const LIMITS: Limits = Limits { bytes: 800_000, compressed: usize::MAX, items: usize::MAX, item_bytes: 790_000 };

/// Bytes of a message: the rest of an event takes less than what is left of its limit.
const MAX_MESSAGE: usize = 700_000;

/// Bytes of a field's name and value.
const MAX_NAME: usize = 255;
const MAX_VALUE: usize = 1024;

/// Ships to Splunk.
#[derive(Clone, Debug, PartialEq)]
pub struct Splunk {
    address: Address,
    token: Secret,
    index: Option<String>,
    sourcetype: Option<String>,
    metrics_index: Option<String>,
    metrics_sourcetype: String,
}

/// One batch on its way to Splunk.
pub struct Encoder<'b> {
    splunk: &'b Splunk,
    events: Body,
    metrics: Body,
    rendered: PerOrigin<Rendered>,
    oversize: Weight,
}

/// The beginning of all paths of the HTTP Event Collector.
const PATH: &str = "/services/collector";

/// What events of an origin share.
struct Rendered {
    /// From behind the time to the event.
    event: Vec<u8>,
    metric: Vec<u8>,
    /// Fields: names and values.
    place: Vec<(&'static str, String)>,
    /// The same, written, with those of the settings: what a log's fields end in.
    fields: Vec<u8>,
}

/// The one intake there is.
const ROUTE: &str = "event";

impl Splunk {
    const URL: Setting<Address> = Setting::new(
        "SPLUNK_HEC_URL",
        read::url,
        "Address of the HTTP Event Collector, as `https://http-inputs-shop.splunkcloud.com` or `https://splunk:8088`; `/services/collector/event` is put behind it, or in the place of `/services/collector/raw`, which is for other bodies.",
    )
    .address();
    const TOKEN: Setting<Secret> = Setting::new(
        "SPLUNK_HEC_TOKEN",
        read::secret,
        "Token of the HTTP Event Collector, one without indexer acknowledgement.",
    )
    .secret();
    const INDEX: Setting<String> =
        Setting::new("SPLUNK_INDEX", read::text, "Index of logs; the token's own when empty.");
    const SOURCETYPE: Setting<String> = Setting::new(
        "SPLUNK_SOURCETYPE",
        read::text,
        "Source type of logs; `aws:lambda`, or `aws:cloudwatchlogs` for other log groups, when empty.",
    );
    const METRICS_INDEX: Setting<String> = Setting::new(
        "LOGFERRY_SPLUNK_METRICS_INDEX",
        read::text,
        "Index of metrics, which must be one for metrics; the token's own when empty.",
    );
    const METRICS_SOURCETYPE: Setting<String> =
        Setting::new("LOGFERRY_SPLUNK_METRICS_SOURCETYPE", read::text, "Source type of metrics.")
            .default("aws:lambda:metrics");

    /// What is sent.
    pub const SEND: Setting<Signals> =
        Setting::new("LOGFERRY_SPLUNK_SEND", Signals::parse, "What Splunk is sent: logs, metrics, or both.")
            .default(Signals::BOTH);

    /// The settings, for documents.
    pub const ROWS: [Row; 7] = [
        Self::SEND.row(),
        Self::URL.row(),
        Self::TOKEN.row(),
        Self::INDEX.row(),
        Self::SOURCETYPE.row(),
        Self::METRICS_INDEX.row(),
        Self::METRICS_SOURCETYPE.row(),
    ];

    /// Reads the settings.
    pub fn from_env(env: &mut Env<'_>) -> Option<Self> {
        let url = env.require(&Self::URL, "the splunk backend needs an address, as `https://splunk:8088`");
        let token = env.require(&Self::TOKEN, "the splunk backend needs a token");
        let (index, sourcetype) = (env.read(&Self::INDEX), env.read(&Self::SOURCETYPE));
        let (metrics_index, metrics_sourcetype) = (env.read(&Self::METRICS_INDEX), env.read(&Self::METRICS_SOURCETYPE));
        let address = url?;
        let base = collector(&address.base);
        Some(Self {
            address: Address { base: format!("{base}{PATH}/event"), ..address },
            token: token?,
            index,
            sourcetype,
            metrics_index,
            metrics_sourcetype: metrics_sourcetype?,
        })
    }

    /// Begins a batch.
    pub fn encoder(&self) -> Encoder<'_> {
        let body = || Body::new(self.template());
        Encoder {
            splunk: self,
            events: body(),
            metrics: body(),
            rendered: PerOrigin::default(),
            oversize: Weight::default(),
        }
    }

    /// Whether both are sent the same bytes, if to different places.
    pub(super) fn encodes_like(&self, other: &Self) -> bool {
        let here = Self { address: other.address.clone(), token: other.token.clone(), ..self.clone() };
        here == *other
    }

    /// What requests of a route are like.
    pub(super) fn template_of(&self, route: &str) -> Option<Template> {
        (route == ROUTE).then(|| self.template())
    }

    fn template(&self) -> Template {
        let public = |value: &str| Header::Public(value.to_owned());
        let headers = vec![
            ("Content-Type".into(), public("application/json")),
            ("Content-Encoding".into(), public("gzip")),
            ("Authorization".into(), auth::token("Splunk", &self.token)),
        ];
        let endpoint = Endpoint { headers, ..Endpoint::from(self.address.clone()) };
        Template {
            destination: Destination::Http(endpoint),
            compression: Compression::Gzip(6),
            frame: Frame::text(b"", b"\n", b"\n"),
            limits: LIMITS,
            route: ROUTE,
            judge: answer::judge,
        }
    }

    /// What a measure is called, and what its values are divided by: durations are in ms, memory is in MB.
    pub const fn words(measure: Measure) -> (&'static str, f64) {
        match measure {
            Measure::Duration => ("aws.lambda.duration", 1.0),
            Measure::BilledDuration => ("aws.lambda.billed_duration", 1.0),
            Measure::InitDuration => ("aws.lambda.init_duration", 1.0),
            Measure::RestoreDuration => ("aws.lambda.restore_duration", 1.0),
            Measure::BilledRestoreDuration => ("aws.lambda.billed_restore_duration", 1.0),
            Measure::MemorySize => ("aws.lambda.memory_size", 1.0),
            Measure::MaxMemoryUsed => ("aws.lambda.max_memory_used", 1.0),
            Measure::Invocations => ("aws.lambda.invocations", 1.0),
            Measure::Errors => ("aws.lambda.errors", 1.0),
            Measure::Timeouts => ("aws.lambda.timeouts", 1.0),
            Measure::OutOfMemory => ("aws.lambda.out_of_memory", 1.0),
            Measure::ColdStarts => ("aws.lambda.cold_starts", 1.0),
            Measure::RuntimeDuration => ("aws.lambda.runtime_duration", 1.0),
            Measure::PostRuntimeDuration => ("aws.lambda.post_runtime_duration", 1.0),
            Measure::ResponseLatency => ("aws.lambda.response_latency", 1.0),
            Measure::ResponseDuration => ("aws.lambda.response_duration", 1.0),
            Measure::ProducedBytes => ("aws.lambda.produced_bytes", 1.0),
            Measure::EstimatedCost => ("aws.lambda.estimated_cost", 1.0),
        }
    }
}

impl Encode for Encoder<'_> {
    fn has_ready(&self) -> bool {
        self.events.has_ready() || self.metrics.has_ready()
    }

    fn take_ready(&mut self) -> Vec<Request> {
        let mut ready = self.events.take_ready();
        ready.extend(self.metrics.take_ready());
        ready
    }

    fn finish(self) -> Encoded {
        let mut requests = self.events.finish();
        requests.extend(self.metrics.finish());
        Encoded { requests, oversize: self.oversize, ..Encoded::default() }
    }
}

impl Sink for Encoder<'_> {
    fn log(&mut self, origin: &Origin, log: &Log<'_>) {
        let rendered = self.rendered.get(origin, || Rendered::new(origin, self.splunk));
        let pushed = self.events.push(Weight::LOG, |out| {
            time(log.event.time, out);
            out.extend_from_slice(&rendered.event);
            let message = bounded(log.event.message, MAX_MESSAGE, MAX_MESSAGE);
            out.push(b'"');
            // A blank event is refused.
            out.extend_from_slice(if message.is_empty() { b" " } else { message.as_bytes() });
            out.extend_from_slice(b"\",\"fields\":{");
            let own = [
                ("event_id", Some(log.event.id).filter(|id| !id.is_empty())),
                ("level", log.level.map(Level::as_str)),
                ("request_id", log.request_id),
            ];
            for (name, value) in own.into_iter().filter_map(|(name, value)| Some((name, value?))) {
                field(name, value, out);
            }
            out.extend_from_slice(&rendered.fields);
            close(out);
        });
        if let Err(Oversize) = pushed {
            self.oversize += Weight::LOG;
        }
    }

    fn metrics(&mut self, origin: &Origin, metrics: &[Metric<'_>]) {
        let rendered = self.rendered.get(origin, || Rendered::new(origin, self.splunk));
        for record in records(metrics, metric_field) {
            let weight = Weight::metrics(record.fields.len() as u64);
            if let Err(Oversize) = self.metrics.push(weight, |out| metric_event(origin, &record, rendered, out)) {
                self.oversize += weight;
            }
        }
    }
}

fn metric_event(origin: &Origin, record: &Record<'_>, rendered: &Rendered, out: &mut Vec<u8>) {
    time(record.time, out);
    out.extend_from_slice(&rendered.metric);
    out.extend_from_slice(b"\"metric\",\"fields\":{");
    for (name, metric) in &record.fields {
        let divisor = match metric.name {
            Name::Measure(measure) => Splunk::words(measure).1,
            Name::Custom(_) => 1.0,
        };
        text(&format!("metric_name:{name}"), out);
        out.push(b':');
        number(metric.value.number() / divisor, out);
        out.push(b',');
    }
    let place = rendered.place.iter().map(|(name, value)| (*name, value.as_str()));
    // The stream and the request would make each event a series of its own.
    let place = place.filter(|(name, _)| *name != "log_stream");
    let tags = record.tags.iter().map(|tag| (tag.key, tag.value));
    for (name, value) in merged(place, tags, &origin.tags) {
        field(&name, &value, out);
    }
    close(out);
}

impl Rendered {
    fn new(origin: &Origin, splunk: &Splunk) -> Self {
        let function = origin.function.as_ref();
        let region = origin.region.as_deref().unwrap_or_default();
        let (host, source, sourcetype) = match function {
            Some(function) => (&function.name, format!("lambda:{region}:{}", function.name), "aws:lambda"),
            None => (&origin.log_group, format!("cloudwatch:{region}:{}", origin.log_group), "aws:cloudwatchlogs"),
        };
        let head = |sourcetype: &str, index: Option<&String>| {
            let mut out = b",\"host\":".to_vec();
            text(host, &mut out);
            out.extend_from_slice(b",\"source\":");
            text(&source, &mut out);
            out.extend_from_slice(b",\"sourcetype\":");
            text(sourcetype, &mut out);
            if let Some(index) = index {
                out.extend_from_slice(b",\"index\":");
                text(index, &mut out);
            }
            out.extend_from_slice(b",\"event\":");
            out
        };
        let place = [
            ("aws_account_id", origin.account.as_ref()),
            ("aws_region", origin.region.as_ref()),
            ("function_name", function.map(|function| &function.name)),
            ("function_version", function.and_then(|function| function.version.as_ref())),
            ("log_group", Some(&origin.log_group)),
            ("log_stream", Some(&origin.log_stream)),
        ];
        let place: Vec<_> = place.into_iter().filter_map(|(name, value)| Some((name, value?.clone()))).collect();
        let mut fields = Vec::new();
        let pairs = place.iter().map(|(name, value)| (*name, value.as_str()));
        for (name, value) in merged(pairs, std::iter::empty(), &origin.tags) {
            field(&name, &value, &mut fields);
        }
        Self {
            event: head(splunk.sourcetype.as_deref().unwrap_or(sourcetype), splunk.index.as_ref()),
            metric: head(&splunk.metrics_sourcetype, splunk.metrics_index.as_ref()),
            place,
            fields,
        }
    }
}

/// An address without the path of an intake.
fn collector(base: &str) -> &str {
    const INTAKES: [&str; 5] = ["", "/event", "/event/1.0", "/raw", "/raw/1.0"];
    base.rsplit_once(PATH).filter(|(_, intake)| INTAKES.contains(intake)).map_or(base, |(before, _)| before)
}

/// Fields of ours, and tags under other names: values of a tag that repeats are joined by commas.
fn merged<'m>(
    place: impl Iterator<Item = (&'m str, &'m str)>,
    tags: impl Iterator<Item = (&'m str, &'m str)>,
    shared: &'m [(String, String)],
) -> Vec<(Cow<'m, str>, Cow<'m, str>)> {
    let mut fields: Vec<(Cow<'_, str>, Cow<'_, str>)> =
        place.map(|(name, value)| (Cow::Borrowed(name), Cow::Borrowed(value))).collect();
    let ours = fields.len();
    for (name, value) in tags.chain(shared.iter().map(|(name, value)| (name.as_str(), value.as_str()))) {
        let name = field_name(name);
        match fields.iter_mut().enumerate().find(|(_, field)| field.0 == name) {
            Some((place, _)) if place < ours => {}
            Some((_, field)) => field.1 = Cow::Owned(format!("{},{value}", field.1)),
            None => fields.push((name, Cow::Borrowed(value))),
        }
    }
    fields
}

/// A name that Splunk takes for a field, and for none of its own or ours.
fn field_name(name: &str) -> Cow<'_, str> {
    const TAKEN: [&str; 10] = [
        "event_id",
        "host",
        "index",
        "level",
        "linecount",
        "metric_name",
        "request_id",
        "source",
        "sourcetype",
        "time",
    ];
    let legal = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.';
    let starts = name.starts_with(|c: char| c.is_ascii_alphabetic());
    if starts && name.len() <= MAX_NAME && name.chars().all(legal) && !TAKEN.contains(&name) {
        return Cow::Borrowed(name);
    }
    let name: String = name.chars().take(MAX_NAME).map(|c| if legal(c) { c } else { '_' }).collect();
    Cow::Owned(if name.starts_with(|c: char| c.is_ascii_alphabetic()) && !TAKEN.contains(&name.as_str()) {
        name
    } else {
        format!("tag_{}", name.trim_start_matches('_'))
    })
}

/// The name of a metric.
fn metric_field<'m>(metric: &Metric<'m>) -> Cow<'m, str> {
    match metric.name {
        Name::Measure(measure) => Cow::Borrowed(Splunk::words(measure).0),
        Name::Custom(name) => metric_name(name).unwrap_or(Cow::Borrowed("unnamed")),
    }
}

/// `{"time":1795165334.734`: seconds.
fn time(time: Timestamp, out: &mut Vec<u8>) {
    let millis = time.millis();
    let sign = if millis < 0 { "-" } else { "" };
    let (seconds, rest) = (millis.unsigned_abs() / 1000, millis.unsigned_abs() % 1000);
    out.extend_from_slice(format!("{{\"time\":{sign}{seconds}.{rest:03}").as_bytes());
}

/// A field and a comma.
fn field(name: &str, value: &str, out: &mut Vec<u8>) {
    text(name, out);
    out.push(b':');
    text(start(value, MAX_VALUE), out);
    out.push(b',');
}

/// The end of fields and of their event.
fn close(out: &mut Vec<u8>) {
    if out.last() == Some(&b',') {
        out.pop();
    }
    out.extend_from_slice(b"}}");
}

#[cfg(test)]
mod tests;
