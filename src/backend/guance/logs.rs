use super::super::body::{Body, Oversize};
use super::super::line_protocol::{Field, Tags, field, plain_tag, time, width};
use super::super::order::Order;
use super::super::per_origin::PerOrigin;
use super::super::write::shortened;
use super::{OWN_TAGS, Vocabulary};
use crate::model::{Level, Log, Origin};
use crate::request::Weight;

/// Bytes of a message between its quotes: with tags of 64 KiB a body still holds it.
const MAX_MESSAGE: usize = 900_000;

/// Bytes of what stands beside it.
const MAX_FIELD: usize = 1024;

/// Fields of a log; and keys that a log may not have.
const TAKEN: [&str; 6] = ["date", "event_id", "log_stream", "message", "request_id", "source"];

/// Logs on their way to Guance.
pub(super) struct Logs {
    pub(super) body: Body,
    vocabulary: Vocabulary,
    rendered: PerOrigin<Rendered>,
    /// Text of the log at hand.
    text: String,
    order: Order,
}

/// What all logs of an origin share.
struct Rendered {
    /// Measurement and tags.
    head: Vec<u8>,
    /// The stream as a field.
    stream: Vec<u8>,
    is_function: bool,
}

impl Logs {
    pub(super) fn new(body: Body, vocabulary: Vocabulary) -> Self {
        Self { body, vocabulary, rendered: PerOrigin::default(), text: String::new(), order: Order::default() }
    }

    pub(super) fn push(&mut self, origin: &Origin, log: &Log<'_>) -> Result<(), Oversize> {
        let Self { body, vocabulary, rendered, text, order } = self;
        let Rendered { head, stream, is_function } = rendered.get(origin, || Rendered::new(origin, *vocabulary));
        let nanos = i64::from(order.nanos(log.event.time));
        let whole;
        let message = if log.event.message.escaped().len() > MAX_MESSAGE {
            // Without escapes it isn't copied: the room for it would stay.
            whole = log.event.message.unescape();
            &*whole
        } else {
            text.clear();
            log.event.message.unescape_into(text);
            text
        };
        let message = shortened(message, MAX_MESSAGE, width);
        body.push(Weight::LOG, |out| {
            out.extend_from_slice(head);
            plain_tag("aws_log_from", log_from(log.by_lambda, *is_function), out);
            plain_tag("status", log.level.map_or("", status), out);
            field(b' ', "message", Field::Text(&message), out);
            some_field("event_id", log.event.id, out);
            out.extend_from_slice(stream);
            some_field("request_id", log.request_id.unwrap_or_default(), out);
            time(log.event.time.millis(), nanos, out);
        })
    }
}

impl Rendered {
    fn new(origin: &Origin, vocabulary: Vocabulary) -> Self {
        let mut tags = place(origin, vocabulary);
        tags.add("log_group", &origin.log_group);
        let taken = |key: &str| OWN_TAGS.contains(&key) || TAKEN.contains(&key);
        for (name, value) in &origin.tags {
            tags.add_free(&key(name), value, taken);
        }
        tags.add("service", origin.function.as_ref().map_or("", |function| &function.name));
        let mut head = vocabulary.logging().as_bytes().to_vec();
        tags.write(&mut head);
        let mut stream = Vec::new();
        some_field("log_stream", &origin.log_stream, &mut stream);
        Self { stream, head, is_function: origin.function.is_some() }
    }
}

/// A key of a log: a dot in it would become `_` there.
pub(super) fn key(key: &str) -> String {
    key.replace('.', "_")
}

/// A field of text, unless it is empty.
fn some_field(key: &str, value: &str, out: &mut Vec<u8>) {
    if !value.is_empty() {
        field(b',', key, Field::Text(&shortened(value, MAX_FIELD, width)), out);
    }
}

/// Tags that say where an event comes from.
pub(super) fn place(origin: &Origin, vocabulary: Vocabulary) -> Tags {
    let mut tags = Tags::default();
    tags.add("aws_account_id", origin.account.as_deref().unwrap_or_default());
    tags.add("aws_region", origin.region.as_deref().unwrap_or_default());
    if let Some(function) = &origin.function {
        tags.add("aws_lambda_function_name", &function.name);
        let version = function.version.as_deref().and_then(|version| vocabulary.version(version));
        tags.add("aws_lambda_function_version", version.unwrap_or_default());
    }
    tags
}

/// Who wrote a line, in the words of the vendor's extension, which knows it from Lambda.
const fn log_from(by_lambda: bool, is_function: bool) -> &'static str {
    match (is_function, by_lambda) {
        (false, _) => "cloudwatch",
        (true, true) => "platform",
        (true, false) => "function",
    }
}

/// As Guance's explorer colours them.
const fn status(level: Level) -> &'static str {
    match level {
        Level::Trace | Level::Debug => "debug",
        Level::Info => "info",
        Level::Warn => "warning",
        Level::Error => "error",
        Level::Fatal => "critical",
    }
}
