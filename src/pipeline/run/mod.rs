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
use crate::event::Envelope;
use crate::json::JsonStr;
use crate::model::{Forwarder, LogEvent, Sink, Timestamp};

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
        let mut about = About::new(event);
        let fate = self.decide(event, &mut text, &mut about, out);
        if !self.keeps(event, fate, &about, out) {
            return;
        }
        if let Some(scrub) = &self.pipeline.settings.scrub
            && self.pass_scrubbed(scrub, event, &about, out)
        {
            return;
        }
        self.pass(&mut about, out);
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

    /// Whether a line is to be a log.
    fn keeps(&mut self, event: &LogEvent<'_>, fate: Fate, about: &About<'_>, out: &mut impl Sink) -> bool {
        let settings = &self.pipeline.settings;
        let kept = match fate {
            Fate::Consumed if settings.metric_lines == Lines::Drop => {
                self.counts.consumed += 1;
                return false;
            }
            Fate::Emf if settings.emf_lines == Lines::Drop => {
                self.counts.consumed += 1;
                return false;
            }
            Fate::Consumed | Fate::Emf => true,
            Fate::Platform => settings.platform_lines == Lines::Keep,
            Fate::Log => {
                self.hint(event, about.log.level, about.log.request_id, out);
                true
            }
        };
        self.counts.logs += 1;
        let passes = kept && settings.filter.passes(event.message);
        self.counts.filtered += u64::from(!passes);
        passes
    }

    /// Hands on what is left of a log; returns whether something was taken out of it.
    #[inline(never)]
    fn pass_scrubbed(&self, scrub: &Scrub, event: &LogEvent<'_>, about: &About<'_>, out: &mut impl Sink) -> bool {
        let Some(left) = scrub.scrub(event.message, about.log.prefix) else { return false };
        let left = LogEvent { message: JsonStr::from_escaped(&left), json: "", ..*event };
        let mut text = String::new();
        self.pass(&mut about.of_what_is_left(&left, &mut text), out);
        true
    }

    /// Hands a log on.
    #[inline]
    fn pass<'a>(&'a self, about: &mut About<'a>, out: &mut impl Sink) {
        if (about.log.request_id.is_none() || about.log.of_json) && self.correlates() {
            about.log.running = self.current.running();
            about.log.request_id = about.log.request_id.or(about.log.running);
        }
        out.log(self.origins.current(), &about.log);
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
