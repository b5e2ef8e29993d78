//! Metrics.

use std::collections::BTreeMap;

use super::{ATTRIBUTES, Texts, function, resource};
use crate::common::lambda::{Lambda, bootstrap};
use crate::ferry::{self, Events, Ferried, REQUEST, WAYS};
use crate::servers::{eventually, get, server};

/// Series by name and labels: points as ms and value.
pub(super) type Stored = BTreeMap<(String, Texts), Vec<(i64, f64)>>;

/// A series that a batch should become: name, labels, ms after the start, value.
type Expected = (&'static str, &'static [(&'static str, &'static str)], i64, Value);

#[derive(Clone, Copy)]
enum Value {
    /// Of a sum.
    Count(f64),
    /// The last.
    Gauge(f64),
    /// Of a histogram, and bounds of its buckets.
    Values(&'static [f64], &'static [f64]),
}

use Value::{Count, Gauge, Values};

const SECONDS: &[f64] =
    &[0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 30.0, 60.0, 300.0, 900.0];
const OTHERS: &[f64] = &[0.0, 5.0, 10.0, 25.0, 50.0, 75.0, 100.0, 250.0, 500.0, 750.0, 1e3, 2500.0, 5e3, 7500.0, 1e4];
/// Powers of two, one of three: from 1 KiB to 8 GiB.
const BYTES: &[f64] = &[
    1024.0,
    4096.0,
    16_384.0,
    65_536.0,
    262_144.0,
    1_048_576.0,
    4_194_304.0,
    16_777_216.0,
    33_554_432.0,
    67_108_864.0,
    134_217_728.0,
    268_435_456.0,
    536_870_912.0,
    1_073_741_824.0,
    2_147_483_648.0,
    3_221_225_472.0,
    4_294_967_296.0,
    8_589_934_592.0,
];

const MIB: f64 = 1_048_576.0;
const COLD: &[(&str, &str)] = &[("faas.coldstart", "true"), ("faas.max_memory", "536870912")];
const WARM: &[(&str, &str)] = &[("faas.coldstart", "false"), ("faas.max_memory", "536870912")];
const COLD_COST: &[(&str, &str)] = &[
    ("faas.coldstart", "true"),
    ("faas.max_memory", "536870912"),
    ("architecture", "x86_64"),
    ("price_basis", "list_tier_1"),
];
const WARM_COST: &[(&str, &str)] = &[
    ("faas.coldstart", "false"),
    ("faas.max_memory", "536870912"),
    ("architecture", "x86_64"),
    ("price_basis", "list_tier_1"),
];

/// What [`events`] come to.
const EXPECTED: [Expected; 19] = [
    ("faas.invocations", COLD, 7, Count(1.0)),
    ("faas.invocations", WARM, 107, Count(2.0)),
    ("faas.coldstarts", COLD, 7, Count(1.0)),
    ("faas.errors", WARM, 107, Count(1.0)),
    ("faas.timeouts", WARM, 107, Count(1.0)),
    ("faas.invoke_duration", COLD, 7, Values(&[0.187_42], SECONDS)),
    ("faas.invoke_duration", WARM, 107, Values(&[0.02, 2.5], SECONDS)),
    ("faas.init_duration", COLD, 7, Values(&[0.400_01], SECONDS)),
    ("faas.mem_usage", COLD, 7, Values(&[104.0 * MIB], BYTES)),
    ("faas.mem_usage", WARM, 107, Values(&[128.0 * MIB, 129.0 * MIB], BYTES)),
    ("aws.lambda.billed_duration", COLD, 7, Values(&[0.588], SECONDS)),
    ("aws.lambda.billed_duration", WARM, 107, Values(&[0.02, 2.5], SECONDS)),
    ("aws.lambda.memory_size", COLD, 7, Gauge(512.0 * MIB)),
    ("aws.lambda.memory_size", WARM, 107, Gauge(512.0 * MIB)),
    // Half a GB for so many seconds at 16.6667 millionths of a dollar and 0.2 of them for the request, to 1e-12.
    ("aws.lambda.estimated_cost", COLD_COST, 7, Count(5.100_01e-6)),
    ("aws.lambda.estimated_cost", WARM_COST, 107, Count(0.366_667e-6 + 21.033_375e-6)),
    ("orders.placed", &[("payment", "card"), ("shop", "köln \"süd\"")], 1000, Count(7.5)),
    ("basket_eur", &[], 1000, Gauge(-0.007)),
    // The millisecond is that of the line: the stamp is of its second.
    ("latency", &[], 204, Values(&[-1.0, 0.0, 5.0, 5.5, 20_000.0], OTHERS)),
];

