//! What lines say of themselves.

use std::borrow::Cow;

use crate::json::JsonStr;
use crate::model::Level;
use crate::parse::{Application, Prefix};

/// What is known of a line that will be a log.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct About<'a> {
    pub(super) level: Option<Level>,
    pub(super) request_id: Option<&'a str>,
    /// Bytes that the runtime put before the message, as it stands in JSON.
    pub(super) prefix: usize,
    /// When the application says that it wrote it.
    pub(super) timestamp: Option<&'a str>,
}

impl<'a> About<'a> {
    /// Takes what the runtime put before the line.
    pub(super) fn take_prefix(&mut self, prefix: &Prefix<'a>) {
        self.level = prefix.severity;
        self.request_id = prefix.request_id;
        self.prefix = prefix.len;
        self.timestamp = Some(prefix.timestamp);
    }

    /// Takes what a JSON line says of itself, its request id and time as far as it says them without escapes.
    pub(super) fn take_json(&mut self, app: &Application<'a>) {
        let plain = |text: &Option<Cow<'a, str>>| match text {
            Some(Cow::Borrowed(text)) => Some(*text),
            Some(Cow::Owned(_)) | None => None,
        };
        self.level = app.level.as_deref().and_then(Level::parse);
        self.request_id = plain(&app.request_id);
        self.timestamp = plain(&app.timestamp);
    }

    /// Takes what Python says of an exception that nobody handled: an object on a line of its own, behind words.
    pub(super) fn take_unhandled(&mut self, message: JsonStr<'_>, text: &'a mut String) {
        message.unescape_into(text);
        let object = text.find(['\r', '\n']).and_then(|end| text.get(end + 1..));
        if let Some(app) = object.and_then(Application::parse) {
            self.take_json(&app);
        }
    }
}
