//! A row of the table of invocations.

use logferry::model::{Measure, Timestamp};
use logferry::parse::Failure;

use super::{TIGHT, clock, percent, short};
use crate::style::{Cell, Paint};

/// One attempt at an invocation: a row of the table.
#[derive(Clone, Debug, Default)]
pub(super) struct Attempt {
    pub(super) time: Timestamp,
    pub(super) request_id: Option<String>,
    /// Whether its `REPORT` was read, and not only a line about its failure.
    pub(super) reported: bool,
    failure: Failure,
    pub(super) duration: Option<f64>,
    billed: Option<f64>,
    memory_size: Option<f64>,
    memory_used: Option<f64>,
    init: Option<f64>,
    restore: Option<f64>,
}

/// How an attempt ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Status {
    Error,
    Ok,
    OutOfMemory,
    Timeout,
}

impl Attempt {
    pub(super) fn new(time: Timestamp, request_id: Option<String>) -> Self {
        Self { time, request_id, ..Self::default() }
    }

    pub(super) fn take(&mut self, measure: Measure, value: f64) {
        match measure {
            Measure::Duration => self.duration = Some(value),
            Measure::BilledDuration => self.billed = Some(value),
            Measure::InitDuration => self.init = Some(value),
            Measure::RestoreDuration => self.restore = Some(value),
            Measure::MemorySize => self.memory_size = Some(value),
            Measure::MaxMemoryUsed => self.memory_used = Some(value),
            Measure::Errors => self.failure.error = true,
            Measure::Timeouts => self.failure.timeout = true,
            Measure::OutOfMemory => self.failure.out_of_memory = true,
            Measure::BilledRestoreDuration
            | Measure::Invocations
            | Measure::ColdStarts
            | Measure::RuntimeDuration
            | Measure::PostRuntimeDuration
            | Measure::ResponseLatency
            | Measure::ResponseDuration
            | Measure::ProducedBytes
            | Measure::EstimatedCost => {}
        }
    }

    /// How it ended, by its most telling failure.
    pub(super) const fn status(&self) -> Status {
        if self.failure.out_of_memory {
            Status::OutOfMemory
        } else if self.failure.timeout {
            Status::Timeout
        } else if self.failure.error {
            Status::Error
        } else {
            Status::Ok
        }
    }

    pub(super) fn row(&self, longest: f64) -> [Cell; 10] {
        let (status, paint) = self.status().show();
        let whole = |value: Option<f64>| Cell::from(value.map(|value| format!("{value:.0}")));
        let used = self.memory_size.zip(self.memory_used).filter(|(size, _)| *size > 0.0);
        let part = used.map(|(size, used)| used / size);
        let tight = if part > Some(TIGHT) { Paint::RedBold } else { Paint::Plain };
        let memory = match (self.memory_size, self.memory_used) {
            (Some(size), Some(used)) => Cell::text(format!("{used:.0}/{size:.0}")),
            (_, used) => whole(used),
        };
        let bar = self.duration.filter(|_| longest > 0.0).map(|duration| Cell::bar(duration / longest));
        let bar_paint = if self.status() == Status::Ok { Paint::Cyan } else { paint };
        [
            Cell::text(clock(self.time)).paint(Paint::Dim),
            Cell::text(short(self.request_id.as_deref())),
            self.duration.map(|duration| format!("{duration:.2}")).into(),
            Cell::from(bar).paint(bar_paint),
            whole(self.billed),
            memory.paint(tight),
            Cell::from(part.map(percent)).paint(tight),
            whole(self.init),
            whole(self.restore),
            Cell::text(status).paint(paint),
        ]
    }
}

impl Status {
    /// In words, and in their colour.
    const fn show(self) -> (&'static str, Paint) {
        match self {
            Self::Error => ("error", Paint::Red),
            Self::Ok => ("ok", Paint::Green),
            Self::OutOfMemory => ("out of memory", Paint::RedBold),
            Self::Timeout => ("timeout", Paint::Yellow),
        }
    }
}
