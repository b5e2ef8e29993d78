//! What an invocation's lines measure, each invocation counted once.
//!
//! A `REPORT` is the end of an attempt: an asynchronous retry keeps its request
//! id and counts again. Failures that older lines tell before the `REPORT` are
//! remembered until then, so that they count once per attempt; as lines of one
//! millisecond have no order, what the last `REPORT` told is remembered until
//! the next attempt. What `runtimeDone` says of failure waits for the `report`, which mostly says it too and
//! may come in the next batch.

use std::collections::HashMap;

use smallvec::SmallVec;

use super::cost::Prices;
use super::naming::WEB;
use crate::model::{Measure, Metric, Name, Origin, Sink, Tag, Timestamp, Value};
use crate::parse::{Failure, InitReport, Report, RestoreReport, Start, Status};

/// As many measures as most reports have: more take memory of their own.
const MEASURES_OF_A_REPORT: usize = 12;

/// The tag that says which tenant an invocation was for.
const TENANT_TAG: &str = "tenant_id";

/// What is known of attempts that haven't ended, and of the last that has.
#[derive(Debug)]
pub(super) struct Attempts {
    by_request: HashMap<String, Attempt>,
    max: usize,
    /// Whether measures are tagged with the tenant.
    tenant_tag: bool,
    last: Ended,
    /// The last start of an environment, until a `report` has shown whether it tells of it too.
    init: Option<Init>,
    /// What a line without an id tells of a request that began in another batch, until its end names it.
    unnamed: Option<Unnamed>,
}

/// A failure of a request that isn't named yet, and the event that it was read from.
#[derive(Debug)]
struct Unnamed {
    failure: Failure,
    told: Told,
    time: Timestamp,
    event_id: String,
}

/// Who tells of a failure.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Told {
    ByLambda,
    /// In words that prove little.
    ByTheProgram,
    /// In those that the runtime ends with: Lambda will tell it, too.
    AtTheEnd,
}

/// The start of an environment, as its own line tells it.
#[derive(Debug)]
struct Init {
    duration_ms: f64,
    time: Timestamp,
    event_id: String,
    on_demand: bool,
}

/// How long after its `REPORT` a line may tell of an attempt, in ms: a retry, which keeps the
/// request id, comes a minute later.
pub const LATE: u64 = 5_000;

/// How long after a failure another of its request is that of a retry, in ms: less than the minute that Lambda waits.
const RETRY: u64 = 30_000;

/// The attempt whose `REPORT` was read last, until its request starts again.
#[derive(Debug, Default)]
struct Ended {
    request_id: Option<String>,
    time: Timestamp,
    counted: Failure,
    tenant_id: Option<String>,
    /// What its `REPORT` says, until a `runtimeDone` is joined with it.
    duration_ms: Option<f64>,
}

#[derive(Debug, Default)]
struct Attempt {
    counted: Failure,
    /// When Lambda told last of its failure.
    told_at: Timestamp,
    /// What the program's own words tell, and the event that they were read from first.
    hinted: Failure,
    /// Whether the runtime ended by it.
    ended: bool,
    hint: (Timestamp, String),
    /// What its `runtimeDone` says.
    done: Failure,
    runtime_duration_ms: Option<f64>,
    /// As its `start` says.
    tenant_id: Option<String>,
}

/// The event that a measure is read from, and where it goes.
pub(super) struct At<'a, S> {
    pub(super) origin: &'a Origin,
    pub(super) time: Timestamp,
    pub(super) event_id: &'a str,
    pub(super) out: &'a mut S,
    /// Measures made.
    pub(super) made: &'a mut u64,
}

/// Measures of one event.
struct Measured<'a> {
    time: Timestamp,
    event_id: &'a str,
    request_id: Option<&'a str>,
    metrics: SmallVec<[Metric<'a>; MEASURES_OF_A_REPORT]>,
}

