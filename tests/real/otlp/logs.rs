//! Logs.

use logferry::model::Timestamp;
use reqwest::Method;
use serde_json::Value;

use super::{ATTRIBUTES, Texts, resource};
use crate::ferry::{self, Events, REQUEST, WAYS, rfc3339};
use crate::servers::{eventually, get, request, server};

const HOUR: i64 = 3_600_000;

/// What Loki makes labels of.
const LABELS: [&str; 3] = ["cloud.region", "deployment.environment", "service.name"];

/// Message, level with its number, and the time in ns after the start where it isn't the event's.
type Message = (String, Option<(&'static str, u8)>, Option<i64>);

/// Messages, whose application has begun at a time in ms.
fn messages(start: i64) -> Vec<Message> {
    let stamp = |after: i64| Timestamp::from_millis(start + after).to_string();
    let line = |after, level: &str| format!("{}\t{REQUEST}\t{level}\tGrüße aus Köln: 日本語 🦀\n", stamp(after));
    // Ahead of UTC, and to the nanosecond.
    let fine = stamp(HOUR + 40).replace('Z', "123456+01:00");
    vec![
        (
            "INIT_START Runtime Version: nodejs:22.v61\tRuntime Version ARN: arn:aws:lambda:eu-west-1::runtime:39\n"
                .into(),
            None,
            None,
        ),
        (format!("START RequestId: {REQUEST} Version: $LATEST\n"), None, None),
        // Before the event, and two at one time.
        (line(9, "TRACE"), Some(("TRACE", 1)), Some(9_000_000)),
        (line(10, "DEBUG"), Some(("DEBUG", 5)), Some(10_000_000)),
        (line(10, "INFO"), Some(("INFO", 9)), Some(10_000_001)),
        // At the event's time, which nothing before it has.
        (line(21, "WARN"), Some(("WARN", 13)), Some(21_000_000)),
        // An hour before, which is no time of the line.
        (line(-HOUR, "ERROR"), Some(("ERROR", 17)), None),
        (line(31, "FATAL"), Some(("FATAL", 21)), None),
        ("two\nlines, \"quoted\" \\ and controls \u{0}\u{1}\u{1f}\u{7f}".into(), None, None),
        (
            format!(
                "{{\"timestamp\":\"{fine}\",\"level\":\"warn\",\"requestId\":\"{REQUEST}\",\"n\":[1,{{\"a\":null}}]}}"
            ),
            Some(("WARN", 13)),
            Some(40_123_456),
        ),
        ("again".into(), None, None),
        ("again".into(), None, None),
        ("x\n".repeat(10_000), None, None),
        (format!("END RequestId: {REQUEST}\n"), None, None),
    ]
}

/// Two in each millisecond, none of which ends with a 0.
pub(super) fn events(function: &str) -> Events {
    let events = Events::of(function);
    messages(events.start)
        .iter()
        .zip(0..)
        .fold(events, |events, ((message, ..), place)| events.at(place / 2 * 10 + 1, message))
}

/// A log as it should be stored.
pub(super) struct Expected {
    /// In ns.
    pub(super) time: i64,
    /// In ns.
    pub(super) observed: i64,
    pub(super) message: String,
    pub(super) attributes: Texts,
}

/// All of them, where a level is put by `level`.
pub(super) fn expected(events: &Events, level: fn(Option<(&str, u8)>, &mut Texts)) -> Vec<Expected> {
    let logs = messages(events.start).into_iter().enumerate().map(|(place, (message, severity, own))| {
        let mut attributes = resource(events);
        attributes.insert("log.record.uid".into(), events.id(place));
        if place > 0 {
            attributes.insert("faas.invocation_id".into(), REQUEST.into());
        }
        level(severity, &mut attributes);
        // The second of a millisecond is a nanosecond behind the first.
        let after = i64::try_from(place % 2).unwrap();
        let observed = events.messages[place].0 * 1_000_000;
        let time = own.map_or(observed + after, |own| events.start * 1_000_000 + own);
        Expected { time, observed, message, attributes }
    });
    logs.collect()
}

/// A level, and its number.
pub(super) fn severity(level: Option<(&str, u8)>, attributes: &mut Texts) {
    attributes.extend(level.into_iter().flat_map(|(name, number)| {
        [("severity_text".into(), name.into()), ("severity_number".into(), number.to_string())]
    }));
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

#[test]
#[ignore = "needs real servers: bash tests/real/run"]
fn victorialogs_stores_logs_with_all_attributes() {
    let Some(victorialogs) = server("VICTORIALOGS") else { return };
    let url = format!("{victorialogs}/insert/opentelemetry/v1/logs");
    for compression in ["gzip", "none"] {
        let own = [
            ("LOGFERRY_OTLP_SEND", "logs"),
            ("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", &*url),
            ("OTEL_EXPORTER_OTLP_COMPRESSION", compression),
        ];
        let settings = [&own[..], &ATTRIBUTES].concat();
        for (name, way) in WAYS {
            let events = events(&format!("otlp-{compression}-{name}"));
            way("otlp", &settings, &events.event()).assert_good();
            let expected = expected(&events, |severity, attributes| {
                let name = severity.map_or("Unspecified", |(name, _)| name);
                attributes.insert("severity".into(), name.into());
            });
            let stored = eventually(&format!("logs of {}", events.function), || {
                let stored = in_victorialogs(&victorialogs, &events.function);
                (stored.len() >= expected.len()).then_some(stored)
            });
            let expected = expected.into_iter().map(|Expected { time, message, mut attributes, .. }| {
                attributes.extend([("_time".into(), rfc3339(time)), ("_msg".into(), message)]);
                attributes
            });
            assert_eq!(stored, expected.collect::<Vec<_>>());
        }
    }
}

/// All fields of all logs of a function, in the order of their ids.
fn in_victorialogs(victorialogs: &str, function: &str) -> Vec<Texts> {
    get(victorialogs, "/internal/force_flush", &[]);
    let query = format!("{{faas.name=\"{function}\"}} | sort by (log.record.uid)");
    let logs = get(victorialogs, "/select/logsql/query", &[("query", &query)]).lines();
    let logs = logs.into_iter().map(|log| {
        let mut fields: Texts = serde_json::from_value(log).unwrap();
        // Its words for the stream that a log is of.
        fields.retain(|name, _| !name.starts_with("_stream"));
        fields
    });
    logs.collect()
}

#[test]
#[ignore = "needs real servers: bash tests/real/run"]
fn loki_stores_logs_with_all_attributes_and_once() {
    let Some(loki) = server("LOKI") else { return };
    let url = format!("{loki}/otlp");
    for protocol in ["http/protobuf", "http/json"] {
        let own = [
            ("LOGFERRY_OTLP_SEND", "logs"),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", &*url),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol),
        ];
        let settings = [&own[..], &ATTRIBUTES].concat();
        for (name, way) in WAYS {
            let events = events(&format!("otlp-{}-{name}", protocol.replace('/', "-")));
            way("otlp", &settings, &events.event()).assert_good();
            let expected: Vec<_> = expected(&events, severity).into_iter().map(as_loki_says).collect();
            let stored = eventually(&format!("logs of {}", events.function), || {
                let stored = in_loki(&loki, &events.function);
                (stored.len() >= expected.len()).then_some(stored)
            });
            assert_eq!(stored, expected);
            // Delivered again, to the same process or to another.
            way("otlp", &settings, &events.event()).assert_good();
            ferry::replay("otlp", &settings, &events.event()).assert_good();
            assert_eq!(in_loki(&loki, &events.function), expected);
        }
    }
}

/// Dots become underscores, and it tells scope and time of observation, too.
fn as_loki_says(expected: Expected) -> (i64, String, Texts, Texts) {
    let Expected { time, observed, message, attributes } = expected;
    let (labels, mut metadata): (Texts, Texts) =
        attributes.into_iter().partition(|(name, _)| LABELS.contains(&name.as_str()));
    let own = [
        ("observed_timestamp", observed.to_string()),
        ("scope_name", env!("CARGO_PKG_NAME").to_owned()),
        ("scope_version", env!("CARGO_PKG_VERSION").to_owned()),
    ];
    metadata.extend(own.map(|(name, value)| (name.to_owned(), value)));
    let legal = |texts: Texts| texts.into_iter().map(|(name, value)| (name.replace('.', "_"), value)).collect();
    (time, message, legal(labels), legal(metadata))
}

/// Time in ns, line, labels and metadata of all logs of a function, in the order of their ids.
fn in_loki(loki: &str, function: &str) -> Vec<(i64, String, Texts, Texts)> {
    let (start, end) = (ferry::now() - HOUR, ferry::now() + HOUR);
    let url = format!(
        "{loki}/loki/api/v1/query_range?query=%7Bservice_name%3D%22{function}%22%7D&start={start}000000&end={end}000000&limit=5000"
    );
    // Otherwise metadata would stand among the labels.
    let answer = request(Method::GET, &url, &[("X-Loki-Response-Encoding-Flags", "categorize-labels")], Vec::new());
    assert_eq!(answer.status, 200, "{}", answer.text());
    let answer: Value = serde_json::from_slice(&answer.body).unwrap();
    let mut logs = Vec::new();
    for stream in answer["data"]["result"].as_array().unwrap() {
        let labels: Texts = serde_json::from_value(stream["stream"].clone()).unwrap();
        for entry in stream["values"].as_array().unwrap() {
            let mut metadata: Texts = serde_json::from_value(entry[2]["structuredMetadata"].clone()).unwrap();
            // A word of Loki's own.
            metadata.remove("detected_level");
            logs.push((text(&entry[0]).parse().unwrap(), text(&entry[1]), labels.clone(), metadata));
        }
    }
    logs.sort_by_key(|(_, _, _, metadata)| metadata["log_record_uid"].clone());
    logs
}
