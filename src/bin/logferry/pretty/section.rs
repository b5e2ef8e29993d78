//! What is shown of one function or log group.

use std::collections::{BTreeMap, HashMap};

use logferry::model::{Level, Log, Measure, Metric, Timestamp};
use logferry::pipeline::LATE;

use super::attempt::{Attempt, Status};
use super::entry::Entry;
use super::series::Series;
use crate::style::{Cell, Column, Paint, Style, Table, count, visible};

/// What is shown of one subject.
#[derive(Debug, Default)]
pub(super) struct Section {
    pub(super) attempts: Vec<Attempt>,
    /// The latest attempt of each request.
    by_request: HashMap<String, usize>,
    /// The event of the measures at hand, and its attempt.
    current: Option<(String, Timestamp, usize)>,
    /// How long environments took to start, where no invocation says it.
    starts: Vec<f64>,
    series: BTreeMap<(String, &'static str), Series>,
    pub(super) entries: Vec<Entry>,
    /// Logs that aren't shown, and errors among them.
    hidden: usize,
    hidden_errors: usize,
}

impl Section {
    /// The first and the last time of all that is shown.
    pub(super) fn days(&self) -> Option<(Timestamp, Timestamp)> {
        let series = self.series.values().map(|series| series.last.0);
        let attempts = self.attempts.iter().map(|attempt| attempt.time);
        let times = || attempts.clone().chain(series.clone()).chain(self.entries.iter().map(|entry| entry.time));
        times().min().zip(times().max())
    }

    /// Joins the measures of a `REPORT`, and what other lines told of its failure.
    pub(super) fn measure(&mut self, measure: Measure, metric: &Metric<'_>) {
        let place = match measure {
            Measure::Invocations => Some(self.report(metric)),
            Measure::Errors | Measure::Timeouts | Measure::OutOfMemory => {
                Some(self.at_hand(metric).unwrap_or_else(|| self.failed(metric)))
            }
            _ => self.at_hand(metric),
        };
        match place.and_then(|place| self.attempts.get_mut(place)) {
            Some(attempt) => attempt.take(measure, metric.value.number()),
            None if measure == Measure::InitDuration => self.starts.push(metric.value.number()),
            None => {}
        }
    }

    /// The attempt whose event is at hand: all measures of a `REPORT` come one after another.
    fn at_hand(&self, metric: &Metric<'_>) -> Option<usize> {
        let (event_id, time, place) = self.current.as_ref()?;
        let attempt = self.attempts.get(*place)?;
        let same = event_id == metric.event_id && *time == metric.time;
        (same && attempt.request_id.as_deref() == metric.request_id).then_some(*place)
    }

    /// The attempt that a `REPORT` ends: the one that was told to fail, or a new one.
    fn report(&mut self, metric: &Metric<'_>) -> usize {
        let known = self.latest(metric).filter(|(_, attempt)| !attempt.reported).map(|(place, _)| place);
        let place = self.enter(known, metric);
        if let Some(attempt) = self.attempts.get_mut(place) {
            (attempt.reported, attempt.time) = (true, metric.time);
        }
        place
    }

    /// The attempt that a line tells to have failed, before its `REPORT` or right after it.
    fn failed(&mut self, metric: &Metric<'_>) -> usize {
        let known = self.latest(metric);
        let known = known.filter(|(_, attempt)| !attempt.reported || attempt.time.distance(metric.time) <= LATE);
        let known = known.map(|(place, _)| place);
        self.enter(known, metric)
    }

    fn latest(&self, metric: &Metric<'_>) -> Option<(usize, &Attempt)> {
        let place = *self.by_request.get(metric.request_id?)?;
        Some((place, self.attempts.get(place)?))
    }

    /// Makes an attempt the one at hand, a new one if none is known.
    fn enter(&mut self, known: Option<usize>, metric: &Metric<'_>) -> usize {
        let place = known.unwrap_or(self.attempts.len());
        if known.is_none() {
            let request_id = metric.request_id.map(str::to_owned);
            self.by_request.extend(request_id.clone().map(|id| (id, place)));
            self.attempts.push(Attempt::new(metric.time, request_id));
        }
        self.current = Some((metric.event_id.to_owned(), metric.time, place));
        place
    }