impl<'a> Measured<'a> {
    /// Adds a value, if there is one: in place, where it is known which measure it is.
    #[inline(always)]
    fn add(&mut self, measure: Measure, value: Option<f64>, tags: &'a [Tag<'a>]) {
        use crate::model::Kind::{Check, Count, Gauge, Histogram};

        let Some(value) = value else { return };
        let value = match measure.kind() {
            Count => Value::Count(value),
            Gauge => Value::Gauge(value),
            Histogram | Check => Value::Histogram(value),
        };
        let &mut Self { time, event_id, request_id, .. } = self;
        let (name, unit) = (Name::Measure(measure), measure.unit());
        self.metrics.push(Metric { name, time, written: time, value, unit, tags, request_id, event_id });
    }

    fn add_failure(&mut self, failure: Failure, tags: &'a [Tag<'a>]) {
        self.add(Measure::Errors, failure.error.then_some(1.0), tags);
        self.add(Measure::Timeouts, failure.timeout.then_some(1.0), tags);
        self.add(Measure::OutOfMemory, failure.out_of_memory.then_some(1.0), tags);
    }
}

impl<'a, S: Sink> At<'a, S> {
    /// The same for another event.
    const fn of<'b>(&'b mut self, time: Timestamp, event_id: &'b str) -> At<'b, S> {
        At { origin: self.origin, time, event_id, out: &mut *self.out, made: &mut *self.made }
    }

    fn measured<'m>(&self, request_id: Option<&'m str>) -> Measured<'m>
    where
        'a: 'm,
    {
        Measured { time: self.time, event_id: self.event_id, request_id, metrics: SmallVec::new() }
    }

    fn emit(&mut self, measured: &Measured<'_>) {
        if !measured.metrics.is_empty() {
            *self.made += measured.metrics.len() as u64;
            self.out.metrics(self.origin, &measured.metrics);
        }
    }

    fn emit_failure(&mut self, failure: Failure, request_id: Option<&str>, tags: &[Tag<'_>]) {
        let mut measured = self.measured(request_id);
        measured.add_failure(failure, tags);
        self.emit(&measured);
    }

    fn emit_some(&mut self, measure: Measure, value: Option<f64>) {
        let mut measured = self.measured(None);
        measured.add(measure, value, &[]);
        self.emit(&measured);
    }

    /// A restore: its duration when it failed, as otherwise the `REPORT` has it or is given it.
    pub(super) fn restore_report(&mut self, report: &RestoreReport<'_>) {
        if report.status.is_some_and(Status::failed) {
            self.emit_some(Measure::RestoreDuration, report.restore_duration_ms);
        }
    }
}

impl Attempts {
    pub(super) fn new(max: usize, tenant_tag: bool) -> Self {
        Self { by_request: HashMap::new(), max, tenant_tag, last: Ended::default(), init: None, unnamed: None }
    }

    /// An environment that started: its init duration, unless a `report` has it.
    ///
    /// A start that went well the `report` of the first invocation may tell, too, and then
    /// that one holds. Of a start that failed only this line tells, and Web Functions have
    /// no `report`.
    pub(super) fn init_report<S: Sink>(&mut self, report: &InitReport<'_>, at: &mut At<'_, S>) {
        let well = report.status.is_none_or(|status| status == Status::Success);
        if !well || at.origin.log_group.starts_with(WEB) {
            at.emit_some(Measure::InitDuration, report.init_duration_ms);
            return;
        }
        self.end_init(at);
        // A start that was put off to the invocation no `report` tells.
        let on_demand =
            report.initialization_type.as_deref() == Some("on-demand") && report.phase.as_deref() != Some("invoke");
        let init = |duration_ms| Init { duration_ms, time: at.time, event_id: at.event_id.to_owned(), on_demand };
        self.init = report.init_duration_ms.map(init);
    }

    /// A start that no `report` of this batch tells: one on demand that of the next will.
    fn end_init<S: Sink>(&mut self, at: &mut At<'_, S>) {
        if let Some(init) = self.init.take().filter(|init| !init.on_demand) {
            init.emit(at);
        }
    }

    /// Begins an attempt, and remembers for whom.
    pub(super) fn started<S: Sink>(&mut self, start: &Start<'_>, at: &mut At<'_, S>) {
        self.end_unnamed(at);
        let request_id = start.request_id.as_deref();
        self.last.request_id.take_if(|last| Some(last.as_str()) == request_id);
        let Some(tenant_id) = start.tenant_id.as_deref().filter(|_| self.tenant_tag) else { return };
        if let Some(attempt) = request_id.and_then(|id| self.attempt(id)) {
            attempt.tenant_id = Some(tenant_id.to_owned());
        }
    }

