//! The request at hand, as far as the lines of a batch tell it.

use super::measure::LATE;
use super::spelling::Spelling;
use crate::model::{LogEvent, Timestamp, same};
use crate::parse::{Report, RestoreReport, Start, Status};

/// Which request runs, and which reports can be Lambda's.
#[derive(Debug, Default)]
pub(super) struct Current {
    /// The request whose `START` was read and whose `END` wasn't.
    running: Option<String>,
    /// The request that was running when another's `START` came: its `END` is late, or that `START` was printed.
    overtaken: Option<String>,
    /// The request whose `END` was read and whose `REPORT` wasn't.
    ended: Option<String>,
    /// Whether the `START` of the request that ended was read.
    began: bool,
    /// The request whose report was read after its `START`, and when that was.
    reported: Option<String>,
    reported_at: Timestamp,
    /// A `REPORT` that came while its request was running.
    held: Option<Held>,
    /// Whether any `END` was read: a subscription's filter pattern may let none through.
    any_end: bool,
    /// What a restore took that JSON told and no `report` has yet, in ms.
    restored: Option<f64>,
}

/// A report that waits for its `END`, and the event that it was read from.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) report: Report<'static>,
    pub(super) time: Timestamp,
    pub(super) event_id: String,
    ended: bool,
}

impl Current {
    /// The request that runs.
    pub(super) fn running(&self) -> Option<&str> {
        self.running.as_deref()
    }

    /// The request that runs, or that has ended and wasn't reported.
    pub(super) fn at_hand(&self) -> Option<&str> {
        self.running.as_deref().or(self.ended.as_deref())
    }

    /// Forgets what may have been made up.
    pub(super) fn distrust(&mut self) {
        (self.running, self.overtaken, self.ended, self.reported, self.held) = (None, None, None, None, None);
        self.any_end = false;
    }

    /// Takes a `START`; what was held is [released](Self::release) before.
    pub(super) fn start(&mut self, start: &Start<'_>) {
        let id = start.request_id.as_deref();
        // In the memory of one that is over.
        let mut name = self.reported.take().unwrap_or_default();
        id.unwrap_or_default().clone_into(&mut name);
        // Lines of one millisecond have no order: the END may have come first.
        let over = self.ended.is_some() && self.ended.as_deref() == id;
        self.began |= over;
        let next = Some(name).filter(|_| id.is_some() && !over);
        self.overtaken = std::mem::replace(&mut self.running, next).filter(|before| Some(before.as_str()) != id);
    }

    /// Takes an `END`.
    pub(super) fn end(&mut self, request_id: &str) {
        self.any_end = true;
        match self.running.as_deref() {
            Some(running) if same(running, request_id) => (self.ended, self.began) = (self.running.take(), true),
            Some(_) if self.overtaken.as_deref() == Some(request_id) => {
                (self.ended, self.began) = (self.overtaken.take(), true);
            }
            Some(_) => {}
            None => (self.ended, self.began) = (Some(request_id.to_owned()), false),
        }
        if let Some(held) = &mut self.held {
            held.ended |= held.report.request_id.as_deref() == Some(request_id);
        }
    }

    /// Takes what a restore took, which the next JSON `report` doesn't say.
    pub(super) fn restored(&mut self, report: &RestoreReport<'_>) {
        if !report.status.is_some_and(Status::failed) {
            self.restored = report.restore_duration_ms;
        }
    }

    /// Takes a report, and gives it what a restore took; returns whether it counts now.
    ///
    /// It counts if it is Lambda's. Text gives it away when its request is still
    /// running, also one that was overtaken, as Lambda writes `END` first: such a one
    /// is held until the `END` has come and no second report has. In a batch without any `END` nothing
    /// gives it away, and the last of a request counts. Only the request that ended last
    /// may report behind the next `START`. The second report after one start isn't
    /// Lambda's: JSON, which has no `END`, tells no more.
    pub(super) fn report(&mut self, report: &mut Report<'_>, spelling: Spelling, event: &LogEvent<'_>) -> bool {
        let request_id = report.request_id.as_deref();
        let running = self.running.as_deref();
        if request_id.is_none() && report.metrics.duration_ms.is_none() {
            return false;
        }
        match spelling {
            Spelling::Text
                if running.is_some() && (running == request_id || self.overtaken.as_deref() == request_id) =>
            {
                let (time, event_id) = (event.time, event.id.to_owned());
                self.held = Some(Held { report: report.clone().into_owned(), time, event_id, ended: false });
                return false;
            }
            Spelling::Text => {
                if self.was_reported(request_id, event.time) {
                    return false;
                }
                let ended = self.ended.take_if(|ended| request_id.is_some_and(|id| same(ended, id)));
                if running.is_some() && ended.is_none() {
                    return false;
                }
                self.reported = ended.filter(|_| self.began).or(self.reported.take());
            }
            Spelling::Json if request_id.is_some() => {
                if self.was_reported(request_id, event.time) {
                    return false;
                }
                if running == request_id {
                    self.reported = self.running.take();
                }
            }
            Spelling::Json => {}
        }
        if is(self.reported.as_deref(), request_id) {
            self.reported_at = event.time;
        }
        self.held.take_if(|held| held.report.request_id.as_deref() == request_id);
        let restored = self.restored.take();
        report.metrics.restore_duration_ms = report.metrics.restore_duration_ms.or(restored);
        true
    }

    /// Whether the request was reported just now: a retry, which keeps the request id, comes a minute later.
    fn was_reported(&self, request_id: Option<&str>, time: Timestamp) -> bool {
        self.reported.is_some() && is(self.reported.as_deref(), request_id) && time.distance(self.reported_at) <= LATE
    }

    /// Whether the report that is held was Lambda's after all, as this one is of another request: its `END` has come, or
    /// none does and its request is the earlier of the two.
    pub(super) fn holds_another(&self, report: &Report<'_>) -> bool {
        self.held.as_ref().is_some_and(|held| {
            let id = held.report.request_id.as_deref();
            let earlier = !self.any_end && id == self.overtaken.as_deref();
            id != report.request_id.as_deref() && (held.ended || earlier)
        })
    }

    /// Whether it is another request that runs than the one that a line names, and that one isn't of those before it.
    /// Where a `START` has come while a request was running, one of the two was printed: then nobody knows.
    pub(super) fn runs_another(&self, request_id: &str) -> bool {
        let known = [&self.running, &self.ended, &self.reported];
        let is_known = known.into_iter().any(|id| id.as_deref() == Some(request_id));
        self.running.is_some() && self.overtaken.is_none() && !is_known
    }

    /// The report that was held, if it was Lambda's after all.
    pub(super) fn release(&mut self) -> Option<Held> {
        // Mostly there is none, and to take it would copy as much as if there were.
        self.held.as_ref()?;
        let any_end = self.any_end;
        let held = self.held.take_if(|held| held.ended || !any_end)?;
        let of_it = |id: &mut String| held.report.request_id.as_deref() == Some(id);
        self.ended.take_if(of_it);
        self.running.take_if(of_it);
        Some(held)
    }
}

/// Whether they are the same request, or none.
fn is(one: Option<&str>, other: Option<&str>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => same(one, other),
        (None, None) => true,
        _ => false,
    }
}
