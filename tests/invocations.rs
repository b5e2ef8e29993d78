//! What sequences of lines measure: each invocation once, whatever tells of it, and nothing that a function made up.

#![expect(clippy::float_cmp, reason = "counts are exact")]

use std::collections::BTreeMap;

use logferry::env::read;
use logferry::event::Envelope;
use logferry::model::{self, Level, Log, Metric, Name, Origin, Sink, Timestamp};
use logferry::pipeline::{Bounds, Counts, Filter, Hints, Lines, Pipeline, Rule, Scrub, Settings, push_text};

const A: &str = "11111111-aaaa-4000-8000-000000000001";
const B: &str = "22222222-bbbb-4000-8000-000000000002";

/// Message, level, request id and function.
type Shipped = (String, Option<Level>, Option<String>, Option<String>);

/// What came out.
#[derive(Debug, Default)]
struct Seen {
    /// Sums of counts, and how many values of what isn't one.
    metrics: BTreeMap<String, f64>,
    /// Last value of each metric, and its tags.
    last: BTreeMap<String, (f64, String)>,
    /// Message, level, request id and function of each log.
    logs: Vec<Shipped>,
    /// Which of these Lambda itself wrote.
    by_lambda: Vec<bool>,
    /// How the environment of the last log was started.
    initialization_type: Option<String>,
}

impl Sink for Seen {
    fn log(&mut self, origin: &Origin, log: &Log<'_>) {
        let function = origin.function.as_ref().map(|function| function.name.clone());
        let request_id = log.request_id.map(str::to_owned);
        self.initialization_type = origin.function.as_ref().and_then(|function| function.initialization_type.clone());
        self.by_lambda.push(log.by_lambda);
        self.logs.push((log.event.message.unescape().into_owned(), log.level, request_id, function));
    }