    /// Ends the attempt: everything its `REPORT` measures.
    pub(super) fn report<S: Sink>(&mut self, report: &Report<'_>, prices: &Prices, at: &mut At<'_, S>) {
        let request_id = report.request_id.as_deref();
        // To look for it takes a hash.
        let known = request_id.filter(|_| !self.by_request.is_empty());
        let attempt = known.and_then(|id| self.by_request.remove(id)).unwrap_or_default();
        if let Some(init) = self.init.take().filter(|_| report.metrics.init_duration_ms.is_none()) {
            init.emit(at);
        }
        let name = at.origin.function.as_ref().map_or("", |function| function.name.as_str());
        let mut number = itoa::Buffer::new();
        let memory_size = Tag {
            key: "memory_size_mb",
            value: report.metrics.memory_size_mb.map_or("", |mb| number.format(whole(mb))),
        };
        let cold_start = Tag { key: "cold_start", value: if report.cold_start() { "true" } else { "false" } };
        let [architecture, price_basis] = prices.tags(name);
        let (tags, own) = match self.tenant(report.tenant_id.as_deref().or(attempt.tenant_id.as_deref())) {
            Some(tenant) => ([memory_size, cold_start, tenant, architecture, price_basis], 3),
            None => ([memory_size, cold_start, architecture, price_basis, Tag { key: "", value: "" }], 2),
        };
        let first = usize::from(report.metrics.memory_size_mb.is_none());
        let cost_tags = tags.get(first..own + 2).unwrap_or_default();
        let tags = tags.get(first..own).unwrap_or_default();
        let mut measured = at.measured(request_id);
        let mut emit = |measure, value| measured.add(measure, value, tags);
        emit(Measure::Invocations, Some(1.0));
        emit(Measure::Duration, report.metrics.duration_ms);
        emit(Measure::BilledDuration, report.metrics.billed_duration_ms);
        emit(Measure::MemorySize, report.metrics.memory_size_mb);
        emit(Measure::MaxMemoryUsed, report.metrics.max_memory_used_mb);
        emit(Measure::InitDuration, report.metrics.init_duration_ms);
        emit(Measure::RestoreDuration, report.metrics.restore_duration_ms);
        emit(Measure::BilledRestoreDuration, report.metrics.billed_restore_duration_ms);
        emit(Measure::ColdStarts, report.cold_start().then_some(1.0));
        if let (Some(whole), Some(runtime)) = (report.metrics.duration_ms, attempt.runtime_duration_ms) {
            emit(Measure::PostRuntimeDuration, post_runtime(whole, runtime));
        } else {
            emit(Measure::ResponseLatency, report.span("responseLatency"));
            emit(Measure::ResponseDuration, report.span("responseDuration"));
        }
        let told = both(both(report.failure(), attempt.done), attempt.counted);
        // What Lambda says holds against a program's words; that it went well proves them wrong no more than right.
        let failure = if told.error { told } else { attempt.hinted };
        measured.add_failure(less(failure, attempt.counted), tags);
        measured.add(Measure::EstimatedCost, prices.cost(name, report), cost_tags);
        at.emit(&measured);
        drop(measured);
        self.last.end(request_id, at.time, failure, attempt.tenant_id);
        self.last.duration_ms = report.metrics.duration_ms.filter(|_| attempt.runtime_duration_ms.is_none());
    }

    /// Takes down a failure of a request that isn't named, as its `START` was in another batch.
    pub(super) fn unnamed<S: Sink>(&mut self, failure: Failure, told: Told, at: &At<'_, S>) {
        match &mut self.unnamed {
            Some(known) if known.told == told => known.failure = both(known.failure, failure),
            Some(known) if known.told == Told::ByLambda => {}
            none => *none = Some(Unnamed { failure, told, time: at.time, event_id: at.event_id.to_owned() }),
        }
    }