pub(super) fn events(function: &str) -> Events {
    let events = Events::of(function);
    let second = events.start / 1000;
    let custom = |after: i64, rest: &str| format!("MONITORING|{}|{rest}", second + after);
    let report = |id: usize, rest: &str| {
        format!("REPORT RequestId: 00000000-0000-4000-8000-{id:012}\t{rest}\t\n").replace(", ", "\t")
    };
    let tags = "#payment:card,shop:köln \"süd\"";
    let latencies = ["-1", "0", "5", "5.5", "20000"].map(|value| custom(0, &format!("{value}|histogram|latency|")));
    let events = events
        .at(1, "INIT_START Runtime Version: nodejs:22.v61\tRuntime Version ARN: arn:aws:lambda:eu-west-1::runtime:39\n")
        .at(2, &format!("2026-11-20T09:02:14.734Z\t{REQUEST}\tINFO\ta log, which is not sent\n"))
        .at(7, &report(1, "Duration: 187.42 ms, Billed Duration: 588 ms, Memory Size: 512 MB, Max Memory Used: 104 MB, Init Duration: 400.01 ms"))
        .at(57, &report(2, "Duration: 20.00 ms, Billed Duration: 20 ms, Memory Size: 512 MB, Max Memory Used: 128 MB"))
        .at(107, &report(3, "Duration: 2500.00 ms, Billed Duration: 2500 ms, Memory Size: 512 MB, Max Memory Used: 129 MB, Status: timeout"))
        .at(200, &custom(0, &format!("3|count|orders.placed|{tags}")))
        .at(201, &custom(1, &format!("4.5|count|orders.placed|{tags}")))
        .at(202, &custom(0, "19.5|gauge|basket_eur|"))
        .at(203, &custom(1, "-0.007|gauge|basket_eur|"));
    latencies.iter().fold(events, |events, line| events.at(204, line))
}