    pub(super) fn custom(&mut self, name: &str, metric: &Metric<'_>) {
        let kind = metric.value.kind();
        let series = self.series.entry((name.to_owned(), kind.as_str())).or_insert_with(|| Series::new(kind));
        series.take(metric);
    }

    pub(super) fn log(&mut self, log: &Log<'_>, max: usize) {
        if self.entries.len() < max {
            self.entries.push(Entry::new(log));
        } else {
            self.hidden += 1;
            self.hidden_errors += usize::from(log.level >= Some(Level::Error));
        }
    }

    /// The table of invocations, by time: the first `max` of them.
    pub(super) fn invocations(&self, max: usize, style: Style) -> String {
        if self.attempts.is_empty() {
            return self.starts(style);
        }
        let mut attempts: Vec<_> = self.attempts.iter().collect();
        attempts.sort_by_key(|attempt| attempt.time);
        let hidden = attempts.split_off(attempts.len().min(max));
        let longest = attempts.iter().filter_map(|attempt| attempt.duration).fold(0.0, f64::max);
        let mut table = Table::new([
            Column::left("time"),
            Column::left("request"),
            Column::right("duration"),
            Column::bar(),
            Column::right("billed").expendable(2),
            Column::right("memory"),
            Column::right("used").close().expendable(3),
            Column::right("init"),
            Column::right("restore"),
            Column::left("status"),
        ]);
        for attempt in attempts {
            table.push(attempt.row(longest));
        }
        let caption = style.paint_lines(Paint::Dim, &style.wrap(&self.caption(), 0));
        let mut out = format!("\n{caption}\n{}", table.render(style));
        if !hidden.is_empty() {
            let failed = hidden.iter().filter(|attempt| attempt.status() != Status::Ok).count();
            out.extend([format!("… and {}, {failed} of them failed\n", count(hidden.len(), "more invocation"))]);
        }
        out + &self.starts(style)
    }

    /// How many invocations there are, how they ended, and the units of the table.
    fn caption(&self) -> String {
        let many = |wanted: fn(&Attempt) -> bool| self.attempts.iter().filter(|attempt| wanted(attempt)).count();
        let mut said = count(many(|attempt| attempt.reported), "invocation");
        for (many, what) in [
            (many(|attempt| attempt.status() == Status::Error), "failed"),
            (many(|attempt| attempt.status() == Status::Timeout), "timed out"),
            (many(|attempt| attempt.status() == Status::OutOfMemory), "out of memory"),
            (many(|attempt| !attempt.reported), "without a REPORT"),
        ] {
            if many > 0 {
                said.extend([format!(", {many} {what}")]);
            }
        }
        said + "; in ms and MB"
    }

    fn starts(&self, style: Style) -> String {
        let Some(longest) = self.starts.iter().copied().reduce(f64::max) else { return String::new() };
        let environments = count(self.starts.len(), "environment");
        let said = format!("{environments} started outside of invocations, which took {longest:.0} ms at most");
        style.paint(Paint::Dim, &said) + "\n"
    }

    pub(super) fn metrics(&self, style: Style) -> String {
        if self.series.is_empty() {
            return String::new();
        }
        let mut table = Table::new([
            Column::left("metric").at_least(16),
            Column::left("type"),
            Column::right("values"),
            Column::left(""),
        ]);
        for ((name, kind), series) in &self.series {
            let worth = visible(&series.worth());
            table.push([Cell::text(visible(name)), Cell::text(*kind), series.count.to_string().into(), worth.into()]);
            table.note(series.tags());
        }
        format!("\n{}", table.render(style))
    }

    /// Logs by time, as far as they are shown.
    pub(super) fn logs(&self, style: Style) -> String {
        if self.entries.is_empty() && self.hidden == 0 {
            return String::new();
        }
        let mut entries: Vec<_> = self.entries.iter().collect();
        entries.sort_by_key(|entry| entry.time);
        let levels = entries.iter().any(|entry| entry.level.is_some());
        let requests = entries.iter().any(|entry| !entry.request_id.is_empty());
        let mut out = String::from("\n");
        for entry in entries {
            entry.render(levels, requests, style, &mut out);
        }
        if self.hidden > 0 {
            let errors = count(self.hidden_errors, "error");
            out.extend([format!("… and {}, {errors} among them\n", count(self.hidden, "more log"))]);
        }
        out
    }
}