    /// Whether a failure waits for the name of its request.
    pub(super) const fn awaits_name(&self) -> bool {
        self.unnamed.is_some()
    }

    /// Names the request whose failure was told.
    pub(super) fn name<S: Sink>(&mut self, request_id: &str, at: &mut At<'_, S>) {
        let Some(Unnamed { failure, told, time, event_id }) = self.unnamed.take() else { return };
        let at = &mut at.of(time, &event_id);
        match told {
            Told::ByLambda => self.failed(failure, Some(request_id), at),
            Told::ByTheProgram | Told::AtTheEnd => self.hinted(failure, told, request_id, at),
        }
    }

    /// Counts a failure of a request that nothing names; words of a program alone are forgotten.
    fn end_unnamed<S: Sink>(&mut self, at: &mut At<'_, S>) {
        if let Some(Unnamed { failure, time, event_id, .. }) = self.unnamed.take_if(|one| one.told == Told::ByLambda) {
            at.of(time, &event_id).emit_failure(failure, None, &[]);
        }
        self.unnamed = None;
    }

    /// The request whose `REPORT` is of this moment: what else is may be about it.
    pub(super) fn just_ended(&self, time: Timestamp) -> Option<&str> {
        self.last.request_id.as_deref().filter(|_| self.last.time == time)
    }

    /// Remembers what a program's words tell until its `REPORT`; behind that there is
    /// nothing to wait for.
    pub(super) fn hinted<S: Sink>(&mut self, failure: Failure, told: Told, request_id: &str, at: &mut At<'_, S>) {
        if self.last.is(request_id, at.time) {
            if !self.last.counted.error {
                self.last.counted = failure;
                let tenant = self.tenant(self.last.tenant_id.as_deref());
                at.emit_failure(failure, Some(request_id), tenant.as_slice());
            }
        } else if let Some(attempt) = self.attempt(request_id) {
            if !attempt.hinted.error {
                attempt.hint = (at.time, at.event_id.to_owned());
            }
            attempt.hinted = both(attempt.hinted, failure);
            attempt.ended |= told == Told::AtTheEnd;
        }
    }

    /// Counts errors that were hinted at and whose `REPORT` will come in another
    /// batch: it never tells of them. Lack of memory it may tell, and the end of a runtime Lambda does, so these wait.
    pub(super) fn finish<S: Sink>(&mut self, at: &mut At<'_, S>) {
        self.end_init(at);
        self.end_unnamed(at);
        let mut pending: Vec<_> = self.by_request.drain().filter(|(_, attempt)| attempt.hinted.error).collect();
        pending.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        for (id, attempt) in pending.iter().filter(|(_, attempt)| !attempt.hinted.out_of_memory && !attempt.ended) {
            let tenant = self.tenant(attempt.tenant_id.as_deref());
            let (time, event_id) = &attempt.hint;
            at.of(*time, event_id).emit_failure(less(attempt.hinted, attempt.counted), Some(id), tenant.as_slice());
        }
    }

    /// What the runtime took, which the `report` doesn't have. Lines of one millisecond
    /// have no order: the `report` may have come first.
    pub(super) fn runtime_done<S: Sink>(&mut self, done: &Report<'_>, at: &mut At<'_, S>) {
        let request_id = done.request_id.as_deref();
        let late = request_id.is_some_and(|id| self.last.is(id, at.time));
        let whole = if late { self.last.duration_ms.take() } else { None };
        let tenant = self.tenant(done.tenant_id.as_deref());
        let tags = tenant.as_slice();
        let mut measured = at.measured(request_id);
        measured.add(Measure::RuntimeDuration, done.metrics.duration_ms, tags);
        measured.add(Measure::ProducedBytes, done.metrics.produced_bytes, tags);
        measured.add(Measure::ResponseLatency, done.span("responseLatency"), tags);
        measured.add(Measure::ResponseDuration, done.span("responseDuration"), tags);
        if let (Some(whole), Some(runtime)) = (whole, done.metrics.duration_ms) {
            measured.add(Measure::PostRuntimeDuration, post_runtime(whole, runtime), tags);
        }
        let failure = done.failure();
        if late {
            measured.add_failure(less(failure, self.last.counted), tags);
            self.last.counted = both(self.last.counted, failure);
        }
        at.emit(&measured);
        if let Some(attempt) = request_id.filter(|_| !late).and_then(|id| self.attempt(id)) {
            attempt.runtime_duration_ms = done.metrics.duration_ms;
            attempt.done = failure;
        }
    }

