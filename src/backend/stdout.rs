//! One JSON object a line, for people with `jq`, for tests, and for whoever
//! reads the forwarder's own log.
//!
//! ```text
//! {"kind":"log","id":"3719…","timestamp":1700000000123,"message":"…","level":"error","request_id":"…","function_name":"checkout",…}
//! {"kind":"metric","name":"duration_ms","type":"histogram","value":46.84,"unit":"ms","timestamp":1700000000123,…,"tags":{"memory_size_mb":"192"}}
//! ```
//!
//! Field names are stable. What isn't known is absent, never empty or `null`. A
//! tag without a value has an empty one; values of a key that repeats are joined
//! by commas. Levels are in lower case, times in milliseconds.
//!
//! Copies of the forwarder write to their own standard output; a replay writes
//! the same lines again.

use super::body::{Body, Limits, Template};
use super::per_origin::PerOrigin;
use super::write::{number, text};
use super::{Encode, Encoded, Signals};
use crate::env::Setting;
use crate::model::{Log, Metric, Origin, Sink, Tag};
use crate::request::{Compression, Destination, Frame, Request, Verdict, Weight};

/// So much is written at once, or a line that is longer.
const AT_ONCE: usize = 256 * 1024;

/// A line may be as long as it is.
const LIMITS: Limits = Limits { bytes: usize::MAX, compressed: usize::MAX, items: 1000, item_bytes: usize::MAX };

/// Writes NDJSON to standard output.
#[derive(Clone, Debug, Default)]
pub struct Stdout;

/// One batch on its way to standard output.
pub struct Encoder {
    body: Body,
    /// What every log and every metric of this origin ends in.
    rendered: PerOrigin<Rendered>,
}

struct Rendered {
    function: Vec<u8>,
    stream: Vec<u8>,
    tags: Vec<u8>,
}

impl Stdout {
    /// What is written.
    pub const SEND: Setting<Signals> =
        Setting::new("LOGFERRY_STDOUT_SEND", Signals::parse, "What standard output is sent: logs, metrics, or both.")
            .default(Signals::BOTH);

    /// Begins a batch.
    pub fn encoder(&self) -> Encoder {
        let template = Template {
            destination: Destination::Stdout,
            compression: Compression::None,
            frame: Frame::text(b"", b"\n", b"\n"),
            limits: LIMITS,
            route: "stdout",
            judge: Verdict::of,
        };
        Encoder { body: Body::new(template), rendered: PerOrigin::default() }
    }
}

impl Encode for Encoder {
    fn has_ready(&self) -> bool {
        self.body.has_ready()
    }

    fn take_ready(&mut self) -> Vec<Request> {
        self.body.take_ready()
    }

    fn finish(self) -> Encoded {
        Encoded { requests: self.body.finish(), ..Encoded::default() }
    }
}

impl Sink for Encoder {
    fn log(&mut self, origin: &Origin, log: &Log<'_>) {
        let Self { body, rendered } = self;
        let rendered = rendered.get(origin, || Rendered::new(origin));
        // Nothing is too large for standard output.
        let _ = body.push(Weight::LOG, |out| {
            out.extend_from_slice(b"{\"kind\":\"log\"");
            if !log.event.id.is_empty() {
                raw_field(out, "id", log.event.id.as_bytes());
            }
            time(out, log.event.time.millis());
            raw_field(out, "message", log.event.message.escaped().as_bytes());
            if let Some(level) = log.level {
                field(out, "level", level.as_str());
            }
            if let Some(id) = log.request_id {
                field(out, "request_id", id);
            }
            out.extend_from_slice(&rendered.function);
            out.extend_from_slice(&rendered.stream);
            if !rendered.tags.is_empty() {
                out.extend_from_slice(b",\"tags\":{");
                out.extend_from_slice(&rendered.tags);
                out.push(b'}');
            }
            out.push(b'}');
        });
        write_out(body);
    }

