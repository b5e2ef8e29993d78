//! Line protocol as Guance's Dataway takes it, into `InfluxDB`.

use std::collections::BTreeMap;

use reqwest::Method;
use serde_json::{Value, json};

use crate::common::intake::Intake;
use crate::common::server::Answer;
use crate::ferry::{self, Events, REQUEST, WAYS};
use crate::servers::{eventually, get, request, server};

const TOKEN: &str = "tkn_0123456789abcdef0123456789abcdef";

/// The other invocation, in the same millisecond.
const OTHER: &str = "7c9a4e0e-8b5d-4a8b-9d3c-1f2e3d4c5b6a";

/// A point as it is stored.
#[derive(Clone, Debug, PartialEq)]
struct Point {
    measurement: String,
    tags: BTreeMap<String, String>,
    fields: BTreeMap<String, Stored>,
    nanos: i64,
}

/// The value of a field, of the type that `InfluxDB` names.
#[derive(Clone, Debug, PartialEq)]
enum Stored {
    Float(f64),
    Integer(i64),
    Text(String),
}

/// Passes on what a Dataway is sent to a database, as it is: gzip, too.
fn relay(influxdb: &str, database: &str) -> Intake {
    let created =
        request(Method::POST, &format!("{influxdb}/query?q=CREATE%20DATABASE%20%22{database}%22"), &[], Vec::new());
    assert_eq!(created.status, 200, "{}", created.text());
    let url = format!("{influxdb}/write?db={database}&precision=n");
    Intake::answering(move |received, _| {
        let known = ["metric", "logging"].map(|kind| format!("/v1/write/{kind}?token={TOKEN}"));
        if received.method != "POST" || !known.contains(&received.target) {
            return Answer::status(404);
        }
        let encoding = received.headers["content-encoding"].as_str();
        let response = request(Method::POST, &url, &[("content-encoding", encoding)], received.body.clone());
        Answer::with(response.status, &[], &response.body)
    })
}

/// All points of a database, sorted.
fn stored(influxdb: &str, database: &str) -> Vec<Point> {
    let ask = |query: &str| {
        let answer = get(influxdb, "/query", &[("db", database), ("epoch", "ns"), ("q", query)]);
        let answer: Value = serde_json::from_slice(&answer.body).unwrap();
        answer["results"][0]["series"].as_array().cloned().unwrap_or_default()
    };
    let types = ask("SHOW FIELD KEYS").into_iter().map(|series| {
        let keys: BTreeMap<String, String> =
            serde_json::from_value::<Vec<(String, String)>>(series["values"].clone()).unwrap().into_iter().collect();
        (series["name"].as_str().unwrap().to_owned(), keys)
    });
    let types: BTreeMap<_, _> = types.collect();
    let series = ask("SELECT * FROM /.*/ GROUP BY *");
    let mut points: Vec<_> =
        series.iter().flat_map(|series| points(series, &types[series["name"].as_str().unwrap()])).collect();
    points.sort_by(|a, b| (&a.measurement, a.nanos, &a.tags).cmp(&(&b.measurement, b.nanos, &b.tags)));
    points
}

/// Points of a measurement that have the same tags.
fn points(series: &Value, types: &BTreeMap<String, String>) -> Vec<Point> {
    let mut tags: BTreeMap<String, String> = serde_json::from_value(series["tags"].clone()).unwrap();
    // Those that other points have.
    tags.retain(|_, value| !value.is_empty());
    let columns: Vec<String> = serde_json::from_value(series["columns"].clone()).unwrap();
    let points = series["values"].as_array().unwrap().iter().map(|row| {
        let fields = columns.iter().zip(row.as_array().unwrap()).skip(1).filter(|(_, value)| !value.is_null());
        let fields = fields.map(|(key, value)| {
            let value = match types[key].as_str() {
                "float" => Stored::Float(value.as_f64().unwrap()),
                "integer" => Stored::Integer(value.as_i64().unwrap()),
                "string" => Stored::Text(value.as_str().unwrap().to_owned()),
                other => panic!("{key} is a {other}"),
            };
            (key.clone(), value)
        });
        let measurement = series["name"].as_str().unwrap().to_owned();
        Point { measurement, tags: tags.clone(), fields: fields.collect(), nanos: row[0].as_i64().unwrap() }
    });
    points.collect()
}

fn report(id: &str, rest: &str) -> String {
    format!(
        "REPORT RequestId: {id}\tDuration: 187.42 ms\tBilled Duration: 188 ms\tMemory Size: 512 MB\tMax Memory Used: 104 MB\t{rest}\n"
    )
}

