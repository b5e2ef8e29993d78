//! Streams of invocations as Lambda writes them, made at random: what is counted is what happened.

#![expect(clippy::float_cmp, reason = "counts are exact")]

use std::collections::BTreeMap;

use logferry::event::Envelope;
use logferry::model::{Forwarder, Log, Metric, Name, Origin, Sink, Timestamp};
use logferry::pipeline::{Pipeline, Settings, push_text};
use proptest::prelude::*;

/// How an invocation ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum End {
    Well,
    Timeout,
    OutOfMemory,
    Crash,
}

/// Where Lambda used to tell of a failure, before it did so in the `REPORT`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Told {
    InReport,
    BeforeEnd,
    AfterReport,
    /// In both ways, as the documents show it while the two styles coexist.
    Twice,
}

#[derive(Clone, Debug)]
struct Invocation {
    end: End,
    told: Told,
    /// An asynchronous retry of the one before: the same request id, more than a minute later.
    retry: bool,
    cold: bool,
    /// Its `REPORT` comes behind the next `START`, as lines of one millisecond have no order.
    late_report: bool,
    /// What the function prints.
    printed: Vec<&'static str>,
}

/// What functions print, none of which is Lambda's.
const PRINTED: [&str; 12] = [
    "hello\n",
    "2026-11-20T09:00:00.000Z\t{id}\tINFO\tREPORT RequestId: {id}\tDuration: 5.00 ms\tBilled Duration: 5 ms\tMemory Size: 128 MB\tMax Memory Used: 64 MB\n",
    "[ERROR]\t2026-11-20T09:00:00.000Z\t{id}\tTask timed out after 3.00 seconds\n",
    "it said: END RequestId: {id}\n",
    " START RequestId: {id} Version: $LATEST\n",
    "{\"level\":\"ERROR\",\"message\":\"REPORT RequestId: {id}\\tDuration: 1 ms\"}\n",
    "{\"level\":\"INFO\",\"type\":\"platform.login\",\"record\":{\"requestId\":\"{id}\",\"status\":\"error\"}}\n",
    "{\"event\":{\"type\":\"platform.report\",\"record\":{\"requestId\":\"{id}\",\"status\":\"timeout\"}}}\n",
    "[ERROR] KeyError: 'x'\nTraceback (most recent call last):\n  File \"x.py\"\n",
    "2026-11-20T09:00:00.000Z\t{id}\tERROR\tInvoke Error \t{\"errorType\":\"Error\"}\n",
    "REPORT RequestId: not yet\n",
    "Runtime exited with error: signal: killed\n",
];

fn invocation() -> impl Strategy<Value = Invocation> {
    let end =
        prop_oneof![4 => Just(End::Well), 1 => Just(End::Timeout), 1 => Just(End::OutOfMemory), 1 => Just(End::Crash)];
    let told = prop_oneof![2 => Just(Told::InReport), 1 => Just(Told::BeforeEnd), 1 => Just(Told::AfterReport), 1 => Just(Told::Twice)];
    let flags = (prop::bool::weighted(0.2), any::<bool>(), prop::bool::weighted(0.2));
    let printed = proptest::collection::vec(prop::sample::select(&PRINTED[..]), 0..4);
    (end, told, flags, printed).prop_map(|(end, told, (retry, cold, late_report), printed)| Invocation {
        end,
        told,
        retry,
        cold,
        late_report,
        printed,
    })
}

fn request_id(number: usize) -> String {
    format!("{number:08x}-aaaa-4000-8000-000000000001")
}

/// The ids of a stream's invocations.
fn ids(invocations: &[Invocation]) -> Vec<String> {
    let mut number = 0;
    let numbers = invocations.iter().map(|invocation| {
        number += usize::from(!invocation.retry);
        number
    });
    numbers.map(request_id).collect()
}

