//! What Lambda says of itself, measured; and of which request a failure is told.

use std::borrow::Cow;

use super::super::Counts;
use super::super::about::About;
use super::super::current::Held;
use super::super::measure::{At, Told};
use super::super::origin::Origins;
use super::super::spelling::{Spelling, Written};
use super::{Fate, Run};
use crate::model::{Level, LogEvent, Sink, Timestamp};
use crate::parse::{Failure, Platform, ends_runtime};

impl Run<'_> {
    /// Measures what Lambda says of itself; it is a log when it isn't Lambda that says it.
    pub(super) fn platform<'a>(
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
        // No environment begins while a request runs: that line was printed.
        let begins = matches!(platform, Platform::InitStart(_) | Platform::RestoreStart(_));
        if written.identifies() && !(begins && self.current.running().is_some()) {
            self.origins.learn(platform, written.spelling());
        }
        if self.origins.current().function.is_none() {
            return Fate::Log;
        }
        if self.spelled.take(platform, written) {
            self.current.distrust();
        }
        about.log.request_id = platform.request_id();
        about.log.by_lambda = true;
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

    /// What every invocation writes is told apart first, without a jump that a processor would have to foresee.
    fn measure(&mut self, platform: &mut Platform<'_>, spelling: Spelling, event: &LogEvent<'_>, out: &mut impl Sink) {
        if let Platform::End { request_id } = platform {
            self.current.end(request_id);
            self.name(Some(request_id), event, out);
        } else if let Platform::Start(start) = platform {
            self.release(out);
            self.attempts.started(start, &mut at(&self.origins, event, out, &mut self.counts));
            self.current.start(start);
        } else if let Platform::Report(report) = platform {
            self.name(report.request_id.as_deref(), event, out);
            if self.current.holds_another(report) {
                self.release(out);
            }
            if self.current.report(report, spelling, event) {
                let prices = &self.pipeline.settings.prices;
                self.attempts.report(report, prices, &mut at(&self.origins, event, out, &mut self.counts));
            }
        } else {
            self.measure_other(platform, spelling, event, out);
        }
    }

    #[inline(never)]
    fn measure_other(
        &mut self,
        platform: &mut Platform<'_>,
        spelling: Spelling,
        event: &LogEvent<'_>,
        out: &mut impl Sink,
    ) {
        match platform {
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
            Platform::End { .. }
            | Platform::Extension(_)
            | Platform::ImageError
            | Platform::InitStart(_)
            | Platform::LogsSubscription(_)
            | Platform::Other
            | Platform::Report(_)
            | Platform::RestoreStart(_)
            | Platform::Start(_)
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
    pub(super) fn release(&mut self, out: &mut impl Sink) {
        let Some(held) = self.current.release() else { return };
        let Held { report, time, event_id, .. } = &held;
        let (origin, made) = (self.origins.current(), &mut self.counts.metrics);
        let prices = &self.pipeline.settings.prices;
        self.attempts.report(report, prices, &mut At { origin, time: *time, event_id, out, made });
    }

    /// Takes down a failure that a program's words tell, until its `REPORT`.
    pub(super) fn hint(
        &mut self,
        event: &LogEvent<'_>,
        level: Option<Level>,
        request_id: Option<&str>,
        out: &mut impl Sink,
    ) {
        let Some(hinted) = self.pipeline.settings.hints.read(event.message, level) else { return };
        let told = if ends_runtime(&event.message.unescape()) { Told::AtTheEnd } else { Told::ByTheProgram };
        let request_id = request_id.map(Cow::Borrowed).or_else(|| self.at_hand(event.time));
        let mut at = at(&self.origins, event, out, &mut self.counts);
        match request_id {
            Some(id) => self.attempts.hinted(hinted, told, &id, &mut at),
            // Where requests run beside each other none is given it.
            None => self.attempts.unnamed(hinted, told, &at),
        }
    }
}

fn at<'a, S: Sink>(origins: &'a Origins, event: &LogEvent<'a>, out: &'a mut S, counts: &'a mut Counts) -> At<'a, S> {
    At { origin: origins.current(), time: event.time, event_id: event.id, out, made: &mut counts.metrics }
}
