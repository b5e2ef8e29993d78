use logferry::event::Envelope;
use logferry::model::Forwarder;
use logferry::pipeline::{Pipeline, Settings, push_text};

use super::attempt::Status;
use super::series::Series;
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
            &report('b', "Duration: 3000.00 ms, Billed Duration: 3000 ms, Memory Size: 128 MB, Max Memory Used: 60 MB"),
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
    let (dim, bold, red, alarm, yellow, off) = ("\x1b[2m", "\x1b[1m", "\x1b[31m", "\x1b[1;31m", "\x1b[33m", "\x1b[0m");
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
    let mut pretty = Pretty { max_invocations: 1, max_logs: 1, ..Pretty::default() };
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
        let shown = pretty("/aws/lambda/f", &[(0, &lines[0]), (1, &lines[1])]).render(Style { color: false, width });
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
        (format!(r#"{{"time":"{day}","level":"INFO","msg":"read","order":7,"by":"a b"}}"#), "read by=\"a b\" order=7"),
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
            let tags = [logferry::model::Tag { key: "k", value: key }, logferry::model::Tag { key: "bare", value: "" }];
            let (time, name) = (Timestamp::default(), Name::Custom("m"));
            series.take(&Metric {
                name,
                time,
                written: time,
                value: *value,
                unit,
                tags: &tags,
                request_id: None,
                event_id: "",
            });
        }
        assert_eq!(series.worth(), expected);
        assert!(series.tags().starts_with("bare k:a"), "{}", series.tags());
    }
}