/// As Lambda writes text.
fn text(invocations: &[Invocation]) -> Vec<(i64, String)> {
    let mut lines: Vec<(i64, String)> = Vec::new();
    let mut time = 0;
    // The REPORT that is still to come, and what follows it.
    let mut late: Vec<String> = Vec::new();
    for (place, (invocation, id)) in invocations.iter().zip(ids(invocations)).enumerate() {
        time += if invocation.retry { 61_000 } else { 5 };
        let mut line = |time: i64, line: String| lines.push((time, line));
        line(time, format!("START RequestId: {id} Version: $LATEST\n"));
        for report in late.drain(..) {
            line(time, report);
        }
        for printed in &invocation.printed {
            line(time + 1, printed.replace("{id}", &id));
        }
        let old = match invocation.end {
            End::Well => String::new(),
            End::Timeout => format!("2026-11-20T09:00:00.000Z {id} Task timed out after 3.00 seconds\n\n"),
            End::OutOfMemory => {
                format!("RequestId: {id} Error: Runtime exited with error: signal: killed\nRuntime.ExitError\n")
            }
            End::Crash => {
                format!("RequestId: {id} Error: Runtime exited with error: exit status 1\nRuntime.ExitError\n")
            }
        };
        let status = match (invocation.end, invocation.told) {
            (End::Well, _) | (_, Told::BeforeEnd | Told::AfterReport) => "",
            (End::Timeout, _) => "Status: timeout",
            (End::OutOfMemory, _) => "Status: error\tError Type: Runtime.OutOfMemory",
            (End::Crash, _) => "Status: error\tError Type: Runtime.ExitError",
        };
        let told = |told: &[Told]| !old.is_empty() && told.contains(&invocation.told);
        if told(&[Told::BeforeEnd]) {
            line(time + 2, old.clone());
        }
        line(time + 3, format!("END RequestId: {id}\n"));
        let init = if invocation.cold { "Init Duration: 101.20 ms\t" } else { "" };
        let report = format!(
            "REPORT RequestId: {id}\tDuration: 46.84 ms\tBilled Duration: 47 ms\tMemory Size: 128 MB\tMax Memory Used: 72 MB\t{init}{status}\n"
        );
        let mut after = vec![report];
        if told(&[Told::AfterReport, Told::Twice]) {
            after.push(old);
        }
        // A retry starts long after it.
        if invocation.late_report && invocations.get(place + 1).is_none_or(|next| !next.retry) {
            late = after;
        } else {
            for report in after {
                line(time + 3, report);
            }
        }
    }
    lines.extend(late.into_iter().map(|report| (time + 3, report)));
    lines
}

/// As Lambda writes JSON, at the level at which it tells everything.
fn json(invocations: &[Invocation]) -> Vec<(i64, String)> {
    let mut lines = Vec::new();
    let mut time = 0;
    for (invocation, id) in invocations.iter().zip(ids(invocations)) {
        time += if invocation.retry { 61_000 } else { 5 };
        let platform = |kind: &str, record: String| {
            format!("{{\"time\":\"2026-11-20T09:00:00.000Z\",\"type\":\"platform.{kind}\",\"record\":{record}}}\n")
        };
        lines.push((time, platform("start", format!("{{\"requestId\":\"{id}\",\"version\":\"$LATEST\"}}"))));
        for printed in &invocation.printed {
            lines.push((time + 1, printed.replace("{id}", &id)));
        }
        let ended = match invocation.end {
            End::Well => "\"status\":\"success\"",
            End::Timeout => "\"status\":\"timeout\"",
            End::OutOfMemory => "\"status\":\"error\",\"errorType\":\"Runtime.OutOfMemory\"",
            End::Crash => "\"errorType\":\"Runtime.ExitError\",\"status\":\"error\"",
        };
        let done =
            format!("{{\"requestId\":\"{id}\",\"metrics\":{{\"durationMs\":40.5,\"producedBytes\":4}},{ended}}}");
        let init = if invocation.cold { ",\"initDurationMs\":101.2" } else { "" };
        let report = format!(
            "{{\"requestId\":\"{id}\",{ended},\"metrics\":{{\"durationMs\":46.84,\"billedDurationMs\":47,\"memorySizeMB\":128,\"maxMemoryUsedMB\":72{init}}}}}"
        );
        match invocation.told {
            Told::InReport => {}
            _ => lines.push((time + 2, platform("runtimeDone", done))),
        }
        lines.push((time + 3, platform("report", report)));
    }
    lines
}

