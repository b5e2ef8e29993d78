//! Metrics that functions write as lines.

use std::collections::BTreeSet;

use smallvec::SmallVec;

use super::{Bounds, Counts};
use crate::model::{LogEvent, Metric, Name, Origin, Sink, Tag, Timestamp, Unit, Value};
use crate::parse::{DatadogMetric, Emf, EmfMetric, Monitoring, MonitoringLine};

/// Custom metrics of a batch, within bounds: names are text that functions print.
#[derive(Debug, Default)]
pub(super) struct Custom {
    names: BTreeSet<String>,
}

/// Tags of a metric: as many as most have need no memory of their own.
type Tags<'a> = SmallVec<[Tag<'a>; 6]>;

/// The event that a metric is read from, and where it goes.
pub(super) struct Reading<'a, S> {
    pub(super) bounds: Bounds,
    pub(super) origin: &'a Origin,
    pub(super) event: &'a LogEvent<'a>,
    /// Invocation that wrote the line, when the line doesn't say.
    pub(super) running: Option<&'a str>,
    pub(super) counts: &'a mut Counts,
    pub(super) out: &'a mut S,
}

impl Custom {
    /// Makes metrics of `MONITORING` records; `false` when there are too many names.
    pub(super) fn monitoring<S: Sink>(&mut self, line: &MonitoringLine<'_>, from: &mut Reading<'_, S>) -> bool {
        if !self.admits(line.metrics().map(|metric| metric.name.as_ref()), from) {
            return false;
        }
        let request_id = line.request_id.as_deref();
        let mut tags = Tags::new();
        from.tags(line.first.tags().map(Tag::parse), &mut tags);
        let Monitoring { name, time, value, .. } = &line.first;
        let first = from.metric(name, *time, *value, None, &tags, request_id);
        if line.more.is_empty() {
            from.emit(&[first]);
            return true;
        }
        let mut tags = vec![Tags::new(); line.more.len()];
        line.more.iter().zip(&mut tags).for_each(|(metric, tags)| from.tags(metric.tags().map(Tag::parse), tags));
        let more = line.more.iter().zip(&tags).map(|(metric, tags)| {
            let Monitoring { name, time, value, .. } = metric;
            from.metric(name, *time, *value, None, tags, request_id)
        });
        let all: Vec<_> = std::iter::once(first).chain(more).collect();
        from.emit(&all);
        true
    }

    /// Makes a metric of Datadog's JSON; `false` when there are too many names.
    pub(super) fn datadog<S: Sink>(&mut self, metric: &DatadogMetric<'_>, from: &mut Reading<'_, S>) -> bool {
        if !self.admits(std::iter::once(metric.name.as_ref()), from) {
            return false;
        }
        let mut tags = Tags::new();
        from.tags(metric.tags.iter().map(|tag| Tag::parse(tag)), &mut tags);
        let metric = from.metric(&metric.name, metric.time, Value::Distribution(metric.value), None, &tags, None);
        from.emit(&[metric]);
        true
    }

    /// Makes metrics of an EMF document: one for each value, with its dimensions
    /// and its namespace as tags. What counts (`Count`) is a count, all else a
    /// sample of a distribution. `false` when there are too many names.
    pub(super) fn emf<S: Sink>(&mut self, emf: &Emf<'_>, from: &mut Reading<'_, S>) -> bool {
        if !self.admits(emf.metrics().map(|metric| metric.name.as_ref()), from) {
            return false;
        }
        for (directives, defined) in emf.defined() {
            let mut dimensions: Vec<_> = directives.iter().flat_map(|one| emf.dimensions_of(one)).collect();
            if directives.len() > 1 {
                dimensions.sort_unstable();
                dimensions.dedup();
            }
            let namespace = directives.first().map(|one| Tag { key: "namespace", value: &one.namespace });
            let mut tags = Tags::new();
            from.tags(dimensions.into_iter().map(|(key, value)| Tag { key, value }).chain(namespace), &mut tags);
            let mut metrics = Vec::with_capacity(defined.iter().map(|metric| metric.values.len()).sum());
            for EmfMetric { name, unit, values } in defined {
                let (unit, counts) = match unit.as_deref() {
                    None | Some("None") => (None, false),
                    Some("Count") => (None, true),
                    Some(unit) => (Some(emf_unit(unit)), false),
                };
                for value in values {
                    let value = if counts { Value::Count(*value) } else { Value::Histogram(*value) };
                    metrics.push(from.metric(name, emf.time, value, unit, &tags, emf.request_id.as_deref()));
                }
            }
            from.emit(&metrics);
        }
        true
    }

    /// Whether metrics of these names are within bounds.
    fn admits<'n, S: Sink>(&mut self, names: impl Iterator<Item = &'n str>, from: &mut Reading<'_, S>) -> bool {
        for name in names {
            if self.names.contains(name) {
                continue;
            }
            if self.names.len() >= from.bounds.metric_names {
                from.counts.metric_names_over_bound += 1;
                return false;
            }
            self.names.insert(name.to_owned());
        }
        true
    }
}

impl<'a, S: Sink> Reading<'a, S> {
    /// Puts down tags, within bounds: where they stay, as a copy of so much takes longer than to read them.
    fn tags<'t>(&mut self, tags: impl Iterator<Item = Tag<'t>>, kept: &mut Tags<'t>) {
        for tag in tags {
            // A backend that makes a list of a tag's values would show it twice.
            if kept.contains(&tag) {
                continue;
            }
            if kept.len() < self.bounds.tags {
                kept.push(tag);
            } else {
                self.counts.tags_over_bound += 1;
            }
        }
    }

    fn metric<'m>(
        &self,
        name: &'m str,
        time: Timestamp,
        value: Value,
        unit: Option<Unit<'m>>,
        tags: &'m [Tag<'m>],
        request_id: Option<&'m str>,
    ) -> Metric<'m>
    where
        'a: 'm,
    {
        let request_id = request_id.or(self.running);
        let (name, written, event_id) = (Name::Custom(name), self.event.time, self.event.id);
        Metric { name, time, written, value, unit, tags, request_id, event_id }
    }

    fn emit(&mut self, metrics: &[Metric<'_>]) {
        if !metrics.is_empty() {
            self.counts.metrics += metrics.len() as u64;
            self.out.metrics(self.origin, metrics);
        }
    }
}

/// The units that have a name of ours; others keep theirs.
fn emf_unit(unit: &str) -> Unit<'_> {
    match unit {
        "Bytes" => Unit::Bytes,
        "Milliseconds" => Unit::Milliseconds,
        "Seconds" => Unit::Seconds,
        other => Unit::Other(other),
    }
}
