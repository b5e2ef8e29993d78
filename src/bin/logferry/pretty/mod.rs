//! What functions wrote, for people: invocations as a table, metrics, logs.
//!
//! It collects while batches pass by and is written once, at the end. Times are
//! in UTC. What the tables show besides is left out of the logs' lines.

mod attempt;
mod entry;
mod section;
mod series;
mod subject;
#[cfg(test)]
pub(crate) mod tests;

use logferry::model::{Log, Metric, Name, Origin, Sink, Timestamp};
use section::Section;
pub(crate) use subject::Subjects;

use crate::style::{Style, visible};

/// Share of its memory above which a function is short of it.
pub(crate) const TIGHT: f64 = 0.9;

/// Shows everything that was made.
#[derive(Debug)]
pub(crate) struct Pretty {
    /// Invocations that are shown of each function.
    pub(crate) max_invocations: usize,
    /// Logs that are shown of each function.
    pub(crate) max_logs: usize,
    sections: Subjects<Section>,
}

impl Default for Pretty {
    fn default() -> Self {
        Self { max_invocations: 200, max_logs: 50, sections: Subjects::default() }
    }
}

impl Pretty {
    /// Everything, as text.
    pub(crate) fn render(&self, style: Style) -> String {
        let mut out = String::new();
        for (subject, section) in self.sections.iter() {
            out += &subject.heading(section.days(), style);
            out += &section.invocations(self.max_invocations, style);
            out += &section.metrics(style);
            out += &section.logs(style);
            out.push('\n');
        }
        out
    }
}

impl Sink for Pretty {
    fn log(&mut self, origin: &Origin, log: &Log<'_>) {
        if let Some(section) = self.sections.of(origin) {
            section.log(log, self.max_logs);
        }
    }

    fn metrics(&mut self, origin: &Origin, metrics: &[Metric<'_>]) {
        let Some(section) = self.sections.of(origin) else { return };
        for metric in metrics {
            match metric.name {
                Name::Custom(name) => section.custom(name, metric),
                Name::Measure(measure) => section.measure(measure, metric),
            }
        }
    }
}

/// The first characters of a request id, enough to find it.
fn short(request_id: Option<&str>) -> String {
    visible(request_id.unwrap_or_default()).chars().take(8).collect()
}

/// `2026-11-20`
fn day(time: Timestamp) -> String {
    time.to_string().chars().take_while(|c| *c != 'T').collect()
}

/// `09:02:14.920`
fn clock(time: Timestamp) -> String {
    let text = time.to_string();
    text.split_once('T').map(|(_, clock)| clock.trim_end_matches('Z').to_owned()).unwrap_or_default()
}

/// `20%`
pub(crate) fn percent(part: f64) -> String {
    format!("{:.0}%", part * 100.0)
}
