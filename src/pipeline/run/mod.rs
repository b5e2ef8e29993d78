//! One batch: each log event is read, measured, and passed on as a log if it is to be one.

mod platform;
mod read;

use super::about::About;
use super::current::Current;
use super::custom::Custom;
use super::measure::{At, Attempts};
use super::origin::Origins;
use super::spelling::{Spelled, Spelling};
use super::{Counts, Lines, Pipeline, Scrub};
use crate::event::{Envelope, LogEvent};
use crate::json::JsonStr;
use crate::model::{Forwarder, Log, Sink, Timestamp};

/// One batch on its way through the pipeline.
#[derive(Debug)]
pub struct Run<'p> {
    pipeline: &'p Pipeline,
    origins: Origins,
    attempts: Attempts,
    spelled: Spelled,
    current: Current,
    custom: Custom,
    counts: Counts,
    last_time: Timestamp,
    oldest: Option<Timestamp>,
}

/// What becomes of a line.
#[derive(Clone, Copy)]
enum Fate {
    /// It was a metric and nothing else.
    Consumed,
    /// It held metrics among other things.
    Emf,
    /// It is one of Lambda's own.
    Platform,
    /// It is a log.
    Log,
}

impl<'p> Run<'p> {
    pub(super) fn new(pipeline: &'p Pipeline, envelope: &Envelope, forwarder: &Forwarder) -> Self {
        Self {
            pipeline,
            origins: Origins::new(envelope, forwarder, pipeline.settings.tags.clone()),
            attempts: Attempts::new(pipeline.settings.bounds.requests, pipeline.settings.tenant_tag),
            spelled: Spelled::default(),
            current: Current::default(),
            custom: Custom::default(),
            counts: Counts::default(),
            last_time: Timestamp::default(),
            oldest: None,
        }
    }
}

impl Run<'_> {
    /// Turns one log event into a log, metrics, or both.
    pub fn push(&mut self, event: &LogEvent<'_>, out: &mut impl Sink) {
        self.counts.received += 1;
        self.last_time = event.time;
        self.oldest = Some(self.oldest.map_or(event.time, |oldest| oldest.min(event.time)));
        self.origins.extracted(event.extracted_fields);
        let mut text = String::new();
        // Filled in where it stays: a copy of what was just written waits for the writing.
        let mut about = About::default();
        let fate = self.decide(event, &mut text, &mut about, out);
        self.ship(event, fate, &about, out);
    }

    /// Log events taken so far.
    pub const fn received(&self) -> u64 {
        self.counts.received
    }

    /// Time of the oldest log event so far.
    pub fn oldest(&self) -> Timestamp {
        self.oldest.unwrap_or_default()
    }

    /// Ends the batch.
    pub fn finish(&mut self, out: &mut impl Sink) -> Counts {
        self.release(out);
        let (origin, made) = (self.origins.current(), &mut self.counts.metrics);
        self.attempts.finish(&mut At { origin, time: self.last_time, event_id: "", out, made });
        self.counts
    }

    /// Passes on as a log what is to be one.
    fn ship(&mut self, event: &LogEvent<'_>, fate: Fate, about: &About<'_>, out: &mut impl Sink) {
        let settings = &self.pipeline.settings;
        let kept = match fate {
            Fate::Consumed if settings.metric_lines == Lines::Drop => {
                self.counts.consumed += 1;
                return;
            }
            Fate::Emf if settings.emf_lines == Lines::Drop => {
                self.counts.consumed += 1;
                return;
            }
            Fate::Consumed | Fate::Emf => true,
            Fate::Platform => settings.platform_lines == Lines::Keep,
            Fate::Log => {
                self.hint(event, about.level, about.request_id, out);
                true
            }
        };
        self.counts.logs += 1;
        if !kept || !settings.filter.passes(event.message) {
            self.counts.filtered += 1;
            return;
        }
        if let Some(scrub) = &settings.scrub
            && self.pass_scrubbed(scrub, event, fate, about, out)
        {
            return;
        }
        self.pass(event, about, out);
    }

    /// Hands on what is left of a log; returns whether something was taken out of it.
    #[inline(never)]
    fn pass_scrubbed(
        &self,
        scrub: &Scrub,
        event: &LogEvent<'_>,
        fate: Fate,
        about: &About<'_>,
        out: &mut impl Sink,
    ) -> bool {
        let Some(left) = scrub.scrub(event.message, about.prefix) else { return false };
        let (message, mut text) = (JsonStr::from_escaped(&left), String::new());
        let about = about.of_what_is_left(message, matches!(fate, Fate::Platform), &mut text);
        self.pass(&LogEvent { message, json: "", ..*event }, &about, out);
        true
    }

    /// Hands a log on.
    #[inline]
    fn pass(&self, event: &LogEvent<'_>, about: &About<'_>, out: &mut impl Sink) {
        if about.of_json && !out.wants_json_fields() {
            self.pass_alone(event, about.tags, out);
        } else {
            self.pass_with(about, event, out);
        }
    }

    /// Hands on a log whose reader takes from its JSON what that says.
    #[cold]
    fn pass_alone(&self, event: &LogEvent<'_>, tags: bool, out: &mut impl Sink) {
        self.pass_with(&About { tags, ..About::default() }, event, out);
    }

    #[inline]
    fn pass_with(&self, about: &About<'_>, event: &LogEvent<'_>, out: &mut impl Sink) {
        let running = if self.correlates() { self.current.running() } else { None };
        let log = Log {
            id: event.id,
            time: event.time,
            timestamp: about.timestamp,
            message: event.message,
            json: if about.tags { "" } else { event.json },
            level: about.level,
            request_id: about.request_id.or(running),
            prefix: about.prefix,
        };
        out.log(self.origins.current(), &log);
    }

    /// Whether a line without a request id is of the request that runs.
    ///
    /// Lambda writes text only where an environment has one request at a time;
    /// of JSON that is so unless these are Managed Instances, where they interleave.
    fn correlates(&self) -> bool {
        match self.spelled.last() {
            Some(Spelling::Text) => true,
            Some(Spelling::Json) => self.kind().is_some() && !self.interleaves(),
            None => false,
        }
    }

    /// Whether requests are known to run beside each other.
    fn interleaves(&self) -> bool {
        self.kind() == Some("lambda-managed-instances")
    }

    /// How the environment was started, as far as it is known.
    fn kind(&self) -> Option<&str> {
        self.origins.current().function.as_ref()?.initialization_type.as_deref()
    }
}
