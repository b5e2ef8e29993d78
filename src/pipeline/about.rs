//! What lines say of themselves.

use std::borrow::Cow;

use crate::json::JsonStr;
use crate::model::Level;
use crate::parse::{Application, Line, Object, Prefix, unhandled_object};

/// What is known of a line that will be a log.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct About<'a> {
    pub(super) level: Option<Level>,
    pub(super) request_id: Option<&'a str>,
    /// Bytes that the runtime put before the message, as it stands in JSON.
    pub(super) prefix: usize,
    /// When the application says that it wrote it.
    pub(super) timestamp: Option<&'a str>,
    /// Whether it may hold `ddtags`.
    pub(super) tags: bool,
    /// Whether it is what a JSON object says: to whom takes the log it may be of no use.
    pub(super) of_json: bool,
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
        self.of_json = true;
    }

    /// The same of a message from which something was taken out: nothing of what stood there before is kept,
    /// and nothing is told that the whole message didn't tell.
    pub(super) fn of_what_is_left<'b>(
        &self,
        message: JsonStr<'b>,
        is_platform: bool,
        text: &'b mut String,
    ) -> About<'b> {
        let mut left = About::default();
        let escaped = message.escaped();
        if self.prefix > 0 {
            let prefix = Prefix::parse_escaped(escaped).or_else(|| Prefix::before_document_escaped(escaped));
            if let Some(prefix) = prefix {
                left.take_prefix(&prefix);
            }
        } else if is_platform {
            message.unescape_into(text);
            left.request_id = Line::parse(text, None).into_platform().ok().and_then(|platform| platform.request_id());
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
        self.level.is_some() || self.request_id.is_some() || self.timestamp.is_some()
    }

    /// Takes what Python says of an exception that nobody handled: an object on a line of its own, behind words.
    pub(super) fn take_unhandled(&mut self, message: JsonStr<'_>, text: &'a mut String) {
        message.unescape_into(text);
        if let Some(object) = unhandled_object(text).and_then(Object::parse) {
            self.take_json(&Application::of(object));
        }
    }
}