/// Of a function that writes text.
fn text_events(function: &str) -> Events {
    let events = Events::of(function);
    let (start, second) = (events.start, events.start / 1000);
    let emf = json!({
        "_aws": {
            "Timestamp": start + 777,
            "CloudWatchMetrics": [{
                "Namespace": "shop",
                "Dimensions": [["kind"]],
                "Metrics": [{ "Name": "took", "Unit": "Milliseconds" }, { "Name": "size" }],
            }],
        },
        "kind": "a, b=c\\",
        "took": [1.5, 2, 1e20],
        "size": 7,
    });
    events
        .at(1, "INIT_START Runtime Version: nodejs:22.v61\tRuntime Version ARN: arn:aws:lambda:eu-west-1::runtime:39\n")
        .at(2, &format!("START RequestId: {REQUEST} Version: $LATEST\n"))
        .at(2, "two\nlines, \"quoted\" = \\, #no comment\n# none either \\")
        .at(2, &format!("2026-11-20T09:02:14.734Z\t{REQUEST}\tWARN\tGrüße aus Köln: 日本語 🦀 \u{1}\u{7f}\\\" \\\\"))
        .at(3, &format!("MONITORING|{second}|3|count|orders.placed|#payment:card,shop:berlin"))
        .at(3, &format!("MONITORING|{second}|4|count|orders.placed|#payment:card,shop:berlin"))
        .at(3, &format!("MONITORING|{second}|-0.007|gauge|basket_eur|#shop:köln \"süd\""))
        .at(3, &emf.to_string())
        .at(5, &format!("END RequestId: {REQUEST}\n"))
        .at(6, &report(REQUEST, "Init Duration: 400.51 ms\t"))
        .at(6, &report(OTHER, ""))
}

/// What should be stored of them.
fn expected_of_text(events: &Events) -> Vec<Point> {
    let logs = [
        (0, "", None, true),
        (1, "", Some(REQUEST), true),
        (2, "", Some(REQUEST), false),
        (3, "warning", Some(REQUEST), false),
        (7, "", Some(REQUEST), false),
        (8, "", Some(REQUEST), true),
        (9, "", Some(REQUEST), true),
        (10, "", Some(OTHER), true),
    ];
    let logs = logs.map(|(place, level, id, of_platform)| log(events, place, level, id, of_platform));
    let cost = [("estimated_cost_usd", Stored::Float(1.766_67e-6))];
    let numbers = [
        ("billed_duration_ms", 188),
        ("duration_ms", 187),
        ("invocations", 1),
        ("max_memory_used_mb", 104),
        ("memory_size_mb", 512),
    ];
    let cold = [("cold_starts", 1), ("init_duration_ms", 401)];
    let whole = |fields: &[(&'static str, i64)]| {
        fields.iter().map(|(name, value)| (*name, Stored::Integer(*value))).collect::<Vec<_>>()
    };
    let reports = [
        measures(events, 9, "on-demand", [&cost[..], &whole(&numbers), &whole(&cold)].concat()),
        measures(events, 10, "on-demand", [&cost[..], &whole(&numbers)].concat()),
    ];
    let (start, berlin) = (events.start, [("payment", "card"), ("shop", "berlin")]);
    let kind = [("kind", "a, b=c"), ("namespace", "shop")];
    let custom = [
        custom(events, start, &berlin, ("orders.placed", 3.0)),
        custom(events, start, &berlin, ("orders.placed", 4.0)),
        custom(events, start, &[("shop", "köln \"süd\"")], ("basket_eur", -0.007)),
        custom(events, start + 777, &kind, ("took", 1.5)),
        custom(events, start + 777, &kind, ("took", 2.0)),
        custom(events, start + 777, &kind, ("took", 1e20)),
        custom(events, start + 777, &kind, ("size", 7.0)),
    ];
    logs.into_iter().chain(reports).chain(custom).collect()
}

/// Of a function that writes JSON, and runs out of time.
fn json_events(function: &str) -> Events {
    let head = "{\"time\":\"2026-11-20T09:02:14.734Z\",\"type\":\"platform.";
    let id = format!("\"requestId\":\"{REQUEST}\"");
    let span = |name, ms| format!("{{\"name\":\"{name}\",\"start\":\"2026-11-20T09:02:14.734Z\",\"durationMs\":{ms}}}");
    let spans = [span("responseLatency", 23.02), span("responseDuration", 20.6)].join(",");
    let done = "\"status\":\"timeout\",\"metrics\":{\"durationMs\":150.4,\"producedBytes\":4211}";
    let report = "\"status\":\"timeout\",\"metrics\":{\"durationMs\":3000.0,\"billedDurationMs\":3000,\"memorySizeMB\":512,\"maxMemoryUsedMB\":104}";
    Events::of(function)
        .at(1, &format!("{head}runtimeDone\",\"record\":{{{id},{done},\"spans\":[{spans}]}}}}\n"))
        .at(1, &format!("{head}report\",\"record\":{{{id},{report}}}}}\n"))
}

fn expected_of_json(events: &Events) -> Vec<Point> {
    let whole = |(name, value)| (name, Stored::Integer(value));
    let done = [
        ("runtime_duration_ms", 150),
        ("produced_bytes", 4211),
        ("response_latency", 23),
        ("response_duration_ms", 21),
    ];
    let report = [
        ("billed_duration_ms", 3000),
        ("duration_ms", 3000),
        ("errors", 1),
        ("invocations", 1),
        ("max_memory_used_mb", 104),
        ("memory_size_mb", 512),
        ("post_runtime_duration", 2850),
        ("timeouts", 1),
    ];
    // Half a GB for 3 s at 16.6667 millionths of a dollar, and 0.2 of them for the request.
    let cost = ("estimated_cost_usd", Stored::Float(2.520_005e-5));
    let mut done = measures(events, 0, "", done.map(whole).to_vec());
    // Only the report tells it.
    done.tags.remove("aws_lambda_function_memory_size");
    let report = measures(events, 1, "", report.map(whole).into_iter().chain([cost]).collect());
    let logs = [0, 1].map(|place| log(events, place, "", Some(REQUEST), true));
    logs.into_iter().chain([done, report]).collect()
}

fn texts(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    let pairs = pairs.iter().filter(|(_, value)| !value.is_empty());
    pairs.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn log(events: &Events, place: usize, level: &str, request_id: Option<&str>, of_platform: bool) -> Point {
    let (time, message) = &events.messages[place];
    // Nanoseconds count the logs of a millisecond: lines that became metrics are none.
    let logs = events.messages[..place].iter().filter(|(at, message)| at == time && !message.starts_with("MONITORING"));
    let fields = [
        ("event_id", Some(events.id(place))),
        ("log_stream", Some(Events::log_stream().to_owned())),
        ("message", Some(message.clone())),
        ("request_id", request_id.map(str::to_owned)),
    ];
    let fields = fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), Stored::Text(value?))));
    Point {
        measurement: "awslambda-logging".to_owned(),
        tags: texts(&[
            ("aws_account_id", "123456789012"),
            ("aws_lambda_function_name", &events.function),
            ("aws_lambda_function_version", "$LATEST"),
            ("aws_log_from", if of_platform { "platform" } else { "function" }),
            ("aws_region", "eu-west-1"),
            ("env", "prod"),
            ("log_group", &events.log_group()),
            ("service", &events.function),
            ("status", level),
            ("team_name", "shop"),
        ]),
        fields: fields.collect(),
        nanos: time * 1_000_000 + i64::try_from(logs.count()).unwrap(),
    }
}

