//! One batch, and each sample of it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use super::millisecond;
use super::receiver::{Key, Receiver, Samples, Stored};
use crate::ferry::{Events, WAYS, Way, library, now};

/// Bounds of durations in seconds, as Python's client has them.
const TIMES: &str = "0.005 0.01 0.025 0.05 0.075 0.1 0.25 0.5 0.75 1.0 2.5 5.0 7.5 10.0";
/// Bounds of custom histograms.
const CUSTOM: &str =
    "0.01 0.1 1.0 2.5 5.0 10.0 25.0 50.0 100.0 250.0 500.0 1000.0 2500.0 5000.0 10000.0 100000.0 1000000.0";
/// Bounds of memory in bytes.
const MEMORY: &str = "67108864.0 134217728.0 201326592.0 268435456.0 402653184.0 536870912.0 805306368.0 1073741824.0 1610612736.0 2147483648.0 3221225472.0 5368709120.0 10737418240.0";
/// Bounds of responses in bytes.
const SIZES: &str = "256.0 1024.0 4096.0 16384.0 65536.0 262144.0 1048576.0 6291456.0 20971520.0";

/// What stands in a label's value and is hard to carry.
const VALUES: [&str; 14] = [
    "plain",
    "\"",
    "\\",
    "C:\\",
    "a \"quoted\\\" word\"",
    "one\ntwo\n",
    "\\n is no newline",
    "tab\there, return\rthere",
    "Größe 日本 🚢",
    " {a=\"b\"} 1 2 ,c=d # e ",
    "'single', `ticks`",
    "\u{1}\u{7f}",
    "\u{2028}\u{feff}",
    "#",
];

const MB: f64 = 1_048_576.0;

type Label = (&'static str, &'static str);

/// A value of the series of a name, a nature and labels.
type One<'a> = (Nature, &'static str, &'a [Label], f64);