    fn metrics(&mut self, origin: &Origin, metrics: &[Metric<'_>]) {
        for metric in metrics {
            self.metric(origin, metric);
        }
    }
}

impl Seen {
    fn metric(&mut self, origin: &Origin, metric: &Metric<'_>) {
        let name = match metric.name {
            Name::Custom(name) => format!("custom {name}"),
            Name::Measure(measure) => measure.name().to_owned(),
        };
        let counts = matches!(metric.value, model::Value::Count(_));
        *self.metrics.entry(name.clone()).or_default() += if counts { metric.value.number() } else { 1.0 };
        let tags: Vec<_> = metric.tags.iter().map(|tag| format!("{}:{}", tag.key, tag.value)).collect();
        let function = origin.function.as_ref().map_or("-", |function| &function.name);
        self.last.insert(name, (metric.value.number(), format!("{function} {}", tags.join(","))));
    }
}

/// Lines a millisecond apart.
fn run_in(group: &str, settings: Settings, lines: &[&str]) -> (Seen, Counts) {
    let lines: Vec<_> = (0..).zip(lines.iter().copied()).collect();
    run_at(group, settings, &lines)
}

/// Lines, each so many milliseconds after the first moment.
fn run_at(group: &str, settings: Settings, lines: &[(i64, &str)]) -> (Seen, Counts) {
    let envelope = Envelope {
        owner: "123456789012".into(),
        log_group: group.into(),
        log_stream: "2026/11/20/[$LATEST]22be53a8cfde4e68b844f8ec293b2543".into(),
        ..Envelope::default()
    };
    // In a group of no function the stream must not name one.
    let envelope =
        if group.starts_with("/aws/lambda/") { envelope } else { Envelope { log_stream: "x".into(), ..envelope } };
    let pipeline = Pipeline::new(settings);
    let mut run = pipeline.run(&envelope, &model::Forwarder::default());
    let mut seen = Seen::default();
    for (number, (millis, line)) in lines.iter().enumerate() {
        let time = Timestamp::from_millis(1_700_000_000_000 + millis);
        push_text(&mut run, &number.to_string(), time, &line.replace("{A}", A).replace("{B}", B), &mut seen);
    }
    let counts = run.finish(&mut seen);
    (seen, counts)
}

fn run(lines: &[&str]) -> Seen {
    run_in("/aws/lambda/checkout", Settings::default(), lines).0
}

const START: &str = "START RequestId: {A} Version: $LATEST\n";
const END: &str = "END RequestId: {A}\n";
const REPORT: &str = "REPORT RequestId: {A}\tDuration: 46.84 ms\tBilled Duration: 47 ms\tMemory Size: 192 MB\tMax Memory Used: 72 MB\t\n";
const TIMED_OUT: &str = "REPORT RequestId: {A}\tDuration: 3000.00 ms\tBilled Duration: 3000 ms\tMemory Size: 192 MB\tMax Memory Used: 72 MB\tStatus: timeout\n";
const NO_MEMORY: &str = "REPORT RequestId: {A}\tDuration: 900.00 ms\tBilled Duration: 900 ms\tMemory Size: 192 MB\tMax Memory Used: 190 MB\tStatus: error\tError Type: Runtime.OutOfMemory\n";
const OLD_TIMEOUT: &str = "2026-11-20T09:00:00.000Z {A} Task timed out after 3.00 seconds\n\n";
const KILLED: &str = "RequestId: {A} Error: Runtime exited with error: signal: killed\nRuntime.ExitError\n";
const JSON_START: &str =
    r#"{"time":"2026-11-20T09:00:00.000Z","type":"platform.start","record":{"requestId":"{A}","version":"$LATEST"}}"#;
const JSON_DONE: &str = r#"{"time":"2026-11-20T09:00:00.000Z","type":"platform.runtimeDone","record":{"requestId":"{A}","status":"success","spans":[{"name":"responseLatency","durationMs":2.215}],"metrics":{"durationMs":11.185,"producedBytes":40}}}"#;
const JSON_DONE_LATE: &str = r#"{"time":"2026-11-20T09:00:00.000Z","type":"platform.runtimeDone","record":{"requestId":"{A}","status":"timeout","metrics":{"durationMs":5001.182,"producedBytes":0}}}"#;
const JSON_REPORT: &str = r#"{"time":"2026-11-20T09:00:00.000Z","type":"platform.report","record":{"requestId":"{A}","metrics":{"durationMs":11.642,"billedDurationMs":186,"memorySizeMB":128,"maxMemoryUsedMB":67,"initDurationMs":174.055},"status":"success"}}"#;
const JSON_LATE: &str = r#"{"time":"2026-11-20T09:00:00.000Z","type":"platform.report","record":{"requestId":"{A}","metrics":{"durationMs":5000.0,"billedDurationMs":5000,"memorySizeMB":128,"maxMemoryUsedMB":94},"status":"timeout"}}"#;
const JSON_INIT: &str = r#"{"time":"2026-11-20T09:00:00.000Z","type":"platform.initReport","record":{"initializationType":"on-demand","phase":"init","status":"success","metrics":{"durationMs":173.778}}}"#;

const FAILED: &str = "REPORT RequestId: {A}\tDuration: 9.00 ms\tBilled Duration: 9 ms\tMemory Size: 192 MB\tMax Memory Used: 72 MB\tStatus: error\tError Type: Runtime.ExitError\n";
const CRASHED: &str = "RequestId: {A} Error: Runtime exited with error: exit status 1\nRuntime.ExitError\n";
const ECHO: &str = "Unknown application error occurred\nRuntime.ImportModuleError\n";
const ECHO_PLAIN: &str = "Unknown application error occurred\nError\n";
const KILLED_B: &str = "RequestId: {B} Error: Runtime exited with error: signal: killed\nRuntime.ExitError\n";
const OLD_TIMEOUT_B: &str = "2026-11-20T09:00:00.000Z {B} Task timed out after 3.00 seconds\n\n";
const JSON_BARE: &str =
    r#"{"type":"platform.report","record":{"requestId":"{B}","metrics":{"durationMs":3000.0},"status":"timeout"}}"#;
const START_C: &str = "START RequestId: 33333333-cccc-4000-8000-000000000003 Version: $LATEST\n";
const START_B: &str = "START RequestId: {B} Version: $LATEST\n";
const END_B: &str = "END RequestId: {B}\n";
const REPORT_B: &str =
    "REPORT RequestId: {B}\tDuration: 1.00 ms\tBilled Duration: 1 ms\tMemory Size: 192 MB\tMax Memory Used: 72 MB\t\n";

/// Invocations, errors, time-outs, lack of memory.
type Tally = [f64; 4];

fn tally(seen: &Seen) -> Tally {
    ["invocations", "errors", "timeouts", "out_of_memory"]
        .map(|name| seen.metrics.get(name).copied().unwrap_or_default())
}

#[test]
fn each_invocation_counts_once() {
    let ended = |kind: &str| format!(r#""status":"error","errorType":"{kind}""#);
    let done = JSON_DONE_LATE.replace(r#""status":"timeout""#, &ended("Runtime.OutOfMemory"));
    let report = JSON_LATE.replace(r#""status":"timeout""#, &ended("Runtime.ExitError"));
    for (name, lines, expected) in [
        ("good", vec![START, END, REPORT], [1.0, 0.0, 0.0, 0.0]),
        ("new-style time-out", vec![START, END, TIMED_OUT], [1.0, 1.0, 1.0, 0.0]),
        ("old-style time-out", vec![START, OLD_TIMEOUT, END, REPORT], [1.0, 1.0, 1.0, 0.0]),
        ("both styles at once", vec![START, OLD_TIMEOUT, END, TIMED_OUT], [1.0, 1.0, 1.0, 0.0]),
        ("killed, old style", vec![START, KILLED, END, REPORT], [1.0, 1.0, 0.0, 1.0]),
        ("killed, written with CRLF", vec![START, &KILLED.replace('\n', "\r\n"), END, REPORT], [1.0, 1.0, 0.0, 1.0]),
        ("killed, both styles", vec![START, KILLED, END, NO_MEMORY], [1.0, 1.0, 0.0, 1.0]),
        ("lack of memory, new style", vec![START, END, NO_MEMORY], [1.0, 1.0, 0.0, 1.0]),
        ("an asynchronous retry keeps its id", vec![TIMED_OUT, TIMED_OUT], [2.0, 2.0, 2.0, 0.0]),
        (
            "a retry that is told twice each time",
            vec![START, OLD_TIMEOUT, END, TIMED_OUT, START, OLD_TIMEOUT, END, TIMED_OUT],
            [2.0, 2.0, 2.0, 0.0],
        ),
        ("the end of an invocation that began in another batch", vec![END, REPORT], [1.0, 0.0, 0.0, 0.0]),
        ("a beginning", vec![START], [0.0; 4]),
        ("a failed end, told without an id", vec![ECHO, END, FAILED], [1.0, 1.0, 0.0, 0.0]),
        ("told behind its END", vec![END, ECHO, FAILED], [1.0, 1.0, 0.0, 0.0]),
        ("told of one whose end the batch doesn't have", vec![ECHO, START_B, END_B, REPORT_B], [1.0, 1.0, 0.0, 0.0]),
        ("told by an error of any name", vec![START, ECHO_PLAIN, END, REPORT], [1.0, 1.0, 0.0, 0.0]),
        ("REPORT before END", vec![START, REPORT, END, "START RequestId: {B} Version: 1\n"], [1.0, 0.0, 0.0, 0.0]),
        ("JSON", vec![JSON_INIT, JSON_START, JSON_DONE, JSON_REPORT], [1.0, 0.0, 0.0, 0.0]),
        ("JSON, told twice", vec![JSON_START, JSON_DONE_LATE, JSON_LATE], [1.0, 1.0, 1.0, 0.0]),
        ("JSON, told by its done alone", vec![JSON_START, JSON_DONE_LATE, JSON_REPORT], [1.0, 1.0, 1.0, 0.0]),
        ("JSON, where only its done says which error", vec![JSON_START, &done, &report], [1.0, 1.0, 0.0, 1.0]),
        (
            "JSON retry that goes well",
            vec![JSON_START, JSON_DONE_LATE, JSON_REPORT, JSON_START, JSON_DONE, JSON_REPORT],
            [2.0, 1.0, 1.0, 0.0],
        ),
        ("JSON, whose report is in the next batch", vec![JSON_START, JSON_DONE_LATE], [0.0; 4]),
        ("JSON retry", vec![JSON_START, JSON_LATE, JSON_START, JSON_LATE], [2.0, 2.0, 2.0, 0.0]),
        ("JSON at level WARN, where starts are missing", vec![JSON_LATE, JSON_LATE], [2.0, 2.0, 2.0, 0.0]),
    ] {
        let seen = run(&lines);
        assert_eq!(tally(&seen), expected, "{name}: {seen:#?}");
        assert_eq!(seen.logs.len(), lines.len(), "{name}: every line is a log");
    }
}

#[test]
fn a_report_that_ends_late_is_counted_before_another_is_held() {
    for (name, lines, expected) in [
        ("END behind it", vec![START, START_B, REPORT, END, REPORT_B, END_B], 2.0),
        ("no END at all", vec![START, START_B, REPORT, REPORT_B], 2.0),
        ("printed with its START, and no END", vec![START, START_B, REPORT_B, REPORT], 1.0),
        ("printed by itself, twice", vec![START, REPORT, END, REPORT, START_B, REPORT_B, END_B], 2.0),
    ] {
        assert_eq!(tally(&run(&lines))[0], expected, "{name}");
    }
}

#[test]
fn the_beginning_of_an_environment_shows_how_lambda_writes() {
    let json =
        r#"{"time":"2026-11-20T09:00:00.000Z","type":"platform.extension","record":{"name":"x","state":"Ready"}}"#;
    let init = "INIT_START Runtime Version: nodejs:22.v1\tRuntime Version ARN: arn:aws:lambda:eu-west-1::runtime:0a\n";
    assert_eq!(tally(&run(&[init, json, START, END, TIMED_OUT])), [1.0, 1.0, 1.0, 0.0]);
    assert_eq!(tally(&run(&["INIT_START Runtime Version: x\n", JSON_START, JSON_REPORT])), [1.0, 0.0, 0.0, 0.0]);
}

#[test]
fn a_failure_told_after_its_report_counts_once() {
    for (name, lines, expected) in [
        ("time-out, told twice", vec![START, END, TIMED_OUT, OLD_TIMEOUT], [1.0, 1.0, 1.0, 0.0]),
        ("killed, told twice", vec![START, END, NO_MEMORY, KILLED], [1.0, 1.0, 0.0, 1.0]),
        ("crash, told twice", vec![START, END, FAILED, CRASHED], [1.0, 1.0, 0.0, 0.0]),
        ("crash, told thrice", vec![START, CRASHED, END, FAILED, CRASHED], [1.0, 1.0, 0.0, 0.0]),
        ("on both sides of a bare REPORT", vec![START, ECHO, END, REPORT, CRASHED], [1.0, 1.0, 0.0, 0.0]),
        ("time-out, then killed", vec![START, END, TIMED_OUT, KILLED], [1.0, 1.0, 1.0, 1.0]),
        ("told after a bare REPORT only", vec![START, END, REPORT, OLD_TIMEOUT], [1.0, 1.0, 1.0, 0.0]),
        ("told twice after it", vec![START, END, REPORT, OLD_TIMEOUT, CRASHED], [1.0, 1.0, 1.0, 0.0]),
        (
            "after the next START",
            vec![START, END, START_B, TIMED_OUT, OLD_TIMEOUT, END_B, REPORT_B],
            [2.0, 1.0, 1.0, 0.0],
        ),
        ("no START, as a filter may have it", vec![TIMED_OUT, OLD_TIMEOUT], [1.0, 1.0, 1.0, 0.0]),
        ("JSON, whose done comes last", vec![JSON_START, JSON_LATE, JSON_DONE_LATE], [1.0, 1.0, 1.0, 0.0]),
        ("JSON, told by that alone", vec![JSON_START, JSON_REPORT, JSON_DONE_LATE], [1.0, 1.0, 1.0, 0.0]),
    ] {
        assert_eq!(tally(&run(&lines)), expected, "{name}");
    }
}

#[test]
fn a_retry_fails_by_itself() {
    for (name, lines, expected) in [
        (
            "time-outs told after and before",
            vec![START, END, REPORT, OLD_TIMEOUT, START, OLD_TIMEOUT, END, REPORT],
            [2.0, 2.0, 2.0, 0.0],
        ),
        ("crashes", vec![START, END, REPORT, CRASHED, START, CRASHED, END, REPORT], [2.0, 2.0, 0.0, 0.0]),
        ("killed", vec![START, END, REPORT, KILLED, START, KILLED, END, REPORT], [2.0, 2.0, 0.0, 2.0]),
        ("new style, then old", vec![START, END, TIMED_OUT, START, OLD_TIMEOUT, END, REPORT], [2.0, 2.0, 2.0, 0.0]),
        ("old style, then new", vec![START, END, REPORT, OLD_TIMEOUT, START, END, TIMED_OUT], [2.0, 2.0, 2.0, 0.0]),
        ("without START", vec![REPORT, OLD_TIMEOUT, REPORT, OLD_TIMEOUT], [2.0, 2.0, 2.0, 0.0]),
        ("without START, told twice", vec![TIMED_OUT, OLD_TIMEOUT, TIMED_OUT, OLD_TIMEOUT], [2.0, 2.0, 2.0, 0.0]),
        ("that goes well", vec![START, END, REPORT, OLD_TIMEOUT, START, END, REPORT], [2.0, 1.0, 1.0, 0.0]),
        ("crash while it starts is no retry", vec![CRASHED, START, CRASHED, END, REPORT], [1.0, 1.0, 0.0, 0.0]),
    ] {
        assert_eq!(tally(&run(&lines)), expected, "{name}");
    }
}

#[test]
fn a_retry_counts_by_itself_where_starts_are_filtered_out() {
    const TIMEOUT: &str = "2026-11-20T09:00:03.000Z {A} Task timed out after 3.00 seconds\n\n";
    const REPORT: &str = "REPORT RequestId: {A}\tDuration: 3004.92 ms\tBilled Duration: 3000 ms\tMemory Size: 128 MB\t";

    for (second, errors) in [(10, 1.0), (63_000, 2.0)] {
        let lines = [(0, TIMEOUT), (1, REPORT), (second, TIMEOUT), (second + 1, REPORT)];
        let (seen, _) = run_at("/aws/lambda/checkout", Settings::default(), &lines);
        assert_eq!(seen.metrics["errors"], errors, "{second} ms later");
        assert_eq!(seen.metrics["invocations"], 2.0);
    }
}

#[test]
fn a_report_may_come_after_the_next_start() {
    let fake = "REPORT RequestId: {A}\tDuration: 1.00 ms\n";
    for (name, lines, expected) in [
        ("its END was read", vec![START, END, START_B, REPORT, END_B, REPORT_B], [2.0, 0.0, 0.0, 0.0]),
        ("and it tells of a failure", vec![START, END, START_B, TIMED_OUT, END_B, REPORT_B], [2.0, 1.0, 1.0, 0.0]),
        ("its START is in another batch", vec![END, START_B, REPORT, END_B, REPORT_B], [2.0, 0.0, 0.0, 0.0]),
        ("twice: one is made up", vec![START, END, START_B, REPORT, fake, END_B, REPORT_B], [2.0, 0.0, 0.0, 0.0]),
        ("again: it is made up", vec![START, END, REPORT, START_B, fake, END_B, REPORT_B], [2.0, 0.0, 0.0, 0.0]),
        ("held until then", vec![START, REPORT, END, START_B, fake, END_B, REPORT_B], [2.0, 0.0, 0.0, 0.0]),
        ("its END was not read", vec![START, START_B, fake, END_B, REPORT_B], [1.0, 0.0, 0.0, 0.0]),
        ("its END comes then, too", vec![START, START_B, END, REPORT, END_B, REPORT_B], [2.0, 0.0, 0.0, 0.0]),
        ("and behind it", vec![START, START_B, TIMED_OUT, END, END_B, REPORT_B], [2.0, 1.0, 1.0, 0.0]),
        (
            "and one that is made up before",
            vec![START, START_B, fake, END, TIMED_OUT, END_B, REPORT_B],
            [2.0, 1.0, 1.0, 0.0],
        ),
        (
            "only its END does",
            vec![START_B, END_B, REPORT_B, START, REPORT, START_B, END, END_B, REPORT_B],
            [3.0, 0.0, 0.0, 0.0],
        ),
    ] {
        assert_eq!(tally(&run(&lines)), expected, "{name}");
    }
}

#[test]
fn a_filter_pattern_may_let_no_end_through() {
    for (lines, expected) in [
        (vec![START, REPORT], [1.0, 0.0, 0.0, 0.0]),
        (vec![START, REPORT, START_B, REPORT_B], [2.0, 0.0, 0.0, 0.0]),
        (vec![START, OLD_TIMEOUT, TIMED_OUT, START_B, REPORT_B], [2.0, 1.0, 1.0, 0.0]),
        (vec![START, TIMED_OUT, START, TIMED_OUT], [2.0, 2.0, 2.0, 0.0]),
        // Two after one START: the last one is Lambda's.
        (vec![START, REPORT, NO_MEMORY, START_B], [1.0, 1.0, 0.0, 1.0]),
        // Of another one while it runs.
        (vec![START, REPORT_B, REPORT], [1.0, 0.0, 0.0, 0.0]),
        // Nothing is counted again when an END comes after all.
        (vec![START, REPORT, START_B, END, REPORT, END_B, REPORT_B], [2.0, 0.0, 0.0, 0.0]),
    ] {
        assert_eq!(tally(&run(&lines)), expected, "{lines:?}");
    }
}

#[test]
fn lines_of_one_millisecond_have_no_order() {
    for first in [
        [START, END, TIMED_OUT],
        [START, TIMED_OUT, END],
        [END, START, TIMED_OUT],
        [END, TIMED_OUT, START],
        [TIMED_OUT, START, END],
        [TIMED_OUT, END, START],
    ] {
        let lines = [[START_B, END_B, REPORT_B], first, [START_B, END_B, REPORT_B]].concat();
        assert_eq!(tally(&run(&first)), [1.0, 1.0, 1.0, 0.0], "{first:?}");
        assert_eq!(tally(&run(&lines)), [3.0, 1.0, 1.0, 0.0], "{lines:?}");
    }
}

#[test]
fn a_record_without_a_time_renames_no_function() {
    let arn = r#""record":{"requestId":"{B}","functionArn":"arn:aws:lambda:us-east-1:999999999999:function:other:7","functionName":"other","functionVersion":"7"}}"#;
    for (kind, group, expected) in [
        ("start", "/aws/lambda/checkout", Some("checkout")),
        ("initStart", "/aws/lambda/checkout", Some("checkout")),
        ("start", "/shared", None),
        ("initStart", "/shared", None),
    ] {
        let untimed = format!(r#"{{"type":"platform.{kind}",{arn}"#);
        let timed = untimed.replacen('{', r#"{"time":"2026-11-20T09:00:00.000Z","#, 1);
        for (line, expected) in [(untimed, expected), (timed, Some("other"))] {
            let (seen, _) = run_in(
                group,
                Settings::default(),
                &[
                    &line, "hi
",
                ],
            );
            assert_eq!(seen.logs[1].3.as_deref(), expected, "{line}");
        }
    }
}

#[test]
fn one_line_hides_no_invocation() {
    let text = [&[END, REPORT][..], &[START, END, REPORT].repeat(4)].concat();
    let json = [JSON_START, JSON_REPORT].repeat(5);
    for first in [
        r#"{"level":"INFO","type":"platform.login","user":1}"#,
        r#"{"level":"INFO","type":"platform.start","record":"x"}"#,
        r#"{"type":"platform.start","record":{"requestId":"{B}"}}"#,
        r#"{"time":"x","type":"platform.invokeSummary","record":{}}"#,
    ] {
        let lines = [&[first][..], &text].concat();
        assert_eq!(tally(&run(&lines)), [5.0, 0.0, 0.0, 0.0], "{first}");
        let after = [&text[2..], &[START, first, END, REPORT], &text[2..]].concat();
        assert_eq!(tally(&run(&after)), [9.0, 0.0, 0.0, 0.0], "{first}");
    }
    let untimed = [JSON_START, JSON_REPORT].map(|line| line.replacen(r#""time":"2026-11-20T09:00:00.000Z","#, "", 1));
    assert_eq!(tally(&run(&[&untimed[0], &untimed[1], END, REPORT])), [2.0, 0.0, 0.0, 0.0], "what proves nothing");
    assert_eq!(
        tally(&run(&[&["START RequestId: x Version: 1\n"][..], &text].concat()))[0].to_bits(),
        5.0_f64.to_bits()
    );
    for first in [
        "END RequestId: 5\n",
        "START RequestId: x Version: 1\n",
        "REPORT RequestId: x\tDuration: 1.00 ms\n",
        "EXTENSION\tName: a\tState: b\n",
        "INIT_REPORT Init Duration: 5 ms\n",
        "INIT_START Runtime Version: python:3.12.v7\n",
        "RESTORE_REPORT Restore Duration: 5 ms\n",
        "IMAGE\tLaunch error: x\n",
        "Task timed out after 3 seconds\n",
        OLD_TIMEOUT,
        CRASHED,
    ] {
        let seen = run(&[&[first][..], &json].concat());
        let reports = 5.0 + f64::from(u8::from(first.starts_with("REPORT")));
        assert_eq!(tally(&seen)[0].to_bits(), reports.to_bits(), "{first}");
        // What is read from there on is JSON and nothing else.
        let after = run(&[&[first][..], &json, &text].concat());
        assert_eq!(tally(&after)[0].to_bits(), reports.to_bits(), "{first}");
    }
}

#[test]
fn a_record_of_the_very_moment_shows_that_text_was_printed() {
    let report = |id: &str, second: i64| {
        let line =
            JSON_REPORT.replace("2026-11-20T09:00:00.000Z", &format!("2023-11-14T22:13:{:02}.000Z", 20 + second));
        (second * 1000, line.replace("{A}", id))
    };
    for printed in ["END RequestId: {B}\n", "REPORT RequestId: {B}\tDuration: 1 ms\t\n", START] {
        let reports = [report("{A}", 1), report("id-2", 2), report("id-3", 3)];
        let lines: Vec<_> =
            std::iter::once((0, printed)).chain(reports.iter().map(|(at, line)| (*at, line.as_str()))).collect();
        let (seen, _) = run_at("/aws/lambda/checkout", Settings::default(), &lines);
        let of_text = if printed.starts_with("REPORT") { 1.0 } else { 0.0 };
        assert_eq!(tally(&seen), [3.0 + of_text, 0.0, 0.0, 0.0], "{printed}");
        // Others' records are of another time than what prints them.
        let lines: Vec<_> = lines.iter().map(|(at, line)| (at + 300, *line)).collect();
        let (seen, _) = run_at("/aws/lambda/checkout", Settings::default(), &lines);
        assert_eq!(tally(&seen), [of_text, 0.0, 0.0, 0.0], "{printed}");
    }
}

#[test]
fn no_environment_begins_while_a_request_runs() {
    let elsewhere = "INIT_START Runtime Version: x:9\tRuntime Version ARN: arn:aws:lambda:ap-south-1::runtime:0f\n";
    let here = elsewhere.replace("ap-south-1", "eu-west-1").replace("x:9", "x:8");
    for (lines, region) in [
        (vec![here.as_str(), START, elsewhere, "hi", END, REPORT], "eu-west-1"),
        (vec![here.as_str(), START, END, REPORT, elsewhere, "hi"], "ap-south-1"),
    ] {
        let mut regions = Regions::default();
        let pipeline = Pipeline::new(Settings::default());
        let envelope = Envelope { log_group: "/aws/lambda/checkout".into(), ..Envelope::default() };
        let mut run = pipeline.run(&envelope, &model::Forwarder::default());
        for line in &lines {
            push_text(&mut run, "", Timestamp::from_millis(1_700_000_000_000), &line.replace("{A}", A), &mut regions);
        }
        assert_eq!(regions.0.last().unwrap().as_deref(), Some(region), "{lines:?}");
    }
}

/// The region of each log.
#[derive(Default)]
struct Regions(Vec<Option<String>>);

impl Sink for Regions {
    fn log(&mut self, origin: &Origin, _: &Log<'_>) {
        self.0.push(origin.region.clone());
    }

    fn metrics(&mut self, _: &Origin, _: &[Metric<'_>]) {}
}

#[test]
fn a_retry_counts_whose_start_was_not_read() {
    for (after, expected) in [(100, 1.0), (60_000, 2.0)] {
        let lines = [(0, JSON_START), (10, JSON_LATE), (10 + after, JSON_LATE)];
        let (seen, _) = run_at("/aws/lambda/checkout", Settings::default(), &lines);
        assert_eq!(tally(&seen), [expected, expected, expected, 0.0], "after {after} ms");
    }
}

#[test]
fn a_level_in_brackets_is_that_of_the_log() {
    for (line, level) in [
        ("[ERROR] KeyError: 'x'\nTraceback (most recent call last):\n", Some(Level::Error)),
        ("[WARN] slow", Some(Level::Warn)),
        ("[INFORMATION] slow", Some(Level::Info)),
        ("[batch] slow", None),
        ("[WARN]slow", None),
        ("[ERROR", None),
        ("[1, 2, 3] ", None),
    ] {
        assert_eq!(run(&[line]).logs[0].1, level, "{line}");
    }
}

#[test]
fn a_level_that_is_a_number_is_that_of_pino() {
    for (line, level) in [
        (r#"{"level":30,"time":1700000000123,"pid":8,"msg":"x"}"#, Some(Level::Info)),
        (r#"{"level":50,"err":{"type":"Error"},"msg":"x"}"#, Some(Level::Error)),
        (r#"{"msg":"x", "level": 60}"#, Some(Level::Fatal)),
        // Of several, the one in words holds.
        (r#"{"level":10,"log_level":"WARN"}"#, Some(Level::Warn)),
        // Whatever these mean: syslog's 3 is an error.
        (r#"{"level":3}"#, None),
        (r#"{"level":35}"#, None),
        (r#"{"level":30.0}"#, None),
        (r#"{"level":null}"#, None),
        (r#"{"x":{"level":30}}"#, None),
    ] {
        assert_eq!(run(&[line]).logs[0].1, level, "{line}");
    }
}

#[test]
fn a_value_that_two_directives_name_counts_once() {
    let directive = |set: &str, more: &str| {
        format!(r#"{{"Namespace":"Shop","Dimensions":[[{set}]],"Metrics":[{{"Name":"Orders","Unit":"Count"}}{more}]}}"#)
    };
    let both = format!("{},{}", directive(r#""a""#, ""), directive(r#""a","b""#, r#",{"Name":"Lag"}"#));
    let line = |directives: &str| {
        format!(
            r#"{{"_aws":{{"Timestamp":1700000000000,"CloudWatchMetrics":[{directives}]}},"a":"1","b":"2","Orders":5,"Lag":7}}"#
        )
    };
    let seen = run(&[&line(&both)]);
    assert_eq!((seen.metrics["custom Orders"], seen.metrics["custom Lag"]), (5.0, 1.0));
    assert_eq!(seen.last["custom Orders"], (5.0, "checkout a:1,b:2,namespace:Shop".to_owned()));
    // Of two namespaces they are two.
    let others = format!("{},{}", directive(r#""a""#, ""), directive(r#""a","b""#, "").replace("Shop", "Other"));
    assert_eq!(run(&[&line(&others)]).metrics["custom Orders"], 10.0);
}

#[test]
fn only_lines_of_lambda_are_dropped_with_them() {
    let settings = || Settings { platform_lines: Lines::Drop, ..Settings::default() };
    let login = r#"{"level":"ERROR","type":"platform.login","message":"x"}"#;
    let start = r#"{"level":"ERROR","type":"platform.start","message":"x"}"#;
    let summary =
        r#"{"time":"2026-09-17T00:00:00.000Z","type":"platform.invokeSummary","record":{"status":"success"}}"#;
    for (group, lines, expected) in [
        ("/aws/lambda/checkout", vec![login, start], vec![(login, Some(Level::Error)), (start, Some(Level::Error))]),
        (
            "/aws/lambda/checkout",
            vec![START, login, start],
            vec![(login, Some(Level::Error)), (start, Some(Level::Error))],
        ),
        ("/aws/lambda/web/site", vec![JSON_INIT, summary], vec![(summary, None)]),
        ("/ecs/x", vec![login, JSON_LATE], vec![(login, Some(Level::Error)), (JSON_LATE, None)]),
        ("/ecs/x", vec![START, END], vec![(START, None), (END, None)]),
    ] {
        let (seen, _) = run_in(group, settings(), &lines);
        let shipped: Vec<_> = seen.logs.iter().map(|(message, level, ..)| (message.clone(), *level)).collect();
        let filled = |line: &str| line.replace("{A}", A);
        let expected: Vec<_> = expected.into_iter().map(|(line, level)| (filled(line), level)).collect();
        assert_eq!(shipped, expected, "{group}");
    }
}

#[test]
fn says_of_each_line_whether_lambda_wrote_it() {
    let spaced = r#"{ "time": "2026-11-20T09:02:14.920Z", "record": {"requestId": "{A}"}, "type": "platform.report" }"#;
    for (line, by_lambda) in [
        (START, true),
        (END, true),
        (REPORT, true),
        ("TELEMETRY\tName: x\tState: Subscribed\tTypes: [Function]", true),
        ("2026-11-20T09:00:03.003Z {A} Task timed out after 3.00 seconds", true),
        ("RequestId: {A} Error: Runtime exited with error: signal: killed\nRuntime.ExitError", true),
        (spaced, true),
        ("START RequestId: not lambda", false),
        ("REPORT RequestId: foo is missing", false),
        ("INIT_START foo", false),
        (r#"{"level":"INFO","type":"platform.engineering","message":"x"}"#, false),
        ("END of the day", false),
    ] {
        let seen = run(&[line]);
        assert_eq!(seen.by_lambda, [by_lambda], "{line}");
        // What is taken out of a line doesn't change who wrote it.
        let rule = vec![Rule::new(read::pattern("00|Lambda|x|a").unwrap(), "y").unwrap()];
        let scrubbed = Settings { scrub: Scrub::new(rule), ..Settings::default() };
        assert_eq!(run_in("/aws/lambda/checkout", scrubbed, &[line]).0.by_lambda, [by_lambda], "{line}");
    }
}

#[test]
fn what_a_function_makes_up_measures_nothing_where_it_can_be_told() {
    for (name, lines, expected) in [
        ("REPORT of its own while it runs", vec![START, REPORT, END, REPORT], [1.0, 0.0, 0.0, 0.0]),
        (
            "REPORT of another while it runs",
            vec![START, "REPORT RequestId: {B}\tDuration: 1.00 ms\n", END, REPORT],
            [1.0, 0.0, 0.0, 0.0],
        ),
        ("REPORT that the batch ends on", vec![START_B, END_B, REPORT_B, START, REPORT], [1.0, 0.0, 0.0, 0.0]),
        ("START of another while it runs", vec![START, START_B, END, REPORT], [1.0, 0.0, 0.0, 0.0]),
        ("and REPORT of that one", vec![START, START_B, REPORT_B, END, REPORT], [1.0, 0.0, 0.0, 0.0]),
        ("a second REPORT after one START", vec![START, END, REPORT, TIMED_OUT], [1.0, 0.0, 0.0, 0.0]),
        ("and with an END of its own", vec![START, END, REPORT, END, TIMED_OUT], [1.0, 0.0, 0.0, 0.0]),
        ("behind one that came before END", vec![START, REPORT, END, START_B, TIMED_OUT], [1.0, 0.0, 0.0, 0.0]),
        ("JSON in a stream of text", vec![START, JSON_LATE, END, REPORT], [1.0, 0.0, 0.0, 0.0]),
        ("text in a stream of JSON", vec![JSON_START, TIMED_OUT, JSON_REPORT], [1.0, 0.0, 0.0, 0.0]),
        ("a second JSON report after one start", vec![JSON_START, JSON_REPORT, JSON_LATE], [1.0, 0.0, 0.0, 0.0]),
        ("a failure of another while it runs", vec![START, KILLED_B, END, REPORT], [1.0, 0.0, 0.0, 0.0]),
        (
            "of a request that two printed STARTs hide",
            vec![START, START_B, START_C, KILLED, END, REPORT],
            [0.0, 1.0, 0.0, 1.0],
        ),
        ("its time-out", vec![START, OLD_TIMEOUT_B, END, REPORT], [1.0, 0.0, 0.0, 0.0]),
        ("JSON without a time in a stream of JSON", vec![JSON_START, JSON_BARE, JSON_REPORT], [1.0, 0.0, 0.0, 0.0]),
        ("in the middle of a line", vec!["saw REPORT RequestId: {A}\tDuration: 1.00 ms\n"], [0.0; 4]),
        ("on the second line of an event", vec!["look:\nREPORT RequestId: {A}\tDuration: 1.00 ms\n"], [0.0; 4]),
        ("in a JSON field", vec![r#"{"level":"INFO","message":"REPORT RequestId: {A}\tDuration: 1.00 ms"}"#], [0.0; 4]),
        ("a time-out in prose", vec!["why did it say Task timed out after 3.00 seconds?"], [0.0; 4]),
    ] {
        let seen = run(&lines);
        assert_eq!(tally(&seen), expected, "{name}");
        assert_eq!(seen.logs.len(), lines.len(), "{name}: every line is a log");
    }
    let (seen, _) = run_in("/shop/other", Settings::default(), &[START, END, REPORT]);
    assert_eq!(tally(&seen), [0.0; 4], "a group of no function");
}

#[test]
fn durations_are_joined_and_never_told_twice() {
    let seen = run(&[JSON_INIT, JSON_START, JSON_DONE, JSON_REPORT]);
    assert_eq!(seen.metrics["init_duration_ms"].to_bits(), 1.0_f64.to_bits());
    for (name, expected) in [
        ("init_duration_ms", 174.055),
        ("runtime_duration_ms", 11.185),
        ("post_runtime_duration", 0.457),
        ("response_latency", 2.215),
        ("produced_bytes", 40.0),
        ("cold_starts", 1.0),
    ] {
        assert!((seen.last[name].0 - expected).abs() < 1e-9, "{name}: {:?}", seen.last[name]);
    }
    let late = run(&[JSON_START, JSON_DONE_LATE, JSON_LATE]);
    assert!(!late.metrics.contains_key("post_runtime_duration"), "it would be negative");
}

#[test]
fn a_report_that_comes_before_its_runtime_done_is_joined_too() {
    let next = JSON_REPORT.replace("11.642", "30.000");
    let done = JSON_DONE.replace("{A}", "{B}");
    for (name, lines, expected) in [
        ("in order", vec![JSON_START, JSON_DONE, JSON_REPORT], Some((1.0, 0.457))),
        ("the other way round", vec![JSON_START, JSON_REPORT, JSON_DONE], Some((1.0, 0.457))),
        ("and twice", vec![JSON_START, JSON_REPORT, JSON_DONE, JSON_DONE], Some((1.0, 0.457))),
        ("on both sides", vec![JSON_START, JSON_DONE, JSON_REPORT, JSON_DONE], Some((1.0, 0.457))),
        ("negative", vec![JSON_START, JSON_LATE, JSON_DONE_LATE], None),
        ("of another request", vec![JSON_START, JSON_REPORT, &done], None),
        ("not with a retry", vec![JSON_START, JSON_REPORT, JSON_DONE, JSON_START, &next], Some((1.0, 0.457))),
    ] {
        let seen = run(&lines);
        let (points, last) = (seen.metrics.get("post_runtime_duration"), seen.last.get("post_runtime_duration"));
        assert_eq!(points.copied().zip(last.map(|(value, _)| *value)), expected, "{name}");
    }
}

#[test]
fn a_start_is_told_once_and_by_the_report_if_it_tells_it() {
    let untyped = JSON_INIT.replace(r#""initializationType":"on-demand","#, "");
    let provisioned = JSON_INIT.replace("on-demand", "provisioned-concurrency");
    let failed = JSON_INIT.replace("success", "error");
    let (text, bare) = ("INIT_REPORT Init Duration: 612.33 ms\tPhase: init\n", "INIT_REPORT Init Duration: 7.50 ms\n");
    let cold = REPORT.replace("\t\n", "\tInit Duration: 5.00 ms\t\n");
    for (name, lines, expected) in [
        ("on demand", vec![JSON_INIT, JSON_START, JSON_REPORT], Some((1.0, 174.055))),
        ("on demand, and no report that tells it", vec![JSON_INIT, JSON_START, JSON_LATE], Some((1.0, 173.778))),
        ("on demand, reported in the next batch", vec![JSON_INIT, JSON_START], None),
        ("of no type", vec![&untyped, JSON_START, JSON_REPORT], Some((1.0, 174.055))),
        ("of no type, reported in the next batch", vec![&untyped, JSON_START], Some((1.0, 173.778))),
        ("provisioned, told by both", vec![&provisioned, JSON_START, JSON_REPORT], Some((1.0, 174.055))),
        ("provisioned, as Lambda tells it", vec![&provisioned, JSON_START, JSON_LATE], Some((1.0, 173.778))),
        ("text, told by both", vec![text, START, END, &cold], Some((1.0, 5.0))),
        ("text, as Lambda tells it", vec![text, START, END, REPORT], Some((1.0, 612.33))),
        ("one after the other", vec![text, bare], Some((2.0, 7.5))),
        ("the second after a report", vec![bare, START, END, &cold, text], Some((2.0, 612.33))),
        ("that failed", vec![&failed, JSON_START, JSON_REPORT], Some((2.0, 174.055))),
    ] {
        let seen = run(&lines);
        let told = seen.metrics.get("init_duration_ms").map(|points| (*points, seen.last["init_duration_ms"].0));
        assert_eq!(told, expected, "{name}");
    }
}

#[test]
fn measures_tell_the_tenant_of_their_invocation_only_if_set() {
    let of = |line: &str, tenant: &str| {
        line.replacen(r#""requestId":"{A}""#, &format!(r#""requestId":"{{A}}","tenantId":"{tenant}""#), 1)
    };
    let lines = [JSON_START, JSON_DONE, JSON_REPORT].map(|line| of(line, "köln \\\"süd\\\""));
    let lines = lines.each_ref().map(String::as_str);
    let tags = |tenant_tag, lines: &[&str]| {
        let settings = Settings { tenant_tag, ..Settings::default() };
        let (seen, _) = run_in("/aws/lambda/checkout", settings, lines);
        let tags = |name: &str| seen.last.get(name).map(|(_, tags)| tags.clone()).unwrap_or_default();
        ["runtime_duration_ms", "produced_bytes", "invocations", "post_runtime_duration", "estimated_cost_usd"]
            .map(tags)
    };
    let (report, basis) =
        ("checkout memory_size_mb:128,cold_start:true", ",architecture:x86_64,price_basis:list_tier_1");
    let none = ["checkout ", "checkout ", report, report, &format!("{report}{basis}")].map(str::to_owned);
    let report = format!("{report},tenant_id:köln \"süd\"");
    let tenant = "checkout tenant_id:köln \"süd\"";
    let told = [tenant, tenant, &report, &report, &format!("{report}{basis}")].map(str::to_owned);
    assert_eq!(tags(false, &lines), none);
    assert_eq!(tags(true, &lines), told);
    assert_eq!(tags(true, &[JSON_START, JSON_DONE, JSON_REPORT]), none, "no tenants");
    let empty = [JSON_START, JSON_DONE, JSON_REPORT].map(|line| of(line, ""));
    assert_eq!(tags(true, &empty.each_ref().map(String::as_str)), none, "a tenant without a name");
    let text = tags(true, &[START, END, REPORT]);
    assert_eq!(text[2], "checkout memory_size_mb:192,cold_start:false", "text doesn't tell");
    // Managed Instances tell no memory.
    let bare = of(r#"{"type":"platform.report","record":{"requestId":"{A}","metrics":{"durationMs":1}}}"#, "b");
    assert_eq!(tags(true, &[&bare])[2], "checkout cold_start:false,tenant_id:b");
}

#[test]
fn an_error_that_only_words_tell_has_the_tenant_of_the_start() {
    let start = JSON_START.replace(r#""version""#, r#""tenantId":"b","version""#);
    let python = "[ERROR] KeyError: 'x'\nTraceback (most recent call last):\n  File \"a.py\"\n";
    for (tenant_tag, expected) in [(false, "checkout "), (true, "checkout tenant_id:b")] {
        let hints = Hints { out_of_memory: false, handler_errors: true };
        let settings = Settings { tenant_tag, hints, ..Settings::default() };
        let (seen, _) = run_in("/aws/lambda/checkout", settings.clone(), &[&start, python]);
        assert_eq!(seen.last["errors"].1, expected);
        let late = "2026-11-20T09:00:00.000Z\t{A}\tERROR\tInvoke Error \t{}\n";
        let (seen, _) = run_in("/aws/lambda/checkout", settings, &[&start, JSON_REPORT, late]);
        assert_eq!(seen.last["errors"].1, expected, "behind the report");
    }
}

/// An id and a time tell what comes twice: as of a delivery that is repeated.
#[test]
fn an_error_that_only_words_tell_is_of_their_event() {
    #[derive(Default)]
    struct Events(Vec<(String, i64)>);
    impl Sink for Events {
        fn log(&mut self, _: &Origin, _: &Log<'_>) {}
        fn metrics(&mut self, _: &Origin, metrics: &[Metric<'_>]) {
            self.0.extend(metrics.iter().map(|metric| (metric.event_id.to_owned(), metric.time.millis())));
        }
    }
    let settings = Settings { hints: Hints { out_of_memory: false, handler_errors: true }, ..Settings::default() };
    let pipeline = Pipeline::new(settings);
    let envelope = Envelope { log_group: "/aws/lambda/checkout".into(), ..Envelope::default() };
    let mut run = pipeline.run(&envelope, &model::Forwarder::default());
    let mut events = Events::default();
    for (number, line) in (1..).zip([START, "[ERROR] KeyError: 'x'\nTraceback (most recent call last):\n", "more"]) {
        push_text(&mut run, &number.to_string(), Timestamp::from_millis(number), &line.replace("{A}", A), &mut events);
    }
    run.finish(&mut events);
    assert_eq!(events.0, [("2".to_owned(), 2)]);
}

#[test]
fn a_restore_is_of_the_report_that_follows() {
    let restored =
        r#"{"time":"x","type":"platform.restoreReport","record":{"status":"success","metrics":{"durationMs":398.97}}}"#;
    let failed = restored.replace("success", "error");
    let own = JSON_LATE.replace("94}", r#"94,"restoreDurationMs":400.5}"#);
    let of = |lines: &[&str]| {
        let seen = run(lines);
        let sum = |name: &str| seen.metrics.get(name).copied().unwrap_or_default();
        let value = seen.last.get("restore_duration_ms").map(|(value, _)| *value);
        (value, sum("restore_duration_ms"), sum("cold_starts"))
    };
    assert_eq!(of(&[restored, JSON_START, JSON_LATE]), (Some(398.97), 1.0, 1.0));
    assert_eq!(of(&[restored, JSON_START, JSON_LATE, JSON_START, JSON_LATE]), (Some(398.97), 1.0, 1.0));
    assert_eq!(of(&[restored, JSON_START, &own, JSON_START, JSON_LATE]), (Some(400.5), 1.0, 1.0));
    assert_eq!(of(&[restored, JSON_START]), (None, 0.0, 0.0), "nothing of a batch that ends on it");
    assert_eq!(of(&[&failed, JSON_START, JSON_LATE]), (Some(398.97), 1.0, 0.0), "the failed one counts itself");
}

#[test]
fn a_start_that_was_put_off_is_told_by_no_report() {
    let put_off = JSON_INIT.replace(r#""phase":"init""#, r#""phase":"invoke""#);
    for (lines, expected) in [
        (vec![put_off.as_str(), JSON_START], Some(173.778)),
        (vec![&put_off, JSON_START, JSON_LATE], Some(173.778)),
        // Of another the `report` tells, in this batch or in the next.
        (vec![JSON_INIT, JSON_START], None),
        (vec![JSON_INIT, JSON_START, JSON_REPORT], Some(174.055)),
    ] {
        assert_eq!(run(&lines).last.get("init_duration_ms").map(|(value, _)| *value), expected, "{lines:?}");
    }
}

#[test]
fn a_retry_that_fails_as_before_counts_where_a_filter_lets_no_report_through() {
    for (later, expected) in [(6_000, 1.0), (61_000, 2.0)] {
        let lines = [(0, OLD_TIMEOUT), (later, OLD_TIMEOUT)];
        let (seen, _) = run_at("/aws/lambda/checkout", Settings::default(), &lines);
        assert_eq!(tally(&seen), [0.0, expected, expected, 0.0], "{later}");
    }
}

#[test]
fn a_web_function_says_how_it_started_only_itself() {
    for (group, expected) in [("/aws/lambda/checkout", None), ("/aws/lambda/web/site", Some(173.778))] {
        let (seen, _) = run_in(group, Settings::default(), &[JSON_INIT]);
        assert_eq!(seen.last.get("init_duration_ms").map(|(value, _)| *value), expected, "{group}");
    }
}

#[test]
fn a_start_is_of_a_type_that_is_stated_or_can_be_told() {
    let init = r#"{"time":"x","type":"platform.initStart","record":{"initializationType":"provisioned-concurrency"}}"#;
    let report = JSON_INIT.replace("on-demand", "lambda-managed-instances");
    let untyped = JSON_INIT.replace(r#""initializationType":"on-demand","#, "");
    let bare = untyped.replace(r#""phase":"init","status":"success","#, "");
    let restore = r#"{"time":"x","type":"platform.restoreStart","record":{"functionName":"checkout"}}"#;
    let cold = REPORT.replace("\t\n", "\tInit Duration: 5.00 ms\t\n");
    for (lines, expected) in [
        (vec!["INIT_REPORT Init Duration: 13316.04 ms\n"], Some("snap-start")),
        (vec!["INIT_REPORT Init Duration: 612.33 ms\tPhase: init\n"], Some("provisioned-concurrency")),
        (vec!["INIT_REPORT Init Duration: 612.33 ms\tPhase: invoke\n"], None),
        (vec!["INIT_REPORT Init Duration: 612.33 ms\tPhase: init\tStatus: error\n"], None),
        (vec!["INIT_REPORT Init Duration: 612.33 ms\tPhase: init\tStatus: exploded\n"], None),
        (vec!["INIT_REPORT Init Duration: 612.33 ms\tStatus: exploded\n"], None),
        (vec!["RESTORE_REPORT Restore Duration: 398.97 ms\n"], Some("snap-start")),
        (vec![&cold], Some("on-demand")),
        (vec![&untyped], None),
        (vec![&bare], None),
        (vec![JSON_REPORT], Some("on-demand")),
        (vec![init, JSON_START, JSON_REPORT], Some("provisioned-concurrency")),
        (vec![&report, JSON_START, JSON_REPORT], Some("lambda-managed-instances")),
        (vec![init, restore], Some("provisioned-concurrency")),
        (vec![restore, JSON_START, JSON_REPORT, &JSON_INIT.replace("on-demand", "snap-start")], Some("snap-start")),
    ] {
        assert_eq!(run(&lines).initialization_type.as_deref(), expected, "{lines:?}");
    }
}

#[test]
fn hints_count_only_if_set_and_only_once() {
    let words = "java.lang.OutOfMemoryError: Java heap space";
    let python = "[ERROR] KeyError: 'x'\nTraceback (most recent call last):\n  File \"a.py\"\n";
    let unhandled = r#"{"timestamp":"2026-11-20T09:00:00Z","log_level":"ERROR","errorMessage":"'x'","errorType":"KeyError","requestId":"{A}","stackTrace":[]}"#.to_owned();
    let warned = format!(
        "LAMBDA_WARNING: Unhandled exception. The most likely cause is an issue in the function code.\r{unhandled}\n"
    );
    let logged = unhandled.replace(r#""errorMessage""#, r#""message":"m","errorMessage""#);
    let lines = [START, words, python, END, REPORT];
    assert_eq!(tally(&run(&lines)), [1.0, 0.0, 0.0, 0.0]);
    let with = |out_of_memory, handler_errors, lines: &[&str]| {
        let hints = Hints { out_of_memory, handler_errors };
        tally(&run_in("/aws/lambda/checkout", Settings { hints, ..Settings::default() }, lines).0)
    };
    assert_eq!(with(true, false, &lines), [1.0, 1.0, 0.0, 1.0]);
    assert_eq!(with(false, true, &lines), [1.0, 1.0, 0.0, 0.0]);
    assert_eq!(with(true, true, &[START, words, python, END, NO_MEMORY]), [1.0, 1.0, 0.0, 1.0]);
    assert_eq!(with(true, true, &[START, python]), [0.0, 1.0, 0.0, 0.0], "the REPORT of the next batch won't tell");
    assert_eq!(with(true, true, &[START, words]), [0.0; 4], "the REPORT of the next batch may tell");
    for (name, lines, expected) in [
        ("whose START was in another batch", vec![python, END, REPORT], 1.0),
        ("before a START", vec![python, START, END, REPORT], 0.0),
        ("behind its END", vec![START, END, python, REPORT], 1.0),
        ("of which nothing else is in the batch", vec![python], 0.0),
        ("JSON", vec![JSON_START, &unhandled, JSON_REPORT], 1.0),
        ("JSON behind words", vec![JSON_START, &warned, JSON_REPORT], 1.0),
        ("JSON that is logged", vec![JSON_START, &logged, JSON_REPORT], 0.0),
    ] {
        assert_eq!(with(false, true, &lines)[1], expected, "{name}");
    }
    let managed =
        r#"{"time":"x","type":"platform.initStart","record":{"initializationType":"lambda-managed-instances"}}"#;
    let warm = JSON_REPORT.replace(r#","initDurationMs":174.055"#, "");
    assert_eq!(with(true, true, &[words, &warm]), [1.0, 0.0, 0.0, 0.0], "these may run beside others");
    let lines = [managed, JSON_START, words, JSON_REPORT];
    assert_eq!(with(true, true, &lines), [1.0, 0.0, 0.0, 0.0], "these run beside each other");
    let info = "2026-11-20T09:00:00.000Z\t{A}\tINFO\tretries on java.lang.OutOfMemoryError\n";
    assert_eq!(with(true, true, &[START, info, END, REPORT]), [1.0, 0.0, 0.0, 0.0]);
}

#[test]
fn what_lambda_says_holds_against_words() {
    let words = "2026-11-20T09:00:00.000Z\t{A}\tERROR\tMemoryError\n";
    let uncaught = "2026-11-20T09:00:00.000Z\t{A}\tERROR\tUncaught Exception \t{\"errorType\":\"E\"}\n";
    for (name, lines, expected) in [
        ("it took too long", vec![START, words, END, TIMED_OUT], [1.0, 1.0, 1.0, 0.0]),
        ("it ended", vec![START, words, END, FAILED], [1.0, 1.0, 0.0, 0.0]),
        ("it took too long, old style", vec![START, words, OLD_TIMEOUT, END, REPORT], [1.0, 1.0, 1.0, 0.0]),
        ("it ended, old style", vec![START, CRASHED, words, END, REPORT], [1.0, 1.0, 0.0, 0.0]),
        ("it was killed, old style", vec![START, words, KILLED, END, REPORT], [1.0, 1.0, 0.0, 1.0]),
        ("JSON", vec![JSON_START, words, JSON_LATE], [1.0, 1.0, 1.0, 0.0]),
        ("that it went well says nothing", vec![JSON_START, words, JSON_REPORT], [1.0, 1.0, 0.0, 1.0]),
        ("words after it", vec![START, END, TIMED_OUT, words], [1.0, 1.0, 1.0, 0.0]),
        ("words after one that went well", vec![START, END, REPORT, words, words], [1.0, 1.0, 0.0, 1.0]),
        ("handler's error after it", vec![START, END, FAILED, uncaught], [1.0, 1.0, 0.0, 0.0]),
        ("handler's error after one that went well", vec![START, END, REPORT, uncaught], [1.0, 1.0, 0.0, 0.0]),
        ("of each attempt", vec![START, END, REPORT, uncaught, START, uncaught, END, REPORT], [2.0, 2.0, 0.0, 0.0]),
        ("before START, as lines of one millisecond are", vec![uncaught, START, END, REPORT], [1.0, 1.0, 0.0, 0.0]),
    ] {
        let hints = Hints { out_of_memory: true, handler_errors: true };
        let (seen, _) = run_in("/aws/lambda/checkout", Settings { hints, ..Settings::default() }, &lines);
        assert_eq!(tally(&seen), expected, "{name}");
    }
}

#[test]
fn the_end_of_a_runtime_counts_once_where_a_batch_ends_before_lambda_tells_it() {
    let hints = Hints { out_of_memory: true, handler_errors: true };
    let errors = |lines: &[&str]| {
        let (seen, _) = run_in("/aws/lambda/checkout", Settings { hints, ..Settings::default() }, lines);
        tally(&seen)[1]
    };
    let line = |what: &str| format!("2026-11-20T09:00:00.000Z\t{{A}}\tERROR\t{what} \t{{\"errorType\":\"E\"}}\n");
    let (uncaught, rejection, invoke) =
        (line("Uncaught Exception"), line("Unhandled Promise Rejection"), line("Invoke Error"));
    for (before, behind) in [
        (vec![START, &uncaught], vec![END, FAILED]),
        (vec![START, &rejection], vec![END, FAILED]),
        (vec![START, &uncaught], vec![CRASHED, END, REPORT]),
        // Of this one Lambda tells nothing.
        (vec![START, &invoke], vec![END, REPORT]),
    ] {
        let whole = [&before[..], &behind[..]].concat();
        assert_eq!((errors(&before) + errors(&behind), errors(&whole)), (1.0, 1.0), "{before:?}");
    }
}

#[test]
fn lines_without_an_id_belong_to_the_request_that_runs() {
    let ids = |lines: &[&str]| {
        run(lines).logs.into_iter().map(|(_, _, id, _)| id.as_deref().map(|id| id == A)).collect::<Vec<_>>()
    };
    assert_eq!(
        ids(&["before", START, "inside", END, REPORT, "after"]),
        [None, Some(true), Some(true), Some(true), Some(true), None]
    );
    let line = r#"{"msg":"hi"}"#;
    assert_eq!(ids(&[JSON_START, line, JSON_REPORT]), [Some(true), None, Some(true)], "these may be Managed Instances");
    let start = r#"{"time":"x","type":"platform.initStart","record":{"initializationType":"KIND"}}"#;
    let on_demand = start.replace("KIND", "on-demand");
    assert_eq!(
        ids(&[&on_demand, JSON_START, line, JSON_REPORT, line]),
        [None, Some(true), Some(true), Some(true), None]
    );
    let managed = start.replace("KIND", "lambda-managed-instances");
    assert_eq!(ids(&[&managed, JSON_START, line])[2], None);
}

#[test]
fn an_exception_that_python_tells_as_json_has_its_level_and_request() {
    let object = r#"{"timestamp":"2026-11-20T09:49:00Z","log_level":"ERROR","errorType":"KeyError","requestId":"{B}"}"#;
    let (error, of_b) = (Some(Level::Error), Some(B.to_owned()));
    for (line, level, request_id) in [
        (format!("LAMBDA_WARNING: Unhandled exception. More.\r{object}\n"), error, of_b.clone()),
        (format!("LAMBDA_WARNING: Unhandled exception. More.\n{object}"), error, of_b),
        (format!("LAMBDA_WARNING: Unhandled exception.\r{}\n", object.replace("{B}", "")), error, None),
        (format!("LAMBDA_WARNING: Unhandled exception.\r{object}x"), None, None),
        (format!("LAMBDA_WARNING: {object}"), None, None),
        ("LAMBDA_WARNING: Unhandled exception. More.\n".to_owned(), None, None),
        (format!("LAMBDA: Unhandled exception.\r{object}"), None, None),
    ] {
        let shipped = &run(&[&line]).logs[0];
        assert_eq!(shipped.0, line.replace("{B}", B));
        assert_eq!((shipped.1, &shipped.2), (level, &request_id), "{line}");
    }
}

/// What each line says of its time; whether the level of JSON is of use.
struct Times(Vec<Option<String>>, bool);

impl Sink for Times {
    fn log(&mut self, _: &Origin, log: &Log<'_>) {
        self.0.push(log.timestamp.map(str::to_owned));
    }

    fn wants_json_fields(&self) -> bool {
        self.1
    }

    fn metrics(&mut self, _: &Origin, _: &[Metric<'_>]) {}
}

#[test]
fn lines_tell_when_their_application_wrote_them() {
    const STAMP: &str = "2026-11-20T09:00:00.123Z";
    let emf = r#"{"timestamp":"STAMP","_aws":{"Timestamp":1700000000000,"CloudWatchMetrics":[{"Namespace":"Shop","Dimensions":[[]],"Metrics":[{"Name":"L"}]}]},"L":1}"#;
    // The line, and whether it tells: always, or only if somebody wants to know what JSON says.
    let lines = [
        ("STAMP\t{A}\tINFO\thi", true, true),
        ("[INFO]\tSTAMP\t\thi", true, true),
        ("STAMP\t{A}\tINFO\t{\"timestamp\":\"x\"}", true, true),
        (r#"{"timestamp":"STAMP","level":"INFO","message":"hi"}"#, true, false),
        (r#"{"level":"INFO","message":"MONITORING","timestamp":"STAMP"}"#, true, false),
        (emf, true, false),
        (r#"{"timestamp":"\u0032026-11-20T09:00:00.123Z"}"#, false, false),
        (r#"{"timestamp":1763629200123}"#, false, false),
        (r#"{"time":"STAMP"}"#, false, false),
        (r#"{"time":"STAMP","type":"platform.start","record":{"requestId":"{A}","timestamp":"STAMP"}}"#, false, false),
        ("STAMP hi", false, false),
        ("hi", false, false),
    ];
    let pipeline = Pipeline::new(Settings::default());
    for wants in [true, false] {
        let envelope = Envelope { log_group: "/aws/lambda/checkout".into(), ..Envelope::default() };
        let mut run = pipeline.run(&envelope, &model::Forwarder::default());
        let mut times = Times(Vec::new(), wants);
        for (line, ..) in lines {
            let line = line.replace("STAMP", STAMP).replace("{A}", A);
            push_text(&mut run, "", Timestamp::from_millis(1_700_000_000_000), &line, &mut times);
        }
        run.finish(&mut times);
        for (time, (line, wanted, always)) in times.0.iter().zip(lines) {
            let tells = always || (wants && wanted);
            assert_eq!(time.as_deref(), tells.then_some(STAMP), "{line}");
        }
        assert_eq!(times.0.len(), lines.len());
    }
}

#[test]
fn custom_metrics_stay_within_bounds_and_nothing_is_lost() {
    let bounds = Bounds { metric_names: 2, tags: 3, ..Bounds::default() };
    let settings = Settings { bounds, ..Settings::default() };
    let lines = [
        "MONITORING|1700000000|1|count|a|#t1,t2,t1,t3,t4",
        "MONITORING|1700000000|1|count|b",
        "MONITORING|1700000000|1|count|c",
        "MONITORING|1700000000|5|count|a",
    ];
    let (seen, counts) = run_in("/aws/lambda/checkout", settings, &lines);
    assert_eq!(seen.metrics.keys().collect::<Vec<_>>(), ["custom a", "custom b"]);
    assert_eq!((counts.consumed, counts.logs, counts.metrics), (3, 1, 3));
    assert_eq!((counts.metric_names_over_bound, counts.tags_over_bound), (1, 1));
    assert_eq!(seen.logs[0].0, lines[2]);
}

/// A document in embedded metric format of such definitions, dimensions and members.
fn emf(definitions: &[String], dimensions: &[String], members: &[String]) -> String {
    let metrics = definitions.iter().map(|name| format!(r#"{{"Name":"{name}"}}"#)).collect::<Vec<_>>().join(",");
    let keys = dimensions.iter().map(|key| format!(r#""{key}""#)).collect::<Vec<_>>().join(",");
    let texts = dimensions.iter().map(|key| format!(r#","{key}":"x""#)).collect::<Vec<_>>().concat();
    let directive = format!(r#"{{"Namespace":"N","Dimensions":[[{keys}]],"Metrics":[{metrics}]}}"#);
    format!(r#"{{"_aws":{{"CloudWatchMetrics":[{directive}]}}{texts},{}}}"#, members.join(","))
}

#[test]
fn one_document_makes_a_bounded_number_of_metrics() {
    let numbered = |name: &str| (0..4_000).map(|n| format!("{name}{n}")).collect::<Vec<_>>();
    let (names, dimensions) = (numbered("m"), numbered("d"));
    let each = |value: &str| names.iter().map(|name| format!(r#""{name}":{value}"#)).collect::<Vec<_>>();
    let (one, hundred) = (each("1"), each(&format!("[{}]", ["1"; 100].join(","))));
    let many = emf(&names[..100], &[], &hundred[..100]);
    let (directive, rest) = many.split_once(r#"{"Namespace":"N""#).unwrap().1.split_once("}]}").unwrap();
    let directives: Vec<_> = (0..180).map(|n| format!(r#"{{"Namespace":"N{n}"{directive}}}]}}"#)).collect();
    let many = format!(r#"{{"_aws":{{"CloudWatchMetrics":[{}{rest}"#, directives.join(","));
    for (name, document, expected) in [
        ("all at most", emf(&names[..100], &dimensions[..30], &hundred[..100]), 10_000),
        ("metrics of as many dimensions", emf(&names, &dimensions, &one), 100),
        ("values of as many metrics", emf(&names, &[], &hundred), 10_000),
        ("values of as many directives", many, 10_000),
        ("one metric again and again", emf(&vec![names[0].clone(); 100], &[], &one[..1]), 1),
    ] {
        let (seen, counts) = run_in("/aws/lambda/checkout", Settings::default(), &[&document]);
        assert_eq!((counts.metrics, counts.logs), (expected, 1), "{name}, {} bytes", document.len());
        assert!(seen.last.values().all(|(_, tags)| tags.matches(':').count() <= 31), "{name}");
    }
}

#[test]
fn a_document_may_stand_behind_a_time_and_an_id() {
    let emf = emf(&["m".to_owned()], &["d".to_owned()], &[r#""m":1"#.to_owned()]);
    let (stamp, id) = ("2026-11-20T09:00:00.000Z", Some(A.to_owned()));
    for (line, metrics, request_id) in [
        (format!("{stamp}\t{A}\t{emf}"), 1, id.clone()),
        (format!("{stamp}\t{A}\tINFO\t{emf}"), 1, id),
        (format!("{stamp}\tundefined\t{emf}\n"), 1, None),
        (format!("{stamp} {A} {emf}"), 1, Some(A.to_owned())),
        (format!("{stamp} undefined {emf}"), 1, None),
        (format!("{stamp} {emf}"), 0, None),
        (format!("{stamp} {A} took {emf}"), 0, None),
        (format!("{stamp}\t{emf}"), 0, None),
        (format!("{stamp}\ta b\t{emf}"), 0, None),
        (format!("{stamp}\t{A}\tx {emf}"), 0, None),
        (format!("{stamp}\t{A}\tMONITORING|1700000000|1|count|a.b"), 0, None),
        (format!("{stamp}\t{A}\t{{\"level\":\"ERROR\"}}"), 0, None),
    ] {
        let (seen, counts) = run_in("/aws/lambda/checkout", Settings::default(), &[&line]);
        assert_eq!((counts.metrics, counts.logs), (metrics, 1), "{line}");
        assert_eq!(seen.logs, [(line, seen.logs[0].1, request_id, Some("checkout".to_owned()))]);
    }
}

/// .NET escapes the quotes of a document that a function prints as `\u0022`.
#[test]
fn a_document_in_a_message_may_be_escaped_in_any_way() {
    let emf = emf(&["m".to_owned()], &["d".to_owned()], &[r#""m":1"#.to_owned()]);
    for quote in [r#"\""#, r"\u0022"] {
        let document = emf.replace('"', quote);
        let line = format!(r#"{{"level":"Information","requestId":"{A}","message":"{document}"}}"#);
        let (seen, counts) = run_in("/aws/lambda/checkout", Settings::default(), &[&line]);
        assert_eq!((counts.metrics, counts.logs), (1, 1), "{line}");
        assert_eq!(seen.logs, [(line, Some(Level::Info), Some(A.to_owned()), Some("checkout".to_owned()))]);
    }
}

#[test]
fn settings_decide_what_is_shipped_and_never_what_is_measured() {
    let filter = Filter { exclude: Some(regex::bytes::Regex::new("secret").unwrap()), ..Filter::default() };
    let settings = Settings {
        filter,
        platform_lines: Lines::Drop,
        metric_lines: Lines::Keep,
        emf_lines: Lines::Drop,
        ..Settings::default()
    };
    let emf = r#"{"_aws":{"Timestamp":1700000000000,"CloudWatchMetrics":[{"Namespace":"Shop","Dimensions":[["s"]],"Metrics":[{"Name":"L","Unit":"Milliseconds"}]}]},"s":"x","L":[1,2]}"#;
    let lines = [
        START,
        "a secret",
        "a line",
        "MONITORING|1700000000|1|count|secret",
        "MONITORING|1700000000|1|count|b",
        emf,
        END,
        REPORT,
    ];
    let (seen, counts) = run_in("/aws/lambda/checkout", settings, &lines);
    let logs: Vec<_> = seen.logs.iter().map(|(message, ..)| message.as_str()).collect();
    assert_eq!(logs, ["a line", "MONITORING|1700000000|1|count|b"]);
    assert_eq!((counts.received, counts.consumed, counts.logs, counts.filtered), (8, 1, 7, 5));
    assert_eq!(tally(&seen), [1.0, 0.0, 0.0, 0.0]);
    assert_eq!(seen.metrics["custom L"].to_bits(), 2.0_f64.to_bits());
    assert_eq!(seen.last["custom L"].1, "checkout s:x,namespace:Shop");
}

#[test]
fn a_metric_line_that_is_kept_is_a_log_like_any_other() {
    let line = format!("2023-11-14T22:13:20.123Z\t{A}\tWARN\tMONITORING|1700000000|1|count|b");
    let settings = Settings { metric_lines: Lines::Keep, ..Settings::default() };
    let (seen, counts) = run_in("/aws/lambda/checkout", settings, &[line.as_str()]);
    assert_eq!((counts.logs, seen.metrics["custom b"]), (1, 1.0));
    assert_eq!(seen.logs, [(line, Some(Level::Warn), Some(A.to_owned()), Some("checkout".to_owned()))]);
}

#[test]
fn lambda_insights_is_about_the_function_that_it_names() {
    let event = r#"{"function_name":"checkout","version":"3","memory_utilization":38,"_aws":{"Timestamp":1700000000000,"CloudWatchMetrics":[{"Namespace":"LambdaInsights","Dimensions":[["function_name"],["function_name","version"]],"Metrics":[{"Name":"memory_utilization","Unit":"Percent"}]}]}}"#;
    let (seen, _) = run_in("/aws/lambda-insights", Settings::default(), &[event]);
    assert_eq!(
        seen.last["custom memory_utilization"].1,
        "checkout function_name:checkout,version:3,namespace:LambdaInsights"
    );
    assert_eq!(seen.logs[0].3.as_deref(), Some("checkout"));
    let nobody = event.replace(r#""function_name":"checkout""#, r#""function_name":"""#);
    let (seen, _) = run_in("/aws/lambda-insights", Settings::default(), &[&nobody]);
    assert_eq!(seen.logs[0].3, None);
}

#[test]
fn an_empty_text_in_a_record_says_nothing() {
    let init = r#"{"time":"2026-11-20T09:00:00.000Z","type":"platform.initStart","record":{"initializationType":"","functionName":"","functionVersion":"","instanceMaxMemory":268435456}}"#;
    let [start, report] = [JSON_START, JSON_REPORT].map(|line| line.replace("{A}", ""));
    let seen = run(&[init, &start, &report]);
    assert_eq!(tally(&seen), [1.0, 0.0, 0.0, 0.0]);
    assert_eq!(seen.initialization_type.as_deref(), Some("on-demand"), "as the report lets tell");
    for (message, _, request_id, function) in &seen.logs {
        assert_eq!((request_id.as_deref(), function.as_deref()), (None, Some("checkout")), "{message}");
    }
}

#[test]
fn notices_the_log_of_another_forwarder() {
    let summary = r#"{"kind":"summary","received":13,"consumed":1,"logs":12,"metrics":9,"backends":{}}"#;
    for (lines, expected) in [([summary, summary], 2), ([r#"{"kind":"summary"}"#, "x"], 0)] {
        let (_, counts) = run_in("/aws/lambda/ferry", Settings::default(), &lines);
        assert_eq!(counts.other_forwarders, expected);
    }
}
