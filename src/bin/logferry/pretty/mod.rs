//! What functions wrote, for people: invocations as a table, metrics, logs.
//!
//! It collects while batches pass by and is written once, at the end. Times are
//! in UTC. What the tables show besides is left out of the logs' lines.

mod entry;

use std::collections::{BTreeMap, HashMap};

use entry::Entry;

use logferry::model::{Kind, Level, Log, Measure, Metric, Name, Origin, Sink, Timestamp};
use logferry::parse::Failure;

use crate::style::{Cell, Column, Paint, Style, Table, count, number, visible};

/// How long after its `REPORT` a failure may be told. The first retry, which has
/// the same request id, comes a minute later.
const LATE: u64 = 5_000;

/// Values that are shown of one tag.
const MAX_TAG_VALUES: usize = 3;

/// Share of its memory above which a function is short of it.
pub(crate) const TIGHT: f64 = 0.9;

/// Shows everything that was made.
#[derive(Debug)]
pub(crate) struct Pretty {
    /// Invocations that are shown of each function; all if none.
    pub(crate) max_invocations: Option<usize>,
    /// Logs that are shown of each function; all if none.
    pub(crate) max_logs: Option<usize>,
    sections: Subjects<Section>,
}

/// Something about each of those who wrote, in the order in which they appeared.
#[derive(Debug, Default)]
pub(crate) struct Subjects<T> {
    entries: Vec<(Subject, T)>,
}

/// Who wrote: a function, or a log group of no function.
#[derive(Debug, Default)]
pub(crate) struct Subject {
    /// Of the function, or of the log group.
    pub(crate) name: String,
    function: bool,
    account: Option<String>,
    region: Option<String>,
    versions: Vec<String>,
    log_groups: Vec<String>,
}

/// What is shown of one subject.
#[derive(Debug, Default)]
struct Section {
    attempts: Vec<Attempt>,
    /// The latest attempt of each request.
    by_request: HashMap<String, usize>,
    /// The event of the measures at hand, and its attempt.
    current: Option<(String, Timestamp, usize)>,
    /// How long environments took to start, where no invocation says it.
    starts: Vec<f64>,
    series: BTreeMap<(String, &'static str), Series>,
    entries: Vec<Entry>,
    /// Logs that aren't shown, and errors among them.
    hidden: usize,
    hidden_errors: usize,
}

/// One attempt at an invocation: a row of the table.
#[derive(Clone, Debug, Default)]
struct Attempt {
    time: Timestamp,
    request_id: Option<String>,
    /// Whether its `REPORT` was read, and not only a line about its failure.
    reported: bool,
    failure: Failure,
    duration: Option<f64>,
    billed: Option<f64>,
    memory_size: Option<f64>,
    memory_used: Option<f64>,
    init: Option<f64>,
    restore: Option<f64>,
}

/// How an attempt ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Status {
    Error,
    Ok,
    OutOfMemory,
    Timeout,
}

/// The values of a custom metric.
#[derive(Debug)]
struct Series {
    kind: Kind,
    unit: String,
    count: usize,
    sum: f64,
    min: f64,
    max: f64,
    last: (Timestamp, f64),
    /// Values of each key.
    tags: BTreeMap<String, Vec<String>>,
}