/// All series that should be stored of so many of these batches: each with the labels, at its own time or the given one.
pub(super) fn expected(events: &Events, labels: &Texts, batches: f64, time: Option<i64>) -> Stored {
    let mut all = Stored::new();
    for (name, own, after, value) in EXPECTED {
        let mut labels = labels.clone();
        labels.extend(own.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        if !name.starts_with("faas.") && !name.starts_with("aws.") {
            labels.insert("function_name".into(), events.function.clone());
        }
        let time = time.unwrap_or(events.start + after);
        let mut add = |suffix: &str, le: Option<String>, value: f64| {
            let mut labels = labels.clone();
            labels.extend(le.map(|le| ("le".to_owned(), le)));
            all.insert((format!("{name}{suffix}"), labels), vec![(time, value)]);
        };
        match value {
            Gauge(value) => add("", None, value),
            Count(value) => add("", None, value * batches),
            Values(values, bounds) => {
                let count = |le: f64| values.iter().fold(0.0, |sum, value| sum + f64::from(u8::from(*value <= le)));
                for le in bounds {
                    add("_bucket", Some(le.to_string()), count(*le) * batches);
                }
                add("_bucket", Some("+Inf".to_owned()), count(f64::INFINITY) * batches);
                add("_count", None, count(f64::INFINITY) * batches);
                add("_sum", None, values.iter().sum::<f64>() * batches);
            }
        }
    }
    all
}

/// Everything of a function, but for the words that say who has made it.
fn stored(victoriametrics: &str, function: &str) -> Stored {
    get(victoriametrics, "/internal/force_flush", &[]);
    let all = format!("{{service\\.name=\"{function}\"}}");
    let end = (ferry::now() / 1000 + 3600).to_string();
    let export = get(victoriametrics, "/api/v1/export", &[("match[]", &all), ("start", "0"), ("end", &end)]).lines();
    let series = export.iter().map(|series| {
        let mut labels: Texts = serde_json::from_value(series["metric"].clone()).unwrap();
        assert_eq!(labels.remove("scope.name").as_deref(), Some(env!("CARGO_PKG_NAME")));
        assert_eq!(labels.remove("scope.version").as_deref(), Some(env!("CARGO_PKG_VERSION")));
        let name = labels.remove("__name__").unwrap();
        let times = series["timestamps"].as_array().unwrap().iter().map(|time| time.as_i64().unwrap());
        let values = series["values"].as_array().unwrap().iter().map(|value| value.as_f64().unwrap());
        ((name, labels), times.zip(values).collect())
    });
    series.collect()
}

/// The same, once so many points are there.
fn eventually_stored(victoriametrics: &str, function: &str, points: usize) -> Stored {
    eventually(&format!("{points} points of {function}"), || {
        let stored = stored(victoriametrics, function);
        (stored.values().map(Vec::len).sum::<usize>() >= points).then_some(stored)
    })
}

/// Numbers may differ in what is lost when they are written as decimals.
pub(super) fn assert_same(stored: &Stored, expected: &Stored) {
    let names = |series: &Stored| series.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(stored), names(expected));
    for (name, points) in stored {
        let expected = &expected[name];
        let near = |(a, b): (&(i64, f64), &(i64, f64))| a.0 == b.0 && (a.1 - b.1).abs() <= 1e-12 * b.1.abs();
        let same = points.len() == expected.len() && points.iter().zip(expected).all(near);
        assert!(same, "{name:?}: {points:?}, expected {expected:?}");
    }
}

