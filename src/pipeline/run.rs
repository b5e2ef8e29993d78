use std::borrow::Cow;

use memchr::{memchr, memmem};

use super::about::About;
use super::current::{Current, Held};
use super::custom::{Custom, Reading};
use super::measure::{At, Attempts, Told};
use super::needles::Signs;
use super::origin::Origins;
use super::spelling::{Spelled, Spelling, Written};
use super::{Counts, Lines, Pipeline, Scrub};
use crate::event::{Envelope, LogEvent};
use crate::json::JsonStr;
use crate::model::{Forwarder, Level, Log, Sink, Timestamp};
use crate::parse::{Application, Failure, Line, MonitoringLine, Platform, Prefix, UNHANDLED};

/// How the summary of an invocation of ours begins, as it stands in JSON.
const OUR_SUMMARY: &str = r#"{\"kind\":\"summary\",\"received\":"#;

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
    /// Text of the event at hand.
    text: String,
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
            text: String::new(),
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
        let mut text = std::mem::take(&mut self.text);
        text.clear();
        // Filled in where it stays: a copy of what was just written waits for the writing.
        let mut about = About::default();
        let fate = self.decide(event, &mut text, &mut about, out);
        self.ship(event, fate, &about, out);
        self.text = text;
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

    /// Measures what a line says; what is known of it otherwise goes into `about`.
    fn decide<'a>(
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
                if self.wants_json_fields(out) {
                    about.unwanted = !out.wants_json_fields();
                    about.take_unhandled(event.message, text);
                }
                Fate::Log
            }
            Some(first) if may_be_platform(*first, escaped) => self.platform_text(event, text, about, out),
            _ => Fate::Log,
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
        }
        Fate::Log
    }

    /// Whether a metric begins behind what the runtime put before the line.
    fn starts_metric(&self, escaped: &str, at: usize) -> bool {
        escaped.get(at..).is_some_and(|rest| {
            rest.starts_with("MONITORING|") || (rest.starts_with('{') && self.pipeline.needles.holds_emf(rest))
        })
    }

    /// A line that may be one of Lambda's own, as text.
    fn platform_text<'a>(
        &mut self,
        event: &LogEvent<'a>,
        text: &'a mut String,
        about: &mut About<'a>,
        out: &mut impl Sink,
    ) -> Fate {
        let mut platform = Platform::parse_escaped(event.message.escaped());
        if platform.is_none() {
            platform = Platform::parse_text(plain(event.message, text));
        }
        match &mut platform {
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
        let written = event.message.escaped().get(about.prefix..).unwrap_or_default();
        let (line, time) = (plain(JsonStr::from_escaped(written), text), Some(event.time));
        if let Some(mut line) = MonitoringLine::parse(line, time) {
            line.request_id = about.request_id.map(Cow::Borrowed);
            return self.monitoring(&line, event, out);
        }
        match Line::metric(line, about.request_id, time) {
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
        about.tags = tags;
        if !special && !self.wants_json_fields(out) {
            return Fate::Log;
        }
        let read = Line::json_escaped(escaped, Some(event.time));
        let unescaped: &'a str = if read.is_none() {
            event.message.unescape_into(text);
            text
        } else {
            ""
        };
        // Without a sign of anything else it can only be an application's.
        let line = read.or_else(|| {
            if special {
                Line::json(unescaped, Some(event.time))
            } else {
                Application::parse(unescaped).map(Line::AppJson)
            }
        });
        let fate = match line {
            Some(Line::AppJson(app)) => {
                about.unwanted = !special && !out.wants_json_fields();
                about.take_json(&app);
                return Fate::Log;
            }
            Some(Line::PlatformJson(said)) => {
                let written = Written::Json { timed: said.timed };
                self.platform(&mut said.meaning(), written, event, about, out)
            }
            Some(line) => self.metric(&line, event, out),
            None => return Fate::Log,
        };
        if matches!(fate, Fate::Emf | Fate::Log) {
            let app = Application::parse_escaped(escaped).or_else(|| Application::parse(unescaped));
            if let Some(app) = app {
                about.take_json(&app);
            }
        }
        fate
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

    /// Measures what Lambda says of itself; it is a log when it isn't Lambda that says it.
    fn platform<'a>(
        &mut self,
        platform: &mut Platform<'a>,
        written: Written,
        event: &LogEvent<'_>,
        about: &mut About<'a>,
        out: &mut impl Sink,
    ) -> Fate {
        if !self.spelled.admits(written) || matches!(platform, Platform::Unknown) || self.is_of_another(platform) {
            return Fate::Log;
        }
        if written.identifies() {
            self.origins.learn(platform, written.spelling());
        }
        if self.origins.current().function.is_none() {
            return Fate::Log;
        }
        if self.spelled.take(platform, written) {
            self.current.distrust();
        }
        about.request_id = platform.request_id();
        self.measure(platform, written.spelling(), event, out);
        Fate::Platform
    }

    /// Whether a failure is of a request that this environment can't have had: the function prints what another said.
    fn is_of_another(&self, platform: &Platform<'_>) -> bool {
        if !matches!(platform, Platform::Fault(_) | Platform::Timeout(_)) {
            return false;
        }
        platform.request_id().is_some_and(|id| self.current.runs_another(id) && !self.attempts.knows(id))
    }

    fn measure(&mut self, platform: &mut Platform<'_>, spelling: Spelling, event: &LogEvent<'_>, out: &mut impl Sink) {
        match platform {
            Platform::Start(start) => {
                self.release(out);
                self.attempts.started(start, &mut at(&self.origins, event, out, &mut self.counts));
                self.current.start(start);
            }
            Platform::End { request_id } => {
                self.current.end(request_id);
                self.name(Some(request_id), event, out);
            }
            Platform::Report(report) => {
                self.name(report.request_id.as_deref(), event, out);
                if self.current.holds_another(report) {
                    self.release(out);
                }
                if self.current.report(report, spelling, event) {
                    let prices = &self.pipeline.settings.prices;
                    self.attempts.report(report, prices, &mut at(&self.origins, event, out, &mut self.counts));
                }
            }
            Platform::RuntimeDone(done) => {
                self.attempts.runtime_done(done, &mut at(&self.origins, event, out, &mut self.counts));
            }
            Platform::Timeout(timeout) => {
                let failure = Failure { error: true, timeout: true, out_of_memory: false };
                self.failed(failure, timeout.request_id, event, out);
            }
            Platform::Fault(fault) => self.failed(fault.failure(), fault.request_id, event, out),
            Platform::InitReport(report) => {
                self.attempts.init_report(report, &mut at(&self.origins, event, out, &mut self.counts));
            }
            Platform::RestoreReport(report) => {
                if spelling == Spelling::Json {
                    self.current.restored(report);
                }
                at(&self.origins, event, out, &mut self.counts).restore_report(report);
            }
            Platform::Extension(_)
            | Platform::ImageError
            | Platform::InitStart(_)
            | Platform::LogsSubscription(_)
            | Platform::Other
            | Platform::RestoreStart(_)
            | Platform::TelemetrySubscription(_)
            | Platform::Unknown => {}
        }
    }

    fn failed(&mut self, failure: Failure, request_id: Option<&str>, event: &LogEvent<'_>, out: &mut impl Sink) {
        let request_id = request_id.map(Cow::Borrowed).or_else(|| self.at_hand(event.time));
        let mut at = at(&self.origins, event, out, &mut self.counts);
        match request_id {
            Some(id) => self.attempts.failed(failure, Some(&id), &mut at),
            None => self.attempts.unnamed(failure, Told::ByLambda, &at),
        }
    }

    /// The request that a line of this time is about, if it names none and requests come one after another.
    fn at_hand(&self, time: Timestamp) -> Option<Cow<'static, str>> {
        let id = self.current.at_hand().or(self.attempts.just_ended(time));
        id.filter(|_| !self.interleaves()).map(|id| Cow::Owned(id.to_owned()))
    }

    /// Says whose failure it was that a line without an id told, where requests come one after another.
    fn name(&mut self, request_id: Option<&str>, event: &LogEvent<'_>, out: &mut impl Sink) {
        if let Some(id) = request_id.filter(|_| self.attempts.awaits_name() && self.correlates()) {
            self.attempts.name(id, &mut at(&self.origins, event, out, &mut self.counts));
        }
    }

    /// Counts the report that was held, if it was Lambda's after all.
    fn release(&mut self, out: &mut impl Sink) {
        let Some(held) = self.current.release() else { return };
        let Held { report, time, event_id, .. } = &held;
        let (origin, made) = (self.origins.current(), &mut self.counts.metrics);
        let prices = &self.pipeline.settings.prices;
        self.attempts.report(report, prices, &mut At { origin, time: *time, event_id, out, made });
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
        let running = if self.correlates() { self.current.running() } else { None };
        let about = if about.unwanted { &About { tags: about.tags, ..About::default() } } else { about };
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

    /// Takes down a failure that a program's words tell, until its `REPORT`.
    fn hint(&mut self, event: &LogEvent<'_>, level: Option<Level>, request_id: Option<&str>, out: &mut impl Sink) {
        let Some(hinted) = self.pipeline.settings.hints.read(event.message, level) else { return };
        let request_id = request_id.map(Cow::Borrowed).or_else(|| self.at_hand(event.time));
        let mut at = at(&self.origins, event, out, &mut self.counts);
        match request_id {
            Some(id) => self.attempts.hinted(hinted, &id, &mut at),
            // Where requests run beside each other none is given it.
            None => self.attempts.unnamed(hinted, Told::ByTheProgram, &at),
        }
    }
}

fn at<'a, S: Sink>(origins: &'a Origins, event: &LogEvent<'a>, out: &'a mut S, counts: &'a mut Counts) -> At<'a, S> {
    At { origin: origins.current(), time: event.time, event_id: event.id, out, made: &mut counts.metrics }
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
