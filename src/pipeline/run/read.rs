//! What a log event is, read as it stands.

use std::borrow::Cow;

use memchr::{memchr, memmem};

use super::super::about::About;
use super::super::custom::{Custom, Reading};
use super::super::needles::Signs;
use super::super::spelling::Written;
use super::{Fate, Run};
use crate::json::JsonStr;
use crate::model::{LogEvent, Sink, Timestamp};
use crate::parse::{Application, Line, MonitoringLine, Object, Platform, Prefix, UNHANDLED, bracketed_level};

/// How the summary of an invocation of ours begins, as it stands in JSON.
const OUR_SUMMARY: &str = r#"{\"kind\":\"summary\",\"received\":"#;

impl Run<'_> {
    /// Measures what a line says; what is known of it otherwise goes into `about`.
    pub(super) fn decide<'a>(
        &mut self,
        event: &LogEvent<'a>,
        text: &'a mut String,
        about: &mut About<'a>,
        out: &mut impl Sink,
    ) -> Fate {
        let escaped = event.message.escaped();
        match escaped.as_bytes().first() {
            Some(b'{') => self.json(event, text, about, out),
            Some(b'M') if escaped.starts_with("MONITORING|") => self.metric_text(event, text, about, out),
            Some(b'0'..=b'9' | b'[') => self.prefixed(event, text, about, out),
            Some(b'L') if escaped.starts_with(UNHANDLED) => {
                about.take_unhandled(event.message, text);
                Fate::Log
            }
            // Left where it is made: to copy it takes as long as to read the line.
            Some(first) => match &mut Platform::parse_escaped(escaped) {
                Some(platform) => self.platform(platform, Written::Text, event, about, out),
                None if may_be_platform(*first, escaped) => self.platform_text(event, text, about, out),
                None => Fate::Log,
            },
            None => Fate::Log,
        }
    }

    /// A line that may begin with what the runtime puts before the message.
    fn prefixed<'a>(
        &mut self,
        event: &LogEvent<'a>,
        text: &'a mut String,
        about: &mut About<'a>,
        out: &mut impl Sink,
    ) -> Fate {
        let escaped = event.message.escaped();
        let metric = |prefix: &Prefix<'_>| self.starts_metric(escaped, prefix.len);
        if let Some(prefix) = Prefix::parse_escaped(escaped) {
            about.take_prefix(&prefix);
            if metric(&prefix) {
                return self.metric_text(event, text, about, out);
            }
        } else if memmem::find(escaped.as_bytes(), b"Task timed out after ").is_some() {
            return self.platform_text(event, text, about, out);
        } else if let Some(prefix) = Prefix::before_document_escaped(escaped).filter(metric) {
            about.take_prefix(&prefix);
            return self.metric_text(event, text, about, out);
        } else {
            about.log.level = bracketed_level(escaped);
        }
        Fate::Log
    }

    /// Whether a metric begins behind what the runtime put before the line.
    fn starts_metric(&self, escaped: &str, at: usize) -> bool {
        escaped.get(at..).is_some_and(|rest| {
            rest.starts_with("MONITORING|") || (rest.starts_with('{') && self.pipeline.needles.holds_emf(rest))
        })
    }

    /// A line that may be one of Lambda's own, but not as it mostly is.
    #[inline(never)]
    fn platform_text<'a>(
        &mut self,
        event: &LogEvent<'a>,
        text: &'a mut String,
        about: &mut About<'a>,
        out: &mut impl Sink,
    ) -> Fate {
        match &mut Platform::parse_text(plain(event.message, text)) {
            Some(platform) => self.platform(platform, Written::Text, event, about, out),
            None => Fate::Log,
        }
    }

    /// A line that begins as a metric does, perhaps behind what the runtime put before it.
    fn metric_text<'a>(
        &mut self,
        event: &LogEvent<'a>,
        text: &'a mut String,
        about: &About<'a>,
        out: &mut impl Sink,
    ) -> Fate {
        let written = event.message.escaped().get(about.log.prefix..).unwrap_or_default();
        self.metric_of(plain(JsonStr::from_escaped(written), text), about.log.request_id, event, out)
    }

    /// What a request wrote, which may begin as a metric does.
    fn metric_of(&mut self, text: &str, request_id: Option<&str>, event: &LogEvent<'_>, out: &mut impl Sink) -> Fate {
        // Left where it is made.
        if let Some(line) = &mut MonitoringLine::parse(text, Some(event.time)) {
            line.request_id = request_id.map(Cow::Borrowed);
            return self.monitoring(line, event, out);
        }
        match Line::metric(text, request_id, Some(event.time)) {
            Some(line) => self.metric(&line, event, out),
            None => Fate::Log,
        }
    }

    /// A line that is, or looks like, a JSON object.
    fn json<'a>(
        &mut self,
        event: &LogEvent<'a>,
        text: &'a mut String,
        about: &mut About<'a>,
        out: &mut impl Sink,
    ) -> Fate {
        let escaped = event.message.escaped();
        // Eight bytes mostly tell that it isn't one.
        if escaped.as_bytes().first_chunk() == OUR_SUMMARY.as_bytes().first_chunk::<8>()
            && escaped.starts_with(OUR_SUMMARY)
        {
            self.counts.other_forwarders += 1;
        }
        let Signs { special, tags } = self.pipeline.needles.signs(escaped.as_bytes());
        about.log.may_hold_tags = tags;
        if !special && !self.wants_json_fields(out) {
            return Fate::Log;
        }
        if let Some(app) = &Application::parse_escaped(escaped) {
            let fate = match app.message.as_deref() {
                Some(message) if special => self.metric_of(message, app.request_id.as_deref(), event, out),
                _ => Fate::Log,
            };
            if self.is_asked(fate, out) {
                about.take_json(app);
            }
            return fate;
        }
        event.message.unescape_into(text);
        let Some(object) = Object::parse(text) else { return Fate::Log };
        // Without a sign of anything else it can only be an application's.
        let line = if special { Line::json(object, Some(event.time)) } else { Line::AppJson(Application::of(object)) };
        let fate = match line {
            Line::AppJson(app) => {
                about.take_json(&app);
                return Fate::Log;
            }
            Line::PlatformJson(said) => {
                let time = said.time.as_deref();
                let written =
                    Written::Json { timed: time.is_some(), at_once: time.is_some_and(|time| is_time_of(event, time)) };
                self.platform(&mut said.meaning(), written, event, about, out)
            }
            line => self.metric(&line, event, out),
        };
        if self.is_asked(fate, out) {
            about.take_json(&Application::of(object));
        }
        fate
    }

    /// Whether somebody wants to know what a JSON line says of itself.
    fn is_asked(&self, fate: Fate, out: &impl Sink) -> bool {
        matches!(fate, Fate::Emf | Fate::Log) && self.wants_json_fields(out)
    }

    /// Whether what JSON lines say of themselves is of use: to whoever takes them, or to tell whose failure they hint at.
    fn wants_json_fields(&self, out: &impl Sink) -> bool {
        out.wants_json_fields() || self.pipeline.settings.hints.any()
    }

    /// A line that may hold metrics.
    fn metric(&mut self, line: &Line<'_>, event: &LogEvent<'_>, out: &mut impl Sink) -> Fate {
        if let Line::Emf(emf) = line {
            self.origins.insights(emf);
        }
        let (taken, fate) = match line {
            Line::Monitoring(line) => return self.monitoring(line, event, out),
            Line::DatadogMetric(metric) => {
                (self.custom(event, out, |custom, from| custom.datadog(metric, from)), Fate::Consumed)
            }
            Line::Emf(emf) => (self.custom(event, out, |custom, from| custom.emf(emf, from)), Fate::Emf),
            _ => (false, Fate::Log),
        };
        if taken { fate } else { Fate::Log }
    }

    fn monitoring(&mut self, line: &MonitoringLine<'_>, event: &LogEvent<'_>, out: &mut impl Sink) -> Fate {
        let taken = self.custom(event, out, |custom, from| custom.monitoring(line, from));
        if taken { Fate::Consumed } else { Fate::Log }
    }

    /// Makes custom metrics of what an event holds.
    fn custom<'e, S: Sink>(
        &'e mut self,
        event: &'e LogEvent<'e>,
        out: &'e mut S,
        make: impl FnOnce(&mut Custom, &mut Reading<'e, S>) -> bool,
    ) -> bool {
        let running = if self.correlates() { self.current.running() } else { None };
        let (origin, bounds) = (self.origins.current(), self.pipeline.settings.bounds);
        make(&mut self.custom, &mut Reading { bounds, origin, event, running, counts: &mut self.counts, out })
    }
}

