//! What each function's invocations come to, and what one would change.
//!
//! Numbers are those of the `REPORT`s that were read and of nothing else: the
//! advice says on how many invocations it rests.

use std::collections::BTreeSet;

use logferry::model::{Log, Measure, Metric, Name, Origin, Sink, Tag, Timestamp};

use crate::pretty::{Subjects, TIGHT, percent};
use crate::style::{Cell, Column, Paint, Style, Table, count, number, spark, visible};

/// Invocations below which advice would be a guess.
const ENOUGH: usize = 5;

/// Share of its memory below which a function has too much of it.
const LOOSE: f64 = 0.5;

/// What one would set for a MB that is used.
const ROOM: f64 = 1.3;

/// Steps, the least and the most of what one would set, in MB. Lambda takes any
/// number from 128 to 10,240; round ones are easier to compare.
const STEP: f64 = 64.0;
const LEAST: f64 = 128.0;
const MOST: f64 = 10_240.0;

/// Share of cold starts above which something can be done about them.
const COLD: f64 = 0.2;

/// Billed over used above which somebody should know why.
const COSTLY: f64 = 1.2;

/// Columns of the picture of durations.
const SPREAD: usize = 12;

/// Adds up what invocations measure.
#[derive(Debug, Default)]
pub(crate) struct Summary {
    functions: Subjects<Stats>,
    /// What prices rest on: architecture and list.
    prices: BTreeSet<String>,
}

/// What is known of one function.
#[derive(Debug, Default)]
struct Stats {
    invocations: usize,
    errors: usize,
    timeouts: usize,
    out_of_memory: usize,
    cold_starts: usize,
    durations: Vec<f64>,
    /// Sums of what was billed, and of the durations that it was billed for.
    billed: f64,
    run: f64,
    longest_start: f64,
    sizes: Vec<Memory>,
    /// The size of the `REPORT` at hand.
    size: Option<f64>,
    cost: Option<f64>,
    /// Invocations whose cost is known.
    priced: usize,
}