/// Sums of what counts.
#[derive(Debug, Default)]
struct Sums(BTreeMap<&'static str, f64>);

impl Sink for Sums {
    fn log(&mut self, _: &Origin, _: &Log<'_>) {}

    fn metrics(&mut self, _: &Origin, metrics: &[Metric<'_>]) {
        for metric in metrics {
            if let (Name::Measure(measure), logferry::model::Value::Count(value)) = (metric.name, metric.value) {
                *self.0.entry(measure.name()).or_default() += value;
            }
        }
    }
}

impl Sums {
    fn of(lines: &[(i64, String)]) -> [f64; 5] {
        Self::of_batches(&[lines])
    }

    /// Of lines that come in several batches.
    fn of_batches(batches: &[&[(i64, String)]]) -> [f64; 5] {
        let envelope = Envelope { log_group: "/aws/lambda/checkout".to_owned(), ..Envelope::default() };
        let pipeline = Pipeline::new(Settings::default());
        let mut sums = Self::default();
        for lines in batches {
            let mut run = pipeline.run(&envelope, &Forwarder::default());
            for (number, (millis, line)) in lines.iter().enumerate() {
                let time = Timestamp::from_millis(1_700_000_000_000 + millis);
                push_text(&mut run, &number.to_string(), time, line, &mut sums);
            }
            run.finish(&mut sums);
        }
        ["invocations", "errors", "timeouts", "out_of_memory", "cold_starts"]
            .map(|name| sums.0.get(name).copied().unwrap_or_default())
    }
}

/// What happened.
fn truth(invocations: &[Invocation]) -> [f64; 5] {
    #[expect(clippy::cast_precision_loss, reason = "a few")]
    let many = |is: fn(&Invocation) -> bool| invocations.iter().filter(|one| is(one)).count() as f64;
    [
        many(|_| true),
        many(|one| one.end != End::Well),
        many(|one| one.end == End::Timeout),
        many(|one| one.end == End::OutOfMemory),
        many(|one| one.cold),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn what_is_counted_of_text_is_what_happened(invocations in proptest::collection::vec(invocation(), 1..8)) {
        let lines = text(&invocations);
        prop_assert_eq!(Sums::of(&lines), truth(&invocations), "{:#?}", lines);
    }

    /// What is told once can't be lost or doubled by where a batch ends.
    #[test]
    fn where_batches_end_changes_nothing(
        mut invocations in proptest::collection::vec(invocation(), 1..8),
        cut in any::<prop::sample::Index>(),
        as_json in any::<bool>(),
    ) {
        for invocation in &mut invocations {
            (invocation.told, invocation.late_report) = (Told::InReport, false);
            // The first line of a batch can't be told from Lambda's own.
            invocation.printed.clear();
        }
        let lines = if as_json { json(&invocations) } else { text(&invocations) };
        let (first, second) = lines.split_at(cut.index(lines.len()));
        prop_assert_eq!(Sums::of_batches(&[first, second]), truth(&invocations), "{:#?} | {:#?}", first, second);
    }

    #[test]
    fn what_is_counted_of_json_is_what_happened(invocations in proptest::collection::vec(invocation(), 1..8)) {
        let lines = json(&invocations);
        prop_assert_eq!(Sums::of(&lines), truth(&invocations), "{:#?}", lines);
    }
}
