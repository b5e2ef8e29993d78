//! OpenTelemetry's own collector, which takes only what is well formed, and writes what it took to a file.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::logs::{self, Expected};
use super::metrics::{self, Stored};
use super::{ATTRIBUTES, Texts, function, resource};
use crate::ferry::{self, Events, WAYS};
use crate::servers::{eventually, server};

/// How bodies are written and compressed.
const BODIES: [(&str, &str); 4] =
    [("http/protobuf", "gzip"), ("http/protobuf", "none"), ("http/json", "gzip"), ("http/json", "none")];

const DELTA: u64 = 1;
const CUMULATIVE: u64 = 2;

/// What is said of metrics, beside their points: unit, and what kind of data they are.
const METRICS: [(&str, &str, &str); 13] = [
    ("aws.lambda.billed_duration", "s", "histogram"),
    ("aws.lambda.estimated_cost", "{USD}", "sum"),
    ("aws.lambda.memory_size", "By", "gauge"),
    ("basket_eur", "", "gauge"),
    ("faas.coldstarts", "{coldstart}", "sum"),
    ("faas.errors", "{error}", "sum"),
    ("faas.init_duration", "s", "histogram"),
    ("faas.invocations", "{invocation}", "sum"),
    ("faas.invoke_duration", "s", "histogram"),
    ("faas.mem_usage", "By", "histogram"),
    ("faas.timeouts", "{timeout}", "sum"),
    ("latency", "", "histogram"),
    ("orders.placed", "", "sum"),
];

/// Its address, and the file.
fn collector() -> Option<(String, String)> {
    Some((server("COLLECTOR")?, server("COLLECTOR_FILE")?))
}

/// What of a function it has written, by resource: `resourceLogs` or `resourceMetrics`.
fn written(file: &str, key: &str, function: &str) -> Vec<Value> {
    let lines = std::fs::read_to_string(file).unwrap_or_default();
    // The last one may not be whole yet.
    let lines = lines.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let resources = lines.flat_map(|line| line[key].as_array().cloned().unwrap_or_default());
    let is_of =
        |resource: &Value| attributes(&resource["resource"]).get("faas.name").is_some_and(|name| name == function);
    resources.filter(is_of).collect()
}

/// The only scope of a resource.
fn scope<'a>(resource: &'a Value, key: &str) -> &'a Value {
    let [scope] = resource[key].as_array().unwrap().as_slice() else { panic!("{resource}") };
    let own = json!({ "name": env!("CARGO_PKG_NAME"), "version": env!("CARGO_PKG_VERSION") });
    assert_eq!(scope["scope"], own);
    scope
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn attributes(value: &Value) -> Texts {
    let pairs = list(&value["attributes"]).iter();
    pairs.map(|pair| (pair["key"].as_str().unwrap().to_owned(), text(&pair["value"]))).collect()
}

/// A value of any type, as other servers show it.
fn text(value: &Value) -> String {
    let (kind, value) = value.as_object().and_then(|value| value.iter().next()).unwrap();
    match kind.as_str() {
        "stringValue" | "intValue" => value.as_str().unwrap().to_owned(),
        "boolValue" => value.to_string(),
        "arrayValue" => json!(list(&value["values"]).iter().map(text).collect::<Vec<_>>()).to_string(),
        _ => panic!("{kind}: {value}"),
    }
}

/// Numbers of 64 bits are texts in JSON.
fn integer(value: &Value) -> i64 {
    value.as_str().unwrap().parse().unwrap()
}

#[test]
#[ignore = "needs real servers: bash tests/real/run"]
fn a_collector_takes_logs_with_all_attributes() {
    let Some((url, file)) = collector() else { return };
    for (protocol, compression) in BODIES {
        let own = [
            ("LOGFERRY_OTLP_SEND", "logs"),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", &*url),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol),
            ("OTEL_EXPORTER_OTLP_COMPRESSION", compression),
        ];
        let settings = [&own[..], &ATTRIBUTES].concat();
        for (name, way) in WAYS {
            let events = logs::events(&format!("collector-{}-{compression}-{name}", protocol.replace('/', "-")));
            way("otlp", &settings, &events.event()).assert_good();
            let expected: Vec<_> = logs::expected(&events, logs::severity)
                .into_iter()
                .map(|Expected { time, observed, message, attributes }| (time, observed, message, attributes))
                .collect();
            let taken = eventually(&format!("logs of {}", events.function), || {
                let taken = logs_of(&file, &events);
                (taken.len() >= expected.len()).then_some(taken)
            });
            assert_eq!(taken, expected);
        }
    }
}