fn measures(events: &Events, place: usize, start: &str, fields: Vec<(&str, Stored)>) -> Point {
    Point {
        measurement: "awslambda-metric".to_owned(),
        tags: texts(&[
            ("aws_account_id", "123456789012"),
            ("aws_lambda_function_memory_size", "512"),
            ("aws_lambda_function_name", &events.function),
            ("aws_lambda_function_version", "$LATEST"),
            ("aws_lambda_initialization_type", start),
            ("aws_region", "eu-west-1"),
            ("env", "prod"),
            ("team.name", "shop"),
        ]),
        fields: fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
        nanos: events.messages[place].0 * 1_000_000,
    }
}

fn custom(events: &Events, time: i64, tags: &[(&str, &str)], (name, value): (&str, f64)) -> Point {
    let always = [("env", "prod"), ("function_name", &*events.function), ("team.name", "shop")];
    Point {
        measurement: "lambda_custom".to_owned(),
        tags: texts(&[tags, &always].concat()),
        fields: [(name.to_owned(), Stored::Float(value))].into(),
        nanos: time * 1_000_000,
    }
}

/// Points of metrics are moved within their millisecond, custom ones of a whole second within it: as if they weren't.
fn unmoved(points: &[Point]) -> Vec<String> {
    let points = points.iter().map(|point| {
        let moved = match point.measurement.as_str() {
            "awslambda-logging" => 0,
            "lambda_custom" => point.nanos % 1_000_000_000,
            _ => point.nanos % 1_000_000,
        };
        format!("{:?}", Point { nanos: point.nanos - moved, ..point.clone() })
    });
    let mut points: Vec<_> = points.collect();
    points.sort();
    points
}

fn eventually_stored(influxdb: &str, database: &str, count: usize) -> Vec<Point> {
    let points = eventually(&format!("{count} points"), || {
        let points = stored(influxdb, database);
        (points.len() >= count).then_some(points)
    });
    assert_eq!(points.len(), count, "{points:#?}");
    points
}