pub(super) fn settings<'a>(url: &'a str, more: &[(&'static str, &'a str)]) -> Vec<(&'static str, &'a str)> {
    let own = [("LOGFERRY_OTLP_SEND", "metrics"), ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", url)];
    [&own[..], &ATTRIBUTES, more].concat()
}

#[test]
#[ignore = "needs real servers: bash tests/real/run"]
fn deltas_are_stored_as_the_batch_held_them() {
    for (server_name, name) in [("VICTORIAMETRICS", "delta"), ("VICTORIAMETRICS_DEDUP", "deltas-once")] {
        let Some(victoriametrics) = server(server_name) else { return };
        let url = format!("{victoriametrics}/opentelemetry/v1/metrics");
        for (way_name, way) in WAYS {
            let events = events(&format!("otlp-{name}-{way_name}"));
            way("otlp", &settings(&url, &[]), &events.event()).assert_good();
            let expected = expected(&events, &resource(&events), 1.0, None);
            assert_same(&eventually_stored(&victoriametrics, &events.function, expected.len()), &expected);
            // Sent again it is told again, with the same times and values: of those, one may keep one.
            ferry::replay("otlp", &settings(&url, &[]), &events.event()).assert_good();
            let copies = if server_name == "VICTORIAMETRICS" { 2 } else { 1 };
            let twice = eventually_stored(&victoriametrics, &events.function, expected.len() * copies);
            let expected = expected.into_iter().map(|(name, points)| (name, points.repeat(copies)));
            assert_same(&twice, &expected.collect());
        }
    }
}

#[test]
#[ignore = "needs real servers: bash tests/real/run"]
fn exponential_histograms_are_stored_with_all_values() {
    let Some(victoriametrics) = server("VICTORIAMETRICS") else { return };
    let url = format!("{victoriametrics}/opentelemetry/v1/metrics");
    let more = [("OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION", "base2_exponential_bucket_histogram")];
    // It takes no values below zero.
    let latencies = (1..=1000).map(|value| format!("MONITORING|{}|{value}.5|histogram|latency|", ferry::now() / 1000));
    let events = latencies.fold(Events::of("otlp-exponential"), |events, line| events.at(1, &line));
    ferry::library("otlp", &settings(&url, &more), &events.event()).assert_good();
    let stored = eventually_stored(&victoriametrics, &events.function, 3);
    let mut counted = 0.0;
    for ((name, labels), points) in &stored {
        let sum: f64 = points.iter().map(|(_, value)| value).sum();
        match name.as_str() {
            "latency_count" => assert!((sum - 1000.0).abs() < 1e-9),
            "latency_sum" => assert!((sum - 501_000.0).abs() < 1e-6, "{sum}"),
            _ => {
                // As `1.915e+00...2.000e+00`, rounded.
                let (from, to) = labels["vmrange"].split_once("...").unwrap();
                let (from, to): (f64, f64) = (from.parse().unwrap(), to.parse().unwrap());
                let within =
                    (1..=1000).map(|value| f64::from(value) + 0.5).filter(|value| *value > from && *value <= to);
                let within = within.fold(0.0, |count, _| count + 1.0);
                // A value at a bound that is rounded may be on its other side.
                assert!((sum - within).abs() <= 1.0, "{labels:?}: {sum}, expected {within}");
                counted += sum;
            }
        }
    }
    assert!((counted - 1000.0_f64).abs() < 1e-9, "{counted}");
}

#[test]
#[ignore = "needs real servers: bash tests/real/run"]
fn cumulative_counts_go_on_from_batch_to_batch_and_count_a_copy_once() {
    let Some(victoriametrics) = server("VICTORIAMETRICS") else { return };
    let url = format!("{victoriametrics}/opentelemetry/v1/metrics");
    let settings = settings(&url, &[("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "cumulative")]);
    let (one, other) = (start(&settings, "one"), start(&settings, "other"));
    // The same lines at other times: another batch of the function.
    let first = events("otlp-cumulative");
    let mut second = first.clone();
    for (time, _) in &mut second.messages {
        *time += 1;
    }
    let send = |lambda: &Lambda, events: &Events| {
        let invocation = lambda.invoke(&events.event());
        let notes = invocation.notes().into_iter().map(str::to_owned).collect();
        Ferried { summary: invocation.summary, notes }.assert_good();
    };
    send(&one, &first);
    send(&other, &second);
    send(&one, &second);
    // Again.
    send(&one, &first);
    let series = expected(&first, &function(&first), 1.0, Some(0)).len();
    let stored = eventually_stored(&victoriametrics, &first.function, series * 4);
    for (instance, sends, batches) in [("one", 3, 2.0), ("other", 1, 1.0)] {
        let mut labels = function(&first);
        labels.insert("service.instance.id".into(), instance.into());
        let of_instance = |name: &(String, Texts)| name.1["service.instance.id"] == instance;
        let mut last = Stored::new();
        for (name, points) in stored.iter().filter(|(name, _)| of_instance(name)) {
            assert_eq!(points.len(), sends, "{name:?}: {points:?}");
            assert!(points.is_sorted_by(|a, b| a.0 < b.0 && a.1 <= b.1), "{name:?}: {points:?}");
            last.insert(name.clone(), points.last().map(|(_, value)| (0, *value)).into_iter().collect());
        }
        assert_same(&last, &expected(&first, &labels, batches, Some(0)));
    }
}

/// A forwarder that goes on.
pub(super) fn start(settings: &[(&str, &str)], log_stream: &str) -> Lambda {
    let bootstrap = bootstrap().set("LOGFERRY_BACKENDS", "otlp").set("AWS_LAMBDA_LOG_STREAM_NAME", log_stream);
    settings.iter().fold(bootstrap, |bootstrap, (name, value)| bootstrap.set(name, value)).start()
}