/// Time and time of observation in ns, message, and all attributes of all logs, in the order of their ids.
fn logs_of(file: &str, events: &Events) -> Vec<(i64, i64, String, Texts)> {
    let mut logs = Vec::new();
    for resource in written(file, "resourceLogs", &events.function) {
        for record in list(&scope(&resource, "scopeLogs")["logRecords"]) {
            let mut all = attributes(&resource["resource"]);
            all.extend(attributes(record));
            if let Some(level) = record["severityText"].as_str() {
                logs::severity(
                    Some((level, u8::try_from(record["severityNumber"].as_u64().unwrap()).unwrap())),
                    &mut all,
                );
            }
            logs.push((
                integer(&record["timeUnixNano"]),
                integer(&record["observedTimeUnixNano"]),
                text(&record["body"]),
                all,
            ));
        }
    }
    logs.sort_by(|(.., a), (.., b)| a["log.record.uid"].cmp(&b["log.record.uid"]));
    logs
}

#[test]
#[ignore = "needs real servers: bash tests/real/run"]
fn a_collector_takes_deltas_as_the_batch_held_them() {
    let Some((url, file)) = collector() else { return };
    for (protocol, compression) in BODIES {
        let more = [("OTEL_EXPORTER_OTLP_PROTOCOL", protocol), ("OTEL_EXPORTER_OTLP_COMPRESSION", compression)];
        let metrics_url = format!("{url}/v1/metrics");
        let settings = metrics::settings(&metrics_url, &more);
        for (name, way) in WAYS {
            let events = metrics::events(&format!("collector-{}-{compression}-{name}", protocol.replace('/', "-")));
            way("otlp", &settings, &events.event()).assert_good();
            let expected = metrics::expected(&events, &resource(&events), 1.0, None);
            let taken = eventually(&format!("metrics of {}", events.function), || {
                let taken = metrics_of(&file, &events.function, DELTA);
                (taken.len() >= expected.len()).then_some(taken)
            });
            metrics::assert_same(&taken, &expected);
            let kinds: BTreeSet<_> = METRICS.map(|(name, unit, kind)| [name, unit, kind].map(str::to_owned)).into();
            assert_eq!(kinds_of(&file, &events.function), kinds);
        }
    }
}

