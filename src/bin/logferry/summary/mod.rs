//! What each function's invocations come to, and what one would change.
//!
//! Numbers are those of the `REPORT`s that were read and of nothing else: the
//! advice says on how many invocations it rests.

mod stats;

use std::collections::BTreeSet;

use logferry::model::{Log, Measure, Metric, Name, Origin, Sink, Tag};
use stats::{ENOUGH, Memory, Stats, share};

use crate::pretty::{Subjects, TIGHT, percent};
use crate::style::{Cell, Column, Paint, Style, Table, number, spark, visible};

/// Columns of the picture of durations.
const SPREAD: usize = 12;

/// The picture of durations.
const SPREAD_COLUMN: Column = Column::left("spread").expendable(1);

/// Adds up what invocations measure.
#[derive(Debug, Default)]
pub(crate) struct Summary {
    functions: Subjects<Stats>,
    /// What prices rest on: architecture and list.
    prices: BTreeSet<String>,
}

impl Sink for Summary {
    fn log(&mut self, _: &Origin, _: &Log<'_>) {}

    fn wants_json_fields(&self) -> bool {
        false
    }

    fn metrics(&mut self, origin: &Origin, metrics: &[Metric<'_>]) {
        for metric in metrics {
            self.metric(origin, metric);
        }
    }
}

impl Summary {
    fn metric(&mut self, origin: &Origin, metric: &Metric<'_>) {
        let Name::Measure(measure) = metric.name else { return };
        if measure == Measure::EstimatedCost {
            let basis = |tag: &&Tag<'_>| matches!(tag.key, "architecture" | "price_basis");
            let basis: Vec<_> = metric.tags.iter().filter(basis).map(|tag| tag.value).collect();
            self.prices.insert(visible(&basis.join(", ")));
        }
        if let Some(stats) = self.functions.of(origin) {
            stats.take(measure, metric);
        }
    }

    /// Tables by function, and advice.
    pub(crate) fn render(&self, style: Style) -> String {
        let labels = self.functions.labels();
        let all: Vec<_> =
            labels.iter().map(String::as_str).zip(self.functions.iter().map(|(_, stats)| stats)).collect();
        if all.is_empty() {
            return "No invocations.\n".to_owned();
        }
        let mut out = String::new();
        let durations = durations(&all);
        let pictured = durations.shows(SPREAD_COLUMN, style);
        for (title, table) in [
            ("Invocations", invocations(&all)),
            ("Durations in ms, percentiles by nearest rank", durations),
            ("Memory in MB (used at most, and free at least), and costs", memory(&all)),
        ] {
            if table.tells() {
                out.extend([style.paint(Paint::Bold, title).as_str(), "\n", &table.render(style), "\n"]);
            }
        }
        out += &self.footnotes(&all, pictured, style);
        out + &advice(&all, style)
    }

    /// What the tables rest on, the picture of durations where there was room for it.
    fn footnotes(&self, all: &[(&str, &Stats)], pictured: bool, style: Style) -> String {
        let mut notes = Vec::new();
        if let Some((shortest, longest)) = range(all).filter(|_| pictured) {
            let (shortest, longest) = (number(shortest), number(longest));
            notes.push(format!(
                "spread: how many took how long, from {shortest} to {longest} ms on a logarithmic scale."
            ));
        }
        if all.iter().any(|(_, stats)| stats.billed_over_run().is_some()) {
            notes.push("billed/run: billed over actual duration; above 1 are starts and rounding.".to_owned());
        }
        if !self.prices.is_empty() {
            let basis: Vec<_> = self.prices.iter().map(String::as_str).collect();
            notes.push(format!("USD: estimated for {}.", basis.join(" and ")));
        }
        let note = |note: &String| style.paint_lines(Paint::Dim, &style.wrap(note, 2)) + "\n";
        notes.iter().map(note).collect::<String>() + "\n"
    }
}

fn invocations(all: &[(&str, &Stats)]) -> Table {
    let mut table = Table::new([
        Column::left("function").at_least(16),
        Column::right("invoked"),
        Column::right("errors"),
        Column::right("timeouts"),
        // The advice says it in words.
        Column::right("out of memory").expendable(2),
        Column::right("cold starts"),
        Column::right("").close().expendable(1),
        Column::bar(),
    ]);
    let timeouts = all.iter().any(|(_, stats)| stats.timeouts > 0);
    let out_of_memory = all.iter().any(|(_, stats)| stats.out_of_memory > 0);
    let failures = |many: usize, shown: bool| {
        let cell = if shown { Cell::text(many.to_string()) } else { Cell::empty() };
        if many > 0 { cell.paint(Paint::Red) } else { cell }
    };
    for (name, stats) in all {
        let cold = share(stats.cold_starts, stats.invocations);
        table.push([
            Cell::text(*name),
            stats.invocations.to_string().into(),
            failures(stats.errors, true),
            failures(stats.timeouts, timeouts),
            failures(stats.out_of_memory, out_of_memory),
            stats.cold_starts.to_string().into(),
            cold.map(percent).into(),
            cold.map(Cell::bar).into(),
        ]);
    }
    table
}

fn durations(all: &[(&str, &Stats)]) -> Table {
    let mut table = Table::new([
        Column::left("function").at_least(16),
        Column::right("p50"),
        Column::right("p95"),
        Column::right("p99"),
        Column::right("max"),
        SPREAD_COLUMN,
    ]);
    let range = range(all);
    for (name, stats) in all {
        let mut sorted = stats.durations.clone();
        sorted.sort_unstable_by(f64::total_cmp);
        let at = |percent| Cell::from(nearest_rank(&sorted, percent).map(|value| format!("{value:.2}")));
        let spread = range.map(|range| spark(&spread(&sorted, range)));
        table.push([Cell::text(*name), at(50), at(95), at(99), at(100), Cell::from(spread).paint(Paint::Cyan)]);
    }
    table
}

fn memory(all: &[(&str, &Stats)]) -> Table {
    let mut table = Table::new([
        Column::left("function").at_least(16),
        Column::right("size"),
        Column::right("used"),
        Column::bar(),
        Column::right("free"),
        Column::right("billed/run"),
        Column::right("USD").expendable(1),
        Column::right("USD/million"),
    ]);
    for (name, stats) in all {
        let memory = stats.memory();
        let used = memory.map(Memory::share);
        let alarm = if used > Some(TIGHT) { Paint::RedBold } else { Paint::Plain };
        let bar = Cell::from(used.map(Cell::bar));
        let per_million = stats.cost.zip(share(1, stats.priced)).map(|(cost, one)| cost * one * 1e6);
        table.push([
            Cell::text(*name),
            memory.map(|memory| format!("{:.0}", memory.size)).into(),
            memory.map(|memory| format!("{:.0}", memory.used)).into(),
            if used > Some(TIGHT) { bar.paint(Paint::Red) } else { bar },
            Cell::from(used.map(|used| percent(1.0 - used))).paint(alarm),
            stats.billed_over_run().map(|ratio| format!("{ratio:.2}")).into(),
            stats.cost.map(dollars).into(),
            per_million.map(dollars).into(),
        ]);
    }
    table
}

/// What one would change, function by function.
fn advice(all: &[(&str, &Stats)], style: Style) -> String {
    let mut lines = vec![style.paint(Paint::Bold, "What one would change")];
    for (name, stats) in all {
        let advice = stats.advice().map(|advice| style.wrap(&format!("- {name}: {advice}"), 2));
        lines.extend(advice.map(|advice| advice.replacen(name, &style.paint(Paint::Bold, name), 1)));
    }
    if lines.len() == 1 {
        lines.push("Nothing stands out.".to_owned());
    }
    if all.iter().any(|(_, stats)| stats.invocations < ENOUGH) {
        let note = format!("Advice on smaller memory and on cold starts takes {ENOUGH} invocations of a function.");
        lines.push(style.paint_lines(Paint::Dim, &style.wrap(&note, 0)));
    }
    lines.join("\n") + "\n\n"
}

/// The smallest value that at least so many percent of all don't exceed.
fn nearest_rank(sorted: &[f64], percent: usize) -> Option<f64> {
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted.get(rank.checked_sub(1)?).copied()
}

/// The shortest and the longest duration of all functions.
fn range(all: &[(&str, &Stats)]) -> Option<(f64, f64)> {
    let durations = || all.iter().flat_map(|(_, stats)| &stats.durations).copied().filter(|duration| *duration > 0.0);
    durations().reduce(f64::min).zip(durations().reduce(f64::max))
}

/// How many durations are in each column of the picture.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 0 to 11")]
#[expect(clippy::cast_precision_loss, reason = "12 columns")]
fn spread(durations: &[f64], (shortest, longest): (f64, f64)) -> [u32; SPREAD] {
    let mut columns = [0; SPREAD];
    for duration in durations {
        let part = (duration.max(shortest) / shortest).ln() / (longest / shortest).ln().max(f64::MIN_POSITIVE);
        let column = (part * SPREAD as f64) as usize;
        if let Some(count) = columns.get_mut(column.min(SPREAD - 1)) {
            *count += 1;
        }
    }
    columns
}

/// Three digits that count: `0.0000187`, `1.24`.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the places of a price")]
fn dollars(value: f64) -> String {
    let places = if value > 0.0 { (2.0 - value.log10().floor()).clamp(2.0, 12.0) as usize } else { 2 };
    format!("{value:.places$}")
}

#[cfg(test)]
mod tests;