/// What tells a series from others.
type Same = (&'static str, Nature, Vec<Label>);

/// Times in milliseconds since the epoch, and values.
type Points = Vec<(i64, f64)>;

/// What a batch holds.
struct Batch {
    events: Events,
    held: Vec<Held>,
}

/// One value.
#[derive(Clone, Debug)]
struct Held {
    nature: Nature,
    name: &'static str,
    labels: Vec<Label>,
    time: i64,
    value: f64,
}

#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Nature {
    Counter,
    Gauge,
    /// With these bounds.
    Histogram(&'static str),
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum Temporality {
    Cumulative,
    Delta,
}

use Nature::{Counter, Gauge, Histogram};

impl Temporality {
    const fn name(self) -> &'static str {
        match self {
            Self::Cumulative => "cumulative",
            Self::Delta => "delta",
        }
    }
}

#[test]
#[ignore = "needs real servers: bash tests/real/run"]
fn text_to_victoriametrics() {
    let Some(receiver) = Receiver::of_text("VICTORIAMETRICS") else { return };
    for (name, way) in WAYS {
        stores_each_point(&receiver, name, way, "1");
    }
}

#[test]
#[ignore = "needs real servers: bash tests/real/run"]
fn remote_write_to_victoriametrics() {
    by_both_versions("VICTORIAMETRICS");
}

#[test]
#[ignore = "needs real servers: bash tests/real/run"]
fn remote_write_to_prometheus() {
    by_both_versions("PROMETHEUS");
}

#[test]
#[ignore = "needs real servers: bash tests/real/run"]
fn remote_write_to_prometheus_that_takes_old_samples() {
    by_both_versions("PROMETHEUS_OUT_OF_ORDER");
}

/// This one takes nothing of version 1.0.
#[test]
#[ignore = "needs real servers: bash tests/real/run"]
fn remote_write_2_0_to_prometheus() {
    let Some(receiver) = Receiver::of_remote_write("PROMETHEUS_2_0") else { return };
    for (name, way) in WAYS {
        stores_each_point(&receiver, name, way, "2");
    }
}

/// None of these servers knows version 2.0: it falls back.
fn by_both_versions(server: &'static str) {
    let Some(receiver) = Receiver::of_remote_write(server) else { return };
    for (name, way) in WAYS {
        stores_each_point(&receiver, name, way, "1");
        stores_each_point(&receiver, name, way, "2");
    }
}

/// More than one request holds, and samples of one series that are more than that alone.
#[test]
#[ignore = "needs real servers: bash tests/real/run"]
fn a_large_batch() {
    let receivers = [
        Receiver::of_text("VICTORIAMETRICS"),
        Receiver::of_remote_write("VICTORIAMETRICS"),
        Receiver::of_remote_write("PROMETHEUS"),
        Receiver::of_remote_write("PROMETHEUS_2_0"),
    ];
    for receiver in receivers.into_iter().flatten() {
        for temporality in [Temporality::Cumulative, Temporality::Delta] {
            for version in receiver.versions() {
                let function = receiver.function(&format!("large-{}-{version}", temporality.name()));
                let batch = large(&function);
                check(&receiver, library, temporality, version, &batch);
            }
        }
    }
}

fn stores_each_point(receiver: &Receiver, name: &str, way: Way, version: &'static str) {
    for temporality in [Temporality::Cumulative, Temporality::Delta] {
        let function = receiver.function(&format!("points-{name}-{}-{version}", temporality.name()));
        check(receiver, way, temporality, version, &batch(&function));
        check(receiver, way, temporality, version, &json_lines(&format!("{function}-json")));
    }
}

fn check(receiver: &Receiver, way: Way, temporality: Temporality, version: &'static str, batch: &Batch) {
    let before = now();
    let settings = receiver.settings(temporality.name(), version);
    let ferried = way(receiver.backend(), &settings, &batch.events.event());
    ferried.assert_good();
    let after = now();
    assert_eq!(ferried.summary["backends"][receiver.backend()]["sent"], batch.held.len(), "{}", ferried.summary);

    let stored = receiver.stored(&batch.events.function);
    let instances: BTreeSet<_> = stored.values().flatten().map(|samples| &samples.instance).collect();
    assert!(instances.len() == 1 && instances.iter().all(|instance| instance.len() == 12), "{instances:?}");
    let stamp = stored.values().flatten().flat_map(|samples| &samples.points).map(|(time, _)| *time).max().unwrap();
    let expected = match temporality {
        Temporality::Cumulative => {
            assert!((before..=after).contains(&stamp), "{stamp} is not from {before} to {after}");
            batch.cumulative(stamp)
        }
        Temporality::Delta => batch.delta(),
    };
    compare(&stored, &expected, &batch.events.function);
}

fn compare(stored: &Stored, expected: &BTreeMap<Key, Points>, function: &str) {
    let missing: Vec<_> = expected.keys().filter(|key| !stored.contains_key(*key)).collect();
    let more: Vec<_> = stored.keys().filter(|key| !expected.contains_key(*key)).collect();
    assert!(missing.is_empty() && more.is_empty(), "{function}: missing {missing:#?}\nmore {more:#?}");
    for (key, points) in expected {
        let [Samples { points: found, .. }] = stored[key].as_slice() else { panic!("{key:?}: {:?}", stored[key]) };
        let near = |a: f64, b: f64| (a - b).abs() <= 1e-12 * b.abs();
        let same = found.iter().zip(points).all(|(a, b)| a.0 == b.0 && near(a.1, b.1));
        assert!(found.len() == points.len() && same, "{function}: {key:?}:\nfound {found:?}\nnot   {points:?}");
    }
}

impl Batch {
    fn of(function: &str) -> Self {
        Self { events: Events::of(function), held: Vec::new() }
    }

    /// An event that many ms after the start; its values have its time.
    fn at(mut self, after: i64, message: &str, values: &[One<'_>]) -> Self {
        self.events = self.events.at(after, message);
        for (nature, name, labels, value) in values {
            let (labels, time) = (labels.to_vec(), self.events.start + after);
            self.held.push(Held { nature: *nature, name, labels, time, value: *value });
        }
        self
    }

    /// An event with a custom metric of the second that it is in: at a millisecond that the first event tells.
    fn monitoring(self, after: i64, line: &str, metric: One<'_>) -> Self {
        let second = (self.events.start + after) / 1000;
        let mut all = self.at(after, &format!("MONITORING|{second}|{line}"), &[metric]);
        let spread = if metric.0 == Gauge { 0 } else { millisecond(&all.events.id(0)) };
        all.held.last_mut().unwrap().time = second * 1000 + spread;
        all
    }

    /// An event of CloudWatch's embedded metrics.
    fn emf(
        self,
        after: i64,
        unit: &str,
        (nature, name, labels): (Nature, &'static str, &[Label]),
        (own_name, dimensions, values): (&str, &[(&str, &str)], &[f64]),
    ) -> Self {
        let time = self.events.start + after;
        let keys: Vec<_> = dimensions.iter().map(|(key, _)| *key).collect();
        let directive = json!({
            "Namespace": "Shop", "Dimensions": [keys], "Metrics": [{ "Name": own_name, "Unit": unit }],
        });
        let mut root = json!({ "_aws": { "Timestamp": time, "CloudWatchMetrics": [directive] } });
        for (key, value) in dimensions {
            root[key] = json!(value);
        }
        root[own_name] = json!(values);
        let labels: Vec<_> = labels.iter().copied().chain([("namespace", "Shop")]).collect();
        let each: Vec<_> = values.iter().map(|value| (nature, name, labels.as_slice(), *value)).collect();
        self.at(after, &root.to_string(), &each)
    }

    /// Values by series, in order.
    fn series(&self) -> BTreeMap<Same, Points> {
        let mut series = BTreeMap::<_, Vec<_>>::new();
        for Held { nature, name, labels, time, value } in &self.held {
            series.entry((*name, *nature, labels.clone())).or_default().push((*time, *value));
        }
        series
    }

    fn key(&self, name: String, labels: &[(&str, &str)], le: Option<&str>) -> Key {
        let always = [
            ("account_id", "123456789012"),
            ("function_name", &*self.events.function),
            ("job", &*self.events.function),
            ("region", "eu-west-1"),
            ("version", "$LATEST"),
        ];
        let all = always.iter().chain(labels).copied().chain(le.map(|le| ("le", le)));
        (name, all.map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
    }

    /// Totals, each after a zero.
    fn cumulative(&self, stamp: i64) -> BTreeMap<Key, Points> {
        let mut expected = BTreeMap::new();
        let mut put = |key, total| expected.insert(key, vec![(stamp - 1, 0.0), (stamp, total)]);
        for name in ["invocations", "errors", "timeouts", "out_of_memory", "cold_starts"] {
            put(self.key(format!("aws_lambda_{name}_total"), LAMBDA, None), 0.0);
        }
        let series = self.series();
        for ((name, nature, labels), points) in &series {
            let sum = points.iter().map(|(_, value)| value).sum();
            match nature {
                Counter => drop(put(self.key((*name).to_owned(), labels, None), sum)),
                Gauge => {}
                Histogram(bounds) => {
                    for (le, bound) in les(bounds) {
                        let count = count(points.iter().filter(|(_, value)| *value <= bound).count());
                        put(self.key(format!("{name}_bucket"), labels, Some(le)), count);
                    }
                    put(self.key(format!("{name}_sum"), labels, None), sum);
                    put(self.key(format!("{name}_count"), labels, None), count(points.len()));
                }
            }
        }
        for ((name, nature, labels), points) in &series {
            if *nature == Gauge {
                let latest = points.iter().max_by_key(|(time, _)| *time).unwrap();
                expected.insert(self.key((*name).to_owned(), labels, None), vec![(stamp, latest.1)]);
            }
        }
        expected
    }

    /// What each millisecond adds. Of the buckets below the smallest value, only the last is there.
    fn delta(&self) -> BTreeMap<Key, Points> {
        let mut expected = BTreeMap::<Key, Points>::new();
        for ((name, nature, labels), mut points) in self.series() {
            points.sort_by_key(|(time, _)| *time);
            let mut put = |ending: &str, le, time, value| {
                let name = if nature == Gauge { name.to_owned() } else { format!("{name}{ending}_delta") };
                expected.entry(self.key(name, &labels, le)).or_default().push((time, value));
            };
            for points in points.chunk_by(|a, b| a.0 == b.0) {
                let (time, last) = *points.last().unwrap();
                let sum = points.iter().map(|(_, value)| value).sum();
                match nature {
                    Counter => put("", None, time, sum),
                    Gauge => put("", None, time, last),
                    Histogram(bounds) => {
                        let counts: Vec<_> = les(bounds)
                            .map(|(le, bound)| (le, points.iter().filter(|(_, value)| *value <= bound).count()))
                            .collect();
                        for (place, (le, number)) in counts.iter().enumerate() {
                            if *number > 0 || counts.get(place + 1).is_some_and(|(_, next)| *next > 0) {
                                put("_bucket", Some(le), time, count(*number));
                            }
                        }
                        put("_sum", None, time, sum);
                        put("_count", None, time, count(points.len()));
                    }
                }
            }
        }
        expected
    }
}

/// Of Lambda's own measures.
const LAMBDA: &[(&str, &str)] = &[("namespace", "AWS/Lambda")];
const COST: &[(&str, &str)] =
    &[("namespace", "AWS/Lambda"), ("architecture", "x86_64"), ("price_basis", "list_tier_1")];

/// Everything that becomes a metric.
fn batch(function: &str) -> Batch {
    hostile(embedded(invocations(monitoring(Batch::of(function)))))
}

/// What functions print for Datadog.
fn monitoring(batch: Batch) -> Batch {
    let card: &[Label] = &[("original_name", "orders.placed"), ("payment", "card"), ("shop", "berlin")];
    let invoice: &[Label] = &[("original_name", "orders.placed"), ("payment", "invoice"), ("shop", "berlin")];
    let bytes: &[Label] = &[("original_name", "bytes_total")];
    let ours: &[Label] = &[("exported_le", "1"), ("exported_version", "9"), ("original_labels", "le,version")];
    let berlin: &[Label] = &[("shop", "berlin")];
    let lines: [(i64, &str, One<'_>); 11] = [
        (510, "3|count|orders.placed|#shop:berlin,payment:card", (Counter, "orders_placed_total", card, 3.0)),
        (511, "2.5|count|orders.placed|#shop:berlin,payment:card", (Counter, "orders_placed_total", card, 2.5)),
        (512, "4|count|orders.placed|#shop:berlin,payment:invoice", (Counter, "orders_placed_total", invoice, 4.0)),
        (513, "7000|count|bytes_total|", (Counter, "bytes_total", bytes, 7000.0)),
        (514, "19.5|gauge|queue|#shop:berlin", (Gauge, "queue", berlin, 19.5)),
        (516, "250|histogram|latency|", (Histogram(CUSTOM), "latency", &[], 250.0)),
        (517, "250.5|histogram|latency|", (Histogram(CUSTOM), "latency", &[], 250.5)),
        (518, "2e7|histogram|latency|", (Histogram(CUSTOM), "latency", &[], 2e7)),
        (519, "2|check|feed_fresh|#le:1,version:9", (Gauge, "feed_fresh_status", ours, 2.0)),
        (1520, "-0.007|gauge|queue|#shop:berlin", (Gauge, "queue", berlin, -0.007)),
        (2521, "1|count|orders.placed|#shop:berlin,payment:card", (Counter, "orders_placed_total", card, 1.0)),
    ];
    lines.into_iter().fold(batch, |batch, (after, line, one)| batch.monitoring(after, line, one))
}

/// A cold start, and a time-out.
fn invocations(batch: Batch) -> Batch {
    let (first, second) = ("32336e94-0bdb-43b6-88d9-905cc781f842", "47c99d56-1b64-45ca-969a-2c5d22ec8e21");
    let start = |id: &str| format!("START RequestId: {id} Version: $LATEST\n");
    let end = |id: &str| format!("END RequestId: {id}\n");
    let report = |id: &str, rest: &[&str]| format!("REPORT RequestId: {id}\t{}\t\n", rest.join("\t"));
    let of_both = ["Memory Size: 256 MB", "Max Memory Used: 92 MB"];
    let cold = [&["Duration: 240.18 ms", "Billed Duration: 749 ms"], &of_both[..], &["Init Duration: 508.02 ms"]];
    let late = [&["Duration: 3000.00 ms", "Billed Duration: 3000 ms"], &of_both[..], &["Status: timeout"]];
    let of_cold: [One<'_>; 8] = [
        (Counter, "aws_lambda_invocations_total", LAMBDA, 1.0),
        (Counter, "aws_lambda_cold_starts_total", LAMBDA, 1.0),
        (Histogram(TIMES), "aws_lambda_duration_seconds", LAMBDA, 0.240_18),
        (Histogram(TIMES), "aws_lambda_billed_duration_seconds", LAMBDA, 0.749),
        (Histogram(TIMES), "aws_lambda_init_duration_seconds", LAMBDA, 0.508_02),
        (Gauge, "aws_lambda_memory_size_bytes", LAMBDA, 256.0 * MB),
        (Histogram(MEMORY), "aws_lambda_max_memory_used_bytes", LAMBDA, 92.0 * MB),
        // 0.2 of a millionth, and 0.749 s of a quarter GB for 16.6667 millionths.
        (Counter, "aws_lambda_estimated_cost_usd_total", COST, 0.000_003_320_84),
    ];
    let of_late: [One<'_>; 8] = [
        (Counter, "aws_lambda_invocations_total", LAMBDA, 1.0),
        (Counter, "aws_lambda_errors_total", LAMBDA, 1.0),
        (Counter, "aws_lambda_timeouts_total", LAMBDA, 1.0),
        (Histogram(TIMES), "aws_lambda_duration_seconds", LAMBDA, 3.0),
        (Histogram(TIMES), "aws_lambda_billed_duration_seconds", LAMBDA, 3.0),
        (Gauge, "aws_lambda_memory_size_bytes", LAMBDA, 256.0 * MB),
        (Histogram(MEMORY), "aws_lambda_max_memory_used_bytes", LAMBDA, 92.0 * MB),
        (Counter, "aws_lambda_estimated_cost_usd_total", COST, 0.000_012_700_025),
    ];
    batch
        .at(2600, &start(first), &[])
        .at(2841, &end(first), &[])
        .at(2841, &report(first, &cold.concat()), &of_cold)
        .at(2900, &start(second), &[])
        .at(5900, &end(second), &[])
        .at(5900, &report(second, &late.concat()), &of_late)
}

/// Embedded metrics, with names that aren't legal.
fn embedded(batch: Batch) -> Batch {
    let labels: &[Label] =
        &[("original_name", "Größe der Bestellung"), ("original_labels", "über-name"), ("_ber_name", "ü")];
    let size = (Counter, "Gr__e_der_Bestellung_total", labels);
    let berlin: &[Label] = &[("shop", "berlin")];
    let render = (Histogram(CUSTOM), "RenderTime", berlin);
    batch.emf(6030, "Count", size, ("Größe der Bestellung", &[("über-name", "ü")], &[1.0, 2.0, 5.0])).emf(
        6031,
        "Milliseconds",
        render,
        ("RenderTime", berlin, &[118.4, 0.01, 96.1]),
    )
}

/// What Lambda says of itself where a function logs JSON.
fn json_lines(function: &str) -> Batch {
    let request = "a07d0c2b-1825-4731-93e9-e4acd4fab03c";
    let line = |kind: &str, record| json!({ "time": "2026-11-20T10:03:07.418Z", "type": kind, "record": record });
    let spans =
        json!([{ "name": "responseLatency", "durationMs": 20.5 }, { "name": "responseDuration", "durationMs": 0.092 }]);
    let metrics = json!({ "durationMs": 22.1, "producedBytes": 5000 });
    let done = json!({ "requestId": request, "status": "success", "spans": spans, "metrics": metrics });
    let metrics = json!({ "durationMs": 22.618, "billedDurationMs": 23, "memorySizeMB": 256, "maxMemoryUsedMB": 38 });
    let report = json!({ "requestId": request, "status": "success", "metrics": metrics });
    Batch::of(function)
        .at(
            4000,
            &line("platform.runtimeDone", done).to_string(),
            &[
                (Histogram(TIMES), "aws_lambda_runtime_duration_seconds", LAMBDA, 0.0221),
                (Histogram(SIZES), "aws_lambda_produced_bytes", LAMBDA, 5000.0),
                (Histogram(TIMES), "aws_lambda_response_latency_seconds", LAMBDA, 0.0205),
                (Histogram(TIMES), "aws_lambda_response_duration_seconds", LAMBDA, 0.000_092),
            ],
        )
        .at(
            4001,
            &line("platform.report", report).to_string(),
            &[
                (Counter, "aws_lambda_invocations_total", LAMBDA, 1.0),
                (Histogram(TIMES), "aws_lambda_duration_seconds", LAMBDA, 0.022_618),
                (Histogram(TIMES), "aws_lambda_billed_duration_seconds", LAMBDA, 0.023),
                (Histogram(TIMES), "aws_lambda_post_runtime_duration_seconds", LAMBDA, 0.000_518),
                (Gauge, "aws_lambda_memory_size_bytes", LAMBDA, 256.0 * MB),
                (Histogram(MEMORY), "aws_lambda_max_memory_used_bytes", LAMBDA, 38.0 * MB),
                (Counter, "aws_lambda_estimated_cost_usd_total", COST, 0.000_000_295_834),
            ],
        )
}

/// A count for each of the values, in a series of its own.
fn hostile(batch: Batch) -> Batch {
    VALUES.iter().zip(1_u32..).fold(batch, |batch, (value, number)| {
        let after = 6100 + i64::from(number);
        let labels = [("odd", *value)];
        batch.emf(after, "Count", (Counter, "Odd_total", &labels), ("Odd", &labels, &[f64::from(number)]))
    })
}

/// 3,000 invocations, and 900 metrics.
fn large(function: &str) -> Batch {
    let mut batch = Batch::of(function);
    for (after, number) in (0..9000).step_by(3).zip(0_u32..) {
        let message = format!("REPORT RequestId: 47c99d56-1b64-45ca-969a-{number:012x}\tDuration: {number}.50 ms\n");
        let seconds = (f64::from(number) + 0.5) / 1000.0;
        batch = batch.at(
            after,
            &message,
            &[
                (Counter, "aws_lambda_invocations_total", LAMBDA, 1.0),
                (Histogram(TIMES), "aws_lambda_duration_seconds", LAMBDA, seconds),
            ],
        );
    }
    for (after, number) in (9001..).zip(0..900_u32) {
        let total = Box::leak(format!("n{number}_total").into_boxed_str());
        batch = batch.emf(after, "Count", (Counter, total, &[]), (&format!("n{number}"), &[], &[f64::from(number)]));
    }
    batch
}

/// Names and values of bounds, the infinite one too.
fn les(bounds: &'static str) -> impl Iterator<Item = (&'static str, f64)> {
    let finite = bounds.split(' ').map(|bound| (bound, bound.parse().unwrap()));
    finite.chain([("+Inf", f64::INFINITY)])
}

fn count(number: usize) -> f64 {
    f64::from(u32::try_from(number).unwrap())
}