    /// A failure that a line of its own tells.
    pub(super) fn failed<S: Sink>(&mut self, failure: Failure, request_id: Option<&str>, at: &mut At<'_, S>) {
        let Some(counted) = request_id.and_then(|id| self.counted(id, at.time)) else {
            at.emit_failure(failure, request_id, &[]);
            return;
        };
        let new = less(failure, *counted);
        *counted = both(*counted, failure);
        at.emit_failure(new, request_id, &[]);
    }

    /// The tag of an invocation's tenant, if it is wanted.
    fn tenant<'t>(&self, id: Option<&'t str>) -> Option<Tag<'t>> {
        let id = id.filter(|id| self.tenant_tag && !id.is_empty());
        id.map(|value| Tag { key: TENANT_TAG, value })
    }

    /// What was counted of the attempt that a line is about, when there is room to remember it.
    fn counted(&mut self, request_id: &str, time: Timestamp) -> Option<&mut Failure> {
        if self.last.is(request_id, time) {
            return Some(&mut self.last.counted);
        }
        let attempt = self.attempt(request_id)?;
        // A filter may let no `REPORT` through: what is told that much later is a retry's.
        if time.distance(attempt.told_at) > RETRY {
            attempt.counted = Failure::default();
        }
        attempt.told_at = time;
        Some(&mut attempt.counted)
    }

    /// Whether something is remembered of a request.
    pub(super) fn knows(&self, request_id: &str) -> bool {
        self.by_request.contains_key(request_id) || self.last.request_id.as_deref() == Some(request_id)
    }

    /// The attempt of a request, when there is room to remember it.
    fn attempt(&mut self, request_id: &str) -> Option<&mut Attempt> {
        if self.by_request.len() >= self.max && !self.by_request.contains_key(request_id) {
            return None;
        }
        if !self.by_request.contains_key(request_id) {
            self.by_request.insert(request_id.to_owned(), Attempt::default());
        }
        self.by_request.get_mut(request_id)
    }
}

impl Init {
    fn emit<S: Sink>(&self, at: &mut At<'_, S>) {
        at.of(self.time, &self.event_id).emit_some(Measure::InitDuration, Some(self.duration_ms));
    }
}

impl Ended {
    fn end(&mut self, request_id: Option<&str>, time: Timestamp, counted: Failure, tenant_id: Option<String>) {
        (self.time, self.counted, self.tenant_id) = (time, counted, tenant_id);
        match request_id {
            Some(id) => id.clone_into(self.request_id.get_or_insert_default()),
            None => self.request_id = None,
        }
    }

    /// Whether a line of this time is about it.
    fn is(&self, request_id: &str, time: Timestamp) -> bool {
        self.request_id.as_deref() == Some(request_id) && time.distance(self.time) <= LATE
    }
}

const fn both(one: Failure, other: Failure) -> Failure {
    Failure {
        error: one.error || other.error,
        timeout: one.timeout || other.timeout,
        out_of_memory: one.out_of_memory || other.out_of_memory,
    }
}

/// What of a failure hasn't been counted.
const fn less(failure: Failure, counted: Failure) -> Failure {
    Failure {
        error: failure.error && !counted.error,
        timeout: failure.timeout && !counted.timeout,
        out_of_memory: failure.out_of_memory && !counted.out_of_memory,
    }
}

/// What came after the runtime was done; nothing where Lambda's two clocks contradict each other.
fn post_runtime(whole: f64, runtime: f64) -> Option<f64> {
    Some(rounded(whole - runtime)).filter(|rest| *rest >= 0.0)
}

/// To the microsecond, which is as exact as Lambda says: 11.642 − 11.185 is 0.457.
fn rounded(millis: f64) -> f64 {
    (millis * 1000.0).round() / 1000.0
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "memory is positive and small")]
fn whole(number: f64) -> u64 {
    number as u64
}