/// Whether this is the time of a log event, give or take what rounding may make of it.
fn is_time_of(event: &LogEvent<'_>, time: &str) -> bool {
    const ROUNDING: u64 = 5;
    Timestamp::parse_rfc_3339(time).is_some_and(|(time, _)| time.distance(event.time) <= ROUNDING)
}

/// Whether a line, still escaped, begins as one of Lambda's own.
fn may_be_platform(first: u8, escaped: &str) -> bool {
    let is = |start: &str| escaped.starts_with(start);
    match first {
        b'E' => is("END RequestId: ") || is("EXTENSION\\t"),
        b'I' => is("INIT_START ") || is("INIT_REPORT ") || is("IMAGE\\t"),
        b'L' => is("LOGS\\t"),
        b'R' => is("REPORT RequestId: ") || is("RequestId: ") || is("RESTORE_START ") || is("RESTORE_REPORT "),
        b'S' => is("START RequestId: "),
        b'T' => is("TELEMETRY\\t") || is("Task timed out after "),
        b'U' => is("Unknown application error occurred"),
        _ => false,
    }
}

/// The text of a message without the newline at its end: mostly nothing else in
/// it is escaped, and then it need not be copied.
fn plain<'a>(message: JsonStr<'a>, buffer: &'a mut String) -> &'a str {
    let escaped = message.escaped();
    let line = escaped.strip_suffix("\\n").unwrap_or(escaped);
    if memchr(b'\\', line.as_bytes()).is_none() {
        return line;
    }
    message.unescape_into(buffer);
    buffer
}
