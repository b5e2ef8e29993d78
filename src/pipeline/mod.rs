//! From log events to telemetry.
//!
//! For each event, in this order: what it says of the platform is measured, a
//! line that carries only a metric becomes one, and what remains is a log, which
//! the filter lets through or not and from which is taken out what the settings say.
//! Measures are made before anything is dropped.

mod about;
mod cost;
mod current;
mod custom;
mod filter;
mod hint;
mod measure;
mod naming;
mod needles;
mod origin;
mod run;
mod scrub;
mod settings;
mod spelling;

pub use cost::{Architecture, Prices};
pub use filter::Filter;
pub use hint::Hints;
pub use measure::LATE;
use needles::Needles;
pub use run::Run;
pub use scrub::{Rule, Scrub};
pub use settings::{Bounds, Lines, Settings};

use crate::event::Envelope;
use crate::json::JsonStr;
use crate::model::{Forwarder, LogEvent, Sink, Timestamp};

/// What became of the events of a batch.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Counts {
    /// Summaries of another forwarder of our kind.
    pub other_forwarders: u64,
    /// Log events read.
    pub received: u64,
    /// Lines that became metrics and nothing else.
    pub consumed: u64,
    /// Logs made.
    pub logs: u64,
    /// Of these, logs that the settings kept from being shipped.
    pub filtered: u64,
    /// Metrics made.
    pub metrics: u64,
    /// Custom metrics left as logs, as their batch had too many names.
    pub metric_names_over_bound: u64,
    /// Tags left out, as their metric had too many.
    pub tags_over_bound: u64,
}

/// Turns log events into telemetry: made once, used for every batch.
#[derive(Debug)]
pub struct Pipeline {
    settings: Settings,
    needles: Needles,
}

impl Pipeline {
    /// Takes the settings.
    pub fn new(settings: Settings) -> Self {
        Self { settings, needles: Needles::new() }
    }

    /// Begins a batch.
    pub fn run(&self, envelope: &Envelope, forwarder: &Forwarder) -> Run<'_> {
        Run::new(self, envelope, forwarder)
    }
}

/// Reads a line that is given as text: for tests and tools.
pub fn push_text(run: &mut Run<'_>, id: &str, time: Timestamp, text: &str, out: &mut impl Sink) {
    let mut buffer = Vec::new();
    let message = JsonStr::escape(text, &mut buffer);
    run.push(&LogEvent::new(id, time, message), out);
}