#[test]
#[ignore = "needs real servers: bash tests/real/run"]
fn a_collector_takes_counts_that_go_on() {
    let Some((url, file)) = collector() else { return };
    let metrics_url = format!("{url}/v1/metrics");
    let more = [("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "cumulative")];
    let lambda = metrics::start(&metrics::settings(&metrics_url, &more), "collector");
    let first = metrics::events("collector-cumulative");
    let mut second = first.clone();
    second.messages.iter_mut().for_each(|(time, _)| *time += 1);
    for events in [&first, &second] {
        assert_eq!(lambda.invoke(&events.event()).result.as_deref(), Ok("null"));
    }
    let mut labels = function(&first);
    labels.insert("service.instance.id".into(), "collector".into());
    let expected = metrics::expected(&first, &labels, 2.0, Some(0));
    let taken = eventually("metrics of both batches", || {
        let taken = metrics_of(&file, &first.function, CUMULATIVE);
        taken.values().all(|points| points.len() >= 2).then_some(taken).filter(|taken| taken.len() >= expected.len())
    });
    let mut last = Stored::new();
    for (name, points) in taken {
        assert!(points.is_sorted_by(|a, b| a.0 < b.0 && a.1 <= b.1), "{name:?}: {points:?}");
        last.insert(name, points.last().map(|(_, value)| (0, *value)).into_iter().collect());
    }
    metrics::assert_same(&last, &expected);
}

#[test]
#[ignore = "needs real servers: bash tests/real/run"]
fn a_collector_takes_exponential_histograms() {
    let Some((url, file)) = collector() else { return };
    let metrics_url = format!("{url}/v1/metrics");
    let more = [("OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION", "base2_exponential_bucket_histogram")];
    let values: Vec<f64> = (-3..=500).map(|value| f64::from(value) * 1.5).collect();
    let second = ferry::now() / 1000;
    let lines = values.iter().map(|value| format!("MONITORING|{second}|{value}|histogram|latency|"));
    let events = lines.fold(Events::of("collector-exponential"), |events, line| events.at(1, &line));
    ferry::library("otlp", &metrics::settings(&metrics_url, &more), &events.event()).assert_good();
    let taken = eventually("a histogram", || written(&file, "resourceMetrics", &events.function).pop());
    let [metric] = list(&scope(&taken, "scopeMetrics")["metrics"]) else { panic!("{taken}") };
    let histogram = &metric["exponentialHistogram"];
    assert_eq!(histogram["aggregationTemporality"], DELTA);
    let [point] = list(&histogram["dataPoints"]) else { panic!("{histogram}") };
    assert_eq!(integer(&point["count"]), 504);
    assert_eq!(point["sum"].as_f64(), Some(values.iter().sum()));
    assert_eq!((point["min"].as_f64(), point["max"].as_f64()), (Some(-4.5), Some(750.0)));
    assert_eq!(integer(&point["zeroCount"]), 1);
    let scale = i32::try_from(point["scale"].as_i64().unwrap()).unwrap();
    let base = 2_f64.powf(2_f64.powi(-scale));
    for (side, sign) in [("positive", 1.0), ("negative", -1.0)] {
        let offset = point[side]["offset"].as_i64().unwrap_or_default();
        let counts: Vec<_> = list(&point[side]["bucketCounts"]).iter().map(integer).collect();
        for (place, count) in (offset..).zip(&counts) {
            #[expect(clippy::cast_precision_loss, reason = "places are small")]
            let bound = |place: i64| base.powf(place as f64);
            let (from, to) = (bound(place), bound(place + 1));
            let within = values.iter().filter(|value| **value * sign > from && **value * sign <= to).count();
            // A value at a bound may be on its other side when that is computed.
            assert!(count.abs_diff(i64::try_from(within).unwrap()) <= 1, "{side} {from} to {to}: {count}");
        }
        let whole = values.iter().filter(|value| **value * sign > 0.0).count();
        assert_eq!(counts.iter().sum::<i64>(), i64::try_from(whole).unwrap(), "{side}");
    }
}

/// All points of a function, as Prometheus would show them.
fn metrics_of(file: &str, function: &str, temporality: u64) -> Stored {
    let mut stored = Stored::new();
    for resource in written(file, "resourceMetrics", function) {
        for metric in list(&scope(&resource, "scopeMetrics")["metrics"]) {
            let (kind, data) = data(metric);
            if kind != "gauge" {
                assert_eq!(data["aggregationTemporality"], temporality, "{metric}");
            }
            assert!(kind != "sum" || data["isMonotonic"] == true, "{metric}");
            for point in list(&data["dataPoints"]) {
                let mut labels = attributes(&resource["resource"]);
                labels.extend(attributes(point));
                for (suffix, le, value) in numbers(point) {
                    let mut labels = labels.clone();
                    labels.extend(le.map(|le| ("le".to_owned(), le)));
                    let name = format!("{}{suffix}", metric["name"].as_str().unwrap());
                    let time = integer(&point["timeUnixNano"]) / 1_000_000;
                    stored.entry((name, labels)).or_default().push((time, value));
                }
            }
        }
    }
    stored
}

/// Name, unit and kind of all metrics of a function.
fn kinds_of(file: &str, function: &str) -> BTreeSet<[String; 3]> {
    let resources = written(file, "resourceMetrics", function);
    let metrics = resources.iter().flat_map(|resource| list(&scope(resource, "scopeMetrics")["metrics"]));
    metrics
        .map(|metric| {
            [&metric["name"], &metric["unit"], &json!(data(metric).0)]
                .map(|text| text.as_str().unwrap_or_default().to_owned())
        })
        .collect()
}

fn data(metric: &Value) -> (&'static str, &Value) {
    let kinds = ["gauge", "histogram", "sum"].into_iter();
    kinds.map(|kind| (kind, &metric[kind])).find(|(_, data)| data.is_object()).unwrap()
}

/// What a point holds: suffix of the name, bound of a bucket, number.
#[expect(clippy::cast_precision_loss, reason = "counts are small")]
fn numbers(point: &Value) -> Vec<(&'static str, Option<String>, f64)> {
    if point["bucketCounts"].is_null() {
        let value = point["asDouble"].as_f64().unwrap_or_else(|| integer(&point["asInt"]) as f64);
        return vec![("", None, value)];
    }
    let bounds = list(&point["explicitBounds"]).iter().map(|bound| bound.as_f64().unwrap().to_string());
    let bounds = bounds.chain(["+Inf".to_owned()]);
    let mut all =
        vec![("_sum", None, point["sum"].as_f64().unwrap()), ("_count", None, integer(&point["count"]) as f64)];
    let mut below = 0;
    for (bound, count) in bounds.zip(list(&point["bucketCounts"])) {
        below += integer(count);
        all.push(("_bucket", Some(bound), below as f64));
    }
    all
}
