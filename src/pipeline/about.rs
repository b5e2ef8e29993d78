//! What lines say of themselves.

use std::borrow::Cow;

use crate::json::JsonStr;
use crate::model::{Log, LogEvent};
use crate::parse::{Application, Line, Object, Prefix, unhandled_object};

/// What is known of a line that will be a log: filled in where it is handed on from, as a copy of what was just
/// written waits for the writing.
#[derive(Clone, Copy, Debug)]
pub(super) struct About<'a> {
    pub(super) log: Log<'a>,
}

impl<'a> About<'a> {
    /// Nothing but the event itself.
    pub(super) const fn new(event: &'a LogEvent<'a>) -> Self {
        Self { log: Log::new(event) }
    }

    /// Takes what the runtime put before the line.
    pub(super) fn take_prefix(&mut self, prefix: &Prefix<'a>) {
        self.log.level = prefix.severity;
        self.log.request_id = prefix.request_id;
        self.log.prefix = prefix.len;
        self.log.timestamp = Some(prefix.timestamp);
    }

    /// Takes what a JSON line says of itself, its request id and time as far as it says them without escapes.
    pub(super) fn take_json(&mut self, app: &Application<'a>) {
        let plain = |text: &Option<Cow<'a, str>>| match text {
            Some(Cow::Borrowed(text)) => Some(*text),
            Some(Cow::Owned(_)) | None => None,
        };
        self.log.level = app.severity();
        self.log.request_id = plain(&app.request_id);
        self.log.timestamp = plain(&app.timestamp);
        self.log.of_json = true;
    }

    /// The same of what is left of the event, from whose message something was taken out: nothing of what stood there
    /// before is kept, and nothing is told that the whole message didn't tell.
    pub(super) fn of_what_is_left<'b>(&self, left: &'b LogEvent<'b>, text: &'b mut String) -> About<'b> {
        let message = left.message;
        let mut left = About::new(left);
        left.log.by_lambda = self.log.by_lambda;
        let escaped = message.escaped();
        if self.log.prefix > 0 {
            let prefix = Prefix::parse_escaped(escaped).or_else(|| Prefix::before_document_escaped(escaped));
            if let Some(prefix) = prefix {
                left.take_prefix(&prefix);
            }
        } else if self.log.by_lambda {
            message.unescape_into(text);
            left.log.request_id =
                Line::parse(text, None).into_platform().ok().and_then(|platform| platform.request_id());
        } else if escaped.starts_with('{') && self.tells() {
            message.unescape_into(text);
            if let Some(object) = Object::parse(text) {
                left.take_json(&Application::of(object));
            }
        } else if self.tells() {
            left.take_unhandled(message, text);
        }
        left
    }

    /// Whether anything is known.
    const fn tells(&self) -> bool {
        self.log.level.is_some() || self.log.request_id.is_some() || self.log.timestamp.is_some()
    }

    /// Takes what Python says of an exception that nobody handled: an object on a line of its own, behind words.
    pub(super) fn take_unhandled(&mut self, message: JsonStr<'_>, text: &'a mut String) {
        message.unescape_into(text);
        if let Some(object) = unhandled_object(text).and_then(Object::parse) {
            self.take_json(&Application::of(object));
            // As a whole it is text, of which no intake reads as much.
            self.log.of_json = false;
        }
    }
}