/// Memory while the function had one size.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Memory {
    size: f64,
    /// When it last had it.
    latest: Timestamp,
    /// At most.
    used: f64,
    invocations: usize,
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
        for (title, table) in [
            ("Invocations", invocations(&all)),
            ("Durations in ms, percentiles by nearest rank", durations(&all)),
            ("Memory in MB (used at most, and free at least), and costs", memory(&all)),
        ] {
            if table.tells() {
                out.extend([style.paint(Paint::Bold, title).as_str(), "\n", &table.render(style), "\n"]);
            }
        }
        out += &self.footnotes(&all, style);
        out + &advice(&all, style)
    }

    /// What the tables rest on.
    fn footnotes(&self, all: &[(&str, &Stats)], style: Style) -> String {
        let mut notes = Vec::new();
        if let Some((shortest, longest)) = range(all) {
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
        Column::right("out of memory"),
        Column::right("cold starts"),
        Column::right("").close(),
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
        Column::left("spread").expendable(1),
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
        let advice = [stats.slow(), stats.short_of_memory(), stats.too_large(), stats.cold(), stats.failing()];
        let advice = advice.iter().flatten().map(|advice| style.wrap(&format!("- {name}: {advice}"), 2));
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

impl Stats {
    /// Adds a measure; those of one `REPORT` come one after another, its duration
    /// before what is billed, and its memory's size before what was used of it.
    fn take(&mut self, measure: Measure, metric: &Metric<'_>) {
        let value = metric.value.number();
        match measure {
            Measure::Invocations => {
                self.invocations += 1;
                self.size = None;
            }
            Measure::Errors => self.errors += 1,
            Measure::Timeouts => self.timeouts += 1,
            Measure::OutOfMemory => self.out_of_memory += 1,
            Measure::ColdStarts => self.cold_starts += 1,
            Measure::Duration => self.durations.push(value),
            Measure::BilledDuration => {
                self.billed += value;
                self.run += self.durations.last().copied().unwrap_or_default();
            }
            Measure::InitDuration | Measure::RestoreDuration => self.longest_start = self.longest_start.max(value),
            Measure::MemorySize => self.size = Some(value),
            Measure::MaxMemoryUsed => self.used(value, metric.time),
            Measure::EstimatedCost => {
                self.priced += 1;
                self.cost = Some(self.cost.unwrap_or_default() + value);
            }
            Measure::BilledRestoreDuration
            | Measure::RuntimeDuration
            | Measure::PostRuntimeDuration
            | Measure::ResponseLatency
            | Measure::ResponseDuration
            | Measure::ProducedBytes => {}
        }
    }

    fn used(&mut self, used: f64, time: Timestamp) {
        let Some(size) = self.size.filter(|size| *size > 0.0) else { return };
        let place = self.sizes.iter().position(|memory| memory.size.total_cmp(&size).is_eq());
        let place = place.unwrap_or_else(|| {
            self.sizes.push(Memory { size, latest: time, used: 0.0, invocations: 0 });
            self.sizes.len() - 1
        });
        if let Some(memory) = self.sizes.get_mut(place) {
            memory.latest = memory.latest.max(time);
            memory.used = memory.used.max(used);
            memory.invocations += 1;
        }
    }

    /// Memory at the size that it had last.
    fn memory(&self) -> Option<Memory> {
        self.sizes.iter().copied().max_by_key(|memory| memory.latest)
    }

    fn billed_over_run(&self) -> Option<f64> {
        (self.run > 0.0).then(|| self.billed / self.run)
    }

    /// `3 of 7 invocations`
    fn of_all(&self, many: usize) -> String {
        format!("{many} of {}", count(self.invocations, "invocation"))
    }

    fn slow(&self) -> Option<String> {
        let longest = self.durations.iter().copied().fold(0.0, f64::max);
        (self.timeouts > 0).then(|| {
            let some = self.of_all(self.timeouts);
            format!(
                "{some} timed out, the longest took {longest:.0} ms: raise the timeout, or look at the slow dependency."
            )
        })
    }

    fn short_of_memory(&self) -> Option<String> {
        let memory = self.memory()?;
        let Memory { size, used, invocations, .. } = memory;
        let seen = format!("{used:.0} of {size:.0} MB were used in {}", count(invocations, "invocation"));
        let larger = fitting(used);
        let larger =
            if larger > size { format!("{larger:.0} MB would leave room") } else { "there is no more".to_owned() };
        let some = self.of_all(self.out_of_memory);
        match (self.out_of_memory, memory.share() > TIGHT) {
            (0, false) => None,
            (0, true) => Some(format!("memory is tight, {seen}: {larger}.")),
            (_, true) => Some(format!("{some} ran out of memory, {seen}: {larger}, or look at what grows.")),
            (_, false) => {
                Some(format!("{some} ran out of memory, but only {seen}: look at limits of its own, as of a heap."))
            }
        }
    }

    fn too_large(&self) -> Option<String> {
        let Memory { size, used, invocations, .. } = self.memory()?;
        let enough = fitting(used);
        let loose = used < LOOSE * size && enough < size && invocations >= ENOUGH && self.out_of_memory == 0;
        loose.then(|| {
            let seen = count(invocations, "invocation");
            format!(
                "memory could shrink from {size:.0} to {enough:.0} MB, as at most {used:.0} MB were used in {seen}; \
                 it would get less CPU, too: compare durations."
            )
        })
    }

    fn cold(&self) -> Option<String> {
        let cold = share(self.cold_starts, self.invocations).filter(|_| self.invocations >= ENOUGH)?;
        let billed = self.billed_over_run().filter(|ratio| *ratio > COSTLY && self.cold_starts > 0);
        if cold <= COLD && billed.is_none() {
            return None;
        }
        let some = self.of_all(self.cold_starts);
        let billed = billed.map(|ratio| format!(", and {ratio:.2} times what ran is billed")).unwrap_or_default();
        let longest = self.longest_start;
        Some(format!(
            "{some} ({}) started cold, in {longest:.0} ms at most{billed}: do less at the start, or keep environments warm.",
            percent(cold)
        ))
    }

    /// Errors that are neither time-outs nor lack of memory.
    fn failing(&self) -> Option<String> {
        let other = self.errors.saturating_sub(self.timeouts + self.out_of_memory);
        (other > 0).then(|| format!("{} failed: the logs say why.", self.of_all(other)))
    }
}

impl Memory {
    fn share(self) -> f64 {
        self.used / self.size
    }
}

/// The least memory one would set for what was used.
fn fitting(used: f64) -> f64 {
    ((used * ROOM / STEP).ceil() * STEP).clamp(LEAST, MOST)
}

#[expect(clippy::cast_precision_loss, reason = "counts far below 2⁵²")]
fn share(part: usize, whole: usize) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
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
mod tests {
    use super::*;
    use crate::pretty::tests::{PLAIN, play, report};

    fn summary(group: &str, reports: &[&str]) -> Summary {
        let mut summary = Summary::default();
        add(&mut summary, group, reports);
        summary
    }

    fn add(summary: &mut Summary, group: &str, reports: &[&str]) {
        let reports: Vec<_> = reports.iter().map(|rest| report('a', rest)).collect();
        let lines: Vec<_> = (0..).zip(&reports).map(|(millis, line)| (millis, line.as_str())).collect();
        play(summary, group, &lines);
    }

    const WARM: &str = "Duration: 100.00 ms, Billed Duration: 100 ms, Memory Size: 512 MB, Max Memory Used: 100 MB";
    const COLD: &str = "Duration: 200.00 ms, Billed Duration: 600 ms, Memory Size: 512 MB, Max Memory Used: 104 MB, Init Duration: 400.00 ms";
    const LATE: &str =
        "Duration: 3000.00 ms, Billed Duration: 3000 ms, Memory Size: 128 MB, Max Memory Used: 60 MB, Status: timeout";

    #[test]
    fn compares_functions_and_advises() {
        let mut summary = summary("/aws/lambda/checkout", &[COLD, WARM, WARM, COLD, WARM]);
        add(&mut summary, "/aws/lambda/returns-label", &[LATE]);
        let expected = "\
Invocations
function       invoked  errors  timeouts  cold starts
checkout             5       0         0            2 40% ████████▊
returns-label        1       1         1            0  0%

Durations in ms, percentiles by nearest rank
function           p50      p95      p99      max  spread
checkout        100.00   200.00   200.00   200.00  █ ▆
returns-label  3000.00  3000.00  3000.00  3000.00             █

Memory in MB (used at most, and free at least), and costs
function       size  used              free  billed/run         USD  USD/million
checkout        512   104 ██▎           80%        2.14   0.0000135         2.70
returns-label   128    60 █████▏        53%        1.00  0.00000645         6.45

spread: how many took how long, from 100 to 3000 ms on a logarithmic scale.
billed/run: billed over actual duration; above 1 are starts and rounding.
USD: estimated for x86_64, list_tier_1.

What one would change
- checkout: memory could shrink from 512 to 192 MB, as at most 104 MB were used
  in 5 invocations; it would get less CPU, too: compare durations.
- checkout: 2 of 5 invocations (40%) started cold, in 400 ms at most, and 2.14
  times what ran is billed: do less at the start, or keep environments warm.
- returns-label: 1 of 1 invocation timed out, the longest took 3000 ms: raise
  the timeout, or look at the slow dependency.
Advice on smaller memory and on cold starts takes 5 invocations of a function.

";
        assert_eq!(summary.render(PLAIN), expected);
    }

    #[test]
    fn colours_stress_what_words_say() {
        let shown = summary("/aws/lambda/f", &[LATE]).render(Style { color: true, width: 80 });
        let (dim, bold, red, off) = ("\x1b[2m", "\x1b[1m", "\x1b[31m", "\x1b[0m");
        for line in [
            format!("{bold}Invocations{off}"),
            format!(
                "{dim}function{off}  {dim}invoked{off}  {dim}errors{off}  {dim}timeouts{off}  {dim}cold starts{off}"
            ),
            format!("f               1       {red}1{off}         {red}1{off}            0 0%"),
        ] {
            assert!(shown.lines().any(|shown| shown == line), "{line}\n{shown}");
        }
        assert!(shown.contains(&format!("\n- {bold}f{off}: 1 of 1 invocation timed out")), "{shown}");
    }

    #[test]
    fn advice_says_what_it_rests_on() {
        let used = |used: u32, rest: &str| {
            format!("Duration: 50.00 ms, Memory Size: 512 MB, Max Memory Used: {used} MB{rest}")
        };
        let times = |many: usize, report: &str| vec![report.to_owned(); many];
        let out_of_memory = ", Status: error, Error Type: Runtime.OutOfMemory";
        for (reports, expected) in [
            (times(5, &used(256, "")), "Nothing stands out."),
            (times(4, &used(100, "")), "Nothing stands out."),
            (
                times(5, &used(250, "")),
                "- f: memory could shrink from 512 to 384 MB, as at most 250 MB were used in 5 invocations; it would get less CPU, too: compare durations.",
            ),
            (
                times(1, &used(480, "")),
                "- f: memory is tight, 480 of 512 MB were used in 1 invocation: 640 MB would leave room.",
            ),
            (
                times(1, &used(512, out_of_memory)),
                "- f: 1 of 1 invocation ran out of memory, 512 of 512 MB were used in 1 invocation: 704 MB would leave room, or look at what grows.",
            ),
            (
                times(6, &used(90, out_of_memory)),
                "- f: 6 of 6 invocations ran out of memory, but only 90 of 512 MB were used in 6 invocations: look at limits of its own, as of a heap.",
            ),
            (times(2, &used(300, ", Status: error")), "- f: 2 of 2 invocations failed: the logs say why."),
            (
                times(2, &used(300, ", Status: timeout")),
                "- f: 2 of 2 invocations timed out, the longest took 50 ms: raise the timeout, or look at the slow dependency.",
            ),
        ] {
            let reports: Vec<_> = reports.iter().map(String::as_str).collect();
            let shown = summary("/aws/lambda/f", &reports).render(Style { color: false, width: 1000 });
            let (_, advice) = shown.split_once("What one would change\n").unwrap();
            assert_eq!(advice.lines().next(), Some(expected));
        }
    }

    #[test]
    fn functions_without_prices_or_memory_have_no_such_columns() {
        let shown = summary("/aws/lambda/managed", &["Duration: 1.00 ms"]).render(PLAIN);
        assert!(!shown.contains("USD") && !shown.contains("Memory") && !shown.contains("billed"), "{shown}");
        assert_eq!(Summary::default().render(PLAIN), "No invocations.\n");
    }

    #[test]
    fn memory_is_judged_at_the_size_it_had_last() {
        let small = "Duration: 1.00 ms, Memory Size: 128 MB, Max Memory Used: 127 MB";
        let shown = summary("/aws/lambda/f", &[small, WARM, WARM]).render(PLAIN);
        assert!(shown.contains("\nf          512   100 "), "{shown}");
        assert!(!shown.contains("tight"), "{shown}");
    }

    #[test]
    fn percentiles_are_by_nearest_rank() {
        let values: Vec<_> = (1..=20).map(f64::from).collect();
        for (percent, expected) in [(50, 10.0), (95, 19.0), (99, 20.0), (100, 20.0)] {
            assert_eq!(nearest_rank(&values, percent), Some(expected), "{percent}");
        }
        assert_eq!(nearest_rank(&[7.0], 50), Some(7.0));
        assert_eq!(nearest_rank(&[], 50), None);
    }

    #[test]
    fn spreads_over_a_logarithmic_scale() {
        assert_eq!(spread(&[1.0, 10.0, 100.0, 1000.0], (1.0, 1000.0)), [1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 1]);
        assert_eq!(spread(&[0.0, 5.0], (5.0, 5.0)), [2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn memory_is_a_multiple_of_64_with_room() {
        for (used, expected) in [(10.0, 128.0), (98.0, 128.0), (99.0, 192.0), (104.0, 192.0), (10_240.0, 10_240.0)] {
            assert!((fitting(used) - expected).abs() < 0.1, "{used}");
        }
    }

    #[test]
    fn prices_show_three_digits() {
        for (price, expected) in
            [(0.0, "0.00"), (0.000_018_72, "0.0000187"), (0.5, "0.500"), (1.239, "1.24"), (123.4, "123.40")]
        {
            assert_eq!(dollars(price), expected);
        }
    }
}
