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
mod spelling;

pub use cost::{Architecture, Prices};
pub use filter::Filter;
pub use hint::Hints;
pub use measure::LATE;
use needles::Needles;
pub use run::Run;
pub use scrub::{Rule, Scrub};

use crate::event::{Envelope, LogEvent};
use crate::json::JsonStr;
use crate::model::{Forwarder, Sink, Timestamp};

/// How telemetry is made of log events.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Which logs are shipped.
    pub filter: Filter,
    /// What is taken out of their messages.
    pub scrub: Option<Scrub>,
    /// Whether Lambda's own lines are shipped as logs.
    pub platform_lines: Lines,
    /// Whether lines that carry only a metric are shipped as logs too.
    pub metric_lines: Lines,
    /// Whether EMF documents are shipped as logs beside their metrics.
    pub emf_lines: Lines,
    /// What invocations cost.
    pub prices: Prices,
    /// Failures that only the words of a program tell.
    pub hints: Hints,
    /// Whether measures of an invocation are tagged with its tenant.
    pub tenant_tag: bool,
    /// Tags added to everything.
    pub tags: Vec<(String, String)>,
    /// How much of a batch is remembered.
    pub bounds: Bounds,
}

/// As the variables' defaults.
impl Default for Settings {
    fn default() -> Self {
        Self {
            filter: Filter::default(),
            scrub: None,
            platform_lines: Lines::Keep,
            metric_lines: Lines::Drop,
            emf_lines: Lines::Keep,
            prices: Prices::default(),
            hints: Hints::default(),
            tenant_tag: false,
            tags: Vec::new(),
            bounds: Bounds::default(),
        }
    }
}

/// What becomes of lines that were measured.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Lines {
    /// They end here.
    Drop,
    /// They are logs.
    Keep,
}

/// How much of a batch is remembered.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Bounds {
    /// Requests whose lines are joined at the same time.
    pub requests: usize,
    /// Distinct names of custom metrics.
    pub metric_names: usize,
    /// Tags of one custom metric.
    pub tags: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { requests: 10_000, metric_names: 1_000, tags: 64 }
    }
}

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
    run.push(&LogEvent { id, time, message, json: "", extracted_fields: None }, out);
}
