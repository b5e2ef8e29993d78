use super::super::body::{Body, Oversize};
use super::super::order::Order;
use super::super::write::bounded;
use super::nanos;
use super::resource::{Any, Attribute, Detail, Shared, Signal, attributes, frame, resource};
use super::writer::{Field, Format, Writer};
use crate::json::JsonStr;
use crate::model::{Level, Log, Origin};
use crate::request::{Request, Weight};

const LOG_RECORDS: Field = (2, "logRecords");

/// Bytes of a message that is cut because its record would be too large: as it is, and as it stands in JSON.
const CUT_MESSAGE: usize = 1_250_000;
const CUT_IN_JSON: usize = 2_500_000;

/// How far an application's clock may be from that of CloudWatch to be a record's time, in ms: ten minutes. Loki
/// loses what is more than that in the future or an hour behind its stream, and answers as if it had taken nothing.
const MAX_SKEW: u64 = 600_000;

/// Logs on their way to a collector.
///
/// ```text
/// {"timeUnixNano":"1795170600123000000","observedTimeUnixNano":"…","severityNumber":9,"severityText":"INFO",
///  "body":{"stringValue":"…"},"attributes":[{"key":"faas.invocation_id","value":{"stringValue":"…"}},
///  {"key":"log.record.uid","value":{"stringValue":"3719…"}}]}
/// ```
///
/// The body is the line as it was written, and nothing is taken out of it:
/// collectors have parsers for that, and know which. Its time is that of the
/// application's own clock where the line has it, else that of the log event,
/// which is when CloudWatch has observed it. Logs of a millisecond are a
/// nanosecond apart, so that receivers keep their order; so are those to which
/// the application's clock gave one time.
pub(super) struct Logs<'b> {
    body: Body,
    format: Format,
    shared: &'b Shared,
    /// Origin that the body's frame is about.
    generation: Option<u32>,
    /// Whether that is a function: elsewhere a request id names no invocation.
    of_function: bool,
    order: Order,
    /// The same for times of applications' clocks, in ns, which come in between.
    own_order: Order<u64>,
}

impl<'b> Logs<'b> {
    pub(super) fn new(body: Body, format: Format, shared: &'b Shared) -> Self {
        Self {
            body,
            format,
            shared,
            generation: None,
            of_function: false,
            order: Order::default(),
            own_order: Order::default(),
        }
    }

    pub(super) fn push(&mut self, origin: &Origin, log: &Log<'_>) -> Result<(), Oversize> {
        if self.generation != Some(origin.generation) {
            let resource = resource(self.format, self.shared, origin, Detail::Log);
            self.body.reframe(&frame(self.format, Signal::Logs, &resource));
            self.generation = Some(origin.generation);
            self.of_function = origin.function.is_some();
        }
        // One that no body can hold isn't even written: the room for it would stay.
        let time = self.time(log);
        let (whole, most) = (log.event.message.escaped().len(), super::limits(self.format).item_bytes);
        let too_large = match self.format {
            Format::Json => whole > most,
            // Without its escapes it may fit.
            Format::Protobuf => whole > most && log.event.message.unescape().len() > most,
        };
        let pushed = if too_large { Err(Oversize) } else { self.write(time, log, log.event.message) };
        pushed.or_else(|Oversize| {
            let cut = match self.format {
                Format::Json => bounded(log.event.message, usize::MAX, CUT_IN_JSON),
                Format::Protobuf => bounded(log.event.message, CUT_MESSAGE, usize::MAX),
            };
            self.write(time, log, JsonStr::from_escaped(&cut))
        })
    }

    /// When a log was written, in ns.
    fn time(&mut self, log: &Log<'_>) -> u64 {
        let observed = nanos(log.event.time);
        let own = log.application_time().filter(|(time, _)| time.distance(log.event.time) <= MAX_SKEW);
        let own = own.map(|(time, below)| nanos(time).saturating_add(u64::from(below)));
        let (time, behind) = match own.filter(|own| *own != observed) {
            Some(own) => (own, self.own_order.nanos(own)),
            None => (observed, self.order.nanos(log.event.time)),
        };
        time.saturating_add(u64::from(behind))
    }

    fn write(&mut self, time: u64, log: &Log<'_>, message: JsonStr<'_>) -> Result<(), Oversize> {
        let Self { body, format, of_function, .. } = self;
        let log = &Log { request_id: log.request_id.filter(|_| *of_function), ..*log };
        body.push(Weight::LOG, |out| format.item(LOG_RECORDS, out, |writer| write(time, log, message, writer)))
    }

    pub(super) fn has_ready(&self) -> bool {
        self.body.has_ready()
    }

    pub(super) fn take_ready(&mut self) -> Vec<Request> {
        self.body.take_ready()
    }

    pub(super) fn finish(self) -> Vec<Request> {
        self.body.finish()
    }
}

/// CloudWatch has observed the line when it was written: with the time at which it came by here, a log that is sent
/// again would be another one.
fn write(time: u64, log: &Log<'_>, message: JsonStr<'_>, writer: &mut Writer<'_>) {
    writer.fixed64((1, "timeUnixNano"), time);
    writer.fixed64((11, "observedTimeUnixNano"), nanos(log.event.time));
    if let Some(level) = log.level {
        let (number, name) = severity(level);
        writer.choice((2, "severityNumber"), number);
        writer.text((3, "severityText"), name);
    }
    writer.message((5, "body"), |writer| writer.message_text((1, "stringValue"), message));
    let invocation: Option<Attribute<'_>> = log.request_id.map(|id| ("faas.invocation_id", Any::Text(id)));
    let uid = Some(("log.record.uid", Any::Text(log.event.id))).filter(|_| !log.event.id.is_empty());
    match (invocation, uid) {
        (Some(invocation), Some(uid)) => attributes((6, "attributes"), &[invocation, uid], writer),
        (Some(one), None) | (None, Some(one)) => attributes((6, "attributes"), &[one], writer),
        (None, None) => {}
    }
}

/// Source: <https://opentelemetry.io/docs/specs/otel/logs/data-model/#field-severitynumber>
const fn severity(level: Level) -> (u8, &'static str) {
    match level {
        Level::Trace => (1, "TRACE"),
        Level::Debug => (5, "DEBUG"),
        Level::Info => (9, "INFO"),
        Level::Warn => (13, "WARN"),
        Level::Error => (17, "ERROR"),
        Level::Fatal => (21, "FATAL"),
    }
}