#[test]
#[ignore = "needs real servers: bash tests/real/run"]
fn points_are_stored_with_all_their_fields_and_once() {
    let Some(influxdb) = server("INFLUXDB") else { return };
    for (name, way) in WAYS {
        for (kind, events, expected) in [
            ("text", text_events as fn(&str) -> Events, expected_of_text as fn(&Events) -> Vec<Point>),
            ("json", json_events, expected_of_json),
        ] {
            let events = events(&format!("points-{kind}-{name}"));
            let relay = relay(&influxdb, &events.function);
            let dataway = format!("{}/ignored?token={TOKEN}", relay.url());
            let settings = [("ENV_DATAWAY", &*dataway), ("LOGFERRY_TAGS", "env:prod,team.name:shop")];
            way("guance", &settings, &events.event()).assert_good();
            let expected = expected(&events);
            let points = eventually_stored(&influxdb, &events.function, expected.len());
            assert_eq!(unmoved(&points), unmoved(&expected), "{name}");
            // Delivered again, to the same process or to another.
            way("guance", &settings, &events.event()).assert_good();
            ferry::replay("guance", &settings, &events.event()).assert_good();
            assert_eq!(stored(&influxdb, &events.function), points, "{name}");
        }
    }
}

#[test]
#[ignore = "needs real servers: bash tests/real/run"]
fn reports_of_one_millisecond_stay_apart() {
    let Some(influxdb) = server("INFLUXDB") else { return };
    let relay = relay(&influxdb, "reports");
    let dataway = format!("{}?token={TOKEN}", relay.url());
    let settings = [("ENV_DATAWAY", &*dataway), ("LOGFERRY_GUANCE_SEND", "metrics")];
    // Ten environments of a function, in batches of their own; ids of events differ by their place.
    let before = Events::of("reports");
    let batches = (0..10).map(|environment| {
        let before = (0..environment).fold(before.clone(), |events, _| events.at(6, "a line"));
        let id = format!("00000000-0000-4000-8000-{environment:012}");
        before.at(6, &report(&id, "")).event_of(&format!("2026/11/20/[$LATEST]{environment:032x}"))
    });
    let batches: Vec<_> = batches.collect();
    for batch in &batches {
        ferry::library("guance", &settings, batch).assert_good();
    }
    let points = eventually_stored(&influxdb, "reports", 10);
    assert!(points.iter().all(|point| point.fields["invocations"] == Stored::Integer(1)), "{points:#?}");
    for batch in &batches {
        ferry::replay("guance", &settings, batch).assert_good();
    }
    assert_eq!(stored(&influxdb, "reports"), points);
}

#[test]
#[ignore = "needs real servers: bash tests/real/run"]
fn types_are_those_of_the_vendors_extension_when_asked_for() {
    let Some(influxdb) = server("INFLUXDB") else { return };
    let relay = relay(&influxdb, "vendor");
    let events = Events::of("vendor").at(6, &report(REQUEST, "Init Duration: 400.51 ms\t"));
    let url = relay.url();
    let settings = [("DATAWAY_URL", &*url), ("WORKSPACE_TOKEN", TOKEN), ("LOGFERRY_GUANCE_MEASUREMENT", "awslambda")];
    ferry::library("guance", &settings, &events.event()).assert_good();
    let points = eventually_stored(&influxdb, "vendor", 2);
    assert!(points.iter().all(|point| point.measurement == "awslambda"), "{points:#?}");
    let metrics = points.iter().find(|point| point.fields.contains_key("invocations")).unwrap();
    for (name, value) in [
        ("duration_ms", Stored::Float(187.42)),
        ("init_duration_ms", Stored::Float(400.51)),
        ("billed_duration_ms", Stored::Integer(188)),
        ("invocations", Stored::Integer(1)),
    ] {
        assert_eq!(metrics.fields[name], value, "{name}");
    }
    assert!(!metrics.tags.contains_key("aws_lambda_function_version"), "{metrics:#?}");
}

#[test]
#[ignore = "needs real servers: bash tests/real/run"]
fn a_batch_of_several_bodies_is_stored_to_its_end() {
    let Some(influxdb) = server("INFLUXDB") else { return };
    let relay = relay(&influxdb, "bodies");
    let dataway = format!("{}?token={TOKEN}", relay.url());
    // More than 2000 lines and more than 1 MiB.
    let message = |place: i64| format!("{place} {}\\", "é\"\n".repeat(usize::try_from(place % 5 * 200).unwrap()));
    let events = (0..3000).fold(Events::of("bodies"), |events, place| events.at(place / 2, &message(place)));
    ferry::library("guance", &[("ENV_DATAWAY", &*dataway)], &events.event()).assert_good();
    let points = eventually_stored(&influxdb, "bodies", 3000);
    let told = points.iter().map(|point| (point.nanos, &point.fields["message"]));
    for ((place, (time, message)), told) in events.messages.iter().enumerate().zip(told) {
        let nanos = time * 1_000_000 + i64::try_from(place % 2).unwrap();
        assert_eq!(told, (nanos, &Stored::Text(message.clone())), "{place}");
    }
}
