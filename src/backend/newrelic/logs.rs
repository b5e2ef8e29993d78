use std::borrow::Cow;

use super::super::body::{Body, Oversize};
use super::super::write::shortened;
use super::Route;
use super::attributes::{Attributes, MAX_SHARED, member};
use crate::json::JsonStr;
use crate::model::{Log, Origin};
use crate::request::Weight;

/// Bytes of a message that are kept there: the first 4,094 characters as an
/// attribute, all of them as a blob.
const MAX_MESSAGE: usize = 128_000;

/// Logs on their way to New Relic.
pub(super) struct Logs<'b> {
    pub(super) body: Body,
    tags: &'b [(String, String)],
    /// What the body's frame was made for.
    generation: Option<u32>,
}

impl<'b> Logs<'b> {
    pub(super) const fn new(body: Body, tags: &'b [(String, String)]) -> Self {
        Self { body, tags, generation: None }
    }

    pub(super) fn push(&mut self, origin: &Origin, log: &Log<'_>) -> Result<(), Oversize> {
        if self.generation != Some(origin.generation) {
            self.generation = Some(origin.generation);
            self.body.reframe(&Route::Logs.frame(&self.shared(origin)));
        }
        let message = message(log.event.message);
        self.body.push(Weight::LOG, |out| {
            out.extend_from_slice(b"{\"timestamp\":");
            out.extend_from_slice(itoa::Buffer::new().format(log.event.time.millis()).as_bytes());
            out.extend_from_slice(b",\"message\":\"");
            out.extend_from_slice(message.as_bytes());
            out.extend_from_slice(b"\",\"attributes\":{");
            let mut some_member = |key, value: Option<&str>| {
                if let Some(value) = value.filter(|value| !value.is_empty()) {
                    member(key, value, out);
                }
            };
            some_member("level", log.level.map(crate::model::Level::as_str));
            // New Relic's own Lambda says it twice: queries use the one or the other.
            some_member("aws.requestId", log.request_id);
            some_member("aws.lambda_request_id", log.request_id);
            some_member("aws.logEventId", Some(log.event.id));
            out.extend_from_slice(b"}}");
        })
    }

    fn shared(&self, origin: &Origin) -> Vec<u8> {
        let mut attributes = Attributes::new(MAX_SHARED);
        attributes.add("plugin.type", "logferry");
        attributes.add("plugin.version", env!("CARGO_PKG_VERSION"));
        attributes.add_some("aws.logGroup", Some(&origin.log_group));
        attributes.add_some("aws.logStream", Some(&origin.log_stream));
        place(origin, &mut attributes);
        attributes.add_some("aws.lambda.arn", origin.function_arn().as_deref());
        for (key, value) in self.tags.iter().chain(&origin.tags) {
            attributes.add(key, value);
        }
        attributes.to_json()
    }
}

/// Where an event comes from.
pub(super) fn place(origin: &Origin, attributes: &mut Attributes) {
    attributes.add_some("aws.accountId", origin.account.as_deref());
    attributes.add_some("aws.region", origin.region.as_deref());
    if let Some(function) = &origin.function {
        attributes.add_some("faas.name", Some(&function.name));
        attributes.add_some("faas.version", function.version.as_deref());
    }
}

/// A message as it stands in JSON, cut if it is longer than is kept.
fn message(message: JsonStr<'_>) -> Cow<'_, str> {
    // Escaped it is at least as long as its text.
    if message.escaped().len() <= MAX_MESSAGE {
        return Cow::Borrowed(message.escaped());
    }
    let text = message.unescape();
    if text.len() <= MAX_MESSAGE {
        return Cow::Borrowed(message.escaped());
    }
    let mut cut = Vec::new();
    Cow::Owned(JsonStr::escape(&shortened(&text, MAX_MESSAGE, char::len_utf8), &mut cut).escaped().to_owned())
}
