//! The command line as a person uses it: what it prints, and how it ends.

#![expect(clippy::unwrap_used, reason = "a test may fail")]

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use tokio::time::Instant;

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(bytes).unwrap();
    gzip.finish().unwrap()
}

struct Ran {
    status: i32,
    out: String,
    err: String,
}

fn command(args: &[&str], env: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_logferry"));
    command.args(args).current_dir(env!("CARGO_MANIFEST_DIR")).env_clear().envs(env.iter().copied());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn run(args: &[&str], env: &[(&str, &str)], input: &[u8]) -> Ran {
    let mut child = command(args, env).spawn().unwrap();
    // A command that doesn't read its input may be gone.
    let _ = child.stdin.take().unwrap().write_all(input);
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ran { status: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) }
}

const NDJSON: [&str; 3] = ["replay", "--format", "ndjson"];

/// The last line, and how many logs and metrics were before it.
fn counted(ran: &Ran) -> (Value, usize, usize) {
    let of = |kind: &str| ran.out.lines().filter(|line| line.starts_with(&format!("{{\"kind\":\"{kind}\""))).count();
    (serde_json::from_str(ran.out.lines().last().unwrap()).unwrap(), of("log"), of("metric"))
}

#[test]
fn a_table_is_no_ndjson() {
    let ran = run(&[&NDJSON[..], &["--summary", "fixtures/events/node-text.json"]].concat(), &[], b"");
    assert_eq!((ran.status, ran.out.as_str()), (2, ""));
    assert!(ran.err.contains("leave one of them out"), "{}", ran.err);
}