impl Default for Pretty {
    fn default() -> Self {
        Self { max_invocations: Some(200), max_logs: Some(50), sections: Subjects::default() }
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
        let max = self.max_logs.unwrap_or(usize::MAX);
        if let Some(section) = self.sections.of(origin) {
            section.log(log, max);
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

impl<T: Default> Subjects<T> {
    /// What there is about whoever wrote; never none.
    pub(crate) fn of(&mut self, origin: &Origin) -> Option<&mut T> {
        // Batches follow one another by function: the one at hand is at the end.
        let place = self.entries.iter().rposition(|(subject, _)| subject.is(origin)).unwrap_or(self.entries.len());
        if place == self.entries.len() {
            self.entries.push((Subject::new(origin), T::default()));
        }
        let (subject, about) = self.entries.get_mut(place)?;
        subject.learn(origin);
        Some(about)
    }
}

impl<T> Subjects<T> {
    pub(crate) fn iter(&self) -> impl Iterator<Item = &(Subject, T)> {
        self.entries.iter()
    }

    /// Names that tell the subjects apart: with the region and the account where the name alone doesn't.
    pub(crate) fn labels(&self) -> Vec<String> {
        let alike = |name: &str| self.entries.iter().filter(|(subject, _)| subject.name == name).count() > 1;
        let label = |subject: &Subject| {
            let place = [&subject.region, &subject.account].into_iter().flatten().map(String::as_str);
            let place = if alike(&subject.name) { place.collect() } else { Vec::new() };
            visible(&[&[subject.name.as_str()], place.as_slice()].concat().join(" "))
        };
        self.entries.iter().map(|(subject, _)| label(subject)).collect()
    }
}

impl Subject {
    fn new(origin: &Origin) -> Self {
        let function = origin.function.as_ref().map(|function| function.name.clone());
        Self {
            function: function.is_some(),
            name: function.unwrap_or_else(|| origin.log_group.clone()),
            ..Self::default()
        }
    }

    /// Whether it wrote this: what isn't known of account and region contradicts nothing.
    fn is(&self, origin: &Origin) -> bool {
        let agree = |one: &Option<String>, other: &Option<String>| one.is_none() || other.is_none() || one == other;
        let name = origin.function.as_ref().map_or(&origin.log_group, |function| &function.name);
        self.name == *name
            && self.function == origin.function.is_some()
            && agree(&self.account, &origin.account)
            && agree(&self.region, &origin.region)
    }

    fn learn(&mut self, origin: &Origin) {
        let fill = |known: &mut Option<String>, new: &Option<String>| {
            if known.is_none() {
                known.clone_from(new);
            }
        };
        let add = |known: &mut Vec<String>, new: &String| {
            if !known.contains(new) {
                known.push(new.clone());
            }
        };
        fill(&mut self.account, &origin.account);
        fill(&mut self.region, &origin.region);
        if let Some(version) = origin.function.as_ref().and_then(|function| function.version.as_ref()) {
            add(&mut self.versions, version);
        }
        add(&mut self.log_groups, &origin.log_group);
    }

    /// Its name, and below it where it is and when it wrote.
    fn heading(&self, days: Option<(Timestamp, Timestamp)>, style: Style) -> String {
        let name = if self.name.is_empty() { "(no name)".to_owned() } else { visible(&self.name) };
        let mut about = Vec::new();
        if !self.versions.is_empty() {
            let plural = if self.versions.len() == 1 { "" } else { "s" };
            about.push(format!("version{plural} {}", self.versions.join(", ")));
        }
        about.extend(self.account.clone());
        about.extend(self.region.clone());
        about.extend(days.map(|(first, last)| {
            let (first, last) = (day(first), day(last));
            if first == last { format!("{first} UTC") } else { format!("{first} to {last} UTC") }
        }));
        let usual = |group: &String| group.strip_prefix("/aws/lambda/") == Some(&self.name);
        if self.function && !self.log_groups.iter().all(usual) {
            let plural = if self.log_groups.len() == 1 { "" } else { "s" };
            about.push(format!("log group{plural} {}", self.log_groups.join(", ")));
        }
        let about: Vec<_> = about.iter().map(|piece| visible(piece)).collect();
        let about = style.wrap_pieces(about.iter().map(String::as_str), " · ", 0);
        format!("{}\n{}\n", style.paint(Paint::Bold, &name), style.paint_lines(Paint::Dim, &about))
    }
}

impl Section {
    /// The first and the last time of all that is shown.
    fn days(&self) -> Option<(Timestamp, Timestamp)> {
        let series = self.series.values().map(|series| series.last.0);
        let attempts = self.attempts.iter().map(|attempt| attempt.time);
        let times = || attempts.clone().chain(series.clone()).chain(self.entries.iter().map(|entry| entry.time));
        times().min().zip(times().max())
    }

    /// Joins the measures of a `REPORT`, and what other lines told of its failure.
    fn measure(&mut self, measure: Measure, metric: &Metric<'_>) {
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
            self.attempts.push(Attempt { time: metric.time, request_id, ..Attempt::default() });
        }
        self.current = Some((metric.event_id.to_owned(), metric.time, place));
        place
    }

    fn custom(&mut self, name: &str, metric: &Metric<'_>) {
        let kind = metric.value.kind();
        let series = self.series.entry((name.to_owned(), kind.as_str())).or_insert_with(|| Series::new(kind));
        series.take(metric);
    }

    fn log(&mut self, log: &Log<'_>, max: usize) {
        if self.entries.len() < max {
            self.entries.push(Entry::new(log));
        } else {
            self.hidden += 1;
            self.hidden_errors += usize::from(log.level >= Some(Level::Error));
        }
    }

    /// The table of invocations, by time.
    fn invocations(&self, max: Option<usize>, style: Style) -> String {
        if self.attempts.is_empty() {
            return self.starts(style);
        }
        let mut attempts: Vec<_> = self.attempts.iter().collect();
        attempts.sort_by_key(|attempt| attempt.time);
        let hidden = attempts.split_off(attempts.len().min(max.unwrap_or(usize::MAX)));
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
        let said = format!("{environments} started outside of invocations, in {longest:.0} ms at most");
        style.paint(Paint::Dim, &said) + "\n"
    }

    fn metrics(&self, style: Style) -> String {
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
    fn logs(&self, style: Style) -> String {
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

impl Attempt {
    fn take(&mut self, measure: Measure, value: f64) {
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
    const fn status(&self) -> Status {
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

    fn row(&self, longest: f64) -> [Cell; 10] {
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

impl Series {
    fn new(kind: Kind) -> Self {
        Self {
            kind,
            unit: String::new(),
            count: 0,
            sum: 0.0,
            min: f64::INFINITY,
            max: f64::NEG_INFINITY,
            last: (Timestamp::from_millis(i64::MIN), 0.0),
            tags: BTreeMap::new(),
        }
    }

    fn take(&mut self, metric: &Metric<'_>) {
        let value = metric.value.number();
        self.count += 1;
        self.sum += value;
        self.min = self.min.min(value);
        self.max = self.max.max(value);
        if metric.time >= self.last.0 {
            self.last = (metric.time, value);
        }
        if let (Some(unit), true) = (metric.unit, self.unit.is_empty()) {
            self.unit = format!(" {}", unit.as_str());
        }
        for tag in metric.tags {
            let values = self.tags.entry(visible(tag.key)).or_default();
            let value = visible(tag.value);
            // One more than is shown, to know that there are more.
            if values.len() <= MAX_TAG_VALUES && !values.contains(&value) {
                values.push(value);
            }
        }
    }

    /// What the values come to, as fits their nature.
    #[expect(clippy::cast_precision_loss, reason = "an average of fewer than 2⁵² values")]
    fn worth(&self) -> String {
        let Self { unit, count, .. } = self;
        let (min, max, last) = (number(self.min), number(self.max), number(self.last.1));
        match self.kind {
            Kind::Count => format!("sum {}{unit}", number(self.sum)),
            Kind::Check => format!("last {}", check(self.last.1)),
            Kind::Gauge if min == max => format!("last {last}{unit}"),
            Kind::Gauge => format!("last {last}{unit}, from {min} to {max}"),
            Kind::Histogram if *count == 1 => format!("{last}{unit}"),
            Kind::Histogram => format!("min {min} avg {} max {max}{unit}", number(self.sum / *count as f64)),
        }
    }

    /// `shop:berlin,hamburg payment:card`
    fn tags(&self) -> String {
        let tag = |(key, values): (&String, &Vec<String>)| {
            let mut shown: Vec<_> = values.iter().take(MAX_TAG_VALUES).map(String::as_str).collect();
            if values.len() > MAX_TAG_VALUES {
                shown.push("…");
            }
            if shown == [""] { key.clone() } else { format!("{key}:{}", shown.join(",")) }
        };
        self.tags.iter().map(tag).collect::<Vec<_>>().join(" ")
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

fn check(code: f64) -> String {
    use logferry::model::CheckStatus::{self, Critical, Ok, Unknown, Warning};

    match CheckStatus::from_number(code) {
        Some(Ok) => "ok".to_owned(),
        Some(Warning) => "warning".to_owned(),
        Some(Critical) => "critical".to_owned(),
        Some(Unknown) => "unknown".to_owned(),
        None => number(code),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use logferry::event::Envelope;
    use logferry::model::Forwarder;
    use logferry::pipeline::{Pipeline, Settings, push_text};

    use super::*;

    pub(crate) const PLAIN: Style = Style { color: false, width: 80 };

    /// 2026-11-20T09:00:00Z
    const NINE: i64 = 1_795_165_200_000;

    /// What lines become, written so many milliseconds after nine o'clock.
    pub(crate) fn play(sink: &mut impl Sink, group: &str, lines: &[(i64, &str)]) {
        let envelope = Envelope {
            owner: "123456789012".to_owned(),
            log_group: group.to_owned(),
            log_stream: "api".to_owned(),
            ..Envelope::default()
        };
        let pipeline = Pipeline::new(Settings::default());
        let forwarder = Forwarder { region: Some("eu-west-1".to_owned()), ..Forwarder::default() };
        let mut run = pipeline.run(&envelope, &forwarder);
        for (id, (millis, line)) in lines.iter().enumerate() {
            push_text(&mut run, &id.to_string(), Timestamp::from_millis(NINE + millis), line, sink);
        }
        run.finish(sink);
    }

    /// A `REPORT`; the request is known by its first character.
    pub(crate) fn report(request: char, rest: &str) -> String {
        let id = request.to_string().repeat(8);
        format!("REPORT RequestId: {id}-0000-4000-8000-000000000000\t{}", rest.replace(", ", "\t"))
    }

    fn pretty(group: &str, lines: &[(i64, &str)]) -> Pretty {
        let mut pretty = Pretty::default();
        play(&mut pretty, group, lines);
        pretty
    }

    fn checkout() -> Pretty {
        let lines = [
            (
                0,
                "INIT_START Runtime Version: nodejs:22.v61\tRuntime Version ARN: arn:aws:lambda:eu-west-1::runtime:395b53eaedc2",
            ),
            (310, "START RequestId: aaaaaaaa-0000-4000-8000-000000000000 Version: 7"),
            (312, "2026-11-20T09:00:00.312Z\taaaaaaaa-0000-4000-8000-000000000000\tINFO\tbasket 58213 opened, 3 lines"),
            (
                340,
                "2026-11-20T09:00:00.340Z\taaaaaaaa-0000-4000-8000-000000000000\tERROR\tcoupon refused\n    at order.js:77",
            ),
            (341, "MONITORING|1795165200|1|count|orders.placed|#shop:berlin,payment:card"),
            (342, "MONITORING|1795165200|3|count|orders.placed|#shop:hamburg,payment:card"),
            (343, "MONITORING|1795165200|84.9|gauge|checkout.basket_eur|#shop:berlin"),
            (500, "END RequestId: aaaaaaaa-0000-4000-8000-000000000000"),
            (
                500,
                &report(
                    'a',
                    "Duration: 187.42 ms, Billed Duration: 498 ms, Memory Size: 128 MB, Max Memory Used: 124 MB, Init Duration: 310.11 ms",
                ),
            ),
            (900, "START RequestId: bbbbbbbb-0000-4000-8000-000000000000 Version: 7"),
            (3900, "2026-11-20T09:00:03.900Z bbbbbbbb-0000-4000-8000-000000000000 Task timed out after 3.00 seconds"),
            (3901, "END RequestId: bbbbbbbb-0000-4000-8000-000000000000"),
            (
                3901,
                &report(
                    'b',
                    "Duration: 3000.00 ms, Billed Duration: 3000 ms, Memory Size: 128 MB, Max Memory Used: 60 MB",
                ),
            ),
        ];
        pretty("/aws/lambda/checkout", &lines)
    }

    #[test]
    fn shows_invocations_metrics_and_logs() {
        let expected = "\
checkout
version 7 · 123456789012 · eu-west-1 · 2026-11-20 UTC

2 invocations, 1 timed out; in ms and MB
time          request   duration             billed   memory used  init  status
09:00:00.500  aaaaaaaa    187.42 ▋              498  124/128  97%   310  ok
09:00:03.901  bbbbbbbb   3000.00 ██████████    3000   60/128  47%        timeout

metric               type   values
checkout.basket_eur  gauge       1  last 84.9
  shop:berlin
orders.placed        count       2  sum 4
  payment:card shop:berlin,hamburg

09:00:00.000                   INIT_START Runtime Version: nodejs:22.v61 Runtim…
09:00:00.310         aaaaaaaa  START Version: 7
09:00:00.312  INFO   aaaaaaaa  basket 58213 opened, 3 lines
09:00:00.340  ERROR  aaaaaaaa  coupon refused
                                   at order.js:77
09:00:00.500         aaaaaaaa  END
09:00:00.500         aaaaaaaa  REPORT Duration: 187.42 ms Billed Duration: 498 …
09:00:00.900         bbbbbbbb  START Version: 7
09:00:03.900         bbbbbbbb  Task timed out after 3.00 seconds
09:00:03.901         bbbbbbbb  END
09:00:03.901         bbbbbbbb  REPORT Duration: 3000.00 ms Billed Duration: 300…

";
        assert_eq!(checkout().render(PLAIN), expected);
    }

    #[test]
    fn colours_stress_what_words_say() {
        let report = report(
            'a',
            "Duration: 2.00 ms, Billed Duration: 2 ms, Memory Size: 128 MB, Max Memory Used: 124 MB, Status: error",
        );
        let lines = [
            (0, "2026-11-20T09:00:00.000Z\taaaaaaaa-0000-4000-8000-000000000000\tWARN\tslow"),
            (1, "2026-11-20T09:00:00.001Z\taaaaaaaa-0000-4000-8000-000000000000\tERROR\ttoo slow\n  by far"),
            (2, &report),
        ];
        let shown = pretty("/aws/lambda/f", &lines).render(Style { color: true, width: 80 });
        let (dim, bold, red, alarm, yellow, off) =
            ("\x1b[2m", "\x1b[1m", "\x1b[31m", "\x1b[1;31m", "\x1b[33m", "\x1b[0m");
        let expected = format!(
            "\
{bold}f{off}
{dim}123456789012 · eu-west-1 · 2026-11-20 UTC{off}

{dim}1 invocation, 1 failed; in ms and MB{off}
{dim}time{off}          {dim}request{off}   {dim}duration{off}                    {dim}billed{off}   {dim}memory{off} {dim}used{off}  {dim}status{off}
{dim}09:00:00.002{off}  aaaaaaaa      2.00 {red}█████████████████{off}       2  {alarm}124/128{off}  {alarm}97%{off}  {red}error{off}

{dim}09:00:00.000{off}  {yellow}WARN{off}   {dim}aaaaaaaa{off}  slow
{dim}09:00:00.001{off}  {red}ERROR{off}  {dim}aaaaaaaa{off}  {red}too slow{off}
                                 {red}by far{off}
{dim}09:00:00.002{off}         {dim}aaaaaaaa{off}  {dim}REPORT Duration: 2.00 ms Billed Duration: 2 ms M…{off}

"
        );
        assert_eq!(shown, expected);
    }

    #[test]
    fn a_failure_and_its_report_are_one_row() {
        const ID: &str = "aaaaaaaa-0000-4000-8000-000000000000";
        let killed = format!("RequestId: {ID} Error: Runtime exited with error: signal: killed\nRuntime.ExitError");
        let crashed = format!("RequestId: {ID} Error: Runtime exited with error: exit status 1\nRuntime.ExitError");
        let report = report('a', "Duration: 9.00 ms");
        let rows = |lines: &[(i64, &str)]| -> Vec<_> {
            let pretty = pretty("/aws/lambda/f", lines);
            let (_, section) = pretty.sections.iter().next().unwrap();
            section.attempts.iter().map(|attempt| (attempt.status(), attempt.reported)).collect()
        };
        assert_eq!(rows(&[(0, &killed), (1, &report)]), [(Status::OutOfMemory, true)], "before it");
        assert_eq!(rows(&[(0, &report), (1, &crashed)]), [(Status::Error, true)], "right after it");
        let retry = [(0, report.as_str()), (60_000, &crashed), (60_001, &report)];
        assert_eq!(rows(&retry), [(Status::Ok, true), (Status::Error, true)], "of the next attempt");
        assert_eq!(rows(&[(0, &crashed)]), [(Status::Error, false)], "without it");
    }

    #[test]
    fn measures_of_another_batch_join() {
        let mut pretty = Pretty::default();
        let killed = "RequestId: aaaaaaaa-0000-4000-8000-000000000000 Error: Runtime exited with error: signal: killed";
        play(&mut pretty, "/aws/lambda/f", &[(0, killed)]);
        play(&mut pretty, "/aws/lambda/g", &[(0, &report('a', "Duration: 1.00 ms"))]);
        play(&mut pretty, "/aws/lambda/f", &[(1, &report('a', "Duration: 9.00 ms"))]);
        let shown = pretty.render(PLAIN);
        assert!(shown.contains("1 invocation, 1 out of memory; in ms and MB"), "{shown}");
        assert!(shown.contains("09:00:00.001  aaaaaaaa      9.00 "), "{shown}");
    }

    #[test]
    fn logs_of_no_function_are_under_their_group() {
        let shown = pretty("/shop/api", &[(7, "GET /orders 200"), (8, "\u{1b}[2J\ta\u{7}")]).render(PLAIN);
        let expected = "\
/shop/api
123456789012 · eu-west-1 · 2026-11-20 UTC

09:00:00.007  GET /orders 200
09:00:00.008  \\u{1b}[2J  a\\u{7}

";
        assert_eq!(shown, expected);
    }

    #[test]
    fn what_is_too_much_is_counted() {
        let reports = ['a', 'b', 'c'].map(|id| report(id, "Duration: 1.00 ms, Status: error"));
        let mut pretty = Pretty { max_invocations: Some(1), max_logs: Some(1), ..Pretty::default() };
        let mut lines: Vec<_> = (0..).zip(&reports).map(|(millis, line)| (millis, line.as_str())).collect();
        lines.push((9, "2026-11-20T09:00:00.009Z\taaaaaaaa-0000-4000-8000-000000000000\tERROR\tlost"));
        play(&mut pretty, "/aws/lambda/f", &lines);
        let shown = pretty.render(PLAIN);
        assert!(shown.contains("\n… and 2 more invocations, 2 of them failed\n"), "{shown}");
        assert!(shown.contains("\n… and 3 more logs, 1 error among them\n"), "{shown}");
    }

    #[test]
    fn tables_keep_to_80_columns() {
        const USED: &str =
            "Duration: 900000.00 ms, Billed Duration: 909999 ms, Memory Size: 10240 MB, Max Memory Used: 10240 MB";
        let cold = format!("{USED}, Init Duration: 9999.99 ms, Status: error, Error Type: Runtime.OutOfMemory");
        let restored = format!("{USED}, Restore Duration: 9999.99 ms, Billed Restore Duration: 9999 ms");
        let lines = [report('a', &cold), report('b', &restored)];
        for width in [80, 100, 200] {
            let shown =
                pretty("/aws/lambda/f", &[(0, &lines[0]), (1, &lines[1])]).render(Style { color: false, width });
            for line in shown.lines() {
                assert!(crate::style::width(line) <= width, "{width}: {line}");
            }
            assert!(shown.contains("out of memory"), "{shown}");
        }
    }

    #[test]
    fn messages_are_shown_without_what_stands_before_them() {
        let day = "2026-11-20T09:00:00.000Z";
        let many = "x\n".repeat(30);
        let long = "y".repeat(2000);
        for (line, expected) in [
            (
                format!(r#"{{"time":"{day}","level":"INFO","msg":"read","order":7,"by":"a b"}}"#),
                "read by=\"a b\" order=7",
            ),
            (format!(r#"{{"level":"INFO","message":"a\nb","at":"{day}"}}"#), &format!("a at={day}\nb")),
            (r#"{"errorType":"E","errorMessage":"m","stack":["E: m","  at f"]}"#.to_owned(), "E: m\n  at f"),
            (
                format!("{day}\t\tERROR\tInvoke Error \t{{\"errorType\":\"E\",\"trace\":\"a\\nb\"}}"),
                "Invoke Error E\ntrace: a\nb",
            ),
            (format!("{day}\t\tINFO\ta\rb\tc"), "a\nb  c"),
            (
                format!(r#"{{"time":"{day}","type":"platform.report","record":{{"metrics":{{"durationMs":1.5}}}}}}"#),
                "platform.report durationMs=1.5",
            ),
            (many, &format!("{}… 10 more lines", "x\n".repeat(20))),
            (long, &format!("{}…", "y".repeat(1000))),
            ("{\"a\":".to_owned(), "{\"a\":"),
            (String::new(), ""),
        ] {
            let pretty = pretty("/aws/lambda/f", &[(0, &line)]);
            let (_, section) = pretty.sections.iter().next().unwrap();
            assert_eq!(section.entries[0].lines.join("\n"), expected, "{line}");
        }
    }

    #[test]
    fn values_come_to_what_fits_their_nature() {
        use logferry::model::{CheckStatus, Value};

        let ms = Some(logferry::model::Unit::Milliseconds);
        for (values, unit, expected) in [
            (vec![Value::Count(2.0), Value::Count(3.5)], None, "sum 5.5"),
            (vec![Value::Gauge(2.0)], None, "last 2"),
            (vec![Value::Gauge(2.0), Value::Gauge(1.0)], ms, "last 1 ms, from 1 to 2"),
            (vec![Value::Histogram(2.0)], ms, "2 ms"),
            (vec![Value::Histogram(1.0), Value::Histogram(2.0)], ms, "min 1 avg 1.5 max 2 ms"),
            (vec![Value::Check(CheckStatus::Ok), Value::Check(CheckStatus::Critical)], None, "last critical"),
        ] {
            let mut series = Series::new(values[0].kind());
            for (value, key) in values.iter().zip(["a", "b"]) {
                let tags =
                    [logferry::model::Tag { key: "k", value: key }, logferry::model::Tag { key: "bare", value: "" }];
                let (time, name) = (Timestamp::default(), Name::Custom("m"));
                series.take(&Metric { name, time, value: *value, unit, tags: &tags, request_id: None, event_id: "" });
            }
            assert_eq!(series.worth(), expected);
            assert!(series.tags().starts_with("bare k:a"), "{}", series.tags());
        }
    }
}