    fn metrics(&mut self, origin: &Origin, metrics: &[Metric<'_>]) {
        for metric in metrics {
            self.metric(origin, metric);
        }
    }
}

impl Encoder {
    fn metric(&mut self, origin: &Origin, metric: &Metric<'_>) {
        let Self { body, rendered } = self;
        let rendered = rendered.get(origin, || Rendered::new(origin));
        let _ = body.push(Weight::METRIC, |out| {
            out.extend_from_slice(b"{\"kind\":\"metric\"");
            field(out, "name", metric.name.as_str());
            field(out, "type", metric.value.kind().as_str());
            out.extend_from_slice(b",\"value\":");
            number(metric.value.number(), out);
            if let Some(unit) = metric.unit {
                field(out, "unit", unit.as_str());
            }
            time(out, metric.time.millis());
            if let Some(id) = metric.request_id {
                field(out, "request_id", id);
            }
            out.extend_from_slice(&rendered.function);
            write_tags(metric.tags, origin, &rendered.tags, out);
            out.push(b'}');
        });
        write_out(body);
    }
}

/// Lets go of what is enough to be written at once.
fn write_out(body: &mut Body) {
    if body.bytes() >= AT_ONCE {
        body.end();
    }
}

impl Rendered {
    fn new(origin: &Origin) -> Self {
        let (mut function, mut stream, mut tags) = (Vec::new(), Vec::new(), Vec::new());
        if let Some(named) = &origin.function {
            field(&mut function, "function_name", &named.name);
            some_field(&mut function, "function_version", named.version.as_deref());
        }
        some_field(&mut function, "account", origin.account.as_deref());
        some_field(&mut function, "region", origin.region.as_deref());
        some_field(&mut stream, "log_group", Some(&origin.log_group));
        some_field(&mut stream, "log_stream", Some(&origin.log_stream));
        write_members(&shared(origin).collect::<Vec<_>>(), &mut tags);
        Self { function, stream, tags }
    }
}

/// `,"tags":{…}` of the metric's own tags and the settings', which are written already.
fn write_tags(tags: &[Tag<'_>], origin: &Origin, written: &[u8], out: &mut Vec<u8>) {
    if tags.is_empty() && written.is_empty() {
        return;
    }
    out.extend_from_slice(b",\"tags\":{");
    if tags.iter().any(|tag| origin.tags.iter().any(|(key, _)| key == tag.key)) {
        // A key of both stands there once.
        write_members(&tags.iter().copied().chain(shared(origin)).collect::<Vec<_>>(), out);
    } else {
        write_members(tags, out);
        if !tags.is_empty() && !written.is_empty() {
            out.push(b',');
        }
        out.extend_from_slice(written);
    }
    out.push(b'}');
}

/// The settings' tags.
fn shared(origin: &Origin) -> impl Iterator<Item = Tag<'_>> {
    origin.tags.iter().map(|(key, value)| Tag { key, value })
}

fn write_members(tags: &[Tag<'_>], out: &mut Vec<u8>) {
    let mut first = true;
    for (index, tag) in tags.iter().enumerate() {
        if tags.iter().take(index).any(|before| before.key == tag.key) {
            continue;
        }
        if !std::mem::take(&mut first) {
            out.push(b',');
        }
        text(tag.key, out);
        out.push(b':');
        let same = tags.iter().skip(index + 1).filter(|other| other.key == tag.key);
        let mut value = tag.value.to_owned();
        for other in same {
            value.push(',');
            value.push_str(other.value);
        }
        text(&value, out);
    }
}

fn field(out: &mut Vec<u8>, name: &str, value: &str) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
    text(value, out);
}

fn some_field(out: &mut Vec<u8>, name: &str, value: Option<&str>) {
    if let Some(value) = value.filter(|value| !value.is_empty()) {
        field(out, name, value);
    }
}

/// A field whose value is escaped already.
fn raw_field(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":\"");
    out.extend_from_slice(value);
    out.push(b'"');
}

fn time(out: &mut Vec<u8>, millis: i64) {
    out.extend_from_slice(b",\"timestamp\":");
    out.extend_from_slice(itoa::Buffer::new().format(millis).as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lines_do_not_wait_for_one_another() {
        use crate::json::JsonStr;
        use crate::model::{LogEvent, Timestamp};

        let mut encoder = Stdout.encoder();
        let line = "x".repeat(AT_ONCE / 2);
        let message = JsonStr::from_escaped(&line);
        for id in ["1", "2", "3"] {
            let event = LogEvent::new(id, Timestamp::default(), message);
            encoder.log(&Origin::default(), &Log::new(&event));
        }
        assert!(encoder.has_ready());
        let ready = encoder.take_ready();
        assert_eq!((ready.len(), ready[0].items.len(), encoder.finish().requests.len()), (1, 2, 1));
    }
}