/// What Elasticsearch is told of logs, each by its `_id`.
fn ids(input: &[u8]) -> Vec<String> {
    let env = [("ELASTICSEARCH_URL", "http://127.0.0.1:9")];
    let ran = run(&["replay", "--to", "elasticsearch", "--dry-run", "-"], &env, input);
    let id = |line: &str| Some(line.split_once(r#""_id":""#)?.1.split_once('"')?.0.to_owned());
    ran.out.lines().filter(|line| line.contains("logs-")).filter_map(id).collect()
}

#[test]
fn a_log_without_ids_has_some_that_tell_its_lines_from_all_others() {
    let line = |second: u8, text: &str| {
        format!("2026-11-20T09:02:{second:02}.310Z\taaaaaaaa-d7f2-4a2b-8c1e-9f3b4c5d6e7f\tINFO\t{text}\n")
    };
    let (one, other) = ([line(1, "a"), line(1, "a"), line(2, "b")].concat(), [line(3, "a"), line(3, "c")].concat());
    let (first, second) = (ids(one.as_bytes()), ids(other.as_bytes()));
    let all: std::collections::BTreeSet<_> = first.iter().chain(&second).collect();
    assert_eq!((first.len(), second.len(), all.len()), (3, 2, 5), "{first:?} {second:?}");
    // The same lines again are the same.
    assert_eq!(ids(one.as_bytes()), first);
}

#[test]
fn what_an_application_calls_as_aws_does_is_a_line_all_the_same() {
    for line in [
        r#"{"level":"INFO","messageType":"ORDER_CREATED","message":"x"}"#,
        r#"{"level":"INFO","message":"import done","records":12}"#,
        r#"{"logGroup":"a"}"#,
        r#"{"logEvents":12}"#,
        r#"{"awslogs":null}"#,
        r#"{"Records":"none"}"#,
    ] {
        for lines in [line.to_owned(), format!("{line}\n{{\"message\":\"y\"}}\n")] {
            let ran = run(&[&NDJSON[..], &["-"]].concat(), &[], lines.as_bytes());
            let (_, logs, _) = counted(&ran);
            assert_eq!((ran.status, logs, ran.err.as_str()), (0, lines.lines().count(), ""), "{lines}");
        }
    }
    // These say what they are.
    for (event, said) in [
        (r#"{"messageType":"DATA_MESSAGE","logGroup":"a"}"#, "damaged payload"),
        ("{\"messageType\":\"DATA_MESSAGE\",\"logEv", "damaged payload"),
        (r#"{"awslogs":{}}"#, "the event "),
    ] {
        let ran = run(&[&NDJSON[..], &["-"]].concat(), &[], event.as_bytes());
        assert!(ran.status == 1 && ran.err.contains(said), "{event} {}", ran.err);
    }
}

#[test]
fn what_is_only_shown_leaves_nothing_behind() {
    let home = std::path::PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("replay-home");
    let _ = std::fs::remove_dir_all(&home);
    std::fs::create_dir_all(&home).unwrap();
    let env = [("HOME", home.to_str().unwrap()), ("ELASTICSEARCH_URL", "http://127.0.0.1:9")];
    let damaged = r#"{"awslogs":{"data":"H4sIAAAA"}}"#;
    for args in [&["replay", "-"][..], &["replay", "--to", "stdout", "-"], &["replay", "--summary", "-"]] {
        let ran = run(args, &env, damaged.as_bytes());
        assert!(ran.status == 1 && ran.err.ends_with("nothing of it was forwarded\n"), "{}", ran.err);
        assert!(std::fs::read_dir(&home).unwrap().next().is_none(), "{args:?}");
    }
    // What is sent is kept, and where is told.
    let ran = run(&["replay", "--to", "elasticsearch", "-"], &env, damaged.as_bytes());
    let (_, key) = ran.err.trim_end().trim_end_matches(" in the store").rsplit_once(' ').unwrap();
    assert!(home.join(".local/state/logferry").join(key).exists(), "{}", ran.err);
}

#[test]
fn replays_a_folder() {
    let ran = run(&[&NDJSON[..], &["fixtures/events"]].concat(), &[], b"");
    let (summary, logs, metrics) = counted(&ran);
    assert_eq!((ran.status, ran.err.as_str()), (0, ""));
    assert_eq!((summary["logs"].as_u64(), summary["metrics"].as_u64()), (Some(logs as u64), Some(metrics as u64)));
    assert_eq!(
        summary["received"].as_u64(),
        summary["logs"].as_u64().zip(summary["consumed"].as_u64()).map(|(a, b)| a + b)
    );
    assert!(logs > 300 && metrics > 300, "{summary}");
    let pretty = run(&["replay", "fixtures/events"], &[], b"");
    assert_eq!(pretty.status, 0);
    assert!(!pretty.out.contains('\u{1b}'), "no colour where nobody sees it");
    for function in ["checkout", "stock-sync", "invoice-mailer"] {
        assert!(pretty.out.contains(function), "{function}");
    }
}

#[test]
fn takes_each_form_of_input() {
    let batch = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/events/edge.json")).unwrap();
    let one_line: Value = serde_json::from_slice(&batch).unwrap();
    let event = format!(r#"{{"awslogs":{{"data":"{}"}}}}"#, STANDARD.encode(gzip(&batch)));
    let failed = format!(r#"{{"version":"1.0","requestPayload":{event},"responsePayload":null}}"#);
    let twice = format!("{one_line}\n{one_line}\n");
    let lines = "START RequestId: abc Version: 1\nhello\nEND RequestId: abc\nREPORT RequestId: abc\tDuration: 5.00 ms\t\nXRAY TraceId: 1-x\tSegmentId: y\n";
    let json_lines = "{\"level\":\"INFO\",\"message\":\"hi\"}\n{\"level\":\"INFO\",\"message\":\"ho\"}\n";
    for (name, input, logs) in [
        ("a batch", batch.as_slice(), 15),
        ("a gzipped batch", &gzip(&batch), 15),
        ("a batch behind a byte-order mark", &[b"\xef\xbb\xbf", batch.as_slice()].concat(), 15),
        ("an event behind a byte-order mark", format!("\u{feff}{event}").as_bytes(), 15),
        ("a batch on each line", twice.as_bytes(), 30),
        ("batches on gzipped lines", &gzip(twice.as_bytes()), 30),
        ("two members of gzip", &[gzip(&twice.as_bytes()[..99]), gzip(&twice.as_bytes()[99..])].concat(), 30),
        ("an event", event.as_bytes(), 15),
        ("a gzipped event", &gzip(event.as_bytes()), 15),
        ("a list of events", format!("[{event},{one_line}]").as_bytes(), 30),
        ("a record of a failed invocation", failed.as_bytes(), 15),
        ("records of failed invocations", format!("{failed}\n{failed}\n").as_bytes(), 30),
        ("lines of a log", lines.as_bytes(), 4),
        ("lines behind a byte-order mark", format!("\u{feff}{lines}").as_bytes(), 4),
        ("lines in UTF-16", &utf_16(lines), 4),
        ("gzipped lines of a log", &gzip(lines.as_bytes()), 4),
        ("JSON lines of a log", json_lines.as_bytes(), 2),
        ("JSON lines of another kind", b"{\"order\":1}\n{\"requestPayload\":null}\n", 2),
        ("a line with a NUL", b"hello\nbin\0ary\n", 2),
        ("nothing", b"", 0),
    ] {
        let ran = run(&[&NDJSON[..], &["-"]].concat(), &[], input);
        assert_eq!((ran.status, counted(&ran).1), (0, logs), "{name}: {}", ran.err);
    }
    let ran = run(&[&NDJSON[..], &["-"]].concat(), &[], lines.as_bytes());
    assert!(ran.out.contains(r#""name":"duration_ms","type":"histogram","value":5"#), "{}", ran.out);
    let ran = run(&[&NDJSON[..], &["-"]].concat(), &[], &utf_16("é\n€😀\n"));
    assert!(ran.out.contains(r#""message":"é""#) && ran.out.contains(r#""message":"€😀""#), "{}", ran.out);
}

#[test]
fn takes_what_the_aws_cli_shows_of_a_log() {
    let lines = [
        ("[7]b", "2026-11-20T09:02:14.310", "START RequestId: 9edab1f8-7d34-4a8e-a965-15ccbbb78d4c Version: 7"),
        ("[$LATEST]a", "2026-11-20T09:02:14.311", "START RequestId: 8edab1f8-7d34-4a8e-a965-15ccbbb78d4c Version: 7"),
        ("[$LATEST]a", "2026-11-20T09:02:14.312", "it broke\n  at line 1\n\n  at line 2"),
        ("[7]b", "2026-11-20T09:02:14.313", "2026-11-20T09:02:14 on time"),
        ("[$LATEST]a", "2026-11-20T09:02:14.314", "END RequestId: 8edab1f8-7d34-4a8e-a965-15ccbbb78d4c"),
        (
            "[$LATEST]a",
            "2026-11-20T09:02:14.315",
            "REPORT RequestId: 8edab1f8-7d34-4a8e-a965-15ccbbb78d4c\tDuration: 5.00 ms\t",
        ),
    ];
    let write = |line: fn(&str, &str, &str) -> String| {
        lines.iter().map(|(stream, time, message)| line(stream, time, message)).collect::<String>()
    };
    let events: Vec<_> = (1_795_165_334_310_i64..)
        .zip(lines)
        .map(|(time, (stream, _, message))| {
            json!({ "eventId": time.to_string(), "logStreamName": format!("2026/11/20/{stream}"),
                "timestamp": time, "ingestionTime": time, "message": format!("{message}\n") })
        })
        .collect();
    // A query gives out the newest first.
    let queried = || {
        lines.iter().rev().map(|(stream, time, message)| {
            let (time, stream) = (time.replace('T', " "), format!("2026/11/20/{stream}"));
            [("@timestamp", time), ("@message", format!("{message}\n")), ("@logStream", stream)]
        })
    };
    let fields = |row: [(&str, String); 3]| -> Value {
        row.into_iter().map(|(field, value)| json!({ "field": field, "value": value })).collect()
    };
    let object = |row: [(&str, String); 3]| -> Value { row.into_iter().collect() };
    let quoted = |row: [(&str, String); 3]| row.map(|(_, value)| format!("\"{value}\"")).join(",");
    let csv: Vec<_> =
        std::iter::once("@timestamp,@message,@logStream".to_owned()).chain(queried().map(quoted)).collect();
    let of_stream =
        events.iter().map(|event| format!("{},\"{}\"\n", event["timestamp"], event["message"].as_str().unwrap()));
    let pretty = |value: Value| serde_json::to_string_pretty(&value).unwrap();
    for (name, input, time) in [
        ("filter-log-events", pretty(json!({ "events": events, "searchedLogStreams": [] })), 1_795_165_334_315_i64),
        (
            "pages, one behind the other",
            events.chunks(2).map(|page| pretty(json!({ "events": page, "nextToken": "x" }))).collect(),
            1_795_165_334_315,
        ),
        (
            "an event on each line",
            events.iter().map(Value::to_string).collect::<Vec<_>>().join("\n"),
            1_795_165_334_315,
        ),
        ("filter-log-events --query events", pretty(json!(events)), 1_795_165_334_315),
        (
            "get-query-results",
            pretty(json!({ "results": queried().map(fields).collect::<Vec<_>>(), "status": "Complete" })),
            1_795_165_334_315,
        ),
        ("a query as JSON", pretty(queried().map(object).collect()), 1_795_165_334_315),
        ("a query as CSV", csv.join("\r\n"), 1_795_165_334_315),
        ("a stream as CSV", format!("timestamp,message\n{}", of_stream.collect::<String>()), 1_795_165_334_315),
        (
            "tail",
            write(|stream, time, message| format!("{time}000+00:00 2026/11/20/{stream} {message}\n")),
            1_795_165_334_315,
        ),
        (
            "tail of whole seconds",
            write(|stream, time, message| format!("{}+00:00 2026/11/20/{stream} {message}\n", &time[..19])),
            1_795_165_334_000,
        ),
        ("tail --format short", write(|_, time, message| format!("{} {message}\n", &time[..19])), 1_795_165_334_000),
        ("an export", write(|_, time, message| format!("{time}Z {message}\n")), 1_795_165_334_315),
    ] {
        let ran = run(&[&NDJSON[..], &["-"]].concat(), &[], input.as_bytes());
        assert_eq!((ran.status, counted(&ran).1), (0, 6), "{name}: {}{}", ran.out, ran.err);
        for expected in [
            r#""name":"duration_ms","type":"histogram","value":5"#.to_owned(),
            format!(r#""timestamp":{time},"message":"REPORT RequestId: 8edab1f8"#),
            r#""message":"it broke\n  at line 1\n"#.to_owned(),
            r#""message":"2026-11-20T09:02:14 on time"#.to_owned(),
        ] {
            assert!(ran.out.contains(&expected), "{name}: {expected}: {}", ran.out);
        }
    }
    // A time at the beginning of lines that tell nothing of Lambda's is the function's own.
    let ran = run(&[&NDJSON[..], &["-"]].concat(), &[], b"2026-11-20T09:02:14.310Z hello\nworld\n");
    assert!(counted(&ran).1 == 2 && ran.out.contains(r#""message":"2026-11-20T09:02:14.310Z hello""#), "{}", ran.out);
}

#[test]
fn a_query_names_log_groups_and_what_it_lacks_is_told() {
    let row = |log: &str, second: u32| {
        let end = format!("END RequestId: 8edab1f8-7d34-4a8e-a965-15ccbbb78d4{second}");
        json!({ "@timestamp": format!("2026-11-20 09:02:1{second}.000"), "@message": end, "@log": log })
    };
    let two = json!([row("111122223333:/aws/lambda/shop", 1), row("444455556666:/aws/lambda/stock", 2)]);
    let ran = run(&[&NDJSON[..], &["-"]].concat(), &[], two.to_string().as_bytes());
    for (function, account) in [("shop", "111122223333"), ("stock", "444455556666")] {
        let log = ran.out.lines().find(|line| line.contains(&format!(r#""function_name":"{function}""#))).unwrap();
        assert!(log.contains(account), "{log}");
    }
    // The newest first, also of one millisecond.
    let newest_first =
        "@timestamp,@message\n2026-11-20 09:02:12.000,c\n2026-11-20 09:02:12.000,b\n2026-11-20 09:02:11.000,a\n";
    let ran = run(&[&NDJSON[..], &["-"]].concat(), &[], newest_first.as_bytes());
    let places = ["a", "b", "c"].map(|message| ran.out.find(&format!(r#""message":"{message}""#)).unwrap());
    assert!(places.is_sorted(), "{}", ran.out);
    // Pages of one stream after the other are not turned round.
    let page = |stream: &str, time: i64| {
        let event = |end| json!({ "timestamp": time, "message": format!("{stream}{end}"), "logStreamName": stream });
        json!({ "events": [event("a"), event("b"), event("c")] })
    };
    let pages = format!("{}\n{}", page("x", 5000), page("y", 1000));
    let ran = run(&[&NDJSON[..], &["-"]].concat(), &[], pages.as_bytes());
    let places =
        ["ya", "yb", "yc", "xa", "xb", "xc"].map(|message| ran.out.find(&format!(r#""message":"{message}""#)).unwrap());
    assert!(places[..3].is_sorted() && places[3..].is_sorted(), "{}", ran.out);
    let lacking = json!([row("1:/aws/lambda/shop", 1), { "@timestamp": "2026-11-20 09:02:12.000", "@ptr": "x" }]);
    let ran = run(&[&NDJSON[..], &["-"]].concat(), &[], lacking.to_string().as_bytes());
    let said = "standard input: 1 of 2 rows can't be replayed, as they have no time or no message: a query needs `fields @timestamp, @message, @logStream, @log`\n";
    assert_eq!((ran.status, counted(&ran).1, ran.err.as_str()), (1, 1, said));
}

#[test]
fn what_breaks_off_is_told_and_replayed_up_to_there() {
    let event = |millis: u32| json!({ "timestamp": millis, "message": format!("line {millis}\n"), "ingestionTime": 1 });
    let page = json!({ "events": [event(1), event(2), event(3)] }).to_string();
    for (input, logs) in [
        (page[..page.len() - 20].to_owned(), 2),
        (format!("{page}\n{}", &page[..page.len() - 20]), 5),
        (page[..20].to_owned(), 0),
        (r#"{"queryLanguage":"CWLI","results":[[{"field":"@timestamp","value":"2026-11-20 09:02:14.310"},{"field":"@message","value":"a"}],[{"fi"#.to_owned(), 1),
    ] {
        let ran = run(&[&NDJSON[..], &["-"]].concat(), &[], input.as_bytes());
        assert_eq!((ran.status, counted(&ran).1), (1, logs), "{}{}", ran.out, ran.err);
        assert!(ran.err.starts_with("standard input: is damaged: EOF while parsing"), "{}", ran.err);
    }
    let ran = run(&[&NDJSON[..], &["-"]].concat(), &[], b"@timestamp,@message\n2026-11-20 09:02:14.310,\"hel");
    let said = "standard input: breaks off inside of quotes: its last row isn't whole\n";
    assert_eq!((ran.status, counted(&ran).1, ran.err.as_str()), (1, 1, said));
    // A download that was cut off.
    let lines: Vec<_> = (0..5000).map(|place| format!("line {place}")).collect();
    let packed = gzip(lines.join("\n").as_bytes());
    let ran = run(&[&NDJSON[..], &["-"]].concat(), &[], &packed[..packed.len() * 4 / 5]);
    let said = "standard input: is gzip that is damaged or breaks off: what could be read before that is replayed\n";
    assert_eq!((ran.status, ran.err.as_str()), (1, said));
    assert!((3000..5000).contains(&counted(&ran).1), "{}", counted(&ran).1);
    // What an application writes stays its own.
    let ran =
        run(&[&NDJSON[..], &["-"]].concat(), &[], b"{\"events\":[1,2]}\n{\"timestamp\":1,\"message\":\"x\"}\n{\n");
    assert_eq!((ran.status, counted(&ran).1, ran.err.as_str()), (0, 3, ""));
}

#[test]
fn lines_have_the_time_that_they_state() {
    let id = "8edab1f8-7d34-4a8e-a965-15ccbbb78d4c";
    let lines = format!(
        "START RequestId: {id} Version: 1\n2026-11-20T09:02:14.734Z\t{id}\tINFO\tone\nnothing\n{{\"timestamp\":\"2026-11-20T09:02:15.000Z\",\"level\":\"INFO\",\"message\":\"two\"}}\nEND RequestId: {id}\n"
    );
    let ran = run(&[&NDJSON[..], &["-"]].concat(), &[], lines.as_bytes());
    let logs = ran.out.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let times: Vec<_> = logs.filter_map(|log| log["timestamp"].as_i64()).collect();
    let (one, two) = (1_795_165_334_734, 1_795_165_335_000);
    assert_eq!(times, [one, one, one, two, two], "{}", ran.out);
}

#[test]
fn what_lambda_writes_has_the_time_that_it_states() {
    let id = "8edab1f8-7d34-4a8e-a965-15ccbbb78d4c";
    let lines = format!(
        r#"{{"time":"2023-11-14T22:13:20.000Z","type":"platform.start","record":{{"requestId":"{id}","version":"1"}}}}
hello
{{"time":"2023-11-14T22:13:25.000Z","type":"platform.report","record":{{"requestId":"{id}","metrics":{{"durationMs":5}},"status":"success"}}}}
"#
    );
    let ran = run(&[&NDJSON[..], &["-"]].concat(), &[], lines.as_bytes());
    let of = |ran: &Ran, kind: &str| -> Vec<_> {
        let all = ran.out.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        all.filter(|item| item["kind"] == kind).filter_map(|item| item["timestamp"].as_i64()).collect()
    };
    let (start, report) = (1_700_000_000_000, 1_700_000_005_000);
    assert_eq!(of(&ran, "log"), [start, start, report], "{}", ran.out);
    let metrics = of(&ran, "metric");
    assert!(!metrics.is_empty() && metrics.iter().all(|time| (start..=report).contains(time)), "{}", ran.out);
    // Of a filtered log, in which a request was tried again.
    let timeout = |minute: u8| format!("2023-11-14T22:{minute}:20.000Z {id} Task timed out after 3.00 seconds\n");
    let filtered = [format!("REPORT RequestId: {id}\tDuration: 3000.00 ms\n"), timeout(13), timeout(14)].concat();
    let ran = run(&[&NDJSON[..], &["-"]].concat(), &[], filtered.as_bytes());
    assert_eq!(of(&ran, "log"), [start, start, start + 60_000], "{}", ran.out);
    assert_eq!(ran.out.matches(r#""name":"timeouts","type":"count","value":1"#).count(), 2, "{}", ran.out);
}

#[test]
fn a_crash_and_its_kind_are_one_log_event() {
    let errors = |input: &str| {
        let ran = run(&[&NDJSON[..], &["-"]].concat(), &[], input.as_bytes());
        (counted(&ran).1, ran.out.matches(r#""name":"errors","type":"count","value":1"#).count())
    };
    let id = "8edab1f8-7d34-4a8e-a965-15ccbbb78d4c";
    let around = |crash: &str| {
        format!(
            "START RequestId: {id} Version: $LATEST\n{crash}\nEND RequestId: {id}\nREPORT RequestId: {id}\tDuration: 5.00 ms\t\n"
        )
    };
    let bootstrap =
        format!("RequestId: {id} Error: Couldn't find valid bootstrap(s): [/var/task/bootstrap /opt/bootstrap]");
    let killed = format!("RequestId: {id} Error: Runtime exited with error: signal: killed");
    for (first, second, logs, failed) in [
        (bootstrap.as_str(), "Runtime.InvalidEntrypoint", 4, 1),
        (&killed, "Runtime.ExitError\r", 4, 1),
        ("Unknown application error occurred", "Runtime.ImportModuleError", 4, 1),
        ("Unknown application error occurred", "Error", 4, 1),
        // Lines of their own.
        (&bootstrap, "hello", 5, 0),
        (&bootstrap, "Runtime.InvalidEntrypoint it is", 5, 0),
        (&killed, "hello", 5, 1),
        ("Unknown application error occurred", "at line 1", 5, 0),
        ("something else", "Runtime.ExitError", 5, 0),
    ] {
        assert_eq!(errors(&around(&format!("{first}\n{second}"))), (logs, failed), "{first} {second}");
    }
    // One line is joined, and no more.
    assert_eq!(errors(&around(&format!("{bootstrap}\nRuntime.InvalidEntrypoint\nRuntime.ExitError"))), (5, 1));
}

#[test]
fn what_cannot_be_read_is_told_and_nothing_made_of_it() {
    let utf_16 = &utf_16("START RequestId: abc Version: 1\n")[2..];
    for (input, said) in [
        (&b"BZh91AY&SY"[..], "is bzip2, which isn't read: unpack it first, or pack it with gzip"),
        (b"PK\x03\x04\x14\0", "is a zip archive, which isn't read: unpack it first, or pack it with gzip"),
        (b"(\xb5/\xfd\x04", "is zstd, which isn't read: unpack it first, or pack it with gzip"),
        (utf_16, "is neither UTF-8 text nor gzip: nothing of it is replayed"),
    ] {
        let ran = run(&[&NDJSON[..], &["-"]].concat(), &[], input);
        assert_eq!((ran.status, counted(&ran).1, ran.err), (1, 0, format!("standard input: {said}\n")));
    }
}

/// A tar of one file, as small as can be.
fn tar(text: &str) -> Vec<u8> {
    let mut tar = b"a.log".to_vec();
    tar.resize(257, 0);
    tar.extend_from_slice(b"ustar  \0");
    tar.resize(512, 0);
    tar.extend_from_slice(text.as_bytes());
    tar.resize(tar.len().next_multiple_of(512) + 1024, 0);
    tar
}

#[test]
fn what_is_no_text_is_told_and_nothing_made_of_it() {
    // As random as what is compressed.
    let noise = |len| (0..len).scan(7_u32, |seed, _| Some(random(seed))).collect::<Vec<u8>>();
    let pixel =
        b"GIF89a\x01\0\x01\0\x80\0\0\xff\xff\xff\0\0\0!\xf9\x04\x01\0\0\0\0,\0\0\0\0\x01\0\x01\0\0\x02\x02D\x01\0;";
    let text = "a line of what describes a picture\n".repeat(200);
    let long = format!("REPORT RequestId: a\tDuration: 5.00 ms\t\n{text}");
    let (plain, zipped) = ("is neither UTF-8 text nor gzip", "is gzip, and what it holds is no UTF-8 text");
    let archive = "is a tar archive, which isn't read: unpack it first\n";
    let cut = gzip(&tar(&long));
    for (name, input, said) in [
        ("noise", noise(9000), plain),
        ("little noise", noise(300), plain),
        ("gzipped noise", gzip(&noise(9000)), zipped),
        ("a GIF", pixel.to_vec(), plain),
        ("a PNG", [b"\x89PNG\r\n\x1a\n", text.as_bytes()].concat(), plain),
        ("a JPEG", [b"\xff\xd8\xff\xe1", text.as_bytes()].concat(), plain),
        ("a PDF", [b"%PDF-1.7\n", text.as_bytes()].concat(), plain),
        ("a program", std::fs::read(env!("CARGO_BIN_EXE_logferry")).unwrap()[..9000].to_vec(), plain),
        ("lz4", b"\x04\x22\x4d\x18dp".to_vec(), "is lz4, which isn't read: unpack it first, or pack it with gzip\n"),
        ("7z", b"7z\xbc\xaf\x27\x1c\0".to_vec(), "is a 7z archive, which isn't read: unpack it first, or"),
        ("a small tar", tar("hello\n"), archive),
        ("a tar", tar(&long), archive),
        ("a small gzipped tar", gzip(&tar("hello\n")), archive),
        ("a gzipped tar", gzip(&tar(&long)), archive),
        ("a gzipped tar that is cut off", cut[..cut.len() - 20].to_vec(), archive),
    ] {
        let ran = run(&[&NDJSON[..], &["-"]].concat(), &[], &input);
        assert_eq!((ran.status, counted(&ran).1), (1, 0), "{name}: {}", ran.err);
        assert!(ran.err.starts_with(&format!("standard input: {said}")), "{name}: {}", ran.err);
        assert_eq!(ran.err.lines().count(), 1, "{name}: {}", ran.err);
    }
}

/// The next byte of a series that looks like none.
fn random(seed: &mut u32) -> u8 {
    *seed ^= *seed << 13;
    *seed ^= *seed >> 17;
    *seed ^= *seed << 5;
    seed.to_le_bytes()[1]
}

#[test]
fn odd_text_is_text() {
    let noise: Vec<u8> = (0..1500).scan(7_u32, |seed, _| Some(random(seed))).filter(|byte| *byte != b'\n').collect();
    let cyrillic: Vec<u8> = (0..200_u8).map(|n| if n % 8 == 0 { b' ' } else { 0xc0 + n % 64 }).collect();
    for (name, line) in [
        ("colours", b"\x1b[2m2026-11-20\x1b[0m \x1b[1;31mERROR\x1b[0m \x1b[K\x1b[0m".to_vec()),
        ("what goes back", b"50 %\x08\x08\x08\x0860 %\x07\x0c\r".to_vec()),
        ("fields of FIX", b"8=FIX.4.4\x019=65\x0135=A\x0149=S\x0156=T\x0134=1\x01".to_vec()),
        ("broken UTF-8", b"gr\xfc\xdfe aus K\xf6ln \xe2\x82".to_vec()),
        ("another character set", cyrillic),
        ("a dump amid text", [&b"it is ".repeat(500)[..], &noise].concat()),
        ("a tar's word", [&b"-".repeat(256)[..], b" ustar is a word"].concat()),
    ] {
        for input in [line.clone(), [&line[..], b"\n", &line, b"\n"].concat(), line.repeat(400)] {
            let ran = run(&[&NDJSON[..], &["-"]].concat(), &[], &input);
            assert!(ran.status == 0 && counted(&ran).1 > 0, "{name}: {}", ran.err);
        }
    }
}

#[test]
fn counts_each_request_where_the_lines_of_several_environments_are_mixed() {
    let id = |name: &str| format!("8edab1f8-7d34-4a8e-a965-15ccbbb78d4{name}");
    let start = |name: &str| format!("START RequestId: {} Version: 1", id(name));
    let end = |name: &str| format!("END RequestId: {}", id(name));
    let report = |name: &str| format!("REPORT RequestId: {}\tDuration: 5.00 ms\t\nXRAY TraceId: 1-x\t", id(name));
    let monitoring = "MONITORING|1700000000|1|count|a.b".to_owned();
    let [a, b, c] = ["a", "b", "c"];
    let mixed = [start(a), start(b), monitoring, start(c), end(a), report(a), end(b), report(b), end(c), report(c)];
    let one_by_one = [start(a), end(a), report(a), start(b), end(b), report(b), start(c), end(c), report(c)];
    let plain = |lines: &[String]| lines.join("\n") + "\n";
    let short = mixed.each_ref().map(|line| format!("2026-11-20T09:02:14 {line}"));
    let measure = r#""name":"duration_ms","type":"histogram","value":5"#;
    for (name, input, logs) in [
        ("mixed", plain(&mixed), 9),
        ("mixed, as by aws logs tail --format short", plain(&short), 9),
        ("one by one", plain(&one_by_one), 9),
    ] {
        let ran = run(&[&NDJSON[..], &["-"]].concat(), &[], input.as_bytes());
        assert_eq!((counted(&ran).1, ran.out.matches(measure).count()), (logs, 3), "{name}: {}", ran.out);
    }
    // What says no request is of the one that wrote last.
    let ran = run(&[&NDJSON[..], &["-"]].concat(), &[], plain(&mixed).as_bytes());
    let metric = ran.out.lines().find(|line| line.contains("a.b")).unwrap();
    assert!(metric.contains(&id(b)), "{metric}");
}

#[test]
fn a_log_is_as_long_as_it_is() {
    // As the JSON that they become they are seventeen times as long.
    let short = "x\n".repeat(30_000);
    let ran = run(&[&NDJSON[..], &["-"]].concat(), &[("LOGFERRY_MAX_INFLATED_BYTES", "1MiB")], short.as_bytes());
    assert_eq!((ran.status, counted(&ran).1, ran.err.as_str()), (0, 30_000, ""));
}

#[test]
fn a_line_that_is_too_long_hides_no_other() {
    let lines = ["a\n".repeat(100), "x".repeat(9 << 20), "\n".to_owned() + &"b\n".repeat(100)].concat();
    let ran = run(&[&NDJSON[..], &["-"]].concat(), &[], lines.as_bytes());
    assert_eq!((ran.status, counted(&ran).1), (1, 200), "{}", ran.err);
    assert_eq!(ran.err.lines().count(), 1, "{}", ran.err);
}

#[test]
fn what_is_said_of_an_invocation_in_a_long_log_is_read_at_once() {
    let invocation = |number: usize| {
        let id = format!("8edab1f8-7d34-4a8e-a965-{number:012}");
        let init = if number.is_multiple_of(4) { "INIT_START Runtime Version: nodejs:22.v61\n" } else { "" };
        // Told in both ways, as the documents show it while the two styles coexist.
        format!(
            "{init}START RequestId: {id} Version: 1\n2026-11-20T09:02:17.310Z {id} Task timed out after 3.00 seconds\n\n\
             END RequestId: {id}\nREPORT RequestId: {id}\tDuration: 3000.00 ms\tBilled Duration: 3000 ms\t\
             Memory Size: 128 MB\tMax Memory Used: 64 MB\tStatus: timeout\n2026-11-20T09:02:17.310Z {id} Task timed out \
             after 3.00 seconds\n",
        )
    };
    let log: String = (0..6_000).map(invocation).collect();
    let ran = run(&[&NDJSON[..], &["-"]].concat(), &[], log.as_bytes());
    let measured = |name: &str| ran.out.matches(&format!(r#""name":"{name}","type":"count","value":1,"#)).count();
    assert_eq!(
        (ran.status, measured("invocations"), measured("timeouts"), measured("errors")),
        (0, 6_000, 6_000, 6_000)
    );
}

/// As Windows PowerShell writes what a command prints.
fn utf_16(text: &str) -> Vec<u8> {
    format!("\u{feff}{text}").encode_utf16().flat_map(u16::to_le_bytes).collect()
}

#[test]
fn counts_what_is_not_utf_8() {
    let batch = b"{\"logEvents\":[{\"id\":\"1\",\"timestamp\":1,\"message\":\"a\xffb\"}]}";
    for input in [batch.to_vec(), [batch.as_slice(), b"\n", batch].concat()] {
        let (summary, logs, _) = counted(&run(&[&NDJSON[..], &["-"]].concat(), &[], &input));
        assert_eq!(summary["replaced"].as_u64(), Some(logs as u64), "{summary}");
    }
}

#[test]
fn another_logferrys_log_is_told_and_no_fault() {
    let line = r#"{"kind":"summary","received":13,"consumed":0,"logs":13,"metrics":0,"backends":{}}"#;
    let ran = run(&[&NDJSON[..], &["-"]].concat(), &[], format!("hello\n{line}\n").as_bytes());
    assert_eq!((ran.status, ran.err.contains("is the log of another logferry")), (0, true), "{}", ran.err);
}

#[test]
fn says_what_is_damaged_and_keeps_the_rest() {
    let batch = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/events/edge.json")).unwrap();
    let ran = run(&[&NDJSON[..], &["-"]].concat(), &[], &batch[..batch.len() / 2]);
    let (summary, logs, _) = counted(&ran);
    assert_eq!((ran.status, summary["damaged"].as_u64()), (1, Some(1)));
    assert!(logs > 3, "{logs}");
    assert_eq!(
        ran.err,
        format!(
            "standard input: damaged payload of /aws/lambda/us-east-1.header-rewrite: the data ends too early; the {logs} log events before it were forwarded\n"
        )
    );
    let ran = run(&["replay", "-"], &[], br#"{"awslogs":{"data":"%%%"}}"#);
    assert_eq!(
        (ran.status, ran.err.as_str()),
        (1, "standard input: damaged payload: the data isn't base64; nothing of it was forwarded\n")
    );
    let ran = run(&["replay", "-"], &[], br#"{"Records":[]}"#);
    assert_eq!(ran.status, 1);
    assert!(ran.err.contains("no known source"), "{}", ran.err);
}

#[cfg(unix)]
#[test]
fn a_file_that_cannot_be_read_is_named_and_the_rest_replayed() {
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("replay-unreadable");
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(folder.join("more")).unwrap();
    for (name, line) in [("a.log", "one\n"), ("z.log", "two\nthree\n"), ("more/m.log", "four\n")] {
        std::fs::write(folder.join(name), line).unwrap();
    }
    std::os::unix::fs::symlink("nowhere", folder.join("gone.json")).unwrap();
    std::os::unix::fs::symlink("..", folder.join("more/round")).unwrap();
    let path = folder.to_str().unwrap();
    let ran = run(&[&NDJSON[..], &[path]].concat(), &[], b"");
    assert_eq!((ran.status, counted(&ran).1), (1, 4), "{}", ran.err);
    assert_eq!(ran.err, format!("{path}/gone.json cannot be read: No such file or directory (os error 2)\n"));
}

#[test]
fn a_wrong_command_or_setting_is_said_in_one_sentence() {
    let unknown = format!(
        "wrong setting: LOGFERRY_BACKENDS names `datadgo`, which is no backend: expected `{}`\nwrong setting: LOGFERRY_INCLUDE `(` is not a regular expression: unclosed group\n",
        logferry::backend::Backend::KINDS.join("`, `")
    );
    let neither = format!(
        "logferry: `nofile` is neither a backend (`{}`) nor a file or folder\n",
        logferry::backend::Backend::KINDS.join("`, `")
    );
    for (args, env, expected) in [
        (&["replay", "nowhere"][..], &[][..], "logferry: nowhere: there is no such file or folder\n"),
        (
            &["replay", "--to", "datadog"],
            &[],
            "logferry: nothing to replay: name a file, a folder, or `-` for standard input\n",
        ),
        (&["replay", "--to", "stdout", "nofile"], &[], &neither),
        (&["replay", "fixtures/events", "--to", "stdout", "nofile"], &[], &neither),
        (&["replay", "fixtures/events"], &[("LOGFERRY_BACKENDS", "datadgo"), ("LOGFERRY_INCLUDE", "(")], &unknown),
        (
            &["replay", "fixtures/events", "--to", "datadog"],
            &[],
            "wrong setting: DD_API_KEY is not set: the datadog backend needs an API key\n",
        ),
    ] {
        let ran = run(args, env, b"");
        assert_eq!((ran.status, ran.err.as_str(), ran.out.as_str()), (2, expected, ""));
    }
    assert_eq!(run(&["replay", "--wrong"], &[], b"").status, 2);
    let empty = format!("{}/empty", env!("CARGO_TARGET_TMPDIR"));
    std::fs::create_dir_all(&empty).unwrap();
    let ran = run(&["replay", &empty], &[], b"");
    assert_eq!((ran.status, ran.err.as_str()), (2, "logferry: nothing to replay: there is no file in the folder\n"));
}

#[test]
fn a_dry_run_shows_requests_and_no_secret() {
    let env = [("DD_API_KEY", "s3cret")];
    let ran = run(&["replay", "--to", "datadog", "--dry-run", "fixtures/events/edge.json"], &env, b"");
    assert_eq!(ran.status, 0, "{}", ran.err);
    assert_eq!(ran.out.matches("POST https://").count(), 2);
    assert!(ran.out.contains("DD-API-KEY: ***") && !ran.out.contains("s3cret"));
    assert!(ran.out.contains("\"functionname:header-rewrite\""));
}

#[test]
fn what_counts_errors_changes_no_log() {
    let line = r#"{"level":"ERROR","requestId":"8edab1f8-7d34-4a8e-a965-15ccbbb78d4c","message":"x"}"#;
    let shown = |set: &str| {
        let env = [("DD_API_KEY", "x"), ("LOGFERRY_HANDLER_ERRORS", set)];
        let input = format!("[{{\"timestamp\":1795165334310,\"message\":{}}}]", json!(line));
        run(&["replay", "--to", "datadog", "--dry-run", "-"], &env, input.as_bytes()).out
    };
    for set in ["true", "false"] {
        let shown = shown(set);
        assert!(shown.contains("ERROR") && !shown.contains(r#""status""#), "{shown}");
    }
}

#[test]
fn a_dry_run_takes_every_backend_for_willing() {
    let write = ("PROMETHEUS_REMOTE_WRITE_URL", "http://mimir");
    for (backend, env) in [
        ("datadog", &[("DD_API_KEY", "x")][..]),
        ("elasticsearch", &[("ELASTICSEARCH_URL", "http://elastic")]),
        ("guance", &[("ENV_DATAWAY", "http://datakit:9529")]),
        ("loki", &[("LOKI_URL", "http://loki")]),
        ("newrelic", &[("NEW_RELIC_LICENSE_KEY", "x")]),
        ("otlp", &[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector")]),
        ("prometheus", &[("LOGFERRY_PROMETHEUS_URL", "http://vm")]),
        ("remote_write", &[write]),
        ("remote_write", &[write, ("LOGFERRY_REMOTE_WRITE_VERSION", "2")]),
        ("splunk", &[("SPLUNK_HEC_URL", "http://splunk"), ("SPLUNK_HEC_TOKEN", "x")]),
    ] {
        let ran = run(&["replay", "--to", backend, "--dry-run", "fixtures/events/node-text.json"], env, b"");
        assert_eq!((ran.status, ran.err.as_str()), (0, ""), "{backend}");
        // Each request is shown once.
        let requests = ran.out.matches("POST http").count();
        let said = ran.out.lines().find(|line| line.starts_with(&format!("{backend} would get "))).unwrap();
        let counted = format!(" in {requests} request{} of ", if requests == 1 { "" } else { "s" });
        assert!(said.contains(&counted) && !said.contains("not delivered"), "{backend} {requests}: {said}");
    }
}

#[test]
fn an_unreachable_backend_is_named() {
    let env = [("DD_API_KEY", "s3cret"), ("DD_URL", "http://127.0.0.1:9"), ("DD_API_URL", "http://127.0.0.1:9")];
    let ran = run(&["replay", "fixtures/events/edge.json", "--timeout", "2", "--to", "datadog"], &env, b"");
    assert_eq!(ran.status, 1);
    assert!(ran.err.contains("15 logs not delivered to http://127.0.0.1:9/api/v2/logs (unreachable)"), "{}", ran.err);
    assert!(!ran.err.contains("s3cret") && !ran.out.contains("s3cret"));
}

#[test]
fn a_payload_is_given_as_long_as_the_timeout_says() {
    // Connections are taken, and nothing is answered.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let store = format!("{}/replay-timeout", env!("CARGO_TARGET_TMPDIR"));
    let env = [("DD_API_KEY", "x"), ("DD_URL", &*url), ("DD_API_URL", &*url), ("LOGFERRY_STORE", &*store)];
    let start = Instant::now();
    let ran = run(&["replay", "fixtures/events/edge.json", "--timeout", "1", "--to", "datadog"], &env, b"");
    let took = start.elapsed();
    assert!(took < Duration::from_secs(20), "{took:?}");
    assert_eq!(ran.status, 1, "{}", ran.err);
    let stored = " stored: `logferry redrive` sends them again";
    assert!(ran.out.contains(stored) && !ran.out.contains("not delivered"), "{}\n{}", ran.out, ran.err);
    for seconds in ["0", "1.5", "soon", "86401"] {
        let ran = run(&["replay", "fixtures/events/edge.json", "--timeout", seconds], &[], b"");
        assert!(ran.status == 2 && ran.err.contains("--timeout <SECONDS>"), "{}", ran.err);
    }
}

/// A command that sends to an intake which takes connections and answers nothing, once it has connected to it.
#[cfg(unix)]
fn sending(args: &[&str], store: &str) -> (std::process::Child, (TcpListener, std::net::TcpStream)) {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let env = [("DD_API_KEY", "x"), ("DD_URL", &*url), ("DD_API_URL", &*url), ("LOGFERRY_STORE", store)];
    let child = command(args, &[&env[..], &[("LOGFERRY_BACKENDS", "datadog")]].concat()).spawn().unwrap();
    let (connection, _) = silent.accept().unwrap();
    (child, (silent, connection))
}

#[cfg(unix)]
#[test]
fn ctrl_c_stores_what_is_not_answered_and_begins_nothing_more() {
    let interrupt = |child: &std::process::Child| {
        let id = child.id().to_string();
        assert!(Command::new("kill").args(["-INT", &id]).status().unwrap().success());
    };
    let ended = |child: std::process::Child| {
        let output = child.wait_with_output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    };
    let store = format!("{}/replay-interrupted", env!("CARGO_TARGET_TMPDIR"));
    let _ = std::fs::remove_dir_all(&store);
    let replay = ["replay", "fixtures/events/edge.json", "fixtures/events/node-text.json", "--timeout", "600"];
    let (child, _intake) = sending(&replay, &store);
    interrupt(&child);
    let (status, out, err) = ended(child);
    assert_eq!(status, Some(1), "{err}");
    for said in
        ["interrupted: what is not", "15 logs not delivered", "(deadline): interrupted\n", "not begun: 1 file\n"]
    {
        assert!(err.contains(said), "{said} in {err}");
    }
    assert!(!err.contains("function") && out.contains("stored: `logferry redrive` sends them again"), "{out}\n{err}");
    // What is stored stays so.
    let (child, _intake) = sending(&["redrive"], &store);
    interrupt(&child);
    let (status, out, err) = ended(child);
    assert!(status == Some(1) && out.contains(", 15 logs"), "{out}\n{err}");
    // Once more ends it at once.
    let (mut child, _intake) = sending(&replay, &store);
    interrupt(&child);
    let mut err = BufReader::new(child.stderr.take().unwrap());
    err.read_line(&mut String::new()).unwrap();
    interrupt(&child);
    assert_eq!(child.wait().unwrap().code(), Some(130));
}

#[test]
fn ends_at_once_when_nobody_reads_on() {
    let pretty = ["replay", "fixtures/events", "--format", "pretty"];
    let dry = ["replay", "fixtures/events", "--to", "datadog", "--dry-run"];
    for args in [&[&NDJSON[..], &["fixtures/events"]].concat()[..], &dry, &pretty] {
        let start = Instant::now();
        let mut child = command(args, &[("DD_API_KEY", "x")]).spawn().unwrap();
        drop(child.stdin.take());
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert!(line.len() > 1);
        let output = child.wait_with_output().unwrap();
        assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), b"".as_slice()), "{args:?}");
        assert!(start.elapsed() < Duration::from_secs(10), "{args:?} took {:?}", start.elapsed());
    }
}

#[cfg(target_os = "linux")]
#[test]
fn ends_as_ever_when_nobody_reads_what_it_complains_of() {
    for (args, env, expected) in [
        (&["replay", "-"][..], &[][..], 1),
        (&["replay", "nosuch"], &[], 2),
        (&["check"], &[("LOGFERRY_BACKENDS", "nosuch")], 2),
    ] {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let mut child = command(args, env).stderr(full).spawn().unwrap();
        let _ = child.stdin.take().unwrap().write_all(br#"{"awslogs":{"data":"%%%"}}"#);
        assert_eq!(child.wait().unwrap().code(), Some(expected), "{args:?}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn says_once_that_standard_output_is_full() {
    for args in [&[&NDJSON[..], &["fixtures/events"]].concat()[..], &["replay", "fixtures/events"]] {
        let start = Instant::now();
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let output = command(args, &[]).stdout(full).output().unwrap();
        assert_eq!(
            (output.status.code(), String::from_utf8(output.stderr).unwrap().as_str()),
            (Some(1), "logferry: cannot write to standard output: No space left on device (os error 28)\n")
        );
        assert!(start.elapsed() < Duration::from_secs(10), "{args:?} took {:?}", start.elapsed());
    }
}

#[test]
fn checks_settings_without_showing_secrets() {
    let ran = run(
        &["check"],
        &[("LOGFERRY_BACKENDS", "datadog"), ("DD_API_KEY", "s3cret"), ("HTTPS_PROXY", "http://me:pw@proxy:3128")],
        b"",
    );
    assert_eq!(ran.status, 0, "{}", ran.err);
    assert!(!ran.out.contains("s3cret") && !ran.out.contains("pw"));
    let ran = run(&["check"], &[("DD_SITE", "x y"), ("LOGFERRY_BACKENDS", "datadog"), ("DD_API_KEY", "k3y v")], b"");
    assert_eq!(ran.status, 2);
    assert!(
        ran.err.contains("DD_SITE `x y` is not a Datadog site") && ran.err.contains("DD_API_KEY holds a blank"),
        "{}",
        ran.err
    );
    assert!(!ran.err.contains("k3y v"));
}

#[test]
fn a_check_shows_what_holds() {
    let env = [
        ("HOME", "/home/me"),
        ("LOGFERRY_BACKENDS", "loki:eu,loki:us,loki:asia,datadog"),
        ("LOKI_URL_EU", "http://eu:1"),
        ("LOKI_URL", "http://all:1"),
        ("LOKI_FORMAT", " "),
        ("DD_API_KEY", "s3cret"),
    ];
    let ran = run(&["check"], &env, b"");
    assert_eq!((ran.status, ran.err.as_str()), (0, ""));
    let shown: Vec<Vec<_>> = ran.out.lines().map(|line| line.split_whitespace().collect()).collect();
    let of = |begin: &str| -> Vec<String> {
        shown
            .iter()
            .filter(|line| line.first().is_some_and(|name| name.starts_with(begin)))
            .map(|line| line.join(" "))
            .collect()
    };
    assert_eq!(of("LOKI_URL"), ["LOKI_URL_EU http://eu:1", "LOKI_URL http://all:1"]);
    assert_eq!(of("LOKI_FORMAT"), ["LOKI_FORMAT json (default)"]);
    assert_eq!(of("DD_API_KEY"), ["DD_API_KEY ***"]);
    // The Lambda has no folder of its own.
    assert_eq!(of("LOGFERRY_STORE"), ["LOGFERRY_STORE -", "LOGFERRY_STORE_BUCKET -"]);
    assert_eq!(of("SPLUNK"), [""; 0]);
}

#[test]
fn a_check_names_what_is_not_read() {
    let not_read = |name| {
        format!(
            "not read: {name}, which is misspelt, of no use beside the other settings, or of a backend that LOGFERRY_BACKENDS does not name\n"
        )
    };
    let good = [("LOGFERRY_BACKENDS", "datadog:eu"), ("DD_API_KEY_EU", "s3cret"), ("DD_SITE", "datadoghq.eu")];
    let odd = [
        ("LOGFERRY_PLATFORM_LINE", "drop"),
        ("LOKI_URL", "http://loki"),
        ("SPLUNK_INDEX", ""),
        ("LOKI_FORMAT", " "),
        ("DD_ENV", "x"),
    ];
    let ran = run(&["check"], &[&good[..], &odd].concat(), b"");
    assert_eq!((ran.status, ran.err), (0, not_read("LOGFERRY_PLATFORM_LINE") + &not_read("LOKI_URL")));
    // The bucket beside a queue is for what a queue can't take.
    let queue = "https://sqs.eu-west-1.amazonaws.com/123456789012/queue";
    for (store, expected) in [(queue, ""), ("s3://kept", &not_read("LOGFERRY_STORE_BUCKET"))] {
        let env = [("LOGFERRY_BACKENDS", "stdout"), ("LOGFERRY_STORE", store), ("LOGFERRY_STORE_BUCKET", "s3://large")];
        let ran = run(&["check"], &env, b"");
        assert_eq!((ran.status, ran.err.as_str()), (0, expected));
    }
    // A replacement stands for what a rule of one's own has matched.
    for name in ["LOGFERRY_SCRUBBING_RULE_REPLACEMENT", "DD_SCRUBBING_RULE_REPLACEMENT"] {
        for (rule, expected) in [
            ("LOGFERRY_REDACT_IP", not_read(name)),
            ("LOGFERRY_SCRUBBING_RULE", String::new()),
            ("DD_SCRUBBING_RULE", String::new()),
        ] {
            let env = [("LOGFERRY_BACKENDS", "stdout"), (name, "***"), (rule, "true")];
            let ran = run(&["check"], &env, b"");
            assert_eq!((ran.status, ran.err), (0, expected), "{name} {rule}");
        }
    }
    let ran = run(&["check"], &[("LOGFERRY_BACKEND", "stdout")], b"");
    assert!(ran.status == 2 && ran.err.contains(&not_read("LOGFERRY_BACKEND")), "{}", ran.err);
}

#[test]
fn a_check_names_settings_of_names_that_no_backend_has() {
    let loki = [("LOKI_URL", "http://us"), ("LOGFERRY_BACKENDS", "loki:eu,loki:us-2")];
    let datadog = [("DD_API_KEY", "s3cret"), ("LOGFERRY_BACKENDS", "datadog")];
    let otlp = [("OTEL_EXPORTER_OTLP_ENDPOINT", "http://all"), ("LOGFERRY_BACKENDS", "otlp:eu")];
    for (env, more, expected) in [
        (&loki[..], &[("LOKI_URL_UE", "http://eu")][..], &["LOKI_URL_UE"][..]),
        (&loki, &[("LOKI_URL_EU", "http://eu"), ("LOKI_FORMAT_US_2", "json"), ("LOKI_FORMAT_US", " ")], &[]),
        (
            &loki,
            &[("LOKI_FORMAT_US", "json"), ("LOKI_PASSWORD_UE_KMS", "x")],
            &["LOKI_FORMAT_US", "LOKI_PASSWORD_UE_KMS"],
        ),
        // Of a backend without a name, of one that isn't there, and what isn't a backend's.
        (&datadog, &[("DD_SITE_EU", "datadoghq.eu"), ("SPLUNK_INDEX_EU", "x")], &["DD_SITE_EU", "SPLUNK_INDEX_EU"]),
        (&datadog, &[("NO_PROXY_EU", "x"), ("DD_SITES", "x"), ("DD_API_URL", "http://x")], &[]),
        // Names that begin as others do.
        (
            &otlp,
            &[
                ("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT_EU", "http://eu"),
                ("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT_US", "http://us"),
            ],
            &["OTEL_EXPORTER_OTLP_LOGS_ENDPOINT_US"],
        ),
        (
            &[("LOGFERRY_BACKENDS", "stdout"), ("DD_SCRUBBING_RULE", "x")],
            &[("DD_SCRUBBING_RULE_REPLACEMENT", "y")],
            &[],
        ),
    ] {
        let ran = run(&["check"], &[env, more].concat(), b"");
        let told: Vec<_> =
            expected.iter().map(|name| format!("not read: {name}, which is misspelt, of no use")).collect();
        let fits = ran.err.lines().count() == told.len()
            && ran.err.lines().zip(&told).all(|(line, told)| line.starts_with(told));
        assert!(ran.status == 0 && fits, "{more:?}: {}{}", ran.out, ran.err);
    }
}

#[test]
fn a_check_names_what_gives_way_to_another_name() {
    let loki = [("LOGFERRY_BACKENDS", "loki"), ("LOKI_URL", "http://x"), ("WRITE_ADDRESS", "http://z")];
    let ran = run(&["check"], &loki, b"");
    assert_eq!((ran.status, ran.err.as_str()), (0, "not read: WRITE_ADDRESS, as LOKI_URL holds\n"));
    assert!(ran.out.contains("http://x") && !ran.out.contains("http://z"), "{}", ran.out);
    let (new_relic, prometheus) = ("NEW_RELIC_LICENSE_KEY", "LOGFERRY_PROMETHEUS_URL");
    let elastic = [("ELASTICSEARCH_URL", "http://es"), ("ELASTICSEARCH_API_KEY", "k"), ("ES_API_KEY", "s3cret")];
    let (host, url) = ("ASSERTS_METRICSTORE_HOST", "ASSERTS_REMOTE_WRITE_URL");
    for (backends, env, expected) in [
        ("newrelic", &[(new_relic, "k"), ("LICENSE_KEY", "s3cret")][..], &[("LICENSE_KEY", new_relic)][..]),
        ("newrelic", &[("LICENSE_KEY", "k")], &[]),
        ("newrelic:eu", &[(new_relic, "s3cret"), ("LICENSE_KEY_EU", "k")], &[(new_relic, "LICENSE_KEY_EU")]),
        // What gives way in one place may hold in another.
        ("newrelic:eu,newrelic", &[(new_relic, "k"), ("LICENSE_KEY_EU", "k")], &[]),
        ("elasticsearch", &elastic, &[("ES_API_KEY", "ELASTICSEARCH_API_KEY")]),
        (
            "prometheus",
            &[(prometheus, "http://x"), (host, "s3cret"), (url, "http://s3cret")],
            &[(host, prometheus), (url, prometheus)],
        ),
        ("prometheus", &[(host, "s3cret"), (url, "http://x")], &[(host, url)]),
        // A tenant is a label, too.
        (
            "prometheus",
            &[
                (prometheus, "http://x"),
                ("LOGFERRY_PROMETHEUS_USERNAME", "u"),
                ("LOGFERRY_PROMETHEUS_PASSWORD", "p"),
                ("ASSERTS_TENANT_NAME", "shop"),
                ("ASSERTS_PASSWORD", "s3cret"),
            ],
            &[("ASSERTS_PASSWORD", "LOGFERRY_PROMETHEUS_PASSWORD")],
        ),
    ] {
        let env = [env, &[("LOGFERRY_BACKENDS", backends)]].concat();
        let ran = run(&["check"], &env, b"");
        let told: Vec<_> =
            expected.iter().map(|(name, holds)| format!("not read: {name}, as {holds} holds\n")).collect();
        assert_eq!((ran.status, ran.err), (0, told.concat()), "{env:?}");
        assert!(!ran.out.contains("s3cret"), "{env:?}: {}", ran.out);
    }
}

#[test]
fn a_tag_stands_once_whoever_sets_it() {
    let event = r#"{"timestamp":1700000000123,"message":"MONITORING|1700000000|1|count|a|#shop:berlin,x:1"}"#;
    let settings = [("LOGFERRY_TAGS", "env:prod,shop:all")];
    let ran = run(&[&NDJSON[..], &["-"]].concat(), &settings, event.as_bytes());
    let metric = ran.out.lines().find(|line| line.contains("\"kind\":\"metric\"")).unwrap();
    assert!(metric.ends_with(r#""tags":{"shop":"berlin,all","x":"1","env":"prod"}}"#), "{metric}");
}

#[test]
fn explains_lines_of_each_form() {
    let input = "START RequestId: abc Version: 1\n\"END RequestId: abc\\n\"\n{\"message\":\"MONITORING|1700000000|1|count|a\",\"timestamp\":1700000000123}\n{\"message\":\"x\",\"timestamp\":\"1\"}\n\n";
    let ran = run(&["explain"], &[], input.as_bytes());
    let kinds: Vec<_> =
        ran.out.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["kind"].clone()).collect();
    assert_eq!(kinds, ["start", "end", "monitoring", "app_json", "empty"]);
    let ran = run(&["explain", "--why", "--format", "pretty", "END RequestId: abc"], &[], b"");
    assert!(ran.out.starts_with("end\n  request_id") && ran.out.contains("because"), "{}", ran.out);
}

#[test]
fn what_is_explained_to_people_has_no_stray_backslashes() {
    let of = |line: &str, field: &str| {
        let ran = run(&["explain", "--format", "pretty"], &[], format!("{}\n", json!(line)).as_bytes());
        let found = ran.out.lines().find_map(|line| line.trim_start().strip_prefix(field));
        found.unwrap_or(&ran.out).trim_start().to_owned()
    };
    let crash = "RequestId: abc Error: Couldn't find \"x\" in C:\\\u{7}\u{1b}[2J\u{202e}\u{9b}\nRuntime.Unknown\n";
    for (line, field, shown) in [
        ("MONITORING|1700000000|3|count|orders.placed|#shop:berlin", "tags", r#"["shop:berlin"]"#),
        ("MONITORING|1700000000|3|count|a|#shop:\u{202e}x", "tags", r#"["shop:\u{202e}x"]"#),
        ("EXTENSION\tName: a\tState: Ready\tEvents: [\u{7},\u{9b}2J]", "items", r#"["\u0007","\u{9b}2J"]"#),
        ("EXTENSION\tName: it's \"a\"\tState: Ready", "name", r#"it's "a""#),
        (
            r#"{"_aws":{"Timestamp":1700000000000,"CloudWatchMetrics":[{"Namespace":"n","Dimensions":[["d"]],"Metrics":[{"Name":"m"}]}]},"d":"\u00e9 \\ \u001b","m":1}"#,
            "dimensions",
            r#"{"d":"é \\ \u001b"}"#,
        ),
        (crash, "reason", r#"Couldn't find "x" in C:\\\u{7}\u{1b}[2J\u{202e}\u{9b}"#),
    ] {
        assert_eq!(of(line, field), shown, "{line}");
    }
}

#[test]
fn a_tab_is_a_tab_however_it_is_escaped() {
    let event = |id: u32, message: &str| format!(r#"{{"id":"{id}","timestamp":1700000000123,"message":"{message}"}}"#);
    let id = "5e1f007a-77aa-4c3d-9b20-6d0c00000000";
    let messages = [
        format!(r"2026-11-20T09:00:00.000Z\u0009{id}\u0009WARN\u0009careful\u000A"),
        format!(r"[WARN]\u00092026-11-20T09:00:00.000Z\u0009{id}\u0009care\u0066ul"),
        format!(r"2026-11-20T09:00:00.000Z\u0009{id}\u0009WARN\u0009MONITORING|1700000000|1|count|a.b\u000d\u000a"),
        r"EXTENSION\u0009Name: x\u0009State: Ready\u0009Events: [INVOKE]".to_owned(),
        r"\u007b\u0022level\u0022:\u0022WARN\u0022}".to_owned(),
    ];
    let events: Vec<_> = messages.iter().zip(1..).map(|(message, id)| event(id, message)).collect();
    let document = format!(
        r#"{{"messageType":"DATA_MESSAGE","owner":"123456789012","logGroup":"/aws/lambda/f","logStream":"s","logEvents":[{}]}}"#,
        events.join(",")
    );
    let ran = run(&[&NDJSON[..], &["-"]].concat(), &[("LOGFERRY_PLATFORM_LINES", "drop")], document.as_bytes());
    let lines: Vec<Value> = ran.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |kind: &str| lines.iter().filter(|line| line["kind"] == kind).collect::<Vec<_>>();
    let logs = of("log");
    assert_eq!(logs.iter().map(|log| log["level"].as_str()).collect::<Vec<_>>(), [Some("warn"); 3], "{}", ran.out);
    assert_eq!(of("metric").len(), 1, "{}", ran.out);
    assert_eq!(logs[0]["message"], format!("2026-11-20T09:00:00.000Z\t{id}\tWARN\tcareful\n"));
    assert_eq!(logs[1]["message"], format!("[WARN]\t2026-11-20T09:00:00.000Z\t{id}\tcareful"));
    assert_eq!(logs[2]["message"], r#"{"level":"WARN"}"#);
}
